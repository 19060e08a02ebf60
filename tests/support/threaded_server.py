"""A server of tests with a thread for each connection. All are gone when its ``with`` is left."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from sansio_gradio.testing.patience import PATIENCE


class ThreadedServer(ABC):
    """Takes what *listener* is asked for, and talks on each connection in a thread."""

    def __init__(self, listener: socket.socket) -> None:
        self.stopping = threading.Event()
        self._listener = listener
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @abstractmethod
    def talk(self, sock: socket.socket) -> None:
        """Talk on one connection, up to its end, and close it. An ``OSError`` ends it, too."""

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        name = type(self).__name__
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                sock, _ = self._listener.accept()
                self._open.add(sock)
                self._start(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            self.talk(sock)
        self._open.discard(sock)
