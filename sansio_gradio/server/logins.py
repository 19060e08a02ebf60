"""Logins: who may use an app, and by which cookies the server knows its users again.

Rule 1: what a login answers, and which cookies it sets, changed from release to release. That is
data here (gradio routes.py: login, logout, login_check, get_token; the releases from recordings).

Rule 2: a token that nobody has got opens nothing. Servers up to 3.16 opened WebSockets for any
token; this one does not.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, TypeVar

from sansio_gradio.server.app import App
from sansio_gradio.server.events import SendResponse
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import AppRaised, Refusal, Request, read_form
from sansio_gradio.server.versions import Manner, covers
from sansio_gradio.wire.headers import Headers

__all__ = ["Logins"]

T = TypeVar("T")

_COOKIES: Final = (
    ("access-token", "<3.18", "HttpOnly; Path=/; SameSite=lax"),
    ("access-token", ">=3.18", "HttpOnly; Path=/; SameSite=none; Secure"),
    ("access-token-unsecure", ">=3.20", "HttpOnly; Path=/; SameSite=lax"),
)
"""Each cookie of a login: its name, the releases that set it, and its attributes."""
_DELETED: Final = '""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=lax'


class Logins:
    """The logins of one server. Without ``auth`` and ``auth_dependency`` everybody may come in."""

    def __init__(self, app: App, *, entropy: Callable[[int], bytes], limits: ServerLimits) -> None:
        self._app = app
        self._entropy = entropy
        self._limit = limits.logins
        self._users: dict[str, str] = {}  # by token, the oldest first

    @cached_property
    def _cookies(self) -> list[tuple[str, str]]:
        """Name and attributes of each cookie. Two apps at one host must not share them."""
        suffix = f"-{self._random(32)}" if self._app.does(Manner.COOKIES_NAME_SERVER) else ""
        return [
            (f"{name}{suffix}", attributes)
            for name, releases, attributes in _COOKIES
            if covers(releases, self._app.version)
        ]

    def user(self, request: Request) -> str | None:
        """The user whose request this is; None: not known."""
        if self._app.auth_dependency is not None:
            return _of_app(self._app.auth_dependency, dict(request.headers))
        if self._app.auth is None:
            return None
        return self._users.get(self._token(request, *self._cookies) or "")

    def why_not(self, request: Request) -> Refusal | None:
        """The answer to a request that needs a login and has none; None: it may pass."""
        is_open = self._app.auth is None and self._app.auth_dependency is None
        if is_open or request.user is not None:
            return None
        if request.is_websocket:
            return Refusal(403, "", "text/plain")
        detail: Any = "Not authenticated"
        if self._app.does(Manner.EXPLAINS_LOGIN):
            detail = {"error": detail, "auth_message": self._app.auth_message}
        return Refusal(401, {"detail": detail})

    def login(self, request: Request) -> SendResponse:
        """Answer ``POST /login``."""
        form = read_form(request, "username", "password")
        if self._app.auth is None:
            return self._to_page(request)
        name = form["username"]
        if self._app.does(Manner.STRIPS_USER):
            name = name.strip()
        if not self._is_right(name, form["password"]):
            raise Refusal(400, {"detail": "Incorrect credentials."})
        token = self._random(16)
        self._users[token] = name
        if len(self._users) > self._limit:
            del self._users[next(iter(self._users))]
        cookies = tuple(
            ("set-cookie", f"{cookie}={token}; {attributes}")
            for cookie, attributes in self._cookies
        )
        if self._app.does(Manner.LOGIN_REDIRECTS):
            return self._to_page(request, cookies)
        return SendResponse(request.exchange, 200, {"success": True}, headers=cookies)

    def logout(self, request: Request) -> SendResponse:
        """Answer ``GET /logout``: all logins of that user end, or the one of this browser only."""
        wanted = (request.query.get("all_session") or [""])[-1].lower()
        if self._app.does(Manner.ENDS_ONE_SESSION) and wanted in ("false", "0", "no", "off", "f"):
            self._users.pop(self._token(request, self._cookies[0]) or "", None)
        else:
            self._users = {t: user for t, user in self._users.items() if user != request.user}
        cookies: Headers = ()
        if self._app.does(Manner.LOGOUT_DELETES):
            cookies = tuple(("set-cookie", f"{name}={_DELETED}") for name, _ in self._cookies)
        return self._to_page(request, cookies)

    def token(self, request: Request) -> SendResponse:
        """Answer ``GET /token``, which looks at the first cookie only."""
        token = self._token(request, self._cookies[0])
        said = {"token": token, "user": self._users.get(token or "")}
        return SendResponse(request.exchange, 200, said)

    def _is_right(self, name: str, password: str) -> bool:
        auth = self._app.auth
        if callable(auth):
            return bool(_of_app(auth, name, password))
        assert auth is not None
        return name in auth and hmac.compare_digest(auth[name].encode(), password.encode())

    def _token(self, request: Request, *cookies: tuple[str, str]) -> str | None:
        return next((request.cookies[n] for n, _ in cookies if request.cookies.get(n)), None)

    def _to_page(self, request: Request, headers: Headers = ()) -> SendResponse:
        page = request.root if self._app.does(Manner.REDIRECTS_TO_ROOT) else "/"
        return SendResponse(request.exchange, 302, "", None, (("location", page), *headers))

    def _random(self, count: int) -> str:
        return urlsafe_b64encode(self._entropy(count)).decode().rstrip("=")


def _of_app(function: Callable[..., T], *args: Any) -> T:
    """Call a function of the app.

    Raises:
        AppRaised: it has raised.
    """
    try:
        return function(*args)
    except Exception as error:  # the app's own code; the answer is a 500
        raise AppRaised(error) from error
