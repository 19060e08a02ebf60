"""What a function gives, as JSON and as a copy."""

from __future__ import annotations

import enum
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.server.values import plain
from sansio_gradio.wire import json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
)


@given(values)
def test_what_is_json_already_stays_to_the_letter(value: Any) -> None:
    assert repr(plain(value)) == repr(value)
    json.dumps(plain(value))


def test_it_is_a_copy() -> None:
    history = [{"n": [1]}]
    copied = plain(history)
    history[0]["n"].append(2)
    history.append({})
    assert copied == [{"n": [1]}]


class Color(enum.StrEnum):
    RED = "red"


class Old(str, enum.Enum):  # noqa: UP042  # what programs older than StrEnum do
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def test_values_that_json_has_no_word_for() -> None:
    assert plain((1, (2, 3))) == [1, [2, 3]]
    assert plain([math.nan, math.inf, -math.inf]) == [None, None, None]
    sent = plain({Color.RED: [Color.RED, Old.RED, Level.HIGH]})
    assert sent == {"red": ["red", "red", 3]}
    assert [type(item) for item in sent["red"]] == [str, str, int]
    assert [type(key) for key in sent] == [str]


@pytest.mark.parametrize("value", [object(), b"bytes", {1: 2}, [{"a": {1, 2}}], {None: 1}])
def test_what_no_json_can_say_is_a_mistake(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent as JSON"):
        plain(value)


def test_a_number_that_no_json_can_hold_is_a_mistake() -> None:
    assert plain(-(10**4000)) == -(10**4000)
    with pytest.raises(LocalProtocolError, match="too large"):
        plain([10**5000])


def test_a_value_that_holds_itself_is_a_mistake() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(LocalProtocolError, match="nested too deeply"):
        plain(value)
