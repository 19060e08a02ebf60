"""A job that goes past the queue: one POST, whose answer is the ``output`` of a whole run."""

from __future__ import annotations

from collections.abc import Callable

from sansio_gradio.client.context import Chunk, Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.client.job import Job
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.wire.json import loads


class PlainCall:
    """Carries one job."""

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._job = job
        self._request: int | None = None

    def start(self, job: Job) -> None:
        """Ask; the answer takes as long as the function does, so only the job's deadline counts."""
        self._request = self._context.ask(
            requests.plain_call(job.body, job.headers),
            phase="call",
            deadline=None,
            then=self._answered,
            failed=job.fail,
        )

    def stop(self, job: Job, then: Callable[[bool], None]) -> None:
        # A function that runs outside the queue cannot be stopped.
        self.forget(job)
        then(False)

    def forget(self, _job: Job) -> None:
        self._context.exchanges.abort(self._request)
        self._request = None

    def send_chunk(self, _job: Job, _chunk: Chunk) -> None:
        """Streaming inputs go through the queue."""

    def _answered(self, answer: Answer) -> None:
        self._request = None
        try:
            output = loads(answer.body)
            if not isinstance(output, dict) or not isinstance(output.get("data"), list):
                raise RemoteProtocolError("the answer to a call has no data")
        except RemoteProtocolError as error:
            where = error.located(phase="call", url=answer.url.public, status=answer.status)
            self._job.fail(where)
            return
        self._job.receive({"msg": "process_completed", "output": output, "success": True})
