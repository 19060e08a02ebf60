"""Calls, their outputs and updates, in every world."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    LocalProtocolError,
    QueueFullError,
)
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.server.app import App
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters._jobs import OutputUpdate
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_sockets import tls_in_front_of
from tests.adapters.test_tls import client_context, server_context
from tests.support.lively_app import Lively
from tests.support.places import SERVERS, Place, in_every_world, keep, serve
from tests.support.worlds import WORLDS, wait_for


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Calling


@in_every_world
async def test_values_come_as_they_are(place: Place) -> None:
    async with place.client() as client:
        assert await client.predict("hello", api_name="/echo") == "hello"
        assert await client.predict("a", "b", api_name="pair") == ("b", "a")
        assert await client.predict(b=3, a=1, api_name="/add") == 4
        assert await client.predict("plain", api_name="/plain") == "plain"
        assert await client.predict("x-mine", api_name="/headers", headers={"X-Mine": "1"}) == "1"
        assert await client.submit("hello", api_name="/echo") == "hello"


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
async def test_the_apps_own_error_is_raised(place: Place) -> None:
    async with place.client() as client:
        with pytest.raises(AppError, match="too much"):
            await client.predict("too much", api_name="/boom")
        job = client.submit("too much", api_name="/boom")
        assert isinstance(await job.exception(PATIENCE), AppError)
        assert job.done()
        with pytest.raises(AppError, match="too much"):
            await job
        assert await client.predict("still here", api_name="/echo") == "still here"


@in_every_world
async def test_state_is_kept_until_the_session_is_reset(place: Place) -> None:
    async with place.client() as client:
        assert await client.predict(1, api_name="/sum") == 1
        assert await client.predict(2, api_name="/sum") == 3
        before = client.session_hash
        await client.reset_session()
        assert client.session_hash != before
        assert await client.predict(2, api_name="/sum") == 2


@in_every_world
async def test_many_jobs_at_once(place: Place) -> None:
    async with place.client() as client:
        numbers = [str(number) for number in range(60)]
        jobs = [client.submit(number, api_name="/echo") for number in numbers]
        assert [await job for job in jobs] == numbers
        predicts = [partial(client.predict, number, api_name="/echo") for number in numbers]
        assert await place.world.together(*predicts) == numbers


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
async def test_a_large_value_goes_both_ways(place: Place) -> None:
    async with place.client() as client:
        big = "x" * 5_000_000
        small = client.submit("small", api_name="/echo")
        assert await client.predict(big, api_name="/echo") == big
        assert await small == "small"


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


@in_every_world
async def test_every_output_is_seen_by_everybody(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("abc", api_name="/chat")
        early, late = aiter(job), aiter(job)
        assert await anext(early) == "a"
        assert [output async for output in early] == ["ab", "abc"]
        assert await job == "abc"
        assert [output async for output in late] == ["a", "ab", "abc"]
        assert job.outputs() == ["a", "ab", "abc"]
        assert [output async for output in client.submit("x", api_name="/echo")] == ["x"]


@in_every_world
async def test_many_outputs_keep_their_order(place: Place) -> None:
    async with place.client() as client:
        text = "0123456789" * 30
        outputs = [output async for output in client.submit(text, api_name="/chat")]
        assert outputs == [text[: end + 1] for end in range(len(text))]


@in_every_world
async def test_outputs_come_as_they_are_made(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        job = client.submit(endless.name, api_name="/endless")
        outputs = aiter(job)
        assert [await anext(outputs) for _ in range(3)] == [0, 1, 2]
        assert not job.done()
        assert job.running()
        job.cancel()
    await place.ends(endless)


@in_every_world
async def test_the_error_comes_after_the_outputs(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("half way", api_name="/half")
        seen: list[Any] = []
        with pytest.raises(AppError, match="half way"):
            await keep(job, seen)
        assert seen == ["a", "ab"]
        error = await job.exception()
        assert list(error.outputs) == [("a",), ("ab",)]


@in_every_world
async def test_updates_come_in_order_and_the_result_last(place: Place) -> None:
    async with place.client() as client:
        job = client.submit(2, api_name="/work")
        updates = [update async for update in job.updates()]
        codes = [update.code for update in updates if isinstance(update, StatusUpdate)]
        work = [Status.PROGRESS, Status.LOG] * 2
        assert codes[-6:] == [Status.PROCESSING, *work, Status.FINISHED]
        assert updates[-1] == OutputUpdate(outputs="done", final=True, success=True)
        assert job.status().code is Status.FINISHED
        assert repr(job).endswith(": finished>")
        seen: list[Any] = []
        with pytest.raises(AppError):
            await keep(client.submit("no", api_name="/half").updates(), seen)
        assert seen[-1] == OutputUpdate(outputs="ab", final=True, success=False)


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
