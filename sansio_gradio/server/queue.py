"""The life of jobs: from the line that they wait in to their end, whoever brings it about."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import Event, JobCancelled, JobSubmitted
from sansio_gradio.server.jobs import Job, Line, Session, Sessions, Stage, Times
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.requests import Submission
from sansio_gradio.server.versions import Manner
from sansio_gradio.wire.headers import Headers

DATA_WITHIN: Final = 60.0  # seconds (gradio@3.50.2 queueing.py: gather_event_data)
DATA_WITHIN_STREAM: Final = 5.0  # gradio@4.0.2 queueing.py: Event.get_data


class Queue:
    """All jobs of a server that are not over, and the sessions that they belong to.

    ``events`` are for the application. ``steps``: how long each function takes from one output to
    the next.
    """

    def __init__(self, app: App, entropy: Callable[[int], bytes], limits: ServerLimits) -> None:
        self.app = app
        self.events: deque[Event] = deque()
        self.deadlines = Deadlines()
        self.messages = Messages(app)
        self.sessions = Sessions(limits.sessions, self._forget)
        self.channels = Channels(
            app.traits, self.messages, self.deadlines, limits.messages, self.sessions.drop
        )
        self.steps: dict[int, Times] = {}
        self.limits = limits
        self._entropy = entropy
        self._lines: dict[int | None, Line] = {}
        self._jobs: dict[int, Job] = {}
        self._by_event: dict[str, Job] = {}
        self._count = 0

    def new_job(self, headers: Headers, exchange: int | None = None, *, queued: bool = True) -> Job:
        """A job, with the exchange that is its own, if any."""
        id, event_id = self._count, self._entropy(16).hex()
        self._count += 1
        job = Job(id=id, event_id=event_id, queued=queued, headers=headers, exchange=exchange)
        self._jobs[id] = self._by_event[event_id] = job
        if exchange is not None:
            self.channels.owners[exchange] = job
        return job

    def describe(self, job: Job, function: Function, submission: Submission) -> None:
        """Note what the client has said of its job by now."""
        job.function = function
        if job.session is None and submission.session_hash is not None:
            job.session = self.sessions.use(submission.session_hash)
            job.session.jobs[job.id] = job
        if submission.data is not None:
            job.submission = submission

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

    def why_full(self, *, asking: int = 0) -> str | None:
        """What a client is told if no further job can wait, None if one can.

        ``asking``: how many of the jobs counted are those that ask.
        """
        size = sum(len(line.waiting) for line in self._lines.values())
        limit = self.app.max_size
        if limit is None or size < limit:
            if len(self._jobs) - asking < self.limits.jobs:
                return None
            limit = self.limits.jobs
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
        assert job.submission is not None
        self.deadlines.stop(job.event_id)
        job.stage = Stage.READY
        self.events.append(
            JobSubmitted(
                job=job.id,
                function=job.function,
                data=_with_states(job.submission.data or [], job.function, job.session),
                session_hash=None if job.session is None else job.session.session_hash,
                event_data=job.submission.event_data,
                trigger_id=job.submission.trigger_id,
                headers=job.headers,
                queued=job.queued,
            )
        )

    def finish(self, job: Job) -> None:
        """The job has had its last message, and so has the channel that was its own."""
        self.remove(job)
        on_socket = self.app.traits.channel is Channel.WEBSOCKET
        if not (on_socket and self.app.does(Manner.LEAVES_SOCKET_OPEN)):
            self.channels.end_of(job)

    def kill(self, job: Job) -> None:
        """The job dies without a last message."""
        if job.is_at_work:
            self.events.append(JobCancelled(job=job.id))
        self.remove(job)

    def remove(self, job: Job) -> None:
        """Take a job away, unless that has happened: its WebSocket may outlive it."""
        if job.stage is Stage.OVER:
            return
        job.stage = Stage.OVER
        self.deadlines.stop(job.event_id)
        del self._jobs[job.id]
        del self._by_event[job.event_id]
        if job.session is not None:
            del job.session.jobs[job.id]
        if job.line is not None:
            job.line.leave(job)
            self._advance(job.line)

    def _line(self, function: Function | None) -> Line:
        # Up to 3.5 a job waits before anybody knows which function it is for.
        if function is None or self.app.does(Manner.ONE_LINE):
            return self._lines.setdefault(None, Line(self.app.concurrency_limit))
        return self._lines.setdefault(function.fn_index, Line(function.concurrency_limit))

    def _advance(self, line: Line) -> None:
        """Let those run whose turn has come, and tell the others how far they are."""
        moved = False
        while (job := line.next()) is not None:
            moved = True
            job.began = self.deadlines.now
            if job.submission is None:
                self._ask(job)
            else:
                self.ready(job)
        if moved:
            for rank, job in enumerate(list(line.waiting.values())):
                self._estimate(line, rank, job)

    def _estimate(self, line: Line, rank: int, job: Job) -> None:
        short = self.app.does(Manner.SHORT_ESTIMATE)
        estimate = line.estimate(rank, self.deadlines.now, short=short)
        self.channels.say(job, Msg.ESTIMATION, **estimate)

    def _ask(self, job: Job) -> None:
        job.stage = Stage.ASKED
        if self.app.traits.channel is Channel.JOB_STREAM:
            self.deadlines.start(job.event_id, DATA_WITHIN_STREAM, partial(self.finish, job))
        else:
            self.deadlines.start(job.event_id, DATA_WITHIN, partial(self._data_late, job))
        self.channels.say(job, Msg.SEND_DATA)

    def _data_late(self, job: Job) -> None:
        """The data did not come (gradio@3.50.2 queueing.py)."""
        output = {"error": "Time out uploading data to server"}
        self.channels.say(job, Msg.PROCESS_COMPLETED, output=output, success=False)
        self.finish(job)

    def _forget(self, session: Session) -> None:
        self.channels.close_streams(session)
        for job in session.newest_jobs():
            self.kill(job)
            self.channels.end_of(job, clean=False)


def _with_states(data: list[Any], function: Function, session: Session | None) -> list[Any]:
    """The data of a job, with the values of its session where the client may not send any."""
    data = list(data)
    states = {} if session is None else session.states
    for place, slot in enumerate(function.parameters[: len(data)]):
        if slot.is_state:
            if slot.name not in states:
                states[slot.name] = copy.deepcopy(slot.default)
            data[place] = states[slot.name]
    return data
