"""Clients that read slowly hold up their functions; those that do not read at all are let go."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.engine import Disconnect
from sansio_gradio.server.events import JobAbandoned, JobHeld, JobReleased, JobSubmitted
from sansio_gradio.server.limits import ServerLimits
from tests.server.test_engine import HANDSHAKE, STREAM, frame, join, wire_to
from tests.support.served import Talk, Wire, request

TEXT = Slot(name="x", component=TEXTBOX)


def open_channel(wire: Wire, conn: int) -> int:
    """A job whose client listens on *conn*; its number."""
    version = wire.engine.app.version_text
    wire.engine.connection_made(conn, wire.now)
    if version.startswith("3"):
        said = '{"fn_index":0,"session_hash":"s","data":["hi"]}'
        for data in (request("GET", "/queue/join", **HANDSHAKE), frame(said), frame(said)):
            wire.engine.receive_data(conn, data, wire.now)
            wire.engine.data_to_send(conn)
    elif version.startswith("4.0"):
        target = "/queue/join?fn_index=0&session_hash=s&data=%5B1%5D"
        wire.engine.receive_data(conn, request("GET", target), wire.now)
    else:
        job = join(wire)
        wire.engine.receive_data(conn, request("GET", STREAM), wire.now)
        wire.engine.start(job, wire.now)
        return job
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.start(event.job, wire.now)
    return event.job


def read(wire: Wire, conn: int, size: int = 1 << 30) -> int:
    """Let the client read up to *size* bytes; how many there were."""
    return len(wire.engine.data_to_send(conn, size))


@pytest.mark.parametrize("version", ["6.31.0", "4.0.2", "3.50.2"])
def test_a_function_is_held_up_while_its_client_is_behind(version: str) -> None:
    wire = wire_to(version, ServerLimits(ahead=5000))
    job = open_channel(wire, 7)
    for number in range(3):
        wire.engine.generate(job, [f"{number}" * 2000], wire.now)
        held = wire.next_event()
        assert held == (JobHeld(job=job) if number == 2 else None)
    wire.engine.generate(job, ["what came all the same"], wire.now)
    read(wire, 7, 2000)
    assert wire.next_event() is None
    read(wire, 7)
    assert wire.event() == JobReleased(job=job)
    wire.engine.complete(job, ["x" * 9000], now=wire.now)
    assert wire.next_event() is None  # it is over: nothing is to wait
    assert read(wire, 7) > 9000


def test_what_starts_for_a_client_that_is_behind_is_held_up_at_once() -> None:
    wire = wire_to(limits=ServerLimits(ahead=5000))
    first = join(wire)
    said = {"data": ["hi"], "fn_index": 0, "session_hash": "s"}
    wire.post("/gradio_api/queue/join", said)
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", STREAM), 0)
    wire.engine.start(first, 0)
    wire.engine.generate(first, ["x" * 9000], 0)
    wire.engine.complete(first, now=0)
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.start(event.job, wire.now)
    assert wire.event() == JobHeld(job=event.job)


def test_a_slow_but_steady_reader_gets_all() -> None:
    wire = wire_to(limits=ServerLimits(ahead=5000, unsent=20_000))
    job, received = open_channel(wire, 7), 0
    for number in range(100):
        wire.engine.generate(job, [f"{number % 10}" * 2000], wire.now)
        while (event := wire.next_event()) is not None:
            assert isinstance(event, JobHeld | JobReleased)
        received += read(wire, 7, 2200)
        wire.pass_time_unread(15)
    wire.engine.complete(job, now=wire.now)
    while part := read(wire, 7, 2200):
        received += part
        wire.pass_time_unread(15)
    assert received > 100 * 2000
    assert wire.next_event() is None


def test_a_message_of_any_size_is_sent() -> None:
    wire = wire_to(limits=ServerLimits(unsent=1000))
    job = open_channel(wire, 7)
    wire.engine.complete(job, ["x" * 50_000], now=wire.now)
    assert read(wire, 7) > 50_000


def test_a_client_that_takes_nothing_is_cut_after_a_while() -> None:
    wire = wire_to(limits=ServerLimits(ahead=5000))
    job = open_channel(wire, 7)
    wire.engine.generate(job, ["x" * 9000], wire.now)
    assert wire.event() == JobHeld(job=job)
    wire.pass_time_unread(19)
    assert wire.engine.next_command() == Disconnect(0)  # on which the job was joined
    assert wire.engine.next_command() is None
    wire.pass_time_unread(7)
    command = wire.engine.next_command()
    assert command == Disconnect(7, at_once=True, why="it took nothing for 20 seconds")
    assert wire.event() == JobAbandoned(job=job)
    assert (read(wire, 7), wire.engine.next_deadline()) == (0, None)
    wire.engine.connection_lost(7, None, wire.now)


def test_what_is_left_to_send_is_not_kept_for_ever() -> None:
    wire = wire_to(limits=ServerLimits(connections=1))
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", "/config", connection="close"), 0)
    assert wire.engine.next_command() == Disconnect(7)
    read(wire, 7, 10)
    wire.pass_time_unread(30)
    command = wire.engine.next_command()
    assert command is not None
    assert (command.conn, command.at_once) == (7, True)
    assert wire.engine.next_deadline() is None
    wire.engine.connection_made(8, 30)
    assert wire.engine.next_command() is None  # there is room again


def test_requests_behind_one_that_cut_the_connection_are_not_read() -> None:
    wire = wire_to("3.50.2", ServerLimits(unsent=1000))
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", "/queue/join", **HANDSHAKE), 0)
    wire.engine.connections_with_data()
    ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
    wire.engine.receive_data(7, ping * 20 + frame('{"fn_index":0,"session_hash":"s"}'), 0)
    command = wire.engine.next_command()
    assert command is not None
    assert command.at_once
    assert wire.next_event() is None


# Without a connection to look at


def talk_with(version: str | None = None, limits: ServerLimits | None = None) -> Talk:
    app = App(version=version)
    app.add("f", parameters=[TEXT], returns=[TEXT])
    return Talk(app, limits)


def test_messages_that_no_stream_takes_hold_up_their_function() -> None:
    talk = talk_with()
    talk.join("hi")
    job = talk.started()
    for _ in range(1000):
        talk.conversation.log(job, "x")
    assert talk.event() == JobHeld(job=job)
    talk.conversation.log(job, "x")
    assert talk.idle()
    stream = talk.stream()
    assert talk.event() == JobReleased(job=job)
    talk.pass_time(61)
    assert talk.idle()
    talk.conversation.complete(job, ["ho"], now=talk.now)
    assert talk.kinds(stream)[-1] == "end"


def test_messages_that_no_stream_takes_are_forgotten_after_a_while() -> None:
    talk = talk_with()
    talk.join("hi")
    job = talk.started()
    for _ in range(1000):
        talk.conversation.log(job, "x")
    assert talk.event() == JobHeld(job=job)
    talk.pass_time(61)
    assert talk.event() == JobAbandoned(job=job)
    assert talk.kinds(talk.stream()) == ["open", "unexpected_error", "cut"]
    talk.join("hi")
    assert talk.started() != job
    assert talk.idle()


def test_a_session_whose_stream_is_dropped_is_not_behind_for_ever() -> None:
    talk = talk_with()
    talk.join("hi")
    job = talk.started()
    talk.conversation.complete(job, ["ho"], now=0)
    talk.join("hi")
    second = talk.started()
    for _ in range(1200):
        talk.conversation.log(second, "x")
    assert talk.event() == JobHeld(job=second)
    talk.leave(talk.stream())
    events: list[Any] = []
    while (event := talk.next_event()) is not None:
        events.append(event)
    assert JobAbandoned(job=second) in events
    talk.join("hi")
    talk.started()
    assert talk.idle()


# Steps of a generator past the queue (3.3 to 3.50)


def test_steps_that_nobody_fetches_hold_up_their_function() -> None:
    talk = talk_with("3.50.2")
    first = talk.call("f", "hi", session_hash="s")
    job = talk.started()
    for number in range(101):
        assert talk.idle()
        talk.conversation.generate(job, [number], 0)
    assert talk.answer(first)[0] == 200
    assert talk.event() == JobHeld(job=job)
    assert talk.answer(talk.call("f", "hi", session_hash="s"))[1]["data"] == [1]
    assert talk.event() == JobReleased(job=job)


def test_steps_that_nobody_fetches_are_forgotten_after_a_while() -> None:
    talk = talk_with("3.50.2")
    talk.call("f", "hi", session_hash="s")
    job = talk.started()
    talk.conversation.generate(job, ["one"], 0)
    talk.conversation.generate(job, ["two"], 0)
    talk.pass_time(200)
    assert talk.idle()
    assert talk.answer(talk.call("f", "hi", session_hash="s"))[1]["data"] == ["two"]
    talk.pass_time(301)
    assert talk.event() == JobAbandoned(job=job)

    talk.call("f", "hi", session_hash="s")
    job = talk.started()
    talk.conversation.generate(job, ["one"], talk.now)
    talk.conversation.complete(job, now=talk.now)
    talk.pass_time(301)
    assert talk.idle()
    talk.call("f", "hi", session_hash="s")
    assert talk.started() != job


def test_steps_that_nobody_fetches_take_no_place_in_the_queue() -> None:
    talk = talk_with("3.50.2", ServerLimits(jobs=2))
    for number in range(5):
        talk.call("f", "hi", session_hash=f"{number}")
        job = talk.started()
        talk.conversation.generate(job, ["one"], 0)
        talk.conversation.complete(job, now=0)
    assert talk.kinds(talk.hello())[-1] == "send_data"


def test_jobs_that_died_without_a_word_are_not_remembered_for_ever() -> None:
    talk = talk_with(limits=ServerLimits(messages=5))
    for _ in range(50):
        talk.join("hi")
        talk.leave(talk.stream())
    kept = talk.conversation._queue.sessions.get("s")
    assert kept is not None
    assert len(kept.pending) <= 5
    alive = talk_with(limits=ServerLimits(messages=3))
    alive.join("hi")
    stream = alive.stream()
    for _ in range(5):
        alive.join("hi")
    for _ in range(6):
        alive.conversation.complete(alive.started(), ["ho"], now=0)
    assert alive.kinds(stream)[-1] == "end"


def test_a_session_with_too_many_messages_may_be_forgotten_for_another_one_first() -> None:
    talk = talk_with(limits=ServerLimits(messages=2, sessions=1))
    talk.join("hi")
    job = talk.started()
    talk.conversation.log(job, "one too many")
    talk.join("hi", session="other")
    assert talk.event() == JobAbandoned(job=job)
    talk.started()
    talk.pass_time(61)
    assert talk.idle()
