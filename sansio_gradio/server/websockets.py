"""Jobs on WebSockets: each is one job."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.jobs import ServerJob, Stage
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Refusal, Request, function_meant, read_submission

__all__ = ["WebSocketJobs"]

HASH_WITHIN: Final = 5.0  # seconds (gradio@3.50.2 routes.py: join_queue)


class WebSocketJobs:
    """The jobs on WebSockets.

    Deadlines: such a job is due when its client has not said which function it is for.
    """

    def __init__(
        self, app: App, queue: Queue, channels: Channels, deadlines: Deadlines[Hashable]
    ) -> None:
        self._app = app
        self._queue = queue
        self._channels = channels
        self._deadlines = deadlines
        self._greets = has(app.version, Feature.HELLO)

    def request(self, request: Request) -> None:
        """Accept a WebSocket."""
        self._channels.open_socket(request.exchange)
        job = self._queue.new_job(request, request.exchange)
        asks = has(self._app.version, Feature.SEND_HASH)
        if asks:
            self._channels.say(job, Msg.SEND_HASH)
        if asks or self._greets:
            self._deadlines.start(job, HASH_WITHIN)
        else:
            self._queue.admit(job)

    def receive(self, job: ServerJob, text: str) -> None:
        """A text has come. It is ignored if none is awaited."""
        is_greeting = job.stage is Stage.GREETING
        if not is_greeting and job.stage is not Stage.ASKED:
            return
        try:
            submission = read_submission(text, self._queue.limits)
            # With the data the server finds out anew which function it is for.
            if not is_greeting or not self._greets:
                self._queue.describe(job, function_meant(self._app, submission), submission)
            if is_greeting:
                self._deadlines.stop(job)
                self._queue.admit(job)
            elif job.submission is None:
                raise Refusal
            else:
                self._queue.ready(job)
        except Refusal:
            self.break_off(job)

    def break_off(self, job: ServerJob) -> None:
        """End a WebSocket without a Close, as a server does whose task fails."""
        self._queue.remove(job)
        self._channels.end_of(job, clean=False)
