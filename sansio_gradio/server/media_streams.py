"""Outputs that are streamed: media that clients may play while it is made (3.33 and later).

Each piece that a function yields is kept as a segment. Up to 4.44 clients get the segments as one
answer that ends with the job; later a playlist names them, and ``playlist-file`` is all of them.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_gradio.protocol.files import Streams, rules_of
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.components import ComponentKind
from sansio_gradio.server.contents import File, InMemory
from sansio_gradio.server.events import SendFile, SendResponse
from sansio_gradio.server.files import FileStore
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Refusal, Request

__all__ = ["MediaStreams", "is_streamed"]

PLAYLIST: Final = "playlist.m3u8"
_PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
_HEAD: Final = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGETDURATION:5\n#EXT-X-VERSION:4\n"
_VIDEO: Final = ("ts", "video/MP2T", "video-stream.mp4", "video/mp4")
_AUDIO: Final = ("aac", "audio/aac", "audio-stream.mp3", "audio/mpeg")


def is_streamed(component: ComponentKind) -> bool:
    """Whether the component streams its output."""
    return component.props.get("streaming") is True


@attrs.define(eq=False)
class _Stream:
    """The segments of one output of one job. ``event_id``: the job's."""

    event_id: str
    is_video: bool
    segments: list[bytes] = attrs.field(factory=list[bytes])
    listeners: list[int] = attrs.field(factory=list[int])

    @property
    def kind(self) -> tuple[str, str, str, str]:
        """Ending and type of a segment, name and type of the whole."""
        return _VIDEO if self.is_video else _AUDIO


class MediaStreams:
    """The streams of a server, by their paths: session, job, place of the output."""

    def __init__(
        self, app: App, queue: Queue, channels: Channels, files: FileStore, limits: ServerLimits
    ) -> None:
        self._app = app
        self._queue = queue
        self._channels = channels
        self._files = files
        self._limits = limits
        self._streams: dict[str, _Stream] = {}  # the oldest first
        self._listening: dict[int, _Stream] = {}  # by exchange

    def add(self, path: str, component: ComponentKind, file: File) -> tuple[str, str | None]:
        """Keep the next segment. Returns the path and the name that a result tells."""
        stream = self._streams.get(path)
        if stream is None:
            event_id = path.split("/")[-2]
            stream = self._streams[path] = _Stream(event_id, component.kind == "video")
        data = file.read()
        stream.segments.append(data)
        has_room = self._files.take_room(len(data))
        while not has_room or len(self._streams) > self._limits.sessions:
            has_room = self._drop_oldest()
        for exchange in stream.listeners:
            self._channels.send_bytes(exchange, data)
        if rules_of(self._app.version).streams is Streams.RAW:
            return path, None
        return f"{path}/{PLAYLIST}", stream.kind[2]

    def _drop_oldest(self) -> bool:
        """Forget the oldest stream. Returns whether that is enough room."""
        stream = self._streams.pop(next(iter(self._streams)))
        self._files.give_back(sum(map(len, stream.segments)))
        for exchange in list(stream.listeners):
            self.leave(exchange)
            self._channels.end(exchange, clean=False)
        return not self._streams or self._files.take_room(0)

    # Clients

    def listen(self, request: Request, path: str) -> None:
        """Send all segments, and those to come, up to the end of the job (up to 4.44)."""
        stream = self._find(path)
        exchange = request.exchange
        self._channels.open_bare(exchange, stream.kind[3])
        for data in stream.segments:
            self._channels.send_bytes(exchange, data)
        stream.listeners.append(exchange)
        self._listening[exchange] = stream

    def playlist(self, request: Request, path: str) -> SendResponse:
        """The segments so far."""
        stream = self._find(path)
        text = _HEAD + "".join(
            f"#EXTINF:1.000000,\n{number}.{stream.kind[0]}\n"
            for number in range(len(stream.segments))
        )
        if self._is_over(stream):
            text += "#EXT-X-ENDLIST\n"
        return SendResponse(request.exchange, 200, text, _PLAYLIST_TYPE)

    def segment(self, request: Request, path: str, name: str) -> SendFile:
        """One segment."""
        stream = self._find(path)
        ending, kind, _, _ = stream.kind
        for number, data in enumerate(stream.segments):
            if name == f"{number}.{ending}":
                return _sent(request, data, kind)
        raise self._not_found()

    def whole(self, request: Request, path: str) -> SendFile:
        """All segments as one file."""
        stream = self._find(path)
        return _sent(request, b"".join(stream.segments), stream.kind[3])

    def leave(self, exchange: int) -> None:
        """The client of this exchange has gone. Ignored if it does not listen."""
        stream = self._listening.pop(exchange, None)
        if stream is not None:
            stream.listeners.remove(exchange)

    def settle(self) -> None:
        """End the answers of those who listen to jobs that are over."""
        for exchange, stream in list(self._listening.items()):
            if self._is_over(stream):
                self.leave(exchange)
                self._channels.end(exchange)

    def _find(self, path: str) -> _Stream:
        stream = self._streams.get(path)
        if stream is None:
            raise self._not_found()
        return stream

    def _not_found(self) -> Refusal:
        if rules_of(self._app.version).streams is Streams.RAW:
            return Refusal(404, {"detail": "Stream not found."})
        return Refusal(404, "", None)

    def _is_over(self, stream: _Stream) -> bool:
        return self._queue.named(stream.event_id) is None


def _sent(request: Request, data: bytes, kind: str) -> SendFile:
    return SendFile(
        exchange=request.exchange,
        status=200,
        content=InMemory(data),
        start=0,
        stop=len(data),
        length=len(data),
        headers=(("content-type", kind),),
    )
