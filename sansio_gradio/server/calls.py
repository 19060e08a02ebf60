"""Plain calls: runs without the queue, answered on the request itself.

From 3.3 to 3.50 the outputs of a generator are fetched one by one: each further call of the same
function in the same session gets the next one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import JSON, JobAbandoned, SendResponse
from sansio_gradio.server.jobs import Answers, ServerJob
from sansio_gradio.server.messages import Messages, OutputFields
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Request, Submission
from sansio_gradio.server.results import RunResults

__all__ = ["PlainCalls"]

STEPS_AHEAD: Final = 100  # outputs that may wait for the client before the function is held up
STEP_WITHIN: Final = 300.0  # seconds; servers keep an iterator as long as its session


class PlainCalls:
    """The plain calls of a server.

    Deadlines: such a job is due when nobody has fetched its next output for long.
    """

    def __init__(
        self,
        app: App,
        *,
        queue: Queue,
        channels: Channels,
        messages: Messages,
        results: RunResults,
        deadlines: Deadlines[Hashable],
    ) -> None:
        self._app = app
        self._queue = queue
        self._channels = channels
        self._messages = messages
        self._results = results
        self._deadlines = deadlines

    def request(self, request: Request, function: Function, submission: Submission) -> None:
        """A client calls: run the function, or go on with the generator that it has called."""
        for job in self._queue.sessions.jobs_of(submission.session_hash):
            if job.function is function and not job.queued and job.exchange is None:
                job.exchange = request.exchange
                self._channels.own(request.exchange, job)
                self._hand_out(job)
                return
        job = self._queue.new_job(request, request.exchange, answers=Answers())
        self._queue.describe(job, function, submission)
        self._queue.ready(job)

    def yielded(self, job: ServerJob, output: OutputFields) -> None:
        """The function has yielded."""
        answers = _answers_of(job)
        has_steps = job.session is not None and has(self._app.version, Feature.STEPS)
        goes_on = has_steps and len(answers.waiting) < self._queue.limits.messages
        self._answer(job, 200, output, last=not goes_on)
        if not goes_on:
            # Such a call gets the first output, and no further one is asked for.
            self._queue.tell(JobAbandoned(job=job.id))

    def completed(self, job: ServerJob, output: OutputFields) -> None:
        """The function has returned."""
        if job.last is None:
            self._answer(job, 200, output)
        else:
            self._end_steps(job)

    def failed(self, job: ServerJob, error: BaseException | None) -> None:
        """The function has raised."""
        has_yielded = job.last is not None
        refusal = self._messages.failed_call(self._messages.error_output(error))
        self._answer(job, *refusal, last=not has_yielded)
        if has_yielded:
            self._end_steps(job)

    def is_behind(self, job: ServerJob) -> bool:
        """Whether the client is behind with fetching outputs."""
        return len(_answers_of(job).waiting) >= STEPS_AHEAD

    def is_late(self, job: ServerJob) -> None:
        """End a job whose outputs are not fetched: its deadline has passed."""
        if _answers_of(job).is_complete:
            self._queue.remove(job)
        else:
            self._queue.kill(job)

    def _end_steps(self, job: ServerJob) -> None:
        """A generator is over: the last request for a step gets nothing."""
        nothing = self._results.empty(job)
        self._answer(job, 200, self._results.output(job, nothing, is_generating=False))

    def _answer(
        self, job: ServerJob, status: int, body: Any, kind: str = JSON, *, last: bool = True
    ) -> None:
        """Add an answer, for the request that waits or for the next one."""
        answers = _answers_of(job)
        answers.waiting.append((status, body, kind))
        answers.is_complete = last
        self._hand_out(job)

    def _hand_out(self, job: ServerJob) -> None:
        answers = _answers_of(job)
        self._channels.touch(job)
        self._deadlines.stop(job)
        if job.exchange is not None and answers.waiting:
            self._channels.answer(SendResponse(job.exchange, *answers.waiting.popleft()))
            self._channels.leave(job.exchange)
            job.exchange = None
        if answers.is_complete and not answers.waiting:
            self._queue.remove(job)
        elif job.exchange is None:
            self._deadlines.start(job, STEP_WITHIN)


def _answers_of(job: ServerJob) -> Answers:
    assert job.answers is not None
    return job.answers
