"""One session with an app, at the altitude of HTTP messages.

For those who bring their own HTTP and WebSocket library. The conversation says which requests to
make (``next_command``) and what the answers mean (``next_event``); it is told what happened to each
by the number in the command: ``response``, ``data``, ``text``, ``ended``, ``failed``. The library
must not follow redirects, decode bodies or keep cookies: that is done here.

Time is told with ``now`` (monotonic seconds) to any of the verbs below, at least to
``handle_timer``, which is due whenever ``next_deadline`` has passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from sansio_gradio.client.commands import ConversationCommand, Headers
from sansio_gradio.client.context import Context
from sansio_gradio.client.discovery import Discovery
from sansio_gradio.client.exchanges import Exchanges
from sansio_gradio.client.headers import Fields, checked_headers, overlaid, pairs
from sansio_gradio.client.job import Job, Want
from sansio_gradio.client.job_channel import JobChannel
from sansio_gradio.client.plain_call import PlainCall
from sansio_gradio.client.session_stream import SessionStream
from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import DeadlineExceeded, GradioError, LocalProtocolError
from sansio_gradio.events import (
    Connected,
    ConnectingFailed,
    Event,
    JobCancelled,
    JobFailed,
    SessionClosed,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.protocols import PROTOCOLS, Channel, detect, traits_of
from sansio_gradio.wire.url import api_base, app_base

_SESSION_BYTES: Final = 8
_OWN_HEADERS: Final[Headers] = (
    ("user-agent", "sansio-gradio"),
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
)


@attrs.define(eq=False)
class _Request:
    """What a job waits to be asked with, until the app is known."""

    job: Job
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    api_name: str | None
    fn_index: int | None


class Conversation:
    """The client's side of one session.

    ``entropy(n)`` returns n random bytes. ``app``: what is known of the app already, so that
    nothing is asked. ``protocol``: speak this one, whatever the app announces. ``auth``: (user, password)
    for an app with a login. ``headers`` and ``cookies`` go to the app's origin and nowhere else.

    Raises:
        LocalProtocolError: *src* is not an address, or a header cannot be sent.
        ValueError: there is no such protocol.
    """

    def __init__(
        self,
        src: str,
        *,
        entropy: Callable[[int], bytes],
        app: AppInfo | None = None,
        session_hash: str | None = None,
        headers: Fields = (),
        cookies: Fields = (),
        auth: tuple[str, str] | None = None,
        protocol: str | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        wall_offset: float = 0.0,
        strict: bool = False,
        json_loads: Callable[[str | bytes], Any] | None = None,
        id: int = 0,
    ) -> None:
        if protocol is not None:
            traits_of(protocol)
        self.id = id
        self.app: AppInfo | None = None
        self.protocol: str | None = None
        self._forced = protocol
        self._page = app_base(src)
        self._entropy = entropy
        self._session_hash = session_hash or self._new_hash()
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._wall_offset = wall_offset
        self._strict = strict
        self._json_loads = json_loads
        self._events: deque[Event | Callable[[], Event | None]] = deque()
        self._timers = Timers()
        self._exchanges = Exchanges(
            headers=overlaid(_OWN_HEADERS, checked_headers(headers)),
            timers=self._timers,
            limits=self._limits,
            timeouts=self._timeouts,
            wall_offset=wall_offset,
        )
        for name, value in pairs(cookies):
            self._exchanges.cookies.set(self._page, name, value)
        self._jobs: dict[int, Job] = {}
        self._waiting: dict[int, _Request] = {}
        self._last_job = 0
        self._context: Context | None = None
        self._main: SessionStream | None = None
        self._closing = False
        self._closed = False
        self._discovery = Discovery(
            self._page,
            self._exchanges,
            auth=auth,
            limits=self._limits,
            json_loads=json_loads,
            on_app=self._connected,
            on_error=self._not_connected,
        )
        if app is None:
            self._discovery.start()
        else:
            self._discovery.know(app)
            self._connected(app)
        self._timers.ask_for_time()

    # What the surroundings ask and tell.

    def next_command(self) -> ConversationCommand | None:
        """What to do next; None: nothing for now."""
        commands = self._exchanges.commands
        return commands.popleft() if commands else None

    def next_event(self) -> Event | None:
        """What the application should know next; None: nothing for now."""
        while self._events:
            item = self._events.popleft()
            event = item() if callable(item) else item
            if event is not None:
                return event
        return None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is due, in monotonic seconds; it may have passed already."""
        return self._timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """The time is *now*."""
        self._timers.tell(now)
        self._timers.fire()

    def response(
        self, id: int, status: int, headers: Iterable[tuple[str, str]], now: float | None = None
    ) -> None:
        """The head of an answer; 101 means that a WebSocket is open."""
        self._timers.tell(now)
        self._exchanges.response(id, status, tuple(headers))

    def data(self, id: int, chunk: bytes, now: float | None = None) -> None:
        """A piece of an answer's body."""
        self._timers.tell(now)
        self._exchanges.data(id, chunk)

    def text(self, id: int, text: str, now: float | None = None) -> None:
        """A text message on a WebSocket."""
        self._timers.tell(now)
        self._exchanges.text(id, text)

    def ended(self, id: int, now: float | None = None) -> None:
        """The answer is complete; a WebSocket was closed with 1000."""
        self._timers.tell(now)
        self._exchanges.ended(id)

    def failed(self, id: int, error: BaseException, now: float | None = None) -> None:
        """The exchange broke off, or never came about."""
        self._timers.tell(now)
        self._exchanges.failed(id, error)

    # What the application asks.

    @property
    def session_hash(self) -> str:
        """The name that the server knows this session by."""
        return self._session_hash

    @property
    def url(self) -> str:
        """The address of the app's page."""
        return str(self._page)

    def submit(
        self,
        *args: Any,
        api_name: str | None = None,
        fn_index: int | None = None,
        headers: Fields | None = None,
        timeout: float | None = None,
        isolated: bool = False,
        event_data: Any = None,
        trigger_id: int | None = None,
        want: Want = Want.ALL,
        **kwargs: Any,
    ) -> int:
        """Call an endpoint; returns the job's number, which its events carry.

        ``timeout`` (seconds) is the job's own deadline. ``isolated`` gives it a session of its own:
        no State shared, and a cancel that is exact. Arguments that do not fit end the job in a
        ``LocalProtocolError``, since they may only be known to when the app is.

        Raises:
            LocalProtocolError: the conversation is closed, or a header cannot be sent.
        """
        if self._closing:
            raise LocalProtocolError("this session is closed")
        self._last_job += 1
        job = Job(
            self._last_job,
            want=want,
            headers=checked_headers(headers or ()),
            event_data=event_data,
            trigger_id=trigger_id,
            isolated=isolated,
        )
        self._jobs[job.id] = job
        seconds = self._timeouts.job if timeout is None else timeout
        self._timers.start(("job", job.id), seconds, lambda: self._expire(job))
        self._waiting[job.id] = _Request(job, args, kwargs, api_name, fn_index)
        self._timers.ask_for_time()
        self._start_waiting()
        return job.id

    def cancel(self, job: int) -> bool:
        """Give a job up and have the server stop it; False: it is over already.

        It ends in ``JobCancelled``, at the latest after ``Timeouts.close``.
        """
        found = self._jobs.get(job)
        if found is None:
            return False
        self._timers.ask_for_time()
        if self._waiting.pop(job, None) is not None:
            self._emit(JobCancelled(session=self.id, job=job, stopped_on_server=False))
            self._over(found)
            return True
        return found.cancel()

    def send(self, job: int, *chunk: Any, latest: bool = False) -> None:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: pieces that wait already are dropped for this one.

        Raises:
            LocalProtocolError: the job is over, or its input was ended.
        """
        self._running(job).send(list(chunk), latest=latest)
        self._timers.ask_for_time()

    def end_input(self, job: int) -> None:
        """End a streaming input: the job completes after the pieces that wait."""
        self._running(job).send(None)
        self._timers.ask_for_time()

    def endpoint_of(self, job: int) -> Endpoint | None:
        """The endpoint that a job under way calls; None as long as the app is not known."""
        found = self._jobs.get(job)
        return found.endpoint if found is not None and job not in self._waiting else None

    def request_info(self) -> None:
        """Ask for ``/info``: ``Connected`` comes again, or ``ConnectingFailed``."""
        self._discovery.request_info()
        self._timers.ask_for_time()

    def reset(self) -> None:
        """Go on in a new session; jobs under way in the old one are cancelled."""
        for job in list(self._jobs.values()):
            if job.id not in self._waiting:
                job.cancel()
        self._renew()
        self._timers.ask_for_time()

    def close(self) -> None:
        """Cancel all jobs and leave; ``SessionClosed`` is the last event."""
        if self._closing:
            return
        self._closing = True
        for job in list(self._jobs):
            self.cancel(job)
        self._timers.start("close", self._timeouts.close, self._force_close)
        self._timers.ask_for_time()
        self._finish_closing()

    # Discovery.

    def _connected(self, app: AppInfo) -> None:
        self.app = app
        self.protocol = self._forced or detect(app.protocol_name, app.version)
        context = self._context
        if context is None:
            self._context = context = self._begin(app)
        context.app = app
        self._emit(Connected(session=self.id, app=app))
        self._start_waiting()

    def _begin(self, app: AppInfo) -> Context:
        assert self.protocol is not None
        context = Context(
            session=self.id,
            exchanges=self._exchanges,
            timers=self._timers,
            limits=self._limits,
            timeouts=self._timeouts,
            emit=self._emit,
            wall_offset=self._wall_offset,
            strict=self._strict,
            json_loads=self._json_loads,
            base=api_base(self._discovery.page, app.api_prefix),
            app=app,
            traits=traits_of(self.protocol),
        )
        if app.protocol_name is not None and app.protocol_name not in PROTOCOLS:
            context.anomaly(f"an unknown protocol, spoken to as the newest: {app.protocol_name!r}")
        return context

    def _not_connected(self, error: GradioError) -> None:
        self._emit(ConnectingFailed(session=self.id, error=error))
        for request in list(self._waiting.values()):
            self._fail_unstarted(request, error)

    def _start_waiting(self) -> None:
        """Start the jobs of which everything is known by now."""
        for request in list(self._waiting.values()):
            if self.app is None:
                self._discovery.start()
                return
            try:
                endpoint = self.app.endpoint(request.api_name, request.fn_index)
                if not self.app.has_info and endpoint.needs_info(request.args, request.kwargs):
                    self._discovery.request_info()
                    continue
                data = endpoint.bind(request.args, request.kwargs)
            except LocalProtocolError as error:
                self._fail_unstarted(request, error)
                continue
            del self._waiting[request.job.id]
            self._start(request.job, endpoint, data)

    def _fail_unstarted(self, request: _Request, error: GradioError) -> None:
        job = request.job
        del self._waiting[job.id]
        own = error.for_job(job.id).located(phase="submit", url=self._page.public)
        self._emit(JobFailed(session=self.id, job=job.id, error=own))
        self._over(job)

    # Jobs.

    def _start(self, job: Job, endpoint: Endpoint, data: list[Any]) -> None:
        context = self._context
        assert context is not None
        job.begin(context, endpoint, data, self._over)
        if not endpoint.queue:
            job.session_hash = self._session_hash
            call = PlainCall(context, job)
            job.carried_by(call)
            call.start()
        elif context.traits.channel is Channel.SESSION_STREAM:
            stream = self._stream_for(job)
            job.carried_by(stream)
            stream.start(job)
            if job.isolated:
                stream.retire()
        else:
            job.session_hash = (
                self._new_hash() if self._wants_own_session(job) else self._session_hash
            )
            channel = JobChannel(context, job)
            job.carried_by(channel)
            channel.start()

    def _stream_for(self, job: Job) -> SessionStream:
        assert self._context is not None
        if job.isolated:
            return SessionStream(self._context, self._new_hash(), self._lost)
        if self._main is None:
            self._main = SessionStream(self._context, self._session_hash, self._lost)
        return self._main

    def _wants_own_session(self, job: Job) -> bool:
        """Whether *job* must not share a session: its generator would be mixed up with another's.

        Servers before 4.0 keep one iterator for each function and session
        (gradio@3.50.2 queueing.py: call_prediction).
        """
        return job.isolated or (
            job.endpoint.is_generator
            and any(
                other is not job
                and other.id not in self._waiting
                and other.endpoint.fn_index == job.endpoint.fn_index
                for other in self._jobs.values()
            )
        )

    def _running(self, job: int) -> Job:
        found = self._jobs.get(job)
        if found is None:
            raise LocalProtocolError(f"job {job} is over, or was never there")
        return found

    def _expire(self, job: Job) -> None:
        request = self._waiting.get(job.id)
        if request is not None:
            self._fail_unstarted(request, DeadlineExceeded(phase="job"))
        else:
            job.expire()

    def _over(self, job: Job) -> None:
        self._timers.stop(("job", job.id))
        del self._jobs[job.id]
        self._finish_closing()

    # Sessions.

    def _lost(self, stream: SessionStream) -> None:
        """A stream had to be cut: its session_hash is not used again."""
        if stream is self._main:
            self._renew()
            if self._context is not None:
                self._context.session_lost()

    def _renew(self) -> None:
        old, self._main = self._main, None
        self._session_hash = self._new_hash()
        if old is not None:
            old.retire()

    def _new_hash(self) -> str:
        return self._entropy(_SESSION_BYTES).hex()

    # Closing.

    def _finish_closing(self) -> None:
        if self._closing and not self._jobs and not self._closed:
            self._closed = True
            self._timers.stop("close")
            self._exchanges.abort_all()
            self._emit(SessionClosed(session=self.id))

    def _force_close(self) -> None:
        for job in list(self._jobs.values()):
            job.leave()

    def _emit(self, event: Event | Callable[[], Event | None]) -> None:
        self._events.append(event)
