"""How the protocols differ, as data.

Rule 1: nothing outside this file compares the name of a protocol. Code asks a row for its traits.

Rule 2: a trait describes the wire, not the client's reaction to it.

The versions of each: push 3.0 to 3.1.4, ws 3.1.5 to 3.50.2, sse 4.0 to 4.8, sse_v1 4.9 to 4.16,
sse_v2 4.17 to 4.20, sse_v2.1 4.21, sse_v3 from 4.22 on. Servers announce these names. The rows of
``CALLS`` are used only if the application asks for them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, cast, get_args

import attrs

from sansio_gradio.errors import OptionError
from sansio_gradio.given import is_a, shown
from sansio_gradio.protocol.states import Msg

Protocol: TypeAlias = Literal["push", "ws", "sse", "sse_v1", "sse_v2", "sse_v2.1", "sse_v3"]


class Channel(enum.Enum):
    """What brings the messages of a job to the client."""

    POLL = enum.auto()  # the client asks again and again
    WEBSOCKET = enum.auto()  # one a job
    JOB_STREAM = enum.auto()  # an event stream for each job
    SESSION_STREAM = enum.auto()  # one event stream for all jobs of a session
    CALL_STREAM = enum.auto()  # one a job; the kinds of its messages are the names of its events


class Handover(enum.Enum):
    """When the client hands over a job's data."""

    JOINING = enum.auto()  # with the request that joins the queue
    JOINING_BY_NAME = enum.auto()  # with that request, each argument under its parameter's name
    ASKED = enum.auto()  # when the server says ``send_data``


class Naming(enum.Enum):
    """Where a job's ``event_id`` comes from."""

    NOWHERE = enum.auto()
    JOIN_ANSWER = enum.auto()
    SEND_DATA = enum.auto()  # the server's message that asks for the data


@attrs.frozen(kw_only=True)
class Traits:
    """One protocol: a row of the table."""

    channel: Channel
    handover: Handover
    naming: Naming
    diffs: bool = False  # process_generating carries edits, from a job's second one on
    close_stream: bool = False  # the server announces the end of a stream

    @property
    def never_asked(self) -> frozenset[Msg]:
        """Messages that ask the client for something, and that servers of this protocol never
        send."""
        if self.channel is Channel.WEBSOCKET:
            return frozenset()
        has_data = self.handover is not Handover.ASKED
        return frozenset({Msg.SEND_HASH, Msg.SEND_DATA} if has_data else {Msg.SEND_HASH})


# Servers from 4.9 to today, each row with its change to the row before.
_SSE_V1: Final = Traits(
    channel=Channel.SESSION_STREAM, handover=Handover.JOINING, naming=Naming.JOIN_ANSWER
)
_SSE_V2: Final = attrs.evolve(_SSE_V1, diffs=True)
_SSE_V3: Final = attrs.evolve(_SSE_V2, close_stream=True)

PROTOCOLS: Final[Mapping[str, Traits]] = {
    "push": Traits(channel=Channel.POLL, handover=Handover.JOINING, naming=Naming.JOIN_ANSWER),
    "ws": Traits(channel=Channel.WEBSOCKET, handover=Handover.ASKED, naming=Naming.NOWHERE),
    "sse": Traits(channel=Channel.JOB_STREAM, handover=Handover.ASKED, naming=Naming.SEND_DATA),
    "sse_v1": _SSE_V1,
    "sse_v2": _SSE_V2,
    # On the wire the same as sse_v2: the name says that files carry ``meta`` (gradio@4.21.0).
    "sse_v2.1": _SSE_V2,
    "sse_v3": _SSE_V3,
}

# The simple REST API, which servers have beside the protocol that they announce: from 4.20 on, the
# second from 6.13 on. Each job is a session of its own, without State, logs and progress.
_CALL: Final = attrs.evolve(_SSE_V1, channel=Channel.CALL_STREAM)
CALLS: Final[Mapping[str, Traits]] = {
    "call": _CALL,
    "call_v2": attrs.evolve(_CALL, handover=Handover.JOINING_BY_NAME),
}

NEWEST: Final[Protocol] = "sse_v3"
KNOWN: Final[tuple[str, ...]] = get_args(Protocol)


def spoken(protocol: str) -> Traits:
    """The row of *protocol*, a name that servers announce or a name in ``CALLS``.

    Raises:
        OptionError: there is no such protocol.
    """
    return CALLS.get(_name(protocol)) or traits_of(protocol)


def traits_of(protocol: str) -> Traits:
    """The row of *protocol*.

    Raises:
        OptionError: there is no such protocol.
    """
    row = PROTOCOLS.get(_name(protocol))
    if row is None:
        raise OptionError(f"no such protocol: {shown(protocol)}; there are {', '.join(PROTOCOLS)}")
    return row


def _name(protocol: object) -> str:
    """*protocol* as a plain text; of another kind there is none."""
    return str.__str__(cast("str", protocol)) if is_a(protocol, str) else ""


def detect(announced: str | None, version: tuple[int, ...]) -> str:
    """The protocol of a server, from ``config["protocol"]`` and its version (empty: unknown).

    Servers before 4.0 announce nothing. A name that is not in the table comes from a newer server,
    so the newest known protocol is taken.
    """
    if announced is not None:
        return announced if announced in PROTOCOLS else NEWEST
    return "push" if version and version < (3, 1, 5) else "ws"
