"""One session with an app, at the altitude of HTTP messages.

Use it if you bring your own HTTP and WebSocket library. ``next_command`` gives the requests to
make, ``next_event`` what the answers mean. Tell what happened to each request, by the number in its
command: ``response``, ``data``, ``text``, ``ended``, ``failed``. Your library must not follow
redirects, decode bodies or keep cookies: the conversation does.

Tell the time with ``now`` (monotonic seconds) to any of these, at least to ``handle_timer``. Call
``handle_timer`` when ``next_deadline`` has passed.

How it works: each answer or piece of a stream goes to its part (a channel, the discovery, a
heartbeat), which returns a way of steps. ``_go``, and nothing else, carries them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypedDict

import attrs

from sansio_gradio.client import steps
from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.call import Call
from sansio_gradio.client.channels import PlainCall, SessionStream
from sansio_gradio.client.commands import (
    ConversationCommand,
    Expect,
    OpenWebSocket,
    SendRequest,
)
from sansio_gradio.client.credentials import Credential, Credentials, Recipient
from sansio_gradio.client.discovery import Discovery
from sansio_gradio.client.dispatch import Dispatch, needs_connection
from sansio_gradio.client.downloads import Download, PlaylistDownload, Source, WholeDownload
from sansio_gradio.client.exchange import (
    Answered,
    Came,
    Ended,
    Exchange,
    ExchangeFailed,
    Exchanges,
    Opened,
    Told,
)
from sansio_gradio.client.job import Job
from sansio_gradio.client.line import For, Line
from sansio_gradio.client.news import News, TextCame, TransferFailed
from sansio_gradio.client.options import Options
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.client.space import Space
from sansio_gradio.client.steps import JobChannel, Listener, Sleeper, TakesPieces, Watcher, Way
from sansio_gradio.client.streaming_input import Piece, no_pieces
from sansio_gradio.client.timers import Timers
from sansio_gradio.client.uploads import CallFiles
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    unforeseen,
)
from sansio_gradio.events import (
    Anomaly,
    Connected,
    ConnectingFailed,
    DownloadCompleted,
    DownloadFailed,
    Event,
    JobCancelled,
    OutputsGrew,
    SessionClosed,
    SessionLost,
    SpaceStatus,
    TokenRefused,
)
from sansio_gradio.given import flag, function, one_of, seconds, text
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.failures import Login
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import PROTOCOLS, Handover, Traits, detect, spoken
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.protocol.spaces import HUB, hub_base, space_name
from sansio_gradio.wire.headers import Fields
from sansio_gradio.wire.http import BodyReceived, MessageEnded, ResponseStarted
from sansio_gradio.wire.url import URL, Address, Origin, api_base

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
# The answers of an app to a request for another app: it has no such path, takes other methods or
# other fields there, or wants a login.
_OF_ANOTHER_APP: Final = frozenset({401, 404, 405, 422})
_DISCOVERY: Final = 0  # in place of the number of a job, which no job has
_TAKEN_BACK: Final = 2  # times, at most, so that nothing goes on for ever


class SessionOptions(TypedDict, total=False):
    """The options of a session; see ``Conversation``."""

    app: AppInfo | None
    session_hash: str | None
    headers: Fields
    cookies: Fields
    auth: tuple[str, str] | None
    token: str | None
    token_rotates: bool
    oauth_token: str | None
    hub: str
    protocol: str | None
    retry: Retry | None
    proxy: str | Proxies | None


# The names of timers, which say what is due.


@attrs.frozen
class _JobIsLate:
    """The job's own deadline has passed."""

    job: int


@attrs.frozen
class _DownloadIsLate:
    """The deadline of the job that a download belongs to has passed."""

    download: int


@attrs.frozen
class _StopIsLate:
    """The server has not said in time that a job has stopped."""

    job: int


@attrs.frozen
class _GoesOn:
    """A way that sleeps goes on."""

    job: int


@attrs.frozen
class _Rings:
    """The time of an ``Alarm`` has come."""

    sleeper: Sleeper = attrs.field(eq=id)
    name: Hashable


@attrs.frozen
class _TriesAgain:
    """A job is handed in again."""

    job: int


@attrs.frozen
class _NextInLine:
    """Jobs that waited for their turn may start."""


@attrs.frozen
class _CloseIsLate:
    """The session closes, even if jobs are under way."""


class Conversation(Session):
    """The client's side of one session with the app at *src*: a URL, or the name of a Hugging Face
    Space, ``owner/name`` or ``https://huggingface.co/spaces/owner/name``.

    ``entropy(n)`` returns n random bytes. ``app``: the app, if you know it already: then its config
    is not read before something suggests that the app was started anew. ``protocol``: speak this
    protocol, whatever the app announces. ``auth``: (user, password) for an app with a login.
    ``token``: a Hugging Face token, for a private Space. ``token_rotates``: you answer the event
    ``TokenRefused`` by ``set_token``. ``oauth_token``: a Hugging Face token that
    the app may use in your name; only endpoints whose ``/info`` asks for one get it. ``hub``: the
    address of the Hugging Face Hub, which is asked for a Space. Credentials, which ``headers`` and
    ``cookies`` are, too, go to the app's origin, the token also to the Hub, and nowhere else
    (``credentials.GOES_TO``). ``retry``: which failed jobs are handed in again; None: none.
    ``proxy``: ``http://user:password@host:port``, for every address; or ``Proxies``, such as those
    of the environment; None: none. ``wall_offset``: POSIX time minus monotonic time, in seconds
    (0.0 if ``now`` is POSIX time); None: not known. Then the time of a status is monotonic, and
    dates (of cookies, of Retry-After) are ignored. ``strict``: anomalies are errors.
    ``json_loads``: another JSON parser, as ``wire.json.Exact(orjson.loads)``.

    Raises:
        LocalProtocolError: *src* is not an address, a header cannot be sent, or an option has an
            invalid value.
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
        token: str | None = None,
        token_rotates: bool = False,
        oauth_token: str | None = None,
        hub: str = HUB,
        protocol: str | None = None,
        retry: Retry | None = None,
        proxy: str | Proxies | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        wall_offset: float | None = None,
        strict: bool = False,
        json_loads: Callable[[str | bytes], Any] | None = None,
        id: int = 0,
        on_asked: Callable[[Conversation], None] = lambda _: None,
    ) -> None:
        if protocol is not None:
            spoken(protocol)
            protocol = text(protocol, "protocol")
        home = hub_base(text(hub, "hub"))
        name = space_name(text(src, "src"), home)
        address = Address.parse(src) if name is None else Address(home.asking(f"spaces/{name}/"))
        page = address.page
        self.id = id
        self.app = None
        self.protocol = None
        self.url = address.public
        self._on_asked = on_asked
        self._options = options = Options(
            entropy=entropy,
            limits=Limits() if limits is None else one_of(limits, Limits, "limits"),
            timeouts=Timeouts() if timeouts is None else one_of(timeouts, Timeouts, "timeouts"),
            retry=None if retry is None else one_of(retry, Retry, "retry"),
            proxies=Proxies.of(proxy),
            strict=flag(strict, "strict"),
            json_loads=None if json_loads is None else function(json_loads, "json_loads"),
        )
        self._token_rotates = flag(token_rotates, "token_rotates")
        self._forced = protocol
        self._traits: Traits | None = None
        self._base = page  # of the app's page, then, when the app is known, of its API
        self._events: deque[Event] = deque()
        self._timers: Timers[object] = Timers(wall_offset)
        self._told_deadline: float | None = None
        self._credentials = credentials = Credentials(
            headers=headers,
            cookies=cookies,
            auth=auth,
            token=token,
            oauth_token=oauth_token,
            query=address.query,
        )
        credentials.add(*(Recipient.APP, page) if name is None else (Recipient.HUB, home))
        self._exchanges = Exchanges(address, credentials, self._timers, options)
        self._exchanges.via(page)  # one that cannot be used is refused here
        self._jobs: dict[int, Job] = {}
        self._channels: dict[Attempt, JobChannel] = {}
        self._sleeping: dict[int, tuple[Way, Attempt | None]] = {}  # by their jobs
        self._downloads: dict[int, Download] = {}
        self._not_begun: dict[int, Download] = {}
        self._begins = False
        self._line = Line(options.limits.job_connections)
        self._held: dict[int, Job] = {}  # in the middle of a run; they go on if the app is the same
        self._seen: AppInfo | None = None  # whose numbers the application has
        self._numbers_hold = True  # in the app that is there now
        self._wants_new = False  # to see the app that is there now
        self._has_told_loss = False  # ``SessionLost`` was said of the session
        self._is_over = False
        self._last_job = 0
        self._dispatch = Dispatch(
            options, None if session_hash is None else text(session_hash, "session_hash")
        )
        space = None if name is None else Space(name, home, options.timeouts.space)
        self._discovery = Discovery(page, credentials, space)
        self._closing = False
        self._verbs: Mapping[type, Callable[[Any], Any]] = {
            steps.Deliver: self._deliver,
            steps.Listen: self._listen,
            steps.Say: self._say,
            steps.Drop: self._drop,
            steps.Watch: self._watch,
            steps.Begin: self._begin,
            steps.Stored: self._stored,
            steps.Take: self._taken,
            steps.Fail: self._fail,
            steps.Stopped: self._stopped,
            steps.Alarm: self._set_alarm,
            steps.Doubt: self._doubt,
            steps.MayGo: self._may_go,
            steps.WithoutSocket: self._go_without_socket,
            steps.Same: self._same,
            steps.Know: self._connected,
            steps.NotKnown: self._not_connected,
            steps.SpaceIs: self._space_is,
            steps.LiveAt: self._live_at,
            steps.NoteLogin: self._note_login,
            steps.Puzzle: self._puzzled,
            steps.Render: self._rendered,
            steps.Announce: self._announce,
            steps.LoseSession: self._session_lost,
        }
        if app is None:
            self._go(self._discovery.find())
        else:
            self._go(self._discovery.know(one_of(app, AppInfo, "app")))
        self._timers.ask_for_time()

    @property
    def session_hash(self) -> str:
        return self._dispatch.session_hash

    @property
    def api_url(self) -> str:
        return str(self._base)

    @property
    def cookies(self) -> Mapping[str, str]:
        now = self._timers.wall_now
        return MappingProxyType(self._credentials.jar.set_by(self.origin, now))

    @property
    def is_finding_out(self) -> bool:
        return self._discovery.is_finding

    def set_token(self, token: str | None, *, rotates: bool = False) -> None:
        self._credentials.set_token(token)
        self._token_rotates = flag(rotates, "rotates")
        if waiting := self._line.waiting(For.TOKEN):
            self._asked()
        for job in waiting:
            self._start(job)

    def set_oauth_token(self, token: str | None) -> None:
        self._credentials.set_oauth_token(token)

    @property
    def origin(self) -> Origin:
        """Scheme, host and port of the app."""
        return self._base.origin

    # What the application asks.

    def begin(self, call: Call) -> int:
        self._demand_open()
        self._asked()
        self._last_job += 1
        job = Job(self._last_job, call, self.id, self._options)
        self._jobs[job.id] = job
        if job.timeout is not None:
            self._timers.start(_JobIsLate(job.id), job.timeout)
        self._start(job)
        return job.id

    def cancel(self, job: int) -> bool:
        self._asked()
        if (download := self._download(job)) is not None:
            self._go(download.forget())
            self._leave_download(job)
            return True
        found = self._jobs.get(job)
        if found is None:
            return False
        if job in self._line:
            self._events.append(JobCancelled(session=self.id, job=job, stopped_on_server=False))
            self._leave(found)
            return True
        if found.is_over:
            return False
        if not found.is_cancelling:
            attempt = found.attempt
            assert attempt is not None
            found.is_cancelling = True
            attempt.may_not_finish(found.outputs)
            # The server may take longer, above all to answer a join. It is told to stop in any
            # case.
            self._timers.start(_StopIsLate(job), self._options.timeouts.close)
            self._stop(found)
        return True

    def send_piece(self, job: int, piece: Piece, *, latest: bool = False) -> int:
        found = self._taking_pieces(job)
        number = found.input.add(piece.data, latest=latest, headers=piece.headers)
        self._asked()
        self._send_piece(found)
        return number

    def end_input(self, job: int) -> None:
        found = self._taking_pieces(job)
        found.input.add(None)
        self._asked()
        self._send_piece(found)

    def endpoint_of(self, job: int) -> Endpoint | None:
        found = self._jobs.get(job)
        if found is None or found.attempt is None or job in self._line:
            return None
        return found.attempt.endpoint

    def download(
        self,
        file: RemoteFile,
        *,
        resume: bool = True,
        growing: bool = False,
        timeout: float | None = None,
    ) -> int:
        self._demand_open()
        self._asked()
        patience = None if timeout is None else seconds(timeout, "timeout")
        if self.app is None:
            raise LocalProtocolError("A file can be fetched once the session is connected.")
        if file.data_url is None and file.base != self.api_url:
            raise LocalProtocolError(
                f"This file lies at another app, {file.base}, and not at {self.api_url}: fetch it"
                " with a client of that one."
            )
        self._last_job += 1
        source, options = Source(file, self.app, self._base), self._options
        if growing and file.is_playlist:
            download: Download = PlaylistDownload(self._last_job, self.id, source, options)
        else:
            may_resume = resume and not file.is_stream
            download = WholeDownload(self._last_job, self.id, source, options, resume=may_resume)
        self._not_begun[download.id] = download
        self._timers.start(_DownloadIsLate(download.id), patience)
        self._begin_downloads()
        return download.id

    def pause(self, job: int, *, on: bool = True) -> bool:
        self._asked()
        if (download := self._download(job)) is not None:
            self._exchanges.pause(download.exchange, on)
            self._go(download.pause(on))
            self._begin_downloads()
            return True
        found = self._jobs.get(job)
        attempt = None if found is None else found.attempt
        return attempt is not None and self._exchanges.pause(attempt.stream, on)

    def request_info(self) -> None:
        self._demand_open()
        self._asked()
        self._go(self._discovery.ask_for_info())

    def reload(self) -> None:
        self._demand_open()
        self._asked()
        self._wants_new = True
        self._go(self._discovery.find_anew())

    def reset(self) -> None:
        self._demand_open()
        self._asked()
        for job in list(self._jobs.values()):
            if job.id not in self._line:
                self.cancel(job.id)
        self._go(self._dispatch.renew())
        self._go(self._discovery.forget_renders())

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._asked()
        self._timers.start(_CloseIsLate(), self._options.timeouts.close)
        if not self._jobs:
            self._leave_all()
        for channel in self._channels.values():
            if isinstance(channel, SessionStream):
                channel.hurry()
        for job in list(self._jobs):
            self.cancel(job)

    def _demand_open(self) -> None:
        if self._closing:
            raise LocalProtocolError("this session is closed")

    def _asked(self) -> None:
        self._timers.ask_for_time()
        self._on_asked(self)

    def _taking_pieces(self, job: int) -> Job:
        found = self._jobs.get(job)
        if found is None or found.is_over:
            raise LocalProtocolError(f"job {job} is over, or was never there")
        # One that has begun knows by itself.
        app = self.app if job in self._line and self._discovery.is_current else None
        if app is not None and not self._endpoint_of(found.call, app).streaming:
            raise no_pieces()
        return found

    # Called by the transport: what to do next.

    def next_command(self) -> ConversationCommand | None:
        """The next thing to do; None: nothing for now."""
        commands = self._exchanges.commands
        while commands:
            command = commands.popleft()
            if not isinstance(command, SendRequest | OpenWebSocket):
                return command
            if self._discovery.is_current or not self._keeps_back(command.id):
                return command
        return None

    def next_event(self) -> Event | None:
        """The next event for the application; None: nothing for now."""
        if not self._events or self._is_over:
            return None
        event = self._events.popleft()
        if type(event) is OutputsGrew and (job := self._jobs.get(event.job)) is not None:
            job.growth_taken()
        self._is_over = type(event) is SessionClosed  # nothing follows it
        return event

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is due, in monotonic seconds; it may have passed already."""
        return self._timers.due

    def new_deadline(self) -> float | None:
        """The next deadline if it has changed: since this was last asked, and since
        ``handle_timer``. None: it has not, or there is none."""
        due = self._timers.due
        if due == self._told_deadline:
            return None
        self._told_deadline = due
        return due

    # Called by the transport: what has happened.

    def handle_timer(self, now: float) -> None:
        """The time is *now*."""
        self._timers.tell(now)
        self._told_deadline = None
        while (name := self._timers.next_due()) is not None:
            if isinstance(name, Exchange):
                self._hear(name, self._exchanges.timed_out)
                continue
            try:
                self._due(name)
            except Exception as error:  # see ``_fault``
                self._end_by_fault(None, error, self._jobs.get(getattr(name, "job", 0)))

    def receive(self, id: int, news: Sequence[News], now: float | None = None) -> None:
        """All that has come at once for an exchange: the same as the five verbs below."""
        self._timers.tell(now)
        exchange = self._exchanges.running.get(id)
        if exchange is None:
            return
        told = self._exchanges
        for item in news:
            if exchange.is_over:
                return  # because of the one before
            if isinstance(item, BodyReceived) and exchange.is_open:
                listener = exchange.listener
                assert listener is not None
                exchange.last_heard = at = self._timers.now
                try:
                    self._go(listener.received(item.data, at))
                except Exception as error:  # see ``_fault``
                    self._end_by_fault(exchange, error)
            elif isinstance(item, BodyReceived):
                self._hear(exchange, told.data, item.data)
            elif isinstance(item, ResponseStarted):
                self._hear(exchange, told.response, item.status, item.headers)
            elif isinstance(item, MessageEnded):
                self._hear(exchange, told.ended)
            elif isinstance(item, TextCame):
                self._hear(exchange, told.text, item.text)
            else:
                assert isinstance(item, TransferFailed)
                broke = item.error
                if isinstance(broke, ConnectionError) or not isinstance(broke, GradioError):
                    self._discovery.is_in_doubt = True
                self._hear(exchange, told.failed, broke)

    def response(
        self, id: int, status: int, headers: Iterable[tuple[str, str]], now: float | None = None
    ) -> None:
        """The head of an answer; 101 means that a WebSocket is open."""
        fields = tuple([(name.lower(), value) for name, value in headers])
        self.receive(id, (ResponseStarted(status, fields),), now)

    def data(self, id: int, chunk: bytes, now: float | None = None) -> None:
        """A piece of an answer's body."""
        self.receive(id, (BodyReceived(chunk),), now)

    def text(self, id: int, text: str, now: float | None = None) -> None:
        """A text message on a WebSocket."""
        self.receive(id, (TextCame(text),), now)

    def ended(self, id: int, now: float | None = None) -> None:
        """The answer is complete; a WebSocket was closed with 1000."""
        self.receive(id, (MessageEnded(),), now)

    def failed(
        self, id: int, error: BaseException, now: float | None = None, *, connected: bool = True
    ) -> None:
        """The exchange broke off, or could not begin.

        Not *connected*: no connection could be made, so the server has seen nothing of the request,
        and ``Retry`` may hand the job in again. A ``ConnectFailed`` means the same.
        """
        if not connected and not isinstance(error, GradioError):
            refused = ConnectFailed(
                f"no connection came about: {str(error) or type(error).__name__}", phase="connect"
            )
            refused.__cause__ = error
            error = refused
        self.receive(id, (TransferFailed(error),), now)

    def sent(self, id: int, size: int, now: float | None = None) -> None:
        """So many bytes of a file were sent, in the body of a request."""
        self._timers.tell(now)
        exchange = self._exchanges.running.get(id)
        if exchange is None or exchange.upload is None:
            return
        self._exchanges.sent(exchange, size)
        attempt = exchange.attempt
        assert attempt is not None  # of the job that needs the file; its end drops the exchange
        self._events += self._jobs[attempt.job].uploading(exchange.upload, exchange.sent)

    def fault(self, id: int | None, error: Exception) -> None:
        """End an exchange because of an unexpected exception; an ``Anomaly`` tells.

        Exceptions inside the verbs above end their exchange by themselves; this is for exceptions
        around them. *id* None: no exchange is to blame.
        """
        exchange = None if id is None else self._exchanges.running.get(id)
        self._end_by_fault(exchange, error)

    def doubt_app(self, now: float | None = None) -> None:
        """No connection to the app is open any more, so it may have been started anew.

        Before the next job the conversation asks whether the app is still the same. It finds other
        signs itself. If your HTTP library does not tell you of connections, leave this call out.
        """
        self._timers.tell(now)
        self._discovery.is_in_doubt = True

    def is_wanted(self, id: int, now: float | None = None) -> bool:
        """Whether to send a request on another connection after the first one broke.

        False: the request is dropped, since its app may be gone. Tell no more of it.
        """
        self._timers.tell(now)
        return self._discovery.is_current or not self._keeps_back(id)

    def _hear(self, exchange: Exchange, verb: Callable[..., Came | None], *told: Any) -> None:
        """Ask *verb* what came, and hand it to the right part."""
        try:
            came = verb(exchange, *told)
            if came is None:
                return
            if isinstance(came, Answered) and _is_of_another_app(exchange):
                self._discovery.is_in_doubt = True
            if (listener := exchange.listener) is not None:
                self._go(_heard_by(listener, came, self._timers.now))
            elif isinstance(came, Answered) and not self._is_refused(exchange, came.answer):
                self._go_on(exchange, came.answer)
            elif isinstance(came, Answered):
                assert self.app is not None
                self._go_on(exchange, error=came.answer.refusal(self.app.version))
            else:
                assert isinstance(came, ExchangeFailed)
                self._go_on(exchange, error=came.error)
        except Exception as error:  # see ``_fault``
            self._end_by_fault(exchange, error)

    def _is_refused(self, exchange: Exchange, answer: Answer) -> bool:
        return not exchange.discovering and answer.status != _OK

    def _go_on(
        self, exchange: Exchange, answer: Answer | None = None, error: GradioError | None = None
    ) -> None:
        assert exchange.way is not None
        self._go(exchange.way, exchange.attempt, answer, error=error)

    # Ways.

    def _go(
        self,
        way: Way,
        attempt: Attempt | None = None,
        value: Any = None,
        *,
        error: GradioError | None = None,
    ) -> None:
        """Carry out the steps of *way*, up to its end or to a step that takes time.

        *value* or *error* is the result of its last step. An error that leaves the way ends
        *attempt*, and is located at the last answer.
        """
        verbs = self._verbs
        try:
            step = way.send(value) if error is None else way.throw(error)
            while True:
                verb = verbs.get(type(step))
                if verb is None:
                    self._suspend(way, step, attempt)
                    return
                try:
                    result = verb(step)
                except GradioError as refused:
                    step = way.throw(refused)
                else:
                    step = way.send(result)
        except StopIteration:
            return
        except GradioError as left:
            if attempt is None:
                raise
            if isinstance(value, Answer):
                value.locate(left)
            self._fail(steps.Fail(attempt, left))

    def _suspend(self, way: Way, step: steps.Step, attempt: Attempt | None) -> None:
        """Carry out a step that takes time."""
        if isinstance(step, steps.Sleep):
            job = _DISCOVERY if step.of is None else step.of.job
            self._sleeping[job] = way, step.of
            self._timers.start(_GoesOn(job), step.seconds)
            return
        assert isinstance(step, steps.Ask)
        exchange = Exchange(
            request=step.request,
            url=step.base,
            phase=step.phase,
            deadline=step.deadline,
            patience=step.patience,
            expect=Expect.CALL if step.deadline is None else Expect.ANSWER,
            way=way,
            attempt=attempt,
            hands_in=step.hands_in,
            discovering=step.discovering,
            bare=step.bare,
            upload=step.upload,
            is_read=step.is_read,
        )
        try:
            number = self._exchanges.begin(exchange)
        except GradioError as refused:
            self._go(way, attempt, error=refused)
            return
        if (of := step.of) is not None:
            of.asked = [number, *(id for id in of.asked if self._exchanges.find(id) is not None)]

    def _listen(self, step: steps.Listen) -> int:
        return self._exchanges.begin(
            Exchange(
                request=step.request,
                url=step.base,
                phase=step.phase,
                deadline=step.deadline,
                expect=Expect.STREAM,
                listener=step.listener,
                websocket=step.websocket,
                hands_in=step.hands_in,
                wants=step.wants,
                is_watched=step.watched,
            )
        )

    def _say(self, step: steps.Say) -> None:
        self._exchanges.send_text(step.exchange, step.text)

    def _drop(self, step: steps.Drop) -> None:
        self._exchanges.abort(step.exchange)

    def _watch(self, step: steps.Watch) -> None:
        self._exchanges.watch(step.exchange)

    def _set_alarm(self, step: steps.Alarm) -> None:
        self._timers.start(_Rings(step.sleeper, step.name), step.seconds)

    def _begin(self, step: steps.Begin) -> None:
        self._go(step.way, step.attempt)

    def _due(self, name: object) -> None:
        """A timer has passed."""
        match name:
            case _JobIsLate(id):
                self._expire(self._jobs[id])
            case _DownloadIsLate(id):
                download = self._download(id)
                assert download is not None
                self._go(download.fail(DeadlineExceeded(phase="job")))
            case _StopIsLate(id):
                if not (job := self._jobs[id]).is_over:
                    assert job.attempt is not None
                    self._events += job.cancelled(None, self._timers.wall_now)
                    job.attempt.is_over = True
            case _GoesOn(id):
                way, attempt = self._sleeping.pop(id)
                self._go(way, attempt, self._timers.now)
            case _Rings(sleeper, which):
                self._go(sleeper.rang(which))
            case _TriesAgain(id):
                self._start(self._jobs[id])
            case _NextInLine():
                while (waiting := self._line.next) is not None:
                    self._start(waiting)
            case _:
                self._force_close()

    # Faults: unexpected exceptions, a mistake of this library or of a function that it was given
    # (``json_loads``). A fault ends only the exchange or the job in which it is raised.

    def _fault(self, error: Exception) -> RemoteProtocolError:
        broken = unforeseen(error)
        self._puzzled(steps.Puzzle(broken.message))
        return broken

    def _fail_by_fault(self, attempt: Attempt, error: Exception) -> None:
        """End the job that has met *error*."""
        broken = self._fault(error)
        try:
            self._fail(steps.Fail(attempt, broken))
        except Exception as further:  # the same again, most likely, in what was to end it
            self._fault(further)

    def _end_by_fault(
        self, exchange: Exchange | None, error: Exception, job: Job | None = None
    ) -> None:
        """End an exchange with its job, or a job, because of *error*."""
        broken = self._fault(error)
        try:
            if exchange is not None:
                broken.located(phase=exchange.phase, url=exchange.url.public)
                self._exchanges.abort(exchange.given)
                if exchange.listener is not None:
                    self._go(exchange.listener.failed(broken))
                else:
                    self._go_on(exchange, error=broken)
            elif job is not None and job.attempt is not None and job.id not in self._line:
                self._fail(steps.Fail(job.attempt, broken))
            elif job is not None:
                self._fail_unstarted(job, broken)
        except GradioError as left:  # the way was over already: that of the discovery
            self._not_connected(steps.NotKnown(left, app=True, info=True))
        except Exception as further:  # the same again, most likely, in what was to end it
            self._fault(further)

    # The app.

    def _connected(self, step: steps.Know) -> None:
        app, before = step.app, self.app
        base = api_base(step.page, app.api_prefix)
        self.app = app
        if before is None or app.config is not before.config:
            self._meet(app, before, base)
        self._events.append(Connected(session=self.id, app=app))
        self._start_waiting()

    def _meet(self, app: AppInfo, before: AppInfo | None, base: URL) -> None:
        """Note a new *app*, which may be another one than *before*."""
        is_new = before is not None and not app.is_same_run(before)
        if is_new and not self._has_told_loss:
            self._tell_loss(before)
        self._has_told_loss = False
        self._base = base
        self.protocol = self._forced or detect(app.protocol_name, app.version)
        self._traits = spoken(self.protocol)
        if is_new:
            self._go(self._dispatch.renew())
        at_once = self._options.limits.job_connections
        self._line.at_once = 1 if has(app.version, Feature.LOST_IN_LINE) else at_once
        if (name := app.protocol_name) is not None and name not in PROTOCOLS:
            self._puzzled(steps.Puzzle(f"an unknown protocol, spoken to as the newest: {name!r}"))
        if self._seen is None or self._wants_new:
            self._seen, self._wants_new = app, False
        self._numbers_hold = app.has_functions_of(self._seen)
        if is_new:
            what = "the app was started anew in the middle of the job"
            self._fail_held(ConnectionLost(what, phase="stream"))

    def _same(self, _step: steps.Same) -> None:
        self._has_told_loss = False
        self._start_waiting()

    def _start_waiting(self) -> None:
        held, self._held = self._held, {}
        for job in held.values():
            assert job.attempt is not None
            self._go(self._channels[job.attempt].start(job.attempt), job.attempt)
        for job in self._line.waiting(For.APP):
            self._start(job)
        if self.app is not None and self.app.has_info:
            for job in self._line.waiting(For.INFO):
                self._start(job)
        self._call_next()  # more may go at once than before

    def _not_connected(self, step: steps.NotKnown) -> None:
        self._events.append(ConnectingFailed(session=self.id, error=step.error))
        if step.app:
            self._fail_held(step.error)
            for job in self._line.waiting(For.APP):
                self._fail_unstarted(job, step.error, may_try_again=self.app is not None)
        if step.info:
            for job in self._line.waiting(For.INFO):
                self._fail_unstarted(job, step.error)

    def _fail_held(self, error: GradioError) -> None:
        held, self._held = self._held, {}
        for job in held.values():
            assert job.attempt is not None
            self._fail(steps.Fail(job.attempt, error))

    def _doubt(self, _step: steps.Doubt) -> None:
        self._discovery.is_in_doubt = True

    def _space_is(self, step: steps.SpaceIs) -> None:
        self._events.append(SpaceStatus(session=self.id, stage=step.stage))

    def _live_at(self, step: steps.LiveAt) -> None:
        self._exchanges.via(step.page)  # a proxy that cannot be used ends the discovery
        self._credentials.add(Recipient.APP, step.page)
        self._base = step.page
        self.url = str(step.page)

    def _note_login(self, step: steps.NoteLogin) -> None:
        self._exchanges.login = step.login

    def _rendered(self, step: steps.Render) -> None:
        self._go(self._discovery.rendered(step.config))

    def _puzzled(self, step: steps.Puzzle) -> None:
        self._events.append(
            Anomaly(session=self.id, what=step.what, job=step.job, message=step.message)
        )

    def _session_lost(self, step: steps.LoseSession) -> None:
        if step.renew is not None:
            if not self._dispatch.is_shared(step.renew):
                return
            self._go(self._dispatch.renew())
        self._tell_loss(self.app)

    def _tell_loss(self, app: AppInfo | None) -> None:
        """Tell that the server has forgotten the session, with its State if the app has any."""
        assert app is not None
        self._has_told_loss = True
        has_state = any(part.is_state for part in app.components.values())
        self._events.append(SessionLost(session=self.id, state_lost=has_state))

    # Jobs that the server has not heard of.

    def _start(self, job: Job) -> None:
        """Start *job* if the app is known and it is the job's turn; if not, let it wait."""
        call, app, traits = job.call, self.app, self._traits
        if app is None or traits is None or not self._discovery.is_current:
            self._line.wait(job, For.APP)
            self._call_next()
            self._go(self._discovery.find())
            return
        try:
            endpoint = self._endpoint_of(call, app)
            by_name = traits.handover is Handover.JOINING_BY_NAME
            needs_info = by_name or endpoint.needs_info(call.args, call.kwargs)
            # The error for too many arguments shows the server's names of parameters.
            needs_info = needs_info or len(call.args) > len(endpoint.parameters)
            # Only there it says whether the endpoint takes the token.
            has_oauth_token = self._credentials.oauth_token_for(self._base) is not None
            needs_info |= has_oauth_token and has(app.version, Feature.OAUTH_TOKEN)
            if needs_info and not app.has_info:
                self._line.wait(job, For.INFO)
                self._call_next()
                self._go(self._discovery.ask_for_info())
                return
            data = endpoint.bind(call.args, call.kwargs, call.options, app.files)
        except LocalProtocolError as error:
            self._fail_unstarted(job, error)
            return
        except Exception as error:  # see ``_fault``
            self._fail_unstarted(job, self._fault(error))
            return
        has_turns = needs_connection(call, endpoint, traits, app)
        if self._line.lets_go(job, has_turns=has_turns):
            job.attempt = Attempt(
                job=job.id,
                call=call,
                headers=job.headers,
                app=app,
                traits=traits,
                base=self._base,
                endpoint=endpoint,
                data=data,
                oauth_token=(
                    None
                    if endpoint.oauth_token is None
                    else self._credentials.oauth_token_for(self._base)
                ),
            )
            self._bring(job)
        else:
            self._call_next()

    def _call_next(self) -> None:
        """Start the jobs whose turn it is."""
        if self._line.next is not None and not self._closing:
            self._timers.start(_NextInLine(), 0.0)

    def _endpoint_of(self, call: Call, app: AppInfo) -> Endpoint:
        """The endpoint of *call* in *app*, of which the application may not know yet.

        Raises:
            LocalProtocolError: there is no such endpoint, or its number may mean another one by
                now.
        """
        seen = self._seen
        assert seen is not None
        if call.api_name is not None or call.is_upload or self._numbers_hold:
            return call.endpoint_of(app)
        if call.component is None and call.fn_index is None:
            try:
                name = call.endpoint_of(seen).api_name
            except LocalProtocolError:
                return call.endpoint_of(app)  # it says which there are now
            if name is not None:
                return app.endpoint(name)
        raise LocalProtocolError(
            "The app has changed since its config was read, so that numbers may mean other"
            " functions now. Call by api_name, or call reload() and look up the number again."
        )

    def _fail_unstarted(self, job: Job, error: GradioError, *, may_try_again: bool = False) -> None:
        if self._waits_for_token(job, error):
            return
        seconds = self._tried_again_after(job, error) if may_try_again else None
        if seconds is not None:
            self._line.wait(job, For.TIME)
            self._call_next()
            self._timers.start(_TriesAgain(job.id), seconds)
            return
        own = error.for_job(job.id).located(phase="submit", url=self._base.public)
        self._events.append(job.failed(own))
        self._leave(job)

    # Whether a request is meant for the app that is there now.

    def _keeps_back(self, request: int) -> bool:
        """Whether to keep a request back, while the app may be another one by now."""
        exchange = self._exchanges.running.get(request)
        if exchange is None or exchange.hands_in is None:
            return False
        job = self._jobs.get(exchange.hands_in.job)
        if job is None or job.taken_back >= _TAKEN_BACK:
            return False
        self._exchanges.forget(exchange)
        self._put_back(job)
        return True

    def _may_go(self, step: steps.MayGo) -> bool:
        job = self._jobs[step.attempt.job]
        if self._discovery.is_current or job.taken_back >= _TAKEN_BACK:
            return True
        self._put_back(job)
        return False

    def _put_back(self, job: Job) -> None:
        """Have a job wait until it is known whether the app is still the same."""
        job.taken_back += 1
        if job.is_over or job.is_cancelling:
            if not job.is_over:
                self._events += job.cancelled(None, self._timers.wall_now)
            self._leave(job)
        elif job.is_running:
            self._held[job.id] = job
            self._go(self._discovery.find())
        else:
            self._end_attempt(job)
            self._start(job)

    def _go_without_socket(self, step: steps.WithoutSocket) -> None:
        job = self._jobs[step.attempt.job]
        job.no_socket = step.error
        if self._may_go(steps.MayGo(step.attempt)):
            self._set_out(job, step.attempt, PlainCall(self._options, step.attempt, step.error))

    # Downloads.

    def _download(self, number: int) -> Download | None:
        return self._downloads.get(number) or self._not_begun.get(number)

    def _begin_downloads(self) -> None:
        """Begin the downloads whose turn it is."""
        while self._not_begun and not self._begins:
            busy = sum(not download.is_paused for download in self._downloads.values())
            if busy >= self._options.limits.downloads:
                break
            number, download = next(iter(self._not_begun.items()))
            del self._not_begun[number]
            self._downloads[number] = download
            self._begins = True  # those that end at once begin no others
            try:
                self._go(download.start())
            finally:
                self._begins = False
            if download.is_paused:
                self._exchanges.pause(download.exchange, True)

    def _announce(self, step: steps.Announce) -> None:
        self._events.append(step.event)
        if isinstance(step.event, DownloadCompleted | DownloadFailed):
            self._leave_download(step.event.download)

    def _leave_download(self, number: int) -> None:
        """Forget a download that is over."""
        self._timers.stop(_DownloadIsLate(number))
        self._not_begun.pop(number, None)
        self._downloads.pop(number, None)
        self._begin_downloads()

    # Attempts.

    def _bring(self, job: Job) -> None:
        """Take a job to the server, for the first time or again: first its files."""
        attempt = job.attempt
        assert attempt is not None
        if job.call.files or attempt.endpoint.takes_files:
            self._go(CallFiles(self._options, attempt, job.stored).start(), attempt)
        else:
            self._hand_in(job)

    def _stored(self, step: steps.Stored) -> None:
        job = self._jobs[step.attempt.job]
        if job.call.is_upload:
            self._events.append(job.uploaded(step.attempt.app.files))
            self._leave(job)
        else:
            self._hand_in(job)

    def _hand_in(self, job: Job) -> None:
        attempt = job.attempt
        assert attempt is not None
        job.begin(attempt)
        try:
            channel = self._dispatch.channel_for(attempt, self._channels, job.no_socket)
            self._set_out(job, attempt, channel)
        except Exception as error:  # see ``_fault``
            self._fail_by_fault(attempt, error)

    def _set_out(self, job: Job, attempt: Attempt, channel: JobChannel) -> None:
        self._channels[attempt] = channel
        try:
            job.input.begin(attempt.endpoint, takes_pieces=isinstance(channel, TakesPieces))
        except LocalProtocolError as error:  # a piece that waits does not fit
            self._fail(steps.Fail(attempt, error))
            return
        self._go(channel.start(attempt), attempt)

    def _deliver(self, step: steps.Deliver) -> bool:
        attempt, message = step.attempt, step.message
        if attempt.is_over and attempt.job not in self._jobs:
            return False
        job = self._jobs[attempt.job]
        is_heeded = False
        try:
            if message is None:
                assert step.text is not None
                events = None if job.is_over else job.keep(step.text)
                if events is None:
                    message, problems = self._options.read_message(step.text)
                    for problem in problems:
                        self._puzzled(steps.Puzzle(problem, job.id))
            else:
                events = None
            if events is None:
                assert message is not None
                events, is_heeded = job.receive(message, step.text, self._timers.wall_now)
        except GradioError:
            raise  # of the channel, which is to read no more
        except Exception as error:  # a fault of one job must not hit other jobs
            self._fail_by_fault(attempt, error)
            return False
        self._events += events
        if job.verdict is not None:
            self._pass_verdict(job, attempt)
        elif job.is_over and not attempt.is_over:
            self._leave(job)
        elif is_heeded and job.input.is_due:
            self._send_piece(job)
        return is_heeded

    def _pass_verdict(self, job: Job, attempt: Attempt) -> None:
        assert job.verdict is not None
        verdict, job.verdict = job.verdict, None
        if job.is_too_much:
            self._give_up(job, verdict)
        else:
            self._fail(steps.Fail(attempt, verdict), is_told=True)

    def _taken(self, step: steps.Take) -> None:
        step.attempt.taken = True
        if not step.attempt.is_over:
            self._events += self._jobs[step.attempt.job].accepted(step.answer, step.chunk)

    def _send_piece(self, job: Job) -> None:
        """Hand over the next piece of a streaming input, if the server wants one."""
        attempt = job.attempt
        if attempt is not None and (chunk := job.input.next()) is not None:
            channel = self._channels[attempt]
            assert isinstance(channel, TakesPieces)
            self._go(channel.send_chunk(attempt, chunk), attempt)

    def _fail(self, step: steps.Fail, *, is_told: bool = False) -> None:
        """End a job in an error, or in its cancellation, or hand it in again.

        *is_told*: the last message was the failure.
        """
        attempt, now = step.attempt, self._timers.wall_now
        if attempt.is_over:
            return
        job = self._jobs[attempt.job]
        if not is_told:
            attempt.may_not_finish(job.outputs, known=False)
        if job.is_cancelling:
            self._events += job.cancelled(None, now)
            self._leave(job)
            return
        if self._may_log_in_again(job, step.error):
            job.has_logged_in_again = True
            self._discovery.login_is_void = self._discovery.is_in_doubt = True
            self._put_back(job)
            return
        is_untouched = not (attempt.taken or attempt.heard)
        if is_untouched and self._waits_for_token(job, step.error):
            return
        if job.has_lost_files(step.error):
            job.forget_files()
            self._end_attempt(job)
            self._start(job)
            return
        seconds = None if attempt.taken else self._tried_again_after(job, step.error)
        if seconds is not None:
            self._end_attempt(job)
            self._timers.start(_TriesAgain(job.id), seconds)
            return
        try:
            if not is_told:
                self._events += job.told_failed(now)
        finally:
            self._events.append(job.failed(self._located(step.error, attempt)))
            self._leave(job)

    def _may_log_in_again(self, job: Job, error: GradioError) -> bool:
        """Whether the app has forgotten the login, before it began with a job."""
        attempt = job.attempt
        assert attempt is not None
        if not isinstance(error, AuthenticationError) or error.url is None:
            return False
        has_begun = attempt.taken or attempt.heard or job.has_logged_in_again
        # Another host, such as that of a file, has nothing to do with it.
        is_apps = self._credentials.may_go(Credential.AUTH, URL.parse(error.url))
        return self._exchanges.login is Login.TAKEN and is_apps and not has_begun

    def _waits_for_token(self, job: Job, error: GradioError) -> bool:
        """Let a job wait for another token, once, if its error says that the token was refused."""
        if not (self._token_rotates and isinstance(error, AuthenticationError)):
            return False
        # Another host, such as that of a file, has nothing to do with it.
        is_ours = error.url is not None and self._credentials.may_go(
            Credential.TOKEN, URL.parse(error.url)
        )
        if error.status != _UNAUTHORIZED or not is_ours or job.has_had_another_token:
            return False
        job.has_had_another_token = True
        if not self._line.waiting(For.TOKEN):
            self._events.append(TokenRefused(session=self.id))
        if job.attempt is not None:
            self._end_attempt(job)
        self._line.wait(job, For.TOKEN)
        self._call_next()
        return True

    def _located(self, error: GradioError, attempt: Attempt) -> GradioError:
        return error.located(phase="job", url=attempt.base.public)

    def _tried_again_after(self, job: Job, error: GradioError) -> float | None:
        """The seconds until a job is handed in again; None: it is not."""
        options = self._options
        if options.retry is None:
            return None
        seconds = options.retry.delay(error, job.attempts, options.random())
        job.attempts += seconds is not None
        return seconds

    def _stop(self, job: Job) -> None:
        """Have the server stop a job."""
        attempt = job.attempt
        assert attempt is not None
        channel = self._channels.get(attempt)
        if channel is None:  # it waits to be handed in again
            self._stopped(steps.Stopped(attempt, False))
        else:
            self._go(channel.stop(attempt), attempt)

    def _stopped(self, step: steps.Stopped) -> None:
        job = self._jobs.get(step.attempt.job)
        if job is None:
            return
        if not job.is_over:
            self._events += job.cancelled(step.on_server, self._timers.wall_now)
        self._leave(job)

    def _expire(self, job: Job) -> None:
        """The job's own deadline has passed."""
        late = DeadlineExceeded(phase="job")
        if job.id in self._line:
            self._fail_unstarted(job, late)
        elif not job.is_over:
            self._give_up(job, late)

    def _give_up(self, job: Job, error: GradioError) -> None:
        """End a job in *error* now, and have the server stop it."""
        attempt = job.attempt
        assert attempt is not None
        is_stopping, job.is_cancelling = job.is_cancelling, False
        self._events += job.told_failed(self._timers.wall_now)
        self._events.append(job.failed(self._located(error, attempt)))
        attempt.is_over = True
        if not is_stopping:
            self._stop(job)

    def _end_attempt(self, job: Job) -> None:
        """End an attempt, and drop its requests and its channel."""
        attempt = job.attempt
        assert attempt is not None
        attempt.is_over = True
        for number in attempt.asked:
            self._exchanges.abort(number)
        if self._sleeping.pop(job.id, None) is not None:
            self._timers.stop(_GoesOn(job.id))
        channel = self._channels.pop(attempt, None)
        if channel is not None:
            self._go(channel.forget(attempt))

    def _leave(self, job: Job) -> None:
        """Forget a job after its last event."""
        del self._jobs[job.id]
        if job.timeout is not None:
            self._timers.stop(_JobIsLate(job.id))
        if job.given_up:
            self._timers.stop(_StopIsLate(job.id))
        if job.attempts:
            self._timers.stop(_TriesAgain(job.id))
        self._held.pop(job.id, None)
        self._line.leave(job)
        if job.attempt is not None:
            self._end_attempt(job)
            if job.given_up:
                self._dispatch.given_up(job.attempt.endpoint.fn_index)
        self._call_next()
        if self._closing and not self._jobs:
            self._leave_all()

    # Closing.

    def _leave_all(self) -> None:
        self._timers.stop(_CloseIsLate())
        self._timers.stop(_GoesOn(_DISCOVERY))
        downloads = [*self._downloads.values(), *self._not_begun.values()]
        self._not_begun.clear()
        for download in downloads:
            self._go(download.fail(LocalProtocolError("The session was closed.")))
        self._go(self._dispatch.close())
        self._exchanges.abort_all()
        self._events.append(SessionClosed(session=self.id))

    def _force_close(self) -> None:
        for job in list(self._jobs.values()):
            if not job.is_over:
                self._events += job.cancelled(None, self._timers.wall_now)
            self._leave(job)


def _heard_by(listener: Listener, came: Came, now: float) -> Way:
    """The way of the part that reads a stream or a WebSocket."""
    match came:
        case Told(_, text):
            return listener.told(text)
        case Opened():
            return listener.opened(now)
        case Ended():
            return listener.ended()
        case Answered(_, answer):
            return listener.refused(answer)
        case ExchangeFailed(_, error):
            return listener.failed(error)
        case _:
            assert isinstance(listener, Watcher)
            return listener.silent()


def _is_of_another_app(exchange: Exchange) -> bool:
    """Whether this answer suggests that the app is another one by now."""
    no_socket = exchange.websocket and exchange.status == _FORBIDDEN
    return not exchange.discovering and (exchange.status in _OF_ANOTHER_APP or no_socket)
