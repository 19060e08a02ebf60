"""Nothing that a caller gives ends a header field early, or speaks for the connection."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.wire.headers import checked, date, header, overlaid, pairs


def test_names_are_lower_case_and_order_and_repetition_stay() -> None:
    fields = [("X-B", "1"), ("a!#$%&'*+-.^_`|~0", "é\tü \x80"), ("x-b", ""), ("Cookie", "c=1")]
    assert checked(fields) == (
        ("x-b", "1"),
        ("a!#$%&'*+-.^_`|~0", "é\tü \x80"),
        ("x-b", ""),
        ("cookie", "c=1"),
    )
    assert checked(()) == ()


def test_the_first_of_several_values_is_the_header() -> None:
    headers = (("a", "1"), ("b", "2"), ("b", "3"))
    assert header(headers, "b") == "2"
    assert header(headers, "c") is None


def test_space_around_a_value_is_not_part_of_it() -> None:
    assert checked([("a", " \tX y\t ")]) == (("a", "X y"),)
    assert checked([("a", "x\xa0")]) == (("a", "x\xa0"),)  # no space to HTTP


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\r", "\0", "\x1f", "\x7f", "\u0100", "ł"])
def test_a_value_that_cannot_be_sent_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(LocalProtocolError, match="'X-Secret' cannot be sent") as raised:
        checked([("X-Secret", value)])
    assert repr(value)[1:-1] not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\n", "(", "a\0"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="not the name"):
        checked([(name, "x")])


@pytest.mark.parametrize(
    "fields",
    [
        "Authorization: s-x",
        ["Authorization: s-x"],
        {"Authorization: Bearer s-x": ""},
        [("Authorization", "Bearer", "s-x")],
        {"Authorization": b"s-x"},
    ],
)
def test_a_field_of_another_form_is_refused_and_not_shown(fields: Any) -> None:
    with pytest.raises(LocalProtocolError, match="header") as raised:
        checked(fields)
    assert "s-x" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["host", "connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding"],
)
def test_what_the_connection_says_is_not_the_callers_to_say(name: str) -> None:
    for spelt in (name, name.title(), name.upper()):
        with pytest.raises(LocalProtocolError, match="belongs to the connection"):
            checked([("fine", "x"), (spelt, "x")])


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=3))
def test_what_passes_is_what_h11_sends_as_it_is(fields: list[tuple[str, str]]) -> None:
    try:
        headers = checked(fields)
    except LocalProtocolError:
        return
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    request = h11.Request(method="GET", target="/", headers=[(b"Host", b"x"), *sent])
    assert list(request.headers)[1:] == sent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", 1_700_000_000),
        ("Tue Nov 14 22:13:20 2023", 1_700_000_000),
        ("Tue, 14 Nov 2023 23:13:20 +0100", 1_700_000_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("tomorrow", None),
        ("", None),
        ("31 Feb 2023 22:14:20", None),
        ("14 Nov 2023 25:14:20", None),
        ("14 Nov 99999999999 22:13:20 GMT", None),
        ("14 Nov 2023 22:13:20 +9999999999", None),
    ],
)
def test_a_date_is_read_or_is_none(text: str, seconds: float | None) -> None:
    assert date(text) == seconds


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["Tue,", "14", "Nov", "2023", "22:14:20", "GMT", "-", ":", ",", "+99", "0", "\xb2"]
        )
    ).map(" ".join)
)
def test_whatever_a_server_writes_is_a_date_or_none(text: str) -> None:
    assert date(text) is None or isinstance(date(text), float)


# As a mapping or as pairs, and which of two wins

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
    assert checked(form(fields)) == (("b", "1"), ("a", "2"))
    with pytest.raises(LocalProtocolError, match="'Evil' cannot be sent"):
        checked(form({"fine": "1", "Evil": "x\r\ny: z"}))


def test_pairs_may_repeat_a_name() -> None:
    assert checked([("A", "1"), ("a", "2")]) == (("a", "1"), ("a", "2"))


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


@pytest.mark.parametrize(
    "fields", ["a: b", b"a: b", bytearray(b"ab"), ["ab"], [("a",)], [("a", "b", "c")], [("a", 1)]]
)
def test_what_is_neither_a_mapping_nor_pairs_of_texts_is_refused(fields: Any) -> None:
    with pytest.raises(LocalProtocolError, match="headers"):
        pairs(fields, "headers")
