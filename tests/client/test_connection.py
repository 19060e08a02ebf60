"""What one connection carries, and how its bytes are handed out."""

from __future__ import annotations

from contextlib import suppress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.commands import Expect, OpenWebSocket, SendRequest
from sansio_gradio.client.connection import (
    Connection,
    ConnectionState,
    RequestConnection,
    Transfer,
)
from sansio_gradio.errors import (
    ConnectFailed,
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Limits
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio.wire.http import BodyReceived, MessageEnded, ResponseStarted
from sansio_gradio.wire.url import URL

ADDRESS = "http://host:8080/queue/join"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nok"


def request(
    method: str = "POST",
    expect: Expect = Expect.ANSWER,
    *,
    body: bytes | None = b"{}",
    url: str = ADDRESS,
) -> Transfer:
    command = SendRequest(3, method, url, (("x-a", "b"),), body, expect)
    return Transfer((7, 3), command, URL.parse(url))


def websocket() -> Transfer:
    command = OpenWebSocket(4, ADDRESS, ())
    return Transfer((7, 4), command, URL.parse(ADDRESS))


def connection(transfer: Transfer | None = None) -> RequestConnection:
    return RequestConnection.make(1, transfer or request(), Limits())


# Transfers


def test_two_that_look_alike_are_two() -> None:
    one = request()
    other = Transfer(one.key, one.command, one.url)
    assert len({one, other}) == 2
    assert len({connection(one), connection(one)}) == 2


def test_at_first_nothing_has_happened() -> None:
    new = request()
    assert (new.attempts, new.handed_out, new.answered, new.aborted) == (0, False, False, False)
    fresh = connection(new)
    assert (fresh.transfer, fresh.is_gone, fresh.has_data) == (None, False, False)


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
    transfer = request(method)
    transfer.attempts, transfer.handed_out, transfer.answered = attempts, handed_out, answered
    assert transfer.is_safe is (method == "GET")
    # Not the last byte was handed out, or a GET without any byte of an answer.
    cannot_double = not handed_out or method == "GET"
    assert transfer.may_be_repeated is (cannot_double and not answered and attempts <= 1)


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
            piece = bytes_of(out.take(step))
            taken += piece
            assert len(piece) == min(step, len(written) - len(taken) + len(piece))
        assert out.has_data is (written != taken)
    while out.has_data:
        taken += bytes_of(out.take(rest))
    assert taken == written
    assert out.take(rest) == b""


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(1, 20))
def test_a_request_is_handed_out_with_its_last_byte(parts: list[bytes], size: int) -> None:
    transfer = request()
    out = connection(transfer)
    out.transfer = transfer
    for part in parts:
        out.write(part)
    assert out.take(0) == b""
    handed_out = [transfer.handed_out]
    while out.has_data:
        out.take(size)
        handed_out.append(transfer.handed_out)
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
    transfer = request(body=b'{"a":1}')
    out = connection(transfer)
    assert (out.state, out.opened_for) == (ConnectionState.OPENING, transfer)
    assert out.origin == ("http", "host", 8080)
    out.begin(transfer)
    assert out.transfer is transfer
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(bytes_of(out.take(10**6)))
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


ANSWERED = [
    ResponseStarted(200, (("content-length", "2"), ("x-y", "z"))),
    BodyReceived(b"ok"),
    MessageEnded(),
]


def test_what_comes_is_returned() -> None:
    transfer = request()
    out = connection(transfer)
    reusable = [out.is_reusable]
    out.begin(transfer)
    reusable.append(out.is_reusable)
    assert out.receive(ANSWER) == ANSWERED
    assert [*reusable, out.is_reusable] == [True, False, True]
    assert out.wire.error is None


def test_one_connection_carries_one_request_after_the_other() -> None:
    out = connection()
    for _ in range(3):
        transfer = request()
        out.begin(transfer)
        assert out.take(10**6)
        assert out.receive(ANSWER) == ANSWERED
        assert transfer.handed_out


def test_an_answer_may_end_with_the_connection() -> None:
    out = connection(transfer := request())
    out.begin(transfer)
    news = [*out.receive(b"HTTP/1.1 200 OK\r\n\r\nto the end"), *out.receive(b"")]
    assert news == [ResponseStarted(200, ()), BodyReceived(b"to the end"), MessageEnded()]
    assert not out.is_reusable


def test_what_a_peer_does_wrong_is_known() -> None:
    out = connection(transfer := request())
    out.begin(transfer)
    with suppress(RemoteProtocolError):
        out.receive(b"SSH-2.0-OpenSSH\r\n\r\n")
    assert isinstance(out.wire.error, RemoteProtocolError)
    assert not out.is_reusable
    with pytest.raises(RemoteProtocolError):
        out.receive(b"more")


def test_a_head_has_a_limit() -> None:
    out = RequestConnection.make(1, transfer := request(), Limits(header=100))
    out.begin(transfer)
    with suppress(RemoteProtocolError):
        out.receive(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200)
    assert out.wire.error is not None


def test_half_a_request_is_no_goodbye() -> None:
    out = connection(transfer := request())
    out.begin(transfer)
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
