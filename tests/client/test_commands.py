"""Commands are values: all of them are in one of the two unions, and each says all it has to."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import attrs
import pytest

from sansio_gradio import handle_file
from sansio_gradio.client import commands
from sansio_gradio.client.commands import (
    Abort,
    CloseConnection,
    ConversationCommand,
    EngineAction,
    EngineCommand,
    Expect,
    HasData,
    OpenConnection,
    OpenWebSocket,
    Pause,
    PauseReading,
    ReadFile,
    Resume,
    ResumeReading,
    SendRequest,
    SendText,
    StartTLS,
)

EXAMPLES = [
    SendRequest(1, "POST", "http://host/x", (("a", "b"),), b"{}", Expect.ANSWER),
    OpenWebSocket(2, "ws://host/x", ()),
    SendText(2, "{}"),
    Abort(2),
    Pause(3),
    Resume(3),
    OpenConnection(1, "host", 443, "host"),
    StartTLS(1, "host"),
    CloseConnection(1),
    PauseReading(1),
    ResumeReading(1),
    ReadFile(4, handle_file("a"), 100),
    HasData(1),
]


def test_every_command_is_of_the_conversation_or_of_the_engine() -> None:
    defined = {
        kind
        for _, kind in inspect.getmembers(commands, attrs.has)
        if kind.__module__ == commands.__name__
    }
    requests, connections = set(get_args(ConversationCommand)), set(get_args(EngineCommand))
    actions = set(get_args(EngineAction))
    assert requests | actions == defined == {type(example) for example in EXAMPLES}
    assert actions - connections == {HasData}  # which is a verb of an engine, too
    assert requests & connections == {ReadFile}  # a file is no matter of a connection


@pytest.mark.parametrize("kind", get_args(ConversationCommand))
def test_a_command_of_the_conversation_says_which_exchange(kind: type[Any]) -> None:
    assert attrs.fields(kind)[0].name == "id"


@pytest.mark.parametrize("kind", get_args(EngineCommand))
def test_a_command_of_the_engine_says_which_connection(kind: type[Any]) -> None:
    assert attrs.fields(kind)[0].name == ("id" if kind is ReadFile else "conn")


@pytest.mark.parametrize("command", EXAMPLES)
def test_a_command_is_a_value(command: Any) -> None:
    names = [field.name for field in attrs.fields(type(command))]
    twin = type(command)(*attrs.astuple(command, recurse=False))
    assert twin == command
    assert hash(twin) == hash(command)
    for name in names:
        assert attrs.evolve(command, **{name: "another"}) != command
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(command, name, None)
    match = type(command).__match_args__
    assert match == tuple(names)  # inside of the library they are taken apart by position


def test_a_connection_is_direct_and_open_unless_it_says_otherwise() -> None:
    plain = OpenConnection(1, "host", 80)
    assert (plain.server_name, plain.via) == (None, None)
