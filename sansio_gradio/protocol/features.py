"""Gradio's version numbers, and the releases that have each feature, as data."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, ...]

_NUMBERS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})*)")


class Feature(enum.Enum):
    """Something that only some servers have."""

    HELLO = enum.auto()  # the WebSocket waits for {"hash": ...} before it says anything
    STEPS = enum.auto()  # past the queue, each POST gets a generator's next output
    LOST_IN_LINE = enum.auto()  # it asks a waiting job for data twice at once, and hangs
    APP_ID = enum.auto()  # GET /app_id tells one start of the app from the next
    SEND_HASH = enum.auto()  # the WebSocket asks for the session_hash
    QUEUES_ALL = enum.auto()  # the queue also takes functions with queue=False
    RESET_BY_EVENT = enum.auto()  # POST /reset {"event_id"} stops a job
    REUSED_RUNS = enum.auto()  # the first yield of a job may be edits of an older run's last yield
    CALL = enum.auto()  # POST /call/{api_name}
    HEARTBEAT = enum.auto()  # GET /heartbeat/{session_hash}
    CANCEL = enum.auto()  # POST /cancel stops a job
    UNQUEUES = enum.auto()  # /cancel also removes a job that waits in the queue
    CALL_BY_NAME = enum.auto()  # POST /call/v2/{api_name}
    CALL_ERRORS = enum.auto()  # /call tells why a job failed
    OAUTH_TOKEN = enum.auto()  # /info tells which endpoints take an oauth_token of the caller


_NEVER: Final[Version] = (999,)

# The first release with it, and the first without it again.
RELEASES: Final[Mapping[Feature, tuple[Version, Version]]] = {
    Feature.HELLO: ((3, 1, 5), (3, 2)),
    Feature.STEPS: ((3, 3), (4, 0)),
    Feature.LOST_IN_LINE: ((3, 1, 5), (3, 6)),
    Feature.SEND_HASH: ((3, 6), _NEVER),
    Feature.APP_ID: ((3, 17), _NEVER),
    Feature.QUEUES_ALL: ((4, 0), _NEVER),
    # It answers without doing anything from 4.35 on; /cancel took its place in 4.31.
    Feature.RESET_BY_EVENT: ((4, 0), (4, 31)),
    Feature.REUSED_RUNS: ((4, 17), (6, 27)),
    Feature.CALL: ((4, 20), _NEVER),
    Feature.HEARTBEAT: ((4, 25), _NEVER),
    Feature.CANCEL: ((4, 31), _NEVER),
    Feature.UNQUEUES: ((6, 14), _NEVER),
    Feature.CALL_BY_NAME: ((6, 13), _NEVER),
    Feature.CALL_ERRORS: ((6, 13), _NEVER),
    Feature.OAUTH_TOKEN: ((6, 21), _NEVER),
}


def has(version: Version, feature: Feature) -> bool:
    """Whether a server of *version* has *feature*; an unknown version (empty) is the newest."""
    first, gone = RELEASES[feature]
    return first <= version < gone if version else gone == _NEVER


def version_numbers(text: str | None) -> Version:
    """``"4.37.1"`` as ``(4, 37, 1)``; empty where there is no version or none that can be read.

    Text after the numbers (``b1``, the newline that 3.x up to 3.23 sends) is ignored.
    """
    match = _NUMBERS.match(text) if text else None
    return tuple(map(int, match[1].split("."))) if match else ()
