"""A ``ReplayServer`` on a real socket of this machine, for clients that do their own I/O."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

from tests.support.replay import ReplayServer

QUIET_FOR = 0.2  # seconds without a byte: then no longer wait for what the client has not asked


class Loopback:
    """Carries the bytes of one ``ReplayServer``, in a thread, for as long as a ``with`` block."""

    def __init__(self, server: ReplayServer) -> None:
        self.server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._wake.close()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._close_all)
            for waiting in (self._listener, self._woken):
                self._selector.register(waiting, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in self._selector.select(QUIET_FOR)]
                if self._woken in ready:
                    return
                for sock in ready:
                    assert isinstance(sock, socket.socket)
                    self._read(sock)
                if not ready:
                    self.server.idle()
                for conn, data in self.server.outputs():
                    assert isinstance(conn, socket.socket)
                    self._write(conn, data)

    def _read(self, sock: socket.socket) -> None:
        if sock is self._listener:
            conn, _ = sock.accept()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(conn, selectors.EVENT_READ)
            self.server.open(conn)
            return
        try:
            data = sock.recv(65536)
        except OSError:  # reset by the client, which is an end as well
            data = b""
        self.server.receive(sock, data)
        if not data:
            self._drop(sock)

    def _write(self, sock: socket.socket, data: bytes) -> None:
        if not data:
            self._drop(sock)
            return
        with contextlib.suppress(OSError):  # it has left; its end is read next
            sock.sendall(data)

    def _drop(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._selector.unregister(sock)
            sock.close()

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
