"""A job, the line that it waits in, and how long that takes.

Rule: nothing here sends a message; the queue does.
"""

from __future__ import annotations

import enum
from typing import Any

import attrs

from sansio_gradio.server.app import Function
from sansio_gradio.server.messages import Output
from sansio_gradio.server.requests import Submission
from sansio_gradio.server.sessions import Session
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
class Times:
    """How long something takes, in seconds, as Gradio counts: the average of all so far."""

    count: int = 0
    total: float = 0.0

    @property
    def average(self) -> float | None:
        return self.total / self.count if self.count else None

    def add(self, seconds: float) -> float:
        """Count one more; the new average."""
        self.count += 1
        self.total += seconds
        return self.total / self.count


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
            return {**told, "rank_eta": average + ahead + self._until_free(now, average)}
        concurrent = self._concurrent(average)
        return {
            **told,
            "rank_eta": average + (rank + self.is_full) * concurrent,
            "avg_event_process_time": average,
            "avg_event_concurrent_process_time": concurrent,
        }

    def _until_free(self, now: float, average: float) -> float:
        if not self.is_full:
            return 0.0
        first = min(job.began for job in self.running.values())
        return max(first + average - now, 0.0)

    def _concurrent(self, average: float) -> float:
        """Seconds of a run, shared by those that run at once."""
        runs = self.times.count
        return average / min(self.limit or runs, runs)
