"""Every connection is closed, and once: behind an answer read slowly, at the server's end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import time
from urllib.parse import urlsplit

import pytest
from patience import PATIENCE

from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import Server, serve_in_thread

SIZE = 8_000_000  # more than the buffers of both ends take


def test_a_slow_reader_gets_all_and_the_loop_has_nothing_to_complain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    def big() -> str:
        return "x" * SIZE

    app.add_function(big, queue=False)
    body = json.dumps({"data": [], "fn_index": 0}).encode()
    with (
        serve_in_thread(app) as url,
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as sock,
    ):
        sock.sendall(
            b"POST /gradio_api/run/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        time.sleep(0.2)  # the server is to fill the buffers, and to wait
        received = 0
        while data := sock.recv(65536):
            received += len(data)
    assert received > SIZE
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_comes_with_the_end_is_closed(turns: int) -> None:
    async def serve() -> None:
        async with Server(App()) as server:
            asking.setblocking(False)
            with pytest.raises(BlockingIOError):
                asking.connect((server.host, server.port))
            for _ in range(turns):
                await asyncio.sleep(0)

    with socket.socket() as asking:
        asyncio.run(serve())
        asking.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert asking.recv(1) == b""
    gc.collect()  # a socket that was forgotten complains now
