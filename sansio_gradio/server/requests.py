"""Requests of clients, and their bodies, checked as a FastAPI server checks them.

A wrong body is answered by 422 with a list of pydantic's error objects. Clients read ``loc`` and
``msg`` of each. Values are echoed only if they are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qs

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.events import TEXT
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.wire import json
from sansio_gradio.wire.form import (
    FormError,
    FormReader,
    PartData,
    PartStarted,
    boundary_of,
    is_form,
)
from sansio_gradio.wire.headers import Headers, header

__all__ = [
    "BROKEN",
    "AppRaised",
    "Refusal",
    "Request",
    "Submission",
    "function_meant",
    "read_form",
    "read_object",
    "read_submission",
]

BROKEN: Final = (500, "Internal Server Error", TEXT)
"""The refusal of a server whose code raised."""

FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 1000  # of a form (starlette requests.py)

_FIELDS: Final[Mapping[str, type]] = {
    "data": list,
    "fn_index": int,
    "session_hash": str,
    "event_id": str,
    "trigger_id": int,
    "hash": str,
}
_WRONG: Final[Mapping[type, tuple[str, str]]] = {
    list: ("list_type", "Input should be a valid list"),
    int: ("int_type", "Input should be a valid integer"),
    str: ("string_type", "Input should be a valid string"),
}


class Refusal(Exception):
    """A request is refused. The arguments are those of ``SendResponse`` after ``exchange``."""


class AppRaised(Exception):
    """A function that the app has given for its logins has raised *error*."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@attrs.frozen(kw_only=True)
class Submission:
    """What a client hands in (gradio data_classes.py: PredictBody)."""

    data: list[Any] | None = None
    fn_index: int | None = None
    session_hash: str | None = None
    event_id: str | None = None
    event_data: Any = None
    trigger_id: int | None = None
    hash: str | None = None  # the event_id, in polls


@attrs.frozen
class Request:
    """One request of a client, with its whole body. Names of headers are in lower case.

    ``is_websocket``: it asks for a WebSocket. ``user``: who sends it, after a login. Not
    ``is_whole``: its body comes in pieces, after it. ``scheme``: how it came, as far as the
    transport knows.
    """

    exchange: int
    method: str
    target: str
    headers: Headers = attrs.field(repr=False)  # these two may hold what a login takes
    body: bytes = attrs.field(repr=False)
    is_websocket: bool = False
    user: str | None = None
    is_whole: bool = True
    scheme: str = "http"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def root(self) -> str:
        """The address that the client used (gradio route_utils.py: get_root_url)."""
        scheme = header(self.headers, "x-forwarded-proto") or self.scheme
        host = header(self.headers, "x-forwarded-host") or header(self.headers, "host")
        return f"{scheme}://{host or 'localhost'}"

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The values of each name in the query."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies, by their names. Of a name given twice the last one counts."""
        fields = [value for name, value in self.headers if name == "cookie"]
        pairs = [text.partition("=") for text in ";".join(fields).split(";")]
        return {name.strip(): value.strip().strip('"') for name, equals, value in pairs if equals}

    def asked(self, name: str) -> str:
        """The last value of *name* in the query.

        Raises:
            Refusal: there is none.
        """
        values = self.query.get(name)
        if not values:
            raise _invalid(_missing("query", name))
        return values[-1]


def read_submission(
    body: bytes | str, limits: ServerLimits, *required: str, fields: Iterable[str] = tuple(_FIELDS)
) -> Submission:
    """Read the *fields* of a body. Those that are *required* must be there and not null.

    Raises:
        Refusal: the body is no JSON object, a field is missing, or has a wrong type.
    """
    said = _object(body, limits)
    if said is None:
        text = "Input should be a valid dictionary or object to extract fields from"
        raise _invalid(_error("model_attributes_type", ["body"], text))
    wrong: list[dict[str, Any]] = []
    for name in fields:
        value, kind = said.get(name), _FIELDS[name]
        is_kind = isinstance(value, kind) and not isinstance(value, bool)
        if name in required and name not in said:
            wrong.append(_missing("body", name))
        elif not is_kind and (value is not None or name in required):
            small = value if isinstance(value, bool | int) else None
            problem, text = _WRONG[kind]
            wrong.append(_error(problem, ["body", name], text, small))
    if wrong:
        raise _invalid(*wrong)
    known: dict[str, Any] = {name: said.get(name) for name in (*fields, "event_data")}
    return Submission(**known)


def read_object(body: bytes, limits: ServerLimits) -> dict[str, Any]:
    """Read a body that is a JSON object with any keys.

    Raises:
        Refusal: it is something else.
    """
    said = _object(body, limits)
    if said is None:
        raise _invalid(_error("dict_type", ["body"], "Input should be a valid dictionary"))
    return said


def read_form(request: Request, *required: str) -> dict[str, str]:
    """Read the *required* fields of a form, in either of the ways that browsers send one.

    Raises:
        Refusal: a field is missing or empty, there are too many, or this is no form.
    """
    kind = header(request.headers, "content-type") or ""
    given: Mapping[str, list[str]] = {}
    try:
        if is_form(kind):
            given = _parts(boundary_of(kind), request.body)
        elif kind.partition(";")[0].strip().lower() == FORM:
            body = request.body.decode("utf-8", "replace")
            given = parse_qs(body, max_num_fields=MAX_FIELDS)
    except FormError as error:
        raise Refusal(400, {"detail": "There was an error parsing the body"}) from error
    except ValueError as error:
        text = f"Too many fields. Maximum number of fields is {MAX_FIELDS}."
        raise Refusal(400, {"detail": text}) from error
    wrong = [_missing("body", name) for name in required if not any(given.get(name, ()))]
    if wrong:
        raise _invalid(*wrong)
    return {name: given[name][-1] for name in required}


def _parts(boundary: bytes | None, body: bytes) -> dict[str, list[str]]:
    """The texts of each field of a form in parts.

    Raises:
        FormError: it is none.
        ValueError: it has too many fields.
    """
    if boundary is None:
        raise FormError("Missing boundary in multipart.")
    found: list[tuple[str, list[bytes]]] = []
    for event in FormReader(boundary).receive_data(body):
        if isinstance(event, PartStarted):
            found.append((event.field or "", []))
        elif isinstance(event, PartData):
            found[-1][1].append(event.data)
    if len(found) > MAX_FIELDS:
        raise ValueError
    given: dict[str, list[str]] = {}
    for name, content in found:
        given.setdefault(name, []).append(b"".join(content).decode("utf-8", "replace"))
    return given


def function_meant(app: App, submission: Submission, api_name: str | None = None) -> Function:
    """The function that a client means: its index wins over its name.

    Raises:
        Refusal: there is no such function.
    """
    index = submission.fn_index
    for function in app.functions:
        if function.fn_index == index or (index is None and function.api_name == api_name):
            return function
    raise Refusal(*BROKEN)


def _object(body: bytes | str, limits: ServerLimits) -> dict[str, Any] | None:
    """The JSON object in a body; None: it is JSON of another kind."""
    if not body:
        raise _invalid(_missing("body"))
    try:
        said = json.loads(body, max_size=limits.request, max_depth=limits.json_depth)
    except RemoteProtocolError as error:
        raise _invalid(_error("json_invalid", ["body", 0], "JSON decode error", {})) from error
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _missing(*place: str) -> dict[str, Any]:
    return _error("missing", [*place], "Field required")


def _error(kind: str, loc: list[str | int], text: str, value: Any = None) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": text, "input": value}


def _invalid(*detail: dict[str, Any]) -> Refusal:
    return Refusal(422, {"detail": list(detail)})
