"""The files that clients with ``await`` hand out. Writing to a disk happens in threads."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol import remote_files
from sansio_gradio_adapters._awaited import Reader
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._downloads import DownloadRecord
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._machine import TaskWorld, wait_until
from sansio_gradio_adapters._saving import (
    DownloadTarget,
    OnProgress,
    PathText,
    Target,
    Temporary,
    save,
)

NO_CLIENT: Final = (
    "This file has no client (it was unpickled, perhaps): use client.download(file, target)."
)


class FileStream(Reader[bytes]):
    """The content of a file, in pieces, as they arrive: an async iterator and context manager.

    Leaving early, by ``close``, the end of an ``async with``, or when it is garbage-collected, ends
    the download. If nobody reads, the server waits.
    """

    def __init__(self, record: DownloadRecord, world: TaskWorld, source: object) -> None:
        super().__init__(record, record.changed, world, source)
        self._record = record

    @property
    def size(self) -> int | None:
        """The bytes of the file; None until the first piece has come, or if the server does not
        tell."""
        return self._record.size

    def close(self) -> None:
        """End the download, if it is not over."""
        self._record.drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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

        The file appears when it is complete. If it fails, or its task is cancelled, nothing is left
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

    def __init__(self, core: ClientCore, world: TaskWorld, client: object) -> None:
        self._core = core
        self._world = world
        self._client = weakref.ref(client)
        core.make_file = self._make

    def _make(self, value: dict[str, Any], base: str, route: str) -> RemoteFile:
        return RemoteFile(value, base, route, files=self, client=self._client())

    def stream(self, file: remote_files.RemoteFile) -> FileStream:
        self._check()
        record = self._core.open_download(file, growing=True)
        return FileStream(record, self._world, self._client())

    async def read(self, file: remote_files.RemoteFile) -> bytes:
        self._check()
        record = self._core.open_download(file)
        async with FileStream(record, self._world, self._client()) as stream:
            return b"".join([chunk async for chunk in stream])

    async def open(self, file: remote_files.RemoteFile) -> IO[bytes]:
        self._check()
        saving = _Saving(self._core, file, Temporary())
        found: IO[bytes] = await saving.run(self._world)
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
        place = Target(target, file.name)
        saving = _Saving(self._core, file, place, resume=resume, on_progress=on_progress)
        path: Path = await saving.run(self._world)
        return path

    def _check(self) -> None:
        """Raise if this is a forked process."""
        self._core.demand_own_process()
        self._core.renew_tokens(self._core.post)


class _Saving:
    """A file that a thread saves while a task waits."""

    def __init__(
        self,
        core: ClientCore,
        file: remote_files.RemoteFile,
        place: DownloadTarget,
        *,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._core = core
        self._file = file
        self._place = place
        self._resume = resume
        self._on_progress = on_progress
        self._records: list[DownloadRecord] = []
        self._is_given_up = False
        self._why: Exception | None = None  # what ``on_progress`` has raised
        self._results: list[Any] = []
        self._errors: list[BaseException] = []
        self._done = Signal()

    async def run(self, world: TaskWorld) -> Any:
        """Wait for the end. A cancellation gives it up, and leaves nothing behind."""
        self._core.threads.call(self._work)
        try:
            await wait_until(world, self._done, lambda: bool(self._results or self._errors))
        except BaseException:
            self._give_up()
            self._place.abandon()
            raise
        if self._why is not None:
            raise self._why
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _work(self) -> None:
        progress = None if self._on_progress is None else self._tell
        try:
            self._results.append(save(self._begin, self._place, progress))
        except BaseException as error:
            self._errors.append(error)
        self._core.post(self._done.notify)

    def _begin(self) -> DownloadRecord:
        record = self._core.open_download(self._file, resume=self._resume)
        self._records.append(record)
        if self._is_given_up:  # after the line above: giving up looks there
            record.drop()
        return record

    def _give_up(self) -> None:
        self._is_given_up = True
        for record in self._records:
            record.drop()

    def _tell(self, saved: int, size: int | None) -> None:
        self._core.post(partial(self._progress, saved, size))

    def _progress(self, saved: int, size: int | None) -> None:
        """In the event loop."""
        if self._why is None and not self._is_given_up:
            assert self._on_progress is not None
            try:
                self._on_progress(saved, size)
            except Exception as error:  # the caller's own code: it ends this download only
                self._why = error
                self._give_up()
