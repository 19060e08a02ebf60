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
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.events import Answer, ChunkReceived, InputEnded, JobCancelled
from sansio_gradio.server.jobs import Job, Origin, Stage, Times
from sansio_gradio.server.messages import Messages, Output
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner, does

CHUNK_WITHIN: Final = 30.0  # seconds, where the function has no time limit (gradio queueing.py)


class Runs:
    """The application's side of the conversation. ``now`` is monotonic seconds."""

    def __init__(self, app: App, messages: Messages, deadlines: Deadlines, queue: Queue) -> None:
        self.app = app
        self._messages = messages
        self._deadlines = deadlines
        self._queue = queue
        self._channels = queue.channels
        self._steps: dict[int, Times] = {}

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        self._deadlines.now = now
        found = self._queue.find(job)
        if found is None or found.stage is not Stage.READY:
            return
        found.stage = Stage.RUNNING
        found.began = found.step_began = now
        if found.origin is Origin.QUEUE:
            eta = found.line.times.average if found.line else None
            self._channels.say(found, self._messages.process_starts(found.event_id, eta))

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        """How far the job is: ``index length unit progress desc`` of each of the nested loops,
        outermost first."""
        found = self._queued(job)
        if found is not None:
            message = self._messages.progress(found.event_id, plain(units))
            self._channels.say(found, message)

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
            message = self._messages.log(
                found.event_id,
                text,
                level=level,
                title=level.capitalize() if title is None else title,
                duration=duration,
                visible=visible,
            )
            self._channels.say(found, plain(message))

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """A message of the application's own making, sent as it stands.

        ``event_id`` is added where the protocol has one. ``process_completed`` ends the job.
        """
        found = self._queued(job)
        if found is None:
            return
        made: dict[str, Any] = plain(message)
        if self._messages.names_jobs and "event_id" not in made:
            kind = {"msg": made.pop("msg")} if "msg" in made else {}
            made = {**kind, "event_id": found.event_id, **made}
        if made.get("msg") == Msg.PROCESS_COMPLETED:
            self._queue.end(found, cast("Message", made))
        else:
            self._channels.say(found, cast("Message", made))

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded: one item a result, whole."""
        self._deadlines.now = now
        found = self._queue.find(job)
        if found is None:
            return
        function = _function_of(found)
        if found.origin is Origin.PLAIN_CALL:
            # The first yield is all that a plain call gets, and nobody asks for another one.
            self._answer(found, 200, self._output(found, data, is_generating=True))
            self._queue.events.append(JobCancelled(job=job))
        elif function.streaming:
            self._answer_chunk(found, function, data)
        else:
            before = found.last
            output = found.last = self._output(found, data, is_generating=True)
            found.outputs += 1
            if before is not None and self.app.traits.diffs:
                output = {**output, "data": self._diffs(function, before["data"], output["data"])}
            self._channels.say(found, self._messages.generating(found.event_id, output))

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked; *data* None: what it yielded last."""
        self._deadlines.now = now
        found = self._queue.find(job)
        if found is None:
            return
        if data is None and found.last is not None:
            output = found.last
            if self.app.traits.diffs:  # gradio@4.17.0; before, the last output is said once more
                output = self._output(found, output["data"], is_generating=False)
        else:
            nothing = [None] * len(_function_of(found).returns)
            output = self._output(found, nothing if data is None else data, is_generating=False)
        if found.origin is Origin.PLAIN_CALL:
            self._answer(found, 200, output)
        else:
            self._end_with(found, output)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised. An ``AppError`` is for the client to see; anything else is hidden
        unless the app shows errors."""
        self._deadlines.now = now
        found = self._queue.find(job)
        if found is None:
            return
        if found.origin is Origin.PLAIN_CALL:
            self._answer(found, 500, self._messages.error_output(error))
            return
        generating = found.outputs > 0
        self._queue.end(found, self._messages.failed(found.event_id, error, generating=generating))

    def _queued(self, job: int) -> Job | None:
        """The job, if it is one that messages can be sent for."""
        found = self._queue.find(job)
        return None if found is None or found.origin is Origin.PLAIN_CALL else found

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
        average = self._steps.setdefault(function.fn_index, Times()).add(seconds)
        return self._messages.output(
            sent, is_generating=is_generating, duration=seconds, average=average
        )

    def _diffs(self, function: Function, old: list[Any], new: list[Any]) -> list[list[Edit]]:
        """What has changed since the last yield, for each result."""
        version = self.app.version_text
        kinds = [slot.component.kind for slot in function.returns]
        whole = does(self.app.version, Manner.JSON_IS_REPLACED)
        return [
            [["replace", [], after]] if whole and kind == "json" else _diff(before, after, version)
            for before, after, kind in zip_longest(old[: len(new)], new, kinds[: len(new)])
        ]

    def _end_with(self, job: Job, output: Output, *, measured: bool = True) -> None:
        assert job.line is not None  # it came by the queue
        job.line.finished(self._deadlines.now - job.began)
        self._queue.end(job, self._messages.completed(job.event_id, output, measured=measured))

    def _answer(self, job: Job, status: int, body: Any) -> None:
        """The result of a plain call."""
        assert job.exchange is not None
        self._channels.put(Answer(job.exchange, status, body))
        self._channels.leave(job.exchange)
        self._queue.remove(job)

    # Streaming input (gradio queueing.py: process_events)

    def _answer_chunk(self, job: Job, function: Function, data: Sequence[Any]) -> None:
        spent = self._deadlines.now - job.step_began
        limit = function.time_limit
        over = job.input_ended or (limit is not None and job.run_time + spent >= limit)
        job.last = self._output(job, data, is_generating=not over)
        job.run_time += spent
        if not job.outputs:
            job.first_step = spent
        job.outputs += 1
        if over:
            self._input_over(job)
            return
        left = None if limit is None else limit - job.first_step
        self._channels.say(job, self._messages.streaming(job.event_id, job.last, left))
        job.awaits_chunk = True
        within = (CHUNK_WITHIN if limit is None else limit) - job.first_step
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
