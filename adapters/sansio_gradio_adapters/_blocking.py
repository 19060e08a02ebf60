"""What the blocking client hands out: ``Job``, ``MessageStream``, and the readers of both.

All of them block until they are told something, and may be used in any thread but the client's own.
"""

from __future__ import annotations

import concurrent.futures
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from sansio_gradio import errors
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import MessageQueue, Nothing
from sansio_gradio_adapters._jobs import JobRecord, Signal, Update
from sansio_gradio_adapters._mapping import Calls
from sansio_gradio_adapters._worker import Worker, wait_for, wait_until

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class JobCancelledError(errors.JobCancelledError, concurrent.futures.CancelledError):
    """The job was cancelled by its own client."""


class Reader(Generic[T]):
    """What a job says, from the beginning: iterate with ``for``, or from asyncio ``async for``."""

    def __init__(self, items: Iterator[T | Nothing], changed: Signal, worker: Worker) -> None:
        self._items = items
        self._changed = changed
        self._worker = worker

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
        import asyncio  # noqa: PLC0415  # who is here has it already; others need not wait for it

        loop = asyncio.get_running_loop()
        while True:
            seen = self._changed.version
            try:
                item = next(self._items)
            except StopIteration:
                raise StopAsyncIteration from None
            if not isinstance(item, Nothing):
                return item
            told = loop.create_future()
            if self._changed.subscribe(partial(_tell, loop, told), seen):
                await told


def _tell(loop: asyncio.AbstractEventLoop, told: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed, and with it whoever waited
        loop.call_soon_threadsafe(_settle, told)


def _settle(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


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
        self._client = client  # which lives as long as somebody has one of its jobs
        record.on_outcome = partial(Job._conclude, weakref.ref(self))
        # Before any other callback, so that readers are never behind ``done``.
        super().add_done_callback(Job._show)

    def result(self, timeout: float | None = None) -> Any:
        """The value that the endpoint returns: one, or a tuple of several.

        Raises:
            TimeoutError: *timeout* seconds have passed; the job goes on.
            JobCancelledError: it was cancelled.
            GradioError: what went wrong with the job.
        """
        self._wait(timeout)
        try:
            return super().result(0)
        except concurrent.futures.CancelledError:
            raise self._cancelled_error() from None

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that ``result`` would raise, or None. Raises as ``result`` for the rest."""
        self._wait(timeout)
        try:
            return super().exception(0)
        except concurrent.futures.CancelledError:
            raise self._cancelled_error() from None

    def outputs(self) -> list[Any]:
        """All outputs so far, oldest first; the result itself, if it was the only one.

        They are kept as they came, and each call reads them all: iterate to have each read once.
        """
        return self._record.outputs()

    @property
    def skipped(self) -> int:
        """Oldest outputs dropped, since all were more than ``Limits.kept_outputs``.

        Whoever iterates and keeps up has seen them.
        """
        return self._record.skipped

    def status(self) -> StatusUpdate:
        """How far the job is."""
        return self._record.status

    def running(self) -> bool:
        """Whether the server is working on it."""
        return not self.done() and Status.PROCESSING <= self.status().code < Status.FINISHED

    def cancel(self) -> bool:
        """Give the job up at once, and have the server stop it; False: it was over already."""
        if self._record.cancel():
            self._worker.post(partial(self._core.cancel, self._record))
            self._settle()
        return self.cancelled()

    def _leave(self) -> None:
        """Cancel it soon: this is called by finalisers, where no lock may be taken."""
        if not self._record.is_over:
            self._worker.leave(partial(self._core.give_up, self._record))

    def send(self, *chunk: Any, latest: bool = False) -> None:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: pieces that wait already are dropped for this one. The first piece is what the
        job was submitted with (Gradio 5.0 and later).

        Raises:
            LocalProtocolError: the job is over or takes no pieces, its input was ended, or the
                piece does not fit or is no JSON.
        """
        self._worker.ask(partial(self._core.send, self._record, *chunk, latest=latest))

    def end_input(self) -> None:
        """End a streaming input: the job completes after the pieces that wait.

        Raises:
            LocalProtocolError: the job is over or takes no pieces, or its input was ended.
        """
        self._worker.ask(partial(self._core.end_input, self._record))

    @property
    def stopped_on_server(self) -> bool | None:
        """Of a cancelled job: whether the server said that it stopped; None: it did not yet."""
        return self._record.stopped_on_server

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call *fn* with this job when it is over, even if nobody else keeps the job."""
        if not self.done():
            self._record.demand_outcome()
            self._record.keeps = self
        super().add_done_callback(fn)

    def __iter__(self) -> Reader[Any]:
        return self._reader(self._record.read_outputs())

    def __aiter__(self) -> Reader[Any]:
        return self._reader(self._record.read_outputs())

    def updates(self) -> Reader[Update]:
        """Status updates and outputs as they arrive, from the first one on.

        Who reads late finds the newest places in the queue only, and all else that is kept.
        The last is an ``OutputUpdate`` with ``final``; then comes the job's error, if any.
        """
        return self._reader(self._record.read_updates())

    def messages(self) -> Reader[Message]:
        """The messages of the queue, if they were asked for: see ``Client.stream_messages``."""
        return self._reader(self._record.read_messages())

    def _reader(self, items: Iterator[T | Nothing]) -> Reader[T]:
        return Reader(items, self._record.changed, self._worker)

    def _wait(self, timeout: float | None) -> None:
        if not self.done():
            self._worker.may_wait()
            self._record.demand_outcome(timeout)
            # Not by the Future's own Condition, which Ctrl-C can leave in disorder.
            if not wait_until(self._record.ended, self.done, timeout):
                raise self._record.not_yet(timeout)

    def _settle(self) -> None:
        record = self._record
        if record.was_cancelled:
            super().cancel()
            super().set_running_or_notify_cancel()
        elif record.error is not None:
            super().set_exception(record.error)
        else:
            super().set_result(record.result)

    @staticmethod
    def _conclude(reference: weakref.ref[Job], record: JobRecord) -> None:
        if (job := reference()) is not None:
            job._settle()
        else:
            record.show()  # nobody can ask for its result any more

    @staticmethod
    def _show(job: Future[Any]) -> None:
        assert isinstance(job, Job)
        job._record.show()

    def _cancelled_error(self) -> BaseException:
        return self._record.outcome_error() or JobCancelledError()

    def __repr__(self) -> str:
        return f"<Job {self._record.id}: {self.status().code.lower()}>"


class MessageStream:
    """The messages of one job, as they arrive: an iterator, and a context manager.

    Leaving early, by ``close``, the end of a ``with``, an exception, or when nobody has it any
    more, ends the job on the server. After a failing last message the error is raised.

    Messages of jobs that ``Client.send_data`` begins at the same endpoint come here, too, and these
    jobs end with the stream. One that only listens has none but these, and goes on until it is left
    or the session is lost, which is a ``ConnectionError``.
    """

    def __init__(self, job: Job, messages: Reader[Message], queue: MessageQueue) -> None:
        self._job = job
        self._messages = messages
        self._queue = queue
        self._closed = False

    @property
    def skipped(self) -> int:
        """Messages dropped since they came faster than they were read (``Limits.kept_outputs``)."""
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
        """End the job, if it is not over."""
        self._closed = True
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
        if not sys.is_finalizing():
            self._job._leave()  # pyright: ignore[reportPrivateUsage]  # a word for this module


class Results:
    """What an endpoint returns for each of many inputs: an iterator, and a context manager.

    Leaving early, by ``close``, the end of a ``with``, an exception, or when nobody has it any
    more, gives up the calls under way.
    """

    def __init__(self, calls: Calls, worker: Worker, client: object) -> None:
        self._calls = calls
        self._worker = worker
        self._client = client

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._worker.may_wait()
        try:
            while self._calls.begin():
                wait_until(self._calls.ended, self._calls.has_result)
                if (result := self._calls.take()) is not Nothing.YET:
                    return result
        except BaseException:  # KeyboardInterrupt, and what the inputs raise, too
            self.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """Give up what is under way."""
        self._calls.give_up()

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
        if not sys.is_finalizing():
            self._calls.leave(self._worker.leave)
