"""One connection: requests one after the other, or a WebSocket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.server.connection import Incoming, ServerConnection
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from sansio_gradio.wire.websocket import TextReceived
from tests.support.served import request

HANDSHAKE = request(
    "GET",
    "/queue/join",
    upgrade="WebSocket",
    connection="Upgrade",
    sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    sec_websocket_version="13",
)
TEXT = b"\x81\x82\0\0\0\0hi"  # a frame whose mask is zero
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


def connection(**limits: int) -> ServerConnection:
    return ServerConnection(1, ServerLimits(**limits))


def words(came: list[Incoming]) -> list[str]:
    return [
        "handshake"
        if isinstance(one, Request) and one.is_websocket
        else f"{one.method} {one.target} {one.body.decode()}".strip()
        if isinstance(one, Request)
        else one.text
        if isinstance(one, TextReceived)
        else "gone"
        for one in came
    ]


@given(st.lists(st.integers(1, 40), max_size=8))
def test_however_a_request_is_cut_it_comes_once_and_whole(sizes: list[int]) -> None:
    data = request("POST", "/a", b"hello") + request("GET", "/b")
    peer, came = connection(), list[str]()
    for size in [*sizes, len(data)]:
        came += words(peer.receive(data[:size]) if data[:size] else [])
        data = data[size:]
    assert came == ["POST /a hello"]
    peer.respond(200, (), b"answer")
    assert words(peer.receive(b"")) == ["GET /b"]
    assert peer.is_reusable is False  # not before it is answered


def test_what_is_sent_comes_out_in_pieces_of_any_size() -> None:
    peer = connection()
    peer.receive(request("GET", "/"))
    peer.open(())
    peer.send(b"x" * 50)
    peer.end()
    had_data, out = bool(peer.out), b""
    while piece := peer.out.take(7):
        assert len(piece) <= 7
        out += piece
    assert b"data: " + b"x" * 50 + b"\n\n" in out
    assert out.endswith(b"0\r\n\r\n")
    assert (had_data, bool(peer.out)) == (True, False)
    assert peer.is_reusable


def test_what_is_no_http_is_answered_and_over() -> None:
    peer = connection()
    assert words(peer.receive(b"nonsense\r\n\r\n")) == ["gone"]
    assert peer.out.take(9999).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert words(peer.receive(b"more")) == ["gone"]


def test_nonsense_behind_a_request_is_no_answer_to_it() -> None:
    peer = connection()
    assert words(peer.receive(request("GET", "/"))) == ["GET /"]
    peer.is_busy = True
    assert words(peer.receive(b"x" * 100_000)) == ["gone"]
    assert peer.out.take(9999) == b""


def test_a_body_that_is_too_large_is_refused() -> None:
    peer = connection(request=10)
    assert words(peer.receive(request("POST", "/", b"0123456789"))) == ["POST / 0123456789"]
    peer = connection(request=10)
    assert words(peer.receive(request("POST", "/", b"01234567890"))) == ["gone"]
    assert b" 413 " in peer.out.take(9999)


def test_a_head_that_is_too_large_is_refused() -> None:
    peer = connection(header=100)
    assert words(peer.receive(request("GET", "/", x="y" * 100))) == ["gone"]
    assert b" 400 " in peer.out.take(9999)


def test_a_client_that_asks_whether_to_go_on_is_told_to() -> None:
    peer = connection()
    head = request("POST", "/", b"body", expect="100-continue").removesuffix(b"body")
    assert peer.receive(head) == []
    assert peer.out.take(9999).startswith(b"HTTP/1.1 100 ")
    assert words(peer.receive(b"body")) == ["POST / body"]


@given(st.integers(1, len(HANDSHAKE)))
def test_a_websocket_begins_however_its_handshake_is_cut(cut: int) -> None:
    peer = connection()
    came = peer.receive(HANDSHAKE[:cut])
    if HANDSHAKE[cut:]:
        came += peer.receive(HANDSHAKE[cut:])
    assert words(came) == ["handshake"]
    peer.open((("server", "x"),))
    assert b" 101 " in peer.out.take(9999)
    assert words(peer.receive(TEXT)) == ["hi"]
    peer.send(b"ho")
    assert peer.out.take(9999) == b"\x81\x02ho"
    assert words(peer.receive(TEXT + CLOSE)) == ["hi", "gone"]
    assert peer.out.take(9999) == b"\x88\x02\x03\xe8"


def test_our_close_waits_for_theirs() -> None:
    peer = connection()
    peer.receive(HANDSHAKE)
    peer.open(())
    peer.out.take(9999)
    peer.end()
    assert peer.out.take(9999) == b"\x88\x02\x03\xe8"
    assert peer.awaits_close
    assert words(peer.receive(CLOSE)) == ["gone"]
    assert not peer.awaits_close


def test_a_websocket_that_is_refused_is_an_http_answer() -> None:
    peer = connection()
    peer.receive(HANDSHAKE)
    peer.respond(403, (), b"")
    assert peer.out.take(9999).startswith(b"HTTP/1.1 403 ")
    assert not peer.awaits_close


def test_a_frame_that_breaks_the_rules_ends_the_websocket() -> None:
    peer = connection()
    peer.receive(HANDSHAKE)
    peer.open(())
    peer.out.take(9999)
    assert words(peer.receive(b"\x81\x02hi")) == ["gone"]  # clients must mask
    assert peer.out.take(9999).startswith(b"\x88")
    assert words(peer.receive(TEXT)) == ["gone"]


@given(st.integers(1, 3), st.lists(st.integers(1, 40), max_size=8))
def test_a_handshake_may_follow_requests(before: int, sizes: list[int]) -> None:
    peer = connection()
    data = request("POST", "/a", b"hello") * before + HANDSHAKE
    came: list[str] = []
    for size in [*sizes, len(data)]:
        came += words(peer.receive(data[:size]) if data[:size] else [])
        data = data[size:]
    for _ in range(before):  # what was sent ahead waits for the answers
        assert came[-1] == "POST /a hello"
        peer.respond(200, (), b"answer")
        came += words(peer.receive(b""))
    assert came == ["POST /a hello"] * before + ["handshake"]
    peer.out.take(9999)
    peer.open(())
    assert peer.out.take(9999).startswith(b"HTTP/1.1 101 ")
    assert words(peer.receive(TEXT)) == ["hi"]


def test_a_client_that_does_not_read_overruns() -> None:
    peer = connection(unsent=100)
    peer.receive(request("GET", "/"))
    peer.open(())
    overrun = [peer.is_overrun]
    for _ in range(2):  # the largest piece does not count
        peer.send(b"x" * 100)
        overrun.append(peer.is_overrun)
    peer.out.take(9999)
    overrun.append(peer.is_overrun)
    assert overrun == [False, False, True, False]
    peer.send(b"x" * 200)
    peer.out.clear()
    assert not bool(peer.out)
