"""What the application is told.

Events are values: comparable and free of references to the machine that made them, so they can be
stored, sent to another thread, or written into a test as the expected answer. Errors in them are
equal if they are of one kind and say the same. The exception is ``OutputsGrew``, whose outputs go
on growing.

``session`` is the number of the session (``Session.id``), ``job`` the number that ``submit`` gave.
Every job ends in exactly one of ``JobCompleted``, ``JobFailed`` and ``JobCancelled``; nothing is
said of it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs

from sansio_gradio.errors import GradioError
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Change, Outputs
from sansio_gradio.protocol.status import StatusUpdate
from sansio_gradio.wire.json import JSON


def _content(error: GradioError) -> object:
    return type(error), vars(error)


@attrs.frozen(kw_only=True)
class Connected:
    """The app is known: its config has arrived, or was given. Sent again when ``/info`` arrives."""

    session: int
    app: AppInfo


@attrs.frozen(kw_only=True)
class ConnectingFailed:
    """The app could not be reached or understood. Jobs waiting for it fail with the same error."""

    session: int
    error: GradioError = attrs.field(eq=_content, hash=False)


@attrs.frozen(kw_only=True)
class Accepted:
    """The server has taken a job (``chunk`` 0), or a chunk of its streaming input (from 1 on).

    ``answer`` is what it said to that, as JSON: a join's is ``{"event_id": ...}``, a chunk's
    ``{"msg": "success"}``; None where it does not answer (``ws``, ``sse``), or not in JSON. Of the
    job itself it is told where ``Want.RECEIPTS`` is wanted. What is not taken has no receipt.
    """

    session: int
    job: int
    chunk: int
    answer: JSON


@attrs.frozen(kw_only=True)
class MessageReceived:
    """A message of the queue that belongs to a job, as the server sent it."""

    session: int
    job: int
    message: Message


@attrs.frozen(kw_only=True)
class StatusUpdated:
    session: int
    job: int
    status: StatusUpdate


@attrs.frozen(kw_only=True)
class Output:
    """A job has yielded: ``edits`` is what changed, ``value`` the whole.

    Both have one item per output component, State slots included: ``edits`` the component's edits
    as in ``apply_diff``, ``value`` its value, which never changes.
    """

    session: int
    job: int
    edits: Change
    value: tuple[Any, ...]


@attrs.frozen(kw_only=True, eq=False)
class OutputsGrew:
    """A job has yielded, since the last time that this was said once or more often.

    ``outputs`` is all that it has yielded so far and will yet: the same object each time, safe to
    read in other threads. For those who look now and then, or let another thread do the reading: a
    tenth of the work of an ``Output`` for each. Told where ``Want.GROWTH`` was asked for, and
    ``Want.OUTPUTS`` not.
    """

    session: int
    job: int
    outputs: Outputs


@attrs.frozen(kw_only=True)
class JobCompleted:
    """The last event of a job that worked.

    ``data`` has one item per output component, State slots included, as the server sent them.
    """

    session: int
    job: int
    data: tuple[Any, ...]


@attrs.frozen(kw_only=True)
class JobFailed:
    """The last event of a job that did not; ``outputs`` is what it had yielded."""

    session: int
    job: int
    error: GradioError = attrs.field(eq=_content, hash=False)
    outputs: Sequence[tuple[Any, ...]] = ()


@attrs.frozen(kw_only=True)
class JobCancelled:
    """The last event of a job that its own client cancelled or closed.

    ``stopped_on_server``: True: the server said that it stopped the job. False: the job was not
    stopped there: it was never handed in, it had ended by itself, the server said no, cannot stop
    such a job, or was not asked, because it would have stopped another job, too. None: not known.
    A WebSocket is closed without an answer, and others may not answer in time.
    """

    session: int
    job: int
    stopped_on_server: bool | None
    outputs: Sequence[tuple[Any, ...]] = ()


@attrs.frozen(kw_only=True)
class Anomaly:
    """The server did something that no known server does, and it was tolerated."""

    session: int
    what: str
    job: int | None = None
    message: Message | None = None


@attrs.frozen(kw_only=True)
class SessionLost:
    """The server-side session is gone and a new one takes its place.

    ``state_lost``: the app keeps State in it, which starts afresh.
    """

    session: int
    state_lost: bool


@attrs.frozen(kw_only=True)
class SessionClosed:
    """The last event of a session, after ``close``: the server has been told what it had to be."""

    session: int


Event: TypeAlias = (
    Connected
    | ConnectingFailed
    | Accepted
    | MessageReceived
    | StatusUpdated
    | Output
    | OutputsGrew
    | JobCompleted
    | JobFailed
    | JobCancelled
    | Anomaly
    | SessionLost
    | SessionClosed
)
JobEnd: TypeAlias = JobCompleted | JobFailed | JobCancelled
