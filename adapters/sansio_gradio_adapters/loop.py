"""An engine with sockets, and without a thread: to embed in an existing loop.

A game calls ``poll`` once for each frame; a tool that only waits calls ``run_once``::

    engine = Engine(entropy=os.urandom)
    session = engine.session("http://127.0.0.1:7860")
    with Loop(engine) as loop:
        loop.attach(session.id, print)
        job = session.submit("Hello", api_name="/chat")
        while ...:
            loop.run_once()
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from sansio_gradio.given import patience, seconds
from sansio_gradio_adapters._driver import Driver, Sink
from sansio_gradio_adapters._network import READ_SIZE, Network

if TYPE_CHECKING:
    import ssl

    from sansio_gradio.client.engine import Engine

_SMALL_READ: Final = 4 * 1024
"""Bytes that are read at a time under a budget: a millisecond's work at the very most, mostly."""
_MOST: Final = 64 * READ_SIZE
"""Bytes that are read, at most, before a deadline that has passed counts."""


class Loop:
    """Runs one engine. Call everything from one thread, except ``wake``."""

    def __init__(
        self,
        engine: Engine,
        *,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ssl_context``: for https; None: the system's trust store.

        ``clock`` tells the time, in monotonic seconds.
        """
        self._engine = engine
        self._clock = clock
        self._network = Network(clock)
        self._driver = Driver(engine, self._network, ssl_context=ssl_context, clock=clock)
        self._network.tell(self._driver)
        self._closed = False
        self._is_cut_short = False  # the last poll: there may be more to do
        self._has_news = False  # the network, since the last step
        self._read_late = 0  # bytes, at most, that were read while a deadline has passed
        self.ring = self._network.ring
        """As ``wake``, but written in C; OSError: there is no need."""

    def attach(self, session: int, sink: Sink) -> None:
        """Hand the events of a session to *sink*, which is called in ``run_once`` and ``poll``.

        The value of an ``Output`` must be taken before *sink* returns.
        """
        self._driver.sinks[session] = sink

    def detach(self, session: int) -> None:
        """Drop the events of a session from now on."""
        self._driver.sinks.pop(session, None)

    def run_once(self, timeout: float | None = None) -> None:
        """Do the work that is due. If there is none, wait for it, at most *timeout* seconds.

        Returns when something has happened, with or without an event.
        """
        self.wait(timeout)
        self.step()

    def wait(self, timeout: float | None = None) -> None:
        """The first half of ``run_once``: wait, and read what has come."""
        timeout = 0.0 if self._is_cut_short else patience(timeout)
        due = self._engine.next_deadline()  # the network knows its own
        if due is not None:
            left = max(0.0, due - self._clock())
            timeout = left if timeout is None else min(left, timeout)
        self._has_news = self._network.wait(timeout)

    def step(self) -> None:
        """The second half of ``run_once``: carry out commands, and hand out events."""
        now = self._clock()
        is_late = self._must_hear_more(now)
        while is_late and self._network.wait(0.0):
            self._has_news = True
            self._read_late += READ_SIZE
            is_late = self._must_hear_more(now)
        timers = not (is_late and self._has_news)
        self._has_news = False
        self._driver.step(now, timers=timers)
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
                found = self._network.tell_one()
                self._read_late += _SMALL_READ
                timers = not (found and self._must_hear_more(now))
                self._driver.step(now, timers=timers, is_enough=is_enough)
                self._is_cut_short = is_enough()
                if self._is_cut_short or not found:
                    return
        finally:
            self._network.read_size = READ_SIZE

    def _must_hear_more(self, now: float) -> bool:
        """Whether a deadline has passed; what the network has by then is told before it counts."""
        if not self._driver.is_late(now):
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
        first, own = self._engine.next_deadline(), self._network.next_deadline()
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
