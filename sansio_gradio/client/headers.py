"""Header fields that the user gives, in the forms in which they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

from sansio_gradio.wire.headers import Headers, checked

Fields: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


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
    return checked(pairs(fields))


def overlaid(below: Headers, above: Headers) -> Headers:
    """Both, where a name of *above* replaces the same name of *below*."""
    names = {name for name, _ in above}
    return (*(pair for pair in below if pair[0] not in names), *above)
