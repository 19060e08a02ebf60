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
        self.now = now
        self._last = 0
        self._numbers: dict[Name, int] = {}  # of those that run
        self._running: dict[int, Name] = {}
        # Stopped deadlines stay here, as bare numbers, until they surface or outnumber the others.
        self._heap: list[tuple[float, int]] = []

    def start(self, name: Name, seconds: float) -> None:
        """(Re)start the deadline *name*: so many seconds from now."""
        self.start_at(name, self.now + seconds)

    def start_at(self, name: Name, when: float) -> None:
        """(Re)start the deadline *name*: at *when*, in monotonic seconds."""
        if name in self._numbers:
            self.stop(name)
        self._last += 1
        self._numbers[name] = self._last
        self._running[self._last] = name
        heapq.heappush(self._heap, (when, self._last))

    def stop(self, name: Name) -> None:
        """Stop the deadline *name*, if it runs."""
        number = self._numbers.pop(name, None)
        if number is not None:
            del self._running[number]
            if len(self._heap) > 2 * len(self._running) + _SPARE:
                self._heap = [entry for entry in self._heap if entry[1] in self._running]
                heapq.heapify(self._heap)

    def next_deadline(self) -> float | None:
        """When ``next_due`` has the next name, in monotonic seconds; None: never."""
        while self._heap and self._heap[0][1] not in self._running:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def next_due(self) -> Name | None:
        """Stop the next deadline that has passed, and return its name; None: no more."""
        when = self.next_deadline()
        if when is None or when > self.now:
            return None
        name = self._running[heapq.heappop(self._heap)[1]]
        self.stop(name)
        return name
