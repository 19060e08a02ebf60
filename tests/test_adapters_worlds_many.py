"""A thousand jobs at once on one client, in every world; afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from places import open_files
from worlds import WORLDS, wait_for

from sansio_gradio.server.app import App
from sansio_gradio_adapters._jobs import JobRecord
from sansio_gradio_adapters.server import serve_in_thread

MANY = 1000


class Meeting:
    """An app whose function returns when it has been called ``MANY`` times."""

    def __init__(self) -> None:
        self.app = App(concurrency_limit=None)
        self.app.add_function(self.meet)
        self.waiting = 0
        self._full = asyncio.Event()

    async def meet(self, text: str) -> str:
        self.waiting += 1
        if self.waiting == MANY:
            self._full.set()
        await self._full.wait()
        return text


@pytest.fixture
def served() -> Iterator[tuple[Meeting, str]]:
    meeting = Meeting()
    with serve_in_thread(meeting.app) as url:
        yield meeting, url


def records() -> int:
    """How many jobs are still known to somebody."""
    gc.collect()
    return sum(isinstance(thing, JobRecord) for thing in gc.get_objects())


@pytest.mark.parametrize("name", WORLDS)
def test_a_thousand_jobs_at_once(name: str, served: tuple[Meeting, str]) -> None:
    world = WORLDS[name]
    meeting, url = served

    async def play() -> None:
        async with world.client(url):
            pass  # what the world itself keeps is there now
        tasks, files = world.tasks(), open_files()
        async with world.client(url) as client:
            numbers = [str(number) for number in range(MANY)]
            jobs = [client.submit(number, api_name="/meet") for number in numbers]
            assert [await job for job in jobs] == numbers
            assert meeting.waiting == MANY  # they were there together
            connections = client._core.limits.connections + 2  # with the stream, and a heartbeat
            # Both ends of each, and what wakes the thread of the blocking client.
            await wait_for(world, lambda: open_files() <= files + 2 * connections + 3)
            assert world.tasks() <= tasks + 2 * connections + 1
            del jobs
            await wait_for(world, lambda: records() == 0)
        await wait_for(world, lambda: open_files() <= files)
        assert world.tasks() <= tasks

    world.run(play)
