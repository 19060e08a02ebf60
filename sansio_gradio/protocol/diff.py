"""What changed since the last yield, as edits (docs/protocol/sse_v3.md#6-edits).

Rule 1: on a list, ``delete`` removes the last item and ``add`` appends one; the index is ignored.
Servers change the length of a list only at its end. They number the deleted items in four ways
(``server_diff.py``), most of them wrong; ignoring the index is right for all four.

Rule 2: some edits of servers lack information. Servers 5.29.1 to 5.35 cut the path of a ``delete``
in a list down to its last step, and no server notices that 1 became True. Such a value may be
wrong, or its edits may not fit, until ``process_completed`` sends the whole value.

Rule 3: a container that a snapshot, the edits or the caller may refer to never changes. The first
edit inside such a container copies it; later edits change the copy in place.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final, TypeAlias, cast

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol import server_diff
from sansio_gradio.protocol.server_diff import Edit
from sansio_gradio.wire.json import JSON

__all__ = ["MAX_PATH", "Edit", "Value", "apply_diff", "compute_diff", "weigh"]

MAX_PATH: Final = 256
"""The most steps in a path. With ``Limits.json_depth`` it bounds the depth of a value."""

_PART: Final = 16  # bytes, for each value within a value

_SEQUENCES: Final = (list, tuple)
_CONTAINERS: Final = (list, dict)

_Owned: TypeAlias = "dict[int | str, _Owned]"


def apply_diff(value: JSON, edits: Sequence[Edit]) -> JSON:
    """Apply *edits* to *value*, and return the new value.

    Neither *value* nor *edits* is changed. The result shares the parts that no edit touched.

    Raises:
        RemoteProtocolError: an edit is malformed or does not fit the value.
    """
    current = Value(value)
    current.apply(edits)
    return current.snapshot()


def compute_diff(old: JSON, new: JSON, *, like: str | None = None) -> list[Edit]:
    """Return the edits that make *new* out of *old*.

    By default the result is exact: ``1``, ``1.0`` and ``True`` are told apart (so are ``0.0`` and
    ``-0.0``), and the keys of dicts have the order of *new*. Deleted list items are numbered from
    the end, so a client that uses the index gets the same value.

    *like* is a version of Gradio: return the very edits that its servers send, mistakes included.

    The edits refer to parts of *new* without copying them.

    Raises:
        LocalProtocolError: *like* is not a version; its servers send no edits (before 4.17); or
            they fail on these values (5.29.1 to 5.32: a key was removed from a dict in a list).
    """
    if like is not None:
        return server_diff.compute(old, new, like)
    edits: list[Edit] = []
    _compare(old, new, (), edits)
    return edits


class Value:
    """A value that edits are applied to, one yield after the other.

    Without snapshots, appending to a string or a list is as cheap as in Python, however long they
    are. After a snapshot, the first edit copies the containers on its path.
    """

    __slots__ = ("_cell", "_owned", "weight")

    def __init__(self, value: JSON = None, weight: int | None = None) -> None:
        self.weight = weigh(value) if weight is None else weight
        """The memory that the value takes, as ``weigh`` counts it; updated by each edit."""
        self._cell: list[JSON] = [value]  # so that the root is an item of a container, too
        # The containers that are copies of our own, as the tree of steps that lead to them. (A set
        # of ids would take a stranger for one of them when an id is used again.)
        self._owned: _Owned = {}

    def snapshot(self) -> JSON:
        """Return the present value, which never changes afterwards."""
        if self._owned:
            self._owned = {}
        return self._cell[0]

    def apply(self, edits: Sequence[Edit]) -> None:
        """Apply *edits*.

        Raises:
            RemoteProtocolError: an edit is malformed or does not fit. Do not use the value any
                more; earlier snapshots are still right.
        """
        if type(edits) not in _SEQUENCES:
            raise RemoteProtocolError(f"Edits come in a list, not as {reprlib.repr(edits)}.")
        for edit in edits:
            try:
                action, path, value = edit
                self._apply(action, path, value)
            except (TypeError, ValueError) as why:
                raise RemoteProtocolError(
                    f"The edit {reprlib.repr(edit)} does not fit: {str(why)[:80]}."
                ) from None

    def _apply(self, action: object, path: Sequence[Any], value: JSON) -> None:
        if type(path) not in _SEQUENCES or len(path) > MAX_PATH:
            raise ValueError(f"its path is no list of at most {MAX_PATH} steps")
        container: Any = self._cell
        step: Any = 0
        owned = self._owned
        if path:  # most edits are of the whole value
            container, owned, step = self._way_to(path)
        in_list = not isinstance(container, dict)
        if action == "append":
            self.weight += _append(container, _existing(container, step), value)
        elif action == "replace":
            step = _existing(container, step)
            self.weight += weigh(value) - weigh(container[step])
            container[step] = value
            owned.pop(step, None)
        elif action == "add" and path and in_list:
            self.weight += _PART + weigh(value)
            container.append(value)
        elif action == "add" and path:
            step = _key(step)
            if step in container:
                self.weight += weigh(value) - weigh(cast("object", container[step]))
            else:
                self.weight += _PART + len(step) + weigh(value)
            container[step] = value
            owned.pop(step, None)
        elif action == "delete" and path:
            step = _existing(container, len(container) - 1 if in_list else step)
            self.weight -= (
                _PART + weigh(cast("object", container[step])) + (0 if in_list else len(step))
            )
            del container[step]
            owned.pop(step, None)
        else:
            raise ValueError("there is no such action")

    def _way_to(self, path: Sequence[Any]) -> tuple[Any, _Owned, Any]:
        """The container of the part at *path*, made our own, and the last step of *path*."""
        container: Any = self._cell
        owned = self._owned
        step: Any = 0
        for next_step in path:
            step = _existing(container, step)
            if step not in owned:
                if not isinstance(container[step], _CONTAINERS):
                    raise ValueError(f"nothing is inside of {step!r}")
                container[step] = container[step].copy()
                owned[step] = {}
            container, owned, step = container[step], owned[step], next_step
        return container, owned, step


def weigh(value: object) -> int:
    """Roughly the bytes that *value* takes: its texts, and a constant for each part."""
    if isinstance(value, str):
        return len(value)
    total = 0
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list):
            items = cast("list[object]", item)
            total += _PART * len(items)
            left += items
        elif isinstance(item, dict):
            whole = cast("dict[str, object]", item)
            total += _PART * len(whole) + sum(map(len, whole))
            left += whole.values()
    return total


def _existing(container: Any, step: Any) -> Any:
    """*step* as *container* has it."""
    if isinstance(container, dict):
        step = _key(step)
        if step not in container:
            raise ValueError(f"there is no key {step!r}")
    elif type(step) is not int or not 0 <= step < len(container):  # to Python, True is an int
        raise ValueError(f"there is no item {step!r}")
    return step


def _key(step: Any) -> str:
    # Before 4.24 the integer keys of a dict became strings on their way (json.dumps), but in the
    # paths they stayed integers.
    if type(step) is int:
        return str(step)
    if not isinstance(step, str):
        raise ValueError("a dict has strings as keys")
    return step


def _append(container: Any, step: Any, value: JSON) -> int:
    """Append to the text there; returns by how much it grew."""
    text = container[step]
    if not isinstance(text, str) or not isinstance(value, str):
        raise ValueError("only a string is appended, and to a string")
    container[step] = None  # this is the only reference now, so CPython extends the string in place
    text += value
    container[step] = text
    return len(value)


def _compare(old: JSON, new: JSON, path: tuple[int | str, ...], edits: list[Edit]) -> None:
    """Add to *edits* those that make *new* out of *old*, both at *path*."""
    if old is new:
        return
    if type(old) is not type(new) or len(path) == MAX_PATH:
        edits.append(["replace", [*path], new])
    elif isinstance(old, str) and isinstance(new, str) and new.startswith(old):
        if len(new) > len(old):
            edits.append(["append", [*path], new[len(old) :]])
    elif isinstance(old, list) and isinstance(new, list):
        for index, (item, new_item) in enumerate(zip(old, new, strict=False)):
            _compare(item, new_item, (*path, index), edits)
        edits += [["delete", [*path, i], None] for i in range(len(old) - 1, len(new) - 1, -1)]
        edits += [["add", [*path, i], new[i]] for i in range(len(old), len(new))]
    elif isinstance(old, dict) and isinstance(new, dict):
        # What is added comes last. So a key can stay if all before it in *new* do, in this order.
        left = iter(old)
        staying = [key for key in takewhile(lambda key: key in left, new)]
        gone = old.keys() - staying
        edits += [["delete", [*path, key], None] for key in old if key in gone]
        for key in staying:
            _compare(old[key], new[key], (*path, key), edits)
        edits += [["add", [*path, key], new[key]] for key in list(new)[len(staying) :]]
    elif old != new or (isinstance(old, float) and repr(old) != repr(new)):
        edits.append(["replace", [*path], new])
