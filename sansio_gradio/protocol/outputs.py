"""What a job has yielded, kept as edits and made whole on demand.

A text that grows token by token is sent as ten thousand small edits; kept as values it would fill
hundreds of megabytes. So the history is the edits, and a value is made when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, overload

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.diff import Edit, Value
from sansio_gradio.protocol.messages import output_data, parse_message

Change: TypeAlias = tuple[list[Edit], ...]
"""One yield: for each output component the edits since the one before."""

_ITEM_OVERHEAD: Final = 256  # what an entry costs beside its text, roughly, in bytes


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
        return tuple(slot.snapshot() for slot in self._slots)


class Outputs(Sequence[tuple[Any, ...]]):
    """All that a job has yielded, oldest first: a tuple for each yield, an item a component.

    Beyond *limit* bytes (as received) the oldest are dropped and counted in ``skipped``.
    Iterating costs what applying the edits costs; so does an index. Several iterators at a time,
    also in other threads, are fine; one that is overtaken by dropping goes on with the oldest left.
    """

    def __init__(self, *, diffs: bool, limit: int) -> None:
        self.skipped = 0
        self._diffs = diffs
        self._limit = limit
        self._size = 0
        # Replaced as a whole when the oldest are dropped, so that iterators see one or the other.
        self._kept: tuple[tuple[Any, ...] | None, int, list[tuple[Change | str, int]]] = (
            None,
            0,
            [],
        )

    def add(self, change: Change | str, size: int) -> None:
        """Append a yield: its change, or the text of its message, to be read when needed."""
        _, _, entries = self._kept
        entries.append((change, size))
        self._size += size + _ITEM_OVERHEAD
        if self._size > self._limit and len(entries) > 1:
            self._drop(len(entries) // 2 + 1)

    def _drop(self, count: int) -> None:
        _, _, entries = self._kept
        slots = self._replay(count)
        self.skipped += count
        rest = entries[count:]
        self._size = sum(size + _ITEM_OVERHEAD for _, size in rest)
        self._kept = (slots.snapshot(), self.skipped, rest)

    def _replay(self, count: int) -> Slots:
        base, _, entries = self._kept
        slots = _from(base)
        for change, _ in entries[:count]:
            self._apply(slots, change)
        return slots

    def _apply(self, slots: Slots, change: Change | str) -> None:
        if isinstance(change, str):
            data = output_data(parse_message(change)) or []
            change = change_of(data, first=not slots.changes, diffs=self._diffs)
        slots.apply(change)

    def __len__(self) -> int:
        return len(self._kept[2])

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        place = self.skipped
        while True:
            base, first, _ = kept = self._kept
            place = max(place, first)
            slots = _from(base)
            for change, _ in kept[2][: place - first]:
                self._apply(slots, change)
            while self._kept is kept and place - first < len(kept[2]):
                self._apply(slots, kept[2][place - first][0])
                place += 1
                yield slots.snapshot()
            if self._kept is kept:
                return

    @overload
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(index, slice):
            return list(self)[index]
        place = range(len(self))[index]
        return self._replay(place + 1).snapshot()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return tuple(self) == tuple(other)  # pyright: ignore[reportUnknownArgumentType]  # any sequence

    def __repr__(self) -> str:
        return f"<Outputs: {len(self)} kept, {self.skipped} skipped>"


def _from(base: tuple[Any, ...] | None) -> Slots:
    slots = Slots()
    if base is not None:
        slots.apply(tuple([["replace", [], value]] for value in base))
    return slots
