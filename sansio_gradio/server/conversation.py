"""A Gradio server at the altitude of HTTP messages: no bytes, no clock.

Told what clients ask, it gives commands for those who carry messages and events for those who run
the functions. What the application answers is in ``Runs``: ``start``, ``progress``, ``log``,
``generate``, ``complete``, ``fail``, or ``send`` with a message of its own making.

    conversation = Conversation(app, entropy=os.urandom)
    conversation.request(Request(1, "GET", "/config", headers, b""), now)
    while command := conversation.next_command():
        ...                                  # Answer, Open, Send, SendAlive or End of an exchange
    while event := conversation.next_event():
        ...                                  # JobSubmitted, JobCancelled, ChunkReceived, InputEnded

A WebSocket is a request of the method ``WEBSOCKET``; ``Open`` accepts it.
"""

from __future__ import annotations

from collections.abc import Callable

from sansio_gradio.protocol.states import Msg
from sansio_gradio.server.app import App
from sansio_gradio.server.clients import Clients
from sansio_gradio.server.documents import Documents
from sansio_gradio.server.events import Answer, Command, Send
from sansio_gradio.server.jobs import Job, Session, Stage
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import Refusal, Request
from sansio_gradio.server.routes import find
from sansio_gradio.server.versions import Manner


class Conversation(Clients):
    """A Gradio server without its wire.

    ``entropy(n)`` gives n random bytes. ``exchange`` is the caller's number for one request of a
    client, or a WebSocket; it is free again when that is over.
    """

    def __init__(
        self, app: App, *, entropy: Callable[[int], bytes], limits: ServerLimits | None = None
    ) -> None:
        queue = Queue(app, entropy, limits or ServerLimits())
        super().__init__(queue, Documents(app, app_id=int.from_bytes(entropy(8))))
        self.queue = queue

    def next_command(self) -> Command | None:
        """What the transport is to do next, None for now."""
        commands = self._channels.commands
        return commands.popleft() if commands else None

    def request(self, request: Request, now: float) -> None:
        """A client asks for something."""
        self._deadlines.now = now
        try:
            answer = find(self.app, request)(self, request)
        except Refusal as refusal:
            answer = Answer(request.exchange, *refusal.args)
        if answer is not None:
            self._channels.put(answer)

    def closed(self, exchange: int, now: float) -> None:
        """The client of this exchange is gone."""
        self._deadlines.now = now
        owner = self._channels.leave(exchange)
        if isinstance(owner, Job):
            self._queue.kill(owner)
        elif isinstance(owner, Session):
            self._reader_gone(owner, exchange)
        else:
            for job in self._sessions.jobs_of(owner):
                self._end_input(job)

    def _reader_gone(self, session: Session, exchange: int) -> None:
        """Clean up as if the client had left for good (gradio queueing.py: clean_events)."""
        session.streams.remove(exchange)
        session.messages = None
        for job in session.newest_jobs():
            if job.exchange is None:
                if job.stage is Stage.WAITING and self.app.does(Manner.CLEARS_DROPPED):
                    session.pending.discard(job.event_id)
                self._queue.kill(job)

    def stop(self, now: float) -> None:
        """The server goes down: every stream of a session is told, everything open ended."""
        for exchange, owner in list(self._channels.owners.items()):
            if isinstance(owner, Session):
                text = "Server stopped unexpectedly."
                stopped = self._queue.messages.make(Msg.UNEXPECTED_ERROR, message=text)
                self._channels.put(Send(exchange, stopped))
            self.closed(exchange, now)
            self._channels.end(exchange, clean=False)

    def text(self, exchange: int, text: str, now: float) -> None:
        """What came on a WebSocket."""
        self._deadlines.now = now
        job = self._channels.owners.get(exchange)
        if isinstance(job, Job):
            self._hear(job, text)
