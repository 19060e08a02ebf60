"""Endpoints that take their input in pieces, as a browser's camera gives it (Gradio 5.0 on)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_gradio.errors import AppError, LocalProtocolError
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters.sockets import Client, JobCancelledError

from .server import RealServer

pytestmark = pytest.mark.real

TOTAL = "/total"


@pytest.fixture
def client(server: RealServer, version: str) -> Iterator[Client]:
    if version.startswith(("3.", "4.")):
        pytest.skip("before Gradio 5.0 no input comes in pieces")
    with Client(server.url, strict=True) as connected:
        yield connected


def last_of(version: str, total: int, piece: int) -> int:
    """What completes a job: 5.x calls the function with the last piece once more."""
    return total + piece if version.startswith("5.") else total


def test_a_piece_is_answered_before_the_next_is_given(client: Client, version: str) -> None:
    job = client.submit(1, api_name=TOTAL)
    outputs = iter(job)
    assert next(outputs) == 1
    for piece, total in ((2, 3), (3, 6), (4, 10)):
        job.send(piece)
        assert next(outputs) == total
    assert job.running()
    job.end_input()
    assert job.result() == last_of(version, 10, 4)
    codes = [update.code for update in job.updates() if isinstance(update, StatusUpdate)]
    assert codes == sorted(codes)
    assert codes.count(Status.ITERATING) == 4
    with pytest.raises(LocalProtocolError, match="over"):
        job.send(5)


@pytest.mark.parametrize("protocol", [None, "call", "call_v2"])
def test_predict_and_map_give_one_piece_and_end_the_input(
    server: RealServer, version: str, protocol: str | None
) -> None:
    if version.startswith(("3.", "4.")) or (protocol == "call_v2" and version.startswith("5.")):
        pytest.skip("this server has no such thing")
    with Client(server.url, strict=True, protocol=protocol) as client:
        assert client.predict(1, api_name=TOTAL) == last_of(version, 1, 1)
        expected = [last_of(version, number, number) for number in (2, 3)]
        assert list(client.map([2, 3], TOTAL, isolated=True)) == expected


def test_pieces_are_handed_over_by_the_simple_rest_api_too(
    server: RealServer, version: str
) -> None:
    if version.startswith(("3.", "4.")):
        pytest.skip("before Gradio 5.0 no input comes in pieces")
    with Client(server.url, strict=True, protocol="call") as client:
        job = client.submit(1, api_name=TOTAL)
        outputs = iter(job)
        assert next(outputs) == 1
        job.send(2)
        assert next(outputs) == 3
        job.end_input()
        assert job.result() == last_of(version, 3, 2)


def test_pieces_given_ahead_wait_for_their_turn(client: Client, version: str) -> None:
    job = client.submit(1, api_name=TOTAL)
    for piece in range(2, 21):
        job.send(piece)
    job.end_input()
    with pytest.raises(LocalProtocolError, match="ended"):
        job.send(21)
    assert job.result() == last_of(version, 210, 20)
    assert job.outputs() == [sum(range(1, end)) for end in range(2, 22)]


def test_the_latest_piece_replaces_those_that_wait(client: Client, version: str) -> None:
    job = client.submit(1, api_name=TOTAL)
    for piece in range(1000):  # far more than the server can ask for meanwhile
        job.send(piece, latest=True)
    job.end_input()
    before, last = job.outputs()[-2:] if job.result() else []
    assert last - before == 999
    assert last < sum(range(1000))
    assert job.result() == last_of(version, last, 999)


def test_two_jobs_in_pieces_at_once(client: Client) -> None:
    jobs = [client.submit(number, api_name=TOTAL, isolated=True) for number in (1, 100)]
    for _ in range(10):
        for job, piece in zip(jobs, (2, 200), strict=True):
            job.send(piece)
    for job in jobs:
        job.end_input()
        job.result()
    assert jobs[0].outputs() == [1 + 2 * given for given in range(11)]
    assert jobs[1].outputs() == [100 + 200 * given for given in range(11)]


def test_a_piece_that_the_app_does_not_want(client: Client) -> None:
    job = client.submit(1, api_name=TOTAL)
    job.send(2)
    job.send(-1)
    with pytest.raises(AppError, match="too little"):
        job.result()
    assert job.outputs() == [1, 3]
    assert client.predict("x", api_name="/echo") == "x"


def test_a_piece_that_does_not_fit_is_refused_at_once(client: Client, version: str) -> None:
    job = client.submit(1, api_name=TOTAL)
    assert next(iter(job)) == 1
    with pytest.raises(LocalProtocolError, match="do not fit"):
        job.send(2, 3)
    job.send(4)  # which takes no harm
    job.end_input()
    assert job.result() == last_of(version, 5, 4)


def test_a_job_in_pieces_is_cancelled(client: Client) -> None:
    job = client.submit(1, api_name=TOTAL)
    assert next(iter(job)) == 1
    assert job.cancel() is True
    with pytest.raises(JobCancelledError):
        job.result()
    assert client.predict("x", api_name="/echo") == "x"


def test_send_data_gives_the_next_piece_to_the_open_stream(client: Client) -> None:
    seen: list[int] = []
    with client.stream_messages(1, api_name=TOTAL) as stream:
        for message in stream:
            if message.get("msg") == "process_streaming":
                seen += message.get("output", {})["data"][:1]
                if len(seen) == 3:
                    break
                answer = client.send_data({"data": [10]}, {}, client.protocol, {})
                assert answer == {"msg": "success"}
    assert seen == [1, 11, 21]
    assert client.predict("x", api_name="/echo") == "x"
