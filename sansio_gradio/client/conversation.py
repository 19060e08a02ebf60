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
from typing import TypedDict

from sansio_gradio.client.commands import ConversationCommand
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
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

    def next_command(self) -> ConversationCommand | None:
        """What to do next; None: nothing for now."""
        commands = self._context.exchanges.commands
        return commands.popleft() if commands else None

    def next_event(self) -> Event | None:
        """What the application should know next; None: nothing for now."""
        while self._context.events:
            item = self._context.events.popleft()
            event = item() if callable(item) else item
            if event is not None:
                return event
        return None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is due, in monotonic seconds; it may have passed already."""
        return self._context.timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """The time is *now*."""
        self._context.timers.tell(now)
        self._context.timers.fire()

    def response(
        self, id: int, status: int, headers: Iterable[tuple[str, str]], now: float | None = None
    ) -> None:
        """The head of an answer; 101 means that a WebSocket is open."""
        self._context.timers.tell(now)
        self._context.exchanges.response(id, status, tuple(headers))

    def data(self, id: int, chunk: bytes, now: float | None = None) -> None:
        """A piece of an answer's body."""
        self._context.timers.tell(now)
        self._context.exchanges.data(id, chunk)

    def text(self, id: int, text: str, now: float | None = None) -> None:
        """A text message on a WebSocket."""
        self._context.timers.tell(now)
        self._context.exchanges.text(id, text)

    def ended(self, id: int, now: float | None = None) -> None:
        """The answer is complete; a WebSocket was closed with 1000."""
        self._context.timers.tell(now)
        self._context.exchanges.ended(id)

    def failed(self, id: int, error: BaseException, now: float | None = None) -> None:
        """The exchange broke off, or never came about."""
        self._context.timers.tell(now)
        self._context.exchanges.failed(id, error)
