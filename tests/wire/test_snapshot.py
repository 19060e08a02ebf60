"""What a caller gives is copied at once, as JSON has it, or refused with its place."""

from __future__ import annotations

import array
import datetime
import enum
import io
import json
import math
import sys
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.wire.json import dumps
from sansio_gradio.wire.snapshot import mapping, snapshot


class Pair(NamedTuple):
    a: object
    b: object


class Shade(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Text(str):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class Whole(int):
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __int__ = __index__ = __repr__  # type: ignore[assignment]  # pyright: ignore


class Broken(float):
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __float__ = __repr__  # type: ignore[assignment]  # pyright: ignore


class Rows(list[Any]):
    """A list that makes its items when it is read."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["made", "now"])


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        (None, None),
        ((1, (2, [True, 2.5, "a"])), [1, [2, [True, 2.5, "a"]]]),
        ([Shade.RED, Size.BIG, Text("a"), Whole(5), Broken(1.5)], ["red", 3, "a", 5, 1.5]),
        (Pair(1, {"x": Pair(2, 3)}), [1, {"x": [2, 3]}]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (UserDict(a={"b": UserDict()}), {"a": {"b": {}}}),
        ([types.MappingProxyType({"a": ()})], [{"a": []}]),
        (ChainMap({"a": 1}, {"b": 2}), {"b": 2, "a": 1}),
        (Rows([0]), ["made", "now"]),
        ({1: 2}, {"1": 2}),
        ({True: 1, None: 2, 2.5: 3, Size.BIG: 4, Shade.RED: 5, Text("x"): 6, Whole(9): 7},
         {"true": 1, "null": 2, "2.5": 3, "3": 4, "red": 5, "x": 6, "9": 7}),
        ([{"a": 10**400}, -(2**70)], [{"a": 10**400}, -(2**70)]),
        ([1, 10**400], [1, 10**400]),
        (["\ud800", {"\udc80": 1}], ["\ud800", {"\udc80": 1}]),
    ],
)  # fmt: skip
def test_what_is_copied_are_the_plain_values_of_json(value: object, copied: object) -> None:
    found = snapshot(value, "args")
    assert repr(found) == repr(copied)
    assert snapshot(found, "args") == found
    dumps(found)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
scalars = scalars.filter(lambda value: value not in (math.inf, -math.inf))


@given(
    st.recursive(
        scalars,
        lambda x: st.lists(x) | st.lists(x).map(tuple) | st.dictionaries(scalars, x),
        max_leaves=20,
    )
)
def test_it_is_what_the_standard_library_would_send(value: object) -> None:
    sent = json.dumps(value)
    twice: list[bool] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    expected = json.loads(sent, object_pairs_hook=keep)
    if any(twice):
        with pytest.raises(LocalProtocolError, match="would both be"):
            snapshot(value, "args")
    else:
        assert repr(snapshot(value, "args")) == repr(expected)


def test_later_changes_of_the_original_change_nothing() -> None:
    inner: dict[str, Any] = {"a": [1, [2]]}
    value: list[Any] = [inner, [3.5], "x"]
    found = snapshot(value, "args")
    inner["a"][1].append("later")
    inner["b"] = "later"
    value[1].append("later")
    assert found == [{"a": [1, [2]]}, [3.5], "x"]


class Named:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__
    __eq__ = __hash__ = __repr__  # type: ignore[assignment]  # pyright: ignore


class Pretends:
    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


circle: list[Any] = []
circle += [{"a": circle}, circle]
loop: dict[str, Any] = {}
loop["a"] = [loop]


def nested(levels: int) -> Any:
    value: Any = []
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1, {"x": [{1, 2}]}], r"no set: pass list\(value\). It is args\[1\]\['x'\]\[0\]\."),
        (["a", b"a"], r"no bytes: pass .* text.*args\[1\]"),
        ({"at": datetime.datetime(2026, 1, 1)}, r"datetime: pass value.isoformat.*args\['at'\]"),
        ([datetime.date(2026, 1, 1)], "isoformat"),
        ([Decimal("1.5")], r"float\(value\)"),
        ([Fraction(1, 3)], r"float\(value\)"),
        ([Path("a")], r"str\(value\)"),
        ([(n for n in "ab")], r"list\(value\)"),
        ([range(3)], r"list\(value\)"),
        ([array.array("i", [1])], "no array: pass dicts, lists, str"),
        ([1j], "no complex"),
        ([Named()], "no Named"),
        ([Pretends()], "no Pretends"),
        ([{"a": math.nan}], r"no nan.*args\[0\]\['a'\]"),
        ([0, math.inf], r"no inf.*args\[1\]"),
        ([0.5, "a", -math.inf], "no -inf"),
        ({math.nan: 1}, "no nan"),
        ({(1, 2): 3}, "a key is text, or a number, and no tuple"),
        ([{b"a": 1}], r"no bytes. It is args\[0\]"),
        ({1: "a", "1": "b"}, "would both be '1'"),
        (circle, "contains itself"),
        (loop, "contains itself"),
        (nested(514), "more than 512 levels deep"),
        (nested(200_000), "more than"),
        ([10**5000], "digits"),
        ({10**5000: 1}, "digits"),
    ],
)  # fmt: skip
def test_what_json_has_not_is_refused_with_its_place(value: object, why: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^This cannot be sent as JSON: .*{why}"):
        snapshot(value, "args")


def test_nesting_may_be_as_deep_as_can_be_read() -> None:
    assert snapshot(nested(513), "args") == nested(513)


class Lazy(dict[str, Any]):
    def items(self) -> Any:
        raise KeyError("no such row")


class LazyMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Changing(dict[str, Any]):
    """As if another thread were at work on it."""

    def items(self) -> Any:
        for key, value in super().items():
            self[f"{key}+"] = 1
            yield key, value


class Refuses(list[Any]):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def __iter__(self) -> Any:
        raise self.error


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (Lazy(), KeyError),
        (LazyMapping(), OSError),
        (Changing(a=1), RuntimeError),
        (Refuses(RecursionError()), RecursionError),
        (Refuses(StopIteration()), StopIteration),
        (Refuses(Unspeakable()), Unspeakable),
        (Refuses(TypeError()), TypeError),
    ],
)
def test_what_cannot_be_read_is_the_callers_mistake(value: object, cause: type[Exception]) -> None:
    with pytest.raises(LocalProtocolError, match=r"read: \w+ .* args\[1\]\['x'\]") as told:
        snapshot([0, {"x": value}], "args")
    assert type(told.value.__cause__) is cause


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_mistake_passes(error: type[BaseException]) -> None:
    with pytest.raises(error):
        snapshot([Refuses(error())], "args")


def test_an_exhausted_stack_is_the_callers_mistake() -> None:
    found: list[object] = []

    def sink(levels: int) -> None:
        if levels:
            sink(levels - 1)
        else:
            try:
                snapshot(nested(400), "args")
            except LocalProtocolError as error:
                found.append(type(error.__cause__))

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        sink(700)
    finally:
        sys.setrecursionlimit(before)
    assert found == [RecursionError]


class Mark(dict[str, Any]):
    """What is to be filled in later, such as a file that is to be uploaded first."""


def test_marks_stay_what_they_are() -> None:
    mark = Mark(a={1, 2})
    found = snapshot(
        [{"x": mark}, [mark]], "args", mark=lambda value: value if isinstance(value, Mark) else None
    )
    assert found[0]["x"] is found[1][0] is mark


def test_a_mapping_is_wanted() -> None:
    assert mapping(UserDict(a=1), "extra") == {"a": 1}
    for wrong in ([("a", 1)], None, "ab", 5):
        with pytest.raises(LocalProtocolError, match="extra is a dict, not"):
            mapping(wrong, "extra")  # type: ignore[arg-type]  # pyright: ignore


def test_what_is_given_twice_is_copied_twice() -> None:
    part = [[1], {"a": [2]}]
    copy = snapshot([part, part, {"b": part}], "args")
    assert copy == [part, part, {"b": part}]
    assert copy[0] is not copy[1]


@pytest.mark.parametrize("value", [b"", bytearray(), io.BytesIO(), io.TextIOWrapper(io.BytesIO())])
def test_the_content_of_a_file_is_to_be_marked(value: object) -> None:
    with pytest.raises(LocalProtocolError, match=r"pass handle_file\(...\)"):
        snapshot([value], "args")
