# Made from _awaited/reading.py by `python3 dev.py blocking`: change that.

"""What the blocking client hands out is read item by item, and closed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._worker import Worker

T = TypeVar("T")


class Reader(Generic[T]):
    """The outputs, updates or messages of a job, from the first on: iterate with ``for``.

    If several threads iterate one reader, each item goes to one of them.
    """

    def __init__(
        self, items: Iterator[T | Nothing], changed: Signal, worker: Worker, source: object
    ) -> None:
        self._items = items
        self._changed = changed
        self._worker = worker
        self._source = source  # keeps the job alive while it is read

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while True:
            seen = self._changed.version
            item = next(self._items, Nothing.END)
            if item is Nothing.END:
                raise StopIteration
            if not isinstance(item, Nothing):
                return item
            self._worker.wait_for(self._changed, seen)


class Closing:
    """Closes at the end of a ``with``."""

    @abstractmethod
    def close(self) -> None:
        """Close; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
