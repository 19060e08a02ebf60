"""Python values as a server sends them: a copy, made of what JSON knows.

A function may go on changing what it has yielded, as a chat's history that grows. The copy keeps
the value for the next diff.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard, cast

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.server.contents import File

__all__ = ["plain"]

_MAX_DEPTH: Final = 256
_MAX_BITS: Final = 14_000  # Python reads and writes up to 4300 digits


def plain(value: Any, write: Callable[[File], Any] | None = None, _depth: int = 0) -> Any:
    """A copy of *value* in lists, dicts and scalars. *write* says how a file is written.

    Tuples become lists. NaN and the infinities become None, as in Gradio's ORJSONResponse. Members
    of a ``str`` or ``int`` enum become their values.

    Raises:
        LocalProtocolError: JSON has no such value, or it is nested too deeply.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise LocalProtocolError("A number is too large for JSON: more than 4200 digits.")
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if _depth > _MAX_DEPTH:
        raise LocalProtocolError(
            f"A value is nested too deeply for JSON: more than {_MAX_DEPTH} levels."
        )
    if isinstance(value, list | tuple):
        return [plain(item, write, _depth + 1) for item in cast("list[Any]", value)]
    if _is_mapping(value):
        return {_key(key): plain(item, write, _depth + 1) for key, item in value.items()}
    if isinstance(value, File) and write is not None:
        return write(value)
    raise LocalProtocolError(_cannot_send("value", value))


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise LocalProtocolError(_cannot_send("key", key))


def _cannot_send(what: str, value: object) -> str:
    kind = type(value).__name__
    return f"A {what} of type {kind} cannot be sent as JSON: return str, numbers, lists, dicts."
