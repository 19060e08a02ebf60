"""The Go client written from the protocol pages, on the test vectors and the server role."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.golang import CLIENT, GO, GOFMT, NO_GO, TESTS, go_client, go_tests

__all__ = ["go_client"]

needs_go = pytest.mark.skipif(GO is None, reason=NO_GO)


@needs_go
def test_it_passes_the_vectors(go_client: Path) -> None:
    kinds = ["Edits", "ErrorTexts", "Streams", "Yields", "Updates", "Recordings"]
    said = go_tests(go_client, f"^Test({'|'.join(kinds)})$")
    assert said.count("--- PASS") == len(kinds)


@needs_go
@pytest.mark.parametrize("version", ["6.31.0", "4.19.2", "3.50.2"])
def test_the_scenarios_pass(go_client: Path, version: str) -> None:
    lively = Lively(version=version)
    endless = lively.new_endless()
    with serve_in_thread(lively.app) as url:
        said = go_tests(go_client, "TestLively", LIVELY=url, ENDLESS=endless.name)
        endless.wait_for_end()
        assert "--- PASS: TestLively" in said
        for call, wanted in (
            (("/chat", '"ab"'), (0, '"a"\n"ab"\n"ab"\n', "")),
            (("/boom", '"no"'), (1, "", "AppError: no\n")),
        ):
            command = [str(go_client / "client"), url, *call]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert (done.returncode, done.stdout, done.stderr) == wanted


def test_it_is_as_short_as_it_says() -> None:
    lines = CLIENT.read_text("utf-8").splitlines()
    assert len(lines) <= 700
    assert max(map(len, lines)) <= 120


@pytest.mark.skipif(GOFMT is None, reason="there is no gofmt")
def test_it_is_formatted_by_gofmt() -> None:
    command = [str(GOFMT), "-l", str(CLIENT), str(TESTS / "support" / "client_test.go")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
