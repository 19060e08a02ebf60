"""Deadlines fire once, in order, when their time has come."""

from __future__ import annotations

import sys
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.deadlines import Deadlines


def test_what_is_due_is_done_once_and_in_order() -> None:
    deadlines, done = Deadlines(), list[str]()
    deadlines.start("late", 2, lambda: done.append("late"))
    deadlines.start("soon", 1, lambda: done.append("soon"))
    assert deadlines.next_deadline() == 1
    deadlines.fire()
    assert done == []
    deadlines.now = 2
    deadlines.fire()
    deadlines.fire()
    assert done == ["soon", "late"]
    assert deadlines.next_deadline() is None


def test_a_deadline_that_is_stopped_or_started_anew_does_not_fire_at_its_old_time() -> None:
    deadlines, done = Deadlines(), list[str]()
    deadlines.start("a", 1, lambda: done.append("a"))
    deadlines.start("b", 1, lambda: done.append("b"))
    deadlines.stop("a")
    deadlines.stop("never started")
    deadlines.start("b", 5, lambda: done.append("b, later"))
    deadlines.now = 4
    deadlines.fire()
    assert done == []
    assert deadlines.next_deadline() == 5
    deadlines.now = 5
    deadlines.fire()
    assert done == ["b, later"]


def test_deadlines_that_were_stopped_do_not_pile_up() -> None:
    deadlines, done = Deadlines(), list[str]()
    deadlines.start("last", 1000, lambda: done.append("last"))
    deadlines.start("first", 500, lambda: done.append("first"))
    before = sys.getsizeof(vars(deadlines)["_heap"])
    for _ in range(5000):
        deadlines.start("short", 900, lambda: done.append("short"))
        deadlines.stop("short")
    assert sys.getsizeof(vars(deadlines)["_heap"]) < before + 5000
    deadlines.now = 1000
    deadlines.fire()
    assert done == ["first", "last"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=30))
def test_the_last_start_of_each_name_is_the_one_that_counts(starts: list[tuple[str, int]]) -> None:
    deadlines, done = Deadlines(), list[tuple[int, str]]()
    for name, seconds in starts:
        deadlines.start(name, seconds, partial(done.append, (seconds, name)))
    deadlines.now = 9
    deadlines.fire()
    assert sorted(done) == sorted((seconds, name) for name, seconds in dict(starts).items())
    assert [seconds for seconds, _ in done] == sorted(seconds for seconds, _ in done)
