"""What a client knows of its jobs, and how others learn that it has changed.

Rule 1: as in ``_history``, one writes, many read, and nobody waits. A reader that finds nothing new
says ``Nothing.YET``, and its world knows how to wait for the ``Signal``.

Rule 2: the outcome of a job is fixed once, by whoever claims it first: the server, or a ``cancel``
in any thread.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.errors import JobCancelledError
from sansio_gradio.events import JobCancelled, JobCompleted, JobEnd, JobFailed, Output
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Outputs
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._history import MessageQueue, Nothing, StatusHistory

_LOCK: Final = threading.Lock()
"""For the few instructions in which a signal or a claim changes hands; one a job would be waste."""


class Signal:
    """Something that can be waited for: see ``subscribe``."""

    __slots__ = ("_waiters", "version")

    def __init__(self) -> None:
        self.version = 0
        """Counts the notifications."""
        self._waiters: tuple[Callable[[], object], ...] = ()

    def subscribe(self, wake: Callable[[], object], seen: int) -> bool:
        """Have *wake* called, once, at the next notification after version *seen*.

        False: that one is past already, and *wake* will not be called.
        """
        with _LOCK:
            if self.version == seen:
                self._waiters += (wake,)
                return True
            return False

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Have *wake* not called, if it was not already."""
        with _LOCK:
            self._waiters = tuple(waiter for waiter in self._waiters if waiter != wake)

    def notify(self) -> None:
        """Call all who wait."""
        with _LOCK:
            self.version += 1
            waiters, self._waiters = self._waiters, ()
        for wake in waiters:
            wake()


@attrs.frozen(kw_only=True)
class OutputUpdate:
    """A job has yielded, or ended.

    ``outputs`` is what ``Job.outputs`` has of it: one value, or a tuple where the endpoint has
    several outputs. ``final``: it is the job's last; then ``success`` says how the job ended, and
    ``outputs`` is the result, or without success the last that was yielded, or None.
    """

    outputs: Any
    final: bool
    success: bool

    @property
    def value(self) -> Any:
        """The same as ``outputs``, in the word of ``Output.value``."""
        return self.outputs


Update: TypeAlias = StatusUpdate | OutputUpdate


@attrs.define(eq=False, kw_only=True)
class JobRecord:
    """What is known of one job, which is to do *call*.

    ``shape`` makes of the values of all output components what the caller is given. ``messages``:
    where they go, if somebody wants them. ``kept_bytes``: how many bytes of outputs stay, and how
    many of status updates. ``cancelled_error``: the class to raise in this world. ``resume`` is
    asked, in any thread and by finalisers, to have the job go on, after it was paused.
    """

    call: Call
    _shape: Callable[[tuple[Any, ...]], Any] = attrs.field(alias="shape")
    _messages: MessageQueue | None = attrs.field(default=None, alias="messages")
    _kept_bytes: int = attrs.field(default=Limits().kept_outputs, alias="kept_bytes")
    _cancelled_error: type[JobCancelledError] = attrs.field(
        default=JobCancelledError, alias="cancelled_error"
    )
    _resume: Callable[[JobRecord], object] = attrs.field(default=lambda _: None, alias="resume")

    id: int | None = attrs.field(default=None, init=False)
    """The engine's number, once it has one."""
    status: StatusUpdate = attrs.field(init=False)
    _outputs: Outputs | None = attrs.field(default=None, init=False)
    statuses: StatusHistory = attrs.field(init=False)
    changed: Signal = attrs.field(factory=Signal, init=False)
    """Something can be read that could not before."""
    ended: Signal = attrs.field(factory=Signal, init=False)
    """The outcome is there: once a job, while ``changed`` tells of every output."""
    is_over: bool = attrs.field(default=False, init=False)
    """The outcome is there to be seen: ``result``, or ``error``."""
    result: Any = attrs.field(default=None, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    was_cancelled: bool = attrs.field(default=False, init=False)
    stopped_on_server: bool | None = attrs.field(default=None, init=False)
    """Of a cancelled job: whether the server said that it stopped; None: not known yet."""
    on_outcome: Callable[[JobRecord], object] | None = attrs.field(default=None, init=False)
    """Called in ``conclude`` when the job has ended, instead of ``show``, which it must call."""
    keeps: object = attrs.field(default=None, init=False)
    """What must live as long as the job runs."""
    is_paused: bool = attrs.field(default=False, init=False)
    """What it yields waits with the server."""
    may_be_paused: bool = attrs.field(default=True, init=False)
    """Nobody waits for the outcome, and it is not known that it cannot be."""
    _readers: set[object] = attrs.field(factory=set[object], init=False)  # of outputs
    _read: int = attrs.field(default=0, init=False)  # bytes when one of them last had read all
    _end: JobEnd | BaseException | None = attrs.field(default=None, init=False)
    _claimed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.status = StatusUpdate(Status.STARTING, time.time())
        self.statuses = StatusHistory(self._kept_bytes)

    # The one who writes.

    def add_status(self, status: StatusUpdate) -> None:
        if not self._claimed:
            self.status = status
            self.statuses.add(self._received, status)

    def add_message(self, message: Message) -> None:
        if self._messages is not None:
            self._messages.add(message)

    def add_outputs(self, outputs: Outputs) -> None:
        """The job has yielded: *outputs*, the same each time, has grown."""
        self._outputs = outputs

    @property
    def is_behind(self) -> bool:
        """Whether it yields faster than it is read, by half of what is kept."""
        if self._outputs is None or not self._readers:
            return False
        return self._outputs.size_received - self._read > self._kept_bytes // 2

    def add_output(self, event: Output) -> None:
        """The message that came last has yielded this."""
        if self._messages is not None:
            self._messages.add_change(event.edits)

    def add_end(self, end: JobEnd | BaseException) -> None:
        """The job is over, or, with an exception, will never be."""
        self._end = end
        if isinstance(end, JobCancelled):
            self.stopped_on_server = end.stopped_on_server

    def publish(self) -> None:
        """Show readers what has come since the last time, and call who waits."""
        if self._messages is not None:
            self._messages.release()
        if self._end is not None and self.claim():
            self._conclude(self._end)
            self.conclude()
        self.changed.notify()

    def _conclude(self, end: JobEnd | BaseException) -> None:
        match end:
            case JobCompleted():
                try:
                    self.result = self._shape(end.data)
                except Exception as error:  # a bug, which must not take the other jobs along
                    self.error = error
            case JobFailed():
                self.error = end.error
            case JobCancelled():
                self.was_cancelled = True
            case _:
                self.error = end

    # Anybody.

    def claim(self) -> bool:
        """Whether it falls to the caller to fix the outcome; True for the first who asks."""
        with _LOCK:
            first, self._claimed = not self._claimed, True
            return first

    def cancel(self) -> bool:
        """Fix the outcome: cancelled; False: it is fixed already."""
        if not self.claim():
            return False
        self.was_cancelled = True
        return True

    def conclude(self) -> None:
        """Have ``show`` called by whoever is to do more than that, or do it."""
        (self.on_outcome or JobRecord.show)(self)

    def demand_outcome(self, timeout: float | None = None) -> None:
        """Somebody waits for the outcome, so that nothing may hold it up any more.

        Raises:
            ValueError: not so long.
        """
        if timeout is not None and math.isnan(timeout):
            raise ValueError("A timeout is in seconds; NaN is no number.")
        self.may_be_paused = False
        self._go_on()

    def not_yet(self, timeout: float | None) -> TimeoutError:
        """What to tell who has waited for the outcome, *timeout* seconds, in vain."""
        return TimeoutError(
            f"The job is not over after {timeout} s (its status: {self.status.code}). It goes on:"
            " wait again, or cancel() it."
        )

    def _go_on(self) -> None:
        if self.is_paused:
            self._resume(self)

    def show(self) -> None:
        """Let readers see the outcome, and with it a last status."""
        if self.was_cancelled and self.status.code is not Status.CANCELLED:
            self._last_status(Status.CANCELLED, None)
        elif not self.was_cancelled and self.status.code is not Status.FINISHED:
            self._last_status(Status.FINISHED, self.error is None)
        self.is_over = True
        self.keeps = None
        self.ended.notify()
        self.changed.notify()

    def _last_status(self, code: Status, success: bool | None) -> None:
        message: Message = {} if success is None else {"success": success}
        self.status = StatusUpdate(code, time.time(), message)
        self.statuses.add(self._received, self.status)

    @property
    def _received(self) -> int:
        return 0 if self._outputs is None else self._outputs.received

    def outcome_error(self) -> BaseException | None:
        """What a job that is over raises."""
        if self.was_cancelled:
            return self._cancelled_error(job=self.id, outputs=self._outputs or ())
        return self.error

    @property
    def skipped(self) -> int:
        return 0 if self._outputs is None else self._outputs.skipped

    def outputs(self) -> list[Any]:
        """All outputs so far: see ``outputs_of``."""
        found = [self._shape(values) for values in self._outputs or ()]
        if not found and self.is_over and not self.was_cancelled and self.error is None:
            found.append(self.result)
        return found

    # Readers. Each is an iterator of its own, which ends, or raises, with the job.

    def read_outputs(self) -> Iterator[Any]:
        """Every output from the first one on; the result, if nothing was yielded before it."""
        values = self._follow()
        yielded = False
        while True:
            over = self.is_over
            value = next(values)
            if value is not None:
                yielded = True
                yield self._shape(value)
            elif over:
                break
            else:
                yield Nothing.YET
        self._raise_error()
        if not yielded:
            yield self.result

    def read_updates(self) -> Iterator[Update | Nothing]:
        """Status updates and outputs, in the order of their coming, then the final output."""
        return self._read_all(statuses=True)

    def read_messages(self) -> Iterator[Message | Nothing]:
        """Every message that no other reader has taken."""
        while True:
            over = self.is_over
            message = Nothing.YET if self._messages is None else self._messages.take()
            if message is Nothing.YET and over:
                break
            yield message
        self._raise_error()

    def _read_all(self, *, statuses: bool) -> Iterator[Update | Nothing]:
        values = self._follow()
        outputs, place = 0, 0
        last: Any = None
        while True:
            over = self.is_over
            entry = self.statuses.at(place) if statuses else None
            value = None if entry is not None and entry[1] <= outputs else next(values)
            if value is not None:
                outputs += 1
                last = self._shape(value)
                yield OutputUpdate(outputs=last, final=False, success=True)
            elif entry is not None:
                place = entry[0] + 1
                yield entry[2]
            elif over:
                break
            else:
                yield Nothing.YET
        if not self.was_cancelled:
            success = self.error is None
            yield OutputUpdate(
                outputs=self.result if success else last, final=True, success=success
            )
        self._raise_error()

    def _follow(self) -> Iterator[tuple[Any, ...] | None]:
        while self._outputs is None:
            yield None
        if not self._readers:
            self._read = 0
        self._readers.add(reader := object())
        try:
            found = self._outputs.follow()
            while True:
                size = self._outputs.size_received
                if (values := next(found)) is None:
                    self._read = max(self._read, size)
                    self._go_on()
                yield values
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._go_on()

    def _raise_error(self) -> None:
        if (error := self.outcome_error()) is not None:
            raise error
