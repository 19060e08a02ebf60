"""A server's engine, its functions and a network, joined: what a polled server does at each step.

Rule 1: a step is synchronous, and everything but the functions happens in one thread.

Rule 2: a connection that the engine is done with is closed when its client has taken everything, or
takes nothing for ``ServerLimits.stall`` seconds.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import GradioError
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import Storage
from sansio_gradio.server.engine import Disconnect, ServerEngine
from sansio_gradio.server.events import ServerEvent
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters._network import Network
from sansio_gradio_adapters._running import Runner, Tasks

if TYPE_CHECKING:
    import ssl

    from sansio_gradio_adapters.tls import TLSWrapper

UNSENT: Final = 16 * 1024  # bytes that the system takes before the client has room for them
STALLS_TO_VANISH: Final = 3  # a client may lose its network for a while
_WRITE: Final = 64 * 1024

_log: Final = logging.getLogger(__name__)


def watch_client(sock: socket.socket, stall: float) -> None:
    """Have a slow reader be seen to read, and one that has vanished be seen to be gone.

    The system tells us of every piece of ``UNSENT`` bytes that was sent, and it loses a connection
    on which nothing is acknowledged for some times *stall* seconds (Linux; elsewhere as it likes).
    """
    with suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    with suppress(OSError, AttributeError):
        milliseconds = int(min(stall * STALLS_TO_VANISH * 1000, 2**31 - 1))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def log_cut(command: Disconnect) -> None:
    """Log that a connection was cut, if it was."""
    if command.why is not None:
        _log.warning("a connection was cut: %s", command.why)


class ServerDriver:
    """Drives the server of *app*. ``tasks``: of the event loop that polls it; None: none does."""

    def __init__(
        self,
        app: App,
        network: Network,
        *,
        clock: Callable[[], float],
        ssl_context: ssl.SSLContext | None,
        tasks: Tasks | None,
        max_threads: int,
        limits: ServerLimits | None,
        on_event: Callable[[ServerEvent], object] | None,
        storage: Storage | None,
    ) -> None:
        limits = limits or ServerLimits()
        self.scheme = "http" if ssl_context is None else "https"
        self.due: float | None = None
        self.engine = ServerEngine(
            app,
            entropy=os.urandom,
            wall_offset=time.time() - clock(),
            limits=limits,
            storage=storage,
        )
        self.runner = Runner(
            self.engine,
            self._told,
            call_soon=self._call_soon,
            clock=clock,
            tasks=tasks,
            max_threads=max_threads,
            on_event=on_event,
        )
        self._network = network
        self._clock = clock
        self._ssl_context = ssl_context
        self._stall = limits.stall
        self._tls: dict[int, TLSWrapper] = {}
        self._count = 0
        self._is_over = False
        # Connections that are to be closed: due when their clients have taken nothing for long.
        self._closing: set[int] = set()
        self._finished: list[int] = []
        self._deadlines = Deadlines[int]()

    def accept(self, sock: socket.socket, now: float) -> None:
        """A client has connected."""
        conn = self._count
        self._count += 1
        watch_client(sock, self._stall)
        if self._ssl_context is not None:
            from sansio_gradio_adapters.tls import TLSWrapper  # noqa: PLC0415  # it takes long

            self._tls[conn] = TLSWrapper(self._ssl_context, "The client", server_side=True)
        self.engine.connection_made(conn, now, scheme=self.scheme)
        self._network.adopt(conn, sock)

    # Told by the network

    def opened(self, conn: int, now: float) -> None:
        """We connect to nobody."""

    def received(self, conn: int, data: bytes, now: float) -> None:
        """Bytes have come; ``b""``: the client's end."""
        tls = self._tls.get(conn)
        if tls is None:
            self.engine.receive_data(conn, data, now)
            return
        try:
            plaintext = tls.receive(data)
        except GradioError as error:  # no TLS, or cut
            self._close(conn, tls.data_to_send())
            self.engine.connection_lost(conn, error, now)
            return
        if plaintext:
            self.engine.receive_data(conn, plaintext, now)
        if tls.peer_closed:
            self.engine.receive_data(conn, b"", now)
        self._network.wake_writer(conn)

    def lost(self, conn: int, error: GradioError, now: float) -> None:
        """The connection broke; the network has forgotten it."""
        self._forget(conn)
        self.engine.connection_lost(conn, error, now)

    def data_to_send(self, conn: int) -> bytes:
        """The next bytes to send, all of them; ``b""``: nothing."""
        tls = self._tls.get(conn)
        data = tls.data_to_send() if tls is not None else b""
        if tls is None:
            data = self.engine.data_to_send(conn, _WRITE)
        elif tls.established and not data:
            with suppress(GradioError):  # it is broken: the next bytes to come will say so
                data = tls.send(self.engine.data_to_send(conn, _WRITE))
        if conn in self._closing:
            if data:
                self._watch(conn)
            else:
                self._finished.append(conn)
        return data

    # Steps

    def next_deadline(self) -> float | None:
        """When a step is due even if nothing happens."""
        times = (self.engine.next_deadline(), self._deadlines.due)
        return min((when for when in times if when is not None), default=None)

    def step(self, now: float, *, timers: bool, is_enough: Callable[[], bool]) -> bool:
        """Do what is due. Returns whether there was an event."""
        if timers:
            self.engine.handle_timer(now)
            self._deadlines.now = now
            while (conn := self._deadlines.next_due()) is not None:
                self._cut(conn)
        event = self.engine.next_event()
        handled = event is not None
        while True:
            while event is not None:
                self.runner.handle(event)
                if is_enough():
                    return True
                event = self.engine.next_event()
            for conn in self.engine.connections_with_data():
                self._network.wake_writer(conn)
            event = self.engine.next_event()  # a client may have caught up
            if event is None:
                break
        while (command := self.engine.next_command()) is not None:
            self._disconnect(command)
        for conn in self._finished:
            tls = self._tls.get(conn)
            self._close(conn, b"" if tls is None else tls.close())
        self._finished.clear()
        self.due = self.next_deadline()
        return handled

    def stop(self, when_idle: Callable[[], object]) -> None:
        """Go down: tell every stream, and cancel what runs. *when_idle*: all of that has ended."""
        self.engine.stop(self._clock())
        self._told()
        self.runner.cancel(when_idle)

    def end(self) -> None:
        """Nothing is done any more. Threads that go on are told when they next say something."""
        self._is_over = True

    def _told(self) -> None:
        """A function has said something."""
        due = self.due
        self.step(self._clock(), timers=False, is_enough=lambda: False)
        if self.due != due:
            self._network.wake()  # the time until which ``wait`` waits has changed

    def _call_soon(self, action: Callable[[], None]) -> None:
        if self._is_over:
            raise RuntimeError("The server is closed.")
        self._network.call_soon(partial(_do, action))

    # The end of connections

    def _disconnect(self, command: Disconnect) -> None:
        log_cut(command)
        if command.at_once:
            self._cut(command.conn)
        else:
            self._closing.add(command.conn)
            self._watch(command.conn)
            self._network.wake_writer(command.conn)

    def _watch(self, conn: int) -> None:
        self._deadlines.now = self._clock()
        self._deadlines.start(conn, self._stall)

    def _close(self, conn: int, last: bytes) -> None:
        self._forget(conn)
        self._network.close(conn, last)

    def _cut(self, conn: int) -> None:
        """Close a connection whose client takes nothing."""
        self._forget(conn)
        self._network.reset(conn)

    def _forget(self, conn: int) -> None:
        self._tls.pop(conn, None)
        self._closing.discard(conn)
        self._deadlines.stop(conn)


def _do(action: Callable[[], None], _now: float) -> None:
    action()
