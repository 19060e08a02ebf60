"""How long jobs wait, by the count of two eras; sessions are remembered, and forgotten."""

from __future__ import annotations

import pytest

from sansio_gradio.server.jobs import ServerJob, ServerSession, Sessions, Stage
from sansio_gradio.server.line import Times, WaitingLine


def line_of(
    limit: int | None, *, running: int, waiting: int, took: float | None = None
) -> WaitingLine:
    line = WaitingLine(limit)
    for number in range(running + waiting):
        line.waiting[number] = ServerJob(id=number, event_id=str(number))
    for _ in range(running):
        job = line.next()
        assert job is not None
        job.began = 10.0
    if took is not None:
        line.finished(took)
    return line


def test_averages() -> None:
    times = Times()
    assert times.average is None
    assert times.add(2) == 2
    assert times.add(4) == 3
    assert times.average == 3


def test_nobody_has_a_turn_while_the_line_is_full() -> None:
    line = line_of(1, running=1, waiting=1)
    assert line.is_full
    assert line.next() is None
    (running,) = line.running.values()
    line.leave(running)
    assert line.next() is not None
    assert line.next() is None


def test_a_line_without_a_limit_is_never_full() -> None:
    assert not line_of(None, running=50, waiting=0).is_full


@pytest.mark.parametrize(
    ("limit", "running", "rank", "now", "eta"),
    [
        (2, 1, 0, 10.0, 4.0),  # somebody may start at once: the run itself
        (1, 1, 0, 10.0, 8.0),  # 4 until the other one is done, and the run itself
        (1, 1, 0, 13.0, 5.0),
        (1, 1, 0, 99.0, 4.0),  # it takes longer than usual, and may end any moment
        (1, 1, 2, 13.0, 13.0),  # and two before
        (2, 2, 2, 10.0, 12.0),  # who share two places
        (None, 3, 0, 10.0, 4.0),
    ],
)
def test_the_wait_since_411(
    limit: int | None, running: int, rank: int, now: float, eta: float
) -> None:
    line = line_of(limit, running=running, waiting=3, took=4.0)
    estimate = line.estimate(rank, now, short=True)
    assert (estimate["rank"], estimate["queue_size"], estimate["rank_eta"]) == (rank, 3, eta)


def test_before_the_first_run_nobody_knows() -> None:
    for line in (line_of(1, running=1, waiting=1), line_of(1, running=0, waiting=1)):
        told = {"rank": 0, "queue_size": 1, "avg_event_process_time": 0.0, "queue_eta": 1.0}
        assert line.estimate(0, 10.0, short=True) == told
        assert line.estimate(0, 10.0, short=False) == told


@pytest.mark.parametrize(
    ("limit", "running", "runs", "rank", "eta"),
    [
        (3, 0, 1, 0, 4.0),
        (3, 3, 1, 0, 8.0),  # all busy: one share more
        (3, 3, 3, 0, 4 + 4 / 3),
        (3, 0, 9, 2, 4 + 2 * 4 / 3),
        (None, 5, 2, 1, 6.0),
    ],
)
def test_the_wait_until_410(
    limit: int | None, running: int, runs: int, rank: int, eta: float
) -> None:
    line = line_of(limit, running=running, waiting=3)
    for _ in range(runs):
        line.finished(4.0)
    estimate = line.estimate(rank, 10.0, short=False)
    concurrent = 4 / min(limit or runs, runs)
    assert estimate["rank_eta"] == pytest.approx(eta)
    assert estimate["avg_event_concurrent_process_time"] == pytest.approx(concurrent)
    assert estimate["avg_event_process_time"] == 4.0
    assert estimate["queue_eta"] == pytest.approx(3 * concurrent)


def test_the_application_has_a_job_from_when_it_is_told_to_the_end() -> None:
    at_work = [stage for stage in Stage if ServerJob(id=0, event_id="e", stage=stage).is_at_work]
    assert at_work == [Stage.READY, Stage.RUNNING]


def test_the_newest_jobs_come_first() -> None:
    session = ServerSession("s")
    for number in range(3):
        session.jobs[number] = ServerJob(id=number, event_id=str(number))
    assert [job.id for job in session.newest_jobs()] == [2, 1, 0]


def test_sessions_are_made_found_and_forgotten() -> None:
    sessions = Sessions(2)
    assert sessions.get("a") is None
    assert sessions.get(None) is None
    assert sessions.jobs_of("a") == []
    first = sessions.use("a")
    first.jobs[7] = ServerJob(id=7, event_id="7")
    assert [job.id for job in sessions.jobs_of("a")] == [7]
    second = sessions.use("b")
    assert sessions.take_surplus() is None
    assert sessions.use("a") is first  # and so the other one is the longest unused
    sessions.use("c")
    assert sessions.take_surplus() is second
    assert sessions.get("b") is None
    sessions.remove(first)
    assert sessions.get("a") is None
