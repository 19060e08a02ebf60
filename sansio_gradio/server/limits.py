"""How much a server keeps for clients, which it does not trust."""

from __future__ import annotations

import attrs
from attrs.validators import gt

from sansio_gradio.limits import MIB

__all__ = ["ServerLimits"]


@attrs.frozen(kw_only=True)
class ServerLimits:
    """Bounds of the server role, in bytes unless said otherwise."""

    request: int = attrs.field(default=64 * MIB, validator=gt(0))
    """The body of one request, one WebSocket message."""

    header: int = attrs.field(default=64 * 1024, validator=gt(0))
    """The head of one request. Precedent: 64 KiB in uvicorn's h11."""

    json_depth: int = attrs.field(default=512, validator=gt(0))
    """Nested containers in one JSON text."""

    files: int = attrs.field(default=1024 * MIB, validator=gt(0))
    """Files, those that are being uploaded included. Beyond it the oldest are forgotten, and an
    upload is refused for which that is not enough."""

    parts: int = attrs.field(default=1000, validator=gt(0))
    """Files (a count) in one upload. Gradio's own number (routes.py: max_files)."""

    connections: int = attrs.field(default=10_000, validator=gt(0))
    """Connections (a count) at once."""

    ahead: int = attrs.field(default=MIB, validator=gt(0))
    """What may wait for a client before its functions are held up (``JobHeld``)."""

    unsent: int = attrs.field(default=64 * MIB, validator=gt(0))
    """What may wait for a client, besides the largest message. Beyond it the connection is cut: the
    functions were not held up."""

    stall: float = attrs.field(default=20.0, validator=gt(0))
    """Seconds. A connection is cut that takes nothing for so long, or a little longer, while
    something waits. Precedent: uvicorn's ws_ping_timeout."""

    sessions: int = attrs.field(default=2000, validator=gt(0))
    """Sessions (a count) that are remembered. Gradio's own number (queueing.py: LRUCache)."""

    jobs: int = attrs.field(default=10_000, validator=gt(0))
    """Jobs (a count) that wait or run. Plain calls count as connections only."""

    logins: int = attrs.field(default=10_000, validator=gt(0))
    """Logins (a count) that are remembered. Beyond it the oldest one ends."""

    messages: int = attrs.field(default=10_000, validator=gt(0))
    """Messages (a count) of a session that no stream takes. Beyond it the session is forgotten."""

    @property
    def held_at(self) -> int:
        """Bytes that hold up the functions: ``ahead``, or half of ``unsent`` if that is less."""
        return min(self.ahead, self.unsent // 2)
