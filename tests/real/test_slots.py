"""Jobs of a function that runs one at a time, cancelled at once: none keeps the others waiting."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.worlds import World, wait_for
from tests.support.worlds import WORLDS

from .server import RealServer
from .test_endings import speaks

pytestmark = pytest.mark.real

ORDERS = [order for count in (2, 3) for order in itertools.permutations(range(count))]


@pytest.fixture(scope="module")
def narrow(version: str) -> Iterator[RealServer]:
    """One job at a time."""
    if not speaks(version, (4, 31)):
        pytest.skip("it cannot be told to stop a job of a shared session")
    with RealServer(version, CONCURRENCY="1") as running:
        yield running


def has_come_to(job: Any, code: Status) -> bool:
    return bool(job.status().code >= code)


async def cancel_at_once(world: World, client: Any, order: tuple[int, ...]) -> None:
    jobs = [client.submit(600, api_name="/slow")]
    await anext(aiter(jobs[0]))
    for _ in order[1:]:
        jobs.append(client.submit(600, api_name="/slow"))
        await wait_for(world, partial(has_come_to, jobs[-1], Status.IN_QUEUE))
    for number in order:
        assert jobs[number].cancel() is True
    # Each of them would keep the only place for a minute.
    probe = client.submit(1, api_name="/slow", timeout=20)
    assert await probe == "slow 0"
    await wait_for(world, lambda: all(job.done() for job in jobs))
    assert all(job.cancelled() for job in jobs)
    assert all(job.outputs() == [] for job in jobs[1:])


@pytest.mark.parametrize("name", ["sockets", "asyncio"])
def test_none_of_those_cancelled_together_keeps_the_place(narrow: RealServer, name: str) -> None:
    world = WORLDS[name]

    async def play() -> None:
        async with world.client(narrow.url, timeouts=Timeouts(close=10)) as client:
            for order in ORDERS:
                await cancel_at_once(world, client, order)
            steps = await client.predict(api_name="/slow_steps")
            await world.sleep(0.3)
            assert await client.predict(api_name="/slow_steps") == steps

    world.run(play)
