"""What waits until a connection takes it: bytes, and slices of files."""

from __future__ import annotations

from collections import deque

from sansio_gradio.wire.body import FileSlice


class Outbox:
    """A queue of the pieces to be sent; ``len`` is the number of pieces.

    Every byte is copied once, also if it is taken in many small parts.
    """

    def __init__(self) -> None:
        self.size = 0
        """How many bytes wait, those of slices included."""
        self._pieces: deque[bytes | FileSlice] = deque()
        self._offset = 0  # how much of the first piece is taken

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def has_files(self) -> bool:
        """Whether a part of a file waits."""
        return any(isinstance(piece, FileSlice) for piece in self._pieces)

    def put(self, piece: bytes | FileSlice) -> None:
        """Add bytes, or a slice of a file, if there is anything in it."""
        if size := len(piece):
            self._pieces.append(piece)
            self.size += size

    def take(self, max_bytes: int) -> bytes:
        """Take the next bytes, at most *max_bytes*, and none behind a slice."""
        taken: list[bytes] = []
        room = max_bytes
        while self._pieces and room > 0:
            first = self._pieces[0]
            if isinstance(first, FileSlice):
                break
            part = first[self._offset : self._offset + room]
            taken.append(part)
            room -= len(part)
            self._took(len(part))
        return b"".join(taken)

    def take_slice(self, max_bytes: int) -> FileSlice | None:
        """Take the next bytes of a file, at most *max_bytes*; None: bytes come first."""
        first = self._pieces[0] if self._pieces else b""
        if not isinstance(first, FileSlice):
            return None
        size = min(max_bytes, len(first) - self._offset)
        part = FileSlice(first.upload, first.offset + self._offset, size)
        self._took(size)
        return part

    def clear(self) -> None:
        """Drop what waits."""
        self._pieces.clear()
        self.size = self._offset = 0

    def _took(self, size: int) -> None:
        self.size -= size
        self._offset += size
        if self._offset == len(self._pieces[0]):
            self._pieces.popleft()
            self._offset = 0
