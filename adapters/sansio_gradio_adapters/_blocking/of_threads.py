"""What only the blocking client has: jobs that are futures, and readers for asyncio."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count, repeat
from operator import call
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from sansio_gradio import errors
from sansio_gradio.given import patience
from sansio_gradio_adapters._blocking import reading
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import JobRecord, Outcome
from sansio_gradio_adapters._worker import Worker

if TYPE_CHECKING:
    import asyncio

__all__ = ["JobCancelledError", "JobOfThreads", "Reader"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("concurrent.futures")  # as for other futures
_NUMBERS: Final = count()


class JobCancelledError(errors.JobCancelledError, concurrent.futures.CancelledError):
    """The job was cancelled by its own client."""


class Reader(reading.Reader[T]):
    """The outputs, updates or messages of a job, from the first on: iterate with ``for``, or in
    asyncio with ``async for``.

    If several threads or tasks iterate one reader, each item goes to one of them.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        import asyncio  # noqa: PLC0415  # a caller from asyncio has imported it; others need not wait for it

        loop = asyncio.get_running_loop()
        while True:
            seen = self._changed.version
            item = next(self._items, Nothing.END)
            if item is Nothing.END:
                raise StopAsyncIteration
            if not isinstance(item, Nothing):
                return item
            self._worker.may_wait()
            told = loop.create_future()
            wake = partial(_tell, loop, told)
            try:
                if self._changed.subscribe(wake, seen):
                    await told
            finally:
                self._changed.unsubscribe(wake)


def _tell(loop: asyncio.AbstractEventLoop, told: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nothing waits
        loop.call_soon_threadsafe(_settle, told)


def _settle(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


class _Face(threading.Condition):
    """Takes the place of a Future's lock, for ``concurrent.futures.wait``. It is no lock at all.

    Ctrl-C could leave a real lock held. Instead, a thread that has "locked" a job sees the state of
    that moment until it unlocks the job.
    """

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._seen: dict[int, list[str]] = {}

    def acquire(self, *_: object, **__: object) -> bool:
        self._seen.setdefault(threading.get_ident(), []).append(self._now())
        return True

    def release(self) -> None:
        if seen := self._seen.get(threading.get_ident()):
            seen.pop()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def state(self) -> str:
        """The state that the calling thread sees."""
        seen = self._seen.get(threading.get_ident())
        return seen[-1] if seen else self._now()

    def _now(self) -> str:
        record = self._record
        if not record.is_over:
            return "PENDING"
        return "CANCELLED_AND_NOTIFIED" if record.was_cancelled else "FINISHED"


class _Waiters(list[Any]):
    """The waiters of ``concurrent.futures.wait`` and ``as_completed``; each is told once.

    A waiter that saw the job as over before it was added is not told.
    """

    def __init__(self, job: JobOfThreads, record: JobRecord, face: _Face, worker: Worker) -> None:
        super().__init__()
        self._job = weakref.ref(job)
        self._record = record
        self._face = face
        self._worker = worker
        self._told: dict[int, tuple[object, Any]] = {}

    def append(self, waiter: Any) -> None:
        """Tell *waiter* when the job is over."""
        if self._face.state != "PENDING":
            self._told[id(waiter)] = self, waiter
        elif not self._record.is_over:
            self._worker.may_wait()
            self._record.demand_outcome()
        super().append(waiter)
        if self._record.is_over:
            self.tell(waiter)

    def remove(self, waiter: Any) -> None:
        """Tell *waiter* no more."""
        super().remove(waiter)
        self._told.pop(id(waiter), None)

    def tell_all(self) -> None:
        """The job is over: tell all waiters."""
        for waiter in list(self):
            self.tell(waiter)

    def tell(self, waiter: Any) -> None:
        """Tell one waiter that the job is over."""
        mine = object()
        if self._told.setdefault(id(waiter), (mine, waiter))[0] is mine:
            # In a thread of its own. A waiter has locks, and if Ctrl-C has left one of them held,
            # this takes for ever.
            tell = threading.Thread(target=waiter.add_result, args=(self._job(),), daemon=True)
            tell.start()


class JobOfThreads(Future[Any]):
    """A job that is a future, pending until its end."""

    def __init__(self, record: JobRecord, core: ClientCore, worker: Worker, client: object) -> None:
        super().__init__()
        self._record = record
        self._core = core
        self._worker = worker
        self._client = client  # keeps the client alive as long as the job
        # What ``concurrent.futures.wait`` looks at.
        self._face = _Face(record)
        self._condition: threading.Condition = self._face
        self._told_at_end = _Waiters(self, record, self._face, worker)
        self._waiters: list[Any] = self._told_at_end
        self._callbacks: dict[int, Callable[[], object]] = {}
        record.on_outcome = partial(JobOfThreads._conclude, weakref.ref(self))

    if not TYPE_CHECKING:  # code that knows it as a Future need not know of it

        @property
        def _state(self) -> str:
            return self._face.state

        @_state.setter
        def _state(self, state: str) -> None:
            """What a Future sets is not for this one to say."""

    def cancel(self) -> bool:
        """Cancel the job at once, and make the server stop it; False: it was over already."""
        record = self._record
        if not record.is_over:
            self._core.demand_own_process()
            outcome = Outcome.cancelled(calls_back=True)
            try:
                # The outcome is fixed at once; the client's thread does the rest.
                self._worker.do_soon(
                    partial(self._core.cancel, record),
                    lambda _: record.tell(),
                    partial(record.fate.setdefault, None, outcome),
                )
                if record.fate[None] is outcome:
                    record.notify()
                    self._call_back()
            except BaseException:
                self._worker.do_soon(self._call_back)
                raise
        return record.was_cancelled

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call *fn* with this job when it is over, even if nothing else refers to the job."""
        if not self.done():
            self._core.demand_own_process()
            self._record.keeps = self
            self._record.demand_outcome()
        self._callbacks[next(_NUMBERS)] = partial(fn, self)
        if self.done():
            self._call_back()

    def _call_back(self) -> None:
        """Call each added callback once, in the thread that comes first."""
        while self._callbacks and self.done():
            # A callback is taken and called by C alone: Ctrl-C comes before that, or in it.
            taken = map(self._callbacks.pop, list(self._callbacks), repeat(int))
            try:
                deque(map(call, taken), maxlen=0)
            except BaseException as error:
                # A callback that raises must not stop the client's thread.
                if not isinstance(error, Exception) and not self._worker.is_current:
                    raise
                _LOG.exception("exception calling callback for %r", self)

    def __aiter__(self) -> Reader[Any]:
        record = self._record
        return Reader(record.read_outputs(), record.changed, self._worker, self)

    def _wait(self, timeout: float | None) -> None:
        timeout = patience(timeout)
        record = self._record
        record.demand_outcome()
        # Not by the Future's own Condition, which Ctrl-C can leave in disorder.
        if not self._worker.wait_until(record.ended, lambda: record.is_over, timeout):
            raise record.not_yet(timeout)

    @staticmethod
    def _conclude(reference: weakref.ref[JobOfThreads], record: JobRecord) -> None:
        """The job is over: settle its Future, unless that was garbage-collected."""
        if (job := reference()) is not None:
            job._result, job._exception = record.result, record.error
            job._told_at_end.tell_all()
            if not record.fate[None].calls_back:
                job._call_back()
