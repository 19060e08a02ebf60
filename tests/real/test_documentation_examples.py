"""The examples of the published documentation run on real servers, print what they promise,
complain of nothing, and leave no job behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sansio_gradio_adapters.sockets import Client
from tests.support import documentation
from tests.support.documentation import examples, missing

from .server import RealServer

pytestmark = pytest.mark.real

# What matches some of the lines, in this order; the last one matches the last line.
PROMISED = {
    "Basic message streaming": (
        r"Received: \{'msg': 'estimation'.*",
        "Chat response: estimation",
        "Chat response: process_starts",
        r"Received: \{.*'data': \['Fine'\].*",
        r"Received: \{.*'data': \['Fine, thanks for Hello, how are you\?'\].*",
        "Chat response: process_completed",
    ),
    "Real-time progress monitoring": (
        r"Progress: (25|50|75)\.0%",
        "Processing completed successfully!",
        r"Final result: \{'data': \['large_dataset.csv is done'\].*",
    ),
    # Nobody sends readings, nor a stop: it ends with the job.
    "WebSocket streaming": (r"\[None\] Sensor reading: None",) * 6,
    "Queue management": (
        r"Queue position: 0/\d+",
        r"Job completed: \{'data': \['batch_job is done'\].*",
    ),
    "Error handling in streams": (
        r"Output: \{'data': \['test_input, so far so good'\].*",
        "Stream error: process_completed",
    ),
    "Protocol-specific streaming": (
        r"Using protocol: (ws|sse\S*)",
        r"(WS Message|SSE Event): \{.*'data': \['Fine, thanks for data'\].*",
        r"(WS Message|SSE Event): \{'msg': 'process_completed'.*",
    ),
    "Asynchronous streaming": ("Async update: Fine", "Async update: Fine, thanks for async_data"),
}
# This one has no end of its own, and says protocol="ws".
INTERRUPTED = "Bidirectional communication"
SECOND = 10  # steps of the app
ENDLESS = 600


@pytest.fixture(scope="module")
def url(version: str) -> Iterator[str]:
    if version.startswith(("3.1.", "3.4.")):
        pytest.skip("before Gradio 3.16 there is no gr.Progress")
    with RealServer(version, app="documentation") as server:
        yield server.url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    """One that looks at the server from beside."""
    with Client(url) as connected:
        yield connected


def steps_until_nothing_runs(client: Client) -> int:
    """How many were taken in all."""
    give_up = time.monotonic() + 30
    while True:
        jobs, steps = client.predict(api_name="/state")
        if not jobs:
            return int(steps)
        assert time.monotonic() < give_up, f"{jobs} jobs are left"
        time.sleep(0.05)


class Marks:
    """Looks at the steps taken whenever it likes a line."""

    def __init__(self, client: Client, liked: str) -> None:
        self._client, self._liked = client, liked
        self.steps = 0

    def __call__(self, line: str) -> bool:
        if self._liked not in line:
            return False
        jobs, self.steps = self._client.predict(api_name="/state")
        assert jobs
        return True


@pytest.mark.parametrize("title", PROMISED)
def test_an_example_prints_what_it_promises(
    client: Client, url: str, title: str, tmp_path: Path
) -> None:
    client.predict(3, api_name="/monitor_for")
    ended = documentation.run(title, url, tmp_path)
    assert (ended.status, ended.errors) == (0, "")
    promised = PROMISED[title]
    assert missing(promised, ended.lines) is None, ended.lines
    assert missing(promised[-1:], ended.lines[-1:]) is None, ended.lines
    steps_until_nothing_runs(client)


def test_every_example_of_the_documentation_is_here() -> None:
    assert {*PROMISED, INTERRUPTED} == set(examples())


def test_ctrl_c_ends_the_websocket_example_and_its_job_within_a_second(
    client: Client, url: str, tmp_path: Path
) -> None:
    if client.protocol == "sse":
        pytest.skip("the server does not look whether the client is still there")
    client.predict(ENDLESS, api_name="/monitor_for")
    with documentation.started("WebSocket streaming", url, tmp_path) as process:
        marks = Marks(client, "Sensor reading")
        ended = documentation.interrupt(process, marks, times=8)
    assert (ended.status, ended.errors) == (0, "")
    assert ended.lines[-1] == "Streaming stopped by user"
    assert steps_until_nothing_runs(client) - marks.steps <= SECOND


def test_the_example_that_talks_both_ways_ends_with_ctrl_c_within_a_second(
    client: Client, url: str, tmp_path: Path
) -> None:
    if client.protocol != "ws":
        pytest.skip(f"the example says that it speaks ws, and the server speaks {client.protocol}")
    with documentation.started(INTERRUPTED, url, tmp_path) as process:
        marks = Marks(client, "'answer 2'")
        ended = documentation.interrupt(process, marks, times=1)
    for number in range(3):
        answer = rf".*Received response: \{{'msg': 'process_generating'.*'answer {number}'.*"
        for promised in (answer, rf".*Sent data {number}, response: \d.*"):
            assert missing([promised], ended.lines) is None, ended.lines
    # It does not catch what Ctrl-C raises: that is all it complains of.
    complaint = ended.errors.splitlines()
    assert (complaint[0], complaint[-1]) == (
        "Traceback (most recent call last):",
        "KeyboardInterrupt",
    )
    assert ended.errors.count("Traceback") == 1
    assert "Warning" not in ended.errors
    assert steps_until_nothing_runs(client) - marks.steps <= SECOND
