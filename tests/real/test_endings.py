"""How jobs end on real servers, where not by themselves: cancelled, refused, killed, restarted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import (
    ConnectFailed,
    ConnectionLost,
    GradioError,
    QueueFullError,
    ServerStoppedError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters.sockets import Client, Job, JobCancelledError

from .server import RealServer, free_port

pytestmark = pytest.mark.real

# They never end a generator whose client has left.
NEVER_END = {"3.16.2", "4.44.1"}

# 5.50 takes up to two seconds to answer its first cancel.
PATIENCE = Timeouts(stream_idle=60, job=60, close=10)


@pytest.fixture(scope="module")
def narrow(version: str) -> Iterator[RealServer]:
    """One job at a time, and two that wait."""
    with RealServer(version, CONCURRENCY="1", MAX_SIZE="2") as running:
        yield running


@pytest.fixture
def client(narrow: RealServer) -> Iterator[Client]:
    with Client(narrow.url, timeouts=PATIENCE) as connected:
        yield connected
        # The next test finds the queue as this one did: empty.
        until(lambda: connected.predict(api_name="/slow_running") == 0, version=narrow.version)


def until(happened: Any, *, version: str = "", patience: float = 30.0) -> None:
    give_up = time.monotonic() + patience
    while not happened():
        if version in NEVER_END and time.monotonic() > give_up - patience + 3:
            return
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.05)


def until_queued(job: Job) -> None:
    for update in job.updates():
        if isinstance(update, StatusUpdate) and update.code is Status.IN_QUEUE:
            return
    raise AssertionError("it was never in the queue")


def speaks(version: str, since: tuple[int, ...]) -> bool:
    return tuple(int(part) for part in version.split(".")) >= since


# Cancelled


def test_a_running_job_is_cancelled(client: Client, version: str) -> None:
    job = client.submit(100, api_name="/slow")
    got = list(islice(job, 3))
    assert job.cancel() is True
    with pytest.raises(JobCancelledError) as caught:
        job.result()
    assert job.cancel() is True  # as its rule is for futures that were cancelled
    assert job.outputs()[:3] == got
    assert [output for (output,) in caught.value.outputs][:3] == got
    assert client.predict("on", api_name="/echo") == "on"
    if speaks(version, (4, 31)):
        until(lambda: job.stopped_on_server is not None)
        assert job.stopped_on_server is True
    elif not speaks(version, (4, 0)):
        assert job.stopped_on_server is None  # a WebSocket is closed without an answer


@pytest.mark.parametrize("isolated", [False, True])
def test_a_queued_job_is_cancelled_and_the_running_one_goes_on(
    client: Client, isolated: bool
) -> None:
    running = client.submit(12, api_name="/slow", isolated=isolated)
    outputs = iter(running)
    assert next(outputs) == "slow 0"
    queued = client.submit(4, api_name="/slow", isolated=isolated)
    until_queued(queued)
    assert queued.cancel() is True
    with pytest.raises(JobCancelledError):
        queued.result()
    assert queued.outputs() == []
    assert list(outputs) == [f"slow {step}" for step in range(1, 12)]
    assert running.result() == "slow 11"
    assert client.predict("on", api_name="/echo") == "on"


# Refused


def fill(client: Client) -> tuple[list[Job], QueueFullError]:
    """Submit jobs until the queue is full; those that found a place, and what was said then."""
    taken: list[Job] = []
    for _ in range(6):
        job = client.submit(30, api_name="/slow", isolated=True)
        until(lambda: job.status().code > Status.JOINING_QUEUE)  # noqa: B023
        if job.status().code in {Status.QUEUE_FULL, Status.FINISHED}:
            error = job.exception()
            assert isinstance(error, QueueFullError)
            return taken, error
        taken.append(job)
        if len(taken) == 1:
            next(iter(job))
    raise AssertionError("the queue has no end")


def test_a_full_queue_refuses_and_takes_again(client: Client, narrow: RealServer) -> None:
    taken, error = fill(client)
    assert len(taken) in {2, 3}  # 3.x and 4.x count the running one or not
    assert isinstance(error, ValueError)
    assert error.phase in {"join", "job"}
    soon = Retry(times=60, backoff=0.2, longest=0.2, jitter=0.0)
    with Client(narrow.url, timeouts=PATIENCE, retry=soon) as patient:
        waits = patient.submit(1, api_name="/slow")
        time.sleep(0.5)
        assert not waits.done()
        for job in taken:
            job.cancel()
        assert waits.result() == "slow 0"


# Gone


def why_not(client: Client) -> ConnectionError:
    with pytest.raises(ConnectionError) as caught:
        client.predict("x", api_name="/echo")
    # The end of an idle connection may not have been noticed yet.
    assert isinstance(caught.value, ConnectFailed | ConnectionLost)
    assert caught.value.phase in {"connect", "join"}
    return caught.value


def test_a_server_that_is_killed_and_comes_back(version: str) -> None:
    if version == "3.16.2":
        pytest.skip("it cannot be started again on its port for a minute")
    port = free_port()
    with contextlib.ExitStack() as stack:
        with RealServer(version, port=port) as server:
            client = stack.enter_context(Client(server.url, timeouts=PATIENCE))
            assert client.predict("a", api_name="/remember") == "a"
            jobs = [client.submit(200, api_name="/slow"), client.submit("x", 60, api_name="/shout")]
            got = list(islice(jobs[0], 5))
            server.kill()
            errors = [job.exception(30) for job in jobs]
            for error, job in zip(errors, jobs, strict=True):
                assert isinstance(error, ConnectionLost)
                assert error.phase == "stream"
                assert [output for (output,) in error.outputs] == job.outputs()
            assert jobs[0].outputs()[:5] == got == [f"slow {step}" for step in range(5)]
            until(lambda: isinstance(why_not(client), ConnectFailed))
        with RealServer(version, port=port) as server:
            assert client.predict("back", api_name="/echo") == "back"
            assert client.predict("b", api_name="/remember") == "b"  # what it knew is gone
            assert list(client.submit(3, api_name="/count")) == [f"step {n}" for n in range(3)]
            job = client.submit(200, api_name="/slow")
            got = list(islice(job, 3))
            server.stop()
            error = job.exception(30)
            assert isinstance(error, ConnectionLost | ServerStoppedError)
            assert isinstance(error, GradioError)
            assert [output for (output,) in error.outputs][:3] == got
