"""Deadlines without a clock.

The machines above are told the time only by verbs that carry ``now``. What a user asks carries
none, so a timer started by it counts from the next ``now``; until then ``next_deadline`` is in the
past, which makes a driver tell the time at once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from typing import TypeAlias

Action: TypeAlias = Callable[[], None]


class Timers:
    """Named deadlines, each with the action to take when it passes."""

    def __init__(self) -> None:
        self.now = -math.inf
        """The last time told, in monotonic seconds."""
        self._serial = 0
        self._active: dict[Hashable, tuple[int, Action]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []  # stopped timers stay until they surface
        self._unanchored: dict[Hashable, float] = {}
        self._stale = False

    def start(self, name: Hashable, delay: float | None, action: Action) -> None:
        """(Re)start the timer *name*; a *delay* of None (seconds) stops it."""
        self.stop(name)
        if delay is None:
            return
        self._serial += 1
        self._active[name] = (self._serial, action)
        self._unanchored[name] = delay

    def stop(self, name: Hashable) -> None:
        self._active.pop(name, None)
        self._unanchored.pop(name, None)

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
            for name, delay in self._unanchored.items():
                serial, _ = self._active[name]
                heapq.heappush(self._heap, (self.now + delay, serial, name))
            self._unanchored.clear()

    def fire(self) -> None:
        """Take the actions of all timers that have passed."""
        while self._heap and self._heap[0][0] <= self.now:
            _, serial, name = heapq.heappop(self._heap)
            current = self._active.get(name)
            if current is not None and current[0] == serial:
                del self._active[name]
                current[1]()

    def next_deadline(self) -> float | None:
        """When ``fire`` is next of use, in monotonic seconds; None: never."""
        if self._stale or self._unanchored:
            return self.now if self.now > -math.inf else 0.0
        while self._heap:
            when, serial, name = self._heap[0]
            current = self._active.get(name)
            if current is not None and current[0] == serial:
                return when
            heapq.heappop(self._heap)
        return None
