"""One connection a job: a WebSocket or an event stream (``Channel.WEBSOCKET``, ``JOB_STREAM``).

The server asks for what it needs: ``send_hash`` for who we are, ``send_data`` for the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.client.job import Job
from sansio_gradio.client.plain_call import PlainCall
from sansio_gradio.errors import (
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Channel, Handover
from sansio_gradio.protocol.states import SESSION_MSGS, Msg
from sansio_gradio.wire.sse import ServerSentEvent, SSEDecoder

_FORBIDDEN: Final = 403
_BEFORE_ACCEPTING: Final = frozenset({Msg.SEND_HASH, Msg.QUEUE_FULL})


class JobChannel:
    """Carries one job."""

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._job = job
        self._decoder = SSEDecoder(max_event_size=context.limits.message)
        self._connection: int | None = None
        self._accepted = False
        self._has_spoken = False
        self._is_websocket = context.traits.channel is Channel.WEBSOCKET

    def start(self, job: Job) -> None:
        """Join the queue."""
        context = self._context
        if self._is_websocket:
            request = requests.job_socket(job.headers)
        else:
            given = job.body["data"] if context.traits.handover is Handover.JOINING else None
            request = requests.job_stream(
                job.endpoint.fn_index, job.session_hash, given, job.headers
            )
        self._connection = context.exchanges.listen(
            context.base,
            request,
            phase="join",
            listener=self,
            deadline="join",
            websocket=self._is_websocket,
            hands_in=job.id,
        )
        job.stream = None if self._is_websocket else self._connection

    def stop(self, job: Job, then: Callable[[bool | None], None]) -> None:
        # To close the connection, as follows, stops a generator at its next yield.
        self._context.ask_to_stop(job.session_hash, job.endpoint.fn_index, job.event_id, then)

    def forget(self, _job: Job) -> None:
        self._context.exchanges.abort(self._connection)
        self._connection = None

    def opened(self) -> None:
        if not self._is_websocket:
            return
        if has(self._context.app.version, Feature.HELLO):
            self._say(requests.hello_frame(self._job.session_hash))
        if self._context.traits.handover is Handover.JOINING:
            self._hand_over()

    def received(self, data: bytes) -> None:
        try:
            for event in self._decoder.receive_data(data):
                self._take(event)
            self._decoder.receive_data(b"")  # what is wrong behind the last event is said now
        except RemoteProtocolError as error:
            self._job.fail(error.located(phase="stream"))

    def _take(self, event: ServerSentEvent) -> None:
        self.told(event.data)

    def told(self, text: str) -> None:
        if self._job.is_over or self._job.carrier is not self:
            return  # the rest of what came in one piece
        try:
            message = self._context.parse(text, self._job.id)
        except RemoteProtocolError as error:
            self._job.fail(error.located(phase="stream"))
            return
        kind = message.get("msg")
        if kind in SESSION_MSGS:
            return
        if not self._accepted and kind not in _BEFORE_ACCEPTING:
            self._accepted = True
            self._job.accepted(None)
        self._job.event_id = message.get("event_id") or self._job.event_id
        if not self._job.receive(message, text):
            return
        if kind == Msg.SEND_HASH:
            self._say(requests.hash_frame(self._job.endpoint.fn_index, self._job.session_hash))
        elif kind == Msg.SEND_DATA:
            self._hand_over()

    def ended(self) -> None:
        self._connection = None
        self._context.doubt_app()
        if self._is_websocket:
            error: GradioError = ServerStoppedError("the server closed the job's connection")
        else:
            error = ConnectionLost("the stream ended before the job did")
        self._job.fail(error.located(phase="stream"))

    def refused(self, answer: Answer) -> None:
        self._connection = None
        error = self._context.refusal(answer, "join")
        if self._is_websocket and answer.status == _FORBIDDEN:
            # Gradio 3.x refuses the upgrade to whoever has no cookie of its login.
            error = answer.login_wanted().located(phase="join")
        elif self._is_websocket and isinstance(error, RemoteProtocolError):
            # Something on the way lets no WebSocket through.
            self._context.anomaly("no WebSocket: called past the queue", job=self._job.id)
            error.message = f"no WebSocket, and the app wants its queue: {error.message}"
            self._job.no_socket = error
            # Or it is an app of another release by now, which has none.
            self._context.doubt_app()
            if not self._context.take_back(self._job):
                self._job.start(PlainCall(self._context, self._job, error))
            return
        self._job.fail(error)

    def failed(self, error: GradioError) -> None:
        self._connection = None
        self._job.fail(error)

    def _hand_over(self) -> None:
        job = self._job
        body = job.body if job.event_id is None else {**job.body, "event_id": job.event_id}
        frame = requests.data_frame(self._context.traits, body, dict(job.headers))
        if isinstance(frame, requests.TextFrame):
            self._say(frame)
        else:
            self._context.ask(
                frame, phase="send", deadline="send", then=lambda _: None, failed=job.fail
            )

    def _say(self, frame: requests.TextFrame) -> None:
        if not self._has_spoken and self._context.take_back(self._job):
            return
        self._has_spoken = True
        self._context.exchanges.send_text(self._connection, frame.text)
