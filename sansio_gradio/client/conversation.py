"""One session with an app, at the altitude of HTTP messages.

For those who bring their own HTTP and WebSocket library. The conversation says which requests to
make (``next_command``) and what the answers mean (``next_event``); it is told what happened to each
by the number in the command: ``response``, ``data``, ``text``, ``ended``, ``failed``. The library
must not follow redirects, decode bodies or keep cookies: that is done here.

Time is told with ``now`` (monotonic seconds) to any of the verbs below, at least to
``handle_timer``, which is due whenever ``next_deadline`` has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, cast

from sansio_gradio.client.commands import ConversationCommand, OpenWebSocket, SendRequest
from sansio_gradio.client.exchanges import Exchange
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.errors import ConnectFailed, GradioError
from sansio_gradio.events import Event
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.wire.headers import Fields


class SessionOptions(TypedDict, total=False):
    """What a session may be told of the app and of who asks; see ``Session``."""

    app: AppInfo | None
    session_hash: str | None
    headers: Fields
    cookies: Fields
    auth: tuple[str, str] | None
    protocol: str | None
    retry: Retry | None


class Conversation(Session):
    """A session, and what its surroundings ask and tell."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port of the app."""
        return self._context.base.origin

    def next_command(self) -> ConversationCommand | None:
        """What to do next; None: nothing for now."""
        commands = self._context.exchanges.commands
        while commands:
            command = commands.popleft()
            is_request = isinstance(command, SendRequest | OpenWebSocket)
            if not (is_request and self._keeps_back(command.id)):
                return command
        return None

    def next_event(self) -> Event | None:
        """What the application should know next; None: nothing for now."""
        while True:
            try:
                return self._context.events.take()
            except Exception as error:  # see ``fault``
                self._context.fault(error)

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is due, in monotonic seconds; it may have passed already."""
        return self._context.timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """The time is *now*."""
        timers = self._context.timers
        timers.tell(now)
        for name, action in timers.due():
            try:
                action()
            except Exception as error:  # see ``fault``
                self._broke(name, error)

    def response(
        self, id: int, status: int, headers: Iterable[tuple[str, str]], now: float | None = None
    ) -> None:
        """The head of an answer; 101 means that a WebSocket is open."""
        exchange = self._told_of(id, now)
        try:
            self._context.exchanges.response(id, status, tuple(headers))
        except Exception as error:  # see ``fault``
            self._broke(exchange, error)

    def data(self, id: int, chunk: bytes, now: float | None = None) -> None:
        """A piece of an answer's body."""
        exchange = self._told_of(id, now)
        try:
            self._context.exchanges.data(id, chunk)
        except Exception as error:  # see ``fault``
            self._broke(exchange, error)

    def text(self, id: int, text: str, now: float | None = None) -> None:
        """A text message on a WebSocket."""
        exchange = self._told_of(id, now)
        try:
            self._context.exchanges.text(id, text)
        except Exception as error:  # see ``fault``
            self._broke(exchange, error)

    def ended(self, id: int, now: float | None = None) -> None:
        """The answer is complete; a WebSocket was closed with 1000."""
        exchange = self._told_of(id, now)
        try:
            self._context.exchanges.ended(id)
        except Exception as error:  # see ``fault``
            self._broke(exchange, error)

    def failed(
        self, id: int, error: BaseException, now: float | None = None, *, connected: bool = True
    ) -> None:
        """The exchange broke off, or never came about.

        Not *connected*: no connection came about, so the server has seen nothing of the request,
        and ``Retry`` may hand the job in again. A ``ConnectFailed`` says the same.
        """
        if not connected and not isinstance(error, GradioError):
            refused = ConnectFailed(
                f"no connection came about: {str(error) or type(error).__name__}", phase="connect"
            )
            refused.__cause__ = error
            error = refused
        exchange = self._told_of(id, now)
        try:
            self._context.exchanges.failed(id, error)
        except Exception as fault:  # see ``fault``
            self._broke(exchange, fault)

    def fault(self, id: int | None, error: Exception) -> None:
        """An exchange has met an exception that nobody foresaw: it ends, and an ``Anomaly`` tells.

        What is raised within the verbs above ends so by itself; this is for what is raised around
        them. *id* None: no exchange is to blame.
        """
        self._broke(None if id is None else self._context.exchanges.find(id), error)

    def _told_of(self, id: int, now: float | None) -> Exchange | None:
        self._context.timers.tell(now)
        return self._context.exchanges.find(id)

    def _broke(self, whose: object, error: Exception) -> None:
        """End what raised *error*: an exchange, or a job, by the name of its timer."""
        broken = self._context.fault(error)
        try:
            if isinstance(whose, Exchange):
                self._context.exchanges.break_off(whose, broken)
            elif isinstance(whose, tuple):
                _, job = cast("tuple[str, int]", whose)
                self._fail_job(job, broken)
        except Exception as further:  # the same again, most likely, in what was to end it
            self._context.fault(further)

    def doubt_app(self, now: float | None = None) -> None:
        """There is a sign that the app was started anew: no connection to it is open any more.

        The next job asks first whether it is the same. Other signs the conversation sees itself; if
        your HTTP library does not tell you of this one, leave it out.
        """
        self._context.timers.tell(now)
        self._context.doubt_app()

    def is_wanted(self, id: int, now: float | None = None) -> bool:
        """Whether a request is to be sent on another connection, where the first one broke.

        False: it is dropped, since it may be meant for an app that is gone. Say no more of it.
        """
        self._context.timers.tell(now)
        return not self._keeps_back(id)
