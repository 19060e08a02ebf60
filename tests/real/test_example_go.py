"""examples/client.go on real servers: the scenarios, two sibling cancels, the forgotten job."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.golang import GO, NO_GO, go_client, go_tests

from .server import RealServer, free_port

__all__ = ["go_client"]

pytestmark = [pytest.mark.real, pytest.mark.skipif(GO is None, reason=NO_GO)]


@pytest.fixture(autouse=True)
def _spoken(version: str) -> None:
    if version.startswith(("3.1", "3.3", "3.4", "4.0", "4.8")):
        pytest.skip("the example speaks 3.50, and 4.9 and later")


def test_the_scenarios_pass(version: str, server: RealServer, go_client: Path) -> None:
    said = go_tests(go_client, "TestReal$|TestRealCancel", REAL=server.url)
    assert said.count("--- PASS") == 3


def test_a_job_that_the_server_has_forgotten_is_lost(version: str, go_client: Path) -> None:
    port = free_port()
    with RealServer(version, port=port) as server:
        client = subprocess.Popen(
            [str(go_client / "client.test"), "-test.v", "-test.run", "TestRealForgotten"],
            env={**os.environ, "REAL": server.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        heard = ""
        while "READY" not in heard:
            line = client.stdout.readline()
            assert line, heard
            heard += line
    with RealServer(version, port=port):
        client.stdin.write("\n")
        said, _ = client.communicate(timeout=120)
    assert "--- PASS: TestRealForgotten" in said, heard + said
