"""What a pretended network does to a client."""

from __future__ import annotations

import enum

import attrs

__all__ = ["Fault", "FaultKind"]


class FaultKind(enum.Enum):
    """What happens to a connection on which something is on its way to the client."""

    DELAY = "it arrives later"
    CUT = "half of it arrives, then the connection is reset"
    RESET = "the connection is reset"
    END = "the connection ends instead"
    STALL = "nothing arrives on this connection any more, in neither direction"
    REFUSE = "the connection is reset, and the next one is refused"
    RESTART = "the server is started anew: all connections are reset, all jobs are gone"


@attrs.frozen
class Fault:
    """A fault of a simulated network, and when it strikes."""

    kind: FaultKind
    after: int = 0
    """It strikes when so many pieces of bytes have arrived at the client."""
    seconds: float = 1.0
    """How long a ``DELAY`` takes."""
