"""Messages wait for streams, and what one stream takes no other gets."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.server.jobs import Job, Origin
from sansio_gradio.server.sessions import Session, Sessions


def completed(event_id: str | None) -> Any:
    return {"msg": "process_completed", "event_id": event_id}


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(0, 3))
def test_every_message_is_delivered_once_in_order(kinds: list[str], streams: int) -> None:
    session = Session("s", messages=deque([{"msg": kind} for kind in kinds]))
    session.streams.extend(range(streams))
    delivered = list(session.deliver())
    if not streams:
        assert delivered == []
        assert len(session.messages or ()) == len(kinds)
        return
    assert [message for _, message in delivered] == [{"msg": kind} for kind in kinds]
    assert [stream for stream, _ in delivered] == [place % streams for place in range(len(kinds))]


def test_the_stream_that_takes_the_last_end_is_closed() -> None:
    session = Session("s", messages=deque([completed("a"), completed("b"), {"msg": "late"}]))
    session.pending = {"a", "b"}
    session.streams.append(1)
    assert list(session.deliver()) == [(1, completed("a")), (1, completed("b")), (1, None)]
    assert list(session.messages or ()) == [{"msg": "late"}]
    assert not session.streams


def test_an_end_without_a_name_is_nobodys() -> None:
    session = Session("s", messages=deque([completed(None)]))
    session.pending = {"a"}
    session.streams.append(1)
    assert list(session.deliver()) == [(1, completed(None))]


def test_a_session_that_was_never_joined_has_nothing_to_say() -> None:
    session = Session("s")
    session.streams.append(1)
    assert list(session.deliver()) == []


def test_the_newest_jobs_come_first() -> None:
    session = Session("s")
    for number in range(3):
        session.jobs[number] = Job(id=number, event_id=str(number), origin=Origin.QUEUE)
    assert [job.id for job in session.newest_jobs()] == [2, 1, 0]


def test_sessions_are_made_found_and_forgotten() -> None:
    forgotten: list[str] = []
    sessions = Sessions(2, lambda session: forgotten.append(session.session_hash))
    assert sessions.get("a") is None
    assert sessions.get(None) is None
    first = sessions.use("a")
    sessions.use("b")
    assert sessions.use("a") is first  # and so the other one is the longest unused
    sessions.use("c")
    assert forgotten == ["b"]
    assert sessions.get("a") is first
    sessions.drop(first)
    sessions.drop(first)
    assert forgotten == ["b", "a"]
    assert sessions.get("a") is None
