"""The downloads of a client, as records that its surroundings fill and one reader empties.

Rule 1: as in ``_jobs``, the thread (or loop) of the engine writes, others read, and none waits or
locks. A reader that finds nothing new says ``Nothing.YET``.

Rule 2: little is kept in memory. A reader that is behind has the download paused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Self

import attrs

from sansio_gradio.errors import JobCancelledError
from sansio_gradio.events import (
    DownloadCompleted,
    DownloadEvent,
    DownloadFailed,
    DownloadReceived,
    DownloadStarted,
)
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._waiting import wait_for

_PAUSED_AT: Final = 1024 * 1024
"""So many bytes that nobody has read pause a download."""
_RESUMED_AT: Final = 256 * 1024


@attrs.define(eq=False, kw_only=True)
class DownloadRecord:
    """The state of one download of *file*.

    ``until``: when the deadline of its job passes, in monotonic seconds. ``steer`` is called, in
    any thread and by finalisers, with the record and True to resume it, False to drop it.
    """

    file: RemoteFile
    resume: bool = True
    growing: bool = False
    until: float | None = None
    steer: Callable[[DownloadRecord, bool], object]
    id: int | None = None
    """The engine's number of the download, once it has one."""
    size: int | None = None
    """In bytes, as far as the server has said so by now."""
    changed: Signal = attrs.field(factory=Signal, init=False)
    is_over: bool = attrs.field(default=False, init=False)
    """No more comes."""
    error: BaseException | None = attrs.field(default=None, init=False)
    is_paused: bool = attrs.field(default=False, init=False)
    received: int = attrs.field(default=0, init=False)
    taken: int = attrs.field(default=0, init=False)
    _chunks: deque[bytes] = attrs.field(factory=deque[bytes], init=False)

    # The writer.

    def add(self, event: DownloadEvent) -> bool:
        """Take an event; returns whether to pause the download."""
        match event:
            case DownloadStarted():
                self.size = event.size
            case DownloadReceived():
                self._chunks.append(event.data)
                self.received += len(event.data)
                return not self.is_paused and self.received - self.taken > _PAUSED_AT
            case DownloadCompleted():
                self.is_over = True
            case DownloadFailed():
                self.end(event.error)
        return False

    def end(self, error: BaseException) -> None:
        """It does not come."""
        if not self.is_over:
            self.error = error
            self.is_over = True

    def publish(self) -> None:
        """Wake the reader."""
        self.changed.notify()

    # The reader.

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes | Nothing:
        """The next bytes. At the end it stops, or raises the error."""
        chunk = self._take()
        return chunk if isinstance(chunk, Nothing) else bytes(chunk)

    def _take(self) -> bytes | Nothing:
        """As ``__next__``, but the bytes may be a ``bytearray``: no copy is made."""
        over = self.is_over
        try:
            chunk = self._chunks.popleft()
        except IndexError:
            if not over:
                return Nothing.YET
            if self.error is not None:
                raise self.error from None
            raise StopIteration from None
        self.taken += len(chunk)
        if self.is_paused and self.is_read:
            self.steer(self, True)
        return chunk

    @property
    def is_read(self) -> bool:
        """Whether little is left to be read."""
        return self.received - self.taken <= _RESUMED_AT

    def wait(self) -> Iterator[bytes]:
        """The same for a thread, which waits."""
        while True:
            seen = self.changed.version
            try:
                chunk = self._take()
            except StopIteration:
                return
            if isinstance(chunk, Nothing):
                wait_for(self.changed, seen)
            else:
                yield chunk

    def drop(self) -> None:
        """Nobody reads on: end it, at the server, too."""
        if not self.is_over:
            self.end(JobCancelledError("The download was given up."))
            self.steer(self, False)
        self._chunks.clear()
        self.publish()
