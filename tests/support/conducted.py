"""Our own engine on a plan of the kit, in memory and in told time."""

from __future__ import annotations

from typing import Any

from sansio_gradio import Engine, GradioError, RemoteFile, apply_update, handle_file
from sansio_gradio.client.session import Session
from sansio_gradio.events import (
    ConnectingFailed,
    DownloadReceived,
    JobCancelled,
    JobCompleted,
    JobFailed,
    Output,
    StatusUpdated,
)
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.files import rules_of
from sansio_gradio.server.contents import File
from sansio_gradio.testing.changes import Ending
from sansio_gradio.testing.conducting import Conductor, Plan
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.judging import Finding, ToldCaller, judge

PATIENCE = 200.0  # told seconds


class ConductedPeer:
    """The conductor, as a driver has its peers."""

    def __init__(self, plan: Plan) -> None:
        self.conductor = Conductor(plan, entropy=counted_entropy())
        self.now = 0.0

    def open(self, conn: int, now: float) -> None:
        self.conductor.connection_made(conn, now)

    def receive(self, conn: int, data: bytes, now: float) -> None:
        self.now = now
        self.conductor.receive_data(conn, data, now)

    def outputs(self) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for conn, what in self.conductor.actions(self.now):
            if isinstance(what, bytes):
                found.append((conn, what))
            elif what is not Ending.HOLD:
                found.append((conn, b""))
        return found

    def next_deadline(self) -> float | None:
        return self.conductor.next_deadline()

    def handle_timer(self, now: float) -> None:
        self.now = now
        self.conductor.handle_timer(now)


def try_engine(plan: Plan) -> Finding | None:
    """What our engine does wrong on that plan; None: nothing."""
    peer = ConductedPeer(plan)
    driver = Driver(Engine(entropy=counted_entropy()), peer)
    scenario = plan.scenario
    session = driver.engine.session("http://app.example/")
    calls = [scenario] if scenario.twin is None else [scenario, scenario.twin]
    lines: list[dict[str, Any]] = []
    try:
        jobs = [session.submit(*map(_given, one.data), api_name=f"/{one.name}") for one in calls]
    except GradioError as error:
        lines.append({"error": str(error)})
        jobs = []
    has_cancelled = False
    results: dict[int, Any] = {}
    seen = 0
    is_over = not jobs
    while not is_over and driver.now < 1000 + PATIENCE:
        driver.sleep(0.5)
        new, seen = driver.events[seen:], len(driver.events)
        for event in new:
            if isinstance(event, ConnectingFailed) and not lines:
                lines.append({"error": str(event.error)})
            elif isinstance(event, StatusUpdated):
                lines.append({"status": dict(event.status)})
            elif isinstance(event, Output) and len(jobs) == 1:
                lines.append({"output": _listed(plan, event.value)})
            elif isinstance(event, JobCompleted):
                results[jobs.index(event.job)] = _listed(plan, event.data)
                if len(jobs) == 1:
                    lines.append({"result": _listed(plan, event.data)})
            elif isinstance(event, JobFailed):
                if not any("error" in line for line in lines):
                    lines.append({"error": str(event.error)})
                is_over = True
            elif isinstance(event, JobCancelled):
                lines.append({"cancelled": True})
        outputs = sum("output" in line for line in lines)
        if scenario.is_cancelled and outputs == len(scenario.outputs) and not has_cancelled:
            has_cancelled = True
            session.cancel(jobs[0])
        is_over = is_over or len(results) == len(calls) or {"cancelled": True} in lines
    if len(calls) > 1:
        lines.append({"result": [results.get(place) for place in range(len(calls))]})
    elif lines and "result" in lines[-1]:
        found = zip(lines[-1]["result"], scenario.result or [], strict=True)
        lines[-1]["result"] = [
            _fetched(driver, session, plan, value) if isinstance(wanted, File) else value
            for value, wanted in found
        ]
    driver.sleep(1.0)
    took = driver.now - 1000
    session.close()
    driver.sleep(5.0)
    return judge(peer.conductor, ToldCaller(lines, 0 if is_over else None, took))


def _given(value: Any) -> Any:
    return handle_file(value.read(), name=value.name) if isinstance(value, File) else value


def _fetched(driver: Driver, session: Session, plan: Plan, value: dict[str, Any]) -> File:
    """A file of a result, with what comes when it is asked for."""
    route = rules_of(version_numbers(plan.version)).route
    number = session.download(RemoteFile(value, session.api_url, route))
    driver.sleep(1.0)
    pieces = [event for event in driver.events if isinstance(event, DownloadReceived)]
    return File("fetched", b"".join(one.data for one in pieces if one.download == number))


def _listed(plan: Plan, data: tuple[Any, ...]) -> list[Any]:
    """What callers see of it: the engine gives the items of State, too."""
    pairs = zip(plan.scenario.returns, data, strict=True)
    return [apply_update(None, item) for slot, item in pairs if not slot.is_state]
