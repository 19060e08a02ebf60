"""Whoever waits can be cancelled, wherever it waits: the server is told, and nothing is left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio

from sansio_gradio.errors import JobCancelledError
from sansio_gradio_adapters.trio import Client
from tests.support.lively_app import Endless, Lively
from tests.support.places import SERVERS, Place, open_files, serve, where_tasks_are_cancelled


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


async def all_ended(place: Place, endless: list[Endless]) -> None:
    for one in endless:
        if one.began.is_set():
            await place.until(one.ended.is_set)


# What is cancelled


async def everything(place: Place, begun: list[Endless]) -> None:
    """A client's whole life."""

    def endless() -> str:
        begun.append(place.lively.new_endless())
        return begun[-1].name

    async with place.client() as client:
        assert await client.predict("x", api_name="/echo") == "x"
        await client.get_endpoints()
        job = client.submit("ab", api_name="/chat")
        assert [output async for output in job] == ["a", "ab"]
        assert await job == "ab"
        async with client.stream_messages(endless(), api_name="/endless") as messages:
            await anext(messages)
        async with client.stream_messages(api_name="/chat") as messages:
            await client.send_data({"data": ["ab"]}, {}, client.protocol, {})
            await anext(messages)
        await client.reset_session()
        client.submit(endless(), api_name="/endless")
        outputs = aiter(client.submit(endless(), api_name="/endless"))
        await anext(outputs)


@where_tasks_are_cancelled
async def test_a_client_can_be_cancelled_wherever_it_waits(place: Place) -> None:
    begun: list[Endless] = []
    await everything(place, begun)
    await all_ended(place, begun)
    tasks, files = place.world.tasks(), open_files()
    at, was_cut = 0, True
    while was_cut:
        at += 1
        begun.clear()
        was_cut = await place.world.cut(partial(everything, place, begun), at)
        await place.until(lambda: place.world.tasks() <= tasks)
        await all_ended(place, begun)
    assert at > 10
    gc.collect()
    await place.until(lambda: open_files() <= files)


async def predict(client: Any, name: str) -> None:
    await client.predict(name, api_name="/endless")


async def wait_for_a_result(client: Any, name: str) -> None:
    await client.submit(name, api_name="/endless")


async def wait_for_an_error(client: Any, name: str) -> None:
    await client.submit(name, api_name="/endless").exception()


async def read_messages(client: Any, name: str) -> None:
    async for _ in client.stream_messages(name, api_name="/endless"):
        pass


CALLS = [predict, wait_for_a_result, wait_for_an_error, read_messages]


@pytest.mark.parametrize("call", CALLS)
@where_tasks_are_cancelled
async def test_a_deadline_around_a_call_gives_it_up(place: Place, call: Any) -> None:
    async with place.client() as client:
        endless = place.lively.new_endless()
        assert await place.world.within(0.2, partial(call, client, endless.name))
        await all_ended(place, [endless])
        assert await client.predict("still here", api_name="/echo") == "still here"


@pytest.mark.parametrize(("call", "at"), [*((call, 1) for call in CALLS), (read_messages, 5)])
@where_tasks_are_cancelled
async def test_a_call_that_is_cancelled_takes_no_other_along(
    place: Place, call: Any, at: int
) -> None:
    async with place.client() as client:
        endless = place.lively.new_endless()
        other = client.submit("x", api_name="/held")
        assert await place.world.cut(partial(call, client, endless.name), at)
        await all_ended(place, [endless])
        assert not other.done()
        place.lively.go_on.set()
        assert await other == "x"


@where_tasks_are_cancelled
async def test_who_only_reads_along_gives_nothing_up(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("x", api_name="/held")

        async def read() -> None:
            async for _ in job:
                pass

        async def read_updates() -> None:
            async for _ in job.updates():
                pass

        async def wait_a_little() -> None:
            await job.result(60)

        for call in (read, read_updates):
            assert await place.world.within(0.05, call)
            assert not job.done()
        assert await place.world.within(0.05, wait_a_little)
        assert job.cancelled()


@where_tasks_are_cancelled
async def test_a_body_that_is_cancelled_still_tells_the_server(place: Place) -> None:
    endless = place.lively.new_endless()
    jobs: list[Any] = []

    async def live() -> None:
        async with place.client() as client:
            jobs.append(client.submit(endless.name, api_name="/endless"))
            await place.until(endless.began.is_set)
            await place.world.sleep(60)

    assert await place.world.within(0.5, live)
    assert jobs[0].cancelled()
    with pytest.raises(JobCancelledError):
        await jobs[0]
    await all_ended(place, [endless])


@where_tasks_are_cancelled
async def test_a_goodbye_that_is_cancelled_is_short(place: Place) -> None:
    tasks = place.world.tasks()
    at, was_cut = 0, True
    while was_cut:
        at += 1
        endless = place.lively.new_endless()
        async with place.client() as client:
            job = client.submit(endless.name, api_name="/endless")
            # A server never hears that a client has gone which had not opened its stream.
            await place.until(job.outputs)
            was_cut = await place.world.cut(client.close, at)
        await all_ended(place, [endless])
        await place.until(lambda: place.world.tasks() <= tasks)


@where_tasks_are_cancelled
async def test_a_stream_whose_reader_was_cancelled_is_over(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        messages = client.stream_messages(endless.name, api_name="/endless")

        async def read() -> None:
            async for _ in messages:
                pass

        assert await place.world.within(0.1, read)
        await all_ended(place, [endless])
        assert [message async for message in messages] == []


def test_in_trio_what_need_not_wait_can_be_cancelled_too(served: tuple[Lively, str]) -> None:
    async def play() -> None:
        async with Client(served[1]) as client:
            job = client.submit("x", api_name="/echo")
            await job
            for ask in (job.result, job.exception, aiter(job).__anext__, client.reset_session):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await ask()
                assert scope.cancelled_caught
            assert await job == "x"

    trio.run(play)


def test_in_trio_ctrl_c_within_the_clients_tasks_comes_out_as_it_is(
    served: tuple[Lively, str],
) -> None:
    pressed = threading.Event()

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    async def play() -> None:
        async with Client(served[1], observe=observe) as client:
            job = client.submit("x", api_name="/held")
            pressed.set()
            with pytest.raises(KeyboardInterrupt):
                await job

    with pytest.raises(KeyboardInterrupt):
        trio.run(play)
