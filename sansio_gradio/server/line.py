"""The line that jobs wait in, and how long they are told to wait."""

from __future__ import annotations

from typing import Any

import attrs

from sansio_gradio.server.jobs import ServerJob

__all__ = ["Times", "WaitingLine"]


@attrs.define(eq=False)
class Times:
    """How long something takes, in seconds. As Gradio counts: the average of all so far."""

    count: int = 0
    total: float = 0.0
    average: float | None = None

    def add(self, seconds: float) -> float:
        """Count one more. Returns the new average."""
        self.count += 1
        self.total += seconds
        self.average = self.total / self.count
        return self.average


@attrs.define(eq=False)
class WaitingLine:
    """Jobs that share a limit on how many run at once (None: no limit)."""

    limit: int | None
    waiting: dict[int, ServerJob] = attrs.field(factory=dict[int, ServerJob])
    running: dict[int, ServerJob] = attrs.field(factory=dict[int, ServerJob])
    times: Times = attrs.field(factory=Times)
    queue_eta: float = 1.0

    def next(self) -> ServerJob | None:
        """Let the next job run. Returns it; None if none waits or as many run as may."""
        if not self.waiting or self.is_full:
            return None
        job = self.waiting.pop(next(iter(self.waiting)))
        self.running[job.id] = job
        return job

    def leave(self, job: ServerJob) -> None:
        """Take a job out of the line, whether it waits or runs."""
        self.waiting.pop(job.id, None)
        self.running.pop(job.id, None)

    @property
    def is_full(self) -> bool:
        """Whether as many jobs run as may."""
        return self.limit is not None and len(self.running) >= self.limit

    def finished(self, seconds: float) -> None:
        """Count a run that took so long."""
        self.queue_eta = self._concurrent(self.times.add(seconds)) * len(self.waiting)

    def estimate(self, rank: int, now: float, *, short: bool) -> dict[str, Any]:
        """What the waiting job at that place is told, by the keys of the message.

        *short*: as servers count since 4.11 (queueing.py: broadcast_estimations). Otherwise as the
        older ones (gradio@3.50.2 queueing.py: send_estimation).
        """
        told = {"rank": rank, "queue_size": len(self.waiting), "queue_eta": self.queue_eta}
        average = self.times.average
        if average is None:
            return {**told, "avg_event_process_time": 0.0}
        if short:
            ahead = rank * average / self.limit if self.limit else 0.0
            if self.is_full:  # until the first of them ends
                first = min(job.began for job in self.running.values())
                ahead += max(first + average - now, 0.0)
            return {**told, "rank_eta": average + ahead}
        concurrent = self._concurrent(average)
        return {
            **told,
            "rank_eta": average + (rank + self.is_full) * concurrent,
            "avg_event_process_time": average,
            "avg_event_concurrent_process_time": concurrent,
        }

    def _concurrent(self, average: float) -> float:
        """Seconds of a run, shared by the jobs that run at once."""
        runs = self.times.count
        return average / min(self.limit or runs, runs)
