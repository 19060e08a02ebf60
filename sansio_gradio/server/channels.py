"""Where messages go: event streams and WebSockets, by the number of their exchange.

A job has a channel of its own, or its messages go to its session, whose streams take them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import attrs

from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Traits
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.events import Command, End, OpenStream, Send, SendAlive
from sansio_gradio.server.jobs import Job
from sansio_gradio.server.messages import Messages
from sansio_gradio.server.sessions import Session

HEARTBEAT_EVERY: Final = 15.0  # seconds of a stream's own age (gradio routes.py)


@attrs.frozen
class Heartbeat:
    """The stream by which a client shows that its session is there."""

    session_hash: str


Owner: TypeAlias = Job | Session | Heartbeat
"""What an exchange is there for: a job of its own, a session's messages, a sign of life."""


class Channels:
    """All open exchanges. *overflow* is called with a session whose messages nobody reads, when
    the time is next told; until then it gets no more."""

    def __init__(
        self,
        traits: Traits,
        messages: Messages,
        deadlines: Deadlines,
        *,
        kept: int,
        overflow: Callable[[Session], None],
    ) -> None:
        self.commands: deque[Command] = deque()
        self._traits = traits
        self._messages = messages
        self._deadlines = deadlines
        self._kept = kept
        self._overflow = overflow
        self._owners: dict[int, Owner] = {}

    def put(self, command: Command) -> None:
        self.commands.append(command)

    def open(self) -> list[tuple[int, Owner]]:
        """All that are open now."""
        return list(self._owners.items())

    def owner(self, exchange: int) -> Owner | None:
        return self._owners.get(exchange)

    def take(self, exchange: int, job: Job) -> None:
        """The exchange is *job*'s own."""
        self._owners[exchange] = job

    def leave(self, exchange: int) -> Owner | None:
        """The exchange is over; what it was there for."""
        self._deadlines.stop(exchange)
        return self._owners.pop(exchange, None)

    def open_job_stream(self, exchange: int) -> None:
        """An event stream for the job that has taken the exchange."""
        self.put(OpenStream(exchange))
        self._heartbeat_later(exchange)

    def open_stream(self, exchange: int, session: Session | None) -> None:
        """An event stream for the messages of a session; None: there is no such session."""
        self.put(OpenStream(exchange))
        if session is None or session.messages is None:
            self._turn_away(exchange)
            return
        self._owners[exchange] = session
        session.streams.append(exchange)
        self._heartbeat_later(exchange)
        self._deliver(session)

    def open_heartbeat(self, exchange: int, session_hash: str) -> None:
        self.put(OpenStream(exchange))
        self._owners[exchange] = Heartbeat(session_hash)
        self._say_alive(exchange)

    def say(self, job: Job, message: Message) -> None:
        """Send a job's message where its messages go."""
        if job.exchange is not None:
            self.put(Send(job.exchange, message))
        elif job.session is not None:
            self.queue(job.session, message)

    def queue(self, session: Session, message: Message) -> None:
        """Send a message to whichever stream of the session takes it."""
        if session.messages is None or session.is_overfull:
            return
        session.messages.append(message)
        self._deliver(session)
        if len(session.messages) > self._kept:
            # Not at once: who says something does not expect its job to be gone afterwards.
            session.is_overfull = True
            self._deadlines.start(session, 0, partial(self._overflow, session))

    def end(self, exchange: int, *, clean: bool = True) -> None:
        self.leave(exchange)
        self.put(End(exchange, clean))

    def end_of(self, job: Job, *, clean: bool = True) -> None:
        """End the job's own channel, if it has one that is open."""
        if job.exchange in self._owners:
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
        for exchange, message in session.deliver():
            if message is not None:
                self.put(Send(exchange, message))
                continue
            if self._traits.close_stream:
                self.put(Send(exchange, self._messages.close_stream()))
            self.end(exchange)

    def _heartbeat_later(self, exchange: int) -> None:
        self._deadlines.start(exchange, HEARTBEAT_EVERY, partial(self._heartbeat, exchange))

    def _heartbeat(self, exchange: int) -> None:
        self.put(Send(exchange, self._messages.heartbeat()))
        # A job's own stream gets a single one: gradio@4.0.2 compares two different clocks.
        if isinstance(self._owners.get(exchange), Session):
            self._heartbeat_later(exchange)

    def _say_alive(self, exchange: int) -> None:
        self.put(SendAlive(exchange))
        self._deadlines.start(exchange, HEARTBEAT_EVERY, partial(self._say_alive, exchange))
