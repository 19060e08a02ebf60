"""The app of a simulated run: what its functions may yield, and what they have done."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

from sansio_gradio.testing.peers import AppPeer

# What edits can express and every server version computes right:
# docs/protocol/sse_v3.md#6-edits.
scalars = st.one_of(st.none(), st.integers(2, 5), st.text("ab", max_size=3))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=1), inner),
    max_leaves=4,
)

GROWN = object()
"""Instead of a value: the one before, and a little more."""


def grown(value: Any) -> Any:
    """The value after *value*: a little more of it."""
    match value:
        case str():
            return value + "ab"
        case list():
            return [*value, 2]
        case dict():
            return {**value, "z": [value.get("z")]}
        case _:
            return ["a"]


def streams_of(peer: AppPeer) -> dict[str, int]:
    """How many streams each session has."""
    sessions = peer.engine._conversation._queue.sessions
    return {name: len(found.streams) for name, found in sessions._sessions.items()}


@attrs.define
class Truth:
    """What the app has done for one job."""

    yields: list[tuple[Any, ...]] = attrs.field(factory=list[tuple[Any, ...]])
    notices: list[str] = attrs.field(factory=list[str])
    data: tuple[Any, ...] | None = None
    error: str | None = None
