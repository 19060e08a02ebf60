"""Jobs that clients push, and poll until they are over (3.0 to 3.1.4).

A poll says that a job waits, that it runs, or how it ended. Nothing else of what a job says comes
to its client. The end is handed out once (gradio@3.1.4 queueing.py).
"""

from __future__ import annotations

from typing import Any

from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import SendResponse
from sansio_gradio.server.jobs import Stage
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import (
    BROKEN,
    Refusal,
    Request,
    function_meant,
    read_submission,
)

__all__ = ["PolledJobs"]


class PolledJobs:
    """The jobs that clients poll for."""

    def __init__(self, app: App, queue: Queue, channels: Channels, messages: Messages) -> None:
        self._app = app
        self._queue = queue
        self._channels = channels
        self._messages = messages

    def push(self, request: Request) -> SendResponse:
        """Put a job in line.

        Raises:
            Refusal: the body is not that of a job, or no further job may wait.
        """
        required = ("data", "fn_index", "session_hash")
        submission = read_submission(request.body, self._queue.limits, *required)
        function = function_meant(self._app, submission)
        place = self._queue.next_place(function)
        job = self._queue.join(request, function, submission)
        return SendResponse(request.exchange, 200, {"hash": job.event_id, "queue_position": place})

    def poll(self, request: Request) -> SendResponse:
        """Say how far a job is.

        Raises:
            Refusal: there is no such job, or its end was told before.
        """
        limits = self._queue.limits
        event_id = read_submission(request.body, limits, "hash", fields=("hash",)).hash
        assert event_id is not None
        job = self._queue.named(event_id)
        if job is None:
            end = self._channels.take_end(self._queue.sessions.awaiting(event_id), event_id)
            if end is None:
                raise Refusal(*BROKEN)
            said = self._ended(end)
        elif job.stage is Stage.RUNNING:
            said = {"status": "PENDING", "data": None}
        else:
            said = {"status": "QUEUED", "data": self._queue.place(job)}
        return SendResponse(request.exchange, 200, said)

    def _ended(self, end: Message) -> dict[str, Any]:
        output: Any = end.get("output")
        if end.get("success"):
            return {"status": "COMPLETE", "data": output}
        # What the function's failure is answered with past the queue, as a text.
        answer = SendResponse(0, *self._messages.failed_call(output))
        return {"status": "FAILED", "data": answer.data.decode()}
