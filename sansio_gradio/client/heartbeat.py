"""The connection that keeps a session's State on the server, where the app asks for one.

(gradio 4.25 and later, routes.py: /heartbeat.) Nothing that is under way depends on it. But where
it has ended, the server may have been started anew, and has forgotten the State.
"""

from __future__ import annotations

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.errors import GradioError
from sansio_gradio.protocol import requests


class Heartbeat:
    """That of one session. What it listens to says nothing that the connection itself does not."""

    def __init__(self, context: Context, session_hash: str) -> None:
        self._context = context
        self._session_hash = session_hash
        self._exchange: int | None = None

    def beat(self) -> None:
        """Be there from now on, if the app asks for it."""
        context = self._context
        if self._exchange is not None or not context.app.connect_heartbeat:
            return
        self._exchange = context.exchanges.listen(
            context.base, requests.heartbeat(self._session_hash), phase="heartbeat", listener=self
        )

    def stop(self) -> None:
        """Be there no longer."""
        self._context.exchanges.abort(self._exchange)
        self._exchange = None

    def _over(self, why: str) -> None:
        self._exchange = None
        self._context.doubt_app()
        self._context.anomaly(f"the heartbeat connection ended: {why}")

    # What is told of the connection.

    def opened(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def told(self, text: str) -> None: ...

    def ended(self) -> None:
        self._over("the server ended it")

    def refused(self, answer: Answer) -> None:
        self._over(f"HTTP {answer.status}")

    def failed(self, error: GradioError) -> None:
        self._over(error.message)
