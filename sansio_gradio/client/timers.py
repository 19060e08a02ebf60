"""Deadlines of machines that are told the time only by verbs that carry ``now``.

What a user asks carries none, so a timer started by it counts from the next ``now``; until then
``next_deadline`` is in the past, which makes a driver tell the time at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Final, TypeAlias

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import number

Action: TypeAlias = Callable[[], None]

JITTER: Final = 1.0
"""Seconds that a time may be before the last one: it may have been read before another thread told
a later one. Then the later one stays."""


class Timers:
    """Deadlines that may begin before the time is known.

    ``wall_offset``: POSIX time minus the time that is told, in seconds; None: not known.
    """

    def __init__(self, wall_offset: float | None = None) -> None:
        self._deadlines = Deadlines[Hashable](-math.inf)
        self._actions: dict[Hashable, Action] = {}
        self._wall_offset = None if wall_offset is None else number(wall_offset, "wall_offset")
        self._unanchored: dict[Hashable, tuple[float, Action]] = {}
        self._absolute: dict[Hashable, float] = {}  # of those of ``start_by``
        self._stale = False

    @property
    def now(self) -> float:
        """The last time told, in monotonic seconds."""
        return self._deadlines.now

    @property
    def wall_now(self) -> float:
        """The last time told: in POSIX seconds, or as it was told if the offset is not known."""
        # A job may end before any time is told.
        return max(self.now, 0.0) + (self._wall_offset or 0.0)

    @property
    def date(self) -> float | None:
        """The last time told in POSIX seconds, to be compared with dates; None: not known."""
        return None if self._wall_offset is None else self.wall_now

    def start(self, name: Hashable, seconds: float | None, action: Action) -> None:
        """(Re)start the timer *name*; None or infinity stops it."""
        self.stop(name)
        if seconds is not None and seconds != math.inf:
            self._unanchored[name] = (seconds, action)

    def start_by(self, name: Hashable, when: float, action: Action) -> None:
        """Have the timer *name* pass at *when* (monotonic seconds), if it would not sooner."""
        if when < self._absolute.get(name, math.inf):
            self._start_at(name, when, action)
            self._absolute[name] = when

    def stop(self, name: Hashable) -> None:
        self._deadlines.stop(name)
        self._actions.pop(name, None)
        self._unanchored.pop(name, None)
        self._absolute.pop(name, None)

    def ask_for_time(self) -> None:
        """Make ``next_deadline`` pass until the time is told: there is something new to do."""
        self._stale = True

    def tell(self, now: float | None) -> None:
        """Note the time (None: not known, nothing happens); it never runs backwards.

        Raises:
            LocalProtocolError: it is before the last one by more than ``JITTER``, or is no number.
        """
        if now is None:
            return
        if not now >= self.now - JITTER:
            raise LocalProtocolError(
                f"The time ran backwards, from {self.now} to {now}: tell one monotonic clock."
            )
        self._deadlines.now = max(self.now, now)
        self._stale = False
        for name, (seconds, action) in list(self._unanchored.items()):
            self._start_at(name, self.now + seconds, action)

    def next_deadline(self) -> float | None:
        if self._stale or self._unanchored:
            return self.now if self.now > -math.inf else 0.0
        return self._deadlines.next_deadline()

    def fire(self) -> None:
        """Take the actions of all timers that have passed."""
        for _, action in self.due():
            action()

    def due(self) -> Iterator[tuple[Hashable, Action]]:
        """The timers that have passed, one by one, each stopped; take the actions."""
        while (name := self._deadlines.next_due()) is not None:
            self._absolute.pop(name, None)
            yield name, self._actions.pop(name)

    def _start_at(self, name: Hashable, when: float, action: Action) -> None:
        self.stop(name)
        self._deadlines.start_at(name, when)
        self._actions[name] = action
