"""Jobs, the sessions that they belong to, and the lines that they wait in.

Rule: nothing here sends a message; the queue does.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import Function
from sansio_gradio.server.messages import Output
from sansio_gradio.server.requests import Submission
from sansio_gradio.wire.headers import Headers


class Stage(enum.Enum):
    """How far a job is."""

    GREETING = enum.auto()  # its WebSocket is open; which function it is for is not known yet
    WAITING = enum.auto()  # in line
    ASKED = enum.auto()  # its turn has come; its data has been asked for
    READY = enum.auto()  # the application has been told to run it
    RUNNING = enum.auto()  # it said that it does
    OVER = enum.auto()


@attrs.define(eq=False, kw_only=True)
class Job:
    """One run of a function for one client.

    ``queued``: False for a plain call (/api, /run), whose result is the answer to its request.
    """

    id: int
    event_id: str
    queued: bool = True
    session: Session | None = None
    function: Function | None = None
    exchange: int | None = None  # the channel that is this job's own
    headers: Headers = ()
    submission: Submission | None = None  # with the data
    stage: Stage = Stage.GREETING
    line: Line | None = None
    began: float = 0.0  # of the run
    step_began: float = 0.0  # of what the next output is the result of
    last: Output | None = None  # the newest output, data whole
    # Plain calls
    answers: deque[tuple[int, Any]] = attrs.field(factory=deque[tuple[int, Any]])  # not asked for
    has_answered: bool = False  # to the end
    # Streaming input
    run_time: float = 0.0
    first_step: float | None = None
    awaits_chunk: bool = False
    next_chunk: list[Any] | None = None
    input_ended: bool = False

    @property
    def is_at_work(self) -> bool:
        """Whether the application has it."""
        return self.stage in (Stage.READY, Stage.RUNNING)


@attrs.define(eq=False)
class Session:
    """One session_hash.

    ``messages`` is None while no stream may be opened: before the first join, and after a stream
    was dropped. ``pending`` holds the event_ids whose end no stream has taken yet; those of jobs
    that died silently stay, and keep the stream open (PROTOCOL.md 3.3).
    """

    session_hash: str
    messages: deque[Message] | None = None
    pending: set[str] = attrs.field(factory=set[str])
    streams: deque[int] = attrs.field(factory=deque[int])
    jobs: dict[int, Job] = attrs.field(factory=dict[int, "Job"])
    states: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def newest_jobs(self) -> list[Job]:
        """Its jobs, the newest first: who stops them all lets none have its turn on the way."""
        return list(reversed(self.jobs.values()))


class Sessions:
    """The sessions of a server; when there are too many, the longest unused is told to *forget*."""

    def __init__(self, limit: int, forget: Callable[[Session], None]) -> None:
        self._limit = limit
        self._forget = forget
        self._sessions: dict[str, Session] = {}

    def get(self, session_hash: str | None) -> Session | None:
        return None if session_hash is None else self._sessions.get(session_hash)

    def jobs_of(self, session_hash: str | None) -> list[Job]:
        """The jobs of that session, if there is one, the newest first."""
        session = self.get(session_hash)
        return [] if session is None else session.newest_jobs()

    def use(self, session_hash: str) -> Session:
        """The session of that name, made if there is none."""
        session = self._sessions.pop(session_hash, None) or Session(session_hash)
        self._sessions[session_hash] = session  # as the last, for it is the newest used
        if len(self._sessions) > self._limit:
            self._forget(self._sessions.pop(next(iter(self._sessions))))
        return session

    def drop(self, session: Session) -> None:
        """Forget this session, unless that has happened already."""
        if self._sessions.get(session.session_hash) is session:
            self._forget(self._sessions.pop(session.session_hash))


@attrs.define(eq=False)
class Times:
    """How long something takes, in seconds, as Gradio counts: the average of all so far."""

    count: int = 0
    total: float = 0.0
    average: float | None = None

    def add(self, seconds: float) -> float:
        """Count one more; the new average."""
        self.count += 1
        self.total += seconds
        self.average = self.total / self.count
        return self.average


@attrs.define(eq=False)
class Line:
    """Jobs that share a limit on how many run at once (None: no limit)."""

    limit: int | None
    waiting: dict[int, Job] = attrs.field(factory=dict[int, Job])
    running: dict[int, Job] = attrs.field(factory=dict[int, Job])
    times: Times = attrs.field(factory=Times)
    queue_eta: float = 1.0

    def next(self) -> Job | None:
        """The job whose turn has come, moved to those that run."""
        if not self.waiting or self.is_full:
            return None
        job = self.waiting.pop(next(iter(self.waiting)))
        self.running[job.id] = job
        return job

    def leave(self, job: Job) -> None:
        self.waiting.pop(job.id, None)
        self.running.pop(job.id, None)

    @property
    def is_full(self) -> bool:
        return self.limit is not None and len(self.running) >= self.limit

    def finished(self, seconds: float) -> None:
        """A run has ended after so long."""
        self.queue_eta = self._concurrent(self.times.add(seconds)) * len(self.waiting)

    def estimate(self, rank: int, now: float, *, short: bool) -> dict[str, Any]:
        """What the waiting job at that place is told, in the words of the message.

        *short*: as servers since 4.11 count it (queueing.py: broadcast_estimations), else as those
        before (gradio@3.50.2 queueing.py: send_estimation).
        """
        told = {"rank": rank, "queue_size": len(self.waiting), "queue_eta": self.queue_eta}
        average = self.times.average
        if average is None:
            return {**told, "avg_event_process_time": 0.0}
        if short:
            ahead = rank * average / self.limit if self.limit else 0.0
            if self.is_full:  # until the first of them ends
                first = min(job.began for job in self.running.values())
                ahead += max(first + average - now, 0.0)
            return {**told, "rank_eta": average + ahead}
        concurrent = self._concurrent(average)
        return {
            **told,
            "rank_eta": average + (rank + self.is_full) * concurrent,
            "avg_event_process_time": average,
            "avg_event_concurrent_process_time": concurrent,
        }

    def _concurrent(self, average: float) -> float:
        """Seconds of a run, shared by those that run at once."""
        runs = self.times.count
        return average / min(self.limit or runs, runs)
