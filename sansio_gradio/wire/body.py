"""The body of a request that has files in it: bytes, and slices of files.

Nothing here reads a file. The surroundings read each slice and send what they have read.
"""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class FileSlice:
    """A part of a file, to be read and sent: ``length`` bytes from ``offset`` on.

    ``upload`` is the file, as the call has it (``GivenFile``). ``length`` None, in the body of a
    request: to its end, since its size is not known.
    """

    upload: Any
    offset: int
    length: int | None

    def __len__(self) -> int:
        assert self.length is not None
        return self.length


@attrs.frozen
class Body:
    """A body in pieces, in order. Behind a file of unknown size there are only bytes."""

    pieces: tuple[bytes | FileSlice, ...]

    @property
    def size(self) -> int | None:
        """The length in bytes; None: the size of a file is not known."""
        if self.open_slice is not None:
            return None
        return sum(len(piece) for piece in self.pieces)

    @property
    def open_slice(self) -> FileSlice | None:
        """The file of unknown size in it, if there is one."""
        slices = (piece for piece in self.pieces if isinstance(piece, FileSlice))
        return next((piece for piece in slices if piece.length is None), None)

    @property
    def behind_open_slice(self) -> list[bytes]:
        """The bytes behind the file of unknown size."""
        found: list[bytes] = []
        for piece in self.pieces:
            found = [] if isinstance(piece, FileSlice) else [*found, piece]
        return found

    def has(self, upload: object) -> bool:
        """Whether a file is a part of it."""
        slices = (piece for piece in self.pieces if isinstance(piece, FileSlice))
        return any(piece.upload is upload for piece in slices)


def is_sent_once(body: bytes | Body | None) -> bool:
    """Whether a body cannot be sent again after a part of it was: it has a file of unknown size,
    which may be a stream."""
    return isinstance(body, Body) and body.size is None
