"""Event streams and WebSockets, by the number of their exchange.

The messages of a job go to the job's own channel, or to its session. There they wait until a
stream takes them whose client is not behind. Each message goes to one stream only. The stream that
takes the end of the session's last pending job is closed after it (gradio routes.py:
queue_data_helper). Where clients poll, the ends of jobs wait in the session, and nothing else.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel, Traits
from sansio_gradio.protocol.states import CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.server.events import (
    EVENTS,
    EndChannel,
    OpenChannel,
    SendAlive,
    SendBytes,
    SendEvent,
    SendFile,
    SendMessage,
    SendResponse,
    ServerCommand,
)
from sansio_gradio.server.jobs import ServerJob, ServerSession
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.requests import BROKEN
from sansio_gradio.wire import json
from sansio_gradio.wire.headers import Headers

__all__ = ["HEARTBEAT_EVERY", "Channels", "Owner"]

HEARTBEAT_EVERY: Final = 15.0  # seconds of a stream's own age (gradio routes.py)
AHEAD: Final = 1000  # messages that may wait for a stream before the functions are held up
STREAM_WITHIN: Final = 60.0  # seconds for a stream to come then

Owner: TypeAlias = ServerJob | ServerSession | str
"""What a channel is for: one job, the messages of a session, or the sign of life of the session of
that name."""


class Channels:
    """All open channels, and the commands for the transport.

    Deadlines: an exchange is due when its next heartbeat is. A session is due when it is to be
    forgotten: when so many of its messages wait that its jobs are held up, and no stream comes for
    them; or at once, when there are too many.
    """

    def __init__(
        self,
        traits: Traits,
        messages: Messages,
        deadlines: Deadlines[Hashable],
        limits: ServerLimits,
    ) -> None:
        self._traits = traits
        self._messages = messages
        self._deadlines = deadlines
        self._limits = limits
        self._behind: set[int] = set()  # exchanges
        self._backlog: dict[ServerSession, None] = {}  # their messages may wait for a stream
        self._touched: set[ServerJob | ServerSession] = set()
        self._owners: dict[int, Owner] = {}
        self._alive: Counter[str] = Counter()  # streams for signs of life, by session_hash
        self._named: set[int] = set()  # exchanges whose events have names, as those of /call
        self._headers: dict[int, Headers] = {}  # of answers to come
        self._commands: deque[ServerCommand] = deque()

    def next_command(self) -> ServerCommand | None:
        """What the transport is to do next; None for now."""
        while self._backlog and not self._commands:
            session = next(iter(self._backlog))
            if not self._deliver_kept(session):
                del self._backlog[session]
        return self._commands.popleft() if self._commands else None

    # Channels

    def expect(self, exchange: int, headers: Headers) -> None:
        """A request has come. Its answer will have these *headers*, too."""
        if headers:
            self._headers[exchange] = headers

    def owner(self, exchange: int) -> Owner | None:
        """What the channel is for; None if there is none."""
        return self._owners.get(exchange)

    def exchanges(self) -> list[int]:
        """All exchanges that are not over."""
        return list(self._owners)

    def own(self, exchange: int, owner: Owner) -> None:
        """Note what an exchange is for."""
        self._owners[exchange] = owner
        if isinstance(owner, str):
            self._alive[owner] += 1

    def leave(self, exchange: int) -> Owner | None:
        """Forget an exchange, which is over. Returns what it was for."""
        self._deadlines.stop(exchange)
        self._behind.discard(exchange)
        self._named.discard(exchange)
        self._headers.pop(exchange, None)
        owner = self._owners.pop(exchange, None)
        if isinstance(owner, str):
            self._alive[owner] -= 1
            if not self._alive[owner]:
                del self._alive[owner]
        return owner

    def is_alive(self, session_hash: str) -> bool:
        """Whether a stream for signs of life is open for that session."""
        return session_hash in self._alive

    def open_bare(self, exchange: int, content_type: str = EVENTS) -> None:
        """Open a stream that has no owner, and no heartbeats."""
        self._open(exchange, content_type)

    def send_bytes(self, exchange: int, data: bytes) -> None:
        """Send bytes on a stream that is not one of events."""
        self._commands.append(SendBytes(exchange, data))

    def open_socket(self, exchange: int) -> None:
        """Accept a WebSocket."""
        self._open(exchange)

    def open_stream(self, exchange: int, owner: Owner) -> None:
        """Open an event stream and begin its heartbeats."""
        self.own(exchange, owner)
        self._open(exchange)
        if isinstance(owner, str):
            self.beat(exchange)
        else:
            self._deadlines.start(exchange, HEARTBEAT_EVERY)

    def open_session_stream(
        self, exchange: int, session: ServerSession | None, *, named: bool = False
    ) -> None:
        """Open an event stream for the messages of a session; None: there is no such session.

        *named*: the stream of a /call, whose events have names.
        """
        if named:
            self._named.add(exchange)
        if session is None or session.messages is None:
            self._open(exchange)
            self._turn_away(exchange)
            return
        self.open_stream(exchange, session)
        session.streams.append(exchange)
        self._deadlines.stop(session)
        self._backlog[session] = None
        # What is more than that waits until it is known how the client reads.
        least = session.size - self._limits.held_at
        while session.messages and session.size > least and self._deliver_kept(session):
            pass

    def beat(self, exchange: int) -> None:
        """Send a heartbeat: the deadline of this exchange has passed."""
        owner = self._owners[exchange]
        if isinstance(owner, str):
            self._commands.append(SendAlive(exchange))
        else:
            self.tell_channel(exchange, self._messages.make(HEARTBEAT))
        # A job's own stream gets a single one: gradio@4.0.2 compares two different clocks.
        if not isinstance(owner, ServerJob):
            self._deadlines.start(exchange, HEARTBEAT_EVERY)

    def end(self, exchange: int, *, clean: bool = True) -> None:
        """End a channel."""
        self.leave(exchange)
        self._commands.append(EndChannel(exchange, clean))

    def end_of(self, job: ServerJob, *, clean: bool = True) -> None:
        """End the job's own channel, if it has one that is open."""
        if job.exchange in self._owners:
            self.end(job.exchange, clean=clean)

    def close_streams(self, session: ServerSession) -> None:
        """End the streams of a session that is forgotten."""
        session.drop_messages()
        for exchange in session.streams:
            self._turn_away(exchange)
            self.leave(exchange)
        session.streams.clear()

    # Messages

    def answer(self, answer: SendResponse | SendFile) -> None:
        """Answer a request."""
        headers = self._headers.pop(answer.exchange, ())
        if isinstance(answer, SendResponse) and (
            (answer.status, answer.body, answer.content_type) == BROKEN
        ):
            headers = ()  # code that raised did not get as far as where they are added
        self._commands.append(attrs.evolve(answer, headers=(*answer.headers, *headers)))

    def say(self, job: ServerJob, kind: str, /, **values: Any) -> None:
        """Send a message of a job, made of *values*."""
        self.tell(job, self._messages.make(kind, event_id=job.event_id, **values))

    def tell(self, job: ServerJob, message: Message) -> None:
        """Send this message of a job."""
        if job.exchange is not None:
            self.tell_channel(job.exchange, message)
        elif job.session is not None and (
            self._traits.channel is not Channel.POLL or message.get("msg") == Msg.PROCESS_COMPLETED
        ):
            self.tell_session(job.session, message)

    def tell_channel(self, exchange: int, message: Message) -> None:
        """Send a message on this channel."""
        if exchange not in self._named:
            self._commands.append(SendMessage(exchange, message))
        elif (event := self._messages.named(message)) is not None:
            self._commands.append(SendEvent(exchange, *event))

    def tell_session(self, session: ServerSession, message: Message) -> None:
        """Send a message to the stream of the session whose turn it is, or keep it for one."""
        if session.messages is None:
            return
        exchange = None if session.messages else self._free_stream(session)
        if exchange is not None:
            self._deliver(session, exchange, message)
            return
        size = len(json.dumps(message))
        is_too_much = session.size > self._limits.unsent
        session.keep(message, size)
        self._backlog[session] = None
        if is_too_much or len(session.messages) > self._limits.messages:
            # Not forgotten at once: a verb does not end the job that it is for.
            session.drop_messages()
            self._deadlines.start(session, 0)
        elif not session.is_full and self._is_above(session, 1):
            session.is_full = True
            self._touched.add(session)
            if not session.streams:
                self._deadlines.start(session, STREAM_WITHIN)

    def take_end(self, session: ServerSession | None, event_id: str) -> Message | None:
        """The last message of a job, for a client that polls; None: it does not wait there."""
        end = None if session is None else session.take_end(event_id)
        if session is not None and end is not None:
            session.pending.pop(event_id, None)
            self._note_room(session)
        return end

    def _note_room(self, session: ServerSession) -> None:
        """Let the jobs of a session go on, if few of its messages wait now."""
        if session.is_full and not self._is_above(session, 0.5):
            session.is_full = False
            self._touched.add(session)
            self._deadlines.stop(session)

    def _is_above(self, session: ServerSession, part: float) -> bool:
        """Whether the messages that wait in a session exceed this *part* of the limit."""
        count = len(session.messages or ())
        return count > AHEAD * part or session.size > self._limits.held_at * part

    def _free_stream(self, session: ServerSession) -> int | None:
        """The next stream of the session that takes a message: its client is not behind."""
        for _ in session.streams:
            exchange = session.streams[0]
            session.streams.rotate(-1)
            if exchange not in self._behind:
                return exchange
        return None

    def _deliver_kept(self, session: ServerSession) -> bool:
        """Deliver a message that was kept. False: there is none, or no stream takes it."""
        exchange = self._free_stream(session) if session.messages else None
        if exchange is None:
            return False
        self._deliver(session, exchange, session.take())
        self._note_room(session)
        return True

    def _deliver(self, session: ServerSession, exchange: int, message: Message) -> None:
        self.tell_channel(exchange, message)
        if message.get("msg") == Msg.PROCESS_COMPLETED:
            session.pending.pop(message.get("event_id") or "", None)
            if not session.pending:
                session.streams.remove(exchange)
                if self._traits.close_stream:
                    self.tell_channel(exchange, self._messages.make(CLOSE_STREAM))
                self.end(exchange)

    # Clients that are behind

    def set_behind(self, exchange: int, is_behind: bool) -> None:
        """Note whether more waits for the client of a channel than it should."""
        owner = self._owners.get(exchange)
        if isinstance(owner, ServerJob | ServerSession):
            (self._behind.add if is_behind else self._behind.discard)(exchange)
            self._touched.add(owner)
            if isinstance(owner, ServerSession) and not is_behind:
                self._backlog[owner] = None

    def touch(self, job: ServerJob) -> None:
        """Have it checked whether a job is to be held up."""
        self._touched.add(job)

    def take_touched(self) -> list[ServerJob]:
        """The jobs of which it may have changed whether they are to be held up."""
        jobs: dict[ServerJob, None] = {}
        for touched in self._touched:
            found = [touched] if isinstance(touched, ServerJob) else touched.jobs.values()
            jobs.update(dict.fromkeys(found))
        self._touched.clear()
        return list(jobs)

    def is_behind(self, job: ServerJob) -> bool:
        """Whether the client of a queued job is behind with reading."""
        if job.exchange is not None:
            return job.exchange in self._behind
        session = job.session
        return session is not None and (
            session.is_full or not self._behind.isdisjoint(session.streams)
        )

    def _open(self, exchange: int, content_type: str = EVENTS) -> None:
        headers = self._headers.pop(exchange, ())
        self._commands.append(OpenChannel(exchange, headers, content_type))

    def _turn_away(self, exchange: int) -> None:
        self.tell_channel(exchange, self._messages.session_not_found())
        self._named.discard(exchange)
        self._commands.append(EndChannel(exchange, clean=False))
