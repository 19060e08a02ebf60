"""Jobs of a function that runs one at a time, cancelled at once: none keeps the others waiting."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from sansio_gradio.protocol.status import Status
from sansio_gradio.server.app import App
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.worlds import WORLDS

ORDERS = [order for count in (2, 3) for order in itertools.permutations(range(count))]


class Narrow:
    """An app with one function, which notes which calls of it run."""

    def __init__(self, version: str) -> None:
        self.app = App(version=version, concurrency_limit=1)
        self.app.add_function(self.slow)
        self.running: set[str] = set()
        self._never = threading.Event()

    def slow(self, name: str) -> Iterator[str]:
        self.running.add(name)
        try:
            yield name
            while name != "probe":
                self._never.wait(0.005)
                yield name
        finally:
            self.running.remove(name)


@pytest.mark.exhaustive
# /cancel came with 4.31. Before, /reset is exact. A WebSocket is closed.
@pytest.mark.parametrize("version", ["3.50.2", "4.16.0", "4.29.0", "4.44.1", "6.13.0", "6.31.0"])
@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("name", WORLDS)
def test_none_of_those_cancelled_together_keeps_the_place(
    name: str, version: str, isolated: bool
) -> None:
    world, narrow = WORLDS[name], Narrow(version)

    def has_come_to(job: Any, code: Status) -> bool:
        return bool(job.status().code >= code)

    async def cancel_at_once(client: Any, order: tuple[int, ...]) -> None:
        jobs = [client.submit("0", api_name="/slow", isolated=isolated)]
        await anext(aiter(jobs[0]))
        for number in range(1, len(order)):
            jobs.append(client.submit(str(number), api_name="/slow", isolated=isolated))
            await wait_for(world, partial(has_come_to, jobs[-1], Status.IN_QUEUE))
        for number in order:
            assert jobs[number].cancel() is True
        assert await client.predict("probe", api_name="/slow", timeout=PATIENCE) == "probe"
        await wait_for(world, lambda: all(job.cancelled() for job in jobs))
        await wait_for(world, lambda: not narrow.running)

    async def play() -> None:
        with serve_in_thread(narrow.app) as url:
            async with world.client(url) as client:
                for order in ORDERS:
                    await cancel_at_once(client, order)

    world.run(play)
