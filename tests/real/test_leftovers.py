"""Generators after others that failed or were cancelled: no value of one is taken for another's.

Gradio 4.17 to 6.26 send edits as a job's first yield when they take its generator for an older one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from sansio_gradio.errors import AppError, JobCancelledError
from sansio_gradio.events import Anomaly
from sansio_gradio_adapters.sockets import Client, Job

from .server import RealServer
from .test_endings import speaks

pytestmark = pytest.mark.real

JOBS = 120
STEPS = 4


@pytest.fixture(scope="module")
def leaving(version: str) -> Iterator[RealServer]:
    if not speaks(version, (4, 0)):
        pytest.skip("it sends whole values only, and has no concurrency_limit")
    with RealServer(version, "leaving") as running:
        yield running


def right(tag: str) -> list[tuple[str, dict[str, Any]]]:
    steps = [list(range(step + 1)) for step in range(STEPS)]
    return [(f"{tag}: {numbers}", {"tag": tag, "numbers": numbers}) for numbers in steps]


def is_part(some: list[Any], whole: list[Any]) -> bool:
    """Whether *some* of the values come in that order in *whole*."""
    rest = iter(whole)
    return all(value in rest for value in some)


@pytest.mark.parametrize("in_flight", [1, 3])
def test_each_output_is_of_its_own_job(leaving: RealServer, in_flight: int) -> None:
    draw, seen = random.Random(in_flight), Counter[str]()

    def observe(now: float, conn: int | None, direction: str, what: object) -> None:
        seen["anomalies"] += isinstance(what, Anomaly)

    def begin(tag: str) -> tuple[str, str, Job]:
        end = draw.choice(["completes", "fails", "is cancelled"])
        pause = 0.02 if end == "is cancelled" else 0.0
        steps = 100 if end == "is cancelled" else STEPS
        name = draw.choice(["/yields", "/other_yields"])
        return tag, end, client.submit(tag, steps, end == "fails", pause, api_name=name)

    with Client(leaving.url, observe=observe) as client:
        for first in range(0, JOBS, in_flight):
            begun = [begin(f"job {first + beside}") for beside in range(in_flight)]
            for tag, end, job in begun:
                all_of_them = right(tag)
                if end == "is cancelled":
                    outputs = list(islice(job, draw.randrange(STEPS)))
                    job.cancel()
                    with pytest.raises(JobCancelledError):
                        job.result()
                    assert is_part(outputs, all_of_them)
                    continue
                outputs = []
                if end == "fails":
                    with pytest.raises(AppError, match=f"{tag} failed"):
                        outputs.extend(job)  # what came before the error is kept
                else:
                    outputs.extend(job)
                    assert job.result() == all_of_them[-1]
                    assert outputs[-1] == all_of_them[-1]
                assert is_part(outputs, all_of_them), (tag, outputs)
                seen["jobs that lack values"] += outputs != all_of_them
    print(f"{JOBS} jobs, {in_flight} at once: {dict(seen)}")
    assert seen["jobs that lack values"] <= seen["anomalies"]
