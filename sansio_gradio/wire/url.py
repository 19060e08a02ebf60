"""URLs as values (RFC 3986): no lookup, no connection, only text.

Rule 1: whatever a ``URL`` holds can be put into a request line or a header as it stands. It is
ASCII without spaces and control characters, whoever wrote the text that it was made from.

Rule 2: credentials are never part of a URL. ``user:password@`` is refused instead of removed, since
whoever wrote it believes that it is used.

Rule 3: nothing that a server says about where its API lies leads away from its origin. Redirects
may (``URL.join``), and whoever follows one compares ``origin``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HTTP_SCHEME = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_WEBSOCKET_SCHEME = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

# RFC 3986 appendix B. urlsplit() is not used because it silently removes tabs and line ends.
_PARTS = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL
)
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{0,5}))?")
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")
_TARGET = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
_PATH_SAFE = "!$&'()*+,;=:@/"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Labels as DNS has them, plus the underscore that real hosts use. Python's resolver fails with a
# UnicodeError on an empty label and on one of more than 63 characters.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_MAX_NAME = 253
_SPACE = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


def _check(_url: URL, field: attrs.Attribute[Any], value: Any) -> None:
    if not _SOUND[field.name](value):
        raise LocalProtocolError(f"This is not the {field.name} of a URL that can be asked.")


@attrs.frozen(kw_only=True)
class URL:
    """Where to ask: a scheme, a host, a port and a target.

    ``scheme`` is ``http``, ``https``, ``ws`` or ``wss``. ``host`` is in lower case, a name that is
    not ASCII in its IDNA form, an IPv6 address without brackets. ``target`` is the path and the
    query, percent-encoded; a fragment is never kept.
    """

    scheme: str = attrs.field(validator=_check)
    host: str = attrs.field(validator=_check)
    port: int = attrs.field(validator=_check)
    target: str = attrs.field(default="/", validator=_check)

    @classmethod
    def parse(cls, text: str) -> URL:
        """Read an absolute URL.

        Raises:
            LocalProtocolError: it is none that can be asked. The message does not repeat it, since
                it may hold a password.
        """
        scheme, authority, path, query = _split(text)
        if scheme not in DEFAULT_PORTS or not authority:
            raise LocalProtocolError("A URL is needed that starts with http:// or https://.")
        host, port = _host_and_port(authority)
        return cls(
            scheme=scheme,
            host=host,
            port=DEFAULT_PORTS[scheme] if port is None else port,
            target=_target(path, query),
        )

    def join(self, reference: str) -> URL:
        """The URL that *reference*, the Location of a redirect, means here (RFC 3986 section 5.2).

        It may lie on another origin.

        Raises:
            RemoteProtocolError: it is not a reference, or to something that cannot be asked.
        """
        try:
            return self._resolve(reference)
        except LocalProtocolError as error:
            raise RemoteProtocolError(
                f"The server redirects to nowhere: {error.message}"
            ) from error

    def _resolve(self, reference: str) -> URL:
        scheme, authority, path, query = _split(reference)
        if scheme is not None:
            return URL.parse(reference)
        if authority is not None:
            return URL.parse(f"{self.scheme}:{reference}")
        if not path and query is None:
            return self
        if not path.startswith("/"):
            path = self.path[: self.path.rindex("/") + 1] + path if path else self.path
        return attrs.evolve(self, target=_target(path, query))

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port; ``ws`` counts as ``http`` and ``wss`` as ``https``."""
        return _HTTP_SCHEME[self.scheme], self.host, self.port

    @property
    def host_header(self) -> str:
        """The value of the Host field: brackets around IPv6, the port only if it is unusual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether TLS protects what is sent there."""
        return self.scheme in ("https", "wss")

    @property
    def websocket(self) -> URL:
        """The same place, asked over a WebSocket."""
        return attrs.evolve(self, scheme=_WEBSOCKET_SCHEME[self.scheme])

    @property
    def public(self) -> str:
        """The URL as an error or a log may show it: without the query, which may hold a token."""
        return f"{self.scheme}://{self.host_header}{self.path}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.target}"


def app_base(src: str) -> URL:
    """The address of an app's page, with one slash at its end, from what the user calls it.

    The query (``?__theme=dark``) is the browser's affair and is dropped.

    Raises:
        LocalProtocolError: *src* is not an http or https URL.
    """
    url = URL.parse(src)
    if url.scheme not in ("http", "https"):
        raise LocalProtocolError("The address of an app starts with http:// or https://.")
    return attrs.evolve(url, target=url.path.rstrip("/") + "/")


def api_base(base: URL, api_prefix: str | None) -> URL:
    """Where an app's API lies: *base* and the ``api_prefix`` of its config (5.0 and later).

    Raises:
        RemoteProtocolError: the prefix is not the plain path that every server sends.
    """
    prefix = api_prefix or ""
    inner = prefix.strip("/")
    if not inner:
        return attrs.evolve(base, target=base.path)
    segments = [_plain_dots(segment) for segment in inner.split("/")]
    if (
        prefix.startswith("//")
        or not _TARGET.fullmatch(f"/{inner}")
        or "?" in inner
        or not {"", ".", ".."}.isdisjoint(segments)
    ):
        raise RemoteProtocolError(f"The app's api_prefix is not a path: {prefix[:80]!r}")
    return attrs.evolve(base, target=f"{base.path.rstrip('/')}/{inner}/")


def under(base: URL, path: str, query: Mapping[str, str] | None = None) -> URL:
    """The URL of *path*, with *query*, below *base*.

    *path* and *query* are plain text: everything that is not allowed in a URL, ``%``, ``?`` and
    ``#`` included, is percent-encoded here.

    Raises:
        LocalProtocolError: a segment of *path* is ``.`` or ``..``, or there is text in it that no
            UTF-8 can carry.
    """
    if any(part in (".", "..") for part in path.split("/")):
        raise LocalProtocolError(f"This path leads elsewhere: {path[:80]!r}")
    try:
        target = f"{base.path.rstrip('/')}/{quote(path.lstrip('/'), safe=_PATH_SAFE)}"
        if query:
            target += "?" + urlencode(query, quote_via=quote, safe="")
    except UnicodeEncodeError as error:
        raise LocalProtocolError("This text cannot be part of a URL: lone surrogates.") from error
    return attrs.evolve(base, target=target)


def space_url(space: str) -> URL:
    """The address of a Hugging Face Space, given as ``owner/name``.

    Raises:
        LocalProtocolError: it has another form.
    """
    if not _SPACE.fullmatch(space):
        raise LocalProtocolError("A Space is named owner/name.")
    return URL.parse(f"https://{re.sub('[^a-z0-9]', '-', space.lower())}.hf.space/")


def _split(text: str) -> tuple[str | None, str | None, str, str | None]:
    """Scheme, authority, path and query of a URL reference."""
    if _UNSENDABLE.search(text):
        raise LocalProtocolError("A space or a control character is no part of a URL.")
    match = _PARTS.fullmatch(text)
    assert match  # every part may be empty, and the last two take whatever is left
    scheme, authority, path, query = match.groups()
    return scheme and scheme.lower(), authority, path, query


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise LocalProtocolError("Credentials are no part of a URL: pass auth=(user, password).")
    if not (match := _AUTHORITY.fullmatch(authority)):
        raise LocalProtocolError("This is neither a host nor a host with a port.")
    address, name, port = match.groups()
    return _address(address) if name is None else _name(name), int(port) if port else None


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise LocalProtocolError("The brackets do not hold an IPv6 address.") from error


def _name(text: str) -> str:
    """The ASCII form of a host's name; whether it is a sound one is checked by ``URL``."""
    # The codec is quadratic on long labels in some of the Pythons that we support.
    if text.isascii() or len(text) > _MAX_NAME:
        return text.lower()
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise LocalProtocolError("This is not an internationalised host name.") from error


def _is_host(text: str) -> bool:
    if ":" not in text:
        return bool(_NAME.fullmatch(text))
    try:
        # Zone identifiers have no place in a Host field (RFC 6874 section 4).
        return str(ipaddress.IPv6Address(text)) == text and "%" not in text
    except ValueError:
        return False


_SOUND: dict[str, Callable[[Any], object]] = {
    "scheme": DEFAULT_PORTS.__contains__,
    "host": _is_host,
    "port": range(1, 65536).__contains__,
    "target": _TARGET.fullmatch,
}


def _target(path: str, query: str | None) -> str:
    """Path and query in the form in which they are sent."""
    target = _encoded(_without_dots(path or "/"))
    return target if query is None else f"{target}?{_encoded(query, also_safe='?')}"


def _encoded(text: str, also_safe: str = "") -> str:
    """*text* with everything percent-encoded that may not stand in a URL, what is encoded kept."""
    try:
        return quote(_STRAY_PERCENT.sub("%25", text), safe=_PATH_SAFE + "%" + also_safe)
    except UnicodeEncodeError as error:
        raise LocalProtocolError("A lone surrogate is no part of a URL.") from error


def _plain_dots(segment: str) -> str:
    """*segment* with its dots not encoded: ``%2e%2e`` means ``..`` to browsers and proxies."""
    return segment.replace("%2e", ".").replace("%2E", ".")


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, for a path that starts with a slash."""
    kept: list[str] = []
    segment = ""
    for segment in map(_plain_dots, path.split("/")[1:]):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segment in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
