"""Finding out what app it is: login, ``/config``, and ``/info`` when it is needed.

Where there is no ``/config`` (apps mounted in old ways, proxies that pass the page only) the page
has the same in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import unescape
from typing import Final
from urllib.parse import unquote_plus, urlencode

import attrs

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.errors import AuthenticationError, GradioError, RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo, Parts, config_in_page
from sansio_gradio.protocol.failures import Login, is_page
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.headers import header
from sansio_gradio.wire.json import JSON
from sansio_gradio.wire.url import URL, api_base

_OK: Final = 200
_REFUSED: Final = frozenset({400, 403, 422})  # 422: an empty field
_UNAUTHORIZED: Final = 401
_NO_LOGIN: Final = frozenset({404, 405})
_FOUND: Final = 302
_NOT_FOUND: Final = 404
_RENDERS: Final = 100  # functions whose components are known at a time
_LONGEST: Final = 200  # of what the app says to a login
_FORM: Final = (("content-type", "application/x-www-form-urlencoded"),)


class Discovery:
    """Asks for what is not known yet, each thing once at a time."""

    def __init__(
        self,
        context: Context,
        *,
        auth: tuple[str, str] | None,
        on_app: Callable[[AppInfo], None],
        on_error: Callable[[GradioError], None],
    ) -> None:
        self.page = context.base
        """The address of the app, as it turned out to be."""
        self._context = context
        self._auth = auth
        self._on_app = on_app
        self._on_error = on_error
        self._app: AppInfo | None = None
        self._renders: dict[int | None, Parts] = {}  # of this session, by render_id
        self._running = False
        self._wants_info = False  # as soon as there is a config

    def start(self) -> None:
        """Ask for the config, after the login if there is one; if nobody does so already."""
        if self._running:
            return
        if self._auth is None:
            self._request_config()
        else:
            self._log_in(*self._auth)

    def request_info(self) -> None:
        """Ask for ``/info``; before the app is known this waits for the config."""
        if self._app is None:
            self._wants_info = True
            self.start()
            return
        if self._running:
            return
        request = HTTPRequest("GET", "info?serialize=False")
        base = api_base(self.page, self._app.api_prefix)
        self._ask(request, "info", self._got_info, base=base)

    def know(self, app: AppInfo) -> None:
        """The app is known, from its config or from elsewhere."""
        self._on_app(app)
        self._app = app

    def rendered(self, render: dict[str, JSON]) -> None:
        """A function has made components and endpoints (in place of those it made before)."""
        try:
            parts = self._context.app.read_render(render)
        except RemoteProtocolError as error:
            self._context.anomaly(f"a render that cannot be read: {error.message}")
            return
        place = said(render, "render_id", int)
        self._renders.pop(place, None)
        self._renders[place] = parts
        if len(self._renders) > _RENDERS:
            del self._renders[next(iter(self._renders))]
        self._tell()

    def forget_renders(self) -> None:
        """What was rendered is gone with its session."""
        if self._renders:
            self._renders = {}
            self._tell()

    def _tell(self) -> None:
        app = self._app
        assert app is not None
        self._on_app(app.with_renders(self._renders.values()) if self._renders else app)

    def _ask(
        self,
        request: HTTPRequest,
        phase: str,
        then: Callable[[Answer], None],
        base: URL | None = None,
    ) -> None:
        self._running = True

        def answered(answer: Answer) -> None:
            self._running = False
            try:
                then(answer)
            except GradioError as error:
                self._failed(error.located(phase=phase, url=answer.url.public))

        self._context.exchanges.ask(
            base or self.page,
            request,
            phase=phase,
            deadline="request",
            then=answered,
            failed=self._failed,
            discovering=True,
        )

    def _failed(self, error: GradioError) -> None:
        self._running = self._wants_info = False
        self._on_error(error)

    def _log_in(self, user: str, password: str) -> None:
        form = urlencode({"username": user, "password": password}).encode()
        self._ask(HTTPRequest("POST", "login", _FORM, form), "login", self._logged_in)

    def _logged_in(self, answer: Answer) -> None:
        # 302 up to 3.16; later 200, and 400 for a wrong password (gradio routes.py: login).
        exchanges, status = self._context.exchanges, answer.status
        if status in _NO_LOGIN:
            raise AuthenticationError(
                "This app has no login: leave out auth=, or correct the address.", status=status
            )
        by_a_proxy = header(answer.headers, "www-authenticate") or is_page(answer.body)
        if status in _REFUSED or (status == _UNAUTHORIZED and not by_a_proxy):
            raise AuthenticationError(
                f"The app refused the login of auth={self._words_of(answer)}", status=status
            )
        # An app without a login of Gradio's own answers 302, too, but sets no cookie.
        took = header(answer.headers, "set-cookie") is not None
        exchanges.login = Login.TAKEN if took else Login.NO_USE
        if answer.status not in (_OK, _FOUND):
            raise answer.refusal()
        # Where a redirect to https has led holds for all that follows, as it does for the config.
        self.page = attrs.evolve(self.page, scheme=answer.url.scheme, port=answer.url.port)
        self._request_config()

    def _request_config(self) -> None:
        self._ask(HTTPRequest("GET", "config"), "config", self._got_config)

    def _got_config(self, answer: Answer) -> None:
        # If there is a config, a redirect to it holds for all that follows.
        page = _page_of(answer.url)
        if self._auth is not None and page.origin != self.page.origin:
            # A redirect to https, to which cookies of the login over http do not go.
            self.page = page
            self._log_in(*self._auth)
            return
        is_missing = answer.status == _NOT_FOUND or is_page(answer.body)
        if answer.status in (_OK, _NOT_FOUND) and is_missing:
            then = partial(self._got_page, answer, page)
            self._ask(HTTPRequest("GET", ""), "config", then, base=page)
        else:
            self._know_config(answer, page)

    def _got_page(self, instead_of: Answer, page: URL, answer: Answer) -> None:
        if answer.status == _UNAUTHORIZED:
            raise answer.refusal()
        config = config_in_page(answer.body) if answer.status == _OK else None
        if config is None:
            self._know_config(instead_of, page)
        else:
            self._know_config(attrs.evolve(answer, body=config), _page_of(answer.url))

    def _know_config(self, answer: Answer, page: URL) -> None:
        config = self._json(answer)
        if said(config, "auth_required", bool):
            raise answer.refusal()
        app = AppInfo.from_config(config)
        self.page = page
        self.know(app)
        if self._wants_info:
            self.request_info()

    def _got_info(self, answer: Answer) -> None:
        assert self._app is not None
        if answer.status == _NOT_FOUND:
            # Servers before 3.26 have no such page; the config has to do.
            info: JSON = {"named_endpoints": {}, "unnamed_endpoints": {}}
        else:
            info = self._json(answer)
        self._app = self._app.with_info(info)
        self._tell()

    def _words_of(self, answer: Answer) -> str:
        """What the app says to a login that it refuses, unless that repeats the password."""
        assert self._auth is not None
        password = self._auth[1]
        told = answer.json
        text = answer.body.decode("utf-8", "replace") if told is None else said(told, "detail", str)
        forms = (text or "", unquote_plus(text or ""), unescape(text or ""))
        if not text or (password and any(password in form for form in forms)):
            return "."
        return f": {plain(text, _LONGEST)}"

    def _json(self, answer: Answer) -> JSON:
        if answer.status != _OK:
            raise answer.refusal()
        try:
            return answer.read()
        except RemoteProtocolError as error:
            what = f"this is not a Gradio app, or not its address: {error.message}"
            where = answer.url.public
            raise RemoteProtocolError(what, url=where, status=answer.status) from error


def _page_of(config: URL) -> URL:
    """The page of the app whose config, or whose page itself, lies at *config*.

    Proxies put a slash behind it, or write it in another case.
    """
    path = config.path.rstrip("/")
    head, _, last = path.rpartition("/")
    return attrs.evolve(config, target=f"{head if last.casefold() == 'config' else path}/")
