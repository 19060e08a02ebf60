"""A fault of this library, or of a callback that a user gave, ends one job and no client."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

from sansio_gradio.errors import ConnectFailed, ConnectionLost, RemoteProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters import resolve
from sansio_gradio_adapters._jobs import JobRecord
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.tls import TLSWrapper
from tests.adapters.test_sockets import tls_in_front_of
from tests.adapters.test_tls import client_context, server_context
from tests.support.worlds import WORLDS

EVERY_WORLD = pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))


def echoing() -> App:
    app = App()

    @app.endpoint("/echo", concurrency_limit=None)
    def echo(text: str) -> str:
        return text

    return app


@EVERY_WORLD
def test_who_looks_on_and_raises_stops_nothing_and_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []

    def observe(*what: Any) -> None:
        seen.append(what)
        raise KeyError("nobody's business")

    async def play() -> None:
        async with world.client(url, observe=observe) as client:
            for text in ("a", "b"):
                assert await client.predict(text, api_name="/echo") == text

    with serve_in_thread(echoing()) as url, caplog.at_level(logging.ERROR):
        world.run(play)
    assert len(seen) == 1
    assert "nobody's business" in caplog.text


@EVERY_WORLD
@pytest.mark.parametrize("part", ["add_status", "add_message"])
def test_a_fault_with_one_job_ends_it_and_no_other(
    world: World, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    verb = getattr(JobRecord, part)

    def picky(record: JobRecord, *what: Any) -> None:
        if record.call.args == ("bad",):
            raise KeyError("broken")
        verb(record, *what)

    monkeypatch.setattr(JobRecord, part, picky)

    async def play() -> None:
        async with world.client(url) as client:
            if part == "add_message":
                with pytest.raises(RemoteProtocolError, match="broken"):
                    async for _ in client.stream_messages("bad", api_name="/echo"):
                        pass
            else:
                bad, good = (client.submit(text, api_name="/echo") for text in ("bad", "good"))
                assert await good.result() == "good"
                error = await bad.exception()
                assert isinstance(error, RemoteProtocolError)
                assert isinstance(error.__cause__, KeyError)
            assert await client.predict("after", api_name="/echo") == "after"

    with serve_in_thread(echoing()) as url:
        world.run(play)
    assert "broken" in caplog.text


@EVERY_WORLD
def test_a_fault_while_an_outcome_is_told_stops_no_other_job(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish = JobRecord.publish
    faults: list[object] = []

    def picky(record: JobRecord) -> None:
        publish(record)
        if record.is_over and not faults:
            faults.append(record)
            raise KeyError("broken")

    monkeypatch.setattr(JobRecord, "publish", picky)

    async def play() -> None:
        async with world.client(url) as client:
            jobs = [client.submit(text, api_name="/echo") for text in ("a", "b", "c")]
            assert [await job.result() for job in jobs] == ["a", "b", "c"]

    with serve_in_thread(echoing()) as url:
        world.run(play)
    assert "broken" in caplog.text


# What makes connections, or writes to them, raises what nobody foresaw.


def no_more(*_: Any, **__: Any) -> Any:
    raise RuntimeError("there is no more of them")


@EVERY_WORLD
def test_a_connection_that_cannot_even_be_begun_fails_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively = Lively()

    async def play() -> None:
        async with world.client(url) as client:
            other = client.submit("other", api_name="/held")
            with monkeypatch.context() as patch:
                patch.setattr(resolve, "literal", no_more)
                patch.setattr(trio, "open_tcp_stream", no_more)
                error = await client.submit("x", api_name="/echo", isolated=True).exception()
            assert isinstance(error, ConnectFailed)
            assert "there is no more of them" in str(error)
            assert error.phase == "connect"
            assert await client.predict("x", api_name="/echo", isolated=True) == "x"
            lively.go_on.set()
            assert await other.result() == "other"

    with serve_in_thread(lively.app) as url:
        world.run(play)


@EVERY_WORLD
def test_a_connection_that_tls_cannot_write_to_is_lost_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = TLSWrapper.send

    def picky(tls: TLSWrapper, plaintext: bytes) -> bytes:
        if b"wrong" in plaintext:
            raise RuntimeError("not that")
        return send(tls, plaintext)

    monkeypatch.setattr(TLSWrapper, "send", picky)
    lively = Lively()

    async def play() -> None:
        async with world.client(url, ssl_context=client_context()) as client:
            other = client.submit("other", api_name="/held")
            error = await client.submit("wrong", api_name="/plain").exception()
            assert isinstance(error, ConnectionLost)
            assert "not that" in str(error)
            assert await client.predict("x", api_name="/plain") == "x"
            lively.go_on.set()
            assert await other.result() == "other"

    with serve_in_thread(lively.app) as plain:
        port = int(plain.rstrip("/").rpartition(":")[2])
        with tls_in_front_of(port, server_context()) as front:
            url = f"https://localhost:{front}"
            world.run(play)
