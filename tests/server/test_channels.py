"""Where messages go: to a job's own channel, or to its session's streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import HEARTBEAT_EVERY, Channels
from sansio_gradio.server.events import EndChannel, OpenChannel, SendAlive, SendMessage
from sansio_gradio.server.jobs import ServerJob, ServerSession
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages

MESSAGE: Any = {"msg": "log"}


class Harness:
    def __init__(self, version: str = "6.31.0") -> None:
        app = App(version=version)
        self.deadlines = Deadlines[Hashable]()
        self.channels = Channels(
            app.traits, Messages(app), self.deadlines, ServerLimits(messages=2)
        )

    def said(self) -> list[Any]:
        said: list[Any] = []
        while (command := self.channels.next_command()) is not None:
            said.append(command)
        return said

    def due(self) -> list[Hashable]:
        """What is due by now."""
        found: list[Hashable] = []
        while (due := self.deadlines.next_due()) is not None:
            found.append(due)
        return found


def job(exchange: int | None = None, session: ServerSession | None = None) -> ServerJob:
    return ServerJob(id=0, event_id="e", exchange=exchange, session=session)


def test_a_job_with_a_channel_of_its_own_is_told_there() -> None:
    harness = Harness()
    harness.channels.tell(job(7, ServerSession("s", messages=deque())), MESSAGE)
    assert harness.said() == [SendMessage(7, MESSAGE)]


def test_what_is_said_of_a_job_names_it() -> None:
    harness = Harness()
    harness.channels.say(job(7), "process_starts", eta=3)
    assert harness.said() == [SendMessage(7, {"msg": "process_starts", "event_id": "e", "eta": 3})]


def test_a_job_without_channel_and_session_is_told_nowhere() -> None:
    harness = Harness()
    harness.channels.tell(job(), MESSAGE)
    assert harness.said() == []


def test_messages_for_a_session_wait_and_overflow() -> None:
    harness, session = Harness(), ServerSession("s", messages=deque())
    for _ in range(2):
        harness.channels.tell(job(session=session), MESSAGE)
    assert (harness.said(), harness.due()) == ([], [])
    for _ in range(2):
        harness.channels.tell(job(session=session), MESSAGE)
        assert session.messages is None
    assert harness.due() == [session]


def test_a_session_without_messages_takes_none() -> None:
    harness, session = Harness(), ServerSession("s")
    harness.channels.tell_session(session, MESSAGE)
    assert session.messages is None


def test_who_an_exchange_is_there_for() -> None:
    harness, session, own = Harness(), ServerSession("s", messages=deque()), job(1)
    channels = harness.channels
    channels.own(1, own)
    channels.open_session_stream(2, session)
    channels.open_stream(3, "s")
    assert channels.exchanges() == [1, 2, 3]
    assert channels.owner(1) is own
    assert channels.owner(2) is session
    assert channels.leave(1) is own
    assert channels.leave(1) is None
    assert channels.owner(1) is None


def test_heartbeats_count_from_the_opening_of_each_stream() -> None:
    harness = Harness()
    harness.channels.open_session_stream(1, ServerSession("s", messages=deque()))
    harness.deadlines.now = 5
    harness.channels.open_stream(2, "s")
    assert harness.said() == [OpenChannel(1), OpenChannel(2), SendAlive(2)]
    harness.deadlines.now = HEARTBEAT_EVERY
    (due,) = harness.due()
    assert due == 1
    harness.channels.beat(1)
    assert [command.exchange for command in harness.said()] == [1]
    harness.deadlines.now = HEARTBEAT_EVERY + 5
    assert harness.due() == [2]
    harness.channels.beat(2)
    assert harness.said() == [SendAlive(2)]
    assert harness.deadlines.due == 2 * HEARTBEAT_EVERY


def test_a_channel_ends_once() -> None:
    harness, own = Harness(), job(1)
    harness.channels.own(1, own)
    harness.channels.end_of(own)
    harness.channels.end_of(own)
    harness.channels.end_of(job())
    assert harness.said() == [EndChannel(1, True)]
    harness.channels.own(1, own)
    harness.channels.end_of(own, clean=False)
    assert harness.said() == [EndChannel(1, False)]


def test_a_session_that_is_no_more_tells_its_streams() -> None:
    harness, session = Harness(), ServerSession("s", messages=deque())
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
    assert harness.channels.exchanges() == []
    assert harness.deadlines.due is None


@pytest.mark.parametrize(("version", "word"), [("6.31.0", ["close_stream"]), ("4.16.0", [])])
def test_whether_the_end_of_a_stream_is_announced(version: str, word: list[str]) -> None:
    harness, session = Harness(version), ServerSession("s", messages=deque())
    harness.channels.open_session_stream(1, session)
    harness.said()
    harness.channels.tell_session(session, {"msg": "process_completed", "event_id": "e"})
    _, *words, end = harness.said()
    assert [command.message["msg"] for command in words] == word
    assert end == EndChannel(1, True)


# How messages are shared out


def completed(event_id: str | None) -> Any:
    return {"msg": "process_completed", "event_id": event_id}


def sent(harness: Harness) -> list[tuple[int, Any]]:
    return [(one.exchange, one.message) for one in harness.said() if isinstance(one, SendMessage)]


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(0, 3))
def test_every_message_is_delivered_once_in_order(kinds: list[str], streams: int) -> None:
    harness, session = Harness(), ServerSession("s", messages=deque())
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
    session = ServerSession("s", messages=deque())
    for message in (completed("a"), completed("b"), late):
        session.keep(message, 1)
    session.pending = {"a": None, "b": None}
    harness = Harness("4.16.0")
    harness.channels.open_session_stream(1, session)
    said = [SendMessage(1, completed("a")), SendMessage(1, completed("b")), EndChannel(1)]
    assert harness.said() == [OpenChannel(1), *said]
    assert list(session.messages or ()) == [late]
    harness.channels.open_session_stream(2, session)
    assert harness.said() == [OpenChannel(2), SendMessage(2, late)]


def test_an_end_without_a_name_is_nobodys() -> None:
    session = ServerSession("s", messages=deque(), pending={"a": None})
    session.keep(completed(None), 1)
    harness = Harness()
    harness.channels.open_session_stream(1, session)
    assert harness.said() == [OpenChannel(1), SendMessage(1, completed(None))]
