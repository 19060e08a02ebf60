"""WebSockets against frames written by hand and a bare wsproto, so that two roles cannot agree on
one misreading."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import attrs
import pytest
import wsproto
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import events as ws
from wsproto.connection import ConnectionState

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.http import HTTPConnection, RequestStarted, Role
from sansio_gradio.wire.websocket import (
    MAX_REJECTION_BODY,
    Closed,
    Event,
    HandshakeAccepted,
    HandshakeRejected,
    HandshakeRequested,
    TextReceived,
    WebSocketConnection,
)
from tests.support import transcripts
from tests.support.selection import by_default

HEAD = Limits().header  # of a handshake
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    b"GET /queue/join HTTP/1.1\r\nHost: 127.0.0.1:7860\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
    % KEY.encode()
)


# The other side, by hand


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes = b"") -> bytes:
    """RFC 6455 5.2."""
    size = len(payload)
    masked = 0x80 if mask else 0
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([masked | size])
    elif size < 2**16:
        head += struct.pack("!BH", masked | 126, size)
    else:
        head += struct.pack("!BQ", masked | 127, size)
    if mask:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + payload


def frames_of(data: bytes, *, masked: bool) -> list[Frame]:
    """The frames in *data*, which is nothing else."""
    frames: list[Frame] = []
    while data:
        size = data[1] & 0x7F
        assert bool(data[1] & 0x80) is masked
        opcode, fin, data = data[0] & 0x7F, bool(data[0] & 0x80), data[2:]
        if size > 125:
            width = 2 if size == 126 else 8
            size, data = int.from_bytes(data[:width], "big"), data[width:]
        mask = b"\0\0\0\0"
        if masked:
            mask, data = data[:4], data[4:]
        assert len(data) >= size
        payload, data = data[:size], data[size:]
        frames.append(Frame(opcode, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)), fin))
    return frames


def close_payload(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


def agreement(key: str, *more: bytes) -> bytes:
    """RFC 6455 4.2.2, with the words of uvicorn."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest())
    lines = (
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
        b"server: uvicorn",
        *more,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


AGREED = HandshakeAccepted(
    (
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),  # RFC 6455 1.3
        ("server", "uvicorn"),
    )
)


@pytest.fixture(autouse=True)
def known_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sansio_gradio.wire.websocket", "wsproto.handshake"):
        monkeypatch.setattr(f"{module}.generate_nonce", KEY.encode)


def asking() -> WebSocketConnection:
    client = WebSocketConnection(Role.CLIENT)
    client.send_handshake("127.0.0.1:7860", "/queue/join", ())
    return client


def client_open(**how: Any) -> WebSocketConnection:
    client = WebSocketConnection(Role.CLIENT, **how)
    client.send_handshake("127.0.0.1:7860", "/queue/join", ())
    assert client.receive_data(agreement(KEY)) == [AGREED]
    assert client.is_open
    return client


def server_open(**how: Any) -> WebSocketConnection:
    server = WebSocketConnection(Role.SERVER, **how)
    server.receive_data(REQUEST)
    server.accept()
    assert server.is_open
    return server


ROLES: dict[str, tuple[Callable[..., WebSocketConnection], bytes]] = {
    # The second is the mask of what that role receives.
    "client": (client_open, b""),
    "server": (server_open, b"\x01\xfe\x55\x80"),
}


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@attrs.frozen
class Outcome:
    events: list[Event]
    failed: str
    replies: list[Frame]


def outcome_of(
    connection: WebSocketConnection, pieces: Iterable[bytes], *, masked: bool
) -> Outcome:
    events: list[Event] = []
    failed = ""
    try:
        for piece in pieces:
            events += connection.receive_data(piece)
        connection.receive_data(b"")
        events += connection.receive_eof()
    except RemoteProtocolError as exc:
        failed = str(exc)
    assert (connection.error is not None) is bool(failed)
    assert connection.is_closed
    replies = frames_of(connection.data_to_send(), masked=masked)
    assert connection.data_to_send() == b""
    return Outcome(events, failed, replies)


def three_ways(role: str, data: bytes, **how: Any) -> Outcome:
    """The outcome of *data*, which is the same whole, in bits and byte by byte."""
    make, mask = ROLES[role]
    masked = not mask  # a client masks, a server does not
    whole = outcome_of(make(**how), [data], masked=masked)
    for size in (1, 7):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert outcome_of(make(**how), pieces, masked=masked) == whole
    return whole


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# The handshake, as a client


def test_the_request_asks_for_a_websocket_and_nothing_more() -> None:
    client = WebSocketConnection(Role.CLIENT)
    data = client.send_handshake("127.0.0.1:7860", "/app/queue/join?a=b", (("Cookie", "a=é"),))
    (request, *_) = HTTPConnection(Role.SERVER).receive_data(data)
    assert request == RequestStarted(
        "GET",
        "/app/queue/join?a=b",
        (
            ("host", "127.0.0.1:7860"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
            ("cookie", "a=é"),
        ),
    )
    with pytest.raises(LocalProtocolError):
        client.send_handshake("127.0.0.1:7860", "/", ())
    with pytest.raises(LocalProtocolError):
        client.send_text("too early")
    with pytest.raises(LocalProtocolError):
        client.send_close()


@pytest.mark.parametrize(
    ("host", "target", "headers"),
    [
        ("a\r\nb: c", "/", ()),
        ("a", "/\r\nb: c", ()),
        ("a", "/é", ()),
        ("a", "", ()),
        ("a", "/", (("x", "a\r\nb: c"),)),
        ("a", "/", (("x", "a\x00"),)),
        ("a", "/", (("x", "\u0100"),)),
        ("a", "/", (("x\n", "a"),)),
        ("a", "/", (("Host", "b"),)),
        ("a", "/", (("Content-Length", "1"),)),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(
    host: str, target: str, headers: Headers
) -> None:
    client = WebSocketConnection(Role.CLIENT)
    with pytest.raises(LocalProtocolError):
        client.send_handshake(host, target, headers)
    assert client.send_handshake("a", "/", ())


@given(st.lists(st.integers(0, 2**16), max_size=5))
def test_frames_may_come_with_the_agreement(places: list[int]) -> None:
    client = WebSocketConnection(Role.CLIENT)
    client.send_handshake("a", "/", ())
    data = agreement(KEY) + frame(TEXT, b"a") + frame(CLOSE, close_payload(1000))
    outcome = outcome_of(client, cut_at(data, places), masked=True)
    assert outcome.events == [AGREED, TextReceived("a"), Closed(1000, "")]


def answer_outcomes(data: bytes, sizes: Sequence[int] = (1, 7)) -> Outcome:
    whole = outcome_of(asking(), [data], masked=True)
    for size in sizes:
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        cut = outcome_of(asking(), pieces, masked=True)
        assert (cut.events, bool(cut.failed)) == (whole.events, bool(whole.failed))
    return whole


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 403, b""),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nabcdefgh", 404, b"abcde"),
        (
            b"HTTP/1.1 502 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            502,
            b"abc",
        ),
        (b"HTTP/1.0 500 X\r\n\r\nup to the end", 500, b"up to the end"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 403 X\r\ncontent-length: 0\r\n\r\n", 403, b""),
    ],
)
def test_another_answer_is_a_rejection_and_the_last_event(
    data: bytes, status: int, body: bytes
) -> None:
    outcome = answer_outcomes(data)
    assert not outcome.failed
    (event,) = outcome.events
    assert isinstance(event, HandshakeRejected)
    assert (event.status, event.body) == (status, body)
    assert not outcome.replies


def test_a_rejection_has_the_headers_of_the_answer() -> None:
    data = b"HTTP/1.1 401 X\r\nWWW-Authenticate: \xe9\r\nContent-Length: 0\r\n\r\n"
    headers = (("www-authenticate", "é"), ("content-length", "0"))
    assert asking().receive_data(data) == [HandshakeRejected(401, headers, b"")]


def test_of_a_long_rejection_the_beginning_is_kept() -> None:
    size = MAX_REJECTION_BODY + 10
    client = asking()
    data = b"HTTP/1.1 500 X\r\ncontent-length: %d\r\n\r\n" % size + b"x" * (size - 1)
    for start in range(0, len(data), 1000):
        assert client.receive_data(data[start : start + 1000]) == []
    (event,) = client.receive_data(b"x")
    assert isinstance(event, HandshakeRejected)
    assert event.body == b"x" * MAX_REJECTION_BODY


GOOD = agreement(KEY)
BAD_ANSWERS = {
    "not HTTP": b"hello\r\n\r\n",
    "nothing": b"",
    "a cut head": GOOD[:-2],
    "a cut rejection": b"HTTP/1.1 403 X\r\ncontent-length: 3\r\n\r\nab",
    "another key": agreement("AAAAAAAAAAAAAAAAAAAAAA=="),
    "no accept": GOOD.replace(b"Sec-WebSocket-Accept", b"X"),
    "no upgrade": GOOD.replace(b"Upgrade: websocket", b"X: y"),
    "an agreement after all": b"HTTP/1.1 103 X\r\n\r\n" + GOOD.replace(b"websocket", b""),
    "another upgrade": GOOD.replace(b"websocket", b"h2c"),
    "no connection": GOOD.replace(b"Connection: Upgrade", b"X: y"),
    "another connection": GOOD.replace(b"Connection: Upgrade", b"Connection: upgrades, x"),
    "bytes in connection": GOOD.replace(b"Connection: Upgrade", b"Connection: \xe9"),
    "an extension": agreement(KEY, b"Sec-WebSocket-Extensions: permessage-deflate"),
    "bytes in an extension": agreement(KEY, b"Sec-WebSocket-Extensions: \xe9"),
    "a subprotocol": agreement(KEY, b"Sec-WebSocket-Protocol: chat"),
    "a long head": agreement(KEY, b"x: " + b"y" * HEAD),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_agreement_is_a_remote_protocol_error(name: str) -> None:
    outcome = answer_outcomes(BAD_ANSWERS[name])
    assert outcome.failed
    assert not outcome.events
    assert not outcome.replies


def test_the_head_of_an_answer_is_bounded_by_the_same_size_however_it_is_cut() -> None:
    room = HEAD + 1 - len(agreement(KEY, b"x: "))
    longest = agreement(KEY, b"x: " + b"y" * room)
    assert len(longest) == HEAD + 1
    assert isinstance(answer_outcomes(longest, (61, 4001)).events[0], HandshakeAccepted)
    assert answer_outcomes(agreement(KEY, b"x: " + b"y" * (room + 1)), (61, 4001)).failed
    # More than that may come with it.
    client = asking()
    assert len(client.receive_data(longest + frame(TEXT, b"x" * 70_000))) == 2


def test_what_was_bad_about_an_answer_is_said() -> None:
    for more in (0, 2 * HEAD):
        with pytest.raises(RemoteProtocolError, match="illegal status line") as caught:
            asking().receive_data(b"hello" * 1000 + b"\r\n\r\n" + b"x" * more)
        assert len(str(caught.value)) <= 200
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        asking().receive_data(BAD_ANSWERS["another key"])


def test_a_server_that_speaks_first_is_an_error() -> None:
    client = WebSocketConnection(Role.CLIENT)
    assert client.receive_data(b"") == []
    with pytest.raises(RemoteProtocolError, match="without having been asked"):
        client.receive_data(GOOD)
    with pytest.raises(LocalProtocolError):
        client.send_handshake("a", "/", ())


# The handshake, as a server


@given(st.lists(st.integers(0, 2**16), max_size=5))
def test_a_request_however_cut_is_a_handshake(places: list[int]) -> None:
    server = WebSocketConnection(Role.SERVER)
    events: list[Event] = []
    for piece in cut_at(REQUEST, places):
        events += server.receive_data(piece)
    (event,) = events
    assert isinstance(event, HandshakeRequested)
    assert event.target == "/queue/join"
    assert event.headers[0] == ("host", "127.0.0.1:7860")
    assert server.receive_data(b"") == []
    with pytest.raises(LocalProtocolError):
        server.send_text("too early")
    client = asking()
    (agreed,) = client.receive_data(server.accept((("x-name", "é"),)))
    assert agreed == HandshakeAccepted((*AGREED.headers[:3], ("x-name", "é")))
    assert server.is_open
    assert server.receive_data(b"") == []
    with pytest.raises(LocalProtocolError):
        server.accept()


def test_a_request_is_answered_when_it_is_whole() -> None:
    server = WebSocketConnection(Role.SERVER)
    assert server.receive_data(REQUEST[:-2] + b"content-length: 1\r\n\r\n") == []
    with pytest.raises(LocalProtocolError):
        server.accept()


def test_a_rejection_is_an_http_answer_and_the_end() -> None:
    server = WebSocketConnection(Role.SERVER)
    with pytest.raises(LocalProtocolError):
        server.reject(403)
    server.receive_data(REQUEST)
    data = server.reject(403, (("content-type", "text/plain"),), b"no")
    assert server.is_closed
    client = asking()
    assert client.receive_data(data) == [
        HandshakeRejected(
            403,
            (("content-type", "text/plain"), ("connection", "close"), ("content-length", "2")),
            b"no",
        )
    ]
    assert server.receive_data(b"whatever") == []
    assert server.receive_eof() == []


@pytest.mark.parametrize(
    "headers", [(("x", "a\r\nb: c"),), (("x", "\u0100"),), (("Content-Length", "0"),)]
)
def test_an_agreement_that_cannot_be_is_refused_and_changes_nothing(headers: Headers) -> None:
    server = WebSocketConnection(Role.SERVER)
    server.receive_data(REQUEST)
    with pytest.raises(LocalProtocolError):
        server.accept(headers)
    with pytest.raises(LocalProtocolError):
        server.reject(99)
    server.accept()
    assert server.is_open


BAD_REQUESTS = {
    "a plain request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a POST": REQUEST.replace(b"GET", b"POST"),
    "another version": REQUEST.replace(b"Version: 13", b"Version: 8"),
    "no key": REQUEST.replace(b"Sec-WebSocket-Key", b"X"),
    "an empty key": REQUEST.replace(KEY.encode(), b""),
    "another upgrade": REQUEST.replace(b"websocket", b"h2c"),
    "another connection": REQUEST.replace(b"Connection: Upgrade", b"Connection: upgrades"),
    "a body": REQUEST[:-2] + b"content-length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_request_for_something_else_is_refused_and_answered(name: str) -> None:
    for size in (1, 1000):
        server = WebSocketConnection(Role.SERVER)
        data = BAD_REQUESTS[name]
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        for piece in pieces[:-1]:
            assert server.receive_data(piece) == []
        with pytest.raises(RemoteProtocolError):
            server.receive_data(pieces[-1])
        assert server.is_closed
        head, _, body = server.data_to_send().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"sec-websocket-version: 13" in head
        assert body
        with pytest.raises(RemoteProtocolError):
            server.receive_data(b"")


@pytest.mark.parametrize("data", [b"hello\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\n"])
def test_what_is_no_request_is_not_answered(data: bytes) -> None:
    server = WebSocketConnection(Role.SERVER)
    with pytest.raises(RemoteProtocolError):
        server.receive_data(data)
    assert server.is_closed
    assert server.data_to_send() == b""


def test_of_several_options_of_the_connection_one_is_the_upgrade() -> None:
    several = b"connection: keep-alive\r\nConnection: x, UPGRADE"
    request = REQUEST.replace(b"Connection: Upgrade", several)
    assert isinstance(WebSocketConnection(Role.SERVER).receive_data(request)[0], HandshakeRequested)


@given(st.lists(st.integers(0, 2**16), max_size=5))
def test_a_client_that_does_not_wait_for_the_agreement_is_heard_after_it(places: list[int]) -> None:
    early = frame(TEXT, b"x", mask=b"abcd")
    server = WebSocketConnection(Role.SERVER)
    events = [e for piece in cut_at(REQUEST + early, places) for e in server.receive_data(piece)]
    assert [type(event) for event in events] == [HandshakeRequested]
    server.accept()
    assert server.receive_data(b"") == [TextReceived("x")]


def test_what_a_client_sends_ahead_is_bounded() -> None:
    server = WebSocketConnection(Role.SERVER)
    assert len(server.receive_data(REQUEST + b"x" * HEAD)) == 1
    with pytest.raises(RemoteProtocolError, match="sent ahead"):
        server.receive_data(b"xx")
    assert server.is_closed
    with pytest.raises(LocalProtocolError):
        server.accept()
    # In one piece with the request: nobody is told of what cannot be answered.
    for request in (REQUEST, REQUEST.replace(b"GET", b"POST")):
        server = WebSocketConnection(Role.SERVER)
        with pytest.raises(RemoteProtocolError, match="sent ahead"):
            server.receive_data(request + b"x" * (HEAD + 2))
        assert server.is_closed
        assert server.data_to_send() == b""


def test_a_server_can_start_from_what_an_http_connection_has_read() -> None:
    # What a server does that offers both on one port.
    read = b""
    sniffer = HTTPConnection(Role.SERVER)
    for piece in (REQUEST[:50], REQUEST[50:]):
        read += piece
        for event in sniffer.receive_data(piece):
            if isinstance(event, RequestStarted):
                assert ("upgrade", "websocket") in event.headers
    assert isinstance(WebSocketConnection(Role.SERVER).receive_data(read)[0], HandshakeRequested)


@pytest.mark.parametrize(("read", "events"), [(b"", []), (REQUEST, []), (REQUEST[:20], None)])
def test_a_client_may_leave_before_it_is_answered(read: bytes, events: list[Event] | None) -> None:
    server = WebSocketConnection(Role.SERVER)
    server.receive_data(read)
    if events is None:
        with pytest.raises(RemoteProtocolError):
            server.receive_eof()
    else:
        assert server.receive_eof() == events
    assert server.is_closed


# Messages

texts = st.text(st.characters(exclude_categories=["Cs"]))


def fragmented(text: str, places: Sequence[int], mask: bytes) -> bytes:
    """*text* in several frames, cut anywhere in its bytes, with a ping between two of them."""
    parts = cut_at(text.encode(), places)
    data = b""
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        data += frame(CONTINUATION if i else TEXT, part, fin=last, mask=mask)
        if i == 0:
            data += frame(PING, b"?", mask=mask)
    return data


@given(
    st.sampled_from(sorted(ROLES)),
    st.lists(st.tuples(texts, st.lists(st.integers(0, 2**16), max_size=4)), max_size=5),
    st.lists(st.integers(0, 2**16), max_size=8),
)
def test_messages_come_out_whole_however_they_are_fragmented_and_cut(
    role: str, messages: list[tuple[str, list[int]]], places: list[int]
) -> None:
    mask = ROLES[role][1]
    # Hypothesis runs many examples in one fixture, whose key is patched: it is the same for all.
    connection = ROLES[role][0]()
    data = b"".join(fragmented(text, cuts, mask) for text, cuts in messages)
    data += frame(CLOSE, close_payload(1000, "bye"), mask=mask)
    outcome = outcome_of(connection, cut_at(data, places), masked=not mask)
    assert outcome.events == [*(TextReceived(text) for text, _ in messages), Closed(1000, "bye")]
    assert outcome.replies == [
        *(Frame(PONG, b"?") for _ in messages),
        Frame(CLOSE, close_payload(1000, "bye")),
    ]


@given(st.lists(texts | st.sampled_from(["x" * 125, "x" * 126, "é" * 40]), max_size=5))
@example(["a", "é" * 40_000, "b"])
def test_texts_go_out_in_one_frame_each(messages: list[str]) -> None:
    for role, (make, mask) in ROLES.items():
        connection = make()
        data = b"".join(connection.send_text(text) for text in messages)
        expected = [Frame(TEXT, text.encode()) for text in messages]
        assert frames_of(data, masked=not mask) == expected, role


@given(st.lists(texts, max_size=5), st.lists(st.integers(0, 2**16), max_size=8))
def test_a_bare_wsproto_client_is_understood(messages: list[str], places: list[int]) -> None:
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    server = WebSocketConnection(Role.SERVER)
    request = client.send(ws.Request(host="a:1", target="/x"))
    assert server.receive_data(request)[0] == HandshakeRequested(
        "/x",
        (
            ("host", "a:1"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
        ),
    )
    client.receive_data(server.accept() + b"".join(map(server.send_text, messages)))
    _, *received = client.events()
    # An empty message and one cut by nothing: each is one event here.
    assert [e.data for e in received if isinstance(e, ws.TextMessage)] == messages
    data = b"".join(client.send(ws.TextMessage(data=text)) for text in messages)
    data += client.send(ws.CloseConnection(code=1001, reason="é"))
    outcome = outcome_of(server, cut_at(data, places), masked=False)
    assert outcome.events == [*map(TextReceived, messages), Closed(1001, "é")]
    assert outcome.replies == [Frame(CLOSE, close_payload(1001, "é"))]


def test_a_bare_wsproto_server_understands_us() -> None:
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    client = WebSocketConnection(Role.CLIENT)
    server.receive_data(client.send_handshake("a:1", "/x", (("x", "y"),)))
    (request,) = server.events()
    assert isinstance(request, ws.Request)
    assert (request.host, request.target, request.extensions) == ("a:1", "/x", [])
    client.receive_data(server.send(ws.AcceptConnection()))
    server.receive_data(client.send_text("é") + client.send_close(1001))
    text, close = server.events()
    assert text == ws.TextMessage(data="é")
    assert close == ws.CloseConnection(code=1001, reason="")
    assert isinstance(close, ws.CloseConnection)
    assert client.receive_data(server.send(close.response())) == [Closed(1001, "")]
    assert server.state is ConnectionState.CLOSED


def test_a_message_is_bounded_in_bytes_with_all_its_fragments(role: str) -> None:
    mask = ROLES[role][1]

    def sent(*parts: str) -> bytes:
        last = len(parts) - 1
        return b"".join(
            frame(CONTINUATION if i else TEXT, part.encode(), fin=i == last, mask=mask)
            for i, part in enumerate(parts)
        )

    fits = sent("é" * 3, "abcd") + sent("é" * 5)
    outcome = three_ways(role, fits, max_message_size=10)
    assert outcome.events == [TextReceived("éééabcd"), TextReceived("ééééé"), Closed(None, "")]
    for parts in (("x" * 11,), ("é" * 5, "x"), ("é" * 6, ""), ("x" * 10, "", "x")):
        outcome = three_ways(role, sent("ok") + sent(*parts), max_message_size=10)
        assert outcome.events == [TextReceived("ok")]
        assert outcome.failed == "The message is too large."
        assert outcome.replies == [Frame(CLOSE, close_payload(1009))]


def test_a_large_message_is_refused_before_it_is_whole() -> None:
    client = client_open(max_message_size=100)
    data = frame(TEXT, b"x" * 70_000)
    with pytest.raises(RemoteProtocolError, match="too large"):
        client.receive_data(data[:150])


class Counted(bytearray):
    """A buffer that knows how many of its bytes were copied."""

    work = 0

    def __getitem__(self, key: Any) -> Any:
        out = super().__getitem__(key)
        Counted.work += len(out) if isinstance(key, slice) else 1
        return out


@pytest.mark.unmeasured
@pytest.mark.parametrize("read", by_default([1, 1000, 1 << 30], lambda size: size != 1000))
@pytest.mark.parametrize("fragment", by_default([1, 100, 1 << 30], lambda size: size != 100))
def test_receiving_is_linear(fragment: int, read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsproto.frame_protocol.bytearray", Counted, raising=False)
    client = client_open()
    size = 10_000
    parts = [b"x" * fragment] * (size // fragment) if fragment < size else [b"x" * size]
    data = b"".join(frame(CONTINUATION if i else TEXT, p, fin=False) for i, p in enumerate(parts))
    data += frame(CONTINUATION)
    Counted.work = 0
    events: list[Event] = []
    for start in range(0, len(data), read):
        events += client.receive_data(data[start : start + read])
    assert events == [TextReceived("x" * size)]
    # Each header is looked at again with each of its bytes, and there are no more than that.
    assert len(data) / 2 < Counted.work < 4 * len(data)


# Control frames and endings


def test_a_ping_is_answered_and_a_pong_is_not(role: str) -> None:
    mask = ROLES[role][1]
    data = frame(PING, b"a", mask=mask) + frame(PONG, b"b", mask=mask) + frame(PING, mask=mask)
    outcome = three_ways(role, data)
    assert outcome.events == [Closed(None, "")]
    assert outcome.replies == [Frame(PONG, b"a"), Frame(PONG, b"")]


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        (close_payload(1000), 1000, ""),
        (close_payload(1001, "é"), 1001, "é"),
        (close_payload(1008), 1008, ""),
        (close_payload(1012), 1012, ""),
        (close_payload(4999, "x" * 123), 4999, "x" * 123),
    ],
)
def test_the_peers_close_is_answered_at_once_and_is_the_last_event(
    role: str, payload: bytes, code: int, reason: str
) -> None:
    mask = ROLES[role][1]
    data = frame(CLOSE, payload, mask=mask) + frame(TEXT, b"late", mask=mask) + b"\xff\xff"
    outcome = three_ways(role, data)
    assert outcome == Outcome([Closed(code, reason)], "", [Frame(CLOSE, payload)])


def test_after_the_end_nothing_can_be_said(role: str) -> None:
    make, mask = ROLES[role]
    connection = make()
    connection.receive_data(frame(CLOSE, close_payload(1000), mask=mask))
    assert connection.is_closed
    assert not connection.is_open
    with pytest.raises(LocalProtocolError, match="closed"):
        connection.send_text("x")
    assert connection.send_close() == b""
    assert connection.receive_eof() == []


def test_our_close_goes_out_once_and_what_comes_until_its_answer_is_delivered(role: str) -> None:
    make, mask = ROLES[role]
    connection = make()
    data = connection.send_close()
    assert frames_of(data, masked=not mask) == [Frame(CLOSE, close_payload(1000))]
    assert connection.send_close() == b""
    assert not connection.is_open
    assert not connection.is_closed
    with pytest.raises(LocalProtocolError, match="local_closing"):
        connection.send_text("x")
    late = frame(PING, mask=mask) + frame(TEXT, b"late", mask=mask)
    answer = frame(CLOSE, close_payload(1000), mask=mask)
    outcome = outcome_of(connection, [late + answer], masked=not mask)
    assert outcome == Outcome([TextReceived("late"), Closed(1000, "")], "", [])


def test_a_mistake_after_our_close_is_an_error_without_a_second_close(role: str) -> None:
    make, mask = ROLES[role]
    connection = make()
    connection.send_close()
    outcome = outcome_of(connection, [frame(3, mask=mask)], masked=not mask)
    assert outcome.failed
    assert not outcome.replies


def test_an_end_without_a_close_is_told_apart(role: str) -> None:
    make, _ = ROLES[role]
    connection = make()
    assert connection.receive_eof() == [Closed(None, "")]
    assert connection.is_closed
    assert connection.receive_eof() == []
    with pytest.raises(LocalProtocolError):
        connection.send_text("x")
    connection = make()
    connection.send_close()
    assert connection.receive_eof() == [Closed(None, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 70_000])
def test_a_code_that_is_not_for_sending_is_refused(code: int) -> None:
    client = client_open()
    with pytest.raises(LocalProtocolError, match="no code for a Close"):
        client.send_close(code)
    assert client.is_open


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_other_codes_are_sent(code: int) -> None:
    assert server_open().send_close(code) == frame(CLOSE, close_payload(code))


def test_a_lone_surrogate_is_refused() -> None:
    client = client_open()
    with pytest.raises(LocalProtocolError):
        client.send_text("\ud800")
    assert frames_of(client.send_text("x"), masked=True) == [Frame(TEXT, b"x")]


def test_each_role_keeps_to_its_own_verbs() -> None:
    for send in (client_open().accept, asking().accept):
        with pytest.raises(LocalProtocolError):
            send()
    with pytest.raises(LocalProtocolError):
        WebSocketConnection(Role.SERVER).send_handshake("a", "/", ())


# What a peer may not send


def bad_frames(mask: bytes) -> dict[str, tuple[bytes, int]]:
    """Frames that break the rules, with the code of the Close that says so."""
    other = b"" if mask else b"abcd"
    return {
        "binary": (frame(BINARY, b"x", mask=mask), 1003),
        "the wrong masking": (frame(TEXT, b"x", mask=other), 1002),
        "an unknown opcode": (frame(3, mask=mask), 1002),
        "a reserved bit, as compression has": (frame(TEXT | 0x40, b"x", mask=mask), 1002),
        "a fragmented ping": (frame(PING, fin=False, mask=mask), 1002),
        "a long ping": (frame(PING, b"x" * 126, mask=mask), 1002),
        "a continuation of nothing": (frame(CONTINUATION, b"x", mask=mask), 1002),
        "a message within a message": (frame(TEXT, b"x", fin=False, mask=mask) * 2, 1002),
        "a length that could be shorter": (bytes([0x81, 126 | (0x80 if mask else 0), 0, 1]), 1002),
        "bytes that are not UTF-8": (frame(TEXT, b"\xff", mask=mask), 1007),
        "a surrogate": (frame(TEXT, b"\xed\xa0\x80", mask=mask), 1007),
        "UTF-8 that stops": (frame(TEXT, b"\xe2\x82", mask=mask), 1007),
        "half a close code": (frame(CLOSE, b"\x03", mask=mask), 1002),
        "a close code below all": (frame(CLOSE, close_payload(999), mask=mask), 1002),
        "a close code for no frame": (frame(CLOSE, close_payload(1006), mask=mask), 1002),
        "a reserved close code": (frame(CLOSE, close_payload(2000), mask=mask), 1002),
        "a reason not in UTF-8": (frame(CLOSE, b"\x03\xe8\xff", mask=mask), 1007),
    }


@pytest.mark.parametrize("name", bad_frames(b""))
def test_a_bad_frame_is_a_remote_protocol_error_and_is_closed_upon(role: str, name: str) -> None:
    mask = ROLES[role][1]
    data, code = bad_frames(mask)[name]
    after = frame(TEXT, b"after", mask=mask)
    outcome = three_ways(role, frame(TEXT, b"before", mask=mask) + data + after)
    assert outcome.events == [TextReceived("before")]
    assert outcome.failed
    assert outcome.replies == [Frame(CLOSE, close_payload(code))]


def test_a_broken_websocket_stays_broken(role: str) -> None:
    make, mask = ROLES[role]
    connection = make()
    events = connection.receive_data(frame(TEXT, b"a", mask=mask) + frame(3, mask=mask))
    assert events == [TextReceived("a")]
    assert connection.is_closed
    depths: set[int] = set()
    for _ in range(3):
        with pytest.raises(RemoteProtocolError, match="Invalid opcode") as caught:
            connection.receive_data(b"")
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    with pytest.raises(RemoteProtocolError, match="Invalid opcode"):
        connection.receive_eof()
    with pytest.raises(LocalProtocolError):
        connection.send_text("x")
    assert connection.send_close() == b""


# What real clients and servers said


def websockets() -> list[tuple[str, str]]:
    return [
        (version, scenario)
        for version in ("3.1.7", "3.4.1", "3.16.2", "3.50.2")
        for scenario in transcripts.scenarios(version)
        if any("ws" in e for e in transcripts.load(version, scenario).expected["exchanges"])
    ]


def meaning(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"raw": text}


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("version", "scenario"), by_default(websockets(), lambda case: case[0] in {"3.1.7", "3.50.2"})
)
def test_recorded_conversations_are_read_from_both_sides(
    version: str, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = transcripts.load(version, scenario)
    for expected in recording.expected["exchanges"]:
        if "ws" not in expected:
            continue
        asked, answered = (
            [c.data for c in recording.connections[expected["conn"]] if c.direction == way]
            for way in ("c2s", "s2c")
        )
        server = WebSocketConnection(Role.SERVER)
        (request,) = server.receive_data(asked[0])
        assert isinstance(request, HandshakeRequested)
        key = dict(request.headers)["sec-websocket-key"]
        monkeypatch.setattr("sansio_gradio.wire.websocket.generate_nonce", key.encode)
        for pieces in (answered, [b"".join(answered)], [bytes([b]) for b in b"".join(answered)]):
            client = asking()
            first, *events = [e for piece in pieces for e in client.receive_data(piece)]
            if answered[-1] == b"" and expected.get("eof_first") == "server":
                events += client.receive_eof()
            if expected["status"] != 101:
                assert isinstance(first, HandshakeRejected)
                assert first.status == expected["status"]
                assert not events
                continue
            assert isinstance(first, HandshakeAccepted)
            received = [meaning(e.text) for e in events if isinstance(e, TextReceived)]
            assert received == expected["received"]
            ends = [e.code for e in events if isinstance(e, Closed)]
            close = expected["close"]
            assert ends == ([] if close is None else [None if close == "eof" else close])
        if expected["status"] == 101:
            server.accept()
            events = [e for piece in asked[1:] for e in server.receive_data(piece)]
            # The recorder made paths anonymous, but for those that were masked.
            sent = [
                e.text.replace("/tmp/gradio", "/srv/gradio")
                for e in events
                if isinstance(e, TextReceived)
            ]
            assert [meaning(text) for text in sent] == expected["sent"]
            closes = [e.code for e in events if isinstance(e, Closed)]
            assert closes == ([] if expected.get("client_close") is None else [1000])
