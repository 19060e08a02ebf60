"""The gateway of the examples: an old app behind it is used as today's."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.status import StatusUpdate
from sansio_gradio.server.app import App
from sansio_gradio.server.components import State
from sansio_gradio.server.contents import File
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client, handle_file
from sansio_gradio_adapters.storage import OnDisk
from tests.support.gateways import GATEWAY, gateway, gateway_to


class Old:
    """An app of 3.50.2."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.app = App(version="3.50.2", title="Old", concurrency_limit=None)
        for function in (self.greet, self.spell, self.boom, self.work, self.remember, self.pair):
            self.app.add_function(function)
        self.app.add_function(self.endless)
        self.app.add_function(self.stumble)
        self.app.add_function(self.shout)
        self.app.add_function(self.greet, "unqueued", queue=False)

    def greet(self, name: str, times: int = 2) -> str:
        return " ".join([name] * int(times))

    def spell(self, word: str) -> Iterator[str]:
        for end in range(len(word)):
            yield word[: end + 1]

    def boom(self, text: str) -> str:
        raise AppError(f"refused: {text}")

    def work(self, steps: int, run: Run) -> str:
        for step in run.track(range(int(steps)), desc="working"):
            run.warning(f"at {step}")
        return "done"

    def pair(self, text: str) -> tuple[str, str]:
        return text, text[::-1]

    def remember(
        self, text: str, seen: Annotated[list[str] | None, State] = None
    ) -> tuple[str, Annotated[list[str], State]]:
        seen = [*(seen or []), text]
        return ",".join(seen), seen

    def stumble(self, steps: int = 0) -> Iterator[str]:
        yield from map(str, range(int(steps)))
        raise AppError("no step at all")

    def shout(self, file: File) -> tuple[File, str]:
        return File(f"loud {file.name}", file.read().upper()), file.name

    def endless(self) -> Iterator[int]:
        try:
            for step in range(10**9):
                yield step
                time.sleep(0.01)
        finally:
            self.ended.set()


@pytest.fixture(scope="module")
def old() -> Old:
    return Old()


@pytest.fixture(scope="module")
def url(old: Old) -> Iterator[str]:
    with serve_in_thread(old.app) as behind, gateway_to(behind) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def test_it_poses_as_todays(client: Client) -> None:
    assert client.protocol == "sse_v3"
    assert client.config["title"] == "Old"
    assert client.config["version"].startswith("6.")
    assert 'predict(name: str, times: float = 2, api_name="/greet") -> str' in client.view_api()
    assert len(GATEWAY.read_text().splitlines()) <= 60


def test_calls_and_defaults(client: Client) -> None:
    assert client.predict("a", api_name="/greet") == "a a"
    assert client.predict("a", times=1, api_name="/greet") == "a"
    assert client.predict("a", 3, api_name="/unqueued") == "a a a"
    assert client.predict("ab", api_name="/pair") == ("ab", "ba")


def test_each_yield_passes_once(client: Client) -> None:
    assert list(client.submit("ham", api_name="/spell")) == ["h", "ha", "ham"]


def test_errors_pass(client: Client) -> None:
    with pytest.raises(AppError, match="refused: x"):
        client.predict("x", api_name="/boom")


def test_what_fails_before_its_first_yield_has_yielded_nothing(client: Client) -> None:
    job = client.submit(api_name="/stumble")
    assert isinstance(job.exception(), AppError)
    assert job.outputs() == []


def test_the_jobs_of_a_new_visitor_may_begin_at_once(url: str) -> None:
    with Client(url) as visitor:
        jobs = [visitor.submit(str(number), 1, api_name="/greet") for number in range(20)]
        assert [job.result() for job in jobs] == [str(number) for number in range(20)]


def test_files_pass(client: Client) -> None:
    given = handle_file(b"hello", name="note.txt")
    loud, name = client.predict(given, api_name="/shout")
    assert (loud.read(), loud.name, name) == (b"HELLO", "loud note.txt", "note.txt")


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it reads /proc")
def test_a_large_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    path = tmp_path / "large.bin"
    path.write_bytes(b"0123456789abcdef" * (size // 16))
    app = App(version="3.50.2")
    app.add_function(same)
    with (
        serve_in_thread(app, storage=OnDisk(tmp_path)) as behind,
        gateway(behind) as (url, pid),
        Client(url) as client,
    ):
        client.predict(handle_file(b"x", name="x.bin"), api_name="/same")
        before = peak_of(pid)
        result = client.predict(handle_file(path), api_name="/same")
        assert sum(len(piece) for piece in result.stream()) == size
        assert peak_of(pid) - before < size // 4


def same(file: File) -> File:
    return file


def peak_of(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_progress_and_notices_pass(client: Client) -> None:
    job = client.submit(3, api_name="/work")
    updates = [update for update in job.updates() if isinstance(update, StatusUpdate)]
    assert [update.log for update in updates if update.log] == [
        [f"at {step}", "warning"] for step in range(3)
    ]
    units: list[Any] = [update.progress_data[0] for update in updates if update.progress_data]
    assert {unit["desc"] for unit in units} == {"working"}
    assert job.result() == "done"


def test_each_visitor_has_a_state(url: str, client: Client) -> None:
    assert client.predict("a", api_name="/remember") == "a"
    assert client.predict("b", api_name="/remember") == "a,b"
    with Client(url) as other:
        assert other.predict("c", api_name="/remember") == "c"


def test_what_is_cancelled_stops_behind_the_gateway(client: Client, old: Old) -> None:
    job = client.submit(api_name="/endless")
    next(iter(job))
    assert job.cancel()
    assert old.ended.wait(PATIENCE)
