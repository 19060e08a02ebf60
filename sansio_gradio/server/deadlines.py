"""Named deadlines, told the time from outside."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable


class Deadlines:
    """What is to be done when."""

    def __init__(self) -> None:
        self._serial = 0
        self._set: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []  # those stopped stay until they surface

    def set(self, name: Hashable, when: float, action: Callable[[], None]) -> None:
        """(Re)set the deadline *name*."""
        self._serial += 1
        self._set[name] = (self._serial, action)
        heapq.heappush(self._heap, (when, self._serial, name))

    def stop(self, name: Hashable) -> None:
        self._set.pop(name, None)

    def next(self) -> float | None:
        """The earliest deadline, None if there is none."""
        while self._heap:
            when, serial, name = self._heap[0]
            if name in self._set and self._set[name][0] == serial:
                return when
            heapq.heappop(self._heap)
        return None

    def fire(self, now: float) -> None:
        """Do what is due."""
        while (when := self.next()) is not None and when <= now:
            _, _, name = heapq.heappop(self._heap)
            self._set.pop(name)[1]()
