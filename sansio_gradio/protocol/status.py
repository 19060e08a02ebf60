"""The status of a job, for users who wait for it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import Msg


class Status(enum.StrEnum):
    """How far a job is; later ones compare greater (gradio_client utils.py: Status)."""

    STARTING = "STARTING"
    JOINING_QUEUE = "JOINING_QUEUE"
    QUEUE_FULL = "QUEUE_FULL"
    IN_QUEUE = "IN_QUEUE"
    SENDING_DATA = "SENDING_DATA"
    PROCESSING = "PROCESSING"
    PROGRESS = "PROGRESS"
    ITERATING = "ITERATING"
    LOG = "LOG"
    FINISHED = "FINISHED"
    CANCELLED = "CANCELLED"

    def __lt__(self, other: str) -> bool:
        return _ORDER[self] < _ORDER[other] if other in _ORDER else NotImplemented

    def __le__(self, other: str) -> bool:
        return _ORDER[self] <= _ORDER[other] if other in _ORDER else NotImplemented

    def __gt__(self, other: str) -> bool:
        return _ORDER[self] > _ORDER[other] if other in _ORDER else NotImplemented

    def __ge__(self, other: str) -> bool:
        return _ORDER[self] >= _ORDER[other] if other in _ORDER else NotImplemented


# Looked up by text, since a status that was JSON is a text.
_ORDER: Final[Mapping[str, int]] = {status: place for place, status in enumerate(Status)}


_CODES: Final = {
    Msg.SEND_HASH: Status.JOINING_QUEUE,
    Msg.QUEUE_FULL: Status.QUEUE_FULL,
    Msg.ESTIMATION: Status.IN_QUEUE,
    Msg.SEND_DATA: Status.SENDING_DATA,
    Msg.PROCESS_STARTS: Status.PROCESSING,
    Msg.PROGRESS: Status.PROGRESS,
    Msg.LOG: Status.LOG,
    Msg.PROCESS_GENERATING: Status.ITERATING,
    Msg.PROCESS_STREAMING: Status.ITERATING,
    Msg.PROCESS_COMPLETED: Status.FINISHED,
    Msg.UNEXPECTED_ERROR: Status.FINISHED,
    Msg.SERVER_STOPPED: Status.FINISHED,
}


class StatusUpdate(dict[str, Any]):
    """One change of a job's status: a JSON-serialisable dict whose keys are attributes, too.

    ``code`` (``Status``), ``msg`` (the message that told it, or None), ``rank`` (0 is next),
    ``queue_size``, ``eta`` (seconds), ``success``, ``time`` (POSIX seconds), ``progress_data`` (a
    list of ``index length unit progress desc``, or None), ``log`` (``[text, level]`` or None),
    ``title`` and ``duration`` (seconds) of a log.
    """

    def __init__(self, code: Status, time: float, message: Message | None = None) -> None:
        # One literal, because one of these is made for every message.
        said: Message = {} if message is None else message
        text = said.get("log")
        eta = said.get("rank_eta")
        super().__init__(
            code=code,
            msg=said.get("msg"),
            rank=said.get("rank"),
            queue_size=said.get("queue_size"),
            eta=said.get("eta") if eta is None else eta,
            success=said.get("success"),
            time=time,
            progress_data=None if message is None else progress_units(message),
            log=None if text is None else [text, said.get("level", "info")],
            title=said.get("title"),
            duration=said.get("duration"),
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a StatusUpdate has no {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a StatusUpdate is read-only")


def status_of(msg: Msg, message: Message, time: float) -> StatusUpdate:
    """The status for *message*, of kind *msg*, at the POSIX time *time*."""
    return StatusUpdate(_CODES[msg], time, message)


def progress_units(message: Message) -> list[dict[str, Any]] | None:
    """The progress of each of the nested loops, outermost first.

    For a tqdm, servers send ``progress: null`` beside ``index`` and ``length``. Then the fraction
    is filled in.
    """
    units = message.get("progress_data")
    return None if units is None else [_with_fraction(unit) for unit in units]


def _with_fraction(unit: dict[str, Any]) -> dict[str, Any]:
    progress = unit.get("progress")
    if progress is None:
        try:
            fraction: float = unit["index"] / unit["length"]
            progress = fraction if isfinite(fraction) else None
        except (KeyError, TypeError, ZeroDivisionError, OverflowError):
            pass
    return {"index": None, "length": None, "unit": None, "desc": None, **unit, "progress": progress}
