"""How far uploads are, for clients that ask (``/upload_progress``, 4.2 and later).

A client names its upload by a text of its own. News waits for it in one slot: what was read of a
file before the next one began may never be told (gradio route_utils.py: FileUploadProgress).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, cast

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import HEARTBEAT_EVERY, Channels
from sansio_gradio.server.events import TEXT, SendResponse
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from sansio_gradio.server.versions import Manner

__all__ = ["UploadReports", "UploadWatcher"]

BEGINS_WITHIN: Final = 3.0  # seconds (gradio routes.py: get_upload_progress)


@attrs.define(eq=False)
class UploadWatcher:
    """A client that asks how far an upload is. ``is_open``: its stream is."""

    exchange: int
    upload_id: str
    is_open: bool = False


@attrs.define(eq=False)
class _Tracked:
    """What is known of an upload: the newest file, and how many of its bytes were not told."""

    name: str = ""
    size: int = 0
    is_done: bool = False


class UploadReports:
    """The uploads that have a name, and the clients that watch them.

    Deadlines: a watcher is due when its heartbeat is, or when its upload did not begin in time.
    """

    def __init__(
        self, app: App, channels: Channels, deadlines: Deadlines[Hashable], limits: ServerLimits
    ) -> None:
        self._app = app
        self._channels = channels
        self._deadlines = deadlines
        self._limits = limits
        self._tracked: dict[str, _Tracked] = {}  # the oldest first
        self._watchers: dict[int, UploadWatcher] = {}

    def watch(self, request: Request) -> None:
        """A client asks how far an upload is."""
        watcher = UploadWatcher(request.exchange, request.asked("upload_id"))
        self._watchers[watcher.exchange] = watcher
        if watcher.upload_id in self._tracked:
            self._open(watcher)
        elif self._app.does(Manner.WAITS_FOR_UPLOAD):
            self._deadlines.start(watcher, BEGINS_WITHIN)
        else:
            self._channels.open_bare(watcher.exchange)
            self._end(watcher)

    def began(self, upload_id: str | None) -> None:
        """An upload begins."""
        if upload_id is None:
            return
        self._tracked[upload_id] = _Tracked()
        if len(self._tracked) > self._limits.sessions:
            del self._tracked[next(iter(self._tracked))]
        for watcher in self._watching(upload_id):
            if not watcher.is_open:
                self._open(watcher)

    def read(self, upload_id: str | None, name: str, size: int) -> None:
        """Some bytes of a file have come."""
        tracked = None if upload_id is None else self._tracked.get(upload_id)
        if tracked is None:
            return
        if tracked.name != name:
            tracked.name, tracked.size = name, 0
        tracked.size += size
        self._tell(cast("str", upload_id))

    def ended(self, upload_id: str | None) -> None:
        """An upload is over, well or not."""
        if upload_id is not None and upload_id in self._tracked:
            self._tracked[upload_id].is_done = True
            self._tell(upload_id)

    def leave(self, exchange: int) -> None:
        """The client of this exchange has gone. Ignored if it does not watch."""
        watcher = self._watchers.pop(exchange, None)
        if watcher is not None:
            self._deadlines.stop(watcher)

    def is_due(self, watcher: UploadWatcher) -> None:
        """The deadline of a watcher has passed."""
        if watcher.is_open:
            self._say(watcher, {"msg": "heartbeat"})
            self._deadlines.start(watcher, HEARTBEAT_EVERY)
        else:
            self.leave(watcher.exchange)
            self._channels.answer(SendResponse(watcher.exchange, 404, "Upload not found", TEXT))

    def stop(self) -> None:
        """The server goes down."""
        for watcher in list(self._watchers.values()):
            self.leave(watcher.exchange)
            self._channels.end(watcher.exchange, clean=False)

    def _watching(self, upload_id: str) -> list[UploadWatcher]:
        return [one for one in self._watchers.values() if one.upload_id == upload_id]

    def _open(self, watcher: UploadWatcher) -> None:
        watcher.is_open = True
        self._channels.open_bare(watcher.exchange)
        self._deadlines.start(watcher, HEARTBEAT_EVERY)
        self._tell(watcher.upload_id)

    def _tell(self, upload_id: str) -> None:
        """Tell the first watcher what is new. The end is told at once and once, and then the upload
        is forgotten."""
        tracked, watchers = self._tracked[upload_id], self._watching(upload_id)
        if not watchers:
            return
        if tracked.size and not tracked.is_done:
            told = {"msg": "update", "orig_name": tracked.name, "chunk_size": tracked.size}
            self._say(watchers[0], told)
            tracked.size = 0
        if tracked.is_done:
            del self._tracked[upload_id]
            for watcher in watchers:
                self._say(watcher, {"msg": "done"})
                self._end(watcher)

    def _say(self, watcher: UploadWatcher, message: Mapping[str, Any]) -> None:
        self._channels.tell_channel(watcher.exchange, cast("Message", message))

    def _end(self, watcher: UploadWatcher) -> None:
        self.leave(watcher.exchange)
        self._channels.end(watcher.exchange)
