"""The steps that the parts of a conversation yield, as values.

A verb of a part (a channel, the discovery, a heartbeat) returns a ``Way``: a generator of steps.
The conversation carries out each step before it asks for the next one, so a way reads from top to
bottom. No part calls another one.

``Ask`` and ``Sleep`` suspend a way. It goes on with the answer, or when the time has passed. An
exchange that fails raises its ``GradioError`` at the ``yield``. An error that leaves a way ends the
attempt of that way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable
from typing import Any, NamedTuple, Protocol, TypeAlias

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.streaming_input import Chunk
from sansio_gradio.errors import GradioError
from sansio_gradio.events import DownloadEvent
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.failures import Login
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.json import JSON
from sansio_gradio.wire.url import URL


class Ask(NamedTuple):
    """Send a request, relative to ``base``; gives the ``Answer``.

    ``deadline`` names the field of ``Timeouts`` that bounds the answer; None: the answer takes as
    long as the function. ``of``: the attempt whose end drops the exchange. ``hands_in``: the
    attempt whose function the request names; such a request must not reach another app.
    ``discovering``: every answer is given, and a redirect from http to https is followed. Otherwise
    an answer with another status than 200 raises its error. ``bare``: another's address: neither
    headers nor cookies of the session are sent, and a redirect may lead anywhere. ``upload``: the
    file that the request carries; then the deadline begins anew with each of its pieces. *is_read*:
    no request is sent; the file is read here, and the answer has its content. ``patience``: seconds
    that bound the answer, too, if they are fewer.
    """

    base: URL
    request: HTTPRequest
    phase: str
    deadline: str | None
    of: Attempt | None = None
    hands_in: Attempt | None = None
    discovering: bool = False
    bare: bool = False
    upload: GivenFile | None = None
    is_read: bool = False
    patience: float | None = None


class Listen(NamedTuple):
    """Open an event stream or a WebSocket for *listener*; gives the number of the exchange.

    ``deadline`` bounds the time until it is open. ``hands_in``: as in ``Ask``. ``wants`` tells, of
    the status and the headers, whether it is what was asked for; None: an event stream is.
    ``watched``: as after ``Watch``.
    """

    base: URL
    request: HTTPRequest
    listener: Listener
    phase: str
    deadline: str | None = None
    websocket: bool = False
    hands_in: Attempt | None = None
    wants: Callable[[int, Headers], bool] | None = None
    watched: bool = False


class Say(NamedTuple):
    """Send a text on a WebSocket; ignored if it is gone."""

    exchange: int | None
    text: str


class Drop(NamedTuple):
    """Drop an exchange, if it is under way. Its listener hears no more of it."""

    exchange: int | None


class Watch(NamedTuple):
    """From now on, call ``Watcher.silent`` after ``Timeouts.stream_idle`` without a byte."""

    exchange: int | None


class Alarm(NamedTuple):
    """Have ``Sleeper.rang`` called with *name* in so many seconds; None: not any more."""

    sleeper: Sleeper
    name: Hashable
    seconds: float | None


class Sleep(NamedTuple):
    """Go on after so many seconds; gives the time (monotonic seconds).

    ``of``: if this attempt ends before, the way is dropped. None: the way of the discovery, which
    ends with the session.
    """

    seconds: float
    of: Attempt | None = None


class Begin(NamedTuple):
    """Start another way beside this one. An error that leaves it ends *attempt*."""

    way: Way
    attempt: Attempt | None = None


class Stored(NamedTuple):
    """The files of an attempt are at the server: hand it in."""

    attempt: Attempt


class Take(NamedTuple):
    """The server has accepted an attempt, or a chunk of its input (from 1 on), with this answer."""

    attempt: Attempt
    answer: JSON
    chunk: int = 0


class Deliver(NamedTuple):
    """A message for a job. Gives whether it has an effect: only then do what the message asks for.

    ``text``: the text of the message, if there is one. ``message``: None for a
    ``process_generating`` that was not parsed yet.
    """

    attempt: Attempt
    message: Message | None
    text: str | None = None


class Fail(NamedTuple):
    """An attempt has failed. Its job is handed in again, or ends."""

    attempt: Attempt
    error: GradioError


class Stopped(NamedTuple):
    """The result of stopping a job, as in ``JobCancelled.stopped_on_server``."""

    attempt: Attempt
    on_server: bool | None


class Doubt(NamedTuple):
    """Something suggests that the server was started anew."""


class MayGo(NamedTuple):
    """Ask whether an attempt may name its function to the server; gives True or False.

    After False the job waits until it is known whether the app is still the same.
    """

    attempt: Attempt


class WithoutSocket(NamedTuple):
    """No WebSocket can be opened: call past the queue, or fail with this error."""

    attempt: Attempt
    error: GradioError


class Puzzle(NamedTuple):
    """Tell the application of an anomaly."""

    what: str
    job: int | None = None
    message: Message | None = None


class Know(NamedTuple):
    """The app is known, or more of it is known, or it is another one. *page*: its address."""

    app: AppInfo
    page: URL


class Same(NamedTuple):
    """After a doubt: the app is still the same."""


class NotKnown(NamedTuple):
    """The app (*app*), or its ``/info`` (*info*), could not be read."""

    error: GradioError
    app: bool
    info: bool


class SpaceIs(NamedTuple):
    """The stage of the Space that the session is about."""

    stage: str


class LiveAt(NamedTuple):
    """The app is at this address. The user's credentials may go there."""

    page: URL


class NoteLogin(NamedTuple):
    """The outcome of the login, for later errors."""

    login: Login


class Render(NamedTuple):
    """A function of the shared session has made components and endpoints."""

    config: dict[str, Any]


class Announce(NamedTuple):
    """Tell the application of a download."""

    event: DownloadEvent


class LoseSession(NamedTuple):
    """The server has forgotten a session, or the session cannot be used any more.

    ``renew``: the channel that needs a new session; None: the session keeps its name.
    """

    renew: JobChannel | None = None


Step: TypeAlias = (
    Ask
    | Listen
    | Say
    | Drop
    | Watch
    | Alarm
    | Sleep
    | Begin
    | Stored
    | Take
    | Deliver
    | Fail
    | Stopped
    | Doubt
    | MayGo
    | WithoutSocket
    | Know
    | Same
    | NotKnown
    | SpaceIs
    | LiveAt
    | NoteLogin
    | Puzzle
    | Render
    | Announce
    | LoseSession
)
Way: TypeAlias = Generator[Step, Any, None]


class Listener(ABC):
    """A part that reads a stream or a WebSocket. The last call is ``ended``, ``refused`` or
    ``failed``."""

    def opened(self, _now: float, /) -> Way:
        """The stream or the WebSocket is open."""
        yield from ()

    def received(self, _data: bytes, _now: float, /) -> Way:
        """A piece of a stream."""
        yield from ()

    def told(self, _text: str, /) -> Way:
        """A message of a WebSocket."""
        yield from ()

    @abstractmethod
    def ended(self) -> Way:
        """The stream has ended properly, or the WebSocket with Close 1000."""

    @abstractmethod
    def refused(self, answer: Answer, /) -> Way:
        """The server gave another answer."""

    @abstractmethod
    def failed(self, error: GradioError, /) -> Way:
        """The exchange broke off, or could not begin."""


class Watcher(Listener):
    """A part that has a stream watched."""

    @abstractmethod
    def silent(self) -> Way:
        """The stream has said nothing for too long."""


class Sleeper(Protocol):
    """A part that sets alarms."""

    def rang(self, name: Hashable, /) -> Way:
        """The time of an ``Alarm`` has come."""
        ...


class JobChannel(Protocol):
    """A way for jobs to the server and for their messages back."""

    def start(self, attempt: Attempt, /) -> Way:
        """Hand a job in, and deliver its messages, unless a ``Listener`` gets them."""
        ...

    def stop(self, attempt: Attempt, /) -> Way:
        """Make the server stop a job. The way ends with the step ``Stopped``; it may take a
        while."""
        ...

    def forget(self, attempt: Attempt, /) -> Way:
        """The job is over: listen no more for it."""
        ...


class TakesPieces(ABC):
    """A channel on which a job can take its input in pieces."""

    @abstractmethod
    def send_chunk(self, attempt: Attempt, chunk: Chunk, /) -> Way:
        """Hand over the next piece of a streaming input."""
