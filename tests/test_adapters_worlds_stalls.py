"""Whoever does not read what a job says holds up nobody, and is told what was dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lively_app import Lively
from places import SERVERS, Place, in_every_world, serve

from sansio_gradio.limits import Limits

TEXT = "0123456789" * 100
LIMITS = Limits(kept_outputs=len(TEXT) * 10)  # bytes: of a fraction of its outputs


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


@in_every_world
async def test_outputs_that_nobody_reads(place: Place) -> None:
    async with place.client(limits=LIMITS) as client:
        job = client.submit(TEXT, api_name="/chat")
        assert await client.predict("others", api_name="/echo") == "others"
        assert await job == TEXT
        kept = job.outputs()
        assert job.skipped > 0
        assert kept == [TEXT[: end + 1] for end in range(job.skipped, len(TEXT))]
        assert [output async for output in job] == kept
        short = client.submit("abc", api_name="/chat")
        assert await short == "abc"
        assert short.skipped == 0


@in_every_world
async def test_whoever_keeps_up_misses_nothing(place: Place) -> None:
    endless = place.lively.new_endless()
    limits = Limits(kept_outputs=1000)  # bytes: of a few numbers
    async with place.client(limits=limits) as client:
        job = client.submit(endless.name, api_name="/endless")
        count = 0
        async for output in job:
            assert output == count
            count += 1
            if count == 60:
                break
        assert job.skipped > 0
        job.cancel()
    await place.ends(endless)


@in_every_world
async def test_messages_that_nobody_reads(place: Place) -> None:
    async with place.client(limits=LIMITS) as client:
        messages = client.stream_messages(TEXT, api_name="/chat")
        endless = place.lively.new_endless()
        others = client.stream_messages(endless.name, api_name="/endless")
        assert await client.predict("others", api_name="/echo") == "others"
        await place.until(lambda: len(client._core.jobs) == 1)
        seen: list[Any] = [message async for message in messages]
        assert messages.skipped > 0
        assert len(seen) + messages.skipped >= len(TEXT) + 1
        yields = [m["output"]["data"][0] for m in seen if m["msg"] == "process_generating"]
        assert yields == [TEXT[: end + 1] for end in range(len(TEXT) - len(yields), len(TEXT))]
        assert seen[-1]["output"]["data"] == [TEXT]
        others.close()
        await place.ends(endless)
