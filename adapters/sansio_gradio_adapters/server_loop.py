"""A server with sockets, and without an event loop: to embed in an existing loop.

A game calls ``poll`` once for each frame; a tool that only serves calls ``run_once``::

    with ServerLoop(app) as loop:
        print(loop.url)
        while ...:
            loop.run_once()

Functions run in threads. Async functions do so, too, each with an event loop of its own.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sansio_gradio.server.app import App
from sansio_gradio.server.contents import Storage
from sansio_gradio.server.events import ServerEvent
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters._network import Network
from sansio_gradio_adapters._polled import Polled
from sansio_gradio_adapters._serving import ServerDriver

if TYPE_CHECKING:
    import ssl

    from sansio_gradio_adapters._running import Tasks

__all__ = ["ServerLoop", "address"]


class ServerLoop(Polled):
    """Serves one app. ``poll`` does what is due, and does not wait: call it again and again.

    Call everything from one thread, except ``wake``.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_threads: int = 40,
        limits: ServerLimits | None = None,
        on_event: Callable[[ServerEvent], object] | None = None,
        storage: Storage | None = None,
        clock: Callable[[], float] = time.monotonic,
        tasks: Tasks | None = None,
    ) -> None:
        """Listen on *host* and *port* (0: a free one).

        ``ssl_context`` has the server's certificate; None: plain HTTP. ``on_event(event)`` is
        called with what clients do. ``storage`` keeps the contents of uploaded files (None: in
        memory; see ``storage.OnDisk``). ``tasks``: those of the event loop that polls it, for async
        functions.

        Raises:
            OSError: the address cannot be had.
        """
        network = Network(clock)
        self._server = ServerDriver(
            app,
            network,
            clock=clock,
            ssl_context=ssl_context,
            tasks=tasks,
            max_threads=max_threads,
            limits=limits,
            on_event=on_event,
            storage=storage,
        )
        super().__init__(network, self._server, clock)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=1024)
        except BaseException:
            network.shut_down()
            raise
        network.listen(self._listener, self._server.accept)
        self.port: int = self._listener.getsockname()[1]
        self.url = address(self._server.scheme, host, self.port)
        """The address to give to a client."""
        self._is_stopped = False
        self.is_idle = False
        """After ``stop``: whether all functions have ended."""

    def stop(self) -> None:
        """Accept no more, tell every stream, and cancel what runs. Poll until ``is_idle``, or as
        long as you like; then ``close``. Stopping twice is fine."""
        if not self._is_stopped:
            self._is_stopped = True
            self._network.listen_no_more(self._listener)
            self._server.stop(self._note_idle)

    def close(self, grace: float = 0.0) -> None:
        """Stop, and close all sockets. Functions that are cancelled get *grace* seconds to end.

        A plain function that neither yields nor uses its ``Run`` cannot be stopped: it goes on in
        its daemon thread. Closing twice is fine.
        """
        if self._closed:
            return
        until = self._clock() + grace
        self.stop()
        while not self.is_idle and (left := until - self._clock()) > 0:
            self.run_once(left)
        self._server.end()
        super().close()

    def _note_idle(self) -> None:
        self.is_idle = True
        self.wake()


def address(scheme: str, host: str, port: int) -> str:
    """The address of a server."""
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
