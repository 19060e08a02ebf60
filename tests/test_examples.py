"""The examples run, print what they promise, complain of nothing, and leave no job behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.run import Run
from sansio_gradio_adapters.server import serve_in_thread

ROOT = Path(__file__).parent.parent
PATIENCE = 20.0  # seconds; only what is broken takes that long


@attrs.define
class Scripted:
    """An app that says what the examples look for, and knows which runs were left early."""

    app: App
    left: threading.Event = attrs.field(factory=threading.Event)

    @classmethod
    def speaking(cls, protocol: str) -> Scripted:
        scripted = cls(App(protocol=protocol, show_error=True))
        for function in (
            scripted.chat,
            scripted.process,
            scripted.queue_process,
            scripted.stream,
            scripted.async_stream,
        ):
            scripted.app.add_function(function)
        scripted.app.add_function(scripted.chat, "sse_endpoint")
        scripted.app.add_function(scripted.chat, "ws_endpoint")
        scripted.app.add(
            "monitor",
            call=scripted.monitor,
            parameters=(Slot(name="sensor"),),
            returns=(Slot(name="value"),),
            generator=True,
            scripted=True,
        )
        return scripted

    def chat(self, text: str) -> Iterator[str]:
        yield "Fine"
        yield "Fine, thanks"

    def process(self, name: str, run: Run) -> str:
        for _ in run.track(range(4)):
            pass
        return f"{name} is done"

    def queue_process(self, name: str) -> str:
        return f"{name} is done"

    def stream(self, text: str) -> Iterator[str]:
        yield "so far so good"
        raise AppError("not any more")

    def async_stream(self, text: str) -> Iterator[str]:
        yield "one"
        yield "two"

    def monitor(self, sensor: str) -> Iterator[dict[str, Any]]:
        try:
            yield {
                "msg": "process_generating",
                "output": {"data": [1]},
                "value": 1,
                "timestamp": "t1",
            }
            yield {"msg": "stop", "value": 2, "timestamp": "t2"}
            while True:
                yield {"msg": "still there"}
                time.sleep(0.01)
        finally:
            self.left.set()


@pytest.fixture(scope="module", params=["sse_v3", "ws"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Scripted, str]]:
    scripted = Scripted.speaking(request.param)
    with serve_in_thread(scripted.app) as url:
        yield scripted, url


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


def test_basic_streaming(served: tuple[Scripted, str]) -> None:
    lines = printed_by("basic_streaming", served[1])
    assert "Chat response: process_generating" in lines
    assert any("'data': ['Fine, thanks']" in line for line in lines)
    assert lines[-1] == "Chat response: process_completed"


def test_progress(served: tuple[Scripted, str]) -> None:
    lines = printed_by("progress", served[1])
    assert lines[:4] == [f"Progress: {percent}.0%" for percent in (0, 25, 50, 75)]
    assert lines[4] == "Processing completed successfully!"
    assert "large_dataset.csv is done" in lines[5]


def test_websocket(served: tuple[Scripted, str]) -> None:
    scripted, url = served
    lines = printed_by("websocket", url)
    assert lines[-2:] == ["[t1] Sensor reading: 1", "[t2] Sensor reading: 2"]
    assert scripted.left.wait(PATIENCE)


def test_queue_position(served: tuple[Scripted, str]) -> None:
    lines = printed_by("queue_position", served[1])
    assert lines[0] == "Queue position: 0/1"
    assert "batch_job is done" in lines[-1]


def test_errors(served: tuple[Scripted, str]) -> None:
    lines = printed_by("errors", served[1])
    assert "so far so good" in lines[0]
    assert lines[-1] == "Stream error: process_completed"


def test_protocols(served: tuple[Scripted, str]) -> None:
    scripted, url = served
    lines = printed_by("protocols", url)
    assert lines[0] == f"Using protocol: {scripted.app.protocol}"
    word = "WS Message" if scripted.app.protocol == "ws" else "SSE Event"
    assert all(line.startswith(word) for line in lines[1:])
    assert "process_completed" in lines[-1]


def test_asynchronous(served: tuple[Scripted, str]) -> None:
    assert printed_by("asynchronous", served[1]) == [
        "Async update: one",
        "Async update: two",
        "Result: two",
    ]


def test_game_loop(served: tuple[Scripted, str]) -> None:
    [line] = printed_by("game_loop", served[1], "How are you?")
    assert line == "Fine, thanks (more than one frame)"
