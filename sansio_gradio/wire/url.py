"""URLs as values (RFC 3986): no lookup, no connection, only text.

Rule 1: every part of a ``URL`` can be put into a request line or a header as it stands: ASCII,
without spaces and control characters.

Rule 2: credentials are never part of a URL. ``user:password@`` is refused and not removed, since
its author believes that it is used.

Rule 3: the ``api_prefix`` of a server never leads to another origin. A redirect may (``URL.join``),
so its caller compares ``origin``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import IPv6Address
from typing import Any, TypeAlias
from urllib.parse import quote, unquote, urljoin

import attrs

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_UNSENDABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")
# A scheme, an authority, a target, and a fragment to be forgotten.
_URL = re.compile(r"(https?|wss?)://([^/?#]+)([^#]*)(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{0,5}))?")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Labels as DNS has them, plus the underscore that real hosts use. Python's resolver fails with a
# UnicodeError on an empty label and on one of more than 63 characters.
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]*:[0-9a-f:.]*"
)
_MAX_NAME = 253
_TARGET = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
_SAFE = "!$&'()*+,;=:@/?%"
# No segment starts with a dot, and nothing is percent-encoded: none can mean ``..``.
_PREFIX = re.compile(r"/?(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/|\Z))*")
_UNIX = re.compile(r"(https?)\+unix://([^/?#]*)(.*)", re.IGNORECASE)

_PARSED = 64  # addresses that are read once only: a client asks few, and often

_SOUND: dict[str, Callable[[Any], object]] = {
    "scheme": DEFAULT_PORTS.__contains__,
    "host": _HOST.fullmatch,
    "port": range(1, 65536).__contains__,
    "target": _TARGET.fullmatch,
}


Origin: TypeAlias = tuple[str, str, int]
"""Scheme (http or https), host and port."""


@attrs.frozen(kw_only=True)
class URL:
    """Where to ask: a scheme, a host, a port and a target.

    ``scheme`` is ``http``, ``https``, ``ws`` or ``wss``. ``host`` is in lower case, a name that is
    not ASCII in its IDNA form, an IPv6 address without brackets. ``target`` is the path and the
    query, percent-encoded; a fragment is never kept.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"
    origin: Origin = attrs.field(init=False, eq=False, repr=False)
    """Scheme, host and port; ``ws`` counts as ``http`` and ``wss`` as ``https``."""
    host_header: str = attrs.field(init=False, eq=False, repr=False)
    """The value of the Host field: brackets around IPv6, the port only if it is unusual."""
    text: str = attrs.field(init=False, eq=False, repr=False)
    """The whole URL; the same as ``str``."""

    def __attrs_post_init__(self) -> None:
        for name, is_sound in _SOUND.items():
            if not is_sound(getattr(self, name)):
                raise LocalProtocolError(f"This is not the {name} of a URL that can be asked.")
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port != DEFAULT_PORTS[self.scheme]:
            host = f"{host}:{self.port}"
        give = partial(object.__setattr__, self)
        give("origin", (self.scheme.replace("ws", "http"), self.host, self.port))
        give("host_header", host)
        give("text", f"{self.scheme}://{host}{self.target}")

    @classmethod
    @lru_cache(maxsize=_PARSED)
    def parse(cls, text: str) -> URL:
        """Read an absolute URL.

        Raises:
            LocalProtocolError: it is not a URL that can be requested. The message does not repeat
                it, since it may hold a password.
        """
        if _UNSENDABLE.search(text):
            raise LocalProtocolError("A space or a control character is no part of a URL.")
        if not (match := _URL.fullmatch(text)):
            raise LocalProtocolError("A URL is needed that starts with http:// or https://.")
        scheme, authority, target = match[1].lower(), match[2], match[3]
        if "@" in authority:
            raise LocalProtocolError(
                "Credentials are no part of a URL: pass auth=(user, password)."
            )
        if not (match := _AUTHORITY.fullmatch(authority)):
            raise LocalProtocolError("This is neither a host nor a host with a port.")
        address, name, port = match.groups()
        try:
            host = _ascii(name) if address is None else str(IPv6Address(address))
            target = quote(_STRAY_PERCENT.sub("%25", target), safe=_SAFE)
        except ValueError as error:
            raise LocalProtocolError("A URL has no such host, and no lone surrogates.") from error
        return cls(
            scheme=scheme,
            host=host,
            port=int(port) if port else DEFAULT_PORTS[scheme],
            target=target if target.startswith("/") else f"/{target}",
        )

    def join(self, reference: str) -> URL:
        """Resolve *reference*, the Location of a redirect (RFC 3986 section 5.2).

        The result may be on another origin.

        Raises:
            RemoteProtocolError: it is not a reference, or the result cannot be requested.
        """
        try:
            if _UNSENDABLE.search(reference):  # urljoin() silently removes tabs and line ends
                raise LocalProtocolError("A space or a control character is no part of a URL.")
            return URL.parse(urljoin(str(self), reference))
        except (LocalProtocolError, ValueError) as error:
            raise RemoteProtocolError(f"The server redirects to nowhere: {error}") from error

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query of the target, without its question mark; empty if there is none."""
        return self.target.partition("?")[2]

    def asking(self, target: str, query: str = "") -> URL:
        """The address of *target*, which is relative to this path, with *query* behind its own.

        A field of *query* that *target* has, too, is left out.
        """
        if query:
            own = target.partition("?")[2]
            names = {field.partition("=")[0] for field in own.split("&")}
            more = "&".join(
                field for field in query.split("&") if field.partition("=")[0] not in names
            )
            target += ("&" if own else "?") + more if more else ""
        return attrs.evolve(self, target=self.path + target)

    @property
    def websocket(self) -> URL:
        """The same address for a WebSocket."""
        return attrs.evolve(self, scheme=self.scheme.replace("http", "ws"))

    @property
    def public(self) -> str:
        """The URL as an error or a log may show it: without the query, which may hold a token."""
        return f"{self.scheme}://{self.host_header}{self.path}"

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Address:
    """Where an app is, as a user says it.

    ``page``: the address of its page, with one slash at its end. ``query``: what every request to
    the app carries, such as the ``token=...`` of a gateway; ``""``: nothing. ``socket``: the path
    of the Unix socket at which the app listens; None: it listens at the host and port of its page.
    """

    page: URL
    query: str = attrs.field(default="", repr=False)  # it may hold a token
    socket: str | None = None

    @classmethod
    def parse(cls, src: str) -> Address:
        """Read *src*: ``http://host/path?query``, ``https://...``, or, for a Unix socket,
        ``http+unix://%2Frun%2Fapp.sock/path?query``.

        Spaces around *src*, which come with copying, are dropped.

        Raises:
            LocalProtocolError: *src* is none of these.
        """
        src, socket = src.strip(), None
        if match := _UNIX.fullmatch(src):
            scheme, path, rest = match.groups()
            if scheme.lower() == "https":
                raise LocalProtocolError("An app at a Unix socket is asked without TLS: http+unix.")
            socket, src = _socket_path(path), f"http://localhost{rest}"
        url = URL.parse(src)
        if url.scheme.startswith("ws"):
            raise LocalProtocolError("The address of an app starts with http:// or https://.")
        page = attrs.evolve(url, target=url.path.rstrip("/") + "/")
        return cls(page, url.query, socket)

    @property
    def public(self) -> str:
        """The address as an error or a log may show it: without the query."""
        if self.socket is None:
            return self.page.public
        return f"http+unix://{quote(self.socket, safe='')}{self.page.path}"


def api_base(base: URL, api_prefix: str) -> URL:
    """Where an app's API lies: *base* and the ``api_prefix`` of its config (5.0 and later).

    Raises:
        RemoteProtocolError: the prefix is not the plain path that every server sends.
    """
    if not _PREFIX.fullmatch(api_prefix):
        raise RemoteProtocolError(f"The app's api_prefix is not a path: {api_prefix[:80]!r}")
    path = f"{base.path.rstrip('/')}/{api_prefix.strip('/')}"
    return attrs.evolve(base, target=path.rstrip("/") + "/")


def _socket_path(quoted: str) -> str:
    """The path of a socket, from its place in an address."""
    try:
        path = unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        path = ""
    if not path.startswith("/") or "\0" in path:
        raise LocalProtocolError(
            "The path of a Unix socket is absolute, with %2F for each slash:"
            " http+unix://%2Frun%2Fapp.sock/."
        )
    return path


def _ascii(name: str) -> str:
    """The ASCII form of a host's name; ``URL`` checks whether it is valid."""
    # The codec is quadratic on long labels in some of the Pythons that we support.
    if not name.isascii() and len(name) <= _MAX_NAME:
        name = name.encode("idna").decode("ascii")
    return name.lower()
