"""The programs of docs/other_loops.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from listings import listings, printed_by
from lively_app import Lively
from places import SERVERS, serve

SELECTORS, QT, HTTPX = listings("other_loops")
OUTPUTS = ["a", "ab", "abc"]


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


def test_two_sessions_in_a_selectors_loop(served: tuple[Lively, str]) -> None:
    lines = printed_by(SELECTORS, served[1], "abc")
    for name in ("one", "two"):
        assert [line.split()[1] for line in lines if line.startswith(name)] == OUTPUTS


def test_qt(served: tuple[Lively, str]) -> None:
    assert printed_by(QT, served[1], "abc", needs="PySide6") == OUTPUTS


def test_httpx(served: tuple[Lively, str]) -> None:
    if served[0].app.protocol == "ws":
        pytest.skip("httpx has no WebSockets")
    assert printed_by(HTTPX, served[1], "abc", needs="httpx") == OUTPUTS
