"""Where a redirect may lead, with all that the user has given."""

from __future__ import annotations

import pytest

from sansio_gradio.client.redirects import redirected
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.url import URL

HERE = URL.parse("http://a.example:7860/login")
HTTPS = URL.parse("https://a.example:7860/login")


def follow(
    location: str, status: int = 302, method: str = "GET", url: URL = HERE, discovering: bool = True
) -> str | None:
    to = redirected(method, url, status, (("location", location),), discovering=discovering)
    return None if to is None else str(to)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_get_follows_within_its_origin(status: int) -> None:
    for discovering in (True, False):
        assert follow("x?y", status, discovering=discovering) == "http://a.example:7860/x?y"


@pytest.mark.parametrize(("status", "to"), [(302, None), (308, "http://a.example:7860/x")])
def test_a_post_never_becomes_a_get(status: int, to: str | None) -> None:
    assert follow("/x", status, "POST") == to


@pytest.mark.parametrize("status", [200, 201, 300, 304, 400])
def test_other_answers_lead_nowhere(status: int) -> None:
    assert follow("/x", status) is None
    assert redirected("GET", HERE, 302, (), discovering=True) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["https://a.example:7860/login", "https://a.example/login"])
def test_while_discovering_http_may_become_https_on_the_same_port_or_the_usual_one(
    to: str, status: int, method: str
) -> None:
    assert follow(to, status, method) == to
    if method == "GET" or status > 303:
        with pytest.raises(RemoteProtocolError, match="connect to it directly"):
            follow(to, status, method, discovering=False)
    else:
        assert follow(to, status, method, discovering=False) is None


@pytest.mark.parametrize(
    "location",
    [
        "https://a.example:8443/login",
        "https://b.example/login",
        "http://a.example/login",
        "http://a.example.b.example:7860/login",
        "//b.example:7860/login",
    ],
)
def test_nothing_else_is_followed_to_another_origin(location: str) -> None:
    with pytest.raises(RemoteProtocolError, match="connect to it directly"):
        follow(location)
    with pytest.raises(RemoteProtocolError, match="connect to it directly"):
        follow(location, 307, "POST")


def test_it_never_leads_back_from_https_to_http() -> None:
    with pytest.raises(RemoteProtocolError, match=r"redirected to http://a\.example:7860"):
        follow("http://a.example:7860/login", url=HTTPS)


def test_a_post_that_would_become_a_get_goes_to_the_same_place_only() -> None:
    with pytest.raises(RemoteProtocolError, match="connect to it directly"):
        follow("https://a.example/", 302, "POST")


def test_a_redirect_to_what_is_no_address_is_the_servers_mistake() -> None:
    with pytest.raises(RemoteProtocolError, match="to nowhere"):
        follow("ftp://a.example/")
