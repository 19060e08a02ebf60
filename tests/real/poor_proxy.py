"""A proxy that lets less through than an app needs: no WebSocket, and no ``/config``."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit


@contextlib.contextmanager
def poor_proxy(url: str) -> Generator[str]:
    """In front of *url*; gives its own address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("upgrade"):
                self.send_error(400, "No upgrades")
            elif self.path == "/config":
                self.send_error(404)
            else:
                self.pass_on()

        def do_POST(self) -> None:
            self.pass_on()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            server = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            with (
                contextlib.closing(server),
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                server.request(self.command, self.path, body, dict(self.headers))
                answer = server.getresponse()
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers.get("content-type") or "")
                self.end_headers()  # HTTP/1.0: the end of the connection is the end of the body
                while piece := answer.read1():
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()
