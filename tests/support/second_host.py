"""A watch over every session of the suite: nothing of it reaches a host that it was not given.

``keep_watch`` has each session watched, whatever drives it: its requests, and the bytes that its
engine hands out for each connection. What a session was given is worked out here once more, from
its options and calls alone: the origin of the app (https of the same host as well), the Hub and the
host that the Hub names, the proxy, and the address of a file that the caller named. All other hosts
are the second host:

* It gets no request and no connection.
* The Hub gets the token and nothing else; the host of a file gets a bare GET; a proxy gets its own
  login before a tunnel, and what it forwards is for a host that was given.

``carry_credentials`` gives each session a credential of each kind, in addition to those that its
test gives, and a header by which an app of the server role names the second host in ``root`` and in
the ``url`` of each file. Then many tests that compare whole requests break off; what they did until
then counts.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import urljoin, urlsplit
from weakref import WeakKeyDictionary

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.client.commands import (
    ConversationCommand,
    EngineCommand,
    OpenConnection,
    OpenWebSocket,
    SendRequest,
    StartTLS,
)
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.credentials import Credentials
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.wire.body import Body, FileSlice
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.http import BodyReceived, ResponseStarted
from tests.support.recorder import forms

ELSEWHERE: Final = "second-host.invalid"
"""The host that an app names, if ``carry_credentials`` is in force."""
OF_HUB: Final = frozenset({"token"})
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_PLAIN: Final = {"ws": "http", "wss": "https"}
_LEAST: Final = 8  # characters: a shorter secret may be in a request by chance
_HEARD: Final = "_second_host_listens"  # a mark: what such a session is told counts, too
_KEPT: Final = 1 << 20  # bytes of a connection that are looked through

Origin = tuple[str, str, int]

CARRIED: Final[Mapping[str, str]] = {
    kind: f"carried-{kind.replace(' ', '-')}-0123456789"
    for kind in (
        "headers",
        "headers of a call",
        "cookies",
        "token",
        "oauth_token",
        "query of the address",
    )
}


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    scheme = _PLAIN.get(parts.scheme, parts.scheme)
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


@attrs.define(eq=False)
class Given:
    """What one session was given."""

    app: set[Origin] = attrs.field(factory=set[Origin])
    hub: set[Origin] = attrs.field(factory=set[Origin])
    of_hub: dict[int, bytes] = attrs.field(factory=dict[int, bytes])
    """What the Hub has answered so far, by the number of the request."""
    files: set[str] = attrs.field(factory=set[str])
    """Addresses of files that the caller has named, and where they have moved."""
    proxies: str = ""
    secrets: dict[str, str] = attrs.field(factory=dict[str, str])
    """By their kinds."""
    asked: dict[int, str] = attrs.field(factory=dict[int, str])
    """The addresses of requests, by number."""

    def is_app(self, origin: Origin) -> bool:
        return _leads_to(self.app, origin)

    def is_hub(self, origin: Origin) -> bool:
        return _leads_to(self.hub, origin)

    def hide(self, kind: str, secret: object) -> None:
        """Note a secret; one that is too short to be looked for is ignored."""
        if isinstance(secret, str) and len(secret) >= _LEAST:
            named = kind if kind not in self.secrets else f"{kind} {len(self.secrets)}"
            self.secrets[named] = secret

    def found(self, text: bytes) -> set[str]:
        return {kind for kind, secret in self.secrets.items() if _is_in(secret, text)}


def _leads_to(origins: set[Origin], origin: Origin) -> bool:
    """Whether *origin* is among *origins*, or is https of the same host."""
    scheme, host, port = origin
    before = ("http", host, port), ("http", host, 80 if port == 443 else port)
    return origin in origins or (scheme == "https" and any(one in origins for one in before))


@functools.cache
def _forms(secret: str) -> frozenset[bytes]:
    return frozenset(forms(secret))


def _is_in(secret: str, text: bytes) -> bool:
    return any(form in text for form in _forms(secret))


class ReachedElsewhere(AssertionError):
    """Something has come to the second host."""


class Watch:
    """Over all sessions."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """How many went where."""
        self.carried: Counter[str] = Counter()
        """How many requests to the app had each kind of credential."""
        self.broken_off = 0
        """Tests that could not bear more credentials."""
        self._complaints: list[str] = []
        self._given: WeakKeyDictionary[Conversation, Given] = WeakKeyDictionary()
        self._engines: WeakKeyDictionary[Engine, list[Given]] = WeakKeyDictionary()
        self._connections: WeakKeyDictionary[Engine, dict[int, _Connection]] = WeakKeyDictionary()

    def check(self) -> None:
        """Raise if something has come to the second host since the last time."""
        if complaints := self.complaints():
            raise ReachedElsewhere("\n".join(complaints))

    def complaints(self) -> list[str]:
        """What has come to the second host since the last time."""
        for connections in self._connections.values():
            for connection in connections.values():
                self._complaints += connection.complaints()
            connections.clear()
        complaints, self._complaints = self._complaints, []
        return complaints

    @property
    def sums(self) -> tuple[dict[str, int], dict[str, int], int]:
        return dict(self.requests), dict(self.carried), self.broken_off

    def add(self, sums: tuple[dict[str, int], dict[str, int], int]) -> None:
        """Those of another process."""
        self.requests.update(sums[0])
        self.carried.update(sums[1])
        self.broken_off += sums[2]

    def __str__(self) -> str:
        told = ", ".join(f"{count} to {place}" for place, count in self.requests.most_common())
        carried = ", ".join(f"{kind} {count}" for kind, count in sorted(self.carried.items()))
        more = f"; of those to apps had {carried}; {self.broken_off} tests broke off"
        return f"requests: {told or 'none'}{more if carried else ''}"

    # What sessions are given, do and are told

    def meet(self, session: Conversation, src: str, options: Mapping[str, Any]) -> None:
        given = self._given[session] = Given()
        src = src.strip()
        if "//" in src:
            given.app.add(origin_of(src.replace("http+unix://", "http://localhost/?", 1)))
        hub = options.get("hub") or "https://huggingface.co"
        if session.url.startswith(hub.rstrip("/") + "/spaces/"):
            given.app.clear()
            given.hub.add(origin_of(hub))
            setattr(session, _HEARD, True)
        proxy = options.get("proxy")
        if isinstance(proxy, Proxies):
            named = (one.address for one in (proxy.http, proxy.https) if one is not None)
            given.proxies = " ".join(named)
        else:
            given.proxies = proxy or ""
        for kind in ("token", "oauth_token"):
            given.hide(kind, options.get(kind))
        auth = options.get("auth")
        if isinstance(auth, tuple | list) and len(auth) == 2:
            given.hide("auth", auth[1])
        for kind in ("headers", "cookies"):
            fields = options.get(kind) or ()
            for _, value in fields.items() if isinstance(fields, Mapping) else fields:
                given.hide(kind, value)
        given.hide("query of the address", urlsplit(src).query)
        for kind, secret in _carried.items():
            given.hide(kind, secret)

    def ask(self, session: Conversation, call: Call) -> None:
        given = self._given.get(session)
        if given is None:
            return
        known = given.secrets.values()
        for _, value in cast("Headers", call.headers or ()):  # it has been checked
            if value not in known:
                given.hide("headers of a call", value)
        for file in call.files:
            source = file.source
            if isinstance(source, RemoteFile) and source.path is not None:
                given.files.add(source.base + source.whole_target)
            elif file.is_url:
                given.files.add(str(source))
        if given.files:
            setattr(session, _HEARD, True)

    def command(self, session: Conversation, command: ConversationCommand) -> None:
        given = self._given.get(session)
        if given is None or not isinstance(command, SendRequest | OpenWebSocket):
            return
        if session.__dict__.get(_HEARD):
            given.asked[command.id] = command.url
        self._complaints += self._judge(given, command)

    def _judge(self, given: Given, command: SendRequest | OpenWebSocket) -> Iterable[str]:
        origin = origin_of(command.url)
        method = command.method if isinstance(command, SendRequest) else "WebSocket"
        body = command.body if isinstance(command, SendRequest) else None
        what = f"{method} {command.url}"
        if given.is_app(origin):
            self.requests["apps"] += 1
            if _carried:
                self.carried.update(map(_plain_kind, given.found(_text_of(command))))
            return
        found = given.found(_text_of(command))
        if given.is_hub(origin):
            self.requests["the Hub"] += 1
            if found - OF_HUB:
                yield f"{what}, at the Hub, with {found - OF_HUB}"
        elif command.url.partition("#")[0] in given.files:
            self.requests["hosts of files"] += 1
            if found:
                yield f"{what}, at the host of a file, with {found}"
        else:
            yield f"{what}, for which nobody has asked, with {found or 'no credential'}"
        if method != "GET" or body:
            yield f"{what}: that is more than a GET"

    def hear(self, session: Conversation, id: int, news: Iterable[object]) -> None:
        """The host of a file may move it, and the Hub names the host of a Space."""
        given = self._given[session]
        url = given.asked.get(id, "")
        for item in news:
            if isinstance(item, ResponseStarted) and url in given.files:
                moved = [value for name, value in item.headers if name.lower() == "location"]
                given.files |= {urljoin(url, where) for where in moved}
            elif isinstance(item, BodyReceived) and _asks_for_host(given, url):
                given.of_hub[id] = given.of_hub.get(id, b"") + bytes(item.data)
                given.app |= _named_in(given.of_hub[id])

    # What engines do

    def join(self, engine: Engine, session: Conversation) -> None:
        if session in self._given:
            self._engines.setdefault(engine, []).append(self._given[session])

    def connect(self, engine: Engine, command: EngineCommand) -> None:
        connections = self._connections.setdefault(engine, {})
        if isinstance(command, OpenConnection):
            connection = _Connection(command, self._engines.get(engine, []))
            if not connection.is_right:
                connections[command.conn] = connection
        elif isinstance(command, StartTLS) and command.conn in connections:
            connections[command.conn].is_inside = True

    def send(self, engine: Engine, conn: int, data: bytes | FileSlice) -> None:
        connection = self._connections.get(engine, {}).get(conn)
        if connection is not None and not isinstance(data, FileSlice):
            connection.take(data)


class _Connection:
    """What is sent on one connection: only of those to a second host anything is kept."""

    def __init__(self, command: OpenConnection, given: list[Given]) -> None:
        self._command = command
        self._given = given
        host, port = command.host.lower(), command.port
        origin = "http" if command.server_name is None else "https", host, port
        self._is_app = any(one.is_app(origin) for one in given)
        self._is_asked = self._is_app or any(
            one.is_hub(origin) or any(origin_of(url) == origin for url in one.files)
            for one in given
        )
        self._is_hub = any(one.is_hub(origin) for one in given)
        self.is_inside = False
        """TLS has begun: a proxy sees no more."""
        self._to_proxy = bytearray()
        self._to_host = bytearray()

    @property
    def is_right(self) -> bool:
        """It leads to the app, and by no proxy: all may be sent on it."""
        return self._is_app and self._command.via is None

    def take(self, data: bytes) -> None:
        if self._command.via is not None and not self.is_inside:
            if len(self._to_proxy) < _KEPT:
                self._to_proxy += data
        elif not self._is_app and len(self._to_host) < _KEPT:
            self._to_host += data

    def complaints(self) -> Iterable[str]:
        command = self._command
        where = f"{command.host}:{command.port}"
        if not self._is_asked:
            yield f"a connection to {where}, which no session was given"
        if self._to_host:
            found = self._found(bytes(self._to_host)) - (OF_HUB if self._is_hub else set[str]())
            if found:
                yield f"bytes to {where} with {found}"
        if command.via is not None and not command.via[0].startswith("/"):
            yield from self._of_proxy(bytes(self._to_proxy))

    def _of_proxy(self, sent: bytes) -> Iterable[str]:
        via = self._command.via
        assert via is not None
        if not any(f"{via[0]}" in one.proxies for one in self._given):
            yield f"a connection to the proxy {via}, which no session was given"
        if sent.startswith(b"CONNECT "):
            head, _, rest = sent.partition(b"\r\n\r\n")
            if found := self._found(head):
                yield f"a CONNECT at {via} with {found}"
            if not self._is_app and (found := self._found(rest) - OF_HUB):
                yield f"bytes through {via} with {found}"
        elif not self._is_app and (found := self._found(sent) - OF_HUB):
            yield f"bytes to {via} with {found}"

    def _found(self, text: bytes) -> set[str]:
        return {kind for one in self._given for kind in one.found(text)}


def _plain_kind(kind: str) -> str:
    return kind.rstrip("0123456789 ")


def _asks_for_host(given: Given, url: str) -> bool:
    return url.endswith("/host") and given.is_hub(origin_of(url))


def _named_in(answer: bytes) -> set[Origin]:
    """The host that the Hub names, if it does."""
    try:
        return {origin_of(json.loads(answer)["host"])}
    except (ValueError, KeyError, TypeError):
        return set()


def _text_of(command: SendRequest | OpenWebSocket) -> bytes:
    parts = [command.url.encode(), *(f"{n}: {v}".encode() for n, v in command.headers)]
    if isinstance(command, SendRequest):
        pieces = command.body.pieces if isinstance(command.body, Body) else (command.body or b"",)
        parts += [piece for piece in pieces if isinstance(piece, bytes)]
    return b"\n".join(parts)


WATCH: Final = Watch()
_carried: dict[str, str] = {}


def keep_watch() -> None:
    """Have all sessions and engines watched."""
    session = Conversation.__init__

    @functools.wraps(session)
    def begun(self: Conversation, src: str, **options: Any) -> None:
        session(self, src, **options)
        WATCH.meet(self, src, options)

    Conversation.__init__ = begun  # type: ignore[method-assign]  # for all who test
    _after(Conversation, "begin", lambda self, _, call: WATCH.ask(self, call))
    _after(Conversation, "next_command", WATCH.command)
    _after(Engine, "session", lambda self, made, *_, **__: WATCH.join(self, made))
    _after(Engine, "next_command", WATCH.connect)
    _after(Engine, "data_to_send", lambda self, sent, conn, *_, **__: WATCH.send(self, conn, sent))
    receive = Conversation.receive

    @functools.wraps(receive)
    def received(self: Conversation, id: int, news: Any, *now: Any, **told: Any) -> None:
        if self.__dict__.get(_HEARD) and isinstance(news, tuple | list):  # an iterator is read once
            WATCH.hear(self, id, cast("Iterable[object]", news))
        receive(self, id, news, *now, **told)

    Conversation.receive = received  # type: ignore[method-assign]  # for all who test


def _after(owner: type, name: str, tell: Callable[..., object]) -> None:
    """Call *tell* after each call of a verb that returns something: object, result, arguments."""
    verb = getattr(owner, name)

    @functools.wraps(verb)
    def told(self: Any, *args: Any, **options: Any) -> Any:
        result = verb(self, *args, **options)
        if result:
            tell(self, result, *args, **options)
        return result

    setattr(owner, name, told)


def carry_credentials(kinds: Collection[str]) -> None:
    """Give each session, and each call, a credential of each of the *kinds* in ``CARRIED``."""
    _carried.update({kind: CARRIED[kind] for kind in kinds})
    made, call = Credentials.__init__, Call.__init__

    @functools.wraps(made)
    def more(self: Credentials, **options: Any) -> None:
        made(self, **options)
        carried = _carried.get
        own = [("x-forwarded-host", ELSEWHERE)]
        if (header := carried("headers")) is not None:
            own.append(("x-carried", header))
        if (cookie := carried("cookies")) is not None:
            self._own_cookies = [*self._own_cookies, ("carried", cookie)]
        has = {name for name, _ in self._headers}
        self._headers += tuple(field for field in own if field[0] not in has)
        self._token = self._token or carried("token")
        self._oauth_token = self._oauth_token or carried("oauth_token")
        if (query := carried("query of the address")) is not None:
            self._query = self._query or f"carried={query}"

    @functools.wraps(call)
    def called(self: Call, *args: Any, **options: Any) -> None:
        call(self, *args, **options)
        field = ("x-carried-by-call", _carried["headers of a call"])
        object.__setattr__(self, "headers", (*(self.headers or ()), field))

    Credentials.__init__ = more  # type: ignore[method-assign]  # for all who test
    if "headers of a call" in kinds:
        Call.__init__ = called  # type: ignore[method-assign]  # the same
