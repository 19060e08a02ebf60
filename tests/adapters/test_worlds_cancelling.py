"""Whoever waits can be cancelled, wherever it waits: the server is told, and nothing is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters.trio import Client
from tests.support.places import SERVERS, serve


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# What is cancelled


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
