"""A Gradio server at the altitude of its messages: no bytes, no clock.

Told what clients ask (``join``, ``open_stream``, ``receive_text``), it gives commands for those
who carry messages (``next_command``) and events for those who run the functions (``next_event``).
What the application answers is in ``Runs``: ``start``, ``progress``, ``log``, ``generate``,
``complete``, ``fail``, or ``send`` with a message of its own making.

Rule: how a protocol goes is asked of its row, what a release does of its manners; no name of a
protocol is compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.documents import Documents
from sansio_gradio.server.events import Answer, AnswerText, Command, Event, Send
from sansio_gradio.server.jobs import Job, Origin, Stage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.queue import Queue, Submission
from sansio_gradio.server.run import Headers
from sansio_gradio.server.runs import Runs
from sansio_gradio.server.sessions import Session
from sansio_gradio.server.versions import Manner, does

HASH_WITHIN: Final = 5.0  # seconds (gradio@3.50.2 routes.py: join_queue)


class Conversation(Runs):
    """A Gradio server without its HTTP.

    ``entropy(n)`` gives n random bytes. ``exchange`` is the caller's number for one request of a
    client, never used twice.
    """

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        limits: ServerLimits | None = None,
    ) -> None:
        messages = Messages(app.version, app.traits, show_error=app.show_error)
        deadlines = Deadlines()
        queue = Queue(app, messages, deadlines, entropy=entropy, limits=limits or ServerLimits())
        super().__init__(app, messages, deadlines, queue)
        self._sessions = queue.sessions
        self.documents = Documents(app, app_id=int.from_bytes(entropy(8)))

    def next_command(self) -> Command | None:
        """What the transport is to do next, None for now."""
        commands = self._channels.commands
        return commands.popleft() if commands else None

    def next_event(self) -> Event | None:
        """What the application is told next, None for now."""
        events = self._queue.events
        return events.popleft() if events else None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next of use, in monotonic seconds."""
        return self._deadlines.next_deadline()

    def handle_timer(self, now: float) -> None:
        self._deadlines.now = now
        self._deadlines.fire()

    # The queue

    def join(self, exchange: int, submission: Submission, headers: Headers, now: float) -> None:
        """POST ``/queue/join``: a job for the session's stream."""
        self._deadlines.now = now
        refusal = self._why_not(submission)
        function = self._queue.function(submission.fn_index)
        if refusal is not None:
            self._channels.put(Answer(exchange, refusal[0], {"detail": refusal[1]}))
        elif function is None:
            self._break(exchange)
        else:
            job = self._queue.new_job(Origin.QUEUE, headers)
            if self.app.traits.handover is Handover.ASKED:
                submission = attrs.evolve(submission, data=None)
            self._queue.describe(job, function, submission)
            assert job.session is not None
            if job.session.messages is None:
                job.session.messages = deque()
            job.session.pending.add(job.event_id)
            self._channels.put(Answer(exchange, 200, {"event_id": job.event_id}))
            self._queue.enter(job)

    def open_stream(self, exchange: int, session_hash: str, now: float) -> None:
        """GET ``/queue/data``: the event stream of a session."""
        self._deadlines.now = now
        self._channels.open_stream(exchange, self._sessions.get(session_hash))

    def open_job_stream(
        self, exchange: int, submission: Submission, headers: Headers, now: float
    ) -> None:
        """GET ``/queue/join``: the event stream of a job of its own (4.0 to 4.8)."""
        self._deadlines.now = now
        function = self._queue.function(submission.fn_index)
        if function is None:
            self._break(exchange)
            return
        full = self._queue.why_full()
        job = self._queue.new_job(Origin.QUEUE, headers, exchange)
        self._queue.describe(job, function, submission)
        self._channels.open_job_stream(exchange)
        self._enter_unless(full, job)

    def hand_over(self, exchange: int, submission: Submission, now: float) -> None:
        """POST ``/queue/data``: the data that a job was asked for."""
        self._deadlines.now = now
        job = self._queue.named(submission.event_id)
        if job is None or job.stage is not Stage.ASKED or job.function is None:
            self._break(exchange)
            return
        self._channels.put(Answer(exchange, 200, None))
        self._queue.describe(job, job.function, submission)
        self._queue.ready(job)

    def open_socket(self, exchange: int, headers: Headers, now: float) -> None:
        """A WebSocket was opened: it is one job."""
        self._deadlines.now = now
        full = self._queue.why_full()
        job = self._queue.new_job(Origin.QUEUE, headers, exchange)
        job.stage = Stage.GREETING
        asks = has(self.app.version, Feature.SEND_HASH)
        if asks:
            self._channels.say(job, self._messages.send_hash())
        if asks or does(self.app.version, Manner.CLIENT_SPEAKS_FIRST):
            self._deadlines.start(job.event_id, HASH_WITHIN, partial(self._fall_silent, job))
        else:
            self._enter_unless(full, job)

    def receive_text(self, exchange: int, submission: Submission | None, now: float) -> None:
        """What came on a WebSocket; None: something that no server can read."""
        self._deadlines.now = now
        job = self._channels.owner(exchange)
        if not isinstance(job, Job):
            return
        if job.stage is Stage.GREETING:
            self._greeted(job, submission)
        elif job.stage is Stage.ASKED:
            self._given(job, submission)

    def _greeted(self, job: Job, submission: Submission | None) -> None:
        named = not does(self.app.version, Manner.CLIENT_SPEAKS_FIRST)
        if submission is None or (named and not self._is_described(job, submission)):
            self._fall_silent(job)
            return
        self._deadlines.stop(job.event_id)
        self._enter_unless(self._queue.why_full(asking=1), job)

    def _given(self, job: Job, submission: Submission | None) -> None:
        """The data has come. (The server finds out anew which function it is for.)"""
        if submission is None or not self._is_described(job, submission) or job.data is None:
            self._fall_silent(job)
        else:
            self._queue.ready(job)

    def _is_described(self, job: Job, submission: Submission) -> bool:
        function = self._queue.function(submission.fn_index)
        if function is None:
            return False
        self._queue.describe(job, function, submission)
        return True

    def _enter_unless(self, full: str | None, job: Job) -> None:
        """Put a job with a channel of its own in line, or turn it away."""
        if full is None:
            self._queue.enter(job)
            return
        self._channels.say(job, self._messages.queue_full())
        self._queue.remove(job)
        self._channels.end_of(job)

    def _fall_silent(self, job: Job) -> None:
        """End a WebSocket as a server does whose task fails: without a Close."""
        self._queue.remove(job)
        self._channels.end_of(job, clean=False)

    # Stopping

    def cancel(
        self, exchange: int, session_hash: str, fn_index: int, event_id: str, now: float
    ) -> None:
        """POST ``/cancel`` (4.31 and later).

        Servers cancel by function: other running jobs of it in that session die silently.
        """
        self._deadlines.now = now
        session = self._sessions.get(session_hash)
        for job in _jobs_of(session):
            of_function = job.function is not None and job.function.fn_index == fn_index
            is_running = job.stage in (Stage.READY, Stage.RUNNING)
            if job.event_id == event_id or (of_function and is_running):
                self._queue.kill(job)
        if session is not None and event_id in session.pending:
            self._channels.queue(session, self._messages.cancelled(event_id))
        self._channels.put(Answer(exchange, 200, {"success": True}))

    def reset(self, exchange: int, event_id: str | None, now: float) -> None:
        """POST ``/reset``: from 4.0 to 4.34 it stops a job, without a word."""
        self._deadlines.now = now
        stops = does(self.app.version, Manner.RESET_STOPS)
        job = self._queue.named(event_id)
        if stops and job is not None:
            self._queue.kill(job)
            self._channels.end_of(job)
        self._channels.put(Answer(exchange, 200, {"success": not stops or job is not None}))

    def closed(self, exchange: int, now: float) -> None:
        """The client of this exchange is gone."""
        self._deadlines.now = now
        owner = self._channels.leave(exchange)
        if isinstance(owner, Job):
            self._queue.kill(owner)
        elif isinstance(owner, Session):
            self._reader_gone(owner, exchange)
        elif owner is not None:
            for job in _jobs_of(self._sessions.get(owner.session_hash)):
                self._end_input(job)

    def _reader_gone(self, session: Session, exchange: int) -> None:
        """Clean up as if the client had left for good (gradio queueing.py: clean_events)."""
        session.streams.remove(exchange)
        session.messages = None
        for job in _jobs_of(session):
            if job.exchange is not None:
                continue
            if job.stage is Stage.WAITING and does(self.app.version, Manner.CLEARS_DROPPED):
                session.pending.discard(job.event_id)
            self._queue.kill(job)

    def stop(self, now: float) -> None:
        """The server goes down: every stream of a session is told, everything open ended."""
        self._deadlines.now = now
        for exchange, owner in self._channels.open():
            if isinstance(owner, Session):
                self._channels.put(Send(exchange, self._messages.server_stopped()))
            self.closed(exchange, now)
            self._channels.end(exchange, clean=False)

    # The rest

    def call(
        self,
        exchange: int,
        api_name: str,
        submission: Submission,
        headers: Headers,
        now: float,
    ) -> None:
        """POST ``/api/{api_name}`` or ``/run/{api_name}``: a run without the queue."""
        self._deadlines.now = now
        function = self._queue.function(submission.fn_index)
        if submission.fn_index is None:
            named = [known for known in self.app.functions if known.api_name == api_name]
            function = named[0] if named else None
        if function is None:
            self._break(exchange)
        elif function.queue and not self.app.api_open:
            detail = (
                "This API endpoint does not accept direct HTTP POST requests. "
                "Please join the queue to use this API."
            )
            self._channels.put(Answer(exchange, 404, {"detail": detail}))
        elif function.cancels:
            self._call_cancels(exchange, function, submission)
        else:
            job = self._queue.new_job(Origin.PLAIN_CALL, headers, exchange)
            self._queue.describe(job, function, submission)
            self._queue.ready(job)

    def _call_cancels(self, exchange: int, function: Function, submission: Submission) -> None:
        """A function that stops jobs of others; since 4.32 only browsers carry that out."""
        if not does(self.app.version, Manner.BACKEND_CANCELS):
            self._channels.put(Answer(exchange, 500, self._messages.error_output(None)))
            return
        for job in _jobs_of(self._sessions.get(submission.session_hash)):
            if job.function is not None and job.function.fn_index in function.cancels:
                self._queue.kill(job)
                if self.app.traits.channel is Channel.WEBSOCKET:
                    self._channels.end_of(job)
        output = self._messages.output([], is_generating=False, duration=0.0, average=0.0)
        self._channels.put(Answer(exchange, 200, output))

    def open_heartbeat(self, exchange: int, session_hash: str, now: float) -> None:
        """GET ``/heartbeat/{session_hash}`` (4.25 and later)."""
        self._deadlines.now = now
        self._channels.open_heartbeat(exchange, session_hash)

    def feed(self, exchange: int, event_id: str, submission: Submission, now: float) -> None:
        """POST ``/stream/{event_id}``: the next piece of a streaming input (5.0 and later)."""
        self._deadlines.now = now
        job = self._fed(exchange, event_id)
        if job is not None:
            job.next_chunk = submission.data
            self._next_chunk(job)

    def end_input(self, exchange: int, event_id: str, now: float) -> None:
        """POST ``/stream/{event_id}/close``."""
        self._deadlines.now = now
        job = self._fed(exchange, event_id)
        if job is not None:
            self._end_input(job)

    def _fed(self, exchange: int, event_id: str) -> Job | None:
        job = self._queue.named(event_id)
        answer = AnswerText(exchange, 404, "")
        self._channels.put(Answer(exchange, 200, {"msg": "success"}) if job else answer)
        return job

    def _why_not(self, submission: Submission) -> tuple[int, str] | None:
        """Why a server does not take a job, as status and detail."""
        if submission.session_hash is None:
            old = self.app.version < (4, 20)
            return 400, "No session hash provided." if old else "Session hash not found."
        if submission.fn_index is None:
            return 400, "No function index provided."
        full = self._queue.why_full()
        return None if full is None else (503, full)

    def _break(self, exchange: int) -> None:
        """What a server says whose code raised."""
        self._channels.put(AnswerText(exchange, 500, "Internal Server Error"))


def _jobs_of(session: Session | None) -> list[Job]:
    return [] if session is None else session.newest_jobs()
