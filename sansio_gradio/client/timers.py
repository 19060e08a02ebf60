"""Timers that learn the time only from calls with ``now``.

A timer counts from the time last told. But a user's call has no ``now``, so a timer that it starts
counts from the next ``now``. Until then ``due`` is in the past, so the driver tells the time at
once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, TypeVar

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import number

JITTER: Final = 1.0
"""Seconds that a time may be before the last one, since another thread may have told a later time
in between. Then the later time stays."""


Name = TypeVar("Name", bound=Hashable)


class Timers(Deadlines[Name]):
    """Deadlines that may start before the time is known.

    ``wall_offset``: POSIX time minus ``now``, in seconds; None: not known.
    """

    def __init__(self, wall_offset: float | None = None) -> None:
        super().__init__(-math.inf)
        self._wall_offset = None if wall_offset is None else number(wall_offset, "wall_offset")
        self.wall_now: float = self._wall_offset or 0.0  # a job may end before any time is told
        """The last time told in POSIX seconds, or unchanged if the offset is not known."""
        self._seconds: dict[int, float] = {}  # from the next time on, by the number of the timer
        self._is_asked = False  # since the last time was told
        self._past = 0.0  # a time that has passed: the last one, or one before all of them
        self._is_current = False  # the last time is that of the call under way

    @property
    def date(self) -> float | None:
        """The last time told in POSIX seconds, to be compared with dates; None: not known."""
        return None if self._wall_offset is None else self.wall_now

    def start(self, name: Name, seconds: float | None) -> None:
        """(Re)start the timer *name*, behind all others of that time; None or infinity stops it.

        Without *seconds* left it passes when the time is told again, which may be the same time.
        """
        if seconds is None or seconds == math.inf:
            self.stop(name)
        elif self._is_current and seconds > 0.0:
            self.start_at(name, self.now + seconds)
        else:
            if name in self._times:
                self.stop(name)
            self._last += 1
            self._times[name] = -math.inf, self._last
            self._running[self._last] = name
            self._seconds[self._last] = seconds
            self.due = self._past

    def start_by(self, name: Name, when: float) -> None:
        """Let the timer *name* pass at *when* (monotonic seconds), or sooner if it was due sooner.

        ``start`` is for other names.
        """
        if name not in self._times or when < self._times[name][0]:
            self.start_at(name, when)

    def ask_for_time(self) -> None:
        """The application has asked for something, at a time that is not known.

        Let ``due`` be in the past until the time is told.
        """
        self._is_current = False
        self._is_asked = True
        self.due = self._past

    def tell(self, now: float | None) -> None:
        """Note the time; None: it is not known now. The time never runs backwards.

        Raises:
            LocalProtocolError: it is before the last one by more than ``JITTER``, or is no number.
        """
        self._is_current = now is not None
        if now is None:
            return
        if not now >= self.now:
            if not now >= self.now - JITTER:
                raise LocalProtocolError(
                    f"The time ran backwards, from {self.now} to {now}: tell one monotonic clock."
                )
            now = self.now
        self.now = self._past = now
        self.wall_now = now + (self._wall_offset or 0.0)
        if self._seconds or self._is_asked:
            self._anchor()

    def _anchor(self) -> None:
        """Let the timers count that wait for the time."""
        self._is_asked = False
        waiting, self._seconds = self._seconds, {}
        self._settle()
        for which, seconds in waiting.items():
            if which in self._running:  # it was neither stopped nor started again
                self.start_at(self._running[which], self.now + seconds)

    def _settle(self) -> None:
        if self._is_asked or not self._running.keys().isdisjoint(self._seconds):
            self.due = self._past
        else:
            super()._settle()
