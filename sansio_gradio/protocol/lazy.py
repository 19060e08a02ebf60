"""A sequence that makes its items when they are read, and keeps none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, cast, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A sequence whose items are made when they are read. It equals any sequence of equal items.

    A slice is a list of the items asked for.
    """

    @abstractmethod
    def at(self, place: int) -> T:
        """The item at *place*, counted from 0, which is less than the length."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.at(places)
        if places.step > 0:
            return list(map(self.at, places))
        return list(map(self.at, places[::-1]))[::-1]  # reading forward is cheaper

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return tuple(self) == tuple(cast("Sequence[object]", other))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)}>"
