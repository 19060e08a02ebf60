"""The messages of the queue, from text to ``Message`` and back.

A message stays the ``dict`` that the server sent. Only the keys that this library reads are
checked, and only their types. Unknown keys pass through, so a server of tomorrow does not break a
client of today. The keys are rows of ``keys.py``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypedDict, cast

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.keys import MESSAGE_KEYS
from sansio_gradio.wire.json import Loads, loads

OnAnomaly: TypeAlias = Callable[[str], None]


_LIMITS: Final = Limits()


class Message(TypedDict, total=False):
    """One message of the queue, as on the wire. Further keys that servers send are kept."""

    msg: str  # what kind of message this is: see ``states.Msg``
    output: dict[str, Any]  # data and timings of a run; ``error`` of a failed one; {} if cancelled
    event_id: str | None  # the job it belongs to; None: to the whole session
    rank: int | None  # place in the queue, 0 is next
    rank_eta: float | None  # estimated seconds until it is done
    queue_size: int
    success: bool
    progress_data: list[dict[str, Any]] | None  # index, length, unit, progress, desc
    log: str
    level: str  # info, warning, success, error
    title: str | None
    duration: float | None  # seconds that a log is shown
    visible: bool
    message: str  # of unexpected_error
    session_not_found: bool
    time_limit: float | None  # seconds left for a streaming input
    eta: float | None  # estimated seconds of a run


_NONE: Final = type(None)

# The types that the core relies on. They are exact: a bool is not a number here, though Python's
# bool is an int.
_TYPES: Final[Mapping[str, frozenset[type]]] = {
    name: key.kinds for name, key in MESSAGE_KEYS.items() if key.is_read
}
_ANY: Final[frozenset[type]] = frozenset({dict, list, str, int, float, bool, _NONE})


def parse_message(
    text: str | bytes,
    *,
    strict: bool = False,
    on_anomaly: OnAnomaly | None = None,
    limits: Limits = _LIMITS,
    json_loads: Callable[[str | bytes], Any] | None = None,
) -> Message:
    """Read one message of the queue.

    If a key that the core reads has a wrong type, it is dropped, and *on_anomaly* is called.
    *limits* bounds the size and depth of the text; *json_loads* is another JSON parser, as
    ``orjson.loads``.

    Raises:
        RemoteProtocolError: the text is not a JSON object; with *strict*, also for a wrong type.
    """
    within = partial(
        loads, max_size=limits.message, max_depth=limits.json_depth, json_loads=json_loads
    )
    message, problems = read_message(text, within, strict=strict)
    if on_anomaly is not None:
        for problem in problems:
            on_anomaly(problem)
    return message


def read_message(text: str | bytes, loads: Loads, *, strict: bool) -> tuple[Message, list[str]]:
    """Read a message with *loads*; returns it and the problems of its fields, which are dropped.

    Raises:
        RemoteProtocolError: as ``parse_message``.
    """
    value = loads(text)
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"A message is a JSON object, not {reprlib.repr(value)}.")
    wrong: list[str] = []
    for key, item in value.items():
        if type(item) not in _TYPES.get(key, _ANY):
            wrong.append(key)
    units = value.get("progress_data")
    if isinstance(units, list) and not all(isinstance(unit, dict) for unit in units):
        wrong.append("progress_data")
    problems: list[str] = []
    for key in wrong:
        problems.append(f"A message's {key!r} is {reprlib.repr(value[key])}.")
        del value[key]
    if strict and problems:
        raise RemoteProtocolError(problems[0])
    return cast("Message", value), problems


def output_data(message: Any) -> list[Any] | None:
    """The ``data`` of a message's output: one item per output component, None if there is none."""
    output: Any = cast("Any", message).get("output") if isinstance(message, dict) else None
    data: Any = cast("Any", output).get("data") if isinstance(output, dict) else None
    return data if isinstance(data, list) else None  # pyright: ignore[reportUnknownVariableType]  # any JSON
