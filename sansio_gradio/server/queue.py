"""The jobs of a server, from the line that they wait in to their end."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import (
    JobAbandoned,
    JobHeld,
    JobReleased,
    JobSubmitted,
    ServerEvent,
    SessionEnded,
)
from sansio_gradio.server.jobs import Answers, ServerJob, ServerSession, Sessions, Stage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.line import WaitingLine
from sansio_gradio.server.messages import OutputFields
from sansio_gradio.server.requests import Refusal, Request, Submission
from sansio_gradio.server.versions import Manner

__all__ = ["Queue", "arguments"]

DATA_WITHIN: Final = 60.0  # seconds (gradio@3.50.2 queueing.py: gather_event_data)
DATA_WITHIN_STREAM: Final = 5.0  # gradio@4.0.2 queueing.py: Event.get_data


class Queue:
    """All jobs that are not over, the lines that they wait in, and their sessions.

    Deadlines: a job that was asked for its data is due when the data is late.
    """

    def __init__(
        self,
        app: App,
        channels: Channels,
        deadlines: Deadlines[Hashable],
        limits: ServerLimits,
        entropy: Callable[[int], bytes],
    ) -> None:
        self.limits = limits
        self.sessions = Sessions(limits.sessions)
        self._app = app
        self._channels = channels
        self._deadlines = deadlines
        self._entropy = entropy
        self._events: deque[ServerEvent] = deque()
        self._lines: dict[int | None, WaitingLine] = {}
        self._line_of: dict[int, WaitingLine] = {}
        self._jobs: dict[int, ServerJob] = {}
        self._by_event: dict[str, ServerJob] = {}
        self._count = 0
        self._queued = 0  # of the jobs

    def next_event(self) -> ServerEvent | None:
        """What the application is told next; None for now."""
        return self._events.popleft() if self._events else None

    def tell(self, event: ServerEvent) -> None:
        """Tell the application something."""
        self._events.append(event)

    # Jobs

    def new_job(
        self, request: Request, exchange: int | None = None, *, answers: Answers | None = None
    ) -> ServerJob:
        """Make a job for a client. *exchange*: a channel of its own. *answers*: it is a plain
        call."""
        id, event_id = self._count, self._entropy(16).hex()
        self._count += 1
        self._queued += answers is None
        job = ServerJob(
            id=id,
            event_id=event_id,
            headers=request.headers,
            root=request.root,
            user=request.user,
            exchange=exchange,
            answers=answers,
        )
        self._jobs[id] = self._by_event[event_id] = job
        if exchange is not None:
            self._channels.own(exchange, job)
        return job

    def describe(self, job: ServerJob, function: Function, submission: Submission) -> None:
        """Note what the client has said of its job so far."""
        job.function = function
        if job.session is None and submission.session_hash is not None:
            job.session = self.session(submission.session_hash)
            job.session.jobs[job.id] = job
        if submission.data is not None:
            job.submission = submission

    def find(self, number: int) -> ServerJob | None:
        """The job of that number; None if it is over.

        Raises:
            LocalProtocolError: there has never been one.
        """
        if not 0 <= number < self._count:
            raise LocalProtocolError(
                f"There has never been a job {number}: use the number of a JobSubmitted event."
            )
        return self._jobs.get(number)

    def named(self, event_id: str | None) -> ServerJob | None:
        """The job of that event_id; None if it is over or never was."""
        return None if event_id is None else self._by_event.get(event_id)

    # Sessions

    def session(self, session_hash: str) -> ServerSession:
        """The session of that name. If it is new, an old one may be forgotten for it."""
        session = self.sessions.use(session_hash)
        surplus = self.sessions.take_surplus()
        if surplus is not None:
            self._end_session(surplus)
        return session

    def await_end(self, session: ServerSession, job: ServerJob) -> None:
        """Keep the session's stream open until it has taken the end of this job.

        Jobs that died without a last message are forgotten when there are too many of them.
        """
        session.pending[job.event_id] = None
        if len(session.pending) > self.limits.messages:
            dead = next((id for id in session.pending if id not in self._by_event), None)
            if dead is not None:
                del session.pending[dead]

    def forget(self, session: ServerSession) -> None:
        """Forget a session, and stop its jobs."""
        self.sessions.remove(session)
        self._end_session(session)

    def _end_session(self, session: ServerSession) -> None:
        self._deadlines.stop(session)
        self._channels.close_streams(session)
        for job in session.newest_jobs():
            self.kill(job)
            self._channels.end_of(job, clean=False)
        self.tell(SessionEnded(session_hash=session.session_hash))

    # The line

    def status(self) -> dict[str, Any]:
        """What /queue/status says, by the keys of an estimation."""
        return {"avg_event_process_time": 0.0, "queue_eta": 1.0, "queue_size": self._waiting()}

    def _waiting(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def why_full(self, *, asking: int = 0) -> str | None:
        """What a client is told if no further job may wait; None if one may.

        ``asking``: how many of the counted jobs are those of the client that asks.
        """
        size = self._waiting()
        limit = self._app.max_size
        if limit is None or size < limit:
            if self._queued - asking < self.limits.jobs:
                return None
            limit = self.limits.jobs
        return f"Queue is full. Max size is {limit} and size is {size}."

    def join(
        self,
        request: Request,
        function: Function,
        submission: Submission,
        *,
        is_simple: bool = False,
    ) -> ServerJob:
        """Put a job in line whose messages go to the stream of its session.

        Without a session_hash it gets a session of its own, which has the name of its event_id.

        Raises:
            Refusal: no further job may wait.
        """
        if full := self.why_full():
            raise Refusal(503, {"detail": full})
        job = self.new_job(request)
        job.is_simple = is_simple
        session = self.session(submission.session_hash or job.event_id)
        named = attrs.evolve(submission, session_hash=session.session_hash)
        self.describe(job, function, named)
        if session.messages is None:
            session.messages = deque()
        self.await_end(session, job)
        self.enter(job)
        return job

    def admit(self, job: ServerJob) -> None:
        """Put a job with a channel of its own in line, or turn it away."""
        if self.why_full(asking=1) is None:
            self.enter(job)
        else:
            self._channels.say(job, Msg.QUEUE_FULL)
            self.remove(job)
            self._channels.end_of(job)

    def enter(self, job: ServerJob) -> None:
        """Put a job in line."""
        line = self._line_of[job.id] = self._line(job.function)
        job.stage = Stage.WAITING
        line.waiting[job.id] = job
        self._estimate(line, len(line.waiting) - 1, job)
        self._advance(line)

    def ready(self, job: ServerJob) -> None:
        """Tell the application to run a job: its turn has come and its data is here."""
        assert job.function is not None
        assert job.submission is not None
        self._deadlines.stop(job)
        job.stage = Stage.READY
        self.tell(
            JobSubmitted(
                job=job.id,
                function=job.function,
                data=arguments(job, job.submission.data or []),
                session_hash=None if job.session is None else job.session.session_hash,
                event_data=job.submission.event_data,
                trigger_id=job.submission.trigger_id,
                headers=job.headers,
                queued=job.queued,
                user=job.user,
            )
        )

    def next_place(self, function: Function) -> int:
        """How many jobs the next one of this function would have before it."""
        line = self._line(function)
        return len(line.waiting) + bool(line.running)

    def place(self, job: ServerJob) -> int:
        """How many jobs a job has before it. Those that run count as one."""
        line = self._line_of[job.id]
        return job.rank + bool(line.running) if job.id in line.waiting else 0

    def expected_seconds(self, job: ServerJob) -> float | None:
        """How long runs like this one took so far."""
        line = self._line_of.get(job.id)
        return None if line is None else line.times.average

    def data_is_late(self, job: ServerJob) -> None:
        """End a job whose data did not come: the job's deadline has passed."""
        if self._app.traits.channel is not Channel.JOB_STREAM:
            output = {"error": "Time out uploading data to server"}  # gradio@3.50.2 queueing.py
            self._channels.say(job, Msg.PROCESS_COMPLETED, output=output, success=False)
        self.finish(job)

    # The end

    def complete(self, job: ServerJob, output: OutputFields, *, measured: bool = True) -> None:
        """End a job that has worked. Not *measured*: nothing ran to bring the end about."""
        self._line_of[job.id].finished(self._deadlines.now - job.began)
        times = {"cache_duration": output["duration"], "avg_time": output["average_duration"]}
        self._channels.say(job, Msg.PROCESS_COMPLETED, output=output, **(times if measured else {}))
        self.finish(job)

    def finish(self, job: ServerJob) -> None:
        """End a job that has had its last message, and the channel that was its own."""
        self.remove(job)
        on_socket = self._app.traits.channel is Channel.WEBSOCKET
        if not (on_socket and self._app.does(Manner.LEAVES_SOCKET_OPEN)):
            self._channels.end_of(job)

    def hold_up(self, job: ServerJob, is_behind: bool) -> None:
        """Tell the application if a job is to wait for its client, or to go on."""
        if job.is_at_work and job.is_held is not is_behind:
            job.is_held = is_behind
            self.tell(JobHeld(job=job.id) if is_behind else JobReleased(job=job.id))

    def kill(self, job: ServerJob) -> None:
        """End a job without a last message."""
        if job.is_at_work:
            self.tell(JobAbandoned(job=job.id))
        self.remove(job)

    def remove(self, job: ServerJob) -> None:
        """Take a job away. Ignored if that has happened: its WebSocket may outlive it."""
        if job.stage is Stage.OVER:
            return
        job.stage = Stage.OVER
        self._deadlines.stop(job)
        del self._jobs[job.id]
        del self._by_event[job.event_id]
        self._queued -= job.queued
        if job.session is not None:
            del job.session.jobs[job.id]
        line = self._line_of.pop(job.id, None)
        if line is not None:
            line.leave(job)
            self._advance(line)

    def _line(self, function: Function | None) -> WaitingLine:
        # Up to 3.5 a job waits before its function is known.
        if function is None or self._app.does(Manner.ONE_LINE):
            return self._lines.setdefault(None, WaitingLine(self._app.concurrency_limit))
        line = WaitingLine(function.concurrency_limit)
        return self._lines.setdefault(function.fn_index, line)

    def _advance(self, line: WaitingLine) -> None:
        """Let the next jobs run, and tell the others how far they are."""
        moved = False
        while (job := line.next()) is not None:
            moved = True
            job.began = self._deadlines.now
            if job.submission is None:
                self._ask(job)
            else:
                self.ready(job)
        if moved:
            for rank, job in enumerate(list(line.waiting.values())):
                self._estimate(line, rank, job)

    def _estimate(self, line: WaitingLine, rank: int, job: ServerJob) -> None:
        short = self._app.does(Manner.SHORT_ESTIMATE)
        job.rank = rank
        estimate = line.estimate(rank, self._deadlines.now, short=short)
        self._channels.say(job, Msg.ESTIMATION, **estimate)

    def _ask(self, job: ServerJob) -> None:
        job.stage = Stage.ASKED
        on_stream = self._app.traits.channel is Channel.JOB_STREAM
        self._deadlines.start(job, DATA_WITHIN_STREAM if on_stream else DATA_WITHIN)
        self._channels.say(job, Msg.SEND_DATA)


def arguments(job: ServerJob, data: list[Any]) -> list[Any]:
    """The *data* of a client for a job, with the session's value in each State slot.

    Values for which the function has no parameter are ignored, as in Gradio.
    """
    assert job.function is not None
    parameters = job.function.parameters
    data = data[: len(parameters)]
    states = {} if job.session is None else job.session.states
    for place, slot in enumerate(parameters[: len(data)]):
        if slot.is_state:
            if slot.name not in states:
                states[slot.name] = copy.deepcopy(slot.default)
            data[place] = states[slot.name]
    return data
