"""The clients of asyncio and trio for whoever blocks: they live in a thread with a loop of it.

So the scenarios of the blocking client are those of every world.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

from sansio_gradio.testing.worlds import Call, wait_for
from sansio_gradio_adapters.asyncio import Job, MessageStream, Reader, Results
from tests.support.worlds import CancellingWorld

Door = Callable[[Call], Any]
_END = object()


@contextmanager
def visit(world: CancellingWorld, url: str, **options: Any) -> Generator[Visitor]:
    """A client of *url* in *world*."""
    inside: Future[tuple[Any, Door]] = Future()
    left = threading.Event()

    async def live() -> None:
        async with world.client(url, **options) as client:
            inside.set_result((client, world.door()))
            await wait_for(world, left.is_set, patience=600)

    def run() -> None:
        try:
            world.run(live)
        except BaseException as error:
            if inside.done():
                raise
            inside.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Visitor(*inside.result())
    finally:
        left.set()
        thread.join()


class Visitor:
    """A client, or what one has handed out: what is asked of it is asked where it lives."""

    def __init__(self, thing: Any, door: Door) -> None:
        self._thing = thing
        self._door = door

    def __getattr__(self, name: str) -> Any:
        async def get() -> Any:
            return getattr(self._thing, name)

        value = self._door(get)
        return self._asking(value) if callable(value) else value

    def _asking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **options: Any) -> Any:
            async def call() -> Any:
                found = method(*args, **options)
                handed_out = isinstance(found, Job | MessageStream | Reader | Results)
                return await found if isinstance(found, Awaitable) and not handed_out else found

            return self._wrapped(self._door(call))

        return ask

    def _wrapped(self, thing: Any) -> Any:
        if isinstance(thing, Job | MessageStream | Reader | Results):
            return Visitor(thing, self._door)
        return thing

    def __iter__(self) -> Any:
        return self._asking(self._thing.__aiter__)()

    def __next__(self) -> Any:
        async def advance() -> Any:
            return await anext(self._thing, _END)

        if (item := self._door(advance)) is _END:
            raise StopIteration
        return item

    def __enter__(self) -> Self:
        self._asking(self._thing.__aenter__)()
        return self

    def __exit__(self, *error: object) -> None:
        self._asking(self._thing.__aexit__)(*error)
