"""Every route answers as the real servers did: status, headers and keys."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import CHECKBOX, NUMBER, STATE, TEXTBOX
from sansio_gradio.server.versions import covers
from tests.support.routes_asked import TALKS, VERSIONS, ask_all, recorded, shape
from tests.support.served import Clockwork, Steps, Wire

TEXT = Slot(name="text", component=TEXTBOX)
SEEN = Slot(name="seen", component=STATE)

# Not ours to answer, or it depends on a server's surroundings: in which releases, and why.
NOT_OURS = {
    "GET P/openapi.json": ("<5", "FastAPI's list of its own routes"),
    "out openapi.json": ("<5", "the same"),
    "out websocket": (">=6", "it ran without the package websockets: 404"),
    "out startup-events": (">=4.44<5", "it was the first request"),
    "call in a session: again": (">=6", "it keeps the event_ids of jobs that are over"),
    "empty": (">=4.44<5", "another release of FastAPI: an empty field is there"),
}


def number(name: str, default: float) -> Slot:
    return Slot(name=name, component=NUMBER, has_default=True, default=default)


def app_like_the_real_one(version: str, **options: Any) -> App:
    """Those endpoints of ``real/apps/main.py`` that are asked for."""
    app = App(version=version, **options)
    app.add("echo", parameters=[TEXT], returns=[TEXT])
    app.add("echo_unqueued", parameters=[TEXT], returns=[TEXT], queue=False)
    name = Slot(name="name", component=TEXTBOX, has_default=True, default="World")
    loud = Slot(name="loud", component=CHECKBOX, has_default=True, default=False)
    app.add("greet", parameters=[name, number("times", 2), loud], returns=[TEXT])
    two = [number("a", 7), number("b", 2)]
    app.add("divide", parameters=two, returns=two)
    for failing in ("fail", "fail_hidden", "fail_midway"):
        app.add(failing, parameters=[TEXT], returns=[TEXT], generator=failing == "fail_midway")
    app.add("count", parameters=[number("steps", 7)], returns=[TEXT], generator=True)
    app.add("remember", parameters=[TEXT, SEEN], returns=[TEXT, SEEN])
    return app


def echo(text: str) -> Steps:
    yield 0
    return [text]


def greet(name: str, times: int, loud: bool) -> Steps:
    yield 0
    words = " ".join(["hello", *[name] * times])
    return [words.upper() if loud else words]


def divide(a: int, b: int | None = None) -> Steps:
    yield 0
    if b is None:
        raise TypeError("divide() misses an argument")
    return [a // b, a % b]


def fail(text: str) -> Steps:
    yield 0
    raise AppError(f"refused: {text}")


def fail_hidden(text: str) -> Steps:
    yield 0
    raise ValueError(f"secret: {text}")


def fail_midway(text: str) -> Steps:
    yield ["first"]
    yield ["second"]
    raise ValueError(f"secret: {text}")


def count(steps: int) -> Steps:
    for step in range(steps):
        yield [f"step {step}"]
    return None


def remember(text: str, *state: list[str] | None) -> Steps:
    yield 0
    (seen,) = state  # its place may have been left out
    seen = [*(seen or []), text]
    return [", ".join(seen), seen]


FUNCTIONS = {
    function.__name__: function
    for function in (echo, greet, divide, fail, fail_hidden, fail_midway, count, remember)
}


class Site:
    """Our server, whose functions run as they are asked for."""

    def __init__(self, version: str, **options: Any) -> None:
        self._wire = Wire(app_like_the_real_one(version, **options))
        known = {**FUNCTIONS, "echo_unqueued": echo}
        self._clockwork = Clockwork(self._wire.engine, known)

    def exchange(self, data: bytes) -> bytes:
        """The bytes of an answer, as far as they come at once."""
        conn = self._wire.connect()
        self._wire.send(conn, data)
        self._clockwork.run_until(self._clockwork.now)
        self._wire.settle()
        return self._wire.received[conn]


def is_not_ours(name: str, version: str) -> bool:
    releases, _ = NOT_OURS.get(name, (">=9", ""))
    return covers(releases, version_numbers(version))


def differences(version: str, talk: str) -> list[str]:
    options = {"auth": ("user", "secret")} if talk == "with login" else {}
    ours = ask_all(TALKS[talk](version), Site(version, **options).exchange)
    theirs = recorded(version)[talk]
    assert ours.keys() == theirs.keys()
    found: list[str] = []
    for name, real in theirs.items():
        if is_not_ours(name, version):
            continue
        _, mine = ours[name]
        for key, value in shape(real).items():
            if shape(mine)[key] != value:
                found.append(f"{version} {name}: {key} is {shape(mine)[key]}, not {value}")
    return found


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_route_answers_as_recorded(version: str, talk: str) -> None:
    assert differences(version, talk) == []
