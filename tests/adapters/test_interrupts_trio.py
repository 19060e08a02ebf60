"""Ctrl-C between any two steps of the trio client: it comes out when the main task waits next."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.trio import Client
from tests.support.interrupts import interrupted


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    lively = Lively()
    with serve_in_thread(lively.app) as url:
        yield url
        lively.go_on.set()


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in the foreground
    yield
    signal.signal(signal.SIGINT, before)


ctrl_c = partial(signal.raise_signal, signal.SIGINT)


async def talk(client: Client) -> None:
    assert await client.predict("x", api_name="/echo") == "x"
    job = client.submit("abc", api_name="/chat")
    assert [output async for output in job] == ["a", "ab", "abc"]
    client.submit("x", api_name="/echo").cancel()
    async with client.stream_messages("abc", api_name="/chat") as messages:
        async for _ in messages:
            break


async def play(url: str, hits: list[str]) -> None:
    try:
        async with Client(url) as client:
            try:
                await talk(client)
            except KeyboardInterrupt:
                hits.append("in the block")
            assert await client.predict("again", api_name="/echo") == "again"
        assert not client._core.jobs
    except KeyboardInterrupt:
        hits.append("at its ends")


def play_on(url: str, at: int, by: int) -> None:
    where: list[str] = []
    hits: list[str] = []
    while interrupted(lambda: trio.run(play, url, hits), at, handler=ctrl_c):
        assert len(hits) <= 1  # none: it came before trio, or after it
        where += hits
        hits.clear()
        at += by
    assert hits == []
    assert {"in the block", "at its ends"} <= {*where}


@pytest.mark.exhaustive
def test_ctrl_c_at_some_lines(url: str) -> None:
    play_on(url, 2, 1999)


def test_ctrl_c_in_the_middle_of_a_step_is_not_lost(url: str) -> None:
    pressed: list[str] = []

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if direction == "received" and not pressed and b"process_completed" in what:
            pressed.append(direction)
            ctrl_c()

    async def play() -> None:
        async with Client(url, observe=observe) as client:
            job = client.submit("x", api_name="/echo")
            with pytest.raises(KeyboardInterrupt):
                await trio.sleep_forever()
            assert pressed
            assert await job == "x"
            assert await client.predict("again", api_name="/echo") == "again"

    trio.run(play)
