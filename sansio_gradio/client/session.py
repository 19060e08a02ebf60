"""What an application asks of a session, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.chunks import Piece, no_pieces
from sansio_gradio.client.context import Context, EventQueue
from sansio_gradio.client.discovery import Discovery, Missing
from sansio_gradio.client.dispatch import Dispatch
from sansio_gradio.client.exchanges import Exchanges
from sansio_gradio.client.job import Job
from sansio_gradio.client.line import Line
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    OptionError,
)
from sansio_gradio.events import Connected, ConnectingFailed, JobCancelled, JobFailed, SessionClosed
from sansio_gradio.given import is_a, one_of, text
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import PROTOCOLS, Handover, detect, spoken
from sansio_gradio.wire.headers import Fields, Headers, checked, overlaid, pairs
from sansio_gradio.wire.json import loads
from sansio_gradio.wire.url import api_base, app_base

_OWN_HEADERS: Final[Headers] = (
    ("user-agent", "sansio-gradio"),
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
)
_TAKEN_BACK: Final = 2  # times, at most, so that what always breaks does not go on for ever


class Session:
    """The client's side of one session with the app at *src*.

    ``entropy(n)`` returns n random bytes. ``app``: what is known of the app already, so that
    nothing is asked until there is a sign that the app was started anew. ``protocol``: speak this
    one, whatever the app announces. ``auth``: (user, password) for an app with a login. ``headers``
    and ``cookies`` go to the app's origin and nowhere else. ``retry``: which failed jobs are handed
    in again; None: none. ``wall_offset``:
    POSIX time minus monotonic time, in seconds (0.0 if ``now`` is POSIX time); None: not known.
    Then a status has monotonic time, and nothing is compared with dates (of cookies, of
    Retry-After). ``strict``: what no known server does is an error. ``json_loads``: another JSON
    parser, as ``orjson.loads``.

    Raises:
        LocalProtocolError: *src* is not an address, a header cannot be sent, or an option is
            something else than is said here.
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
        retry: Retry | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        wall_offset: float | None = None,
        strict: bool = False,
        json_loads: Callable[[str | bytes], Any] | None = None,
        id: int = 0,
        on_asked: Callable[[Any], None] = lambda _: None,
    ) -> None:
        if protocol is not None:
            spoken(protocol)
        self.id = id
        """The number that this session's events carry."""
        self.app: AppInfo | None = None
        """What is known of the app; None until ``Connected``. It changes with the app."""
        self.protocol: str | None = None
        """The protocol spoken; None until ``Connected``."""
        page = app_base(text(src, "src"))
        self.url = str(page)
        """The address of the app's page."""
        self._forced = protocol
        self._on_asked = on_asked
        limits = Limits() if limits is None else one_of(limits, Limits, "limits")
        timeouts = Timeouts() if timeouts is None else one_of(timeouts, Timeouts, "timeouts")
        timers = Timers(wall_offset)
        sent = overlaid(_OWN_HEADERS, checked(headers))
        read = partial(loads, max_depth=limits.json_depth, json_loads=json_loads)
        of_answers = partial(read, max_size=limits.answer)
        self._context = Context(
            session=id,
            exchanges=Exchanges(sent, timers, limits, timeouts, loads=of_answers),
            timers=timers,
            limits=limits,
            timeouts=timeouts,
            events=EventQueue(),
            strict=strict,
            loads=partial(read, max_size=limits.message),
            base=page,
            retry=None if retry is None else one_of(retry, Retry, "retry"),
            entropy=entropy,
        )
        self._context.hand_in = self._start
        self._context.take_back = self._take_back
        self._context.exchanges.give_cookies(page, pairs(cookies, "cookies"))
        self._jobs: dict[int, Job] = {}
        self._line = Line(limits.job_connections)
        self._held: dict[int, Job] = {}  # in the middle of a run; they go on if the app is the same
        self._last_job = 0
        self._seen: AppInfo | None = None  # whose numbers the application has
        self._numbers_hold = True  # in the app that is there now
        self._wants_new = False  # to see the app that is there now
        self._dispatch = Dispatch(
            self._context, None if session_hash is None else text(session_hash, "session_hash")
        )
        self._closing = False
        self._discovery = Discovery(
            self._context,
            auth=_login(auth),
            on_app=self._connected,
            on_same=self._same,
            on_error=self._not_connected,
        )
        self._context.on_render = self._discovery.rendered
        if app is None:
            self._discovery.find()
        else:
            self._discovery.know(one_of(app, AppInfo, "app"))
        timers.ask_for_time()

    @property
    def session_hash(self) -> str:
        """The name that the server knows this session by."""
        return self._dispatch.session_hash

    @property
    def is_finding_out(self) -> bool:
        """It is being asked what app it is."""
        return self._discovery.is_finding

    # What the application asks.

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
        extra: Mapping[str, Any] | None = None,
        want: Want = Want.ALL,
        **kwargs: Any,
    ) -> int:
        """Call an endpoint; returns the job's number, which its events carry.

        ``timeout`` (seconds) is the job's own deadline. ``isolated`` gives it a session of its own:
        no State shared, and a cancel that is exact. ``extra`` is sent beside the arguments, as it
        stands. Arguments that do not fit end the job in a ``LocalProtocolError``, since they may
        only be known to when the app is.

        Raises:
            LocalProtocolError: the session is closed, or a header cannot be sent.
        """
        return self.begin(
            Call(
                args=args,
                kwargs=kwargs,
                api_name=api_name,
                fn_index=fn_index,
                headers=headers,
                timeout=timeout,
                isolated=isolated,
                event_data=event_data,
                trigger_id=trigger_id,
                extra=extra,
                want=want,
            )
        )

    def begin(self, call: Call) -> int:
        """As ``submit``, for a call put together elsewhere."""
        self._demand_open()
        self._last_job += 1
        job = Job(self._last_job, call)
        self._jobs[job.id] = job
        seconds = self._context.timeouts.job if call.timeout is None else call.timeout
        self._context.timers.start(("job", job.id), seconds, lambda: self._expire(job))
        self._asked()
        self._start(job)
        return job.id

    def call_component(
        self,
        component: int,
        function: str,
        data: Any = None,
        *,
        headers: Fields | None = None,
        timeout: float | None = None,
    ) -> int:
        """Call a server function of a component, such as ``ls`` of a FileExplorer: a job like
        others, whose one output is what the function returns.

        Raises:
            LocalProtocolError: the session is closed, or a header cannot be sent.
        """
        what = Call(args=(data,), component=component, function=function)
        return self.begin(attrs.evolve(what, headers=headers, timeout=timeout))

    def cancel(self, job: int) -> bool:
        """Give a job up and have the server stop it; False: it is over already.

        It ends in ``JobCancelled``, at the latest after ``Timeouts.close``.
        """
        found = self._jobs.get(job)
        if found is None:
            return False
        self._asked()
        if job in self._line:
            self._context.emit(JobCancelled(session=self.id, job=job, stopped_on_server=False))
            self._over(found)
            return True
        return found.cancel()

    def send(
        self, job: int, *chunk: Any, latest: bool = False, headers: Fields | None = None
    ) -> int:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: pieces that wait already are dropped for this one. Returns its number, from 1
        on, which ``Accepted`` carries.

        Raises:
            LocalProtocolError: the job is over, its input was ended, it takes none in pieces, the
                piece does not fit, or a header cannot be sent. A job of which that is only known
                with the app, or with its ``/info``, ends in this error.
        """
        return self.send_piece(job, Piece(chunk, headers), latest=latest)

    def send_piece(self, job: int, piece: Piece, *, latest: bool = False) -> int:
        """As ``send``, for a piece put together elsewhere."""
        found = self._taking_pieces(job)
        number = found.input.add(piece.data, latest=latest, headers=piece.headers)
        self._asked()
        return number

    def end_input(self, job: int) -> None:
        """End a streaming input: the job completes after the pieces that wait.

        Raises:
            LocalProtocolError: as ``send``.
        """
        self._taking_pieces(job).input.add(None)
        self._asked()

    def endpoint_of(self, job: int) -> Endpoint | None:
        """The endpoint that a job under way calls; None as long as the app is not known."""
        found = self._jobs.get(job)
        return found.endpoint if found is not None and job not in self._line else None

    def pause(self, job: int, *, on: bool = True) -> bool:
        """Leave what a job yields with the server, or (not *on*) take it again; False: impossible.

        The job must have an event stream of its own: be isolated, or speak ``sse`` or ``call``.
        Meanwhile no deadline passes but the job's. (A WebSocket has to answer pings.)
        """
        self._asked()
        found = self._jobs.get(job)
        return found is not None and self._context.exchanges.pause(found.stream, on)

    def request_info(self) -> None:
        """Ask for ``/info``: ``Connected`` comes again, or ``ConnectingFailed``.

        Raises:
            LocalProtocolError: the session is closed.
        """
        self._demand_open()
        self._discovery.request_info()
        self._asked()

    def reload(self) -> None:
        """Read the app's config again, and ``/info`` if it was known: ``Connected`` comes, or
        ``ConnectingFailed``. Jobs asked for meanwhile wait for it.

        From then on ``fn_index`` counts in the new config.

        Raises:
            LocalProtocolError: the session is closed.
        """
        self._demand_open()
        self._wants_new = True
        self._discovery.find_anew()
        self._asked()

    def reset(self) -> None:
        """Go on in a new session; jobs under way in the old one are cancelled.

        Raises:
            LocalProtocolError: the session is closed.
        """
        self._demand_open()
        for job in list(self._jobs.values()):
            if job.id not in self._line:
                job.cancel()
        self._dispatch.renew()
        self._discovery.forget_renders()
        self._asked()

    def close(self) -> None:
        """Cancel all jobs and leave; ``SessionClosed`` is the last event."""
        if self._closing:
            return
        self._closing = self._context.is_closing = True
        self._context.timers.start("close", self._context.timeouts.close, self._force_close)
        self._asked()
        if not self._jobs:
            self._leave()
        for job in list(self._jobs):
            self.cancel(job)

    def _demand_open(self) -> None:
        if self._closing:
            raise LocalProtocolError("this session is closed")

    def _asked(self) -> None:
        self._context.timers.ask_for_time()
        self._on_asked(self)

    # Discovery.

    def _connected(self, app: AppInfo) -> None:
        before, self.app = self.app, app
        if before is None or app.config is not before.config:
            self._meet(app, before)
        self._context.app = app
        self._context.emit(Connected(session=self.id, app=app))
        self._start_waiting()

    def _meet(self, app: AppInfo, before: AppInfo | None) -> None:
        """The app is *app*, which is not, or may not be, the one *before*."""
        context = self._context
        is_new = before is not None and not app.is_same_run(before)
        if is_new and not context.has_told_loss:
            context.session_lost()
        if before is not None:
            self._context = context = context.copy()
        self.protocol = self._forced or detect(app.protocol_name, app.version)
        context.traits = spoken(self.protocol)
        context.base = api_base(self._discovery.page, app.api_prefix)
        self._dispatch.go_on(context, renew=is_new)
        at_once = 1 if has(app.version, Feature.LOST_IN_LINE) else context.limits.job_connections
        self._line.at_once = at_once
        if (name := app.protocol_name) is not None and name not in PROTOCOLS:
            context.anomaly(f"an unknown protocol, spoken to as the newest: {name!r}")
        if self._seen is None or self._wants_new:
            self._seen, self._wants_new = app, False
        self._numbers_hold = app.has_functions_of(self._seen)
        if is_new:
            held, self._held = self._held, {}
            for job in held.values():
                what = "the app was started anew in the middle of the job"
                job.fail(ConnectionLost(what, phase="stream"))

    def _same(self) -> None:
        self._context.has_told_loss = False
        self._start_waiting()

    def _start_waiting(self) -> None:
        held, self._held = self._held, {}
        for job in held.values():
            job.carrier.start(job)
        for job in self._line.for_app:
            self._start(job)
        if self.app is not None and self.app.has_info:
            for job in self._line.for_info:
                self._start(job)

    def _not_connected(self, error: GradioError, missing: Missing) -> None:
        self._context.emit(ConnectingFailed(session=self.id, error=error))
        if Missing.APP in missing:
            held, self._held = self._held, {}
            for job in held.values():
                job.fail(error)
            for job in self._line.for_app:
                self._fail_unstarted(job, error, may_try_again=self.app is not None)
        if Missing.INFO in missing:
            for job in self._line.for_info:
                self._fail_unstarted(job, error)

    def _start(self, job: Job) -> None:
        """Start *job* if everything is known by now, and if it is its turn."""
        if self.app is None or not self._discovery.is_current:
            self._line.wait_for_app(job)
            self._discovery.find()
            return
        call, traits = job.call, self._context.traits
        try:
            endpoint = self._endpoint_of(call, self.app)
            by_name = traits.handover is Handover.JOINING_BY_NAME
            needs_info = by_name or endpoint.needs_info(call.args, call.kwargs)
            # The refusal of too many is to show the names that the server has for parameters.
            needs_info = needs_info or len(call.args) > len(endpoint.parameters)
            if needs_info and not self.app.has_info:
                self._line.wait_for_info(job)
                self._discovery.request_info()
                return
            data = endpoint.bind(call.args, call.kwargs, call.options)
        except LocalProtocolError as error:
            self._fail_unstarted(job, error)
            return
        except Exception as error:  # see ``Context.fault``
            self._fail_unstarted(job, self._context.fault(error, job=job.id))
            return
        has_turns = self._dispatch.needs_connection(call, endpoint)
        if self._line.lets_go(job, has_turns=has_turns):
            job.begin(self._context, endpoint, data, self._over)
            try:
                self._hand_in(job)
            except Exception as error:  # see ``Context.fault``
                job.break_off(error)

    def _endpoint_of(self, call: Call, app: AppInfo) -> Endpoint:
        """What *call* means in *app*, of which the application may not have heard yet.

        Raises:
            LocalProtocolError: there is no such thing, or it may be another one by now.
        """
        seen = self._seen
        assert seen is not None
        if call.api_name is not None or self._numbers_hold:
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

    def _start_next(self) -> None:
        while (job := self._line.next) is not None:
            self._start(job)

    def _fail_unstarted(self, job: Job, error: GradioError, *, may_try_again: bool = False) -> None:
        seconds = job.try_again_after(error, self._context) if may_try_again else None
        if seconds is not None:
            self._line.wait_for_time(job)
            self._context.timers.start(("again", job.id), seconds, partial(self._start, job))
            return
        own = error.for_job(job.id).located(phase="submit", url=self._context.base.public)
        self._context.emit(JobFailed(session=self.id, job=job.id, error=own))
        self._over(job)

    # Jobs.

    def _hand_in(self, job: Job) -> None:
        # Looked at in some protocols only: in the others a job must not cost what all others do.
        others = (other for other in self._jobs.values() if other.id not in self._line)
        self._dispatch.start(job, others)

    def _keeps_back(self, request: int) -> bool:
        """Whether a request is not sent after all, since the app may be another one by now."""
        if self._discovery.is_current:
            return False
        id = self._context.exchanges.job_handed_in_by(request)
        job = None if id is None else self._jobs.get(id)
        if job is None or not self._may_be_taken_back(job):
            return False
        self._context.exchanges.forget(request)
        self._put_back(job)
        return True

    def _take_back(self, job: Job) -> bool:
        if self._discovery.is_current or not self._may_be_taken_back(job):
            return False
        self._put_back(job)
        return True

    def _may_be_taken_back(self, job: Job) -> bool:
        return job.taken_back < _TAKEN_BACK

    def _put_back(self, job: Job) -> None:
        """Have a job wait until it is known whether the app is still the same."""
        job.taken_back += 1
        if job.is_given_up:
            job.leave()
        elif job.is_running:
            self._held[job.id] = job
            self._discovery.find()
        else:
            job.unbind()
            self._start(job)

    def _running(self, job: int) -> Job:
        found = self._jobs.get(job)
        if found is None or found.is_over:
            raise LocalProtocolError(f"job {job} is over, or was never there")
        return found

    def _taking_pieces(self, job: int) -> Job:
        found = self._running(job)
        # One that has begun knows by itself.
        app = self.app if job in self._line and self._discovery.is_current else None
        if app is not None and not self._endpoint_of(found.call, app).streaming:
            raise no_pieces()
        return found

    def _expire(self, job: Job) -> None:
        if job.id in self._line:
            self._fail_unstarted(job, DeadlineExceeded(phase="job"))
        else:
            job.expire()

    def _fail_job(self, id: int, error: GradioError) -> None:
        """End the job of this number in *error*, wherever it is."""
        job = self._jobs[id]
        if id in self._line:
            self._fail_unstarted(job, error)
        else:
            job.fail(error)

    def _over(self, job: Job) -> None:
        self._context.timers.stop(("job", job.id))
        self._context.timers.stop(("again", job.id))
        del self._jobs[job.id]
        self._held.pop(job.id, None)
        self._line.leave(job)
        self._dispatch.over(job)
        if self._line.next is not None and not self._closing:
            self._context.timers.start("next", 0.0, self._start_next)
        if self._closing and not self._jobs:
            self._leave()

    # Closing.

    def _leave(self) -> None:
        self._context.timers.stop("close")
        self._dispatch.close()
        self._context.exchanges.abort_all()
        self._context.events.put_last(SessionClosed(session=self.id))

    def _force_close(self) -> None:
        for job in list(self._jobs.values()):
            job.leave()


def _login(auth: tuple[str, str] | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    if not is_a(auth, tuple, list) or len(auth) != 2:
        raise OptionError("auth is (user, password), and not something else.")  # it is a secret
    user, password = auth
    return text(user, "auth: the user"), text(password, "auth: the password")
