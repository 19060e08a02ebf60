"""A job of the simple REST API: joined by a POST, heard on a stream (``Channel.CALL_STREAM``).

Such a job names no session, so the server gives it one of its own, with the name of the job. So a
cancel is exact, and State starts afresh each time. (Two streams with one session_hash would take
each other's messages: gradio@6.31.0 routes.py: simple_predict_get.)
"""

from __future__ import annotations

from typing import Final

import attrs

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
    Stopped,
    Take,
    TakesPieces,
    Watch,
    Watcher,
    Way,
)
from sansio_gradio.client.streaming_input import Chunk
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.dialects import of_call
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Handover
from sansio_gradio.protocol.states import Msg
from sansio_gradio.wire.sse import SSEDecoder

_OF_THE_QUEUE: Final = frozenset({"session_hash", "fn_index", "event_data", "trigger_id"})


class CallStream(Watcher, TakesPieces):
    """Carries one job."""

    def __init__(self, options: Options, attempt: Attempt) -> None:
        self._options = options
        self._attempt = attempt
        self._decoder = SSEDecoder(max_event_size=options.limits.message)
        self._stream: int | None = None
        self._is_to_stop = False  # cancelled before it was joined

    def start(self, attempt: Attempt) -> Way:
        yield Begin(self._join(attempt), attempt)

    def _join(self, attempt: Attempt) -> Way:
        request = _join_request(attempt)
        try:
            answer: Answer = yield Ask(
                attempt.base, request, "join", "join", attempt, hands_in=attempt
            )
            told, event_id = answer.name_given()
        except GradioError as error:
            yield Fail(attempt, error)
            if self._is_to_stop:
                yield Stopped(attempt, None)
            return
        attempt.session_hash = attempt.event_id = event_id
        yield Take(attempt, told)
        name = attempt.endpoint.api_name or ""
        request = requests.call_stream(name, event_id, attempt.headers)
        attempt.stream = self._stream = yield Listen(attempt.base, request, self, "stream", "join")
        if self._is_to_stop:
            yield from self.stop(attempt)

    def stop(self, attempt: Attempt) -> Way:
        if attempt.event_id is None:
            self._is_to_stop = True
        else:
            yield Begin(stop_on_server(attempt))

    def send_chunk(self, attempt: Attempt, chunk: Chunk) -> Way:
        """Send the next piece of a streaming input, and take the server's answer to it."""
        # Whole values, as the first piece brings them.
        more = {"data": chunk.data, "simple_format": True}
        body = None if chunk.data is None else {**attempt.body, **more}
        request = requests.next_chunk(attempt.event_id or "", body, chunk.headers)
        answer: Answer = yield Ask(attempt.base, request, "send", "send")
        yield Take(attempt, answer.json, chunk.number)

    def forget(self, _attempt: Attempt) -> Way:
        stream, self._stream = self._stream, None
        yield Drop(stream)

    # The stream.

    def opened(self, _now: float, /) -> Way:
        yield Watch(self._stream)

    def received(self, data: bytes, _now: float, /) -> Way:
        attempt, options = self._attempt, self._options
        try:
            for event in self._decoder.receive_data(data):
                version = attempt.app.version
                message = of_call(
                    event.event,
                    event.data,
                    version,
                    options.loads_message,
                    streaming=attempt.endpoint.streaming,
                )
                if message is not None:
                    if message.get("msg") == Msg.UNEXPECTED_ERROR:
                        yield Doubt()
                    yield Deliver(attempt, message)
            if self._decoder.error is not None:  # behind the last event
                raise self._decoder.error
        except RemoteProtocolError as error:
            yield Fail(attempt, error.located(phase="stream"))

    def ended(self) -> Way:
        self._stream = None
        error = ConnectionLost("the stream ended before the job did")
        yield Fail(self._attempt, error.located(phase="stream"))

    def refused(self, answer: Answer, /) -> Way:
        self._stream = None
        refused = attrs.evolve(answer, phase="join")  # the job has not come beyond its join
        yield Fail(self._attempt, refused.refusal(self._attempt.app.version))

    def failed(self, error: GradioError, /) -> Way:
        self._stream = None
        yield Fail(self._attempt, error)

    def silent(self) -> Way:
        """Servers send a heartbeat every 15 s, so a silent stream is lost."""
        yield Fail(self._attempt, DeadlineExceeded(phase="stream_idle"))


def _join_request(attempt: Attempt) -> requests.HTTPRequest:
    by_name = attempt.traits.handover is Handover.JOINING_BY_NAME
    app, endpoint = attempt.app, attempt.endpoint
    if not has(app.version, Feature.CALL_BY_NAME if by_name else Feature.CALL):
        raise LocalProtocolError(
            f"Gradio {app.version_text} has no such simple REST API: that came with 4.20, and"
            " calls by name with 6.13."
        )
    if endpoint.api_name is None:
        raise LocalProtocolError("Without an api_name it cannot be called by the REST API.")
    body = {key: value for key, value in attempt.body.items() if key not in _OF_THE_QUEUE}
    if by_name:
        body |= endpoint.arguments(body.pop("data"))
    return requests.call(endpoint.api_name, body, attempt.headers, by_name=by_name)
