"""The client of worlds with ``await``, without its opening and closing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.commands import Observe
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import JobCancelledError, LocalProtocolError
from sansio_gradio.events import UploadProgress
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.wire.headers import Fields
from sansio_gradio_adapters._awaited import Job, MessageStream, Results
from sansio_gradio_adapters._awaited_files import Files, RemoteFile
from sansio_gradio_adapters._client import ClientCore, refuse_to_duplicate, upload_of
from sansio_gradio_adapters._driver import tls_context
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord
from sansio_gradio_adapters._machine import TaskWorld, wait_until
from sansio_gradio_adapters._mapping import Calls, OnError
from sansio_gradio_adapters._saving import OnProgress, PathText
from sansio_gradio_adapters._streams import Sending
from sansio_gradio_adapters._tokens import GivenToken

if TYPE_CHECKING:
    import ssl


class TaskClient:
    """A client of one Gradio app, connected when it is opened.

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
        LocalProtocolError: ``src`` or a header is invalid.
        ConnectFailed, AuthenticationError, RemoteProtocolError, TooManyRequestsError,
        DeadlineExceeded: when it is opened: the app could not be reached or understood; all are
        ``ConnectionError``.
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
        self._core = ClientCore(
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
        )
        self._ssl_context = tls_context(ssl_context)
        self._world: TaskWorld | None = None  # from its opening on, as the next one
        self._files: Files
        self._is_open = False

    @property
    def app(self) -> AppInfo:
        """What the app tells of itself."""
        if self._core.app is None:
            self._open_world()
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

    async def get_endpoints(self) -> Mapping[int, Endpoint]:
        """The app's endpoints by ``fn_index``. The first time, ``/info`` is fetched."""
        core, app = self._core, self.app
        if not app.has_info:
            world = self._open_world()
            since = world.machine.do(core.ask_for_info)
            await wait_until(
                world, core.changed, lambda: self.app.has_info or core.has_failed(since)
            )
            core.raise_error(since)
        return self.endpoints

    async def predict(
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
        its input in pieces, these arguments are the whole input. Cancelling the task gives the job
        up, too.

        Raises:
            AppError: the app said no.
            ConnectionError: something went wrong on the way; ``DeadlineExceeded`` is one.
            LocalProtocolError: there is no such endpoint, or the arguments do not fit it.
        """
        return await self._begin(
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
        return self._begin(
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
        return self._begin(
            Call(
                args=(data,),
                component=component,
                function=function,
                timeout=timeout,
                want=Want.STATUS | Want.GROWTH,
            )
        )

    async def upload(self, source: Any, *, on_progress: OnProgress | None = None) -> RemoteFile:
        """Upload a file, and call nothing. What it returns may be an argument of later calls.

        ``source``: as for ``handle_file``, or a mark from it. ``on_progress(sent, total)`` is
        called with the bytes sent by now, and with all of them, None if that is not known.

        Raises:
            LocalProtocolError: it cannot be read, or the app has no upload (before Gradio 3.19).
            AppError: it is too large for the app.
            ConnectionError: something went wrong on the way.
        """
        job = self._begin(upload_of(source, on_progress))
        if on_progress is not None:
            async for update in job.updates():
                if isinstance(update, UploadProgress):
                    on_progress(update.sent, update.total)
        file: RemoteFile = await job
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
        core, world = self._core, self._open_world()

        def begin(record: JobRecord) -> None:
            world.machine.do_soon(partial(core.begin, record))

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
            begin,
            world.machine.do_soon,
            call,
            inputs,
            in_flight=in_flight,
            ordered=ordered,
            on_error=on_error,
        )
        return Results(calls, world, self)

    async def download(
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
        self._open_world()
        own = self._core.file_of(file)
        return await self._files.save(own, target, resume=resume, on_progress=on_progress)

    def stream_messages(
        self, *data: Any, api_name: str | None = None, fn_index: int | None = None
    ) -> MessageStream:
        """Call an endpoint and yield every message of the job as it arrives.

        Heartbeats and the end of the stream are left out, ``output.data`` is whole, and the
        fraction ``progress`` of each unit of ``progress_data`` is filled in. Without arguments, if
        some are required, nothing is called: the stream listens to the jobs that ``send_data``
        begins.
        """
        core, world = self._core, self._open_world()
        messages = MessageQueue(core.limits.kept_outputs)
        call = Call(
            args=data, api_name=api_name, fn_index=fn_index, want=Want.MESSAGES | Want.OUTPUTS
        )
        record = core.new_job(call, messages)
        job = Job(record, core, world, self)
        stream = MessageStream(job, job.messages(), messages, world)
        world.machine.do_soon(partial(core.streams.open, record, messages, may_listen=not data))
        return stream

    async def send_data(
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
        core, world = self._core, self._open_world()
        core.demand_protocol(protocol)
        sending = Sending.of(data, hash_data, request_headers, self.session_hash)
        try:
            world.machine.do_soon(partial(core.streams.send, sending))
            patience = core.timeouts.send
            await wait_until(
                world, sending.changed, lambda: sending.is_placed or sending.is_over, patience
            )
        finally:
            world.machine.do_soon(partial(core.streams.give_up, sending))
        await wait_until(world, sending.changed, lambda: sending.is_over)
        return sending.result()

    @overload
    async def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["str"] = "str"
    ) -> str: ...
    @overload
    async def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["dict"]
    ) -> dict[str, Any]: ...
    async def view_api(
        self, *, all_endpoints: bool = False, return_format: Literal["str", "dict"] = "str"
    ) -> str | dict[str, Any]:
        """The endpoints and how to call them: as text, or as a dict in the form of ``/info``.

        ``all_endpoints``: include undocumented endpoints.
        """
        await self.get_endpoints()  # which are described best with ``/info``
        if return_format == "dict":
            return self.app.as_dict(all_endpoints=all_endpoints)
        return self.app.describe(all_endpoints=all_endpoints)

    async def reload(self) -> None:
        """Read the app's config again, and ``/info`` if it was known, after the app has changed.

        After a restart of the app, calls by ``api_name`` find that out by themselves. Calls by
        ``fn_index`` do not: numbers count in the config that ``reload`` has read, or in the first
        one.

        Raises:
            ConnectionError: the app could not be reached or understood.
        """
        core, world = self._core, self._open_world()
        had_info = self.app.has_info
        reads, since = core.reload()
        world.step_soon()
        await wait_until(world, core.changed, lambda: core.reads != reads or core.has_failed(since))
        if core.reads == reads:
            core.raise_error(since)
        if had_info:
            await self.get_endpoints()

    def set_token(self, token: GivenToken) -> None:
        """Send another token from now on: a text, a function, or None or False for none.

        Raises:
            LocalProtocolError: it is not a token, or the client is closed.
        """
        world = self._open_world()
        self._core.set_token(token, world.machine.do_soon)

    def set_oauth_token(self, token: GivenToken) -> None:
        """As ``set_token``, for the ``oauth_token``."""
        world = self._open_world()
        self._core.set_oauth_token(token, world.machine.do_soon)

    @classmethod
    def duplicate(cls, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Not done: use ``huggingface_hub.duplicate_space``.

        Raises:
            LocalProtocolError: always.
        """
        refuse_to_duplicate()

    async def reset_session(self) -> None:
        """Go on in a new session: State starts afresh, jobs under way are cancelled."""
        world = self._open_world()
        world.machine.do(self._core.reset_session)
        await world.checkpoint()

    async def close(self) -> None:
        """Cancel all jobs and close; takes at most ``Timeouts.close``.

        Closing twice is fine. In a forked process nothing is done: the connections are the
        parent's.
        """
        self._is_open = False
        core, world = self._core, self._world
        if world is None or not core.is_own_process:
            return
        try:
            world.machine.do_soon(core.session.close)
            await wait_until(world, core.changed, lambda: core.is_closed)
        except BaseException:  # there is no more time for goodbyes
            core.break_down(JobCancelledError())
            raise
        finally:
            world.machine.shut_down()
        await wait_until(world, world.rest.changed, lambda: not world.rest)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exit()

    def __repr__(self) -> str:
        return f"<Client of {self._core.session.url}>"

    async def _exit(self) -> None:
        """The ``async with`` is left."""
        await self.close()

    async def _open(self, world: TaskWorld) -> None:
        """Connect, in a world that has just been made."""
        core, self._world = self._core, world
        self._files = Files(core, world, self)
        try:
            world.step_soon()
            await wait_until(world, core.changed, lambda: core.app is not None or core.has_failed())
            core.raise_error()
        except BaseException:
            await self.close()
            raise
        self._is_open = True

    def _begin(self, call: Call) -> Job:
        core, world = self._core, self._open_world()
        record = core.new_job(call)
        job = Job(record, core, world, self)
        world.machine.do_soon(partial(core.begin, record))
        return job

    def _open_world(self) -> TaskWorld:
        """The world of an open client. Every verb begins with this, and so with the tokens of the
        moment."""
        if self._world is None:
            raise LocalProtocolError("The client is not connected yet: use `async with`.")
        self._core.demand_own_process()
        if not self._is_open:
            raise LocalProtocolError("The client is closed.")
        self._core.renew_tokens(self._world.machine.do_soon)
        return self._world
