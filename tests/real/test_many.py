"""A crowd of jobs on one client, of whom each is told of each other's start: nothing is left."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from sansio_gradio.testing.adapter_contract import open_files
from sansio_gradio.testing.worlds import wait_for
from tests.support.memory import Memory, known_jobs
from tests.support.worlds import WORLDS

from .server import RealServer
from .test_main_job import needs

pytestmark = pytest.mark.real

MANY = 200  # the server tells them twenty thousand places in its queue


@pytest.mark.parametrize("name", WORLDS)
def test_memory_and_descriptors_are_back_to_where_they_were(
    name: str, version: str, server: RealServer
) -> None:
    needs(version, "crowd")
    world = WORLDS[name]

    async def crowd(client: Any) -> None:
        texts = [str(number) for number in range(MANY)]
        jobs = [client.submit(text, api_name="/echo") for text in texts]
        assert [await job for job in jobs] == texts

    async def play() -> None:
        async with world.client(server.url):
            pass  # what the world itself keeps is there now
        gc.collect()  # what tests before this one have left
        files, others = open_files(), known_jobs()
        async with world.client(server.url) as client:
            await crowd(client)
            await wait_for(world, lambda: known_jobs() <= others)
            memory = Memory()
            await crowd(client)
            await wait_for(world, lambda: known_jobs() <= others)
            objects, blocks = memory.growth()
            assert objects < MANY // 2
            # The last ids are remembered, and the ledger of these tests keeps a number for each.
            assert blocks < 6 * MANY
        await wait_for(world, lambda: open_files() <= files)

    world.run(play)
