"""Read what an app is: log in, read ``/config``, and ``/info`` when it is needed.

Without a ``/config`` (apps mounted in old ways, proxies that pass only the page) the config is read
from the page.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.credentials import Credentials
from sansio_gradio.client.renders import Renders
from sansio_gradio.client.space import Space
from sansio_gradio.client.steps import (
    Ask,
    Begin,
    Know,
    LiveAt,
    NoteLogin,
    NotKnown,
    Puzzle,
    Same,
    Step,
    Way,
)
from sansio_gradio.errors import AuthenticationError, GradioError, RemoteProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.app_info import AppInfo, config_in_page
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
_NOT_READY: Final = frozenset({502, 503, 504})  # says a proxy
_NO_LOGIN: Final = frozenset({404, 405})
_FOUND: Final = 302
_NOT_FOUND: Final = 404
_LONGEST: Final = 200  # characters of the app's answer to a login; an error shows no more
_FORM: Final = (("content-type", "application/x-www-form-urlencoded"),)


class Discovery:
    """Asks for everything that is not known, for each thing once at a time.

    It yields ``Know`` when the app is known, when more of it is known, and when it is another one.
    """

    def __init__(self, page: URL, credentials: Credentials, space: Space | None = None) -> None:
        """*page*: the address of the app, or of the page about *space* on the Hub."""
        self.is_in_doubt = False
        """Something suggests that the app was started anew after its config was read."""
        self.login_is_void = False
        """The app has forgotten the login, as after a restart: it is asked for again."""
        self._page = page
        self._auth = credentials.auth
        self._credentials = credentials
        self._space = space
        self._is_located = space is None
        self._given: AppInfo | None = None  # and not told yet
        self._app: AppInfo | None = None  # without renders
        self._told: AppInfo | None = None  # with them
        self._renders = Renders()  # of this session
        self._is_finding = False
        self._wants_all = False  # whether or not it has changed
        self._wants_info = False  # as soon as there is a config
        self._asks_for_info = False
        self._has_renewed = False  # the login, for ``/info``
        self._answer: Answer | None = None  # the last one

    @property
    def is_current(self) -> bool:
        """The app is known, and nothing suggests that it is another one by now."""
        is_known = self._told is not None and not self.is_in_doubt
        return is_known and not (self._is_finding or self._wants_all)

    @property
    def is_finding(self) -> bool:
        """The config of the app is being read, or will be."""
        return self._is_finding or self._wants_all

    def find(self) -> Way:
        """Find out what app it is. If it is known: whether it is still the same.

        Nothing is asked for twice at once.
        """
        if self._is_finding:
            return
        self.is_in_doubt = True  # whatever ends this before it is known
        self._is_finding = True
        try:
            app = yield from (self._look() if self._space is None else self._visit(self._space))
            self._is_finding = False
            self.is_in_doubt = False  # its answer is newer than any doubt
            if app is None:
                yield Same()
            else:
                yield from self._know(app)
        except GradioError as error:
            info = not self._asks_for_info
            self._wants_info = self._wants_info and not info
            if (answer := self._answer) is not None:
                error.located(phase=answer.phase, url=answer.url.public)
            self._is_finding = self._wants_all = False
            self.is_in_doubt = True
            yield NotKnown(error, app=True, info=info)
            return
        except Exception:  # of a function that was given: this one ends, too
            self._wants_all = False
            raise
        finally:
            self._is_finding = False
        yield from self._settle()

    def find_anew(self) -> Way:
        """Read everything again."""
        self._wants_all = self._app is not None
        yield from self.find()

    def ask_for_info(self) -> Way:
        """Ask for ``/info``; before the app is known this waits for the config."""
        self._wants_info = True
        if not self.is_current:
            yield from self.find()
        elif not self._asks_for_info:
            yield from self._find_info()

    def know(self, app: AppInfo) -> Way:
        """Take an app that the caller knows already."""
        if not self._is_located:
            self._given = app
            yield from self.find()
            return
        yield from self._know(app)
        yield from self._settle()

    def rendered(self, render: dict[str, JSON]) -> Way:
        """A function has rendered components and endpoints, in place of those it rendered
        before."""
        assert self._app is not None
        try:
            parts = self._app.read_render(render, self._renders)
        except RemoteProtocolError as error:
            yield Puzzle(f"a render that cannot be read: {error.message}")
            return
        self._renders.put(said(render, "render_id", int), parts)
        yield from self._tell()

    def forget_renders(self) -> Way:
        """Forget rendered components and endpoints: they are gone with their session."""
        if self._renders.parts:
            self._renders = Renders()
            yield from self._tell()

    def _know(self, app: AppInfo) -> Way:
        before, self._app = self._app, app
        if before is not None and not app.is_same_run(before):
            self._renders = Renders()
        yield from self._tell()
        if before is not None and before.has_info:
            self._wants_info = True

    def _tell(self) -> Way:
        app = self._app
        assert app is not None
        self._told = app.with_renders(parts) if (parts := self._renders.parts) else app
        yield Know(self._told, self._page)

    def _settle(self) -> Way:
        """After the app is known: go on with the other questions."""
        if self._wants_all:
            yield from self.find()
        elif self._wants_info and not (self._asks_for_info or self._is_finding):
            yield Begin(self._find_info())

    def _ask(
        self, request: HTTPRequest, phase: str, base: URL | None = None
    ) -> Generator[Step, Any, Answer]:
        self._answer = None
        base = base or self._page
        answer: Answer = yield Ask(base, request, phase, "request", discovering=True)
        self._answer = answer
        return answer

    def _visit(self, space: Space) -> Generator[Step, Any, AppInfo | None]:
        """As ``_look``, for a Space: its app may not run."""
        self._answer = None
        if not self._is_located:
            self._page = yield from space.locate(has_token=self._credentials.has_token)
            self._is_located = True
            yield LiveAt(self._page)
            yield from space.wait(self._page)
        given, self._given = self._given, None
        if given is not None:
            return given
        try:
            return (yield from self._look())
        except GradioError as error:
            answer = self._answer
            if not (yield from space.wait(self._page)):
                self._answer = answer
                raise error from error.__cause__
        return (yield from self._look())

    def _look(self) -> Generator[Step, Any, AppInfo | None]:
        """Find out what app it is; None: it is the same."""
        app = self._app
        if app is None or self._wants_all:
            self._wants_all = False
            return (yield from self._read_all(None))
        if self.login_is_void:
            return (yield from self._read_all(app))
        if app.app_id is not None and has(app.version, Feature.APP_ID):
            base = api_base(self._page, app.api_prefix)
            answer = yield from self._ask(requests.app_id(), "config", base)
            if answer.status == _OK and said(answer.json, "app_id", int) == app.app_id:
                return None
            return (yield from self._read_all(app))
        answer = yield from self._ask(HTTPRequest("GET", "config"), "config")
        if self._auth is not None and answer.status == _UNAUTHORIZED:
            return (yield from self._read_all(app))  # the login is forgotten there
        return (yield from self._read_config(answer, app))

    def _read_all(self, before: AppInfo | None) -> Generator[Step, Any, AppInfo | None]:
        """The app, after the login if there is one; None: it is still the one *before*."""
        if self._auth is not None:
            yield from self._log_in(*self._auth)
        answer = yield from self._ask(HTTPRequest("GET", "config"), "config")
        return (yield from self._read_config(answer, before))

    def _read_config(
        self, answer: Answer, before: AppInfo | None
    ) -> Generator[Step, Any, AppInfo | None]:
        # If there is a config, a redirect to it holds for all later requests.
        page = _page_of(answer.url)
        if self._auth is not None and page.origin != self._page.origin:
            # A redirect to https, to which cookies of the login over http do not go.
            self._page = page
            return (yield from self._read_all(before))
        is_missing = answer.status == _NOT_FOUND or is_page(answer.body)
        if answer.status in (_OK, _NOT_FOUND) and is_missing:
            shown = yield from self._ask(HTTPRequest("GET", ""), "config", page)
            if shown.status == _UNAUTHORIZED:
                raise shown.refusal()
            config = config_in_page(shown.body) if shown.status == _OK else None
            if config is not None:
                answer, page = attrs.evolve(shown, body=config), _page_of(shown.url)
        found = _json(answer)
        if said(found, "auth_required", bool):
            raise answer.refusal()
        app = AppInfo.from_config(found)
        self._page = page
        if before is not None and app.is_same_run(before) and app.has_functions_of(before):
            return None
        return app

    def _log_in(self, user: str, password: str) -> Way:
        self.login_is_void = False
        form = urlencode({"username": user, "password": password}).encode()
        answer = yield from self._ask(HTTPRequest("POST", "login", _FORM, form), "login")
        # 302 up to 3.16; later 200, and 400 for a wrong password (gradio routes.py: login).
        status = answer.status
        if status in _NO_LOGIN:
            what = (
                "There is no login here. Give the address of the app's page as the browser shows"
                " it; or, if the app has no login, leave out auth=."
            )
            if is_page(answer.body) and not answer.has_token:
                what += " If it is a private Space, pass token=, too."
            raise answer.locate(AuthenticationError(what))
        if status in _NOT_READY:
            what = f"the login was answered {status}: the app is not ready, try again later"
            raise answer.locate(RemoteProtocolError(what))
        by_a_proxy = header(answer.headers, "www-authenticate") or is_page(answer.body)
        if status in _REFUSED or (status == _UNAUTHORIZED and not by_a_proxy):
            what = f"The app refused the login of auth={_words_of(answer)}"
            raise answer.locate(AuthenticationError(what))
        # An app without a login of Gradio's own answers 302, too, but sets no cookie.
        took = header(answer.headers, "set-cookie") is not None
        yield NoteLogin(Login.TAKEN if took else Login.NO_USE)
        if status not in (_OK, _FOUND):
            raise answer.refusal()
        # A redirect to https holds for all later requests, as after the config.
        self._page = attrs.evolve(self._page, scheme=answer.url.scheme, port=answer.url.port)

    # Its ``/info``.

    def _find_info(self) -> Way:
        app = self._app
        assert app is not None
        self._asks_for_info = True
        request = HTTPRequest("GET", "info?serialize=False")
        base = api_base(self._page, app.api_prefix)
        found, failed = None, None
        try:
            answer: Answer = yield Ask(base, request, "info", "request", discovering=True)
            if answer.status == _UNAUTHORIZED and self._auth and not self._has_renewed:
                self.login_is_void = self.is_in_doubt = self._has_renewed = True
            else:
                found = _with_info(app, answer)
        except GradioError as error:
            failed = error
        finally:
            self._asks_for_info = False
        if app is not self._app:  # it has changed meanwhile
            yield from self._settle()
            return
        if found is None and failed is None:
            yield from self.find()  # and for this again
            return
        self._has_renewed = False
        self._wants_info = False
        if found is not None:
            self._app = found
            yield from self._tell()
        else:
            assert failed is not None
            yield NotKnown(failed, app=False, info=True)


def _with_info(app: AppInfo, answer: Answer) -> AppInfo:
    # Servers before 3.26 have no such page; the config has to do.
    nothing: JSON = {"named_endpoints": {}, "unnamed_endpoints": {}}
    try:
        return app.with_info(nothing if answer.status == _NOT_FOUND else _json(answer))
    except GradioError as error:
        raise error.located(phase=answer.phase, url=answer.url.public) from error.__cause__


def _words_of(answer: Answer) -> str:
    """The app's words about a refused login."""
    told = answer.json
    text = answer.body.decode("utf-8", "replace") if told is None else said(told, "detail", str)
    return f": {plain(text, _LONGEST)}" if text else "."


def _json(answer: Answer) -> JSON:
    if answer.status == _NOT_FOUND:
        raise answer.missing()
    if answer.status != _OK:
        raise answer.refusal()
    try:
        return answer.read()
    except RemoteProtocolError as error:
        what = f"this is not a Gradio app, or not its address: {error.message}"
        raise answer.locate(RemoteProtocolError(what)) from error


def _page_of(config: URL) -> URL:
    """The page of an app, from the address of its config or of the page itself.

    Proxies put a slash behind it, or write it in another case.
    """
    path = config.path.rstrip("/")
    head, _, last = path.rpartition("/")
    return attrs.evolve(config, target=f"{head if last.casefold() == 'config' else path}/")
