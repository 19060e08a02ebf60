"""Which request means what: the table is the whole truth.

A route has the releases that have it, and may depend on what the protocol's row says (gradio
routes.py of each version).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import unquote

import attrs

from sansio_gradio.protocol.protocols import Channel, Handover, Traits
from sansio_gradio.server.app import App
from sansio_gradio.server.clients import Clients
from sansio_gradio.server.events import Answer
from sansio_gradio.server.requests import Refusal, Request
from sansio_gradio.server.versions import covers

Handler: TypeAlias = Callable[[Clients, Request], Answer | None]


def _any(_: Traits) -> bool:
    return True


def _session_stream(traits: Traits) -> bool:
    return traits.channel is Channel.SESSION_STREAM


def _job_stream(traits: Traits) -> bool:
    return traits.channel is Channel.JOB_STREAM


def _asked_by_stream(traits: Traits) -> bool:
    return traits.handover is Handover.ASKED and traits.channel is not Channel.WEBSOCKET


@attrs.frozen
class Route:
    """One row: ``{}`` in the path is one segment; ``prefixed``: below the app's api_prefix."""

    method: str
    path: str
    handler: Handler
    releases: str = ""
    prefixed: bool = True
    only: Callable[[Traits], bool] = _any

    def match(self, app: App, path: str) -> tuple[str, ...] | None:
        """What stands for each ``{}``; None: it is not meant, or the app has no such route."""
        prefix = app.api_prefix if self.prefixed else ""
        own, asked = f"{prefix}{self.path}".split("/"), path.rstrip("/").split("/")
        if len(own) != len(asked) or not covers(self.releases, app.version):
            return None
        pairs = list(zip(own, asked, strict=True))
        if any(mine not in ("{}", theirs) for mine, theirs in pairs) or not self.only(app.traits):
            return None
        return tuple(unquote(theirs) for mine, theirs in pairs if mine == "{}")


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
        if parts is not None:
            status, text = 405, "Method Not Allowed"
    raise Refusal(status, {"detail": text})


ROUTES: Final = (
    Route("GET", "/config", Clients.config, prefixed=False),
    Route("GET", "", Clients.page, prefixed=False),
    Route("HEAD", "", Clients.page, prefixed=False),
    Route("GET", "/info", Clients.info, ">=3.26"),
    Route("GET", "/app_id", Clients.app_id),
    Route("POST", "/queue/join", Clients.join, only=_session_stream),
    Route("GET", "/queue/data", Clients.stream, only=_session_stream),
    Route("GET", "/queue/join", Clients.job_stream, only=_job_stream),
    Route("POST", "/queue/data", Clients.hand_over, only=_asked_by_stream),
    Route("POST", "/cancel", Clients.cancel, ">=4.31"),
    Route("POST", "/reset", Clients.reset, ">=3.6"),
    Route("GET", "/heartbeat/{}", Clients.heartbeat, ">=4.25"),
    Route("POST", "/api/{}", Clients.call),
    Route("POST", "/run/{}", Clients.call, ">=3.9"),
    Route("POST", "/stream/{}", Clients.feed, ">=5.0"),
    Route("POST", "/stream/{}/close", Clients.end_input, ">=5.0"),
)
