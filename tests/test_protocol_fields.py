"""What is of the wrong kind counts as not said."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.fields import said, said_dict, said_list

PART: Any = {"text": "a", "number": 1, "yes": True, "half": 0.5, "list": [1], "object": {"a": 1}}


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("text", str, "a"),
        ("number", int, 1),
        ("yes", bool, True),
        ("half", float, 0.5),
        ("yes", int, None),
        ("number", bool, None),
        ("number", float, None),
        ("list", str, None),
        ("nothing", str, None),
    ],
)
def test_a_scalar_is_said_if_it_is_of_the_kind_asked_for(key: str, kind: Any, value: Any) -> None:
    assert said(PART, key, kind) is value


def test_so_it_is_with_lists_and_objects() -> None:
    assert said_list(PART, "list") == [1]
    assert said_list(PART, "object") is None
    assert said_dict(PART, "object") == {"a": 1}
    assert said_dict(PART, "list") is None


@pytest.mark.parametrize("part", [None, "text", ["text"], 1])
def test_what_is_no_object_says_nothing(part: Any) -> None:
    assert said(part, "text", str) is None
    assert said_list(part, "list") is None
    assert said_dict(part, "object") is None
