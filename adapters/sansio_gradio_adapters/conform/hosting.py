"""A conductor on a socket of this machine, in asyncio."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from types import TracebackType
from typing import Final, Self, cast

from sansio_gradio.testing.changes import Ending
from sansio_gradio.testing.conducting import Conductor, Plan

__all__ = ["Hosting"]

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: drop what is unsent, and say RST


class Hosting:
    """Serves one plan while its ``async with`` is open."""

    def __init__(self, plan: Plan) -> None:
        self._loop = asyncio.get_running_loop()
        self.conductor = Conductor(
            plan, entropy=os.urandom, wall_offset=time.time() - self._loop.time()
        )
        self.url = ""
        self._transports: dict[int, asyncio.Transport] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0

    async def __aenter__(self) -> Self:
        self._listener = await self._loop.create_server(lambda: _Visitor(self), "127.0.0.1", 0)
        port: int = self._listener.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self.began = self._loop.time()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
        for transport in list(self._transports.values()):
            transport.abort()
        await asyncio.sleep(0)

    @property
    def has_been_asked(self) -> bool:
        return bool(self._count)

    def add(self, transport: asyncio.Transport) -> int:
        conn = self._count
        self._count += 1
        self._transports[conn] = transport
        self.conductor.connection_made(conn, self._loop.time())
        return conn

    def receive(self, conn: int, data: bytes) -> None:
        self.conductor.receive_data(conn, data, self._loop.time())
        self._step()

    def lose(self, conn: int, error: Exception | None) -> None:
        del self._transports[conn]
        self.conductor.connection_lost(conn, error, self._loop.time())
        self._step()

    def _is_due(self) -> None:
        self.conductor.handle_timer(self._loop.time())
        self._step()

    def _step(self) -> None:
        for conn, what in self.conductor.actions(self._loop.time()):
            transport = self._transports.get(conn)
            if transport is None:
                continue
            if isinstance(what, bytes):
                transport.write(what)
            elif what is Ending.CLOSE:
                transport.close()
            elif what is Ending.RESET:
                sock = cast("socket.socket", transport.get_extra_info("socket"))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.conductor.next_deadline()
        if due is not None:
            self._timer = self._loop.call_at(due, self._is_due)


class _Visitor(asyncio.Protocol):
    """One connection."""

    def __init__(self, host: Hosting) -> None:
        self._host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._conn = self._host.add(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._host.receive(self._conn, data)

    def eof_received(self) -> bool:
        self._host.receive(self._conn, b"")
        return True  # the conductor says when to close

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.lose(self._conn, exc)
