"""What callers give besides arguments: checked, and brought into one form, where it enters.

So nothing fails later, in another thread or in the system's ``select``, for a number that was too
large or a text that was none. All functions raise an ``OptionError`` that says what is wanted. They
never ask what they were given for its ``repr``.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any, Final, TypeVar, cast

from sansio_gradio.errors import OptionError

T = TypeVar("T")

LONGEST: Final = 1e9
"""Seconds: 31 years. What is to take longer takes for ever."""
MOST: Final = 2**63 - 1
"""Of what is counted; more is not meant."""

_NO_NUMBERS: Final = (bool, str, bytes, bytearray)
_SHOWN: Final = frozenset({str, float, bool, type(None)})
_SHORT: Final = 64  # bits


def is_a(value: object, *kinds: type) -> bool:
    """Whether *value* is one of *kinds*, whatever its ``__class__`` says."""
    return issubclass(type(value), kinds)


def number(value: object, name: str, wanted: str = "a number") -> float:
    """A float, maybe an infinite one, of whatever is a number."""
    found = math.nan
    try:
        if not is_a(value, *_NO_NUMBERS):
            found = _float(cast("Any", value))
    except Exception as error:
        raise refused(value, name, wanted) from error
    if math.isnan(found):
        raise refused(value, name, wanted)
    return found


def seconds(value: object, name: str) -> float:
    """How long something may take, from 0 on; infinity is for ever."""
    found = number(value, name, wanted := "in seconds, from 0 on, or None")
    if found < 0:
        raise refused(value, name, wanted)
    return found if found <= LONGEST else math.inf


def patience(value: object, name: str = "timeout") -> float | None:
    """How long a caller waits; None is for ever, and less than 0 not at all."""
    if value is None:
        return None
    found = max(0.0, number(value, name, "in seconds, or None"))
    return found if found <= LONGEST else None


def count(value: object, name: str, *, least: int = 1) -> int:
    """How many, from *least* on; infinity is as many as there are."""
    found = number(value, name, wanted := f"a whole number, from {least} on")
    if found < least or (math.isfinite(found) and not found.is_integer()):
        raise refused(value, name, wanted)
    return int(min(found, MOST))


def index(value: object, name: str) -> int | None:
    """The number of something, as servers give it, or None."""
    kind = type(value)
    if value is None or kind is int:
        return cast("int | None", value)
    try:
        if not is_a(value, bool):
            return int(cast("Any", value).__index__())
    except Exception as error:
        raise refused(value, name, "a whole number, or None") from error
    raise refused(value, name, "a whole number, or None")


def text(value: object, name: str) -> str:
    """A text that can be sent."""
    if not is_a(value, str):
        raise refused(value, name, "a text")
    found = str.__str__(cast("str", value))
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"{name} has a lone surrogate, which cannot be sent.") from error
    return found


def one_of(value: object, kind: type[T], name: str) -> T:
    """An instance of *kind*."""
    if not is_a(value, kind):
        raise refused(value, name, f"a {kind.__name__}, or None")
    return cast("T", value)


def refused(value: object, name: str, wanted: str) -> OptionError:
    """What to tell of a *value* that cannot be that of *name*."""
    return OptionError(f"{name} is {wanted}, not {shown(value)}.")


def shown(value: object) -> str:
    """*value* as an error may show it: whole numbers and texts, of the rest the type's name."""
    kind = type(value)
    if kind in _SHOWN or (kind is int and cast("int", value).bit_length() <= _SHORT):
        return reprlib.repr(value)
    name = name_of(value)
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def name_of(value: object) -> str:
    """The name of the type of *value*, whatever a metaclass says."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
