"""One WebSocket on one connection, against a server made of bare h11 and wsproto."""

from __future__ import annotations

from typing import cast

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws

from sansio_gradio.client.commands import OpenWebSocket
from sansio_gradio.client.connection import Transfer
from sansio_gradio.client.news import News, TextCame, TransferFailed
from sansio_gradio.client.websocket_connection import SocketConnection
from sansio_gradio.errors import ConnectionLost, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio.wire.http import BodyReceived, MessageEnded, ResponseStarted
from sansio_gradio.wire.url import URL

ADDRESS = "ws://host:8080/app/queue/join"


class Peers:
    """A connection and its server, joined by byte strings."""

    def __init__(self, limits: Limits | None = None) -> None:
        command = OpenWebSocket(4, ADDRESS, (("x-a", "b"),))
        transfer = Transfer((7, 4), command, URL.parse(ADDRESS))
        self.connection = SocketConnection.make(1, transfer, limits or Limits())
        self.server = WSConnection(ConnectionType.SERVER)
        self.connection.begin(transfer)
        self.asked = cast("ws.Request", self.serve()[0])

    def serve(self) -> list[ws.Event]:
        """What the server understands of all that the connection has to say."""
        self.server.receive_data(bytes_of(self.connection.take(1 << 20)))
        return list(self.server.events())

    def say(self, event: ws.Event, *, more: bytes = b"") -> list[News]:
        """Have the server say *event*; what comes of it."""
        return self.hear(self.server.send(event) + more)

    def hear(self, data: bytes) -> list[News]:
        return list(self.connection.receive(data))

    def open(self) -> None:
        (news,) = self.say(ws.AcceptConnection())
        assert isinstance(news, ResponseStarted)


def test_the_handshake_asks_for_what_the_command_says() -> None:
    peers = Peers()
    assert (peers.asked.target, peers.asked.host) == ("/app/queue/join", "host:8080")
    assert (b"x-a", b"b") in peers.asked.extra_headers
    assert peers.asked.extensions == []
    assert peers.connection.origin == ("http", "host", 8080)
    assert peers.connection.transfer is peers.connection.opened_for


def test_an_accepted_handshake_is_an_answer_with_101() -> None:
    peers = Peers()
    (news,) = peers.say(ws.AcceptConnection(extra_headers=[(b"x-c", b"d")]))
    assert isinstance(news, ResponseStarted)
    assert news.status == 101
    assert ("x-c", "d") in news.headers


def test_a_rejected_handshake_is_the_whole_of_an_answer() -> None:
    peers = Peers()
    refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"
    head, *rest = peers.hear(refused)
    assert isinstance(head, ResponseStarted)
    assert head.status == 403
    assert rest == [BodyReceived(b"no"), MessageEnded()]


def test_texts_go_both_ways() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.TextMessage("hallöchen")) == [TextCame("hallöchen")]
    peers.connection.send_text("zurück")
    (message,) = peers.serve()
    assert isinstance(message, ws.TextMessage)
    assert message.data == "zurück"


def test_a_ping_is_answered_and_told_to_nobody() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.Ping(b"x")) == []
    assert peers.serve() == [ws.Pong(b"x")]


def test_a_peer_that_pings_and_does_not_read_is_owed_the_answers_to_one_read() -> None:
    peers = Peers()
    peers.open()
    pings = peers.server.send(ws.Ping(b"x" * 125)) * 100
    for _ in range(50):
        assert peers.hear(pings) == []
    waiting = 0
    while data := peers.connection.take(1 << 10):
        waiting += len(data)
    assert waiting < 2 * len(pings)
    assert not peers.connection.has_data


def test_a_close_is_answered_at_once_and_1000_is_a_clean_end() -> None:
    peers = Peers()
    peers.open()
    assert peers.say(ws.CloseConnection(1000)) == [MessageEnded()]
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
    (news,) = peers.say(ws.CloseConnection(code, reason))
    assert isinstance(news, TransferFailed)
    assert isinstance(news.error, ConnectionLost)
    assert news.error.message.endswith(words)


def test_an_end_without_a_close_is_a_loss() -> None:
    peers = Peers()
    peers.open()
    (news,) = peers.hear(b"")
    assert isinstance(news, TransferFailed)
    assert isinstance(news.error, ConnectionLost)
    assert news.error.message == "the WebSocket ended without a Close"


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
    assert isinstance(peers.connection.wire.error, RemoteProtocolError)
    (close,) = peers.serve()
    assert isinstance(close, ws.CloseConnection)
    assert close.code == 1009
