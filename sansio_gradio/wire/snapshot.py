"""Copy a caller's values to plain JSON values, at once, in the caller's thread.

Rule 1: later changes of the original do not change the copy, and ``json.dumps`` writes the copy
without calling any code of the caller.

Rule 2: values become what Python's ``json`` makes of them: a tuple becomes a list, an ``IntEnum``
its number, the key 1 the key ``"1"``. A value that ``json`` refuses is refused here, and the error
says where it is. Unlike ``json``, mappings that are not dicts are copied, too.

Rule 3: an exception of the caller's objects becomes the cause of a ``LocalProtocolError``. Their
``repr`` is never called. Ctrl-C passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias, cast

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import is_a, name_of, refused
from sansio_gradio.limits import Limits

Mark: TypeAlias = Callable[[Any], Any]
"""Makes something of a value that is not to be copied; None: copy it."""

_AS_THEY_ARE: Final = frozenset({str, bool, type(None)})
_PLAIN: Final = frozenset({int, float, list, tuple, dict})
_SCALARS: Final = (str, int, float)
_TEXT: Final = frozenset({str})
_NUMBERS: Final = frozenset({int, float, bool})
_DEEPEST: Final = Limits().json_depth + 1  # arguments stand in a container of their own
_SAFE: Final = 2**64  # integers that every Python writes
_SHOWN: Final = 4  # steps to a place, from either end
_NAMES: Final[Mapping[object, str]] = {None: "null", True: "true", False: "false"}
_PATH: Final = "the file, if it is to be uploaded (use handle_file(...)), or str(value)"
_BYTES: Final = "handle_file(...) for a file, or text, such as base64.b64encode(value).decode()"
_FILE: Final = "handle_file(...) of it, opened in binary mode ('rb')"
_INSTEAD: Final = {
    "bytes": _BYTES,
    "bytearray": _BYTES,
    "memoryview": _BYTES,
    "BufferedReader": _FILE,
    "BytesIO": _FILE,
    "TextIOWrapper": _FILE,
    "set": "list(value)",
    "frozenset": "list(value)",
    "generator": "list(value)",
    "range": "list(value)",
    "deque": "list(value)",
    "datetime": "value.isoformat()",
    "date": "value.isoformat()",
    "time": "value.isoformat()",
    "Decimal": "float(value) or str(value)",
    "Fraction": "float(value) or str(value)",
    "ndarray": "value.tolist()",
    "DataFrame": "value.to_dict('split')",
    "UUID": "str(value)",
    "GivenFile": "it as an argument of a call, such as predict(handle_file(...))",
    "PosixPath": _PATH,
    "WindowsPath": _PATH,
}


def snapshot(
    value: object, name: str, *, mark: Mark | None = None, marks: list[Any] | None = None
) -> Any:
    """Copy *value*. Errors call it *name*. What *mark* makes of a value, if it is not None, takes
    its place, and is added to *marks*.

    Raises:
        LocalProtocolError: JSON cannot carry it, or it cannot be read. The message says where, as
            in ``args[0]['size']``.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    walk = _Walk(mark or _no_mark, [] if marks is None else marks)
    try:
        return walk.copy(value)
    except _RefusedError as error:
        what = f"This cannot be sent as JSON: {error.why} It is {walk.place(name)}."
        raise LocalProtocolError(what) from None
    except Exception as error:
        what = f"This cannot be read: {name_of(error)} came up at {walk.place(name)}."
        raise LocalProtocolError(what) from error


def mapping(
    value: Mapping[Any, object],
    name: str,
    *,
    mark: Mark | None = None,
    marks: list[Any] | None = None,
) -> dict[str, Any]:
    """Copy a mapping, as ``snapshot`` does; anything else is refused."""
    found = snapshot(value, name, mark=mark, marks=marks)
    if type(found) is not dict:
        raise refused(value, name, "a dict")
    return cast("dict[str, Any]", found)


class _RefusedError(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _no_mark(_value: Any) -> None:
    """There are no marks."""


class _Walk:
    """Copies one value. After an error, ``steps`` is the path to the place of it."""

    def __init__(self, mark: Mark, marks: list[Any]) -> None:
        self._mark = mark
        self._marks = marks
        self._steps: list[str | int] = []
        self._around: set[int] = set()  # the containers around the present place

    def place(self, name: str) -> str:
        steps = [f"[{step!r}]" for step in self._steps]
        if len(steps) > 2 * _SHOWN:
            steps[_SHOWN:-_SHOWN] = ["[...]"]
        return name + "".join(steps)

    def copy(self, value: Any) -> Any:
        # One frame a level: a value may be half as deep as Python's stack. What is in _AS_THEY_ARE
        # does not come here.
        if type(value) not in _PLAIN and (mark := self._mark(value)) is not None:
            self._marks.append(mark)
            return mark
        if issubclass(type(value), _SCALARS):
            return _scalar(value)
        is_mapping = issubclass(type(value), dict)
        if not is_mapping and not issubclass(type(value), (list, tuple)):
            if not is_a(value, Mapping):
                raise _RefusedError(_why_not(value))
            is_mapping = True
        if id(value) in self._around:
            raise _RefusedError("it contains itself.")
        if len(self._around) >= _DEEPEST:
            raise _RefusedError(f"it is nested more than {_DEEPEST - 1} levels deep.")
        found: Any = _with_keys(value) if is_mapping else list(value)
        if _is_plain(found.values() if is_mapping else found):
            return found
        self._around.add(id(value))
        for step, item in found.items() if is_mapping else enumerate(found):
            if type(item) not in _AS_THEY_ARE:
                self._steps.append(step)
                found[step] = self.copy(item)  # the keys of a dict stay
                self._steps.pop()
        self._around.remove(id(value))
        return found


def _is_plain(items: Iterable[Any]) -> bool:
    """Whether all are JSON scalars. A quick test: False may be wrong, True is right."""
    kinds = set(map(type, items))
    if kinds <= _AS_THEY_ARE:
        return True
    try:
        return kinds <= _NUMBERS and all(map(isfinite, items))
    except OverflowError:  # an integer beyond all floats
        return False


def _scalar(value: Any) -> str | int | float:
    if type(cast("object", value)) is int and -_SAFE < value < _SAFE:
        return cast("int", value)
    if is_a(value, str):
        return str.__str__(value)
    if is_a(value, int):
        plain = int.__int__(value)
        _written(plain)
        return plain
    number = float.__float__(value)
    if not isfinite(number):
        raise _RefusedError(f"JSON has no {number}: pass None, if the app takes it.")
    return number


def _with_keys(value: Mapping[Any, Any]) -> dict[str, Any]:
    """A dict of the same items, its keys as JSON has them."""
    found: dict[str, Any] = {}
    if type(cast("object", value)) is dict:
        found.update(value)
        if set(map(type, found)) <= _TEXT:
            return found
        found = {}
    # Listed in one go: another thread may be at work on the original.
    for key, item in list(value.items()):
        name = _key(key)
        if name in found:
            raise _RefusedError(f"two of its keys would both be {name!r}.")
        found[name] = item
    return found


def _key(key: Any) -> str:
    if is_a(key, str):
        return str.__str__(key)
    if key is None or type(key) is bool:
        return _NAMES[key]
    if is_a(key, int):
        return _written(int.__int__(key))
    if is_a(key, float):
        return float.__repr__(float(_scalar(key)))
    raise _RefusedError(f"a key is text, or a number, and no {name_of(key)}.")


def _written(number: int) -> str:
    try:
        return int.__repr__(number)
    except ValueError:
        raise _RefusedError("it has more digits than Python writes: pass a str.") from None


def _why_not(value: object) -> str:
    name = name_of(value)
    instead = _INSTEAD.get(name, "dicts, lists, str, int, float, bool or None")
    return f"JSON has no {name}: pass {instead}."
