"""Gradio's version numbers, to be compared."""

from __future__ import annotations

import re
from typing import TypeAlias

Version: TypeAlias = tuple[int, ...]

_NUMBERS = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})*)")


def version_numbers(text: str | None) -> Version:
    """``"4.37.1"`` as ``(4, 37, 1)``; empty where there is no version or none that can be read.

    What follows the numbers (``b1``, the newline that 3.x up to 3.23 sends) is not looked at.
    """
    match = _NUMBERS.match(text) if text else None
    return tuple(map(int, match[1].split("."))) if match else ()
