"""JSON text (RFC 8259) with limits, read strictly from peers and written strictly for them.

Rule 1: what ``loads`` returns can be written again, and no part of it fails later, when it is
printed, stored or put into a URL. So two things that servers before 4.24 send are replaced, as
later servers do it. A lone surrogate (``"\\ud800"``) becomes U+FFFD, as does invalid UTF-8. A
number that is not finite (``NaN`` in progress data, a number beyond the range of a double) becomes
null. Of duplicate keys the last wins.

Rule 2: ``dumps`` writes only standard JSON, so no NaN. Apart from that it does as Python's
``json``: a tuple becomes an array, the key 1 becomes ``"1"``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from math import isfinite
from typing import Any, TypeAlias, TypeGuard

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Loads: TypeAlias = "Callable[[str | bytes], JSON]"
"""``loads`` with limits and parser chosen."""

_LIMITS = Limits()
_SCALARS = frozenset({str, int, float, bool, type(None)})
_Container: TypeAlias = dict[Any, Any] | list[Any] | tuple[Any, ...]
# An escaped backslash and a pair are matched only to be skipped: what follows is no lone surrogate.
# The one literal in front is what makes the search fast.
_SURROGATES = re.compile(
    r"\\(?:\\|u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>[89a-fA-F][0-9a-fA-F]{2})))"
)
_SPACES = " \t\n\r"
# What may stand before a number, a digit, and anything else.
_BEFORE, _DIGIT, _OTHER = b"[", b"0", b"."
_KINDS = bytes(
    (_DIGIT if c in b"0123456789" else _BEFORE if c in b"[,:- \t\n\r" else _OTHER)[0]
    for c in range(256)
)
_LONG_INTEGER = _BEFORE + 19 * _DIGIT
_LARGE = 1 << 14
_QUOTES = 1 << 9  # parts of a large text to look at one by one
_EXCERPT = 60


def _number(text: str) -> float | None:
    return number if isfinite(number := float(text)) else None


_decoder = json.JSONDecoder(parse_float=_number, parse_constant=_number)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Exact:
    """A faster parser that is asked only where it gives exactly what Python's json gives.

    ``Exact(orjson.loads)``: *parse* must refuse what is not JSON, and numbers beyond the range of a
    double; it may turn integers beyond 64 bits into floats: a text that may have one is left to
    json, as is every text that *parse* refuses.
    """

    __slots__ = ("_parse",)

    def __init__(self, parse: Callable[[str | bytes], Any]) -> None:
        self._parse = parse

    def __call__(self, text: str | bytes) -> JSON:
        text = text if isinstance(text, str) else text.decode("utf-8")
        parse = _decoder.decode if _may_have_long_integer(text) else self._parse
        value: JSON = parse(text)
        return value


def loads(
    text: str | bytes,
    *,
    max_size: int = _LIMITS.message,
    max_depth: int = _LIMITS.json_depth,
    json_loads: Callable[[str | bytes], Any] | None = None,
) -> JSON:
    """Read one JSON text from a peer.

    ``max_size`` counts bytes, or characters of a ``str``. ``max_depth`` counts nested containers (a
    scalar has depth 0, ``[]`` 1); the default leaves half of Python's recursion limit to the
    application and is far beyond what components nest. ``json_loads`` is another parser: either
    ``Exact``, or one that may read as it likes. An infinity or NaN in its result becomes null, too;
    other numbers stay as the parser made them (``orjson.loads`` turns integers beyond 64 bits into
    floats).

    Raises:
        RemoteProtocolError: not UTF-8, not JSON, too large, nested too deeply, or an integer of
            more digits than Python converts (``sys.set_int_max_str_digits``).
    """
    if len(text) > max_size:
        raise RemoteProtocolError(f"JSON of {len(text)} bytes; the limit is {max_size}.")
    try:
        # Decode here: json.loads would guess UTF-16 and UTF-32.
        text = text if isinstance(text, str) else text.decode("utf-8")
        # Looking for a backslash costs next to nothing; large texts (files in base64) have none.
        if "\\" in text and ("\\ud" in text or "\\uD" in text):
            text = _SURROGATES.sub(lambda m: "\\ufffd" if m["lone"] else m[0], text)
        value: JSON
        try:
            if json_loads is None:
                value = _decode(text)
            elif isinstance(json_loads, Exact):
                value = json_loads(text)
            else:
                value = _finite(json_loads(text))
        except ValueError:
            value = _decoder.decode(text)  # which knows NaN, and spaces in front
        # Only a text with more openings than levels can be too deep, and most have a handful.
        may_be_deep = len(text) > max_depth and _has_more_openings(text, max_depth)
        if may_be_deep and any(islice(_levels(value), max_depth, None)):
            raise RecursionError
    except RecursionError as error:
        raise RemoteProtocolError(f"JSON nested more than {max_depth} levels deep.") from error
    except ValueError as error:
        # The one attribute is of json's error, the other of the codec's.
        place: int = getattr(error, "pos", getattr(error, "start", 0))
        start = max(place - _EXCERPT // 2, 0)
        excerpt = repr(text[start : start + _EXCERPT])
        raise RemoteProtocolError(f"This is not JSON ({error}): {excerpt}") from error
    return value


def dumps(value: object) -> bytes:
    """Write *value* as compact UTF-8.

    Tuples become arrays; keys that are numbers or None become text; a subclass of a JSON type
    (``IntEnum``, ``OrderedDict``) is written as its base type.

    Raises:
        LocalProtocolError: JSON cannot carry it: a type that it does not have (the message names
            the place, such as ``['data'][0]``), NaN or an infinity, a container inside itself,
            nesting beyond Python's stack.
    """
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        place = _place(value) if isinstance(error, TypeError) else ""
        raise LocalProtocolError(f"This cannot be sent as JSON: {error}{place}") from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()  # a lone surrogate can be carried as an escape


def _decode(text: str) -> JSON:
    """As ``_decoder.decode``, but without its two searches for spaces, which small texts notice.

    Raises:
        ValueError: this is not JSON, or it begins with a space.
    """
    value: JSON
    value, end = _decoder.raw_decode(text)
    if end != len(text) and text[end:].strip(_SPACES):
        raise ValueError
    return value


def _may_have_long_integer(text: str) -> bool:
    """Whether *text* may have an integer of 19 digits or more, which may need more than 64 bits.

    The kinds of characters are searched from the right, for the start of a number with 19 digits
    behind it: 0.4 us for a message of 300 bytes (a regular expression takes 5), of which orjson
    takes 1.0 and json 2.5.
    """
    if len(text) > _LARGE and "\\" not in text:
        # Each other part is within a string: files in base64 are skipped.
        text = '"'.join(text.split('"', _QUOTES)[::2])
    kinds = text.encode().translate(_KINDS)
    return kinds.rfind(_LONG_INTEGER) >= 0 or kinds.startswith(_DIGIT)


def _has_more_openings(text: str, count: int) -> bool:
    """Whether more than *count* brackets and braces open in *text*. The search stops there.

    By str.find, since str.count takes as long as parsing where brackets are rare (measured on 1 MB
    of base64: 0.01 ms and 0.28 ms a character, 0.6 ms to parse).
    """
    for opening in "[{":
        at = text.find(opening)
        while at >= 0 and count >= 0:
            count -= 1
            at = text.find(opening, at + 1)
    return count < 0


def _is_container(value: object) -> TypeGuard[_Container]:
    return isinstance(value, (dict, list, tuple))


def _levels(value: object) -> Iterator[list[_Container]]:
    """The containers in *value* by depth, the outermost first."""
    level = [value] if _is_container(value) else []
    while level:
        yield level
        level = [
            item
            for part in level
            for item in (part.values() if isinstance(part, dict) else part)
            # Two tests, since the first is fast and most items are scalars.
            if type(item) not in _SCALARS and _is_container(item)
        ]


def _finite(value: Any) -> JSON:
    """Replace each infinity and NaN in *value*, the result of another parser, by None."""
    holder: list[JSON] = [value]  # so that the value itself is an item of a container, too
    for part in chain.from_iterable(_levels(holder)):
        if isinstance(part, list | dict):
            for step, item in part.items() if isinstance(part, dict) else enumerate(part):
                if isinstance(item, float) and not isfinite(item):
                    part[step] = None
    return holder[0]


def _place(value: object, around: str = " at ") -> str:
    """The path to the part that JSON has no type for; empty: *value* itself."""
    if _is_container(value):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            try:
                _encode(item)
            except TypeError:
                return f"{around}[{step!r}]{_place(item, '')}"
    return ""
