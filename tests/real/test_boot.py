"""The servers start, say who they are, take options, and are gone afterwards."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

import pytest

from .server import RealServer, ServerFailed, get

pytestmark = pytest.mark.real

# On every version.
ENDPOINTS = {
    *("echo", "greet", "divide", "double", "shout", "fail", "fail_hidden", "log", "remember"),
    *("upper_file", "echo_unqueued", "slow_running", "slow_steps"),
}


def config_of(server: RealServer) -> dict[str, Any]:
    answer = get(urlsplit(server.url).port or 0, "/config")
    assert answer.status == 200
    config: dict[str, Any] = json.loads(answer.body)
    return config


def test_the_server_is_of_the_version_that_was_asked_for(server: RealServer) -> None:
    assert config_of(server)["version"].strip() == server.version


def test_every_endpoint_is_there(server: RealServer) -> None:
    names = {dependency["api_name"] for dependency in config_of(server)["dependencies"]}
    assert names >= ENDPOINTS


def test_options_reach_the_app_and_the_process_ends(version: str) -> None:
    with RealServer(version, AUTH="1") as server:
        pid = server.pid
        assert get(urlsplit(server.url).port or 0, "/config").status == 401
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_does_not_start_says_why(version: str) -> None:
    with pytest.raises(ServerFailed, match="ValueError"), RealServer(version, CONCURRENCY="many"):
        pass
