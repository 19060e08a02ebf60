"""What a server remembers of each session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from sansio_gradio.protocol.messages import Message

if TYPE_CHECKING:
    from sansio_gradio.server.jobs import Job


@attrs.define(eq=False)
class Session:
    """One session_hash.

    ``messages`` is None while no stream may be opened: before the first join, and after a stream
    was dropped. ``pending`` holds the event_ids whose end no stream has taken yet; those of jobs
    that died silently stay, and keep the stream open (PROTOCOL.md 3.3).
    """

    session_hash: str
    messages: deque[Message] | None = None
    pending: set[str] = attrs.field(factory=set[str])
    streams: deque[int] = attrs.field(factory=deque[int])
    jobs: dict[int, Job] = attrs.field(factory=dict[int, "Job"])
    states: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def newest_jobs(self) -> list[Job]:
        """Its jobs, the newest first: who stops them all lets none have its turn on the way."""
        return list(reversed(self.jobs.values()))


class Sessions:
    """The sessions of a server; when there are too many, the longest unused is told to *forget*."""

    def __init__(self, limit: int, forget: Callable[[Session], None]) -> None:
        self._limit = limit
        self._forget = forget
        self._sessions: dict[str, Session] = {}

    def get(self, session_hash: str | None) -> Session | None:
        return None if session_hash is None else self._sessions.get(session_hash)

    def jobs_of(self, session_hash: str | None) -> list[Job]:
        """The jobs of that session, if there is one, the newest first."""
        session = self.get(session_hash)
        return [] if session is None else session.newest_jobs()

    def use(self, session_hash: str) -> Session:
        """The session of that name, made if there is none."""
        session = self._sessions.pop(session_hash, None) or Session(session_hash)
        self._sessions[session_hash] = session  # as the last, for it is the newest used
        if len(self._sessions) > self._limit:
            self._forget(self._sessions.pop(next(iter(self._sessions))))
        return session

    def drop(self, session: Session) -> None:
        """Forget this session, unless that has happened already."""
        if self._sessions.get(session.session_hash) is session:
            self._forget(self._sessions.pop(session.session_hash))
