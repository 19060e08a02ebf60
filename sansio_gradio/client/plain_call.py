"""A job that goes past the queue: a POST, whose answer is the ``output`` of a whole run.

Servers from 3.3 to 3.50 answer with the next output of a generator, to one POST after the other.
Where an app does not want its queue to be passed by (``api_open=False``) they answer 401 (up to
3.43) or 404.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.client.job import Job
from sansio_gradio.errors import GradioError, RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.states import Msg

_QUEUE_ONLY: Final = (401, 404)


class PlainCall:
    """Carries one job; ``instead``: the error for which it did not go through the queue."""

    def __init__(self, context: Context, job: Job, instead: GradioError | None = None) -> None:
        self._context = context
        self._job = job
        self._instead = instead
        self._request: int | None = None
        self._yielded: dict[str, Any] | None = None

    def start(self, job: Job) -> None:
        """Ask; the answer takes as long as the function does, so only the job's deadline counts."""
        request = requests.plain_call(job.body, job.headers)
        if job.endpoint.function is not None:
            (component,), (data,) = job.endpoint.inputs, job.body["data"]
            request = requests.component_call(
                job.session_hash, component.id, job.endpoint.function, data, job.headers
            )
        self._request = self._context.ask(
            request,
            phase="call",
            deadline=None,
            then=self._answered,
            failed=self._failed,
            hands_in=job.id,
        )

    def stop(self, _job: Job, then: Callable[[bool | None], None]) -> None:
        then(False)  # a function that runs outside the queue cannot be stopped

    def forget(self, _job: Job) -> None:
        self._context.exchanges.abort(self._request)
        self._request = None

    def _answered(self, answer: Answer) -> None:
        self._request = None
        output = answer.read()
        if self._job.endpoint.function is not None:
            output = {"data": [output]}
        if not isinstance(output, dict) or not isinstance(output.get("data"), list):
            raise RemoteProtocolError("the answer to a call has no data")
        if output.get("is_generating") and has(self._context.app.version, Feature.STEPS):
            self._yielded = output
            message: Any = {"msg": Msg.PROCESS_GENERATING.value, "output": output, "success": True}
            self._job.receive(message)
            self.start(self._job)
            return
        # When a generator has ended, null stands for its outputs.
        last = output if self._yielded is None else self._yielded
        self._job.receive({"msg": Msg.PROCESS_COMPLETED.value, "output": last, "success": True})

    def _failed(self, error: GradioError) -> None:
        self._request = None
        if self._instead is not None and error.status in _QUEUE_ONLY:
            error = self._instead
        self._job.fail(error)
