"""Messages one by one, and data sent while they come, in every world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import (
    LocalProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.server.app import App
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.places import SERVERS, in_every_world, serve
from tests.support.worlds import WORLDS


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Messages


# Both ways


@in_every_world
async def test_what_is_sent_comes_to_the_stream_that_listens(place: Place) -> None:
    async with place.client(timeouts=Timeouts(send=0.2)) as client:

        async def send(data: Any) -> Any:
            return await client.send_data({"data": [data]}, {}, client.protocol, {})

        with pytest.raises(LocalProtocolError, match="No stream_messages"):
            await send("x")
        with pytest.raises(ValueError, match="push"):
            await client.send_data({}, {}, "push", {})
        async with client.stream_messages(api_name="/chat") as messages:
            for text in ("ab", "cd"):
                assert await send(text)
                outputs: list[Any] = []
                while (message := await anext(messages))["msg"] != "process_completed":
                    if message["msg"] == "process_generating":
                        outputs += message["output"]["data"]
                assert outputs == [text[:1], text]
        job = client.submit("x", api_name="/echo")
        assert await job == "x"
        with pytest.raises(LocalProtocolError):
            job.send("y")
        with pytest.raises(LocalProtocolError):
            job.end_input()


@pytest.mark.parametrize("name", WORLDS)
def test_a_streaming_input_is_sent_in_pieces(name: str) -> None:
    world = WORLDS[name]
    app = App(concurrency_limit=None)

    @app.endpoint("/frame", streaming=True)
    def frame(picture: str) -> str:
        return f"seen: {picture}"

    async def play() -> None:
        async with world.client(url) as client:
            job = client.submit("1", api_name="/frame")
            outputs = aiter(job)
            assert await anext(outputs) == "seen: 1"
            job.send("2")
            assert await anext(outputs) == "seen: 2"
            job.end_input()
            assert await job == "seen: 2"

    with serve_in_thread(app) as url:
        world.run(play)
