"""A thousand jobs at once on one client, in every world; afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.server.app import App
from sansio_gradio.testing.adapter_contract import open_files
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters._history import KEPT_WAITING
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.memory import Memory, known_jobs
from tests.support.worlds import WORLDS

MANY = 1000
IN_LINE = 100  # of whom each is told of each other's start


class Meeting:
    """An app one of whose functions returns when it has been called ``MANY`` times."""

    def __init__(self) -> None:
        self.app = App(concurrency_limit=None)
        self.app.add_function(self.meet)
        self.app.add_function(self.queue_up, concurrency_limit=1)
        self.app.add_function(self.open)
        self._all = asyncio.Barrier(MANY)
        self._is_open = asyncio.Event()

    async def meet(self, text: str) -> str:
        await self._all.wait()
        return text

    async def queue_up(self) -> None:
        await self._is_open.wait()

    async def open(self) -> None:
        self._is_open.set()


@pytest.fixture
def url() -> Iterator[str]:
    with serve_in_thread(Meeting().app) as url:
        yield url


@pytest.fixture
def _nothing_is_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.usefixtures("_nothing_is_collected")
def test_a_thousand_jobs_at_once(name: str, url: str) -> None:
    world = WORLDS[name]

    async def meet(client: Any) -> tuple[int, int]:
        before, others = Memory(), known_jobs()
        numbers = [str(number) for number in range(MANY)]
        jobs = [client.submit(number, api_name="/meet") for number in numbers]
        assert [await job for job in jobs] == numbers  # they were there together
        # Only their user knows them by now, without the garbage collector.
        await wait_for(world, lambda: known_jobs() - others == MANY)
        assert min(before.growth()) >= MANY
        del jobs, numbers
        await wait_for(world, lambda: known_jobs() == others)
        return before.growth()

    async def play() -> None:
        async with world.client(url):
            pass  # what the world itself keeps is there now
        tasks, files = world.tasks(), open_files()
        async with world.client(url) as client:
            await meet(client)
            connections = client._core.limits.connections + 2  # with the stream, and a heartbeat
            # Both ends of each, and what wakes the thread of the blocking client.
            await wait_for(world, lambda: open_files() <= files + 2 * connections + 3)
            assert world.tasks() <= tasks + 2 * connections + 1
            objects, blocks = await meet(client)
            assert objects < MANY // 2
            assert blocks < 2 * MANY  # the ledger of these tests keeps a number for each
        await wait_for(world, lambda: open_files() <= files)
        assert world.tasks() <= tasks

    world.run(play)


@pytest.mark.parametrize("name", WORLDS)
def test_what_those_in_line_are_told_of_each_other_is_not_kept(name: str, url: str) -> None:
    world = WORLDS[name]

    async def play() -> None:
        async with world.client(url) as client:
            jobs = [client.submit(api_name="/queue_up") for _ in range(IN_LINE)]
            waiting = {Status.IN_QUEUE, Status.PROCESSING}
            await wait_for(world, lambda: all(job.status().code in waiting for job in jobs))
            await client.predict(api_name="/open")
            for job in jobs:
                await job
            many = 0
            for job in jobs:
                updates = [update async for update in job.updates()]
                statuses = [update for update in updates if isinstance(update, StatusUpdate)]
                ranks = [one.rank for one in statuses if one.code is Status.IN_QUEUE]
                assert ranks == sorted(ranks, reverse=True)
                assert len(ranks) < 2 * KEPT_WAITING
                many += len(ranks) >= KEPT_WAITING
                codes = [one.code for one in statuses if one.code is not Status.IN_QUEUE]
                assert codes == [Status.PROCESSING, Status.FINISHED]
            assert many > IN_LINE // 2

    world.run(play)
