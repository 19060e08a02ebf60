"""What clients with ``await`` hand out is read item by item, and closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._machine import Machine

T = TypeVar("T")


class Reader(Generic[T]):
    """The outputs, updates or messages of a job, from the first on: iterate with ``async for``.

    If several tasks iterate one reader, each item goes to one of them.
    """

    def __init__(
        self, items: Iterator[T | Nothing], changed: Signal, machine: Machine, source: object
    ) -> None:
        self._items = items
        self._changed = changed
        self._machine = machine
        self._source = source  # keeps the job alive while it is read

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        # Before and not after, so that a cancellation loses no item.
        await self._machine.checkpoint()
        while True:
            seen = self._changed.version
            item = next(self._items, Nothing.END)
            if item is Nothing.END:
                raise StopAsyncIteration
            if not isinstance(item, Nothing):
                return item
            await self._machine.wait_for(self._changed, seen)


class Closing:
    """Closes at the end of an ``async with``."""

    @abstractmethod
    def close(self) -> None:
        """Close; closing twice is fine."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()
