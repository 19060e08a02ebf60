"""Reading JSON objects of peers whose versions differ.

A value of the wrong type counts as absent, so a later server that writes a field differently breaks
nothing. A bool is not an int here. A value that is not an object has no fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from sansio_gradio.wire.json import JSON

_LARGEST: Final = 2**53 - 1

T = TypeVar("T", str, int, bool, list[Any], dict[str, Any])


def said(part: JSON, key: str, kind: type[T]) -> T | None:
    """The value of *part* at *key*; None if it is absent or of another type."""
    value: Any = part.get(key) if isinstance(part, dict) else None
    return value if type(value) is kind else None


def are_ids(numbers: Sequence[int]) -> bool:
    """Whether *numbers* can be ids: JavaScript can tell each from all others.

    Of larger ones a server can choose many with the same hash. To look one up takes a comparison
    with all the others then.
    """
    return not numbers or (min(numbers) >= -_LARGEST and max(numbers) <= _LARGEST)


def said_id(part: JSON, key: str) -> int | None:
    """As ``said``, for the id of something."""
    number = said(part, key, int)
    return number if number is not None and are_ids((number,)) else None


def plain(text: str, width: int) -> str:
    """*text* from a server, made safe for one line of a terminal."""
    text = " ".join(text[: 2 * width].split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."
