"""The front page of the protocol: its app and its commands, on the release that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.front_page import CURL, app, commands, is_shown, run

from .server import RealServer, free_port

pytestmark = [pytest.mark.real, pytest.mark.skipif(CURL is None, reason="there is no curl")]


def test_the_commands_print_what_the_page_says(version: str, tmp_path: Path) -> None:
    if version != "6.31.0":
        pytest.skip("the page shows 6.31.0")
    program, port = tmp_path / "app.py", free_port()
    program.write_text(app(), "utf-8")
    named = str(program.with_suffix(""))
    with RealServer(version, named, port=port, GRADIO_SERVER_PORT=str(port)) as server:
        for command, shown in commands():
            printed = run(command, server.url)
            assert is_shown(printed, shown), printed
