"""A job of the simple REST API: joined by a POST, heard on a stream (``Channel.CALL_STREAM``).

Such a job names no session, so that the server gives it one of its own, called like the job
itself. Therefore a cancel is exact, and State starts anew each time. (With a session_hash in common
two streams would take each other's messages: gradio@6.31.0 routes.py: simple_predict_get.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sansio_gradio.client.chunks import Chunk
from sansio_gradio.client.context import name_given
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.client.job import Job
from sansio_gradio.client.job_channel import JobChannel
from sansio_gradio.errors import DeadlineExceeded, GradioError, LocalProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.dialects import of_call
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Handover
from sansio_gradio.protocol.states import Msg
from sansio_gradio.wire.sse import ServerSentEvent

_OF_THE_QUEUE: Final = frozenset({"session_hash", "fn_index", "event_data", "trigger_id"})


class CallStream(JobChannel):
    """Carries one job; ``_connection`` is the join, then the stream."""

    _to_stop: Callable[[bool | None], None] | None = None  # cancelled before it was joined

    def start(self, job: Job) -> None:
        """Join the queue.

        Raises:
            LocalProtocolError: there is no such way to call it.
        """
        self._connection = self._context.ask(
            self._join_request(job),
            phase="join",
            deadline="join",
            then=self._joined,
            failed=self._not_joined,
            hands_in=job.id,
        )

    def _join_request(self, job: Job) -> requests.HTTPRequest:
        by_name = self._context.traits.handover is Handover.JOINING_BY_NAME
        app, endpoint = self._context.app, job.endpoint
        if not has(app.version, Feature.CALL_BY_NAME if by_name else Feature.CALL):
            raise LocalProtocolError(
                f"Gradio {app.version_text} has no such simple REST API: that came with 4.20, and"
                " calls by name with 6.13."
            )
        if endpoint.api_name is None:
            raise LocalProtocolError("Without an api_name it cannot be called by the REST API.")
        body = {key: value for key, value in job.body.items() if key not in _OF_THE_QUEUE}
        if by_name:
            body |= endpoint.arguments(body.pop("data"))
        return requests.call(endpoint.api_name, body, job.headers, by_name=by_name)

    def stop(self, job: Job, then: Callable[[bool | None], None]) -> None:
        if job.event_id is None:
            self._to_stop = then
        else:
            super().stop(job, then)

    def send_chunk(self, job: Job, chunk: Chunk) -> None:
        """Hand over the next piece of a streaming input."""
        # Whole values, as the first piece brings them.
        more = {"data": chunk.data, "simple_format": True}
        body = None if chunk.data is None else {**job.body, **more}
        self._context.ask(
            requests.next_chunk(job.event_id or "", body, chunk.headers),
            phase="send",
            deadline="send",
            then=lambda answer: job.accepted(answer.json, chunk.number),
            failed=job.fail,
        )

    # Joining.

    def _joined(self, answer: Answer) -> None:
        job = self._job
        said, event_id = name_given(answer)
        job.session_hash = job.event_id = event_id
        job.accepted(said)
        job.stream = self._connection = self._context.exchanges.listen(
            self._context.base,
            requests.call_stream(job.endpoint.api_name or "", event_id, job.headers),
            phase="stream",
            listener=self,
            deadline="join",
        )
        if self._to_stop is not None:
            self.stop(job, self._to_stop)

    def _not_joined(self, error: GradioError) -> None:
        self._job.fail(error)
        if self._to_stop is not None:
            self._to_stop(None)

    # The stream.

    def opened(self) -> None:
        self._context.exchanges.watch(self._connection, self._silent)

    def _take(self, event: ServerSentEvent) -> None:
        version, loads = self._context.app.version, self._context.loads
        streaming = self._job.endpoint.streaming
        message = of_call(event.event, event.data, version, loads, streaming=streaming)
        if message is not None:
            if message.get("msg") == Msg.UNEXPECTED_ERROR:
                self._context.doubt_app()
            self._job.receive(message)

    def _silent(self) -> None:
        """Servers send a heartbeat every 15 s: silence is an end, too."""
        self._job.fail(DeadlineExceeded(phase="stream_idle"))
