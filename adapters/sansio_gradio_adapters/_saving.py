"""Downloads are saved: written beside their place, and moved there when they are complete.

All of this blocks, and runs in the thread of a caller or in one of ``BlockingThreads``.
"""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeAlias

from sansio_gradio.errors import JobCancelledError, RemoteProtocolError
from sansio_gradio_adapters._downloads import DownloadRecord

OnProgress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes that were saved by now, and the size of the file, if it is known."""
PathText: TypeAlias = "str | os.PathLike[str]"

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS})
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)
_LONGEST_STEM: Final = 100  # bytes of the name of a part, which has more besides


class DownloadTarget(Protocol):
    """What a download is written to."""

    def write(self, data: bytes, /) -> object: ...

    def finish(self) -> Any:
        """All is written."""
        ...

    def discard(self) -> None:
        """It is not wanted any more; leave nothing behind."""
        ...

    def abandon(self) -> None:
        """As ``discard``, from another thread than the one that writes, which does the rest."""
        ...


class Target:
    """A file to be saved.

    *target* is a folder, or the path of the file. In a folder it gets the *name*; if there is a
    file of that name, another one. A path is the caller's own word: a file there is replaced.

    Raises:
        OSError: there is no such folder, no file can be made in it, or the path is a device.
    """

    def __init__(self, target: PathText, name: str) -> None:
        path = Path(target)
        self._is_folder = path.is_dir()
        self._folder = path if self._is_folder else path.parent
        self._name = name if self._is_folder else path.name
        if not self._folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(self._folder))
        if not self._is_folder and path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "A device or a pipe is not replaced by a file", str(path))
        stem = self._name.encode(errors="ignore")[:_LONGEST_STEM].decode(errors="ignore")
        self._part = self._folder / f".{stem}.{secrets.token_hex(4)}.part"
        self._fate: dict[None, bool] = {}  # the first one fixes whether it is kept
        self._file = os.fdopen(os.open(self._part, _FLAGS, 0o666), "wb", buffering=0)

    def write(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def finish(self) -> Path:
        """Move the file into its place. Returns its path, whose name may be another one.

        Raises:
            JobCancelledError: the download was given up.
            OSError: it cannot be moved.
        """
        self._file.close()
        if not self._fate.setdefault(None, True):
            raise JobCancelledError("The download was given up.")
        if not self._is_folder:
            place = self._folder / self._name
            self._part.replace(place)
            return place
        place, name = self._folder / self._name, Path(self._name)
        while not _moved(self._part, place):
            place = self._folder / f"{name.stem}-{secrets.token_hex(4)}{name.suffix}"
        return place

    def discard(self) -> None:
        self._fate.setdefault(None, False)
        self._file.close()
        self._part.unlink(missing_ok=True)

    def abandon(self) -> None:
        if not self._fate.setdefault(None, False):
            with suppress(OSError):  # Windows: it is open
                self._part.unlink()


def _moved(part: Path, place: Path) -> bool:
    """Move a file; False: there is a file of that name already."""
    try:
        if os.name == "nt":
            part.rename(place)  # which never replaces
        else:
            os.link(part, place, follow_symlinks=False)
            part.unlink()
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:  # a file system without links
            os.close(os.open(place, _FLAGS, 0o666))
        except FileExistsError:
            return False
        part.replace(place)
    return True


class Temporary:
    """A file without a name, which is gone when it is closed."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it

    def write(self, data: bytes, /) -> None:
        self._file.write(data)

    def finish(self) -> IO[bytes]:
        self._file.seek(0)
        return self._file

    def discard(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        """Closed by the thread that writes."""


class Budget:
    """The bytes that are left for all files of one result."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def spend(self, size: int) -> None:
        """Raise an error if they are too many."""
        self._left -= size
        if self._left < 0:
            raise RemoteProtocolError(
                f"The files of this result exceed {self._limit} bytes (Limits.download).",
                phase="download",
            )


def save(
    begin: Callable[[], DownloadRecord],
    place: DownloadTarget,
    on_progress: OnProgress | None = None,
    budget: Budget | None = None,
) -> Any:
    """Write the download that *begin* begins to its place; returns what ``place.finish`` gives.

    Whatever is raised, nothing is left behind.

    Raises:
        OSError: the file cannot be written.
        GradioError: the download failed, or was given up.
    """
    record: DownloadRecord | None = None
    try:
        record, saved = begin(), 0
        for chunk in record.wait():
            if budget is not None:
                budget.spend(len(chunk))
            place.write(chunk)
            saved += len(chunk)
            if on_progress is not None:
                on_progress(saved, record.size)
        return place.finish()
    except BaseException:
        if record is not None:
            record.drop()
        place.discard()
        raise
