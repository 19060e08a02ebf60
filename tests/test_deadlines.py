"""Each deadline passes once, in order, when its time has come."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.deadlines import Deadlines


def first(deadlines: Deadlines[str]) -> float | None:
    """The first deadline, as it is now."""
    return deadlines.due


def due(deadlines: Deadlines[str]) -> list[str]:
    """The names whose deadlines have passed."""
    names: list[str] = []
    while (name := deadlines.next_due()) is not None:
        names.append(name)
    return names


def test_what_is_due_is_told_once_and_in_order() -> None:
    deadlines = Deadlines[str]()
    deadlines.start("late", 2)
    deadlines.start("soon", 1)
    assert first(deadlines) == 1
    assert due(deadlines) == []
    deadlines.now = 2
    assert due(deadlines) == ["soon", "late"]
    assert due(deadlines) == []
    assert first(deadlines) is None


def test_a_deadline_that_is_stopped_or_started_anew_does_not_pass_at_its_old_time() -> None:
    deadlines = Deadlines[str]()
    deadlines.start("a", 1)
    deadlines.start("b", 1)
    deadlines.stop("a")
    deadlines.stop("never started")
    deadlines.start("b", 5)
    deadlines.now = 4
    assert due(deadlines) == []
    assert first(deadlines) == 5
    deadlines.now = 5
    assert due(deadlines) == ["b"]


def test_deadlines_that_were_stopped_do_not_pile_up() -> None:
    deadlines = Deadlines[str]()
    deadlines.start("last", 1000)
    deadlines.start("first", 500)
    before = sys.getsizeof(vars(deadlines)["_heap"])
    for _ in range(5000):
        deadlines.start("short", 900)
        deadlines.stop("short")
    assert sys.getsizeof(vars(deadlines)["_heap"]) < before + 5000
    deadlines.now = 1000
    assert due(deadlines) == ["first", "last"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=30))
def test_the_last_start_of_each_name_is_the_one_that_counts(starts: list[tuple[str, int]]) -> None:
    deadlines, last = Deadlines[str](), dict(starts)
    for name, seconds in starts:
        deadlines.start(name, seconds)
    deadlines.now = 9
    names = due(deadlines)
    assert sorted(names) == sorted(last)
    assert [last[name] for name in names] == sorted(last.values())
