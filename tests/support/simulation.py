"""Users, a server and a network, each acting when it likes: client and server role joined by bytes.

However the network cuts, delays and breaks what the two say, each job that was submitted ends in
one last event, behind which nothing more is said of it; what a job yields is what the app yielded,
in order; and where nothing broke, was cancelled or took too long, so is how it ends.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import OpenConnection
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.errors import AppError, GradioError
from sansio_gradio.events import (
    Anomaly,
    JobCancelled,
    JobCompleted,
    JobFailed,
    Output,
    SessionClosed,
    StatusUpdated,
)
from sansio_gradio.protocol.status import Status
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import component_of
from sansio_gradio.server.events import JobSubmitted
from sansio_gradio.testing.checked import CheckedEngine
from sansio_gradio.testing.driver import Driver, Link
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer
from tests.support.simulated_app import GROWN, Truth, grown, streams_of, values

REACHED: Counter[str] = Counter()
"""What runs have come to: one that never gets anywhere proves nothing."""


class Weather(enum.Enum):
    """What may happen in a run besides work; where everything may, little work gets done."""

    CALM = enum.auto()
    MOODY = enum.auto()  # users change their minds
    SLOW = enum.auto()  # time passes
    STORM = enum.auto()  # connections break, or do not come about


class Simulation(RuleBasedStateMachine):
    """Users, a server and a network, each acting when it likes."""

    protocol: ClassVar[str]
    weather: ClassVar[Weather] = Weather.CALM

    def prepare(self, version: str | None, limit: int | None, sessions: int) -> None:
        app = App(protocol=self.protocol, version=version, show_error=True, concurrency_limit=limit)
        text = component_of(str)  # of which servers send edits, unlike of JSON
        slots: dict[str, Any] = {
            "parameters": [Slot(name="token")],
            "returns": [Slot(name="v", component=text)],
        }
        app.add("one", **slots)
        app.add("many", generator=True, **slots)
        app.add("more", generator=True, **slots)
        app.add("plain", queue=False, **slots)
        self.peer = AppPeer(app)
        self.engine = Engine(entropy=counted_entropy())
        self.checked = CheckedEngine(self.engine, patience=0.0)
        self.driver = Driver(self.checked, self.peer)
        self.refusing = False
        self.driver.refuse = self._refuses
        self.sessions = [
            self.engine.session("http://app.example/", protocol=self.protocol)
            for _ in range(sessions)
        ]
        self.submitted: dict[tuple[int, int], str] = {}
        self.wanted: dict[tuple[int, int], Want] = {}
        self.notices: dict[tuple[int, int], list[str]] = {}
        self.truth: dict[str, Truth] = {}
        self.ended: set[tuple[int, int]] = set()
        self.seen = 0
        self.calm = True  # nothing broke, was cancelled, or took too long
        self.started = self.driver.now
        self._move()

    # The user

    @rule(
        name=st.sampled_from(["/many", "/many", "/many", "/more", "/one", "/plain"]),
        isolated=st.sampled_from([False, False, True]),
        want=st.sampled_from([Want.ALL, Want.ALL, Want.OUTPUTS, Want.RESULT]),
        at=st.integers(0, 1),
        swift=st.booleans(),
    )
    def user_submits(self, name: str, isolated: bool, want: Want, at: int, swift: bool) -> None:
        session = self.sessions[at % len(self.sessions)]
        token = f"t{len(self.submitted)}"
        self.truth[token] = Truth()
        job = session.submit(token, api_name=name, isolated=isolated, want=want)
        self.submitted[session.id, job] = token
        self.wanted[session.id, job] = want
        self.notices[session.id, job] = []
        self._move(swift=swift)

    @precondition(lambda self: self.submitted and self.weather is not Weather.CALM)
    @rule(pick=st.integers(0, 1000), late=st.booleans())
    def user_cancels(self, pick: int, late: bool) -> None:
        under_way = [key for key in self.submitted if key not in self.ended]
        of = list(self.submitted) if late or not under_way else under_way
        number, job = of[pick % len(of)]
        asked = self._session(number).cancel(job)
        self._move()
        if (number, job) in self.ended:
            REACHED["cancel of what was over"] += not asked
        self.calm = self.calm and not asked

    @precondition(lambda self: self.submitted and self.weather is Weather.MOODY)
    @rule(at=st.integers(0, 1))
    def user_resets(self, at: int) -> None:
        self.calm = False
        self.sessions[at % len(self.sessions)].reset()
        self._move()

    # The server

    @precondition(lambda self: self.peer.running)
    @rule(
        pick=st.integers(0, 1000),
        yielded=st.lists(values | st.just(GROWN), min_size=2, max_size=5),
        swift=st.booleans(),
    )
    def server_generates(self, pick: int, yielded: list[Any], swift: bool) -> None:
        self._generate(self._running(pick), yielded)
        self._move(swift=swift)

    @rule(yielded=st.lists(values, min_size=1, max_size=3))
    def server_is_faster_than_its_answer(self, yielded: list[Any]) -> None:
        """What a job yields overtakes the answer to its join, on another connection."""
        self._move(swift=True)
        self.user_submits("/many", isolated=False, want=Want.ALL, at=0, swift=False)
        self.driver.deliver_up()
        for found in list(self.peer.running.values())[-1:]:
            self._generate(found, yielded)
        self._move()
        links = [link for link, upwards in self._busy() if not upwards]
        for link in sorted(links, key=lambda link: sum(map(len, link.down)))[-1:]:
            self.driver.deliver(link.opening.conn, _taken(link.down, None))
        self._move()

    def _generate(self, found: JobSubmitted, yielded: list[Any]) -> None:
        self.peer.engine.start(found.job, self.driver.now)
        for drawn in yielded if found.function.generator else ():
            before = self._truth(found).yields
            value = grown(before[-1][0] if before else None) if drawn is GROWN else drawn
            if not before and value == []:
                value = None  # no text; where a job before was left, it would be no change
            self.peer.engine.generate(found.job, [value], self.driver.now)
            self._truth(found).yields.append((value,))

    @precondition(lambda self: self.peer.running)
    @rule(pick=st.integers(0, 1000))
    def server_gives_notice(self, pick: int) -> None:
        found = self._running(pick)
        self.peer.engine.start(found.job, self.driver.now)
        notices = self._truth(found).notices
        text = f"{found.data[0]}, {len(notices)}"
        self.peer.engine.log(found.job, text)
        self.peer.engine.progress(found.job, [{"index": len(notices), "length": 9}])
        if found.function.queue:
            notices.append(text)
        self._move()

    @precondition(lambda self: self.peer.running)
    @rule(pick=st.integers(0, 1000), value=values)
    def server_completes(self, pick: int, value: Any) -> None:
        self._complete(self._running(pick), value)

    @precondition(lambda self: self.peer.running)
    @rule(pick=st.integers(0, 1000))
    def server_fails(self, pick: int) -> None:
        found = self._running(pick)
        del self.peer.running[found.job]
        self.peer.engine.start(found.job, self.driver.now)
        self.peer.engine.fail(found.job, AppError("it broke"), now=self.driver.now)
        self._truth(found).error = "it broke"
        self._move()

    def _complete(self, found: JobSubmitted, value: Any) -> None:
        del self.peer.running[found.job]
        self.peer.engine.start(found.job, self.driver.now)
        truth = self._truth(found)
        if truth.yields:
            (value,) = truth.yields[-1]
            self.peer.engine.complete(found.job, now=self.driver.now)
        else:
            self.peer.engine.complete(found.job, [value], now=self.driver.now)
        truth.data = (value,)
        self._move()

    def _running(self, pick: int) -> JobSubmitted:
        running = sorted(self.peer.running.values(), key=lambda job: not job.function.generator)
        return running[pick % len(running)]

    def _truth(self, found: JobSubmitted) -> Truth:
        return self.truth[found.data[0]]

    # The network

    @precondition(lambda self: self._busy())
    @rule(pick=st.integers(0, 1000), size=st.sampled_from([1, 2, 5, 9, None, None]))
    def network_delivers_some(self, pick: int, size: int | None) -> None:
        busy = self._busy()
        link, upwards = busy[pick % len(busy)]
        conn = link.opening.conn
        data = _taken(link.up if upwards else link.down, size)
        if upwards:
            self.peer.receive(conn, data, self.driver.now)
        else:
            self.driver.deliver(conn, data)
        self._move()

    @rule()
    def network_delivers_everything(self) -> None:
        self._move(swift=True)

    @precondition(lambda self: self.driver.links and self.weather is Weather.STORM)
    @rule(
        pick=st.integers(0, 1000),
        error=st.sampled_from([None, OSError("reset by peer")]),
        for_longer=st.booleans(),
    )
    def network_breaks(self, pick: int, error: OSError | None, for_longer: bool) -> None:
        self.calm = False
        self.refusing = self.refusing or for_longer
        REACHED["broken connections"] += 1
        links = list(self.driver.links)
        self.driver.lose(links[pick % len(links)], error)
        self.peer.look()
        self._move()

    @precondition(lambda self: self.weather is Weather.STORM)
    @rule()
    def network_refuses_the_next_connection(self) -> None:
        self.refusing = True

    @precondition(lambda self: self.weather is Weather.SLOW)
    @rule(seconds=st.sampled_from([0.2, 1.0, 4.5, 16.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.driver.now += seconds
        if self.driver.now - self.started > 1.0:
            self.calm = False
        self.peer.handle_timer(self.driver.now)
        self.checked.handle_timer(self.driver.now)
        self._move()

    def _refuses(self, opening: OpenConnection) -> BaseException | None:
        assert (opening.host, opening.via) == ("app.example", None), "nobody named that host"
        if not self.refusing:
            return None
        self.refusing = self.calm = False
        REACHED["refused connections"] += 1
        return ConnectionRefusedError("refused")

    def _busy(self) -> list[tuple[Link, bool]]:
        """The connections with something on its way, and which way it goes."""
        links = self.driver.links.values()
        return [(link, True) for link in links if link.up] + [
            (link, False) for link in links if link.down
        ]

    def _move(self, *, swift: bool = False) -> None:
        """Everything that needs no network; *swift*: the network is as fast as the rest."""
        self.driver.work()
        self.driver.collect()
        if swift:
            self.driver.settle()

    # What holds

    @invariant()
    def one_last_event_and_nothing_behind_it(self) -> None:
        new = self.driver.events[self.seen :]
        self.seen = len(self.driver.events)
        for event in new:
            key = (event.session, getattr(event, "job", None))
            assert key not in self.ended, f"{event} behind the end"
            if isinstance(event, JobCompleted | JobFailed | JobCancelled):
                self.ended.add((event.session, event.job))
                _count_end(event)
            elif isinstance(event, Output):
                REACHED["outputs"] += 1
                REACHED["outputs by edits"] += event.edits != ([["replace", [], event.value[0]]],)
            elif isinstance(event, StatusUpdated) and event.status.code is Status.LOG:
                REACHED["notices"] += 1
                self.notices[event.session, event.job].append(event.status.log[0])

    @invariant()
    def what_a_job_says_is_what_the_app_said(self) -> None:
        for key, got in self.driver.values.items():
            yielded = self.truth[self.submitted[key]].yields
            assert got == yielded[: len(got)]
        for key, heard in self.notices.items():
            assert heard == self.truth[self.submitted[key]].notices[: len(heard)]

    @invariant()
    def buffers_are_bounded(self) -> None:
        for connection in self.engine._connections.values():
            assert connection._out.size < 100_000
        assert len(self.engine._connections) < 100
        due = self.engine.next_deadline()
        assert due is None or due > self.driver.now, "a deadline has passed and is still there"
        for streams in streams_of(self.peer).values():
            assert streams <= 1, "two streams at once"

    def teardown(self) -> None:
        if not hasattr(self, "driver"):
            return  # hypothesis gave the run up before it began
        self._let_all_end()
        for key, token in self.submitted.items():
            end = self.driver.end(*key)
            truth = self.truth[token]
            if isinstance(end, JobCompleted):
                assert end.data == truth.data
                want = self.wanted[key]
                assert self.driver.values.get(key, []) == (
                    truth.yields if Want.OUTPUTS in want else []
                )
                assert self.notices[key] == (truth.notices if Want.STATUS in want else [])
            elif isinstance(end, JobFailed):
                assert list(end.outputs) == truth.yields[: len(end.outputs)]
                assert isinstance(end.error, GradioError)
                if isinstance(end.error, AppError) and end.error.message == "it broke":
                    assert truth.error == "it broke"
            if self.calm:
                assert (end.data if isinstance(end, JobCompleted) else None) == truth.data
                assert isinstance(end, JobFailed) == (truth.error is not None)
                REACHED["ends in calm runs"] += 1
        if self.calm:
            assert self.driver.of(Anomaly) == []
        for session in self.sessions:
            session.close()
        self.driver.sleep(10.0)
        assert len(self.driver.of(SessionClosed)) == len(self.sessions)
        assert self.driver.links == {}
        assert self.engine._connections == {}
        assert self.engine._transfers == {}
        assert self.engine._carriers == {}
        assert self.engine.next_deadline() is None
        self.checked.check_end()

    def _let_all_end(self) -> None:
        for _ in range(100):
            self.driver.settle()
            self.one_last_event_and_nothing_behind_it()
            if not self.peer.running:
                if len(self.ended) == len(self.submitted):
                    return
                self.driver.sleep(61.0)
            for found in list(self.peer.running.values()):
                self._complete(found, "at last")
        raise AssertionError(f"jobs hang: {self.submitted.keys() - self.ended}")

    def _session(self, number: int) -> Session:
        return next(session for session in self.sessions if session.id == number)


def _taken(buffer: Any, size: int | None) -> bytes:
    """The next bytes of a buffer, at most *size*; an end (no bytes) comes alone."""
    data: bytes = buffer.popleft()
    while size is None and buffer and buffer[0] and data:
        data += buffer.popleft()
    if size is not None and len(data) > size:
        buffer.appendleft(data[size:])
        data = data[:size]
    return data


def _count_end(event: JobCompleted | JobFailed | JobCancelled) -> None:
    REACHED[type(event).__name__] += 1
    if isinstance(event, JobFailed):
        REACHED[type(event.error).__name__] += 1
        REACHED[f"{type(event.error).__name__} with outputs"] += bool(len(event.outputs))
    elif isinstance(event, JobCancelled):
        REACHED["stopped on server"] += event.stopped_on_server is True
