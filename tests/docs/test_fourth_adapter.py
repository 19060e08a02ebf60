"""The page about writing a further adapter holds two, which work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_gradio.testing.lively_app import Lively
from tests.support.listings import listings, printed_by
from tests.support.places import SERVERS, serve

WATCHED, WATCHED_MAIN, GROUPED, TWISTED, TWISTED_MAIN = listings("fourth_adapter")
GROUPED_MAIN = WATCHED_MAIN.replace("trio.run", "anyio.run")

# Behind the adapter: what is tried with it, besides what the page shows.
TRIAL = """
from sansio_gradio.errors import AppError, ConnectFailed, JobCancelledError


async def trial(url):
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
        for patience in (0, 0.05):
            try:
                await held.result(patience)
            except TimeoutError:
                print("not yet")
        await cancelled(held.result)
        print("given up", held.cancelled())
        left = client.submit("x", api_name="/held")
    print("left", left.cancelled())
    try:
        async with Client("http://127.0.0.1:1"):
            pass
    except ConnectFailed as error:
        print("refused" in str(error))
"""

ON_TRIO = """
async def cancelled(what):
    with trio.CancelScope() as scope:
        scope.cancel()
        await what()


async def main(url):
    descriptors = len(os.listdir("/dev/fd"))
    await trial(url)
    await trio.sleep(0.05)
    print("closed", len(os.listdir("/dev/fd")) - descriptors)


import os
trio.run(main, *sys.argv[1:])
"""

ON_ANYIO = """
import os


async def cancelled(what):
    with anyio.CancelScope() as scope:
        scope.cancel()
        await what()


async def main(url):
    descriptors = len(os.listdir("/dev/fd"))
    await trial(url)
    await anyio.sleep(0.05)
    print("closed", len(os.listdir("/dev/fd")) - descriptors)
    with anyio.CancelScope() as scope:
        async with Client(url) as client:
            scope.cancel()
            await client.predict("x", api_name="/held")
    print("cancelled", scope.cancelled_caught)


anyio.run(main, *sys.argv[1:], backend="BACKEND")
"""

ON_TWISTED = """
async def cancelled(what):
    waiting = defer.ensureDeferred(what())
    waiting.cancel()
    try:
        await waiting
    except (defer.CancelledError, JobCancelledError):
        pass


task.react(lambda _, *args: defer.ensureDeferred(trial(*args)), sys.argv[1:])
"""

DONE = [
    "['a', 'ab', 'abc']",
    "True",
    "True",
    "['a', 'b']",
    "no",
    "not yet",
    "not yet",
    "given up True",
    "left True",
    "True",
]


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


@pytest.mark.parametrize(("adapter", "most"), [(WATCHED, 40), (GROUPED, 40), (TWISTED, 80)])
def test_it_is_short(adapter: str, most: int) -> None:
    assert len([line for line in adapter.splitlines() if line]) <= most


@pytest.mark.parametrize(
    ("program", "needs"),
    [
        (WATCHED + WATCHED_MAIN, "trio"),
        (GROUPED + GROUPED_MAIN, "anyio"),
        (TWISTED + TWISTED_MAIN, "twisted"),
    ],
)
def test_the_page_runs_as_it_is(served: tuple[Lively, str], program: str, needs: str) -> None:
    assert printed_by(program, served[1], "abc", needs=needs) == ["a", "ab", "abc"]


def test_a_watched_world_does_what_the_others_do(served: tuple[Lively, str]) -> None:
    assert printed_by(WATCHED + TRIAL + ON_TRIO, served[1]) == [*DONE, "closed 0"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_in_a_group_does_what_the_others_do(
    served: tuple[Lively, str], backend: str
) -> None:
    program = GROUPED + TRIAL + ON_ANYIO.replace("BACKEND", backend)
    done = [*DONE, "closed 0", "cancelled True"]
    assert printed_by(program, served[1], needs="anyio") == done


def test_the_adapter_does_what_the_others_do(served: tuple[Lively, str]) -> None:
    assert printed_by(TWISTED + TRIAL + ON_TWISTED, served[1], needs="twisted") == DONE
