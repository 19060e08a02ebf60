"""Requests of clients: the table of routes, and what the server does for each.

Rule: a protocol's traits say how it goes, and a release's manners what it does. No name of a
protocol is compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import unquote

import attrs

from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App
from sansio_gradio.server.call_streams import CallStreams
from sansio_gradio.server.calls import PlainCalls
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.documents import Document, Documents
from sansio_gradio.server.downloads import Downloads
from sansio_gradio.server.events import (
    CSS,
    HTML,
    JSON,
    TEXT,
    LoginRaised,
    SendFile,
    SendResponse,
)
from sansio_gradio.server.jobs import ServerJob, Stage
from sansio_gradio.server.logins import Logins
from sansio_gradio.server.media_streams import MediaStreams
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.page import STYLE, page
from sansio_gradio.server.polls import PolledJobs
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import (
    BROKEN,
    AppRaised,
    Refusal,
    Request,
    Submission,
    function_meant,
    read_submission,
)
from sansio_gradio.server.streaming_input import StreamingInputs
from sansio_gradio.server.upload_progress import UploadReports
from sansio_gradio.server.uploads import Uploads
from sansio_gradio.server.versions import Manner, covers
from sansio_gradio.server.websockets import WebSocketJobs

__all__ = ["Route", "Routes"]

CLOSED: Final = (
    "This API endpoint does not accept direct HTTP POST requests. "
    "Please join the queue to use this API."
)

Answer: TypeAlias = SendResponse | SendFile
Handler: TypeAlias = Callable[[Any, Request, tuple[str, ...]], Answer | None]
"""A method of ``Routes``. It is given the request and the parts of its path that stand for ``{}``.
None: the answer comes later, or a channel was opened."""


@attrs.frozen
class Route:
    """One row of the table. ``{}`` in the path is one segment, ``{*}`` at its end all that follows.

    ``releases``: those that have the route. ``prefixed``: it is below the app's ``api_prefix``.
    ``channel``: only protocols with this one have it. ``asked``: only protocols that ask for data.
    ``is_open``: it needs no login. ``in_pieces``: the body of a request is read as it comes.
    """

    method: str
    path: str
    handler: Handler
    releases: str = ""
    prefixed: bool = True
    channel: Channel | None = None
    asked: bool = False
    is_websocket: bool = False
    is_open: bool = False
    in_pieces: bool = False

    def match(self, app: App, path: str) -> tuple[str, ...] | None:
        """The parts of *path* that stand for ``{}``; None if the route is not meant."""
        prefix = app.api_prefix if self.prefixed else ""
        start, rest, _ = f"{prefix}{self.path}".partition("{*}")
        if rest:
            is_meant = covers(self.releases, app.version) and path.startswith(start)
            return (unquote(path.removeprefix(start)),) if is_meant else None
        own, theirs = start.split("/"), path.rstrip("/").split("/")
        pairs = list(zip(own, theirs, strict=False))
        if (
            not covers(self.releases, app.version)
            or self.channel not in (None, app.traits.channel)
            or (self.asked and app.traits.handover is not Handover.ASKED)
            or len(own) != len(theirs)
            or any(mine not in ("{}", given) for mine, given in pairs)
        ):
            return None
        return tuple(unquote(given) for mine, given in pairs if mine == "{}")


class Routes:
    """Does what a request asks for (gradio routes.py of each version)."""

    def __init__(
        self,
        app: App,
        *,
        queue: Queue,
        channels: Channels,
        messages: Messages,
        calls: PlainCalls,
        inputs: StreamingInputs,
        sockets: WebSocketJobs,
        polls: PolledJobs,
        logins: Logins,
        uploads: Uploads,
        progress: UploadReports,
        downloads: Downloads,
        streams: MediaStreams,
        app_id: int,
    ) -> None:
        self._app = app
        self._queue = queue
        self._sessions = queue.sessions
        self._channels = channels
        self._messages = messages
        self._calls = calls
        self._inputs = inputs
        self._sockets = sockets
        self._polls = polls
        self._logins = logins
        self._call_streams = CallStreams(app, queue, channels)
        self._uploads = uploads
        self._progress = progress
        self._downloads = downloads
        self._streams = streams
        self._documents = Documents(app, app_id=app_id)

    def reads_pieces(self, request: Request) -> bool:
        """Whether the body of a request is read as it comes, by the uploads."""
        try:
            return self._find(request)[0].in_pieces
        except Refusal:
            return False

    def answer(self, request: Request) -> Answer | None:
        """Answer a request. None: its answer comes later, or it has opened a channel."""
        try:
            route, parts = self._find(request)
            request = attrs.evolve(request, user=self._logins.user(request))
            if not route.is_open and (refusal := self._logins.why_not(request)):
                raise refusal
            return route.handler(self, request, parts)
        except Refusal as refusal:
            return SendResponse(request.exchange, *refusal.args)
        except AppRaised as raised:
            self._queue.tell(LoginRaised(error=raised.error))
            return SendResponse(request.exchange, *BROKEN)

    def _find(self, request: Request) -> tuple[Route, tuple[str, ...]]:
        others: list[str] = []
        for route in self._TABLE:
            parts = route.match(self._app, request.path)
            if parts is None or route.is_websocket is not request.is_websocket:
                continue
            if route.method == request.method:
                return route, parts
            others.append(route.method)
        if request.is_websocket:
            raise Refusal(403, "", "text/plain")
        if others:
            allowed = (("allow", ", ".join(others)),)
            raise Refusal(405, {"detail": "Method Not Allowed"}, JSON, allowed)
        raise Refusal(404, {"detail": "Not Found"})

    # Documents

    def _config(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, self._config_for(request))

    def _config_for(self, request: Request) -> Document:
        return self._documents.config(request.root, request.user)

    def _page(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """A page of our own, with the config where old clients look for it."""
        refusal = self._logins.why_not(request)
        if refusal and self._app.auth_dependency is not None:
            raise refusal
        shown = self._documents.login_page(request.root) if refusal else self._config_for(request)
        text = page(self._app, shown, wants_login=refusal is not None)
        return SendResponse(request.exchange, 200, text, HTML)

    def _info(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, self._documents.info())

    def _app_id(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, {"app_id": self._documents.app_id})

    def _openapi(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, self._documents.openapi())

    def _robots(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, "User-agent: *\nDisallow: ", TEXT)

    def _theme(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, STYLE, CSS)

    def _startup(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """Whether this request has made the app start: it has long begun."""
        return SendResponse(request.exchange, 200, False)

    # Logins

    def _login(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return self._logins.login(request)

    def _logout(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return self._logins.logout(request)

    def _token(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return self._logins.token(request)

    def _user(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, request.user)

    def _login_check(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return SendResponse(request.exchange, 200, None)

    # The queue

    def _join(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """A job for the session's stream."""
        asked = self._app.traits.handover is Handover.ASKED
        submission = self._submission(request, *([] if asked else ["data"]))
        if submission.session_hash is None:
            old = self._app.version < (4, 20)
            text = "No session hash provided." if old else "Session hash not found."
            raise Refusal(400, {"detail": text})
        if submission.fn_index is None:
            raise Refusal(400, {"detail": "No function index provided."})
        function = function_meant(self._app, submission)
        if asked:
            submission = attrs.evolve(submission, data=None)
        job = self._queue.join(request, function, submission)
        return SendResponse(request.exchange, 200, {"event_id": job.event_id})

    def _status(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """How long the queue is."""
        said: dict[str, Any] = {**self._messages.make(Msg.ESTIMATION, **self._queue.status())}
        if self._app.does(Manner.STATUS_IS_BARE):
            said = {key: value for key, value in said.items() if key not in ("msg", "event_id")}
        return SendResponse(request.exchange, 200, said)

    def _stream(self, request: Request, _: tuple[str, ...]) -> None:
        """The event stream of a session."""
        session = self._sessions.get(request.asked("session_hash"))
        self._channels.open_session_stream(request.exchange, session)

    def _job_stream(self, request: Request, _: tuple[str, ...]) -> None:
        """The event stream of one job (4.0 to 4.8)."""
        fn_index, session_hash = request.asked("fn_index"), request.asked("session_hash")
        data = request.query.get("data", ["null"])[-1]
        said = read_submission(f'{{"data":{data}}}', self._queue.limits)
        index = int(fn_index) if re.fullmatch("[0-9]{1,9}", fn_index) else None
        submission = attrs.evolve(said, fn_index=index, session_hash=session_hash)
        function = function_meant(self._app, submission)
        job = self._queue.new_job(request, request.exchange)
        self._queue.describe(job, function, submission)
        self._channels.open_stream(request.exchange, job)
        self._queue.admit(job)

    def _hand_over(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """The data that a job was asked for."""
        submission = self._submission(request, "data")
        job = self._queue.named(submission.event_id)
        if job is None or job.stage is not Stage.ASKED or job.function is None:
            raise Refusal(*BROKEN)
        self._queue.describe(job, job.function, submission)
        self._queue.ready(job)
        return SendResponse(request.exchange, 200, None)

    def _cancel(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """Servers cancel by function: its other running jobs in that session die silently."""
        fields = ("session_hash", "fn_index", "event_id")
        named = read_submission(request.body, self._queue.limits, *fields, fields=fields)
        unqueues = has(self._app.version, Feature.UNQUEUES)
        for job in self._sessions.jobs_of(named.session_hash):
            is_named = job.event_id == named.event_id
            of_function = job.function is not None and job.function.fn_index == named.fn_index
            # Otherwise one that waits starts nevertheless, after its end was told.
            if (is_named or of_function) if job.is_at_work else (is_named and unqueues):
                self._stop(job)
        session = self._sessions.get(named.session_hash)
        if session is not None and named.event_id in session.pending:
            # Servers from 4.31 on complete a job that was cancelled, with an empty output.
            message = self._messages.make(Msg.PROCESS_COMPLETED, event_id=named.event_id, output={})
            self._channels.tell_session(session, message)
        return SendResponse(request.exchange, 200, {"success": True})

    def _reset(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        """From 4.0 to 4.34 it stops a job that has yielded, without a word. In other releases it
        does nothing."""
        fields = ("event_id", "session_hash")
        named = read_submission(request.body, self._queue.limits, fields=fields)
        job = self._queue.named(named.event_id)
        does_something = self._app.does(Manner.RESET_STOPS)
        if does_something and job is not None and job.last is not None:
            self._stop(job)
            done = True
        else:
            done = not does_something
        if self._app.does(Manner.RESET_BY_SESSION):
            jobs = self._sessions.jobs_of(named.session_hash)
            done = any(job.function is not None and job.function.generator for job in jobs)
        return SendResponse(request.exchange, 200, {"success": done})

    def _heartbeat(self, request: Request, parts: tuple[str, ...]) -> None:
        self._channels.open_stream(request.exchange, parts[0])

    def _socket(self, request: Request, _: tuple[str, ...]) -> None:
        self._sockets.request(request)

    def _push(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return self._polls.push(request)

    def _poll(self, request: Request, _: tuple[str, ...]) -> SendResponse:
        return self._polls.poll(request)

    # The simple API

    def _post_call(self, request: Request, parts: tuple[str, ...]) -> SendResponse:
        return self._call_streams.post(request, *parts)

    def _post_named_call(self, request: Request, parts: tuple[str, ...]) -> SendResponse:
        return self._call_streams.post_named(request, *parts)

    def _call_stream(self, request: Request, parts: tuple[str, ...]) -> None:
        """The stream of a job. The name in the path is not looked at."""
        self._call_streams.get(request, parts[1])

    # Files

    def _upload(self, request: Request, _: tuple[str, ...]) -> SendResponse | None:
        if request.path.endswith("/"):
            there = f"{request.root}{request.path.rstrip('/')}"
            return SendResponse(request.exchange, 307, "", None, (("location", there),))
        self._uploads.begin(request)
        if not request.is_whole:
            return None
        refusal = self._uploads.data(request.exchange, request.body)
        return refusal or self._uploads.end(request.exchange)

    def _upload_progress(self, request: Request, _: tuple[str, ...]) -> None:
        self._progress.watch(request)

    def _file(self, request: Request, parts: tuple[str, ...]) -> Answer:
        return self._downloads.answer(request, parts[0])

    def _media(self, request: Request, parts: tuple[str, ...]) -> None:
        self._streams.listen(request, "/".join(parts))

    def _playlist(self, request: Request, parts: tuple[str, ...]) -> SendResponse:
        return self._streams.playlist(request, "/".join(parts))

    def _whole_media(self, request: Request, parts: tuple[str, ...]) -> SendFile:
        return self._streams.whole(request, "/".join(parts))

    def _segment(self, request: Request, parts: tuple[str, ...]) -> SendFile:
        return self._streams.segment(request, "/".join(parts[:-1]), parts[-1])

    # Plain calls and streaming input

    def _call(self, request: Request, parts: tuple[str, ...]) -> SendResponse | None:
        """A run without the queue."""
        submission = self._submission(request, "data")
        try:
            function = function_meant(self._app, submission, parts[0])
        except Refusal:
            if not self._app.does(Manner.NAMES_NO_ENDPOINT):
                raise
            text = f"This app has no endpoint /api/{parts[0]}/."
            raise Refusal(500, {"error": text}) from None
        if function.queue and not self._app.api_open:
            raise Refusal(404, {"detail": CLOSED})
        if function.cancels:
            return self._call_cancels(request, function.cancels, submission)
        self._calls.request(request, function, submission)
        return None

    def _call_cancels(
        self, request: Request, cancels: tuple[int, ...], said: Submission
    ) -> SendResponse:
        """Stop the jobs of these functions. Since 4.32 only browsers do so."""
        if not self._app.does(Manner.BACKEND_CANCELS):
            raise Refusal(500, self._messages.error_output(None))
        for job in self._sessions.jobs_of(said.session_hash):
            if job.function is not None and job.function.fn_index in cancels:
                self._queue.kill(job)
                if self._app.traits.channel is Channel.WEBSOCKET:
                    self._channels.end_of(job)
        output = self._messages.output(data=[], duration=0.0, average_duration=0.0)
        return SendResponse(request.exchange, 200, output)

    def _feed(self, request: Request, parts: tuple[str, ...]) -> SendResponse:
        """The next piece of a streaming input (5.0 and later)."""
        data = self._submission(request, "data").data
        self._inputs.receive(self._fed(parts), data)
        return SendResponse(request.exchange, 200, {"msg": "success"})

    def _end_input(self, request: Request, parts: tuple[str, ...]) -> SendResponse:
        self._inputs.end(self._fed(parts))
        return SendResponse(request.exchange, 200, {"msg": "success"})

    def _fed(self, parts: tuple[str, ...]) -> ServerJob:
        job = self._queue.named(parts[0])
        if job is None:
            raise Refusal(404, "", None)
        return job

    def _stop(self, job: ServerJob) -> None:
        self._queue.kill(job)
        self._channels.end_of(job)

    def _submission(self, request: Request, *required: str) -> Submission:
        return read_submission(request.body, self._queue.limits, *required)

    _TABLE: ClassVar = (
        Route("GET", "/config", _config, prefixed=False),
        Route("GET", "", _page, prefixed=False, is_open=True),
        Route("HEAD", "", _page, prefixed=False, is_open=True),
        Route("GET", "/info", _info, ">=3.26"),
        Route("GET", "/openapi.json", _openapi, ">=5.29"),
        Route("GET", "/app_id", _app_id, is_open=True),
        Route("GET", "/startup-events", _startup, is_open=True),
        Route("GET", "/robots.txt", _robots, prefixed=False, is_open=True),
        Route("GET", "/theme.css", _theme, ">=3.23", prefixed=False, is_open=True),
        Route("GET", "/theme.css", _theme, ">=5.0", is_open=True),
        Route("POST", "/login", _login, prefixed=False, is_open=True),
        Route("GET", "/logout", _logout, ">=4.20", prefixed=False, is_open=True),
        Route("GET", "/token", _token, is_open=True),
        Route("GET", "/user", _user, is_open=True),
        Route("GET", "/login_check", _login_check),
        Route("POST", "/queue/join", _join, channel=Channel.SESSION_STREAM),
        Route("GET", "/queue/data", _stream, channel=Channel.SESSION_STREAM),
        Route("GET", "/queue/join", _job_stream, channel=Channel.JOB_STREAM),
        Route("GET", "/queue/join", _socket, channel=Channel.WEBSOCKET, is_websocket=True),
        Route("POST", "/api/queue/push", _push, channel=Channel.POLL),
        Route("POST", "/api/queue/status", _poll, channel=Channel.POLL),
        Route("POST", "/queue/data", _hand_over, channel=Channel.JOB_STREAM, asked=True),
        Route("POST", "/queue/data", _hand_over, channel=Channel.SESSION_STREAM, asked=True),
        Route("GET", "/queue/status", _status, ">=3.1.5"),
        Route("POST", "/call/{}", _post_call, ">=4.20", channel=Channel.SESSION_STREAM),
        Route("POST", "/call/v2/{}", _post_named_call, ">=6.13", channel=Channel.SESSION_STREAM),
        Route("GET", "/call/{}/{}", _call_stream, ">=4.20", channel=Channel.SESSION_STREAM),
        Route("GET", "/call/v2/{}/{}", _call_stream, ">=6.13", channel=Channel.SESSION_STREAM),
        Route("POST", "/cancel", _cancel, ">=4.31", is_open=True),
        Route("POST", "/reset", _reset, ">=3.6", is_open=True),
        Route("GET", "/heartbeat/{}", _heartbeat, ">=4.25", is_open=True),
        Route("POST", "/cancel", _cancel, ">=4.31"),
        Route("POST", "/reset", _reset, ">=3.6"),
        Route("GET", "/heartbeat/{}", _heartbeat, ">=4.25"),
        Route("POST", "/upload", _upload, ">=3.19", in_pieces=True),
        Route("GET", "/upload_progress", _upload_progress, ">=4.2<6.22", is_open=True),
        Route("GET", "/upload_progress", _upload_progress, ">=6.22"),
        Route("GET", "/file={*}", _file, ">=3.2"),
        Route("HEAD", "/file={*}", _file, ">=3.20"),
        Route("GET", "/file/{*}", _file),
        Route("GET", "/stream/{}/{}/{}", _media, ">=3.33<5.0", is_open=True),
        Route("GET", "/stream/{}/{}/{}/playlist.m3u8", _playlist, ">=5.0", is_open=True),
        Route("GET", "/stream/{}/{}/{}/playlist-file", _whole_media, ">=5.0", is_open=True),
        Route("GET", "/stream/{}/{}/{}/{}", _segment, ">=5.0", is_open=True),
        Route("POST", "/api/{}", _call),
        Route("POST", "/run/{}", _call, ">=3.9"),
        Route("POST", "/stream/{}", _feed, ">=5.0", is_open=True),
        Route("POST", "/stream/{}/close", _end_input, ">=5.0", is_open=True),
    )
