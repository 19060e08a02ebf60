"""The blocking client: ``Client``, ``Job`` and ``MessageStream``; and ``Loop``, for embedding.

One daemon thread for each client moves the bytes; jobs have no threads. Waiting blocks without
polling. Callbacks of ``add_done_callback`` run in that thread (after ``cancel``: in the caller's)
and must not wait for the client.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, overload

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.commands import Observe
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.events import UploadProgress
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.wire.headers import Fields
from sansio_gradio_adapters._blocking import (
    Job,
    JobCancelledError,
    MessageStream,
    Reader,
    Results,
    result_of,
)
from sansio_gradio_adapters._blocking_files import Files, FileStream, RemoteFile
from sansio_gradio_adapters._client import ClientCore, refuse_to_duplicate, upload_of
from sansio_gradio_adapters._driver import tls_context
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord, OutputUpdate
from sansio_gradio_adapters._mapping import Calls, OnError
from sansio_gradio_adapters._saving import OnProgress, PathText
from sansio_gradio_adapters._streams import Sending
from sansio_gradio_adapters._tokens import GivenToken
from sansio_gradio_adapters._waiting import wait_until
from sansio_gradio_adapters._worker import Worker
from sansio_gradio_adapters.loop import Loop

if TYPE_CHECKING:
    import ssl
    from contextlib import AbstractContextManager

    from sansio_gradio.server.app import App

__all__ = [
    "Client",
    "FileStream",
    "Job",
    "JobCancelledError",
    "Loop",
    "MessageStream",
    "OutputUpdate",
    "Reader",
    "RemoteFile",
    "Results",
    "handle_file",
    "serving",
]


class Client:
    """A client of one Gradio app, connected when it is made.

    ``src``: the app's URL, or a Hugging Face Space (``owner/name``, or the URL of its page), or
    ``http+unix://%2Frun%2Fapp.sock/`` for a Unix socket. A query in it is sent with every request.
    ``token``: a Hugging Face token, for a private Space: a text, or a function that returns the
    token of the moment. The function is called here and at each later call, in the caller's thread,
    and in another thread if the app refuses a job's token. None: the token that the user has saved,
    for a Space only; False: no token. ``oauth_token``: a
    Hugging Face token for the app's own use, which goes only to endpoints that ask for one; a text
    or a function, too. ``auth``: (user, password). ``headers`` and ``cookies``: sent to the app
    with every request. ``protocol``: speak this protocol, whatever the app announces.
    ``ssl_context``: for https; default: the system's trust store. ``proxy``:
    ``http://user:password@host:port``, for every address; None: the proxies of ``HTTPS_PROXY``,
    ``NO_PROXY`` and the like. ``trust_env=False``: no environment variable is read; there is no
    saved token and no proxy then, unless you pass one. ``download_files``: a folder; then
    results have the paths of files that were saved there, instead of ``RemoteFile``s.
    ``session_hash``: go on in a session that the server knows. ``observe(now, connection,
    direction, what)`` is called with all bytes, commands and events. ``strict``: anomalies are
    errors. ``retry``: which failed jobs are handed in again; None: none. ``json_loads``: another
    parser of JSON for what the server sends; default: orjson where it is installed (the extra
    ``speed``) and gives exactly what Python's json gives, else that.

    Raises:
        ConnectFailed, AuthenticationError, RemoteProtocolError, TooManyRequestsError,
        DeadlineExceeded: the app could not be reached or understood; all are ``ConnectionError``.
        LocalProtocolError: ``src`` or a header is invalid.
    """

    def __init__(
        self,
        src: str,
        *,
        token: GivenToken = None,
        oauth_token: str | Callable[[], str | None] | None = None,
        auth: tuple[str, str] | None = None,
        headers: Fields | None = None,
        cookies: Fields | None = None,
        protocol: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Proxies | None = None,
        trust_env: bool = True,
        download_files: PathText | Literal[False] = False,
        session_hash: str | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        retry: Retry | None = None,
        observe: Observe | None = None,
        strict: bool = False,
        json_loads: Callable[[str | bytes], Any] | None = None,
    ) -> None:
        self._core = core = ClientCore(
            src,
            token=token,
            oauth_token=oauth_token,
            auth=auth,
            headers=headers,
            cookies=cookies,
            protocol=protocol,
            proxy=proxy,
            trust_env=trust_env,
            download_files=download_files,
            session_hash=session_hash,
            timeouts=timeouts,
            limits=limits,
            retry=retry,
            observe=observe,
            strict=strict,
            json_loads=json_loads,
            cancelled_error=JobCancelledError,
        )
        self._worker = worker = Worker(core, tls_context(ssl_context))
        self._files = Files(core, worker, self)
        # One that is alive at exit is no mistake: it ends with the process.
        self._unclosed = weakref.finalize(self, _warn_and_close, repr(self), core, worker)
        self._unclosed.atexit = False
        try:
            worker.start()
            wait_until(core.changed, lambda: core.app is not None or core.has_failed())
            core.raise_error()
        except BaseException:
            worker.leave(core.session.close)
            self._unclosed.detach()
            raise

    @property
    def app(self) -> AppInfo:
        """What the app tells of itself."""
        assert self._core.app is not None
        return self._core.app

    @property
    def config(self) -> Mapping[str, Any]:
        """The app's ``/config``, as the server sent it."""
        return self.app.config

    @property
    def protocol(self) -> str:
        """The protocol spoken with the app."""
        assert self._core.session.protocol is not None
        return self._core.session.protocol

    @property
    def session_hash(self) -> str:
        """The name of this session on the server."""
        return self._core.session.session_hash

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the app has set, by name, as they are now."""
        return self._core.session.cookies

    @property
    def endpoints(self) -> Mapping[int, Endpoint]:
        """As ``get_endpoints``."""
        return self.get_endpoints()

    def get_endpoints(self) -> Mapping[int, Endpoint]:
        """The app's endpoints by ``fn_index``. The first time, ``/info`` is fetched."""
        core, worker = self._core, self._worker
        if not self.app.has_info:
            self._check_open()
            worker.may_wait()
            since = worker.ask(core.ask_for_info)
            wait_until(core.changed, lambda: self.app.has_info or core.has_failed(since))
            core.raise_error(since)
        return self.app.endpoints

    def predict(
        self,
        *args: Any,
        api_name: str | None = None,
        fn_index: int | None = None,
        headers: Fields | None = None,
        timeout: float | None = None,
        isolated: bool = False,
        event_data: Any = None,
        trigger_id: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call an endpoint and wait for its result: one value, or a tuple of several.

        ``headers`` are for this call only. ``timeout``: seconds until the job is given up.
        ``isolated``, ``event_data`` and ``trigger_id``: as for ``submit``. If the endpoint takes
        its input in pieces, these arguments are the whole input.

        Raises:
            AppError: the app said no.
            ConnectionError: something went wrong on the way; ``DeadlineExceeded`` is one.
            LocalProtocolError: there is no such endpoint, or the arguments do not fit it.
        """
        self._worker.may_wait()
        record = self._new_record(
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
                want=Want.RESULT,
                whole_input=True,
            )
        )
        try:
            _begin(self._core, self._worker, record)
            return result_of(record, self._worker)
        except BaseException:
            self._leave(
                record
            )  # after Ctrl-C the caller does not have it; has no effect on one that is over
            raise

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
        **kwargs: Any,
    ) -> Job:
        """Begin to call an endpoint; for the arguments and what ``result`` raises see ``predict``.

        ``isolated`` gives the job a session of its own: no shared State, and an exact cancel.
        ``event_data`` and ``trigger_id`` describe the event, as a browser sends it.
        """
        return self._submit(
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
                want=Want.STATUS | Want.GROWTH,
            )
        )

    def call_component(
        self, component: int, function: str, data: Any = None, *, timeout: float | None = None
    ) -> Job:
        """Begin to call a server function of a component, such as ``ls`` of a FileExplorer.

        ``component`` is its id, as in ``app.components``; ``data`` is the argument of the function.
        """
        return self._submit(
            Call(
                args=(data,),
                component=component,
                function=function,
                timeout=timeout,
                want=Want.STATUS | Want.GROWTH,
            )
        )

    def upload(self, source: Any, *, on_progress: OnProgress | None = None) -> RemoteFile:
        """Upload a file, and call nothing. What it returns may be an argument of later calls.

        ``source``: as for ``handle_file``, or a mark from it. ``on_progress(sent, total)`` is
        called with the bytes sent by now, and with all of them, None if that is not known.

        Raises:
            LocalProtocolError: it cannot be read, or the app has no upload (before Gradio 3.19).
            AppError: it is too large for the app.
            ConnectionError: something went wrong on the way.
        """
        job = self._submit(upload_of(source, on_progress))
        if on_progress is not None:
            for update in job.updates():
                if isinstance(update, UploadProgress):
                    on_progress(update.sent, update.total)
        file: RemoteFile = job.result()
        return file

    def map(
        self,
        inputs: Iterable[Any],
        api_name: str | None = None,
        *,
        fn_index: int | None = None,
        headers: Fields | None = None,
        timeout: float | None = None,
        isolated: bool = False,
        event_data: Any = None,
        trigger_id: int | None = None,
        in_flight: int = 8,
        ordered: bool = True,
        on_error: OnError = "raise",
    ) -> Results:
        """Call an endpoint with each of *inputs*: one argument, or several as a tuple.

        At most *in_flight* calls are held at a time, and an input is taken only when there is room
        for it. The results come in the order of the inputs, or without ``ordered`` as they are
        ready. A call that fails raises its error, and the others are given up; with
        ``on_error="return"`` the error takes the place of the result, with ``"skip"`` nothing does.
        ``timeout``: seconds for each call. The other options are those of ``predict``, for each
        call.
        """
        self._check_open()
        call = Call(
            api_name=api_name,
            fn_index=fn_index,
            headers=headers,
            timeout=timeout,
            isolated=isolated,
            event_data=event_data,
            trigger_id=trigger_id,
            want=Want.RESULT,
            whole_input=True,
        )
        calls = Calls(
            self._core,
            partial(_begin, self._core, self._worker),
            self._worker.leave,
            call,
            inputs,
            in_flight=in_flight,
            ordered=ordered,
            on_error=on_error,
        )
        return Results(calls, self._worker, self)

    def download(
        self,
        file: Mapping[str, Any],
        target: PathText,
        *,
        resume: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Save a file of this app; for the options and what is raised see ``RemoteFile.save``.

        ``file``: a ``RemoteFile``, also one that was unpickled, or the dict of a file as the server
        sends it in results.

        Raises:
            LocalProtocolError: it is no file, or one of another app.
        """
        own = self._core.file_of(file)
        return self._files.save(own, target, resume=resume, on_progress=on_progress)

    def stream_messages(
        self, *data: Any, api_name: str | None = None, fn_index: int | None = None
    ) -> MessageStream:
        """Call an endpoint and yield every message of the job as it arrives.

        Heartbeats and the end of the stream are left out, ``output.data`` is whole, and the
        fraction ``progress`` of each unit of ``progress_data`` is filled in. Without arguments, if
        some are required, nothing is called: the stream listens to the jobs that ``send_data``
        begins.
        """
        self._check_open()
        core = self._core
        messages = MessageQueue(core.limits.kept_outputs)
        call = Call(
            args=data, api_name=api_name, fn_index=fn_index, want=Want.MESSAGES | Want.OUTPUTS
        )
        record = core.new_job(call, messages)
        job = self._job_of(record)
        stream = MessageStream(job, job.messages(), messages, core)
        open_it = partial(core.streams.open, record, messages, may_listen=not data)
        self._worker.post(open_it, record.refuse)
        return stream

    def send_data(
        self,
        data: Mapping[str, Any],
        hash_data: Mapping[str, Any],
        protocol: str,
        request_headers: Mapping[str, str],
    ) -> Any:
        """Send *data* to the endpoint of the open ``stream_messages``, which gets the messages.

        ``data`` is the one argument, or has the list of all arguments as ``data["data"]``. If a job
        with a streaming input runs, *data* is its next piece; the server's answer is returned, or
        None if a later piece took its place. Otherwise a new job begins; the server's name of the
        job (``event_id``) is returned, or, in ``ws`` and ``sse``, its number here.

        Another endpoint may be given as ``fn_index``: in ``hash_data``, or beside the list. Other
        keys there are sent, too. ``protocol`` must be ``client.protocol``. ``request_headers`` are
        for this request only.

        Raises:
            ValueError: the session speaks another protocol.
            LocalProtocolError: no ``stream_messages`` was opened for ``Timeouts.send`` seconds,
                several are open, the data does not fit, or it is for another session.
            ConnectionError: the server could not be reached.
            AppError: the server refused it.
        """
        self._check_open()
        core, worker = self._core, self._worker
        core.demand_protocol(protocol)
        worker.may_wait()
        sending = Sending.of(data, hash_data, request_headers, self.session_hash)
        try:
            worker.post(partial(core.streams.send, sending), sending.refuse)
            patience = core.timeouts.send
            wait_until(sending.changed, lambda: sending.is_placed or sending.is_over, patience)
        finally:
            worker.leave(partial(core.streams.give_up, sending))
        wait_until(sending.changed, lambda: sending.is_over)
        return sending.result()

    @overload
    def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["str"] = "str"
    ) -> str: ...
    @overload
    def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["dict"]
    ) -> dict[str, Any]: ...
    def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["str", "dict"] = "str"
    ) -> str | dict[str, Any]:
        """The endpoints and how to call them: as text, or as a dict in the form of ``/info``.

        ``all_endpoints``: include undocumented endpoints.
        """
        _ = self.endpoints  # which are described best with ``/info``
        if return_format == "dict":
            return self.app.as_dict(all_endpoints=all_endpoints)
        return self.app.describe(all_endpoints=all_endpoints)

    def reload(self) -> None:
        """Read the app's config again, and ``/info`` if it was known, after the app has changed.

        After a restart of the app, calls by ``api_name`` find that out by themselves. Calls by
        ``fn_index`` do not: numbers count in the config that ``reload`` has read, or in the first
        one.

        Raises:
            ConnectionError: the app could not be reached or understood.
        """
        core, worker, had_info = self._core, self._worker, self.app.has_info
        self._check_open()
        worker.may_wait()
        reads, since = worker.ask(core.reload)
        wait_until(core.changed, lambda: core.reads != reads or core.has_failed(since))
        if core.reads == reads:
            core.raise_error(since)
        if had_info:
            self.get_endpoints()

    def set_token(self, token: GivenToken) -> None:
        """Send another token from now on: a text, a function, or None or False for none.

        Raises:
            LocalProtocolError: it is not a token, or the client is closed.
        """
        self._check_open()
        self._core.set_token(token, self._worker.leave)

    def set_oauth_token(self, token: GivenToken) -> None:
        """As ``set_token``, for the ``oauth_token``."""
        self._check_open()
        self._core.set_oauth_token(token, self._worker.leave)

    @classmethod
    def duplicate(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Not done: use ``huggingface_hub.duplicate_space``.

        Raises:
            LocalProtocolError: always.
        """
        refuse_to_duplicate()

    def reset_session(self) -> None:
        """Go on in a new session: State starts afresh, jobs under way are cancelled."""
        self._check_open()
        self._worker.may_wait()
        self._worker.ask(self._core.reset_session)

    def close(self) -> None:
        """Cancel all jobs and close; takes at most ``Timeouts.close``.

        Closing twice is fine. In a callback it does not wait. In a forked process nothing is done:
        the connections are the parent's.
        """
        if self._core.is_own_process:
            self._worker.leave(self._core.session.close)
            self._unclosed.detach()
            if not self._worker.is_current:
                self._worker.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self._core.session.url}>"

    def _new_record(self, call: Call) -> JobRecord:
        self._check_open()
        return self._core.new_job(call)

    def _job_of(self, record: JobRecord) -> Job:
        return Job(record, self._core, self._worker, self)

    def _leave(self, record: JobRecord) -> None:
        self._worker.leave(partial(self._core.give_up, record))

    def _submit(self, call: Call) -> Job:
        record = self._new_record(call)
        job = self._job_of(record)
        try:
            _begin(self._core, self._worker, record)
        except BaseException:
            self._leave(record)  # no caller will have it
            raise
        return job

    def _check_open(self) -> None:
        """Every verb begins with this, and so with the tokens of the moment."""
        self._core.demand_own_process()
        if not self._unclosed.alive:
            raise LocalProtocolError("The client is closed.")
        self._core.renew_tokens(self._worker.leave)


def _begin(core: ClientCore, worker: Worker, record: JobRecord) -> None:
    worker.post(partial(core.begin, record), record.refuse)


def _warn_and_close(name: str, core: ClientCore, worker: Worker) -> None:
    if core.is_own_process:
        worker.leave(core.session.close)
        if core.app is not None:
            warnings.warn(f"{name} was not closed", ResourceWarning, stacklevel=2)


def serving(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AbstractContextManager[str]:
    """Serve *app* while the ``with`` is open. Gives its address.

    Needs no Gradio. ``options`` are those of ``sansio_gradio_adapters.server.Server``, such as
    ``ssl_context`` for https.
    """
    # Not above: most clients serve nothing.
    from sansio_gradio_adapters import server  # noqa: PLC0415

    return server.serve_in_thread(app, host, port, **options)
