"""A server in trio: a ``ServerLoop`` that a task polls, and async functions as tasks."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

from sansio_gradio.server.app import App
from sansio_gradio_adapters._machine import first_in
from sansio_gradio_adapters.server_loop import ServerLoop

__all__ = ["serving"]


@asynccontextmanager
async def serving(
    app: App, host: str, port: int, *, grace: float = 5.0, **options: Any
) -> AsyncGenerator[str]:
    """See ``sansio_gradio_adapters.trio.serving``."""
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    try:
        with ServerLoop(app, host, port, tasks=_NurseryTasks(nursery), **options) as loop:
            polled = trio.Event()
            nursery.start_soon(_poll, loop, polled)
            try:
                yield loop.url
            finally:
                loop.stop()
                with trio.move_on_after(grace, shield=True):
                    await polled.wait()
    finally:
        nursery.cancel_scope.cancel()
        try:
            # It is not told of the body's error, of which it would make a group.
            await manager.__aexit__(None, None, None)
        except BaseException as error:
            raise first_in(error) from None


async def _poll(loop: ServerLoop, done: trio.Event) -> None:
    """Poll until all functions have ended after ``stop``."""
    try:
        while not loop.is_idle:
            loop.poll()
            patience = loop.patience()
            with trio.move_on_after(math.inf if patience is None else patience):
                await trio.lowlevel.wait_readable(loop.fileno())
    finally:
        done.set()


class _NurseryTasks:
    """The tasks of a nursery."""

    cancelled: type[BaseException] = trio.Cancelled

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], done: Callable[[], None]
    ) -> Callable[[], object]:
        scope = trio.CancelScope()

        async def task() -> None:
            try:
                with scope:
                    await run()
            finally:
                done()

        self._nursery.start_soon(task)
        return scope.cancel

    def opening(self) -> trio.Event:
        return trio.Event()
