"""Whoever does not read what a job says holds up nobody, and is told what was dropped."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import JobCancelledError
from sansio_gradio.limits import Limits
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from tests.support.places import SERVERS, in_every_world, serve

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
    limits = Limits(kept_outputs=1000)  # bytes: of a few numbers
    async with place.client(limits=limits) as client:
        job = client.submit(60, api_name="/stepped")
        place.lively.steps.release()
        count = 0
        async for output in job:
            assert output == count
            count += 1
            place.lively.steps.release()
        assert count == 60
        assert job.skipped > 0
    assert place.lively.steps.acquire(blocking=False)  # the one step too many


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


FLOOD = 100  # outputs, of 100 kB
FLOODED = Limits(kept_outputs=20 * 100_000)


EVENT_STREAMS = (4,)  # the version that brought them


def demand_event_streams(place: Place) -> None:
    if place.lively.app.version < EVENT_STREAMS:
        pytest.skip("no job waits on a WebSocket, which has to answer pings")


async def until_paused(place: Place, client: Any, job: Any) -> None:
    """Wait until what the job yields stays with the server, and others go on."""
    await place.until(lambda: job._record.is_paused)
    assert await client.predict("others", api_name="/echo") == "others"
    assert not job.done()


@in_every_world
async def test_an_isolated_job_waits_for_its_reader(place: Place) -> None:
    demand_event_streams(place)
    async with place.client(limits=FLOODED) as client:
        job = client.submit(FLOOD, api_name="/flood", isolated=True)
        seen: list[int] = []
        async for output in job:
            if len(seen) in (0, FLOOD // 2):
                await until_paused(place, client, job)
            seen.append(int(output[:6]))
        assert seen == [*range(FLOOD)]
        assert int((await job)[:6]) == FLOOD - 1


@in_every_world
async def test_whoever_waits_for_the_result_need_not_read(place: Place) -> None:
    async with place.client(limits=FLOODED) as client:
        job = client.submit(FLOOD, api_name="/flood", isolated=True)
        reader = aiter(job)
        await anext(reader)
        if place.lively.app.version >= EVENT_STREAMS:
            await until_paused(place, client, job)
        assert int((await job)[:6]) == FLOOD - 1
        assert job.skipped > 0
        assert [int(output[:6]) async for output in reader] == [*range(job.skipped, FLOOD)]


@in_every_world
async def test_a_reader_that_goes_holds_up_nothing(place: Place) -> None:
    demand_event_streams(place)
    async with place.client(limits=FLOODED) as client:
        job = client.submit(FLOOD, api_name="/flood", isolated=True)
        async for _ in job:
            await until_paused(place, client, job)
            break
        gc.collect()
        await place.until(job.done)
        assert int((await job)[:6]) == FLOOD - 1


@in_every_world
async def test_a_job_that_shares_its_stream_never_waits(place: Place) -> None:
    async with place.client(limits=FLOODED) as client:
        job = client.submit(FLOOD, api_name="/flood")
        reader = aiter(job)
        await anext(reader)
        await place.until(job.done)
        assert job.skipped > 0
        assert [int(output[:6]) async for output in reader] == [*range(job.skipped, FLOOD)]


@in_every_world
async def test_a_paused_job_can_be_cancelled(place: Place) -> None:
    demand_event_streams(place)
    async with place.client(limits=FLOODED) as client:
        job = client.submit(FLOOD * 100, api_name="/flood", isolated=True)
        reader = aiter(job)
        await anext(reader)
        await until_paused(place, client, job)
        assert job.cancel()
        with pytest.raises(JobCancelledError):
            await job
        await place.until(lambda: not client._core.jobs)
        assert await client.predict("still", api_name="/echo") == "still"
