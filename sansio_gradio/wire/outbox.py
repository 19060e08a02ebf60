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
        self.slices = 0
        """How many slices of files wait."""
        self._pieces: deque[bytes | FileSlice] = deque()
        self._offset = 0  # how much of the first piece is taken

    def __len__(self) -> int:
        return len(self._pieces)

    def put(self, piece: bytes | FileSlice) -> None:
        """Add bytes, or a slice of a file, if there is anything in it."""
        if size := len(piece):
            self._pieces.append(piece)
            self.size += size
            self.slices += isinstance(piece, FileSlice)

    def take(self, max_bytes: int) -> bytes:
        """Take the next bytes, at most *max_bytes*, and none behind a slice."""
        taken: list[bytes] = []
        room = max_bytes
        while self._pieces and room > 0:
            first = self._pieces[0]
            if isinstance(first, FileSlice):
                break
            if self._offset == 0 and len(first) <= room:
                part = self._pieces.popleft()
                assert isinstance(part, bytes)
                self.size -= len(part)
            else:
                part = first[self._offset : self._offset + room]
                self._took(len(part))
            taken.append(part)
            room -= len(part)
        return taken[0] if len(taken) == 1 else b"".join(taken)

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
        self.size = self.slices = self._offset = 0

    def _took(self, size: int) -> None:
        self.size -= size
        self._offset += size
        if self._offset == len(self._pieces[0]):
            self.slices -= isinstance(self._pieces.popleft(), FileSlice)
            self._offset = 0
