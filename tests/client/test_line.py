"""Who waits in a session, and who goes next."""

from __future__ import annotations

import sys

import pytest

from sansio_gradio.client.call import Call
from sansio_gradio.client.job import Job
from sansio_gradio.client.line import For, Line
from sansio_gradio.client.options import Options
from sansio_gradio.testing.talk import Talk, config


def jobs(count: int) -> list[Job]:
    options = Options(entropy=bytes)
    return [Job(number, Call(), 0, options) for number in range(1, count + 1)]


def gone(line: Line, waiting: list[Job]) -> list[int]:
    return [job.id for job in waiting if line.lets_go(job, has_turns=True)]


def following(line: Line) -> int | None:
    return None if line.next is None else line.next.id


def test_so_many_go_at_once_and_the_rest_wait() -> None:
    line, crowd = Line(2), jobs(5)
    assert gone(line, crowd) == [1, 2]
    assert [job.id in line for job in crowd] == [False, False, True, True, True]
    assert following(line) is None


def test_who_comes_later_overtakes_nobody() -> None:
    line, crowd = Line(1), jobs(3)
    gone(line, crowd[:2])
    line.leave(crowd[0])
    assert gone(line, [crowd[2]]) == []
    assert following(line) == 2
    assert gone(line, [crowd[1]]) == [2]
    assert following(line) is None
    line.leave(crowd[1])
    assert following(line) == 3


def test_who_has_no_turns_neither_waits_nor_counts() -> None:
    line, (first, second, third, fourth) = Line(1), jobs(4)
    assert line.lets_go(first, has_turns=False)
    assert line.lets_go(second, has_turns=True)
    assert not line.lets_go(third, has_turns=True)
    assert line.lets_go(fourth, has_turns=False)
    line.leave(first)
    line.leave(fourth)
    assert following(line) is None


def test_who_leaves_the_line_is_not_next() -> None:
    line, crowd = Line(1), jobs(3)
    gone(line, crowd)
    line.leave(crowd[1])
    line.leave(crowd[0])
    assert crowd[1].id not in line
    assert following(line) == 3


def test_who_is_not_known_enough_holds_up_nobody() -> None:
    line, (first, second) = Line(1), jobs(2)
    line.wait(first, For.APP)
    assert first.id in line
    assert line.waiting(For.APP) == [first]
    assert gone(line, [second]) == [2]
    assert gone(line, [first]) == []
    assert line.waiting(For.APP) == []
    line.wait(first, For.INFO)
    assert line.waiting(For.INFO) == [first]
    line.leave(second)
    assert following(line) is None
    assert gone(line, [first]) == [1]
    assert line.waiting(For.INFO) == []
    line.wait(first, For.TIME)
    assert first.id in line
    assert line.waiting(For.APP) == line.waiting(For.INFO) == []
    line.leave(first)
    assert first.id not in line


def calls_of(count: int, *, info: bool) -> int:
    """The calls of functions that *count* jobs by name take, asked for before it is known what app
    it is, or, with *info*, before its ``/info`` is there."""
    talk = Talk()
    question = talk.request("/config")
    if info:
        talk.answer(question, config())
    made = 0

    def note(frame: object, event: str, what: object) -> None:
        nonlocal made
        made += event == "call"

    sys.setprofile(note)
    try:
        for _ in range(count):
            talk.conversation.submit(a="x", api_name="/echo")
        if not info:
            talk.answer(question, config())
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize("info", [False, True])
def test_twice_as_many_jobs_that_wait_are_twice_the_work(info: bool) -> None:
    few, many = calls_of(100, info=info), calls_of(200, info=info)
    assert many < 2.5 * few
