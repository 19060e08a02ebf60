"""A world of tasks for event loops that can wait until a descriptor is readable.

Connections are non-blocking sockets of our own, all behind one descriptor.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._machine import Machine, Rest, TaskWorld
from sansio_gradio_adapters._network import Network

if TYPE_CHECKING:
    import ssl


_DAY: Final = 86_400.0  # seconds


class WatchedWorld(TaskWorld):
    """All verbs but ``wait_for``; in return a task, from before the client is opened on, does this:

    while ``is_running``, wait until ``fileno`` is readable, at most ``patience`` seconds, and
    ``poll``.
    """

    def __init__(self, core: ClientCore, ssl_context: ssl.SSLContext | None) -> None:
        self.is_running = True
        self.rest: Rest[Any] = Rest()
        self.rest.add(self)
        self._network = Network()
        self.machine = Machine(core, self, ssl_context)
        self._network.tell(self.machine.driver)
        self._notes: deque[Callable[[], object]] = deque()
        self._step_at = math.inf
        self._is_polling = False
        self._is_over = False

    def fileno(self) -> int:
        """The descriptor that is readable when ``poll`` is due.

        Raises:
            LocalProtocolError: this system has none for many sockets (Windows).
        """
        return self._network.fileno()

    def patience(self) -> float:
        """Seconds until ``poll`` is due even if the descriptor is not readable; at most a day."""
        if self._notes:  # the bell for it may have been silenced with the one before
            return 0.0
        own = self._network.next_deadline()
        at = self._step_at if own is None else min(own, self._step_at)
        return min(max(0.0, at - time.monotonic()), _DAY)

    def poll(self) -> None:
        """Do what there is to do, without waiting."""
        self._is_polling = True
        while self._notes:
            self._notes.popleft()()
        if not self._is_over:
            self._step_at = math.inf
            self.machine.step(self._read_sockets)
        self._is_polling = False
        if self._is_over and self.is_running:
            self.is_running = False
            self._network.shut_down()
            self.rest.gone(self)

    def wake(self) -> None:
        """Make the descriptor readable, so that the task wakes and polls; from any thread."""
        self._network.wake()

    def _read_sockets(self, _now: float) -> None:
        self._network.wait(0.0)

    def open(self, conn: int, host: str, port: int) -> None:
        self._network.open(conn, host, port)

    def close(self, conn: int, last: bytes) -> None:
        self._network.close(conn, last)

    def pause(self, conn: int) -> None:
        self._network.pause(conn)

    def resume(self, conn: int) -> None:
        self._network.resume(conn)

    def wake_writer(self, conn: int) -> None:
        self._network.wake_writer(conn)

    def set_timer(self, at: float) -> None:
        if at < self._step_at:  # a poll too early finds the next one
            self._step_at = at
            if not self._is_polling:
                self.wake()

    def post(self, note: Callable[[], object]) -> None:
        self._notes.append(note)
        self.wake()

    def shut_down(self) -> None:
        self._is_over = True
        self.wake()
