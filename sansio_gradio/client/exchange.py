"""Requests and their answers.

The transport tells of an exchange by its number, and each verb returns a value (``Came``).
Redirects, deadlines and limits are handled here, and nowhere above.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import attrs

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.commands import (
    Abort,
    ConversationCommand,
    Expect,
    OpenWebSocket,
    Pause,
    ReadFile,
    Resume,
    SendRequest,
    SendText,
)
from sansio_gradio.client.credentials import Credentials
from sansio_gradio.client.options import Options
from sansio_gradio.client.redirects import redirected
from sansio_gradio.client.steps import Listener, Way
from sansio_gradio.client.timers import Timers
from sansio_gradio.client.via import Proxy, UnixSocket, Via
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.protocol.failures import Login
from sansio_gradio.protocol.given_file import GivenFile, too_large
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.body import is_sent_once
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.url import URL, Address, Origin

_OK: Final = 200
_NOBODYS: Final = Credentials()
_SWITCHING: Final = 101
_REFUSED: Final = 400  # and from there on
_REMEMBERED: Final = 64  # places that were asked


@attrs.define(eq=False, kw_only=True)
class Exchange:
    """A request, up to its answer.

    ``url``: at first the base, the app or its API; then the address of the request, after
    redirects. ``way``: the way that waits for the answer, for ``attempt``. ``listener``: the part
    that reads the stream or the WebSocket. ``wants``: as in ``Listen``. ``hands_in``,
    ``discovering``, ``bare``, ``upload``, ``is_read`` and ``patience``: as in ``Ask``.
    """

    request: HTTPRequest
    url: URL
    phase: str
    deadline: str | None
    patience: float | None = None
    expect: Expect = Expect.ANSWER
    way: Way | None = None
    attempt: Attempt | None = None
    listener: Listener | None = None
    wants: Callable[[int, Headers], bool] | None = None
    websocket: bool = False
    hands_in: Attempt | None = None
    discovering: bool = False
    bare: bool = False
    upload: GivenFile | None = None
    is_read: bool = False
    sent: int = 0
    """The bytes of ``upload`` that were sent."""
    id: int = 0
    given: int = 0
    """The first number, which the asking part keeps."""
    is_open: bool = False
    """The listener gets what it asked for."""
    is_over: bool = False
    is_paused: bool = False
    is_watched: bool = False
    last_heard: float | None = None  # since the watch began
    redirects: int = 0
    via: Via | None = None
    status: int = 0
    headers: Headers = ()
    parts: list[bytes] = attrs.field(factory=list[bytes])
    size: int = 0


class Opened(NamedTuple):
    """The listener gets what it asked for."""

    exchange: Exchange


class Told(NamedTuple):
    """A message of a WebSocket."""

    exchange: Exchange
    text: str


class Ended(NamedTuple):
    """A stream or a WebSocket has ended well."""

    exchange: Exchange


class Answered(NamedTuple):
    """An answer is complete. It may be an answer that a listener did not want."""

    exchange: Exchange
    answer: Answer


class ExchangeFailed(NamedTuple):
    """An exchange has failed."""

    exchange: Exchange
    error: GradioError


class Silent(NamedTuple):
    """A watched stream was silent for too long."""

    exchange: Exchange


Came: TypeAlias = Opened | Told | Ended | Answered | ExchangeFailed | Silent


class Exchanges:
    """All exchanges of one conversation that are under way."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        timers: Timers[object],
        options: Options,
    ) -> None:
        self._address = address
        self._vias: dict[Origin, Via | None] = {}
        # By base, target and query: a session asks few places, and often.
        self._places: dict[tuple[URL, str, str], tuple[URL, Via | None]] = {}
        self.commands: deque[ConversationCommand] = deque()
        self.login = Login.NOT_GIVEN
        """Found out while the app is discovered."""
        self._credentials = credentials
        self._timers = timers
        self._options = options
        self.running: dict[int, Exchange] = {}
        """The exchanges by the present number."""
        self._redirected: dict[int, int] = {}  # the number given -> the present one
        self._last_id = 0

    def begin(self, exchange: Exchange) -> int:
        """Send a request; returns the number by which ``find`` knows it from now on.

        Raises:
            OptionError: the proxy for its address cannot be used.
        """
        if exchange.bare:
            exchange.via = self.via(exchange.url)
        else:
            exchange.url, exchange.via = self._place_of(exchange.url, exchange.request.target)
        if exchange.deadline is not None:
            seconds: float | None = getattr(self._options.timeouts, exchange.deadline)
            if exchange.patience is not None:
                seconds = min(exchange.patience, math.inf if seconds is None else seconds)
            self._timers.start(exchange, seconds)
        if exchange.is_watched:
            self._watch(exchange)
        self._send(exchange)
        return exchange.id

    def _place_of(self, base: URL, target: str) -> tuple[URL, Via | None]:
        """The address of *target*, and how to reach it."""
        what = base, target, self._credentials.query_for(base)
        if (found := self._places.get(what)) is None:
            if len(self._places) == _REMEMBERED:
                self._places.clear()
            url = base.asking(target, what[2])
            found = self._places[what] = url, self.via(url)
        return found

    def find(self, given: int | None) -> Exchange | None:
        """The exchange with the first number *given*, if it is under way."""
        return None if given is None else self.running.get(self._redirected.get(given, given))

    def send_text(self, given: int | None, text: str) -> None:
        """Send a text on a WebSocket; ignored if it is gone."""
        if (exchange := self.find(given)) is not None:
            self.commands.append(SendText(exchange.id, text))

    def pause(self, given: int | None, on: bool) -> bool:
        """Pause a stream, or resume it; False: there is no such stream."""
        exchange = self.find(given)
        if exchange is None:
            return False
        self.commands.append(Pause(exchange.id) if on else Resume(exchange.id))
        exchange.is_paused = on
        self._watch(exchange)
        return True

    def watch(self, given: int | None) -> None:
        """Note, from now on, when a stream says nothing for ``Timeouts.stream_idle``."""
        if (exchange := self.find(given)) is not None:
            exchange.is_watched = True
            self._watch(exchange)

    def abort(self, given: int | None) -> None:
        """Drop an exchange; one that is over already is no mistake."""
        if (exchange := self.find(given)) is not None:
            self._drop(exchange)
            self.commands.append(Abort(exchange.id))

    def forget(self, exchange: Exchange) -> None:
        """Say no more of a request that is not sent."""
        self._drop(exchange)

    def abort_all(self) -> None:
        """Drop every exchange."""
        for exchange in list(self.running.values()):
            self.abort(exchange.given)

    def via(self, url: URL) -> Via | None:
        """How to reach *url*: through a proxy, or through a Unix socket; None: directly.

        Raises:
            OptionError: the proxy for it cannot be used.
        """
        origin = url.origin
        if origin not in self._vias:
            socket = self._address.socket
            if socket is not None and origin == self._address.page.origin:
                self._vias[origin] = UnixSocket(socket)
            else:
                self._vias[origin] = self._options.proxies.for_url(url)
        return self._vias[origin]

    # Told by the transport. An exchange that was aborted is not found any more.

    def sent(self, exchange: Exchange, size: int) -> None:
        """So many bytes of the file of an upload were sent."""
        exchange.sent += size
        assert exchange.deadline is not None
        self._timers.start(exchange, getattr(self._options.timeouts, exchange.deadline))

    def response(self, exchange: Exchange, status: int, headers: Headers) -> Came | None:
        """The head of an answer; the names of *headers* are in lower case."""
        exchange.status, exchange.headers = status, headers
        fields = dict(headers)
        if "set-cookie" in fields and not exchange.bare:
            cookies = [value for name, value in headers if name == "set-cookie"]
            self._credentials.receive_cookies(exchange.url, cookies, self._timers.wall_now)
        coding = header(headers, "content-encoding") if "content-encoding" in fields else None
        if coding is not None and coding.lower() != "identity":
            return self.give_up(
                exchange, RemoteProtocolError(f"the answer is encoded, as {coding!r}")
            )
        if exchange.listener is not None and _is_wanted(exchange, fields):
            self._timers.stop(exchange)
            exchange.is_open = True
            exchange.phase = "stream"  # in place of the phase of its request
            self._watch(exchange)
            return Opened(exchange)
        return None

    def data(self, exchange: Exchange, chunk: bytes) -> Came | None:
        """A piece of an answer; those of a stream are the listener's."""
        exchange.parts.append(chunk)
        exchange.size += len(chunk)
        limit = self._options.limits.answer
        if exchange.size > limit:
            if exchange.is_read and exchange.upload is not None:
                return self.give_up(exchange, too_large(exchange.upload, limit))
            return self.give_up(exchange, RemoteProtocolError(f"the answer exceeds {limit} bytes"))
        return None

    def text(self, exchange: Exchange, text: str) -> Came | None:
        return None if exchange.listener is None else Told(exchange, text)

    def ended(self, exchange: Exchange) -> Came | None:
        if exchange.is_open:
            self._drop(exchange)
            return Ended(exchange)
        try:
            if self._redirect(exchange):
                return None
        except (RemoteProtocolError, LocalProtocolError) as error:
            return self._broke(exchange, error)
        self._drop(exchange)
        body = b"".join(exchange.parts)
        answer = Answer(
            exchange.status,
            exchange.headers,
            body if exchange.status < _REFUSED else self._credentials.hidden_in(body),
            exchange.url,
            self._options.loads_answer,
            self._timers.date,
            self.login,
            exchange.phase,
            exchange.via
            if isinstance(exchange.via, Proxy) and exchange.url.scheme == "http"
            else None,
            self._credentials.has_token,
        )
        return Answered(exchange, answer)

    def failed(self, exchange: Exchange, error: BaseException) -> Came:
        if not isinstance(error, GradioError):
            lost = ConnectionLost(f"the connection was lost: {str(error) or type(error).__name__}")
            lost.__cause__ = error
            error = lost
        return self._broke(exchange, error)

    def give_up(self, exchange: Exchange, error: GradioError) -> Came:
        """Fail an exchange and have the transport abort it."""
        self.commands.append(Abort(exchange.id))
        return self._broke(exchange, error)

    def timed_out(self, exchange: Exchange) -> Came | None:
        """The timer of an exchange has passed: its deadline, or the silence of its stream."""
        if not exchange.is_watched:
            assert exchange.deadline is not None
            return self.give_up(exchange, DeadlineExceeded(phase=exchange.deadline))
        idle, heard = self._options.timeouts.stream_idle, exchange.last_heard
        if heard is None:
            return Silent(exchange)
        assert idle is not None
        exchange.last_heard = None
        self._timers.start(exchange, heard + idle - self._timers.now)
        return None

    def _send(self, exchange: Exchange) -> None:
        # A redirect gets a new number: to the transport it is a new request.
        self._last_id += 1
        exchange.id = id = self._last_id
        exchange.given = exchange.given or id
        self.running[id] = exchange
        if exchange.is_read:
            assert exchange.upload is not None
            exchange.status = _OK
            limit = self._options.limits.answer
            self.commands.append(ReadFile(id, exchange.upload, limit))
            return
        request = exchange.request
        credentials = _NOBODYS if exchange.bare else self._credentials
        headers = credentials.fields(exchange.url, request.headers, self._timers.wall_now)
        if exchange.websocket:
            self.commands.append(
                OpenWebSocket(id, exchange.url.websocket.text, headers, exchange.via)
            )
        else:
            url, expect = exchange.url.text, exchange.expect
            self.commands.append(
                SendRequest(id, request.method, url, headers, request.body, expect, exchange.via)
            )

    def _redirect(self, exchange: Exchange) -> bool:
        """Follow a redirect; False: the answer is not a redirect.

        Raises:
            RemoteProtocolError: this redirect is not to be followed.
            OptionError: the proxy for the new address cannot be used.
        """
        method, old = exchange.request.method, exchange.url
        new = redirected(
            method,
            old,
            exchange.status,
            exchange.headers,
            discovering=exchange.discovering,
            bare=exchange.bare,
        )
        if new is None:
            return False
        if exchange.sent and is_sent_once(exchange.request.body):
            raise RemoteProtocolError("redirected, and the file cannot be read twice")
        exchange.sent = 0
        exchange.redirects += 1
        if exchange.redirects > self._options.limits.redirects:
            raise RemoteProtocolError("too many redirects")
        via = self.via(new)
        if isinstance(exchange.via, UnixSocket) and via != exchange.via:
            # Its localhost is not the one that others mean.
            what = f"{exchange.via} redirects to {new.scheme}://{new.host_header}"
            raise RemoteProtocolError(f"{what}: connect to it directly if you trust it")
        exchange.url, exchange.via = new, via
        if new.origin != old.origin and not exchange.bare:
            self._credentials.follow(old, new)
        del self.running[exchange.id]
        exchange.parts.clear()
        exchange.size = 0
        self._send(exchange)
        self._redirected[exchange.given] = exchange.id
        return True

    def _watch(self, exchange: Exchange) -> None:
        exchange.last_heard = None
        if exchange.is_watched:
            idle = None if exchange.is_paused else self._options.timeouts.stream_idle
            self._timers.start(exchange, idle)

    def _broke(self, exchange: Exchange, error: GradioError) -> Came:
        self._drop(exchange)
        status = exchange.status or None
        return ExchangeFailed(
            exchange, error.located(phase=exchange.phase, url=exchange.url.public, status=status)
        )

    def _drop(self, exchange: Exchange) -> None:
        exchange.is_over = True
        self.running.pop(exchange.id, None)
        self._redirected.pop(exchange.given, None)
        self._timers.stop(exchange)


def _is_wanted(exchange: Exchange, fields: Mapping[str, str]) -> bool:
    """Whether the answer is the stream or the WebSocket that the listener asked for."""
    if exchange.websocket:
        return exchange.status == _SWITCHING
    if exchange.wants is not None:
        return exchange.wants(exchange.status, exchange.headers)
    kind = fields.get("content-type", "")
    return exchange.status == _OK and kind.split(";")[0].strip() == "text/event-stream"
