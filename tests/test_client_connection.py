"""What one connection carries, and how its bytes are handed out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.commands import Expect, OpenWebSocket, SendRequest
from sansio_gradio.client.connection import (
    Connection,
    ConnectionState,
    Exchange,
    RequestConnection,
)
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.errors import (
    ConnectFailed,
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Limits
from sansio_gradio.wire.url import URL

ADDRESS = "http://host:8080/queue/join"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nok"


class Owner:
    """A conversation that only listens."""

    id = 7

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def response(self, *what: Any) -> None:
        self.told.append(("response", *what))

    def data(self, *what: Any) -> None:
        self.told.append(("data", *what))

    def ended(self, *what: Any) -> None:
        self.told.append(("ended", *what))


def request(
    method: str = "POST",
    expect: Expect = Expect.ANSWER,
    *,
    body: bytes | None = b"{}",
    url: str = ADDRESS,
    owner: Owner | None = None,
) -> Exchange:
    command = SendRequest(3, method, url, (("x-a", "b"),), body, expect)
    return Exchange(cast("Conversation", owner or Owner()), command, URL.parse(url))


def websocket() -> Exchange:
    command = OpenWebSocket(4, ADDRESS, ())
    return Exchange(cast("Conversation", Owner()), command, URL.parse(ADDRESS))


def connection(exchange: Exchange | None = None) -> RequestConnection:
    return RequestConnection.make(1, exchange or request(), Limits())


# Exchanges


def test_an_exchange_has_a_name_of_its_own() -> None:
    assert request().key == (7, 3)
    assert websocket().key == (7, 4)


def test_two_that_look_alike_are_two() -> None:
    one = request()
    other = Exchange(one.owner, one.command, one.url)
    assert len({one, other}) == 2
    assert len({connection(one), connection(one)}) == 2


def test_at_first_nothing_has_happened() -> None:
    new = request()
    assert (new.attempts, new.handed_out, new.answered, new.aborted) == (0, False, False, False)
    fresh = connection(new)
    assert (fresh.exchange, fresh.is_gone, fresh.has_data) == (None, False, False)


@pytest.mark.parametrize("expect", Expect)
def test_a_request_expects_what_it_says(expect: Expect) -> None:
    assert request(expect=expect).expect is expect


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("attempts", [0, 1, 2])
@pytest.mark.parametrize("handed_out", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_only_what_cannot_happen_twice_or_may_is_repeated(
    method: str, attempts: int, handed_out: bool, answered: bool
) -> None:
    exchange = request(method)
    exchange.attempts, exchange.handed_out, exchange.answered = attempts, handed_out, answered
    assert exchange.is_safe is (method == "GET")
    # DESIGN.md, Pool: not the last byte was handed out, or a GET without any byte of an answer.
    cannot_double = not handed_out or method == "GET"
    assert exchange.may_be_repeated is (cannot_double and not answered and attempts <= 1)


def test_a_websocket_is_never_repeated() -> None:
    assert not websocket().is_safe
    assert not websocket().may_be_repeated


# Bytes to send


@given(st.lists(st.binary(max_size=9) | st.integers(0, 12)), st.integers(1, 30))
def test_however_it_is_taken_the_bytes_are_the_same(steps: list[bytes | int], rest: int) -> None:
    out, written, taken = connection(), b"", b""
    for step in steps:
        if isinstance(step, bytes):
            out.write(step)
            written += step
        else:
            piece = out.take(step)
            taken += piece
            assert len(piece) == min(step, len(written) - len(taken) + len(piece))
        assert out.has_data is (written != taken)
    while out.has_data:
        taken += out.take(rest)
    assert taken == written
    assert out.take(rest) == b""


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(1, 20))
def test_a_request_is_handed_out_with_its_last_byte(parts: list[bytes], size: int) -> None:
    exchange = request()
    out = connection(exchange)
    out.exchange = exchange
    for part in parts:
        out.write(part)
    assert out.take(0) == b""
    handed_out = [exchange.handed_out]
    while out.has_data:
        out.take(size)
        handed_out.append(exchange.handed_out)
    assert handed_out == [*[False] * (len(handed_out) - 1), True]


def test_what_is_dropped_is_not_sent() -> None:
    out = connection()
    out.write(b"half of a request")
    assert out.take(4) == b"half"
    out.discard()
    assert out.take(100) == b""
    out.write(b"whole")
    assert out.take(100) == b"whole"


# Requests


def test_a_request_is_sent_as_the_command_says() -> None:
    exchange = request(body=b'{"a":1}')
    out = connection(exchange)
    assert (out.state, out.opened_for) == (ConnectionState.OPENING, exchange)
    assert out.origin == ("http", "host", 8080)
    out.begin(exchange)
    assert out.exchange is exchange
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(out.take(10**6))
    head = peer.next_event()
    assert isinstance(head, h11.Request)
    assert (head.method, head.target) == (b"POST", b"/queue/join")
    assert list(head.headers) == [
        (b"host", b"host:8080"),
        (b"x-a", b"b"),
        (b"content-length", b"7"),
    ]
    body = peer.next_event()
    assert isinstance(body, h11.Data)
    assert body.data == b'{"a":1}'


def test_an_answer_is_told_to_the_owner_of_the_request() -> None:
    owner = Owner()
    exchange = request(owner=owner)
    out = connection(exchange)
    reusable = [out.is_reusable]
    out.begin(exchange)
    reusable.append(out.is_reusable)
    over = [out.tell(event, 5.0) for event in out.receive(ANSWER)]
    assert over == [False, False, True]
    assert owner.told == [
        ("response", 3, 200, (("content-length", "2"), ("x-y", "z")), 5.0),
        ("data", 3, b"ok", 5.0),
        ("ended", 3, 5.0),
    ]
    assert [*reusable, out.is_reusable] == [True, False, True]
    assert out.error is None


def test_one_connection_carries_one_request_after_the_other() -> None:
    out = connection()
    for _ in range(3):
        owner = Owner()
        exchange = request(owner=owner)
        out.begin(exchange)
        assert out.take(10**6)
        for event in out.receive(ANSWER):
            out.tell(event, 1.0)
        assert [what for what, *_ in owner.told] == ["response", "data", "ended"]
        assert exchange.handed_out


def test_an_answer_may_end_with_the_connection() -> None:
    owner = Owner()
    out = connection(exchange := request(owner=owner))
    out.begin(exchange)
    events = [*out.receive(b"HTTP/1.1 200 OK\r\n\r\nto the end"), *out.receive(b"")]
    assert [out.tell(event, 1.0) for event in events] == [False, False, True]
    assert not out.is_reusable


def test_what_a_peer_does_wrong_is_known() -> None:
    out = connection(exchange := request())
    out.begin(exchange)
    with suppress(RemoteProtocolError):
        out.receive(b"SSH-2.0-OpenSSH\r\n\r\n")
    assert isinstance(out.error, RemoteProtocolError)
    assert not out.is_reusable
    with pytest.raises(RemoteProtocolError):
        out.receive(b"more")


def test_a_head_has_a_limit() -> None:
    out = RequestConnection.make(1, exchange := request(), Limits(header=100))
    out.begin(exchange)
    with suppress(RemoteProtocolError):
        out.receive(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200)
    assert out.error is not None


def test_half_a_request_is_no_goodbye() -> None:
    out = connection(exchange := request())
    out.begin(exchange)
    out.take(5)
    out.end()
    assert not out.has_data


def test_a_request_has_no_texts() -> None:
    with pytest.raises(AssertionError):
        connection().send_text("x")


# What broke


@pytest.mark.parametrize(
    ("state", "phase"),
    [(ConnectionState.OPENING, "connect"), (ConnectionState.SECURING, "tls")],
)
def test_a_connection_that_was_not_made_says_where_and_in_which_phase(
    state: ConnectionState, phase: str
) -> None:
    out: Connection = connection()
    out.state = state
    cause = OSError("refused")
    error = out.what_broke(cause)
    assert type(error) is ConnectFailed
    assert error.phase == phase
    assert error.__cause__ is cause
    assert error.message == "no connection to host port 8080: refused"
    assert out.what_broke(None).message == "no connection to host port 8080"


def test_a_connection_that_was_lost_says_which() -> None:
    out: Connection = connection()
    out.state = ConnectionState.OPEN
    error = out.what_broke(EOFError())
    assert type(error) is ConnectionLost
    assert error.message == "the connection to host port 8080 ended too early: EOFError"
    assert error.phase is None


def test_an_error_of_ours_says_it_itself() -> None:
    own = GradioError("x")
    assert connection().what_broke(own) is own
