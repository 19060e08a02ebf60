"""Which servers there are, and one of each kept running for all tests that need nothing special."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pytest

from .server import RealServer

VERSIONS = os.environ.get("SANSIO_GRADIO_VERSIONS", "").split()
_running: dict[str, RealServer] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", VERSIONS, scope="session")


@pytest.fixture(scope="session", autouse=True)
def _what_ends_the_tests_ends_the_servers() -> Iterator[None]:
    """SIGTERM is taken for Ctrl-C: otherwise it leaves the processes of ``RealServer`` behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def server(version: str) -> Iterator[RealServer]:
    """The main app on this version, shared: leave no job behind."""
    with RealServer(version) as running:
        _running[version] = running
        yield running
        del _running[version]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for version, running in _running.items():
            report.sections.append((f"Gradio {version} printed", running.output()[-4000:]))
    return report
