"""A whole answer to an ordinary request."""

from __future__ import annotations

from typing import Final

import attrs

from sansio_gradio.client.via import Proxy
from sansio_gradio.errors import GradioError, RemoteProtocolError
from sansio_gradio.protocol.failures import (
    Login,
    is_page,
    login_wanted,
    missing,
    proxy_wants_login,
    refusal,
)
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.fields import said
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.json import JSON, Loads, loads
from sansio_gradio.wire.url import URL

_PROXY_WANTS_LOGIN: Final = 407


@attrs.frozen
class Answer:
    """A whole answer.

    ``url`` is its address, after redirects; ``phase`` is the phase of its request. Errors made of
    the answer have both, and the status. ``proxy``: the proxy that forwarded it, or has made it.
    """

    status: int
    headers: Headers
    body: bytes
    url: URL
    loads: Loads = loads
    wall_now: float | None = None  # POSIX seconds, when it was complete
    login: Login = Login.NOT_GIVEN  # with which it was asked
    phase: str | None = None
    proxy: Proxy | None = None
    has_token: bool = False  # the request had one

    def read(self) -> JSON:
        """The JSON in it.

        Raises:
            RemoteProtocolError: it is not JSON.
        """
        try:
            return self.loads(self.body)
        except RemoteProtocolError as error:
            raise self.locate(error) from None

    @property
    def json(self) -> JSON:
        """The JSON in it; None if it is not JSON."""
        try:
            return self.read()
        except RemoteProtocolError:
            return None

    def refusal(self, version: Version = ()) -> GradioError:
        """The error that this answer means. *version*: the server's release; (): not known.

        It says where the request went, and if a proxy was in between.
        """
        proxy = self.proxy
        if proxy is not None and self.status == _PROXY_WANTS_LOGIN:
            error = proxy_wants_login(self.headers, given=proxy.login is not None).about(f"{proxy}")
            return self.locate(error)
        error = refusal(
            self.status,
            self.headers,
            self.body,
            version,
            self.wall_now,
            loads=self.loads,
            login=self.login,
            has_token=self.has_token,
        )
        if proxy is not None and is_page(self.body):  # apps refuse in JSON
            error = error.about(f"{proxy}, or a server behind it")
        return self.locate(error)

    def login_wanted(self) -> GradioError:
        """The error for this answer, if it is known to want a login."""
        page = is_page(self.body)
        return self.locate(
            login_wanted(
                self.headers,
                self.json,
                in_html=page,
                login=self.login,
                has_token=self.has_token,
            )
        )

    def missing(self) -> GradioError:
        """The error for this answer in place of an app."""
        return self.locate(missing(self.body, has_token=self.has_token))

    def name_given(self, key: str = "event_id") -> tuple[JSON, str]:
        """The JSON of the answer to a join, and the name of the job in it.

        Raises:
            RemoteProtocolError: there is no such name.
        """
        whole = self.read()
        name = said(whole, key, str)
        if name is None:
            what = f"the server took the job without naming it (no {key})"
            raise self.locate(RemoteProtocolError(what))
        return whole, name

    def locate(self, error: GradioError) -> GradioError:
        """Add the place of this answer to *error*."""
        return error.located(phase=self.phase, url=self.url.public, status=self.status)
