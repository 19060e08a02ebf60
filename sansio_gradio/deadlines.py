"""Deadlines without a clock: the caller tells the time."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_SPARE: Final = 64  # stopped deadlines that are not worth removing

Name = TypeVar("Name", bound=Hashable)


class Deadlines(Generic[Name]):
    """Deadlines by name. ``now`` is the time last told, in monotonic seconds.

    A name has one deadline at a time. ``next_due`` returns the names whose deadline has passed, so
    a name tells its owner what to do.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now: float = now
        self.due: float | None = None
        """When ``next_due`` has the next name, in monotonic seconds; None: never."""
        self._last = 0
        self._times: dict[Name, tuple[float, int]] = {}  # of those that run: when, and a number
        self._running: dict[int, Name] = {}  # by that number
        # Stopped deadlines stay here, without their names, until they surface or outnumber the
        # others.
        self._heap: list[tuple[float, int]] = []

    def start(self, name: Name, seconds: float) -> None:
        """(Re)start the deadline *name*: so many seconds from now."""
        self.start_at(name, self.now + seconds)

    def start_at(self, name: Name, when: float) -> None:
        """(Re)start the deadline *name*: at *when*, in monotonic seconds."""
        self._last += 1
        before = self._times.get(name)
        time = self._times[name] = when, self._last
        self._running[self._last] = name
        heapq.heappush(self._heap, time)
        if before is not None:
            del self._running[before[1]]
        if self.due is None or when < self.due:
            self.due = when
        elif before is not None and before[0] <= self.due:  # it was the first one
            self._settle()

    def stop(self, name: Name) -> None:
        """Stop the deadline *name*, if it runs."""
        time = self._times.pop(name, None)
        if time is not None:
            del self._running[time[1]]
            if len(self._heap) > 2 * len(self._running) + _SPARE:
                self._heap = [time for time in self._heap if time[1] in self._running]
                heapq.heapify(self._heap)
            if self.due is not None and time[0] <= self.due:
                self._settle()

    def next_due(self) -> Name | None:
        """Stop the next deadline that has passed, and return its name; None: no more."""
        heap = self._heap
        while heap and heap[0][0] <= self.now:
            number = heapq.heappop(heap)[1]
            if number in self._running:
                name = self._running.pop(number)
                del self._times[name]
                return name
        if self.due is not None and self.due <= self.now:
            self._settle()
        return None

    def _settle(self) -> None:
        """Find ``due`` again, after the first deadline may have changed."""
        heap, running = self._heap, self._running
        while heap and heap[0][1] not in running:
            heapq.heappop(heap)
        self.due = heap[0][0] if heap else None
