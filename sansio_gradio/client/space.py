"""Find the address of a Hugging Face Space, and wait until its app runs."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Final

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.steps import Ask, Begin, Puzzle, Sleep, SpaceIs, Step, Way
from sansio_gradio.errors import DeadlineExceeded, GradioError
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.protocol.spaces import (
    STAGES,
    Do,
    host_in,
    host_request,
    hub_refusal,
    runtime_request,
    stage_error,
    stage_in,
)
from sansio_gradio.wire.url import URL

_OK: Final = 200
_PAUSE: Final = 2.0  # seconds between two questions for the stage, as gradio_client asks


class Space:
    """The Space *name* on the Hub at *hub*.

    ``patience``: seconds, at most, until it runs; None: for ever.
    """

    def __init__(self, name: str, hub: URL, patience: float | None) -> None:
        self._name = name
        self._hub = hub
        self._patience = patience
        self._stage: str | None = None  # the last one told
        self._is_waking = False

    def locate(self, *, has_token: bool) -> Generator[Step, Any, URL]:
        """Ask the Hub for the address of the app.

        Raises:
            AuthenticationError: the Hub wants a token, or another one.
            SpaceError: there is no such Space.
        """
        answer = yield from self._ask(host_request(self._name))
        if answer.status != _OK:
            refusal = hub_refusal(answer.status, answer.headers, self._name, has_token=has_token)
            raise answer.refusal() if refusal is None else answer.locate(refusal)
        try:
            return host_in(answer.json, self._name, answer.url)
        except GradioError as error:
            raise answer.locate(error) from error.__cause__

    def wait(self, page: URL) -> Generator[Step, Any, bool]:
        """Wait until the app at *page* runs; False: it did so already, as far as the Hub says.

        Raises:
            SpaceError: it will not run before its owner does something.
            DeadlineExceeded: it does not run in time.
        """
        now: float = yield Sleep(0.0)
        until = math.inf if self._patience is None else now + self._patience
        has_waited = False
        while True:
            stage, message = yield from self._look(until - now)
            if stage is None and not has_waited:
                return False
            stage = stage or self._stage  # one answer that is missing does not end the waiting
            assert stage is not None
            if stage != self._stage:
                self._stage = stage
                yield SpaceIs(stage)
            what, meaning = STAGES.get(stage, (Do.GO_ON, ""))
            if what is Do.GO_ON:
                return has_waited
            if what is Do.GIVE_UP:
                raise stage_error(self._name, stage, message).located(
                    phase="space", url=page.public
                )
            if what is Do.WAKE and not self._is_waking:
                yield Begin(self._wake(page))
            now = yield Sleep(0.0)
            now = yield Sleep(min(_PAUSE, until - now))
            has_waited = True
            if now >= until:
                late = f"The Space {self._name} is {stage} after {self._patience:g} s. {meaning}"
                raise DeadlineExceeded(late, phase="space", url=page.public)

    def _look(self, patience: float) -> Generator[Step, Any, tuple[str | None, str]]:
        """The stage, None if the Hub does not tell it in time, and the message of a failure."""
        try:
            answer = yield from self._ask(runtime_request(self._name), patience)
        except GradioError as error:
            yield Puzzle(f"the Hub does not tell the stage of the Space: {error.message}")
            return None, ""
        found = stage_in(answer.json) if answer.status == _OK else (None, "")
        if found[0] is None:
            yield Puzzle(f"the Hub does not tell the stage of the Space: HTTP {answer.status}")
        return found

    def _wake(self, page: URL) -> Way:
        """Ask for the page of the app, which makes the Hub start it. The answer does not matter."""
        self._is_waking = True
        try:
            yield Ask(page, HTTPRequest("GET", ""), "space", "request", discovering=True)
        except GradioError:
            return
        finally:
            self._is_waking = False

    def _ask(
        self, request: HTTPRequest, patience: float | None = None
    ) -> Generator[Step, Any, Answer]:
        answer: Answer = yield Ask(
            self._hub, request, "space", "request", patience=patience, discovering=True
        )
        return answer
