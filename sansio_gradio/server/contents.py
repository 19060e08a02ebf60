"""Files, and their bytes, wherever those are.

The server role keeps them in memory. To keep them elsewhere, give it a ``Storage`` of your own. It
is asked for bytes, and never for a name: no name from the wire becomes a path.
"""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = ["Content", "Draft", "File", "InMemory", "Memory", "Storage"]


class Content(Protocol):
    """The bytes of one file. They never change."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from *start* up to *stop*."""
        ...


class Draft(Protocol):
    """A content that is still coming."""

    def write(self, data: bytes) -> None:
        """Add bytes."""
        ...

    def keep(self) -> Content:
        """All bytes have come."""
        ...

    def drop(self) -> None:
        """The upload was broken off: the bytes are of no use."""
        ...


class Storage(Protocol):
    """Where uploaded contents are kept. A content is kept as long as there is a reference to it.

    What it does may raise ``OSError``: an upload then gets a 500 (``StorageRaised``), and a
    download is cut off.
    """

    def begin(self) -> Draft:
        """Begin a new content."""
        ...


@attrs.frozen
class InMemory:
    """A content in memory."""

    data: bytes = attrs.field(repr=False)

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


@attrs.define(eq=False)
class _Pieces:
    """A draft in memory."""

    _pieces: list[bytes] = attrs.field(factory=list[bytes])

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def keep(self) -> InMemory:
        return InMemory(b"".join(self._pieces))

    def drop(self) -> None:
        self._pieces.clear()


class Memory:
    """Keeps contents in memory."""

    def begin(self) -> Draft:
        return _Pieces()


def _content(given: bytes | Content) -> Content:
    return InMemory(given) if isinstance(given, bytes) else given


@attrs.frozen
class File:
    """A file that a function gets, or gives: ``File("note.txt", b"hello")``.

    ``name``: a label, which may be anything if it comes from a client. Never open a path of that
    name. ``content``: bytes, or another ``Content``.
    """

    name: str
    content: Content = attrs.field(converter=_content, repr=False)
    mime_type: str | None = None

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.content.size

    def read(self) -> bytes:
        """All of its bytes."""
        return self.content.read(0, self.content.size)
