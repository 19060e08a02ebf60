"""What clients ask, request by request (gradio routes.py of each version).

Rule: how a protocol goes is asked of its row, what a release does of its manners; no name of a
protocol is compared.
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial
from typing import Final

import attrs

from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import Function
from sansio_gradio.server.documents import Documents
from sansio_gradio.server.events import HTML, TEXT, Answer, Open
from sansio_gradio.server.jobs import Job, Stage
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Refusal, Request, Submission, read_submission
from sansio_gradio.server.runs import Runs
from sansio_gradio.server.versions import Manner
from sansio_gradio.wire import json

HASH_WITHIN: Final = 5.0  # seconds (gradio@3.50.2 routes.py: join_queue)
# What a server says whose code raised.
BROKEN: Final = (500, "Internal Server Error", TEXT)
CLOSED: Final = (
    "This API endpoint does not accept direct HTTP POST requests. "
    "Please join the queue to use this API."
)


class Clients(Runs):
    """The clients' side of a server: a method a route. What is not answered at once returns None.

    All of them raise ``Refusal`` where a server refuses.
    """

    def __init__(self, queue: Queue, documents: Documents) -> None:
        super().__init__(queue)
        self._sessions = queue.sessions
        self._documents = documents

    # Documents

    def config(self, request: Request) -> Answer:
        return Answer(request.exchange, 200, self._documents.config(request.root))

    def page(self, request: Request) -> Answer:
        """A page of our own, with the config where old clients look for it."""
        config = json.dumps(self._documents.config(request.root)).decode()
        config = config.replace("<", "\\u003c")  # no text of the app ends the script
        title = re.sub("[<>&]", "", self.app.title)
        text = (
            f"<!doctype html>\n<html><head><meta charset=utf-8><title>{title}</title>"
            f"<script>window.gradio_config = {config};</script></head>"
            f"<body><h1>{title}</h1><p>This app is spoken to by its API.</p></body></html>\n"
        )
        return Answer(request.exchange, 200, text, HTML)

    def info(self, request: Request) -> Answer:
        return Answer(request.exchange, 200, self._documents.info())

    def app_id(self, request: Request) -> Answer:
        return Answer(request.exchange, 200, {"app_id": self._documents.app_id})

    # The queue

    def join(self, request: Request) -> Answer:
        """A job for the session's stream."""
        asked = self.app.traits.handover is Handover.ASKED
        submission = self._submission(request, *([] if asked else ["data"]))
        if submission.session_hash is None:
            old = self.app.version < (4, 20)
            text = "No session hash provided." if old else "Session hash not found."
            raise Refusal(400, {"detail": text})
        if submission.fn_index is None:
            raise Refusal(400, {"detail": "No function index provided."})
        if full := self._queue.why_full():
            raise Refusal(503, {"detail": full})
        function = self._function(submission)
        job = self._queue.new_job(request.headers)
        session = self._sessions.use(submission.session_hash)
        if asked:
            submission = attrs.evolve(submission, data=None)
        self._queue.describe(job, function, submission)
        if session.messages is None:
            session.messages = deque()
        session.pending.add(job.event_id)
        self._queue.enter(job)
        return Answer(request.exchange, 200, {"event_id": job.event_id})

    def stream(self, request: Request) -> None:
        """The event stream of a session."""
        session = self._sessions.get(request.asked("session_hash"))
        self._channels.open_session_stream(request.exchange, session)

    def job_stream(self, request: Request) -> None:
        """The event stream of a job of its own (4.0 to 4.8)."""
        fn_index, session_hash = request.asked("fn_index"), request.asked("session_hash")
        data = request.query.get("data", ["null"])[-1]
        said = read_submission(f'{{"data":{data}}}', self._queue.limits)
        index = int(fn_index) if re.fullmatch("[0-9]{1,9}", fn_index) else None
        submission = attrs.evolve(said, fn_index=index, session_hash=session_hash)
        function = self._function(submission)
        job = self._queue.new_job(request.headers, request.exchange)
        self._queue.describe(job, function, submission)
        self._channels.open_stream(request.exchange, job)
        self._enter(job)

    def hand_over(self, request: Request) -> Answer:
        """The data that a job was asked for."""
        submission = self._submission(request, "data")
        job = self._queue.named(submission.event_id)
        if job is None or job.stage is not Stage.ASKED or job.function is None:
            raise Refusal(*BROKEN)
        self._queue.describe(job, job.function, submission)
        self._queue.ready(job)
        return Answer(request.exchange, 200, None)

    def cancel(self, request: Request) -> Answer:
        """Servers cancel by function: other running jobs of it in that session die silently."""
        fields = ("session_hash", "fn_index", "event_id")
        named = read_submission(request.body, self._queue.limits, *fields, fields=fields)
        for job in self._sessions.jobs_of(named.session_hash):
            of_function = job.function is not None and job.function.fn_index == named.fn_index
            if job.event_id == named.event_id or (of_function and job.is_at_work):
                self._queue.kill(job)
                self._channels.end_of(job)
        session = self._sessions.get(named.session_hash)
        if session is not None and named.event_id in session.pending:
            # How servers from 4.31 on end a job that was cancelled: completed, of nothing.
            message = self._queue.messages.make(
                Msg.PROCESS_COMPLETED, event_id=named.event_id, output={}
            )
            self._channels.tell_session(session, message)
        return Answer(request.exchange, 200, {"success": True})

    def reset(self, request: Request) -> Answer:
        """From 4.0 to 4.34 it stops a job, without a word."""
        stops = self.app.does(Manner.RESET_STOPS)
        named = read_submission(request.body, self._queue.limits, fields=["event_id"])
        job = self._queue.named(named.event_id)
        if stops and job is not None:
            self._queue.kill(job)
            self._channels.end_of(job)
        return Answer(request.exchange, 200, {"success": not stops or job is not None})

    def heartbeat(self, request: Request) -> None:
        self._channels.open_stream(request.exchange, request.parts[0])

    # WebSockets: each is one job

    def socket(self, request: Request) -> None:
        self._channels.put(Open(request.exchange))
        job = self._queue.new_job(request.headers, request.exchange)
        asks = has(self.app.version, Feature.SEND_HASH)
        if asks:
            self._channels.say(job, Msg.SEND_HASH)
        if asks or has(self.app.version, Feature.HELLO):
            self._deadlines.start(job.event_id, HASH_WITHIN, partial(self._fall_silent, job))
        else:
            self._enter(job)

    def _hear(self, job: Job, text: str) -> None:
        """A text has come for a job on a WebSocket; those that nobody waits for mean nothing."""
        greets = job.stage is Stage.GREETING
        if not greets and job.stage is not Stage.ASKED:
            return
        try:
            submission = read_submission(text, self._queue.limits)
            # With the data the server finds out anew which function it is for.
            if not greets or not has(self.app.version, Feature.HELLO):
                self._queue.describe(job, self._function(submission), submission)
            if greets:
                self._deadlines.stop(job.event_id)
                self._enter(job)
            elif job.submission is None:
                raise Refusal
            else:
                self._queue.ready(job)
        except Refusal:
            self._fall_silent(job)

    def _fall_silent(self, job: Job) -> None:
        """End a WebSocket as a server does whose task fails: without a Close."""
        self._queue.remove(job)
        self._channels.end_of(job, clean=False)

    # The rest

    def call(self, request: Request) -> Answer | None:
        """A run without the queue."""
        submission = self._submission(request, "data")
        function = self._function(submission, request.parts[0])
        if function.queue and not self.app.api_open:
            raise Refusal(404, {"detail": CLOSED})
        if function.cancels:
            return self._call_cancels(request, function, submission)
        for job in self._sessions.jobs_of(submission.session_hash):
            if job.function is function and not job.queued and job.exchange is None:
                job.exchange = request.exchange  # the next step of it (3.3 to 3.50)
                self._channels.owners[request.exchange] = job
                self._hand_out(job)
                return None
        job = self._queue.new_job(request.headers, request.exchange, queued=False)
        self._queue.describe(job, function, submission)
        self._queue.ready(job)
        return None

    def _call_cancels(self, request: Request, function: Function, said: Submission) -> Answer:
        """A function that stops jobs of others; since 4.32 only browsers carry that out."""
        if not self.app.does(Manner.BACKEND_CANCELS):
            raise Refusal(500, self._queue.messages.error_output(None))
        for job in self._sessions.jobs_of(said.session_hash):
            if job.function is not None and job.function.fn_index in function.cancels:
                self._queue.kill(job)
                if self.app.traits.channel is Channel.WEBSOCKET:
                    self._channels.end_of(job)
        output = self._queue.messages.output(data=[], duration=0.0, average_duration=0.0)
        return Answer(request.exchange, 200, output)

    def feed(self, request: Request) -> Answer:
        """The next piece of a streaming input (5.0 and later)."""
        submission, job = self._submission(request, "data"), self._fed(request)
        job.next_chunk = submission.data
        self._next_chunk(job)
        return Answer(request.exchange, 200, {"msg": "success"})

    def end_input(self, request: Request) -> Answer:
        self._end_input(self._fed(request))
        return Answer(request.exchange, 200, {"msg": "success"})

    def _fed(self, request: Request) -> Job:
        job = self._queue.named(request.parts[0])
        if job is None:
            raise Refusal(404, "", None)
        return job

    def _submission(self, request: Request, *required: str) -> Submission:
        return read_submission(request.body, self._queue.limits, *required)

    def _function(self, submission: Submission, api_name: str | None = None) -> Function:
        """The function that a client means: its index wins over its name."""
        index = submission.fn_index
        for function in self.app.functions:
            if function.fn_index == index or (index is None and function.api_name == api_name):
                return function
        raise Refusal(*BROKEN)

    def _enter(self, job: Job) -> None:
        """Put a job with a channel of its own in line, or turn it away."""
        if self._queue.why_full(asking=1) is None:
            self._queue.enter(job)
        else:
            self._channels.say(job, Msg.QUEUE_FULL)
            self._queue.remove(job)
            self._channels.end_of(job)
