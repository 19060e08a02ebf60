"""A job that is pushed, and polled until it is over (``Channel.POLL``)."""

from __future__ import annotations

from typing import Final

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import Ask, Begin, Deliver, Doubt, Sleep, Stopped, Take, Way
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.dialects import of_poll
from sansio_gradio.protocol.failures import unknown_there
from sansio_gradio.protocol.messages import Message

INTERVAL: Final = 0.5
"""Seconds between an answer and the next poll: the server's own worker looks once a second."""

_TIMES_UNKNOWN: Final = 20  # polls in a row; a moment of it is usual


class Polling:
    """Carries one job."""

    def __init__(self, _options: Options, _attempt: Attempt) -> None:
        """Nothing to keep: the way has all its state."""

    def start(self, attempt: Attempt) -> Way:
        yield Begin(self._poll(attempt), attempt)

    def stop(self, attempt: Attempt) -> Way:
        yield Stopped(attempt, False)  # these servers cannot stop a job

    def forget(self, _attempt: Attempt) -> Way:
        yield from ()  # requests go with their attempt

    def _poll(self, attempt: Attempt) -> Way:
        join = requests.push(attempt.body, attempt.headers)
        answer: Answer = yield Ask(attempt.base, join, "join", "join", attempt, hands_in=attempt)
        told, name = answer.name_given("hash")
        attempt.event_id = name
        yield Take(attempt, told)
        times_unknown, last = 0, Message()
        while not attempt.is_over:
            yield Sleep(INTERVAL, attempt)
            answer = yield Ask(attempt.base, requests.poll(name), "poll", "request", attempt)
            message = of_poll(answer.read(), answer.loads)
            times_unknown = 0 if message else times_unknown + 1
            if times_unknown > _TIMES_UNKNOWN:
                yield Doubt()
                raise unknown_there()
            if message and message != last:  # a repetition is no news
                last = message
                yield Deliver(attempt, message)
