"""Cookies, as much of RFC 6265bis as a client needs that is no browser.

Rule 1: a cookie goes where it came from. To hosts beside it only if its Domain says so and names no
suffix under which strangers live; one that the user passed goes to one origin, ports included.

Rule 2: what does not fit is dropped without a word, since a cookie is never worth an error. Only
the user's own are complained about.

Rule 3: a Secure cookie neither comes nor goes without TLS. Over http Gradio's login leaves the twin
named ``access-token-unsecure-…``, which servers accept just as well.

SameSite and HttpOnly are a browser's affair. There is no clock: times are POSIX seconds. Whoever
does not know the time passes None, and nothing runs out but what a server deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from math import inf

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.wire.url import URL

MAX_COOKIES = 100  # in a jar, the oldest go first. Precedent: 50 a host in RFC 6265 section 6.1
MAX_COOKIE = 4096  # bytes of name and value together, as in RFC 6265bis section 5.6
MAX_ATTRIBUTE = 1024  # bytes of one attribute, as there

# What Gradio apps live under: the names below these belong to strangers.
_SHARED_SUFFIXES = frozenset({"hf.space", "static.hf.space", "gradio.live"})

# Characters that h11 lets into a header; what stands beyond Latin-1 could not be sent.
_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OWN_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")

# RFC 6265 section 5.1.1.
_DATE_DELIMITERS = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?")
_DAY = re.compile(r"([0-9]{1,2})(?:[^0-9].*)?")
_YEAR = re.compile(r"([0-9]{2,4})(?:[^0-9].*)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MAX_AGE = re.compile(r"-?[0-9]+")


@attrs.frozen(kw_only=True)
class _Cookie:
    name: str
    value: str
    domain: str
    path: str
    host_only: bool
    secure: bool = False
    expires: float = inf
    origin: tuple[str, str, int] | None = None  # the one it is bound to, if the user passed it

    def goes_to(self, url: URL, now: float) -> bool:
        if self.expires <= now or (self.secure and not url.is_secure):
            return False
        if self.origin not in (None, url.origin):
            return False
        if self.host_only and url.host != self.domain:
            return False
        return _domain_matches(url.host, self.domain) and _path_matches(url.path, self.path)


class CookieJar:
    """The cookies of one user: what servers set, and what is sent back to them."""

    def __init__(self) -> None:
        # Oldest first; a cookie set again keeps its place (RFC 6265 section 5.3, step 11).
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}

    def set(self, url: URL, name: str, value: str) -> None:
        """Keep a cookie of the user's own, for the origin of *url* alone and all its paths.

        Raises:
            LocalProtocolError: name or value cannot be sent. The message does not repeat them.
        """
        if not _NAME.fullmatch(name) or not _OWN_VALUE.fullmatch(value):
            raise LocalProtocolError("This name or value cannot be that of a cookie.")
        self._keep(
            _Cookie(
                name=name,
                value=value,
                domain=url.host,
                path="/",
                host_only=True,
                origin=url.origin,
            )
        )

    def receive(self, url: URL, set_cookie_values: Iterable[str], now: float | None) -> None:
        """Keep what the Set-Cookie fields of an answer from *url* say."""
        for text in set_cookie_values:
            cookie = _parse(url, text, now)
            if cookie is None or self._would_shadow(url, cookie):
                continue
            if cookie.expires <= _known(now):
                self._cookies.pop((cookie.name, cookie.domain, cookie.path), None)
            else:
                self._keep(cookie)

    def header(self, url: URL, now: float | None) -> str | None:
        """The value of the Cookie field of a request to *url*; None: there is none to send."""
        fitting = [c for c in self._cookies.values() if c.goes_to(url, _known(now))]
        fitting.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting) or None

    def _keep(self, cookie: _Cookie) -> None:
        self._cookies[cookie.name, cookie.domain, cookie.path] = cookie
        if len(self._cookies) > MAX_COOKIES:
            del self._cookies[next(iter(self._cookies))]

    def _would_shadow(self, url: URL, cookie: _Cookie) -> bool:
        """Whether *cookie*, come without TLS, would stand in for a Secure one (6265bis, 5.7)."""
        return not url.is_secure and any(
            kept.secure and kept.name == cookie.name and _domain_matches(url.host, kept.domain)
            for kept in self._cookies.values()
        )


def _parse(url: URL, text: str, now: float | None) -> _Cookie | None:
    """RFC 6265bis sections 5.6 and 5.7; None: not a cookie that *url* may set."""
    if not _SENDABLE.fullmatch(text):
        return None
    pair, *attributes = text.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    if not equals or not name or len(name) + len(value) > MAX_COOKIE:
        return None
    said: dict[str, str] = {}
    for attribute in attributes:
        key, _, content = (part.strip(" \t") for part in attribute.partition("="))
        if len(content) <= MAX_ATTRIBUTE:
            said[key.lower()] = content

    domain = said.get("domain", "").removeprefix(".").lower()
    host_only = not domain or "." not in domain or domain in _SHARED_SUFFIXES
    if domain and not (domain == url.host if host_only else _domain_matches(url.host, domain)):
        return None
    path = said.get("path", "")
    if not path.startswith("/"):
        path = url.path[: url.path.rindex("/")] or "/"
    secure = "secure" in said
    if secure and not url.is_secure:
        return None
    prefix = name.lower()
    if prefix.startswith(("__secure-", "__host-")) and not secure:
        return None
    if prefix.startswith("__host-") and (domain or said.get("path") != "/"):
        return None
    return _Cookie(
        name=name,
        value=value,
        domain=domain or url.host,
        path=path,
        host_only=host_only,
        secure=secure,
        expires=_expiry(said, now),
    )


def _known(now: float | None) -> float:
    """A time to compare with: servers delete a cookie by a date of 1970, which is always over."""
    return 0.0 if now is None else now


def _expiry(said: dict[str, str], now: float | None) -> float:
    """When a cookie runs out; Max-Age goes before Expires, and neither means never."""
    if _MAX_AGE.fullmatch(said.get("max-age", "")):
        age = float(said["max-age"])  # of any number of digits, unlike int()
        return -inf if age <= 0 else inf if now is None else now + age
    return _date(said.get("expires", ""))


def _date(text: str) -> float:
    """RFC 6265 section 5.1.1: the date that *text* means, never if it means none."""
    time = day = month = year = None
    for token in _DATE_DELIMITERS.split(text):
        if time is None and (match := _TIME.fullmatch(token)):
            time = (int(match[1]), int(match[2]), int(match[3]))
        elif day is None and (match := _DAY.fullmatch(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.fullmatch(token)):
            year = int(match[1])
    if time is None or day is None or month is None or year is None:
        return inf
    if year < 100:
        year += 1900 if year >= 70 else 2000
    try:
        return datetime(year, month, day, *time, tzinfo=UTC).timestamp()
    except ValueError:
        return inf


def _domain_matches(host: str, domain: str) -> bool:
    is_address = host.rpartition(".")[2].isdigit()  # of IPv4; one of IPv6 has no dots to match
    return host == domain or (host.endswith(f".{domain}") and not is_address)


def _path_matches(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")
