"""Cookies, as much of RFC 6265bis as a client of one app needs.

Rule 1: a cookie goes back to the origin that it came from, and to no other. This is stricter than
the standard. Domain does not share a cookie between hosts, and http and https have cookies of their
own.

Rule 2: a server's cookie that cannot be kept is dropped silently. Only a cookie that the user gives
can raise an error.

Rule 3: a Secure cookie that comes over http is dropped. Over http Gradio's login leaves the twin
named ``access-token-unsecure-…``, which servers accept just as well.

Times are POSIX seconds. With monotonic seconds no cookie expires by its date, except one that the
server deletes (by a date of 1970).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.wire.headers import SENDABLE, TOKEN, date
from sansio_gradio.wire.url import URL, Origin

MAX_COOKIES = 100  # in a jar, the oldest go first. Precedent: 50 a host in RFC 6265 section 6.1
MAX_COOKIE = 4096  # bytes of name and value together, as in RFC 6265bis section 5.6
MAX_ATTRIBUTE = 1024  # bytes of one attribute, as there

_OWN_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")
_MAX_AGE = re.compile(r"-?[0-9]+")


class Cookie(NamedTuple):
    """A cookie in a jar. ``expires``: POSIX seconds, or infinity."""

    value: str
    expires: float
    is_set: bool
    """A server has set it; if not, it is the user's own."""


def demand_cookie(name: str, value: str) -> None:
    """Check a cookie of the user's own.

    Raises:
        LocalProtocolError: name or value cannot be sent. The message does not repeat them.
    """
    if not TOKEN.fullmatch(name) or not _OWN_VALUE.fullmatch(value):
        raise LocalProtocolError("This name or value cannot be that of a cookie.")


class CookieJar:
    """The cookies of one user: those that servers set, and those that the user gives."""

    def __init__(self) -> None:
        self.cookies: dict[tuple[Origin, str, str], Cookie] = {}
        """By origin, path and name. Oldest first; a cookie set again keeps its place (RFC 6265
        section 5.3, step 11)."""

    def set(self, url: URL, name: str, value: str) -> None:
        """Keep a cookie of the user's own, for all paths of the origin of *url*.

        Raises:
            LocalProtocolError: as ``demand_cookie``.
        """
        demand_cookie(name, value)
        self._keep(url, "/", name, Cookie(value, inf, is_set=False))

    def set_by(self, origin: Origin, now: float) -> dict[str, str]:
        """The cookies that the server at *origin* has set, by name.

        If two paths have a cookie of the same name: that of the longer path.
        """
        fitting = [  # from a copy: other threads may ask
            (len(path), name, cookie.value)
            for (home, path, name), cookie in tuple(self.cookies.items())
            if home == origin and cookie.is_set and cookie.expires > now
        ]
        return {name: value for _, name, value in sorted(fitting, key=lambda item: item[0])}

    def receive(self, url: URL, set_cookie_values: Iterable[str], now: float) -> None:
        """Keep what the Set-Cookie fields of an answer from *url* say (RFC 6265bis section 5.6)."""
        for text in filter(SENDABLE.fullmatch, set_cookie_values):
            (name, value), *attributes = map(_pair, text.split(";"))
            if not name or value is None or len(name) + len(value) > MAX_COOKIE:
                continue
            said = {
                key.lower(): content or ""
                for key, content in attributes
                if len(content or "") <= MAX_ATTRIBUTE
            }
            if "secure" in said and url.origin[0] != "https":
                continue
            path = said.get("path", "")
            if not path.startswith("/"):
                path = url.path[: url.path.rindex("/")] or "/"
            expires = _expiry(said, now)
            if expires <= now:
                self.cookies.pop((url.origin, path, name), None)
            else:
                self._keep(url, path, name, Cookie(value, expires, is_set=True))

    def header(
        self, url: URL, now: float, own: Sequence[str] = (), over: Sequence[str] = ()
    ) -> str | None:
        """The value of the Cookie field of a request to *url*; None: there is none to send.

        A request may have one such field (RFC 6265 section 5.4), so the cookies in the user's own
        header fields are merged into it: *own* are the fields of all requests, *over* those of this
        request. For the same name, *over* wins over the jar, and the jar wins over *own*.
        """
        fitting = [
            (path, (name, f"{name}={cookie.value}"))
            for (origin, path, name), cookie in self.cookies.items()
            if origin == url.origin and _is_below(path, url.path) and cookie.expires > now
        ]
        fitting.sort(key=lambda item: -len(item[0]))
        cookies = _written(over)
        for below in ([pair for _, pair in fitting], _written(own)):
            names = {name for name, _ in cookies}
            cookies = [*(pair for pair in below if pair[0] not in names), *cookies]
        return "; ".join(pair for _, pair in cookies) or None

    def _keep(self, url: URL, path: str, name: str, cookie: Cookie) -> None:
        self.cookies[url.origin, path, name] = cookie
        if len(self.cookies) > MAX_COOKIES:
            del self.cookies[next(iter(self.cookies))]


def _written(fields: Iterable[str]) -> list[tuple[str, str]]:
    """The cookies in *fields*: the name of each, and how it is written."""
    texts = [text.strip(" \t") for field in fields for text in field.split(";")]
    return [(_pair(text)[0], text) for text in texts if text]


def _pair(text: str) -> tuple[str, str | None]:
    """Name and value; None: there is no equals sign."""
    name, equals, value = text.partition("=")
    return name.strip(" \t"), value.strip(" \t") if equals else None


def _is_below(path: str, target: str) -> bool:
    return target == path or target.startswith(path if path.endswith("/") else f"{path}/")


def _expiry(said: dict[str, str], now: float) -> float:
    """When a cookie expires. Max-Age wins over Expires; without both the cookie never expires."""
    if _MAX_AGE.fullmatch(said.get("max-age", "")):
        age = float(said["max-age"])  # of any number of digits, unlike int()
        return -inf if age <= 0 else now + age
    expires = date(said.get("expires", ""))
    return inf if expires is None else expires
