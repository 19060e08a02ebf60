"""The worlds that a client can live in, so that one scenario runs in all of them.

A ``World`` is what a scenario, an async function, needs of the world that it runs in. ``Asyncio``
and ``Threads`` are those of this library, and ``Trio`` in ``trio_world``. In the world of threads
nothing that a scenario awaits ever suspends: the blocking client is dressed up, so that its words
can be awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Self

import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
from sansio_gradio.testing.patience import PATIENCE

__all__ = ["Asyncio", "Call", "Suspensions", "Threads", "World", "wait_for"]

Call = Callable[[], Awaitable[Any]]


class World(ABC):
    """What a scenario needs of the world that it runs in.

    ``run``, ``client`` and ``sleep`` are needed. Each of the other verbs allows more scenarios; a
    scenario that needs one that you do not override is skipped.
    """

    @abstractmethod
    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *scenario* to its end, as the main program of this world; raise what it raises."""

    @abstractmethod
    def client(self, src: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        """A client of this world, to be entered with ``async with``. ``options`` are those of
        ``Client``."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""

    async def blocking(self, call: Callable[[], object]) -> Any:
        """Wait for something that blocks, without blocking this world."""
        found: list[Any] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                found.append(call())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="blocking", daemon=True)
        thread.start()
        while thread.is_alive():
            await self.sleep(0.01)
        if errors:
            raise errors[0]
        return found[0]

    async def together(self, *calls: Call) -> list[Any]:
        """Wait for all of them, beside each other. Returns what they return."""
        pytest.skip("this World does not override together")

    async def within(self, seconds: float, call: Call) -> bool:
        """Cancel *call* after so many seconds, as this world does it. False: it was over before."""
        pytest.skip("this World does not override within")

    async def cut(self, call: Call, at: int) -> bool:
        """Cancel *call* where it suspends for the time *at*; False: it did not so often. See
        ``Suspensions``."""
        pytest.skip("this World does not override cut")

    def tasks(self) -> int:
        """How many tasks, or threads, there are. 0: that cannot be known."""
        return 0


class Suspensions:
    """Awaits *call*, and calls *cancel* when it suspends for the time *at*."""

    def __init__(self, call: Call, at: int, cancel: Callable[[], object]) -> None:
        self.count = 0
        self._call = call
        self._at = at
        self._cancel = cancel

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine: Any = self._call().__await__()
        go_on = partial(coroutine.send, None)
        while True:
            try:
                trap = go_on()
            except StopIteration as stop:
                return stop.value
            self.count += 1
            if self.count == self._at:
                self._cancel()
            try:
                go_on = partial(coroutine.send, (yield trap))
            except BaseException as error:
                go_on = partial(coroutine.throw, error)


async def wait_for(
    world: World, happened: Callable[[], object], patience: float = PATIENCE
) -> None:
    for _ in range(int(patience / 0.01)):
        if happened():
            return
        await world.sleep(0.01)
    raise AssertionError("it did not happen")


# asyncio, with whatever loop


class Asyncio(World):
    """asyncio, on whatever loop."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self._new_loop = new_loop

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        complaints: list[object] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, what: complaints.append(what))
            await scenario()

        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(main())
        assert complaints == []

    def client(self, src: str, **options: Any) -> sansio_gradio_adapters.asyncio.Client:
        return sansio_gradio_adapters.asyncio.Client(src, **options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def blocking(self, call: Callable[[], object]) -> Any:
        return await asyncio.to_thread(call)

    async def together(self, *calls: Call) -> list[Any]:
        return await asyncio.gather(*[call() for call in calls])

    def tasks(self) -> int:
        return len(asyncio.all_tasks())

    async def cut(self, call: Call, at: int) -> bool:
        async def run() -> None:
            await suspensions

        def cancel() -> None:
            task.cancel()

        suspensions = Suspensions(call, at, cancel)
        task = asyncio.create_task(run())
        await asyncio.wait([task])
        assert task.cancelled() == (suspensions.count >= at)  # it passes through
        return task.cancelled() or bool(task.result())

    async def within(self, seconds: float, call: Call) -> bool:
        deadline = asyncio.timeout(seconds)
        with contextlib.suppress(TimeoutError):
            async with deadline:
                await call()
        return deadline.expired()

    def door(self) -> Callable[[Call], Any]:
        loop = asyncio.get_running_loop()

        async def await_it(call: Call) -> Any:
            return await call()

        return lambda call: asyncio.run_coroutine_threadsafe(await_it(call), loop).result()


# Threads


class Threads(World):
    """The world of threads, which has no loop."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        _run_without_waiting(scenario())

    @asynccontextmanager
    async def client(self, src: str, **options: Any) -> AsyncGenerator[_Client]:
        with sansio_gradio_adapters.sockets.Client(src, **options) as client:
            yield _Client(client)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def blocking(self, call: Callable[[], object]) -> Any:
        return call()

    async def together(self, *calls: Call) -> list[Any]:
        results: list[Any] = [None] * len(calls)

        def keep(place: int, call: Call) -> None:
            results[place] = _run_without_waiting(call())

        threads = [threading.Thread(target=keep, args=item) for item in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def tasks(self) -> int:
        return threading.active_count()


def _run_without_waiting(awaitable: Awaitable[Any]) -> Any:
    coroutine = awaitable.__await__()
    try:
        next(coroutine)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for something that is not of this world")


class _Client:
    """The blocking client, in the words of the others."""

    def __init__(self, client: sansio_gradio_adapters.sockets.Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def predict(self, *args: Any, **options: Any) -> Any:
        return self._client.predict(*args, **options)

    def submit(self, *args: Any, **options: Any) -> _Job:
        return _Job(self._client.submit(*args, **options))

    def call_component(self, *args: Any, **options: Any) -> _Job:
        return _Job(self._client.call_component(*args, **options))

    def stream_messages(self, *data: Any, **options: Any) -> _Iterated:
        return _Iterated(self._client.stream_messages(*data, **options))

    def map(self, inputs: Any, *args: Any, **options: Any) -> _Iterated:
        return _Iterated(self._client.map(inputs, *args, **options))

    async def upload(self, *args: Any, **options: Any) -> Any:
        return self._client.upload(*args, **options)

    async def send_data(self, *args: Any) -> Any:
        return self._client.send_data(*args)

    async def download(self, *args: Any, **options: Any) -> Any:
        return self._client.download(*args, **options)

    async def get_endpoints(self) -> Any:
        return self._client.get_endpoints()

    async def view_api(self, **options: Any) -> Any:
        view: Callable[..., Any] = self._client.view_api
        return view(**options)

    async def reload(self) -> None:
        self._client.reload()

    async def reset_session(self) -> None:
        self._client.reset_session()

    async def close(self) -> None:
        self._client.close()


class _Job:
    def __init__(self, job: sansio_gradio_adapters.sockets.Job) -> None:
        self._job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def __repr__(self) -> str:
        return repr(self._job)

    async def result(self, timeout: float | None = None) -> Any:
        return self._job.result(timeout)

    async def exception(self, timeout: float | None = None) -> Any:
        return self._job.exception(timeout)

    def __await__(self) -> Any:
        return self.result().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return _Iterated(iter(self._job))

    def updates(self) -> AsyncIterator[Any]:
        return _Iterated(self._job.updates())


class _Iterated:
    """What is iterated: a ``Reader``, or a context manager, too."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)
