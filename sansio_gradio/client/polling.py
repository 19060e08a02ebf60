"""A job that is pushed and then asked after, again and again (``Channel.POLL``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sansio_gradio.client.context import Context, name_given
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.client.job import Job
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.dialects import of_poll
from sansio_gradio.protocol.failures import unknown_there
from sansio_gradio.protocol.messages import Message

INTERVAL: Final = 0.5
"""Seconds between an answer and the next poll: the server's own worker looks once a second."""

_TIMES_UNKNOWN: Final = 20  # polls in a row; a moment of it is usual


class Polling:
    """Carries one job."""

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._job = job
        self._timer = "poll", job.id
        self._request: int | None = None
        self._last: Message | None = None
        self._times_unknown = 0

    def start(self, job: Job) -> None:
        """Join the queue."""
        self._request = self._context.ask(
            requests.push(job.body, job.headers),
            phase="join",
            deadline="join",
            then=self._joined,
            failed=job.fail,
            hands_in=job.id,
        )

    def stop(self, _job: Job, then: Callable[[bool | None], None]) -> None:
        then(False)  # these servers know no way to stop a job

    def forget(self, _job: Job) -> None:
        self._context.exchanges.abort(self._request)
        self._context.timers.stop(self._timer)
        self._request = None

    def _joined(self, answer: Answer) -> None:
        said, self._job.event_id = name_given(answer, "hash")
        self._job.accepted(said)
        self._poll_later()

    def _poll_later(self) -> None:
        self._request = None
        self._context.timers.start(self._timer, INTERVAL, self._poll)

    def _poll(self) -> None:
        assert self._job.event_id is not None
        self._request = self._context.ask(
            requests.poll(self._job.event_id),
            phase="poll",
            deadline="request",
            then=self._polled,
            failed=self._job.fail,
        )

    def _polled(self, answer: Answer) -> None:
        message = of_poll(answer.read(), answer.loads)
        self._times_unknown = 0 if message else self._times_unknown + 1
        if self._times_unknown > _TIMES_UNKNOWN:
            self._context.doubt_app()
            raise unknown_there()
        if message and message != self._last:  # what it says again is no news
            self._last = message
            self._job.receive(message)
        if not self._job.is_over:
            self._poll_later()
