"""The jobs of a session that are not handed in yet: the server has heard of none of them.

Some wait until it is known what they ask for. Others wait for their turn: where each job has a
connection of its own, or where a server would lose jobs in its line, only so many go at once, in
the order in which they came.
"""

from __future__ import annotations

from sansio_gradio.client.job import Job


class Line:
    """Who waits, and who has gone; ``at_once`` is how many may be gone at a time."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._unknown: dict[int, Job] = {}
        self._in_line: dict[int, Job] = {}
        self._gone: set[int] = set()

    def __contains__(self, job: int) -> bool:
        return job in self._unknown or job in self._in_line

    @property
    def unknown(self) -> list[Job]:
        """Those of which something must be known first."""
        return list(self._unknown.values())

    @property
    def next(self) -> Job | None:
        """Whose turn it is."""
        has_room = len(self._gone) < self.at_once
        return next(iter(self._in_line.values()), None) if has_room else None

    def wait(self, job: Job) -> None:
        """Something must be known of *job* first."""
        self.leave(job)
        self._unknown[job.id] = job

    def lets_go(self, job: Job, *, has_turns: bool) -> bool:
        """Whether *job* may go now; if not, it waits behind those that do already."""
        if has_turns:
            self._in_line.setdefault(job.id, job)
            if self.next is not job:
                return False
        self.leave(job)
        if has_turns:
            self._gone.add(job.id)
        return True

    def leave(self, job: Job) -> None:
        """*job* waits no more, or is back."""
        self._unknown.pop(job.id, None)
        self._in_line.pop(job.id, None)
        self._gone.discard(job.id)
