"""One iterator, two readers: each item goes to one of them, and both end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import AppError, JobCancelledError
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.testing.adapter_contract import Place, keep
from sansio_gradio.testing.lively_app import Lively
from tests.support.places import SERVERS, in_every_world, serve, where_tasks_are_cancelled

TEXT = "abcdefghij"
ALL = [TEXT[: end + 1] for end in range(len(TEXT))]


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


async def read_by_two(place: Place, items: Any) -> tuple[list[Any], list[Any]]:
    """What each has got; an error, too, is kept."""
    seen: tuple[list[Any], list[Any]] = [], []

    async def read(mine: list[Any]) -> None:
        try:
            await keep(items, mine)
        except AppError as error:
            mine.append(error)

    await place.world.together(lambda: read(seen[0]), lambda: read(seen[1]))
    return seen


@pytest.mark.parametrize("ordered", [True, False])
@in_every_world
async def test_results_of_map(place: Place, ordered: bool) -> None:
    inputs = [str(number) for number in range(40)]
    async with place.client() as client:
        results = client.map(iter(inputs), "/echo", in_flight=3, ordered=ordered)
        one, other = await read_by_two(place, results)
        assert sorted(one + other) == sorted(inputs)
        if ordered:
            assert [*map(int, one)] == sorted(map(int, one))
        assert [result async for result in results] == []


@in_every_world
async def test_results_of_map_that_fails(place: Place) -> None:
    async with place.client() as client:
        one, other = await read_by_two(place, client.map(["no"] * 9, "/boom", in_flight=2))
        assert 1 <= len(one + other) <= 2
        assert all(isinstance(error, AppError) for error in one + other)
        assert await client.predict("x", api_name="/echo") == "x"


@in_every_world
async def test_one_reader_of_map_goes_on_where_the_other_leaves(place: Place) -> None:
    async with place.client() as client:
        results = client.map("abc", "/echo", in_flight=1)

        async def take_one() -> None:
            first.append(await anext(results, "nothing was left"))

        first: list[str] = []
        rest: list[str] = []
        await place.world.together(take_one, lambda: keep(results, rest))
        assert sorted({*first, *rest} - {"nothing was left"}) == ["a", "b", "c"]


@in_every_world
async def test_outputs_of_a_job(place: Place) -> None:
    async with place.client() as client:
        job = client.submit(TEXT, api_name="/chat")
        one, other = await read_by_two(place, aiter(job))
        assert sorted(one + other) == ALL
        assert one == sorted(one)
        only = client.submit("x", api_name="/echo")
        one, other = await read_by_two(place, aiter(only))
        assert one + other == ["x"]


@in_every_world
async def test_outputs_of_a_job_that_fails(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("no", api_name="/half")
        one, other = await read_by_two(place, aiter(job))
        assert isinstance(one.pop(), AppError)
        assert isinstance(other.pop(), AppError)
        assert sorted(one + other) == ["a", "ab"]


@in_every_world
async def test_updates(place: Place) -> None:
    async with place.client() as client:
        job = client.submit(TEXT, api_name="/chat")
        one, other = await read_by_two(place, job.updates())
        yields = [update for update in one + other if not isinstance(update, StatusUpdate)]
        assert sorted(update.outputs for update in yields if not update.final) == ALL
        assert [update.outputs for update in yields if update.final] == [TEXT]
        codes = [update.code for update in one + other if isinstance(update, StatusUpdate)]
        assert codes.count(Status.FINISHED) == 1


@in_every_world
async def test_messages(place: Place) -> None:
    async with place.client() as client:
        alone = [message async for message in client.stream_messages(TEXT, api_name="/chat")]
        stream = client.stream_messages(TEXT, api_name="/chat")
        one, other = await read_by_two(place, stream)
        found = [m["output"]["data"] for m in one + other if m["msg"] == "process_generating"]
        assert sorted(found) == sorted(
            m["output"]["data"] for m in alone if m["msg"] == "process_generating"
        )
        assert sum(m["msg"] == "process_completed" for m in one + other) == 1


@where_tasks_are_cancelled
async def test_a_reader_that_is_cancelled_takes_nothing(place: Place) -> None:
    async with place.client() as client:
        job = client.submit(6, api_name="/stepped")
        reader = aiter(job)
        seen: list[int] = []
        for count in range(6):
            assert await place.world.within(0.001, lambda: anext(reader))
            place.lively.steps.release()
            seen.append(await anext(reader))
            assert seen == [*range(count + 1)]
        assert [item async for item in reader] == []


@in_every_world
async def test_a_cancel_ends_both(place: Place) -> None:
    async with place.client() as client:
        endless = place.lively.new_endless()
        job = client.submit(endless.name, api_name="/endless")
        reader = aiter(job)
        ended: list[bool] = []

        async def read() -> None:
            try:
                async for number in reader:
                    if number > 5:
                        job.cancel()
            except JobCancelledError:
                ended.append(True)

        await place.world.together(read, read)
        assert ended == [True, True]
        await place.ends(endless)
