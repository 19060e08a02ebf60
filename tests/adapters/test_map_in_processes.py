"""``map_in_processes``: in order, nothing lost, however often processes and apps fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from sansio_gradio.errors import AppError, ConnectionLost, LocalProtocolError
from sansio_gradio.server.app import App
from sansio_gradio_adapters import processes
from sansio_gradio_adapters.processes import map_in_processes
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client


class Counting:
    """An app that doubles, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.app = App(concurrency_limit=None)
        self.app.add_function(self.double, api_name="/double")
        self.app.add_function(self.add, api_name="/add")

    async def double(self, number: int) -> int:
        self.asked.append(number)
        if number == 13:
            raise ValueError("unlucky")
        return 2 * number

    async def add(self, one: int, other: int) -> int:
        return one + other


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Counting, str]]:
    counting = Counting()
    with serve_in_thread(counting.app) as url:
        yield counting, url


@pytest.fixture
def threads() -> Iterator[Executor]:
    """Where batches run in this process: the same, and cheap."""
    processes._client.cache_clear()
    made: list[Client] = []
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:
        lock, client = threading.Lock(), processes._client

        def one(made_of: bytes) -> Client:
            with lock:
                made.append(client(made_of))
                return made[-1]

        patch.setattr(processes, "_client", one)
        yield pool
    for each in made:
        each.close()
    processes._client.cache_clear()


def test_results_come_in_order_and_inputs_are_taken_as_there_is_room(
    served: tuple[Counting, str], threads: Executor
) -> None:
    taken: list[int] = []

    def inputs() -> Iterator[int]:
        for number in range(100, 400):
            taken.append(number)
            yield number

    results = map_in_processes(
        served[1], inputs(), "/double", executor=threads, processes=2, in_flight=2
    )
    for count, result in enumerate(results):
        assert result == 2 * (100 + count)
        assert len(taken) - count <= 2 * 2 * 4 * 2
    assert len(taken) == 300
    assert next(results, None) is None
    assert list(map_in_processes(served[1], [(1, 2), (3, 4)], "/add", executor=threads)) == [3, 7]
    unordered = map_in_processes(
        served[1], range(100, 150), "/double", executor=threads, ordered=False
    )
    assert sorted(unordered) == list(range(200, 300, 2))


def test_errors_are_raised_returned_or_skipped(
    served: tuple[Counting, str], threads: Executor
) -> None:
    call: dict[str, Any] = {"executor": threads, "in_flight": 1}
    found: list[Any] = list(
        map_in_processes(served[1], [12, 13, 14], "/double", on_error="return", **call)
    )
    assert found[::2] == [24, 28]
    assert isinstance(found[1], AppError)
    assert list(map_in_processes(served[1], [13, 14], "/double", on_error="skip", **call)) == [28]
    with pytest.raises(AppError):
        list(map_in_processes(served[1], [12, 13, 14], "/double", **call))
    (wrong,) = map_in_processes(served[1], [1], "/nowhere", on_error="return", **call)
    assert isinstance(wrong, LocalProtocolError)

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(map_in_processes(served[1], broken(), "/double", **call))


@pytest.mark.parametrize(
    "wrong",
    [{"src": []}, {"src": [1]}, {"on_error": "ignore"}, {"in_flight": 0}, {"inputs": 5}],
)
def test_a_mistake_is_told_at_once(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"src": "http://127.0.0.1:1", "inputs": [], **wrong}
    with pytest.raises(LocalProtocolError, match=next(iter(wrong))):
        map_in_processes(**given)


def test_a_call_that_its_app_cannot_take_is_made_by_another(
    served: tuple[Counting, str], threads: Executor
) -> None:
    nobody = "http://127.0.0.1:9"
    inputs = range(500, 540)
    apps = [nobody, served[1]]
    found = map_in_processes(apps, inputs, "/double", executor=threads, in_flight=2)
    assert list(found) == [2 * number for number in inputs]
    (error,) = map_in_processes(
        nobody, [1], "/double", executor=threads, retries=1, on_error="return"
    )
    assert isinstance(error, ConnectionError)


class Script(Executor):
    """Runs batches at once. The app loses some calls once; some inputs break the process."""

    def __init__(self, *losing: int, breaks: tuple[int, ...] = ()) -> None:
        self.losing = set(losing)
        self.breaks = breaks
        self.ran: list[list[int]] = []

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future = Future[Any]()
        items: list[int] = args[1]
        self.ran.append(items)
        if set(items) & set(self.breaks):
            future.set_exception(BrokenProcessPool("died"))
        else:
            lost = [item for item in items if item in self.losing]
            self.losing -= set(lost)
            future.set_result(
                [(None, ConnectionLost("lost")) if item in lost else (item, None) for item in items]
            )
        return future


def test_only_what_was_lost_is_called_again() -> None:
    script = Script(3, 17)
    found = map_in_processes("http://a", range(20), executor=script, in_flight=2)
    assert list(found) == list(range(20))
    assert sorted(item for items in script.ran for item in items) == sorted([*range(20), 3, 17])


def test_only_the_input_that_kills_its_process_is_lost() -> None:
    script = Script(breaks=(11,))
    found = list(
        map_in_processes("http://a", range(20), executor=script, in_flight=1, on_error="return")
    )
    assert isinstance(found.pop(11), BrokenProcessPool)
    assert found == [*range(11), *range(12, 20)]
    with pytest.raises(BrokenProcessPool):
        list(map_in_processes("http://a", [11], executor=Script(breaks=(11,))))


def test_a_process_that_is_killed_loses_nothing(served: tuple[Counting, str]) -> None:
    inputs = range(1000, 1060)
    found: list[int] = []
    with map_in_processes(
        served[1], inputs, "/double", processes=1, in_flight=2, limits=None
    ) as results:
        for result in results:
            found.append(result)
            if len(found) == 20:
                (process,) = children(results)
                os.kill(process, signal.SIGKILL)
        assert found == [2 * number for number in inputs]


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_leaving_ends_the_processes(served: tuple[Counting, str], how: str) -> None:
    def inputs() -> Iterator[int]:
        yield from range(2000, 2100)
        if how == "interrupt":
            raise KeyboardInterrupt
        yield from range(2100, 10_000)

    results = map_in_processes(served[1], inputs(), "/double", processes=2, in_flight=4)
    assert next(results) == 4000
    running = children(results)
    assert len(running) == 2
    if how == "close":
        results.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            list(results)
    while any(is_running(process) for process in running):
        time.sleep(0.05)
    assert list(results) == []


def children(results: Any) -> list[int]:
    return list(results._own.executor._processes)


def is_running(process: int) -> bool:
    try:
        os.waitpid(process, os.WNOHANG)
        os.kill(process, 0)
    except (ChildProcessError, ProcessLookupError):
        return False
    return True
