"""The verbs by which an application asks a session for something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import attrs

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.streaming_input import Piece
from sansio_gradio.given import one_of
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.wire.headers import Fields


class Session(ABC):
    """One session with an app, as the application sees it. ``Conversation`` carries it out."""

    id: int
    """The number that this session's events carry."""
    url: str
    """The address of the app's page; of a Space whose address is not known yet: its page on the
    Hub."""
    app: AppInfo | None
    """The app as far as it is known; None until ``Connected``. Another value follows each
    change."""
    protocol: str | None
    """The protocol spoken; None until ``Connected``."""

    @property
    @abstractmethod
    def session_hash(self) -> str:
        """The name of this session on the server."""

    @property
    @abstractmethod
    def api_url(self) -> str:
        """The address of the app's API, below which its files lie. Until ``Connected`` it is the
        page's."""

    @property
    @abstractmethod
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the app has set, by name, as they are now. Any thread may ask."""

    @abstractmethod
    def set_token(self, token: str | None, *, rotates: bool = False) -> None:
        """Send another ``token`` with each request from now on; None: none.

        ``rotates``: as the option ``token_rotates``. Jobs that wait for another token go on, also
        if it is the same.

        Raises:
            LocalProtocolError: it cannot be sent.
        """

    @abstractmethod
    def set_oauth_token(self, token: str | None) -> None:
        """As ``set_token``, for the ``oauth_token``."""

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

        ``timeout`` (seconds) is the job's own deadline. ``isolated`` gives the job a session of its
        own: no shared State, and an exact cancel. ``extra`` is sent beside the arguments,
        unchanged. Wrong arguments end the job in a ``JobFailed`` with a ``LocalProtocolError``,
        since the app may not be known yet.

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

    @abstractmethod
    def begin(self, call: Call) -> int:
        """As ``submit``, for a ``Call`` that you have made."""

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

    @abstractmethod
    def cancel(self, job: int) -> bool:
        """Give a job up and have the server stop it; False: it is over already.

        The job ends in ``JobCancelled``, at the latest after ``Timeouts.close``. A download has no
        further event.
        """

    def send(
        self, job: int, *chunk: Any, latest: bool = False, headers: Fields | None = None
    ) -> int:
        """Give a streaming input its next piece, which waits until the server asks for it.

        ``latest``: drop the pieces that wait already. Returns the number of the piece, from 1 on,
        which ``Accepted`` carries.

        Raises:
            LocalProtocolError: the job is over, its input was ended, the job takes no pieces, the
                piece does not fit, or a header cannot be sent. If that is found out later, with the
                app or its ``/info``, the job ends in this error.
        """
        return self.send_piece(job, Piece(chunk, headers), latest=latest)

    @abstractmethod
    def send_piece(self, job: int, piece: Piece, *, latest: bool = False) -> int:
        """As ``send``, for a ``Piece`` that you have made."""

    @abstractmethod
    def end_input(self, job: int) -> None:
        """End a streaming input: the job completes after the pieces that wait.

        Raises:
            LocalProtocolError: as ``send``.
        """

    @abstractmethod
    def endpoint_of(self, job: int) -> Endpoint | None:
        """The endpoint of a job under way; None as long as the app is not known."""

    @abstractmethod
    def pause(self, job: int, *, on: bool = True) -> bool:
        """Stop reading the yields of a job, or (not *on*) read them again; False: impossible.

        The job must have an event stream of its own: be isolated, or speak ``sse`` or ``call``.
        Meanwhile no deadline passes but the job's. (A WebSocket has to answer pings.) A download
        can always be paused. Up to about 256 KiB may still come.
        """

    def upload(self, file: GivenFile, *, timeout: float | None = None) -> int:
        """Upload a file, and call nothing: a job like others, whose one output is the file of the
        app, which may be an argument then. ``handle_file`` makes *file*.

        Raises:
            LocalProtocolError: the session is closed.
        """
        given = one_of(file, GivenFile, "file")
        return self.begin(Call.of_upload(given, timeout, want=Want.ALL))

    @abstractmethod
    def download(
        self,
        file: RemoteFile,
        *,
        resume: bool = True,
        growing: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Fetch a file of the app; returns the number of the download, which its events carry.

        Downloads and jobs share one row of numbers: ``pause`` and ``cancel`` take both. *resume*:
        if the connection breaks, go on at that place, where the server proves that it is the same
        file. *growing*: if it is an output in segments, which may still grow, fetch the segments;
        otherwise the server makes one file of them. *timeout*: the seconds that a job, of which the
        download is a part, has left.

        Raises:
            LocalProtocolError: the session is closed or not connected yet, or the file lies at
                another app.
        """

    @abstractmethod
    def request_info(self) -> None:
        """Ask for ``/info``: ``Connected`` comes again, or ``ConnectingFailed``.

        Raises:
            LocalProtocolError: the session is closed.
        """

    @property
    @abstractmethod
    def is_finding_out(self) -> bool:
        """The config of the app is being read."""

    @abstractmethod
    def reload(self) -> None:
        """Read the app's config again, and ``/info`` if it was known: ``Connected`` comes, or
        ``ConnectingFailed``. Jobs asked for meanwhile wait for it.

        From then on ``fn_index`` counts in the new config.

        Raises:
            LocalProtocolError: the session is closed.
        """

    @abstractmethod
    def reset(self) -> None:
        """Go on in a new session; jobs under way in the old one are cancelled.

        Raises:
            LocalProtocolError: the session is closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Cancel all jobs and leave; ``SessionClosed`` is the last event."""
