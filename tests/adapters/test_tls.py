"""TLS as bytes in, bytes out, against Python's own server end."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError, LocalProtocolError
from sansio_gradio_adapters.tls import TLSWrapper, default_context

CERTIFICATES = Path(__file__).parents[1] / "data" / "tls"
REFUSED_HANDSHAKE = b"\x15\x03\x01\x00\x02\x02\x28"  # RFC 8446 section 6: fatal, handshake_failure

# OpenSSL takes any end for a goodbye then. Some Pythons set it (3.11.2 does), and a caller may.
OP_IGNORE_UNEXPECTED_EOF = 1 << 7
GOODBYE = b"\x15\x03\x01\x00\x02\x01\x00"  # the same: warning, close_notify


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "localhost.pem")
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")


class Peer:
    """A server's end."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or server_context()).wrap_bio(
            self._incoming, self._outgoing, server_side=True
        )
        self.received = b""
        self.told_goodbye = False
        self.said: list[str] = []
        self._ready = False

    def feed(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self._ready:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                self.said.append(str(error.reason))
                return
            self._ready = True
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.tls.read(65536):
                self.received += data
            self.told_goodbye = True

    def send(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self._outgoing.read()

    def output(self) -> bytes:
        return self._outgoing.read()


def shake_hands(client: TLSWrapper, peer: Peer, cut: int = 1 << 20) -> None:
    while to_peer := client.data_to_send():
        peer.feed(to_peer)
        answer = peer.output()
        for start in range(0, len(answer), cut):
            client.receive(answer[start : start + cut])


def connected(cut: int = 1 << 20) -> tuple[TLSWrapper, Peer]:
    client, peer = TLSWrapper(client_context(), "localhost"), Peer()
    shake_hands(client, peer, cut)
    return client, peer


def test_what_is_sent_arrives_on_both_sides() -> None:
    client, peer = connected()
    assert client.established
    peer.feed(client.send(b"ping"))
    assert peer.received == b"ping"
    assert client.receive(peer.send(b"pong")) == b"pong"
    assert not client.peer_closed


@given(st.integers(min_value=1, max_value=40), st.binary(min_size=1, max_size=200))
def test_however_the_bytes_are_cut_the_plaintext_is_the_same(cut: int, text: bytes) -> None:
    client, peer = connected(cut)
    ciphertext = peer.send(text)
    pieces = [ciphertext[i : i + cut] for i in range(0, len(ciphertext), cut)]
    assert b"".join(client.receive(piece) for piece in pieces) == text


def test_more_than_one_record_is_read_at_once() -> None:
    client, peer = connected()
    assert client.receive(peer.send(b"x" * 100_000)) == b"x" * 100_000


def test_the_tickets_of_tls_1_3_are_no_plaintext() -> None:
    client, peer = TLSWrapper(client_context(), "localhost"), Peer()
    peer.feed(client.data_to_send())
    assert client.receive(peer.output()) == b""
    assert client.established
    peer.feed(client.data_to_send())
    tickets = peer.output()
    assert tickets
    assert client.receive(tickets) == b""


def test_nothing_is_sent_before_the_handshake_is_over() -> None:
    client = TLSWrapper(client_context(), "localhost")
    with pytest.raises(LocalProtocolError):
        client.send(b"early")


def test_sending_nothing_costs_no_record() -> None:
    client, _ = connected()
    assert client.send(b"") == b""


def test_after_our_goodbye_nothing_can_be_sent() -> None:
    client, _ = connected()
    client.close()
    with pytest.raises(ConnectionLost, match="TLS: protocol is shutdown") as caught:
        client.send(b"too late")
    assert caught.value.phase == "tls"


def test_our_goodbye_arrives_after_what_was_sent() -> None:
    client, peer = connected()
    peer.feed(client.send(b"last words") + client.close())
    assert peer.received == b"last words"
    assert peer.told_goodbye


def test_a_goodbye_in_the_middle_of_the_handshake_is_no_error() -> None:
    client = TLSWrapper(client_context(), "localhost")
    client.close()


def test_the_goodbye_of_the_peer_is_told_apart_from_a_cut() -> None:
    client, peer = connected()
    last = peer.send(b"the end")
    with contextlib.suppress(ssl.SSLError):
        peer.tls.unwrap()
    assert client.receive(last + peer.output()) == b"the end"
    assert client.peer_closed
    assert client.receive(b"") == b""


def test_the_goodbye_of_the_peer_may_answer_ours() -> None:
    client, peer = connected()
    peer.feed(client.close())
    with contextlib.suppress(ssl.SSLError):
        peer.tls.unwrap()
    assert client.receive(peer.output()) == b""
    assert client.peer_closed


@pytest.mark.parametrize("ignored", [0, OP_IGNORE_UNEXPECTED_EOF])
@pytest.mark.parametrize("kept", [0, 10])
def test_a_connection_that_is_cut_is_lost(kept: int, ignored: int) -> None:
    context = client_context()
    context.options |= ignored
    client, peer = TLSWrapper(context, "localhost"), Peer()
    shake_hands(client, peer)
    if kept:
        assert client.receive(peer.send(b"the end of this is cut off")[:kept]) == b""
    with pytest.raises(ConnectionLost, match="without a TLS goodbye") as caught:
        client.receive(b"")
    assert caught.value.phase == "tls"


def test_what_cannot_be_deciphered_is_lost() -> None:
    client, _ = connected()
    with pytest.raises(ConnectionLost, match=r"TLS: .*(mac|record)"):
        client.receive(b"\x17\x03\x03\x00\x20" + b"?" * 32)


def refusal(trouble: Callable[[TLSWrapper], object], name: str = "localhost") -> GradioError:
    client = TLSWrapper(client_context(), name)
    with pytest.raises(ConnectFailed) as caught:
        trouble(client)
    assert caught.value.phase == "tls"
    assert not client.established
    return caught.value


@pytest.mark.parametrize("name", ["example.org", "127.0.0.2"])
def test_a_certificate_for_somebody_else_is_refused(name: str) -> None:
    peer = Peer()
    error = refusal(lambda client: shake_hands(client, peer), name)
    assert "not for " + name in error.message


def test_the_peer_is_told_why_it_was_refused() -> None:
    client, peer = TLSWrapper(client_context(), "example.org"), Peer()
    with pytest.raises(ConnectFailed):
        shake_hands(client, peer)
    peer.feed(client.data_to_send())
    assert "BAD_CERTIFICATE" in peer.said[0]


def test_the_address_in_the_certificate_is_accepted() -> None:
    client, peer = TLSWrapper(client_context(), "127.0.0.1"), Peer()
    shake_hands(client, peer)
    assert client.established


def test_a_certificate_of_an_authority_that_nobody_knows_is_refused() -> None:
    client, peer = TLSWrapper(None, "localhost"), Peer()
    with pytest.raises(ConnectFailed, match="localhost is not trusted: unable to get"):
        shake_hands(client, peer)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 50, b"SSH-2.0-x\n"]
)
def test_who_does_not_speak_tls_is_told_so(answer: bytes) -> None:
    error = refusal(lambda client: client.receive(answer))
    assert "does not speak TLS" in error.message


@pytest.mark.parametrize("end", [b"", GOODBYE])
def test_an_end_in_the_handshake_is_told_so(end: bytes) -> None:
    error = refusal(lambda client: client.receive(end))
    assert "ended the connection in the TLS handshake" in error.message


def test_a_peer_that_refuses_is_quoted() -> None:
    error = refusal(lambda client: client.receive(REFUSED_HANDSHAKE))
    assert "do not agree on TLS: " in error.message
    assert "handshake failure" in error.message


@pytest.mark.parametrize("name", ["", ".example.org", "a" * 300, "a\0b"])
def test_a_name_that_no_certificate_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConnectFailed, match="no name for TLS"):
        TLSWrapper(client_context(), name)


def test_one_context_is_shared_by_all_who_bring_none() -> None:
    context = default_context()
    assert context is default_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
