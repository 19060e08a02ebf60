"""The contents of a server's files, on disk instead of in memory.

    storage = OnDisk()
    async with serving(app, storage=storage) as url:
        ...

Files are written into a temporary folder under names of ours. A file is deleted when nothing refers
to its content any more: the server forgets the oldest ones beyond ``ServerLimits.files``.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any, Final

from sansio_gradio.server.contents import Content, Draft, File

__all__ = ["OnDisk", "opened"]

_BUFFER: Final = 64 * 1024


class OnDisk:
    """Keeps contents in a folder of its own, below *folder* (None: where the system keeps such).

    The folder goes when its storage and all of its contents have gone, at the latest when the
    program exits. Give it to one server, or to several.

    Raises:
        OSError: the folder cannot be made. ``write`` of a draft raises it, too: the disk is full.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = _Folder(folder)

    def begin(self) -> Draft:
        """Begin a new content."""
        return _OnDiskDraft(self._folder)


class _Folder:
    """A folder that is deleted with this object."""

    def __init__(self, parent: str | os.PathLike[str] | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sansio-gradio-", dir=parent))
        self._count = 0
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def next_path(self) -> Path:
        self._count += 1
        return self.path / str(self._count)


class _OnDiskDraft:
    """A content that is still written."""

    def __init__(self, folder: _Folder) -> None:
        self._folder = folder
        self._path = folder.next_path()
        self._file = self._path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def keep(self) -> Content:
        size = self._file.tell()
        self._file.close()
        return _OnDiskContent(self._folder, self._path, size)

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class _OnDiskContent:
    """A content that is complete. It is opened for each piece: there may be thousands of them."""

    def __init__(self, folder: _Folder, path: Path, size: int) -> None:
        self._folder = folder  # lives as long as its contents
        self._path = path
        self.size = size
        weakref.finalize(self, path.unlink, missing_ok=True)

    def read(self, start: int, stop: int) -> bytes:
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            parts: list[bytes] = []
            left = min(stop, self.size) - start
            while left > 0 and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
        return b"".join(parts)


def opened(file: File) -> IO[bytes]:
    """The content of a file that a function has got, as a binary file: it can be read and sought.

    For libraries that want a file, and for ``handle_file``: the content is read piece by piece.
    """
    return io.BufferedReader(_ContentFile(file.content), _BUFFER)


class _ContentFile(io.RawIOBase):
    """Reads a content."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(self._place, self._place + len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._content.size}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place
