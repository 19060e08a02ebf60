"""What a client knows of its jobs: written by one side, read and waited for by many.

Rule 1: one thread (or task) writes, that in which events are delivered. Any number of readers, in
other threads too, read at their own pace; so what they see is replaced whole or only grows.

Rule 2: nothing here waits. A reader that finds nothing new says ``Nothing.YET``, and its world
knows how to wait for the ``Signal``.

Rule 3: what is kept for readers who come late, or not at all, is bounded. Whoever keeps up misses
nothing.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, cast

import attrs

from sansio_gradio.errors import JobCancelledError
from sansio_gradio.events import JobCancelled, JobCompleted, JobEnd, JobFailed, Output
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Change, Outputs, Slots
from sansio_gradio.protocol.states import Msg
from sansio_gradio.protocol.status import Status, StatusUpdate, progress_units

KEPT_STATUSES: Final = 500
"""Status updates of one job, at least, that are kept for whoever asks late."""

_YIELDS: Final = frozenset({Msg.PROCESS_GENERATING, Msg.PROCESS_STREAMING})


class Nothing(enum.Enum):
    """What a reader gets instead of an item."""

    YET = enum.auto()


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


Update: TypeAlias = StatusUpdate | OutputUpdate


class Signal:
    """Something that can be waited for: see ``subscribe``."""

    def __init__(self) -> None:
        self.version = 0
        """Counts the notifications."""
        self._waiters: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def subscribe(self, wake: Callable[[], object], seen: int) -> bool:
        """Have *wake* called, once, at the next notification after version *seen*.

        False: that one is past already, and *wake* will not be called.
        """
        with self._lock:
            if self.version == seen:
                self._waiters.append(wake)
                return True
            return False

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Have *wake* not called, if it was not already."""
        with self._lock:
            if wake in self._waiters:
                self._waiters.remove(wake)

    def notify(self) -> None:
        """Call all who wait."""
        with self._lock:
            self.version += 1
            waiters, self._waiters = self._waiters, []
        for wake in waiters:
            wake()


class History(Outputs):
    """All that a job has yielded, to be read while it grows."""

    def follow(self) -> Iterator[tuple[Any, ...] | Nothing]:
        """As iterating, but with ``Nothing.YET`` where that ends."""
        place = 0
        while True:
            base, first, _ = kept = self._kept
            place = max(place, first)
            slots = Slots()
            if base is not None:
                slots.apply(tuple([["replace", [], value]] for value in base))
            for change, _ in kept[2][: place - first]:
                self._apply(slots, change)
            while self._kept is kept:
                if place - first < len(kept[2]):
                    self._apply(slots, kept[2][place - first][0])
                    place += 1
                    yield slots.snapshot()
                else:
                    yield Nothing.YET

    def _drop(self, count: int) -> None:
        super()._drop(min(count, len(self) - 1))  # the newest has not been read by anybody yet


class StatusHistory:
    """The status updates of a job, each with the number of outputs that came before it."""

    def __init__(self) -> None:
        self._kept: tuple[int, list[tuple[int, StatusUpdate]]] = (0, [])

    def add(self, outputs_before: int, status: StatusUpdate) -> None:
        first, entries = self._kept
        entries.append((outputs_before, status))
        if len(entries) > 2 * KEPT_STATUSES:
            self._kept = (first + KEPT_STATUSES, entries[KEPT_STATUSES:])

    def at(self, place: int) -> tuple[int, int, StatusUpdate] | None:
        """The first entry at *place* or later: its place, and what ``add`` was given."""
        first, entries = self._kept
        place = max(place, first)
        return (place, *entries[place - first]) if place - first < len(entries) else None


class MessageQueue:
    """The messages of a job on their way to the one who reads them."""

    def __init__(self, limit: int) -> None:
        self.skipped = 0
        """Messages dropped, since nobody read them while more than *limit* bytes came."""
        self._limit = limit
        self._size = 0
        self._slots = Slots()
        self._items: deque[tuple[Message, Change | None, int]] = deque()
        self._held: Message | None = None
        self._lock = threading.Lock()

    def add(self, message: Message) -> None:
        """A message has come; what it yields, if it does, comes next."""
        self.release()
        self._held = message

    def add_change(self, change: Change, size: int) -> None:
        """The message that came last has yielded this."""
        held, self._held = self._held, None
        if held is not None:
            self._append(held, change, size)

    def release(self) -> None:
        """Nothing more comes for the last message."""
        held, self._held = self._held, None
        if held is not None:
            self._append(held, None, weight(held))

    def take(self) -> Message | Nothing:
        """The next message, whole; ``output.data`` and the fractions of the progress filled in."""
        with self._lock:
            if not self._items:
                return Nothing.YET
            message, change, size = self._items.popleft()
            self._size -= size
            if change is not None:
                self._slots.apply(change)
            whole: Message = {**message}
            if message.get("msg") in _YIELDS and self._slots.changes:
                # Also where edits did not fit: then it is what was known before.
                data = list(self._slots.snapshot())
                whole["output"] = {**(message.get("output") or {}), "data": data}
        if (units := progress_units(message)) is not None:
            whole["progress_data"] = units
        return whole

    def _append(self, message: Message, change: Change | None, size: int) -> None:
        with self._lock:
            self._items.append((message, change, size))
            self._size += size
            if self._size <= self._limit:
                return
            for _ in range(len(self._items) // 2):
                _, dropped, size = self._items.popleft()
                self._size -= size
                self.skipped += 1
                if dropped is not None:
                    self._slots.apply(dropped)


class JobRecord:
    """What is known of one job.

    ``shape`` makes of the values of all output components what the caller is given. ``messages``:
    where they go, if somebody wants them.
    ``cancelled_error``: the class to raise in this world.
    """

    def __init__(
        self,
        *,
        limit: int,
        shape: Callable[[tuple[Any, ...]], Any],
        messages: MessageQueue | None = None,
        cancelled_error: type[JobCancelledError] = JobCancelledError,
    ) -> None:
        self.id: int | None = None
        """The engine's number, once it has one."""
        self.status = StatusUpdate(Status.STARTING, time.time())
        self.history = History(diffs=True, limit=limit)
        self.statuses = StatusHistory()
        self._messages = messages
        self.changed = Signal()
        self.ended = Signal()
        """The outcome is there: once a job, while ``changed`` tells of every output."""
        self.is_over = False
        """The outcome is there to be seen: ``result``, or ``error``."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.was_cancelled = False
        self.stopped_on_server: bool | None = None
        """Of a cancelled job: whether the server said that it stopped; None: not known yet."""
        self.on_outcome: Callable[[JobRecord], object] | None = None
        """Called in ``publish`` when the job has ended, instead of ``show``, which it must call."""
        self.keeps: object = None
        """What must live as long as the job runs."""
        self._shape = shape
        self._cancelled_error = cancelled_error
        self._end: JobEnd | BaseException | None = None
        self._yielded = 0
        self._claimed = False
        self._claim = threading.Lock()

    # The one who writes.

    def add_status(self, status: StatusUpdate) -> None:
        if not self._claimed:
            self.status = status
            self.statuses.add(self._yielded, status)

    def add_message(self, message: Message) -> None:
        if self._messages is not None:
            self._messages.add(message)

    def add_output(self, event: Output) -> None:
        size = sum(weight(edit[2]) for edits in event.edits for edit in edits)
        self._yielded += 1
        self.history.add(event.edits, size)
        if self._messages is not None:
            self._messages.add_change(event.edits, size)

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
            (self.on_outcome or JobRecord.show)(self)
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
        with self._claim:
            first, self._claimed = not self._claimed, True
            return first

    def cancel(self) -> bool:
        """Fix the outcome: cancelled; False: it is fixed already."""
        if not self.claim():
            return False
        self.was_cancelled = True
        return True

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
        self.statuses.add(self._yielded, self.status)

    def outcome_error(self) -> BaseException | None:
        """What a job that is over raises."""
        if self.was_cancelled:
            return self._cancelled_error(job=self.id, outputs=self.history)
        return self.error

    def outputs(self) -> list[Any]:
        """All outputs so far: see ``outputs_of``."""
        found = [self._shape(values) for values in self.history]
        if not found and self.is_over and not self.was_cancelled and self.error is None:
            found.append(self.result)
        return found

    # Readers. Each is an iterator of its own, which ends, or raises, with the job.

    def read_outputs(self) -> Iterator[Any]:
        """Every output from the first one on; the result, if nothing was yielded before it."""
        yielded = False
        for update in self._read(statuses=False):
            if isinstance(update, OutputUpdate):
                if not update.final or (update.success and not yielded):
                    yield update.outputs
                yielded = True
            else:
                yield update

    def read_updates(self) -> Iterator[Update | Nothing]:
        """Status updates and outputs, in the order of their coming, then the final output."""
        return self._read(statuses=True)

    def read_messages(self) -> Iterator[Message | Nothing]:
        """Every message that no other reader has taken."""
        while True:
            over = self.is_over
            message = Nothing.YET if self._messages is None else self._messages.take()
            if message is Nothing.YET and over:
                break
            yield message
        self._raise_error()

    def _read(self, *, statuses: bool) -> Iterator[Update | Nothing]:
        values = self.history.follow()
        outputs, place = 0, 0
        last: Any = None
        while True:
            over = self.is_over
            entry = self.statuses.at(place) if statuses else None
            value = Nothing.YET if entry is not None and entry[1] <= outputs else next(values)
            if value is not Nothing.YET:
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

    def _raise_error(self) -> None:
        if (error := self.outcome_error()) is not None:
            raise error


def weight(value: object) -> int:
    """What keeping a value costs, in bytes and roughly."""
    if isinstance(value, str):
        return len(value)
    total = 0
    left = [value]
    while left:
        item = left.pop()
        total += 16
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list):
            left += cast("list[object]", item)
        elif isinstance(item, dict):
            left += cast("dict[str, object]", item).values()
    return total
