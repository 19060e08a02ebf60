"""The examples run, print what they promise, and complain of nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sansio_gradio.server.app import App
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_sockets import tls_in_front_of
from tests.adapters.test_tls import server_context

ROOT = Path(__file__).parents[2]
CERTIFICATES = ROOT / "tests" / "data" / "tls"


def chat(text: str) -> Iterator[str]:
    yield "Fine"
    yield "Fine, thanks"


@pytest.fixture(scope="module", params=["sse_v3", "ws"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    app = App(protocol=request.param)
    app.add_function(chat)
    with serve_in_thread(app) as url:
        yield url


def printed_by(example: str, *arguments: str, before: str = "", **environment: str) -> list[str]:
    """What an example prints; *before* it this is run."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    file = str(ROOT / "examples" / f"{example}.py")
    run = f"{before}\nimport runpy\nrunpy.run_path({file!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", run, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "", **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_game_loop(url: str) -> None:
    [line] = printed_by("game_loop", url, "How are you?")
    assert line == "Fine, thanks (more than one frame)"


NO_THREADS = """
import threading
def start(thread):
    raise AssertionError("a thread")
threading.Thread.start = start
"""


def test_game_loop_over_tls_and_without_a_thread(url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with tls_in_front_of(port, server_context()) as secure:
        [line] = printed_by(
            "game_loop",
            f"https://127.0.0.1:{secure}",
            "How are you?",
            before=NO_THREADS,
            SSL_CERT_FILE=str(CERTIFICATES / "authority.pem"),
        )
    assert line == "Fine, thanks (more than one frame)"


def test_game_loop_is_little_glue() -> None:
    text = (ROOT / "examples" / "game_loop.py").read_text("utf-8")
    names = [
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sansio_gradio")
        for alias in node.names
    ]
    assert len(text.splitlines()) <= 60
    assert len(names) <= 6
