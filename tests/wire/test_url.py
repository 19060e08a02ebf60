"""A URL can always be sent as it stands, and what a server says of its API stays on its origin."""

from __future__ import annotations

import re
import sys
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.wire.url import URL, Address, api_base

SENDABLE = re.compile("[!-~]+")

label = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(label, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
schemes = st.sampled_from(["http", "https", "ws", "wss"])
ports = st.integers(1, 65535)
free_text = st.text(st.characters(exclude_categories=["Cc", "Zs", "Cs"]))
urls = st.builds(
    "{}://{}:{}/{}".format, schemes, hosts, ports, free_text.filter(lambda text: "#" not in text)
).map(URL.parse)


def app_base(src: str) -> URL:
    return Address.parse(src).page


bases = st.builds("http://{}:{}/{}".format, hosts, ports, free_text).map(app_base)


def parts(url: URL) -> tuple[str, str, int, str]:
    return url.scheme, url.host, url.port, url.target


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://example.com", ("http", "example.com", 80, "/")),
        ("HTTPS://Example.COM/A", ("https", "example.com", 443, "/A")),
        ("ws://h/queue/join?x=1", ("ws", "h", 80, "/queue/join?x=1")),
        ("wss://h:8443", ("wss", "h", 8443, "/")),
        ("http://127.0.0.1:7860/?__theme=dark#top", ("http", "127.0.0.1", 7860, "/?__theme=dark")),
        ("http://h:/x", ("http", "h", 80, "/x")),
        ("http://h:00080/x", ("http", "h", 80, "/x")),
        ("http://[::1]:7860/", ("http", "::1", 7860, "/")),
        ("http://[0:0::1]", ("http", "::1", 80, "/")),
        ("http://h?a=/../b", ("http", "h", 80, "/?a=/../b")),
        ("http://h/?", ("http", "h", 80, "/?")),
        ("http://münchen.example/ü?ä=€", ("http", "xn--mnchen-3ya.example", 80,
                                           "/%C3%BC?%C3%A4=%E2%82%AC")),
        ("http://h/a/./b/..", ("http", "h", 80, "/a/./b/..")),
        ("http://h//a", ("http", "h", 80, "//a")),
        ("http://h/%41%zz%", ("http", "h", 80, "/%41%25zz%25")),
        ('http://h/"<>\\^`{|}[]', ("http", "h", 80, "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D")),
        ("http://my_host.a-b./", ("http", "my_host.a-b.", 80, "/")),
        ("http://h/-._~!$&'()*+,;=:@?-._~!$&'()*+,;=:@/?", ("http", "h", 80,
                                           "/-._~!$&'()*+,;=:@?-._~!$&'()*+,;=:@/?")),
    ],
)  # fmt: skip
def test_a_url_is_read(text: str, expected: tuple[str, str, int, str]) -> None:
    assert parts(URL.parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "starts with http"),
        ("localhost:7860", "starts with http"),
        ("example.com/x", "starts with http"),
        ("//example.com", "starts with http"),
        ("ftp://h/", "starts with http"),
        ("file:///etc/passwd", "starts with http"),
        ("javascript:alert(1)", "starts with http"),
        ("http:", "starts with http"),
        ("http:/h", "starts with http"),
        ("http:///x", "starts with http"),
        ("http://?x", "starts with http"),
        ("http://:80", "host"),
        ("http://h:0", "port"),
        ("http://h:65536", "port"),
        ("http://h:999999", "host with a port"),
        ("http://h:8o", "host with a port"),
        ("http://h:-1", "host with a port"),
        ("http://h:٣", "host with a port"),
        ("http://h:1:2", "host with a port"),
        ("http://[::1", "host with a port"),
        ("http://::1/", "host with a port"),
        ("http://[::1]x/", "host with a port"),
        ("http://[h]", "no such host"),
        ("http://[]", "no such host"),
        ("http://[fe80::1%25eth0]/", "host"),
        ("http://[fe80::1%eth0]/", "host"),
        ("http://h h/", "space"),
        ("http://h/ ", "space"),
        (" http://h/", "space"),
        ("http://h/\r\nx: y", "control"),
        ("http://h\t/", "control"),
        ("http://h/\x7f", "control"),
        ("http://h/\x85", "control"),
        ("http://h\0", "control"),
        ("http://h\\x/", "host"),
        ("http://evil.example\\@h/", "Credentials"),
        ("http://a..b/", "host"),
        ("http://.a/", "host"),
        ("http://./", "host"),
        ("http://h,i/", "host"),
        ("http://%68/", "host"),
        (f"http://{'a' * 64}/", "host"),
        (f"http://{'a.' * 126}aaa/", "host"),
        (f"http://{'ä' * 64}/", "host"),
        (f"http://{'ä' * 300}/", "host"),
        ("http://℀.example/", "host"),
        ("http://ä..b/", "host"),
        ("http://\ud800/", "host"),
        ("http://h/\ud800", "surrogate"),
        ("http://h/?\ud800", "surrogate"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        URL.parse(text)


def test_an_endless_host_is_refused_without_looking_at_every_letter() -> None:
    calls = 0

    def count(frame: object, kind: str, function: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        with pytest.raises(LocalProtocolError, match="host"):
            URL.parse(f"http://{'ä' * 10_000}/")
    finally:
        sys.setprofile(None)
    assert calls < 1000


@pytest.mark.parametrize(
    "text",
    ["http://user:hunter2@h/", "http://hunter2@h/", "https://a@hunter2@h/", "http://u:hunter2@/",
     "http://h:hunter2/", "hunter2", "http://h/hunter2 "],
)  # fmt: skip
def test_credentials_are_refused_and_never_shown(text: str) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        URL.parse(text)
    assert "hunter2" not in str(refused.value)
    if "@" in text:
        assert "auth=" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": "ftp"},
        {"host": "[::1]"},
        {"host": "fe80::1%eth0"},
        {"host": "A"},
        {"host": ""},
        {"host": "a\r\nb"},
        {"host": "a\n"},
        {"host": "::x"},
        {"port": 0},
        {"port": 65536},
        {"target": ""},
        {"target": "x"},
        {"target": "/a b"},
        {"target": "/a\n"},
        {"target": "/%4"},
        {"target": "/#a"},
        {"target": "/ä"},
    ],
)
def test_no_url_can_be_made_that_could_not_be_sent(change: dict[str, Any]) -> None:
    url = URL(scheme="http", host="h", port=80)
    assert url.target == "/"
    with pytest.raises(LocalProtocolError, match=next(iter(change))):
        attrs.evolve(url, **change)


def test_origin_host_header_and_safety_follow_the_scheme() -> None:
    url = URL.parse("http://h:80/x?y=z")
    assert url.origin == ("http", "h", 80)
    assert url.host_header == "h"
    assert str(url) == "http://h/x?y=z"
    assert (url.path, url.public) == ("/x", "http://h/x")
    assert str(url.websocket) == "ws://h/x?y=z"
    assert url.websocket.websocket == url.websocket
    assert url.websocket.origin == url.origin

    secure = URL.parse("https://[::1]:444/x")
    assert secure.origin == ("https", "::1", 444)
    assert secure.host_header == "[::1]:444"
    assert str(secure) == "https://[::1]:444/x"
    assert str(secure.websocket) == "wss://[::1]:444/x"
    assert secure.websocket.origin == secure.origin
    assert URL.parse("https://h").origin != URL.parse("http://h:443").origin
    assert URL.parse("http://h:443").host_header == "h:443"


@given(urls)
def test_a_url_is_read_as_it_is_written(url: URL) -> None:
    assert URL.parse(str(url)) == url
    for text in (url.target, url.host_header, str(url), str(url.websocket), url.public):
        assert SENDABLE.fullmatch(text)


@given(st.text() | free_text.map("http://h/{}".format) | free_text.map("http://{}".format))
@example("http://h/%%2e%2e/")
@example("http://h/%2%65")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = URL.parse(text)
    except LocalProtocolError:
        return
    assert URL.parse(str(url)) == url
    assert SENDABLE.fullmatch(str(url))


# Redirects


@pytest.mark.parametrize(
    ("reference", "expected"),
    # RFC 3986 section 5.4, without what is no URL of ours ("g:h") and without the fragments.
    [
        ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"), ("g;x", "/b/c/g;x"), ("g;x?y#s", "/b/c/g;x?y"), ("", "/b/c/d;p?q"),
        (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"),
        ("../..", "/"), ("../../", "/"), ("../../g", "/g"), ("../../../g", "/g"),
        ("../../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
        (".g", "/b/c/.g"), ("g..", "/b/c/g.."), ("..g", "/b/c/..g"), ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"), ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"), ("g;x=1/../y", "/b/c/y"), ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"), ("/ä", "/%C3%A4"),
        ("/\\evil.example", "/%5Cevil.example"),
    ],
)  # fmt: skip
def test_a_reference_is_resolved_as_the_rfc_says(reference: str, expected: str) -> None:
    base = URL.parse("http://a:1/b/c/d;p?q")
    assert parts(base.join(reference)) == ("http", "a", 1, expected)


def test_a_redirect_may_lead_to_another_origin() -> None:
    base = URL.parse("https://a:1/b")
    assert str(base.join("//g:2/x")) == "https://g:2/x"
    assert str(base.join("HTTP://G")) == "http://g/"
    assert str(base.websocket.join("//g/x")) == "wss://g/x"


@pytest.mark.parametrize(
    "reference",
    ["g:h", "mailto:a@b", "http://u:p@h/", "//u@h/", "/a b",
     "/a\r\nset-cookie: b", "//h:99999/", "/\ud800", "x\ud800", "?\ud800", "//[x]/",
     "//[x", "//a..b", "//℀.b", "/\t/evil.example", "/a\nb"],
)  # fmt: skip
def test_a_redirect_to_nowhere_is_the_servers_fault(reference: str) -> None:
    with pytest.raises(RemoteProtocolError, match="redirects"):
        URL.parse("http://h/x").join(reference)


@given(urls, st.text() | free_text)
def test_any_reference_is_resolved_or_refused(base: URL, reference: str) -> None:
    try:
        url = base.join(reference)
    except RemoteProtocolError:
        return
    assert URL.parse(str(url)) == url
    assert url.origin == base.origin or "//" in reference


# Addresses of apps and of their parts


@pytest.mark.parametrize(
    ("src", "expected"),
    [
        ("http://127.0.0.1:7860", "http://127.0.0.1:7860/"),
        ("http://h/?__theme=dark", "http://h/"),
        ("https://h/mount/app", "https://h/mount/app/"),
        ("https://h/mount/app///?view=api#x", "https://h/mount/app/"),
        ("https://0123456789abcdef.gradio.live", "https://0123456789abcdef.gradio.live/"),
        ("  https://0123456789ABCDEF.gradio.live/\n", "https://0123456789abcdef.gradio.live/"),
    ],
)
def test_an_app_lies_where_its_page_does(src: str, expected: str) -> None:
    assert str(app_base(src)) == expected


@pytest.mark.parametrize(
    ("src", "query", "public"),
    [
        ("http://h/a", "", "http://h/a/"),
        (" https://h/a?token=x#y ", "token=x", "https://h/a/"),
        ("http://h?a=b c", None, None),
        ("http://h?a=%20&b=ü", "a=%20&b=%C3%BC", "http://h/"),
        ("http://h/a?", "", "http://h/a/"),
    ],
)
def test_the_query_of_an_address_is_kept_and_not_shown(
    src: str, query: str | None, public: str | None
) -> None:
    if query is None:
        with pytest.raises(LocalProtocolError):
            Address.parse(src)
        return
    address = Address.parse(src)
    assert (address.query, address.public, address.socket) == (query, public, None)
    assert address.page.query == ""
    assert "token" not in repr(address)


@pytest.mark.parametrize(
    ("src", "socket", "page"),
    [
        ("http+unix://%2Frun%2Fapp.sock", "/run/app.sock", "http://localhost/"),
        ("HTTP+UNIX://%2frun%2fapp.sock/sub?x=1#y", "/run/app.sock", "http://localhost/sub/"),
        ("http+unix://%2Ftmp%2Fa%20b%C3%BC@", "/tmp/a bü@", "http://localhost/"),
    ],
)
def test_an_address_may_be_a_unix_socket(src: str, socket: str, page: str) -> None:
    address = Address.parse(src)
    assert (address.socket, f"{address.page}") == (socket, page)
    assert Address.parse(address.public) == attrs.evolve(address, query="")


@pytest.mark.parametrize(
    ("src", "why"),
    [
        ("https+unix://%2Frun%2Fapp.sock", "without TLS"),
        ("http+unix:///run/app.sock", "%2F for each slash"),
        ("http+unix://run.sock/", "%2F for each slash"),
        ("http+unix://%2Frun%00/", "%2F for each slash"),
        ("http+unix://%2Frun%FF/", "%2F for each slash"),
        ("ws+unix://%2Frun/", "starts with http"),
    ],
)
def test_other_addresses_of_sockets_are_refused(src: str, why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        Address.parse(src)


@pytest.mark.parametrize(
    ("target", "query", "asked"),
    [
        ("config", "", "/a/config"),
        ("config", "t=1", "/a/config?t=1"),
        ("info?serialize=False", "t=1&u", "/a/info?serialize=False&t=1&u"),
        ("data?t=2", "t=1&u=3", "/a/data?t=2&u=3"),
        ("data?t=2", "t=1&t", "/a/data?t=2"),
        ("", "t=1", "/a/?t=1"),
    ],
)
def test_a_query_is_put_behind_a_targets_own(target: str, query: str, asked: str) -> None:
    assert URL.parse("http://h/a/?old").asking(target, query).target == asked


@pytest.mark.parametrize("src", ["ws://h/", "wss://h", "h", "owner/space", "http://u:p@h/"])
def test_other_addresses_are_no_apps(src: str) -> None:
    with pytest.raises(LocalProtocolError):
        app_base(src)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", "https://h/app/"),
        ("/", "https://h/app/"),
        ("/gradio_api", "https://h/app/gradio_api/"),
        ("gradio_api/", "https://h/app/gradio_api/"),
        ("/a/b/", "https://h/app/a/b/"),
        ("/a.b/~c-_.", "https://h/app/a.b/~c-_./"),
    ],
)
def test_the_api_lies_below_the_app(prefix: str, expected: str) -> None:
    assert str(api_base(app_base("https://h/app"), prefix)) == expected
    assert str(api_base(URL.parse("https://h/app/?x=y"), prefix)) == expected


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "//evil.example/x", "../..", "/a/../../b", "/.", "/.a", "/%2e%2E/x", "/.%2e",
     "/a%20", "/a//", "/a\r\nb", "/a b", "/a?b", "/a#b", "/a\\b", "/ä", "/a//b", "/%", "/\ud800",
     "http://evil/", "/a\n"],
)  # fmt: skip
def test_a_hostile_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(RemoteProtocolError, match="api_prefix"):
        api_base(app_base("https://h/app"), prefix)


@given(bases, st.text() | st.from_regex(r"[/.%2e\\:@a-z]+", fullmatch=True))
def test_no_prefix_leads_away(base: URL, prefix: str) -> None:
    try:
        url = api_base(base, prefix)
    except RemoteProtocolError:
        return
    assert url.origin == base.origin
    assert str(url).startswith(str(base))
    assert url.path.endswith("/")
    assert URL.parse(str(url)) == url
