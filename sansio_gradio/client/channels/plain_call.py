"""A job past the queue: a POST, whose answer is the ``output`` of a whole run.

Servers from 3.3 to 3.50 answer with the next output of a generator, to one POST after the other. If
an app allows no calls past its queue (``api_open=False``), they answer 401 (up to 3.43) or 404.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import Ask, Begin, Deliver, Step, Stopped, Way
from sansio_gradio.errors import GradioError, RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.states import Msg

_QUEUE_ONLY: Final = (401, 404)


class PlainCall:
    """Carries one job. ``instead``: the error because of which the job does not use the queue."""

    def __init__(
        self, _options: Options, attempt: Attempt, instead: GradioError | None = None
    ) -> None:
        self._attempt = attempt
        self._instead = instead
        self._yielded: dict[str, Any] | None = None

    def start(self, attempt: Attempt) -> Way:
        yield Begin(self._call(), attempt)

    def stop(self, attempt: Attempt) -> Way:
        yield Stopped(attempt, False)  # a function that runs outside the queue cannot be stopped

    def forget(self, _attempt: Attempt) -> Way:
        yield from ()  # the request goes with its attempt

    def _call(self) -> Way:
        attempt = self._attempt
        while True:
            output = yield from self._ask()
            if not (output.get("is_generating") and has(attempt.app.version, Feature.STEPS)):
                break
            self._yielded = output
            message: Any = {"msg": Msg.PROCESS_GENERATING.value, "output": output, "success": True}
            yield Deliver(attempt, message)
            if attempt.is_over:
                return
        # At the end of a generator, the outputs are null.
        last = output if self._yielded is None else self._yielded
        message = {"msg": Msg.PROCESS_COMPLETED.value, "output": last, "success": True}
        yield Deliver(attempt, message)

    def _ask(self) -> Generator[Step, Any, dict[str, Any]]:
        """Ask for an output. The answer takes as long as the function does."""
        attempt, function = self._attempt, self._attempt.endpoint.function
        request = requests.plain_call(attempt.body, attempt.headers)
        if function is not None:
            (component,), (data,) = attempt.endpoint.inputs, attempt.body["data"]
            request = requests.component_call(
                attempt.session_hash, component.id, function, data, attempt.headers
            )
        try:
            answer: Answer = yield Ask(
                attempt.base, request, "call", None, attempt, hands_in=attempt
            )
        except GradioError as error:
            if self._instead is not None and error.status in _QUEUE_ONLY:
                raise self._instead from None
            raise
        output = answer.read()
        if function is not None:
            output = {"data": [output]}
        if not isinstance(output, dict) or not isinstance(output.get("data"), list):
            raise RemoteProtocolError("the answer to a call has no data")
        return output
