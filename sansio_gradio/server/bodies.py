"""What clients send as JSON, checked as a FastAPI server checks it.

A wrong body is answered by 422 with a list of what is wrong (pydantic's error objects, of which
clients read ``loc`` and ``msg``). Values are not echoed unless they are small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.queue import Submission
from sansio_gradio.wire import json

_SUBMISSION: Final[Mapping[str, type]] = {
    "data": list,
    "fn_index": int,
    "session_hash": str,
    "event_id": str,
    "trigger_id": int,
}
_WRONG: Final[Mapping[type, tuple[str, str]]] = {
    list: ("list_type", "Input should be a valid list"),
    int: ("int_type", "Input should be a valid integer"),
    str: ("string_type", "Input should be a valid string"),
}


class Invalid(Exception):
    """The client's request is not what the route takes; ``detail`` is for the answer."""

    def __init__(self, *detail: dict[str, Any]) -> None:
        super().__init__()
        self.detail = list(detail)


def missing(place: str, name: str) -> dict[str, Any]:
    return {"type": "missing", "loc": [place, name], "msg": "Field required", "input": None}


def read_object(body: bytes, limits: ServerLimits) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Invalid: it is none.
    """
    try:
        value = json.loads(body, max_size=limits.request, max_depth=limits.json_depth)
    except RemoteProtocolError as error:
        raise Invalid(
            {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}
        ) from error
    if not isinstance(value, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        raise Invalid(
            {"type": "model_attributes_type", "loc": ["body"], "msg": text, "input": None}
        )
    return cast("dict[str, Any]", value)


def read_fields(said: Mapping[str, Any], required: Mapping[str, type]) -> dict[str, Any]:
    """The values of *required* keys.

    Raises:
        Invalid: some are missing or of another type.
    """
    wrong = [
        missing("body", name) if name not in said else _wrong(name, kind, said[name])
        for name, kind in required.items()
        if not _is(said.get(name), kind)
    ]
    if wrong:
        raise Invalid(*wrong)
    return {name: said[name] for name in required}


def read_submission(said: Mapping[str, Any], *, data_required: bool = True) -> Submission:
    """What a client hands in.

    Raises:
        Invalid: something has a wrong type, or the data is missing.
    """
    wrong = [
        _wrong(name, kind, said[name])
        for name, kind in _SUBMISSION.items()
        if said.get(name) is not None and not _is(said[name], kind)
    ]
    if data_required and said.get("data") is None:
        wrong.insert(0, missing("body", "data"))
    if wrong:
        raise Invalid(*wrong)
    known = {name: said.get(name) for name in _SUBMISSION}
    return Submission(**known, event_data=said.get("event_data"))


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _wrong(name: str, kind: type, value: object) -> dict[str, Any]:
    problem, text = _WRONG[kind]
    small = value if isinstance(value, bool | int) or value is None else None
    return {"type": problem, "loc": ["body", name], "msg": text, "input": small}
