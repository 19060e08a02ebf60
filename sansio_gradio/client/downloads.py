"""Files that are fetched from the app: each is one download, up to its last event.

Rule 1: the last event of a download is one ``DownloadCompleted`` or ``DownloadFailed``. A download
that the application cancels has no further event.

Rule 2: all requests go to the app that was asked. A redirect to another server is not followed.

Rule 3: a download that breaks goes on only if the rest certainly belongs to the same file. Servers
ignore ``If-Range``, and some answer a range wrongly (docs/protocol.md). So the file is looked at
again first, and the one form of range is asked for that every version answers rightly: from a byte
that is not the first to the last one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Hashable
from typing import Final

import attrs

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import Alarm, Announce, Ask, Drop, Listen, Listener, Way
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    RemoteProtocolError,
)
from sansio_gradio.events import (
    DownloadCompleted,
    DownloadEvent,
    DownloadFailed,
    DownloadReceived,
    DownloadStarted,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.protocol.playlists import read_playlist
from sansio_gradio.protocol.remote_files import RemoteFile, decode_data_url
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.url import URL

_OK: Final = 200
_PARTIAL: Final = 206
_NOT_THERE: Final = frozenset({403, 404})
_LEAST: Final = 64 * 1024
"""A download must bring so many bytes within each ``Timeouts.download``."""
_MOST_BREAKS: Final = 5
"""So often a download goes on after a break."""
_LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at a playlist that grows. Its segments last some seconds each."""
_WIDTH: Final = 200


@attrs.frozen
class Source:
    """A file, and the app that has it. ``base`` is the address of the app's API."""

    file: RemoteFile
    app: AppInfo
    base: URL


class Download(Listener):
    """One download in a session; ``id`` is its number."""

    def __init__(self, id: int, session: int, source: Source, options: Options) -> None:
        self.id = id
        self.is_paused = False
        self.is_over = False
        self.exchange: int | None = None
        """The request under way, which is paused with the download."""
        self._session = session
        self._file = source.file
        self._version = source.app.version
        self._base = source.base
        self._options = options
        self._received = 0
        self._heard = 0  # since the last look
        self._least = 1 if source.file.is_stream else _LEAST

    @abstractmethod
    def start(self) -> Way:
        """Begin."""

    def pause(self, on: bool) -> Way:
        """The application reads no more for a while, or (not *on*) reads again."""
        self.is_paused = on
        if not on and not self.is_over:
            yield from self._watch()

    def forget(self) -> Way:
        """The application gives it up."""
        self.is_over = True
        yield from self._leave()

    def fail(self, error: GradioError) -> Way:
        """End it in *error*."""
        yield from self._leave()
        self.is_over = True
        error = error.located(phase="download", url=self._base.public + self._file.target)
        yield Announce(DownloadFailed(session=self._session, download=self.id, error=error))

    def rang(self, _name: Hashable, /) -> Way:
        """Look whether enough has come."""
        heard, self._heard = self._heard, 0
        if heard >= self._least:
            yield from self._watch()
        elif not self.is_paused:
            yield from self.fail(DeadlineExceeded(phase="download"))

    def _watch(self) -> Way:
        self._heard = 0
        yield Alarm(self, "slow", self._options.timeouts.download)

    def _leave(self) -> Way:
        yield Alarm(self, "slow", None)
        yield Drop(self.exchange)

    def _listen(self, target: str, headers: Headers = ()) -> Way:
        request = requests.download(target, headers)
        self.exchange = yield Listen(
            self._base, request, self, "download", deadline="download", wants=self._wants
        )

    def _wants(self, status: int, headers: Headers) -> bool:  # noqa: ARG002  # others look at them
        return status == _OK

    def _began(self, size: int | None, mime_type: str | None) -> Way:
        event: DownloadEvent = DownloadStarted(
            session=self._session, download=self.id, size=size, mime_type=mime_type
        )
        yield Announce(event)

    def _got(self, data: bytes) -> Way:
        self._received += len(data)
        self._heard += len(data)
        if self._received > self._options.limits.download:
            yield from self.fail(self._too_large())
        else:
            yield Announce(DownloadReceived(session=self._session, download=self.id, data=data))

    def _too_large(self) -> GradioError:
        limit = self._options.limits.download
        return RemoteProtocolError(f"The file exceeds {limit} bytes (Limits.download).")

    def _complete(self) -> Way:
        yield from self._leave()
        self.is_over = True
        yield Announce(DownloadCompleted(session=self._session, download=self.id))

    def _refusal(self, answer: Answer) -> GradioError:
        detail = said(answer.json, "detail", str)
        if answer.status in _NOT_THERE and detail is not None:
            why = plain(detail, _WIDTH)
            return answer.locate(AppError(f"The app does not hand out this file: {why}"))
        return answer.refusal(self._version)


class WholeDownload(Download):
    """A file, or an output that grows in one body (3.33 to 4.44).

    *resume*: go on after a break, if that is safe.
    """

    def __init__(
        self, id: int, session: int, source: Source, options: Options, *, resume: bool = True
    ) -> None:
        super().__init__(id, session, source, options)
        self._size: int | None = None
        self._mark: tuple[str | None, ...] = ()  # what tells this content from another one
        self._breaks_left = _MOST_BREAKS if resume else 0
        self._broke: GradioError | None = None  # the last break
        self._waits: GradioError | None = None  # the same, while it is paused behind it
        self._skip = 0  # bytes that come again
        self._head: tuple[int, Headers] = (0, ())

    def start(self) -> Way:
        if (url := self._file.data_url) is None:
            yield from self._listen(self._file.whole_target)
            return
        try:
            content = decode_data_url(url)
        except RemoteProtocolError as error:
            yield from self.fail(error)
            return
        yield from self._began(len(content), self._file.mime_type)
        if content:
            yield from self._got(content)
        if not self.is_over:
            yield from self._complete()

    def _wants(self, status: int, headers: Headers) -> bool:
        self._head = status, headers
        return status == _OK or (status == _PARTIAL and self._received > 0)

    def opened(self, _now: float, /) -> Way:
        status, headers = self._head
        if self._broke is not None:
            yield from self._goes_on(self._broke, status, headers)
            return
        self._size = _length(headers)
        self._mark = _mark(headers)
        if self._size is not None and self._size > self._options.limits.download:
            yield from self.fail(self._too_large())
            return
        yield from self._watch()
        yield from self._began(self._size, header(headers, "content-type"))

    def received(self, data: bytes, _now: float, /) -> Way:
        if self._skip:
            skipped = data[: self._skip]
            self._skip -= len(skipped)
            self._heard += len(skipped)
            data = data[len(skipped) :]
        if data:
            yield from self._got(data)

    def ended(self) -> Way:
        if self._broke is not None and self._received != self._size:
            yield from self.fail(self._broke)  # the rest was not as long as its range says
        else:
            yield from self._complete()

    def refused(self, answer: Answer, /) -> Way:
        yield from self.fail(self._broke or self._refusal(answer))

    def failed(self, error: GradioError, /) -> Way:
        size = self._size
        may_go_on = size is not None and 0 < self._received < size and any(self._mark[1:])
        is_broken = type(error) is ConnectionLost and self._breaks_left > 0
        if not (may_go_on and is_broken):
            yield from self.fail(self._broke or error)
            return
        self._breaks_left -= 1
        yield Alarm(self, "slow", None)
        yield from self._go_on(error)

    def pause(self, on: bool) -> Way:
        if not on and self._waits is not None:
            self.is_paused = False
            yield from self._go_on(self._waits)
        else:
            yield from super().pause(on)

    def _go_on(self, broke: GradioError) -> Way:
        """Ask for the rest, if the file is still the same. While it is paused, that waits."""
        self._broke, self._waits = broke, None
        if not self.is_paused:
            look = requests.download(self._file.whole_target, method="HEAD")
            try:
                answer = yield Ask(self._base, look, "download", "download")
            except GradioError:
                answer = None
            if self.is_over:
                return  # cancelled meanwhile
            if answer is None or _mark(answer.headers) != self._mark:
                yield from self.fail(broke)
                return
        if self.is_paused:
            self._waits = broke
        else:
            rest = f"bytes={self._received}-{self._mark_size - 1}"
            yield from self._listen(self._file.whole_target, (("range", rest),))

    @property
    def _mark_size(self) -> int:
        assert self._size is not None
        return self._size

    def _goes_on(self, broke: GradioError, status: int, headers: Headers) -> Way:
        """The rest was asked for: look whether it is what comes."""
        size, start = self._mark_size, self._received
        if status == _PARTIAL:
            is_right = header(headers, "content-range") == f"bytes {start}-{size - 1}/{size}"
            self._skip = 0
        else:  # all of it comes again
            is_right = _mark(headers) == self._mark
            self._skip = start
        if is_right:
            yield from self._watch()
        else:
            yield from self.fail(broke)


class PlaylistDownload(Download):
    """A streamed output (5.0 and later), segment after segment, while it grows.

    The segments in a row are one stream of their format (AAC, or MPEG-TS), which players take.
    """

    def __init__(self, id: int, session: int, source: Source, options: Options) -> None:
        super().__init__(id, session, source, options)
        self._folder = source.file.target.rpartition("/")[0]
        self._known = 0  # segments
        self._segments: deque[str] = deque()  # to be fetched
        self._reads_list = False
        self._list: list[bytes] = []
        self._is_last = False  # the playlist has told all segments
        self._rests = False  # between two requests

    def start(self) -> Way:
        yield from self._began(None, None)
        yield from self._watch()
        yield from self._next()

    def pause(self, on: bool) -> Way:
        yield from super().pause(on)
        if not on and self._rests and not self.is_over:
            yield from self._next()

    def rang(self, name: Hashable, /) -> Way:
        if name == "look":
            yield from self._next()
        else:
            yield from super().rang(name)

    def _next(self) -> Way:
        self._rests = self.is_paused
        if self.is_paused:
            return
        if self._segments:
            self._reads_list = False
            yield from self._listen(f"{self._folder}/{self._segments.popleft()}")
        elif self._is_last:
            yield from self._complete()
        else:
            self._reads_list = True
            self._list.clear()
            yield from self._listen(self._file.target)

    def received(self, data: bytes, _now: float, /) -> Way:
        if not self._reads_list:
            yield from self._got(data)
            return
        self._list.append(data)
        if sum(map(len, self._list)) > self._options.limits.answer:
            yield from self.fail(RemoteProtocolError("The playlist exceeds Limits.answer."))

    def ended(self) -> Way:
        if self._reads_list:
            try:
                playlist = read_playlist(b"".join(self._list))
            except RemoteProtocolError as error:
                yield from self.fail(error)
                return
            self._segments.extend(playlist.segments[self._known :])
            self._known = max(self._known, len(playlist.segments))
            self._is_last = playlist.is_over
            if not self._segments and not self._is_last:
                yield Alarm(self, "look", _LOOK_AGAIN)
                return
        yield from self._next()

    def refused(self, answer: Answer, /) -> Way:
        yield from self.fail(self._refusal(answer))

    def failed(self, error: GradioError, /) -> Way:
        yield from self.fail(error)

    def _leave(self) -> Way:
        yield Alarm(self, "look", None)
        yield from super()._leave()


def _length(headers: Headers) -> int | None:
    told = header(headers, "content-length") or ""
    return int(told) if told.isdecimal() and told.isascii() else None


def _mark(headers: Headers) -> tuple[str | None, ...]:
    """What tells one content from another: the size, and what the server says of its state."""
    return tuple(header(headers, key) for key in ("content-length", "etag", "last-modified"))
