"""Reading JSON objects of peers whose versions differ.

What only describes, and what a later server writes differently, breaks nothing: a value that is not
of the kind that is asked for counts as not said. A bool is not an int here, and something that is
no object says nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sansio_gradio.wire.json import JSON

T = TypeVar("T", str, int, bool, list[Any], dict[str, Any])


def said(part: JSON, key: str, kind: type[T]) -> T | None:
    """What *part* has at *key*; None: not said."""
    value: Any = part.get(key) if isinstance(part, dict) else None
    return value if type(value) is kind else None


def plain(text: str, width: int) -> str:
    """*text* from a server, made fit for a line of a terminal."""
    text = " ".join(text[: 2 * width].split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."
