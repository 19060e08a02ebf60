"""Cookies go where they came from, and nowhere else."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.wire.cookies import MAX_COOKIE, MAX_COOKIES, CookieJar
from sansio_gradio.wire.url import URL

APP = URL.parse("https://app.example.com/gradio/config")
LOCAL = URL.parse("http://127.0.0.1:7860/login")
NOW = 1_700_000_000.0
UPTIME = 100.0  # seconds: a clock that knows no dates


def jar(*values: str, url: URL = APP, now: float = NOW) -> CookieJar:
    cookies = CookieJar()
    cookies.receive(url, values, now)
    return cookies


def sent(cookies: CookieJar, url: str | URL = APP, now: float = NOW) -> str | None:
    return cookies.header(URL.parse(url) if isinstance(url, str) else url, now)


def test_an_empty_jar_says_nothing() -> None:
    assert sent(CookieJar()) is None
    assert sent(jar()) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a=b", "a=b"),
        ("a=b; HttpOnly; SameSite=Lax; Unknown=x; Path=/", "a=b"),
        ("  a =  b c ;Path=/", "a=b c"),
        ('a="b, c"', 'a="b, c"'),
        ("a=b=c", "a=b=c"),
        ("a=", "a="),
        ("a=\xe4", "a=\xe4"),
        ("a", None),
        ("=b", None),
        ("", None),
        ("; Path=/", None),
        ("a=b\r\nx: y", None),
        ("a=b\n", None),
        ("a=b\0", None),
        ("a=b; Path=/\x7f", None),
        ("a=\u20ac", None),
        ("a=" + "b" * (MAX_COOKIE - 1), "a=" + "b" * (MAX_COOKIE - 1)),
        ("a=" + "b" * MAX_COOKIE, None),
    ],
)
def test_a_cookie_is_kept_or_dropped_in_silence(value: str, expected: str | None) -> None:
    assert sent(jar(value)) == expected


def test_gradios_login_leaves_the_unsecure_twin_over_http() -> None:
    # gradio@6.31.0 routes.py, login
    values = [
        "access-token-Kq=abc; HttpOnly; Path=/; SameSite=none; Secure",
        "access-token-unsecure-Kq=abc; HttpOnly; Path=/; SameSite=lax",
    ]
    assert sent(jar(*values, url=LOCAL), LOCAL) == "access-token-unsecure-Kq=abc"
    assert sent(jar(*values)) == "access-token-Kq=abc; access-token-unsecure-Kq=abc"
    assert sent(jar(*values), APP.websocket) == sent(jar(*values))


def test_a_cookie_without_tls_never_stands_in_for_one_with_it() -> None:
    plain = URL.parse("http://app.example.com/gradio/config")
    cookies = jar("a=1", "b=1; Secure")
    cookies.receive(plain, ["a=2", "b=2", "b=; Max-Age=0"], NOW)
    assert sent(cookies) == "a=1; b=1"
    assert sent(cookies, plain) == "a=2"


def test_a_secure_cookie_does_not_come_without_tls() -> None:
    assert sent(jar("a=b; Secure; Path=/", url=LOCAL), "https://127.0.0.1:7860/") is None


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://app.example.com/gradio", True),
        ("https://app.example.com:443/gradio", True),
        ("wss://app.example.com/gradio", True),
        ("https://app.example.com:8443/gradio", False),
        ("http://app.example.com/gradio", False),
        ("https://x.app.example.com/gradio", False),
        ("https://example.com/gradio", False),
        ("https://example.org/gradio", False),
        ("https://evil-app.example.com/gradio", False),
    ],
)
def test_a_cookie_goes_to_its_own_origin_only(url: str, goes: bool) -> None:
    assert sent(jar("a=b"), url) == ("a=b" if goes else None)


@pytest.mark.parametrize("domain", ["example.com", ".app.example.com", "example.org", "com", ""])
def test_a_domain_changes_nothing(domain: str) -> None:
    cookies = jar(f"a=b; Domain={domain}; Path=/")
    assert sent(cookies) == "a=b"
    for host in ("example.com", "x.app.example.com", "example.org", "other.example.com", "com"):
        assert sent(cookies, f"https://{host}/") is None


@pytest.mark.parametrize(
    ("attribute", "url", "goes"),
    [
        ("", "/gradio", True),
        ("", "/gradio/", True),
        ("", "/gradio/x?y", True),
        ("", "/gradiox", False),
        ("", "/", False),
        ("; Path=/", "/x", True),
        ("; Path=x", "/gradio", True),
        ("; Path=x", "/x", False),
        ("; Path=", "/gradio/x", True),
        ("; Path=/a/", "/a/b", True),
        ("; Path=/a/", "/a", False),
        ("; Path=/a", "/a?b", True),
        ("; Path=/x; Path=/a", "/a", True),
        ("; Path=/a; Path=/" + "x" * 1024, "/a", True),
    ],
)
def test_a_cookie_goes_to_its_path_and_below(attribute: str, url: str, goes: bool) -> None:
    assert sent(jar("a=b" + attribute), f"https://app.example.com{url}") == (
        "a=b" if goes else None
    )


def test_the_page_of_a_host_sets_cookies_for_all_of_it() -> None:
    assert sent(jar("a=b", url=URL.parse("https://h/login")), "https://h/x/y") == "a=b"


def test_the_longer_path_comes_first_and_then_the_older_cookie() -> None:
    cookies = jar("a=1; Path=/", "b=1; Path=/gradio", "c=1; Path=/", "a=2; Path=/gradio")
    assert sent(cookies) == "b=1; a=2; a=1; c=1"
    cookies.receive(APP, ["a=3; Path=/"], NOW)
    assert sent(cookies) == "b=1; a=2; a=3; c=1"


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ("", inf),
        ("Max-Age=60", 60),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 60),
        ("Max-Age=x; Expires=Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Max-Age=1.5", inf),
        ("Max-Age=" + "9" * 900, inf),
        ("Expires=Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Expires=Tuesday, 14-Nov-23 22:14:20 GMT", 60),
        ("Expires=Tue Nov 14 22:14:20 2023", 60),
        ("expires=14 nOVEMBER 2023 22:14:20", 60),
        ("Expires=tomorrow", inf),
        ("Expires=", inf),
        ("Expires=14 Nov 2023 22:14:20 " + "x" * 1024, inf),
    ],
)
def test_a_cookie_runs_out(attributes: str, age: float) -> None:
    cookies = jar(f"a=b; {attributes}")
    if age == inf:
        assert sent(cookies, now=1e12) == "a=b"
    else:
        assert sent(cookies, now=NOW + age - 1) == "a=b"
        assert sent(cookies, now=NOW + age) is None


@pytest.mark.parametrize(
    "attributes",
    [
        "Max-Age=0",
        "Max-Age=-1",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Expires=01 Jan 70 0:0:0 GMT",
    ],
)
@pytest.mark.parametrize("now", [NOW, UPTIME])
def test_a_server_deletes_what_it_has_set(attributes: str, now: float) -> None:
    cookies = jar("a=b", "c=d", now=now)
    cookies.receive(APP, [f"a=; {attributes}", f"x=; {attributes}"], now)
    assert sent(cookies, now=now) == "c=d"


def test_without_dates_an_age_is_counted_all_the_same() -> None:
    cookies = jar("a=b; Max-Age=60", "c=d; Expires=Wed, 21 Oct 2015 07:28:00 GMT", now=UPTIME)
    assert sent(cookies, now=UPTIME + 59) == "a=b; c=d"
    assert sent(cookies, now=UPTIME + 60) == "c=d"


def test_the_oldest_go_when_there_are_too_many() -> None:
    cookies = jar(*(f"c{number}=x" for number in range(MAX_COOKIES + 3)))
    header = sent(cookies)
    assert header is not None
    assert header.split("; ") == [f"c{number}=x" for number in range(3, MAX_COOKIES + 3)]

    cookies.receive(APP, ["c50=; Max-Age=0", "new=x"], NOW)
    header = sent(cookies)
    assert header is not None
    assert header.startswith("c3=x; ")
    assert header.endswith("; new=x")


# The user's own


def test_a_cookie_of_the_users_goes_to_one_origin_and_all_its_paths() -> None:
    cookies = CookieJar()
    cookies.set(APP, "token", "secret")
    assert sent(cookies, "https://app.example.com/x") == "token=secret"
    assert sent(cookies, "wss://app.example.com/") == "token=secret"
    for url in (
        "http://app.example.com/",
        "https://app.example.com:8443/",
        "https://x.app.example.com/",
        "https://example.com/",
    ):
        assert sent(cookies, url) is None


def test_a_server_may_replace_and_delete_the_users_cookie() -> None:
    cookies = CookieJar()
    cookies.set(LOCAL, "access-token", "stale")
    cookies.receive(LOCAL, ["access-token=fresh"], NOW)
    assert sent(cookies, LOCAL) == "access-token=fresh"
    cookies.receive(LOCAL, ["access-token=; Path=/; Max-Age=0"], NOW)
    assert sent(cookies, LOCAL) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("a b", "x"), ("a=b", "x"), ("a;", "x"), ("ä", "x"), ("a\n", "x"), ("a", "x;y"),
     ("a", "x\r\ny: z"), ("a", "x\0"), ("a", "x "), ("a", "ä"), ("a", "x\n")],
)  # fmt: skip
def test_a_cookie_that_cannot_be_sent_is_the_callers_mistake(name: str, value: str) -> None:
    with pytest.raises(LocalProtocolError, match="cookie"):
        CookieJar().set(APP, name, value)


# Anything

pieces = st.sampled_from(
    ["a", "=", ";", " ", "Domain=", "Path=", "Max-Age=", "Expires=", "Secure", ".", "/", ":", "-",
     "1", "99", "1970", "Jan", "example.com", "com", "\r\n", "\0", "ä", "€"]
)  # fmt: skip


@given(
    st.lists(
        st.lists(pieces, max_size=12).map(lambda rest: "a=" + "".join(rest)) | st.text(), max_size=4
    )
)
def test_whatever_a_server_sets_nothing_unsendable_is_sent_and_nothing_to_others(
    values: list[str],
) -> None:
    cookies = jar(*values)
    header = sent(cookies)
    if header is not None:
        assert not set(header.encode("latin-1")) & set(b"\r\n\0")
    assert sent(cookies, "https://app.example.org/gradio/config") is None
    assert sent(cookies, "https://com/gradio/config") is None


def test_the_user_s_fields_and_the_jar_are_one_field_with_each_name_once() -> None:
    jar, url = CookieJar(), URL.parse("http://app.example/")
    jar.set(url, "own", "jar")
    jar.receive(url, ["token=app; Path=/"], 0.0)
    own = ["theme=dark; token=old", "own=field;; x"]
    assert jar.header(url, 0.0, own) == "theme=dark; x; own=jar; token=app"
    over = ["token=mine; theme=light"]
    assert jar.header(url, 0.0, own, over) == "x; own=jar; token=mine; theme=light"
    assert jar.header(URL.parse("http://other.example/"), 0.0, [""]) is None
