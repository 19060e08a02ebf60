"""A small app on a real socket that hands out files, each as its test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from sansio_gradio.protocol.files import META

MARKS = {"etag": '"1"', "last-modified": "Mon, 30 Nov 2026 09:00:00 GMT"}

Give = Callable[["Request"], object]


def file(path: str, **more: Any) -> dict[str, Any]:
    """A file in a result."""
    return {
        "path": path,
        "url": "http://elsewhere.example/",
        "orig_name": None,
        "meta": META,
        **more,
    }


class Request(BaseHTTPRequestHandler):
    """One request; the test's function answers it."""

    protocol_version = "HTTP/1.1"

    @property
    def _shelf(self) -> Shelf:
        assert isinstance(self.server, _HTTPServer)
        return self.server.shelf

    def do_GET(self) -> None:
        shelf = self._shelf
        if self.path == "/config":
            self.give(json.dumps(shelf.config).encode())
            return
        with shelf.lock:
            shelf.asked.append((self.command, self.path, self.headers.get("range")))
            shelf.busy += 1
            shelf.busiest = max(shelf.busiest, shelf.busy)
        try:
            shelf.files[self.path.removeprefix("/")](self)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client has gone
        finally:
            with shelf.lock:
                shelf.busy -= 1

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.give(json.dumps({"data": self._shelf.result}).encode())

    def head(self, status: int = 200, headers: Mapping[str, object] | None = None) -> None:
        """The head of an answer."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        self.end_headers()

    def give(
        self, content: bytes, status: int = 200, headers: Mapping[str, object] | None = None
    ) -> None:
        """A whole answer, or, to HEAD, its head."""
        self.head(status, {"content-length": len(content), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang_up(self) -> None:
        """End the connection, in the middle of the answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    shelf: Shelf

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the client has closed is no news."""


class Shelf:
    """``files``: what answers to each path; ``result``: of the function ``/give``."""

    def __init__(self, files: dict[str, Give], *, kind: str = "file", outputs: int = 1) -> None:
        parts = [{"id": n, "type": kind, "props": {}} for n in range(outputs)]
        function = {"id": 0, "api_name": "give", "inputs": [], "outputs": list(range(outputs))}
        self.config = {
            "version": "6.31.0",
            "protocol": "sse_v3",
            "components": parts,
            "dependencies": [{**function, "queue": False, "types": {"generator": False}}],
        }
        self.files: dict[str, Give] = {f"file={name}": give for name, give in files.items()}
        self.result: list[Any] = [file(name) for name in files]
        self.asked: list[tuple[str, str, str | None]] = []
        self.lock = threading.Lock()
        self.busy = 0
        self.busiest = 0
        self._server = _HTTPServer(("127.0.0.1", 0), Request)
        self._server.shelf = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
