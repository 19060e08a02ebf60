"""A simulated client and app: exact without faults, one end for each job with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from sansio_gradio.errors import AppError
from sansio_gradio.events import JobCancelled
from sansio_gradio.server.app import App
from sansio_gradio.server.run import Run
from sansio_gradio.testing.faults import Fault, FaultKind
from sansio_gradio.testing.simulation import SimulatedJob, Simulation
from sansio_gradio.testing.strategies import Cut, cuts, faults


def app(**options: Any) -> App:
    made = App(**options)

    @made.endpoint("/spell")
    def spell(word: str) -> Iterator[str]:
        for end in range(len(word)):
            yield word[: end + 1]

    @made.endpoint("/boom")
    def boom(run: Run) -> str:
        run.info("soon")
        raise AppError("boom")

    return made


@pytest.mark.parametrize("version", ["3.50.2", "4.0.2", "4.16.0", "4.44.1", "6.31.0"])
def test_jobs_end_as_the_app_says(version: str) -> None:
    simulation = Simulation(app(version=version))
    spelt = simulation.submit("abc", api_name="/spell")
    failed = simulation.submit(api_name="/boom")
    simulation.run()
    assert spelt.outputs == [("a",), ("ab",), ("abc",)]
    assert spelt.data == ("abc",)
    assert failed.outputs == []
    assert failed.data is None
    assert isinstance(failed.error, AppError)
    assert simulation.now == 1000.0
    simulation.finish()


def check(job: SimulatedJob, word: str) -> None:
    """A job yields what the app yielded, and its result is the whole or an error."""
    yielded = [(word[: end + 1],) for end in range(len(word))]
    assert job.outputs == yielded[: len(job.outputs)]
    assert job.data == (word,) or isinstance(job.error, Exception)


@given(faults=faults(), cut=cuts())
@settings(max_examples=30)
def test_each_job_ends_once_whatever_the_network_does(faults: list[Fault], cut: Cut) -> None:
    simulation = Simulation(app(version="6.31.0"), faults=faults, cut=cut)
    jobs = [simulation.submit(word, api_name="/spell") for word in ("abc", "x")]
    simulation.finish()
    for job, word in zip(jobs, ("abc", "x"), strict=True):
        check(job, word)
        if not simulation.struck:
            assert job.data == (word,)


@pytest.mark.parametrize("kind", FaultKind)
def test_each_fault_does_what_it_says(kind: FaultKind) -> None:
    simulation = Simulation(app(version="6.31.0"), pace=1.0)
    job = simulation.submit("abc", api_name="/spell")
    while not job.outputs:
        simulation.sleep(0.5)
    began, pieces = simulation.now, simulation.arrived
    simulation._faults = [Fault(kind, seconds=7.0)]
    simulation.run()
    assert simulation.struck == [Fault(kind, seconds=7.0)]
    assert pieces < simulation.arrived or job.error is not None
    if kind is FaultKind.DELAY:
        assert job.data == ("abc",)
        assert simulation.now - began >= 7.0
    else:
        assert isinstance(job.error, ConnectionError)
        assert (simulation.now - began > 30.0) == (kind is FaultKind.STALL)
    again = simulation.submit("x", api_name="/spell")
    simulation.run()
    assert (again.data == ("x",)) == (kind is not FaultKind.REFUSE)
    simulation.finish()


def test_time_passes_as_functions_take_it() -> None:
    simulation = Simulation(app(version="6.31.0"), pace=2.0)
    job = simulation.submit("abc", api_name="/spell")
    simulation.run()
    assert simulation.now == 1008.0  # three yields, and the end
    assert job.data == ("abc",)


def test_a_job_can_be_cancelled() -> None:
    simulation = Simulation(app(version="6.31.0"), pace=1.0)
    job = simulation.submit("abc", api_name="/spell")
    simulation.sleep(1.5)
    assert job.cancel()
    simulation.finish()
    assert isinstance(job.end, JobCancelled)
    assert not job.cancel()


def test_jobs_without_a_python_function_are_answered_by_hand() -> None:
    made = App(version="6.31.0")
    made.add("by_hand")
    simulation = Simulation(made)
    job = simulation.submit(api_name="/by_hand")
    simulation.settle()
    ((number, submitted),) = simulation.peer.running.items()
    assert submitted.function.api_name == "by_hand"
    with pytest.raises(AssertionError, match="these jobs are not over after 100 seconds"):
        simulation.run(within=100.0)
    simulation.peer.engine.start(number, simulation.now)
    simulation.peer.engine.complete(number, [], now=simulation.now)
    simulation.run()
    assert job.data == ()


def test_a_host_that_nobody_named_is_noticed() -> None:
    simulation = Simulation(app())
    simulation.session("http://app.example/")
    simulation._hosts = {"other.example"}
    with pytest.raises(AssertionError, match=r"nobody named the host 'app\.example'"):
        simulation.settle()


def test_another_version_after_a_restart() -> None:
    simulation = Simulation(app(version="4.44.1"))
    first = simulation.submit("abc", api_name="/spell")
    simulation.run()
    simulation.restart(app(version="6.31.0"))
    second = simulation.submit("abcd", api_name="/spell")
    simulation.finish()
    assert (first.data, second.data) == (("abc",), ("abcd",))
