"""Deadlines without a clock: every verb that has to do with time tells it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable


class Deadlines:
    """What is to be done when. ``now`` is the time last told, in monotonic seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._serial = 0
        self._active: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []  # those stopped stay until they surface

    def start(self, name: Hashable, seconds: float, action: Callable[[], None]) -> None:
        """(Re)start the deadline *name*, so many seconds from now."""
        self._serial += 1
        self._active[name] = (self._serial, action)
        heapq.heappush(self._heap, (self.now + seconds, self._serial, name))

    def stop(self, name: Hashable) -> None:
        self._active.pop(name, None)

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if there is none."""
        while self._heap:
            when, serial, name = self._heap[0]
            active = self._active.get(name)
            if active is not None and active[0] == serial:
                return when
            heapq.heappop(self._heap)
        return None

    def fire(self) -> None:
        """Do what is due."""
        while (when := self.next_deadline()) is not None and when <= self.now:
            _, _, name = heapq.heappop(self._heap)
            self._active.pop(name)[1]()
