"""The objects that clients with ``await`` hand out: ``Job``, ``MessageStream`` and ``Results``.

All of them belong to the event loop of their client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from sansio_gradio.client.streaming_input import Piece
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._awaited.of_tasks import JobCancelledError, JobOfTasks, Reader
from sansio_gradio_adapters._awaited.reading import Closing
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import MessageQueue, Nothing
from sansio_gradio_adapters._jobs import JobRecord, Update
from sansio_gradio_adapters._machine import Machine
from sansio_gradio_adapters._mapping import Calls

T = TypeVar("T")


class Job(JobOfTasks):
    """A call under way. ``await`` it for its result.

    ``async for`` gives every output from the first one on and then raises the job's error, if any.
    Several iterations at a time are independent. A task that is cancelled while it waits for the
    result gives the job up; a task that only iterates does not.
    """

    async def result(self, timeout: float | None = None) -> Any:
        """The value that the endpoint returns: one, or a tuple of several.

        Raises:
            TimeoutError: *timeout* seconds have passed; the job goes on.
            JobCancelledError: it was cancelled.
            GradioError: the job failed.
        """
        await self._wait(timeout)
        return self._record.value()

    async def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error of the job, or None. Raises ``TimeoutError`` and ``JobCancelledError`` as
        ``result`` does."""
        await self._wait(timeout)
        if self._record.was_cancelled:
            self._record.raise_error()
        return self._record.error

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

    def done(self) -> bool:
        """Whether the job is over: completed, failed or cancelled."""
        return self._record.is_over

    def running(self) -> bool:
        """Whether the server is working on it."""
        return not self.done() and Status.PROCESSING <= self.status().code < Status.FINISHED

    def cancelled(self) -> bool:
        """Whether the job was cancelled."""
        return self._record.was_cancelled

    def send(self, *chunk: Any, latest: bool = False) -> None:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: drop the pieces that wait already. The arguments of ``submit`` are the first
        piece (Gradio 5.0 and later).

        Raises:
            LocalProtocolError: the job is over or takes no pieces, its input was ended, or the
                piece does not fit or is not JSON.
        """
        piece = Piece(chunk)  # copied here, where the caller is
        self._machine.do(partial(self._core.send, self._record, piece, latest=latest))

    def end_input(self) -> None:
        """End a streaming input: the job completes after the pieces that wait.

        Raises:
            LocalProtocolError: the job is over or takes no pieces, or its input was ended.
        """
        self._machine.do(partial(self._core.end_input, self._record))

    @property
    def stopped_on_server(self) -> bool | None:
        """For a cancelled job: whether the server said that it stopped; None: not known."""
        return self._record.stopped_on_server

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
        return Reader(items, self._record.changed, self._machine, self)

    def __repr__(self) -> str:
        return f"<Job {self._record.id}: {self.status().code.lower()}>"


class MessageStream(Closing):
    """The messages of one job, as they arrive: an async iterator, and an async context manager.

    Leaving early, by ``close``, the end of an ``async with``, an exception, a cancellation, or when
    it is garbage-collected, ends the job on the server. After a failing last message the error is
    raised.

    It also has the messages of jobs that ``Client.send_data`` begins at the same endpoint; these
    jobs end with the stream. A stream that only listens has no others, and goes on until it is
    left, or until the session is lost, which is a ``ConnectionError``.
    """

    def __init__(
        self,
        record: JobRecord,
        queue: MessageQueue,
        core: ClientCore,
        machine: Machine,
        client: object,
    ) -> None:
        self._core = core
        self._machine = machine
        self._queue = queue
        self._messages = Reader(record.read_messages(), record.changed, machine, client)
        self._closed = False
        self._record = record

    @property
    def skipped(self) -> int:
        """The number of messages that were dropped because they came faster than they were read
        (``Limits.kept_outputs``), and of those whose output could not be read: they have no
        ``data``."""
        return self._queue.skipped

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if self._closed:
            raise StopAsyncIteration
        try:
            return await anext(self._messages)
        except BaseException as error:  # a cancellation and Ctrl-C, too
            was_closed = self._record.was_cancelled and isinstance(error, JobCancelledError)
            self._closed = True
            self._machine.leave(self._give_up, error)
            if was_closed:  # elsewhere
                raise StopAsyncIteration from None
            raise

    def close(self) -> None:
        """End the job, if it is not over. In a forked process the job goes on: it is the
        parent's."""
        self._closed = True
        if not self._record.is_over:
            self._machine.do_soon(self._give_up)

    @property
    def _give_up(self) -> Callable[[], None]:
        return partial(self._core.give_up, self._record)

    def __del__(self) -> None:
        # Without a record Ctrl-C came in the constructor, before there was anything to leave.
        record: JobRecord | None = self.__dict__.get("_record")
        if record is not None and not record.is_over and not sys.is_finalizing():
            self._core.post(self._give_up)


class Results(Closing):
    """The results of an endpoint for many inputs: an async iterator, and an async context manager.

    Leaving early, by ``close``, the end of an ``async with``, an exception, a cancellation, or when
    it is garbage-collected, gives up the calls under way. If several tasks iterate it, each result
    goes to one of them.
    """

    def __init__(self, calls: Calls, core: ClientCore, machine: Machine, client: object) -> None:
        self._post = core.post  # for the finaliser
        self._calls = calls
        self._machine = machine
        self._client = client  # keeps the client alive as long as the calls

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        calls, machine = self._calls, self._machine
        machine.may_wait()
        try:
            await machine.checkpoint()
            while True:
                seen = calls.changed.version
                calls.begin()
                if (result := calls.take()) is not Nothing.YET:
                    return result
                if calls.are_over:
                    break
                await machine.wait_for(calls.changed, seen)
        except BaseException as error:  # a cancellation, Ctrl-C, and what the inputs raise
            machine.leave(calls.close, error)
            raise
        raise StopAsyncIteration

    def close(self) -> None:
        """Cancel the calls under way. In a forked process they go on: they are the parent's."""
        self._calls.close()

    def __del__(self) -> None:
        # Without calls Ctrl-C came in the constructor.
        calls: Calls | None = self.__dict__.get("_calls")
        if calls is not None and not calls.are_over and not sys.is_finalizing():
            self._post(calls.close)
