"""The parser of JSON that the extra ``speed`` brings."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Final

from sansio_gradio.wire.json import Exact

_OLDEST: Final = (3, 10)


@cache
def installed_parser() -> Exact | None:
    """orjson, where it is exact; None: it is not installed, or older than the extra asks for."""
    try:
        orjson = importlib.import_module("orjson")
        version = tuple(map(int, orjson.__version__.split(".")[:2]))
    except (ImportError, AttributeError, ValueError):
        return None
    return Exact(orjson.loads) if version >= _OLDEST else None
