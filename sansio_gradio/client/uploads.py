"""The files of a call on their way to the server, before the job is handed in.

Rule 1: only marks are read (``GivenFile``): what the caller gave in the arguments.

Rule 2: the files of a call are brought side by side, at most ``Limits.uploads`` at once, and each
source once. What is stored already, by an attempt before, is not sent again.

Rule 3: if a file cannot be brought, the attempt fails, and the job is not handed in.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Generator
from typing import Any

import attrs

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import Ask, Begin, Step, Stored, Way
from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.failures import excerpt
from sansio_gradio.protocol.files import (
    Shape,
    argument,
    marks_in,
    place_of,
)
from sansio_gradio.protocol.given_file import GivenFile, too_large
from sansio_gradio.protocol.remote_files import RemoteFile, decode_data_url
from sansio_gradio.wire.url import URL


class CallFiles:
    """Brings the files of one attempt. *stored*: where the server has the files of its job."""

    def __init__(self, options: Options, attempt: Attempt, stored: dict[object, str]) -> None:
        self._options = options
        self._attempt = attempt
        self._stored = stored
        self._rules = attempt.app.files
        self._left: deque[tuple[GivenFile, Shape]] = deque()
        self._running = 0
        found: dict[object, tuple[GivenFile, Shape]] = {}
        for value, component in zip(attempt.data, attempt.endpoint.inputs, strict=True):
            shape = self._rules.shape_for(component.type)
            for file in marks_in(value):
                found[place_of(file, shape)] = file, shape
        self._left += (what for place, what in found.items() if place not in stored)

    def start(self) -> Way:
        """Bring the files, then say ``Stored``."""
        self._running = min(self._options.limits.uploads, len(self._left))
        if not self._running:
            yield from self._finish()
        for _ in range(self._running):
            yield Begin(self._run(), self._attempt)

    def _run(self) -> Way:
        """Bring one file after the other, beside others that do the same."""
        while self._left:
            file, shape = self._left.popleft()
            bring = self._content if shape.has_content else self._upload
            self._stored[place_of(file, shape)] = yield from bring(file)
        self._running -= 1
        if not self._running:
            yield from self._finish()

    def _finish(self) -> Way:
        attempt, rules = self._attempt, self._rules
        attempt.data = [
            argument(value, component, rules, self._stored)
            for value, component in zip(attempt.data, attempt.endpoint.inputs, strict=True)
        ]
        yield Stored(attempt)

    def _content(self, file: GivenFile) -> Generator[Step, Any, str]:
        """The data URL of a file."""
        if isinstance(file.source, RemoteFile) and file.source.data_url is not None:
            return file.source.data_url
        content = yield from self._bytes(file)
        return f"data:{file.mime_type};base64,{b64encode(content).decode()}"

    def _bytes(self, file: GivenFile) -> Generator[Step, Any, bytes]:
        limit = self._options.limits.answer
        if file.size is not None and file.size > limit:
            raise too_large(file, limit)
        source, attempt = file.source, self._attempt
        if isinstance(source, bytes):
            return source
        if isinstance(source, RemoteFile) and source.data_url is not None:
            return decode_data_url(source.data_url)
        request = requests.HTTPRequest("GET", "")
        if self._is_own(file):
            request = requests.HTTPRequest("GET", source.whole_target)
            answer: Answer = yield Ask(attempt.base, request, "upload", "request", attempt)
        elif isinstance(source, RemoteFile):
            url = URL.parse(source.base + source.whole_target)
            answer = yield Ask(url, request, "upload", "request", attempt, bare=True)
        elif file.is_url:
            url = URL.parse(source)
            answer = yield Ask(url, request, "upload", "request", attempt, bare=True)
        else:
            own = attrs.evolve(file)
            answer = yield Ask(
                attempt.base, request, "upload", "send", attempt, upload=own, is_read=True
            )
        return answer.body

    def _is_own(self, file: GivenFile) -> bool:
        """Whether it is a file of this app."""
        source = file.source
        return isinstance(source, RemoteFile) and source.base == str(self._attempt.base)

    def _upload(self, file: GivenFile) -> Generator[Step, Any, str]:
        """The path of a file at the server, or its URL if the server fetches it."""
        attempt = self._attempt
        if file.is_url and self._rules.urls and not attempt.call.is_upload:
            return str(file.source)
        if self._is_own(file) and not (file.source.path is None or file.source.is_stream):
            return str(file.source.path)
        if file.is_url or isinstance(file.source, RemoteFile):
            content = yield from self._bytes(file)
            file = attrs.evolve(file, source=content, size=len(content))
        else:
            # Of an empty file nothing is read while it is sent: here it is seen if it has grown.
            if file.size == 0 and (yield from self._bytes(file)):
                raise LocalProtocolError(f"{file!r} has become longer since it was given.")
            file = attrs.evolve(file)  # so that each upload is known by its own
        request = requests.upload(file, self._options.new_hash() + self._options.new_hash())
        answer: Answer = yield Ask(attempt.base, request, "upload", "send", attempt, upload=file)
        path = requests.uploaded(answer.json)
        if path is None:
            what = f"the server has not taken the upload of {file!r}: {excerpt(answer.body)}"
            raise answer.locate(RemoteProtocolError(what))
        return path
