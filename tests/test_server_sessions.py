"""Sessions are remembered, the longest unused is forgotten."""

from __future__ import annotations

from sansio_gradio.server.jobs import Job
from sansio_gradio.server.sessions import Session, Sessions


def test_the_newest_jobs_come_first() -> None:
    session = Session("s")
    for number in range(3):
        session.jobs[number] = Job(id=number, event_id=str(number))
    assert [job.id for job in session.newest_jobs()] == [2, 1, 0]


def test_sessions_are_made_found_and_forgotten() -> None:
    forgotten: list[str] = []
    sessions = Sessions(2, lambda session: forgotten.append(session.session_hash))
    assert sessions.get("a") is None
    assert sessions.get(None) is None
    assert sessions.jobs_of("a") == []
    first = sessions.use("a")
    first.jobs[7] = Job(id=7, event_id="7")
    assert [job.id for job in sessions.jobs_of("a")] == [7]
    sessions.use("b")
    assert sessions.use("a") is first  # and so the other one is the longest unused
    sessions.use("c")
    assert forgotten == ["b"]
    assert sessions.get("a") is first
    sessions.drop(first)
    sessions.drop(first)
    assert forgotten == ["b", "a"]
    assert sessions.get("a") is None
