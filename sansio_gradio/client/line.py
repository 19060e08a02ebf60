"""The jobs of a session that are not handed in yet.

Some wait until the app, or its ``/info``, is known. Others wait for their turn: if each job has a
connection of its own, or if the server would lose jobs in its queue, only a limited number runs at
once, in the order of submission.
"""

from __future__ import annotations

from sansio_gradio.client.job import Job


class Line:
    """Which jobs wait, and which have gone. ``at_once`` is the most that may be gone at a time."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._for_app: dict[int, Job] = {}
        self._for_info: dict[int, Job] = {}
        self._for_time: dict[int, Job] = {}
        self._for_token: dict[int, Job] = {}
        self._in_line: dict[int, Job] = {}
        self._gone: set[int] = set()

    def __contains__(self, job: int) -> bool:
        return job in self._in_line or any(job in jobs for jobs in self._others)

    @property
    def for_app(self) -> list[Job]:
        """The jobs that wait until the app is known."""
        return list(self._for_app.values())

    @property
    def for_info(self) -> list[Job]:
        """The jobs that wait for ``/info``."""
        return list(self._for_info.values())

    @property
    def for_token(self) -> list[Job]:
        """The jobs that wait for another token."""
        return list(self._for_token.values())

    @property
    def next(self) -> Job | None:
        """The job whose turn it is."""
        has_room = len(self._gone) < self.at_once
        return next(iter(self._in_line.values()), None) if has_room else None

    def wait_for_app(self, job: Job) -> None:
        """*job* waits until the app is known."""
        self.leave(job)
        self._for_app[job.id] = job

    def wait_for_info(self, job: Job) -> None:
        """*job* waits for ``/info``."""
        self.leave(job)
        self._for_info[job.id] = job

    def wait_for_time(self, job: Job) -> None:
        """*job* waits until it is started again."""
        self.leave(job)
        self._for_time[job.id] = job

    def wait_for_token(self, job: Job) -> None:
        """*job* waits until another token is set."""
        self.leave(job)
        self._for_token[job.id] = job

    def lets_go(self, job: Job, *, has_turns: bool) -> bool:
        """Whether *job* may go now. If not, it joins the end of the line."""
        if not has_turns:
            self.leave(job)
            return True
        self._leave_others(job)
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
        self._leave_others(job)
        self._in_line.pop(job.id, None)
        self._gone.discard(job.id)

    @property
    def _others(self) -> tuple[dict[int, Job], ...]:
        return self._for_app, self._for_info, self._for_time, self._for_token

    def _leave_others(self, job: Job) -> None:
        for jobs in self._others:
            jobs.pop(job.id, None)
