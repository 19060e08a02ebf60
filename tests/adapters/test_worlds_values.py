"""What a job yields, where edits come without what they are edits of: in every world and reader."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import AppError, RemoteProtocolError
from sansio_gradio.events import Anomaly
from sansio_gradio.limits import Limits
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import JSON, TEXTBOX
from sansio_gradio.testing.adapter_contract import Place, keep
from sansio_gradio_adapters._jobs import OutputUpdate
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.places import in_every_world
from tests.support.worlds import WORLDS

ONE, TWO, ANY = "/one", "/two", "/any"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, str]]:
    app = App(version="4.44.1", show_error=True, concurrency_limit=None)
    kinds = {"one": [TEXTBOX], "two": [TEXTBOX, TEXTBOX], "any": [JSON]}
    for name, components in kinds.items():
        returns = tuple(Slot(name=f"{n}", component=kind) for n, kind in enumerate(components))
        app.add(
            name,
            call=play,
            parameters=(Slot(name="script", component=TEXTBOX),),
            returns=returns,
            generator=True,
            scripted=True,
        )
    with serve_in_thread(app) as url:
        yield _NoLively(), url


class _NoLively:
    """What ``places`` asks of an app."""

    class go_on:  # noqa: N801  # as it is called there
        @staticmethod
        def clear() -> None: ...


def play(script: str) -> Iterator[Any]:
    yield from json.loads(script)


def yields(*data: list[Any]) -> list[dict[str, Any]]:
    return [{"msg": "process_generating", "output": {"data": one}, "success": True} for one in data]


def returns(*data: Any) -> dict[str, Any]:
    return {"msg": "process_completed", "output": {"data": [*data]}, "success": True}


FAILS = {"msg": "process_completed", "output": {"error": "no"}, "success": False}
APPEND = [["append", [], "!"]]
READERS = ("iterating", "outputs", "updates", "messages")


async def read(client: Any, how: str, script: list[Any], api_name: str) -> list[Any]:
    """Every output that a reader is given, up to the result; how many were skipped comes last."""
    text = json.dumps(script)
    found: list[Any] = []
    if how == "messages":
        stream = client.stream_messages(text, api_name=api_name)
        messages: list[Any] = []
        with contextlib.suppress(AppError):
            await keep(stream, messages)
        found = [m["output"]["data"] for m in messages if "data" in m.get("output", {})]
        if messages[-1].get("success"):
            found.pop()
        found = [data[0] if len(data) == 1 else tuple(data) for data in found]
        return [*found, stream.skipped]
    job = client.submit(text, api_name=api_name)
    try:
        if how == "iterating":
            await keep(job, found)
        elif how == "updates":
            updates: list[Any] = []
            try:
                await keep(job.updates(), updates)
            finally:
                found = [u.outputs for u in updates if isinstance(u, OutputUpdate) and not u.final]
        else:
            await job
    except AppError:
        pass
    if how == "outputs":
        found = job.outputs()
    return [*found, job.skipped]


@pytest.mark.parametrize("how", READERS)
@in_every_world
async def test_edits_that_do_not_fit_end_the_outputs_in_the_result(place: Place, how: str) -> None:
    bad = [["append", ["nowhere"], "x"]]
    script = [*yields(["a"], [APPEND], [bad], [APPEND]), returns("whole")]
    told: list[Any] = []
    observe = lambda _now, _conn, _kind, what: told.append(what)  # noqa: E731
    async with place.client(observe=observe) as client:
        last = [] if how == "messages" else ["whole"]  # there it is the last message's own
        assert await read(client, how, script, ONE) == ["a", "a!", *last, 2]
        (anomaly,) = (what for what in told if isinstance(what, Anomaly))
        assert "does not follow from the one before" in anomaly.what
        value = [*yields(["a"], ["a value"], [APPEND]), returns("whole")]
        assert await read(client, how, value, ONE) == ["a", *last, 2]
        assert await read(client, how, [*value[:-1], FAILS], ONE) == ["a", 2]


@in_every_world
async def test_they_are_an_error_if_strict(place: Place) -> None:
    script = [*yields(["a"], [[["append", [7], "x"]]], [APPEND]), returns("whole")]
    async with place.client(strict=True) as client:
        job = client.submit(json.dumps(script), api_name=ONE)
        with pytest.raises(RemoteProtocolError, match="does not follow") as failed:
            await job
        assert list(failed.value.outputs) == [("a",)]
        assert job.outputs() == ["a"]


@pytest.mark.parametrize("how", READERS)
@in_every_world
async def test_a_first_yield_may_be_edits_of_what_failed_before(place: Place, how: str) -> None:
    failing = [*yields(["x"], [[["append", [], "y"]]]), FAILS]
    later = yields([APPEND])
    async with place.client() as client:
        for first, values in (
            ([["replace", [], "one"]], ["one", "one!"]),
            ([["append", [], "z"]], ["xyz", "xyz!"]),
            ([], ["xy", "xy!"]),
        ):
            assert await read(client, how, failing, ONE) == ["x", "xy", 0]
            script = [*yields([first]), *later, returns(values[-1])]
            assert await read(client, how, script, ONE) == [*values, 0]
            # Now the old run's yield is gone.
            script = [*yields([APPEND]), returns("r")]
            assert await read(client, "iterating", script, ONE) == ["r", 1]


@in_every_world
async def test_a_session_of_its_own_has_nothing_to_take_over(place: Place) -> None:
    failing = [*yields(["x"]), FAILS]
    script = json.dumps([*yields([APPEND]), returns("r")])
    async with place.client() as client:
        await read(client, "outputs", failing, ONE)
        alone = client.submit(script, api_name=ONE, isolated=True)
        assert (await alone, alone.outputs(), alone.skipped) == ("r", ["r"], 1)
        reset = client.reset_session()
        if reset is not None:
            await reset
        assert await read(client, "outputs", json.loads(script), ONE) == ["r", 1]


@in_every_world
async def test_each_output_component_has_its_own_edits(place: Place) -> None:
    failing = [*yields(["a", "b"], [APPEND, []]), FAILS]
    async with place.client() as client:
        for first, values in (
            ([APPEND, []], ("a!!", "b")),
            ([[], APPEND], ("a!", "b!")),
            ([[["replace", [], "new"]], APPEND], ("new", "b!")),
            ([[["replace", [], "new"]], "a value"], ("new", "a value")),
            (["a value", "another"], ("a value", "another")),
        ):
            await read(client, "outputs", failing, TWO)
            script = [*yields(first), returns(*values)]
            assert await read(client, "iterating", script, TWO) == [values, 0]
            await read(client, "outputs", [*yields([APPEND, APPEND]), returns("", "")], TWO)


@in_every_world
async def test_where_several_runs_may_be_meant_there_is_no_value(place: Place) -> None:
    async with place.client() as client:
        await read(client, "outputs", [*yields(["x"]), FAILS], ONE)
        await read(client, "outputs", [*yields(["y"]), FAILS], ONE)
        script = [*yields([APPEND], [APPEND]), returns("r")]
        assert await read(client, "iterating", script, ONE) == ["r", 2]
        # Nested edits fit one of them only.
        await read(client, "outputs", [*yields([{"a": ["b"]}]), FAILS], ANY)
        script = [*yields([[["append", ["a", 0], "c"]]]), returns({})]
        assert await read(client, "iterating", script, ANY) == [{"a": ["bc"]}, 0]


@in_every_world
async def test_a_value_that_looks_like_edits_is_a_value_where_nothing_has_failed(
    place: Place,
) -> None:
    async with place.client() as client:
        for value in ([], [["replace", [], "x"]], [["append", [], "x"], ["delete", [0], None]]):
            script = [*yields([value]), returns(value)]
            assert await read(client, "iterating", script, ANY) == [value, 0]


@in_every_world
async def test_a_value_may_not_grow_beyond_its_limit(place: Place) -> None:
    grows = yields(["x" * 1000], *[[[["append", [], "x" * 1000]]]] * 20)
    async with place.client(limits=Limits(value=10_500, kept_outputs=3000)) as client:
        job = client.submit(json.dumps([*grows, returns("done")]), api_name=ONE)
        with pytest.raises(RemoteProtocolError, match=r"Limits\.value") as failed:
            await job
        assert job.status().success is False
        assert list(failed.value.outputs)[-1] == ("x" * 10_000,)
        assert job.outputs()[-1] == "x" * 10_000
        with pytest.raises(RemoteProtocolError, match=r"Limits\.value"):
            await client.predict(json.dumps([*grows, returns("done")]), api_name=ONE)
        assert await client.predict(json.dumps([*grows[:9], returns("done")]), api_name=ONE)


def test_all_worlds_are_tried() -> None:
    assert {"sockets", "asyncio", "trio"} <= set(WORLDS)
