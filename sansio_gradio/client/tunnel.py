"""The way through an HTTP proxy to a host: one CONNECT and its answer (RFC 9110 section 9.3.6).

The proxy gets its own credentials and the name of the host, and nothing that is for the app. What
comes behind the answer belongs to the host.
"""

from __future__ import annotations

from typing import Final

from sansio_gradio.client.via import Proxy
from sansio_gradio.errors import ConnectFailed, GradioError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.failures import excerpt, proxy_wants_login
from sansio_gradio.wire.http import (
    BodyReceived,
    HTTPConnection,
    ResponseStarted,
    Role,
)
from sansio_gradio.wire.url import URL

_WANTS_LOGIN: Final = (407, 401)  # 401: a wrong password (tinyproxy 1.11)
_MOST: Final = 4 * 1024  # bytes of a refusal, of which an error shows the first words


class Tunnel:
    """A CONNECT through *proxy* to the host of *url*.

    Its errors are about the proxy, which their text leaves out.
    """

    def __init__(self, proxy: Proxy, url: URL, limits: Limits) -> None:
        host = f"[{url.host}]" if ":" in url.host else url.host
        self._proxy = proxy
        self._target = f"{host}:{url.port}"
        self._wire = HTTPConnection(Role.CLIENT, max_header_size=limits.header)
        self._refusal: ResponseStarted | None = None
        self._said = b""  # with a refusal

    def request(self) -> bytes:
        """The bytes that ask the proxy for the connection."""
        headers = (("host", self._target), *self._proxy.authorization)
        return self._wire.send_request("CONNECT", self._target, headers)

    def receive(self, data: bytes) -> bool:
        """Take what the proxy says; returns whether the connection is there. Empty *data*: the
        proxy's end.

        Raises:
            ConnectFailed, AuthenticationError: the proxy refuses it.
            RemoteProtocolError: this is no answer of a proxy.
        """
        if not data and self._refusal is None:
            what = f"it ended the connection before it was connected to {self._target}"
            raise ConnectFailed(what, phase="connect")
        try:
            for event in self._wire.receive_data(data) if data else self._wire.receive_eof():
                if isinstance(event, ResponseStarted):
                    if 200 <= event.status < 300:
                        return self._opened()
                    self._refusal = event
                elif isinstance(event, BodyReceived):
                    self._said += event.data
                    if len(self._said) > _MOST:
                        raise self._refused()
                else:
                    raise self._refused()
        except RemoteProtocolError as error:
            if self._refusal is not None:
                raise self._refused() from None  # and the end of its text is missing
            what = f"this is no answer of a proxy: {error.message}"
            raise RemoteProtocolError(what, phase="connect") from error
        return False

    def _opened(self) -> bool:
        if self._wire.unread:
            what = f"it sent bytes of {self._target} before any were asked for"
            raise RemoteProtocolError(what, phase="connect")
        return True

    def _refused(self) -> GradioError:
        assert self._refusal is not None
        status, headers = self._refusal.status, self._refusal.headers
        error: GradioError
        if status in _WANTS_LOGIN:
            given = self._proxy.login is not None
            error = proxy_wants_login(headers, status=status, given=given)
        else:
            what = (
                f"asked to connect to {self._target}, it answered {status}: {excerpt(self._said)}"
            )
            error = ConnectFailed(what)
        return error.located(phase="connect", status=status)
