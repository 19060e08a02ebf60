"""Clients that idle about as long as the server keeps a connection, in a process that is busy."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.worlds import WORLDS

from .server import RealServer
from .test_endings import speaks

pytestmark = pytest.mark.real

CLIENTS = 60
KEPT = 5.0  # seconds (uvicorn's default)


@pytest.fixture(scope="module")
def read(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An app with a function ``/read``, and where that notes its calls."""
    if not speaks(version, (4, 0)):
        pytest.skip("its connections are WebSockets, and made for each call")
    ran = tmp_path_factory.mktemp("idle") / "ran.txt"
    with RealServer(version, "turning", ORDER="read", RAN=str(ran)) as server:
        yield server.url, ran


@pytest.mark.parametrize("name", ["sockets", "asyncio"])
def test_none_fails_and_each_call_arrives_once(name: str, read: tuple[str, Path]) -> None:
    world, (url, ran), draw = WORLDS[name], read, random.Random(1)
    ran.write_text("")

    async def visit(pause: float, number: int) -> None:
        async with world.client(url) as client:
            for call in range(2):
                text = f"{number}.{call}"
                assert await client.predict(text, api_name="/read") == "read " + text
                await world.sleep(pause * (1 - call))

    async def be_busy() -> None:
        """No other task of this world runs meanwhile, and other threads run less."""
        give_up = time.monotonic() + 1.5 * KEPT
        while time.monotonic() < give_up:
            pause = time.monotonic() + 0.15
            while time.monotonic() < pause:
                pass
            await world.sleep(0.01)

    async def play() -> None:
        pauses = [draw.uniform(KEPT - 1, KEPT + 1) for _ in range(CLIENTS)]
        visits = [partial(visit, pause, n) for n, pause in enumerate(pauses)]
        await world.together(be_busy, *visits)

    world.run(play)
    assert Counter(ran.read_text().split()) == {"read": 2 * CLIENTS}
