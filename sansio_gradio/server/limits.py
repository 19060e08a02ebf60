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

    connections: int = attrs.field(default=10_000, validator=gt(0))
    """Connections (a count) at once."""

    unsent: int = attrs.field(default=64 * MIB, validator=gt(0))
    """What may wait for a client that does not read, beyond the message in hand; then it is cut."""

    sessions: int = attrs.field(default=2000, validator=gt(0))
    """Sessions (a count) that are remembered. Gradio's own number (queueing.py: LRUCache)."""

    jobs: int = attrs.field(default=10_000, validator=gt(0))
    """Jobs (a count) that wait or run. Plain calls, and WebSockets whose function is not known yet,
    count as connections only."""

    messages: int = attrs.field(default=10_000, validator=gt(0))
    """Messages (a count) of a session that no stream takes. Beyond it the session is forgotten."""
