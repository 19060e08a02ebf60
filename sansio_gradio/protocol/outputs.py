"""The outputs of a job, kept as edits; values are made on demand.

A text that grows token by token is sent as ten thousand small edits. Kept as values, they would
fill hundreds of megabytes. So the history keeps the edits, and makes a value when it is read.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, overload

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.diff import Edit, Value
from sansio_gradio.protocol.lazy import LazySequence
from sansio_gradio.protocol.messages import output_data
from sansio_gradio.wire.json import Loads, loads

Change: TypeAlias = tuple[list[Edit], ...]
"""One yield: for each output component the edits since the one before."""

_LIMITS: Final = Limits()
_ENTRY: Final = 256  # what an entry costs beside its text, roughly, in bytes
_WEIGHT_OF_BYTE: Final = 8  # what a value weighs for each byte of its text, at most
_DROPPED_AT_ONCE: Final = 256  # part of the limit; dropping all at once takes long
_PARTS: Final = 8  # into so many parts a history is divided to be read backwards
_AT_ONCE: Final = 32  # outputs that are made ahead of their turn to be read backwards


def change_of(data: list[Any], *, first: bool, diffs: bool) -> Change:
    """One yield, from the ``data`` of ``process_generating``.

    ``diffs``: the protocol sends edits, from a job's second yield on.

    Raises:
        RemoteProtocolError: edits are due, and *data* is not edits.
    """
    if first or not diffs:
        return whole(data)
    for edits in data:
        if not isinstance(edits, list) or not all(map(_is_edit, edits)):  # pyright: ignore[reportUnknownArgumentType]  # any JSON
            raise RemoteProtocolError("a value came where edits of the one before are due")
    return tuple(data)


def whole(values: Iterable[Any]) -> Change:
    """The change that replaces all values by *values*."""
    return tuple([["replace", [], value]] for value in values)


def _is_edit(edit: list[Any] | None) -> bool:
    return isinstance(edit, list) and len(edit) == 3 and isinstance(edit[1], list)


class Slots:
    """The values of a job's output components, as they are now.

    ``values``: the values to begin with, after so many ``changes``.
    """

    def __init__(self, values: tuple[Any, ...] = (), changes: int = 0) -> None:
        self._slots = [Value(value) for value in values]
        self.changes = changes
        """How many changes were applied."""

    def apply(self, change: Change) -> None:
        """Apply *change* to every slot; a new slot starts as None.

        Raises:
            RemoteProtocolError: an edit does not fit. Do not use the slots any more.
        """
        self.changes += 1
        for _ in range(len(change) - len(self._slots)):
            self._slots.append(Value(None))
        for slot, edits in zip(self._slots, change, strict=False):
            if edits:
                slot.apply(edits)

    def snapshot(self) -> tuple[Any, ...]:
        """The present values, which never change afterwards."""
        return tuple(map(Value.snapshot, self._slots))

    @property
    def weight(self) -> int:
        """The memory that the values take together, as ``weigh`` counts it."""
        return sum([slot.weight for slot in self._slots])


@attrs.frozen
class _Kept:
    """The yields that can be read. This object is replaced as a whole when the oldest are dropped.

    ``base`` are the values after the first ``place`` yields, ``entries`` the yields that follow,
    ``sizes`` their sizes. The first yield that can still be read has the number ``first``. Earlier
    entries are dropped, but not folded into the base yet.
    """

    base: tuple[Any, ...]
    place: int
    first: int
    entries: list[Change | str]
    sizes: array[int]  # not beside each entry: tuples and integers would take 100 bytes each

    @property
    def slots(self) -> Slots:
        return Slots(self.base, self.place)

    @property
    def until(self) -> int:
        return self.place + len(self.entries)


class _Materialiser:
    """Makes the values from the kept edits, and knows where the readable ones end.

    Any number of threads may use it at a time.
    """

    def __init__(self, loads: Loads, *, diffs: bool) -> None:
        self._loads = loads
        self._diffs = diffs
        self.end: int | None = None
        """The number of the first yield that is known to be unreadable."""
        self.why_ended = ""
        self.seen = 0
        """The yields before this number can be read."""
        # Where the last looks ended: the furthest, and the latest. A deque, from which no two
        # threads can take the same one.
        self._looks: deque[tuple[int, Slots]] = deque(maxlen=2)

    def end_at(self, number: int, why: str) -> None:
        self.why_ended = why
        self.end = number

    def until(self, number: int) -> int:
        """*number*, or where the outputs are known to end before it."""
        return number if self.end is None else min(number, self.end)

    def go_on(self, slots: Slots, kept: _Kept, start: int, stop: int) -> None:
        """Apply the yields from number *start* to *stop*, or up to the end."""
        for number in range(start, stop):
            if number == self.end:
                break
            try:
                self.apply(slots, kept.entries[number - kept.place])
            except RemoteProtocolError as error:
                self.end_at(number, error.message)
                break
        self.seen = max(self.seen, self.until(stop))

    def look(self, kept: _Kept, stop: int) -> tuple[Any, ...]:
        """The values before yield number *stop*. Do not use them if the outputs end earlier."""
        looks: list[tuple[int, Slots]] = []
        with suppress(IndexError):
            while True:
                looks.append(self._looks.pop())
        usable = [look for look in looks if kept.place <= look[0] <= stop]
        look = max(usable, key=_place, default=None)
        if look is not None:
            looks.remove(look)
        place, slots = look or (kept.place, kept.slots)
        self.go_on(slots, kept, place, stop)
        values = slots.snapshot()
        if self.until(stop) == stop:
            furthest = max(looks, key=_place, default=None)
            self._looks.extend([(stop, slots)] if furthest is None else [furthest, (stop, slots)])
        return values

    def apply(self, slots: Slots, change: Change | str) -> None:
        if isinstance(change, str):
            data = output_data(self._loads(change))
            if data is None:
                raise RemoteProtocolError("an output without data")
            change = change_of(data, first=not slots.changes, diffs=self._diffs)
        slots.apply(change)


class Outputs(Sequence[tuple[Any, ...]]):
    """All that a job has yielded, oldest first: a tuple for each yield, an item a component.

    Beyond *limit* bytes (as received) the oldest are dropped; the newest stays. A yield that cannot
    be read, or does not follow from the one before, ends them: that one and all that come after it
    are left out. Once the job has returned, its result takes their place as the last output.
    ``skipped`` counts both kinds. The values may weigh as much as *value_limit*.

    Iterating, and an index, read the texts and apply the edits from the oldest on. The length, and
    the newest value, cost only as much as came since the last time. Any number of threads may read
    at a time. If the next yield of an iterator was dropped, the iterator goes on with the oldest
    that is left. *loads* parses the texts. *eager*: parse each text when it comes.
    """

    def __init__(
        self,
        *,
        diffs: bool,
        limit: int,
        value_limit: int = _LIMITS.value,
        loads: Loads = loads,
        eager: bool = False,
    ) -> None:
        self._diffs = diffs
        self._limit = limit
        self._value_limit = value_limit
        self._eager = eager
        self._size: int = 0  # of those that can still be read
        self._stale: int = 0  # of those that are dropped, but not folded yet
        self._base_weight: int = 0
        self._unweighed = 0
        self.received = 0
        """How many yields were added, also those that cannot be read."""
        self.size_received = 0
        """The bytes of all yields, as ``limit`` counts them, dropped ones included."""
        self._kept: _Kept = _Kept((), 0, 0, [], array("Q"))
        self._reader = _Materialiser(loads, diffs=diffs)
        self._final: tuple[Any, ...] | None = None
        self._head: Slots | None = None  # the newest values, once each yield is read when it comes

    @property
    def dropped(self) -> int:
        """How many of the oldest were dropped."""
        return self._kept.first

    @property
    def skipped(self) -> int:
        """How many yields cannot be read: those dropped, and those from the end on."""
        return self.received - self.so_far().readable

    @property
    def has_ended(self) -> bool:
        """Whether a yield is known to be unreadable."""
        return self._reader.end is not None

    @property
    def why_ended(self) -> str:
        """Why the yield at which the outputs end cannot be read."""
        return self._reader.why_ended

    def add(self, change: Change | str, size: int | None = None) -> None:
        """Append a yield: its change, or the unread text of its message.

        ``size``: its bytes, if known.

        Raises:
            RemoteProtocolError: the values have grown beyond their limit; nothing was appended.
        """
        size = _rough_size(change) if size is None else size
        self._unweighed += size
        size += _ENTRY
        if self._diffs and (self._eager or self._unweighed > self._value_limit // _WEIGHT_OF_BYTE):
            self._advance(change)
        self.size_received += size
        self.received += 1
        if self._reader.end is not None:
            return
        kept = self._kept
        kept.sizes.append(size)
        kept.entries.append(change)
        self._size += size
        if self._size > self._limit and kept.until > kept.first + 1:
            self._drop()

    def end(self, why: str) -> None:
        """Append a yield that cannot be read."""
        if self._reader.end is None:
            self._reader.end_at(self.received, why)
        self.received += 1

    def finish(self, values: tuple[Any, ...]) -> None:
        """The job has returned *values*. They are the last output if a yield could not be read."""
        self._final = values

    def newest(self) -> tuple[Any, ...] | None:
        """The values of the newest yield; None if there is none, or if it cannot be read."""
        values = self._reader.look(self._kept, self._kept.until)
        return None if self._reader.end is not None else values

    def _advance(self, change: Change | str) -> None:
        """Apply a yield that is to be appended to the newest values."""
        if self._reader.end is None and self._head is None:
            kept = self._kept
            self._head = kept.slots
            self._reader.go_on(self._head, kept, kept.place, kept.until)
        if self._reader.end is None and self._head is not None:
            try:
                self._reader.apply(self._head, change)
            except RemoteProtocolError as error:
                self._reader.end_at(self.received, error.message)
            else:
                if self._head.weight > self._value_limit:
                    raise RemoteProtocolError(
                        f"what the job has yielded weighs more than {self._value_limit} bytes, the"
                        " limit (Limits.value)"
                    )
        if self._reader.end is not None:
            self._head = None

    def _drop(self) -> None:
        """Drop the oldest yields; when enough were dropped, fold them into the base.

        Folding copies the base. So it waits until the dropped part is an eighth of the base: then
        the cost grows with the length of the history, however large the values are.
        """
        kept = self._kept
        enough = self._limit - self._limit // _DROPPED_AT_ONCE
        count = kept.first - kept.place
        while self._size > enough and count < len(kept.entries) - 1:
            size = kept.sizes[count]
            self._size -= size
            self._stale += size
            count += 1
        first = kept.place + count
        if self._stale <= max(self._limit // _DROPPED_AT_ONCE, self._base_weight // 8):
            self._kept = attrs.evolve(kept, first=first)
            return
        slots = kept.slots
        self._reader.go_on(slots, kept, kept.place, first)
        if self._reader.end is None:
            self._stale, self._base_weight = 0, slots.weight
            entries, sizes = kept.entries[count:], kept.sizes[count:]
            self._kept = _Kept(slots.snapshot(), first, first, entries, sizes)
        else:
            rest = kept.entries[: self._reader.end - kept.place]
            self._kept = attrs.evolve(kept, first=min(first, self._reader.end), entries=rest)

    @property
    def _last(self) -> tuple[Any, ...] | None:
        """The last output, if that is the job's result."""
        return None if self._reader.end is None else self._final

    def so_far(self) -> OutputsSoFar:
        """The outputs that there are now: their number does not change any more."""
        final = self._final  # before the others: none come after it
        kept = self._kept
        return OutputsSoFar(self._reader, kept, kept.until, final)

    def __len__(self) -> int:
        return len(self.so_far())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        found = self.follow()
        while (values := next(found)) is not None:
            yield values

    def follow(self) -> Iterator[tuple[Any, ...] | None]:
        """As iterating, but yields None at the end and goes on, since more may come."""
        return map(_without_place, self.follow_from(0))

    def follow_from(self, start: int) -> Iterator[tuple[int, tuple[Any, ...]] | None]:
        """As ``follow``, but each with its place, and from the place *start* on."""
        place, slots = 0, Slots()
        while True:
            kept = self._kept
            if place < kept.place:
                place, slots = kept.place, kept.slots
            entries, before = kept.entries, kept.place
            while self._kept is kept:
                if place - before < len(entries) and self._reader.end != place:
                    try:
                        self._reader.apply(slots, entries[place - before])
                    except RemoteProtocolError as error:
                        self._reader.end_at(place, error.message)
                        continue
                    place += 1
                    if place > max(start, kept.first):
                        yield place - 1, slots.snapshot()
                elif (last := self._last) is not None and start <= place:
                    yield place, last
                    start = place + 1
                else:
                    yield None

    @overload
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        return self.so_far()[index]

    def __eq__(self, other: object) -> bool:
        return self.so_far() == other

    def __reversed__(self) -> Iterator[tuple[Any, ...]]:
        return reversed(self.so_far())

    def __repr__(self) -> str:
        return f"<Outputs: {len(self)} kept, {self.skipped} skipped>"


class OutputsSoFar(LazySequence[tuple[Any, ...]]):
    """The outputs that a job had at one moment, oldest first.

    Their number does not change, and none is dropped while this object is there. Each is made when
    it is read, and not kept. Going forward, by iterating or by index, parses each text once, and
    ``reversed`` a few times. Going back by index begins at the oldest each time.
    """

    def __init__(
        self, reader: _Materialiser, kept: _Kept, until: int, final: tuple[Any, ...] | None
    ) -> None:
        self._reader = reader
        self._kept = kept
        self._until = until
        self._final = final

    @property
    def readable(self) -> int:
        """How many yields can be read."""
        if self._reader.seen < self._reader.until(self._until):
            self._reader.look(self._kept, self._until)
        return max(self._reader.until(self._until) - self._kept.first, 0)

    @property
    def _last(self) -> tuple[Any, ...] | None:
        """The job's result, if it replaces outputs that cannot be read."""
        return self._final if self._reader.end is not None else None

    def __len__(self) -> int:
        return self.readable + (self._last is not None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from self._from(self._kept.slots, self._kept.place, self._until)
        if (last := self._last) is not None:
            yield last

    def _from(self, slots: Slots, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
        """The outputs from number *start* to *stop*, as far as they can be read."""
        for number in range(start, stop):
            self._reader.go_on(slots, self._kept, number, number + 1)
            if self._reader.until(number + 1) <= number:
                break
            if number >= self._kept.first:
                yield slots.snapshot()

    def __reversed__(self) -> Iterator[tuple[Any, ...]]:
        kept, stop = self._kept, self._kept.first + self.readable
        if (last := self._last) is not None:
            yield last
        parts = [(kept.base, kept.place, stop)]  # the last is the newest
        while parts:
            values, start, stop = parts.pop()
            slots = Slots(values, start)
            if stop - start <= _AT_ONCE:
                yield from reversed(list(self._from(slots, start, stop)))
                continue
            size = -(-(stop - start) // _PARTS)
            for place in range(start, stop, size):
                self._reader.go_on(slots, kept, start, place)
                start = place
                parts.append((slots.snapshot(), place, min(place + size, stop)))

    def at(self, place: int) -> tuple[Any, ...]:
        last = self._last
        if last is not None and place == self.readable:
            return last
        return self._reader.look(self._kept, self._kept.first + place + 1)


def _place(look: tuple[int, Slots]) -> int:
    return look[0]


def _without_place(found: tuple[int, tuple[Any, ...]] | None) -> tuple[Any, ...] | None:
    return None if found is None else found[1]


def _rough_size(change: Change | str) -> int:
    """The bytes that *change* takes, without a walk through it: its texts, and a guess for the
    rest."""
    if isinstance(change, str):
        return len(change)
    return sum(
        len(edit[2]) if isinstance(edit[2], str) else len(repr(edit[2]))
        for edits in change
        for edit in edits
    )
