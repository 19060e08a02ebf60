"""A second host: it writes down every byte that reaches it, and finds credentials in them.

``Recorder`` answers everything alike, or carries the bytes to a server. ``HTTPProxy`` is a proxy
that does the same to what passes: absolute-form requests and CONNECT, with or without a login.
``Balancer`` stands before replicas of one app, and knows its visitors by a cookie. ``Redirector``
stands before an app, and sends some requests elsewhere. ``Front`` stands before an app as nginx
does: TLS, a path, a limit for bodies.

All threads and sockets of a host are gone when its ``with`` is left.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import ssl
from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import quote, quote_plus, urlsplit

import attrs

from tests.support.threaded_server import ThreadedServer

NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"
READ: Final = 65536


def forms(secret: str) -> set[bytes]:
    """The forms in which *secret* may stand in what a client sends."""
    assert len(secret) >= 8, "a short one may be there by chance"
    raw = secret.encode()
    found = {raw, quote_plus(secret).encode()}
    found |= {quote(secret, safe=safe).encode() for safe in ("", "/")}
    found.add(json.dumps(secret)[1:-1].encode())
    # Base64 has three forms of a text in the middle of others; its first and last letter may mix.
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        found.add(coded[(0, 2, 4)[before] : len(coded) - 4].rstrip(b"="))
    return found


class Host(ThreadedServer):
    """Listens on this machine; what comes on each connection is kept."""

    def __init__(
        self, host: str = "127.0.0.1", *, path: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.records: list[bytearray] = []
        """What came on each connection, decrypted."""
        self._tls = tls
        if path is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, 0), family=family)
            self.port: int = listener.getsockname()[1]
        else:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            listener.listen()
            self.port = 0
        super().__init__(listener)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self.place}"

    @property
    def received(self) -> bytes:
        return b"\n".join(map(bytes, self.records))

    def finds(self, secret: str) -> bool:
        """Whether *secret* came, in whatever form."""
        received = self.received
        return any(form in received for form in forms(secret))

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        """Talk on one connection, up to its end."""
        raise NotImplementedError

    def carry(self, sock: socket.socket, record: bytearray, to: socket.socket) -> None:
        """Carry bytes both ways until one side has ended."""
        pair = {sock: to, to: sock}
        while True:
            waits = isinstance(sock, ssl.SSLSocket) and sock.pending()
            ready = [sock] if waits else select.select(list(pair), [], [])[0]
            for side in ready:
                data = side.recv(READ)
                if not data:
                    return
                if side is sock:
                    record += data
                pair[side].sendall(data)

    def connect(self, place: tuple[str, int]) -> socket.socket:
        """A connection from here to a server."""
        sock = socket.create_connection(place)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(sock)
        return sock

    def talk(self, sock: socket.socket) -> None:
        record = bytearray()
        self.records.append(record)
        if self._tls is None:
            self.serve(sock, record)
            return
        with self._tls.wrap_socket(sock, server_side=True) as secured:  # a client may not trust us
            self._open.add(secured)
            self.serve(secured, record)


@attrs.frozen
class _Asked:
    """The head of a request, and what came behind it."""

    first: str
    lines: list[str]
    rest: bytes

    @classmethod
    def read(cls, sock: socket.socket, record: bytearray) -> Self:
        head, rest = _read_head(sock)
        record += head + rest
        first, *lines = head.decode("latin-1").split("\r\n")
        return cls(first, [line for line in lines if line], rest)

    def passed_on(
        self, first: str, *fields: str, without: tuple[str, ...] = (), closes: bool = False
    ) -> bytes:
        """The same for another server. The connection ends with the answer, unless it becomes a
        WebSocket; with *closes*, in any case."""
        dropped = ("connection:", *without)
        kept = [line for line in self.lines if not line.lower().startswith(dropped)]
        is_socket = any(line.lower().startswith("upgrade:") for line in kept) and not closes
        ending = f"connection: {'Upgrade' if is_socket else 'close'}"
        return "\r\n".join([first, *fields, *kept, ending, "", ""]).encode("latin-1") + self.rest


class Recorder(Host):
    """Gives every request the same *answer*, or carries the bytes *to* a server (host and port)."""

    def __init__(
        self,
        to: str | None = None,
        answer: bytes = NOT_FOUND,
        *,
        host: str = "127.0.0.1",
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host, path=path, tls=tls)
        self._to = to
        self._answer = answer

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        if self._to is not None:
            with self.connect(_place(self._to)) as server:
                self.carry(sock, record, server)
            return
        asked = 0
        while data := sock.recv(READ):
            record += data
            while record.count(b"\r\n\r\n") > asked:
                asked += 1
                sock.sendall(self._answer)


class HTTPProxy(Host):
    """An HTTP proxy. *login*: the ``user:password`` that it wants.

    *hosts*: where names lead, as ``{"app.example:80": "127.0.0.1:7860"}``; other places are asked
    as they are named. *refuse*: the answer to a CONNECT, or to any request, in place of the
    server's.
    """

    def __init__(
        self,
        *,
        login: str | None = None,
        hosts: Mapping[str, str] | None = None,
        refuse: bytes | None = None,
    ) -> None:
        super().__init__()
        self.asked: list[str] = []
        """The first line of each request, and of each CONNECT."""
        self._login = login
        self._hosts = hosts or {}
        self._refuse = refuse

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        asked = _Asked.read(sock, record)
        self.asked.append(asked.first)
        method, target, _ = asked.first.split(" ")
        wanted = base64.b64encode((self._login or "").encode()).decode()
        if self._refuse is not None:
            sock.sendall(self._refuse)
        elif self._login is not None and f"proxy-authorization: Basic {wanted}" not in asked.lines:
            body = b"<html>who are you?</html>"
            sock.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'proxy-authenticate: Basic realm="here"\r\n'
                b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            )
        elif method == "CONNECT":
            with self.connect(_place(self._hosts.get(target, target))) as server:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(asked.rest)
                self.carry(sock, record, server)
        else:
            url = urlsplit(target)
            place = url.netloc if ":" in url.netloc else f"{url.netloc}:80"
            query = f"?{url.query}" if url.query else ""
            first = f"{method} {url.path or '/'}{query} HTTP/1.1"
            with self.connect(_place(self._hosts.get(place, place))) as server:
                own = ("proxy-authorization:",)
                server.sendall(asked.passed_on(first, without=own, closes=True))
                self.carry(sock, record, server)


class Balancer(Host):
    """Stands before replicas of an app. Gives each visitor without its cookie the next replica."""

    COOKIE: Final = "affinity"

    def __init__(self, *replicas: str) -> None:
        super().__init__()
        self.given = 0
        """Visitors that were given a replica."""
        self._replicas = replicas

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        asked = _Asked.read(sock, record)
        cookies = [line for line in asked.lines if line.lower().startswith("cookie:")]
        known = [at for at in range(len(self._replicas)) if f"{self.COOKIE}={at}" in str(cookies)]
        at = known[0] if known else self.given % len(self._replicas)
        with self.connect(_place(self._replicas[at])) as server:
            server.sendall(asked.passed_on(asked.first))
            if not known:
                self.given += 1
                answer, more = _read_head(server)
                cookie = f"\r\nset-cookie: {self.COOKIE}={at}; Path=/\r\n\r\n".encode()
                sock.sendall(answer[:-4] + cookie + more)
            self.carry(sock, record, server)


class Redirector(Host):
    """Stands before an app. Redirects requests for *paths* to the same path of *away*."""

    def __init__(self, to: str, away: str, *paths: str, status: int = 307) -> None:
        super().__init__()
        self.redirected = 0
        """Requests that were."""
        self._to = to
        self._away = away
        self._paths = paths
        self._status = status

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        asked = _Asked.read(sock, record)
        _, target, _ = asked.first.split(" ")
        if any(path in target for path in self._paths):
            self.redirected += 1
            where = f"location: {self._away}{target}"
            start = f"HTTP/1.1 {self._status} Elsewhere"
            answer = "\r\n".join([start, where, "content-length: 0", "connection: close", "", ""])
            sock.sendall(answer.encode())
            return
        with self.connect(_place(self._to)) as server:
            server.sendall(asked.passed_on(asked.first))
            self.carry(sock, record, server)


class Front(Host):
    """Stands before an app, which is at *path* here. A body beyond *limit* (bytes) is refused with
    a page. It says nothing to the app of its own scheme, host and path."""

    def __init__(
        self, to: str, path: str, limit: int = 1 << 20, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls=tls)
        self._to = to
        self._path = path
        self._limit = limit

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        asked = _Asked.read(sock, record)
        method, target, _ = asked.first.split(" ")
        fields = dict(line.lower().split(": ", 1) for line in asked.lines)
        if int(fields.get("content-length", "0")) > self._limit:
            sock.sendall(_page("413 Request Entity Too Large"))
            while sock.recv(READ):  # a close with bytes unread would overtake the answer
                pass
            return
        if not target.startswith(self._path):
            sock.sendall(_page("404 Not Found"))
            return
        first = f"{method} /{target.removeprefix(self._path)} HTTP/1.1"
        with self.connect(_place(self._to)) as server:
            server.sendall(asked.passed_on(first, "host: upstream", without=("host:",)))
            self.carry(sock, record, server)


def _page(title: str) -> bytes:
    body = f"<html><head><title>{title}</title></head></html>".encode()
    head = f"HTTP/1.1 {title}\r\ncontent-type: text/html\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """A head with its empty line, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(READ)
        if not more:
            raise ConnectionError("it ended before its head was there")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest
