"""Deadlines without a clock.

The machines above are told the time only by verbs that carry ``now``. What a user asks carries
none, so a timer started by it counts from the next ``now``; until then ``next_deadline`` is in the
past, which makes a driver tell the time at once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

_SPARE: Final = 64  # of those that were stopped; few are not worth looking for

Action: TypeAlias = Callable[[], None]


class Timers:
    """Named deadlines, each with the action to take when it passes.

    ``wall_offset``: POSIX time minus the time that is told, in seconds; None: not known.
    """

    def __init__(self, wall_offset: float | None = None) -> None:
        self.now = -math.inf
        """The last time told, in monotonic seconds."""
        self._wall_offset = wall_offset
        self._last = 0
        self._numbers: dict[Hashable, int] = {}  # of the timers that run, by name
        self._running: dict[int, tuple[Hashable, Action]] = {}
        self._unanchored: dict[int, float] = {}
        self._absolute: dict[Hashable, float] = {}  # of those of ``start_by``
        # Timers that were stopped stay until they surface or outnumber those that run: as numbers,
        # without what they held.
        self._heap: list[tuple[float, int]] = []
        self._stale = False

    @property
    def wall_now(self) -> float | None:
        """The last time told, in POSIX seconds; None: not known."""
        if self._wall_offset is None or self.now == -math.inf:
            return None
        return self.now + self._wall_offset

    def start(self, name: Hashable, delay: float | None, action: Action) -> None:
        """(Re)start the timer *name*; a *delay* (seconds) of None or infinity stops it."""
        self.stop(name)
        if delay is not None and delay != math.inf:
            self._start(name, action)
            self._unanchored[self._last] = delay

    def _start(self, name: Hashable, action: Action) -> None:
        self._last += 1
        self._numbers[name] = self._last
        self._running[self._last] = (name, action)

    def start_by(self, name: Hashable, when: float, action: Action) -> None:
        """Have the timer *name* pass at *when* (monotonic seconds), if it would not sooner."""
        if when < self._absolute.get(name, math.inf):
            self.stop(name)
            self._start(name, action)
            self._absolute[name] = when
            heapq.heappush(self._heap, (when, self._last))

    def stop(self, name: Hashable) -> None:
        number = self._numbers.pop(name, None)
        if number is not None:
            del self._running[number]
            self._unanchored.pop(number, None)
            self._absolute.pop(name, None)
            if len(self._heap) > 2 * len(self._running) + _SPARE:
                self._heap = [entry for entry in self._heap if entry[1] in self._running]
                heapq.heapify(self._heap)

    def ask_for_time(self) -> None:
        """Make ``next_deadline`` pass until the time is told: there is something new to do."""
        self._stale = True

    def tell(self, now: float | None) -> None:
        """Note the time (None: not known, nothing happens); it never runs backwards."""
        if now is None:
            return
        self.now = max(self.now, now)
        self._stale = False
        if self._unanchored:
            for number, delay in self._unanchored.items():
                heapq.heappush(self._heap, (self.now + delay, number))
            self._unanchored.clear()

    def fire(self) -> None:
        """Take the actions of all timers that have passed."""
        while self._heap and self._heap[0][0] <= self.now:
            _, number = heapq.heappop(self._heap)
            if number in self._running:
                name, action = self._running.pop(number)
                del self._numbers[name]
                self._absolute.pop(name, None)
                action()

    def next_deadline(self) -> float | None:
        """When ``fire`` is next of use, in monotonic seconds; None: never."""
        if self._stale or self._unanchored:
            return self.now if self.now > -math.inf else 0.0
        while self._heap and self._heap[0][1] not in self._running:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
