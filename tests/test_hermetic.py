"""Tests reach this machine and nothing beyond it, and need nothing beside the checkout."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NotHermetic
from tests.support.corpora import cases_of

ROOT = Path(__file__).parent.parent


def test_the_network_is_out_of_reach() -> None:
    with pytest.raises(NotHermetic), socket.socket() as sock:
        sock.connect(("192.0.2.1", 80))
    with pytest.raises(NotHermetic):
        socket.getaddrinfo("example.org", 80)


def test_this_machine_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80)


def test_nothing_is_looked_for_beside_the_checkout() -> None:
    beside = f"..{'/'}shared"
    for suffix in ("py", "md", "toml", "mjs", "sh"):
        for path in ROOT.rglob(f"*.{suffix}"):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                assert beside not in path.read_text("utf-8"), path


def test_cases_of_others_are_skipped_where_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANSIO_GRADIO_CORPORA", raising=False)
    with pytest.raises(pytest.skip.Exception, match="names no folder"):
        cases_of("sse_wpt.json")


def test_cases_of_others_are_read_from_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANSIO_GRADIO_CORPORA", str(tmp_path))
    (tmp_path / "some.json").write_text('{"cases": [{"name": "a"}]}')
    assert cases_of("some.json") == [{"name": "a"}]
    with pytest.raises(FileNotFoundError):  # named, and not there: that is a mistake
        cases_of("another.json")


def test_recordings_are_packed_from_the_folder_that_is_named() -> None:
    script = ROOT / "tests" / "data" / "make_transcripts.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("usage: ")
