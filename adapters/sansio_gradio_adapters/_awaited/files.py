"""The files that clients with ``await`` hand out. Writing to a disk happens in threads."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol import remote_files
from sansio_gradio_adapters._awaited.of_tasks import Reader
from sansio_gradio_adapters._awaited.reading import Closing
from sansio_gradio_adapters._awaited.saving import saved
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._downloads import DownloadRecord
from sansio_gradio_adapters._machine import Machine
from sansio_gradio_adapters._saving import OnProgress, PathText, Target, Temporary

NO_CLIENT: Final = (
    "This file has no client (it was unpickled, perhaps): use client.download(file, target)."
)


class FileStream(Reader[bytes], Closing):
    """The content of a file, in pieces, as they arrive: an async iterator and context manager.

    Leaving early, by ``close``, the end of an ``async with``, or when it is garbage-collected, ends
    the download. If nobody reads, the server waits.
    """

    def __init__(self, record: DownloadRecord, machine: Machine, source: object) -> None:
        super().__init__(record, record.changed, machine, source)
        self._record = record

    @property
    def size(self) -> int | None:
        """The bytes of the file; None until the first piece has come, or if the server does not
        tell."""
        return self._record.size

    def close(self) -> None:
        """End the download, if it is not over."""
        self._record.drop()

    def __del__(self) -> None:
        record: DownloadRecord | None = self.__dict__.get("_record")
        if record is not None and not record.is_over:
            record.drop()


class RemoteFile(remote_files.RemoteFile):
    """A file of an app, in a result or uploaded: the server's own dict, and how to get the content.

    If the file does not come, each verb raises ``AppError`` (the app does not hand it out) or a
    ``ConnectionError``.
    """

    __slots__ = ("_client", "_files")

    def __init__(
        self,
        value: Mapping[str, Any],
        base: str,
        route: str = "file=",
        *,
        files: Files | None = None,
        client: object = None,
    ) -> None:
        super().__init__(value, base, route)
        self._files = files
        self._client = client  # lives as long as its files

    def stream(self) -> FileStream:
        """The content in pieces, as they arrive: use ``async for``. Of an audio or video that still
        grows, the segments come while they are made."""
        return self._owner.stream(self)

    async def read(self) -> bytes:
        """The whole content, at most ``Limits.download`` bytes."""
        return await self._owner.read(self)

    async def open(self) -> IO[bytes]:
        """The content as a binary file, which can be read and sought; close it when done.

        It is downloaded at once, into a temporary file without a name.
        """
        return await self._owner.open(self)

    async def save(
        self, target: PathText, *, resume: bool = True, on_progress: OnProgress | None = None
    ) -> Path:
        """Save the file, and return its path.

        ``target`` is a folder that exists, or the path of the new file. In a folder the file gets
        its ``name``, or, if there is one of that name, another name. At a path, a file that is
        there is replaced. ``resume``: if the connection breaks, go on where it broke, if that is
        safe. ``on_progress(saved, size)`` is called as it grows, in bytes; the size may be None.

        The file appears when it is complete. If saving fails, or is cancelled, nothing is left
        behind.

        Raises:
            OSError: it cannot be written there.
        """
        return await self._owner.save(self, target, resume=resume, on_progress=on_progress)

    @property
    def _owner(self) -> Files:
        if self._files is None:
            raise LocalProtocolError(NO_CLIENT)
        return self._files

    def __copy__(self) -> RemoteFile:
        return RemoteFile(self, self.base, self.route, files=self._files, client=self._client)

    def __deepcopy__(self, _memo: dict[int, Any]) -> RemoteFile:
        return self.__copy__()  # the values of a file's dict are not changed by anybody


class Files:
    """The files of one client, and what they need of it."""

    def __init__(self, core: ClientCore, machine: Machine, client: object) -> None:
        self._core = core
        self._machine = machine
        self._client = weakref.ref(client)
        core.make_file = self._make

    def _make(self, value: dict[str, Any], base: str, route: str) -> RemoteFile:
        return RemoteFile(value, base, route, files=self, client=self._client())

    def stream(self, file: remote_files.RemoteFile, *, growing: bool = True) -> FileStream:
        self._check()
        record = self._core.open_download(file, growing=growing)
        return FileStream(record, self._machine, self._client())

    async def read(self, file: remote_files.RemoteFile) -> bytes:
        async with self.stream(file, growing=False) as stream:
            return b"".join([chunk async for chunk in stream])

    async def open(self, file: remote_files.RemoteFile) -> IO[bytes]:
        self._check()
        found: IO[bytes] = await saved(self._core, self._machine, file, Temporary())
        return found

    async def save(
        self,
        file: remote_files.RemoteFile,
        target: PathText,
        *,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Path:
        self._check()
        path: Path = await saved(
            self._core,
            self._machine,
            file,
            Target(target, file.name),
            resume=resume,
            on_progress=on_progress,
        )
        return path

    def _check(self) -> None:
        """Raise if waiting would never end; else look for the tokens of the moment."""
        self._machine.may_wait()
        self._core.renew_tokens(self._core.post)
