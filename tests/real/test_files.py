"""Files on real servers: the scenarios of ``interop_files.py``, short enough for every day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.worlds import WORLDS

from . import interop_files
from .interop_scenarios import SCENARIOS, Stage
from .server import RealServer

pytestmark = pytest.mark.real

FILES = [one for one in SCENARIOS if one.play.__module__ == interop_files.__name__]


@pytest.fixture(scope="module")
def special(version: str) -> Iterator[str]:
    with RealServer(version, app="special") as running:
        yield running.url


@pytest.mark.parametrize("world", WORLDS)
def test_files(version: str, special: str, world: str) -> None:
    """All scenarios in the world of threads, those of a File in the others."""
    numbers = tuple(map(int, version.split(".")))
    stage = Stage(world=WORLDS[world], version=numbers, main=special, special=special)

    async def played() -> None:
        for scenario in FILES:
            in_this_world = world == "sockets" or scenario.title.startswith("File")
            if in_this_world and scenario.lack(numbers) is None:
                await scenario.play(stage)

    WORLDS[world].run(played)
