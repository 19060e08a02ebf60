"""The page about writing a further adapter holds one, which works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from listings import listings, printed_by
from lively_app import Lively
from places import SERVERS, serve

LISTINGS = listings("fourth_adapter")

# Behind the adapter: what is tried with it, besides what the page shows.
TRIAL = """
async def main(url):
    from sansio_gradio.errors import AppError, ConnectFailed, JobCancelledError

    async with Client(url) as client:
        print([output async for output in client.submit("abc", api_name="/chat")])
        big = "x" * 3_000_000
        print(await client.predict(big, api_name="/echo") == big)
        jobs = [client.submit(str(number), api_name="/echo") for number in range(100)]
        print([await job for job in jobs] == [str(number) for number in range(100)])
        print([result async for result in client.map("ab", "/echo")])
        try:
            await client.predict("no", api_name="/boom")
        except AppError as error:
            print(error.message)
        held = client.submit("x", api_name="/held")
        try:
            await held.result(0.05)
        except TimeoutError:
            print("not yet")
        waiting = defer.ensureDeferred(held.result())
        waiting.cancel()
        try:
            await waiting
        except (defer.CancelledError, JobCancelledError):
            print("given up", held.cancelled())
    try:
        async with Client("http://127.0.0.1:1"):
            pass
    except ConnectFailed as error:
        print("refused" in str(error))


task.react(lambda _, *args: defer.ensureDeferred(main(*args)), sys.argv[1:])
"""


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


def test_it_is_short() -> None:
    adapter, _ = LISTINGS
    assert len([line for line in adapter.splitlines() if line]) < 80


def test_the_page_runs_as_it_is(served: tuple[Lively, str]) -> None:
    assert printed_by("".join(LISTINGS), served[1], "abc", needs="twisted") == ["a", "ab", "abc"]


def test_the_adapter_does_what_the_others_do(served: tuple[Lively, str]) -> None:
    assert printed_by(LISTINGS[0] + TRIAL, served[1], needs="twisted") == [
        "['a', 'ab', 'abc']",
        "True",
        "True",
        "['a', 'b']",
        "no",
        "not yet",
        "given up True",
        "True",
    ]
