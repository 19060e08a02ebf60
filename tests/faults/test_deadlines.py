"""Each deadline by its name: who is silent, or drips, is not waited for any longer.

Time is the test's, so each deadline is seen to pass when it is due, and not before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.errors import DeadlineExceeded, GradioError
from sansio_gradio.events import (
    ConnectingFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    SessionClosed,
    SessionLost,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, chunk, reply, stream_head
from sansio_gradio.testing.talk import COUNT, ECHO, config, estimation, generating
from tests.support.selection import by_default
from tests.support.short_session import info, peer, play

SRC = "http://app.example/"
TIMES = Timeouts(
    connect=3.0, tls=5.0, request=7.0, join=11.0, send=13.0, stream_idle=17.0, close=2.0
)
MOMENT = 0.01  # seconds


# Who does not answer


class NoConnection(Engine):
    """Never told that a connection was made."""

    def connection_made(self, conn: int, now: float) -> None: ...


class NoHandshake(Engine):
    """Never told that a connection is secured."""

    def tls_made(self, conn: int, now: float) -> None: ...


Answer = Callable[[Asked], bytes | None]


def app(protocol: str = "sse_v3", version: str = "6.31.0") -> Answer:
    page = reply(config(protocol if protocol != "ws" else None, version))
    return lambda asked: page if asked.path == "/config" else None


def answering(path: str, data: bytes, method: str = "") -> Answer:
    return lambda asked: data if asked.path == path and method in asked.method else None


JOINED = answering("/queue/join", reply({"event_id": "e"}))
OPENED = answering("/queue/data", stream_head())
SEND_DATA = stream_head() + chunk({"msg": "send_data", "event_id": "e"})
STREAMING = {"msg": "process_streaming", "event_id": "e", "output": {"data": ["x"]}}


def nothing(session: Session) -> None: ...


def call(session: Session) -> int:
    return session.submit("x", fn_index=ECHO)


def feed(session: Session) -> int:
    job = session.submit("x", fn_index=ECHO)
    session.send(job, "y")
    return job


def ask_for_info(session: Session) -> None:
    session.request_info()


@attrs.frozen
class Silence:
    """Where the peer falls silent, and which deadline that is."""

    deadline: str
    after: str
    answers: tuple[Answer, ...] = ()
    do: Callable[[Session], int | None] = nothing
    engine: type[Engine] = Engine
    src: str = SRC
    options: dict[str, Any] = attrs.field(factory=dict)

    @property
    def seconds(self) -> float:
        found: float = getattr(TIMES, self.deadline)
        return found


SILENCES = [
    Silence("connect", "asking for a connection", engine=NoConnection),
    Silence("connect", "asking, with a job", do=call, engine=NoConnection),
    Silence("tls", "connecting", engine=NoHandshake, src="https://app.example/"),
    Silence("request", "the config was asked for"),
    Silence("request", "the login", options={"auth": ("me", "secret")}),
    Silence("request", "the info was asked for", (app(),), ask_for_info),
    Silence("join", "a POST", (app(),), call),
    Silence("join", "the handshake of a WebSocket", (app("ws", "3.50.2"),), call),
    Silence("join", "a GET", (app("sse", "4.0.2"),), call),
    Silence(
        "send",
        "data that was asked for",
        (app("sse", "4.0.2"), answering("/queue/join", SEND_DATA)),
        call,
    ),
    Silence(
        "send",
        "a piece that was asked for",
        (app(), JOINED, answering("/queue/data", stream_head() + chunk(STREAMING))),
        feed,
    ),
    Silence("stream_idle", "the stream was asked for", (app(), JOINED), call),
    Silence("stream_idle", "the stream's head", (app(), JOINED, OPENED), call),
]


@pytest.mark.parametrize("case", SILENCES, ids=lambda case: f"{case.deadline}: {case.after}")
def test_silence_ends_when_its_deadline_passes(case: Silence) -> None:
    engine = case.engine(entropy=counted_entropy(), timeouts=TIMES)
    driver = Driver(engine, ByHand(*case.answers))
    session = engine.session(case.src, **case.options)
    job = case.do(session)
    driver.settle()
    driver.sleep(case.seconds - MOMENT)
    assert driver.of(ConnectingFailed, JobFailed) == []
    driver.sleep(2 * MOMENT)
    errors = [event.error for event in driver.of(ConnectingFailed, JobFailed)]
    for error in errors:
        _is_deadline(error, case.deadline)
    if job is not None:
        end = driver.end(session.id, job)
        assert isinstance(end, JobFailed)
        assert end.error.job == job
    session.close()
    driver.settle()
    assert driver.links == {}


def _is_deadline(error: GradioError, phase: str) -> None:
    assert type(error) is DeadlineExceeded
    assert isinstance(error, ConnectionError)
    assert isinstance(error, TimeoutError)
    assert error.phase == phase
    assert f"phase {phase}" in str(error)
    assert error.url is not None


# Who drips


class Slow(Driver):
    """A network that brings one byte a second of what the peer says; ``swift``: of how many bytes
    it brings everything before."""

    def __init__(self, engine: Engine, peer: ByHand, swift: int = 0) -> None:
        super().__init__(engine, peer)
        self._swift = swift

    def deliver(self, conn: int, data: bytes) -> None:
        if len(data) <= self._swift:
            self._swift -= len(data)
            super().deliver(conn, data)
            return
        link = self.links[conn]
        now, later = data[: self._swift], data[self._swift :]
        self._swift = 0
        if now:
            super().deliver(conn, now)
        link.down.appendleft(later)

    def deliver_down(self) -> bool:
        return super().deliver_down() if self._swift else False

    def drip(self, seconds: int) -> None:
        for _ in range(seconds):
            for conn, link in list(self.links.items()):
                if link.down:
                    rest = link.down.popleft()
                    if rest[1:]:
                        link.down.appendleft(rest[1:])
                    Driver.deliver(self, conn, rest[:1])
            self.sleep(1.0)


@pytest.mark.parametrize(
    ("deadline", "answers", "do"),
    [
        ("request", (app(),), nothing),
        ("join", (app(), JOINED), call),
    ],
)
def test_a_byte_a_second_does_not_escape(
    deadline: str, answers: tuple[Answer, ...], do: Callable[[Session], int | None]
) -> None:
    engine = Engine(entropy=counted_entropy(), timeouts=TIMES)
    head = len(answers[0](Asked(0, "GET", "/config", {}, b"")) or b"")
    driver = Slow(engine, ByHand(*answers), swift=head if deadline == "join" else 0)
    session = engine.session(SRC)
    job = do(session)
    driver.settle()
    seconds = int(getattr(TIMES, deadline))
    driver.drip(seconds - 1)
    assert driver.of(ConnectingFailed, JobFailed) == []
    driver.drip(1)
    (failed,) = driver.of(ConnectingFailed, JobFailed)
    _is_deadline(failed.error, deadline)
    assert driver.links == {}, "what drips is of no use to anybody else"
    assert job is None or failed.job == job


# Streams: what counts as silence


class World:
    """A job on an open stream."""

    def __init__(self, *answers: Answer, fn_index: int = COUNT, **timeouts: Any) -> None:
        times = attrs.evolve(TIMES, **timeouts)
        self.engine = Engine(entropy=counted_entropy(), timeouts=times)
        self.peer = ByHand(app(), JOINED, OPENED, *answers)
        self.driver = Driver(self.engine, self.peer)
        self.session = self.engine.session(SRC)
        self.job = self.session.submit(3, fn_index=fn_index)
        self.driver.settle()

    def say(self, *messages: object) -> None:
        (stream,) = [asked.conn for asked in self.peer.asked if asked.path == "/queue/data"][-1:]
        self.peer.say(stream, chunk(*messages))
        self.driver.settle()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.peer.asked]


def test_a_heartbeat_is_a_sign_of_life() -> None:
    world = World()
    world.say(estimation("e"))
    for _ in range(5):
        world.driver.sleep(15.0)
        world.say({"msg": "heartbeat"})
    assert world.driver.of(JobFailed) == []
    world.driver.sleep(17.0 + MOMENT)
    (failed,) = world.driver.of(JobFailed)
    _is_deadline(failed.error, "stream_idle")


def test_who_falls_silent_loses_nothing_that_was_said() -> None:
    world = World()
    world.say(generating(["a"], "e"), generating([[["append", [], "b"]]], "e"))
    world.driver.sleep(17.0 + MOMENT)
    end = world.driver.end(1, world.job)
    assert isinstance(end, JobFailed)
    _is_deadline(end.error, "stream_idle")
    assert list(end.outputs) == list(end.error.outputs) == [("a",), ("ab",)]


def test_after_silence_the_next_job_finds_a_new_session() -> None:
    world = World()
    before = world.session.session_hash
    world.driver.sleep(17.0 + MOMENT)
    assert len(world.driver.of(SessionLost)) == 1
    assert world.session.session_hash != before
    job = world.session.submit(3, fn_index=COUNT)
    world.driver.settle()
    world.say({"msg": "process_completed", "event_id": "e", "output": {"data": ["x"]}})
    assert isinstance(world.driver.end(1, job), JobCompleted)


# A job's own time


def test_a_job_s_deadline_is_the_end_and_the_server_is_told() -> None:
    world = World(answering("/cancel", reply({"success": True})), job=19.0)
    world.say(estimation("e"))
    while not world.driver.of(JobFailed):
        assert world.driver.now < 1000 + 19.0 + MOMENT
        world.driver.sleep(1.0)
        world.say({"msg": "heartbeat"})
    assert world.driver.now == 1000 + 19.0
    end = world.driver.end(1, world.job)
    assert isinstance(end, JobFailed)
    _is_deadline(end.error, "job")
    assert world.paths()[-1] == "/cancel"


def test_the_timeout_of_one_call_comes_before_that_of_all() -> None:
    engine = Engine(entropy=counted_entropy(), timeouts=attrs.evolve(TIMES, job=19.0))
    driver = Driver(engine, ByHand(app("ws", "3.50.2")))
    session = engine.session(SRC)
    job = session.submit("x", fn_index=ECHO, timeout=1.0)
    driver.sleep(1.0 + MOMENT)
    end = driver.end(session.id, job)
    assert isinstance(end, JobFailed)
    _is_deadline(end.error, "job")


# Goodbyes


def test_a_cancel_that_nobody_answers_is_over_in_time() -> None:
    world = World()
    assert world.session.cancel(world.job)
    world.driver.sleep(2.0 - MOMENT)
    assert world.driver.of(JobCancelled) == []
    world.driver.sleep(2 * MOMENT)
    end = world.driver.end(1, world.job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server


def test_closing_is_over_in_time() -> None:
    world = World()
    world.session.close()
    world.driver.sleep(2.0 - MOMENT)
    assert world.driver.of(SessionClosed) == []
    world.driver.sleep(2 * MOMENT)
    assert isinstance(world.driver.end(1, world.job), JobCancelled)
    assert world.driver.events[-1] == SessionClosed(session=1)
    assert world.driver.links == {}


# Half-open connections


class Silent(Driver):
    """After so many bytes of the peer nothing comes any more, not even an end."""

    left = 0

    def deliver(self, conn: int, data: bytes) -> None:
        data, self.left = data[: self.left], max(0, self.left - len(data))
        if data:
            super().deliver(conn, data)


@pytest.mark.unmeasured
@pytest.mark.parametrize("protocol", by_default(["sse_v3", "ws"], "sse_v3".__eq__))
def test_a_network_that_falls_silent_anywhere_is_left(protocol: str) -> None:
    known, reached = info(protocol), Counter[str]()
    for after in range(0, 3000, 47):
        engine = Engine(entropy=counted_entropy(), timeouts=attrs.evolve(TIMES, job=100.0))
        driver = Silent(engine, peer(protocol))
        driver.left = after
        jobs = play(driver, known)
        begun = driver.now
        while not all(driver.ends(1, job) for job in jobs):
            assert driver.now < begun + 100.0, "a job waits for ever"
            driver.sleep(1.0)
        for job in jobs:
            end = driver.end(1, job)
            if isinstance(end, JobFailed):
                # "request": whether it is still the same app.
                assert end.error.phase in {"request", "join", "send", "stream_idle", "job"}
                _is_deadline(end.error, end.error.phase)
                assert list(end.outputs) == driver.values.get((1, job), [])
                reached[end.error.phase] += 1
            else:
                assert isinstance(end, JobCompleted)
                reached["completed"] += 1
    # A WebSocket has no heartbeat: there only the job's own time ends the wait.
    ends = {"completed", "join", "job" if protocol == "ws" else "stream_idle"}
    assert set(reached) - {"request"} == ends


# What is written of them


@pytest.mark.parametrize(
    "policy", [Timeouts(), Retry(), Limits()], ids=["Timeouts", "Retry", "Limits"]
)
def test_the_page_says_each_name_and_its_default(policy: Timeouts | Retry | Limits) -> None:
    page = (Path(__file__).parents[2] / "docs" / "endings.md").read_text("utf-8")
    _, behind = re.split(rf"\b{type(policy).__name__}\(", page, maxsplit=1)
    table = behind.partition("\n## ")[0]
    written = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE))
    for name, default in attrs.asdict(policy).items():
        shown = f"{default:g}" if type(default) is float else str(default)
        assert written.get(name) == shown, name
