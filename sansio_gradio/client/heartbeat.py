"""The connection that keeps a session's State on the server, where the app asks for one.

(gradio 4.25 and later, routes.py: /heartbeat.) Nothing that is under way depends on it. But when it
has ended, and there is another one, the server is asked whether it is the same that knew the State.
"""

from __future__ import annotations

from typing import Any

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.errors import GradioError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.fields import said


class Heartbeat:
    """That of one session. What it listens to says nothing that the connection itself does not."""

    def __init__(self, context: Context, session_hash: str) -> None:
        self._context = context
        self._session_hash = session_hash
        self._exchange: int | None = None
        self._has_ended = False
        self._app_id: Any = None

    def beat(self) -> None:
        """Be there from now on, if the app asks for it."""
        context = self._context
        if self._exchange is not None or not context.app.connect_heartbeat:
            return
        self._exchange = context.exchanges.listen(
            context.base, requests.heartbeat(self._session_hash), phase="heartbeat", listener=self
        )
        if self._has_ended:
            self._has_ended = False
            context.ask(
                requests.app_id(),
                phase="heartbeat",
                deadline="request",
                then=self._app_is,
                failed=lambda _: None,
            )

    def stop(self) -> None:
        """Be there no longer."""
        self._context.exchanges.abort(self._exchange)
        self._exchange = None

    def _app_is(self, answer: Answer) -> None:
        before = self._app_id or self._context.app.config.get("app_id")
        self._app_id = said(answer.json, "app_id", int) or before
        if before is not None and self._app_id != before:
            self._context.session_lost()

    def _over(self, why: str) -> None:
        self._exchange = None
        self._has_ended = True
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
