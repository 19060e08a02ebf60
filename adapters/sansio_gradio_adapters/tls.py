"""TLS without I/O: Python's own, ``ssl.MemoryBIO``, with the verbs of this library.

Rule 1: bytes in, bytes out. So everything that moves bytes can do HTTPS: a game loop, a proxy
tunnel.

Rule 2: every failure is a ``GradioError`` that says in a plain sentence which side is to blame.

Certificates are checked as everywhere in Python: against the system's authorities, unless the
caller gives another ``ssl.SSLContext``.
"""

from __future__ import annotations

import functools
import ssl
from contextlib import suppress
from typing import Final

from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError, LocalProtocolError

_RECORD: Final = 16 * 1024  # RFC 8446 section 5.1: no record carries more plaintext

# X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH (openssl/x509_vfy.h)
_MISMATCHES: Final = frozenset({62, 64})

# OpenSSL's reasons when the peer's first bytes are not a TLS record; 3.2 has a new name.
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}
)


@functools.cache
def default_context() -> ssl.SSLContext:
    """The context for all clients without one: it is shared, since reading the authorities takes 20
    ms."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSWrapper:
    """One end of a TLS connection: the client's, or the server's (``server_side``).

    First send the bytes of ``data_to_send``: they start the handshake. Then give received bytes to
    ``receive``, and after each call, also one that raised, send the bytes of ``data_to_send``. Once
    ``established``, ``send`` turns plaintext into bytes to send.
    """

    def __init__(
        self, context: ssl.SSLContext | None, server_name: str, *, server_side: bool = False
    ) -> None:
        """Begin the handshake with ``server_name``, the host or address of the certificate.

        ``server_side``: *context* has the server's certificate, and ``server_name`` is what errors
        call the peer.

        Raises:
            ConnectFailed: no certificate can have such a name.
        """
        self.server_name = server_name
        """Whom the certificate must be for."""
        self.established = False
        """Whether the handshake is over, with a valid certificate."""
        self.peer_closed = False
        """Whether the peer has said that it sends no more (close_notify).

        As soon as this turns True, tell the engine: ``receive_data`` with the plaintext, if there
        is any, and then once without bytes. Do not wait for the end of the socket, which may stay
        open; when it comes, do not tell it again."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._tls = (context or default_context()).wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=None if server_side else server_name,
            )
        except (ValueError, TypeError) as error:
            raise ConnectFailed(f"{server_name!r} is no name for TLS.", phase="tls") from error
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """Take received bytes, and return the plaintext that they complete.

        ``b""`` is the end of the connection. TLS has a message for a proper end: without it, a
        third party may have cut the connection.

        Raises:
            ConnectFailed: in the handshake: the peer does not speak TLS, or its certificate is not
            valid. ConnectionLost: later: the connection was cut, or the bytes cannot be decrypted.
        """
        if not data:
            self._end()
            return b""
        self._incoming.write(data)
        if not self.established:
            self._shake_hands()
        return self._read() if self.established else b""

    def send(self, plaintext: bytes) -> bytes:
        """The bytes to send so that the peer receives *plaintext*.

        Raises:
            LocalProtocolError: the handshake is not over. ConnectionLost: the connection is broken,
                or we have closed it.
        """
        if not self.established:
            raise LocalProtocolError("The TLS handshake is not over.", phase="tls")
        if plaintext:
            try:
                self._tls.write(plaintext)
            except ssl.SSLError as error:
                raise _lost(f"TLS: {_reason(error)}.") from error
        return self._outgoing.read()

    def data_to_send(self) -> bytes:
        """The bytes of TLS itself to send: of the handshake, new keys, or an alert."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The last bytes to send: everything left, and the close_notify."""
        # Do not wait for the peer's close_notify; ours may be impossible by now.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._outgoing.read()

    def _end(self) -> None:
        # The bytes read so far tell a proper end from a cut. OpenSSL does not: with
        # OP_IGNORE_UNEXPECTED_EOF, which Python sets (3.11.2), both look the same.
        self._incoming.write_eof()
        if not self.established:
            raise ConnectFailed(self._ended_early, phase="tls")
        if not self.peer_closed:
            raise _lost("It was cut without a TLS goodbye.")

    @property
    def _ended_early(self) -> str:
        return f"{self.server_name} ended the connection in the TLS handshake."

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise self._refusal(error) from error
        self.established = True

    def _read(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_RECORD):
                parts.append(part)
            self.peer_closed = True
        except ssl.SSLWantReadError:
            pass  # what is left is the beginning of a record
        except ssl.SSLZeroReturnError:
            self.peer_closed = True  # the same, after a goodbye of our own
        except ssl.SSLError as error:
            # Plaintext before the fault is lost; so is the answer that it belongs to.
            raise _lost(f"TLS: {_reason(error)}.") from error
        return b"".join(parts)

    def _refusal(self, error: ssl.SSLError) -> GradioError:
        host = self.server_name
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _MISMATCHES:
                message = f"The certificate that the server shows is not for {host}."
            else:
                message = f"The certificate of {host} is not trusted: {error.verify_message}."
        elif isinstance(error, ssl.SSLZeroReturnError):
            message = self._ended_early
        elif error.reason in _NOT_TLS:
            message = f"{host} does not speak TLS on this port: is it http:// rather than https://?"
        else:
            message = f"{host} and this machine do not agree on TLS: {_reason(error)}."
        return ConnectFailed(message, phase="tls")


def _lost(message: str) -> ConnectionLost:
    return ConnectionLost(f"The connection was lost. {message}", phase="tls")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
