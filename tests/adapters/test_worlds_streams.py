"""Messages one by one, and data sent while they come, in every world."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    LocalProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.lively_app import Lively
from tests.support.places import SERVERS, Place, in_every_world, keep, serve
from tests.support.worlds import WORLDS


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Messages


@in_every_world
async def test_messages_are_whole_and_in_order(place: Place) -> None:
    async with place.client() as client:
        async with client.stream_messages("abc", api_name="/chat") as messages:
            seen = [message async for message in messages]
        data = [message["output"]["data"] for message in seen if "output" in message]
        assert data == [["a"], ["ab"], ["abc"], ["abc"]]
        assert seen[-1]["msg"] == "process_completed"
        assert [message async for message in messages] == []
        assert messages.skipped == 0


@in_every_world
async def test_the_failing_message_comes_before_the_error(place: Place) -> None:
    async with place.client() as client, client.stream_messages("no", api_name="/half") as messages:
        seen: list[Any] = []
        with pytest.raises(AppError, match="no"):
            await keep(messages, seen)
        assert seen[-1]["success"] is False
        assert [message async for message in messages] == []


async def until_it_yields(messages: Any) -> None:
    async for message in messages:
        if message.get("msg") == "process_generating":
            return
    raise AssertionError("it never did")


async def leave_by_break(client: Any, name: str) -> None:
    async with client.stream_messages(name, api_name="/endless") as messages:
        await until_it_yields(messages)


async def leave_by_closing(client: Any, name: str) -> None:
    messages = client.stream_messages(name, api_name="/endless")
    await until_it_yields(messages)
    messages.close()
    messages.close()
    assert [message async for message in messages] == []


async def leave_by_forgetting(client: Any, name: str) -> None:
    await until_it_yields(client.stream_messages(name, api_name="/endless"))
    gc.collect()


async def leave_by_error(client: Any, name: str) -> None:
    async def leave() -> None:
        async with client.stream_messages(name, api_name="/endless") as messages:
            await until_it_yields(messages)
            raise KeyError("something else")

    with pytest.raises(KeyError):
        await leave()


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_closing, leave_by_forgetting, leave_by_error]
)
@in_every_world
async def test_leaving_early_ends_the_job(place: Place, leave: Any) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        await leave(client, endless.name)
        await place.ends(endless)
        assert await client.predict("still here", api_name="/echo") == "still here"


@in_every_world
async def test_who_reads_messages_is_told_that_another_closes(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        messages = client.stream_messages(endless.name, api_name="/endless")
        await until_it_yields(messages)

        async def read() -> list[Any]:
            return [message async for message in messages]

        async def close() -> None:
            await place.world.sleep(0.02)
            messages.close()

        seen, _ = await place.world.together(read, close)
        assert all(message["msg"] != "process_completed" for message in seen)
        await place.ends(endless)


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
