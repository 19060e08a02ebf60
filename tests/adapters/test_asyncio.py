"""What only the asyncio client does: opening without a block, and being forgotten."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import ConnectFailed, LocalProtocolError
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters.asyncio import Client
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.listings import ROOT
from tests.support.worlds import CANCELLING

LOOPS = {name: world for name, world in CANCELLING.items() if name != "trio"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Lively, str]]:
    lively = Lively()
    with serve_in_thread(lively.app) as url:
        yield lively, url
        lively.go_on.set()


@pytest.fixture(params=LOOPS)
def world(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


def test_a_client_is_opened_by_awaiting_it(world: Any, served: tuple[Lively, str]) -> None:
    async def play() -> None:
        client = await Client(served[1])
        assert await client.predict("x", api_name="/echo") == "x"
        async with client as same:
            assert same is client
        with pytest.raises(LocalProtocolError, match="closed"):
            await client
        with pytest.raises(ConnectFailed):
            await Client("http://127.0.0.1:1")
        never = Client(served[1])
        with pytest.raises(LocalProtocolError, match="not connected yet"):
            never.submit("x", api_name="/echo")
        await never.close()

    world.run(play)


def forget(kept: list[object]) -> None:
    kept.clear()
    gc.collect()


def test_a_client_that_is_forgotten_complains_and_leaves(
    world: Any, served: tuple[Lively, str]
) -> None:
    lively, url = served

    async def play() -> None:
        endless = lively.new_endless()
        client = await Client(url)
        kept: list[object] = [client, client.submit(endless.name, api_name="/endless")]
        del client
        await wait_for(world, endless.began.is_set, PATIENCE)
        with pytest.warns(ResourceWarning, match=r"<Client of http.*> was not closed"):
            forget(kept)
        await wait_for(world, endless.ended.is_set, PATIENCE)

    world.run(play)


def test_a_client_lives_as_long_as_one_of_its_jobs(world: Any, served: tuple[Lively, str]) -> None:
    async def play() -> None:
        client = await Client(served[1])
        job = client.submit("x", api_name="/echo")
        del client
        gc.collect()
        assert await job == "x"
        await job._client.close()  # type: ignore[attr-defined]  # which is what it keeps

    world.run(play)


def test_jobs_are_awaited_as_others_are(world: Any, served: tuple[Lively, str]) -> None:
    async def play() -> None:
        async with Client(served[1]) as client:
            jobs = [client.submit(text, api_name="/echo") for text in "abc"]
            assert await asyncio.gather(*jobs) == ["a", "b", "c"]
            held = client.submit("x", api_name="/held")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(held, 0.05)
            assert held.cancelled()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(client.predict(t, api_name="/echo")) for t in "de"]
            assert [task.result() for task in tasks] == ["d", "e"]

    world.run(play)


def test_two_clients_share_a_loop(world: Any, served: tuple[Lively, str]) -> None:
    async def play() -> None:
        async with Client(served[1]) as one, Client(served[1]) as two:
            assert one.session_hash != two.session_hash
            calls = [client.predict("x", api_name="/echo") for client in (one, two) * 5]
            assert await asyncio.gather(*calls) == ["x"] * 10

    world.run(play)


AT_EXIT = """
import asyncio, sys
from sansio_gradio_adapters.asyncio import Client

async def main():
    global client, job
    client = await Client(sys.argv[1])
    job = client.submit("x", api_name="/held")
    print(await client.predict("x", api_name="/echo"))

asyncio.run(main())
"""


def test_a_process_that_never_closes_ends_in_peace(served: tuple[Lively, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, served[1]],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")
