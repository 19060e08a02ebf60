"""Where a redirect may lead: to no server that the user has not named.

The user's headers, cookies and password are sent to the new address, too, so a redirect is followed
only within the origin. While an app is being discovered it may also lead from http to https of the
same host, on the same port or on 443: another port may be another party's.
"""

from __future__ import annotations

from typing import Final

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.url import DEFAULT_PORTS, URL

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_OF_A_POST: Final = frozenset({307, 308})  # the others would turn it into a GET


def redirected(
    method: str,
    url: URL,
    status: int,
    headers: Headers,
    *,
    discovering: bool,
    bare: bool = False,
) -> URL | None:
    """The new address of a request; None: the answer is not a redirect.

    *bare*: nothing of the user's is sent along, so it may lead to any server, but not from https to
    http.

    Raises:
        RemoteProtocolError: the redirect must not be followed.
    """
    location = header(headers, "location")
    if location is None or status not in _REDIRECTS:
        return None
    new = url.join(location)
    secured = discovering and is_secured(url, new)
    if method not in ("GET", "HEAD") and status not in _REDIRECTS_OF_A_POST:
        if not secured:
            return None
        # If all requests are redirected to https, a POST is, too.
        secured = new.target == url.target
    may_leave = bare and (new.scheme == "https" or url.scheme == "http")
    if secured or may_leave or new.origin == url.origin:
        return new
    where = f"{new.scheme}://{new.host_header}"
    raise RemoteProtocolError(f"redirected to {where}: connect to it directly if you trust it")


def is_secured(old: URL, new: URL) -> bool:
    """Whether *new* is the same host as *old*, by https in place of http."""
    ports = (old.port, DEFAULT_PORTS["https"])
    schemes = (old.scheme, new.scheme)
    return schemes == ("http", "https") and old.host == new.host and new.port in ports
