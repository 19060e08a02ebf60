"""Verbs that come between any two steps of others: of signal handlers, finalisers, observers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters._options import ClientOptions
from sansio_gradio_adapters.sockets import Client, Job
from sansio_gradio_adapters.worlds import ClientCore, Signal, WatchedWorld
from tests.support.interrupts import interrupted
from tests.support.places import in_every_world, serve


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Lively, str]]:
    yield from serve("sse_v3")


# Signal handlers


class Handler:
    """Does in the middle of something else what a signal handler may do."""

    def __init__(self, client: Client, lively: Lively) -> None:
        self._client = client
        self._over = client.submit("abc", api_name="/chat")
        self._over.result(PATIENCE)
        self._endless = lively.new_endless()
        self._running = client.submit(self._endless.name, api_name="/endless")
        self._endless.wait_for_begin()

    def __call__(self) -> None:
        assert self._running.cancel()
        assert list(self._over) == ["a", "ab", "abc"]
        assert self._client.predict("handler", api_name="/echo") == "handler"
        assert list(self._client.map("ab", "/echo")) == ["a", "b"]
        self._endless.wait_for_end()


def chat(client: Client) -> None:
    assert list(client.submit("abc", api_name="/chat")) == ["a", "ab", "abc"]


def predict(client: Client) -> None:
    assert client.predict("x", api_name="/echo") == "x"


def map_all(client: Client) -> None:
    assert list(client.map("abc", "/echo", in_flight=2)) == ["a", "b", "c"]


def messages(client: Client) -> None:
    *_, last = client.stream_messages("abc", api_name="/chat")
    assert last.get("output", {}).get("data") == ["abc"]


def cancel(client: Client) -> None:
    calls: list[object] = []
    job = client.submit("x", api_name="/held")
    job.add_done_callback(calls.append)
    assert job.cancel()
    assert calls == [job]


@pytest.mark.parametrize("what", [chat, predict, map_all, messages, cancel])
def test_a_signal_handler_may_use_the_client_that_is_in_use(
    served: tuple[Lively, str], what: Callable[[Client], None]
) -> None:
    lively, url = served
    lively.go_on.clear()
    with Client(url) as client:
        at = 3
        while interrupted(lambda: what(client), at, handler=Handler(client, lively)):
            at += 37


def test_a_handler_cancels_what_the_thread_is_cancelling(served: tuple[Lively, str]) -> None:
    lively, url = served
    lively.go_on.clear()
    at = 1
    with Client(url) as client:
        while True:
            calls: list[object] = []
            job = client.submit("x", api_name="/held")
            job.add_done_callback(calls.append)
            hit = interrupted(job.cancel, at, handler=job.cancel)
            assert job.cancelled()
            assert calls == [job]
            if not hit:
                break
            at += 2


def test_a_handler_reads_on_where_the_thread_reads(served: tuple[Lively, str]) -> None:
    with Client(served[1]) as client:
        job = client.submit("abcdefgh", api_name="/chat")
        at = 1
        while handled(job, at):
            at += 5


def handled(job: Job, at: int) -> bool:
    seen: list[str] = []
    reader = iter(job)

    def read(most: int | None = None) -> None:
        for output in itertools.islice(reader, most):
            seen.append(output)  # a list that grows meanwhile

    hit = interrupted(read, at, handler=lambda: read(1))
    assert sorted(seen) == ["abcdefgh"[: end + 1] for end in range(8)]
    return hit


# Finalisers, and observers: in the middle of the engine


@in_every_world
async def test_what_comes_in_the_middle_of_a_step_waits_for_its_end(place: Place) -> None:
    found: list[Any] = []
    left = 0

    def between(now: float, conn: int | None, direction: str, what: Any) -> None:
        nonlocal left
        left -= 1
        if left != 0:
            return
        found.append(other.cancel())
        found.append(client.submit("between", api_name="/echo"))
        try:
            piece.send("y")
        except LocalProtocolError as error:
            found.append(error)
        else:
            found.append(None)
        client.stream_messages(endless.name, api_name="/endless").close()

    async with place.client(observe=between) as client:
        for at in range(1, 60):
            endless = place.lively.new_endless()
            other = client.submit(place.lively.new_endless().name, api_name="/endless")
            piece = client.submit("x", api_name="/echo")
            assert await anext(aiter(other)) == 0
            found.clear()
            left = at
            assert await client.predict("x", api_name="/echo") == "x"
            left = 0
            if not found:
                break
            was_cancelled, job, error = found
            assert was_cancelled
            assert other.cancelled()
            assert await job == "between"
            assert isinstance(error, LocalProtocolError)
        else:
            raise AssertionError("there are very many events")
        assert at > 3
        assert await client.predict("y", api_name="/echo") == "y"


@pytest.mark.parametrize(
    "kind",
    [
        sansio_gradio_adapters.sockets.MessageStream,
        sansio_gradio_adapters.sockets.Results,
        sansio_gradio_adapters.asyncio.MessageStream,
        sansio_gradio_adapters.asyncio.Results,
    ],
)
def test_what_was_interrupted_in_its_constructor_says_nothing(kind: type[Any]) -> None:
    object.__new__(kind)
    gc.collect()  # a complaint would be an error of this test


# A bell that rings while it is silenced


def test_a_note_that_comes_while_sockets_are_read_is_called_at_once(
    served: tuple[Lively, str],
) -> None:
    called: list[int] = []
    due: list[int] = []

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if due:
            due.clear()
            world.post(lambda: called.append(1))  # as another thread may, at this very moment

    class World(WatchedWorld):
        async def wait_for(self, signal: Signal, seen: int) -> None:
            raise NotImplementedError  # no task waits here

        async def checkpoint(self) -> None:
            raise NotImplementedError

    core = ClientCore(ClientOptions(served[1], observe=observe))
    world = World(core, None)

    def turn(patience: float) -> None:
        select.select([world.fileno()], [], [], min(patience, world.patience()))
        world.poll()

    world.poll()
    while core.app is None:
        turn(PATIENCE)
    core.ask_for_info()
    world.poll()
    select.select([world.fileno()], [], [], PATIENCE)  # the answer is there
    world.wake()
    due.append(1)
    world.poll()
    assert not due
    turn(0.0)
    assert called
    core.session.close()
    world.poll()
    while world.is_running:
        turn(PATIENCE)


# Waiting for a job that its reader holds up

FLOOD = 60  # outputs, of 100 kB
FLOODED = Limits(kept_outputs=20 * 100_000)


def wait(job: Job) -> None:
    assert concurrent.futures.wait([job], PATIENCE).done == {job}


def as_completed(job: Job) -> None:
    assert list(concurrent.futures.as_completed([job], PATIENCE)) == [job]


def wrapped(job: Job) -> None:
    async def main() -> None:
        await asyncio.wait_for(asyncio.wrap_future(job), PATIENCE)

    asyncio.run(main())


def called_back(job: Job) -> None:
    done = threading.Event()
    job.add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE)


@pytest.mark.parametrize("how", [wait, as_completed, wrapped, called_back])
def test_who_waits_for_a_future_is_a_reason_not_to_pause(
    served: tuple[Lively, str], how: Callable[[Job], None]
) -> None:
    with Client(served[1], limits=FLOODED) as client:
        job = client.submit(FLOOD, api_name="/flood", isolated=True)
        reader = iter(job)
        next(reader)
        for _ in range(int(PATIENCE / 0.01)):
            if job._record.is_paused:
                break
            threading.Event().wait(0.01)
        else:
            raise AssertionError("it was not paused")
        how(job)
        assert int(job.result()[:6]) == FLOOD - 1


# What is left behind


def test_a_reader_that_times_out_in_asyncio_leaves_nothing(served: tuple[Lively, str]) -> None:
    lively, url = served
    lively.go_on.clear()

    async def main(client: Client) -> None:
        job = client.submit("x", api_name="/held")
        reader = aiter(job)
        for _ in range(100):
            with suppress(TimeoutError):
                await asyncio.wait_for(anext(reader), 0.0001)
        gc.collect()
        assert sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects()) < 20
        lively.go_on.set()
        assert await anext(reader) == "x"

    with Client(url) as client:
        asyncio.run(main(client))


READERS: list[Callable[[Any], Any]] = [
    lambda client: client.submit("x", api_name="/held").__aiter__(),
    lambda client: client.submit("x", api_name="/held").updates(),
    lambda client: client.stream_messages("x", api_name="/held"),
    lambda client: client.map(["x"], "/held"),
]


@pytest.mark.parametrize("read", READERS)
def test_a_reader_keeps_what_it_reads_from(
    served: tuple[Lively, str], read: Callable[[Any], Any]
) -> None:
    lively, url = served
    lively.go_on.clear()
    threads = threading.active_count()

    readers = [read(Client(url))]
    gc.collect()
    lively.go_on.set()
    *_, last = readers[0]
    assert last is not None
    del last
    with pytest.warns(ResourceWarning, match="was not closed"):
        forget(readers)
    for _ in range(int(PATIENCE / 0.01)):
        if threading.active_count() <= threads:
            break
        threading.Event().wait(0.01)


@pytest.mark.parametrize("read", READERS)
def test_a_reader_keeps_what_it_reads_from_in_asyncio(
    served: tuple[Lively, str], read: Callable[[Any], Any]
) -> None:
    lively, url = served
    lively.go_on.clear()

    async def main() -> None:
        readers = [read(await sansio_gradio_adapters.asyncio.Client(url))]
        gc.collect()
        lively.go_on.set()
        assert [item async for item in readers[0]]
        with pytest.warns(ResourceWarning, match="was not closed"):
            forget(readers)
        for _ in range(int(PATIENCE / 0.01)):
            if len(asyncio.get_running_loop()._selector.get_map()) < 2:  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0.01)

    asyncio.run(main())


def forget(things: list[Any]) -> None:
    things.clear()
    gc.collect()
