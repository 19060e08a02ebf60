"""One endpoint, many inputs: in every world, and never more of them than there is room for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import AppError, JobCancelledError, LocalProtocolError
from sansio_gradio.testing.adapter_contract import Place, keep
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters._jobs import JobRecord
from tests.support.places import SERVERS, in_every_world, serve, where_tasks_are_cancelled


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


class Counted:
    """Inputs, counted as they are asked for."""

    def __init__(self, inputs: list[Any]) -> None:
        self.taken = 0
        self._inputs = inputs

    def __iter__(self) -> Iterator[Any]:
        for item in self._inputs:
            self.taken += 1
            yield item


@in_every_world
async def test_results_come_in_the_order_of_the_inputs(place: Place) -> None:
    texts = [str(number) * (30 - number) for number in range(30)]
    async with place.client() as client:
        assert [result async for result in client.map(texts, "/chat", in_flight=5)] == texts
        pairs = [(number, number + 1) for number in range(5)]
        assert [r async for r in client.map(pairs, api_name="/pair")] == [(b, a) for a, b in pairs]
        number = client.app.endpoint("/echo").fn_index
        assert [result async for result in client.map("ab", fn_index=number)] == ["a", "b"]
        assert [result async for result in client.map([], "/echo")] == []


@in_every_world
async def test_results_as_they_are_ready(place: Place) -> None:
    async with place.client() as client:
        inputs = ["late", *"abcdefgh"]
        found: list[str] = []
        async for result in client.map(inputs, "/late", ordered=False, in_flight=3):
            found.append(result)
            if len(found) == len(inputs) - 1:
                place.lively.go_on.set()
        assert sorted(found) == sorted(inputs)
        assert found[-1] == inputs[0]


@in_every_world
async def test_no_input_is_asked_for_before_there_is_room(place: Place) -> None:
    async with place.client() as client:
        inputs = Counted([str(number) for number in range(100)])
        results = client.map(inputs, "/echo", in_flight=7)
        assert inputs.taken == 0
        count = 0
        async for result in results:
            assert result == str(count)
            count += 1
            assert count <= inputs.taken < count + 7
        assert inputs.taken == count == 100


@in_every_world
async def test_memory_does_not_grow_with_the_inputs(place: Place) -> None:
    gc.collect()
    most = 0
    async with place.client() as client:
        count = 0
        async for _ in client.map(map(str, range(100)), "/echo", in_flight=4):
            count += 1
            if count % 20 == 0:
                gc.collect()
                most = max(most, sum(isinstance(o, JobRecord) for o in gc.get_objects()))
        assert client._core.jobs == {}
    assert most <= 4 + 2  # and what is on its way out of the machine


@in_every_world
async def test_a_call_that_fails_gives_up_the_rest(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        # As "endless" is asked for the one after it, which does not exist, is, too.
        results = client.map([endless.name, "nobody"], "/endless", in_flight=2, ordered=False)
        with pytest.raises(AppError):
            await anext(results)
        assert [result async for result in results] == []
        await place.until(lambda: endless.ended.is_set() or not endless.began.is_set())
        seen: list[Any] = []
        with pytest.raises(AppError, match="1"):
            await keep(client.map("123", "/boom"), seen)
        assert seen == []
        assert await client.predict("still here", api_name="/echo") == "still here"


@in_every_world
async def test_a_call_that_fails_may_be_taken_as_it_is(place: Place) -> None:
    def mixed() -> list[Any]:
        return ["a", ("too", "many"), "b"]

    async with place.client() as client:
        results = [r async for r in client.map(mixed(), "/echo", on_error="return")]
        assert results[::2] == ["a", "b"]
        assert isinstance(results[1], LocalProtocolError)
        assert [r async for r in client.map(mixed(), "/echo", on_error="skip")] == ["a", "b"]


@in_every_world
async def test_an_error_of_the_inputs_is_raised_as_it_is(place: Place) -> None:
    endless = place.lively.new_endless()

    def inputs() -> Iterator[str]:
        yield endless.name
        raise ZeroDivisionError

    async with place.client() as client:
        results = client.map(inputs(), "/endless")
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        await place.until(lambda: client._core.jobs == {})


async def leave_by_break(results: Any) -> None:
    async with results:
        pass
    assert [result async for result in results] == []


async def leave_by_closing(results: Any) -> None:
    results.close()
    assert [result async for result in results] == []


async def leave_by_forgetting(results: Any) -> None:
    del results


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_closing, leave_by_forgetting])
@in_every_world
async def test_leaving_early_gives_up_what_is_under_way(place: Place, leave: Any) -> None:
    one, two = place.lively.new_endless(), place.lively.new_endless()
    async with place.client() as client:
        names = ["nobody", one.name, two.name]  # of whom the first is not there
        results = client.map(names, "/endless", in_flight=2, on_error="return")
        assert isinstance(await anext(results), AppError)
        await place.world.blocking(one.wait_for_begin)
        await leave(results)
        del results
        gc.collect()
        await place.ends(one)
        assert not two.began.is_set()
        assert await client.predict("still here", api_name="/echo") == "still here"


@in_every_world
async def test_what_makes_no_sense_is_refused_at_once(place: Place) -> None:
    async with place.client() as client:
        with pytest.raises(LocalProtocolError, match="in_flight"):
            client.map("ab", "/echo", in_flight=0)
        with pytest.raises(LocalProtocolError, match="on_error"):
            client.map("ab", "/echo", on_error="ignore")
        results = client.map("ab", "/held")
    with pytest.raises(LocalProtocolError, match="closed"):
        client.map("ab", "/echo")
    with pytest.raises(LocalProtocolError, match="closed"):
        await anext(results)


@in_every_world
async def test_closing_the_client_ends_it(place: Place) -> None:
    async with place.client() as client:
        results = client.map("ab", "/held")

        async def read() -> None:
            with pytest.raises(JobCancelledError):
                await anext(results)

        async def close() -> None:
            await place.until(lambda: client._core.jobs)
            await client.close()

        await place.world.together(read, close)


@where_tasks_are_cancelled
async def test_whoever_waits_for_the_next_result_can_be_cancelled(place: Place) -> None:
    async with place.client() as client:
        results = client.map("ab", "/held")

        async def read() -> None:
            await anext(results)

        assert await place.world.within(0.05, read)
        await place.until(lambda: client._core.jobs == {})
        assert [result async for result in results] == []
