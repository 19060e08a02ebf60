"""The updates and messages of a job, kept for late and slow readers.

Rule 1: one thread (or task) writes: the one that delivers events. Any number of readers, in other
threads too, read at their own pace. So the data that they see is replaced as a whole, or only
grows.

Rule 2: nothing here waits, or locks. A reader that finds nothing new says ``Nothing.YET``.

Rule 3: the memory is bounded. A reader that keeps up misses nothing.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import deque
from contextlib import suppress
from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.events import UploadProgress
from sansio_gradio.protocol.diff import weigh
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Change, Slots
from sansio_gradio.protocol.states import Msg
from sansio_gradio.protocol.status import Status, StatusUpdate, progress_units

KEPT_STATUSES: Final = 500
"""At least so many small status updates of one job are kept for late readers."""

KEPT_WAITING: Final = 5
"""Of those in a row that tell the place in the queue, at least, since the next makes each stale. A
server tells each waiting job of each start: a thousand jobs would get half a million messages."""

_YIELDS: Final = frozenset({Msg.PROCESS_GENERATING, Msg.PROCESS_STREAMING})


class Nothing(enum.Enum):
    """Returned to a reader instead of an item: not yet, or no more."""

    YET = enum.auto()
    END = enum.auto()


_Entry: TypeAlias = tuple[int, int, StatusUpdate | UploadProgress]


class StatusHistory:
    """The status updates of a job and the progress of its uploads, each with the number of outputs
    that came before it.

    Stale places in the queue are dropped, and stale progress. Beyond *limit* bytes the oldest
    updates are dropped, about half of them at once; the newest stays.
    """

    __slots__ = ("_count", "_kept", "_kind", "_limit", "_size", "_sizes", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._size = 0
        self._sizes: list[int] = []
        self._waiting = 0  # how many of the last are in a row, of one kind that grows stale
        self._kind: str | None = None
        self._kept: list[_Entry] = []

    def add(self, outputs_before: int, status: StatusUpdate | UploadProgress) -> None:
        self._kept.append((self._count, outputs_before, status))
        self._count += 1
        self._size += (size := weigh(status))
        self._sizes.append(size)
        kind, self._kind = self._kind, _stale_kind(status)
        self._waiting = 0 if self._kind is None else self._waiting * (kind == self._kind) + 1
        if self._waiting == 2 * KEPT_WAITING:
            self._waiting = KEPT_WAITING
            self._drop(len(self._kept) - 2 * KEPT_WAITING, len(self._kept) - KEPT_WAITING)
        left = len(self._kept)
        if left > 2 * KEPT_STATUSES or self._size > self._limit:
            size, count = self._size, 0
            while left > 1 and (left > KEPT_STATUSES or size > self._limit // 2):
                size -= self._sizes[count]
                count, left = count + 1, left - 1
            self._waiting = min(self._waiting, left)
            self._drop(0, count)

    def _drop(self, start: int, end: int) -> None:
        self._size -= sum(self._sizes[start:end])
        del self._sizes[start:end]
        self._kept = self._kept[:start] + self._kept[end:]

    def at(self, place: int) -> _Entry | None:
        """The first entry at *place* or later: its place, and what ``add`` was given."""
        kept = self._kept
        index = bisect_left(kept, (place,))
        return kept[index] if index < len(kept) else None


def _stale_kind(update: StatusUpdate | UploadProgress) -> str | None:
    """Updates of the same kind make each other stale; None: this one stays."""
    if isinstance(update, UploadProgress):
        return "progress"
    return "place" if update["code"] is Status.IN_QUEUE else None


class _Yields:
    """The outputs of a job at the time of one of its messages, made when they are read.

    Several threads may read them at a time: all find the same.
    """

    __slots__ = ("_slots", "_todo", "_values")

    def __init__(self, past: _Yields | None = None, change: Change = ()) -> None:
        self._todo = None if past is None else (past, change)
        self._values: tuple[Any, ...] | None = None
        self._slots: list[Slots] = []  # which have these values, until a reader takes them on

    def values(self) -> tuple[Any, ...] | None:
        """None: there was none yet."""
        changes: list[Change] = []
        known = self
        while (todo := known._todo) is not None:
            known, change = todo
            changes.append(change)
        if changes:
            slots = known._take_slots()
            while changes:
                slots.apply(changes.pop())
            self._values = slots.snapshot()
            self._slots.append(slots)
            self._todo = None  # now, as another thread may read both
        return self._values

    def _take_slots(self) -> Slots:
        try:
            return self._slots.pop()
        except IndexError:
            slots = Slots()
            if self._values is not None:
                slots.apply(tuple([["replace", [], value]] for value in self._values))
            return slots


@attrs.frozen(eq=False)
class _Item:
    message: Message
    yields: _Yields
    has_yielded: bool
    """The job has yielded an output that can be read."""
    size_before: int
    """The number of all messages before."""


@attrs.define(eq=False)
class _Kept:
    """The queue to one reader: each message with the outputs of its job.

    The writer appends. Readers, and the writer when it drops, take from the front: no two can take
    the same message.
    """

    limit: int
    size: int = 0  # of all that ever came
    skipped: int = 0
    items: deque[_Item] = attrs.field(factory=deque[_Item])


class MessageQueue:
    """The messages of a job for its readers; each message goes to one of them."""

    def __init__(self, limit: int) -> None:
        self._kept = _Kept(limit)
        self._yields = _Yields()
        self._held: Message | None = None

    def branch(self) -> MessageQueue:
        """A queue for another job to the same readers."""
        branch = MessageQueue(self._kept.limit)
        branch._kept = self._kept
        return branch

    @property
    def skipped(self) -> int:
        """The number of messages that were dropped because more than *limit* bytes waited, or whose
        output could not be read."""
        return self._kept.skipped

    def add(self, message: Message) -> None:
        """Add a message; its output, if it has one, is told next."""
        self.release()
        self._held = message

    def add_change(self, change: Change) -> None:
        """Add the output of the last message."""
        held, self._held = self._held, None
        if held is not None:
            self._yields = _Yields(self._yields, change)
            self._append(held, has_yielded=True)

    def release(self) -> None:
        """The last message is complete."""
        held, self._held = self._held, None
        if held is not None:
            self._append(held, has_yielded=False)

    def take(self) -> Message | Nothing:
        """The next message, whole; ``output.data`` and the fractions of the progress filled in."""
        try:
            item = self._kept.items.popleft()
        except IndexError:
            return Nothing.YET
        message = item.message
        whole: Message = {**message}
        values = item.yields.values()
        if message.get("msg") in _YIELDS:
            output = whole["output"] = {**(message.get("output") or {})}
            if item.has_yielded and values is not None:
                output["data"] = list(values)  # in the place that it had
            else:
                output.pop("data", None)  # of edits that cannot be read there is no value
        if (units := progress_units(message)) is not None:
            whole["progress_data"] = units
        return whole

    def _append(self, message: Message, *, has_yielded: bool) -> None:
        kept = self._kept
        kept.items.append(_Item(message, self._yields, has_yielded, kept.size))
        kept.size += weigh(message)  # of which the change is a part
        if message.get("msg") in _YIELDS and not has_yielded:
            kept.skipped += 1
        with suppress(IndexError):  # all was read meanwhile
            if kept.size - kept.items[0].size_before > kept.limit:
                for _ in range(len(kept.items) // 2):
                    kept.items.popleft()
                    kept.skipped += 1
                kept.items[0].yields.values()  # which needs what was dropped no more
