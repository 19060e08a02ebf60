"""How a request reaches its origin, if not by a connection to its host: through a proxy, or through
a Unix socket."""

from __future__ import annotations

from base64 import b64encode
from typing import Final, TypeAlias
from urllib.parse import unquote

import attrs

from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.url import URL

_OTHER_KINDS: Final = {
    "https": "TLS to the proxy itself is not spoken here",
    "socks": "SOCKS is not spoken here",
}
_FORM: Final = "http://user:password@host:port"


@attrs.frozen
class Proxy:
    """An HTTP proxy.

    ``login``: (user, password), or None. ``source``: which option or variable names the proxy; for
    errors.
    """

    host: str
    port: int
    login: tuple[str, str] | None = attrs.field(default=None, repr=False)
    source: str = attrs.field(default="proxy=", eq=False)

    @classmethod
    def parse(cls, text: str, source: str = "proxy=") -> Proxy:
        """Read ``http://user:password@host:port``; only the host is needed. User and password may
        be percent-encoded.

        Raises:
            OptionError: *text* is something else, or a proxy of another kind. The message does not
                repeat *text*, since it may hold a password.
        """
        before, mark, behind = text.strip().partition("://")
        scheme, rest = (before.lower(), behind) if mark else ("", before)
        kind = next((kind for kind in _OTHER_KINDS if scheme.startswith(kind)), None)
        if kind is not None:
            is_variable = source != "proxy="
            none = "leave it empty, or pass trust_env=False" if is_variable else "None for no proxy"
            raise OptionError(
                f"{source} names a proxy of another kind ({kind}): {_OTHER_KINDS[kind]}."
                f" Give {_FORM}, or {none}."
            )
        login, at, authority = rest.rstrip("/").rpartition("@")
        user, _, password = login.partition(":")
        try:
            if scheme not in ("", "http") or set(authority) & set("/?#"):
                raise ValueError("of another form")
            url = URL.parse(f"http://{authority}")
            words = unquote(user, errors="strict"), unquote(password, errors="strict")
        except (ValueError, LocalProtocolError):
            raise OptionError(f"{source} is not the address of a proxy: give {_FORM}.") from None
        return cls(url.host, url.port, words if at and any(words) else None, source)

    @property
    def place(self) -> tuple[str, int]:
        """Where to connect to: host and port."""
        return self.host, self.port

    @property
    def authorization(self) -> Headers:
        """The header field for the proxy, and for nothing behind it."""
        if self.login is None:
            return ()
        words = b64encode(":".join(self.login).encode()).decode()
        return (("proxy-authorization", f"Basic {words}"),)

    def __str__(self) -> str:
        """The proxy as an error may show it: without the login."""
        where = URL(scheme="http", host=self.host, port=self.port).host_header
        return f"the proxy {where} ({self.source})"


@attrs.frozen
class UnixSocket:
    """The path of a Unix socket at which an app listens."""

    path: str

    @property
    def place(self) -> tuple[str, int]:
        """Where to connect to: the path, and 0."""
        return self.path, 0

    def __str__(self) -> str:
        return f"the socket {self.path}"


Via: TypeAlias = Proxy | UnixSocket
