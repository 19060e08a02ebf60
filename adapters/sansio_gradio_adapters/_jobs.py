"""The records of a client's jobs, and the signals that tell of changes.

Rule 1: as in ``_history``, one thread writes, many read, and none waits. A reader that finds
nothing new says ``Nothing.YET``, and its world knows how to wait for the ``Signal``.

Rule 2: there is no lock. Ctrl-C, signal handlers and finalisers run between any two instructions of
Python; they could find a lock held, or leave it held. So concurrent changes are one call of a dict
or a deque, which nothing interrupts: ``setdefault`` fixes an outcome, or takes an item. The work
that follows may be done twice, and the writer does it at least once.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.errors import JobCancelledError
from sansio_gradio.events import (
    JobCancelled,
    JobCompleted,
    JobEnd,
    JobFailed,
    Output,
    UploadProgress,
)
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.lazy import LazySequence
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Outputs
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._history import MessageQueue, Nothing, StatusHistory

T = TypeVar("T")
S = TypeVar("S")

_VERSIONS: Final = count(1)


class Signal:
    """A signal to wait for: see ``subscribe``."""

    __slots__ = ("_waiters", "version")

    def __init__(self) -> None:
        self.version = 0
        """A number that changes with each notification."""
        self._waiters: dict[Callable[[], object], None] = {}

    def subscribe(self, wake: Callable[[], object], seen: int) -> bool:
        """Call *wake* at the next notification after version *seen*.

        It is called once; if several threads notify, or Ctrl-C interrupts a notification, perhaps
        again. False: that notification is past already, and *wake* will not be called.
        """
        self._waiters[wake] = None
        if self.version == seen:
            return True
        # A notification in between may have seen *wake*. Then it was called, or will be.
        return self._waiters.pop(wake, self) is self

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Do not call *wake* any more."""
        self._waiters.pop(wake, None)

    def notify(self) -> None:
        """Wake all that wait."""
        self.version = next(_VERSIONS)
        for wake in list(self._waiters):
            if wake in self._waiters:
                wake()
                # Only now, so that an interrupt here loses none of them.
                self._waiters.pop(wake, None)

    @property
    def waiting(self) -> int:
        """The number of those that wait."""
        return len(self._waiters)


@attrs.frozen(kw_only=True)
class OutputUpdate:
    """A job has yielded, or ended.

    ``outputs`` is as in ``Job.outputs``: one value, or a tuple if the endpoint has several outputs.
    ``final``: this is the last update of the job; then ``success`` says how the job ended, and
    ``outputs`` is the result, or without success the last output, or None.
    """

    outputs: Any
    final: bool
    success: bool

    @property
    def value(self) -> Any:
        """The same as ``outputs``, by the name of ``Output.value``."""
        return self.outputs


Update: TypeAlias = StatusUpdate | OutputUpdate | UploadProgress


class JobOutputs(LazySequence[Any]):
    """The outputs that a job had at one moment, oldest first, as its caller gets them.

    Each is made when it is read, and not kept: how many there are costs no memory. Their number
    does not change: ask the job again for more.
    """

    def __init__(
        self, rows: Sequence[tuple[Any, ...]], shape: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        self._rows = rows
        self._shape = shape

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return map(self._shape, self._rows)

    def __reversed__(self) -> Iterator[Any]:
        return map(self._shape, reversed(self._rows))

    def at(self, place: int) -> Any:
        return self._shape(self._rows[place])


def _the_one(row: tuple[Any, ...]) -> Any:
    return row[0]


@attrs.frozen(eq=False, kw_only=True)
class Outcome:
    """How a job has ended."""

    result: Any = None
    error: BaseException | None = None
    was_cancelled: bool = False
    status: StatusUpdate
    """The last one."""
    was_said: bool = False
    """The last status is the server's, and among the others."""
    calls_back: bool = False
    """The thread that fixed it runs the callbacks, not the writer."""

    @classmethod
    def cancelled(cls, *, calls_back: bool = False) -> Self:
        """Cancelled by the application, now."""
        status = StatusUpdate(Status.CANCELLED, time.time())
        return cls(was_cancelled=True, status=status, calls_back=calls_back)


@attrs.define(eq=False, kw_only=True)
class JobRecord:
    """The state of one job, which carries out *call*.

    ``shape`` turns the values of all output components into the caller's value. ``messages``: the
    queue for messages, if they are wanted. ``kept_bytes``: the most bytes of outputs to keep, and
    of status updates. ``cancelled_error``: the class to raise in this world. ``resume`` is called,
    in any thread and by finalisers, to resume a paused job.
    """

    call: Call
    shape: Callable[[tuple[Any, ...]], Any]
    _messages: MessageQueue | None = attrs.field(default=None, alias="messages")
    _kept_bytes: int = attrs.field(default=Limits().kept_outputs, alias="kept_bytes")
    _cancelled_error: type[JobCancelledError] = attrs.field(
        default=JobCancelledError, alias="cancelled_error"
    )
    _resume: Callable[[JobRecord], object] = attrs.field(default=lambda _: None, alias="resume")

    id: int | None = attrs.field(default=None, init=False)
    """The engine's number of the job, once it has one."""
    until: float | None = attrs.field(default=None, init=False)
    """When its deadline passes, in monotonic seconds; None: it has none."""
    fate: dict[None, Outcome] = attrs.field(factory=dict[None, Outcome], init=False)
    """The outcome, as soon as there is one: the first ``setdefault`` fixes it."""
    _status: StatusUpdate = attrs.field(init=False)
    yielded: Outputs | None = attrs.field(default=None, init=False)
    """The outputs of the job."""
    statuses: StatusHistory = attrs.field(init=False)
    changed: Signal = attrs.field(factory=Signal, init=False)
    """Told when there is something new to read."""
    ended: Signal = attrs.field(factory=Signal, init=False)
    """Told when the outcome is there: once for each job. (``changed`` tells of every output.)"""
    stopped_on_server: bool | None = attrs.field(default=None, init=False)
    """For a cancelled job: whether the server said that it stopped; None: not known."""
    on_outcome: Callable[[JobRecord], object] | None = attrs.field(default=None, init=False)
    """Called by the writer when the job has ended, at least once."""
    keeps: object = attrs.field(default=None, init=False)
    """An object to keep alive as long as the job runs."""
    is_paused: bool = attrs.field(default=False, init=False)
    """The job is paused: its yields wait at the server. Set by the writer, as is the next one."""
    may_be_paused: bool = attrs.field(default=True, init=False)
    """The job can be paused, as far as is known."""
    is_awaited: bool = attrs.field(default=False, init=False)
    """The outcome is, or was, waited for: so the job must not be paused."""
    _readers: dict[int, None] = attrs.field(factory=dict[int, None], init=False)  # of outputs
    _read: int = attrs.field(default=0, init=False)  # bytes when one of them last had read all
    _end: JobEnd | BaseException | None = attrs.field(default=None, init=False)
    fetched: list[Any] = attrs.field(factory=list[Any], init=False)
    """The result with the paths of its files, if they were downloaded."""

    def __attrs_post_init__(self) -> None:
        self._status = StatusUpdate(Status.STARTING, time.time())
        self.statuses = StatusHistory(self._kept_bytes)

    # The writer.

    def add_status(self, status: StatusUpdate) -> None:
        if not self.fate:
            self._status = status
            self.statuses.add(self._received, status)

    def add_progress(self, progress: UploadProgress) -> None:
        if not self.fate:
            self.statuses.add(self._received, progress)

    def add_message(self, message: Message) -> None:
        if self._messages is not None:
            self._messages.add(message)

    def add_outputs(self, outputs: Outputs) -> None:
        """The job has yielded: *outputs*, the same each time, has grown."""
        self.yielded = outputs

    @property
    def is_behind(self) -> bool:
        """Whether the unread outputs exceed half of the bytes that are kept."""
        if self.yielded is None or not self._readers or self.is_awaited:
            return False
        return self.yielded.size_received - self._read > self._kept_bytes // 2

    def add_output(self, event: Output) -> None:
        """The message that came last has yielded this."""
        if self._messages is not None:
            self._messages.add_change(event.edits)

    def add_end(self, end: JobEnd | BaseException) -> None:
        """The job is over; or, with an exception, it will never end."""
        self._end = end
        if isinstance(end, JobCancelled):
            self.stopped_on_server = end.stopped_on_server

    def publish(self) -> None:
        """Show the news to readers, and wake all that wait."""
        if self._messages is not None:
            self._messages.release()
        if self._end is not None:
            self.fate.setdefault(None, self._outcome_of(self._end))
            self.tell()
        else:
            self.changed.notify()

    def tell(self) -> None:
        """Wake all that wait for the outcome, which is fixed."""
        self.notify()
        if self.on_outcome is not None:
            self.on_outcome(self)
        self.keeps = None

    def _outcome_of(self, end: JobEnd | BaseException) -> Outcome:
        result: Any = None
        error: BaseException | None = None
        match end:
            case JobCancelled():
                if self._status.code is Status.CANCELLED:
                    return Outcome(was_cancelled=True, status=self._status, was_said=True)
                return Outcome.cancelled()
            case JobCompleted():
                try:
                    result = self.fetched[0] if self.fetched else self.shape(end.data)
                except Exception as why:  # a bug, which must not take the other jobs along
                    error = why
            case JobFailed():
                error = end.error
            case _:
                error = end
        if said := self._status.code is Status.FINISHED:
            status = self._status
        else:
            status = StatusUpdate(Status.FINISHED, time.time(), {"success": error is None})
        return Outcome(result=result, error=error, status=status, was_said=said)

    # Anybody.

    def notify(self) -> None:
        """Wake all that wait, without ``on_outcome``."""
        self.ended.notify()
        self.changed.notify()

    @property
    def is_over(self) -> bool:
        """Whether the job is over. Then ``result``, or ``error``, can be read."""
        return bool(self.fate)

    @property
    def result(self) -> Any:
        return self.fate[None].result if self.fate else None

    @property
    def error(self) -> BaseException | None:
        return self.fate[None].error if self.fate else None

    @property
    def was_cancelled(self) -> bool:
        return bool(self.fate) and self.fate[None].was_cancelled

    @property
    def status(self) -> StatusUpdate:
        return self.fate[None].status if self.fate else self._status

    def cancel(self) -> bool:
        """Fix the outcome: cancelled; False: it is fixed already."""
        outcome = Outcome.cancelled()
        return self.fate.setdefault(None, outcome) is outcome

    def refuse(self, error: BaseException) -> None:
        """Fix the outcome: the job could not even begin."""
        self.fate.setdefault(None, self._outcome_of(error))
        self.tell()

    def demand_outcome(self) -> None:
        """Note that the outcome is waited for, and resume the job if it is paused."""
        self.is_awaited = True  # before the look: pausing looks in the other order
        self._go_on()

    def not_yet(self, timeout: float | None) -> TimeoutError:
        """The error after *timeout* seconds without an outcome."""
        return TimeoutError(
            f"The job is not over after {timeout} s (its status: {self.status.code}). It goes on:"
            " wait again, or cancel() it."
        )

    def _go_on(self) -> None:
        if self.is_paused:
            self._resume(self)

    @property
    def _received(self) -> int:
        return 0 if self.yielded is None else self.yielded.received

    def outcome_error(self) -> BaseException | None:
        """The error that a job that is over raises, or None."""
        if self.was_cancelled:
            return self._cancelled_error(job=self.id, outputs=self.yielded or ())
        return self.error

    @property
    def skipped(self) -> int:
        return 0 if self.yielded is None else self.yielded.skipped

    def outputs(self) -> JobOutputs:
        """The outputs that there are now; the result, if nothing was yielded before it."""
        outcome = self.fate.get(None)
        if self.yielded is not None:
            return JobOutputs(self.yielded.so_far(), self.shape)
        if outcome is None or outcome.was_cancelled or outcome.error is not None:
            return JobOutputs((), self.shape)
        return JobOutputs(((outcome.result,),), _the_one)

    def raise_error(self) -> None:
        """Raise the error of a job that is over, if it has one."""
        if (error := self.outcome_error()) is not None:
            try:
                raise error
            finally:
                del error  # the error refers to this frame

    def value(self) -> Any:
        """The result of a job that is over; raises its error, if it has one."""
        self.raise_error()
        return self.result

    # Readers. Each is an iterator of its own, which ends, or raises, with the job.

    def join(self, reader: object) -> None:
        """Add a reader of outputs."""
        if id(reader) not in self._readers:
            if not self._readers:
                self._read = 0
            self._readers[id(reader)] = None

    def has_read(self, size: int) -> None:
        """A reader has read everything up to *size* bytes."""
        self._read = max(self._read, size)
        self._go_on()

    def leave(self, reader: object) -> None:
        """Remove a reader; finalisers call this."""
        self._readers.pop(id(reader), None)
        if not self._readers:
            self._go_on()

    def read_outputs(self) -> Iterator[Any]:
        """Every output from the first one on; the result, if nothing was yielded before it."""
        return _OutputReading(self)

    def read_updates(self) -> Iterator[Update | Nothing]:
        """Status updates and outputs, in the order of their coming, then the final output."""
        return _UpdateReading(self)

    def read_messages(self) -> Iterator[Message | Nothing]:
        """Every message that no other reader has taken."""
        return _MessageReading(self, self._messages)


class _Reading(Generic[S, T]):
    """An iterator that several threads or tasks may share: each item goes to one of them.

    A call that is interrupted before it returns an item has taken none.
    """

    def __init__(self, record: JobRecord, start: S) -> None:
        self._record = record
        # The place, and, once the next item is taken, the next place.
        self._at: tuple[S, dict[None, Any]] = start, {}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T | Nothing:
        while True:
            place, after = self._at
            if after:
                self._at = after[None]
                continue
            found = self._look(place)
            if isinstance(found, Nothing):
                return found
            item, place = found
            mine: tuple[S, dict[None, Any]] = place, {}
            if after.setdefault(None, mine) is mine:
                self._at = mine
                return item

    @abstractmethod
    def _look(self, place: S) -> tuple[T, S] | Nothing:
        """The first item from *place* on, and the next place; raises at the end."""


_Ahead: TypeAlias = tuple[int, tuple[Any, ...]]
"""A place, and what the job has yielded there."""


class _ValueReading(_Reading[S, T]):
    """One that sees what the job has yielded, which may be paused until it has."""

    def __init__(self, record: JobRecord, start: S) -> None:
        super().__init__(record, start)
        # The last position found. A reader takes it out; one that finds none begins anew.
        self._seen: deque[tuple[_Ahead | None, Iterator[_Ahead | None]]] = deque(maxlen=2)

    def _value(self, place: int) -> _Ahead | None:
        """The first one from *place* on that is kept."""
        record = self._record
        if (outputs := record.yielded) is None:
            return None
        record.join(self)
        size = outputs.size_received
        try:
            ahead, follower = self._seen.pop()
        except IndexError:
            ahead, follower = None, outputs.follow_from(place)
        if ahead is None:
            ahead = next(follower)
        while ahead is not None and ahead[0] < place:
            ahead = next(follower)
        self._seen.append((ahead, follower))
        if ahead is None:
            record.has_read(size)
        return ahead

    def __del__(self) -> None:
        with suppress(AttributeError):  # Ctrl-C came before it had one
            self._record.leave(self)


class _OutputReading(_ValueReading[tuple[int, bool, bool], Any]):
    """At each place: how many yields were before it, and was there any, or the result."""

    def __init__(self, record: JobRecord) -> None:
        super().__init__(record, (0, False, False))

    def _look(self, place: tuple[int, bool, bool]) -> tuple[Any, tuple[int, bool, bool]] | Nothing:
        record, (number, yielded, ended) = self._record, place
        over = bool(record.fate)
        if (found := self._value(number)) is not None:
            return record.shape(found[1]), (found[0] + 1, True, False)
        if not over:
            return Nothing.YET
        record.raise_error()
        if yielded or ended:
            raise StopIteration
        return record.result, (number, False, True)


@attrs.frozen
class _Position:
    """The place of a reader of updates."""

    status: int = 0
    yields: int = 0
    """How many were before."""
    last: Any = None
    has_status: bool = False
    """The last one was read."""
    has_ended: bool = False
    """The final output, too."""


class _UpdateReading(_ValueReading[_Position, Update]):
    def __init__(self, record: JobRecord) -> None:
        super().__init__(record, _Position())

    def _look(self, place: _Position) -> tuple[Update, _Position] | Nothing:
        record = self._record
        outcome = record.fate.get(None)
        entry = record.statuses.at(place.status)
        found = None
        if entry is None or entry[1] > place.yields:
            found = self._value(place.yields)
        if found is not None:
            last = record.shape(found[1])
            update = OutputUpdate(outputs=last, final=False, success=True)
            return update, attrs.evolve(place, yields=found[0] + 1, last=last)
        if entry is not None:
            return entry[2], attrs.evolve(place, status=entry[0] + 1)
        if outcome is None:
            return Nothing.YET
        if not (outcome.was_said or place.has_status):
            return outcome.status, attrs.evolve(place, has_status=True)
        if not (outcome.was_cancelled or place.has_ended):
            success = outcome.error is None
            last = outcome.result if success else place.last
            final = OutputUpdate(outputs=last, final=True, success=success)
            return final, attrs.evolve(place, has_ended=True)
        record.raise_error()
        raise StopIteration


class _MessageReading(Iterator[Message | Nothing]):
    def __init__(self, record: JobRecord, messages: MessageQueue | None) -> None:
        self._record = record
        self._messages = messages

    def __next__(self) -> Message | Nothing:
        over = self._record.is_over
        message = Nothing.YET if self._messages is None else self._messages.take()
        if message is Nothing.YET and over:
            self._record.raise_error()
            raise StopIteration
        return message
