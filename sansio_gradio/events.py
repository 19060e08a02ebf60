"""The events that tell the application what happened.

Events are values: comparable, and without references to the engine that made them. So they can be
stored, sent to another thread, or written into a test as the expected answer. Errors in them are
equal if they have the same type and content. One event is different: the outputs of an
``OutputsGrew`` go on growing.

``session`` is the number of the session (``Session.id``), ``job`` the number that ``submit`` gave.
Every job ends in exactly one of ``JobCompleted``, ``JobFailed`` and ``JobCancelled``. No event of
the job follows.
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
class SpaceStatus:
    """The stage of the Hugging Face Space that the session is about, as the Hub calls it:
    ``RUNNING``, ``BUILDING``, ``SLEEPING`` and others.

    It comes before ``Connected``, again for each change, and again when the app fails later.
    """

    session: int
    stage: str


@attrs.frozen(kw_only=True)
class TokenRefused:
    """A server refused the ``token`` of a session whose token rotates. Jobs wait: ``set_token`` of
    the session lets them go on, with another token or with the same one."""

    session: int


@attrs.frozen(kw_only=True)
class Accepted:
    """The server has taken a job (``chunk`` 0), or a chunk of its streaming input (from 1 on).

    ``answer`` is the JSON of the server's answer: ``{"event_id": ...}`` for a join, ``{"msg":
    "success"}`` for a chunk; None if the server does not answer (``ws``, ``sse``), or not in JSON.
    The event for the job itself comes only with ``Want.RECEIPTS``. A job or a chunk that the server
    refuses has no such event.
    """

    session: int
    job: int
    chunk: int
    answer: JSON


@attrs.frozen(kw_only=True)
class UploadProgress:
    """A part of a file of a job was sent: ``sent`` bytes of ``total`` by now.

    ``total`` is None if the size of the file is not known. ``name`` is the name of the file. The
    files of a job are sent side by side. It comes with ``Want.STATUS``.
    """

    session: int
    job: int
    sent: int
    total: int | None
    name: str


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
    """A job has yielded: ``edits`` are the changes, ``value`` is the whole value.

    Both have one item per output component, State slots included: in ``edits`` the edits for
    ``apply_diff``, in ``value`` the value, which never changes afterwards.
    """

    session: int
    job: int
    edits: Change
    value: tuple[Any, ...]


@attrs.frozen(kw_only=True, eq=False)
class OutputsGrew:
    """A job has yielded, once or more often since the last such event.

    ``outputs`` has all outputs so far, and goes on growing: the same object each time, safe to read
    in other threads. Use it if you look now and then, or read in another thread: it costs a tenth
    of one ``Output`` for each yield. It comes with ``Want.GROWTH`` and without ``Want.OUTPUTS``.
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
    """The last event of a job that failed; ``outputs`` has its yields."""

    session: int
    job: int
    error: GradioError = attrs.field(eq=_content, hash=False)
    outputs: Sequence[tuple[Any, ...]] = ()


@attrs.frozen(kw_only=True)
class JobCancelled:
    """The last event of a job that its own client cancelled or closed.

    ``stopped_on_server`` is True if the server said that it stopped the job. False if the server
    did not stop it: the job was never handed in, it had ended by itself, the server said no, the
    server cannot stop such a job, or we did not ask since that would have stopped another job, too.
    None if it is not known: a WebSocket is closed without an answer, and a server may not answer in
    time.
    """

    session: int
    job: int
    stopped_on_server: bool | None
    outputs: Sequence[tuple[Any, ...]] = ()


@attrs.frozen(kw_only=True)
class Anomaly:
    """The server did something that no known server does. It was tolerated."""

    session: int
    what: str
    job: int | None = None
    message: Message | None = None


@attrs.frozen(kw_only=True)
class DownloadStarted:
    """The server hands out a file. ``download`` is the number that ``Session.download`` gave.

    ``size``: its bytes, if the server tells; None if it does not, or if the file still grows.
    ``mime_type``: as the server says.
    """

    session: int
    download: int
    size: int | None
    mime_type: str | None


@attrs.frozen(kw_only=True)
class DownloadReceived:
    """The next bytes of a file, in order. The places of the cuts mean nothing.

    ``data`` may be a ``bytearray``, to which nothing else refers: that saves a copy.
    """

    session: int
    download: int
    data: bytes


@attrs.frozen(kw_only=True)
class DownloadCompleted:
    """All bytes of a file have come: the last event of a download."""

    session: int
    download: int


@attrs.frozen(kw_only=True)
class DownloadFailed:
    """A file, or the rest of it, does not come: the last event of a download."""

    session: int
    download: int
    error: GradioError = attrs.field(eq=_content, hash=False)


@attrs.frozen(kw_only=True)
class SessionLost:
    """The session on the server is gone, and a new one takes its place.

    ``state_lost``: the app keeps State in its sessions, which starts afresh.
    """

    session: int
    state_lost: bool


@attrs.frozen(kw_only=True)
class SessionClosed:
    """The last event of a session, after ``close``: the server has been told to stop its jobs."""

    session: int


Event: TypeAlias = (
    Connected
    | ConnectingFailed
    | SpaceStatus
    | TokenRefused
    | Accepted
    | MessageReceived
    | StatusUpdated
    | Output
    | OutputsGrew
    | JobCompleted
    | JobFailed
    | JobCancelled
    | DownloadStarted
    | DownloadReceived
    | DownloadCompleted
    | DownloadFailed
    | Anomaly
    | SessionLost
    | SessionClosed
    | UploadProgress
)
JobEnd: TypeAlias = JobCompleted | JobFailed | JobCancelled
DownloadEvent: TypeAlias = DownloadStarted | DownloadReceived | DownloadCompleted | DownloadFailed
