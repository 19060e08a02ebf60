"""Finding out what app it is: login, ``/config``, and ``/info`` when it is needed.

Where there is no ``/config`` (apps mounted in old ways, proxies that pass the page only) the page
has the same in it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from html import unescape
from typing import Final
from urllib.parse import unquote_plus, urlencode

import attrs

from sansio_gradio.client.context import Context
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.errors import AuthenticationError, GradioError, RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.app_info import AppInfo, Parts, config_in_page
from sansio_gradio.protocol.failures import Login, is_page
from sansio_gradio.protocol.features import Feature, has
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


class Missing(enum.Flag):
    """What could not be had."""

    APP = enum.auto()
    INFO = enum.auto()


class Discovery:
    """Asks for what is not known, each thing once at a time.

    ``on_app`` is told what is known of the app: at first, whenever more is known, and when it turns
    out to be another one. ``on_same``: there was a sign that it might be another one, and it is
    not. ``on_error``: the app could not be found, or only its ``/info`` could not be had.
    """

    def __init__(
        self,
        context: Context,
        *,
        auth: tuple[str, str] | None,
        on_app: Callable[[AppInfo], None],
        on_same: Callable[[], None],
        on_error: Callable[[GradioError, Missing], None],
    ) -> None:
        self.page = context.base
        """The address of the app, as it turned out to be."""
        self._context = context
        self._auth = auth
        self._on_app = on_app
        self._on_same = on_same
        self._on_error = on_error
        self._app: AppInfo | None = None  # without renders
        self._told: AppInfo | None = None  # with them
        self._renders: dict[int | None, Parts] = {}  # of this session, by render_id
        self._is_finding = False
        self._is_check = False  # of what is known
        self._wants_all = False  # whether or not it has changed
        self._wants_info = False  # as soon as there is a config
        self._asks_for_info = False

    @property
    def is_current(self) -> bool:
        """The app is known, and there is no sign that it is another one by now."""
        in_doubt = self._context.exchanges.is_app_in_doubt
        return not (self._told is None or in_doubt or self.is_finding)

    @property
    def is_finding(self) -> bool:
        """It is being asked what app it is, or will be."""
        return self._is_finding or self._wants_all

    def find(self) -> None:
        """Find out what app it is, or, where that is known, whether it still is that one.

        Nothing is asked for twice at once.
        """
        if self._is_finding:
            return
        self._context.exchanges.is_app_in_doubt = False
        self._is_check = not (self._app is None or self._wants_all)
        if self._app is None or self._wants_all:
            self._request_all()
        elif self._app.app_id is not None and has(self._app.version, Feature.APP_ID):
            base = api_base(self.page, self._app.api_prefix)
            self._ask(requests.app_id(), "config", self._got_app_id, base=base)
        else:
            self._ask(HTTPRequest("GET", "config"), "config", self._got_config_again)

    def find_anew(self) -> None:
        """Read everything again, as if nothing was known."""
        self._wants_all = self._app is not None
        self.find()

    def request_info(self) -> None:
        """Ask for ``/info``; before the app is known this waits for the config."""
        self._wants_info = True
        if not self.is_current:
            self.find()
        elif not self._asks_for_info:
            self._request_info()

    def know(self, app: AppInfo) -> None:
        """The app is known, from its config or from elsewhere."""
        self._context.exchanges.is_app_in_doubt = False  # this is newer than any sign
        before, self._app = self._app, app
        if before is not None and not app.is_same_run(before):
            self._renders = {}
        self._tell()
        if before is not None and before.has_info:
            self._wants_info = True
        self._settle()

    def rendered(self, render: dict[str, JSON]) -> None:
        """A function has made components and endpoints (in place of those it made before)."""
        assert self._told is not None
        try:
            parts = self._told.read_render(render)
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
        self._told = app.with_renders(self._renders.values()) if self._renders else app
        self._on_app(self._told)

    def _ask(
        self,
        request: HTTPRequest,
        phase: str,
        then: Callable[[Answer], None],
        base: URL | None = None,
    ) -> None:
        self._is_finding = True

        def answered(answer: Answer) -> None:
            self._is_finding = False
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
        self._is_finding = self._wants_all = False
        self._context.doubt_app()
        if self._asks_for_info:
            self._on_error(error, Missing.APP)
        else:
            self._wants_info = False
            self._on_error(error, Missing.APP | Missing.INFO)

    def _settle(self) -> None:
        """It is known what app it is; what else was asked for is next."""
        if self._wants_all:
            self.find()
        elif self._wants_info and not (self._asks_for_info or self._is_finding):
            self._request_info()

    # Whether it is still the same app.

    def _got_app_id(self, answer: Answer) -> None:
        assert self._app is not None
        if answer.status == _OK and said(answer.json, "app_id", int) == self._app.app_id:
            self._is_same()
        else:
            self._request_all()

    def _got_config_again(self, answer: Answer) -> None:
        if self._auth is not None and answer.status == _UNAUTHORIZED:
            self._request_all()  # it does not know the login any more
        else:
            self._got_config(answer)

    def _is_same(self) -> None:
        self._context.exchanges.is_app_in_doubt = False  # this is newer than any sign
        self._on_same()
        self._settle()

    # All of it.

    def _request_all(self) -> None:
        self._wants_all = False
        if self._auth is None:
            self._request_config()
        else:
            self._log_in(*self._auth)

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
        app, before = AppInfo.from_config(config), self._app
        self.page = page
        is_same = before is not None and app.is_same_run(before) and app.has_functions_of(before)
        if self._is_check and is_same:
            self._is_same()
        else:
            self.know(app)

    # Its ``/info``.

    def _request_info(self) -> None:
        app = self._app
        assert app is not None
        self._asks_for_info = True

        def answered(answer: Answer) -> None:
            try:
                info = self._info_in(answer)
                self._got_info(app, app.with_info(info))
            except GradioError as error:
                failed(error.located(phase="info", url=answer.url.public))

        def failed(error: GradioError) -> None:
            self._got_info(app, None)
            if not self._wants_info:
                self._on_error(error, Missing.INFO)

        self._context.exchanges.ask(
            api_base(self.page, app.api_prefix),
            HTTPRequest("GET", "info?serialize=False"),
            phase="info",
            deadline="request",
            then=answered,
            failed=failed,
            discovering=True,
        )

    def _got_info(self, asked: AppInfo, app: AppInfo | None) -> None:
        """What was *asked* about is now known as *app*; None: there is no more to be had."""
        self._asks_for_info = False
        if asked is not self._app:  # it has changed meanwhile
            self._settle()
            return
        self._wants_info = False
        if app is not None:
            self._app = app
            self._tell()

    def _info_in(self, answer: Answer) -> JSON:
        if answer.status == _NOT_FOUND:
            # Servers before 3.26 have no such page; the config has to do.
            return {"named_endpoints": {}, "unnamed_endpoints": {}}
        return self._json(answer)

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
