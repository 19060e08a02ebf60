"""Deadlines without a clock: every verb that has to do with time tells it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from typing import Final

_SPARE: Final = 64  # of those that were stopped; few are not worth looking for


class Deadlines:
    """What is to be done when. ``now`` is the time last told, in monotonic seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._serial = 0
        self._active: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        # Those that were stopped stay until they surface or outnumber those that were not.
        self._heap: list[tuple[float, int, Hashable]] = []

    def start(self, name: Hashable, seconds: float, action: Callable[[], None]) -> None:
        """(Re)start the deadline *name*, so many seconds from now."""
        self.stop(name)
        self._serial += 1
        self._active[name] = (self._serial, action)
        heapq.heappush(self._heap, (self.now + seconds, self._serial, name))

    def stop(self, name: Hashable) -> None:
        self._active.pop(name, None)
        if len(self._heap) > 2 * len(self._active) + _SPARE:
            self._heap = [entry for entry in self._heap if self._is_active(entry)]
            heapq.heapify(self._heap)

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if there is none."""
        while self._heap and not self._is_active(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _is_active(self, entry: tuple[float, int, Hashable]) -> bool:
        _, serial, name = entry
        return name in self._active and self._active[name][0] == serial

    def fire(self) -> None:
        """Do what is due."""
        while (when := self.next_deadline()) is not None and when <= self.now:
            _, _, name = heapq.heappop(self._heap)
            self._active.pop(name)[1]()
