"""Invariant: whatever edits a server sends, applying them gives a value or RemoteProtocolError; in
place and copying they give the same; and neither the value before nor the edits have changed.

The data is a JSON list of the value and the edits.
"""

from __future__ import annotations

import json

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.diff import Value, apply_diff, compute_diff
from sansio_gradio.wire.json import JSON, loads


def target(data: bytes) -> None:
    try:
        match loads(data):
            case [before, edits]:
                _apply(before, edits)
            case _:
                return
    except RemoteProtocolError:
        return


def _apply(before: JSON, edits: JSON) -> None:
    text = json.dumps([before, edits])
    value = Value(before)
    try:
        value.apply(edits)  # type: ignore[arg-type]  # what a server sends may be anything
        after = value.snapshot()
        assert json.dumps(apply_diff(before, edits)) == json.dumps(after)  # type: ignore[arg-type]  # as above
        assert json.dumps(apply_diff(before, compute_diff(before, after))) == json.dumps(after)
    finally:
        assert json.dumps([before, edits]) == text


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    value = list(range(100 * times))
    return json.dumps([value, [["replace", [place], "x"] for place in value]]).encode()
