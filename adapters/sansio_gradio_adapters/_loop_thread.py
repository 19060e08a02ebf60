"""An asyncio loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def held_open(opened: Callable[[], AbstractAsyncContextManager[T]], name: str) -> Generator[T]:
    """Hold an ``async with`` open in the loop of another thread while the ``with`` is open.

    Gives what the ``async with`` gives; raises what keeps it from opening.
    """
    given: Future[T] = Future()
    leave: list[Callable[[], object]] = []

    async def hold() -> None:
        left, loop = asyncio.Event(), asyncio.get_running_loop()
        leave.append(lambda: loop.call_soon_threadsafe(left.set))
        try:
            async with opened() as found:
                given.set_result(found)
                await left.wait()
        except BaseException as error:
            if given.done():
                raise
            given.set_exception(error)  # such as a port that is taken

    thread = threading.Thread(target=lambda: asyncio.run(hold()), name=name)
    thread.start()
    try:
        yield given.result()
    finally:
        if not given.exception():
            leave[0]()
        thread.join()
