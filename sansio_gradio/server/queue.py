"""The life of jobs: from the line that they wait in to their end, whoever brings it about."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.events import Event, JobCancelled, JobSubmitted
from sansio_gradio.server.jobs import Job, Line, Origin, Stage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.run import Headers
from sansio_gradio.server.sessions import Session, Sessions
from sansio_gradio.server.versions import Manner, does

DATA_WITHIN: Final = 60.0  # seconds (gradio@3.50.2 queueing.py: gather_event_data)
DATA_WITHIN_STREAM: Final = 5.0  # gradio@4.0.2 queueing.py: Event.get_data


@attrs.frozen(kw_only=True)
class Submission:
    """What a client hands in: gradio data_classes.py, PredictBody."""

    data: list[Any] | None = None
    fn_index: int | None = None
    session_hash: str | None = None
    event_id: str | None = None
    event_data: Any = None
    trigger_id: int | None = None


class Queue:
    """All jobs of a server that are not over, and the sessions that they belong to."""

    def __init__(
        self,
        app: App,
        messages: Messages,
        deadlines: Deadlines,
        *,
        entropy: Callable[[int], bytes],
        limits: ServerLimits,
    ) -> None:
        self.events: deque[Event] = deque()
        self.sessions = Sessions(limits.sessions, self._forget)
        self.channels = Channels(
            app.traits, messages, deadlines, kept=limits.messages, overflow=self.sessions.drop
        )
        self._app = app
        self._messages = messages
        self._deadlines = deadlines
        self._entropy = entropy
        self._limits = limits
        self._lines: dict[int | None, Line] = {}
        self._jobs: dict[int, Job] = {}
        self._by_event: dict[str, Job] = {}
        self._count = 0

    def new_job(self, origin: Origin, headers: Headers, exchange: int | None = None) -> Job:
        """A job, with the exchange that is its own, if any."""
        job = Job(
            id=self._count,
            event_id=self._entropy(16).hex(),
            origin=origin,
            headers=headers,
            exchange=exchange,
        )
        self._count += 1
        self._jobs[job.id] = self._by_event[job.event_id] = job
        if exchange is not None:
            self.channels.take(exchange, job)
        return job

    def describe(self, job: Job, function: Function, submission: Submission) -> None:
        """Note what the client has said of its job by now."""
        job.function = function
        if submission.session_hash is not None:
            job.session = self.sessions.use(submission.session_hash)
            job.session.jobs[job.id] = job
        if submission.data is not None:
            job.data = submission.data
            job.event_data = submission.event_data
            job.trigger_id = submission.trigger_id

    def find(self, number: int) -> Job | None:
        """The job of that number; None if it is over.

        Raises:
            LocalProtocolError: there has never been one.
        """
        if not 0 <= number < self._count:
            raise LocalProtocolError(f"There has never been a job {number}.")
        return self._jobs.get(number)

    def named(self, event_id: str | None) -> Job | None:
        """The job of that event_id, if it is not over."""
        return None if event_id is None else self._by_event.get(event_id)

    def function(self, fn_index: int | None) -> Function | None:
        functions = self._app.functions
        if fn_index is None or not 0 <= fn_index < len(functions):
            return None
        return functions[fn_index]

    def why_full(self, *, asking: int = 0) -> str | None:
        """What a client is told if no further job can wait, None if one can.

        ``asking``: how many of the jobs counted are those that ask.
        """
        size = sum(len(line.waiting) for line in self._lines.values())
        limit = self._app.max_size
        if limit is None or size < limit:
            if len(self._jobs) - asking < self._limits.jobs:
                return None
            limit = self._limits.jobs
        return f"Queue is full. Max size is {limit} and size is {size}."

    def enter(self, job: Job) -> None:
        """Put a job in line."""
        line = job.line = self._line(job.function)
        job.stage = Stage.WAITING
        line.waiting[job.id] = job
        self._estimate(line, len(line.waiting) - 1, job)
        self._advance(line)

    def ready(self, job: Job) -> None:
        """The job's turn has come and its data is here: tell the application to run it."""
        assert job.function is not None
        self._deadlines.stop(job.event_id)
        job.stage = Stage.READY
        self.events.append(
            JobSubmitted(
                job=job.id,
                function=job.function,
                data=_with_states(job, job.function),
                session_hash=None if job.session is None else job.session.session_hash,
                event_data=job.event_data,
                trigger_id=job.trigger_id,
                headers=job.headers,
                queued=job.origin is Origin.QUEUE,
            )
        )

    def end(self, job: Job, message: Message) -> None:
        """Say the job's last message."""
        self.channels.say(job, message)
        self.finish(job)

    def finish(self, job: Job) -> None:
        """The job is over, and so is the channel that was its own."""
        self.remove(job)
        on_socket = self._app.traits.channel is Channel.WEBSOCKET
        if not (on_socket and does(self._app.version, Manner.LEAVES_SOCKET_OPEN)):
            self.channels.end_of(job)

    def kill(self, job: Job) -> None:
        """The job dies without a last message."""
        if job.stage in (Stage.READY, Stage.RUNNING):
            self.events.append(JobCancelled(job=job.id))
        self.remove(job)

    def remove(self, job: Job) -> None:
        """Take a job away, unless that has happened: its WebSocket may outlive it."""
        if job.stage is Stage.OVER:
            return
        job.stage = Stage.OVER
        self._deadlines.stop(job.event_id)
        del self._jobs[job.id]
        del self._by_event[job.event_id]
        if job.session is not None:
            del job.session.jobs[job.id]
        if job.line is not None:
            job.line.leave(job)
            self._advance(job.line)

    def _line(self, function: Function | None) -> Line:
        # Up to 3.5 a job waits before anybody knows which function it is for.
        if function is None or does(self._app.version, Manner.ONE_LINE):
            key, limit = None, self._app.concurrency_limit
        else:
            key, limit = function.fn_index, function.concurrency_limit
        if key not in self._lines:
            self._lines[key] = Line(limit)
        return self._lines[key]

    def _advance(self, line: Line) -> None:
        """Let those run whose turn has come, and tell the others how far they are."""
        moved = False
        while (job := line.next()) is not None:
            moved = True
            job.began = self._deadlines.now
            if job.data is None:
                self._ask(job)
            else:
                self.ready(job)
        if moved:
            for rank, job in enumerate(list(line.waiting.values())):
                self._estimate(line, rank, job)

    def _estimate(self, line: Line, rank: int, job: Job) -> None:
        short = does(self._app.version, Manner.SHORT_ESTIMATE)
        estimate = line.estimate(rank, self._deadlines.now, short=short)
        self.channels.say(job, self._messages.estimation(job.event_id, estimate))

    def _ask(self, job: Job) -> None:
        job.stage = Stage.ASKED
        on_stream = self._app.traits.channel is Channel.JOB_STREAM
        within = DATA_WITHIN_STREAM if on_stream else DATA_WITHIN
        self._deadlines.start(job.event_id, within, partial(self._data_late, job))
        self.channels.say(job, self._messages.send_data(job.event_id))

    def _data_late(self, job: Job) -> None:
        if self._app.traits.channel is Channel.JOB_STREAM:
            self.finish(job)
        else:
            self.end(job, self._messages.timed_out(job.event_id))

    def _forget(self, session: Session) -> None:
        self.channels.close_streams(session)
        for job in session.newest_jobs():
            self.kill(job)
            self.channels.end_of(job, clean=False)


def _with_states(job: Job, function: Function) -> list[Any]:
    """The job's data, with the values of the session where the client may not send any."""
    data = list(job.data or ())
    states = {} if job.session is None else job.session.states
    for place, slot in enumerate(function.parameters[: len(data)]):
        if slot.is_state:
            if slot.name not in states:
                states[slot.name] = copy.deepcopy(slot.default)
            data[place] = states[slot.name]
    return data
