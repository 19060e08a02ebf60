"""Invariant: what a peer sends as JSON is read or refused with RemoteProtocolError. What is read is
within the limits, is the same when it is written and read again, and holds no text that UTF-8
cannot carry; what is refused is no JSON, or beyond the limits, to the standard library either.
"""

from __future__ import annotations

import json

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.json import JSON, dumps, loads

MAX_SIZE = 10_000
MAX_DEPTH = 20


def target(data: bytes) -> None:
    try:
        value = loads(data, max_size=MAX_SIZE, max_depth=MAX_DEPTH)
    except RemoteProtocolError:
        assert not _is_fine(data)
        return
    assert len(data) <= MAX_SIZE
    assert _depth(value) <= MAX_DEPTH
    repr(value).encode()
    assert loads(dumps(value)) == value


def _is_fine(data: bytes) -> bool:
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return len(data) <= MAX_SIZE and _depth(value) <= MAX_DEPTH


def _inside(value: JSON) -> list[JSON]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _depth(value: JSON) -> int:
    depth = 0
    level = [value]
    while level := [part for part in level if isinstance(part, (dict, list))]:
        depth += 1
        level = [item for part in level for item in _inside(part)]
    return depth


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    return b"[" + b'{"a": [1.5, "\\u00e9"]}, ' * (50 * times) + b"0]"
