"""Streaming input: a job that takes one piece after the other (gradio queueing.py:
process_events)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.channels import Channels
from sansio_gradio.server.events import ChunkReceived, InputEnded
from sansio_gradio.server.jobs import ServerJob
from sansio_gradio.server.queue import Queue, arguments
from sansio_gradio.server.results import RunResults, function_of

__all__ = ["CHUNK_WITHIN", "StreamingInputs"]

CHUNK_WITHIN: Final = 30.0  # seconds, where the function has no time limit (gradio queueing.py)


class StreamingInputs:
    """The jobs that take their input in pieces.

    Deadlines: such a job is due when its next piece is late.
    """

    def __init__(
        self,
        queue: Queue,
        channels: Channels,
        results: RunResults,
        deadlines: Deadlines[Hashable],
    ) -> None:
        self._queue = queue
        self._channels = channels
        self._results = results
        self._deadlines = deadlines

    def receive(self, job: ServerJob, data: list[Any] | None) -> None:
        """The client sends the next piece. Of those that come too early the newest counts."""
        job.chunks.next = data
        self._go_on(job)

    def end(self, job: ServerJob) -> None:
        """The client sends no more."""
        job.chunks.is_ended = True
        if job.chunks.is_awaited:
            self._end_job(job)

    def is_late(self, job: ServerJob) -> None:
        """End a job whose next piece did not come: its deadline has passed."""
        self._end_job(job, measured=False)

    def yielded(self, job: ServerJob, data: Sequence[Any]) -> None:
        """The application has answered a piece."""
        chunks, limit = job.chunks, function_of(job).time_limit
        spent = self._deadlines.now - job.step_began
        over = chunks.is_ended or (limit is not None and chunks.run_time + spent >= limit)
        job.last = self._results.output(job, data, is_generating=not over)
        chunks.run_time += spent
        if chunks.first_step is None:
            chunks.first_step = spent
        if over:
            self._end_job(job)
            return
        left = None if limit is None else limit - chunks.first_step
        self._channels.say(job, Msg.PROCESS_STREAMING, output=job.last, time_limit=left)
        chunks.is_awaited = True
        self._deadlines.start(job, CHUNK_WITHIN - chunks.first_step if left is None else left)
        self._go_on(job)

    def _go_on(self, job: ServerJob) -> None:
        """Give the application the next piece, if both are ready."""
        chunks = job.chunks
        if not chunks.is_awaited or chunks.next is None:
            return
        self._deadlines.stop(job)
        chunks.is_awaited = False
        job.step_began = self._deadlines.now
        self._queue.tell(ChunkReceived(job=job.id, data=arguments(job, chunks.next)))
        chunks.next = None

    def _end_job(self, job: ServerJob, *, measured: bool = True) -> None:
        """Not *measured*: nothing ran to bring the end about."""
        assert job.last is not None
        self._queue.tell(InputEnded(job=job.id))
        self._queue.complete(job, job.last, measured=measured)
