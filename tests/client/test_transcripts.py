"""The bytes of real servers give the client the outcomes that independent code found in them.

Every recording of every version that the client speaks to is replayed as bytes on connections, cut
in several ways. The client is driven as the recorder was: the same jobs with the same data, in the
same order; the same cancels; and where the recorder left a stream in the middle and came back, the
network breaks it.

Two things differ. Where the recorder asked a plain call of several paths, all are answered at the
one path that this client asks. And where it sent what this client never sends, the job is left out:
see ``why_unasked``.
"""

from __future__ import annotations

import ast
import itertools
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.events import (
    Anomaly,
    Connected,
    ConnectingFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    MessageReceived,
)
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.dialects import of_call, of_poll
from sansio_gradio.protocol.states import SESSION_MSGS
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from tests.support.exchanges import Exchange, exchanges
from tests.support.replay import ReplayServer, Slicer, as_recorded, bytewise, random_cuts, whole
from tests.support.transcripts import VERSIONS, Recording, load, recordings

SRC = "http://127.0.0.1:7860/"

Job = Mapping[str, Any]  # as in ``expected["jobs"]``

SLICERS: dict[str, Slicer] = {
    "as recorded": as_recorded,
    "whole": whole,
    "byte by byte": bytewise,
    "random": random_cuts(11),
}

# Recordings without a single job that this client could ask for.
SKIPPED = {
    "config": "there are no jobs: see test_the_app_is_found_out",
    "upload_progress": "there are no jobs, and files are not spoken of here",
}
SKIPPED_HERE = {
    ("3.4.1", "bad_requests"): "the recorder spoke where no client of that version does",
    ("4.16.0", "call_rest"): "that server has no simple REST API yet",
    ("4.19.2", "call_rest"): "that server has no simple REST API yet",
}
# What the recorder saw and this client does not, because it never resumes a stream that broke:
# servers from 4.19.2 to 4.23.0 alone would go on, and even they lose what was on its way.
NOT_RESUMED = {
    (version, scenario)
    for version in ("4.19.2", "4.21.0")
    for scenario in ("stream_reconnect", "disconnect_then_new_job_same_session")
}


class ReplayPeer:
    """A ``ReplayServer`` as a peer: it knows no time."""

    def __init__(self, recording: Recording, slicer: Slicer) -> None:
        self.server = ReplayServer(recording, slicer=slicer)

    def open(self, conn: int, now: float) -> None:
        self.server.open(conn)

    def receive(self, conn: int, data: bytes, now: float) -> None:
        self.server.receive(conn, data)

    def outputs(self) -> list[tuple[int, bytes]]:
        return [(number(conn), data) for conn, data in self.server.outputs()]

    def next_deadline(self) -> float | None:
        return None

    def handle_timer(self, now: float) -> None: ...

    def conn_of(self, recorded: int) -> int | None:
        """The connection on which that one of the recording is played."""
        for conn, peer in self.server._peers.items():
            if peer.play is not None and peer.play.exchange.expected.get("conn") == recorded:
                return number(conn)
        return None


def number(conn: Hashable) -> int:
    assert isinstance(conn, int)
    return conn


@attrs.frozen
class Submit:
    place: int  # in the recording
    job: int  # index in ``expected["jobs"]``


@attrs.frozen
class Cancel:
    place: int
    job: int


@attrs.frozen
class Break:
    place: int
    conn: int  # as recorded


Step = Submit | Cancel | Break


class Replay:
    """The client, driven as the recorder was."""

    def __init__(self, recording: Recording, slicer: Slicer) -> None:
        self.recording = recording = as_asked(recording)
        self.peer = ReplayPeer(recording, slicer)
        self.engine = Engine(entropy=counted_entropy())
        self.driver = Driver(self.engine, self.peer)
        self.sessions: dict[tuple[str, int | None], Session] = {}
        self.jobs: dict[int, tuple[Session, int]] = {}
        self.cancelled: set[int] = set()
        self.broken: set[int] = set()
        self._exchanges = exchanges(recording)
        self._expected: list[Job] = recording.expected["jobs"]

    def run(self) -> None:
        for step in sorted(self.plan(), key=lambda step: step.place):
            match step:
                case Submit(place, index):
                    if any(end < place for end in self.ends_of_jobs()):
                        self.driver.settle()
                    self.submit(index)
                case Cancel(_, index):
                    self.driver.settle()
                    session, job = self.jobs[index]
                    self.cancelled.add(index)
                    assert session.cancel(job)
                case Break(_, recorded):
                    self.driver.settle()
                    conn = self.peer.conn_of(recorded)
                    assert conn is not None
                    self.broken |= {
                        index
                        for index, (session, job) in self.jobs.items()
                        if not self.driver.ends(session.id, job)
                    }
                    self.driver.lose(conn)
        self.driver.settle()
        while self.peer.server.idle():
            self.driver.settle()
        if any(job["protocol"] == "push" for job in self._expected):
            self.driver.sleep(60.0)  # polls follow each other in time

    # What the recorder did

    def plan(self) -> list[Step]:
        steps: list[Step] = []
        for index, job in enumerate(self._expected):
            if why_unasked(job, self.recording.version):
                continue
            joined = self.exchange_of(job)
            steps.append(Submit(joined.index, index))
            if asks_to_cancel(job):
                target = job["cancel_requests"][0]["target"]
                steps.append(Cancel(self.first(target, after=joined.index).index, index))
        for exchange in self._exchanges:
            left = self.left_at(exchange)
            session = session_of(exchange.expected)
            if left is None or session is None:
                continue
            if any(
                later.index > left and session_of(later.expected) == session
                for later in self._exchanges
            ):
                steps.append(Break(left, exchange.expected["conn"]))
        return steps

    def exchange_of(self, job: Job) -> Exchange:
        """The request that the recorder asked for *job* with."""
        key: str = job["key"]
        for exchange in self._exchanges:
            expected = exchange.expected
            if key == f"{expected['conn']}:{expected['n']}":
                return exchange
            match expected.get("response_json"):
                case {"event_id": name} | {"hash": name} if name == key:
                    return exchange
                case _:
                    pass
            # Of protocols that name the job on its stream.
            if "/queue/join?" in expected["target"] and any(
                message.get("event_id") == key for message in expected.get("messages", ())
            ):
                return exchange
        raise AssertionError(f"nobody asked for {key}")

    def first(self, target: str, *, after: int) -> Exchange:
        return next(
            exchange
            for exchange in self._exchanges
            if exchange.index > after and exchange.expected["target"] == target
        )

    def ends_of_jobs(self) -> list[int]:
        """Where in the recording the connections of the jobs so far have said their last."""
        sessions = {self._expected[index]["session_hash"] for index in self.jobs}
        own = [self.exchange_of(self._expected[index]) for index in self.jobs]
        streams = [
            exchange
            for exchange in self._exchanges
            if "messages" in exchange.expected and session_of(exchange.expected) in sessions
        ]
        return [exchange.answers[-1].index for exchange in (*own, *streams) if exchange.answers]

    def left_at(self, exchange: Exchange) -> int | None:
        """Where the recorder left a stream or a WebSocket in the middle."""
        expected = exchange.expected
        if not exchange.then_holds or not ("messages" in expected or expected.get("ws")):
            return None
        if any(message["msg"] == "process_completed" for message in expected.get("received", ())):
            return None  # 3.1.7 leaves it to the client to close
        return next(
            index
            for index, chunk in enumerate(self.recording.chunks)
            if chunk.conn == expected["conn"] and chunk.direction == "c2s" and not chunk.data
        )

    # What our client does

    def submit(self, index: int) -> None:
        job = self._expected[index]
        app, is_believed = self.app_for(job)
        key = (job["session_hash"], index if is_believed or job["protocol"] == "call" else None)
        if key not in self.sessions:
            self.sessions[key] = self.engine.session(
                SRC, app=app, session_hash=job["session_hash"], protocol=forced(job)
            )
        session = self.sessions[key]
        number = session.submit(*self.arguments(job), fn_index=job["fn_index"], timeout=7200.0)
        self.jobs[index] = session, number
        for exchange in self._exchanges:
            if exchange.expected["target"].endswith(f"/stream/{job['key']}"):
                session.send(number, *exchange.expected["request_json"]["data"])
            elif exchange.expected["target"].endswith(f"/stream/{job['key']}/close"):
                session.end_input(number)

    def arguments(self, job: Job) -> list[Any]:
        """The data without State, which a client does not say."""
        inputs = self.inputs_of(job)
        data = list(job["named"].values()) if job.get("named") else job["data"]
        if data is None:  # the server never asked for it
            data = [1] * len(inputs)
        kinds = {part["id"]: part["type"] for part in self.recording.config["components"]}
        return [
            value
            for value, part in itertools.zip_longest(data, inputs[: len(data)])
            if kinds.get(part) not in ("state", "variable")
        ]

    def inputs_of(self, job: Job) -> list[int]:
        found = [
            dependency
            for place, dependency in enumerate(self.recording.config["dependencies"])
            if dependency.get("id", place) == job["fn_index"]
        ]
        return found[0]["inputs"] if found else []

    def app_for(self, job: Job) -> tuple[AppInfo, bool]:
        """The app as this client must believe it is to ask what the recorder asked."""
        config: dict[str, Any] = dict(self.recording.config)
        config["dependencies"] = [dict(dependency) for dependency in config["dependencies"]]
        dependencies: list[dict[str, Any]] = config["dependencies"]
        own = [d for place, d in enumerate(dependencies) if d.get("id", place) == job["fn_index"]]
        believed = False
        if not own:
            for place, dependency in enumerate(dependencies):
                dependency.setdefault("id", place)
            own = [{**dependencies[-1], "id": job["fn_index"], "inputs": [], "api_name": "none"}]
            dependencies += own
            believed = True
        if job["protocol"] == "http":
            own[0] |= {"queue": False, "backend_fn": True, "api_name": "called"}
            own[0] |= {"api_visibility": "public"}
            believed = True
        if job["data"] is not None and len(job["data"]) < len(own[0]["inputs"]):
            own[0]["inputs"] = own[0]["inputs"][: len(job["data"])]
            believed = True
        app = AppInfo.from_config(config)
        return app.with_info(dict(self.recording.info or {})) if job.get("named") else app, believed


def forced(job: Job) -> str | None:
    """The protocol that this client must be told to speak."""
    if job["protocol"] != "call":
        return None
    return "call_v2" if job.get("named") else "call"


def as_asked(recording: Recording) -> Recording:
    """The recording, as if the recorder had asked like us.

    All plain calls are of one path, and what we do not ask is not there.
    """
    prefix = str(recording.config.get("api_prefix") or "")
    jobs = {job["key"]: job for job in recording.expected["jobs"]}
    version = recording.version
    sessions = {job["session_hash"] for job in jobs.values() if not why_unasked(job, version)}
    asked: list[dict[str, Any]] = []
    for exchange in recording.expected["exchanges"]:
        job = jobs.get(f"{exchange['conn']}:{exchange['n']}")
        if job is None:
            of_no_job = "/queue/data" in exchange["target"] and exchange["method"] == "GET"
            if not of_no_job or session_of(exchange) in sessions:
                asked.append(exchange)
        elif why_unasked(job, version):
            pass
        elif job["protocol"] == "http":
            body = {**exchange["request_json"], "fn_index": job["fn_index"]}
            target = f"{prefix}/api/predict"
            asked.append({**exchange, "target": target, "request_json": body})
        else:
            asked.append(exchange)
    return attrs.evolve(recording, expected={**recording.expected, "exchanges": asked})


def why_unasked(job: Job, version: str) -> str | None:
    """Why this client never asks what the recorder asked there; None: it does."""
    if job["fn_index"] is None:
        return "a job that names no function"
    if job.get("named") and job["end"] == "rejected":
        return "a call by name that this server does not take"
    if job["protocol"] == "http":
        if job["session_hash"] == "gen1":
            return "a generator past the queue, by name: it starts anew each time"
        return "a call without data" if job["data"] is None else None
    if job["end"] == "none" and not job["message_kinds"]:
        return "a job of which the recorder asked no more"
    if job["session_hash"] is None and job["protocol"] != "call":
        return "a job without a session"
    return None


def asks_to_cancel(job: Job) -> bool:
    """Whether the recorder cancelled this very job by a way of this client.

    The other ways are to call a function that cancels, which is a job of its own, and to reset the
    session of a WebSocket, which makes the server start again.
    """
    targets = [request["target"] for request in job.get("cancel_requests", ())]
    return job["protocol"] != "ws" and any(
        target.endswith(("/cancel", "/reset")) for target in targets
    )


def session_of(expected: Mapping[str, Any]) -> str | None:
    """The session_hash that a recorded request carries."""
    for said in (expected.get("request_json"), *expected.get("sent", ())):
        if isinstance(said, dict) and "session_hash" in said:
            return str(said["session_hash"])
    query = parse_qs(urlsplit(expected["target"]).query)
    return query["session_hash"][0] if "session_hash" in query else None


# What must come of it


def check(replay: Replay, index: int) -> None:
    """The job has come to the recorded end, and no further."""
    job = replay._expected[index]
    session, number = replay.jobs[index]
    driver = replay.driver
    outputs = [tuple(value) for value in job["outputs"]]
    if index in replay.broken:
        failed = driver.end(session.id, number)
        assert isinstance(failed, JobFailed)
        assert isinstance(failed.error, ConnectionLost)
        seen = driver.values.get((session.id, number), [])
        assert list(failed.outputs) == seen == outputs[: len(seen)]
        assert seen
        if (replay.recording.version, replay.recording.name) not in NOT_RESUMED:
            assert job["end"] in ("none", "stream_ended")
            assert seen == outputs
        return
    assert driver.values.get((session.id, number), []) == outputs
    if job["end"] == "none" and index not in replay.cancelled:
        assert driver.ends(session.id, number) == []
        driver.sleep(7200.0)
    end = driver.end(session.id, number)
    if index in replay.cancelled:
        assert isinstance(end, JobCancelled)
        assert list(end.outputs) == outputs
        return
    if job["end"] == "completed":
        assert isinstance(end, JobCompleted)
        assert list(end.data) == job["final"]
    else:
        assert isinstance(end, JobFailed)
        check_error(end.error, job, replay.recording)
        assert list(end.outputs) == outputs
        assert end.error.job == number
        assert end.error.url is not None
    if job["protocol"] != "http":
        assert told(driver, session.id, number) == kinds_of(job, replay.recording)


def kinds_of(job: Job, recording: Recording) -> list[list[Any]]:
    """The recorded kinds of messages, in runs; what is no message, as the message that it means."""
    if job["protocol"] == "push":
        answers = [
            exchange["response_json"]
            for exchange in recording.expected["exchanges"]
            if exchange.get("request_json") == {"hash": job["key"]}
        ]
        news = [said for said, _ in itertools.groupby(filter(None, map(of_poll, answers)))]
        return runs(str(said.get("msg")) for said in news)
    if job["protocol"] == "call":
        data = {"generating": "[]", "complete": "[]", "error": "null", "heartbeat": "null"}
        expanded = [kind for kind, count in job["message_kinds"] for _ in range(count)]
        said = [of_call(kind, data[kind], ()) for kind in expanded]
        return runs(str(message.get("msg")) for message in said if message)
    return [run for run in job["message_kinds"] if run[0] not in SESSION_MSGS]


def runs(kinds: Iterable[str]) -> list[list[Any]]:
    return [[kind, len(list(run))] for kind, run in itertools.groupby(kinds)]


def told(driver: Driver, session: int, job: int) -> list[list[Any]]:
    """The kinds of the messages that came for a job, in runs."""
    kinds = [
        event.message["msg"]
        for event in driver.of(MessageReceived)
        if (event.session, event.job) == (session, job)
    ]
    return runs(kinds)


def check_error(error: GradioError, job: Job, recording: Recording) -> None:
    said, details = job["error"], job.get("error_output") or {}
    if isinstance(said, dict):  # on a stream of /call
        said, details = said["error"], said
    match job["end"]:
        case "failed":
            assert type(error) is AppError
            assert error.message == (shown(said, recording) or unsaid(job, recording))
            assert error.duration == details.get("duration")
            assert error.visible == details.get("visible", True)
            if "title" in details:
                assert error.title == details["title"]
        case "queue_full":
            assert type(error) is QueueFullError
            assert error.message == (said or QueueFullError.default_message)
        case "rejected":
            assert error.status == job["status"]
            if error.status == 401:
                assert type(error) is AuthenticationError
            else:
                assert type(error) is RemoteProtocolError
                assert said in error.message
        case "cancelled":  # and not by us
            assert type(error) is ServerStoppedError
        case "stream_ended":
            assert type(error) is ConnectionLost
        case "none":
            assert type(error) is DeadlineExceeded
        case end:
            raise AssertionError(f"nobody expects {end}")


def unsaid(job: Job, recording: Recording) -> str:
    """What stands for an error that the server did not tell."""
    if job["protocol"] == "call" and version_of(recording) < (6, 13):
        return "The function failed; before Gradio 6.13 servers do not tell why to /call."
    return AppError.default_message


def version_of(recording: Recording) -> tuple[int, ...]:
    return tuple(map(int, recording.version.split(".")))


def shown(said: Any, recording: Recording) -> str | None:
    """The text of a failure as a person would say it (docs/protocol/sse_v3.md#7-how-a-job-ends)."""
    if said is not None and said.startswith('{"error"'):  # 3.1.4 hands on a whole answer as text
        return str(json.loads(said)["error"])
    if said == "None" and recording.name == "error_in_generator_hidden":
        return None
    if (
        said is not None
        and version_of(recording) < (5, 2)
        and said[0] == said[-1]
        and said[0] in "'\""
    ):
        return str(ast.literal_eval(said))
    return None if said is None else str(said)


def skipped(version: str, scenario: str) -> str | None:
    """Why a recording is not played."""
    return SKIPPED.get(scenario) or SKIPPED_HERE.get((version, scenario))


PLAYED = [pair for pair in recordings() if skipped(*pair) is None]


@pytest.mark.parametrize(
    "slicer",
    [
        pytest.param(name, marks=[] if name == "random" else [pytest.mark.exhaustive])
        for name in SLICERS
    ],
)
@pytest.mark.parametrize(("version", "scenario"), PLAYED)
def test_a_recording_gives_the_recorded_outcomes(version: str, scenario: str, slicer: str) -> None:
    replay = Replay(load(version, scenario), SLICERS[slicer])
    replay.run()
    assert replay.jobs
    for index in replay.jobs:
        check(replay, index)
    assert replay.driver.of(Anomaly) == []
    assert replay.peer.server.unmatched == []


def test_each_recording_is_played_or_skipped_for_a_reason() -> None:
    left_out = {pair: skipped(*pair) for pair in recordings() if pair not in PLAYED}
    assert all(left_out.values())
    assert len(PLAYED) + len(left_out) == 302
    assert Counter(left_out.values()) == {
        SKIPPED["config"]: 12,
        SKIPPED["upload_progress"]: 7,
        SKIPPED_HERE["3.4.1", "bad_requests"]: 1,
        SKIPPED_HERE["4.16.0", "call_rest"]: 2,
    }
    unasked = Counter(
        why
        for pair in PLAYED
        for job in load(*pair).expected["jobs"]
        if (why := why_unasked(job, pair[0])) is not None
    )
    assert unasked == {
        "a call by name that this server does not take": 6,
        "a call without data": 13,
        "a generator past the queue, by name: it starts anew each time": 26,
        "a job of which the recorder asked no more": 7,
        "a job that names no function": 30,
        "a job without a session": 6,
    }


def test_a_job_on_a_websocket_is_cancelled_by_leaving() -> None:
    for version in ("3.4.1", "3.16.2", "3.50.2"):
        replay = Replay(load(version, "cancel"), as_recorded)
        replay.submit(0)
        replay.driver.settle()
        session, job = replay.jobs[0]
        had = replay.driver.values[session.id, job]
        assert had
        assert replay.driver.ends(session.id, job) == []  # the recorder's own way is waited for
        assert session.cancel(job)
        replay.driver.settle()
        end = replay.driver.end(session.id, job)
        assert isinstance(end, JobCancelled)
        assert not end.stopped_on_server
        assert list(end.outputs) == had
        assert replay.driver.links == {}


@pytest.mark.parametrize("slicer", ["as recorded", "whole", "random"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_app_is_found_out(version: str, slicer: str) -> None:
    recording = load(version, "config")
    peer = ReplayPeer(recording, SLICERS[slicer])
    engine = Engine(entropy=counted_entropy())
    driver = Driver(engine, peer)
    session = engine.session(SRC)
    driver.settle()
    (connected,) = driver.of(Connected)
    assert connected.app == AppInfo.from_config(dict(recording.config))
    session.request_info()
    driver.settle()
    assert driver.of(ConnectingFailed) == []
    assert len(driver.of(Connected)) == 2
    assert session.app is not None
    assert session.app.has_info
    for name, described in (recording.info or {"named_endpoints": {}})["named_endpoints"].items():
        parameters = session.app.endpoint(name).parameters
        assert [p.label for p in parameters] == [p["label"] for p in described["parameters"]]
    assert peer.server.unmatched == []


@pytest.mark.parametrize("slicer", ["as recorded", "whole", "random"])
@pytest.mark.parametrize("version", ["3.16.2", "3.50.2", "4.16.0", "4.44.1", "6.31.0"])
def test_logins_go_as_recorded(version: str, slicer: str) -> None:
    recording = load(version, "auth")
    peer = ReplayPeer(recording, SLICERS[slicer])
    engine = Engine(entropy=counted_entropy())
    driver = Driver(engine, peer)
    for auth, phase in ((None, "config"), (("u", "x"), "login")):
        engine.session(SRC, auth=auth)
        driver.settle()
        failed = driver.events[-1]
        assert isinstance(failed, ConnectingFailed)
        assert isinstance(failed.error, AuthenticationError)
        assert failed.error.phase == phase
        assert failed.error.url == SRC + phase

    # Not logged in, and yet it asks.
    stranger = engine.session(SRC, app=AppInfo.from_config(dict(recording.config)))
    refused = stranger.submit(1, 2, api_name="/add")
    driver.settle()
    end = driver.end(stranger.id, refused)
    assert isinstance(end, JobFailed)
    assert isinstance(end.error, AuthenticationError)

    session = engine.session(SRC, auth=("u", "p"))
    driver.settle()
    assert session.app is not None
    if "sse_v" in str(session.protocol):
        job = session.submit(1, 2, fn_index=0)
        driver.settle()
        end = driver.end(session.id, job)
        assert isinstance(end, JobCompleted)
        assert end.data == (3,)
    assert peer.server.unmatched == []
