"""What a job has yielded, kept as edits and made whole on demand.

A text that grows token by token is sent as ten thousand small edits; kept as values it would fill
hundreds of megabytes. So the history is the edits, and a value is made when somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, overload

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.diff import Edit, Value
from sansio_gradio.protocol.messages import output_data
from sansio_gradio.wire.json import Loads, loads

Change: TypeAlias = tuple[list[Edit], ...]
"""One yield: for each output component the edits since the one before."""

_ITEM_OVERHEAD: Final = 256  # what an entry costs beside its text, roughly, in bytes
_DROPPED_AT_ONCE: Final = 256  # which part of the limit: dropping all at once would take long


def change_of(data: list[Any], *, first: bool, diffs: bool) -> Change:
    """One yield, from the ``data`` of ``process_generating``.

    ``diffs``: the protocol sends edits, from a job's second yield on.

    Raises:
        RemoteProtocolError: edits are due and *data* is something else.
    """
    if first or not diffs:
        return tuple([["replace", [], value]] for value in data)
    for edits in data:
        if not isinstance(edits, list) or not all(map(_is_edit, edits)):  # pyright: ignore[reportUnknownArgumentType]  # any JSON
            raise RemoteProtocolError("a value came where edits of the one before are due")
    return tuple(data)


def _is_edit(edit: list[Any] | None) -> bool:
    return isinstance(edit, list) and len(edit) == 3 and isinstance(edit[1], list)


class Slots:
    """The values of a job's output components, as they are now."""

    def __init__(self) -> None:
        self._slots: list[Value] = []
        self.changes = 0
        """How many changes were applied."""

    def apply(self, change: Change) -> None:
        """Bring every slot up to date; a slot that is new starts as None.

        Raises:
            RemoteProtocolError: an edit does not fit; the slots are of no use from here on.
        """
        self.changes += 1
        for _ in range(len(change) - len(self._slots)):
            self._slots.append(Value(None))
        for slot, edits in zip(self._slots, change, strict=False):
            if edits:
                slot.apply(edits)

    def snapshot(self) -> tuple[Any, ...]:
        """The values now; they never change afterwards."""
        return tuple([slot.snapshot() for slot in self._slots])


_Kept: TypeAlias = tuple[tuple[Any, ...] | None, int, list[tuple[Change | str, int]]]
"""The values before the first entry, its place, and the entries, each with its size."""


class Outputs(Sequence[tuple[Any, ...]]):
    """All that a job has yielded, oldest first: a tuple for each yield, an item a component.

    Beyond *limit* bytes (as received) the oldest are dropped and counted in ``skipped``; the newest
    stays. A text that cannot be read, or does not follow from the one before, ends them: it and
    what comes after it are left out.

    Iterating costs what reading the texts and applying the edits costs, and so does an index; the
    length, and the newest, no more than what came since they were last asked for. Any number of
    threads may read at a time; an iterator that is overtaken by dropping goes on with the oldest
    left. *loads* reads the texts.
    """

    def __init__(self, *, diffs: bool, limit: int, loads: Loads = loads) -> None:
        self._diffs = diffs
        self._loads = loads
        self._limit = limit
        self._size = 0
        self.size_received = 0
        """What keeping all of them would cost, in bytes and as ``limit`` counts."""
        # Replaced as a whole when the oldest are dropped, so that iterators see one or the other.
        self._kept: _Kept = (None, 0, [])
        self._checked = 0  # the first place of which it is not known whether it can be read
        self._end: int | None = None  # the first one that is known not to be
        # Where the last look ended. A deque, from which no two threads can take the same one.
        self._looks: deque[tuple[int, Slots]] = deque(maxlen=1)

    @property
    def skipped(self) -> int:
        """How many of the oldest were dropped."""
        return self._kept[1]

    @property
    def received(self) -> int:
        """How many were added, those included that were dropped or turn out to be unreadable."""
        _, first, entries = self._kept
        return first + len(entries)

    def add(self, change: Change | str, size: int | None = None, *, fits: bool = False) -> None:
        """Append a yield: its change, or the text of its message, not read yet.

        ``size``: what it costs, in bytes, if that is known. ``fits``: the change is known to follow
        from the one before.
        """
        if self._end is not None:
            return
        size = _rough_size(change) if size is None else size
        _, first, entries = self._kept
        if fits and self._checked == first + len(entries):
            self._checked += 1
        entries.append((change, size))
        self._size += size + _ITEM_OVERHEAD
        self.size_received += size + _ITEM_OVERHEAD
        if self._size > self._limit and len(entries) > 1:
            count, rest = 0, self._size
            enough = self._limit - self._limit // _DROPPED_AT_ONCE
            while rest > enough and count < len(entries) - 1:
                rest -= entries[count][1] + _ITEM_OVERHEAD
                count += 1
            self._drop(count)

    def _drop(self, count: int) -> None:
        base, first, entries = kept = self._kept
        slots = self._replay(kept, count)
        if self._end is None:
            self._size -= sum(size + _ITEM_OVERHEAD for _, size in entries[:count])
            self._kept = (slots.snapshot(), first + count, entries[count:])
        else:
            self._kept = (base, first, entries[: self._end - first])

    def _replay(self, kept: _Kept, count: int) -> Slots:
        """The values after *count* of what is kept, of no use if ``_end`` comes before."""
        slots = _from(kept[0])
        self._go_on(slots, kept, 0, count)
        return slots

    def _go_on(self, slots: Slots, kept: _Kept, start: int, stop: int) -> None:
        _, first, entries = kept
        for number in range(start, stop):
            try:
                self._apply(slots, entries[number][0])
            except RemoteProtocolError:
                self._end = first + number
                break

    def _look(self, kept: _Kept, count: int) -> tuple[Any, ...]:
        """As ``_replay``, but going on from the last look that went farthest."""
        base, first, _ = kept
        try:
            place, slots = look = self._looks.pop()
        except IndexError:
            place, slots = look = first, _from(base)
        if place > first + count:
            self._looks.append(look)
            return self._replay(kept, count).snapshot()
        if place < first:
            place, slots = first, _from(base)
        self._go_on(slots, kept, place - first, count)
        values = slots.snapshot()
        if self._end is None:
            self._looks.append((first + count, slots))
        return values

    def _apply(self, slots: Slots, change: Change | str) -> None:
        if isinstance(change, str):
            data = output_data(self._loads(change))
            if data is None:
                raise RemoteProtocolError("an output without data")
            change = change_of(data, first=not slots.changes, diffs=self._diffs)
        slots.apply(change)

    def _length(self, kept: _Kept) -> int:
        _, first, entries = kept
        until = first + len(entries)
        if self._checked < until:
            self._look(kept, len(entries))
            self._checked = until
        return (until if self._end is None else self._end) - first

    def __len__(self) -> int:
        return self._length(self._kept)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        found = self.follow()
        while (values := next(found)) is not None:
            yield values

    def follow(self) -> Iterator[tuple[Any, ...] | None]:
        """As iterating, but with None where that ends, since more may come."""
        for found in self.follow_from(0):
            yield None if found is None else found[1]

    def follow_from(self, start: int) -> Iterator[tuple[int, tuple[Any, ...]] | None]:
        """As ``follow``, but each with its place, and from the place *start* on."""
        place, slots = -1, Slots()
        while True:
            base, first, entries = kept = self._kept
            if place < first:
                place, slots = first, _from(base)
            while self._kept is kept:
                if place - first < len(entries) and self._end != place:
                    try:
                        self._apply(slots, entries[place - first][0])
                    except RemoteProtocolError:
                        self._end = place
                        continue
                    place += 1
                    if place > start:
                        yield place - 1, slots.snapshot()
                else:
                    yield None

    @overload
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(index, slice):
            return list(self)[index]
        kept = self._kept
        place = range(self._length(kept))[index]
        return self._look(kept, place + 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return tuple(self) == tuple(other)  # pyright: ignore[reportUnknownArgumentType]  # any sequence

    def __repr__(self) -> str:
        return f"<Outputs: {len(self)} kept, {self.skipped} skipped>"


def _rough_size(change: Change | str) -> int:
    """What keeping *change* costs, without walking it: its texts, and something for the rest."""
    if isinstance(change, str):
        return len(change)
    return sum(
        len(edit[2]) if isinstance(edit[2], str) else len(repr(edit[2]))
        for edits in change
        for edit in edits
    )


def _from(base: tuple[Any, ...] | None) -> Slots:
    slots = Slots()
    if base is not None:
        slots.apply(tuple([["replace", [], value]] for value in base))
    return slots
