"""HTTP/1.1 in both roles: what slicing may not change, and what a peer may not do."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.http import (
    BodyReceived,
    Event,
    HTTPConnection,
    MessageEnded,
    RequestStarted,
    ResponseStarted,
    Role,
)
from tests.support import transcripts
from tests.support.corpora import cases_of
from tests.support.selection import by_default

LIMIT = 200
HOST: Headers = (("host", "127.0.0.1:7860"),)
OK = b"HTTP/1.1 200 OK\r\n"


def asking(method: str = "GET", **how: Any) -> HTTPConnection:
    """A client that has sent its request."""
    connection = HTTPConnection(Role.CLIENT, **how)
    connection.send_request(method, "/", HOST)
    return connection


def answering(request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", **how: Any) -> HTTPConnection:
    """A server that has received a request."""
    connection = HTTPConnection(Role.SERVER, **how)
    connection.receive_data(request)
    return connection


def is_free(connection: HTTPConnection) -> bool:
    return connection.is_reusable  # which a type checker thinks to be the same all the time


def joined(events: Iterable[Event]) -> list[Event]:
    """The events, with bodies that stand side by side joined."""
    out: list[Event] = []
    for event in events:
        if isinstance(event, BodyReceived) and out and isinstance(out[-1], BodyReceived):
            out[-1] = BodyReceived(out[-1].data + event.data)
        else:
            out.append(event)
    return out


@attrs.frozen
class Outcome:
    """All that came of some bytes and the end of the connection behind them."""

    events: list[Event]
    failed: str
    reusable: bool

    @property
    def completed(self) -> bool:
        return MessageEnded() in self.events


def outcome_of(connection: HTTPConnection, pieces: Sequence[bytes]) -> Outcome:
    events: list[Event] = []
    reusable = False
    failed = ""
    try:
        for piece in pieces:
            events += connection.receive_data(piece)
        events += connection.receive_data(b"")
        reusable = connection.is_reusable
        failed = "at the end"
        events += connection.receive_eof()
        failed = ""
    except RemoteProtocolError:
        failed = failed or "early"
    assert (connection.error is not None) == bool(failed)
    return Outcome(joined(events), failed, reusable)


def three_ways(connect: Callable[[], HTTPConnection], data: bytes) -> Outcome:
    """The outcome of *data*, which is the same whole, in bits and byte by byte."""
    whole = outcome_of(connect(), [data])
    for size in (1, 7, 1000):
        cut = [data[i : i + size] for i in range(0, len(data), size)]
        assert outcome_of(connect(), cut) == whole
    return whole


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# What a server may send

ANSWERS = {
    "length": (
        OK + b"Content-Type: Text/Plain\r\nContent-Length: 5\r\n\r\nhello",
        [
            ResponseStarted(200, (("content-type", "Text/Plain"), ("content-length", "5"))),
            BodyReceived(b"hello"),
            MessageEnded(),
        ],
        True,
    ),
    "chunks": (
        OK
        + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX: trailer\r\n\r\n",
        [
            ResponseStarted(200, (("transfer-encoding", "chunked"),)),
            BodyReceived(b"abcde"),
            MessageEnded(),
        ],
        True,
    ),
    "nothing": (
        b"HTTP/1.1 204 No Content\r\n\r\n",
        [ResponseStarted(204, ()), MessageEnded()],
        True,
    ),
    "up to the end": (
        OK + b"\r\nabc",
        [ResponseStarted(200, ()), BodyReceived(b"abc"), MessageEnded()],
        False,
    ),
    "closing": (
        OK + b"connection: close\r\ncontent-length: 0\r\n\r\n",
        [
            ResponseStarted(200, (("connection", "close"), ("content-length", "0"))),
            MessageEnded(),
        ],
        False,
    ),
    "1.0": (
        b"HTTP/1.0 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n",
        [
            ResponseStarted(302, (("location", "/login"), ("content-length", "0"))),
            MessageEnded(),
        ],
        False,
    ),
    "hints first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n!",
        [ResponseStarted(404, (("content-length", "1"),)), BodyReceived(b"!"), MessageEnded()],
        True,
    ),
    "many hints first": (
        b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK + b"content-length: 0\r\n\r\n",
        [ResponseStarted(200, (("content-length", "0"),)), MessageEnded()],
        True,
    ),
    "repeated names and latin-1": (
        OK + b"Set-Cookie: a=1\r\nSET-COOKIE: b=\xe9\r\ncontent-length: 0\r\n\r\n",
        [
            ResponseStarted(
                200, (("set-cookie", "a=1"), ("set-cookie", "b=é"), ("content-length", "0"))
            ),
            MessageEnded(),
        ],
        True,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_gives_its_events_however_it_is_cut(name: str) -> None:
    data, events, reusable = ANSWERS[name]
    outcome = three_ways(asking, data)
    assert outcome.events == events
    assert outcome.reusable is reusable
    assert not outcome.failed


@given(
    st.sampled_from(sorted(ANSWERS)),
    st.lists(st.integers(0, 2**16), max_size=8),
    st.sampled_from([b"", b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]),
)
def test_any_slicing_gives_the_same_outcome(name: str, places: list[int], behind: bytes) -> None:
    data = ANSWERS[name][0] + behind
    assert outcome_of(asking(), cut_at(data, places)) == outcome_of(asking(), [data])


@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(0, 2**16), max_size=8))
def test_chunks_written_by_h11_come_out_as_they_went_in(
    bodies: list[bytes], places: list[int]
) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(HTTPConnection(Role.CLIENT).send_request("GET", "/", HOST))
    assert isinstance(server.next_event(), h11.Request)
    data = server.send(h11.Response(status_code=200, headers=[])) or b""
    data += b"".join(server.send(h11.Data(data=body)) or b"" for body in bodies)
    data += server.send(h11.EndOfMessage()) or b""
    outcome = outcome_of(asking(), cut_at(data, places))
    received = b"".join(e.data for e in outcome.events if isinstance(e, BodyReceived))
    assert received == b"".join(bodies)
    assert outcome.completed
    assert outcome.reusable


def test_many_chunks_of_one_read_are_one_event() -> None:
    connection = asking()
    connection.receive_data(OK + b"transfer-encoding: chunked\r\n\r\n")
    assert connection.receive_data(b"1\r\na\r\n" * 50) == [BodyReceived(b"a" * 50)]


# What a server may not send

BAD_ANSWERS = {
    "not HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01",
    "nothing at all": b"",
    "a cut head": OK + b"content-le",
    "a cut body": OK + b"content-length: 5\r\n\r\nhell",
    "a cut chunk": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhell",
    "no last chunk": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "no end of trailers": OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n",
    "a chunk that is longer than it says": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nhello\r\n",
    "two framings": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "an unknown coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "hints only": b"HTTP/1.1 103 X\r\n\r\n" * 20,
    "hints without end": b"HTTP/1.1 103 X\r\n\r\n" * 101 + OK + b"content-length: 0\r\n\r\n",
    "an escape in a name": OK + b"a\x1b: b\r\n\r\n",
    "a NUL in a value": OK + b"a: \x00\r\n\r\n",
    "a second answer": OK + b"content-length: 0\r\n\r\n" + OK + b"content-length: 0\r\n\r\n",
    "a body where there is none": b"HTTP/1.1 304 X\r\n\r\nbody",
    "bytes behind a closing answer": OK + b"connection: close\r\ncontent-length: 0\r\n\r\nx",
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_a_remote_protocol_error_however_it_is_cut(name: str) -> None:
    outcome = three_ways(asking, BAD_ANSWERS[name])
    assert outcome.failed
    assert not outcome.reusable


def test_what_came_before_an_error_is_delivered_and_the_error_follows() -> None:
    connection = asking()
    events = connection.receive_data(
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnot a size\r\n"
    )
    assert events[1:] == [BodyReceived(b"hello")]
    assert connection.error is not None
    assert not is_free(connection)
    asks: list[Callable[[], object]] = [
        lambda: connection.receive_data(b""),
        connection.receive_eof,
    ]
    for ask in asks:
        with pytest.raises(RemoteProtocolError, match="illegal chunk header") as caught:
            ask()
        assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)


def test_a_broken_connection_stays_broken() -> None:
    connection = asking()
    with pytest.raises(RemoteProtocolError, match="illegal status line"):
        connection.receive_data(b"hello\r\n\r\n")
    depths: set[int] = set()
    for _ in range(3):
        with pytest.raises(RemoteProtocolError, match="illegal status line") as caught:
            connection.receive_data(OK)
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    with pytest.raises(LocalProtocolError):
        connection.send_request("GET", "/", HOST)


def test_the_first_error_is_the_one_that_is_told() -> None:
    with pytest.raises(RemoteProtocolError, match="illegal status line"):
        asking(max_header_size=LIMIT).receive_data(b"hello\r\n\r\n" + b"x" * 10 * LIMIT)


def test_a_line_that_is_not_liked_is_quoted_in_part() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        asking().receive_data(b"x" * 5000 + b"\r\n\r\n")
    assert len(str(caught.value)) <= 200


def test_bytes_that_nobody_asked_for_are_an_error() -> None:
    fresh = HTTPConnection(Role.CLIENT)
    assert is_free(fresh)
    with pytest.raises(RemoteProtocolError, match="without having been asked"):
        fresh.receive_data(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    used = asking()
    used.receive_data(OK + b"content-length: 0\r\n\r\n")
    assert is_free(used)
    with pytest.raises(RemoteProtocolError, match="belong to no answer"):
        used.receive_data(b"H")
    assert not is_free(used)


def test_the_end_between_messages_is_no_event_and_no_error() -> None:
    for connection in (HTTPConnection(Role.CLIENT), HTTPConnection(Role.SERVER), asking()):
        if not connection.is_reusable:
            connection.receive_data(OK + b"content-length: 0\r\n\r\n")
        assert connection.receive_data(b"") == []
        assert is_free(connection)
        assert connection.receive_eof() == []
        assert connection.receive_eof() == []
        assert not is_free(connection)


# Bounds


def padded(size: int) -> bytes:
    """The head of an answer, *size* bytes long."""
    head = OK + b"content-length: 0\r\nx: \r\n\r\n"
    return head.replace(b"x: ", b"x: " + b"y" * (size - len(head)))


LONG: dict[str, Callable[[int], bytes]] = {
    "head": padded,
    "hint": lambda size: b"HTTP/1.1 103 " + b"x" * (size - 17) + b"\r\n\r\n" + padded(100),
    "size line": lambda size: (
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n1;" + b"x" * (size - 4) + b"\r\na\r\n"
        b"0\r\n\r\n"
    ),
    "trailers": lambda size: (
        OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: " + b"y" * (size - 7) + b"\r\n\r\n"
    ),
}


@pytest.mark.parametrize("part", LONG)
def test_a_part_is_bounded_by_the_same_size_however_it_is_cut(part: str) -> None:
    def ask() -> HTTPConnection:
        return asking(max_header_size=LIMIT)

    # h11 looks at the size of what is incomplete, so a part may be one byte longer.
    assert three_ways(ask, LONG[part](LIMIT + 1)).completed
    outcome = three_ways(ask, LONG[part](LIMIT + 2))
    assert outcome.failed == "early"
    assert not outcome.completed


def test_a_body_is_not_bounded_by_the_limit_of_heads() -> None:
    body = b"x" * 10 * LIMIT
    connection = asking(max_header_size=LIMIT)
    events = connection.receive_data(OK + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert joined(events)[1:] == [BodyReceived(body), MessageEnded()]


@pytest.mark.parametrize("length", [b"content-length: 2000\r\n", b""])
def test_a_read_of_a_large_body_is_one_event(length: bytes) -> None:
    body = b"x" * 10 * LIMIT
    connection = asking(max_header_size=LIMIT)
    connection.receive_data(OK + length.replace(b"2000", b"%d" % (2 * len(body))) + b"\r\n")
    assert connection.receive_data(body) == [BodyReceived(body)]
    assert type(connection.receive_data(body)[0]) is BodyReceived


def test_what_follows_a_large_body_is_an_error() -> None:
    connection = asking(max_header_size=LIMIT)
    connection.receive_data(OK + b"content-length: 1\r\n\r\n")
    assert connection.receive_data(b"x" * 10 * LIMIT) == [BodyReceived(b"x"), MessageEnded()]
    assert "belong to no answer" in str(connection.error)


class Counted(bytearray):
    """A buffer that knows how many of its bytes were looked at or copied."""

    work = 0

    def __getitem__(self, key: Any) -> Any:
        out = super().__getitem__(key)
        Counted.work += len(out) if isinstance(key, slice) else 1
        return out

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start)
        Counted.work += (len(self) if found < 0 else found) - start
        return found


class CountedBuffer(ReceiveBuffer):
    def __init__(self) -> None:
        super().__init__()
        self._data = Counted()

    def __iadd__(self, byteslike: bytes | bytearray) -> ReceiveBuffer:
        Counted.work += len(byteslike)
        return super().__iadd__(byteslike)

    def __bytes__(self) -> bytes:
        Counted.work += len(self._data)
        return super().__bytes__()


@pytest.mark.unmeasured
@pytest.mark.parametrize("read", by_default([1, 1000, 1 << 30], lambda size: size != 1000))
@pytest.mark.parametrize("shape", ["length", "chunks", "tiny chunks", "long line"])
def test_receiving_is_linear(shape: str, read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h11._connection.ReceiveBuffer", CountedBuffer)
    size = 20_000
    chunked = OK + b"transfer-encoding: chunked\r\n\r\n"
    data = {
        "length": OK + b"content-length: %d\r\n\r\n" % size + b"x" * size,
        "chunks": chunked + (b"64\r\n" + b"x" * 100 + b"\r\n") * (size // 106),
        "tiny chunks": chunked + b"1\r\nx\r\n" * (size // 6),
        "long line": chunked + (b"1;" + b"x" * 3900 + b"\r\nx\r\n") * (size // 3907),
    }[shape]
    connection = asking(max_header_size=4000)
    Counted.work = 0
    for start in range(0, len(data), read):
        connection.receive_data(data[start : start + read])
    assert connection.error is None
    # In, looked for, out twice (h11 looks before it takes) and sometimes measured.
    assert Counted.work < 8 * len(data)


# Sending requests


def test_the_bytes_of_a_request_are_what_h11_reads() -> None:
    client = HTTPConnection(Role.CLIENT)
    assert is_free(client)
    headers: Headers = (*HOST, ("X-Name", "é"))
    data = client.send_request("POST", "/queue/join?x=1", headers, b'{"a":1}')
    assert not is_free(client)
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"POST", b"/queue/join?x=1")
    assert list(request.headers) == [
        (b"host", b"127.0.0.1:7860"),
        (b"x-name", b"\xe9"),
        (b"content-length", b"7"),
    ]
    body = server.next_event()
    assert isinstance(body, h11.Data)
    assert body.data == b'{"a":1}'
    assert isinstance(server.next_event(), h11.EndOfMessage)


def test_a_request_without_body_says_no_length_and_one_with_an_empty_body_does() -> None:
    assert b"content-length" not in HTTPConnection(Role.CLIENT).send_request("GET", "/", HOST)
    assert b"content-length: 0" in HTTPConnection(Role.CLIENT).send_request("POST", "/", HOST, b"")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/", ()),
        ("GET", "/", (*HOST, *HOST)),
        ("GET", "/a b", HOST),
        ("GET", "/\r\nX: y", HOST),
        ("GET", "/\x00", HOST),
        ("GET", "/é", HOST),
        ("GET", "", HOST),
        ("GET /", "/", HOST),
        ("G\r\nET", "/", HOST),
        ("GET", "/", (*HOST, ("x", "a\r\nb: c"))),
        ("GET", "/", (*HOST, ("x", "a\nb: c"))),
        ("GET", "/", (*HOST, ("x", "a\rb"))),
        ("GET", "/", (*HOST, ("x", "a\x00"))),
        ("GET", "/", (*HOST, ("x", "\u0100"))),
        ("GET", "/", (*HOST, ("x\r\ny", "a"))),
        ("GET", "/", (*HOST, ("x:", "a"))),
        ("GET", "/", (*HOST, ("", "a"))),
        ("GET", "/", (*HOST, ("Content-Length", "3"))),
        ("GET", "/", (*HOST, ("Transfer-Encoding", "chunked"))),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_changes_nothing(
    method: str, target: str, headers: Headers
) -> None:
    client = HTTPConnection(Role.CLIENT)
    with pytest.raises(LocalProtocolError):
        client.send_request(method, target, headers)
    assert is_free(client)
    assert client.send_request("GET", "/", HOST)
    client.receive_data(OK + b"content-length: 0\r\n\r\n")
    with pytest.raises(LocalProtocolError):
        client.send_request(method, target, headers)
    assert is_free(client)


def test_one_exchange_at_a_time() -> None:
    client = asking()
    with pytest.raises(LocalProtocolError, match="No request can be sent"):
        client.send_request("GET", "/", HOST)
    client.receive_data(OK + b"content-length: 1\r\n\r\n")
    with pytest.raises(LocalProtocolError, match="No request can be sent"):
        client.send_request("GET", "/", HOST)
    assert client.receive_data(b"x") == [BodyReceived(b"x"), MessageEnded()]
    for _ in range(3):
        client.send_request("GET", "/", HOST)
        client.receive_data(OK + b"content-length: 0\r\n\r\n")
        assert is_free(client)


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    client = asking("HEAD")
    events = client.receive_data(OK + b"content-length: 100\r\n\r\n")
    assert events == [ResponseStarted(200, (("content-length", "100"),)), MessageEnded()]
    assert is_free(client)


def switching(*, method: str = "GET", **how: Any) -> HTTPConnection:
    """A client that asks for another protocol, or for a tunnel."""
    client = HTTPConnection(Role.CLIENT, **how)
    client.send_request(method, "a:1", (*HOST, ("upgrade", "x"), ("connection", "upgrade")))
    return client


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("GET", b"HTTP/1.1 101 X\r\n\r\n", 101),
        ("CONNECT", b"HTTP/1.1 200 X\r\n\r\n", 200),
    ],
)
@pytest.mark.parametrize("read", [1, 1000, 1 << 30])
def test_behind_a_switch_nothing_is_read(
    method: str, answer: bytes, status: int, read: int
) -> None:
    client = switching(method=method, max_header_size=LIMIT)
    events: list[Event] = []
    unread = b""
    behind = b"x" * 10 * LIMIT
    for start in range(0, len(answer) + len(behind), read):
        data = (answer + behind)[start : start + read]
        if MessageEnded() in events:
            unread += data  # for the next protocol
        else:
            events += client.receive_data(data)
            unread += client.unread if MessageEnded() in events else b""
    assert events == [ResponseStarted(status, ()), MessageEnded()]
    assert unread == behind
    assert client.error is None
    assert not is_free(client)
    with pytest.raises(RemoteProtocolError, match="without having been asked"):
        client.receive_data(b"x")


def test_a_switch_may_be_refused() -> None:
    for method in ("GET", "CONNECT"):
        client = switching(method=method)
        assert len(client.receive_data(b"HTTP/1.1 407 X\r\ncontent-length: 1\r\n\r\nx")) == 3
        assert is_free(client)


def test_each_role_keeps_to_its_own_verbs() -> None:
    server = HTTPConnection(Role.SERVER)
    with pytest.raises(LocalProtocolError):
        server.send_request("GET", "/", HOST)
    assert server.receive_data(REQUESTS[1]) == REQUEST_EVENTS[1]
    assert server.send_response(200, (), b"")
    with pytest.raises(LocalProtocolError):
        asking().send_response(200, ())


# The server role


REQUESTS = (
    b"POST /queue/join?x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /queue/data HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
)
REQUEST_EVENTS: tuple[list[Event], ...] = (
    [
        RequestStarted("POST", "/queue/join?x", (("host", "a"), ("content-length", "3"))),
        BodyReceived(b"abc"),
        MessageEnded(),
    ],
    [RequestStarted("GET", "/queue/data", (("host", "a"),)), MessageEnded()],
    [
        RequestStarted("POST", "/", (("host", "a"), ("transfer-encoding", "chunked"))),
        BodyReceived(b"abc"),
        MessageEnded(),
    ],
)


@given(st.lists(st.integers(0, 2), max_size=5), st.lists(st.integers(0, 2**16), max_size=8))
def test_requests_are_answered_in_order_however_they_arrive(
    which: list[int], places: list[int]
) -> None:
    server = HTTPConnection(Role.SERVER)
    events: list[Event] = []
    for piece in cut_at(b"".join(REQUESTS[i] for i in which), places):
        more = server.receive_data(piece)
        while more:
            events += more
            if more[-1] == MessageEnded():
                # Nothing of the next request is told before this one is answered.
                assert server.receive_data(b"") == []
                server.send_response(200, (), b"ok")
            more = server.receive_data(b"")
    assert joined(events) == [event for i in which for event in REQUEST_EVENTS[i]]
    assert is_free(server)


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x",
        b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_a_bad_request_is_a_remote_protocol_error_however_it_is_cut(request_: bytes) -> None:
    assert three_ways(lambda: HTTPConnection(Role.SERVER), request_).failed


def test_a_whole_answer_goes_out_with_its_length() -> None:
    server = answering()
    assert not is_free(server)
    data = server.send_response(200, (("Content-Type", "text/plain"),), b"hello")
    assert data == b"HTTP/1.1 200 \r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
    assert is_free(server)


def test_an_answer_of_unknown_length_goes_out_in_chunks() -> None:
    server = answering()
    data = server.send_response(200, (("content-type", "text/event-stream"),))
    assert server.send_body(b"hello") == b"5\r\nhello\r\n"
    assert server.send_body(b"") == b""
    assert not is_free(server)
    assert server.end_body() == b"0\r\n\r\n"
    assert server.end_body() == b""
    assert is_free(server)
    assert b"chunked" in data


def test_an_answer_to_http_1_0_ends_with_the_connection() -> None:
    server = answering(b"GET / HTTP/1.0\r\n\r\n")
    data = server.send_response(200, ())
    data += server.send_body(b"hello") + server.end_body()
    assert data.endswith(b"\r\n\r\nhello")
    assert b"chunked" not in data
    assert not is_free(server)
    assert outcome_of(asking(), [data]).events[1:] == [BodyReceived(b"hello"), MessageEnded()]


def test_no_body_goes_out_where_http_has_none() -> None:
    head = answering(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.send_response(200, (), b"hello").endswith(b"content-length: 5\r\n\r\n")
    assert is_free(head)
    streamed = answering(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert streamed.send_response(200, ()).endswith(b"\r\n\r\n")
    assert is_free(streamed)
    for status in (204, 304):
        for body in (None, b"", b"hello"):
            server = answering()
            data = server.send_response(status, (), body)
            assert data == b"HTTP/1.1 %d \r\n\r\n" % status
            assert is_free(server)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (100, ()),
        (1000, ()),
        (200, (("x", "a\r\nb: c"),)),
        (200, (("x", "\u0100"),)),
        (200, (("x y", "a"),)),
        (200, (("Content-Length", "5"),)),
        (200, (("Transfer-Encoding", "chunked"),)),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_changes_nothing(
    status: int, headers: Headers
) -> None:
    server = answering()
    with pytest.raises(LocalProtocolError):
        server.send_response(status, headers, b"hello")
    assert server.send_response(200, (), b"")
    assert is_free(server)


def test_an_answer_needs_a_request() -> None:
    server = HTTPConnection(Role.SERVER)
    with pytest.raises(LocalProtocolError, match="cannot be sent now"):
        server.send_response(200, ())
    with pytest.raises(LocalProtocolError, match="cannot be sent now"):
        server.send_body(b"x")
    server = answering()
    server.send_response(200, (), b"")
    with pytest.raises(LocalProtocolError, match="cannot be sent now"):
        server.send_response(200, ())


def test_a_server_switches_only_where_it_is_asked_to() -> None:
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    server = answering(asked)
    assert server.send_response(101, (("upgrade", "x"),)) == b"HTTP/1.1 101 \r\nupgrade: x\r\n\r\n"
    assert not is_free(server)
    server = answering(asked)
    assert server.send_response(200, (), b"")
    assert is_free(server)
    with pytest.raises(LocalProtocolError, match="without a pending proposal"):
        answering().send_response(101, ())
    with pytest.raises(LocalProtocolError):
        answering(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n").send_response(200, (), b"")


def test_who_waits_to_continue_is_told_to_continue_once() -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    server = answering(request)
    assert server.data_to_send().startswith(b"HTTP/1.1 100 ")
    assert server.data_to_send() == b""
    server.receive_data(b"a")
    assert server.data_to_send() == b""
    server.receive_data(b"b")
    # Who did not wait is told nothing.
    assert answering(request + b"ab").data_to_send() == b""
    # Who has the answer already waits no more.
    late = answering(request)
    assert late.send_response(413, (), b"").startswith(b"HTTP/1.1 413 ")
    assert late.data_to_send() == b""
    # Who broke the protocol is not asked to go on.
    broken = HTTPConnection(Role.SERVER)
    with pytest.raises(RemoteProtocolError):
        broken.receive_data(request[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")
    assert broken.data_to_send() == b""


def test_a_server_that_answers_early_still_reads_what_comes() -> None:
    server = answering(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    server.send_response(413, (), b"")
    assert not is_free(server)
    assert server.receive_data(b"ab") == [BodyReceived(b"ab"), MessageEnded()]
    assert is_free(server)


def test_what_was_sent_ahead_can_be_seen() -> None:
    server = answering()
    assert server.unread == b""
    assert server.receive_data(b"GET /next") == []
    assert server.unread == b"GET /next"
    # What comes behind a request to switch is not for HTTP.
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    assert answering(upgrade + b"\x81\x00").unread == b"\x81\x00"


def test_requests_sent_ahead_are_held_up_to_the_limit() -> None:
    server = answering(max_header_size=LIMIT)
    assert server.receive_data(b"x" * (LIMIT + 1)) == []
    with pytest.raises(RemoteProtocolError, match="sent ahead"):
        server.receive_data(b"x")
    with pytest.raises(LocalProtocolError, match="cannot be sent now"):
        server.send_response(200, ())


def test_a_broken_connection_sends_no_more() -> None:
    server = answering(REQUESTS[0][:-1], max_header_size=LIMIT)
    server.send_response(200, ())
    server.receive_data(b"c" + b"x" * 2 * LIMIT)
    assert server.error is not None
    sends: list[Callable[[], object]] = [lambda: server.send_body(b"x"), server.end_body]
    for send in sends:
        with pytest.raises(LocalProtocolError, match="cannot be sent now"):
            send()


def test_a_client_that_has_said_all_is_still_answered() -> None:
    server = HTTPConnection(Role.SERVER)
    server.receive_data(REQUESTS[1] * 2)
    assert server.receive_eof() == []
    assert server.send_response(200, (), b"a").endswith(b"a")
    assert server.is_reusable  # for the request that has come
    assert server.receive_data(b"") == REQUEST_EVENTS[1]
    assert server.send_response(200, (), b"b").endswith(b"b")
    assert not is_free(server)


# What real clients and servers said


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "version", by_default(transcripts.versions(), ("3.16.2", "4.19.2", "6.31.0").__contains__)
)
def test_recorded_exchanges_are_read_from_both_sides(version: str) -> None:
    seen = 0
    for scenario in transcripts.scenarios(version):
        recording = transcripts.load(version, scenario)
        for expected in recording.expected["exchanges"]:
            if "ws" in expected:
                continue
            seen += 1
            request = recording.bytes_of(expected["conn"], "c2s")
            server = HTTPConnection(Role.SERVER)
            asked = joined(server.receive_data(request))
            assert isinstance(asked[0], RequestStarted)
            assert (asked[0].method, asked[0].target) == (expected["method"], expected["target"])
            assert asked[-1] == MessageEnded()
            if "request_json" in expected:
                assert isinstance(asked[1], BodyReceived)
                assert json.loads(asked[1].data) == expected["request_json"]
            answer = recording.bytes_of(expected["conn"], "s2c")
            for step in (len(answer), 997):
                pieces = [answer[i : i + step] for i in range(0, len(answer), step)]
                outcome = outcome_of(asking(expected["method"]), pieces)
                started, *rest = outcome.events
                assert isinstance(started, ResponseStarted)
                assert started.status == expected["status"]
                assert outcome.completed is expected["complete"]
                assert bool(outcome.failed) is not expected["complete"]
                if "response_json" in expected:
                    assert isinstance(rest[0], BodyReceived)
                    assert json.loads(rest[0].data) == expected["response_json"]
    assert seen


# Cases of others


STRICTER = {
    "llhttp connection.md: HTTP 100 first, then 400": "h11 takes no blank line between heads",
    "llhttp sample.md: Response starting with CRLF": "h11 takes no blank line before a head",
    "llhttp sample.md: RTSP response": "not HTTP",
    "llhttp sample.md: ICE response": "not HTTP",
    "llhttp sample.md: HTTP version 0.9": "0.9 has no heads, so this is not 0.9 either",
    "llhttp transfer-encoding.md: `chunked` before other transfer-encoding": "unknown coding",
    "llhttp transfer-encoding.md: multiple transfer-encoding where chunked is not the last one": (
        "unknown coding"
    ),
    "llhttp transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked "
    "enconding": "unknown coding",
}
LAXER = {
    "llhttp invalid.md: Only LFs present and no body": "h11 reads LF as CRLF in heads",
    "llhttp invalid.md: Only LFs present": "h11 reads LF as CRLF in heads",
    "llhttp sample.md: No carriage ret": "h11 reads LF as CRLF in heads",
    "llhttp transfer-encoding.md: Trailing space on chunked body": "h11 skips it: servers send it",
    "llhttp transfer-encoding.md: No extension after semicolon": "h11 does not read extensions",
    "6000 headers": "64,909 bytes of head: the bound is 65,536 bytes, whatever they are",
}
OTHER_FLOORS = ("redirect", "Set-Cookie", "Content-Encoding")


def expected_of(case: dict[str, Any]) -> set[str]:
    """What the words of the corpus ask of this floor: completes, waits, fails."""
    name, words = case["name"], case["expectation"]
    if name in STRICTER:
        return {"fails"}
    if name in LAXER or name.startswith(OTHER_FLOORS):
        return {"completes"}
    if words == "accept-or-wait":
        return {"completes", "waits"}
    if words.startswith(("see llhttp", "h11 accepts")) or " or " in words:
        return {"completes", "waits", "fails"}
    if words.startswith(("reject", "error", "EOF before")):
        return {"fails", "waits", "spoiled"}
    return {"completes"}


def test_the_cases_of_others() -> None:
    cases = cases_of("http_bad.json")
    verdicts: dict[str, str] = {}
    wrong: dict[str, tuple[str, str]] = {}
    for case in cases:
        data = base64.b64decode(case["bytes_b64"])
        outcome = three_ways(asking, data)
        if outcome.completed:
            verdict = "spoiled" if outcome.failed else "completes"
        else:
            verdict = "waits" if outcome.failed == "at the end" else "fails"
        verdicts[case["name"]] = verdict
        expected = expected_of(case)
        # Bytes behind a whole message: it is delivered, and the connection ends there.
        if verdict not in expected and not (verdict == "spoiled" and "completes" in expected):
            wrong[case["name"]] = (verdict, case["expectation"])
    assert not wrong
    assert len(verdicts) == len(cases) == 193
    assert set(verdicts.values()) == {"completes", "spoiled", "waits", "fails"}
    assert {*STRICTER, *LAXER} <= verdicts.keys()


def test_many_different_requests_each_have_their_own_head() -> None:
    client = HTTPConnection(Role.CLIENT)
    for number in range(40):
        for _ in range(2):  # a head that is made, and one that is remembered
            sent = client.send_request("POST", f"/{number}", (*HOST, ("x", str(number))), b"ab")
            assert sent.startswith(f"POST /{number} HTTP/1.1\r\n".encode())
            assert f"\r\nx: {number}\r\n".encode() in sent
            assert sent.endswith(b"content-length: 2\r\n\r\nab")
            client.receive_data(OK + b"content-length: 0\r\n\r\n")
