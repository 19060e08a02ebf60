"""Serve an app's Python functions, as a Gradio server, on asyncio.

    app = App()

    @app.endpoint("/greet")
    def greet(name: str) -> str:
        return f"Hello, {name}."

    async with Server(app) as server:          # or: with serve_in_thread(app) as url
        print(server.url)

Functions may be plain or async, generators too. Plain ones run in threads; what they say goes to
the loop and is waited for, so a fast generator cannot run ahead of the server. A run that is
cancelled ends at its next yield, or where it next says something.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

from sansio_gradio.errors import AppError, JobCancelledError, LocalProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import ChunkReceived, InputEnded, JobCancelled, JobSubmitted
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.run import Logged, Run, Said

_log: Final = logging.getLogger(__name__)

_WRITE: Final = 256 * 1024


class Server:
    """Serves *app* on *host* and *port* (0: a free one) while its ``async with`` is open.

    ``max_threads`` plain functions run at once; further ones wait. On leaving, runs are cancelled
    and waited for up to ``grace`` seconds: a plain function that neither yields nor says anything
    cannot be stopped, and is left to its daemon thread.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_threads: int = 40,
        grace: float = 5.0,
        limits: ServerLimits | None = None,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self._max_threads = max_threads
        self._grace = grace
        self._limits = limits

    @property
    def url(self) -> str:
        """The address to give to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._core = _Core(self.app, loop, self._max_threads, self._limits)
        self._listener = await loop.create_server(partial(_Peer, self._core), self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        await self._core.close(self._grace)


@contextlib.contextmanager
def serve_in_thread(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[str]:
    """Serve *app* in a thread while the ``with`` is open; gives its address.

    ``options`` are those of ``Server``.
    """
    address: Future[str] = Future()
    leave: list[Callable[[], object]] = []

    async def serve() -> None:
        left = asyncio.Event()
        loop = asyncio.get_running_loop()
        leave.append(lambda: loop.call_soon_threadsafe(left.set))
        try:
            async with Server(app, host, port, **options) as server:
                address.set_result(server.url)
                await left.wait()
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)  # such as a port that is taken

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sansio-gradio-server")
    thread.start()
    try:
        yield address.result()
    finally:
        if not address.exception():
            leave[0]()
        thread.join()


def serve(app: App, host: str = "127.0.0.1", port: int = 7860, **options: Any) -> None:
    """Serve *app* until Ctrl-C."""

    async def forever() -> None:
        async with Server(app, host, port, **options):
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._can_write = True
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._conn = self._core.add(self)

    def data_received(self, data: bytes) -> None:
        self._core.engine.receive_data(self._conn, data, self._core.now())
        self._core.step()

    def eof_received(self) -> bool:
        self._core.engine.receive_data(self._conn, b"", self._core.now())
        self._core.step()
        return True  # the engine says when to close

    def connection_lost(self, exc: Exception | None) -> None:
        self._core.remove(self._conn, exc)

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self.write()

    def write(self) -> None:
        """Send what the engine has for us, as long as the transport takes it."""
        while self._can_write and (data := self._core.engine.data_to_send(self._conn, _WRITE)):
            self._transport.write(data)
        if self._closes and self._can_write:
            self._transport.close()

    def close(self) -> None:
        """Close when everything is sent."""
        self._closes = True
        self.write()

    def abort(self) -> None:
        self._transport.abort()


class _Core:
    """The engine, its connections and its runs; everything here happens on the loop."""

    def __init__(
        self,
        app: App,
        loop: asyncio.AbstractEventLoop,
        max_threads: int,
        limits: ServerLimits | None,
    ) -> None:
        self.loop = loop
        self.now = loop.time
        self.engine = ServerEngine(
            app,
            entropy=os.urandom,
            wall_offset=time.time() - loop.time(),
            limits=limits,
        )
        self.threads = _Threads(max_threads)
        self._peers: dict[int, _Peer] = {}
        self._count = 0
        self._runs: dict[int, _Working] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()

    def add(self, peer: _Peer) -> int:
        conn = self._count
        self._count += 1
        self._peers[conn] = peer
        self.engine.connection_made(conn, self.now())
        self.step()
        return conn

    def remove(self, conn: int, error: Exception | None) -> None:
        self._peers.pop(conn, None)
        self.engine.connection_lost(conn, error, self.now())
        self.step()

    def step(self) -> None:
        """Do what the engine wants by now."""
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, JobSubmitted):
                self._runs[event.job] = _Working(self, event)
            elif isinstance(event, ChunkReceived):
                self._runs[event.job].feed(event.data)
            elif isinstance(event, JobCancelled | InputEnded) and event.job in self._runs:
                self._runs[event.job].cancel()
        for conn in self.engine.connections_with_data():
            if conn in self._peers:
                self._peers[conn].write()
        while (command := self.engine.next_command()) is not None:
            if command.conn in self._peers:
                self._peers[command.conn].close()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        self._timer = None if deadline is None else self.loop.call_at(deadline, self._time_passed)

    def done(self, job: int) -> None:
        """A run has ended, and its thread or task with it."""
        self._runs.pop(job, None)
        if not self._runs:
            self._emptied.set()

    async def close(self, grace: float) -> None:
        """Cancel what runs, close what is open, and wait for both."""
        self.engine.stop(self.now())
        self.step()
        for run in list(self._runs.values()):
            run.cancel()
        if self._runs:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace)
        for peer in list(self._peers.values()):
            peer.abort()
        await asyncio.sleep(0)  # lets the transports say that they are closed
        if self._timer is not None:
            self._timer.cancel()

    def _time_passed(self) -> None:
        self.engine.handle_timer(self.now())
        self.step()


class _Threads:
    """Daemon threads, one a call, so many at once; further calls wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    def call(self, function: Callable[[], None]) -> None:
        with self._lock:
            if self._running >= self._limit:
                self._waiting.append(function)
                return
            self._running += 1
        threading.Thread(target=self._work, args=(function,), daemon=True).start()

    def _work(self, function: Callable[[], None]) -> None:
        while True:
            function()
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                function = self._waiting.popleft()


class _Working:
    """One run of a function, in a task or in threads."""

    def __init__(self, core: _Core, submitted: JobSubmitted) -> None:
        self._core = core
        self._job = submitted.job
        self._function = submitted.function
        self._cancelled = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = 0
        self._run = Run(
            session_hash=submitted.session_hash,
            headers=submitted.headers,
            event_data=submitted.event_data,
            say=self._say,
        )
        core.engine.start(self._job, core.now())
        self.feed(submitted.data)

    def feed(self, data: list[Any]) -> None:
        """Call the function: once, or once a piece of a streaming input."""
        try:
            call = self._bound(data)
        except LocalProtocolError as error:
            self._core.engine.fail(self._job, error, now=self._core.now())
            self._core.loop.call_soon(self._ended)
            return
        target = inspect.unwrap(call.func)
        if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
            task = self._core.loop.create_task(self._run_async(call))
            self._tasks.add(task)
            task.add_done_callback(self._task_done)
        else:
            self._threads += 1
            self._core.threads.call(partial(self._run_in_thread, call))

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled.set()
        for task in self._tasks:
            task.cancel()
        self._ended_if_idle()

    def _bound(self, data: list[Any]) -> partial[Any]:
        function = self._function
        if function.call is None or len(data) != len(function.parameters):
            count = len(function.parameters)
            raise LocalProtocolError(f"/{function.api_name} takes {count} values, not {len(data)}.")
        named = {slot.name: value for slot, value in zip(function.parameters, data, strict=True)}
        if function.run_parameter is not None:
            named[function.run_parameter] = self._run
        return partial(function.call, **named)

    # On the loop

    async def _run_async(self, call: partial[Any]) -> None:
        try:
            result = call()
            if inspect.isasyncgen(result):
                async with contextlib.aclosing(result):
                    async for value in result:
                        self._yielded(value)
                self._completed()
            else:
                self._returned(await result)
        except asyncio.CancelledError:
            self._raised(None)
            raise
        except Exception as error:
            self._raised(error)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ended_if_idle()

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
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._core.loop.call_soon_threadsafe(self._thread_done)

    def _post(self, action: Callable[[], None]) -> None:
        """Do something on the loop and wait for it.

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
            self._core.loop.call_soon_threadsafe(act)
        except RuntimeError:
            raise JobCancelledError from None
        done.result()

    def _thread_done(self) -> None:
        self._threads -= 1
        self._ended_if_idle()

    # What it says

    def _say(self, said: Said) -> None:
        if self._cancelled.is_set():
            raise JobCancelledError
        if self._is_on_loop():
            self._tell(said)
        else:
            self._post(partial(self._tell, said))

    def _is_on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._core.loop
        except RuntimeError:
            return False

    def _tell(self, said: Said) -> None:
        engine, now = self._core.engine, self._core.now()
        if isinstance(said, Logged):
            engine.log(
                self._job,
                said.text,
                now,
                level=said.level,
                title=said.title,
                duration=said.duration,
                visible=said.visible,
            )
        else:
            engine.progress(self._job, said.units, now)
        self._core.step()

    def _yielded(self, value: Any) -> None:
        engine, now = self._core.engine, self._core.now()
        if self._function.scripted:
            engine.send(self._job, value, now)
        else:
            engine.generate(self._job, self._results(value), now)
        self._core.step()

    def _returned(self, value: Any) -> None:
        engine, now = self._core.engine, self._core.now()
        if self._function.streaming:
            engine.generate(self._job, self._results(value), now)
        else:
            engine.complete(self._job, self._results(value), now=now)
        self._core.step()

    def _completed(self) -> None:
        self._core.engine.complete(self._job, now=self._core.now())
        self._core.step()

    def _raised(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, AppError | JobCancelledError):
            _log.error("/%s raised", self._function.api_name, exc_info=error)
        self._core.engine.fail(self._job, error, now=self._core.now())
        self._core.step()

    def _results(self, value: Any) -> list[Any]:
        """What a function gave, as one item a result."""
        count = len(self._function.returns)
        if count == 1:
            return [value]
        values = [] if value is None and not count else list(value)
        if len(values) != count:
            raise LocalProtocolError(
                f"/{self._function.api_name} gave {len(values)} values, not {count}."
            )
        return values

    def _ended_if_idle(self) -> None:
        if not self._tasks and not self._threads:
            idle = self._function.streaming and not self._cancelled.is_set()
            if not idle:
                self._ended()

    def _ended(self) -> None:
        self._core.done(self._job)
