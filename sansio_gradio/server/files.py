"""The files that a server has: those that were uploaded, and those that its functions gave.

Each has a path, as on a real server. The path is a text that clients send back; nothing is opened
by it. Paths are made of the content, as that release makes them: the same content under the same
name has the same path from 4.0 on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Final, Protocol

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import Draft, File, Memory, Storage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.names import kept_name
from sansio_gradio.server.versions import Manner

__all__ = ["FileDraft", "FileStore", "KeptFile"]

FOLDER: Final = "/tmp/gradio"  # a label: see above
_OVERHEAD: Final = 1024  # bytes that a file costs besides its content: names, tables
_PIECE: Final = 1024 * 1024  # bytes that are hashed at once


class _Digest(Protocol):
    """A hash of ``hashlib``."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@attrs.frozen
class KeptFile:
    """A file with its path. ``since``: when it came, in monotonic seconds."""

    path: str
    file: File
    since: float

    @property
    def cost(self) -> int:
        """The bytes that it counts for in ``ServerLimits.files``."""
        return self.file.size + _OVERHEAD


class FileStore:
    """All files of a server, by path, in bounds.

    When there are too many bytes, the files that were used longest ago are forgotten, as if they
    had been deleted from a real server's cache.
    """

    def __init__(
        self,
        app: App,
        limits: ServerLimits,
        entropy: Callable[[int], bytes],
        deadlines: Deadlines[Hashable],
        storage: Storage | None = None,
    ) -> None:
        self._app = app
        self._deadlines = deadlines
        self._limit = limits.files
        self._entropy = entropy
        self._storage: Storage = Memory() if storage is None else storage
        self._secret: bytes | None = None  # of this start of the server; drawn when needed
        self._kept: dict[str, KeptFile] = {}  # the longest unused first
        self._size = 0

    def get(self, path: str) -> KeptFile | None:
        """The file of that path; None if there is none."""
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._kept[path] = kept
        return kept

    def is_folder(self, path: str) -> bool:
        """Whether files are below that path."""
        return any(known.startswith(f"{path.rstrip('/')}/") for known in self._kept)

    def begin(self) -> FileDraft:
        """Begin a file that is uploaded."""
        return FileDraft(self, self._storage.begin(), self._hash())

    def add(self, file: File) -> KeptFile:
        """Keep a file that a function has given."""
        digest = self._hash()
        for start in range(0, file.size, _PIECE):
            digest.update(file.content.read(start, start + _PIECE))
        self.take_room(file.size + _OVERHEAD)
        return self.keep(file, digest.hexdigest())

    def keep(self, file: File, folder: str) -> KeptFile:
        """Keep a file for which room was taken."""
        if self._app.does(Manner.RANDOM_FOLDERS):
            folder = self._entropy(20).hex()
        name = kept_name(file.name, self._app.version) if file.name else ""
        name = name or f"tmp{self._entropy(5).hex()}"
        path = f"{FOLDER}/{folder}/{name}"
        old = self._kept.pop(path, None)
        if old is not None:
            self._size -= old.cost
        kept = self._kept[path] = KeptFile(path, attrs.evolve(file, name=name), self._deadlines.now)
        return kept

    def take_room(self, size: int) -> bool:
        """Take room for so many bytes more. False: there is none, even without older files."""
        self._size += size
        while self._size > self._limit and self._kept:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= oldest.cost
        return self._size <= self._limit

    def give_back(self, size: int) -> None:
        """Give back room that was taken."""
        self._size -= size

    def _hash(self) -> _Digest:
        if self._app.does(Manner.SHA1_FOLDERS):
            return hashlib.sha1(usedforsecurity=False)
        made = hashlib.sha256()
        if self._app.does(Manner.SECRET_FOLDERS):
            self._secret = self._secret or self._entropy(32)
            made.update(self._secret)
        return made


class FileDraft:
    """An uploaded file that is not complete yet. ``size``: the bytes that have come so far."""

    def __init__(self, files: FileStore, draft: Draft, digest: _Digest) -> None:
        self._files = files
        self._draft = draft
        self._digest = digest
        self._is_kept = False
        self.size = 0

    def write(self, data: bytes) -> bool:
        """Add bytes. False: the server has no room for them."""
        self.size += len(data)
        self._digest.update(data)
        self._draft.write(data)
        return self._files.take_room(len(data))

    @property
    def folder(self) -> str:
        """The path of the folder, if it is complete."""
        return f"{FOLDER}/{self._digest.hexdigest()}"

    def keep(self, name: str, mime_type: str | None) -> KeptFile:
        """All bytes have come: it is one of the server's files now."""
        file = File(name, self._draft.keep(), mime_type)
        self._is_kept = True
        self._files.take_room(_OVERHEAD)
        return self._files.keep(file, self._digest.hexdigest())

    def drop(self) -> None:
        """It is not needed any more. Ignored if it was kept."""
        if not self._is_kept:
            self._draft.drop()
            self._files.give_back(self.size)
