"""Gradio's version numbers, and since when servers can do what, as data.

Each row is the first release of Gradio that has it (PROTOCOL.md, feature table).
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, ...]

_NUMBERS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})*)")


class Feature(enum.Enum):
    """Something that only some servers have."""

    SEND_HASH = (3, 6)  # the WebSocket asks who is there; before, nobody is asked
    RESET_BY_EVENT = (4, 0)  # POST /reset {"event_id"} stops a job
    HEARTBEAT = (4, 25)  # GET /heartbeat/{session_hash}
    CANCEL = (4, 31)  # POST /cancel stops a job
    STREAMING_INPUT = (5, 0)  # POST /stream/{event_id}


# /reset answers without doing anything from 4.35 on; /cancel took its place in 4.31.
_GONE: Final = {Feature.RESET_BY_EVENT: (4, 31)}


def has(version: Version, feature: Feature) -> bool:
    """Whether a server of *version* has *feature*; an unknown version (empty) is the newest."""
    if not version:
        return feature not in _GONE
    return feature.value <= version < _GONE.get(feature, (999,))


def version_numbers(text: str | None) -> Version:
    """``"4.37.1"`` as ``(4, 37, 1)``; empty where there is no version or none that can be read.

    What follows the numbers (``b1``, the newline that 3.x up to 3.23 sends) is not looked at.
    """
    match = _NUMBERS.match(text) if text else None
    return tuple(map(int, match[1].split("."))) if match else ()
