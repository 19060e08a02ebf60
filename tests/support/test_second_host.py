"""The watch over all sessions notices each kind of credential, and each request, that strays."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client import credentials
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.channels import PlainCall
from sansio_gradio.client.commands import SendRequest
from sansio_gradio.client.credentials import GOES_TO, Credential, Recipient
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.steps import Way
from sansio_gradio.events import JobCompleted
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import ByHand, reply
from sansio_gradio.testing.talk import Talk, app
from sansio_gradio.wire.url import URL
from tests.support.second_host import WATCH

ASTRAY = URL.parse("http://astray.example/")
SECRET = "of-0123456789"
KINDS: dict[Credential, dict[str, Any]] = {
    Credential.HEADERS: {"headers": {"x-key": SECRET}},
    Credential.CALL_HEADERS: {},
    Credential.COOKIES: {"cookies": {"session": SECRET}},
    Credential.TOKEN: {"token": SECRET},
    Credential.OAUTH_TOKEN: {"oauth_token": SECRET},
    Credential.QUERY: {"src": f"http://app.example/?key={SECRET}"},
}


@pytest.fixture(autouse=True)
def a_call_that_goes_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    class Astray(PlainCall):
        def start(self, attempt: Attempt) -> Way:
            attempt.base = ASTRAY
            yield from super().start(attempt)

    monkeypatch.setattr("sansio_gradio.client.dispatch.PlainCall", Astray)


def leaks(monkeypatch: pytest.MonkeyPatch, kind: Credential) -> None:
    """Break the table: *kind* goes to the Hub, too."""
    table = {**GOES_TO, kind: GOES_TO[kind] | {Recipient.HUB}}
    monkeypatch.setattr(credentials, "GOES_TO", table)


def asked(talk: Talk) -> SendRequest:
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    assert command.url.startswith(f"{ASTRAY}")
    return command


@pytest.mark.parametrize("kind", KINDS)
def test_it_notices_each_kind(kind: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    leaks(monkeypatch, kind)
    info: Any = {
        "named_endpoints": {"/plain": {"oauth_token": "required"}},
        "unnamed_endpoints": {},
    }
    talk = Talk(app().with_info(info), **KINDS[kind])
    talk.conversation._credentials.add(Recipient.HUB, ASTRAY)
    of_call = {"x-of-call": SECRET} if kind is Credential.CALL_HEADERS else None
    talk.conversation.submit("x", api_name="/plain", headers=of_call)
    asked(talk)
    (first, *_) = WATCH.complaints()
    assert first == f"POST {asked_at(kind)}, for which nobody has asked, with {{'{kind.value}'}}"


def asked_at(kind: Credential) -> str:
    query = f"?key={SECRET}" if kind is Credential.QUERY else ""
    return f"{ASTRAY}api/predict{query}"


def test_it_notices_a_login() -> None:
    talk = Talk(app(), auth=("me", SECRET))
    talk.conversation._discovery._page = ASTRAY
    talk.conversation.reload()
    asked(talk)
    (first, *_) = WATCH.complaints()
    assert first.endswith("with {'auth'}")


def test_it_notices_a_request_without_any() -> None:
    talk = Talk(app())
    talk.conversation.submit("x", api_name="/plain")
    asked(talk)
    assert WATCH.complaints() == [
        f"POST {ASTRAY}api/predict, for which nobody has asked, with no credential",
        f"POST {ASTRAY}api/predict: that is more than a GET",
    ]


def test_it_notices_bytes_on_a_connection_whatever_the_request_says() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session("http://app.example/", headers={"x-key": SECRET}, app=app())
    driver = Driver(engine, ByHand(lambda _: reply({"data": ["x"]})))
    job = session.submit("x", api_name="/plain")
    driver.settle()
    assert isinstance(driver.end(1, job), JobCompleted)
    told = WATCH.complaints()
    assert "a connection to astray.example:80, which no session was given" in told


def test_it_notices_more_than_a_get_at_the_host_of_a_file() -> None:
    talk = Talk(app(None, "3.50.2"), headers={"x-key": SECRET})
    talk.conversation.submit(handle_file("http://files.example/a.bin"), api_name="/echo")
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    assert WATCH.complaints() == []  # it is bare
    talk.answer(command, b"", status=302, headers=(("location", "http://moved.example/b"),))
    talk.new()
    assert WATCH.complaints() == []
