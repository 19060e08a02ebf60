"""The examples run, print what they promise, and complain of nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread

ROOT = Path(__file__).parent.parent
PATIENCE = 20.0  # seconds; only what is broken takes that long


def chat(text: str) -> Iterator[str]:
    yield "Fine"
    yield "Fine, thanks"


@pytest.fixture(scope="module", params=["sse_v3", "ws"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    app = App(protocol=request.param)
    app.add_function(chat)
    with serve_in_thread(app) as url:
        yield url


def printed_by(example: str, *arguments: str) -> list[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{example}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": ""},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_game_loop(url: str) -> None:
    [line] = printed_by("game_loop", url, "How are you?")
    assert line == "Fine, thanks (more than one frame)"
