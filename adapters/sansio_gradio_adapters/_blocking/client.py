# Made from _awaited/client.py by `python3 dev.py blocking`: change that.

"""The verbs of the blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

from sansio_gradio.client.call import Call, Want
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.events import UploadProgress
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.wire.headers import Fields
from sansio_gradio_adapters._blocking.files import Files, RemoteFile
from sansio_gradio_adapters._blocking.jobs import Job, MessageStream, Results
from sansio_gradio_adapters._blocking.of_threads import JobCancelledError
from sansio_gradio_adapters._client import ClientCore, refuse_to_duplicate, upload_of
from sansio_gradio_adapters._driver import tls_context
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord
from sansio_gradio_adapters._mapping import Calls, OnError
from sansio_gradio_adapters._options import ClientOptions, made_from
from sansio_gradio_adapters._saving import OnProgress, PathText
from sansio_gradio_adapters._streams import Sending
from sansio_gradio_adapters._tokens import GivenToken
from sansio_gradio_adapters._worker import Worker


class OpenClient:
    """The verbs of a client. A world adds how it is opened and closed."""

    _files: Files

    @made_from(ClientOptions)
    def __init__(self, options: ClientOptions) -> None:
        """All but ``src`` are keywords.

        Args:
            src: the app's URL, or a Hugging Face Space (``owner/name``, or the URL of its page), or
                ``http+unix://%2Frun%2Fapp.sock/`` for a Unix socket. A query in it is sent with
                every request.
            token: a Hugging Face token, for a private Space: a text, or a function that returns the
                token of the moment. The function is called here and at each later call, in the
                caller's thread, and in another thread if the app refuses a job's token. None: the
                token that the user has saved, for a Space only; False: none.
            oauth_token: a Hugging Face token for the app's own use, which goes only to endpoints
                that ask for one; a text or a function, too.
            auth: user and password.
            headers, cookies: sent to the app with every request.
            protocol: speak this protocol, whatever the app announces.
            ssl_context: for https; None: the system's trust store.
            proxy: ``http://user:password@host:port``, for every address; None: the proxies of
                ``HTTPS_PROXY``, ``NO_PROXY`` and the like.
            trust_env: False: no environment variable is read; there is no saved token and no proxy
                then, unless you pass one.
            download_files: a folder; then results have the paths of files that were saved there,
                instead of ``RemoteFile``s.
            session_hash: go on in a session that the server knows.
            timeouts, limits: bounds; each has a default.
            retry: which failed jobs are handed in again; None: none.
            observe: ``observe(now, connection, direction, what)`` is called with all bytes,
                commands and events.
            strict: anomalies are errors.
            json_loads: another parser of JSON for what the server sends; None: orjson, if it is
                installed (the extra ``speed``) and gives exactly what Python's json gives.
        """
        self._set_up(options)

    def _set_up(self, options: ClientOptions) -> None:
        self._core = ClientCore(options, cancelled_error=JobCancelledError)
        self._ssl_context = tls_context(options.ssl_context)
        self._worker: Worker | None = None  # from its opening on
        self._is_open = False

    @property
    def app(self) -> AppInfo:
        """What the app tells of itself."""
        if self._core.app is None:
            self._open_worker()
        assert self._core.app is not None
        return self._core.app

    @property
    def config(self) -> Mapping[str, Any]:
        """The app's ``/config``, as the server sent it."""
        return self.app.config

    @property
    def protocol(self) -> str:
        """The protocol spoken with the app."""
        _ = self.app
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
        """The app's endpoints by ``fn_index``, as far as they are known.

        Facts that only ``/info`` tells, such as the names of parameters, are there after
        ``get_endpoints``, or after a call that needed them.
        """
        return self.app.endpoints

    def get_endpoints(self) -> Mapping[int, Endpoint]:
        """The app's endpoints by ``fn_index``. The first time, ``/info`` is fetched."""
        core = self._core
        if not self.app.has_info:
            worker = self._open_worker()
            worker.may_wait()
            since = worker.do(core.ask_for_info)
            worker.wait_until(core.changed, lambda: self.app.has_info or core.has_failed(since))
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
        its input in pieces, these arguments are the whole input. Ctrl-C gives the job up, too.

        Raises:
            AppError: the app said no.
            ConnectionError: something went wrong on the way; ``DeadlineExceeded`` is one.
            LocalProtocolError: there is no such endpoint, or the arguments do not fit it.
        """
        core, worker = self._core, self._open_worker()
        worker.may_wait()
        record = core.new_job(
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
            self._begin(record, worker)
            record.demand_outcome()
            worker.wait_until(record.ended, lambda: record.is_over)
        except BaseException as error:  # Ctrl-C: no caller has it
            worker.leave(partial(core.give_up, record), error)
            raise
        return record.value()

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
        worker = self._open_worker()
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
            worker.do_soon,
            call,
            inputs,
            in_flight=in_flight,
            ordered=ordered,
            on_error=on_error,
        )
        return Results(calls, self._core, worker, self)

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
        self._open_worker()
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
        core, worker = self._core, self._open_worker()
        messages = MessageQueue(core.limits.kept_outputs)
        call = Call(
            args=data, api_name=api_name, fn_index=fn_index, want=Want.MESSAGES | Want.OUTPUTS
        )
        record = core.new_job(call, messages)
        stream = MessageStream(record, messages, core, worker, self)
        open_it = partial(core.streams.open, record, messages, may_listen=not data)
        worker.do_soon(open_it, record.refuse)
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
        core, worker = self._core, self._open_worker()
        worker.may_wait()
        core.demand_protocol(protocol)
        sending = Sending.of(data, hash_data, request_headers, self.session_hash)
        try:
            worker.do_soon(partial(core.streams.send, sending), sending.refuse)
            worker.wait_until(
                sending.changed,
                lambda: sending.is_placed or sending.is_over,
                core.timeouts.send,
            )
        finally:
            worker.do_soon(partial(core.streams.give_up, sending))
        worker.wait_until(sending.changed, lambda: sending.is_over)
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
        self.get_endpoints()  # which are described best with ``/info``
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
        core, worker = self._core, self._open_worker()
        worker.may_wait()
        had_info = self.app.has_info
        reads, since = worker.do(core.reload)
        worker.wait_until(core.changed, lambda: core.reads != reads or core.has_failed(since))
        if core.reads == reads:
            core.raise_error(since)
        if had_info:
            self.get_endpoints()

    def set_token(self, token: GivenToken) -> None:
        """Send another token from now on: a text, a function, or None or False for none.

        Raises:
            LocalProtocolError: it is not a token, or the client is closed.
        """
        self._core.set_token(token, self._demand_open().do_soon)

    def set_oauth_token(self, token: GivenToken) -> None:
        """As ``set_token``, for the ``oauth_token``."""
        self._core.set_oauth_token(token, self._demand_open().do_soon)

    @classmethod
    def duplicate(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Not done: use ``huggingface_hub.duplicate_space``.

        Raises:
            LocalProtocolError: always.
        """
        refuse_to_duplicate()

    def reset_session(self) -> None:
        """Go on in a new session: State starts afresh, jobs under way are cancelled."""
        worker = self._open_worker()
        worker.may_wait()
        worker.do(self._core.reset_session)

    def __repr__(self) -> str:
        return f"<Client of {self._core.session.url}>"

    def _connect(self, worker: Worker) -> None:
        """Wait until the app has answered. Raises what keeps it from that."""
        core = self._core
        worker.wait_until(core.changed, lambda: core.app is not None or core.has_failed())
        core.raise_error()
        self._is_open = True

    def _begin(self, record: JobRecord, worker: Worker) -> None:
        worker.do_soon(partial(self._core.begin, record), record.refuse)

    def _submit(self, call: Call) -> Job:
        core, worker = self._core, self._open_worker()
        record = core.new_job(call)
        job = Job(record, core, worker, self)
        try:
            self._begin(record, worker)
        except BaseException as error:  # Ctrl-C: no caller will have it
            worker.leave(partial(core.give_up, record), error)
            raise
        return job

    def _open_worker(self) -> Worker:
        """What runs the engine of an open client. Every verb begins with this, and so with the
        tokens of the moment."""
        worker = self._demand_open()
        self._core.renew_tokens(worker.do_soon)
        return worker

    def _demand_open(self) -> Worker:
        """The same, without asking for the tokens of the moment: for the verbs that set another."""
        if self._worker is None:
            raise LocalProtocolError("The client is not connected yet: use `with`.")
        self._core.demand_own_process()
        if not self._is_open:
            raise LocalProtocolError("The client is closed.")
        return self._worker
