"""What servers answer to ``/file=...``, each release with its own mistakes.

Clients have to live with these mistakes, so the server role makes them, too: lengths that are one
too many, and request headers that come back in a partial answer.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import quote

from sansio_gradio.protocol.given_file import UNKNOWN_TYPE, type_of
from sansio_gradio.server.app import App
from sansio_gradio.server.events import SendFile, SendResponse
from sansio_gradio.server.files import FOLDER, FileStore, KeptFile
from sansio_gradio.server.requests import BROKEN, Refusal, Request
from sansio_gradio.server.versions import Manner
from sansio_gradio.wire.headers import Headers, header

__all__ = ["Downloads"]

_INLINE: Final = re.compile(
    r"(audio|video)/.*|image/(jpeg|png|gif|webp)|text/plain|application/json"
)
_PLAIN_NAME: Final = re.compile(r"[\w.~/-]+", re.ASCII)  # needs no percent sign (starlette)
_FRAMING: Final = frozenset(
    {"connection", "content-length", "content-type", "expect", "keep-alive", "transfer-encoding"}
)
_UNSATISFIABLE: Final = {"detail": "Requested Range Not Satisfiable"}


def _kind_of(name: str) -> str:
    """The type of a file of that name; text/plain if it is not known, as Starlette says."""
    kind = type_of(name)
    return "text/plain" if kind == UNKNOWN_TYPE else kind


class Downloads:
    """Answers requests for files."""

    def __init__(self, app: App, files: FileStore) -> None:
        self._app = app
        self._files = files

    def answer(self, request: Request, path: str) -> SendResponse | SendFile:
        """The answer to a request for the file at *path*: all of it, or the range that the header
        ``range`` names.

        Raises:
            Refusal: there is no such file, or it has no such range. The status is that of the
                release which the app poses as.
        """
        kept = self._files.get(path)
        if kept is None:
            return self._missing(request, path)
        size = kept.file.size
        asked = header(request.headers, "range") or ""
        first, dash, last = asked.removeprefix("bytes=").strip().partition("-")
        if not asked.startswith("bytes=") or not dash:
            return self._whole(request, kept)
        if "-" in last:
            raise Refusal(*BROKEN)  # several ranges
        if first.isdecimal() and last.isdecimal():
            return self._between(request, kept, int(first), int(last))
        if not self._app.does(Manner.OPEN_RANGES) or not (first or last).isdecimal():
            return self._whole(request, kept)
        start = int(first) if first else max(size - int(last), 0)
        if start >= size:
            raise _unsatisfiable(size)
        told = (("content-range", f"bytes {start}-{size - 1}/{size}"),)
        return self._part(request, kept, start, size, (*self._headers(kept), *told))

    def _missing(self, request: Request, path: str) -> SendResponse:
        app = self._app
        if re.match("https?://", path) and app.does(Manner.REDIRECTS_TO_URLS):
            there = quote(path, safe=":/%#?=@[]!$&'()*+,;")
            return SendResponse(request.exchange, 302, "", None, (("location", there),))
        if app.does(Manner.FILE_MISSING_RAISES):
            raise Refusal(*BROKEN)
        is_ours = path.startswith(f"{FOLDER}/") and ".." not in path.split("/")
        is_relative = path != "" and not path.startswith("/")
        is_gone = (is_ours and not self._files.is_folder(path)) or (
            is_relative and app.does(Manner.RELATIVE_FILES)
        )
        if is_gone and not app.does(Manner.FILE_MISSING_IS_FORBIDDEN):
            raise Refusal(404, {"detail": f"File not found: {path}."})
        raise Refusal(403, {"detail": f"File not allowed: {path}."})

    def _whole(self, request: Request, kept: KeptFile) -> SendFile:
        return self._part(request, kept, 0, kept.file.size, self._headers(kept), status=200)

    def _part(
        self,
        request: Request,
        kept: KeptFile,
        start: int,
        stop: int,
        headers: Headers,
        *,
        status: int = 206,
    ) -> SendFile:
        return SendFile(
            exchange=request.exchange,
            status=status,
            content=kept.file.content,
            start=start,
            stop=stop,
            length=stop - start,
            headers=headers,
            since=kept.since,
        )

    def _between(self, request: Request, kept: KeptFile, first: int, last: int) -> SendFile:
        """A range with both ends, which Gradio answers itself (gradio ranged_response.py)."""
        size = kept.file.size
        if self._app.does(Manner.WRONG_RANGES):
            first, last = min(first, size), min(last or size, size)
            if size == 0 or last < first:
                raise Refusal(*BROKEN)
        else:
            last = min(last, size - 1)
            if last < first:
                raise _unsatisfiable(size)
        back = [pair for pair in request.headers if pair[0] not in _FRAMING]
        if self._app.does(Manner.NAMES_FILES):
            kind, disposition = self._shown_as(kept.file.name)
            back += ("content-type", kind), ("content-disposition", disposition)
        else:
            back.append(("content-type", _with_charset(_kind_of(kept.file.name))))
        back.append(("content-range", f"bytes {first}-{last}/{size}"))
        return SendFile(
            exchange=request.exchange,
            status=206,
            content=kept.file.content,
            start=first,
            stop=min(last + 1, size),
            length=last + 1 - first,
            headers=tuple(back),
        )

    def _headers(self, kept: KeptFile) -> Headers:
        name = kept.file.name
        tag = hashlib.md5(kept.path.encode(), usedforsecurity=False).hexdigest()
        etag = ("etag", f'"{tag}"' if self._app.does(Manner.QUOTES_ETAG) else tag)
        ranges = ("accept-ranges", "bytes")
        if not self._app.does(Manner.NAMES_FILES):
            return (ranges, ("content-type", _with_charset(_kind_of(name))), etag)
        kind, disposition = self._shown_as(name)
        if _PLAIN_NAME.fullmatch(name):
            named = f'{disposition}; filename="{name}"'
        else:
            named = f"{disposition}; filename*=utf-8''{quote(name)}"
        kind = _with_charset(kind)
        return (ranges, ("content-type", kind), ("content-disposition", named), etag)

    def _shown_as(self, name: str) -> tuple[str, str]:
        """The type, and whether a browser may show it: what may hold a script is saved only."""
        kind = _kind_of(name)
        return (kind, "inline") if _INLINE.fullmatch(kind) else (UNKNOWN_TYPE, "attachment")


def _with_charset(kind: str) -> str:
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _unsatisfiable(size: int) -> Refusal:
    return Refusal(416, _UNSATISFIABLE, "application/json", (("content-range", f"bytes */{size}"),))
