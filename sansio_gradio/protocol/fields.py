"""Reading JSON objects of peers whose versions differ.

A value of the wrong type counts as absent, so a later server that writes a field differently breaks
nothing. A bool is not an int here. A value that is not an object has no fields.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sansio_gradio.wire.json import JSON

T = TypeVar("T", str, int, bool, list[Any], dict[str, Any])


def said(part: JSON, key: str, kind: type[T]) -> T | None:
    """The value of *part* at *key*; None if it is absent or of another type."""
    value: Any = part.get(key) if isinstance(part, dict) else None
    return value if type(value) is kind else None


def plain(text: str, width: int) -> str:
    """*text* from a server, made safe for one line of a terminal."""
    text = " ".join(text[: 2 * width].split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."
