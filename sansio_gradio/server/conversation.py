"""A Gradio server in HTTP messages: no bytes, no clock.

You bring an HTTP server. Tell the conversation what clients ask, carry out its commands, and run
the functions that its events ask for:

    conversation = ServerConversation(app, entropy=os.urandom)
    conversation.request(Request(1, "GET", "/config", headers, b""), now)
    while command := conversation.next_command():
        ...    # SendResponse, SendFile, OpenChannel, SendMessage, SendEvent, SendAlive, EndChannel
    while event := conversation.next_event():
        ...            # JobSubmitted, JobAbandoned, JobHeld, JobReleased, ...

Rule 1: a job may be over at any time, since its client may leave. Verbs for a job that is over do
nothing. A number that no job ever had is a ``LocalProtocolError``.

Rule 2: a value that JSON cannot express is a ``LocalProtocolError``. It leaves the job as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import AppError
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.bodies import Bodies
from sansio_gradio.server.calls import PlainCalls
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.contents import Storage
from sansio_gradio.server.cors import Cors
from sansio_gradio.server.downloads import Downloads
from sansio_gradio.server.events import (
    ChunkReceived,
    JobSubmitted,
    ServerCommand,
    ServerEvent,
    SessionEnded,
)
from sansio_gradio.server.file_values import FileValues
from sansio_gradio.server.files import FileStore
from sansio_gradio.server.jobs import ServerJob, ServerSession, Stage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.logins import Logins
from sansio_gradio.server.media_streams import MediaStreams
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.polls import PolledJobs
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Request
from sansio_gradio.server.results import RunResults, function_of
from sansio_gradio.server.routes import Answer, Routes
from sansio_gradio.server.streaming_input import StreamingInputs
from sansio_gradio.server.upload_progress import UploadReports, UploadWatcher
from sansio_gradio.server.uploads import Uploads
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner
from sansio_gradio.server.websockets import WebSocketJobs

__all__ = ["ServerConversation"]


_WITH_DATA: Final = (JobSubmitted, ChunkReceived)


class ServerConversation:
    """A Gradio server without its wire.

    ``entropy(n)`` gives n random bytes. ``now`` is monotonic seconds. ``exchange`` is your number
    for one request, or for the WebSocket that it became. It may be used again when that is over.
    """

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        limits: ServerLimits | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.app = app
        limits = limits or ServerLimits()
        # What is due: a job, a session, or the exchange of a stream (see there).
        deadlines = self._deadlines = Deadlines[Hashable]()
        messages = self._messages = Messages(app)
        channels = self._channels = Channels(app.traits, messages, deadlines, limits)
        queue = self._queue = Queue(app, channels, deadlines, limits, entropy)
        files = FileStore(app, limits, entropy, deadlines, storage)
        self._streams = MediaStreams(app, queue, channels, files, limits)
        self._values = FileValues(app, files, self._streams)
        results = self._results = RunResults(app, messages, deadlines, self._values)
        self._calls = PlainCalls(
            app,
            queue=queue,
            channels=channels,
            messages=messages,
            results=results,
            deadlines=deadlines,
        )
        self._inputs = StreamingInputs(queue, channels, results, deadlines)
        self._sockets = WebSocketJobs(app, queue, channels, deadlines)
        self._cors = Cors(app)
        self._progress = UploadReports(app, channels, deadlines, limits)
        self._uploads = Uploads(app, queue, files, self._progress, limits)
        self._bodies = Bodies(limits.request)
        self._routes = Routes(
            app,
            queue=queue,
            channels=channels,
            messages=messages,
            calls=self._calls,
            inputs=self._inputs,
            sockets=self._sockets,
            polls=PolledJobs(app, queue, channels, messages),
            logins=Logins(app, entropy=entropy, limits=limits),
            uploads=self._uploads,
            progress=self._progress,
            downloads=Downloads(app, files),
            streams=self._streams,
            app_id=int.from_bytes(entropy(8)),
        )

    # What is to be done

    def next_command(self) -> ServerCommand | None:
        """What to send next; None for now."""
        self._streams.settle()
        return self._channels.next_command()

    def next_event(self) -> ServerEvent | None:
        """What to run or stop next; None for now."""
        for touched in self._channels.take_touched():
            is_behind = self._channels.is_behind if touched.queued else self._calls.is_behind
            self._queue.hold_up(touched, is_behind(touched))
        while (event := self._queue.next_event()) is not None:
            job = self._queue.find(event.job) if isinstance(event, _WITH_DATA) else None
            if job is None or not isinstance(event, _WITH_DATA):
                break
            try:
                return attrs.evolve(event, data=self._taken(function_of(job), event.data))
            except ValueError as error:  # as if the function had raised it
                self.start(event.job, self._deadlines.now)
                self.fail(event.job, error, now=self._deadlines.now)
        return event

    def _taken(self, function: Function, data: list[Any]) -> list[Any]:
        """The arguments of a function, as it gets them.

        Raises:
            ValueError: this release refuses one of them.
        """
        if self.app.does(Manner.CHECKS_CHOICES):
            for slot, value in zip(function.parameters, data, strict=False):
                if (why := slot.component.why_not(value)) is not None:
                    raise AppError(why)
        return self._values.taken(function, data)

    def next_deadline(self) -> float | None:
        """When to call ``handle_timer``, in monotonic seconds; None: not needed."""
        return self._deadlines.due

    def handle_timer(self, now: float) -> None:
        """Time has passed. Call it when ``next_deadline`` is over."""
        self._deadlines.now = now
        while (due := self._deadlines.next_due()) is not None:
            if isinstance(due, ServerJob):
                self._job_is_due(due)
            elif isinstance(due, ServerSession):
                self._queue.forget(due)
            elif isinstance(due, UploadWatcher):
                self._progress.is_due(due)
            else:
                self._channels.beat(cast("int", due))

    def _job_is_due(self, job: ServerJob) -> None:
        if not job.queued:
            self._calls.is_late(job)
        elif job.stage is Stage.GREETING:
            self._sockets.break_off(job)
        elif job.stage is Stage.ASKED:
            self._queue.data_is_late(job)
        else:
            self._inputs.is_late(job)

    # What clients do

    def request(self, request: Request, now: float) -> None:
        """A client asks for something.

        A request that is not ``is_whole`` is followed by its body: ``data``, and then ``ended``. It
        may be answered before that.
        """
        self._deadlines.now = now
        answer: Answer | None = self._cors.preflight(request)
        if answer is None:
            self._channels.expect(request.exchange, self._cors.headers(request))
            if request.is_whole or self._routes.reads_pieces(request):
                answer = self._routes.answer(request)
            else:
                self._bodies.begin(request)
        self._answer(answer)

    def data(self, exchange: int, data: bytes, now: float) -> None:
        """Some of the body of a request has come."""
        self._deadlines.now = now
        self._answer(self._uploads.data(exchange, data) or self._bodies.add(exchange, data))

    def ended(self, exchange: int, now: float) -> None:
        """The body of a request is complete."""
        self._deadlines.now = now
        request = self._bodies.end(exchange)
        if request is None:
            self._answer(self._uploads.end(exchange))
        else:
            self._answer(self._routes.answer(request))

    def _answer(self, answer: Answer | None) -> None:
        if answer is not None:
            self._channels.answer(answer)

    def text(self, exchange: int, text: str, now: float) -> None:
        """A text has come on a WebSocket."""
        self._deadlines.now = now
        job = self._channels.owner(exchange)
        if isinstance(job, ServerJob):
            self._sockets.receive(job, text)

    def closed(self, exchange: int, now: float) -> None:
        """The client of this exchange has gone."""
        self._deadlines.now = now
        self._uploads.drop(exchange)
        self._bodies.drop(exchange)
        self._progress.leave(exchange)
        self._streams.leave(exchange)
        owner = self._channels.leave(exchange)
        if isinstance(owner, ServerJob):
            self._queue.kill(owner)
        elif isinstance(owner, ServerSession):
            self._reader_gone(owner, exchange)
            self._has_left(owner.session_hash)
        elif owner is not None:
            for job in self._queue.sessions.jobs_of(owner):
                self._inputs.end(job)
            self._has_left(owner)

    def set_behind(self, exchange: int, is_behind: bool) -> None:
        """Say that too much waits for the client of a channel, or no longer.

        Its jobs are held up meanwhile (``JobHeld``, ``JobReleased``).
        """
        self._channels.set_behind(exchange, is_behind)

    def _reader_gone(self, session: ServerSession, exchange: int) -> None:
        """Clean up as if the client had left for good (gradio queueing.py: clean_events)."""
        session.streams.remove(exchange)
        session.drop_messages()
        for job in session.newest_jobs():
            if job.exchange is None:
                if job.stage is Stage.WAITING and self.app.does(Manner.CLEARS_DROPPED):
                    session.pending.pop(job.event_id, None)
                self._queue.kill(job)

    def _has_left(self, session_hash: str) -> None:
        """Tell that a visitor has gone, unless another stream of that session is open."""
        session = self._queue.sessions.get(session_hash)
        is_reading = session is not None and bool(session.streams)
        if not is_reading and not self._channels.is_alive(session_hash):
            self._queue.tell(SessionEnded(session_hash=session_hash))

    def stop(self, now: float) -> None:
        """Go down: tell every stream of a session, and end everything that is open."""
        for exchange in self._channels.exchanges():
            if isinstance(self._channels.owner(exchange), ServerSession):
                text = "Server stopped unexpectedly."
                stopped = self._messages.make(Msg.UNEXPECTED_ERROR, message=text)
                self._channels.tell_channel(exchange, stopped)
            self.closed(exchange, now)
            self._channels.end(exchange, clean=False)
        self._progress.stop()

    # What the application says of its jobs

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        found = self._find(job, now)
        if found is None or found.stage is not Stage.READY:
            return
        found.stage = Stage.RUNNING
        found.began = found.step_began = now
        self._channels.touch(found)
        if found.queued:
            eta = self._queue.expected_seconds(found)
            self._channels.say(found, Msg.PROCESS_STARTS, eta=eta)

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        """How far the job is: ``index length unit progress desc`` of each nested loop, outermost
        first."""
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
        """Show the user a notice. ``duration``: seconds; None: until dismissed."""
        found = self._queued(job)
        if found is not None:
            title = level.capitalize() if title is None else title
            how = {"level": level, "title": title, "duration": duration, "visible": visible}
            self._channels.say(found, Msg.LOG, **plain({"log": text, **how}))

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """Send a message of your own, as it stands.

        ``event_id`` is added if the protocol has one. ``process_completed`` ends the job.
        """
        found = self._queued(job)
        if found is None:
            return
        made: dict[str, Any] = plain(message)
        if self._messages.names_jobs and "event_id" not in made:
            kind = {"msg": made.pop("msg")} if "msg" in made else {}
            made = {**kind, "event_id": found.event_id, **made}
        self._channels.tell(found, cast("Message", made))
        if made.get("msg") == Msg.PROCESS_COMPLETED:
            self._queue.finish(found)

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded: one item for each result, whole."""
        found = self._find(job, now)
        if found is None:
            return
        if found.queued and function_of(found).streaming:
            self._inputs.yielded(found, data)
            return
        before = found.last
        output = found.last = self._results.output(found, data, is_generating=True)
        if not found.queued:
            self._calls.yielded(found, output)
            return
        if before is not None and self.app.traits.diffs and not found.is_simple:
            output = self._results.changes(found, before, output)
        self._channels.say(found, Msg.PROCESS_GENERATING, output=output)

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked. *data* None: its result is what it yielded last."""
        found = self._find(job, now)
        if found is None:
            return
        output = found.last
        if data is not None or output is None or self.app.traits.diffs:
            last = output["data"] if output else self._results.empty(found)
            given = last if data is None else data
            output = self._results.output(found, given, is_generating=False)
        # Otherwise the last output is sent once more, as up to 4.16.
        if found.queued:
            self._queue.complete(found, output)
        else:
            self._calls.completed(found, output)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised. An ``AppError`` is shown to the client. Anything else is hidden,
        unless the app shows errors."""
        found = self._find(job, now)
        if found is None:
            return
        if not found.queued:
            self._calls.failed(found, error)
            return
        generating = found.last is not None
        message = self._messages.failed(found.event_id, error, generating=generating)
        self._channels.tell(found, message)
        self._queue.finish(found)

    def _find(self, job: int, now: float) -> ServerJob | None:
        """The job, if it is not over for the application."""
        self._deadlines.now = now
        found = self._queue.find(job)
        if found is not None and found.answers is not None and found.answers.is_complete:
            return None
        return found

    def _queued(self, job: int) -> ServerJob | None:
        """The job, if messages can be sent for it."""
        found = self._queue.find(job)
        return found if found is not None and found.queued else None
