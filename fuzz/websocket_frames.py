"""Invariant: whatever a peer sends behind the handshake, in whatever pieces, either role raises
RemoteProtocolError or nothing; messages do not depend on the pieces, are within their limit, and
nothing follows a Close.

The first byte says which role and how the rest is cut.
"""

from __future__ import annotations

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.http import Role
from sansio_gradio.wire.websocket import Closed, Event, TextReceived, WebSocketConnection

LIMIT = 100


def target(data: bytes) -> None:
    first, frames = max(data[:1], default=0), data[1:]
    role = Role.SERVER if first & 1 else Role.CLIENT
    step = first // 2 + 1
    pieces = [frames[start : start + step] for start in range(0, len(frames), step)]
    assert _received(role, pieces) == _received(role, [frames])


def _open(role: Role) -> WebSocketConnection:
    client = WebSocketConnection(Role.CLIENT, max_message_size=LIMIT)
    server = WebSocketConnection(Role.SERVER, max_message_size=LIMIT)
    server.receive_data(client.send_handshake("fuzz", "/", ()))
    client.receive_data(server.accept())
    return client if role is Role.CLIENT else server


def _received(role: Role, pieces: list[bytes]) -> tuple[list[Event], bool]:
    """The events, and whether all was well."""
    connection = _open(role)
    events: list[Event] = []
    clean = True
    try:
        for piece in pieces:
            events += connection.receive_data(piece)
        events += connection.receive_data(b"")
        events += connection.receive_eof()
    except RemoteProtocolError:
        clean = False
    assert connection.is_closed
    assert (connection.error is None) is clean
    for event in events:
        if isinstance(event, TextReceived):
            assert len(event.text.encode()) <= LIMIT
        else:
            assert isinstance(event, Closed)
            assert event is events[-1]
            assert clean
    return events, clean


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    return b"\x0e" + b"\x81\x01a\x01\x01b\x80\x01c" * (100 * times)
