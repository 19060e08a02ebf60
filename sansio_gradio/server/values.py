"""Python values as a server sends them: JSON, and a copy.

What a function returns is its own, and it may go on changing it: a chat's history that grows
between two yields must not change under the diff that is taken from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

from sansio_gradio.errors import LocalProtocolError

_MAX_DEPTH = 256


def plain(value: Any, _depth: int = 0) -> Any:
    """A copy of *value* in lists, dicts and scalars.

    Tuples become lists; what JSON has no number for (NaN, infinities) becomes None, as in Gradio's
    ORJSONResponse; an enum member becomes its value where it is a ``str`` or ``int``.

    Raises:
        LocalProtocolError: it holds something that no JSON can say, or is nested too deeply.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if _depth > _MAX_DEPTH:
        raise LocalProtocolError("A value is nested too deeply to be sent.")
    if isinstance(value, list | tuple):
        return [plain(item, _depth + 1) for item in cast("list[Any]", value)]
    if _is_mapping(value):
        return {_key(key): plain(item, _depth + 1) for key, item in value.items()}
    raise LocalProtocolError(f"A value of type {type(value).__name__} cannot be sent as JSON.")


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise LocalProtocolError(f"A key of type {type(key).__name__} cannot be sent as JSON.")
