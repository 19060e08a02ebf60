"""examples/dask_map.py, on a cluster in this machine with two apps, of which one stops early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread

distributed: Any = pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]
COUNT = 2000

pytestmark = [
    pytest.mark.exhaustive,
    # Of distributed, when its cluster closes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def doubling() -> App:
    app = App(concurrency_limit=None)

    async def double(number: int) -> int:
        return 2 * number

    app.add_function(double)
    return app


def test_the_program_calls_two_apps() -> None:
    with serve_in_thread(doubling()) as one, serve_in_thread(doubling()) as other:
        done = subprocess.run(
            [sys.executable, "examples/dask_map.py", f"--inputs={COUNT}", one, other],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")])},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{COUNT} results, their sum {COUNT * (COUNT - 1)}; 0 failed\n"
    assert f"{COUNT}/{COUNT}" in done.stderr


def test_a_worker_that_is_killed_and_an_app_that_stops_lose_nothing() -> None:
    dask_map: Any = import_module("examples.dask_map").dask_map

    taken: list[int] = []

    def inputs() -> Any:
        for number in range(COUNT):
            taken.append(number)
            yield number

    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as dask, serve_in_thread(doubling()) as url:
        stopping = serve_in_thread(doubling())
        apps = [url, stopping.__enter__()]
        found: list[int] = []
        for result in dask_map(dask, apps, inputs(), "/double"):
            found.append(result)
            assert len(taken) - len(found) <= 2 * 2 * 32
            if len(found) == 200:
                (victim, *_) = dask.run(os.getpid).values()
                os.kill(victim, signal.SIGKILL)
            if len(found) == 1000:
                stopping.__exit__(None, None, None)
    assert found == [2 * number for number in range(COUNT)]
