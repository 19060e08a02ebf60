"""Deadlines without a clock: the time is told by whoever knows it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

_SPARE: Final = 64  # of those that were stopped; few are not worth looking for

Action: TypeAlias = Callable[[], None]


class Deadlines:
    """Named deadlines, each with the action to take when it passes.

    ``now`` is the time last told, in monotonic seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._last = 0
        self._numbers: dict[Hashable, int] = {}  # of those that run, by name
        self._running: dict[int, tuple[Hashable, Action]] = {}
        # Those that were stopped stay until they surface or outnumber those that run: as numbers,
        # without what they held.
        self._heap: list[tuple[float, int]] = []

    def start(self, name: Hashable, seconds: float, action: Action) -> None:
        """(Re)start the deadline *name*, so many seconds from now."""
        self.start_at(name, self.now + seconds, action)

    def start_at(self, name: Hashable, when: float, action: Action) -> None:
        """(Re)start the deadline *name*, at *when* (monotonic seconds)."""
        self.stop(name)
        self._last += 1
        self._numbers[name] = self._last
        self._running[self._last] = (name, action)
        heapq.heappush(self._heap, (when, self._last))

    def stop(self, name: Hashable) -> None:
        number = self._numbers.pop(name, None)
        if number is not None:
            del self._running[number]
            if len(self._heap) > 2 * len(self._running) + _SPARE:
                self._heap = [entry for entry in self._heap if entry[1] in self._running]
                heapq.heapify(self._heap)

    def next_deadline(self) -> float | None:
        """When ``fire`` is next of use, in monotonic seconds; None: never."""
        while self._heap and self._heap[0][1] not in self._running:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire(self) -> None:
        """Take the actions of all deadlines that have passed."""
        while self._heap and self._heap[0][0] <= self.now:
            _, number = heapq.heappop(self._heap)
            if number in self._running:
                name, action = self._running[number]
                self.stop(name)
                action()
