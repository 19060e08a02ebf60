"""Bodies of requests that come in pieces, though what they are for needs them whole."""

from __future__ import annotations

import attrs

from sansio_gradio.server.events import TEXT, SendResponse
from sansio_gradio.server.requests import Request

__all__ = ["Bodies"]


@attrs.define(eq=False)
class _Collected:
    request: Request
    pieces: list[bytes] = attrs.field(factory=list[bytes])
    size: int = 0


class Bodies:
    """Collects bodies, each up to *limit* bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bodies: dict[int, _Collected] = {}

    def begin(self, request: Request) -> None:
        """The body of this request will come."""
        self._bodies[request.exchange] = _Collected(request)

    def add(self, exchange: int, data: bytes) -> SendResponse | None:
        """Some of it has come. Returns the answer if it is too large. Ignored for others."""
        body = self._bodies.get(exchange)
        if body is None:
            return None
        body.size += len(data)
        if body.size > self._limit:
            self.drop(exchange)
            return SendResponse(exchange, 413, "Request Entity Too Large", TEXT)
        body.pieces.append(data)
        return None

    def end(self, exchange: int) -> Request | None:
        """It is complete: the whole request. None for others."""
        body = self._bodies.pop(exchange, None)
        if body is None:
            return None
        return attrs.evolve(body.request, body=b"".join(body.pieces), is_whole=True)

    def drop(self, exchange: int) -> None:
        """The request is over."""
        self._bodies.pop(exchange, None)
