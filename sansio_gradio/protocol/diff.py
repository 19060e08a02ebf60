"""What changed since the last yield, as edits (``sse_v2`` and later; PROTOCOL.md 3.6).

Rule 1: on a list, ``delete`` takes the last item away and ``add`` puts one at the end, whatever the
index says. Servers change the length of a list nowhere else, and they have numbered what is deleted
in four ways (``server_diff.py``), most of them wrong; read like this, all say the same.

Rule 2: what is not there cannot be decoded. Servers 5.29.1 to 5.35 cut the path of a ``delete`` in
a list down to its last step, and to every server 1 that became True is no change. Such a value may
be wrong, or its edits not fit, until ``process_completed`` sends it whole.

Rule 3: a container that somebody else may hold (a snapshot, the edits, the caller) never changes.
The first edit inside of such a container copies it; the copy is changed in place from then on.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final, TypeAlias

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol import server_diff
from sansio_gradio.protocol.server_diff import Edit
from sansio_gradio.wire.json import JSON

__all__ = ["MAX_PATH", "Edit", "Value", "apply_diff", "compute_diff"]

MAX_PATH: Final = 256
"""Steps in a path: what bounds, with ``Limits.json_depth``, how deep edits can nest a value."""

_SEQUENCES: Final = (list, tuple)
_CONTAINERS: Final = (list, dict)

_Owned: TypeAlias = "dict[int | str, _Owned]"


def apply_diff(value: JSON, edits: Sequence[Edit]) -> JSON:
    """Return what *value* has become.

    Neither *value* nor *edits* is changed; what no edit touched is shared with the result.

    Raises:
        RemoteProtocolError: an edit is malformed or does not fit the value.
    """
    current = Value(value)
    current.apply(edits)
    return current.snapshot()


def compute_diff(old: JSON, new: JSON, *, like: str | None = None) -> list[Edit]:
    """Return the edits that make *new* out of *old*.

    By default they do so to the letter: ``1``, ``1.0`` and ``True`` are told apart (so are ``0.0``
    and ``-0.0``), and the keys of dicts come out in the order of *new*. Deleted list items are
    numbered from the end, so that a client that goes by the index gets the same.

    *like* is a version of Gradio, for the very edits that its servers send, mistakes included.

    The edits refer to parts of *new*, which are not copied.

    Raises:
        LocalProtocolError: *like* is no version, or one that sends no edits (before 4.17), or one
            whose server fails on these values (5.29.1 to 5.32, a key gone from a dict in a list).
    """
    if like is not None:
        return server_diff.compute(old, new, like)
    edits: list[Edit] = []
    _compare(old, new, [], edits)
    return edits


class Value:
    """A value that edits are applied to, one yield after the other.

    Appending to a string or a list costs what it costs in Python, however long they have grown,
    while no snapshot is taken; after a snapshot, the first edit copies the containers on its path.
    """

    __slots__ = ("_cell", "_owned")

    def __init__(self, value: JSON = None) -> None:
        self._cell: list[JSON] = [value]  # so that the root is an item of a container, too
        # The containers that are copies of our own, as the tree of steps that lead to them. (A set
        # of ids would take a stranger for one of them when an id is used again.)
        self._owned: _Owned = {}

    def snapshot(self) -> JSON:
        """Return the value as it is now; it never changes afterwards."""
        if self._owned:
            self._owned = {}
        return self._cell[0]

    def apply(self, edits: Sequence[Edit]) -> None:
        """Bring the value up to date.

        Raises:
            RemoteProtocolError: an edit is malformed or does not fit. The value is of no use from
                here on; earlier snapshots are.
        """
        if type(edits) not in _SEQUENCES:
            raise RemoteProtocolError(f"Edits come in a list, not as {reprlib.repr(edits)}.")
        for edit in edits:
            try:
                action, path, value = edit
            except (TypeError, ValueError):
                raise _unfit(edit, "it is no [action, path, value]") from None
            if type(path) not in _SEQUENCES or len(path) > MAX_PATH:
                raise _unfit(edit, f"its path is no list of at most {MAX_PATH} steps")
            try:
                container, owned, step = self._way_to(path)
                if action == "append":
                    _append(container, step, value)
                elif action == "replace":
                    _replace(container, owned, step, value)
                elif action == "add" and path:
                    _add(container, owned, step, value)
                elif action == "delete" and path:
                    _delete(container, owned, step)
                else:
                    raise _Unfit("there is no such action")
            except _Unfit as why:
                raise _unfit(edit, str(why)) from None

    def _way_to(self, path: Sequence[Any]) -> tuple[Any, _Owned, Any]:
        """The container that holds what *path* leads to, ours from here on, and the step in it."""
        container: Any = self._cell
        owned = self._owned
        step: Any = 0
        for next_step in path:
            step = _existing(container, step)
            if step not in owned:
                if not isinstance(container[step], _CONTAINERS):
                    raise _Unfit(f"nothing is inside of {step!r}")
                container[step] = container[step].copy()
                owned[step] = {}
            container, owned, step = container[step], owned[step], next_step
        return container, owned, step


class _Unfit(Exception):
    """Why an edit does not fit, in words."""


def _unfit(edit: object, why: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"The edit {reprlib.repr(edit)} does not fit: {why}.")


def _existing(container: Any, step: Any) -> Any:
    """*step* as *container* has it."""
    if isinstance(container, dict):
        step = _key(step)
        if step not in container:
            raise _Unfit(f"there is no key {step!r}")
    elif not 0 <= _index(step) < len(container):
        raise _Unfit(f"there is no item {step}")
    return step


def _key(step: Any) -> str:
    # Before 4.24 the integer keys of a dict became strings on their way (json.dumps), but in the
    # paths they stayed integers.
    if type(step) is int:
        return str(step)
    if not isinstance(step, str):
        raise _Unfit("a dict has strings as keys")
    return step


def _index(step: Any) -> int:
    if type(step) is not int:  # not isinstance: to Python, True is an int
        raise _Unfit("a list has integers as indices")
    return step


def _append(container: Any, step: Any, value: JSON) -> None:
    step = _existing(container, step)
    text = container[step]
    if not isinstance(text, str) or not isinstance(value, str):
        raise _Unfit("only a string is appended, and to a string")
    container[step] = None  # ours is now the only reference, so CPython extends the string in place
    text += value
    container[step] = text


def _replace(container: Any, owned: _Owned, step: Any, value: JSON) -> None:
    step = _existing(container, step)
    container[step] = value
    owned.pop(step, None)


def _add(container: Any, owned: _Owned, step: Any, value: JSON) -> None:
    if isinstance(container, dict):
        step = _key(step)
        container[step] = value
        owned.pop(step, None)
    else:
        _index(step)
        container.append(value)


def _delete(container: Any, owned: _Owned, step: Any) -> None:
    if isinstance(container, dict):
        step = _existing(container, step)
        del container[step]
    else:
        _index(step)
        if not container:
            raise _Unfit("the list is empty")
        container.pop()
        step = len(container)
    owned.pop(step, None)


def _compare(old: JSON, new: JSON, path: list[int | str], edits: list[Edit]) -> None:
    """Add to *edits* what makes *new* out of *old*, both at *path*."""
    if old is new:
        return
    if type(old) is not type(new) or len(path) == MAX_PATH:
        edits.append(["replace", path.copy(), new])
    elif isinstance(old, str) and isinstance(new, str):
        if not new.startswith(old):
            edits.append(["replace", path.copy(), new])
        elif len(new) > len(old):
            edits.append(["append", path.copy(), new[len(old) :]])
    elif isinstance(old, list) and isinstance(new, list):
        for index, (item, new_item) in enumerate(zip(old, new, strict=False)):
            _compare_inside(item, new_item, index, path, edits)
        edits += [["delete", [*path, i], None] for i in range(len(old) - 1, len(new) - 1, -1)]
        edits += [["add", [*path, i], new[i]] for i in range(len(old), len(new))]
    elif isinstance(old, dict) and isinstance(new, dict):
        # What is added comes last. So a key can stay if all before it in *new* do, in this order.
        left = iter(old)
        staying = [key for key in takewhile(lambda key: key in left, new)]
        gone = old.keys() - staying
        edits += [["delete", [*path, key], None] for key in old if key in gone]
        for key in staying:
            _compare_inside(old[key], new[key], key, path, edits)
        edits += [["add", [*path, key], new[key]] for key in list(new)[len(staying) :]]
    elif old != new or (isinstance(old, float) and repr(old) != repr(new)):
        edits.append(["replace", path.copy(), new])


def _compare_inside(
    old: JSON, new: JSON, step: int | str, path: list[int | str], edits: list[Edit]
) -> None:
    path.append(step)
    _compare(old, new, path, edits)
    path.pop()
