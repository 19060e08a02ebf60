"""What an app is, and what it reads from functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.protocol.protocols import PROTOCOLS, Channel, Handover, Naming, Traits
from sansio_gradio.server.app import App, Slot, describe
from sansio_gradio.server.components import JSON, NUMBER, STATE, TEXTBOX, State
from sansio_gradio.server.run import Run


def test_it_poses_as_the_newest_server_unless_told_otherwise() -> None:
    assert (App().version_text, App().protocol, App().api_prefix) == (
        "6.31.0",
        "sse_v3",
        "/gradio_api",
    )


def test_the_protocol_follows_from_the_version() -> None:
    app = App(version="3.50.2")
    assert (app.protocol, app.api_prefix) == ("ws", "")
    assert App(version="4.18.0").protocol == "sse_v2"


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_version_follows_from_the_protocol(protocol: str) -> None:
    app = App(protocol=protocol)
    assert app.protocol == protocol
    assert App(version=app.version_text).protocol == protocol
    assert app.traits == PROTOCOLS[protocol]


def test_a_protocol_of_ones_own_is_a_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Traits(
        channel=Channel.WEBSOCKET,
        handover=Handover.ASKED,
        naming=Naming.SEND_DATA,
        diffs=True,
        close_stream=False,
    )
    monkeypatch.setitem(PROTOCOLS, "made_up", row)
    app = App(protocol="made_up")
    assert (app.protocol, app.traits, app.version_text) == ("made_up", row, "6.31.0")


def test_a_version_is_a_text() -> None:
    with pytest.raises(
        OptionError, match=r'^version is a release as a text, such as "4.44.1", not'
    ):
        App(version=4.44)  # type: ignore[arg-type]


def test_there_is_no_other_protocol_and_no_other_version() -> None:
    with pytest.raises(ValueError, match="no such protocol"):
        App(protocol="sse_v9")
    for version in ("newest", "", "2.9.4"):
        with pytest.raises(ValueError, match="not a version"):
            App(version=version, protocol="ws")
        with pytest.raises(ValueError, match="not a version"):
            App(version=version)


def test_the_decorator_needs_no_arguments() -> None:
    app = App()

    @app.endpoint
    def shout(text: str) -> str:
        return text.upper()

    assert shout("x") == "X"
    assert app.function_named("/shout").call is shout


def test_a_function_is_read_from_its_signature() -> None:
    app = App(concurrency_limit=3)

    @app.endpoint("/chat")
    def chat(message: str, history: Any = (), *, warm: float = 0.5) -> tuple[str, int]:
        """Answer a message."""
        raise NotImplementedError

    function = app.function_named("chat")
    assert function.parameters == (
        Slot(name="message", component=TEXTBOX),
        Slot(name="history", component=JSON, has_default=True, default=()),
        Slot(name="warm", component=NUMBER, has_default=True, default=0.5),
    )
    assert [(slot.name, slot.component) for slot in function.returns] == [
        ("value_0", TEXTBOX),
        ("value_1", NUMBER),
    ]
    assert function.call is chat
    assert (function.fn_index, function.api_name, function.description) == (
        0,
        "chat",
        "Answer a message.",
    )
    assert (function.queue, function.generator, function.concurrency_limit) == (True, False, 3)


def test_generators_are_known_as_such() -> None:
    app = App()

    @app.endpoint()
    def count(n: int) -> Iterator[str]:
        yield ""

    @app.endpoint(queue=False, concurrency_limit=None)
    async def wait(run: Run, n: int) -> AsyncIterator[str]:
        yield ""

    first, second = app.functions
    assert (first.api_name, first.generator, first.run_parameter) == ("count", True, None)
    assert first.returns == (Slot(name="value_0", component=TEXTBOX),)
    assert (second.fn_index, second.generator, second.run_parameter) == (1, True, "run")
    assert [slot.name for slot in second.parameters] == ["n"]
    assert (second.queue, second.concurrency_limit) == (False, None)


def test_states_of_one_name_are_one() -> None:
    app = App()

    @app.endpoint()
    def step(x: str, st: Annotated[int, State] = 0) -> tuple[str, Annotated[int, State]]:
        raise NotImplementedError

    @app.endpoint()
    def look(st: Annotated[int, State], other: Annotated[int, State]) -> str:
        raise NotImplementedError

    @app.endpoint()
    def forget() -> Annotated[int, State]:
        raise NotImplementedError

    looked = app.functions[1].parameters
    assert [(slot.name, slot.is_state) for slot in looked] == [("st", True), ("other", True)]
    assert [slot.is_state for slot in app.functions[0].returns] == [False, True]
    assert app.functions[0].returns[1].name == "st"
    assert app.functions[2].returns == (Slot(name="state", component=STATE),)


def test_arguments_that_clients_could_not_name_are_refused() -> None:
    def many(*values: int) -> None: ...
    def keys(**values: int) -> None: ...
    def places(value: int, /) -> None: ...

    for function in (many, keys, places):
        with pytest.raises(LocalProtocolError, match="cannot be given by its name"):
            describe(function)


def test_names_are_taken_once_and_found_with_or_without_the_slash() -> None:
    app = App()
    app.add("/a")
    assert app.function_named("a") is app.function_named("/a/")
    with pytest.raises(LocalProtocolError, match="an endpoint /a already"):
        app.add("a")
    with pytest.raises(LocalProtocolError, match="no endpoint /b"):
        app.function_named("b")


def test_a_function_that_cancels_is_not_queued() -> None:
    app = App()
    app.add("slow")
    stop = app.add("stop", cancels=["/slow"])
    assert (stop.cancels, stop.queue) == ((0,), False)
    with pytest.raises(LocalProtocolError, match="no endpoint"):
        app.add("stop2", cancels=["nothing"])
