"""Calls, their outputs and updates, in every world."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Iterator

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    LocalProtocolError,
    QueueFullError,
)
from sansio_gradio.server.app import App
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_sockets import tls_in_front_of
from tests.adapters.test_tls import client_context, server_context
from tests.support.places import SERVERS, in_every_world, serve
from tests.support.worlds import WORLDS


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Calling


@in_every_world
async def test_calls_that_cannot_be_made_say_so(place: Place) -> None:
    async with place.client() as client:
        with pytest.raises(LocalProtocolError, match="no endpoint"):
            await client.predict(api_name="/nowhere")
        with pytest.raises(LocalProtocolError, match="header"):
            await client.predict("x", api_name="/echo", headers={"a b": "c"})
        job = client.submit("x", nonsense=1, api_name="/echo")
        assert isinstance(await job.exception(), LocalProtocolError)


@in_every_world
async def test_patience_is_a_number(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("x", api_name="/held")
        for wait in (job.result, job.exception):
            with pytest.raises(ValueError, match="timeout is in seconds"):
                await wait(timeout=math.nan)
        place.lively.go_on.set()
        assert await job == "x"


@in_every_world
async def test_what_is_known_of_the_app(place: Place) -> None:
    async with place.client() as client:
        assert client.protocol == place.lively.app.protocol
        assert client.config["version"] == place.lively.app.version_text
        assert not client.app.has_info
        names = [endpoint.api_name for endpoint in (await client.get_endpoints()).values()]
        assert "/echo" in names
        assert client.app.has_info
        assert client.endpoints is await client.get_endpoints()
        assert "/echo" in await client.view_api()
        assert "/echo" in (await client.view_api(return_format="dict"))["named_endpoints"]
        assert repr(client) == f"<Client of {place.url}>" or place.world is WORLDS["sockets"]


@in_every_world
async def test_everything_goes_through_tls(place: Place) -> None:
    port = int(place.url.rstrip("/").rpartition(":")[2])
    with tls_in_front_of(port, server_context()) as front:
        url = f"https://localhost:{front}"
        async with place.world.client(url, ssl_context=client_context()) as client:
            assert await client.predict("secret", api_name="/echo") == "secret"
            assert [output async for output in client.submit("ab", api_name="/chat")] == ["a", "ab"]
            big = "x" * 3_000_000
            assert await client.predict(big, api_name="/echo") == big
        with pytest.raises(ConnectFailed, match="not trusted"):
            async with place.world.client(url):
                pass


# Outputs


# Apps of their own


@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
@pytest.mark.parametrize("name", WORLDS)
def test_an_error_that_the_app_hides_is_hidden(name: str, version: str) -> None:
    world = WORLDS[name]
    app = App(version=version)

    @app.endpoint("/secret")
    def secret(text: str) -> str:
        raise ValueError("hunter2")

    async def play() -> None:
        async with world.client(url) as client:
            with pytest.raises(AppError, match="does not show") as caught:
                await client.predict("x", api_name="/secret")
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    with serve_in_thread(app) as url:
        world.run(play)


@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
@pytest.mark.parametrize("name", WORLDS)
def test_a_full_queue_is_the_jobs_error(name: str, version: str) -> None:
    world = WORLDS[name]
    app = App(version=version, max_size=1)
    go_on = threading.Event()

    @app.endpoint("/wait")
    def wait(text: str) -> str:
        go_on.wait(PATIENCE)
        return text

    async def play() -> None:
        async with world.client(url) as client:
            first = client.submit("0", api_name="/wait")
            await wait_for(world, first.running)
            jobs = [client.submit(str(number), api_name="/wait") for number in range(1, 5)]
            await wait_for(world, lambda: sum(job.done() for job in jobs) == 3)
            go_on.set()
            results = [await job.exception(PATIENCE) for job in jobs]
            assert sum(isinstance(result, QueueFullError) for result in results) == 3
            assert await first == "0"

    with serve_in_thread(app) as url:
        world.run(play)
        go_on.set()
