"""What the application says of its jobs: ``start``, ``generate``, ``complete``, ``fail``, ...

Rule: a job may be over at any time, since its client may leave. Verbs for a job that is over do
nothing; a number that no job ever had is a ``LocalProtocolError``, and so is a value that JSON
cannot say, which leaves the job as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Final, cast

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.diff import Edit, compute_diff
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import Function
from sansio_gradio.server.events import Answer, ChunkReceived, Event, InputEnded, JobCancelled
from sansio_gradio.server.jobs import Job, Stage, Times
from sansio_gradio.server.messages import Output
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner

CHUNK_WITHIN: Final = 30.0  # seconds, where the function has no time limit (gradio queueing.py)


class Runs:
    """The application's side of a server. ``now`` is monotonic seconds."""

    def __init__(self, queue: Queue) -> None:
        self.app = queue.app
        self._queue = queue
        self._channels = queue.channels
        self._deadlines = queue.deadlines

    def next_event(self) -> Event | None:
        """What the application is told next, None for now."""
        return self._queue.events.popleft() if self._queue.events else None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next of use, in monotonic seconds."""
        return self._deadlines.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Time has passed; to be told when ``next_deadline`` has."""
        self._deadlines.now = now
        self._deadlines.fire()

    # What the application says

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        found = self._find(job, now)
        if found is None or found.stage is not Stage.READY:
            return
        found.stage = Stage.RUNNING
        found.began = found.step_began = now
        if found.queued:
            eta = found.line.times.average if found.line else None
            self._channels.say(found, Msg.PROCESS_STARTS, eta=eta)

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        """How far the job is: ``index length unit progress desc`` of each of the nested loops,
        outermost first."""
        found = self._queued(job)
        if found is not None:
            keys = ("index", "length", "unit", "progress", "desc")
            data = [{key: unit.get(key) for key in keys} for unit in plain(units)]
            self._channels.say(found, Msg.PROGRESS, progress_data=data)

    def log(
        self,
        job: int,
        text: str,
        *,
        level: str = "info",
        title: str | None = None,
        duration: float | None = 10,
        visible: bool = True,
    ) -> None:
        """A notice for the user; ``duration`` in seconds, None: until dismissed."""
        found = self._queued(job)
        if found is not None:
            title = level.capitalize() if title is None else title
            how = {"level": level, "title": title, "duration": duration, "visible": visible}
            self._channels.say(found, Msg.LOG, **plain({"log": text, **how}))

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """A message of the application's own making, sent as it stands.

        ``event_id`` is added where the protocol has one. ``process_completed`` ends the job.
        """
        found = self._queued(job)
        if found is None:
            return
        made: dict[str, Any] = plain(message)
        if self._queue.messages.names_jobs and "event_id" not in made:
            kind = {"msg": made.pop("msg")} if "msg" in made else {}
            made = {**kind, "event_id": found.event_id, **made}
        self._channels.tell(found, cast("Message", made))
        if made.get("msg") == Msg.PROCESS_COMPLETED:
            self._queue.finish(found)

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded: one item a result, whole."""
        found = self._find(job, now)
        if found is None:
            return
        function = _function_of(found)
        if not found.queued:
            found.last = self._output(found, data, is_generating=True)
            steps = found.session is not None and has(self.app.version, Feature.STEPS)
            steps = steps and len(found.answers) < self._queue.limits.messages
            self._answer(found, 200, found.last, last=not steps)
            if not steps:
                # The first yield is all that such a call gets, and nobody asks for another one.
                self._queue.events.append(JobCancelled(job=job))
        elif function.streaming:
            self._answer_chunk(found, function, data)
        else:
            before = found.last
            output = found.last = self._output(found, data, is_generating=True)
            if before is not None and self.app.traits.diffs:
                output = {**output, "data": self._diffs(function, before["data"], output["data"])}
            self._channels.say(found, Msg.PROCESS_GENERATING, output=output)

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked; *data* None: what it yielded last."""
        found = self._find(job, now)
        if found is None:
            return
        output = found.last
        if data is not None or output is None or self.app.traits.diffs:
            given = output["data"] if output else [None] * len(_function_of(found).returns)
            output = self._output(found, given if data is None else data, is_generating=False)
        # else it is said once more, up to 4.16
        if found.queued:
            self._end_with(found, output)
        elif found.last is None:
            self._answer(found, 200, output)
        else:
            self._end_steps(found)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised. An ``AppError`` is for the client to see; anything else is hidden
        unless the app shows errors."""
        found = self._find(job, now)
        if found is None:
            return
        messages, generating = self._queue.messages, found.last is not None
        if found.queued:
            message = messages.failed(found.event_id, error, generating=generating)
            self._channels.tell(found, message)
            self._queue.finish(found)
        else:
            self._answer(found, 500, messages.error_output(error), last=not generating)
            if generating:
                self._end_steps(found)

    def _find(self, job: int, now: float) -> Job | None:
        self._deadlines.now = now
        found = self._queue.find(job)
        return None if found is None or found.has_answered else found

    def _queued(self, job: int) -> Job | None:
        """The job, if it is one that messages can be sent for."""
        found = self._queue.find(job)
        return found if found is not None and found.queued else None

    def _output(self, job: Job, data: Sequence[Any], *, is_generating: bool) -> Output:
        """What is told of an output; State stays here."""
        function = _function_of(job)
        values = list(data)
        states: dict[str, Any] = {}
        for place, slot in enumerate(function.returns[: len(values)]):
            if slot.is_state:
                states[slot.name], values[place] = values[place], None
        sent = plain(values)
        if job.session is not None:
            job.session.states.update(states)
        seconds = self._deadlines.now - job.step_began
        job.step_began = self._deadlines.now
        average = self._queue.steps.setdefault(function.fn_index, Times()).add(seconds)
        return self._queue.messages.output(
            data=sent, is_generating=is_generating, duration=seconds, average_duration=average
        )

    def _diffs(self, function: Function, old: list[Any], new: list[Any]) -> list[list[Edit]]:
        """What has changed since the last yield, for each result."""
        version = self.app.version_text
        kinds = [slot.component.kind for slot in function.returns]
        whole = self.app.does(Manner.JSON_IS_REPLACED)
        return [
            [["replace", [], after]] if whole and kind == "json" else _diff(before, after, version)
            for before, after, kind in zip_longest(old[: len(new)], new, kinds[: len(new)])
        ]

    def _end_with(self, job: Job, output: Output, *, measured: bool = True) -> None:
        """The job has worked; not *measured*: nothing ran to bring its end about."""
        assert job.line is not None  # it came by the queue
        job.line.finished(self._deadlines.now - job.began)
        times = {"cache_duration": output["duration"], "avg_time": output["average_duration"]}
        self._channels.say(job, Msg.PROCESS_COMPLETED, output=output, **(times if measured else {}))
        self._queue.finish(job)

    def _answer(self, job: Job, status: int, body: Any, *, last: bool = True) -> None:
        """What a plain call gives, or a step of it: for the request that asks, or for the next."""
        job.answers.append((status, body))
        job.has_answered = last
        self._hand_out(job)

    def _end_steps(self, job: Job) -> None:
        """A generator has ended, and with it the iterator that a server keeps for its session."""
        nothing = [None] * len(_function_of(job).returns)
        self._answer(job, 200, self._output(job, nothing, is_generating=False))

    def _hand_out(self, job: Job) -> None:
        if job.exchange is not None and job.answers:
            self._channels.put(Answer(job.exchange, *job.answers.popleft()))
            self._channels.leave(job.exchange)
            job.exchange = None
        if job.has_answered and not job.answers:
            self._queue.remove(job)

    # Streaming input (gradio queueing.py: process_events)

    def _answer_chunk(self, job: Job, function: Function, data: Sequence[Any]) -> None:
        spent = self._deadlines.now - job.step_began
        limit = function.time_limit
        over = job.input_ended or (limit is not None and job.run_time + spent >= limit)
        job.last = self._output(job, data, is_generating=not over)
        job.run_time += spent
        if job.first_step is None:
            job.first_step = spent
        if over:
            self._input_over(job)
            return
        left = None if limit is None else limit - job.first_step
        self._channels.say(job, Msg.PROCESS_STREAMING, output=job.last, time_limit=left)
        job.awaits_chunk = True
        within = CHUNK_WITHIN - job.first_step if left is None else left
        late = partial(self._input_over, job, measured=False)
        self._deadlines.start(job.event_id, within, late)
        self._next_chunk(job)

    def _next_chunk(self, job: Job) -> None:
        if not job.awaits_chunk or job.next_chunk is None:
            return
        self._deadlines.stop(job.event_id)
        job.awaits_chunk = False
        job.step_began = self._deadlines.now
        self._queue.events.append(ChunkReceived(job=job.id, data=job.next_chunk))
        job.next_chunk = None

    def _end_input(self, job: Job) -> None:
        job.input_ended = True
        if job.awaits_chunk:
            self._input_over(job)

    def _input_over(self, job: Job, *, measured: bool = True) -> None:
        assert job.last is not None
        self._queue.events.append(InputEnded(job=job.id))
        self._end_with(job, job.last, measured=measured)


def _function_of(job: Job) -> Function:
    assert job.function is not None  # no application hears of a job before it is known
    return job.function


def _diff(old: Any, new: Any, version: str) -> list[Edit]:
    try:
        return compute_diff(old, new, like=version)
    except LocalProtocolError:
        # No such server sends diffs, or this one would fail on these values.
        return compute_diff(old, new)
