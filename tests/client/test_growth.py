"""The work of a client grows in step with what it does: calls of functions are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from sansio_gradio import Engine, Want, events
from sansio_gradio.client import engine as engine_module
from sansio_gradio.server.app import App
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer

CLIENT = str(Path(engine_module.__file__).parent)
FEW, MANY = 4, 40


def echo(text: str) -> str:
    return text


def grow(count: int) -> Iterator[str]:
    for number in range(int(count)):
        yield "x" * (number + 1)


def driver() -> Driver:
    app = App(concurrency_limit=None)
    app.add_function(echo)
    app.add_function(grow)
    return Driver(Engine(entropy=counted_entropy()), AppPeer(app))


def jobs(count: int) -> Driver:
    """One session with so many jobs at once."""
    driven = driver()
    session = driven.engine.session("http://127.0.0.1:7860")
    for _ in range(count):
        session.submit("x", api_name="/echo")
    return driven


def sessions(count: int) -> Driver:
    driven = driver()
    for _ in range(count):
        driven.engine.session("http://127.0.0.1:7860").submit("x", api_name="/echo")
    return driven


def messages(count: int) -> Driver:
    """One job that yields so often."""
    driven = driver()
    session = driven.engine.session("http://127.0.0.1:7860")
    session.submit(count, api_name="/grow", want=Want.OUTPUTS)
    return driven


def calls(driven: Driver, expected: int) -> int:
    """The calls within the client until all jobs are over."""
    count = 0

    def look(frame: FrameType, what: str, _: object) -> None:
        nonlocal count
        if what == "call":
            count += frame.f_code.co_filename.startswith(CLIENT)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        driven.settle()
    finally:
        sys.setprofile(before)
    ends = sum(isinstance(event, events.JobCompleted) for event in driven.events)
    assert ends == expected, driven.events[-3:]
    return count


LARGE = [pytest.param(work, 10, marks=pytest.mark.exhaustive) for work in (jobs, messages)]


@pytest.mark.parametrize(("work", "factor"), [(jobs, 1), (sessions, 1), (messages, 1), *LARGE])
def test_ten_times_as_much_costs_ten_times_as_much(
    work: Callable[[int], Driver], factor: int
) -> None:
    few, many = (
        calls(work(count), 1 if work is messages else count)
        for count in (FEW * factor, MANY * factor)
    )
    none = calls(work(1), 1)
    each = (few - none) / (FEW * factor - 1)
    print(f"{work.__name__}: {none} calls for one, {each:.0f} for each of {FEW * factor}")
    assert many - none <= 1.2 * each * (MANY * factor - 1)
