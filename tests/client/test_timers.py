"""Timers do what a list of deadlines would do, looked through each time."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from typing import ClassVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import LocalProtocolError


def first(timers: Timers[str]) -> float | None:
    """The first deadline, as it is now."""
    return timers.due


def due(timers: Timers[str]) -> list[str]:
    """The names of the timers that have passed, each of which is stopped by that."""
    names: list[str] = []
    while (name := timers.next_due()) is not None:
        names.append(name)
    return names


def test_nothing_to_wait_for_is_no_deadline() -> None:
    timers = Timers[str]()
    assert first(timers) is None
    timers.tell(5.0)
    assert due(timers) == []
    assert first(timers) is None


@pytest.mark.parametrize(("offset", "date"), [(None, None), (0.0, 5.0), (1e9, 1e9 + 5.0)])
def test_without_an_offset_there_are_no_dates(offset: float | None, date: float | None) -> None:
    timers = Timers[str](offset)
    assert timers.wall_now == (offset or 0.0)
    timers.tell(5.0)
    assert timers.wall_now == (offset or 0.0) + 5.0
    assert timers.date == date


@pytest.mark.parametrize("told", [0.0, 100.0])
def test_in_a_call_with_the_time_a_timer_counts_from_that(told: float) -> None:
    timers = Timers[str]()
    timers.tell(told)
    timers.start("a", 5.0)
    assert first(timers) == told + 5.0


def test_in_a_call_without_the_time_a_timer_counts_from_the_next() -> None:
    timers = Timers[str]()
    timers.tell(1.0)
    timers.tell(None)
    timers.start("a", 5.0)
    assert first(timers) == 1.0
    timers.tell(50.0)
    assert first(timers) == 55.0


def test_a_timer_counts_from_the_next_time_that_is_told() -> None:
    timers = Timers[str]()
    timers.tell(100.0)
    timers.ask_for_time()
    timers.start("a", 5.0)
    assert due(timers) == []
    timers.tell(None)
    assert due(timers) == []
    deadline = first(timers)
    assert deadline is not None
    assert deadline <= 100.0  # in the past: tell the time
    timers.tell(103.0)
    assert first(timers) == 108.0
    timers.tell(107.9)
    assert due(timers) == []
    timers.tell(108.0)
    assert due(timers) == ["a"]
    assert first(timers) is None


def test_before_any_time_was_told_the_deadline_has_passed() -> None:
    timers = Timers[str]()
    assert timers.now == -math.inf
    timers.start("a", 5.0)
    assert first(timers) == 0.0  # monotonic clocks begin at zero or later
    timers.tell(3.0)
    assert first(timers) == 8.0


def test_whoever_has_something_to_do_asks_for_the_time() -> None:
    timers = Timers[str]()
    timers.ask_for_time()
    assert first(timers) == 0.0
    timers.tell(None)
    assert first(timers) == 0.0
    timers.tell(7.0)
    assert first(timers) is None
    timers.ask_for_time()
    assert first(timers) == 7.0
    timers.tell(7.0)
    assert first(timers) is None


def test_time_never_runs_backwards() -> None:
    timers = Timers[str]()
    timers.tell(10.0)
    timers.tell(9.5)
    assert timers.now == 10.0
    with pytest.raises(LocalProtocolError, match="backwards"):
        timers.tell(4.0)
    assert timers.now == 10.0
    timers.start("a", 1.0)
    timers.tell(9.0)
    assert first(timers) == 11.0


def test_starting_again_replaces_and_stopping_ends() -> None:
    timers = Timers[str]()
    timers.start("a", 1.0)
    timers.tell(0.0)
    timers.start("a", 5.0)
    timers.start("b", 2.0)
    timers.tell(0.0)
    timers.stop("b")
    timers.stop("b")
    timers.stop("never started")
    assert first(timers) == 5.0
    timers.tell(100.0)
    assert due(timers) == ["a"]
    assert due(timers) == []


@pytest.mark.parametrize("never", [None, math.inf])
def test_a_delay_without_end_stops_the_timer(never: float | None) -> None:
    timers = Timers[str]()
    timers.start("a", 1.0)
    timers.start("a", never)
    assert first(timers) is None
    timers.tell(1e300)
    assert due(timers) == []


def test_they_fire_in_the_order_of_their_deadlines_then_of_their_start() -> None:
    timers = Timers[str]()
    for name, delay in (("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0)):
        timers.start(name, delay)
    timers.tell(0.0)
    timers.tell(10.0)
    assert due(timers) == ["a", "b1", "b2", "c"]


def test_a_timer_that_is_due_may_stop_others_and_start_again() -> None:
    timers = Timers[str]()
    timers.start("again", 1.0)
    timers.start("other", 1.0)
    timers.tell(0.0)
    timers.tell(5.0)
    assert timers.next_due() == "again"
    timers.stop("other")
    timers.start("again", 0.0)  # not at once, or this would never end
    assert timers.next_due() is None
    assert first(timers) == 5.0
    timers.tell(5.0)
    assert due(timers) == ["again"]


class Heavy:
    """What names a timer of an exchange, with its request and its answer."""


def test_a_timer_that_was_stopped_holds_on_to_nothing() -> None:
    timers = Timers[Heavy]()
    heavy = Heavy()
    gone = weakref.ref(heavy)
    timers.start(heavy, 60.0)
    timers.tell(0.0)
    timers.stop(heavy)
    del heavy
    gc.collect()
    assert gone() is None


def test_timers_that_were_stopped_do_not_pile_up() -> None:
    timers = Timers[str]()
    timers.start("last", 1000.0)
    timers.start("first", 500.0)
    timers.tell(0.0)
    before = sys.getsizeof(vars(timers)["_heap"])
    for _ in range(5000):
        timers.start("short", 900.0)
        timers.tell(0.0)
        timers.stop("short")
    assert sys.getsizeof(vars(timers)["_heap"]) < before + 5000
    timers.tell(1000.0)
    assert due(timers) == ["first", "last"]


@attrs.define
class Deadline:
    """A timer of the naive model."""

    name: str
    delay: float
    when: float | None = None  # None: counts from the next time told
    by: bool = False


class TimersAgainstAList(RuleBasedStateMachine):
    """The same is asked of the timers and of a list that is searched each time."""

    reached: ClassVar[set[str]] = set()
    names = st.sampled_from("abc")
    by = st.sampled_from("xy")  # names of ``start_by``
    delays = st.sampled_from([0.0, 1.0, 2.0, 5.0, None])
    steps = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 10.0])

    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[str] = Timers()
        self.model: list[Deadline] = []
        self.now = -math.inf
        self.asked = False
        self.told = False
        self.fired: list[str] = []

    @rule(name=names, delay=delays)
    def start(self, name: str, delay: float | None) -> None:
        self.timers.start(name, delay)
        self.model_start(name, delay)

    def act(self, name: str, again: float | None, stops: bool) -> None:
        """A timer that is due starts again, and sometimes stops the next one."""
        assert name in self.due()
        self.fired.append(name)
        if name in "xy":
            self.model_stop(name)
        else:
            self.timers.start(name, again)
            self.model_start(name, again)
        if stops:
            other = "bcaba"["abcxy".index(name)]
            if other in self.due():
                self.reached.add("stopped by an action")
            self.timers.stop(other)
            self.model_stop(other)

    def model_start(self, name: str, delay: float | None) -> None:
        self.model_stop(name)
        if delay is not None:
            self.model.append(
                Deadline(name, delay, self.now + delay if self.told and delay else None)
            )

    def model_stop(self, name: str) -> None:
        self.model = [deadline for deadline in self.model if deadline.name != name]

    @rule(name=by, when=st.sampled_from([-5.0, 0.0, 1.0, 20.0]))
    def start_by(self, name: str, when: float) -> None:
        self.timers.start_by(name, when)
        before = [d.when for d in self.model if d.name == name and d.by]
        if not before or when < (before[0] or 0.0):
            self.model_stop(name)
            self.model.append(Deadline(name, 0.0, when, by=True))

    @rule(name=names | by)
    def stop(self, name: str) -> None:
        self.timers.stop(name)
        self.model_stop(name)

    @rule()
    def ask_for_time(self) -> None:
        self.timers.ask_for_time()
        self.asked, self.told = True, False

    @rule(step=steps)
    def tell(self, step: float) -> None:
        now = step if self.now == -math.inf else self.now + step
        self.timers.tell(now)
        self.now = max(self.now, now)
        self.asked, self.told = False, True
        counted = [deadline for deadline in self.model if deadline.when is None]
        for deadline in counted:
            deadline.when = self.now + deadline.delay
        # What counts from now on comes behind all that had a time before, where these are the same.
        self.model = [deadline for deadline in self.model if deadline not in counted] + counted

    @rule()
    def tell_nothing(self) -> None:
        self.timers.tell(None)
        self.told = False

    @precondition(lambda self: len(self.model) > 1)
    @rule()
    def much_time_passes(self) -> None:
        self.tell(0.0)
        self.tell(10.0)
        self.fire(again=None, stops=False)

    @rule(again=delays, stops=st.booleans())
    def fire(self, again: float | None, stops: bool) -> None:
        self.fired.clear()
        due = self.due()
        while (name := self.timers.next_due()) is not None:
            self.act(name, again, stops)
        assert self.fired == [name for name in due if name in self.fired]  # once, in their order
        assert not self.due()  # the others were stopped by these
        if len(self.fired) > 1:
            self.reached.add("several fired")

    def due(self) -> list[str]:
        """The names of what has passed, in order: the model's list is in order of starting."""
        passed = [d for d in self.model if d.when is not None and d.when <= self.now]
        return [d.name for d in sorted(passed, key=lambda d: d.when or 0.0)]

    @invariant()
    def the_next_deadline_is_the_smallest(self) -> None:
        assert self.timers.now == self.now
        deadline = first(self.timers)
        if self.asked or any(d.when is None for d in self.model):
            assert deadline is not None
            assert deadline <= (0.0 if self.now == -math.inf else self.now)
        else:
            assert deadline == min((d.when for d in self.model if d.when is not None), default=None)


TestTimersAgainstAList = TimersAgainstAList.TestCase


@pytest.mark.exhaustive
def test_the_machine_gets_everywhere() -> None:
    TimersAgainstAList.reached.clear()
    run_state_machine_as_test(
        TimersAgainstAList, settings=settings(max_examples=500, derandomize=True, database=None)
    )
    assert TimersAgainstAList.reached == {"stopped by an action", "several fired"}
