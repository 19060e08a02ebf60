"""The engine embedded in a loop of the caller's own, without threads."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_gradio.client.engine import Engine
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.events import Connected, ConnectingFailed, Event, JobCompleted, Output
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters._network import Network
from sansio_gradio_adapters.loop import Loop
from sansio_gradio_adapters.server import serve_in_thread


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    lively = Lively()
    with serve_in_thread(lively.app) as url:
        yield url
        lively.go_on.set()


def new_engine() -> Engine:
    return Engine(entropy=os.urandom, wall_offset=time.time() - time.monotonic())


def test_a_call_without_any_thread(url: str) -> None:
    engine = new_engine()
    session = engine.session(url)
    events: list[Event] = []
    others = set(threading.enumerate())  # what earlier tests have left may run still
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        job = session.submit("abc", api_name="/chat")
        while not any(isinstance(event, JobCompleted) for event in events):
            loop.run_once()
            begun = set(threading.enumerate()) - others
            assert [t for t in begun if t.name in ("name lookup", "sansio_gradio")] == []
    assert isinstance(events[0], Connected)
    assert isinstance(events[-1], JobCompleted)
    assert (events[-1].job, events[-1].data) == (job, ("abc",))


def test_the_value_of_an_output_can_be_taken_in_the_sink(url: str) -> None:
    engine = new_engine()
    session = engine.session(url)
    values: list[Any] = []
    over: list[Event] = []

    def sink(event: Event) -> None:
        if isinstance(event, Output):
            values.append(event.value)
        elif isinstance(event, JobCompleted):
            over.append(event)

    with Loop(engine) as loop:
        loop.attach(session.id, sink)
        session.submit("abc", api_name="/chat")
        while not over:
            loop.run_once(PATIENCE)
    assert values == [("a",), ("ab",), ("abc",)]


def test_a_frame_is_never_kept_waiting(url: str) -> None:
    engine = new_engine()
    session = engine.session(url)
    events: list[Event] = []
    frames = 0
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        session.submit("x", api_name="/held", timeout=0.3)
        while not any(type(event).__name__ == "JobFailed" for event in events):
            loop.poll()
            frames += 1
    assert frames > 100  # the job took 0.3 s


def test_many_sessions_share_one_loop(url: str) -> None:
    engine = new_engine()
    sessions = [engine.session(url) for _ in range(20)]
    done: dict[int, Any] = {}

    def sink(event: Event) -> None:
        if isinstance(event, JobCompleted):
            done[event.session] = event.data

    with Loop(engine) as loop:
        for session in sessions:
            loop.attach(session.id, sink)
            session.submit(str(session.id), api_name="/echo")
        while len(done) < len(sessions):
            loop.run_once(PATIENCE)
    assert done == {session.id: (str(session.id),) for session in sessions}


def test_who_was_handed_an_event_does_not_wait_for_the_next(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = new_engine()
    session = engine.session(url)
    events: list[Event] = []
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        while not events:
            loop.run_once()
        session.submit("x", api_name="/nowhere")
        waits: list[float | None] = []
        monkeypatch.setattr(Network, "wait", lambda self, timeout: waits.append(timeout))
        loop.run_once()  # the job fails at once, and nothing else may ever happen
    assert len(events) == 2
    assert waits == [0.0]


def test_a_sink_that_is_detached_gets_no_more(url: str) -> None:
    engine = new_engine()
    session = engine.session(url)
    events: list[Event] = []
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        loop.detach(session.id)
        loop.detach(session.id)
        for _ in range(20):
            loop.run_once(0.02)
    assert session.app is not None
    assert events == []


def test_another_thread_may_wake_it() -> None:
    with Loop(new_engine()) as loop:
        threading.Timer(0.05, loop.wake).start()
        loop.run_once()


def test_what_fails_is_an_event() -> None:
    engine = new_engine()
    session = engine.session("http://nowhere.invalid")
    events: list[Event] = []
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        while not events:
            loop.run_once(PATIENCE)
    assert isinstance(events[0], ConnectingFailed)
    loop.close()


def test_a_loop_can_be_watched_like_a_socket(url: str) -> None:
    engine = new_engine()
    session = engine.session(url)
    events: list[Event] = []
    turns = 0
    with Loop(engine) as loop, selectors.DefaultSelector() as selector:
        loop.attach(session.id, events.append)
        session.submit("abc", api_name="/chat")
        assert loop.patience() == 0  # there is something to do
        selector.register(loop.fileno(), selectors.EVENT_READ)
        while not any(isinstance(event, JobCompleted) for event in events):
            selector.select(loop.patience())
            loop.poll()
            turns += 1
            assert turns < 1000  # else it does not wait at all
        assert (loop.patience() or 1) > 0
    with Loop(new_engine()) as idle:
        assert idle.patience() is None


def test_what_is_refused_at_once_is_told_without_a_socket_to_watch() -> None:
    engine = new_engine()
    session = engine.session("http://nowhere.invalid")
    events: list[Event] = []
    with Loop(engine) as loop, selectors.DefaultSelector() as selector:
        loop.attach(session.id, events.append)
        selector.register(loop.fileno(), selectors.EVENT_READ)
        while not events:
            selector.select(loop.patience())
            loop.poll()
    assert isinstance(events[0], ConnectingFailed)


def test_a_system_without_such_a_descriptor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    with Loop(new_engine()) as loop, pytest.raises(LocalProtocolError, match="descriptor"):
        loop.fileno()


class Steps:
    """A clock that goes on by a millisecond each time that somebody looks."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        return 1000.0 + self.looks / 1000


def test_a_poll_with_a_budget_does_little_and_leaves_the_rest(url: str) -> None:
    steps, engine = Steps(), new_engine()
    session = engine.session(url)
    events: list[Event] = []
    most: dict[float | None, int] = {}
    with Loop(engine, clock=steps.now) as loop, selectors.DefaultSelector() as selector:
        loop.attach(session.id, events.append)
        selector.register(loop.fileno(), selectors.EVENT_READ)
        for budget in (None, 0.0):
            events.clear()
            most[budget] = 0
            text = "x" * 50
            session.submit(text, api_name="/chat")
            while not any(isinstance(event, JobCompleted) for event in events):
                selector.select(min(loop.patience() or 0.0, 0.1))
                before = len(events)
                time.sleep(0.005)  # a burst comes together
                loop.poll(budget)
                most[budget] = max(most[budget], len(events) - before)
            assert isinstance(events[-1], JobCompleted)
            assert events[-1].data == (text,)
    assert most[0.0] == 1 < most[None]


def test_what_a_poll_has_left_is_not_slept_over(url: str) -> None:
    steps, engine = Steps(), new_engine()
    session = engine.session(url)
    events: list[Event] = []
    with Loop(engine, clock=steps.now) as loop:
        loop.attach(session.id, events.append)
        session.submit("abc", api_name="/chat")
        while not any(isinstance(event, Output) for event in events):
            loop.poll(0.0)
        assert loop.patience() == 0
        while not any(isinstance(event, JobCompleted) for event in events):
            loop.poll(0.0)
