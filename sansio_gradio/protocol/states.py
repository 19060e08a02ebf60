"""The life of one job, as data.

Rule 1: the table is complete. A pair that is not in it is an anomaly, which is reported and has no
other effect.

Rule 2: this file knows neither bytes nor JSON, only which message may follow which.

Protocols have no tables of their own. They use different subsets of the same messages;
``protocols.py`` has the differences.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Msg(enum.StrEnum):
    """The values of ``msg`` that belong to one job (``SESSION_MSGS`` are the others)."""

    SEND_HASH = "send_hash"
    SEND_DATA = "send_data"
    QUEUE_FULL = "queue_full"
    ESTIMATION = "estimation"
    PROCESS_STARTS = "process_starts"
    PROGRESS = "progress"
    LOG = "log"
    PROCESS_GENERATING = "process_generating"
    PROCESS_STREAMING = "process_streaming"
    PROCESS_COMPLETED = "process_completed"
    UNEXPECTED_ERROR = "unexpected_error"
    SERVER_STOPPED = "server_stopped"  # what 4.9 called unexpected_error


MSGS: Final[Mapping[str, Msg]] = {msg.value: msg for msg in Msg}
"""The kinds of messages by their text on the wire."""

HEARTBEAT: Final = "heartbeat"
CLOSE_STREAM: Final = "close_stream"
ALIVE: Final = "alive?"  # 3.16 to 3.34 on Python 3.7: wants no answer

SESSION_MSGS: Final = frozenset({HEARTBEAT, CLOSE_STREAM, ALIVE})


class JobState(enum.Enum):
    JOINING = enum.auto()
    QUEUED = enum.auto()
    RUNNING = enum.auto()
    DONE = enum.auto()


_WAITING: Final[Mapping[Msg, JobState]] = {
    Msg.ESTIMATION: JobState.QUEUED,
    # Up to 3.5 the data may be asked for before it is the job's turn, and more than once.
    Msg.SEND_DATA: JobState.QUEUED,
    Msg.PROCESS_STARTS: JobState.RUNNING,
    # A cached function (6.12 and later) answers without ever starting.
    Msg.PROCESS_GENERATING: JobState.RUNNING,
    Msg.PROCESS_STREAMING: JobState.RUNNING,
    Msg.PROCESS_COMPLETED: JobState.DONE,
    Msg.QUEUE_FULL: JobState.DONE,
    Msg.UNEXPECTED_ERROR: JobState.DONE,
    Msg.SERVER_STOPPED: JobState.DONE,
}

TRANSITIONS: Final[Mapping[JobState, Mapping[Msg, JobState]]] = {
    JobState.JOINING: {Msg.SEND_HASH: JobState.JOINING, **_WAITING},
    JobState.QUEUED: _WAITING,
    JobState.RUNNING: {
        # Queue positions are broadcast, and one may have been on its way already.
        Msg.ESTIMATION: JobState.RUNNING,
        Msg.PROGRESS: JobState.RUNNING,
        Msg.LOG: JobState.RUNNING,
        Msg.PROCESS_GENERATING: JobState.RUNNING,
        Msg.PROCESS_STREAMING: JobState.RUNNING,
        Msg.PROCESS_COMPLETED: JobState.DONE,
        Msg.UNEXPECTED_ERROR: JobState.DONE,
        Msg.SERVER_STOPPED: JobState.DONE,
    },
    JobState.DONE: {},
}


def after(state: JobState, msg: Msg) -> JobState | None:
    """The next state of a job in *state* after *msg*; None if *msg* may not come in that state."""
    return TRANSITIONS[state].get(msg)
