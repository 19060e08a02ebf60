"""Jobs, and the sessions that they belong to: what is known of each."""

from __future__ import annotations

import enum
from collections import deque
from typing import Any

import attrs

from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import Function
from sansio_gradio.server.messages import OutputFields
from sansio_gradio.server.requests import Submission
from sansio_gradio.wire.headers import Headers

__all__ = ["Answers", "Chunks", "ServerJob", "ServerSession", "Sessions", "Stage"]


class Stage(enum.Enum):
    """How far a job is."""

    GREETING = enum.auto()  # its WebSocket is open; its function is not known yet
    WAITING = enum.auto()  # in line
    ASKED = enum.auto()  # its turn has come; its data has been asked for
    READY = enum.auto()  # the application has been told to run it
    RUNNING = enum.auto()  # the application has started it
    OVER = enum.auto()


@attrs.define(eq=False)
class Answers:
    """What a plain call has produced. Each request of the client takes one."""

    waiting: deque[tuple[int, Any, str]] = attrs.field(factory=deque[tuple[int, Any, str]])
    is_complete: bool = False  # the function will produce no more


@attrs.define(eq=False)
class Chunks:
    """How far a streaming input is."""

    run_time: float = 0.0
    first_step: float | None = None  # seconds
    is_awaited: bool = False  # the last one is answered; the next one may come
    next: list[Any] | None = None
    is_ended: bool = False


@attrs.define(eq=False, kw_only=True)
class ServerJob:
    """One run of a function for one client."""

    id: int
    event_id: str
    session: ServerSession | None = None
    function: Function | None = None
    exchange: int | None = None  # the channel that is this job's own
    headers: Headers = attrs.field(default=(), repr=False)
    root: str = ""  # the address that its client used
    user: str | None = None
    submission: Submission | None = None  # with the data
    is_simple: bool = False  # of /call: its outputs are never sent as edits
    stage: Stage = Stage.GREETING
    rank: int = 0  # how many waited before it, as it was told last
    began: float = 0.0  # when the run did
    step_began: float = 0.0  # when the work on the next output did
    last: OutputFields | None = None  # the newest output, with whole data
    is_held: bool = False  # the application was told to let it wait
    answers: Answers | None = None  # of a plain call
    chunks: Chunks = attrs.field(factory=Chunks)  # of a streaming input

    @property
    def queued(self) -> bool:
        """Whether it came by the queue. Otherwise it is a plain call (/api, /run)."""
        return self.answers is None

    @property
    def is_at_work(self) -> bool:
        """Whether the application has it."""
        return self.stage in (Stage.READY, Stage.RUNNING)


@attrs.define(eq=False)
class ServerSession:
    """What the server knows of one session_hash.

    ``messages`` are those that no stream has taken yet. It is None while no stream may be opened:
    before the first join, and after a stream was dropped. ``pending`` holds the event_ids whose end
    no stream has taken yet. An event_id of a job that died without a last message stays there, and
    keeps the stream open, as in Gradio.
    """

    session_hash: str
    messages: deque[Message] | None = None
    sizes: deque[int] = attrs.field(factory=deque[int])  # of the messages, in bytes
    size: int = 0  # of all messages
    is_full: bool = False  # so many messages wait that its jobs do, too
    pending: dict[str, None] = attrs.field(factory=dict[str, None])  # the oldest first
    streams: deque[int] = attrs.field(factory=deque[int])
    jobs: dict[int, ServerJob] = attrs.field(factory=dict[int, ServerJob])
    states: dict[str, Any] = attrs.field(factory=dict[str, Any])

    def drop_messages(self) -> None:
        """Forget what waits. No stream may be opened until the next join."""
        self.messages = None
        self.sizes.clear()
        self.size = 0
        self.is_full = False

    def keep(self, message: Message, size: int) -> None:
        """Let a message wait for a stream."""
        assert self.messages is not None
        self.messages.append(message)
        self.sizes.append(size)
        self.size += size

    def take(self) -> Message:
        """Take the message that has waited longest. There must be one."""
        assert self.messages
        self.size -= self.sizes.popleft()
        return self.messages.popleft()

    def take_end(self, event_id: str) -> Message | None:
        """The last message of a job, out of turn; None: it is not among those that wait."""
        for place, message in enumerate(self.messages or ()):
            if message.get("event_id") == event_id:
                assert self.messages is not None
                self.size -= self.sizes[place]
                del self.sizes[place], self.messages[place]
                return message
        return None

    def newest_jobs(self) -> list[ServerJob]:
        """Its jobs, newest first, so that stopping all starts none."""
        return list(reversed(self.jobs.values()))


class Sessions:
    """The sessions of a server, up to *limit* of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sessions: dict[str, ServerSession] = {}  # the longest unused first

    def get(self, session_hash: str | None) -> ServerSession | None:
        """The session of that name, if there is one."""
        return None if session_hash is None else self._sessions.get(session_hash)

    def jobs_of(self, session_hash: str | None) -> list[ServerJob]:
        """The jobs of that session, newest first. None, if there is no such session."""
        session = self.get(session_hash)
        return [] if session is None else session.newest_jobs()

    def awaiting(self, event_id: str) -> ServerSession | None:
        """The session whose streams have not taken the end of that job; None: there is none."""
        sessions = self._sessions.values()
        return next((session for session in sessions if event_id in session.pending), None)

    def use(self, session_hash: str) -> ServerSession:
        """The session of that name. Makes one if there is none."""
        session = self._sessions.pop(session_hash, None) or ServerSession(session_hash)
        self._sessions[session_hash] = session
        return session

    def take_surplus(self) -> ServerSession | None:
        """Remove the longest unused session if there are too many. Returns it."""
        if len(self._sessions) <= self._limit:
            return None
        return self._sessions.pop(next(iter(self._sessions)))

    def remove(self, session: ServerSession) -> None:
        """Remove a session."""
        del self._sessions[session.session_hash]
