"""Invariant: whatever a server sends, in whatever pieces, a client raises RemoteProtocolError or
nothing; it does not depend on the pieces; and no event follows an error or the end of a message.

The first byte says how the rest is cut.
"""

from __future__ import annotations

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.http import BodyReceived, HTTPConnection, MessageEnded, Role

LIMIT = 500


def target(data: bytes) -> None:
    step, answer = max(data[:1], default=0) + 1, data[1:]
    pieces = [answer[start : start + step] for start in range(0, len(answer), step)]
    assert _received(pieces) == _received([answer])


def _received(pieces: list[bytes]) -> tuple[list[object], bytes, bool]:
    """The events but bodies, the body, and whether all was well."""
    connection = HTTPConnection(Role.CLIENT, max_header_size=LIMIT)
    connection.send_request("GET", "/", (("host", "fuzz"),))
    others: list[object] = []
    body = b""
    clean = True
    try:
        for piece in [*pieces, b"", None]:
            events = connection.receive_eof() if piece is None else connection.receive_data(piece)
            for event in events:
                assert MessageEnded() not in others
                if isinstance(event, BodyReceived):
                    assert event.data
                    body += event.data
                else:
                    others.append(event)
    except RemoteProtocolError:
        clean = False
        assert connection.error is not None
        assert not connection.is_reusable
    else:
        assert others[-1] == MessageEnded()
    return others, body, clean


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return b"\x0f" + head + b"1\r\na\r\n" * (100 * times) + b"0\r\n\r\n"
