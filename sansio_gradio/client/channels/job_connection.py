"""One connection a job: an event stream or a WebSocket (``Channel.JOB_STREAM``, ``WEBSOCKET``).

The server asks: ``send_hash`` for the session, ``send_data`` for the arguments.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.channels.stopping import stop_on_server
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import (
    Ask,
    Begin,
    Deliver,
    Doubt,
    Drop,
    Fail,
    Listen,
    Listener,
    MayGo,
    Puzzle,
    Say,
    Take,
    Way,
    WithoutSocket,
)
from sansio_gradio.errors import (
    ConnectFailed,
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Handover
from sansio_gradio.protocol.states import SESSION_MSGS, Msg
from sansio_gradio.wire.sse import SSEDecoder

_FORBIDDEN: Final = 403
_NO_TUNNEL: Final = frozenset({403, 405, 501})
"""The answers of proxies that do not connect to this port, or not at all."""
_BEFORE_ACCEPTING: Final = frozenset({Msg.SEND_HASH, Msg.QUEUE_FULL})


class _JobConnection(Listener):
    """The common part of both: one job, one connection, and messages."""

    def __init__(self, options: Options, attempt: Attempt) -> None:
        self._options = options
        self._attempt = attempt
        self._connection: int | None = None
        self._accepted = False

    @abstractmethod
    def start(self, attempt: Attempt) -> Way:
        """Join the queue."""

    @abstractmethod
    def _hand_over(self) -> Way:
        """Hand over the job's data."""

    def stop(self, attempt: Attempt) -> Way:
        # The close of the connection, which follows, stops a generator at its next yield.
        yield Begin(stop_on_server(attempt))

    def forget(self, _attempt: Attempt) -> Way:
        connection, self._connection = self._connection, None
        yield Drop(connection)

    def told(self, text: str, /) -> Way:
        attempt = self._attempt
        try:
            message, problems = self._options.read_message(text)
        except RemoteProtocolError as error:
            yield Fail(attempt, error.located(phase="stream"))
            return
        for problem in problems:
            yield Puzzle(problem, attempt.job)
        kind = message.get("msg")
        if kind in SESSION_MSGS:
            return
        if not self._accepted and kind not in _BEFORE_ACCEPTING:
            self._accepted = True
            yield Take(attempt, None)
        attempt.event_id = message.get("event_id") or attempt.event_id
        heeded = yield Deliver(attempt, message, text)
        if heeded:
            yield from self._answer(kind)

    def _answer(self, kind: object) -> Way:
        """Give the server what it asks for."""
        if kind == Msg.SEND_DATA:
            yield Begin(self._hand_over(), self._attempt)

    def failed(self, error: GradioError, /) -> Way:
        self._connection = None
        yield Fail(self._attempt, error)


class JobStream(_JobConnection):
    """An event stream that carries one job."""

    def __init__(self, options: Options, attempt: Attempt) -> None:
        super().__init__(options, attempt)
        self._decoder = SSEDecoder(max_event_size=options.limits.message)

    def start(self, attempt: Attempt) -> Way:
        joining = attempt.traits.handover is Handover.JOINING
        request = requests.job_stream(
            attempt.endpoint.fn_index,
            attempt.session_hash,
            attempt.body["data"] if joining else None,
            attempt.headers,
        )
        self._connection = yield Listen(
            attempt.base, request, self, "join", "join", hands_in=attempt
        )
        attempt.stream = self._connection

    def received(self, data: bytes, _now: float, /) -> Way:
        try:
            for event in self._decoder.receive_data(data):
                yield from self.told(event.data)
                if self._attempt.is_over:
                    return
            if self._decoder.error is not None:  # behind the last event
                raise self._decoder.error
        except RemoteProtocolError as error:
            yield Fail(self._attempt, error.located(phase="stream"))

    def ended(self) -> Way:
        self._connection = None
        yield Doubt()
        error = ConnectionLost("the stream ended before the job did")
        yield Fail(self._attempt, error.located(phase="stream"))

    def refused(self, answer: Answer, /) -> Way:
        self._connection = None
        yield Fail(self._attempt, answer.refusal(self._attempt.app.version))

    def _hand_over(self) -> Way:
        attempt = self._attempt
        body = attempt.body
        if attempt.event_id is not None:
            body["event_id"] = attempt.event_id
        request = requests.job_data(body, attempt.headers)
        yield Ask(attempt.base, request, "send", "send")


class JobSocket(_JobConnection):
    """A WebSocket that carries one job."""

    _has_spoken = False

    def start(self, attempt: Attempt) -> Way:
        request = requests.job_socket(attempt.headers)
        self._connection = yield Listen(
            attempt.base, request, self, "join", "join", websocket=True, hands_in=attempt
        )

    def opened(self, _now: float, /) -> Way:
        attempt = self._attempt
        if has(attempt.app.version, Feature.HELLO):
            yield from self._say(requests.hello_frame(attempt.session_hash))
        if attempt.traits.handover is Handover.JOINING:
            yield Begin(self._hand_over(), attempt)

    def ended(self) -> Way:
        self._connection = None
        yield Doubt()
        error = ServerStoppedError("the server closed the job's connection")
        yield Fail(self._attempt, error.located(phase="stream"))

    def refused(self, answer: Answer, /) -> Way:
        self._connection = None
        attempt = self._attempt
        error = answer.refusal(attempt.app.version)
        if answer.status == _FORBIDDEN:
            # Gradio 3.x refuses the upgrade where the cookie of its login is missing.
            error = answer.login_wanted()
        elif isinstance(error, RemoteProtocolError):
            yield from self._go_without_socket(error)
            return
        yield Fail(attempt, error)

    def failed(self, error: GradioError, /) -> Way:
        if isinstance(error, ConnectFailed) and error.status in _NO_TUNNEL:
            self._connection = None
            yield from self._go_without_socket(error)
        else:
            yield from super().failed(error)

    def _go_without_socket(self, error: GradioError) -> Way:
        """A proxy lets no WebSocket through."""
        attempt = self._attempt
        yield Puzzle("no WebSocket: called past the queue", attempt.job)
        error.message = f"no WebSocket, and the app wants its queue: {error.message}"
        # Or the app has another release by now, without WebSockets.
        yield Doubt()
        yield WithoutSocket(attempt, error)

    def _answer(self, kind: object) -> Way:
        attempt = self._attempt
        if kind == Msg.SEND_HASH:
            frame = requests.hash_frame(attempt.endpoint.fn_index, attempt.session_hash)
            yield from self._say(frame)
        else:
            yield from super()._answer(kind)

    def _hand_over(self) -> Way:
        attempt = self._attempt
        body = attempt.body
        if attempt.event_id is not None:
            body["event_id"] = attempt.event_id
        yield from self._say(requests.data_text(body))

    def _say(self, frame: requests.TextFrame) -> Way:
        if not self._has_spoken and not (yield MayGo(self._attempt)):
            return
        self._has_spoken = True
        yield Say(self._connection, frame.text)
