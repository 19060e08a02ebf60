"""Ask the server to stop a job."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.steps import Ask, Puzzle, Step, Stopped, Way
from sansio_gradio.errors import GradioError, unforeseen
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.fields import said


def stop_on_server(attempt: Attempt) -> Way:
    """Ask the server to stop a job, if it can, and yield ``Stopped``."""
    yield Stopped(attempt, (yield from is_stopped(attempt)))


def is_stopped(attempt: Attempt) -> Generator[Step, Any, bool | None]:
    """Ask the server to stop a job; returns whether it did. None: the server does not say."""
    request = requests.stop(
        attempt.app.version, attempt.session_hash, attempt.endpoint.fn_index, attempt.event_id
    )
    stopped: bool | None = None
    if request is not None:
        try:
            answer: Answer = yield Ask(attempt.base, request, "cancel", "close")
            stopped = said(answer.json, "success", bool) is True
        except GradioError as error:
            if error.status is not None and 400 <= error.status < 500:
                stopped = False
        except Exception as fault:  # of a ``json_loads``: it is told, and the job is over anyway
            yield Puzzle(unforeseen(fault).message, attempt.job)
    return stopped
