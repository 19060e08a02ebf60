"""Which proxy is for which address, as options and environment variables name them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.proxies import Exempt, Proxies
from sansio_gradio.client.via import Proxy, UnixSocket
from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.wire.headers import pairs
from sansio_gradio.wire.url import URL

PASSWORD = "s3cret-w0rd"


# One proxy


@pytest.mark.parametrize(
    ("text", "place", "login"),
    [
        ("http://proxy.example:3128", ("proxy.example", 3128), None),
        ("http://proxy.example", ("proxy.example", 80), None),
        ("HTTP://Proxy.Example:8080/", ("proxy.example", 8080), None),
        (" proxy.example:3128 ", ("proxy.example", 3128), None),  # as curl takes it
        ("http://[::1]:3128", ("::1", 3128), None),
        ("http://me:pw@10.0.0.1:3128", ("10.0.0.1", 3128), ("me", "pw")),
        ("me:pw@10.0.0.1:3128", ("10.0.0.1", 3128), ("me", "pw")),
        ("http://me@h:1", ("h", 1), ("me", "")),
        ("http://:pw@h:1", ("h", 1), ("", "pw")),
        ("http://@h:1", ("h", 1), None),
        ("http://do%40main%5Cme:p%3A%40%2F@h:1", ("h", 1), ("do@main\\me", "p:@/")),
        ("http://me:p:w@h:1", ("h", 1), ("me", "p:w")),
        ("http://me:p://@w@h:1", ("h", 1), ("me", "p://@w")),
        ("http://me:caf%C3%A9@h:1", ("h", 1), ("me", "café")),
    ],
)
def test_a_proxy_is_read(text: str, place: tuple[str, int], login: tuple[str, str] | None) -> None:
    proxy = Proxy.parse(text)
    assert (proxy.place, proxy.login) == (place, login)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http://me:pw@",
        "http://h:99999",
        "http://h:x",
        "http://h/path",
        "http://h?x=1",
        "http://h h",
        "ftp://h:21",
        "http://me:%ff@h:1",
        "h\r\nx: y",
    ],
)
def test_what_is_no_proxy_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(OptionError, match=r"^HTTP_PROXY is not the address of a proxy") as caught:
        Proxy.parse(text.replace("pw", PASSWORD), "HTTP_PROXY")
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("socks5://me:pw@h:1080", "SOCKS"),
        ("socks5h://h", "SOCKS"),
        ("SOCKS4://h", "SOCKS"),
        ("https://me:pw@h:443", "TLS to the proxy"),
    ],
)
def test_other_kinds_of_proxies_are_refused_with_a_word(text: str, kind: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^ALL_PROXY names a proxy.*{kind}") as caught:
        Proxy.parse(text, "ALL_PROXY")
    assert "pw" not in str(caught.value)
    # A client with proxy=None reads the variable again.
    assert str(caught.value).endswith("or leave it empty, or pass trust_env=False.")
    with pytest.raises(LocalProtocolError, match=r"^proxy= .*or None for no proxy\.$"):
        Proxy.parse(text)


def test_a_login_is_one_header_field_and_is_shown_nowhere() -> None:
    proxy = Proxy.parse(f"http://me:{PASSWORD}@h:3128", "https_proxy")
    ((name, value),) = proxy.authorization
    assert (name, value) == ("proxy-authorization", "Basic bWU6czNjcmV0LXcwcmQ=")
    assert PASSWORD not in f"{proxy} {proxy!r} {Proxies.of(f'http://me:{PASSWORD}@h')!r}"
    assert f"{proxy}" == "the proxy h:3128 (https_proxy)"
    assert Proxy.parse("http://h").authorization == ()


def test_equal_proxies_are_one() -> None:
    one, two = Proxy.parse("http://a:b@h:1", "HTTP_PROXY"), Proxy.parse("a:b@h:1")
    assert (one, hash(one)) == (two, hash(two))
    assert one != Proxy.parse("http://a:c@h:1")
    assert UnixSocket("/a") == UnixSocket("/a") != UnixSocket("/b")


# NO_PROXY


@pytest.mark.parametrize(
    ("entry", "covered", "others"),
    [
        ("*", "http://a.example https://[::1] ws://h:1", ""),
        (
            "a.example",
            "http://a.example https://a.example:8443 ws://b.a.example http://A.EXAMPLE.",
            "http://aa.example http://example http://a.example.org",
        ),
        (".a.example", "http://b.a.example", "http://a.example http://xa.example"),
        ("*.a.example", "http://b.a.example", "http://a.example"),
        ("*a.example", "http://a.example http://b.a.example", "http://ba.example"),
        ("a.example:8080", "http://a.example:8080", "http://a.example http://a.example:80"),
        ("a.example:443", "https://a.example wss://a.example", "http://a.example"),
        ("https://a.example", "https://a.example wss://a.example", "http://a.example"),
        ("all://a.example", "https://a.example http://a.example", "http://b.example"),
        ("https://*", "https://x", "http://x"),
        (" A.example ", "http://a.example", ""),
        ("10.1.2.3", "http://10.1.2.3:7860", "http://10.1.2.4 http://x.10.1.2.3"),
        ("10.1.2.3:80", "http://10.1.2.3", "http://10.1.2.3:81"),
        ("10.0.0.0/8", "http://10.1.2.3", "http://11.1.2.3 http://10.example"),
        ("10.9.9.9/8", "http://10.1.2.3", "http://11.1.2.3"),
        ("fd00::/8", "http://[fd00::1]", "http://[fe00::1] http://10.0.0.1"),
        ("0.0.0.0/0", "http://10.0.0.1", "http://[fd00::1] http://a.example"),
        ("::1", "http://[::1] http://[0:0:0:0:0:0:0:1]:7", "http://[::2] http://1"),
        ("[::1]", "http://[::1]", "http://[::2]"),
        ("[::1]:8080", "http://[::1]:8080", "http://[::1]"),
        ("bücher.example", "http://xn--bcher-kva.example", ""),
    ],
)
def test_an_entry_covers(entry: str, covered: str, others: str) -> None:
    exempt = Exempt.parse(entry)
    assert exempt is not None
    for url in covered.split():
        assert exempt.covers(URL.parse(url)), url
    for url in others.split():
        assert not exempt.covers(URL.parse(url)), url


@pytest.mark.parametrize("entry", ["", " ", ":80", "a b", "http://", "a:b:c", "[::g]", "."])
def test_what_is_no_entry_covers_nothing(entry: str) -> None:
    assert Exempt.parse(entry) is None


# The environment

A, B, C = "http://a.proxy:1", "http://b.proxy:2", "http://c.proxy:3"
ENVIRONMENTS: list[tuple[Mapping[str, str], str | None, str | None]] = [
    ({}, None, None),
    ({"PATH": "/bin", "FTP_PROXY": A}, None, None),
    ({"HTTP_PROXY": A}, "a.proxy", None),
    ({"HTTPS_PROXY": A}, None, "a.proxy"),
    ({"ALL_PROXY": A}, "a.proxy", "a.proxy"),
    ({"ALL_PROXY": A, "HTTP_PROXY": B}, "b.proxy", "a.proxy"),
    ({"http_proxy": A, "HTTP_PROXY": B, "https_proxy": C}, "a.proxy", "c.proxy"),
    ({"http_proxy": "", "HTTP_PROXY": B}, None, None),
    ({"HTTP_PROXY": "  "}, None, None),
    ({"all_proxy": "a.proxy:1"}, "a.proxy", "a.proxy"),
    ({"HTTP_PROXY": A, "REQUEST_METHOD": "GET"}, None, None),
    ({"http_proxy": A, "REQUEST_METHOD": "GET"}, "a.proxy", None),
    ({"HTTPS_PROXY": A, "REQUEST_METHOD": ""}, None, "a.proxy"),
    ({"ALL_PROXY": A, "HTTP_PROXY": B, "REQUEST_METHOD": "GET"}, "a.proxy", "a.proxy"),
    ({"ALL_PROXY": A, "NO_PROXY": "app.example"}, None, None),
    ({"ALL_PROXY": A, "no_proxy": "other, app.example:443"}, "a.proxy", None),
    ({"ALL_PROXY": A, "no_proxy": "", "NO_PROXY": "*"}, "a.proxy", "a.proxy"),
    ({"ALL_PROXY": A, "NO_PROXY": "*"}, None, None),
    ({"ALL_PROXY": A, "NO_PROXY": ",,nothing,"}, "a.proxy", "a.proxy"),
]


@pytest.mark.parametrize(("variables", "http", "https"), ENVIRONMENTS)
def test_the_environment_is_read(
    variables: Mapping[str, str], http: str | None, https: str | None
) -> None:
    proxies = Proxies.from_environment(variables)
    for url, host in (("http://app.example/", http), ("https://app.example/", https)):
        found = proxies.for_url(url)
        assert (found and found.host) == host
        assert proxies.for_url(URL.parse(url).websocket) == found


def test_an_error_names_the_variable() -> None:
    proxies = Proxies.from_environment({"ALL_PROXY": "socks5://h:1080", "http_proxy": "http://h /"})
    with pytest.raises(LocalProtocolError, match=r"^ALL_PROXY names .*SOCKS"):
        proxies.for_url("https://app.example/")
    with pytest.raises(LocalProtocolError, match=r"^http_proxy is not the address"):
        proxies.for_url("http://app.example/")
    assert proxies.for_url("http://localhost/") is None  # which needs none


LOOPBACK = "localhost LOCALHOST. a.localhost 127.0.0.1 127.9.9.9 [::1] [::ffff:127.0.0.1] 0.0.0.0"
SHORT = "127.1 127.0.1 0"  # as systems read addresses


@pytest.mark.parametrize("host", [*LOOPBACK.split(), *SHORT.split()])
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_this_machine_is_not_asked_through_the_environments_proxies(scheme: str, host: str) -> None:
    proxies = Proxies.from_environment({"ALL_PROXY": A, "HTTP_PROXY": A, "https_proxy": A})
    url = f"{scheme}://{host}:7860/"
    assert proxies.for_url(url) is None
    assert Proxies.of(A).for_url(url) == Proxy("a.proxy", 1)  # but through one that was given


@pytest.mark.parametrize(
    "host",
    ["localhost.example", "128.0.0.1", "[::2]", "10.127.0.0", "127", "127.1.example", "00.1"],
)
def test_other_machines_are(host: str) -> None:
    proxies = Proxies.from_environment({"ALL_PROXY": A})
    assert proxies.for_url(f"http://{host}/") == Proxy("a.proxy", 1)


# The option


def test_the_option_is_one_proxy_for_all_or_proxies_or_none() -> None:
    for url in ("http://localhost/", "https://app.example/"):
        assert Proxies.of(A).for_url(url) == Proxy("a.proxy", 1)
        assert Proxies.of(None).for_url(url) is None
    given = Proxies.from_environment({"HTTP_PROXY": A})
    assert Proxies.of(given) is given


@pytest.mark.parametrize("proxy", [1, b"http://h", {"http": A}, "", "socks5://h", "h\ud800"])
def test_other_options_are_refused(proxy: object) -> None:
    with pytest.raises(OptionError, match=r"^proxy"):
        Proxies.of(proxy)


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [({"http": "http://me:hush@h"}, "a dict"), (7, "an int"), (b"hush", "a bytes")],
)
def test_an_option_that_may_hold_a_password_is_told_by_its_type(proxy: object, kind: str) -> None:
    with pytest.raises(OptionError, match=rf"Proxies or None, not {kind}\.$"):
        Proxies.of(proxy)
    with pytest.raises(OptionError, match=rf"names and values are texts, not {kind}\.$"):
        pairs({"x": proxy})  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(["http_proxy", "ALL_PROXY", "NO_PROXY"]), st.text()))
def test_no_environment_raises_anything_else(variables: dict[str, str]) -> None:
    proxies = Proxies.from_environment(variables)
    for url in ("http://app.example/", "https://10.0.0.1/"):
        with contextlib.suppress(OptionError):
            proxies.for_url(url)
