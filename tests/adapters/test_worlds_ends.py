"""How calls and clients end, or never come about, in every world."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_sockets import answering, free_port
from tests.support.lively_app import Lively
from tests.support.places import SERVERS, Place, in_every_world, open_files, serve
from tests.support.worlds import WORLDS, World, wait_for


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Giving up


@in_every_world
async def test_a_cancelled_job_is_over_at_once(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        job = client.submit(endless.name, api_name="/endless")
        await place.world.blocking(endless.wait_for_begin)
        assert not job.done()
        assert job.cancel()
        assert job.done()
        assert job.cancelled()
        assert not job.running()
        assert job.status().code is Status.CANCELLED
        for ask in (job.result, job.exception):
            with pytest.raises(JobCancelledError):
                await ask()
        with pytest.raises(JobCancelledError):
            _ = [update async for update in job.updates()]
        await place.ends(endless)
        if client.protocol == "ws":  # where nobody answers
            await client.predict("x", api_name="/chat")
            assert job.stopped_on_server is None
        else:
            await place.until(lambda: job.stopped_on_server is not None)
            assert job.stopped_on_server is True


@in_every_world
async def test_whoever_waits_sees_the_cancel(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        job = client.submit(endless.name, api_name="/endless")
        outputs = aiter(job)
        assert await anext(outputs) == 0

        async def iterate() -> None:
            with pytest.raises(JobCancelledError):
                async for _ in outputs:
                    pass

        async def wait() -> None:
            with pytest.raises(JobCancelledError):
                await job

        async def cancel() -> None:
            await place.world.sleep(0.02)
            job.cancel()

        await place.world.together(iterate, wait, cancel)
        await place.ends(endless)


@in_every_world
async def test_a_job_that_is_over_cannot_be_cancelled(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("x", api_name="/echo")
        assert await job.result(PATIENCE) == "x"
        assert not job.cancel()
        assert not job.cancelled()
        assert await job == "x"
        early = client.submit("x", api_name="/echo")
        assert early.cancel()
        with pytest.raises(JobCancelledError):
            await early


@in_every_world
async def test_a_wait_that_runs_out_leaves_the_job_alone(place: Place) -> None:
    async with place.client() as client:
        job = client.submit("x", api_name="/held")
        for ask in (job.result, job.exception):
            with pytest.raises(TimeoutError) as caught:
                await ask(0.02)
            assert not isinstance(caught.value, GradioError)
            assert str(caught.value).startswith("The job is not over after 0.02 s (its status: ")
            assert "cancel()" in str(caught.value)
        assert not job.done()
        place.lively.go_on.set()
        assert await job.result(PATIENCE) == "x"
        assert await job.exception() is None


@in_every_world
async def test_a_job_that_takes_too_long_is_given_up(place: Place) -> None:
    endless = place.lively.new_endless()
    async with place.client() as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.predict(endless.name, api_name="/endless", timeout=0.3)
        assert caught.value.phase == "job"
        if endless.began.is_set():  # not on a very slow machine
            await place.ends(endless)
        assert await client.predict("still here", api_name="/echo") == "still here"


# Connecting


async def refused(world: World, src: str, **options: Any) -> GradioError:
    before = world.tasks()
    with pytest.raises(GradioError) as caught:
        async with world.client(src, **options):
            raise AssertionError
    await wait_for(world, lambda: world.tasks() <= before)
    return caught.value


@in_every_world
async def test_a_refused_connection_says_who_refused_it(place: Place) -> None:
    port = free_port()
    for host in ("127.0.0.1", "localhost"):  # of which the latter may have two addresses
        error = await refused(place.world, f"http://{host}:{port}")
        assert isinstance(error, ConnectFailed)
        assert error.phase == "connect"
        assert f"{host}, port {port}: " in str(error)
        assert "Connection refused" in str(error) or "Connect call failed" in str(error)
        assert isinstance(error.__cause__, OSError)


@in_every_world
async def test_a_name_that_does_not_exist_is_named(place: Place) -> None:
    error = await refused(place.world, "http://nowhere.invalid")
    assert isinstance(error, ConnectFailed)
    assert "No address was found for nowhere.invalid: " in error.message


@in_every_world
async def test_what_is_no_app_is_refused(place: Place) -> None:
    for answer, kind in (
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{", ConnectionLost),
    ):
        with answering(answer) as where:
            assert isinstance(await refused(place.world, f"http://{where}"), kind)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as where:
        error = await refused(place.world, f"https://{where}")
        assert "does not speak TLS" in error.message
    with answering(b"") as where:
        error = await refused(place.world, f"http://{where}", timeouts=Timeouts(request=0.1))
        assert isinstance(error, DeadlineExceeded)


@in_every_world
async def test_what_is_no_address_is_refused_at_once(place: Place) -> None:
    for src in ("", "nonsense", "ftp://x/"):
        with pytest.raises(LocalProtocolError):
            async with place.world.client(src):
                raise AssertionError


# The end


@in_every_world
async def test_closing_cancels_what_is_under_way(place: Place) -> None:
    one, two = place.lively.new_endless(), place.lively.new_endless()
    async with place.client() as client:
        running = client.submit(one.name, api_name="/endless")
        held = client.submit("x", api_name="/held")
        messages = client.stream_messages(two.name, api_name="/endless")
        await place.world.blocking(one.wait_for_begin)
        await place.world.blocking(two.wait_for_begin)
        await client.close()
        await client.close()
        assert running.cancelled()
        assert held.cancelled()
    for job in (running, held):
        with pytest.raises(JobCancelledError):
            await job
    async for message in messages:
        assert message["msg"] != "process_completed"
    await place.ends(one)
    await place.ends(two)


@in_every_world
async def test_a_closed_client_says_so(place: Place) -> None:
    async with place.client() as client:
        over = client.submit("x", api_name="/echo")
        await over
    for ask in (client.submit, client.stream_messages):
        with pytest.raises(LocalProtocolError, match="closed"):
            ask("x", api_name="/echo")
    for wait in (
        lambda: client.predict("x", api_name="/echo"),
        client.get_endpoints,
        client.view_api,
        client.reset_session,
    ):
        with pytest.raises(LocalProtocolError, match="closed"):
            await wait()
    assert client.config
    assert await over == "x"


async def a_round(place: Place) -> int:
    """Do something of everything; how many tasks there are after it."""
    endless = place.lively.new_endless()
    async with place.client() as client:
        await client.predict("x", api_name="/echo")
        client.submit(endless.name, api_name="/endless")
        assert await client.submit("abc", api_name="/chat") == "abc"
    tasks: int = place.world.tasks()
    if place.world is not WORLDS["sockets"]:
        assert not client._world.rest  # no connection either, from the first moment on
    await place.ends(endless)
    return tasks


@in_every_world
async def test_nothing_is_left(place: Place) -> None:
    await a_round(place)  # what the world itself keeps, such as threads to wait in, is there then
    before = place.world.tasks()
    threads, files = threading.active_count(), open_files()
    after = await a_round(place)
    if place.world is not WORLDS["sockets"]:  # where the server's threads are counted, too
        assert after <= before
    await place.until(lambda: threading.active_count() <= threads)
    await place.until(lambda: open_files() <= files)  # the server's ends, too


@in_every_world
async def test_a_server_that_goes_away_ends_the_jobs_and_not_the_client(place: Place) -> None:
    lively = Lively(version=place.lively.app.version_text)
    server = serve_in_thread(lively.app, grace=0.1)
    url = server.__enter__()
    async with place.world.client(url) as client:
        job = client.submit(lively.new_endless().name, api_name="/endless")
        assert await anext(aiter(job)) == 0
        await place.world.blocking(lambda: server.__exit__(None, None, None))
        error = await job.exception(PATIENCE)
        assert isinstance(error, ConnectionLost | AppError)
        assert error.outputs[0] == (0,)
        with pytest.raises(ConnectionError):
            await client.predict("x", api_name="/echo")


@in_every_world
async def test_a_fault_of_the_machine_itself_ends_every_job(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[int]:
        raise ZeroDivisionError("in the machine")

    async with place.client() as client:
        held = client.submit("x", api_name="/held")
        await place.until(held.running)
        monkeypatch.setattr(client._core.engine, "connections_with_data", broken)
        with pytest.raises(ZeroDivisionError):
            await client.predict("x", api_name="/echo")
        assert isinstance(await held.exception(PATIENCE), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            await client.submit("x", api_name="/echo").result(PATIENCE)


@in_every_world
async def test_a_server_that_reads_nothing_does_not_hold_up_the_end(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        headers = {f"x-{number}": "y" * 10_000 for number in range(1000)}
        timeouts = Timeouts(request=0.2)
        error = await refused(place.world, url, headers=headers, timeouts=timeouts)
        assert isinstance(error, DeadlineExceeded)
