"""The common core of all clients: one session and its jobs. It never waits.

Rule 1: everything here is called in the thread (or by the tasks) that runs the engine, except
``new_job`` and verbs that only read.

Rule 2: ``receive`` takes events and calls nothing outside; ``publish``, after the step, wakes all
that wait. So they find the engine at rest, and may ask it for more.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.commands import Observe
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.streaming_input import Piece
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
    LocalProtocolError,
    OptionError,
    unforeseen,
)
from sansio_gradio.events import (
    Accepted,
    Connected,
    ConnectingFailed,
    DownloadCompleted,
    DownloadEvent,
    DownloadFailed,
    DownloadReceived,
    DownloadStarted,
    Event,
    JobCancelled,
    JobCompleted,
    JobFailed,
    MessageReceived,
    Output,
    OutputsGrew,
    SessionClosed,
    SessionLost,
    StatusUpdated,
    TokenRefused,
    UploadProgress,
)
from sansio_gradio.given import flag, function, is_a, name_of, refused, text
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.files import rules_of
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.protocol.remote_files import RemoteFile, as_argument, with_files
from sansio_gradio.protocol.spaces import HUB, hub_base, space_name
from sansio_gradio_adapters._downloads import DownloadRecord
from sansio_gradio_adapters._environment import environment_proxies, hub_address, saved_token
from sansio_gradio_adapters._fast_json import installed_parser
from sansio_gradio_adapters._fetching import Fetching
from sansio_gradio_adapters._files import noted
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord, Signal
from sansio_gradio_adapters._options import ClientOptions
from sansio_gradio_adapters._saving import OnProgress
from sansio_gradio_adapters._streams import OpenStreams
from sansio_gradio_adapters._threads import BlockingThreads
from sansio_gradio_adapters._tokens import GivenToken, Token

_log: Final = logging.getLogger(__name__)


class ClientCore:
    """One session and its state."""

    def __init__(
        self,
        options: ClientOptions,
        cancelled_error: type[JobCancelledError] = JobCancelledError,
    ) -> None:
        token, observe = options.token, options.observe
        trusts_env = flag(options.trust_env, "trust_env")
        hub = hub_address() if trusts_env else HUB
        is_space = space_name(text(options.src, "src"), hub_base(hub)) is not None
        if token is None and is_space and trusts_env:
            token = saved_token()
        self.token = Token(token, "token")
        self.oauth_token = Token(options.oauth_token, "oauth_token")
        self.engine = Engine(
            entropy=os.urandom,
            wall_offset=time.time() - time.monotonic(),
            limits=options.limits,
            timeouts=options.timeouts,
            observe=None if observe is None else _told_of_faults(function(observe, "observe")),
            strict=options.strict,
            json_loads=installed_parser() if options.json_loads is None else options.json_loads,
        )
        self.session = self.engine.session(
            options.src,
            session_hash=options.session_hash,
            headers=() if options.headers is None else options.headers,
            cookies=() if options.cookies is None else options.cookies,
            auth=options.auth,
            token=self.token.now,
            token_rotates=self.token.function is not None,
            oauth_token=self.oauth_token.now,
            hub=hub,
            protocol=options.protocol,
            retry=options.retry,
            proxy=environment_proxies() if options.proxy is None and trusts_env else options.proxy,
        )
        self.app: AppInfo | None = None
        """The app as far as it is known; None until connected."""
        self.error: BaseException | None = None
        """Why the app, or its ``/info``, could not be read the last time."""
        self.failures = 0
        """How often reading them failed."""
        self.reads = 0
        """How often the config was read successfully."""
        self.is_closed = False
        """The engine has nothing more to say."""
        self.changed = Signal()
        """One of the above has changed."""
        self.is_busy = False
        """The engine is at work: nothing may be asked of it now."""
        self.limits = options.limits or Limits()
        self.timeouts = options.timeouts or Timeouts()
        self.jobs: dict[int, JobRecord] = {}
        """The jobs that are not over, by the engine's number, oldest first."""
        self.streams = OpenStreams(self)
        self.cancelled_error = cancelled_error
        self.downloads: dict[int, DownloadRecord] = {}
        """The downloads that are not over, by the engine's number."""
        self.make_file: Callable[[dict[str, Any], str, str], RemoteFile] = RemoteFile
        """Makes the files that this client hands out: of a dict, the address of the API, and what
        stands before a path there."""
        self._opened: dict[DownloadRecord, None] = {}  # also those that have no number yet
        self._folder = _folder(options.download_files)
        self._fetching: dict[JobRecord, Fetching] = {}
        self.threads = BlockingThreads(self.limits.downloads)
        """For downloads that are saved by the client itself."""
        self.post: Callable[[Callable[[], object]], object]
        """Calls a note in the thread that runs the engine, which sets this. Finalisers may call
        it."""
        self._bound: set[int] = set()  # jobs that keep the shape of an app that is gone
        self._shapes: dict[tuple[str | int | None, ...], Callable[[tuple[Any, ...]], Any]] = {}
        self._api_url = ""
        self._touched: dict[JobRecord | DownloadRecord, None] = {}
        self._has_news = False
        self._fault: BaseException | None = None
        self._process = os.getpid()

    def renew_tokens(self, do_soon: Callable[[Callable[[], object]], object]) -> None:
        """Ask the caller's functions for the tokens of the moment.

        Called in the caller's thread, before each verb: a function may wait, and may raise, and
        neither touches the engine.
        """
        if self.token.ask():
            do_soon(self._tell_token)
        if self.oauth_token.ask():
            do_soon(self._tell_oauth_token)

    def set_token(
        self, token: GivenToken, do_soon: Callable[[Callable[[], object]], object]
    ) -> None:
        """Send another token from now on."""
        self.token.set(token)
        do_soon(self._tell_token)

    def set_oauth_token(
        self, token: GivenToken, do_soon: Callable[[Callable[[], object]], object]
    ) -> None:
        """Give apps another token from now on."""
        self.oauth_token.set(token)
        do_soon(self._tell_oauth_token)

    def _tell_token(self) -> None:
        self.session.set_token(self.token.now, rotates=self.token.function is not None)

    def _renew_refused_token(self) -> None:
        """Ask the caller's function in a thread of its own, since it may wait."""
        ask = threading.Thread(target=self._ask_for_another_token, name="token", daemon=True)
        try:
            ask.start()
        except RuntimeError:  # there are too many threads: the old token is refused again
            self.post(self._tell_token)

    def _ask_for_another_token(self) -> None:
        try:
            self.token.ask()
        except BaseException:  # the caller's own; the jobs end in the refusal of the old token
            _log.exception("token= has raised when it was asked for another token")
        self.post(self._tell_token)

    def _tell_oauth_token(self) -> None:
        self.session.set_oauth_token(self.oauth_token.now)

    def new_job(self, call: Call, messages: MessageQueue | None = None) -> JobRecord:
        """The record of a job that ``begin`` will ask the engine for; *messages*: see there.

        Raises:
            LocalProtocolError: a file among the arguments cannot be read.
        """
        call = call.with_files(partial(noted, base=self._api_url))
        return JobRecord(
            call=call,
            shape=partial(self._shape, call),
            messages=messages,
            kept_bytes=self.limits.kept_outputs,
            cancelled_error=self.cancelled_error,
            resume=self._resume_soon,
        )

    def begin(self, record: JobRecord) -> None:
        """Ask the engine for a job, unless it was cancelled already."""
        if record.is_over:
            return
        try:
            self.demand_open()
            timeout = record.call.timeout
            timeout = self.timeouts.job if timeout is None else timeout
            record.until = None if timeout is None else time.monotonic() + timeout
            record.id = self.session.begin(record.call)
        except Exception as error:  # such as a header that cannot be sent: it fails this job only
            record.refuse(error)
            return
        self.jobs[record.id] = record

    def demand_open(self) -> None:
        """Raise an error if the client is closed or lost."""
        if (error := self.why_not) is not None:
            raise error

    @property
    def why_not(self) -> BaseException | None:
        """The error because of which the client is closed or lost; None: it is open."""
        if self._fault is None and self.is_closed:
            return LocalProtocolError("The client is closed.")
        return self._fault

    def demand_own_process(self) -> None:
        """Raise if this is a fork of the process that the client was made in.

        Raises:
            LocalProtocolError: this process is a fork. The connections, and the thread or loop that
                runs them, are the parent's.
        """
        if os.getpid() != self._process:
            raise LocalProtocolError(
                "This process was forked from the one that the client was made in, where its"
                " connections are: make a client of its own here."
            )

    @property
    def is_own_process(self) -> bool:
        return os.getpid() == self._process

    def cancel(self, record: JobRecord) -> None:
        """Cancel a job that has begun: stop it in the engine, and wake all that wait for it."""
        self.streams.close(record)
        if (fetching := self._fetching.pop(record, None)) is not None:
            fetching.give_up()
        if record.id is not None:
            self.session.cancel(record.id)
        record.tell()

    def _pause(self, record: JobRecord) -> None:
        assert record.id is not None
        record.is_paused = record.may_be_paused = self.session.pause(record.id)
        if record.is_awaited:  # since the look at it
            self._resume(record)

    def _resume_soon(self, record: JobRecord) -> None:
        self.post(partial(self._resume, record))

    def _resume(self, record: JobRecord) -> None:
        if record.is_paused and record.id is not None:
            record.is_paused = False
            self.session.pause(record.id, on=False)

    def give_up(self, record: JobRecord) -> None:
        """Cancel a job to which nothing refers any more."""
        if record.cancel():
            self.cancel(record)

    def send(self, record: JobRecord, piece: Piece, *, latest: bool) -> None:
        """Give a job whose input is streaming its next piece.

        Raises:
            LocalProtocolError: the job is over or takes no pieces, or its input was ended.
        """
        self.session.send_piece(_begun(record), piece, latest=latest)

    def end_input(self, record: JobRecord) -> None:
        """End a streaming input; raises as ``send``."""
        self.session.end_input(_begun(record))

    def reset_session(self) -> None:
        """Go on in a new session."""
        self.session.reset()
        self.streams.session_ended()
        self.publish()

    def demand_protocol(self, protocol: str) -> None:
        """Raise if *protocol* is not the protocol of the session.

        Raises:
            ValueError: it is another one, or there is none of that name.
        """
        if protocol != self.session.protocol:
            raise ValueError(
                f"This app is spoken to in {self.session.protocol!r}, as client.protocol says,"
                f" not in {protocol!r}."
            )

    def ask_for_info(self) -> int:
        """Ask for ``/info``; ``app.has_info`` or ``has_failed`` tell when it is there.

        Returns the number of ``failures`` before, for ``has_failed``.
        """
        known = self.session.app  # also where the event that says so is still on its way
        if known is None or not known.has_info:
            self.session.request_info()
        return self.failures

    def reload(self) -> tuple[int, int]:
        """Ask for the config again: there is one more of ``reads`` then, or of ``failures``.

        Returns how many there are of both.
        """
        self.demand_open()
        self.session.reload()
        return self.reads, self.failures

    def has_failed(self, since: int = 0) -> bool:
        """Whether a question asked after *since* failures has failed."""
        return self.failures != since or self.is_closed

    def raise_error(self, since: int = 0) -> None:
        """Raise the error if a question asked after *since* failures has failed.

        A copy is raised each time: a raised error refers to the frames of its caller.
        """
        error = self.error
        if self.failures == since:
            if self.is_closed:
                raise LocalProtocolError("The client is closed.")
        elif isinstance(error, GradioError):
            twin = copy.copy(error)
            twin.__cause__ = error.__cause__
            raise twin
        elif error is not None:
            raise error

    def receive(self, event: Event) -> None:
        """The sink of the session's events. An exception here ends only the job of the event."""
        try:
            self._take(event)
        except Exception as error:  # a fault of ours, which is no affair of the other jobs
            _log.exception("an event could not be taken: %s", type(event).__name__)
            record = self.jobs.pop(getattr(event, "job", None) or 0, None)
            if record is not None and record.id is not None:
                record.add_end(unforeseen(error))
                self.touch(record)
                self.session.cancel(record.id)

    def _take(self, event: Event) -> None:
        match event:
            case MessageReceived():
                self._record(event.job).add_message(event.message)
            case StatusUpdated():
                self._record(event.job).add_status(event.status)
            case UploadProgress():
                self._record(event.job).add_progress(event)
            case Output():
                self._record(event.job).add_output(event)
            case OutputsGrew():
                record = self._record(event.job)
                record.add_outputs(event.outputs)
                if record.may_be_paused and not record.is_paused and record.is_behind:
                    self._pause(record)
            case Accepted():
                self.streams.accepted(event)
            case JobCompleted() | JobFailed() | JobCancelled():
                record = self._record(event.job)
                if self.app is not None and event.job not in self._bound:
                    record.shape = self._shape_of(record.call)  # also for a later app
                self._bound.discard(event.job)
                del self.jobs[event.job]
                if not (isinstance(event, JobCompleted) and self._fetches(record, event)):
                    record.add_end(event)
                self.streams.ended(record, event)
            case DownloadStarted() | DownloadReceived() | DownloadCompleted() | DownloadFailed():
                self._hear(event)
            case TokenRefused():
                self._renew_refused_token()
            case Connected():
                if self.app is not None and event.app.config is not self.app.config:
                    self._keep_shapes()
                if not self.session.is_finding_out:
                    self.reads += 1
                self.app = event.app
                self._api_url = self.session.api_url
                self.error = None
                self._shapes.clear()
                self._has_news = True
            case ConnectingFailed():
                self.error = event.error
                self.failures += 1
                self._has_news = True
            case SessionLost():
                self.streams.session_ended(ConnectionLost("The session was lost.", phase="stream"))
            case SessionClosed():
                self.is_closed = True
                self._has_news = True
                self._end_files(LocalProtocolError("The client was closed."))
                self.streams.session_ended()
            case _:
                pass  # anomalies are for ``observe``

    def publish(self) -> None:
        """Wake all that wait for the received events."""
        busy, self.is_busy = self.is_busy, False
        try:
            if self._has_news:
                self.streams.app_changed()
            self.streams.publish()
            for record in list(self._touched):
                self._touched.pop(record, None)
                try:
                    record.publish()
                except Exception:  # a fault of ours, which is no affair of the other jobs
                    _log.exception("what job %s has come to could not be told", record.id)
            if self._has_news:
                self._has_news = False
                self.changed.notify()
        finally:
            self.is_busy = busy

    def touch(self, record: JobRecord | DownloadRecord) -> None:
        """Note that *record* has something to publish."""
        self._touched[record] = None

    def break_down(self, error: BaseException) -> None:
        """The machine itself has failed: end all jobs in *error*, and refuse further calls."""
        self._fault = self.error = error
        self.failures += 1
        self.is_closed = True
        self._has_news = True
        for record in self.jobs.values():
            record.add_end(error)
            self.touch(record)
        self.jobs.clear()
        self._end_files(error)
        self.streams.session_ended(error)
        self.publish()

    def _record(self, job: int) -> JobRecord:
        record = self.jobs[job]
        self._touched[record] = None
        return record

    def _keep_shapes(self) -> None:
        """Another app takes the place of the one that some jobs run in."""
        for job, record in self.jobs.items():
            if (endpoint := self.session.endpoint_of(job)) is not None:
                record.shape = self._result_of(endpoint)
                self._bound.add(job)

    def _shape(self, call: Call, values: tuple[Any, ...]) -> Any:
        """The caller's value for the values of all output components."""
        return self._shape_of(call)(values)

    def _shape_of(self, call: Call) -> Callable[[tuple[Any, ...]], Any]:
        what = call.api_name, call.fn_index, call.component, call.function, call.is_upload
        shape = self._shapes.get(what)
        if shape is None:
            assert self.app is not None  # a job that has yielded had an app to run in
            try:
                endpoint = call.endpoint_of(self.app)
            except LocalProtocolError:  # it was rendered, and is gone again
                return _as_they_are
            shape = self._shapes[what] = self._result_of(endpoint)
        return shape

    def _result_of(self, endpoint: Endpoint) -> Callable[[tuple[Any, ...]], Any]:
        assert self.app is not None
        return with_files(endpoint, self.app.version, self._file)

    # Files.

    def file_of(self, given: Mapping[str, Any]) -> RemoteFile:
        """Make a file of this client, from another ``RemoteFile`` or from a dict of a result.

        Raises:
            OptionError: it is neither.
        """
        if isinstance(given, RemoteFile):
            return self.make_file(dict(given), given.base, given.route)
        assert self.app is not None
        rules = rules_of(self.app.version)
        if not is_a(given, dict) or not rules.is_file(given):
            what = "file is a RemoteFile, or the dict of a file in a result"
            raise OptionError(f"{what}: this {name_of(given)} is neither.")
        return self._file(dict(given), rules.route)

    def _file(self, value: dict[str, Any], route: str) -> RemoteFile:
        return self.make_file(value, self._api_url, route)

    def open_download(
        self,
        file: RemoteFile,
        *,
        resume: bool = True,
        growing: bool = False,
        until: float | None = None,
    ) -> DownloadRecord:
        """Begin to fetch a file; from any thread. *until*: as ``JobRecord.until``."""
        record = DownloadRecord(
            file=file, resume=resume, growing=growing, until=until, steer=self._steer_soon
        )
        self._opened[record] = None
        if (error := self.why_not) is not None:  # after the line above: closing looks there
            record.end(error)
        else:
            self.post(partial(self._begin_download, record))
        return record

    def _begin_download(self, record: DownloadRecord) -> None:
        if record.is_over:
            return
        self.touch(record)
        try:
            self.demand_open()
            until = record.until
            record.id = self.session.download(
                record.file,
                resume=record.resume,
                growing=record.growing,
                timeout=None if until is None else max(0.0, until - time.monotonic()),
            )
        except Exception as error:  # it fails this download only
            record.end(error)
            self._opened.pop(record, None)
            return
        self.downloads[record.id] = record

    def _hear(self, event: DownloadEvent) -> None:
        record = self.downloads.get(event.download)
        if record is None:
            return  # given up
        self.touch(record)
        if record.add(event):
            record.is_paused = self.session.pause(event.download)
            if record.is_read:  # since the look at it: a reader looks in the other order
                self._steer(record, True)
        if record.is_over:
            self._forget(record)

    def _forget(self, record: DownloadRecord) -> None:
        self._opened.pop(record, None)
        if record.id is not None:
            self.downloads.pop(record.id, None)

    def _steer_soon(self, record: DownloadRecord, on: bool) -> None:
        self.post(partial(self._steer, record, on))

    def _steer(self, record: DownloadRecord, on: bool) -> None:
        if not on:
            self._forget(record)
            if record.id is not None:
                self.session.cancel(record.id)
        elif record.is_paused and record.id is not None:
            record.is_paused = False
            self.session.pause(record.id, on=False)

    def _fetches(self, record: JobRecord, event: JobCompleted) -> bool:
        """Whether the files of a result are downloaded first."""
        if self._folder is None or record.is_over or record.call.is_upload:
            return False

        def done(fetching: Fetching) -> None:
            self.post(partial(self._fetched, record, event, fetching))

        fetching = Fetching(
            record.shape(event.data),
            self._folder,
            limit=self.limits.download,
            open_download=partial(self.open_download, until=record.until),
            done=done,
        )
        if fetching.has_files:
            self._fetching[record] = fetching
            fetching.start(self.threads)
        return fetching.has_files

    def _fetched(self, record: JobRecord, event: JobCompleted, fetching: Fetching) -> None:
        if self._fetching.pop(record, None) is None:
            return
        if fetching.is_late:
            what = "The deadline passed while the files of the result were downloaded."
            late = DeadlineExceeded(what, phase="job", url=self._api_url)
            record.add_end(late.for_job(event.job, record.yielded or (event.data,)))
        else:
            record.fetched.append(fetching.result)
            record.add_end(event)
        self.touch(record)

    def _end_files(self, error: BaseException) -> None:
        """The client is closed, or lost."""
        for download in list(self._opened):
            download.end(error)
            self.touch(download)
        self._opened.clear()
        self.downloads.clear()
        for record in list(self._fetching):
            record.add_end(error)
            self.touch(record)
        self._fetching.clear()


def _folder(download_files: object) -> Path | None:
    """The folder of the option ``download_files``; None: nothing is downloaded by itself.

    Raises:
        OptionError: it is not the path of a folder.
    """
    if download_files is False or download_files is None:
        return None
    if not is_a(download_files, str, PathLike) or download_files == "":
        raise refused(download_files, "download_files", "the path of a folder, or False")
    path = Path(cast("str | PathLike[str]", download_files))
    if path.exists() and not path.is_dir():
        raise OptionError("download_files is the path of a folder, but a file is there.")
    return path


def upload_of(source: Any, on_progress: OnProgress | None) -> Call:
    """The call that uploads *source*, which ``handle_file`` may have marked already.

    Raises:
        OptionError: *source* is no file, or *on_progress* is no function.
    """
    if on_progress is not None:
        function(on_progress, "on_progress")
    file = as_argument(source) or handle_file(source)
    return Call.of_upload(file, want=Want.RESULT if on_progress is None else Want.STATUS)


def _as_they_are(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _begun(record: JobRecord) -> int:
    """The engine's number of the job."""
    if record.id is None:
        raise LocalProtocolError("The job has not begun, or could not.")
    return record.id


def _told_of_faults(observe: Observe) -> Observe:
    """*observe*, whose faults are logged: the engine tells it no more after the first."""

    def look(now: float, conn: int | None, direction: str, what: Any) -> None:
        try:
            observe(now, conn, direction, what)
        except Exception:  # the caller's own code; the engine gets the error, too
            _log.exception("observe has raised, and is told no more")
            raise

    return look


def nobody(_error: BaseException) -> None:
    """Told why something was refused that nothing waits for."""


def refuse_to_duplicate() -> NoReturn:
    """Duplicating a Space is no client's work.

    Raises:
        LocalProtocolError: always.
    """
    raise LocalProtocolError(
        "This library duplicates no Spaces: use huggingface_hub.duplicate_space, and then a Client"
        " of the new Space."
    )
