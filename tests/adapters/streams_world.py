"""A world on the streams of asyncio, written from the documentation alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Self

from sansio_gradio_adapters import worlds


class World(worlds.TaskWorld):
    def __init__(self, core: worlds.ClientCore, ssl_context: Any) -> None:
        self.rest: worlds.Rest[Any] = worlds.Rest()
        self.dials: dict[int, asyncio.Task[None]] = {}
        self.wires: dict[int, Wire] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()
        self.machine = worlds.Machine(core, self, ssl_context)

    def start(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(what)
        self.rest.add(task)
        task.add_done_callback(self.rest.gone)
        return task

    def open(self, conn: int, host: str, port: int) -> None:
        self.dials[conn] = self.start(self.live(conn, host, port))

    async def live(self, conn: int, host: str, port: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            if self.dials.pop(conn, None) is not None:
                self.lost(conn, worlds.connect_failed(host, port, error))
            return
        del self.dials[conn]
        wire = self.wires[conn] = Wire(writer)
        self.machine.opened(conn)
        try:
            while conn in self.wires:
                await wire.may_read.wait()
                data = await reader.read(65536)
                if conn in self.wires:
                    self.machine.received(conn, data)
                if not data:
                    break
        except OSError as error:
            if self.wires.pop(conn, None) is not None:
                self.lost(conn, worlds.connection_lost(error))
        finally:
            writer.close()

    def lost(self, conn: int, error: Any) -> None:
        self.machine.lost(conn, error)

    def wake_writer(self, conn: int) -> None:
        while conn in self.wires and (data := self.machine.data_to_send(conn)):
            self.wires[conn].writer.write(data)

    def close(self, conn: int, last: bytes) -> None:
        if (dial := self.dials.pop(conn, None)) is not None:
            dial.cancel()
        elif (wire := self.wires.pop(conn, None)) is not None:
            wire.writer.write(last)
            wire.writer.close()
            wire.may_read.set()
            self.loop.call_later(2.0, wire.writer.transport.abort)

    def pause(self, conn: int) -> None:
        self.wires[conn].may_read.clear()
        self.wires[conn].transport.pause_reading()

    def resume(self, conn: int) -> None:
        self.wires[conn].may_read.set()
        self.wires[conn].transport.resume_reading()

    def set_timer(self, at: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(max(0.0, at - time.monotonic()), self.machine.step)

    def post(self, note: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(note)

    def shut_down(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for conn in [*self.dials, *self.wires]:
            self.close(conn, b"")

    async def wait_for(self, signal: worlds.Signal, seen: int) -> None:
        told: asyncio.Future[None] = self.loop.create_future()
        wake = partial(settle, told)
        if signal.subscribe(wake, seen):
            try:
                await told
            finally:
                signal.unsubscribe(wake)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)


class Wire:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.has_written = False
        self.may_read = asyncio.Event()
        self.may_read.set()

    @property
    def transport(self) -> Any:
        return self.writer.transport


def settle(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


class Client(worlds.TaskClient):
    makes = World

    async def __aenter__(self) -> Self:
        await self._open(self.makes(self._core, self._ssl_context))
        return self
