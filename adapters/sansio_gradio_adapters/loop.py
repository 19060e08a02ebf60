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
from typing import TYPE_CHECKING, Self

from sansio_gradio.given import patience
from sansio_gradio_adapters._driver import Driver, Sink
from sansio_gradio_adapters._network import Network

if TYPE_CHECKING:
    import ssl

    from sansio_gradio.client.engine import Engine


class Loop:
    """Runs one engine. Call everything from one thread, except ``wake``."""

    def __init__(self, engine: Engine, *, ssl_context: ssl.SSLContext | None = None) -> None:
        """``ssl_context``: for https; None: the system's trust store."""
        self._engine = engine
        self._network = Network()
        self._driver = Driver(engine, self._network, ssl_context=ssl_context)
        self._network.tell(self._driver)
        self._closed = False
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
        timeout, due = patience(timeout), self.patience()
        if timeout is None or (due is not None and due < timeout):
            timeout = due
        self._network.wait(timeout)

    def step(self) -> None:
        """The second half of ``run_once``: carry out commands, and hand out events."""
        self._driver.step(time.monotonic())

    def poll(self) -> None:
        """Do the work that is due, without waiting."""
        self.run_once(0.0)

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
        # What was asked of the engine since the last time has made its deadline pass.
        deadlines = (self._engine.next_deadline(), self._network.next_deadline())
        first = min((at for at in deadlines if at is not None), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

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
