"""A server for tests of clients: an app on a real socket, behind a ``Relay``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from sansio_gradio.server.app import App
from sansio_gradio.testing.relay import Relay, Side
from sansio_gradio_adapters._loop_thread import held_open
from sansio_gradio_adapters.server import Server

__all__ = ["relayed"]

_QUIET: Final = 0.1  # seconds without a byte: then no longer hold anything back


def relayed(app: App, relay: Relay, **options: Any) -> contextlib.AbstractContextManager[str]:
    """Serve *app* on loopback, with *relay* in between, while the ``with`` is open. Gives the
    address for clients. ``options`` are those of ``Server``.

    Raises:
        OSError: no port can be had.
    """

    @contextlib.asynccontextmanager
    async def opened() -> AsyncGenerator[str]:
        async with Server(app, **options) as server, _Relaying(relay, server.port) as relaying:
            yield f"http://127.0.0.1:{relaying.port}/"

    return held_open(opened, "sansio-gradio-relay")


class _Relaying:
    """The sockets of a relay, on asyncio."""

    def __init__(self, relay: Relay, to: int) -> None:
        self.port = 0
        self._relay = relay
        self._to = to
        self._ends: dict[tuple[int, Side], asyncio.Transport] = {}
        self._connecting: set[asyncio.Future[None]] = set()
        self._quiet: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> _Relaying:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        # As in ``Server``: those that were accepted reach us after three turns of the loop.
        with contextlib.suppress(NotImplementedError):  # Windows
            for sock in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        for _turn in range(3):
            await asyncio.sleep(0)
        self._listener.close()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if self._quiet is not None:
            self._quiet.cancel()
        for transport in list(self._ends.values()):
            transport.abort()
        await asyncio.sleep(0)  # the transports close their sockets

    def accept(self, transport: asyncio.Transport) -> int:
        """A client has connected. Returns the number of its connection."""
        conn = self._relay.open()
        self.opened(conn, Side.CLIENT, transport)
        return conn

    def opened(self, conn: int, side: Side, transport: asyncio.Transport) -> None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ends[conn, side] = transport

    def connect(self, conn: int, then: Callable[[], object]) -> None:
        """Connect to the server for that connection, and call *then*."""
        task = asyncio.ensure_future(self._connect(conn))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        task.add_done_callback(lambda _: then())

    async def _connect(self, conn: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _End(self, conn, Side.SERVER), "127.0.0.1", self._to)

    def received(self, conn: int, side: Side, data: bytes) -> None:
        self._relay.receive(conn, side, data)
        self._send()
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(_QUIET, self._idle)

    def _idle(self) -> None:
        self._relay.idle()
        self._send()

    def _send(self) -> None:
        for to, end, piece in self._relay.data_to_send():
            transport = self._ends.get((to, end))
            if transport is not None and piece:
                transport.write(piece)
            elif transport is not None:
                transport.close()

    def lost(self, conn: int, side: Side) -> None:
        if self._ends.pop((conn, side), None) is not None:
            self.received(conn, side, b"")


class _End(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self, relaying: _Relaying, conn: int, side: Side) -> None:
        self._relaying = relaying
        self._conn = conn
        self._side = side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._relaying.opened(self._conn, self._side, transport)

    def data_received(self, data: bytes) -> None:
        self._relaying.received(self._conn, self._side, data)

    def connection_lost(self, exc: Exception | None) -> None:  # asyncio's verb
        self._relaying.lost(self._conn, self._side)


class _Client(_End):
    """The end of a client. What it says waits until the server is reached."""

    def __init__(self, relaying: _Relaying) -> None:
        super().__init__(relaying, -1, Side.CLIENT)
        self._early: bytes | None = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._conn = self._relaying.accept(transport)
        self._relaying.connect(self._conn, self._connected)

    def data_received(self, data: bytes) -> None:
        if self._early is None:
            super().data_received(data)
        else:
            self._early += data

    def _connected(self) -> None:
        early, self._early = self._early, None
        if early:
            self._relaying.received(self._conn, self._side, early)
