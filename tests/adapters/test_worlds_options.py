"""How a call is made: the options of ``submit``, ``predict`` and ``map``, in every world."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
import sansio_gradio_adapters.trio
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import DeadlineExceeded, LocalProtocolError
from sansio_gradio.limits import Timeouts
from sansio_gradio.server.app import App
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.loop import Loop
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.worlds import WORLDS

CLIENTS = [
    sansio_gradio_adapters.sockets.Client,
    sansio_gradio_adapters.asyncio.Client,
    sansio_gradio_adapters.trio.Client,
]
SERVERS: dict[str, dict[str, Any]] = {"sse_v3": {}, "ws": {"version": "3.50.2"}}
STREAMING = ("sse_v1", "sse_v2", "sse_v2.1", "sse_v3")


def options_of(verb: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(verb).parameters.values()
    return {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("client", CLIENTS)
def test_predict_and_map_take_every_option_of_submit(client: Any) -> None:
    submit, predict = options_of(client.submit), options_of(client.predict)
    assert predict == submit
    of_each_call = dict(inspect.signature(client.map).parameters)
    for name, option in submit.items():
        assert of_each_call[name].default == option.default, name
        assert of_each_call[name].annotation == option.annotation, name


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", WORLDS)
def test_every_option_has_its_effect_whichever_verb_it_is_given_to(name: str, server: str) -> None:
    world = WORLDS[name]
    app = App(concurrency_limit=None, **SERVERS[server])

    @app.endpoint("/tell")
    def tell(text: str, run: Run) -> Any:
        return [text, run.session_hash, dict(run.headers).get("x-mine"), run.event_data]

    @app.endpoint("/hold")
    async def hold(text: str) -> str:
        await asyncio.sleep(10 * PATIENCE)
        return text

    sent: list[bytes] = []

    def observe(_now: float, _conn: int | None, direction: str, what: Any) -> None:
        if direction == "sent":
            sent.append(what)

    async def play() -> None:
        async with world.client(url, observe=observe) as client:

            async def mapped(text: str, **options: Any) -> Any:
                (result,) = [result async for result in client.map([text], **options)]
                return result

            async def submitted(text: str, **options: Any) -> Any:
                return await client.submit(text, **options).result()

            for call in (client.predict, submitted, mapped):
                plain = await call("a", api_name="/tell")
                assert plain == ["a", client.session_hash, None, None]
                told = await call(
                    "a",
                    api_name="/tell",
                    headers={"X-Mine": "yes"},
                    timeout=PATIENCE,
                    isolated=True,
                    event_data={"index": [1, 2]},
                    trigger_id=4711,
                )
                assert told[0::3] == ["a", {"index": [1, 2]}]
                assert told[1] != client.session_hash
                if server == "sse_v3":
                    assert told[2] == "yes"
                    assert sum(b'"trigger_id":4711' in data for data in sent) == 1
                    sent.clear()
                with pytest.raises(DeadlineExceeded):
                    await call("a", fn_index=client.app.endpoint("/hold").fn_index, timeout=0.01)

    with serve_in_thread(app) as url:
        world.run(play)


@pytest.mark.parametrize("server", STREAMING)
@pytest.mark.parametrize("name", WORLDS)
def test_predict_and_map_end_a_streaming_input_behind_their_one_piece(
    name: str, server: str
) -> None:
    world = WORLDS[name]
    app = App(version="6.31.0", protocol=server)

    @app.endpoint("/frame", streaming=True)
    def frame(picture: str, size: int) -> str:
        return f"seen: {picture * size}"

    async def play() -> None:
        async with world.client(url) as client:
            assert await client.predict("a", 2, api_name="/frame") == "seen: aa"
            results = client.map([("b", 1), ("c", 2)], "/frame")
            assert [result async for result in results] == ["seen: b", "seen: cc"]

    with serve_in_thread(app) as url:
        world.run(play)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", WORLDS)
def test_a_piece_for_a_job_that_takes_none_is_refused_at_once(name: str, server: str) -> None:
    world = WORLDS[name]
    app = App(concurrency_limit=None, **SERVERS[server])

    go_on = threading.Event()

    @app.endpoint("/held")
    def held(text: str) -> str:
        assert go_on.wait(PATIENCE)
        return text

    async def play() -> None:
        async with world.client(url) as client:
            # By name: what the name means is not known before /info has come.
            submitted: list[Any] = [
                lambda: client.submit(text="a", api_name="/held"),
                lambda: client.submit("a", api_name="/held"),
            ]
            for submit in submitted:
                job = submit()
                with pytest.raises(LocalProtocolError, match="in pieces"):
                    job.send("b")
                with pytest.raises(LocalProtocolError, match="in pieces"):
                    job.end_input()
                go_on.set()
                assert await job == "a"
                go_on.clear()

    with serve_in_thread(app) as url:
        world.run(play)


@pytest.mark.parametrize("name", WORLDS)
def test_a_very_long_patience_is_none_that_fails(name: str) -> None:
    world = WORLDS[name]
    app = App()

    @app.endpoint("/echo")
    def echo(text: str) -> str:
        return text

    async def play() -> None:
        long: list[Any] = [30 * 86400, 1e300, math.inf, 10**400, Fraction(10**400), Decimal(10)]
        forever = Timeouts(**dict.fromkeys(("join", "stream_idle", "job", "close"), 10**400))
        async with world.client(url, timeouts=forever, retry=Retry(times=5000)) as client:
            for seconds in long:
                assert await client.predict("a", api_name="/echo", timeout=seconds) == "a"
                assert await client.submit("a", api_name="/echo").result(timeout=seconds) == "a"
            assert [r async for r in client.map("ab", "/echo", in_flight=10**400)] == ["a", "b"]
            for wrong in (math.nan, "5", True, [1], 1j):
                with pytest.raises(LocalProtocolError, match="timeout is in seconds"):
                    await client.predict("a", api_name="/echo", timeout=wrong)
                with pytest.raises(LocalProtocolError, match="timeout is in seconds"):
                    await client.submit("a", api_name="/echo").result(timeout=wrong)
                with pytest.raises(LocalProtocolError, match="in_flight is a whole number"):
                    client.map("ab", "/echo", in_flight=wrong)

    with serve_in_thread(app) as url:
        world.run(play)


@pytest.mark.parametrize("seconds", [30 * 86400, 10**400, math.inf])
def test_a_loop_may_be_told_to_wait_for_long(seconds: float) -> None:
    engine = Engine(entropy=os.urandom)
    with Loop(engine) as loop:
        loop.wake()
        loop.run_once(seconds)
        for wrong in (math.nan, "5", True):
            with pytest.raises(LocalProtocolError, match="timeout is in seconds"):
                loop.wait(wrong)  # type: ignore[arg-type]  # pyright: ignore


WRONG: list[dict[str, Any]] = [
    {"headers": "abc"}, {"headers": 5}, {"headers": {"a": 1}}, {"headers": {"a": None}},
    {"headers": [("a", "b", "c")]}, {"headers": ["ab"]}, {"headers": {"a": "\ud800"}},
    {"headers": {"a": "b\r\nc: d"}}, {"headers": {b"a": b"b"}}, {"headers": b""},
    {"cookies": "a=b"}, {"cookies": {"a": 1}}, {"cookies": {"a": "b;c"}}, {"cookies": 0},
    {"auth": "ab"}, {"auth": ("a",)}, {"auth": ("a", None)}, {"auth": ("\ud800", "b")},
    {"session_hash": 5}, {"session_hash": "\ud800"}, {"retry": 3}, {"limits": {}},
    {"timeouts": 5}, {"ssl_context": True}, {"protocol": []}, {"protocol": "sse_v9"},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG, ids=repr)
@pytest.mark.parametrize("name", WORLDS)
def test_a_client_is_not_made_with_options_that_make_no_sense(
    name: str, options: dict[str, Any]
) -> None:
    world = WORLDS[name]

    async def play() -> None:
        kind = ValueError if "protocol" in options else LocalProtocolError
        with pytest.raises(kind):
            async with world.client("http://127.0.0.1:1", **options):
                pass
        for src in (None, 5, b"http://127.0.0.1:1", "\ud800", "http://\ud800"):
            with pytest.raises(LocalProtocolError):
                async with world.client(src):  # type: ignore[arg-type]  # pyright: ignore
                    pass

    world.run(play)
