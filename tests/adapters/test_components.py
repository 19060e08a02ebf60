"""Server functions of components, in every world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sansio_gradio.client.call import Call
from sansio_gradio.errors import DeadlineExceeded, LocalProtocolError
from sansio_gradio_adapters.sockets import Client
from tests.support.worlds import WORLDS

CONFIG = {
    "version": "6.31.0",
    "protocol": "sse_v3",
    "api_prefix": "/gradio_api",
    "components": [{"id": 7, "type": "fileexplorer", "props": {"server_fns": ["ls", "slow"]}}],
    "dependencies": [],
}


class Explorer(BaseHTTPRequestHandler):
    """The server role has no such components: this one says what gradio@6.31.0 does."""

    def do_GET(self) -> None:
        self.say(CONFIG if self.path == "/config" else None)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/gradio_api/component_server" and asked["fn_name"] == "ls":
            self.say([{"name": name, "of": asked["component_id"]} for name in asked["data"]])
        else:
            self.rfile.read(1)  # until the client has left

    def say(self, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Explorer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", WORLDS)
def test_a_function_of_a_component_is_called_like_an_endpoint(name: str, url: str) -> None:
    world = WORLDS[name]

    async def scenario() -> None:
        async with world.client(url) as client:
            job = client.call_component(7, "ls", ["a"])
            assert await job == [{"name": "a", "of": 7}]
            assert job.outputs() == [[{"name": "a", "of": 7}]]
            with pytest.raises(LocalProtocolError, match="7: ls, slow"):
                await client.call_component(7, "rm")
            with pytest.raises(DeadlineExceeded):
                await client.call_component(7, "slow", timeout=0.1)

    world.run(scenario)


@pytest.mark.parametrize(("values", "shaped"), [((1,), 1), ((1, 2), (1, 2)), ((), ())])
def test_what_was_rendered_and_is_gone_again_still_has_its_values(
    values: tuple[int, ...], shaped: object, url: str
) -> None:
    with Client(url) as client:
        assert client._core._shape(Call(api_name="/rendered"), values) == shaped
