"""A Gradio server at the altitude of its messages: sessions, the queue, jobs. No bytes, no clock.

Told what clients ask (``join``, ``open_stream``, ``receive_text``, ...), it gives commands
for whoever carries messages (``next_command``) and events for whoever runs the functions
(``next_event``). The application answers events by ``start``, ``progress``, ``log``, ``generate``,
``complete``, ``fail``, or ``send`` with a message of its own making.

Rule 1: how a protocol goes is asked of its row, what a release does of its manners; no name of a
protocol is compared.

Rule 2: a job may be over at any time, since its client may leave. Verbs for a job that is over do
nothing; a number that no job ever had is a ``LocalProtocolError``.

Times are monotonic seconds; ``now`` never runs backwards. ``exchange`` is a number of the caller's.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Final, cast

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.diff import Edit, compute_diff
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.documents import Documents
from sansio_gradio.server.events import (
    Answer,
    AnswerText,
    ChunkReceived,
    Command,
    End,
    Event,
    InputEnded,
    JobCancelled,
    JobSubmitted,
    OpenStream,
    Send,
    SendAlive,
)
from sansio_gradio.server.jobs import Job, Line, Origin, Stage, Times
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages, Output
from sansio_gradio.server.run import Headers
from sansio_gradio.server.sessions import Session, Sessions
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner, does

HEARTBEAT_EVERY: Final = 15.0  # of a stream's own age (gradio utils.py: get_heartbeat_rate)
HASH_WITHIN: Final = 5.0  # gradio@3.50.2 routes.py: join_queue
DATA_WITHIN: Final = 60.0  # gradio@3.50.2 queueing.py: gather_event_data
DATA_WITHIN_STREAM: Final = 5.0  # gradio@4.0.2 queueing.py: Event.get_data
CHUNK_WITHIN: Final = 30.0  # where the function has no time limit


@attrs.frozen(kw_only=True)
class Submission:
    """What a client hands in: gradio data_classes.py, PredictBody."""

    data: list[Any] | None = None
    fn_index: int | None = None
    session_hash: str | None = None
    event_id: str | None = None
    event_data: Any = None
    trigger_id: int | None = None


@attrs.frozen
class _Reader:
    """The event stream of a session."""

    session: Session


@attrs.frozen
class _Heartbeat:
    """The stream by which a client shows that it is there."""

    session_hash: str


class Conversation:
    """A Gradio server, without its HTTP. ``entropy(n)`` gives n random bytes."""

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        limits: ServerLimits | None = None,
    ) -> None:
        self.app = app
        self.documents = Documents(app, app_id=int.from_bytes(entropy(8)))
        self._entropy = entropy
        self._limits = limits or ServerLimits()
        self._traits = app.traits
        self._messages = Messages(app.version, app.traits, show_error=app.show_error)
        self._sessions = Sessions(self._limits.sessions, self._forget)
        self._lines: dict[int | None, Line] = {}
        self._steps: dict[int, Times] = {}
        self._job_count = 0
        self._jobs: dict[int, Job] = {}
        self._by_event: dict[str, Job] = {}
        self._exchanges: dict[int, Job | _Reader | _Heartbeat] = {}
        self._deadlines = Deadlines()
        self._now = 0.0
        self._commands: deque[Command] = deque()
        self._events: deque[Event] = deque()

    # What is to be done

    def next_command(self) -> Command | None:
        """What the transport is to do next, None for now."""
        return self._commands.popleft() if self._commands else None

    def next_event(self) -> Event | None:
        """What the application is told next, None for now."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next of use."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        self._now = now
        self._deadlines.fire(now)

    # What clients ask: the queue

    def join(self, exchange: int, submission: Submission, headers: Headers, now: float) -> None:
        """POST ``/queue/join``: a job for the session's stream."""
        self._now = now
        if submission.session_hash is None:
            old = self.app.version < (4, 20)
            detail = "No session hash provided." if old else "Session hash not found."
            return self._refuse(exchange, 400, detail)
        if submission.fn_index is None:
            return self._refuse(exchange, 400, "No function index provided.")
        if (full := self._full()) is not None:
            return self._refuse(exchange, 503, full)
        function = self._function(submission.fn_index)
        if function is None:
            return self._break(exchange)
        job = self._new_job(Origin.QUEUE, headers)
        self._describe(job, function, submission)
        session = self._sessions.use(submission.session_hash)
        if session.messages is None:
            session.messages = deque()
        session.pending.add(job.event_id)
        self._put(Answer(exchange, 200, {"event_id": job.event_id}))
        self._enter(job)
        return None

    def open_stream(self, exchange: int, session_hash: str, now: float) -> None:
        """GET ``/queue/data``: the event stream of a session."""
        self._now = now
        self._put(OpenStream(exchange))
        session = self._sessions.get(session_hash)
        if session is None or session.messages is None:
            self._put(Send(exchange, self._messages.session_not_found()))
            self._put(End(exchange, clean=False))
            return
        self._exchanges[exchange] = _Reader(session)
        session.streams.append(exchange)
        self._heartbeat_later(exchange)
        self._deliver(session)

    def open_job_stream(
        self, exchange: int, submission: Submission, headers: Headers, now: float
    ) -> None:
        """GET ``/queue/join``: the event stream of a job of its own (4.0 to 4.8)."""
        self._now = now
        function = self._function(submission.fn_index)
        if function is None or submission.session_hash is None:
            return self._break(exchange)
        self._put(OpenStream(exchange))
        job = self._new_job(Origin.QUEUE, headers, exchange)
        self._describe(job, function, submission)
        if self._full() is not None:
            return self._turn_away(job)
        self._heartbeat_later(exchange)
        self._enter(job)
        return None

    def hand_over(self, exchange: int, submission: Submission, now: float) -> None:
        """POST ``/queue/data``: the data that a job was asked for."""
        self._now = now
        job = self._by_event.get(submission.event_id or "")
        if job is None or job.stage is not Stage.ASKED:
            return self._break(exchange)
        self._put(Answer(exchange, 200, None))
        job.data = submission.data or []
        job.event_data = submission.event_data
        self._ready(job)
        return None

    def open_socket(self, exchange: int, headers: Headers, now: float) -> None:
        """A WebSocket was opened: it is one job."""
        self._now = now
        job = self._new_job(Origin.QUEUE, headers, exchange)
        job.stage = Stage.GREETING
        if does(self.app.version, Manner.CLIENT_SPEAKS_FIRST):
            self._deadlines.set(exchange, now + HASH_WITHIN, partial(self._fall_silent, job))
        elif has(self.app.version, Feature.SEND_HASH):
            self._deadlines.set(exchange, now + HASH_WITHIN, partial(self._fall_silent, job))
            self._say(job, self._messages.send_hash())
        else:
            self._enter_by_socket(job)

    def receive_text(self, exchange: int, submission: Submission | None, now: float) -> None:
        """What came on a WebSocket; None: something else than a server can read."""
        self._now = now
        job = self._exchanges.get(exchange)
        if not isinstance(job, Job) or job.stage not in (Stage.GREETING, Stage.ASKED):
            return
        greeting = job.stage is Stage.GREETING
        if submission is None:
            return self._fall_silent(job)
        anonymous = greeting and does(self.app.version, Manner.CLIENT_SPEAKS_FIRST)
        if not anonymous:
            function = self._function(submission.fn_index)
            if function is None:
                return self._fall_silent(job)
            self._describe(job, function, submission)
        self._deadlines.stop(exchange)
        if greeting:
            self._enter_by_socket(job)
        elif job.data is None:
            self._fall_silent(job)
        else:
            self._ready(job)
        return None

    # What clients ask: the rest

    def call(
        self,
        exchange: int,
        api_name: str,
        submission: Submission,
        headers: Headers,
        now: float,
    ) -> None:
        """POST ``/api/{api_name}`` or ``/run/{api_name}``: a run without the queue."""
        self._now = now
        function = self._function(submission.fn_index)
        if submission.fn_index is None:
            named = [function for function in self.app.functions if function.api_name == api_name]
            function = named[0] if named else None
        if function is None:
            return self._break(exchange)
        if function.queue and not self.app.api_open:
            return self._refuse(
                exchange,
                404,
                "This API endpoint does not accept direct HTTP POST requests. "
                "Please join the queue to use this API.",
            )
        if function.cancels:
            return self._call_cancels(exchange, function, submission)
        job = self._new_job(Origin.PLAIN_CALL, headers, exchange)
        self._describe(job, function, submission)
        self._ready(job)
        return None

    def cancel(
        self, exchange: int, session_hash: str, fn_index: int, event_id: str, now: float
    ) -> None:
        """POST ``/cancel`` (4.31 and later).

        Real servers cancel by function: other running jobs of it in that session die silently.
        """
        self._now = now
        session = self._sessions.get(session_hash)
        named = self._by_event.get(event_id)
        if session is not None:
            for job in list(session.jobs.values()):
                if job is named or (job.function and job.function.fn_index == fn_index):
                    if job is named or job.stage in (Stage.READY, Stage.RUNNING):
                        self._kill(job)
            if session.messages is not None and event_id in session.pending:
                self._queue(session, self._messages.cancelled(event_id))
        self._put(Answer(exchange, 200, {"success": True}))

    def reset(self, exchange: int, event_id: str | None, now: float) -> None:
        """POST ``/reset``: from 4.0 to 4.34 it stops a job without a word."""
        self._now = now
        job = self._by_event.get(event_id or "")
        stops = not (self.app.version < (4, 0) or does(self.app.version, Manner.RESET_DOES_NOTHING))
        if stops and job is not None:
            self._kill(job)
            self._end_channel(job)
        self._put(Answer(exchange, 200, {"success": not stops or job is not None}))

    def open_heartbeat(self, exchange: int, session_hash: str, now: float) -> None:
        """GET ``/heartbeat/{session_hash}`` (4.25 and later)."""
        self._now = now
        self._put(OpenStream(exchange))
        self._exchanges[exchange] = _Heartbeat(session_hash)
        self._beat(exchange)

    def feed(self, exchange: int, event_id: str, submission: Submission, now: float) -> None:
        """POST ``/stream/{event_id}``: the next piece of a streaming input (5.0 and later)."""
        self._now = now
        job = self._by_event.get(event_id)
        if job is None:
            return self._put(AnswerText(exchange, 404, ""))
        self._put(Answer(exchange, 200, {"msg": "success"}))
        job.next_chunk = submission.data or []
        self._next_chunk(job)
        return None

    def end_input(self, exchange: int, event_id: str, now: float) -> None:
        """POST ``/stream/{event_id}/close``."""
        self._now = now
        job = self._by_event.get(event_id)
        if job is None:
            return self._put(AnswerText(exchange, 404, ""))
        self._put(Answer(exchange, 200, {"msg": "success"}))
        self._end_input(job)
        return None

    def closed(self, exchange: int, now: float) -> None:
        """The client of this exchange is gone."""
        self._now = now
        self._deadlines.stop(exchange)
        owner = self._exchanges.pop(exchange, None)
        if isinstance(owner, _Reader):
            self._reader_gone(owner.session, exchange)
        elif isinstance(owner, _Heartbeat):
            session = self._sessions.get(owner.session_hash)
            for job in list(session.jobs.values()) if session else ():
                self._end_input(job)
        elif owner is not None:
            self._kill(owner)

    # What the application says

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        self._now = now
        found = self._live(job)
        if found is None or found.stage is not Stage.READY:
            return
        found.stage = Stage.RUNNING
        found.began = found.step_began = now
        if found.origin is Origin.QUEUE:
            eta = found.line.times.run if found.line else None
            self._say(found, self._messages.process_starts(found.event_id, eta))

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        """How far the job is: ``index length unit progress desc`` of each of the nested loops,
        outermost first."""
        self._say_of(job, lambda event_id: self._messages.progress(event_id, units))

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
        self._say_of(
            job,
            lambda event_id: self._messages.log(
                event_id,
                text,
                level=level,
                title=level.capitalize() if title is None else title,
                duration=duration,
                visible=visible,
            ),
        )

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """A message of the application's own making, sent as it stands.

        ``event_id`` is added where the protocol has one. ``process_completed`` ends the job.
        """
        found = self._live(job)
        if found is None:
            return
        made = plain(message)
        if self._messages.names_jobs and "event_id" not in made:
            made = {"msg": made.pop("msg", None), "event_id": found.event_id, **made}
        self._say(found, cast("Message", made))
        if made.get("msg") == Msg.PROCESS_COMPLETED:
            self._finish(found)

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded: one item a result, whole."""
        self._now = now
        found = self._live(job)
        if found is None:
            return
        if found.origin is Origin.PLAIN_CALL:
            # The first yield is all that a plain call gets, and nobody asks for another one.
            self._answer(found, 200, self._output(found, data, is_generating=True))
            self._events.append(JobCancelled(job=job))
        elif found.function is not None and found.function.streaming:
            self._stream(found, found.function, data)
        else:
            before = found.last
            output = found.last = self._output(found, data, is_generating=True)
            found.outputs += 1
            if before is not None and self._traits.diffs:
                output = {**output, "data": self._diffs(found, before["data"], output["data"])}
            self._say(found, self._messages.generating(found.event_id, output))

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked; ``data`` None: what it yielded last."""
        self._now = now
        found = self._live(job)
        if found is None:
            return
        if data is None and found.last is not None:
            output = found.last
            if self._traits.diffs:  # gradio@4.17.0; before, the last output is said again as it was
                output = self._output(found, output["data"], is_generating=False)
        else:
            count = len(found.function.returns) if found.function else 0
            output = self._output(found, [None] * count if data is None else data)
        if found.origin is Origin.PLAIN_CALL:
            self._answer(found, 200, output)
        else:
            self._complete(found, output)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised. An ``AppError`` is for the client to see; anything else is hidden
        unless the app shows errors."""
        self._now = now
        found = self._live(job)
        if found is None:
            return
        generating = found.outputs > 0
        if found.origin is Origin.PLAIN_CALL:
            self._answer(found, 500, self._messages.error_output(error))
        else:
            message = self._messages.failed(found.event_id, error, generating=generating)
            self._say(found, message)
            self._finish(found)

    def stop(self, now: float) -> None:
        """The server goes down: every open stream is told, and ended."""
        self._now = now
        for exchange, owner in list(self._exchanges.items()):
            if isinstance(owner, _Reader):
                self._put(Send(exchange, self._messages.server_stopped()))
            self._put(End(exchange, clean=False))
            self.closed(exchange, now)

    # A job's way

    def _new_job(self, origin: Origin, headers: Headers, exchange: int | None = None) -> Job:
        job = Job(
            id=self._job_count,
            event_id=self._entropy(16).hex(),
            origin=origin,
            headers=headers,
            exchange=exchange,
        )
        self._job_count += 1
        self._jobs[job.id] = self._by_event[job.event_id] = job
        if exchange is not None:
            self._exchanges[exchange] = job
        return job

    def _describe(self, job: Job, function: Function, submission: Submission) -> None:
        """Note what the client has said of its job by now."""
        job.function = function
        if submission.session_hash is not None:
            job.session_hash = submission.session_hash
            self._sessions.use(submission.session_hash).jobs[job.id] = job
        if submission.data is not None:
            job.data = submission.data
            job.event_data = submission.event_data
            job.trigger_id = submission.trigger_id

    def _enter_by_socket(self, job: Job) -> None:
        if self._full() is not None:
            self._turn_away(job)
        else:
            self._enter(job)

    def _enter(self, job: Job) -> None:
        """Put a job in line."""
        shared = does(self.app.version, Manner.ONE_LINE) or job.function is None
        key = None if shared else job.function.fn_index
        if key not in self._lines:
            own = job.function.concurrency_limit if job.function else None
            self._lines[key] = Line(self.app.concurrency_limit if shared else own)
        line = job.line = self._lines[key]
        job.stage = Stage.WAITING
        line.waiting[job.id] = job
        short = does(self.app.version, Manner.SHORT_ESTIMATE)
        estimate = line.estimate(len(line.waiting) - 1, self._now, short=short)
        self._say(job, self._messages.estimation(job.event_id, estimate))
        self._advance(line)

    def _advance(self, line: Line) -> None:
        """Let those run whose turn has come, and tell the others how far they are."""
        moved = False
        while (job := line.next()) is not None:
            moved = True
            job.began = self._now
            if job.data is None or (
                self._traits.handover is Handover.ASKED
                and self._traits.channel is Channel.WEBSOCKET
            ):
                self._ask(job)
            else:
                self._ready(job)
        if not moved:
            return
        short = does(self.app.version, Manner.SHORT_ESTIMATE)
        for rank, job in enumerate(list(line.waiting.values())):
            estimate = line.estimate(rank, self._now, short=short)
            self._say(job, self._messages.estimation(job.event_id, estimate))

    def _ask(self, job: Job) -> None:
        job.stage = Stage.ASKED
        on_stream = self._traits.channel is Channel.JOB_STREAM
        within = DATA_WITHIN_STREAM if on_stream else DATA_WITHIN
        self._deadlines.set(job.event_id, self._now + within, partial(self._data_late, job))
        self._say(job, self._messages.send_data(job.event_id))

    def _data_late(self, job: Job) -> None:
        if self._traits.channel is not Channel.JOB_STREAM:
            self._say(job, self._messages.timed_out(job.event_id))
        self._finish(job)

    def _ready(self, job: Job) -> None:
        """Tell the application to run it."""
        assert job.function is not None
        self._deadlines.stop(job.event_id)
        job.stage = Stage.READY
        data = list(job.data or [])
        session = self._sessions.get(job.session_hash)
        for place, slot in enumerate(job.function.parameters[: len(data)]):
            if slot.is_state:
                states = session.states if session else {}
                if slot.name not in states:
                    states[slot.name] = copy.deepcopy(slot.default)
                data[place] = states[slot.name]
        self._events.append(
            JobSubmitted(
                job=job.id,
                function=job.function,
                data=data,
                session_hash=job.session_hash or None,
                event_data=job.event_data,
                trigger_id=job.trigger_id,
                headers=job.headers,
                queued=job.origin is Origin.QUEUE,
            )
        )

    def _output(self, job: Job, data: Sequence[Any], *, is_generating: bool = False) -> Output:
        """What is told of an output. State stays here."""
        assert job.function is not None
        values = list(data)
        session = self._sessions.get(job.session_hash)
        for place, slot in enumerate(job.function.returns[: len(values)]):
            if slot.is_state:
                if session is not None:
                    session.states[slot.name] = values[place]
                values[place] = None
        duration = self._now - job.step_began
        job.step_began = self._now
        times = self._steps.setdefault(job.function.fn_index, Times())
        return self._messages.output(
            plain(values),
            is_generating=is_generating,
            duration=duration,
            average=times.add_step(duration),
        )

    def _diffs(self, job: Job, old: list[Any], new: list[Any]) -> list[list[Edit]]:
        assert job.function is not None
        kinds = [slot.component.kind for slot in job.function.returns]
        whole = does(self.app.version, Manner.JSON_IS_REPLACED)
        edits: list[list[Edit]] = []
        for before, after, kind in zip_longest(old[: len(new)], new, kinds[: len(new)]):
            if whole and kind == "json":
                edits.append([["replace", [], after]])
            else:
                edits.append(_diff(before, after, self.app.version_text))
        return edits

    def _stream(self, job: Job, function: Function, data: Sequence[Any]) -> None:
        """One piece of a streaming input is dealt with (gradio queueing.py: process_events)."""
        spent = self._now - job.step_began
        job.run_time += spent
        job.first_step = job.first_step if job.outputs else spent
        job.outputs += 1
        limit = function.time_limit
        over = job.input_ended or (limit is not None and job.run_time >= limit)
        job.last = self._output(job, data, is_generating=not over)
        if over:
            return self._input_over(job)
        left = None if limit is None else limit - job.first_step
        self._say(job, self._messages.streaming(job.event_id, job.last, left))
        job.awaits_chunk = True
        within = (CHUNK_WITHIN if limit is None else limit) - job.first_step
        self._deadlines.set(job.event_id, self._now + within, partial(self._input_over, job))
        return self._next_chunk(job)

    def _next_chunk(self, job: Job) -> None:
        if not job.awaits_chunk or job.next_chunk is None:
            return
        self._deadlines.stop(job.event_id)
        job.awaits_chunk = False
        job.step_began = self._now
        self._events.append(ChunkReceived(job=job.id, data=job.next_chunk))
        job.next_chunk = None

    def _end_input(self, job: Job) -> None:
        job.input_ended = True
        if job.awaits_chunk:
            self._input_over(job)

    def _input_over(self, job: Job) -> None:
        assert job.last is not None
        self._events.append(InputEnded(job=job.id))
        self._complete(job, job.last)

    def _complete(self, job: Job, output: Output) -> None:
        self._say(job, self._messages.completed(job.event_id, output))
        if job.line is not None:
            job.line.finished(self._now - job.began)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        """The job's last message has been said."""
        self._over(job)
        on_socket = self._traits.channel is Channel.WEBSOCKET
        if not (on_socket and does(self.app.version, Manner.LEAVES_SOCKET_OPEN)):
            self._end_channel(job)

    def _kill(self, job: Job) -> None:
        """The job dies without a last message."""
        if job.stage in (Stage.READY, Stage.RUNNING):
            self._events.append(JobCancelled(job=job.id))
        self._over(job)

    def _over(self, job: Job) -> None:
        job.stage = Stage.OVER
        self._deadlines.stop(job.event_id)
        self._jobs.pop(job.id, None)
        self._by_event.pop(job.event_id, None)
        session = self._sessions.get(job.session_hash)
        if session is not None:
            session.jobs.pop(job.id, None)
        if job.line is not None:
            job.line.leave(job)
            self._advance(job.line)

    def _fall_silent(self, job: Job) -> None:
        """End a WebSocket as a server does whose task fails: no close frame."""
        self._over(job)
        self._end_channel(job, clean=False)

    def _turn_away(self, job: Job) -> None:
        self._say(job, self._messages.queue_full())
        self._over(job)
        self._end_channel(job)

    # Sessions and streams

    def _say(self, job: Job, message: Message) -> None:
        """Send a job's message where the job's messages go."""
        if job.exchange is not None:
            self._put(Send(job.exchange, message))
        elif (session := self._sessions.get(job.session_hash)) is not None:
            self._queue(session, message)

    def _say_of(self, job: int, make: Callable[[str], Message]) -> None:
        found = self._live(job)
        if found is not None and found.origin is Origin.QUEUE:
            self._say(found, make(found.event_id))

    def _queue(self, session: Session, message: Message) -> None:
        if session.messages is None:
            return
        session.messages.append(message)
        self._deliver(session)
        if len(session.messages) > self._limits.messages:
            self._sessions.drop(session)

    def _deliver(self, session: Session) -> None:
        for exchange, message in session.deliver():
            if message is not None:
                self._put(Send(exchange, message))
                continue
            if self._traits.close_stream:
                self._put(Send(exchange, self._messages.close_stream()))
            self._end(exchange)

    def _reader_gone(self, session: Session, exchange: int) -> None:
        """Gradio cleans up as if the client had left for good (queueing.py: clean_events)."""
        session.streams.remove(exchange)
        session.messages = None
        for job in list(session.jobs.values()):
            if job.exchange is None:
                waiting = job.stage is Stage.WAITING
                self._kill(job)
                if waiting and does(self.app.version, Manner.CLEARS_DROPPED):
                    session.pending.discard(job.event_id)

    def _forget(self, session: Session) -> None:
        for exchange in list(session.streams):
            self._put(Send(exchange, self._messages.session_not_found()))
            self._end(exchange, clean=False)
        session.streams.clear()
        session.messages = None
        for job in list(session.jobs.values()):
            self._kill(job)
            self._end_channel(job, clean=False)

    def _heartbeat_later(self, exchange: int) -> None:
        self._deadlines.set(
            exchange, self._now + HEARTBEAT_EVERY, partial(self._heartbeat, exchange)
        )

    def _heartbeat(self, exchange: int) -> None:
        self._put(Send(exchange, self._messages.heartbeat()))
        # A job's own stream gets a single one: gradio@4.0.2 compares two different clocks.
        if isinstance(self._exchanges.get(exchange), _Reader):
            self._heartbeat_later(exchange)

    def _beat(self, exchange: int) -> None:
        self._put(SendAlive(exchange))
        self._deadlines.set(exchange, self._now + HEARTBEAT_EVERY, partial(self._beat, exchange))

    # The small things

    def _call_cancels(self, exchange: int, function: Function, submission: Submission) -> None:
        """A call of a function that cancels others."""
        if not does(self.app.version, Manner.BACKEND_CANCELS):
            return self._put(Answer(exchange, 500, self._messages.error_output(None)))
        session = self._sessions.get(submission.session_hash)
        for job in list(session.jobs.values()) if session else ():
            if job.function is not None and job.function.fn_index in function.cancels:
                self._kill(job)
                if self._traits.channel is Channel.WEBSOCKET:
                    self._end_channel(job)
        output = self._messages.output([], is_generating=False, duration=0.0, average=0.0)
        return self._put(Answer(exchange, 200, output))

    def _function(self, fn_index: int | None) -> Function | None:
        functions = self.app.functions
        return functions[fn_index] if fn_index in range(len(functions)) else None

    def _full(self) -> str | None:
        """Why no job can wait any more, None if one can."""
        size = sum(len(line.waiting) for line in self._lines.values())
        limit = self.app.max_size
        if limit is not None and size >= limit:
            return f"Queue is full. Max size is {limit} and size is {size}."
        if len(self._jobs) > self._limits.jobs:
            return f"Queue is full. Max size is {self._limits.jobs} and size is {size}."
        return None

    def _live(self, job: int) -> Job | None:
        if not 0 <= job < self._job_count:
            raise LocalProtocolError(f"There has never been a job {job}.")
        return self._jobs.get(job)

    def _answer(self, job: Job, status: int, body: Any) -> None:
        assert job.exchange is not None
        self._put(Answer(job.exchange, status, body))
        self._exchanges.pop(job.exchange, None)
        self._over(job)

    def _refuse(self, exchange: int, status: int, detail: Any) -> None:
        self._put(Answer(exchange, status, {"detail": detail}))

    def _break(self, exchange: int) -> None:
        """What a server says whose code raised."""
        self._put(AnswerText(exchange, 500, "Internal Server Error"))

    def _end_channel(self, job: Job, *, clean: bool = True) -> None:
        if job.exchange is not None and job.exchange in self._exchanges:
            self._end(job.exchange, clean=clean)

    def _end(self, exchange: int, *, clean: bool = True) -> None:
        self._exchanges.pop(exchange, None)
        self._deadlines.stop(exchange)
        self._put(End(exchange, clean))

    def _put(self, command: Command) -> None:
        self._commands.append(command)


def _diff(old: Any, new: Any, version: str) -> list[Edit]:
    try:
        return compute_diff(old, new, like=version)
    except LocalProtocolError:
        # No such server sends diffs, or this one would fail on these values.
        return compute_diff(old, new)
