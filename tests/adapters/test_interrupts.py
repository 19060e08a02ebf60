"""Ctrl-C between any two steps of the blocking client: every job ends, and the client answers."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import pytest

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client, Job, OutputUpdate
from tests.support.interrupts import interrupted


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Lively, str]]:
    lively = Lively()
    lively.app.add_function(lively.echo, "piece", streaming=True)
    with serve_in_thread(lively.app) as url:
        yield lively, url
        lively.go_on.set()


class Scene:
    """A client and its jobs, which have all ended when it is left."""

    def __init__(self, lively: Lively, url: str) -> None:
        self.lively = lively
        self.url = url
        self.client = Client(url)
        self.jobs: list[Job] = []

    def submit(self, *args: Any, api_name: str) -> Job:
        self.jobs.append(self.client.submit(*args, api_name=api_name))
        return self.jobs[-1]

    def answers(self) -> None:
        assert self.client.submit("again", api_name="/echo").result(PATIENCE) == "again"

    def end(self) -> None:
        in_time(self.client.close)
        for job in self.jobs:
            assert job.done()
            in_time(job.exception if not job.cancelled() else job.status)
        assert not concurrent.futures.wait(self.jobs, PATIENCE).not_done
        assert not self.client._core.jobs


def in_time(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


Verb: TypeAlias = Generator[Callable[[], object], None, None]
"""Yields what is to be interrupted; then follows what is true all the same."""


def submit(scene: Scene) -> Verb:
    yield lambda: scene.submit("x", api_name="/echo")
    for job in scene.jobs:
        assert job.result(PATIENCE) == "x"


def predict(scene: Scene) -> Verb:
    yield lambda: scene.client.predict("x", api_name="/echo")


def cancel(scene: Scene) -> Verb:
    endless = scene.lively.new_endless()
    job = scene.submit(endless.name, api_name="/endless")
    calls: list[object] = []
    job.add_done_callback(calls.append)
    waiting = [
        threading.Thread(target=wait, daemon=True)
        for wait in (lambda: concurrent.futures.wait([job]), lambda: end_of(job))
    ]
    for thread in waiting:
        thread.start()
    endless.wait_for_begin()
    yield job.cancel
    assert job.cancel()
    for thread in waiting:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    endless.wait_for_end()
    scene.answers()
    assert calls == [job]


def end_of(job: Job) -> None:
    with suppress(concurrent.futures.CancelledError):
        job.result()


def cancel_of_what_has_not_begun(scene: Scene) -> Verb:
    yield lambda: scene.submit("x", api_name="/held").cancel()
    for job in scene.jobs:
        assert job.cancel()
    scene.lively.go_on.set()


def result(scene: Scene) -> Verb:
    job = scene.submit("x", api_name="/echo")
    yield job.result
    assert job.result(PATIENCE) == "x"


def exception(scene: Scene) -> Verb:
    job = scene.submit("x", api_name="/boom")
    yield job.exception
    assert str(job.exception(PATIENCE)) != ""


def iteration(scene: Scene) -> Verb:
    job = scene.submit("abc", api_name="/chat")
    reader = iter(job)
    found: list[Any] = []
    yield lambda: found.extend(reader)
    # What was in the hand of the one who was interrupted may be gone, and no more.
    rest = list(reader)
    assert rest == ["a", "ab", "abc"][len(["a", "ab", "abc"]) - len(rest) :]
    assert list(job) == ["a", "ab", "abc"]


def next_output(scene: Scene) -> Verb:
    job = scene.submit("abc", api_name="/chat")
    job.result(PATIENCE)
    reader = iter(job)
    yield lambda: next(reader)
    assert len(list(reader)) in (2, 3)


def updates(scene: Scene) -> Verb:
    job = scene.submit("abc", api_name="/chat")
    reader = job.updates()
    yield lambda: list(reader)
    *_, last = [None, *reader]
    assert last is None or (isinstance(last, OutputUpdate) and last.final)
    assert [update.outputs for update in job.updates() if isinstance(update, OutputUpdate)] == [
        "a",
        "ab",
        "abc",
        "abc",
    ]


def messages(scene: Scene) -> Verb:
    yield lambda: list(scene.client.stream_messages("abc", api_name="/chat"))


def messages_left(scene: Scene) -> Verb:
    endless = scene.lively.new_endless()

    def some() -> None:
        with scene.client.stream_messages(endless.name, api_name="/endless") as stream:
            for message in stream:
                if message.get("msg") == "process_generating":
                    break

    yield some
    scene.answers()
    scene.client.reset_session()  # what was interrupted between the two may have left one
    if endless.began.is_set():
        endless.wait_for_end()


def send(scene: Scene) -> Verb:
    job = scene.submit("a", api_name="/piece")
    assert next(iter(job)) == "a"
    yield lambda: job.send("b")
    job.send("c")
    job.end_input()
    assert job.result(PATIENCE) == "c"


def send_data(scene: Scene) -> Verb:
    stream = scene.client.stream_messages(api_name="/echo")
    client = scene.client
    yield lambda: client.send_data({"data": ["x"]}, {}, client.protocol, {})
    assert client.send_data({"data": ["y"]}, {}, client.protocol, {})
    assert any(message.get("output", {}).get("data") == ["y"] for message in stream)
    stream.close()


def mapped(scene: Scene) -> Verb:
    yield lambda: list(scene.client.map("abcd", "/echo", in_flight=2))
    assert list(scene.client.map("abcd", "/echo", in_flight=2)) == list("abcd")


def callback(scene: Scene) -> Verb:
    calls: list[object] = []
    job = scene.submit("x", api_name="/echo")
    yield lambda: job.add_done_callback(calls.append)
    assert job.result(PATIENCE) == "x"
    scene.answers()
    assert calls in ([], [job])


def wait(scene: Scene) -> Verb:
    jobs = [scene.submit("x", api_name="/echo") for _ in range(2)]
    yield lambda: concurrent.futures.wait(jobs, PATIENCE)
    assert concurrent.futures.wait(jobs, PATIENCE).done == set(jobs)


def as_completed(scene: Scene) -> Verb:
    jobs = [scene.submit("x", api_name="/echo") for _ in range(2)]
    yield lambda: list(concurrent.futures.as_completed(jobs, PATIENCE))
    assert set(concurrent.futures.as_completed(jobs, PATIENCE)) == set(jobs)


def reset(scene: Scene) -> Verb:
    scene.submit("x", api_name="/held")
    yield scene.client.reset_session
    scene.lively.go_on.set()


def close(scene: Scene) -> Verb:
    scene.submit("x", api_name="/held")
    scene.submit(scene.lively.new_endless().name, api_name="/endless")
    client = scene.client
    yield client.close
    scene.client = Client(scene.url)
    scene.answers()
    in_time(client.close)
    scene.lively.go_on.set()


def constructor(scene: Scene) -> Verb:
    made: list[Client] = []
    threads = running_threads()
    yield lambda: made.append(Client(scene.url))
    for client in made:
        client.close()
    for _ in range(int(PATIENCE / 0.01)):
        if running_threads() <= threads:
            break
        threading.Event().wait(0.01)
    else:
        raise AssertionError("a thread is left")


def running_threads() -> int:
    """Not those that were interrupted before they began."""
    return sum(thread.ident is not None for thread in threading.enumerate())


VERBS = [
    submit,
    predict,
    cancel,
    cancel_of_what_has_not_begun,
    result,
    exception,
    iteration,
    next_output,
    updates,
    messages,
    messages_left,
    send,
    send_data,
    mapped,
    callback,
    wait,
    as_completed,
    reset,
    close,
    constructor,
]


def play(served: tuple[Lively, str], verb: Callable[[Scene], Verb], at: int, **how: Any) -> bool:
    lively, url = served
    lively.go_on.clear()
    scene = Scene(lively, url)
    steps = verb(scene)
    hit = interrupted(next(steps), at, **how)
    with suppress(StopIteration):
        next(steps)
    scene.answers()
    scene.end()
    return hit


@pytest.mark.parametrize("verb", VERBS)
def test_ctrl_c_at_some_lines(served: tuple[Lively, str], verb: Callable[[Scene], Verb]) -> None:
    at = 2
    while play(served, verb, at):
        at += 61


@pytest.mark.exhaustive
@pytest.mark.parametrize("verb", VERBS)
def test_ctrl_c_at_every_line(served: tuple[Lively, str], verb: Callable[[Scene], Verb]) -> None:
    at = 1
    while play(served, verb, at):
        at += 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("verb", VERBS)
def test_ctrl_c_at_some_instructions(
    served: tuple[Lively, str], verb: Callable[[Scene], Verb]
) -> None:
    at = 1
    while play(served, verb, at, opcodes=True):
        at += 23
