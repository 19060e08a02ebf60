"""What functions of the app have made in one session (``gr.render``), beside what the app has.

A server may render as often as it likes: each render costs as much as itself, in an app of any
size, with whatever was rendered before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Final

from sansio_gradio.protocol.app_info import Parts
from sansio_gradio.protocol.components import Component

_KEPT: Final = 100  # functions whose components are known at a time


class Renders(Mapping[int, Component]):
    """The components that were rendered, by id. Of one id, the one that came last counts."""

    def __init__(self) -> None:
        self._parts: dict[Hashable, Parts] = {}  # by the place that they were rendered in
        self._by_id: dict[int, dict[Hashable, Component]] = {}  # those of one id, by place, too

    @property
    def parts(self) -> tuple[Parts, ...]:
        """All that is there, the newest last."""
        return tuple(self._parts.values())

    def put(self, place: Hashable, parts: Parts) -> None:
        """Put *parts* in the place of those that were rendered there before."""
        self._drop(place)
        self._parts[place] = parts
        for id, component in parts[0].items():
            self._by_id.setdefault(id, {})[place] = component
        if len(self._parts) > _KEPT:
            self._drop(next(iter(self._parts)))

    def _drop(self, place: Hashable) -> None:
        components, _ = self._parts.pop(place, ({}, {}))
        for id in components:
            there = self._by_id[id]
            del there[place]
            if not there:
                del self._by_id[id]

    def __getitem__(self, id: int) -> Component:
        return next(reversed(self._by_id[id].values()))

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)
