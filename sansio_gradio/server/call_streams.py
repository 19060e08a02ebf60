"""The simple API: POST /call/NAME queues a job, GET /call/NAME/ID streams it (gradio routes.py:
simple_predict_post, simple_predict_get).

Such a job travels as any other that the queue runs, in a session of its own unless the client names
one. Its stream is that of the session, but its events have names, and outputs are always whole.
"""

from __future__ import annotations

from typing import Any

import attrs

from sansio_gradio.server.app import App, Function
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import SendResponse
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import (
    BROKEN,
    Refusal,
    Request,
    Submission,
    function_meant,
    read_object,
    read_submission,
)
from sansio_gradio.server.versions import Manner

__all__ = ["CallStreams"]


class CallStreams:
    """The calls of clients that know only HTTP and event streams."""

    def __init__(self, app: App, queue: Queue, channels: Channels) -> None:
        self._app = app
        self._queue = queue
        self._channels = channels

    def post(self, request: Request, api_name: str) -> SendResponse:
        """Queue a job, whose data are in the order of the parameters."""
        fields = ("data", "session_hash")
        said = read_submission(request.body, self._queue.limits, "data", fields=fields)
        return self._enter(request, function_meant(self._app, said, api_name), said)

    def post_named(self, request: Request, api_name: str) -> SendResponse:
        """Queue a job, whose data are by the names of the parameters."""
        given = read_object(request.body, self._queue.limits)
        function = function_meant(self._app, Submission(), api_name)
        given.pop("oauth_token", None)
        data: list[Any] = []
        for slot in function.parameters:
            if slot.is_state:
                continue
            if slot.name not in given and not slot.has_default:
                raise Refusal(*BROKEN)
            data.append(given.pop(slot.name, slot.default))
        if given:
            raise Refusal(*BROKEN)
        return self._enter(request, function, Submission(data=data))

    def get(self, request: Request, event_id: str) -> None:
        """Open the stream of a job, or turn the client away."""
        sessions = self._queue.sessions
        session = sessions.get(event_id)
        if session is None and self._app.does(Manner.FINDS_CALLS):
            session = sessions.awaiting(event_id)
        self._channels.open_session_stream(request.exchange, session, named=True)

    def _enter(self, request: Request, function: Function, said: Submission) -> SendResponse:
        data = self._with_state(function, said.data or [])
        job = self._queue.join(request, function, attrs.evolve(said, data=data), is_simple=True)
        return SendResponse(request.exchange, 200, {"event_id": job.event_id})

    def _with_state(self, function: Function, data: list[Any]) -> list[Any]:
        """The *data* with a place for each State, which clients may leave out."""
        shown = [slot for slot in function.parameters if not slot.is_state]
        if not self._app.does(Manner.OMITS_STATE) or len(data) != len(shown):
            return data
        given = iter(data)
        return [None if slot.is_state else next(given) for slot in function.parameters]
