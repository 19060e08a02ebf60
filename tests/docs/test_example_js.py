"""The JavaScript client that was written from docs/protocol.md, against the server role."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.javascript import NODE

TESTS = Path(__file__).parents[1]
CLIENT = TESTS.parent / "examples" / "client.mjs"

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no Node 22 or later")


@pytest.fixture(params=["6.31.0", "4.29.0", "4.19.2", "4.16.0", "4.8.0", "3.50.2", "3.16.2"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    lively = Lively(version=request.param)
    with serve_in_thread(lively.app) as url:
        yield lively, url


def node(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_scenarios_pass(served: tuple[Lively, str]) -> None:
    lively, url = served
    endless = lively.new_endless()
    done = node(TESTS / "support" / "client_scenarios.mjs", url, endless.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    endless.wait_for_end()


def test_on_the_command_line_it_prints_outputs(served: tuple[Lively, str]) -> None:
    _, url = served
    done = node(CLIENT, url, "/chat", '"ab"')
    assert (done.returncode, done.stdout, done.stderr) == (0, '"a"\n"ab"\n"ab"\n', "")
    done = node(CLIENT, url, "/boom", '"no"')
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "AppError: no\n")


def test_it_is_as_short_as_it_says() -> None:
    assert len(CLIENT.read_text("utf-8").splitlines()) <= 400


def test_it_passes_the_vectors() -> None:
    done = node(TESTS / "support" / "vectors.mjs")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
