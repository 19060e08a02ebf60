"""The edits that real servers send (gradio ``utils.py: diff``), mistakes included.

Servers compare by Python's ``==``: ``1``, ``1.0`` and ``True`` are equal for them, and the order of
keys in a dict does not count. All releases agree on everything but the paths of ``delete``: see the
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.features import Version, version_numbers
from sansio_gradio.wire.json import JSON

Edit: TypeAlias = "list[Any]"
"""``[action, path, value]``: the actions are ``replace``, ``append`` (to a string), ``add`` and
``delete``; the path is a list of list indices and dict keys, empty for the value as a whole."""


class _Numbering(NamedTuple):
    """How a release numbers the deletes of a list, after all edits inside the list are known."""

    since: Version
    renumbers: bool  # counts off all deletes in it, its own and those further down
    keeps_parents: bool = True  # else only the last step of the path is left
    fails_on_keys: bool = False  # a deleted dict key is taken for a number, too


# The releases on both sides of each change were read and run. For lists in lists, none of the four
# gives indices that are right.
_NUMBERINGS: Final = (
    _Numbering((5, 36), renumbers=True),
    _Numbering((5, 33), renumbers=True, keeps_parents=False),
    _Numbering((5, 29, 1), renumbers=True, keeps_parents=False, fails_on_keys=True),
    _Numbering((4, 17), renumbers=False),
)


def compute(old: JSON, new: JSON, version: str) -> list[Edit]:
    """Return the edits from *old* to *new* that a server of *version* sends.

    Raises:
        LocalProtocolError: *version* is not a version, sends no edits, or fails on these values.
    """
    numbers = version_numbers(version)
    numbering = next((row for row in _NUMBERINGS if row.since <= numbers), None)
    if numbering is None:
        raise LocalProtocolError(f"Gradio {version!r} sends no edits: 4.17 was the first.")
    return _edits(old, new, (), numbering)


def _edits(old: JSON, new: JSON, path: tuple[int | str, ...], numbering: _Numbering) -> list[Edit]:
    edits: list[Edit] = []
    if isinstance(old, list) and isinstance(new, list):
        for index, (item, new_item) in enumerate(zip(old, new, strict=False)):
            edits += _edits(item, new_item, (*path, index), numbering)
        edits += [["delete", [*path, i], None] for i in range(len(new), len(old))]
        edits += [["add", [*path, i], new[i]] for i in range(len(old), len(new))]
        if numbering.renumbers:
            _renumber(edits, numbering)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key, item in old.items():
            if key in new:
                edits += _edits(item, new[key], (*path, key), numbering)
            else:
                edits.append(["delete", [*path, key], None])
        edits += [["add", [*path, key], new[key]] for key in new if key not in old]
    elif isinstance(old, str) and isinstance(new, str) and new.startswith(old):
        if new != old:
            edits.append(["append", list(path), new[len(old) :]])
    elif old != new:
        edits.append(["replace", list(path), new])
    return edits


def _renumber(edits: Sequence[Edit], numbering: _Numbering) -> None:
    seen = 0
    for edit in edits:
        action, path, _ = edit
        if action != "delete":
            continue
        if isinstance(path[-1], str):
            if numbering.fails_on_keys:
                raise LocalProtocolError(
                    f"A server of this version fails when a key ({path[-1]!r}) is gone from a dict"
                    " in a list."
                )
            continue
        path[-1] -= seen
        seen += 1
        if not numbering.keeps_parents:
            edit[1] = path[-1:]
