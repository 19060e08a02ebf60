"""Where messages go: to a job's own channel, or to its session's streams."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import HEARTBEAT_EVERY, Channels
from sansio_gradio.server.events import End, Open, Send, SendAlive
from sansio_gradio.server.jobs import Job, Session
from sansio_gradio.server.messages import Messages

MESSAGE: Any = {"msg": "log"}


class Harness:
    def __init__(self, version: str = "6.31.0") -> None:
        app = App(version=version)
        self.deadlines = Deadlines()
        self.overflown: list[Session] = []
        self.channels = Channels(
            app.traits,
            Messages(app),
            self.deadlines,
            2,
            self.overflown.append,
        )

    def said(self) -> list[Any]:
        said = list(self.channels.commands)
        self.channels.commands.clear()
        return said


def job(exchange: int | None = None, session: Session | None = None) -> Job:
    return Job(id=0, event_id="e", exchange=exchange, session=session)


def test_a_job_with_a_channel_of_its_own_is_told_there() -> None:
    harness = Harness()
    harness.channels.tell(job(7, Session("s", messages=deque())), MESSAGE)
    assert harness.said() == [Send(7, MESSAGE)]


def test_what_is_said_of_a_job_names_it() -> None:
    harness = Harness()
    harness.channels.say(job(7), "process_starts", eta=3)
    assert harness.said() == [Send(7, {"msg": "process_starts", "event_id": "e", "eta": 3})]


def test_a_job_without_channel_and_session_is_told_nowhere() -> None:
    harness = Harness()
    harness.channels.tell(job(), MESSAGE)
    assert harness.said() == []


def test_messages_for_a_session_wait_and_overflow() -> None:
    harness, session = Harness(), Session("s", messages=deque())
    for _ in range(2):
        harness.channels.tell(job(session=session), MESSAGE)
    assert (harness.said(), harness.overflown) == ([], [])
    for _ in range(2):
        harness.channels.tell(job(session=session), MESSAGE)
        assert (session.messages, harness.overflown) == (None, [])
    harness.deadlines.fire()
    assert harness.overflown == [session]


def test_a_session_without_messages_takes_none() -> None:
    harness, session = Harness(), Session("s")
    harness.channels.tell_session(session, MESSAGE)
    assert session.messages is None


def test_who_an_exchange_is_there_for() -> None:
    harness, session, own = Harness(), Session("s", messages=deque()), job(1)
    channels = harness.channels
    channels.owners[1] = own
    channels.open_session_stream(2, session)
    channels.open_stream(3, "s")
    assert list(channels.owners) == [1, 2, 3]
    assert channels.owners[1] is own
    assert channels.owners[2] is session
    assert channels.leave(1) is own
    assert channels.leave(1) is None
    assert 1 not in channels.owners


def test_heartbeats_count_from_the_opening_of_each_stream() -> None:
    harness = Harness()
    harness.channels.open_session_stream(1, Session("s", messages=deque()))
    harness.deadlines.now = 5
    harness.channels.open_stream(2, "s")
    assert harness.said() == [Open(1), Open(2), SendAlive(2)]
    harness.deadlines.now = HEARTBEAT_EVERY
    harness.deadlines.fire()
    assert [command.exchange for command in harness.said()] == [1]
    harness.deadlines.now = HEARTBEAT_EVERY + 5
    harness.deadlines.fire()
    assert harness.said() == [SendAlive(2)]
    assert harness.deadlines.next_deadline() == 2 * HEARTBEAT_EVERY


def test_a_channel_ends_once() -> None:
    harness, own = Harness(), job(1)
    harness.channels.owners[1] = own
    harness.channels.end_of(own)
    harness.channels.end_of(own)
    harness.channels.end_of(job())
    assert harness.said() == [End(1, True)]
    harness.channels.owners[1] = own
    harness.channels.end_of(own, clean=False)
    assert harness.said() == [End(1, False)]


def test_a_session_that_is_no_more_tells_its_streams() -> None:
    harness, session = Harness(), Session("s", messages=deque())
    harness.channels.open_session_stream(1, session)
    harness.channels.open_session_stream(2, session)
    harness.said()
    harness.channels.close_streams(session)
    kinds = [
        (command.exchange, getattr(command, "message", {}).get("msg"), getattr(command, "clean", 0))
        for command in harness.said()
    ]
    assert kinds == [
        (1, "unexpected_error", 0),
        (1, None, False),
        (2, "unexpected_error", 0),
        (2, None, False),
    ]
    assert harness.channels.owners == {}
    assert harness.deadlines.next_deadline() is None


@pytest.mark.parametrize(("version", "word"), [("6.31.0", ["close_stream"]), ("4.16.0", [])])
def test_whether_the_end_of_a_stream_is_announced(version: str, word: list[str]) -> None:
    harness, session = Harness(version), Session("s", messages=deque())
    harness.channels.open_session_stream(1, session)
    harness.said()
    harness.channels.tell_session(session, {"msg": "process_completed", "event_id": "e"})
    _, *words, end = harness.said()
    assert [command.message["msg"] for command in words] == word
    assert end == End(1, True)


# How messages are shared out


def completed(event_id: str | None) -> Any:
    return {"msg": "process_completed", "event_id": event_id}


def sent(harness: Harness) -> list[tuple[int, Any]]:
    return [(one.exchange, one.message) for one in harness.said() if isinstance(one, Send)]


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(0, 3))
def test_every_message_is_delivered_once_in_order(kinds: list[str], streams: int) -> None:
    harness, session = Harness(), Session("s", messages=deque())
    for number in range(streams):
        harness.channels.open_session_stream(number, session)
    messages: list[Any] = [{"msg": kind} for kind in kinds]
    for message in messages:
        harness.channels.tell_session(session, message)
    assert sent(harness) == [
        (place % streams, message) for place, message in enumerate(messages) if streams
    ]


def test_the_stream_that_takes_the_last_end_is_closed() -> None:
    late: Any = {"msg": "late"}
    session = Session("s", messages=deque([completed("a"), completed("b"), late]))
    session.pending = {"a", "b"}
    harness = Harness("4.16.0")
    harness.channels.open_session_stream(1, session)
    said = [Send(1, completed("a")), Send(1, completed("b")), End(1)]
    assert harness.said() == [Open(1), *said]
    assert list(session.messages or ()) == [late]
    harness.channels.open_session_stream(2, session)
    assert harness.said() == [Open(2), Send(2, late)]


def test_an_end_without_a_name_is_nobodys() -> None:
    session = Session("s", messages=deque([completed(None)]), pending={"a"})
    harness = Harness()
    harness.channels.open_session_stream(1, session)
    assert harness.said() == [Open(1), Send(1, completed(None))]
