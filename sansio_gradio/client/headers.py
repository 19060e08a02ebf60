"""Header fields that the user gives: checked before they go anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, cast

from sansio_gradio.client.commands import Headers
from sansio_gradio.errors import LocalProtocolError

Fields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # section 5.5, and no line ends
# What the connection needs for itself. ``Content-Length`` of a user would smuggle a request.
_RESERVED: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding"}
)


def pairs(fields: Fields) -> list[tuple[str, str]]:
    """Name and value of each, from a mapping or from pairs."""
    if isinstance(fields, Mapping):
        return list(cast("Mapping[str, str]", fields).items())
    return list(fields)


def checked_headers(fields: Fields) -> Headers:
    """The fields, names in lower case.

    Raises:
        LocalProtocolError: one cannot be sent, or is not the user's to send.
    """
    checked: list[tuple[str, str]] = []
    for name, value in pairs(fields):
        if not _NAME.fullmatch(name):
            raise LocalProtocolError(f"not the name of a header field: {name!r}")
        if name.lower() in _RESERVED:
            raise LocalProtocolError(f"the header field {name!r} belongs to the connection")
        if not _VALUE.fullmatch(value):
            # The value is not shown: it may be a secret.
            raise LocalProtocolError(f"the value of the header field {name!r} cannot be sent")
        checked.append((name.lower(), value.strip()))
    return tuple(checked)


def overlaid(below: Headers, above: Headers) -> Headers:
    """Both, where a name of *above* replaces the same name of *below*."""
    names = {name for name, _ in above}
    return (*(pair for pair in below if pair[0] not in names), *above)
