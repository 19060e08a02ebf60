"""Bytes that wait until a connection takes them."""

from __future__ import annotations

from collections import deque


class Outbox:
    """A queue of the pieces to be sent; ``len`` is the number of pieces.

    Every byte is copied once, also if it is taken in many small parts.
    """

    def __init__(self) -> None:
        self.size = 0
        """How many bytes wait."""
        self._pieces: deque[bytes] = deque()
        self._offset = 0  # how much of the first piece is taken

    def __len__(self) -> int:
        return len(self._pieces)

    def put(self, data: bytes) -> None:
        """Add bytes, if there are any."""
        if data:
            self._pieces.append(data)
            self.size += len(data)

    def take(self, max_bytes: int) -> bytes:
        """Take the next bytes, at most *max_bytes*."""
        taken: list[bytes] = []
        room = max_bytes
        while self._pieces and room > 0:
            first = self._pieces[0]
            part = first[self._offset : self._offset + room]
            taken.append(part)
            room -= len(part)
            self._offset += len(part)
            if self._offset == len(first):
                self._pieces.popleft()
                self._offset = 0
        self.size -= max_bytes - room
        return b"".join(taken)

    def clear(self) -> None:
        """Drop what waits."""
        self._pieces.clear()
        self.size = self._offset = 0
