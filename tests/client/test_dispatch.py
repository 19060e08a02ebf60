"""Each job goes the way of its protocol, in a session of its own where it must not share one."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from sansio_gradio.client.commands import OpenWebSocket, SendRequest
from sansio_gradio.errors import AppError
from sansio_gradio.events import JobCancelled
from sansio_gradio.protocol import protocols
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.protocols import CALLS, PROTOCOLS, Channel, spoken
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    Talk,
    app,
    body_of,
    completed,
    config,
)

ASK = {"msg": "send_data"}

# protocol -> a version that speaks it, and where a queued and an unqueued job go
WAYS = {
    "push": ("3.1.4", "/api/queue/push/", "/api/predict"),
    "ws": ("3.50.2", "/queue/join", "/api/predict"),
    "sse": ("4.0.2", "/queue/join", "/api/predict"),
    "sse_v1": ("4.16.0", "/queue/join", "/api/predict"),
    "sse_v2": ("4.19.2", "/queue/join", "/api/predict"),
    "sse_v2.1": ("4.21.0", "/queue/join", "/api/predict"),
    "sse_v3": ("6.31.0", "/queue/join", "/api/predict"),
    "call": ("6.31.0", "/call/echo", "/call/plain"),
}


def forced(protocol: str, version: str) -> Talk:
    return Talk(app("sse_v3", version), protocol=protocol)


def path(command: Any) -> str:
    assert isinstance(command, SendRequest | OpenWebSocket)
    return "/" + command.url.partition("?")[0].split("/", 3)[3]


def test_every_protocol_has_its_way() -> None:
    assert WAYS.keys() == (PROTOCOLS.keys() | CALLS.keys()) - {"call_v2"}


@pytest.mark.parametrize("protocol", WAYS)
def test_a_job_goes_the_way_of_its_protocol(protocol: str) -> None:
    version, queued, unqueued = WAYS[protocol]
    talk = forced(protocol, version)
    talk.conversation.submit("x", fn_index=ECHO)
    (command,) = talk.new()
    assert path(command) == queued
    is_websocket = spoken(protocol).channel is Channel.WEBSOCKET
    assert isinstance(command, OpenWebSocket) is is_websocket
    talk = forced(protocol, version)
    talk.conversation.submit("x", fn_index=PLAIN)
    (command,) = talk.new()
    assert path(command) == unqueued


@pytest.mark.parametrize("protocol", ["sse_v4", "", "calls"])
def test_a_protocol_that_there_is_not_cannot_be_forced(protocol: str) -> None:
    with pytest.raises(ValueError, match="no such protocol"):
        Talk(app(), protocol=protocol)


# Sessions


def hash_of(talk: Talk, socket: OpenWebSocket) -> str:
    """The session in which a job on a WebSocket runs."""
    talk.open(socket)
    talk.send(socket, ASK)
    said: str = talk.text()["session_hash"]
    return said


def on_ws(*, is_generator: bool | None = True) -> Talk:
    functions: dict[str, Any] = config(None, "3.50.2")
    functions["dependencies"][COUNT]["types"] = {"generator": is_generator}
    return Talk(AppInfo.from_config(functions))


@pytest.mark.parametrize("is_generator", [True, False, None])
def test_a_generator_of_a_busy_function_gets_a_session_of_its_own(
    is_generator: bool | None,
) -> None:
    talk = on_ws(is_generator=is_generator)
    hashes: list[str] = []
    for fn_index in (COUNT, COUNT, ECHO):
        talk.conversation.submit("x", fn_index=fn_index)
        hashes.append(hash_of(talk, talk.socket()))
    shared = talk.conversation.session_hash
    assert (hashes[0], hashes[2]) == (shared, shared)
    assert (hashes[1] == shared) is (is_generator is False)


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "lost"])
def test_what_may_still_run_there_is_not_met_again(end: str) -> None:
    talk = on_ws()
    job = talk.conversation.submit("x", fn_index=COUNT)
    socket = talk.socket()
    assert hash_of(talk, socket) == talk.conversation.session_hash
    if end == "completed":
        talk.send(socket, completed(1))
    elif end == "failed":
        talk.send(socket, {"msg": "process_completed", "output": {"error": "x"}, "success": False})
        assert type(talk.failure_of(job)) is AppError
    elif end == "cancelled":
        talk.conversation.cancel(job)
        assert isinstance(talk.last_of(job), JobCancelled)
    else:
        talk.lose(socket)
    talk.new()
    talk.conversation.submit("x", fn_index=COUNT)
    if end == "lost":
        talk.same_app()
    own = hash_of(talk, talk.socket()) != talk.conversation.session_hash
    assert own is (end in ("cancelled", "lost"))
    talk.conversation.reset()  # in a new session nothing runs
    talk.new()
    talk.conversation.submit("x", fn_index=COUNT)
    assert hash_of(talk, talk.socket()) == talk.conversation.session_hash


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - {"sse"}))
def test_an_isolated_job_has_a_session_of_its_own(protocol: str) -> None:
    talk = forced(protocol, WAYS[protocol][0])
    hashes: set[str] = set()
    for _ in range(2):
        talk.conversation.submit("x", fn_index=ECHO, isolated=True)
        (command,) = talk.new()
        if isinstance(command, OpenWebSocket):
            hashes.add(hash_of(talk, command))
        else:
            assert isinstance(command, SendRequest)
            hashes.add(json.loads(body_of(command))["session_hash"])
    assert len(hashes) == 2
    assert talk.conversation.session_hash not in hashes


def test_a_made_up_row_finds_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    row = attrs.evolve(PROTOCOLS["ws"], diffs=True)
    monkeypatch.setattr(protocols, "PROTOCOLS", {**PROTOCOLS, "ws_v2": row})
    talk = forced("ws_v2", "7.0.0")
    job = talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    hash_of(talk, socket)
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)
