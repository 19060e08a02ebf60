"""Sockets that are polled, and what is driven by them: what ``Loop`` and ``ServerLoop`` share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, Self

from sansio_gradio.given import patience, seconds
from sansio_gradio_adapters._network import READ_SIZE, Network, Receiver

_SMALL_READ: Final = 4 * 1024
"""Bytes that are read at a time under a budget: a millisecond's work at the very most, mostly."""
_MOST: Final = 64 * READ_SIZE
"""Bytes that are read, at most, before a deadline that has passed counts."""


class Driven(Receiver, Protocol):
    """What is told of the sockets, and takes a step then."""

    due: float | None
    """The first deadline, as of the last step that handled them."""

    def next_deadline(self) -> float | None:
        """When a step is due even if nothing happens."""
        ...

    def step(self, now: float, *, timers: bool, is_enough: Callable[[], bool]) -> bool:
        """Do what is due. Returns whether there was an event.

        Not *timers*: no deadline passes yet. *is_enough*: whether to leave the rest to the next
        step.
        """
        ...


def _never() -> bool:
    return False


class Polled:
    """Call everything from one thread, except ``wake``."""

    def __init__(
        self, network: Network, driver: Driven, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._network = network
        self._driver: Driven = driver
        network.tell(driver)
        self._closed = False
        self._is_cut_short = False  # the last poll: there may be more to do
        self._has_news = False  # the network, since the last step
        self._read_late = 0  # bytes, at most, that were read while a deadline has passed
        self.ring = network.ring
        """As ``wake``, but written in C; OSError: there is no need."""

    def run_once(self, timeout: float | None = None) -> None:
        """Do the work that is due. If there is none, wait for it, at most *timeout* seconds.

        Returns when something has happened, with or without an event.
        """
        self.wait(timeout)
        self.step()

    def wait(self, timeout: float | None = None) -> None:
        """The first half of ``run_once``: wait, and read what has come."""
        if self._is_cut_short:
            timeout = 0.0
        elif timeout is not None:
            timeout = patience(timeout)
        due = self._driver.next_deadline()  # the network knows its own
        if due is not None:
            left = max(0.0, due - self._clock())
            timeout = left if timeout is None else min(left, timeout)
        self._has_news = self._network.wait(timeout)

    def step(self) -> None:
        """The second half of ``run_once``: carry out commands, and hand out events."""
        now, timers = self._clock(), True
        due = self._driver.due
        if due is not None and due <= now:
            now, timers = self._hear_more(now)
        else:
            self._read_late = 0
        self._has_news = False
        self._driver.step(now, timers=timers, is_enough=_never)
        self._is_cut_short = not timers

    def poll(self, budget: float | None = None) -> None:
        """Do the work that is due, without waiting.

        ``budget``: work for about so many seconds at most, and leave the rest to the next call. A
        little is done in any case. Until nothing is left ``fileno`` can be read from, or
        ``patience`` is 0.
        """
        if budget is None:
            self.run_once(0.0)
            return
        until = self._clock() + seconds(budget, "budget")

        def is_enough() -> bool:
            return self._clock() >= until

        self._network.read_size = _SMALL_READ
        try:
            while True:
                now = self._clock()
                if found := self._network.tell_one():
                    now = self._clock()  # the engine was told a later one
                self._read_late += _SMALL_READ
                timers = not (found and self._must_hear_more(now))
                handled = self._driver.step(now, timers=timers, is_enough=is_enough)
                self._is_cut_short = (found or handled) and is_enough()
                if self._is_cut_short or not found:
                    return
        finally:
            self._network.read_size = READ_SIZE

    def _hear_more(self, now: float) -> tuple[float, bool]:
        """A deadline has passed: read what was there by then. Returns the time, and whether the
        deadline counts now."""
        is_late = self._must_hear_more(now)
        while is_late and self._network.wait(0.0):
            self._has_news = True
            self._read_late += READ_SIZE
            now = self._clock()  # the engine was told a later one
            is_late = self._must_hear_more(now)
        return now, not (is_late and self._has_news)

    def _must_hear_more(self, now: float) -> bool:
        """Whether a deadline has passed; what the network has by then is told before it counts."""
        due = self._driver.due
        if due is None or due > now:
            self._read_late = 0
            return False
        return self._read_late < _MOST

    def fileno(self) -> int:
        """A descriptor for loops that watch descriptors: when it is readable, ``poll`` is due.

        Raises:
            LocalProtocolError: this system has no such descriptor (Windows): call ``poll`` often
                instead.
        """
        return self._network.fileno()

    def patience(self) -> float | None:
        """Seconds until ``poll`` is due even if the descriptor is not readable; None: never.

        Ask after each ``poll``, and after each call of a session.
        """
        if self._is_cut_short:
            return 0.0
        # What was asked of the engine since the last time has made its deadline pass.
        first, own = self._driver.next_deadline(), self._network.next_deadline()
        if first is None or (own is not None and own < first):
            first = own
        return None if first is None else max(0.0, first - self._clock())

    def wake(self) -> None:
        """Make ``run_once`` return soon. May be called from any thread."""
        self._network.wake()

    def close(self) -> None:
        """Close all sockets at once; the engine is told nothing. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._network.shut_down()

    def let_go(self) -> None:
        """In a forked process: close its copies of the descriptors, and no connection."""
        self._network.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
