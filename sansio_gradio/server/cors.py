"""What browsers are told of other origins: which pages may read the answers.

Rule 1: only the headers of answers tell browsers. No request is refused for its origin (gradio
route_utils.py: CustomCORSMiddleware; before 4.19.2: starlette's CORSMiddleware).

Rule 2: an app that is reached by a name of this machine is for pages of this machine. Otherwise any
page on the web could read what it says.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from sansio_gradio.server.app import App
from sansio_gradio.server.events import TEXT, SendResponse
from sansio_gradio.server.requests import Request
from sansio_gradio.server.versions import Manner
from sansio_gradio.wire.headers import Headers, header

__all__ = ["Cors"]

_HERE: Final = frozenset({"localhost", "127.0.0.1", "0.0.0.0"})
_METHODS: Final = ("access-control-allow-methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
_MAX_AGE: Final = ("access-control-max-age", "600")
_CREDENTIALS: Final = ("access-control-allow-credentials", "true")
_VARY: Final = ("vary", "Origin")
_FIXED: Final = (  # from 4.19.2 to 4.23, in every answer
    ("access-control-allow-methods", "GET, POST, PUT, DELETE, OPTIONS"),
    ("access-control-allow-headers", "Origin, Content-Type, Accept"),
)


class Cors:
    """The headers for browsers, as the app's release sends them."""

    def __init__(self, app: App) -> None:
        self._app = app

    def headers(self, request: Request) -> Headers:
        """What every answer to *request* has."""
        if request.is_websocket:
            return ()
        origin = header(request.headers, "origin")
        fixed = _FIXED if self._app.does(Manner.CORS_FIXED) else ()
        if origin is None:
            return fixed
        if self._app.does(Manner.CORS_FOR_ALL):
            if header(request.headers, "cookie") is None:
                return (_allowed("*"),)
            return (_allowed(origin), _VARY)
        if fixed:
            return (*self._if_allowed(request, origin), *fixed)
        allowed = self._if_allowed(request, origin)
        return (_CREDENTIALS, *allowed, *((_VARY,) if allowed else ()))

    def preflight(self, request: Request) -> SendResponse | None:
        """Answer a browser that asks whether a page may ask; None: *request* is no such question.

        Its answer has no ``headers`` in addition.
        """
        origin = header(request.headers, "origin")
        asked = header(request.headers, "access-control-request-method")
        if request.method != "OPTIONS" or origin is None or asked is None:
            return None
        if self._app.does(Manner.CORS_FIXED):
            return SendResponse(request.exchange, 200, "", None, self.headers(request))
        for_all = self._app.does(Manner.CORS_FOR_ALL)
        allowed = (_allowed("*"),) if for_all else self._if_allowed(request, origin)
        wanted = header(request.headers, "access-control-request-headers")
        return SendResponse(
            request.exchange,
            200,
            "OK",
            TEXT,
            (
                *(() if for_all else (_CREDENTIALS,)),
                *allowed,
                *(() if wanted is None else (("access-control-allow-headers", wanted),)),
                _METHODS,
                _MAX_AGE,
            ),
        )

    def _if_allowed(self, request: Request, origin: str) -> Headers:
        here = _HERE if self._app.does(Manner.CORS_STRICT) else _HERE | {"null"}
        host = _name(header(request.headers, "host") or "")
        return () if host in here and _name(origin) not in here else (_allowed(origin),)


def _allowed(origin: str) -> tuple[str, str]:
    return ("access-control-allow-origin", origin)


def _name(place: str) -> str:
    """The host in an origin, or in a Host field."""
    try:
        return urlsplit(place if "//" in place else f"//{place}").hostname or ""
    except ValueError:
        return ""
