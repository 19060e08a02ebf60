"""Where messages go: event streams and WebSockets, by the number of their exchange.

A job has a channel of its own, or its messages go to its session. There they wait until a stream
takes them; what one takes, no other gets. The stream that takes the end of the last pending job is
closed with it (gradio routes.py: queue_data_helper).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Traits
from sansio_gradio.protocol.states import CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.server.events import Command, End, Open, Send, SendAlive
from sansio_gradio.server.jobs import Job, Session
from sansio_gradio.server.messages import Messages

HEARTBEAT_EVERY: Final = 15.0  # seconds of a stream's own age (gradio routes.py)

Owner: TypeAlias = Job | Session | str
"""What an exchange is there for: a job of its own, a session's messages, or, by the name of a
session, its sign of life."""


@attrs.define(eq=False)
class Channels:
    """All open exchanges. *overflow* is called with a session that has more than *kept* messages
    which nobody reads, when the time is next told; by then they are gone."""

    _traits: Traits
    _messages: Messages
    _deadlines: Deadlines
    _kept: int
    _overflow: Callable[[Session], None]
    owners: dict[int, Owner] = attrs.field(factory=dict[int, Owner])
    commands: deque[Command] = attrs.field(factory=deque[Command])

    def put(self, command: Command) -> None:
        self.commands.append(command)

    def leave(self, exchange: int) -> Owner | None:
        """The exchange is over; what it was there for."""
        self._deadlines.stop(exchange)
        return self.owners.pop(exchange, None)

    def open_stream(self, exchange: int, owner: Owner) -> None:
        """An event stream, and its heartbeats."""
        self.owners[exchange] = owner
        self.put(Open(exchange))
        if isinstance(owner, str):
            self._beat(exchange, owner)
        else:
            self._beat_later(exchange, owner)

    def open_session_stream(self, exchange: int, session: Session | None) -> None:
        """An event stream for the messages of a session; None: there is no such session."""
        if session is None or session.messages is None:
            self.put(Open(exchange))
            self._turn_away(exchange)
            return
        self.open_stream(exchange, session)
        session.streams.append(exchange)
        self._deliver(session)

    def say(self, job: Job, kind: str, /, **values: Any) -> None:
        """Send a message of a job where its messages go."""
        self.tell(job, self._messages.make(kind, event_id=job.event_id, **values))

    def tell(self, job: Job, message: Message) -> None:
        """Send a message that is made already."""
        if job.exchange is not None:
            self.put(Send(job.exchange, message))
        elif job.session is not None:
            self.tell_session(job.session, message)

    def tell_session(self, session: Session, message: Message) -> None:
        """Send a message to whichever stream of the session takes it."""
        if session.messages is None:
            return
        session.messages.append(message)
        self._deliver(session)
        if len(session.messages) > self._kept:
            # Not at once: who says something does not expect its job to be gone afterwards.
            session.messages = None
            self._deadlines.start(session, 0, partial(self._overflow, session))

    def end(self, exchange: int, *, clean: bool = True) -> None:
        self.leave(exchange)
        self.put(End(exchange, clean))

    def end_of(self, job: Job, *, clean: bool = True) -> None:
        """End the job's own channel, if it has one that is open."""
        if job.exchange in self.owners:
            self.end(job.exchange, clean=clean)

    def close_streams(self, session: Session) -> None:
        """The session is no more, which its streams are told."""
        session.messages = None
        for exchange in session.streams:
            self.leave(exchange)
            self._turn_away(exchange)
        session.streams.clear()

    def _turn_away(self, exchange: int) -> None:
        self.put(Send(exchange, self._messages.session_not_found()))
        self.put(End(exchange, clean=False))

    def _deliver(self, session: Session) -> None:
        while session.messages and session.streams:
            exchange = session.streams[0]
            session.streams.rotate(-1)
            message = session.messages.popleft()
            self.put(Send(exchange, message))
            if message.get("msg") == Msg.PROCESS_COMPLETED:
                session.pending.discard(message.get("event_id") or "")
                if not session.pending:
                    session.streams.remove(exchange)
                    if self._traits.close_stream:
                        self.put(Send(exchange, self._messages.make(CLOSE_STREAM)))
                    self.end(exchange)

    def _beat_later(self, exchange: int, owner: Owner) -> None:
        beat = partial(self._beat, exchange, owner)
        self._deadlines.start(exchange, HEARTBEAT_EVERY, beat)

    def _beat(self, exchange: int, owner: Owner) -> None:
        if isinstance(owner, str):
            self.put(SendAlive(exchange))
        else:
            self.put(Send(exchange, self._messages.make(HEARTBEAT)))
        # A job's own stream gets a single one: gradio@4.0.2 compares two different clocks.
        if not isinstance(owner, Job):
            self._beat_later(exchange, owner)
