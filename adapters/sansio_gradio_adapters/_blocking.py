"""The objects that the blocking client hands out: ``Job``, ``MessageStream``, and their readers.

All of them block without polling, and may be used in every thread except the client's own.
"""

from __future__ import annotations

import concurrent.futures
import logging
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count, repeat
from operator import call
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from sansio_gradio import errors
from sansio_gradio.client.streaming_input import Piece
from sansio_gradio.given import patience
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import MessageQueue, Nothing
from sansio_gradio_adapters._jobs import JobRecord, Outcome, Signal, Update
from sansio_gradio_adapters._mapping import Calls
from sansio_gradio_adapters._waiting import wait_for, wait_until
from sansio_gradio_adapters._worker import Worker

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_LOG: Final = logging.getLogger("concurrent.futures")  # as for other futures
_NUMBERS: Final = count()


class JobCancelledError(errors.JobCancelledError, concurrent.futures.CancelledError):
    """The job was cancelled by its own client."""


class Reader(Generic[T]):
    """The outputs, updates or messages of a job, from the first on: iterate with ``for``, or in
    asyncio with ``async for``.

    If several threads or tasks iterate one reader, each item goes to one of them.
    """

    def __init__(
        self, items: Iterator[T | Nothing], changed: Signal, worker: Worker, source: object
    ) -> None:
        self._items = items
        self._changed = changed
        self._worker = worker
        self._source = source  # keeps the job alive while it is read

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while True:
            seen = self._changed.version
            item = next(self._items)
            if not isinstance(item, Nothing):
                return item
            self._worker.may_wait()
            wait_for(self._changed, seen)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        import asyncio  # noqa: PLC0415  # a caller from asyncio has imported it; others need not wait for it

        loop = asyncio.get_running_loop()
        while True:
            seen = self._changed.version
            try:
                item = next(self._items)
            except StopIteration:
                raise StopAsyncIteration from None
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

    def __init__(self, job: Job, record: JobRecord, face: _Face, worker: Worker) -> None:
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


def result_of(record: JobRecord, worker: Worker, timeout: float | None = None) -> Any:
    """Wait for the result of a job; raises as ``Job.result``."""
    _wait_for_end(record, worker, timeout)
    if (error := record.outcome_error()) is not None:
        try:
            raise error
        finally:
            del error  # the error refers to this frame
    return record.result


def _wait_for_end(record: JobRecord, worker: Worker, timeout: float | None) -> None:
    timeout = patience(timeout)
    if not record.fate:
        worker.may_wait()
        record.demand_outcome()
        # Not by the Future's own Condition, which Ctrl-C can leave in disorder.
        if not wait_until(record.ended, lambda: bool(record.fate), timeout):
            raise record.not_yet(timeout)


class Job(Future[Any]):
    """A call under way: a ``concurrent.futures.Future``, pending until its end.

    Iterating (``for`` and, in asyncio, ``async for``) gives every output from the first one on and
    then raises the job's error, if any. Several iterations at a time are independent.
    """

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
        record.on_outcome = partial(Job._conclude, weakref.ref(self))

    if not TYPE_CHECKING:  # code that knows it as a Future need not know of it

        @property
        def _state(self) -> str:
            return self._face.state

        @_state.setter
        def _state(self, state: str) -> None:
            """What a Future sets is not for this one to say."""

    def result(self, timeout: float | None = None) -> Any:
        """The value that the endpoint returns: one, or a tuple of several.

        Raises:
            TimeoutError: *timeout* seconds have passed; the job goes on.
            JobCancelledError: it was cancelled.
            GradioError: the job failed.
        """
        return result_of(self._record, self._worker, timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error of the job, or None. Raises ``TimeoutError`` and ``JobCancelledError`` as
        ``result`` does."""
        _wait_for_end(self._record, self._worker, timeout)
        if self._record.was_cancelled:
            self.result()
        return self._record.error

    def done(self) -> bool:
        """Whether the job is over: completed, failed or cancelled."""
        return self._record.is_over

    def cancelled(self) -> bool:
        """Whether the job was cancelled."""
        return self._record.was_cancelled

    def outputs(self) -> Sequence[Any]:
        """All outputs so far, oldest first; the result itself, if it was the only one.

        They are kept as edits, and a value is made when it is read: ``len`` makes none, and
        ``[-1]`` one. ``list(job.outputs())`` makes all. The number does not change: call again to
        see more.
        """
        return self._record.outputs()

    @property
    def skipped(self) -> int:
        """How many outputs cannot be read any more, or could not be read at all.

        The oldest are dropped if all together exceed ``Limits.kept_outputs``; an iteration that
        keeps up has seen them. If the edits of an output do not fit the one before, that output and
        all later ones cannot be read; the result takes their place.
        """
        return self._record.skipped

    def status(self) -> StatusUpdate:
        """The present status of the job."""
        return self._record.status

    def running(self) -> bool:
        """Whether the server is working on it."""
        return not self.done() and Status.PROCESSING <= self.status().code < Status.FINISHED

    def cancel(self) -> bool:
        """Cancel the job at once, and make the server stop it; False: it was over already."""
        record = self._record
        if not record.is_over:
            outcome = Outcome.cancelled(calls_back=True)
            try:
                # The outcome is fixed at once; the client's thread does the rest.
                self._worker.post(
                    partial(self._core.cancel, record),
                    lambda _: record.tell(),
                    partial(record.fate.setdefault, None, outcome),
                )
                if record.fate[None] is outcome:
                    record.notify()
                    self._call_back()
            except BaseException:
                self._worker.leave(self._call_back)
                raise
        return record.was_cancelled

    def _leave(self) -> None:
        """Cancel the job soon, in the client's thread: for finalisers."""
        if not self._record.is_over:
            self._worker.leave(partial(self._core.give_up, self._record))

    def send(self, *chunk: Any, latest: bool = False) -> None:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: drop the pieces that wait already. The arguments of ``submit`` are the first
        piece (Gradio 5.0 and later).

        Raises:
            LocalProtocolError: the job is over or takes no pieces, its input was ended, or the
                piece does not fit or is not JSON.
        """
        piece = Piece(chunk)  # in this thread
        self._worker.ask(partial(self._core.send, self._record, piece, latest=latest))

    def end_input(self) -> None:
        """End a streaming input: the job completes after the pieces that wait.

        Raises:
            LocalProtocolError: the job is over or takes no pieces, or its input was ended.
        """
        self._worker.ask(partial(self._core.end_input, self._record))

    @property
    def stopped_on_server(self) -> bool | None:
        """For a cancelled job: whether the server said that it stopped; None: not known."""
        return self._record.stopped_on_server

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

    def __iter__(self) -> Reader[Any]:
        return self._reader(self._record.read_outputs())

    def __aiter__(self) -> Reader[Any]:
        return self._reader(self._record.read_outputs())

    def updates(self) -> Reader[Update]:
        """Status updates and outputs as they arrive, from the first one on; before them, if files
        are uploaded, an ``UploadProgress`` for each part that was sent.

        A late reader gets only the newest places in the queue and the newest progress, and
        everything else that is kept.
        The last is an ``OutputUpdate`` with ``final``; then comes the job's error, if any.
        """
        return self._reader(self._record.read_updates())

    def messages(self) -> Reader[Message]:
        """The messages of the queue, if they were asked for: see ``Client.stream_messages``."""
        return self._reader(self._record.read_messages())

    def _reader(self, items: Iterator[T | Nothing]) -> Reader[T]:
        return Reader(items, self._record.changed, self._worker, self)

    @staticmethod
    def _conclude(reference: weakref.ref[Job], record: JobRecord) -> None:
        """The job is over: settle its Future, unless that was garbage-collected."""
        if (job := reference()) is not None:
            job._result, job._exception = record.result, record.error
            job._told_at_end.tell_all()
            if not record.fate[None].calls_back:
                job._call_back()

    def __repr__(self) -> str:
        return f"<Job {self._record.id}: {self.status().code.lower()}>"


class MessageStream:
    """The messages of one job, as they arrive: an iterator, and a context manager.

    Leaving early, by ``close``, the end of a ``with``, an exception, or when it is
    garbage-collected, ends the job on the server. After a failing last message the error is raised.

    It also has the messages of jobs that ``Client.send_data`` begins at the same endpoint; these
    jobs end with the stream. A stream that only listens has no others, and goes on until it is
    left, or until the session is lost, which is a ``ConnectionError``.
    """

    def __init__(
        self, job: Job, messages: Reader[Message], queue: MessageQueue, core: ClientCore
    ) -> None:
        self._job = job
        self._core = core
        self._messages = messages
        self._queue = queue
        self._closed = False

    @property
    def skipped(self) -> int:
        """The number of messages that were dropped because they came faster than they were read
        (``Limits.kept_outputs``), and of those whose output could not be read: they have no
        ``data``."""
        return self._queue.skipped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        if self._closed:
            raise StopIteration
        try:
            return next(self._messages)
        except BaseException as error:  # KeyboardInterrupt too
            closed_elsewhere = self._job.cancelled() and isinstance(error, JobCancelledError)
            self.close()
            if closed_elsewhere:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """End the job, if it is not over. In a forked process the job goes on: it is the
        parent's."""
        self._closed = True
        if self._core.is_own_process:
            self._job.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Without a job Ctrl-C came in the constructor, before there was anything to leave.
        if (job := self.__dict__.get("_job")) is not None and not sys.is_finalizing():
            job._leave()  # pyright: ignore[reportPrivateUsage]  # a word for this module


class Results:
    """The results of an endpoint for many inputs: an iterator, and a context manager.

    Leaving early, by ``close``, the end of a ``with``, an exception, or when it is
    garbage-collected, gives up the calls under way. If several threads iterate it, each result goes
    to one of them.
    """

    def __init__(self, calls: Calls, worker: Worker, client: object) -> None:
        self._calls = calls
        self._worker = worker
        self._client = client

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._worker.may_wait()
        calls = self._calls
        try:
            while True:
                seen = calls.changed.version
                calls.begin()
                if (result := calls.take()) is not Nothing.YET:
                    return result
                if calls.are_over:
                    break
                wait_for(calls.changed, seen)
        except BaseException:  # KeyboardInterrupt, and what the inputs raise, too
            self.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """Cancel the calls under way. In a forked process they go on: they are the parent's."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Without calls Ctrl-C came in the constructor.
        calls: Calls | None = self.__dict__.get("_calls")
        if calls is not None and not calls.are_over and not sys.is_finalizing():
            calls.close()
