"""What the parts of one conversation share."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs

from sansio_gradio.client.exchanges import Answer, Exchanges, OnAnswer, OnError
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import GradioError, RemoteProtocolError, unforeseen
from sansio_gradio.events import Anomaly, Event, SessionLost
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.fields import said
from sansio_gradio.protocol.messages import Message, message_of
from sansio_gradio.protocol.protocols import Traits
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.json import JSON, Loads
from sansio_gradio.wire.url import URL

_SESSION_BYTES: Final = 8


class EventQueue:
    """What the application is to be told: events, or ways to make one (or none) when it is taken.

    Nothing comes behind the last event.
    """

    def __init__(self) -> None:
        self._waiting: deque[Event | Callable[[], Event | None]] = deque()
        self._is_closed = False

    def put(self, event: Event | Callable[[], Event | None]) -> None:
        if not self._is_closed:
            self._waiting.append(event)

    def put_last(self, event: Event) -> None:
        self.put(event)
        self._is_closed = True

    def take(self) -> Event | None:
        """The next event; None: there is none."""
        while self._waiting:
            item = self._waiting.popleft()
            event = item() if callable(item) else item
            if event is not None:
                return event
        return None


@attrs.define(kw_only=True, eq=False)
class Context:
    session: int
    exchanges: Exchanges
    timers: Timers
    limits: Limits
    timeouts: Timeouts
    events: EventQueue
    """For the application."""
    strict: bool
    loads: Loads
    """Reads what is no whole answer."""
    base: URL
    """Of the app's page, then, when the app is known, of its API."""
    retry: Retry | None
    entropy: Callable[[int], bytes]
    is_closing: bool = attrs.field(default=False, init=False)
    app: AppInfo = attrs.field(init=False)
    traits: Traits = attrs.field(init=False)
    on_render: Callable[[dict[str, Any]], None] = attrs.field(init=False)
    """Told of each ``render_config`` that comes in the shared session."""
    hand_in: Callable[[Any], None] = attrs.field(init=False)
    """Takes a job to the server, as if it had just been asked for."""
    take_back: Callable[[Any], bool] = attrs.field(init=False)
    """Takes back a job whose function was not named to the server yet, if the app has to be looked
    at again first; whether that is so."""
    has_told_loss: bool = attrs.field(default=False, init=False)
    """``SessionLost`` was said of the session."""

    def copy(self) -> Context:
        """The same for what begins from now on: what has begun keeps its own."""
        new = copy.copy(self)
        new.has_told_loss = False
        return new

    def doubt_app(self) -> None:
        """There is a sign that the app may be another one by now."""
        self.exchanges.is_app_in_doubt = True

    def emit(self, event: Event | Callable[[], Event | None]) -> None:
        self.events.put(event)

    def random(self) -> float:
        """A number from 0 to 1."""
        return int.from_bytes(self.entropy(4)) / (2**32 - 1)

    def new_hash(self) -> str:
        """The name of a new session."""
        return self.entropy(_SESSION_BYTES).hex()

    def parse(self, text: str, job: int | None = None) -> Message:
        """Read a message of the queue; what is wrong with its fields becomes an ``Anomaly``.

        Raises:
            RemoteProtocolError: as ``parse_message``.
        """
        return message_of(
            self.loads(text),
            strict=self.strict,
            on_anomaly=lambda what: self.anomaly(what, job=job),
        )

    def anomaly(self, what: str, *, job: int | None = None, message: Message | None = None) -> None:
        self.emit(Anomaly(session=self.session, what=what, job=job, message=message))

    def fault(self, error: Exception, *, job: int | None = None) -> RemoteProtocolError:
        """What ends in place of the client where something raised what nobody foresaw.

        It is a mistake of this library, or of a function that it was given (``json_loads``).
        """
        broken = unforeseen(error)
        self.anomaly(broken.message, job=job)
        return broken

    def ask(
        self,
        request: HTTPRequest,
        *,
        phase: str,
        deadline: str | None,
        then: OnAnswer,
        failed: OnError,
        hands_in: int | None = None,
    ) -> int:
        """Ask the app's API; *then* gets an answer with status 200, *failed* all else.

        *then* may raise a ``RemoteProtocolError``: it is not what was asked for. ``hands_in``: as
        in ``Exchanges.ask``.
        """

        def answered(answer: Answer) -> None:
            try:
                if answer.status != 200:
                    raise self.refusal(answer, phase)
                then(answer)
            except GradioError as error:
                failed(error.located(phase=phase, url=answer.url.public, status=answer.status))

        return self.exchanges.ask(
            self.base,
            request,
            phase=phase,
            deadline=deadline,
            then=answered,
            failed=failed,
            hands_in=hands_in,
        )

    def ask_to_stop(
        self,
        session_hash: str,
        fn_index: int,
        event_id: str | None,
        then: Callable[[bool | None], None],
    ) -> None:
        """Ask for a job to be stopped, if there is a way to; *then* gets whether it was (None: the
        server does not say)."""
        request = requests.stop(self.app.version, session_hash, fn_index, event_id)
        if request is None:
            then(None)
            return

        def answered(answer: Answer) -> None:
            then(said(answer.json, "success", bool) is True)

        def failed(error: GradioError) -> None:
            was_refused = error.status is not None and 400 <= error.status < 500
            then(False if was_refused else None)

        self.ask(request, phase="cancel", deadline="close", then=answered, failed=failed)

    def session_lost(self) -> None:
        """Tell that the server has forgotten the session, and its State if the app has any."""
        self.has_told_loss = True
        has_state = any(part.is_state for part in self.app.components.values())
        self.emit(SessionLost(session=self.session, state_lost=has_state))

    def refusal(self, answer: Answer, phase: str) -> GradioError:
        """What an unwanted *answer* means."""
        return answer.refusal(self.app.version).located(phase=phase)


def name_given(answer: Answer, key: str = "event_id") -> tuple[JSON, str]:
    """What the server says to a job that it has taken, and the name that it gives it there.

    Raises:
        RemoteProtocolError: it gives none.
    """
    whole = answer.read()
    name = said(whole, key, str)
    if name is None:
        raise RemoteProtocolError(f"the server took the job without naming it (no {key})")
    return whole, name
