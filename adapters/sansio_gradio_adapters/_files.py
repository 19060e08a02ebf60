"""Reading the files that a caller gives. It blocks: a world of tasks calls it in another thread.

Rule 1: a path is opened for each piece and closed again. So no file stays open behind a job that
was cancelled, and each piece is checked: the file must be the one that was there in ``submit``.

Rule 2: a file object is read from where it stood in ``submit``, and not closed. It has one
position: so one thread at a time measures it or reads it, and puts it back. Thus several jobs may
have the same one.
"""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any, Final, cast

import attrs

from sansio_gradio.client.commands import ReadFile
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import is_a, kind_of, name_of
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.wire.body import FileSlice

_CHECKED: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class _Start:
    """Where a file object stood when it was given."""

    def __init__(self, held: _Held, position: int) -> None:
        self.held = held
        self.position = position


class _Held:
    """A file object that some job has, and its lock."""

    def __init__(self, source: Any) -> None:
        self.source = source  # so that no other object gets its id
        self.lock = threading.RLock()  # taken by ``with`` alone, where no Ctrl-C comes between


@contextmanager
def _put_back(source: Any) -> Generator[int]:
    """Gives the position of a file object, to which it is put back."""
    position: int = source.tell()
    try:
        yield position
    finally:
        source.seek(position)


_HELD: Final = weakref.WeakValueDictionary[int, _Held]()
if hasattr(os, "register_at_fork"):  # another thread may have a lock, which nobody frees here
    os.register_at_fork(after_in_child=_HELD.clear)


class Passing:
    """A file of another app, as a file object: its content is passed on as it comes.

    ``read`` gives the next piece; of a client with ``await``, what is to be awaited for it.
    """

    def __init__(self, file: RemoteFile) -> None:
        self._file: Any = file
        self._stream: Any = None

    def read(self, _size: int) -> Any:
        if self._stream is None:
            self._stream = self._file.stream()
        if hasattr(self._stream, "__next__"):
            return next(self._stream, b"")
        return anext(self._stream, b"")


def noted(file: GivenFile, base: str) -> GivenFile:
    """The file with its size, and with what tells it from another one at its path. *base*: the
    address of the app.

    Raises:
        LocalProtocolError: it cannot be opened, or is a folder or a device.
    """
    source = file.source
    if isinstance(source, RemoteFile):
        is_foreign = source.path is not None and source.base != base
        # One that was unpickled has no client to ask; then this client fetches it.
        return (
            attrs.evolve(file, source=Passing(source))
            if is_foreign and getattr(source, "_files", None) is not None
            else file
        )
    if file.is_url or is_a(source, bytes):
        return file
    try:
        if not is_a(source, str):
            return _measured(file)
        kind = os.stat(source).st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
            raise LocalProtocolError(f"The file {source!r} cannot be uploaded: it is {what}.")
        opened = os.open(source, _CHECKED)
        try:
            size = os.fstat(opened).st_size
            is_known = size > 0 or not os.read(opened, 1)  # of /proc/cpuinfo the system says 0
            return attrs.evolve(file, size=size if is_known else None, noted=_identity(opened))
        finally:
            os.close(opened)
    except LocalProtocolError:
        raise
    except Exception as error:  # of the system, or of the path itself, such as a NUL in it
        shown = repr(source) if is_a(source, str) else name_of(source)
        why = getattr(error, "strerror", None) or f"{name_of(error)}: {error}"
        raise LocalProtocolError(f"The file {shown} cannot be read: {why}.") from error


def read(piece: FileSlice) -> bytes:
    """The bytes of a slice; of a file of unknown size its next bytes, none at its end.

    Raises:
        Exception: it cannot be read, or is not the file that was given.
    """
    file: GivenFile = piece.upload
    assert piece.length is not None
    if is_a(file.source, bytes):
        return bytes(file.source[piece.offset : piece.offset + piece.length])
    if not is_a(file.source, str):
        return _read_object(file, piece.offset, piece.length)
    opened = _opened(file)
    try:
        os.lseek(opened, piece.offset, os.SEEK_SET)
        parts, left = list[bytes](), piece.length
        while left and (part := os.read(opened, left)):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(opened)
    if left and file.size is not None:
        raise _shorter(file)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_stream(file: GivenFile) -> bool:
    """Whether a file is an object that cannot seek: its ``read`` may wait for somebody."""
    return not is_a(file.source, str, bytes) and file.size is None


def _shorter(file: GivenFile) -> LocalProtocolError:
    return LocalProtocolError(f"The file {file.name!r} has become shorter since it was given.")


def _opened(file: GivenFile) -> int:
    """A descriptor of the file that was given."""
    opened = os.open(file.source, _CHECKED)
    if file.noted is not None and _identity(opened) != file.noted:
        os.close(opened)
        raise LocalProtocolError(f"The file {file.name!r} has changed since it was given.")
    return opened


def read_all(command: ReadFile) -> bytes:
    """All of a file, or one byte more than the limit; raises as ``read``."""
    file, most = command.upload, command.limit + 1
    if file.size is not None:
        return read(FileSlice(file, 0, min(file.size, most)))
    found = b""
    while len(found) < most and (part := read(FileSlice(file, len(found), most - len(found)))):
        found += part
    return found


def _identity(opened: int) -> object:
    """Differs for another file at the same path, and for the same file after a change."""
    found = os.fstat(opened)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _measured(file: GivenFile) -> GivenFile:
    source: Any = file.source
    can_seek = getattr(source, "seekable", None)
    if can_seek is None or not can_seek():
        return file
    held = _HELD.setdefault(id(source), _Held(source))
    with held.lock, _put_back(source) as start:
        end = source.seek(0, os.SEEK_END)
    return attrs.evolve(file, size=max(0, end - start), noted=_Start(held, start))


def _read_object(file: GivenFile, offset: int, length: int) -> bytes:
    start: _Start | None = file.noted
    if start is None:
        return _next_of(file, length)
    with start.held.lock, _put_back(file.source):
        file.source.seek(start.position + offset)
        return _next_of(file, length)


def _next_of(file: GivenFile, length: int) -> bytes:
    """The next bytes of a file object: *length*, or of unknown size what is there."""
    source: Any = file.source
    parts, left = list[bytes](), length
    while left:
        part = source.read(left)
        if is_a(source, Passing) and isawaitable(part):
            return cast("bytes", part)  # the world awaits it
        if not is_a(part, bytes, bytearray):
            what = f"The file object gives {kind_of(part)}, not bytes"
            raise LocalProtocolError(f"{what}: open it in binary mode ('rb').")
        if not part:
            break
        parts.append(bytes(part))
        left -= len(part)
        if file.size is None:
            break  # what is there is sent at once
    if left and file.size is not None:
        raise _shorter(file)
    return b"".join(parts)
