"""What is of the wrong kind counts as not said."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.fields import plain, said

PART: Any = {"text": "a", "number": 1, "yes": True, "list": [1], "object": {"a": 1}}


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("text", str, "a"),
        ("number", int, 1),
        ("yes", bool, True),
        ("list", list, [1]),
        ("object", list, None),
        ("object", dict, {"a": 1}),
        ("list", dict, None),
        ("yes", int, None),
        ("number", bool, None),
        ("list", str, None),
        ("nothing", str, None),
    ],
)
def test_a_value_is_said_if_it_is_of_the_kind_asked_for(key: str, kind: Any, value: Any) -> None:
    assert said(PART, key, kind) == value
    assert type(said(PART, key, kind)) is (kind if value is not None else type(None))


@pytest.mark.parametrize("part", [None, "text", ["text"], 1])
def test_what_is_no_object_says_nothing(part: Any) -> None:
    assert said(part, "text", str) is None
    assert said(part, "list", list) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\n a\t b ", "two a b"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("0123456789abc", "0123456..."),
        ("0123456789", "0123456789"),
        (" " * 15 + "0123456789", "01234"),  # no more than twice the width is looked at
    ],
)
def test_a_servers_text_is_fit_for_a_terminal(text: str, shown: str) -> None:
    assert plain(text, 10) == shown
