"""Runs an app's Python functions: async ones as tasks of an event loop, plain ones in threads.

Nothing here knows sockets or which event loop it is. The results go to the engine, and then its
owner takes a step. Everything but the functions happens in one thread, that of the owner.

Without an event loop async functions run in threads, too, each with a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
)
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, cast

from sansio_gradio.errors import AppError, JobCancelledError, LocalProtocolError
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import (
    ChunkReceived,
    JobHeld,
    JobReleased,
    JobSubmitted,
    LoginRaised,
    ServerEvent,
    SessionEnded,
    StorageRaised,
)
from sansio_gradio.server.run import Logged, Run, Said
from sansio_gradio_adapters._threads import BlockingThreads

_log: Final = logging.getLogger(__name__)


CallSoon: TypeAlias = Callable[[Callable[[], None]], object]
"""Has something done soon in the owner's thread. May be called from any thread.

Raises:
    RuntimeError: the owner is gone.
"""


class Opening(Protocol):
    """An event of an event loop, which is set once."""

    def set(self) -> object: ...
    async def wait(self) -> object: ...


class Tasks(Protocol):
    """The tasks of an event loop."""

    @property
    def cancelled(self) -> type[BaseException]:
        """What a task raises that is cancelled."""
        ...

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], done: Callable[[], None]
    ) -> Callable[[], object]:
        """Start a task soon. *done* is called at its end, also if it is cancelled before it begins.

        Returns what cancels it.
        """
        ...

    def opening(self) -> Opening:
        """A new event of this event loop."""
        ...


class Runner:
    """Runs what the engine's events ask for.

    ``step`` is called when the engine has been told something. ``clock`` tells the time, in
    monotonic seconds. ``tasks``: None without an event loop. Make it in the thread of its owner.
    """

    def __init__(
        self,
        engine: ServerEngine,
        step: Callable[[], None],
        *,
        call_soon: CallSoon,
        clock: Callable[[], float],
        tasks: Tasks | None,
        max_threads: int,
        on_event: Callable[[ServerEvent], object] | None = None,
    ) -> None:
        self.engine = engine
        self.step = step
        self.call_soon = call_soon
        self.clock = clock
        self.tasks = tasks
        self._on_event = on_event
        self.threads = BlockingThreads(max_threads)
        self.thread = threading.get_ident()
        self._working: dict[int, _Working] = {}
        self._when_idle: Callable[[], object] | None = None

    def handle(self, event: ServerEvent) -> None:
        """Do what an event asks for, and tell ``on_event``."""
        if isinstance(event, JobSubmitted):
            self._working[event.job] = _Working(self, event)
        elif isinstance(event, LoginRaised):
            _log.error("the app's auth function raised", exc_info=event.error)
        elif isinstance(event, StorageRaised):
            _log.error("the server's storage raised", exc_info=event.error)
        elif not isinstance(event, SessionEnded) and event.job in self._working:
            working = self._working[event.job]
            if isinstance(event, ChunkReceived):
                working.feed(event.data)
            elif isinstance(event, JobHeld):
                working.hold()
            elif isinstance(event, JobReleased):
                working.release()
            else:
                working.cancel()
        if self._on_event is not None:
            self._on_event(event)

    def ended(self, job: int) -> None:
        """A run has ended, its task or its thread with it."""
        self._working.pop(job, None)
        self._tell_if_idle()

    def cancel(self, when_idle: Callable[[], object]) -> None:
        """Cancel what runs. *when_idle* is called when all of it has ended, which may be now."""
        self._when_idle = when_idle
        for working in list(self._working.values()):
            working.cancel()
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if not self._working and self._when_idle is not None:
            self._when_idle()


class _Working:
    """One run of a function, in a task or in threads."""

    def __init__(self, runner: Runner, submitted: JobSubmitted) -> None:
        self._runner = runner
        self._engine = runner.engine
        self._job = submitted.job
        self._function = submitted.function
        self._cancelled = threading.Event()
        self._released = threading.Event()  # set while its threads may go on
        self._released.set()
        self._opening: Opening | None = None  # its tasks may go on when this is set
        self._cancels: set[Callable[[], object]] = set()  # one for each task
        self._threads = 0
        self._run = Run(
            session_hash=submitted.session_hash,
            headers=submitted.headers,
            event_data=submitted.event_data,
            user=submitted.user,
            say=self._say,
        )
        self._engine.start(self._job, self._now())
        self.feed(submitted.data)

    def feed(self, data: list[Any]) -> None:
        """Call the function: once, or once a piece of a streaming input."""
        try:
            call = self._bound(data)
        except LocalProtocolError as error:
            self._engine.fail(self._job, error, now=self._now())
            self._runner.call_soon(self._ended)
            return
        target = inspect.unwrap(call.func)
        is_async = inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)
        if is_async and self._runner.tasks is not None:
            self._start_task(self._runner.tasks, call)
        else:
            self._threads += 1
            plain = partial(_on_own_loop, call) if is_async else call
            self._runner.threads.call(partial(self._run_in_thread, plain))

    def hold(self) -> None:
        """Let the function wait after its next output: its client is behind."""
        self._released.clear()
        if self._opening is None and self._runner.tasks is not None:
            self._opening = self._runner.tasks.opening()

    def release(self) -> None:
        """Let the function go on."""
        self._released.set()
        if self._opening is not None:
            self._opening.set()
            self._opening = None

    def cancel(self) -> None:
        """Stop the run: nothing waits for it any more."""
        self._cancelled.set()
        self.release()
        for cancel in list(self._cancels):
            cancel()
        self._ended_if_idle()

    def _bound(self, data: list[Any]) -> partial[Any]:
        function = self._function
        if function.call is None:
            raise LocalProtocolError(
                f"/{function.api_name} has no Python function: answer its events yourself."
            )
        if len(data) < len(function.parameters):
            count = len(function.parameters)
            raise LocalProtocolError(f"/{function.api_name} takes {count} values, not {len(data)}.")
        named = {slot.name: value for slot, value in zip(function.parameters, data, strict=True)}
        if function.run_parameter is not None:
            named[function.run_parameter] = self._run
        return partial(function.call, **named)

    # On an event loop

    def _start_task(self, tasks: Tasks, call: partial[Any]) -> None:
        def done() -> None:
            self._cancels.discard(cancel)
            self._ended_if_idle()

        cancel = tasks.start(partial(self._run_async, call, tasks.cancelled), done)
        self._cancels.add(cancel)

    async def _run_async(self, call: partial[Any], cancelled: type[BaseException]) -> None:
        try:
            result = call()
            if inspect.isasyncgen(result):
                async with contextlib.aclosing(result):
                    async for value in result:
                        self._yielded(value)
                        if self._opening is not None:
                            await self._opening.wait()
                self._completed()
            else:
                self._returned(await result)
        except cancelled:
            self._raised(None)
            raise
        except KeyboardInterrupt as error:
            self._raised(error)
            raise
        except BaseException as error:  # a SystemExit ends the job, as in a thread
            self._raised(error)

    # In a thread

    def _run_in_thread(self, call: partial[Any]) -> None:
        try:
            if self._cancelled.is_set():
                return
            result = call()
            if inspect.isgenerator(result):
                with contextlib.closing(result):
                    for value in result:
                        self._post(partial(self._yielded, value))
                self._post(self._completed)
            else:
                self._post(partial(self._returned, result))
        except BaseException as error:
            with contextlib.suppress(JobCancelledError):
                self._post(partial(self._raised, error))
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits
                self._runner.call_soon(self._thread_done)

    def _post(self, action: Callable[[], None]) -> None:
        """Do something on the loop and wait for it, and for a client that is behind.

        Raises:
            JobCancelledError: the run was cancelled, or the server is gone.
        """
        done: Future[None] = Future()

        def act() -> None:
            try:
                action()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        if self._cancelled.is_set():
            raise JobCancelledError
        try:
            self._runner.call_soon(act)
        except RuntimeError:
            raise JobCancelledError from None
        done.result()
        self._released.wait()

    def _thread_done(self) -> None:
        self._threads -= 1
        self._ended_if_idle()

    # What it says

    def _say(self, said: Said) -> None:
        if self._cancelled.is_set():
            raise JobCancelledError
        if threading.get_ident() == self._runner.thread:
            self._tell(said)
        else:
            self._post(partial(self._tell, said))

    def _tell(self, said: Said) -> None:
        if isinstance(said, Logged):
            self._engine.log(
                self._job,
                said.text,
                level=said.level,
                title=said.title,
                duration=said.duration,
                visible=said.visible,
            )
        else:
            self._engine.progress(self._job, said.units)
        self._runner.step()

    def _yielded(self, value: Any) -> None:
        if self._function.scripted:
            self._engine.send(self._job, value)
        else:
            self._engine.generate(self._job, self._results(value), self._now())
        self._runner.step()

    def _returned(self, value: Any) -> None:
        if self._function.streaming:
            self._engine.generate(self._job, self._results(value), self._now())
        else:
            self._engine.complete(self._job, self._results(value), now=self._now())
        self._runner.step()

    def _completed(self) -> None:
        self._engine.complete(self._job, now=self._now())
        self._runner.step()

    def _raised(self, error: BaseException | None) -> None:
        self._cancelled.set()
        self.release()
        if error is not None and not isinstance(error, AppError | JobCancelledError):
            _log.error("/%s raised", self._function.api_name, exc_info=error)
        self._engine.fail(self._job, error, now=self._now())
        self._runner.step()

    def _results(self, value: Any) -> list[Any]:
        """One item for each result of the function."""
        count = len(self._function.returns)
        if count == 1:
            return [value]
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            value = () if value is None else (value,)
        values = list(cast("Iterable[Any]", value))
        if len(values) != count:
            raise LocalProtocolError(
                f"/{self._function.api_name} has {count} results, and gave {len(values)}."
            )
        return values

    def _ended_if_idle(self) -> None:
        if not self._cancels and not self._threads:
            idle = self._function.streaming and not self._cancelled.is_set()
            if not idle:
                self._ended()

    def _ended(self) -> None:
        self._runner.ended(self._job)

    def _now(self) -> float:
        return self._runner.clock()


def _on_own_loop(call: Callable[[], Any]) -> Any:
    """Call an async function in this thread, on an event loop of its own."""
    result = call()
    if inspect.isasyncgen(result):
        return _yields(result)
    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _yields(result: AsyncGenerator[Any, Any]) -> Generator[Any]:
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    yield runner.run(_awaited(anext(result)))
                except StopAsyncIteration:
                    return
        finally:
            runner.run(result.aclose())
