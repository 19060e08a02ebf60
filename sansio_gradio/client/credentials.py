"""The credentials of a session, and where each of them goes.

Rule 1: a credential goes to the places in its row of ``GOES_TO``, and nowhere else. A redirect, a
``url`` in an answer, a ``root`` in a config: none of them adds a place.

Rule 2: every request gets its header fields here, each time it is sent, also after a redirect. So
no request can keep a credential on its way to another origin.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from html import escape
from json import dumps
from types import MappingProxyType
from typing import Final, cast
from urllib.parse import quote, quote_plus

import attrs

from sansio_gradio.errors import OptionError
from sansio_gradio.given import is_a, text
from sansio_gradio.wire.cookies import CookieJar, demand_cookie
from sansio_gradio.wire.headers import Fields, Headers, checked, overlaid, pairs
from sansio_gradio.wire.url import URL, Origin


class Recipient(enum.Enum):
    """What credentials are meant for. It is known by its origins."""

    APP = enum.auto()
    """The address that the user gave, or the address of the Space that the user named. If a
    redirect leads to https of the same host while the app is discovered: that origin, too."""
    HUB = enum.auto()
    """The Hugging Face Hub, if the user named a Space."""


class Credential(enum.Enum):
    """A secret that a user gives to a client. The value of a member is the name of its option."""

    HEADERS = "headers"
    CALL_HEADERS = "headers of a call"
    COOKIES = "cookies"
    """The user's cookies, and those that the app sets, such as the cookie of its login."""
    AUTH = "auth"
    TOKEN = "token"
    OAUTH_TOKEN = "oauth_token"
    QUERY = "query of the address"
    """It may hold the token of a gateway."""


GOES_TO: Final[Mapping[Credential, frozenset[Recipient]]] = MappingProxyType(
    {
        Credential.HEADERS: frozenset({Recipient.APP}),
        Credential.CALL_HEADERS: frozenset({Recipient.APP}),
        Credential.COOKIES: frozenset({Recipient.APP}),
        Credential.AUTH: frozenset({Recipient.APP}),
        Credential.TOKEN: frozenset({Recipient.APP, Recipient.HUB}),
        Credential.OAUTH_TOKEN: frozenset({Recipient.APP}),
        Credential.QUERY: frozenset({Recipient.APP}),
    }
)
"""The one table of places per credential."""

_OF_TOKEN: Final[Mapping[Recipient, str]] = {
    # The proxy of Spaces takes this field off, so the app's code does not see the token.
    Recipient.APP: "x-hf-authorization",
    Recipient.HUB: "authorization",
}
_OWN: Final[Headers] = (
    ("user-agent", "sansio-gradio"),
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
)
# Fields that the library itself adds to a request. Only at the app a request may have others.
_HARMLESS: Final = frozenset({"accept", "content-type", "range"})
_HIDDEN: Final = b"***"
_LEAST: Final = 4  # characters of a secret that is looked for
_REMEMBERED: Final = 16  # ways to merge the fields of requests


@attrs.frozen
class _Merged:
    """The fields of a request, without the cookies of the jar."""

    fields: Headers
    cookies: list[str]
    """Those that the request has of its own."""


@attrs.frozen
class _Fields:
    """The fields of all requests to one origin."""

    fields: Headers
    takes_call_headers: bool
    takes_cookies: bool
    merged: dict[Headers, _Merged] = attrs.field(factory=dict[Headers, _Merged])
    """By the fields of the request itself: most requests have the same as others."""

    def with_own(self, own: Headers) -> _Merged:
        """These, and a request's *own* fields, which win."""
        may_go = own
        if not self.takes_call_headers:
            may_go = tuple([field for field in own if field[0] in _HARMLESS])
        if len(self.merged) == _REMEMBERED:
            self.merged.clear()
        found = _Merged(overlaid(self.fields, may_go), _cookies(may_go))
        self.merged[own] = found
        return found


class Credentials:
    """The credentials of one session. For the options see ``Conversation``.

    Raises:
        LocalProtocolError: one of them cannot be sent. The message does not show it.
    """

    def __init__(
        self,
        *,
        headers: Fields = (),
        cookies: Fields = (),
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        oauth_token: str | None = None,
        query: str = "",
    ) -> None:
        self.auth = _login(auth)
        self.jar = CookieJar()
        self._token = token_of(token, "token")
        self._oauth_token = token_of(oauth_token, "oauth_token")
        self._query = query
        self._headers = checked(headers)
        self._own_cookies = pairs(cookies, "cookies")
        for name, value in self._own_cookies:
            demand_cookie(name, value)
        self._in_headers = _cookies(self._headers)
        self._origins: dict[Recipient, set[Origin]] = {place: set() for place in Recipient}
        self._known: dict[Origin, _Fields] = {}

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def set_token(self, token: str | None) -> None:
        """Send another token from now on; None: none.

        Raises:
            LocalProtocolError: it cannot be sent.
        """
        self._token = token_of(token, "token")
        self._known.clear()

    def set_oauth_token(self, token: str | None) -> None:
        """As ``set_token``, for the token that apps may use."""
        self._oauth_token = token_of(token, "oauth_token")

    def add(self, place: Recipient, url: URL) -> None:
        """The origin of *url* is *place*."""
        if url.origin in self._origins[place]:
            return
        self._origins[place].add(url.origin)
        self._known.clear()
        if place in GOES_TO[Credential.COOKIES]:
            for name, value in self._own_cookies:
                self.jar.set(url, name, value)

    def follow(self, old: URL, new: URL) -> None:
        """A redirect of the place at *old* leads to *new*, as ``redirected`` allows."""
        for place, origins in self._origins.items():
            if old.origin in origins:
                self.add(place, new)

    def may_go(self, credential: Credential, url: URL) -> bool:
        """Whether *credential* may go to the origin of *url*."""
        return any(url.origin in self._origins[place] for place in GOES_TO[credential])

    def oauth_token_for(self, url: URL) -> str | None:
        """The token for the code of the app at *url*; None: there is none for it."""
        token = self._oauth_token
        return token if token and self.may_go(Credential.OAUTH_TOKEN, url) else None

    def query_for(self, url: URL) -> str:
        """The query that every request to *url* has; empty: none."""
        return self._query if self._query and self.may_go(Credential.QUERY, url) else ""

    def fields(self, url: URL, own: Headers, now: float) -> Headers:
        """All header fields of a request to *url*, whose *own* fields win over those of the client.

        *now*: POSIX seconds.
        """
        origin = url.origin
        known = self._known.get(origin)
        if known is None:
            known = self._known[origin] = self._fields_for(url)
        merged = known.merged.get(own) or known.with_own(own)
        if not known.takes_cookies or not (self.jar.cookies or self._in_headers or merged.cookies):
            return merged.fields
        cookie = self.jar.header(url, now, self._in_headers, merged.cookies)
        if cookie is None:
            return merged.fields
        return overlaid(merged.fields, (("cookie", cookie),))

    def receive_cookies(self, url: URL, set_cookie_values: list[str], now: float) -> None:
        """Keep the cookies in an answer from *url*, if it is the app's."""
        if self.may_go(Credential.COOKIES, url):
            self.jar.receive(url, set_cookie_values, now)

    def hidden_in(self, refusal: bytes) -> bytes:
        """What a server says of a request, which an error may show: without the tokens and the
        password, if it repeats them."""
        _, password = self.auth or ("", "")
        for secret in (self._token, self._oauth_token, password):
            for form in _forms(secret or ""):
                refusal = refusal.replace(form, _HIDDEN)
        return refusal

    def _fields_for(self, url: URL) -> _Fields:
        fields = _OWN
        if self._token is not None:
            for place in GOES_TO[Credential.TOKEN]:
                if url.origin in self._origins[place]:
                    fields = (*fields, (_OF_TOKEN[place], f"Bearer {self._token}"))
        if self.may_go(Credential.HEADERS, url):
            fields = overlaid(fields, self._headers)
        return _Fields(
            fields,
            takes_call_headers=self.may_go(Credential.CALL_HEADERS, url),
            takes_cookies=self.may_go(Credential.COOKIES, url),
        )


def token_of(token: object, name: str) -> str | None:
    """Check a token: a text, without spaces around it. None and an empty text: there is none.

    Raises:
        OptionError: it is something else, or cannot be sent. The message does not show it.
    """
    if token is None:
        return None
    if not is_a(token, str):
        raise OptionError(f"{name} is a text, or None.")  # what it is may be a secret
    found = str.__str__(cast("str", token)).strip()
    if not all("!" <= character <= "~" for character in found):
        raise OptionError(f"{name} has a character that no token has, such as a space.")
    return found or None


def _forms(secret: str) -> list[bytes]:
    """How *secret* may be written: as it is, in JSON, in HTML, in a query. The longest first.

    What is shorter than ``_LEAST`` is in too many words to be found in them.
    """
    if len(secret) < _LEAST:
        return []
    forms = {secret, escape(secret), quote(secret), quote_plus(secret)}
    forms |= {dumps(secret)[1:-1], dumps(secret, ensure_ascii=False)[1:-1]}
    return sorted((form.encode() for form in forms), key=len, reverse=True)


def _cookies(headers: Headers) -> list[str]:
    return [value for name, value in headers if name == "cookie"]


def _login(auth: tuple[str, str] | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    if not is_a(auth, tuple, list) or len(auth) != 2:
        raise OptionError("auth is (user, password), and not something else.")  # it is a secret
    user, password = auth
    return text(user, "auth: the user"), text(password, "auth: the password")
