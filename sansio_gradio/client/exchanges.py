"""Requests and their answers, one altitude above HTTP.

Whoever asks gets told once: an ``Answer``, or a ``GradioError`` that says in which phase and where.
Streams and WebSockets report to a ``Listener``. Redirects, cookies, deadlines and limits live here,
so that nobody above thinks of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

import attrs

from sansio_gradio.client.commands import (
    Abort,
    ConversationCommand,
    Expect,
    OpenWebSocket,
    Pause,
    Resume,
    SendRequest,
    SendText,
)
from sansio_gradio.client.redirects import redirected
from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import ConnectionLost, DeadlineExceeded, GradioError, RemoteProtocolError
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.failures import Login, is_page, login_wanted, refusal
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.cookies import CookieJar
from sansio_gradio.wire.headers import Headers, header, overlaid
from sansio_gradio.wire.json import JSON, Loads, loads
from sansio_gradio.wire.url import URL

_OK: Final = 200
_SWITCHING: Final = 101
_FORBIDDEN: Final = 403
# What an app says to a request that was meant for another one: it has no such path, takes other
# methods or other fields there, or wants a login.
_OF_ANOTHER_APP: Final = frozenset({401, 404, 405, 422})


@attrs.frozen
class Answer:
    """A whole answer to an ordinary request."""

    status: int
    headers: Headers
    body: bytes
    url: URL  # where it came from, after redirects
    loads: Loads = loads
    wall_now: float | None = None  # POSIX seconds, when it was complete
    login: Login = Login.NOT_GIVEN  # with which it was asked

    def read(self) -> JSON:
        """What it says.

        Raises:
            RemoteProtocolError: it is no JSON.
        """
        return self.loads(self.body)

    @property
    def json(self) -> JSON:
        """What it says; None also where that is no JSON."""
        try:
            return self.read()
        except RemoteProtocolError:
            return None

    def refusal(self, version: Version = ()) -> GradioError:
        """What it means, from a server of this *version*, where another answer was wanted."""
        what = (self.status, self.headers, self.body, version, self.wall_now)
        error = refusal(*what, loads=self.loads, login=self.login)
        return error.located(url=self.url.public)

    def login_wanted(self) -> GradioError:
        """What it means where it is known to want a login."""
        page = is_page(self.body)
        error = login_wanted(self.headers, self.json, in_html=page, login=self.login)
        return error.located(url=self.url.public, status=self.status)


OnAnswer: TypeAlias = Callable[[Answer], None]
OnError: TypeAlias = Callable[[GradioError], None]


class Listener(Protocol):
    """Whoever reads a stream or a WebSocket. After ``ended``, ``refused``, ``failed``: no more."""

    def opened(self) -> None: ...
    def received(self, data: bytes) -> None:
        """A piece of a stream."""
        ...

    def told(self, text: str) -> None:
        """A message of a WebSocket."""
        ...

    def ended(self) -> None:
        """The stream has ended as HTTP wants it, the WebSocket with Close 1000."""
        ...

    def refused(self, answer: Answer) -> None:
        """The server answered something else."""
        ...

    def failed(self, error: GradioError) -> None: ...


@attrs.define(eq=False)
class Exchange:
    request: HTTPRequest
    url: URL
    phase: str
    on_answer: OnAnswer
    on_error: OnError
    expect: Expect = Expect.ANSWER
    listener: Listener | None = None
    stream: Listener | None = None  # the same, once it gets what it asked for
    websocket: bool = False
    hands_in: int | None = None  # this job
    is_paused: bool = False
    silent: Callable[[], None] | None = None
    last_heard: float | None = None  # since the watch began
    discovering: bool = False  # http may become https
    id: int = 0
    given: int = 0  # the first id, by which the asker knows it
    redirects: int = 0
    status: int = 0
    headers: Headers = ()
    parts: list[bytes] = attrs.field(factory=list[bytes])
    size: int = 0


class Exchanges:
    """All exchanges of one conversation that are under way."""

    def __init__(
        self,
        headers: Headers,
        timers: Timers,
        limits: Limits,
        timeouts: Timeouts,
        *,
        loads: Loads,
    ) -> None:
        self.commands: deque[ConversationCommand] = deque()
        self.cookies = CookieJar()
        self.headers = headers
        self.is_app_in_doubt = False
        """There is a sign that the app is not the one whose config was read."""
        self.login = Login.NOT_GIVEN
        """Found out while the app is discovered."""
        self._own_cookies: list[tuple[str, str]] = []
        self._loads = loads
        self._timers = timers
        self._timeouts = timeouts
        self._limits = limits
        self._running: dict[int, Exchange] = {}
        self._redirected: dict[int, int] = {}  # what the asker was given -> what it became
        self._last_id = 0

    def ask(
        self,
        base: URL,
        request: HTTPRequest,
        *,
        phase: str,
        deadline: str | None,
        then: OnAnswer,
        failed: OnError,
        discovering: bool = False,
        hands_in: int | None = None,
    ) -> int:
        """Send *request*; exactly one of *then* and *failed* is called, unless aborted.

        ``deadline`` is the name of the field in ``Timeouts`` that bounds it; None: the answer takes
        as long as the app's function. ``hands_in``: the number of the job whose function it names,
        so that it must not reach another app.
        """
        exchange = Exchange(
            request, base, phase, then, failed, discovering=discovering, hands_in=hands_in
        )
        if deadline is None:
            exchange.expect = Expect.CALL
        return self._begin(exchange, deadline)

    def listen(
        self,
        base: URL,
        request: HTTPRequest,
        *,
        phase: str,
        listener: Listener,
        deadline: str | None = None,
        websocket: bool = False,
        hands_in: int | None = None,
    ) -> int:
        """Open an event stream or a WebSocket, and tell *listener* what comes.

        ``deadline`` bounds the time until it is open. ``hands_in``: as in ``ask``.
        """
        exchange = Exchange(request, base, phase, listener.refused, listener.failed, Expect.STREAM)
        exchange.hands_in = hands_in
        exchange.listener, exchange.websocket = listener, websocket
        return self._begin(exchange, deadline)

    def send_text(self, id: int | None, text: str) -> None:
        """Send a text on a WebSocket; one that is gone takes none."""
        if (exchange := self._find(id)) is not None:
            self.commands.append(SendText(exchange.id, text))

    def pause(self, id: int | None, on: bool) -> bool:
        """Have a stream wait at the peer's, or flow again; False: there is none."""
        exchange = self._find(id)
        if exchange is None:
            return False
        self.commands.append(Pause(exchange.id) if on else Resume(exchange.id))
        exchange.is_paused = on
        self._watch(exchange, self._timeouts.stream_idle)
        return True

    def watch(self, id: int | None, silent: Callable[[], None]) -> None:
        """Call *silent* when, from now on, a stream says nothing for ``Timeouts.stream_idle``."""
        if (exchange := self._find(id)) is not None:
            exchange.silent = silent
            self._watch(exchange, self._timeouts.stream_idle)

    def abort(self, id: int | None) -> None:
        """Drop an exchange without telling anybody; one that is over already is no mistake."""
        if (exchange := self._find(id)) is not None:
            self._drop(exchange)
            self.commands.append(Abort(exchange.id))

    def job_handed_in_by(self, id: int) -> int | None:
        """The job that the request *id* hands in; None: none, or its answer has begun."""
        exchange = self._running.get(id)
        if exchange is None or exchange.status or exchange.redirects:
            return None
        return exchange.hands_in

    def forget(self, id: int) -> None:
        """Say no more of a request that is not sent."""
        self._drop(self._running[id])

    def abort_all(self) -> None:
        for id in list(self._running):
            self.abort(id)

    def give_cookies(self, url: URL, cookies: list[tuple[str, str]]) -> None:
        """Send *cookies*, the user's own, to the app, which is at *url*.

        Raises:
            LocalProtocolError: one cannot be sent.
        """
        self._own_cookies = cookies
        for name, value in cookies:
            self.cookies.set(url, name, value)

    # What the surroundings tell. An exchange that was aborted is told of no more.

    def response(self, id: int, status: int, headers: Headers) -> None:
        exchange = self._running.get(id)
        if exchange is None:
            return
        exchange.status = status
        exchange.headers = tuple((name.lower(), value) for name, value in headers)
        set_cookies = [value for name, value in exchange.headers if name == "set-cookie"]
        if set_cookies:
            self.cookies.receive(exchange.url, set_cookies, self._timers.wall_now)
        coding = header(exchange.headers, "content-encoding")
        if coding is not None and coding.lower() != "identity":
            self._give_up(exchange, RemoteProtocolError(f"the answer is encoded, as {coding!r}"))
        elif exchange.listener is not None and self._is_wanted(exchange):
            self._timers.stop(exchange)
            exchange.stream = exchange.listener
            exchange.phase = "stream"  # whatever it was that asked for it
            self._watch(exchange, self._timeouts.stream_idle)
            exchange.stream.opened()

    def data(self, id: int, chunk: bytes) -> None:
        exchange = self._running.get(id)
        if exchange is None:
            return
        if exchange.stream is not None:
            exchange.last_heard = self._timers.now
            exchange.stream.received(chunk)
            return
        exchange.parts.append(chunk)
        exchange.size += len(chunk)
        if exchange.size > self._limits.answer:
            self._give_up(
                exchange, RemoteProtocolError(f"the answer exceeds {self._limits.answer} bytes")
            )

    def text(self, id: int, text: str) -> None:
        exchange = self._running.get(id)
        if exchange is not None and exchange.listener is not None:
            exchange.listener.told(text)

    def ended(self, id: int) -> None:
        exchange = self._running.get(id)
        if exchange is None:
            return
        if exchange.stream is not None:
            self._drop(exchange)
            exchange.stream.ended()
            return
        try:
            if self._redirect(exchange):
                return
        except RemoteProtocolError as error:
            self._fail(exchange, error)
            return
        self._drop(exchange)
        no_socket = exchange.websocket and exchange.status == _FORBIDDEN
        if not exchange.discovering and (exchange.status in _OF_ANOTHER_APP or no_socket):
            self.is_app_in_doubt = True
        what = (exchange.status, exchange.headers, b"".join(exchange.parts), exchange.url)
        exchange.on_answer(Answer(*what, self._loads, self._timers.date, self.login))

    def failed(self, id: int, error: BaseException) -> None:
        exchange = self._running.get(id)
        if exchange is None:
            return
        if not isinstance(error, GradioError):
            lost = ConnectionLost(f"the connection was lost: {str(error) or type(error).__name__}")
            lost.__cause__ = error
            error = lost
        if isinstance(error, ConnectionError):
            self.is_app_in_doubt = True
        self._fail(exchange, error)

    def find(self, id: int) -> Exchange | None:
        """The exchange that its surroundings know by this number, if it is under way."""
        return self._running.get(id)

    def break_off(self, exchange: Exchange, error: GradioError) -> None:
        """End an exchange in *error*, wherever it is, also where it was just found complete."""
        if exchange.id in self._running:
            self._give_up(exchange, error)
        else:
            exchange.on_error(error.located(phase=exchange.phase, url=exchange.url.public))

    def _begin(self, exchange: Exchange, deadline: str | None) -> int:
        base = exchange.url
        exchange.url = attrs.evolve(base, target=base.path + exchange.request.target)
        if deadline is not None:
            late = partial(self._give_up, exchange, DeadlineExceeded(phase=deadline))
            self._timers.start(exchange, getattr(self._timeouts, deadline), late)
        self._send(exchange)
        return exchange.id

    def _send(self, exchange: Exchange) -> None:
        # Also where a redirect leads: the surroundings know an exchange by its number, and this is
        # a new request.
        self._last_id += 1
        exchange.id = id = self._last_id
        exchange.given = exchange.given or id
        self._running[id] = exchange
        request = exchange.request
        headers = overlaid(self.headers, request.headers)
        own = _cookies(self.headers), _cookies(request.headers)
        cookie = self.cookies.header(exchange.url, self._timers.wall_now, *own)
        if cookie is not None:
            headers = overlaid(headers, (("cookie", cookie),))
        if exchange.websocket:
            self.commands.append(OpenWebSocket(id, str(exchange.url.websocket), headers))
        else:
            url, expect = str(exchange.url), exchange.expect
            self.commands.append(
                SendRequest(id, request.method, url, headers, request.body, expect)
            )
        self._timers.ask_for_time()

    def _redirect(self, exchange: Exchange) -> bool:
        """Send a request to where its answer leads; False: it is its answer.

        Raises:
            RemoteProtocolError: this redirect is not to be followed.
        """
        method, old = exchange.request.method, exchange.url
        new = redirected(
            method, old, exchange.status, exchange.headers, discovering=exchange.discovering
        )
        if new is None:
            return False
        exchange.redirects += 1
        if exchange.redirects > self._limits.redirects:
            raise RemoteProtocolError("too many redirects")
        exchange.url = new
        if new.origin != old.origin:
            self.give_cookies(new, self._own_cookies)
        del self._running[exchange.id]
        exchange.parts.clear()
        exchange.size = 0
        self._send(exchange)
        self._redirected[exchange.given] = exchange.id
        return True

    def _is_wanted(self, exchange: Exchange) -> bool:
        """Whether a listener gets what it asked for, and not an answer of another kind."""
        if exchange.websocket:
            return exchange.status == _SWITCHING
        kind = header(exchange.headers, "content-type") or ""
        return exchange.status == _OK and kind.split(";")[0].strip() == "text/event-stream"

    def _watch(self, exchange: Exchange, seconds: float | None) -> None:
        exchange.last_heard = None
        if exchange.silent is not None:
            seconds = None if exchange.is_paused else seconds
            self._timers.start(exchange, seconds, partial(self._check, exchange))

    def _check(self, exchange: Exchange) -> None:
        idle, heard = self._timeouts.stream_idle, exchange.last_heard
        assert idle is not None
        assert exchange.silent is not None
        if heard is None:
            exchange.silent()
        else:
            self._watch(exchange, heard + idle - self._timers.now)

    def _give_up(self, exchange: Exchange, error: GradioError) -> None:
        """Fail an exchange that its surroundings are still busy with."""
        self.commands.append(Abort(exchange.id))
        self._fail(exchange, error)

    def _fail(self, exchange: Exchange, error: GradioError) -> None:
        self._drop(exchange)
        status = exchange.status or None
        exchange.on_error(
            error.located(phase=exchange.phase, url=exchange.url.public, status=status)
        )

    def _find(self, given: int | None) -> Exchange | None:
        """The exchange that its asker knows by this number, if it is under way."""
        return None if given is None else self._running.get(self._redirected.get(given, given))

    def _drop(self, exchange: Exchange) -> None:
        self._running.pop(exchange.id, None)
        self._redirected.pop(exchange.given, None)
        self._timers.stop(exchange)


def _cookies(headers: Headers) -> list[str]:
    return [value for name, value in headers if name == "cookie"]
