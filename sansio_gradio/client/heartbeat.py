"""The connection that keeps a session's State on the server, if the app asks for one.

(gradio 4.25 and later, routes.py: /heartbeat.) No job depends on it. But when it ends, the server
may have been started anew, and may have forgotten the State.
"""

from __future__ import annotations

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.steps import Doubt, Drop, Listen, Listener, Puzzle, Way
from sansio_gradio.errors import GradioError
from sansio_gradio.protocol import requests


class Heartbeat(Listener):
    """The heartbeat of one session. The bytes on it are ignored; only its end matters."""

    def __init__(self, session_hash: str) -> None:
        self._session_hash = session_hash
        self._exchange: int | None = None

    def beat(self, attempt: Attempt) -> Way:
        """Open the connection, if the app of *attempt* asks for it."""
        if self._exchange is None and attempt.app.connect_heartbeat:
            request = requests.heartbeat(self._session_hash)
            self._exchange = yield Listen(attempt.base, request, self, "heartbeat")

    def stop(self) -> Way:
        """Close the connection."""
        exchange, self._exchange = self._exchange, None
        yield Drop(exchange)

    def ended(self) -> Way:
        yield from self._over("the server ended it")

    def refused(self, answer: Answer, /) -> Way:
        yield from self._over(f"HTTP {answer.status}")

    def failed(self, error: GradioError, /) -> Way:
        yield from self._over(error.message)

    def _over(self, why: str) -> Way:
        self._exchange = None
        yield Doubt()
        yield Puzzle(f"the heartbeat connection ended: {why}")
