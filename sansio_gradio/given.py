"""Check the options that callers give, where they enter, and bring each into one form.

So a number that is too large, or a value of a wrong type, does not fail later, in another thread or
in the system's ``select``. All functions raise an ``OptionError`` that says what is wanted. They
never call ``repr`` of the caller's value.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any, Final, TypeVar, cast

from sansio_gradio.errors import OptionError

T = TypeVar("T")

LONGEST: Final = 1e9
"""Seconds: 31 years. A longer time counts as for ever."""
MOST: Final = 2**63 - 1
"""The largest count; a larger one is cut to it."""

_NO_NUMBERS: Final = (bool, str, bytes, bytearray)
_SHOWN: Final = frozenset({str, float, bool, type(None)})
_SHORT: Final = 64  # bits


def is_a(value: object, *kinds: type) -> bool:
    """Whether *value* is one of *kinds*. Its own ``__class__`` is not asked."""
    return issubclass(type(value), kinds)


def number(value: object, name: str, wanted: str = "a number") -> float:
    """Convert any number to a float, which may be infinite."""
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
    """Check a duration in seconds, from 0 on; infinity is for ever."""
    found = number(value, name, wanted := "in seconds, from 0 on, or None")
    if found < 0:
        raise refused(value, name, wanted)
    return found if found <= LONGEST else math.inf


def patience(value: object, name: str = "timeout") -> float | None:
    """Check how long a caller waits. None: for ever. Less than 0: not at all."""
    if value is None:
        return None
    found = max(0.0, number(value, name, "in seconds, or None"))
    return found if found <= LONGEST else None


def count(value: object, name: str, *, least: int = 1) -> int:
    """Check a count, from *least* on; infinity becomes the largest count."""
    found = number(value, name, wanted := f"a whole number, from {least} on")
    if found < least or (math.isfinite(found) and not found.is_integer()):
        raise refused(value, name, wanted)
    return int(min(found, MOST))


def index(value: object, name: str) -> int | None:
    """Check a number that a server has given to something, or None."""
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
    """Check a text: it must be possible to encode it."""
    if not is_a(value, str):
        raise refused(value, name, "a text")
    found = str.__str__(cast("str", value))
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"{name} has a lone surrogate, which cannot be sent.") from error
    return found


def flag(value: object, name: str) -> bool:
    """Check what is true or false: anything that can tell."""
    try:
        return bool(value)
    except Exception as error:
        raise refused(value, name, "True or False") from error


def function(value: T, name: str) -> T:
    """Check that *value* can be called."""
    if not callable(value):
        raise refused(value, name, "a function, or None")
    return value


def one_of(value: object, kind: type[T], name: str) -> T:
    """Check that *value* is an instance of *kind*."""
    if not is_a(value, kind):
        raise refused(value, name, f"a {kind.__name__}, or None")
    return cast("T", value)


def refused(value: object, name: str, wanted: str) -> OptionError:
    """The error for an invalid *value* of the option *name*."""
    return OptionError(f"{name} is {wanted}, not {shown(value)}.")


def shown(value: object) -> str:
    """*value* as an error may show it: numbers and texts as they are, of other values the type's
    name."""
    kind = type(value)
    if kind in _SHOWN or (kind is int and cast("int", value).bit_length() <= _SHORT):
        return reprlib.repr(value)
    return kind_of(value)


def kind_of(value: object) -> str:
    """The name of the type of *value*, with its article: what an error may say of a secret."""
    name = name_of(value)
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def name_of(value: object) -> str:
    """The name of the type of *value*, without asking its metaclass."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
