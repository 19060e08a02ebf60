"""The demo shows what it promises, and says so by its exit status when something is wrong."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread

ROOT = Path(__file__).parents[1]
DEMO = [sys.executable, str(ROOT / "examples" / "demo.py")]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
    "PYTHONWARNINGS": "error",
    "PYTHONIOENCODING": "utf-8",
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_all_of_it_as_plain_text() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    shown = iter(lines)
    for wanted in (
        r"Gradio \d+\.\d+\.\d+ on http://127\.0\.0\.1:\d+/ \(sse_v3\)",
        r'predict\(loaves: float, api_name="/bake"\) -> str',
        r'predict\(loaves: float, people: float, api_name="/share"\) -> float',
        r"number [12] of [12] in the queue",  # jobs may overtake each other on their way
        r"░{30} 0 loaves",
        r"█{16}░{14} 8 loaves",
        r"result: 15 loaves of bread",
        r"Mix",
        r"Mix flour, water,",
        r"Mix flour, .* the rest\.",
        r"Too few people: There is nobody to eat the bread\.",
        r"50 calls: \d+\.\d ms each\. All of this: \d+\.\d s",
    ):
        assert any(re.fullmatch(wanted, line) for line in shown), (wanted, lines)
    assert next(shown, None) is None
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "█░"), ("ascii", "#.")])
def test_a_bar_is_made_of_what_can_be_printed(
    encoding: str, bar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = runpy.run_path(DEMO[1])["Screen"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert screen().bar(0.5) == bar[0] * 15 + bar[1] * 15


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_in_a_terminal_the_lines_change() -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(DEMO, env=ENVIRONMENT, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b"".join(chunks(ours)).decode()
    os.close(ours)
    assert process.returncode == 0
    assert re.search(r"\r\x1b\[K  number [12] of [12] in the queue\r\x1b\[K", shown)
    assert "\r\x1b[K  Mix flour,\r\x1b[K  Mix flour, water,\r\x1b[K" in shown
    assert shown.count("\n") < 40  # what changes takes no lines of its own


def chunks(descriptor: int) -> Generator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed
            return
        if not chunk:
            return
        yield chunk


def test_another_app_is_not_taken_for_it() -> None:
    with serve_in_thread(App()) as url:
        done = run(url)
    assert done.returncode != 0
    assert "There is no endpoint" in done.stderr


def test_a_wrong_result_is_told() -> None:
    app = App(concurrency_limit=1)

    @app.endpoint("/bake")
    def bake(loaves: int) -> str:
        return f"{loaves} cakes"

    with serve_in_thread(app) as url:
        done = run(url)
    assert done.returncode != 0
    assert "wrong: ['5 cakes'" in done.stderr


def test_nobody_there_is_told() -> None:
    done = run("http://nonexistent.invalid")
    assert done.returncode != 0
    assert "ConnectFailed" in done.stderr
