"""Timers that learn the time only from calls with ``now``.

A user's call has no ``now``, so a timer that it starts counts from the next ``now``. Until then
``next_deadline`` is in the past, so the driver tells the time at once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import number

JITTER: Final = 1.0
"""Seconds that a time may be before the last one, since another thread may have told a later time
in between. Then the later time stays."""

Name = TypeVar("Name", bound=Hashable)


class Timers(Generic[Name]):
    """Timers that may start before the time is known. The name says what is due.

    ``wall_offset``: POSIX time minus ``now``, in seconds; None: not known.
    """

    def __init__(self, wall_offset: float | None = None) -> None:
        self.now: float = -math.inf
        """The last time told, in monotonic seconds."""
        self._deadlines = Deadlines[Name](self.now)
        self._wall_offset = None if wall_offset is None else number(wall_offset, "wall_offset")
        self.wall_now: float = self._wall_offset or 0.0  # a job may end before any time is told
        """The last time told in POSIX seconds, or unchanged if the offset is not known."""
        self.has_changed = False
        """``next_deadline`` may give another time than it did before."""
        self._unanchored: dict[Name, float] = {}
        self._absolute: dict[Name, float] = {}  # of those of ``start_by``
        self._stale = False

    @property
    def date(self) -> float | None:
        """The last time told in POSIX seconds, to be compared with dates; None: not known."""
        return None if self._wall_offset is None else self.wall_now

    def start(self, name: Name, seconds: float | None) -> None:
        """(Re)start the timer *name*; None or infinity stops it."""
        if seconds is None or seconds == math.inf:
            self.stop(name)
        else:
            self.stop(name)  # so that it comes behind those that were started before
            self._unanchored[name] = seconds
            self.has_changed = True

    def start_by(self, name: Name, when: float) -> None:
        """Let the timer *name* pass at *when* (monotonic seconds), or sooner if it was due
        sooner."""
        if when < self._absolute.get(name, math.inf):
            self._unanchored.pop(name, None)
            self._deadlines.start_at(name, when)
            self._absolute[name] = when

    def stop(self, name: Name) -> None:
        """Stop the timer *name*, if it runs."""
        self._deadlines.stop(name)
        self._unanchored.pop(name, None)
        self._absolute.pop(name, None)

    def ask_for_time(self) -> None:
        """Let ``next_deadline`` be in the past until the time is told: there is something new to
        do."""
        self._stale = self.has_changed = True

    def tell(self, now: float | None) -> None:
        """Note the time; None is ignored. The time never runs backwards.

        Raises:
            LocalProtocolError: it is before the last one by more than ``JITTER``, or is no number.
        """
        if now is None:
            return
        if not now >= self.now:
            if not now >= self.now - JITTER:
                raise LocalProtocolError(
                    f"The time ran backwards, from {self.now} to {now}: tell one monotonic clock."
                )
            now = self.now
        self.now = self._deadlines.now = now
        self.wall_now = now + (self._wall_offset or 0.0)
        if self._stale:
            self._stale, self.has_changed = False, True
        if self._unanchored:
            for name, seconds in self._unanchored.items():
                self._deadlines.start_at(name, now + seconds)
            self._unanchored.clear()
            self.has_changed = True

    def next_deadline(self) -> float | None:
        """When ``next_due`` will have the next name. It may be in the past. None: never."""
        self.has_changed = False
        if self._stale or self._unanchored:
            return self.now if self.now > -math.inf else 0.0
        return self._deadlines.next_deadline()

    def next_due(self) -> Name | None:
        """Stop the next timer that has passed, and return its name; None: no more."""
        self.has_changed = True
        name = self._deadlines.next_due()
        if name is not None:
            self._absolute.pop(name, None)
        return name
