"""The examples of the published documentation run, print what they promise, complain of nothing,
and leave no job behind, on a server that sends the keys they look for."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.support import documentation
from tests.support.documentation import examples, missing

WEBSOCKET = "3.50.2"
NEWEST = "6.31.0"
BOTH = (WEBSOCKET, NEWEST)

Messages = Iterator[dict[str, Any]]


class Running:
    """Counts what runs."""

    def __init__(self) -> None:
        self.count = 0
        self.changed = threading.Condition()

    @contextmanager
    def one(self) -> Generator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self.changed:
            self.count += change
            self.changed.notify_all()

    def ends(self) -> bool:
        """Whether, in good time, nothing runs any more."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.count, PATIENCE)


class Scripted:
    """The apps that the examples were written for, in one."""

    def __init__(self, version: str) -> None:
        self.app = App(version=version, show_error=True)
        self.running = Running()
        self.asked = 0
        for function in (self.chat, self.process, self.queue_process, self.stream):
            self.app.add_function(function)
        self.app.add_function(self.chat, "sse_endpoint")
        self.app.add_function(self.chat, "ws_endpoint")
        self.app.add_function(self.chat, "async_stream")
        self.app.add_function(self.monitor, scripted=True)
        self.app.add_function(self.interactive, scripted=True)

    def chat(self, text: str) -> Iterator[str]:
        with self.running.one():
            yield "Fine"
            yield f"Fine, thanks for {text}"

    def process(self, name: str, run: Run) -> str:
        with self.running.one():
            for _ in run.track(range(4)):
                pass
            return f"{name} is done"

    def queue_process(self, name: str) -> str:
        return f"{name} is done"

    def stream(self, text: str) -> Iterator[str]:
        with self.running.one():
            yield f"{text}, so far so good"
            raise AppError("not any more")

    def monitor(self, sensor: str) -> Messages:
        with self.running.one():
            yield {**generating(sensor), "timestamp": "12:00:01", "value": 20.5}
            yield {"msg": "stop", "timestamp": "12:00:02", "value": 21}
            while True:
                yield {"msg": "not stopped"}
                time.sleep(0.01)

    def interactive(self, data: dict[str, Any]) -> Messages:
        with self.running.one():
            self.asked += 1
            yield generating(data["counter"])
            if self.asked < 3:
                yield {"msg": "process_completed", **of(data["counter"])}
                return
            yield {"msg": "shutdown"}
            while True:
                yield {"msg": "not shut down"}
                time.sleep(0.01)


def generating(value: Any) -> dict[str, Any]:
    return {"msg": "process_generating", **of(value)}


def of(value: Any) -> dict[str, Any]:
    return {"output": {"data": [value]}, "success": True}


@attrs.frozen
class Case:
    title: str
    versions: tuple[str, ...]
    promised: tuple[str, ...]
    """What matches some of the lines, in this order; the last one matches the last line."""


CASES = (
    Case(
        "Basic message streaming",
        BOTH,
        (
            r"Received: \{'msg': 'estimation'.*",
            "Chat response: estimation",
            "Chat response: process_starts",
            r"Received: \{.*'data': \['Fine'\].*",
            r"Received: \{.*'data': \['Fine, thanks for Hello, how are you\?'\].*",
            "Chat response: process_completed",
        ),
    ),
    Case(
        "Real-time progress monitoring",
        BOTH,
        (
            *(rf"Progress: {percent}\.0%" for percent in (0, 25, 50, 75)),
            "Processing completed successfully!",
            r"Final result: \{.*'data': \['large_dataset.csv is done'\].*",
        ),
    ),
    Case(
        "WebSocket streaming",
        BOTH,
        (
            r"\[12:00:01\] Sensor reading: 20\.5",
            r"\[12:00:02\] Sensor reading: 21",
        ),
    ),
    Case(
        "Bidirectional communication",
        (WEBSOCKET,),
        (
            r".*Received response: \{.*'msg': 'process_generating'.*'data': \[0\].*",
            r".*Received response: \{.*'msg': 'process_completed'.*'data': \[0\].*",
            r".*Received response: \{.*'data': \[1\].*",
            r".*Received response: \{.*'data': \[2\].*",
            r".*Received response: \{'msg': 'shutdown'\}.*",
            ".*Server requested shutdown.*",
        ),
    ),
    Case(
        "Queue management",
        BOTH,
        (
            "Queue position: 0/1",
            r"Job completed: \{.*'data': \['batch_job is done'\].*",
        ),
    ),
    Case(
        "Error handling in streams",
        BOTH,
        (
            r"Output: \{.*'data': \['test_input, so far so good'\].*",
            "Stream error: process_completed",
        ),
    ),
    Case(
        "Protocol-specific streaming",
        (WEBSOCKET,),
        (
            "Using protocol: ws",
            r"WS Message: \{.*'data': \['Fine, thanks for data'\].*",
            r"WS Message: \{'msg': 'process_completed'.*",
        ),
    ),
    Case(
        "Protocol-specific streaming",
        (NEWEST,),
        (
            "Using protocol: sse_v3",
            r"SSE Event: \{.*'data': \['Fine, thanks for data'\].*",
            r"SSE Event: \{'msg': 'process_completed'.*",
        ),
    ),
    Case(
        "Asynchronous streaming",
        BOTH,
        ("Async update: Fine", "Async update: Fine, thanks for async_data"),
    ),
)


@pytest.mark.parametrize(
    ("case", "version"),
    [
        pytest.param(
            case,
            version,
            id=f"{case.title} on {version}",
            marks=[] if version == case.versions[-1] else [pytest.mark.exhaustive],
        )
        for case in CASES
        for version in case.versions
    ],
)
def test_an_example_prints_what_it_promises(case: Case, version: str, tmp_path: Path) -> None:
    scripted = Scripted(version)
    with serve_in_thread(scripted.app) as url:
        ended = documentation.run(case.title, url, tmp_path)
        assert (ended.status, ended.errors) == (0, "")
        assert missing(case.promised, ended.lines) is None, ended.lines
        assert missing(case.promised[-1:], ended.lines[-1:]) is None, ended.lines
        assert scripted.running.ends()


def test_every_example_of_the_documentation_is_here() -> None:
    assert len(examples()) == 8
    assert {case.title for case in CASES} == set(examples())


def test_ctrl_c_ends_the_websocket_example_as_it_says(tmp_path: Path) -> None:
    """The server's stop is what the example waits for, so it must not come."""
    scripted = Scripted(WEBSOCKET)

    def monitor(sensor: str) -> Messages:
        with scripted.running.one():
            while True:
                yield {**generating(sensor), "timestamp": "12:00:01", "value": 20.5}
                time.sleep(0.01)

    app = App(version=WEBSOCKET)
    app.add_function(monitor, scripted=True)
    with serve_in_thread(app) as url:
        with documentation.started("WebSocket streaming", url, tmp_path) as process:
            ended = documentation.interrupt(process, lambda line: "20.5" in line, times=3)
        assert (ended.status, ended.errors) == (0, "")
        assert ended.lines[-1] == "Streaming stopped by user"
        assert scripted.running.ends()


def test_what_is_promised_must_be_printed_in_that_order() -> None:
    assert missing(["a", "b.*"], ["x", "a", "y", "bc"]) is None
    assert missing(["a", "b"], ["b", "a"]) == "b"
    assert missing(["a"], ["ab"]) == "a"
