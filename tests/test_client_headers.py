"""Header fields of a user: as a mapping or as pairs, and which of two wins."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.headers import checked_headers, overlaid, pairs
from sansio_gradio.errors import LocalProtocolError

FORMS: list[Callable[[dict[str, str]], Any]] = [
    dict,
    MappingProxyType,
    lambda fields: list(fields.items()),
    lambda fields: iter(fields.items()),
]


@pytest.mark.parametrize("form", FORMS)
def test_fields_come_in_many_forms(form: Callable[[dict[str, str]], Any]) -> None:
    fields = {"B": "1", "a": "2"}
    assert pairs(form(fields)) == [("B", "1"), ("a", "2")]
    assert checked_headers(form(fields)) == (("b", "1"), ("a", "2"))
    with pytest.raises(LocalProtocolError, match="'Evil' cannot be sent"):
        checked_headers(form({"fine": "1", "Evil": "x\r\ny: z"}))


def test_pairs_may_repeat_a_name() -> None:
    assert checked_headers([("A", "1"), ("a", "2")]) == (("a", "1"), ("a", "2"))


headers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))).map(tuple)


@given(headers, headers)
def test_what_is_above_replaces_what_has_its_name(below: Any, above: Any) -> None:
    result = overlaid(below, above)
    names = [name for name, _ in above]
    assert [pair for pair in result if pair[0] in names] == list(above)
    assert [pair for pair in result if pair[0] not in names] == [
        pair for pair in below if pair[0] not in names
    ]


def test_the_order_is_kept() -> None:
    below = (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"))
    assert overlaid(below, (("a", "5"), ("d", "6"))) == (
        ("b", "2"),
        ("c", "4"),
        ("a", "5"),
        ("d", "6"),
    )
