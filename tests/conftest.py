"""What holds for every test: hypothesis' profiles, no network but this machine's, ends of jobs."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Generator, Iterator
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, settings

import sansio_gradio
from sansio_gradio.testing.ledger import LEDGER, keep_books
from tests.support.second_host import (
    CARRIED,
    WATCH,
    ReachedElsewhere,
    carry_credentials,
    keep_watch,
)

# What a test module asserts by these is shown like its own.
pytest.register_assert_rewrite(
    *(f"tests.support.{name}" for name in ("listings", "loopback")),
    *(f"tests.support.{name}" for name in ("replay", "served")),
)

# Machines differ in speed, so no deadlines; the number of examples is what bounds a run.
settings.register_profile(
    "fast",
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# A change is judged by the same examples before and after; new ones are found on the way to it.
settings.register_profile("ci", settings.get_profile("fast"), derandomize=True)
settings.register_profile(
    "thorough", settings.get_profile("fast"), max_examples=2000, stateful_step_count=60
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "fast")
)

# Tests talk to this machine only: somebody's proxy has no part in that, nor somebody's token.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING_FACE_"))]:
    del os.environ[name]
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"


class NotHermetic(BaseException):
    """A test reached for the network. Not an Exception: code under test must not swallow it."""


def _loopback_only(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    # RFC 6761: names under .invalid never resolve, and that they do not is a thing to test.
    loopback = name in {"", "::1", "::", "0.0.0.0", "localhost", "None"} or name.startswith("127.")
    if not loopback and not name.endswith((".invalid", ".localhost")):
        raise NotHermetic(f"{event} to {name}")


sys.addaudithook(_loopback_only)

keep_books()
keep_watch()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--credentials``: every session carries credentials, each kind or those that are named, and
    only what reaches a second host counts: see ``tests/support/second_host.py``."""
    parser.addoption("--credentials", metavar="KIND,…", nargs="?", const=",".join(CARRIED))


def pytest_configure(config: pytest.Config) -> None:
    """Begin to carry them."""
    if kinds := config.getoption("--credentials"):
        carry_credentials(kinds.split(","))


@pytest.hookimpl(tryfirst=True)  # before ``-m`` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What tries the same code again is exhaustive.

    On uvloop asyncio's adapter runs again: no code of ours is its own. No world knows protocols,
    and none knows why a server refuses: so the blocking client tries all of them, the others one.
    """
    tried: set[tuple[str, str]] = set()
    for item in items:
        callspec = getattr(item, "callspec", None)
        given = [] if callspec is None else callspec.id.split("-")
        world = next((name for name in ("asyncio", "trio") if name in given), None)
        again = "uvloop" in given
        if world is not None and item.path.name.startswith("test_worlds"):
            again = again or "ws" in given
        elif world is not None and item.path.name == "test_refusals_worlds.py":
            case = item.name.partition("[")[0], world
            again = again or case in tried
            tried.add(case)
        if again:
            item.add_marker(pytest.mark.exhaustive)


@pytest.fixture(autouse=True)
def jobs_end() -> Iterator[None]:
    """Every job ends once: see ``ledger.py``."""
    yield
    LEDGER.check()


@pytest.fixture(autouse=True)
def nothing_goes_elsewhere() -> Iterator[None]:
    """What a session was not given gets nothing of it: see ``second_host.py``."""
    yield
    WATCH.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``--credentials`` only the second host counts: a test may compare whole requests."""
    report = yield
    is_found = call.excinfo is not None and call.excinfo.errisinstance(ReachedElsewhere)
    if report.failed and not is_found and item.config.getoption("--credentials"):
        WATCH.broken_off += 1
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, "Skipped: it cannot bear more credentials")
    return report


# What is not measured, since tracing doubles its time. The coverage of the core comes from its own
# tests; those that go over a network, start processes or break everything everywhere add none.
UNMEASURED = (
    "adapters/",
    "client/test_transcripts",
    "docs/test_documentation_examples",
    "docs/test_example",
    "docs/test_fourth_adapter",
    "docs/test_other_loops",
    "docs/test_readme",
    "faults/test_matrix",
    "faults/test_proxy",
    "faults/test_recordings",
    "support/test_replay",
    "test_architecture",
    "test_demo",
    "test_dev",
    "test_fuzz_targets",
    "test_simulate",
)
ADD_NONE = ("exhaustive", "unmeasured")  # the same, of single tests
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)  # it makes processes measure themselves


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Importing the tests is not measured, since tracing doubles its time; the core's import is."""
    for module in pkgutil.walk_packages(sansio_gradio.__path__, "sansio_gradio."):
        importlib.import_module(module.name)
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
    yield
    if measuring is not None:
        measuring.start()


@pytest.fixture(autouse=True)
def tracing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stops the measuring for the tests that must not be needed for it."""
    measuring = coverage.Coverage.current()
    needed = not request.node.nodeid.removeprefix("tests/").startswith(UNMEASURED)
    if measuring is None or (needed and not any(map(request.node.get_closest_marker, ADD_NONE))):
        yield
        return
    measuring.stop()
    yield
    measuring.start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What a worker has in its books goes to whoever started it."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["ledger"] = LEDGER.sums
        output["watch"] = WATCH.sums


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if "ledger" in (told := getattr(node, "workeroutput", None) or {}):
        LEDGER.add(told["ledger"])
        WATCH.add(told["watch"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"{LEDGER}")
    terminalreporter.write_line(f"{WATCH}")
