"""Header fields: which are valid, and which a caller may add to a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.given import is_a, kind_of

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names (those received: in lower case) and values, in order, octets as latin-1."""

_WANTED: Final = "a dict of texts, or pairs of texts"

Fields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Fields or cookies, as a caller may give them."""

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
SENDABLE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # section 5.5, and no line ends
# What the connection needs for itself. ``Content-Length`` of a user would smuggle a request.
_RESERVED: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding"}
)


def pairs(fields: Fields, what: str = "headers") -> list[tuple[str, str]]:
    """Copy a mapping, or pairs, to a list of (name, value).

    Raises:
        LocalProtocolError: *fields* is something else, or a name or value is not a text.
    """
    given: Any = fields
    try:
        if not is_a(given, str, bytes, bytearray):
            pairs = given.items() if is_a(given, Mapping) else given
            return [_pair(pair, what) for pair in pairs]
    except LocalProtocolError:
        raise
    except Exception as error:  # the caller's own class, or what is no pair
        raise _refused(f"{what} is {_WANTED}", given) from error
    raise _refused(f"{what} is {_WANTED}", given)


def _pair(pair: Any, what: str) -> tuple[str, str]:
    if not is_a(pair, tuple, list) or len(pair) != 2:
        raise _refused(f"each of the {what} is a name and a value", pair)
    for part in pair:
        if not is_a(part, str):
            raise _refused(f"{what}: names and values are texts", part)
    name, value = pair
    return str.__str__(name), str.__str__(value)


def _refused(rule: str, value: object) -> OptionError:
    # The value is not shown: it may be a secret.
    return OptionError(f"{rule}, not {kind_of(value)}.")


def checked(fields: Fields) -> Headers:
    """Check header fields, and return them with names in lower case.

    Raises:
        LocalProtocolError: a field cannot be sent, or the library sets it itself.
    """
    headers: list[tuple[str, str]] = []
    for name, value in pairs(fields):
        if not TOKEN.fullmatch(name):
            # The name is not shown: it may be a whole field, with its value.
            raise LocalProtocolError("this is not the name of a header field, such as x-api-key")
        if name.lower() in _RESERVED:
            raise LocalProtocolError(f"the header field {name!r} belongs to the connection")
        if not SENDABLE.fullmatch(value):
            # The value is not shown: it may be a secret.
            raise LocalProtocolError(f"the value of the header field {name!r} cannot be sent")
        headers.append((name.lower(), value.strip(" \t")))
    return tuple(headers)


def overlaid(below: Headers, above: Headers) -> Headers:
    """Merge two lists of fields. A name in *above* replaces the same name in *below*."""
    names = dict(above)
    return (*[pair for pair in below if pair[0] not in names], *above)


def header(headers: Headers, name: str) -> str | None:
    """The first value of the header *name* (in lower case), or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def date(text: str) -> float | None:
    """Parse a date of a header field (RFC 9110 section 5.6.7) to POSIX seconds; None if it is not a
    date."""
    # Imported here: few programs read a date, and these two take a tenth of the time of all
    # imports.
    from datetime import UTC  # noqa: PLC0415
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # The form of asctime names no zone, and Python would take it for local time.
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
