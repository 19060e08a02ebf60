"""The server at the altitude of its messages: what clients ask, in every protocol."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.protocols import PROTOCOLS, Channel, Handover, Naming, Traits
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.events import InputEnded, JobAbandoned
from tests.support.served import Talk

TEXT = Slot(name="x", component=TEXTBOX)


def app_with(*names: str, version: str | None = None, **options: Any) -> App:
    app = App(version=version, **options)
    for name in names or ("f",):
        app.add(name, parameters=[TEXT], returns=[TEXT])
    return app


# WebSockets


def test_a_job_on_a_websocket() -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.socket()
    assert talk.kinds(socket) == ["send_hash"]
    talk.text(socket, fn_index=0, session_hash="s")
    assert talk.kinds(socket) == ["estimation", "send_data"]
    assert talk.idle()
    talk.text(socket, data=["hi"], fn_index=0, session_hash="s")
    job = talk.started()
    talk.conversation.generate(job, ["h"], 1)
    talk.conversation.generate(job, ["ho"], 2)
    talk.conversation.complete(job, now=3)
    messages = talk.messages(socket)
    assert [m["msg"] for m in messages] == [
        "process_starts",
        "process_generating",
        "process_generating",
        "process_completed",
    ]
    assert [m["output"]["data"] for m in messages[1:]] == [["h"], ["ho"], ["ho"]]  # no diffs
    assert messages[3]["output"]["is_generating"] is True  # the last yield, said again
    assert not any("event_id" in message for message in messages)


def test_a_websocket_is_closed_after_the_last_message() -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.hello()
    talk.text(socket, data=["hi"], fn_index=0)
    talk.conversation.complete(talk.started(), ["ho"], now=1)
    assert talk.kinds(socket)[-2:] == ["process_completed", "end"]


def test_before_36_nobody_was_asked_who_is_there() -> None:
    talk = Talk(app_with(version="3.4.1"))
    socket = talk.socket()
    assert talk.kinds(socket) == ["estimation", "send_data"]
    talk.text(socket, data=["hi"], fn_index=0, session_hash="s")
    assert talk.submitted().session_hash == "s"


def test_until_317_the_client_speaks_first_and_closes() -> None:
    talk = Talk(app_with(version="3.1.7"))
    socket = talk.socket()
    assert talk.kinds(socket) == []
    talk.text(socket, session_hash=None)
    assert talk.kinds(socket) == ["estimation", "send_data"]
    talk.text(socket, data=["hi"], fn_index=0, session_hash="s")
    talk.conversation.complete(talk.started(), ["ho"], now=1)
    assert talk.kinds(socket) == ["process_starts", "process_completed"]
    talk.leave(socket)
    assert talk.idle()


@pytest.mark.parametrize("said", [{}, {"fn_index": 99}, {"session_hash": "s"}])
def test_a_first_frame_that_makes_no_sense_ends_the_websocket_without_a_close(said: Any) -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.socket()
    talk.text(socket, **said)
    assert talk.kinds(socket) == ["send_hash", "cut"]


@pytest.mark.parametrize("said", [{}, {"fn_index": 99, "data": []}, {"fn_index": 0}])
def test_data_that_makes_no_sense_ends_the_websocket_without_a_close(said: Any) -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.hello()
    talk.text(socket, **said)
    assert talk.kinds(socket)[-1] == "cut"
    assert talk.idle()
    # Its place in the line is free again.
    talk.hello()
    assert talk.idle()


def test_a_job_stays_in_the_session_that_its_client_named_first() -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.hello(session="first")
    talk.text(socket, data=["hi"], fn_index=0, session_hash="second")
    submitted = talk.submitted()
    assert submitted.session_hash == "first"
    sessions = talk.conversation._queue.sessions
    assert [len(sessions.jobs_of(name)) for name in ("first", "second")] == [1, 0]
    talk.conversation.complete(submitted.job, ["ho"], now=1)
    assert sessions.jobs_of("first") == []


def test_frames_that_nobody_waits_for_are_ignored() -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket = talk.hello()
    talk.text(socket, fn_index=0, data=["1"])
    talk.text(socket, fn_index=0, data=["2"])
    assert talk.submitted().data == ["1"]
    talk.text(99, fn_index=0, data=["3"])
    assert talk.idle()


def test_a_client_that_says_nothing_is_not_waited_for() -> None:
    talk = Talk(app_with(version="3.50.2"))
    silent, slow = talk.socket(), talk.hello()
    talk.pass_time(4.9)
    assert talk.kinds(silent) == ["send_hash"]
    talk.pass_time(0.2)
    assert talk.kinds(silent) == ["cut"]
    talk.kinds(slow)
    talk.pass_time(60)
    messages = talk.told(slow)
    assert len(messages) == 2
    assert talk.idle()


def test_a_full_queue_is_told_on_the_websocket() -> None:
    talk = Talk(app_with(version="3.50.2", max_size=1))
    talk.hello()
    talk.hello()
    assert talk.kinds(talk.hello()) == ["send_hash", "queue_full", "end"]
    old = Talk(app_with(version="3.4.1", max_size=1))
    old.socket()
    old.socket()
    assert old.kinds(old.socket()) == ["queue_full", "end"]


def test_a_client_that_leaves_its_websocket_stops_its_job() -> None:
    talk = Talk(app_with(version="3.50.2"))
    socket, next_one = talk.hello(), talk.hello()
    talk.text(socket, fn_index=0, data=["1"])
    job = talk.started()
    assert talk.kinds(next_one) == ["send_hash", "estimation"]
    talk.leave(socket)
    assert talk.event() == JobAbandoned(job=job)
    assert talk.kinds(next_one) == ["send_data"]
    talk.leave(socket)  # again: nothing
    talk.leave(next_one)
    assert talk.idle()


# The heartbeat, and the end


def test_a_heartbeat_says_alive_every_15_seconds() -> None:
    talk = Talk(app_with())
    exchange = talk.heartbeat()
    talk.pass_time(30)
    assert talk.kinds(exchange) == ["open", "alive", "alive", "alive"]
    talk.leave(exchange)
    talk.pass_time(30)
    assert talk.kinds(exchange) == []


def test_a_session_whose_heartbeat_stops_feeds_its_streaming_inputs_no_more() -> None:
    app = App()
    app.add("frames", parameters=[TEXT], returns=[TEXT], streaming=True)
    talk = Talk(app)
    exchange = talk.heartbeat()
    talk.join("1")
    job = talk.started()
    talk.conversation.generate(job, ["one"], 1)
    talk.leave(exchange)
    assert talk.event() == InputEnded(job=job)
    talk.leave(talk.heartbeat("nobody"))


def test_a_server_that_stops_tells_streams_and_ends_everything() -> None:
    talk = Talk(app_with())
    talk.join("1")
    job = talk.started()
    stream, heartbeat = talk.stream(), talk.heartbeat()
    talk.conversation.stop(5)
    assert talk.kinds(stream)[-2:] == ["unexpected_error", "cut"]
    assert talk.kinds(heartbeat)[-1] == "cut"
    assert talk.event() == JobAbandoned(job=job)


# Protocols that nobody has made


MADE_UP = [
    Traits(channel=channel, handover=handover, naming=naming, diffs=diffs, close_stream=close)
    for channel in (Channel.WEBSOCKET, Channel.JOB_STREAM, Channel.SESSION_STREAM)
    for handover in Handover
    for naming in Naming
    for diffs in (False, True)
    for close in (False, True)
    if not (channel is Channel.SESSION_STREAM and naming is Naming.NOWHERE)
    and not (
        channel is Channel.JOB_STREAM and handover is Handover.ASKED and naming is Naming.NOWHERE
    )
]


@pytest.mark.parametrize("traits", MADE_UP, ids=str)
def test_any_combination_of_traits_is_a_protocol(
    traits: Traits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROTOCOLS, "made_up", traits)
    talk = Talk(app_with(protocol="made_up"))
    asked = traits.handover is Handover.ASKED
    event_id: str | None = None
    if traits.channel is Channel.SESSION_STREAM:
        event_id = talk.join(*([] if asked else ["hi"]))
        channel = talk.stream()
    elif traits.channel is Channel.WEBSOCKET:
        channel = talk.socket()
        data = {} if asked else {"data": ["hi"]}
        talk.text(channel, fn_index=0, session_hash="s", **data)
    else:
        channel = talk.job_stream(None if asked else ["hi"])
    said = talk.messages(channel)
    if asked:
        assert said[-1]["msg"] == "send_data"
        if traits.channel is Channel.WEBSOCKET:
            talk.text(channel, data=["hi"], fn_index=0, session_hash="s")
        else:
            assert talk.hand_over(said[-1]["event_id"], ["hi"]) == (200, None)
    submitted = talk.submitted()
    assert (submitted.data, submitted.session_hash) == (["hi"], "s")
    job = submitted.job
    talk.conversation.start(job, 1)
    talk.conversation.generate(job, ["h"], 2)
    talk.conversation.generate(job, ["ho"], 3)
    talk.conversation.complete(job, now=4)
    commands = talk.told(channel)
    messages: list[Any] = [getattr(command, "message", None) for command in commands]
    second: Any = [[["append", [], "o"]]] if traits.diffs else ["ho"]
    assert [m["output"]["data"] for m in messages[1:4]] == [["h"], second, ["ho"]]
    closes = traits.close_stream and traits.channel is Channel.SESSION_STREAM
    assert [m["msg"] for m in messages[4:-1]] == ["close_stream"] * closes
    assert messages[-1] is None  # the end of the channel
    if traits.channel is Channel.SESSION_STREAM:
        assert {m["event_id"] for m in messages[:4]} == {event_id}
