"""The last yields of unfinished runs: a later job may begin with edits of one of them.

Servers from 4.17 to 6.26 keep the last yield of a run under ``id(iterator)``, and forget it when
the run completes (gradio@4.44.1 blocks.py: handle_streaming_diffs). A run that fails or is
cancelled leaves it behind. Python uses such an id again. So a server may take a later generator of
that session, of any function, for the old one. Then its first yield is sent as edits of the old
run's last yield, in all output components.

Rule 1: no value is better than a wrong one. If several runs are possible, their edited values must
agree.

Rule 2: an edit that replaces the whole value needs no old value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.app_info import Endpoint
from sansio_gradio.protocol.diff import Edit, Value, compute_diff
from sansio_gradio.protocol.features import Feature, Version, has
from sansio_gradio.protocol.outputs import Change, Slots, change_of, whole

_LIMITS: Final = Limits()
_REMEMBERED: Final = 100  # runs
_ACTIONS: Final = frozenset({"replace", "append", "add", "delete"})

Row = tuple[Any, ...]


@attrs.define(eq=False)
class UnfinishedRun:
    """A run that has not finished, as far as is known. ``slots``: its values; None: not known."""

    slots: Slots | None

    def follow(self, data: list[Any]) -> None:
        """The run has yielded again, while it was being stopped."""
        if self.slots is not None:
            try:
                self.slots.apply(change_of(data, first=False, diffs=True))
            except RemoteProtocolError:
                self.slots = None

    @property
    def weight(self) -> int:
        return 0 if self.slots is None else self.slots.weight


class UnfinishedRuns:
    """The unfinished runs of one session_hash. Together their values weigh no more than *limit*."""

    def __init__(self, limit: int = _LIMITS.value) -> None:
        self._limit = limit
        self._runs: list[UnfinishedRun] = []
        self._has_forgotten = False

    def add(self, values: Row | None) -> UnfinishedRun:
        """Add a run that ended, or is being stopped, after it yielded *values*; None: not known."""
        run = UnfinishedRun(None if values is None else Slots(values, 1))
        self._runs.append(run)
        while len(self._runs) > _REMEMBERED or sum(r.weight for r in self._runs) > self._limit:
            del self._runs[0]
            self._has_forgotten = True
        return run

    def discard(self, run: UnfinishedRun) -> None:
        """The run has finished after all."""
        if run in self._runs:
            self._runs.remove(run)

    def first_change(self, data: list[Any], endpoint: Endpoint, version: Version) -> Change:
        """The first yield of a job that calls *endpoint*, from a server of *version*.

        Raises:
            RemoteProtocolError: it is edits, and the value that they edit is not certain.
        """
        lists = [part.may_be_list for part in endpoint.outputs]
        lists += [True] * (len(data) - len(lists))
        edited = [
            _are_edits(slot) and (bool(self._runs) or not may_be_list)
            for slot, may_be_list in zip(data, lists, strict=False)
        ]
        # No change looks like an empty list.
        unchanged = bool(self._runs) and bool(data) and data == [[]] * len(data)
        if not any(edited) and (not unchanged or all(lists[: len(data)])):
            if unchanged and has(version, Feature.REUSED_RUNS):
                # There are two possible values: it is certain only if both are the same.
                self._values_of([[] for _ in data], or_else=tuple(data))
            return whole(data)
        no_values = any(edited) and all(map(_are_edits_or_none, data))
        edits: list[list[Edit]] = [
            slot if is_edited or no_values or unchanged else [["replace", [], slot]]
            for slot, is_edited in zip(data, edited, strict=True)
        ]
        return whole(self._values_of(edits))

    def _values_of(self, edits: Sequence[list[Edit]], or_else: Row | None = None) -> Row:
        found: list[Row] = [] if or_else is None else [or_else]
        used: UnfinishedRun | None = None
        if all(map(_needs_no_base, edits)):
            found.append(_edited((), edits))
            used = self._runs[0] if len(self._runs) == 1 else None
        else:
            if self._has_forgotten or any(run.slots is None for run in self._runs):
                raise RemoteProtocolError("edits of a yield that is not known any more")
            for run in self._runs:
                assert run.slots is not None
                try:
                    values = _edited(run.slots.snapshot(), edits)
                except RemoteProtocolError:
                    continue
                found.append(values)
                used = used or run
        if not found:
            raise RemoteProtocolError("edits came first, of values that are not known")
        if any(compute_diff([*found[0]], [*other]) for other in found[1:]):
            raise RemoteProtocolError("edits came first, and it is not certain of which run")
        if used is not None and or_else is None:
            self._runs.remove(used)
        return found[0]


def _edited(base: Row, edits: Sequence[list[Edit]]) -> Row:
    values = (*base, *[None] * (len(edits) - len(base)))
    slots = [Value(value) for value, _ in zip(values, edits, strict=False)]
    for slot, own in zip(slots, edits, strict=True):
        slot.apply(own)
    return tuple([slot.snapshot() for slot in slots])


def _needs_no_base(edits: list[Edit]) -> bool:
    return bool(edits) and edits[0][:2] == ["replace", []]


def _are_edits(slot: Any) -> bool:
    return bool(slot) and _are_edits_or_none(slot)


def _are_edits_or_none(slot: Any) -> bool:
    return isinstance(slot, list) and all(map(_is_edit, slot))  # pyright: ignore[reportUnknownArgumentType]  # any JSON


def _is_edit(edit: Any) -> bool:
    try:
        action, path, _ = cast("list[Any]", edit if isinstance(edit, list) else ())
    except ValueError:
        return False
    if not isinstance(action, str) or action not in _ACTIONS or not isinstance(path, list):
        return False
    return all(map(_is_step, path))  # pyright: ignore[reportUnknownArgumentType]  # any JSON


def _is_step(step: object) -> bool:
    return type(step) in (int, str)
