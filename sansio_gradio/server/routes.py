"""Which request means what: the table is the whole truth.

A route has the releases that have it, and may depend on what the protocol's row says (gradio
routes.py of each version).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import unquote

import attrs

from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.server.app import App
from sansio_gradio.server.clients import Clients
from sansio_gradio.server.events import Answer
from sansio_gradio.server.requests import WEBSOCKET, Refusal, Request
from sansio_gradio.server.versions import covers

Handler: TypeAlias = Callable[[Clients, Request], Answer | None]


@attrs.frozen
class Route:
    """One row: ``{}`` in the path is one segment; ``prefixed``: below the app's api_prefix;
    ``asked``: only where data is asked for."""

    method: str
    path: str
    handler: Handler
    releases: str = ""
    prefixed: bool = True
    channel: Channel | None = None
    asked: bool = False

    def match(self, app: App, path: str) -> tuple[str, ...] | None:
        """What stands for each ``{}``; None: it is not meant, or the app has no such route."""
        prefix = app.api_prefix if self.prefixed else ""
        own, theirs = f"{prefix}{self.path}".split("/"), path.rstrip("/").split("/")
        pairs = list(zip(own, theirs, strict=False))
        if (
            not covers(self.releases, app.version)
            or self.channel not in (None, app.traits.channel)
            or (self.asked and app.traits.handover is not Handover.ASKED)
            or len(own) != len(theirs)
            or any(mine not in ("{}", given) for mine, given in pairs)
        ):
            return None
        return tuple(unquote(given) for mine, given in pairs if mine == "{}")


def find(app: App, request: Request) -> Handler:
    """Who deals with a request; it learns its ``parts``.

    Raises:
        Refusal: nobody does.
    """
    status, text = 404, "Not Found"
    for route in ROUTES:
        parts = route.match(app, request.path)
        if parts is not None and route.method == request.method:
            request.parts = parts
            return route.handler
        if parts is not None and route.method != WEBSOCKET:
            status, text = 405, "Method Not Allowed"
    if request.method == WEBSOCKET:
        raise Refusal(403, "", None)
    raise Refusal(status, {"detail": text})


ROUTES: Final = (
    Route("GET", "/config", Clients.config, prefixed=False),
    Route("GET", "", Clients.page, prefixed=False),
    Route("HEAD", "", Clients.page, prefixed=False),
    Route("GET", "/info", Clients.info, ">=3.26"),
    Route("GET", "/app_id", Clients.app_id),
    Route("POST", "/queue/join", Clients.join, channel=Channel.SESSION_STREAM),
    Route("GET", "/queue/data", Clients.stream, channel=Channel.SESSION_STREAM),
    Route("GET", "/queue/join", Clients.job_stream, channel=Channel.JOB_STREAM),
    Route(WEBSOCKET, "/queue/join", Clients.socket, channel=Channel.WEBSOCKET),
    Route("POST", "/queue/data", Clients.hand_over, channel=Channel.JOB_STREAM, asked=True),
    Route("POST", "/queue/data", Clients.hand_over, channel=Channel.SESSION_STREAM, asked=True),
    Route("POST", "/cancel", Clients.cancel, ">=4.31"),
    Route("POST", "/reset", Clients.reset, ">=3.6"),
    Route("GET", "/heartbeat/{}", Clients.heartbeat, ">=4.25"),
    Route("POST", "/api/{}", Clients.call),
    Route("POST", "/run/{}", Clients.call, ">=3.9"),
    Route("POST", "/stream/{}", Clients.feed, ">=5.0"),
    Route("POST", "/stream/{}/close", Clients.end_input, ">=5.0"),
)
