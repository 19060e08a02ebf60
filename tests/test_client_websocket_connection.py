"""One WebSocket on one connection, against a server made of bare h11 and wsproto."""

from __future__ import annotations

from typing import Any, cast

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws

from sansio_gradio.client.commands import OpenWebSocket
from sansio_gradio.client.connection import Exchange
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.websocket_connection import SocketConnection
from sansio_gradio.errors import ConnectionLost, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.url import URL

ADDRESS = "ws://host:8080/app/queue/join"


class Owner:
    """A conversation that only listens."""

    id = 7

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, verb: str) -> Any:
        return lambda _id, *what: self.told.append((verb, *what))


class Peers:
    """A connection and its server, joined by byte strings."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.owner = Owner()
        command = OpenWebSocket(4, ADDRESS, (("x-a", "b"),))
        exchange = Exchange(cast("Conversation", self.owner), command, URL.parse(ADDRESS))
        self.connection = SocketConnection.make(1, exchange, limits or Limits())
        self.server = WSConnection(ConnectionType.SERVER)
        self.connection.begin(exchange)
        self.asked = cast("ws.Request", self.serve()[0])

    def serve(self) -> list[ws.Event]:
        """What the server understands of all that the connection has to say."""
        self.server.receive_data(self.connection.take(1 << 20))
        return list(self.server.events())

    def say(self, event: ws.Event, *, more: bytes = b"") -> list[bool]:
        """Have the server say *event*; whether each thing told of it was the last."""
        return self.hear(self.server.send(event) + more)

    def hear(self, data: bytes) -> list[bool]:
        return [self.connection.tell(came, 5.0) for came in self.connection.receive(data)]

    def open(self) -> None:
        assert self.say(ws.AcceptConnection()) == [False]
        self.owner.told.clear()


def test_the_handshake_asks_for_what_the_command_says() -> None:
    peers = Peers()
    assert (peers.asked.target, peers.asked.host) == ("/app/queue/join", "host:8080")
    assert (b"x-a", b"b") in peers.asked.extra_headers
    assert peers.asked.extensions == []
    assert peers.connection.origin == ("http", "host", 8080)
    assert peers.connection.exchange is peers.connection.opened_for


def test_an_accepted_handshake_is_an_answer_with_101() -> None:
    peers = Peers()
    assert peers.say(ws.AcceptConnection(extra_headers=[(b"x-c", b"d")])) == [False]
    ((verb, status, headers, now),) = peers.owner.told
    assert (verb, status, now) == ("response", 101, 5.0)
    assert ("x-c", "d") in headers


def test_a_rejected_handshake_is_the_whole_of_an_answer() -> None:
    peers = Peers()
    refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"
    assert peers.hear(refused) == [True]
    assert [(verb, *what[:1]) for verb, *what in peers.owner.told] == [
        ("response", 403),
        ("data", b"no"),
        ("ended", 5.0),
    ]


def test_texts_go_both_ways() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.TextMessage("hallöchen")) == [False]
    assert peers.owner.told == [("text", "hallöchen", 5.0)]
    peers.connection.send_text("zurück")
    (message,) = peers.serve()
    assert isinstance(message, ws.TextMessage)
    assert message.data == "zurück"


def test_a_ping_is_answered_and_told_to_nobody() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.Ping(b"x")) == []
    assert peers.serve() == [ws.Pong(b"x")]
    assert peers.owner.told == []


def test_a_peer_that_pings_and_does_not_read_is_owed_the_answers_to_one_read() -> None:
    peers = Peers()
    peers.open()
    pings = peers.server.send(ws.Ping(b"x" * 125)) * 100
    for _ in range(1000):
        assert peers.hear(pings) == []
    waiting = 0
    while data := peers.connection.take(1 << 10):
        waiting += len(data)
    assert waiting < 2 * len(pings)
    assert not peers.connection.has_data


def test_a_close_is_answered_at_once_and_1000_is_a_clean_end() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.CloseConnection(1000)) == [True]
    assert peers.owner.told == [("ended", 5.0)]
    (answer,) = peers.serve()
    assert isinstance(answer, ws.CloseConnection)
    assert answer.code == 1000
    peers.connection.send_text("too late")
    peers.connection.end()
    assert not peers.connection.has_data
    assert not peers.connection.is_reusable


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [(1011, "out of cheese", "with 1011, out of cheese"), (1013, "", "with 1013")],
)
def test_another_close_is_a_loss_that_says_why(code: int, reason: str, words: str) -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.CloseConnection(code, reason)) == [True]
    ((verb, error, now),) = peers.owner.told
    assert (verb, now) == ("failed", 5.0)
    assert isinstance(error, ConnectionLost)
    assert error.message.endswith(words)


def test_an_end_without_a_close_is_a_loss() -> None:
    peers = Peers()
    peers.open()
    assert peers.hear(b"") == [True]
    ((verb, error, _),) = peers.owner.told
    assert verb == "failed"
    assert isinstance(error, ConnectionLost)
    assert error.message == "the WebSocket ended without a Close"


def test_our_own_end_is_a_close_with_1000() -> None:
    peers = Peers()
    peers.open()
    peers.connection.end()
    (close,) = peers.serve()
    assert isinstance(close, ws.CloseConnection)
    assert close.code == 1000


def test_before_it_is_open_there_is_nothing_to_close() -> None:
    peers = Peers()
    peers.connection.end()
    assert not peers.connection.has_data


def test_a_message_beyond_the_limit_is_the_server_s_mistake_and_it_is_told() -> None:
    peers = Peers(Limits(message=10))
    peers.open()
    with pytest.raises(RemoteProtocolError, match="too large"):
        peers.say(ws.TextMessage("x" * 11))
    assert isinstance(peers.connection.error, RemoteProtocolError)
    (close,) = peers.serve()
    assert isinstance(close, ws.CloseConnection)
    assert close.code == 1009
