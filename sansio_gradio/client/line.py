"""The jobs of a session that are not handed in yet.

Some wait until the app, or its ``/info``, is known. Others wait for their turn: if each job has a
connection of its own, or if the server would lose jobs in its queue, only a limited number runs at
once, in the order of submission.
"""

from __future__ import annotations

import enum

from sansio_gradio.client.job import Job


class For(enum.Enum):
    """What a job waits for, before it stands in line."""

    APP = enum.auto()
    INFO = enum.auto()
    TIME = enum.auto()
    """It is started again then."""
    TOKEN = enum.auto()
    """Another one."""


class Line:
    """Which jobs wait, and which have gone. ``at_once`` is the most that may be gone at a time."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._waiting: dict[int, tuple[Job, For]] = {}
        self._in_line: dict[int, Job] = {}
        self._gone: set[int] = set()

    def __contains__(self, job: int) -> bool:
        return job in self._in_line or job in self._waiting

    def waiting(self, what: For) -> list[Job]:
        """The jobs that wait for that."""
        return [job for job, awaited in self._waiting.values() if awaited is what]

    @property
    def next(self) -> Job | None:
        """The job whose turn it is."""
        has_room = len(self._gone) < self.at_once
        return next(iter(self._in_line.values()), None) if has_room else None

    def wait(self, job: Job, what: For) -> None:
        """*job* waits, and for nothing else."""
        self.leave(job)
        self._waiting[job.id] = job, what

    def lets_go(self, job: Job, *, has_turns: bool) -> bool:
        """Whether *job* may go now. If not, it joins the end of the line."""
        if not has_turns:
            self.leave(job)
            return True
        self._waiting.pop(job.id, None)
        if job.id in self._gone:
            return True
        self._in_line.setdefault(job.id, job)
        if self.next is not job:
            return False
        del self._in_line[job.id]
        self._gone.add(job.id)
        return True

    def leave(self, job: Job) -> None:
        """*job* is over: it waits no more, and its place is free."""
        self._waiting.pop(job.id, None)
        self._in_line.pop(job.id, None)
        self._gone.discard(job.id)
