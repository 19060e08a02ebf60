"""What is given is what is sent: arguments and options are copied in the caller's thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.run import Run
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.places import SERVERS, in_every_world, serve
from tests.support.worlds import WORLDS


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


@in_every_world
async def test_later_changes_of_the_arguments_change_nothing(place: Place) -> None:
    async with place.client() as client:
        for _ in range(50):
            text: dict[str, Any] = {"a": [1]}
            jobs = [
                client.submit(text, api_name="/echo"),
                client.submit(value=text, api_name="/echo"),
            ]
            text["a"].append(2)
            text["b"] = 3
            for job in jobs:
                assert await job == {"a": [1]}
        text = {"a": 1}
        async with client.stream_messages(text, api_name="/echo") as messages:
            text["a"] = 2
            last = [message async for message in messages][-1]
        assert last["output"]["data"] == [{"a": 1}]


@in_every_world
async def test_keys_go_as_json_has_them(place: Place) -> None:
    async with place.client() as client:
        given = {1: 2, None: (4, 5), 2.5: True}
        expected = {"1": 2, "null": [4, 5], "2.5": True}
        assert await client.predict(given, api_name="/echo") == expected
        assert [r async for r in client.map([given], "/echo")] == [expected]


class Lazy(Mapping[str, Any]):
    """Its items cannot be had."""

    def __getitem__(self, key: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Reads:
    """Which threads have read it."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def rows(self) -> dict[str, Any]:
        threads = self.threads

        class Rows(dict[str, Any]):
            def items(self) -> Any:
                threads.add(threading.get_ident())
                return super().items()

        return Rows(a=1)


@in_every_world
async def test_what_cannot_be_read_is_told_at_once_and_to_the_caller(place: Place) -> None:
    wrong: list[Any] = [Lazy(), {"x": [object()]}, {1, 2}, b"a", float("nan"), {"1": 0, 1: 0}]
    async with place.client() as client:
        for value in wrong:
            with pytest.raises(LocalProtocolError, match=r"args\[1\]"):
                client.submit("a", value, api_name="/pair")
            with pytest.raises(LocalProtocolError, match=r"kwargs\['b'\]"):
                client.submit("a", b=value, api_name="/pair")
            with pytest.raises(LocalProtocolError, match=r"args\[0\]"):
                await client.predict(value, api_name="/echo")
            with pytest.raises(LocalProtocolError, match="event_data"):
                client.submit("a", api_name="/echo", event_data=value)
            with pytest.raises(LocalProtocolError, match=r"args\[0\]"):
                client.stream_messages(value, api_name="/echo")
            with pytest.raises(LocalProtocolError):
                client.call_component(1, "ls", value)
            with pytest.raises(LocalProtocolError, match="data"):
                await client.send_data({"data": [value]}, {}, client.protocol, {})
            with pytest.raises(LocalProtocolError, match="hash_data"):
                await client.send_data({"data": []}, {"x": value}, client.protocol, {})
            job = client.submit("a", api_name="/echo")
            with pytest.raises(LocalProtocolError, match=r"chunk\[1\]"):
                job.send("a", value)
            assert await job == "a"
        assert await client.predict("still here", api_name="/echo") == "still here"


@in_every_world
async def test_a_map_tells_of_an_input_that_cannot_be_sent_in_its_place(place: Place) -> None:
    async with place.client() as client:
        inputs = ["a", {1, 2}, "b"]
        results = [r async for r in client.map(inputs, "/echo", on_error="return")]
        assert [type(result) for result in results] == [str, LocalProtocolError, str]
        assert [r async for r in client.map(inputs, "/echo", on_error="skip")] == ["a", "b"]
        with pytest.raises(LocalProtocolError, match=r"args\[0\]"):
            _ = [r async for r in client.map(inputs, "/echo")]


@in_every_world
async def test_the_caller_s_thread_reads_and_no_other(place: Place) -> None:
    reads = Reads()
    async with place.client() as client:
        assert await client.submit(reads.rows(), api_name="/echo") == {"a": 1}
        assert [r async for r in client.map([reads.rows()], "/echo")] == [{"a": 1}]
        async with client.stream_messages(reads.rows(), api_name="/echo") as messages:
            _ = [message async for message in messages]
            with pytest.raises(LocalProtocolError):
                client.submit("a", api_name="/echo").send(reads.rows())
    assert reads.threads == {threading.get_ident()}


@pytest.mark.parametrize("name", WORLDS)
def test_headers_are_copied_too(name: str) -> None:
    world = WORLDS[name]
    app = App(concurrency_limit=None)

    @app.endpoint("/tell")
    def tell(text: str, run: Run) -> Any:
        return [text, dict(run.headers).get("x-mine"), dict(run.headers).get("x-all")]

    async def play() -> None:
        of_all = {"X-All": "as it was"}
        async with world.client(url, headers=of_all) as client:
            of_all["X-All"] = "and is"
            for _ in range(10):
                mine = {"X-Mine": "as it was"}
                job = client.submit("a", api_name="/tell", headers=mine)
                mine["X-Mine"] = "and is"
                assert await job == ["a", "as it was", "as it was"]

    with serve_in_thread(app) as url:
        world.run(play)
