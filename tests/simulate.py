"""Very many jobs over a simulated network that fails in every way, at every point.

    python3 dev.py simulate [--seed N] [--jobs M] [--run K]

Each run is one client with some sessions, one app, and a network. What happens is drawn from the
seed and the number of the run. In the end the network heals, and every job must be over. A ledger
says what the app did for each job: none may be lost, doubled, swapped or stuck.

Faults are aimed: when a message is about to reach a job, one of them may strike. How often each has
struck each message in each state of a job is printed. If something is wrong, the seed, the run and
the shortest way to repeat it are printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import enum
import random
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from sansio_gradio.client.call import Want
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.errors import AppError, GradioError
from sansio_gradio.events import (
    Accepted,
    Anomaly,
    Event,
    JobCancelled,
    JobCompleted,
    JobFailed,
    Output,
)
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.protocol.states import MSGS, TRANSITIONS, JobState, Msg
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import FILE, component_of
from sansio_gradio.server.events import JobSubmitted
from sansio_gradio.testing.driver import Link
from sansio_gradio.testing.faults import Fault, FaultKind
from sansio_gradio.testing.simulation import Simulation
from sansio_gradio.testing.strategies import Cut

VERSIONS: Final = (
    *("3.1.7", "3.16.2", "3.16.2", "3.50.2", "4.0.2", "4.0.2", "4.8.0", "4.8.0", "4.9.1"),
    *("4.16.0", "4.19.2", "4.21.0", "4.29.0", "4.44.1", "5.0.2", "5.50.0", "6.31.0", "6.31.0"),
)
STEPS: Final = 90  # in a run, before it heals
JOBS: Final = 20  # in a run, at most


class Other(enum.Enum):
    """What strikes beside the faults of a network."""

    UPGRADE = "the server is started anew, with another version"
    OUTAGE = "the connection is reset, and so are the next four"
    GARBLE = "bytes arrive that are neither HTTP nor a frame"
    CANCEL = "the job is cancelled by its user"


Kind = FaultKind | Other
KINDS: Final[tuple[Kind, ...]] = (*FaultKind, *Other)
Cell = tuple[JobState, Msg, Kind]


class Weather(enum.Enum):
    """How much goes wrong in a run."""

    CALM = 0.0  # nothing: each job must end as the app says
    FAIR = 0.1
    STORM = 0.3


@attrs.define
class Truth:
    """What the app did for one job."""

    yields: list[Any] = attrs.field(factory=list[Any])
    data: Any = None
    is_done: bool = False
    error: str | None = None
    is_shown_whole: bool = True
    """Its last message was the app's, and not a stray one of a script."""


@attrs.define
class Books:
    """What all runs have come to."""

    runs: int = 0
    jobs: int = 0
    ends: Counter[str] = attrs.field(factory=Counter[str])
    cells: Counter[Cell] = attrs.field(factory=Counter[Cell])
    arrivals: Counter[tuple[JobState, Msg]] = attrs.field(factory=Counter[tuple[JobState, Msg]])
    reached: Counter[str] = attrs.field(factory=Counter[str])


_KIND: Final = re.compile(rb'"msg": ?"(\w+)"')
_EVENT_ID: Final = re.compile(rb'"event_id": ?"([^"]+)"')


class Run(Simulation):
    """One run: users, an app, a network and the time, in turns."""

    def __init__(self, books: Books, seed: str) -> None:
        self.books = books
        self.random = random.Random(seed)
        self.weather = self.random.choice([Weather.CALM, Weather.FAIR, Weather.STORM])
        self.log: deque[str] = deque(maxlen=80)
        self.truth: dict[str, Truth] = {}
        self.tokens: dict[tuple[int, int], str] = {}
        self.wanted: dict[tuple[int, int], Want] = {}
        self.open_jobs: dict[tuple[int, int], None] = {}
        self.ended: dict[tuple[int, int], Event] = {}
        self.names: dict[str, tuple[int, int]] = {}  # event_id -> job
        self.states: dict[str | int, JobState] = {}
        self.is_healing = False
        self.is_quiet = self.random.random() < 0.4
        """The server does not say where in the queue a job is. Real ones do: without a word a
        client takes a job for lost after a while."""
        self.is_calm = not self.is_quiet
        self.version = self.random.choice(VERSIONS)
        cut = Cut() if self.random.random() < 0.8 else Cut((1, 40, 3))
        super().__init__(self.app(self.version), cut=cut)
        self.log.append(f"{self.version}, {self.weather.name}, {cut}")
        for _ in range(self.random.choice([1, 1, 2, 3])):
            retry = Retry() if self.random.random() < 0.2 else None
            self.session(retry=retry)

    def app(self, version: str) -> App:
        limit = self.random.choice([1, 2, None])
        full = self.random.choice([None, None, 1])
        app = App(version=version, show_error=True, concurrency_limit=limit, max_size=full)
        text = component_of(str)  # its yields are sent as edits, unlike those of JSON
        slots: dict[str, Any] = {
            "parameters": [Slot(name="token", component=text)],
            "returns": [Slot(name="v", component=text)],
        }
        app.add("one", **slots)
        app.add("many", generator=True, **slots)
        app.add("script", generator=True, scripted=True, **slots)
        app.add("plain", queue=False, **slots)
        file = Slot(name="file", component=FILE)
        with_file: dict[str, Any] = {**slots, "parameters": [*slots["parameters"], file]}
        app.add("file", **with_file)
        return app

    # Steps

    def go(self, steps: int) -> None:
        for _ in range(steps):
            act = self.random.choices(*_ACTS)[0]
            act(self)
            self.look()
            if self.weather is not Weather.CALM and len(self.links) > 60:
                raise AssertionError(f"{len(self.links)} connections are open")
        self.heal()

    def user_submits(self) -> None:
        if len(self.tokens) >= JOBS:
            return
        token = f"t{len(self.tokens)}"
        names = ["/many"] * 4 + ["/script"] * 4 + ["/one", "/plain", "/file"]
        name = self.random.choice(names)
        want = self.random.choice([Want.ALL, Want.ALL, Want.OUTPUTS, Want.RESULT]) | Want.RECEIPTS
        session = self.random.choice(list(self.sessions.values()))
        options: dict[str, Any] = {
            "isolated": self.random.random() < 0.2,
            "timeout": self.random.choice([None, None, None, 40.0]),
        }
        arguments: list[Any] = [token]
        if name == "/file":
            arguments.append(handle_file(token.encode() * 100, name=f"{token}.txt"))
        job = self.submit(*arguments, session=session, api_name=name, want=want, **options)
        key = (job.session, job.number)
        self.truth[token] = Truth()
        self.tokens[key], self.wanted[key] = token, want
        self.open_jobs[key] = None
        self.is_calm = self.is_calm and options["timeout"] is None
        self.log.append(f"submit {token} {name} in session {session.id} {options} as {key}")

    def user_cancels(self) -> None:
        if self.open_jobs and self.weather is not Weather.CALM and self.random.random() < 0.2:
            self.cancel(self.random.choice(list(self.open_jobs)))

    def cancel(self, key: tuple[int, int]) -> None:
        self.is_calm = False
        asked = self.sessions[key[0]].cancel(key[1])
        self.log.append(f"cancel {key}: {asked}")
        self.books.reached["cancelled"] += asked

    def user_resets(self) -> None:
        if self.weather is Weather.STORM and self.random.random() < 0.05:
            self.is_calm = False
            session = self.random.choice(list(self.sessions.values()))
            session.reset()
            self.log.append(f"reset session {session.id}")
            self.books.reached["sessions reset"] += 1

    def server_acts(self) -> None:
        running = list(self.peer.running.values())
        if not running:
            return
        found = self.random.choice(running)
        token = found.data[0]
        truth = self.truth[token]
        name = found.function.api_name
        act = self.random.choice(["yield", "yield", "yield", "notice", "notice", "end"])
        if name == "script":
            self.script(found, truth)
        elif act == "yield" and found.function.generator:
            self.peer.engine.start(found.job, self.now)
            value = self.next_value(token, truth)
            truth.yields.append(value)
            self.peer.engine.generate(found.job, [value], self.now)
            self.log.append(f"{token} yields {value!r}")
        elif act == "notice":
            self.peer.engine.start(found.job, self.now)
            if self.random.random() < 0.5:
                self.peer.engine.log(found.job, token)
            else:
                self.peer.engine.progress(found.job, [{"index": 1, "length": 9}])
        else:
            self.end_job(found, truth, fails=self.random.random() < 0.2)
        self.collect()

    def next_value(self, token: str, truth: Truth) -> Any:
        """Says whose it is. Texts and lists grow, shrink by one or several, change at places."""
        old = truth.yields[-1] if truth.yields else None
        if isinstance(old, list) and self.random.random() < 0.8:
            kept = old[: self.random.randint(1, len(old))]
            return [
                *kept,
                *(f"{token}-{len(truth.yields)}.{n}" for n in range(self.random.randint(0, 4))),
            ]
        if isinstance(old, str) and self.random.random() < 0.8:
            return f"{old} and {len(truth.yields)}"
        if self.random.random() < 0.5:
            return f"{token}: {len(truth.yields)}"
        return [token, *range(10, 10 + self.random.randint(0, 6))]

    def end_job(self, found: JobSubmitted, truth: Truth, *, fails: bool = False) -> None:
        token = found.data[0]
        del self.peer.running[found.job]
        self.peer.engine.start(found.job, self.now)
        truth.is_done = True
        if fails:
            truth.error = f"{token} broke"
            self.peer.engine.fail(found.job, AppError(truth.error), now=self.now)
        elif truth.yields and not found.function.scripted:
            truth.data = truth.yields[-1]
            self.peer.engine.complete(found.job, now=self.now)
        else:
            truth.data = f"{token} done"
            if found.function.api_name == "file":
                given: bytes = found.data[1].read()
                assert given == token.encode() * 100, f"{token} was given {given[:20]!r}"
                self.books.reached["files"] += 1
            self.peer.engine.complete(found.job, [truth.data], now=self.now)
        self.log.append(f"{token} ends{' in an error' if fails else ''}: {truth.data!r}")

    def script(self, found: JobSubmitted, truth: Truth) -> None:
        """Any message that the table of states allows, also those that this server does not send.

        A job that has not been started stays where it is, in its client's state, too.
        """
        token = found.data[0]
        kind = self.random.choice(_SCRIPTED)
        if self.app_channel is Channel.SESSION_STREAM and kind is Msg.QUEUE_FULL:
            kind = Msg.UNEXPECTED_ERROR
        if self.random.random() < 0.4:
            self.peer.engine.start(found.job, self.now)
            self.collect()
        message: dict[str, Any] = {"msg": str(kind)}
        match kind:
            case Msg.PROGRESS:
                message["progress_data"] = [{"index": 1, "length": 9}]
            case Msg.LOG:
                message |= {"log": token, "level": "info"}
            case Msg.ESTIMATION:
                message |= {"rank": 0, "queue_size": 1, "rank_eta": 1.0}
            case Msg.PROCESS_GENERATING | Msg.PROCESS_STREAMING:
                message |= {"output": {"data": [f"{token} whole"]}, "success": True}
                if truth.yields:
                    return  # only the first one is whole in every protocol
                truth.yields.append(f"{token} whole")
            case Msg.PROCESS_COMPLETED:
                message |= {"output": {"data": [f"{token} done"]}, "success": True}
            case _:
                message |= {"message": f"{token} stopped", "success": False}
        self.peer.engine.send(found.job, message)
        self.log.append(f"{token} sends {kind}")
        if TRANSITIONS[JobState.QUEUED].get(kind) is JobState.DONE:
            truth.is_done = True
            truth.data = f"{token} done" if kind is Msg.PROCESS_COMPLETED else None
            truth.error = None if kind is Msg.PROCESS_COMPLETED else ""
            del self.peer.running[found.job]
            if kind is not Msg.PROCESS_COMPLETED:
                self.peer.engine.fail(found.job, None, now=self.now)

    @property
    def app_channel(self) -> Channel:
        return self.peer.app.traits.channel

    def network_is_swift(self) -> None:
        self.settle()

    def network_delivers_some(self) -> None:
        self.work()
        self.deliver_up()
        self.collect()
        links = [conn for conn in self.links if self._arriving(conn) is not None]
        if links:
            conn = self.random.choice(links)
            self.arrive(conn, self.links[conn])

    def time_passes(self) -> None:
        seconds = self.random.choice([0.2, 1.0, 4.5, 16.0, 70.0])
        if self.weather is Weather.CALM:
            seconds = min(seconds, 4.5)
        self.sleep(seconds)
        self.log.append(f"{seconds:g} seconds pass")

    # Faults

    def arrive(self, conn: int, link: Link) -> None:
        """The next piece reaches the client, or a fault strikes it."""
        piece = link.down[0]
        told = _KIND.search(piece)
        kind = MSGS.get(told[1].decode()) if told else None
        if kind is None or self._cut.sizes:
            if not self.is_healing and self.random.random() < self.weather.value / 20:
                self.hit(self.random.choice(KINDS[:-1]), conn, None)
            else:
                super().arrive(conn, link)
            return
        named = _EVENT_ID.search(piece)
        key = named[1].decode() if named and self.app_channel is Channel.SESSION_STREAM else conn
        state = self.states.get(key, JobState.JOINING)
        moved = TRANSITIONS[state].get(kind)
        job = self.names.get(named[1].decode()) if named else None
        if (
            job is None
            and len(self.open_jobs) == 1
            and self.app_channel is not Channel.SESSION_STREAM
        ):
            (job,) = self.open_jobs
        if moved is not None and (job is None or job in self.open_jobs):
            self.books.arrivals[state, kind] += 1
            often = self.weather.value * (1 if (state, kind) in _COMMON else 3)
            if not self.is_healing and self.random.random() < often:
                fault = self.random.choice(KINDS if job is not None else KINDS[:-1])
                self.books.cells[state, kind, fault] += 1
                self.log.append(f"{fault.name} strikes {kind} of {key} ({state.name})")
                self.hit(fault, conn, job)
                return
        kinds = _KIND.findall(piece)
        if self.is_quiet and kind is Msg.ESTIMATION and len(kinds) == 1 and b"HTTP/" not in piece:
            link.down.popleft()
            return
        for one in kinds:
            found = MSGS.get(one.decode())
            if found is not None and (after := TRANSITIONS[state].get(found)) is not None:
                state = after
        self.states[key] = state
        super().arrive(conn, link)

    def job_on(self, conn: int) -> tuple[int, int] | None:
        """The job that has a connection for itself; None: none has."""
        engine = self.checked.engine
        connection = engine._connections.get(conn)
        if connection is None or connection.transfer is None:
            return None
        session, exchange = connection.transfer.key
        found = engine._sessions[session]._exchanges.running.get(exchange)
        attempt = getattr(found and found.listener, "_attempt", None)
        return None if attempt is None else (session, attempt.job)

    def hit(self, fault: Kind, conn: int, job: tuple[int, int] | None) -> None:
        self.is_calm = False
        self.books.reached[fault.name] += 1
        match fault:
            case Other.UPGRADE:
                self.version = self.random.choice(VERSIONS)
                self.restart(self.app(self.version))
                self.log.append(f"now it is {self.version}")
            case Other.OUTAGE:
                self.is_refusing += 4
                self.strike(Fault(FaultKind.RESET), conn)
            case Other.GARBLE:
                self.links[conn].down.clear()
                self.deliver(conn, b"\xff\xff\x00no\r\n\r\n")
                if conn in self.links:  # a WebSocket, or an answer, is left in the middle
                    self.lose(conn, ConnectionResetError("reset by peer"))
            case Other.CANCEL:
                assert job is not None
                self.cancel(job)
            case _:
                self.strike(Fault(fault, seconds=self.random.choice([0.5, 5.0, 50.0])), conn)

    # What must hold

    def look(self) -> None:
        """Read the new events."""
        events, self.events = self.events, []
        for event in events:
            key = (getattr(event, "session", 0), getattr(event, "job", 0) or 0)
            assert key not in self.ended, f"{event} behind the end of {key}"
            if isinstance(event, JobCompleted | JobFailed | JobCancelled):
                self.ended[key] = event
                del self.open_jobs[key]
                self.judge(key, event)
            elif isinstance(event, Output):
                got = self.values[key]
                truth = self.truth[self.tokens[key]].yields
                assert [value for (value,) in got] == truth[: len(got)], f"{key} yielded {got[-1]}"
            elif isinstance(event, Accepted) and isinstance(event.answer, dict):
                self.names[str(event.answer.get("event_id"))] = key
            elif isinstance(event, Anomaly):
                self.books.reached["anomalies"] += 1
                assert not self.is_calm or self.is_scripted(key), f"in a calm run: {event}"

    def is_scripted(self, key: tuple[int, int]) -> bool:
        return any(job.session == key[0] and "script" in str(self.log) for job in self.jobs)

    def judge(self, key: tuple[int, int], end: Event) -> None:
        token = self.tokens[key]
        truth = self.truth[token]
        self.books.jobs += 1
        got = [value for (value,) in self.values.get(key, [])]
        assert got == truth.yields[: len(got)], f"{token} yielded {got}"
        if isinstance(end, JobCompleted):
            self.books.ends["completed"] += 1
            assert truth.is_done, f"{token} is not done, and completed with {end.data}"
            assert end.data == (truth.data,), f"{token} gave {truth.data!r}, and not {end.data}"
            wants = Want.OUTPUTS in self.wanted[key]
            assert got == (truth.yields if wants else []), f"{token} completed with {got}"
        elif isinstance(end, JobFailed):
            self.books.ends[type(end.error).__name__] += 1
            assert isinstance(end.error, GradioError)
            kept = [value for (value,) in end.outputs]
            assert kept == truth.yields[: len(kept)], f"{token} failed with {kept}"
            if isinstance(end.error, AppError) and "broke" in end.error.message:
                assert end.error.message == truth.error, f"{token} failed in {end.error}"
        else:
            self.books.ends["cancelled"] += 1
        if self.is_calm and not isinstance(end, JobCompleted):
            fails = truth.error is not None or self.peer.app.max_size is not None
            assert fails, f"in a calm run {token} ended in {end}"

    def heal(self) -> None:
        """From now on nothing breaks: every job ends, and a new one works."""
        self.log.append("nothing breaks any more")
        self.is_healing, self.is_refusing = True, 0
        for turn in range(60):
            if turn == 10:
                self.find_dead()
            self.settle()
            while self.peer.running:
                found = next(iter(self.peer.running.values()))
                self.end_job(found, self.truth[found.data[0]])
                self.settle()
            self.look()
            if not self.open_jobs and not self.peer.running:
                break
            self.sleep(5.0 if self.peer.running else 61.0)
        assert not self.open_jobs, f"stuck: {[self.tokens[key] for key in self.open_jobs]}"
        self.user_submits_last()
        self.engine.close()
        self.sleep(60.0)
        self.look()
        assert self.engine.is_closed, "the engine is not closed after a minute"
        assert not self.links, f"connections are left open: {list(self.links)}"
        self.checked.check_end()
        assert len(self.ended) == len(self.tokens)

    def find_dead(self) -> None:
        """The system finds connections that lead nowhere. Where servers send no heartbeats, and in
        a plain call, nobody else can tell such a connection from a function that takes long."""
        for conn, link in list(self.links.items()):
            if link.held_until == float("inf") and conn in self.links:
                self.books.reached["found dead by the system"] += 1
                self.lose(conn, TimeoutError("keep-alive"))

    def user_submits_last(self) -> None:
        """Whatever has happened, the client works on."""
        session: Session = self.session()
        job = self.submit("last", session=session, api_name="/plain")
        self.truth["last"] = Truth()
        key = (job.session, job.number)
        self.tokens[key], self.wanted[key] = "last", Want.ALL
        self.open_jobs[key] = None
        self.is_calm = False
        for _ in range(30):
            self.settle()
            for found in list(self.peer.running.values()):
                self.end_job(found, self.truth[found.data[0]])
            self.look()
            if key in self.ended:
                break
            self.sleep(1.0)
        assert isinstance(self.ended.get(key), JobCompleted), f"the last job: {self.ended.get(key)}"


_COMMON: Final = frozenset(
    {
        *((JobState.JOINING, kind) for kind in (Msg.ESTIMATION, Msg.PROCESS_STARTS)),
        *((JobState.QUEUED, kind) for kind in (Msg.ESTIMATION, Msg.PROCESS_STARTS)),
        *((JobState.RUNNING, kind) for kind in (Msg.PROCESS_GENERATING, Msg.PROCESS_COMPLETED)),
    }
)
_SCRIPTED: Final = (
    *(Msg.PROGRESS, Msg.LOG, Msg.ESTIMATION, Msg.PROCESS_GENERATING),
    *(Msg.PROCESS_STREAMING, Msg.PROCESS_STREAMING, Msg.PROCESS_STREAMING),
    *(Msg.PROCESS_COMPLETED, Msg.QUEUE_FULL, Msg.UNEXPECTED_ERROR, Msg.SERVER_STOPPED),
)
_ACTS: Final[tuple[list[Callable[[Run], None]], list[int]]] = (
    [
        Run.user_submits,
        Run.user_cancels,
        Run.user_resets,
        Run.server_acts,
        Run.network_is_swift,
        Run.network_delivers_some,
        Run.time_passes,
    ],
    [30, 4, 2, 60, 25, 30, 6],
)


def failure_of(books: Books, seed: int, run: int, steps: int) -> tuple[Exception, Run] | None:
    """Why a run of so many steps fails; None: it does not."""
    tried = Run(books, f"{seed}/{run}")
    try:
        tried.go(steps)
    except Exception as error:  # whatever it is, its log is wanted
        return error, tried
    return None


def report(seed: int, run: int) -> bool:
    """Print the first steps of a run, as few as fail; whether any do."""
    for steps in range(1, STEPS + 1):
        found = failure_of(Books(), seed, run, steps)
        if found is not None:
            error, tried = found
            print(f"\nseed {seed}, run {run}, the first {steps} steps: {error!r}")
            print("\n".join(f"  {line}" for line in tried.log))
            print(f"again: python3 dev.py simulate --seed {seed} --run {run}")
            return True
    print(f"nothing is wrong in run {run} of seed {seed}")
    return False


def table(books: Books) -> list[str]:
    """How often each fault has struck each message in each state of its job."""
    pairs = [(state, kind) for state, moves in TRANSITIONS.items() for kind in moves]
    lines = ["", f"{'state, message':32}" + "".join(f"{kind.name:>8}" for kind in KINDS)]
    for state, kind in pairs:
        counts = [books.cells[state, kind, one] for one in KINDS]
        lines.append(f"{state.name.lower():8} {kind:23}" + "".join(f"{n:8}" for n in counts))
    cells = [books.cells[*pair, kind] for pair in pairs for kind in KINDS]
    full = sum(count >= 100 for count in cells)
    lines.append(f"{len(cells)} cells; {full} of them 100 times or more, {cells.count(0)} never")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dev.py simulate")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--run", type=int, help="this run only, with its log")
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}", flush=True)
    if given.run is not None:
        return int(report(given.seed, given.run))
    books, began = Books(), time.process_time()
    while books.jobs < given.jobs:
        failed = failure_of(books, given.seed, books.runs, STEPS)
        if failed is not None:
            print(f"\nwrong in run {books.runs}: {failed[0]}")
            report(given.seed, books.runs)
            return 1
        books.runs += 1
        if not books.runs % 500:
            print(f"{books.jobs} jobs", flush=True)
    seconds = time.process_time() - began
    print("\n".join(table(books)))
    print(f"ends: {dict(books.ends.most_common())}")
    print(f"reached: {dict(books.reached.most_common())}")
    print(f"{books.runs} runs, {books.jobs} jobs, each ended once; {seconds:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
