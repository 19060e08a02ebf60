"""JSON from a peer is read or refused; a value of ours is written as it is, or refused."""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import re
import sys
from collections import Counter, OrderedDict
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.json_text import target
from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.wire.json import Exact, dumps, loads
from tests.support.corpora import cases_of

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=12,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# Reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (b' {"a": [1, 1.0, true, "\xc3\xa4"]}\r\n', {"a": [1, 1.0, True, "ä"]}),
        ('{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
        ("12345678901234567890123", 12345678901234567890123),
        ("-0", 0),
        ('"\\u0000"', "\0"),
    ],
)
def test_json_is_read(text: str | bytes, value: object) -> None:
    assert repr(loads(text)) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1,]",
        "{'a':1}",
        "{1:2}",
        "01",
        '"\n"',
        "nan",
        "[+Infinity]",
        '{"a":-NaN}',
        "1 2",
        "\ufeff1",
        b"\xef\xbb\xbf1",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        '"a"'.encode("utf-16"),
        '"a"'.encode("utf-32-le"),
        b"<!DOCTYPE html><html>",
    ],
)
def test_what_is_not_json_is_refused_and_shown(text: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="This is not JSON") as refused:
        loads(text)
    assert refused.value.message.endswith(repr(text)) or isinstance(text, bytes)


def test_what_is_shown_is_short_and_where_the_mistake_is() -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        loads('{"a":"' + "x" * 1000 + '",HERE' + "y" * 1000)
    assert "HERE" in refused.value.message
    assert len(refused.value.message) < 200
    with pytest.raises(RemoteProtocolError) as refused:
        loads(b"<html>" + b"x" * 1000 + b"\xff")
    assert "position 1006" in refused.value.message
    assert len(refused.value.message) < 200


def _with_tuples(text: str | bytes) -> Any:
    return {"a": (1, "x")}


def test_a_parser_may_make_other_containers() -> None:
    value: Any = loads('{"a": [1, "x"]}', json_loads=_with_tuples)
    assert value == {"a": (1, "x")}


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", f"-1{'0' * 400}.0"])
def test_a_text_that_is_no_finite_number_is_null_with_every_parser(text: str) -> None:
    for json_loads in (None, orjson.loads, json.loads):
        assert loads(text, json_loads=json_loads) is None
        value = loads(f'[{{"a": {text}, "b": {{"c": [{text}]}}}}]', json_loads=json_loads)
        assert value == [{"a": None, "b": {"c": [None]}}]


@pytest.mark.parametrize("json_loads", [None, orjson.loads, json.loads])
@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", f"1{'0' * 400}.0"]
)
def test_what_is_no_finite_number_is_null_and_can_be_written(text: str, json_loads: Any) -> None:
    value = loads(f'{{"a":[{text},1.5,"{text}"]}}', json_loads=json_loads)
    assert value == {"a": [None, 1.5, text]}
    assert loads(dumps(value)) == value


def test_more_digits_than_python_converts_are_refused() -> None:
    digits = sys.get_int_max_str_digits()
    assert loads("1" + "0" * (digits - 1)) == 10 ** (digits - 1)
    with pytest.raises(RemoteProtocolError, match="digits"):
        loads("1" + "0" * digits)


def test_size_is_limited() -> None:
    assert loads(b'"1234"', max_size=6) == loads('"1234"', max_size=6) == "1234"
    for text in (b'"12345"', '"12345"'):
        with pytest.raises(RemoteProtocolError, match="limit is 6"):
            loads(text, max_size=6)
    assert loads(b" " * 1_000_000 + b"1") == 1


@pytest.mark.parametrize(("opening", "closing"), ["[]", ('{"":', "}"), ('[{"":', "}]")])
def test_depth_is_limited_exactly(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    for depth in (4, 512):
        text = opening * (depth // levels) + "1" + closing * (depth // levels)
        loads(text, max_depth=depth)
        with pytest.raises(RemoteProtocolError, match=f"{depth} levels"):
            loads(f"[[0],{text}]", max_depth=depth)
    with pytest.raises(RemoteProtocolError, match="512 levels"):
        loads(opening * 100_000)


def test_breadth_and_brackets_in_strings_are_no_depth() -> None:
    assert loads("[" + "[[]]," * 1000 + "{}]", max_depth=3) == [*[[[]]] * 1000, {}]
    assert loads('["[[[[", "{{{{"]', max_depth=1) == ["[[[[", "{{{{"]
    assert loads('"[[[["', max_depth=0) == "[[[["
    with pytest.raises(RemoteProtocolError, match="0 levels"):
        loads("[]", max_depth=0)


def test_openings_are_not_counted_beyond_the_limit() -> None:
    calls: Counter[str] = Counter()

    def count(frame: object, kind: str, function: Any) -> None:
        if kind == "c_call":
            calls[function.__name__] += 1

    sys.setprofile(count)
    try:
        loads("[" + "[]," * 10_000 + "1]", max_depth=5)
    finally:
        sys.setprofile(None)
    assert calls["find"] < 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\uD83D\uDE00"', "😀"),
        (r'"\uda00\udc00\uDBFF\uDFFF"', "\U00090000\U0010ffff"),
        (r'"\ud83d"', "\ufffd"),
        (r'"\ude00"', "\ufffd"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83d\ud83d\ude00x"', "\ufffd😀x"),
        (r'"\ud83d\u0041"', "\ufffdA"),
        (r'"\ud83d \ude00"', "\ufffd \ufffd"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d"', "\\\ufffd"),
        (r'"\\\\ud83d\n\ud83d\\"', "\\\\ud83d\n\ufffd\\"),
        (r'{"\uD83D": "\uDE00"}', {"\ufffd": "\ufffd"}),
        (r'"\ud7ff\ue000"', "\ud7ff\ue000"),
    ],
)
def test_a_lone_surrogate_becomes_a_replacement_character(text: str, value: object) -> None:
    assert loads(text) == loads(text.encode()) == value


@given(st.lists(st.sampled_from(["\\", "u", "d", "D", "8", "c", '"', "\\ud83d", "\\ude00", "n"])))
@example(["\\", "\\ud83d"])
def test_all_text_that_is_read_can_be_encoded(parts: list[str]) -> None:
    text = '"' + "".join(parts) + '"'
    try:
        value = loads(text)
    except RemoteProtocolError:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    else:
        assert value == re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))


def test_another_parser_is_used_under_the_same_rules() -> None:
    seen: list[str | bytes] = []

    def parse(text: str | bytes) -> Any:
        seen.append(text)
        return json.loads(text)

    assert loads(b'["\\ud83d"]', json_loads=parse) == ["\ufffd"]
    assert seen == ['["\\ufffd"]']
    with pytest.raises(RemoteProtocolError, match="levels"):
        loads("[[]]", max_depth=1, json_loads=parse)
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        loads("[[", json_loads=parse)

    def overflow(text: str | bytes) -> Any:
        raise RecursionError

    with pytest.raises(RemoteProtocolError, match="levels"):
        loads("[]", json_loads=overflow)


# Another parser where it is exact

digits = st.text("0123456789", min_size=1, max_size=25)
number_texts = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "-"]), digits),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), st.integers(0), digits),
    st.builds("{}{}e{}".format, st.sampled_from(["", "-"]), st.integers(0), st.integers(-400, 400)),
    st.floats().map(json.dumps),
    st.sampled_from(
        [
            str(sign * (2**bits + more))
            for sign in (1, -1)
            for bits in (53, 63, 64)
            for more in (-1, 0, 1)
        ]
        + ["-0", "NaN", "-Infinity", "1e999", "9" * 400, "0" * 30, "+1", ".5", "1.", "01", "1e"]
    ),
)
string_texts = st.one_of(
    st.text(max_size=5).map(json.dumps),
    st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        [r'"\ud800"', r'"\ud83d\ude00"', '"\ud800"', '"\x7f"', '"\x01"', r'"\x"', '"a', r'"\\"']
    ),
    st.integers(10**17, 10**25).map(lambda number: f'",{number}"'),
)
spaces = st.sampled_from(["", "", "", " ", "\n", "\t\r", "\x0b", "\ufeff", "\xa0"])
json_texts = st.recursive(
    st.builds(
        "{}{}{}".format, spaces, st.one_of(number_texts, string_texts, st.just("null")), spaces
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"1"']), inner), max_size=4).map(
            lambda items: "{" + ",".join(f"{key}:{value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=8,
)


def said_of(text: str | bytes, json_loads: Any = None) -> str:
    """What comes of it; ``repr`` tells 1, 1.0 and -0.0 apart."""
    try:
        return repr(loads(text, json_loads=json_loads))
    except RemoteProtocolError as error:
        return error.message


@given(json_texts, st.sampled_from(["", "]", "1", ","]))
@example("12345678901234567890", "")
@example("-9223372036854775809", "")
@example("[" * 600 + "]" * 600, "")
@example('{"a":1,"b":[12345678901234567890,2],"a":-0}', "")
def test_an_exact_parser_changes_nothing(text: str, more: str) -> None:
    exact = Exact(orjson.loads)
    assert said_of(text + more, exact) == said_of(text + more)
    with contextlib.suppress(UnicodeEncodeError):
        assert said_of(text.encode(), exact) == said_of(text.encode())


@pytest.mark.parametrize("quotes", [0, 200, 300, 5000])
@pytest.mark.parametrize("escape", ["", r"\n"])
@pytest.mark.parametrize("long", ["1" * 20, "-" + "9" * 19, "1" * 18, f'"{"1" * 20}"'])
def test_nor_does_it_in_large_texts(quotes: int, escape: str, long: str) -> None:
    image = base64.b64encode(bytes(20_000)).decode() + "1" * 30
    text = f'[{quotes * """ "x",1, """} "{image}{escape}",{long},"{image}"]'
    assert said_of(text, Exact(orjson.loads)) == said_of(text)


def test_an_exact_parser_is_asked_where_it_is_exact() -> None:
    asked: list[str | bytes] = []

    def parse(text: str | bytes) -> Any:
        asked.append(text)
        return orjson.loads(text)

    exact = Exact(parse)
    event_id, duration = "46073f31f2850612345678901234567890", 0.0008116004755000316
    text = json.dumps({"event_id": event_id, "duration": duration, "data": [-1.5, 10**17]})
    assert loads(text, json_loads=exact) == json.loads(text)
    image = json.dumps(["1" * 20_000, {"a": ",12345678901234567890"}])
    assert loads(image, json_loads=exact) == json.loads(image)
    assert loads(f"[{2**64}]", json_loads=exact) == [2**64]
    assert (len(asked), asked == [text, image]) == (2, True)
    assert (exact(b"[1]"), exact(str(2**64))) == ([1], 2**64)


def test_what_another_parser_cannot_read_is_read_by_our_own() -> None:
    def fail(text: str | bytes) -> Any:
        raise ValueError("wrong")

    assert loads("[1]", json_loads=fail) == [1]
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        loads("[", json_loads=fail)


# Writing


class Colour(enum.IntEnum):
    RED = 1


class Array:
    """Stands for what applications pass by mistake."""


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"a": [1, 2.5, True, None]}, b'{"a":[1,2.5,true,null]}'),
        ("ä€😀", '"ä€😀"'.encode()),
        ((1, (2,)), b"[1,[2]]"),
        ([Colour.RED], b"[1]"),
        (OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
        ({1: 2, None: 3, False: 4, 1.5: 5}, b'{"1":2,"null":3,"false":4,"1.5":5}'),
        (10**30, b"1" + b"0" * 30),
        ("\ud83d", rb'"\ud83d"'),
        ({"\udc80": "ä"}, rb'{"\udc80":"\u00e4"}'),
    ],
)
def test_values_are_written_compactly(value: object, written: bytes) -> None:
    assert dumps(value) == written


circle: list[Any] = []
circle.append({"a": circle})


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Array(), "Object of type Array is not JSON serializable"),
        ({"data": [{"x": Array()}]}, "Array is not JSON serializable at ['data'][0]['x']"),
        ({"data": [1, b"a"]}, "bytes is not JSON serializable at ['data'][1]"),
        ([{"a b": {1, 2}}], "set is not JSON serializable at [0]['a b']"),
        ({"ok": [None, "a", 1, 1.5, [], {}], "bad": 1j}, "complex is not JSON serializable at ['b"),
        ([(Array(),), float("nan")], "Array is not JSON serializable at [0][0]"),
        ([0, float("nan")], "Out of range float"),
        ({"a": float("-inf")}, "Out of range float"),
        ({"a": [{(1, 2): 2}]}, "tuple at ['a'][0]"),
        ({"a": 1, "b": circle}, "Circular reference"),
        ([10**5000], "digits"),
        (nested(100_000), "while encoding a JSON"),
    ],
)
def test_what_json_cannot_carry_is_refused_and_named(value: object, what: str) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        dumps(value)
    assert refused.value.message.startswith("This cannot be sent as JSON: ")
    assert what in refused.value.message


def test_nesting_may_be_as_deep_as_can_be_read() -> None:
    assert loads(dumps(nested(512))) == nested(512)


def test_an_exhausted_stack_is_reported_too() -> None:
    """Written whole or refused, however little of the stack is left. How much that takes differs:
    CPython 3.12 and later count the levels of JSON apart from the calls of functions."""
    value = nested(400)
    written = dumps(value)
    refused: list[Exception] = []

    def sink() -> None:
        try:
            sink()
        except RecursionError:  # at the bottom, and wherever that was still too deep
            try:
                assert dumps(value) == written
            except LocalProtocolError as error:
                refused.append(error)

    with contextlib.suppress(RecursionError):
        sink()
    assert all("recursion" in str(error) for error in refused)


@given(values)
def test_what_is_written_reads_as_the_same(value: object) -> None:
    assert repr(loads(dumps(value))) == repr(json.loads(dumps(value))) == repr(value)


def carries_what_json_cannot(value: object) -> bool:
    if isinstance(value, dict):
        return any(isinstance(key, bytes) for key in value) or any(
            map(carries_what_json_cannot, value.values())
        )
    if isinstance(value, list):
        return any(map(carries_what_json_cannot, value))
    return isinstance(value, bytes)


@given(
    st.recursive(
        scalars | st.just(b""), lambda x: st.lists(x) | st.dictionaries(scalars, x), max_leaves=8
    )
)
def test_a_value_is_written_exactly_or_refused(value: object) -> None:
    try:
        written = dumps(value)
    except LocalProtocolError:
        assert carries_what_json_cannot(value)
    else:
        assert written == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
            errors="surrogatepass"
        ) or json.loads(written) == json.loads(json.dumps(value))


@given(st.one_of(st.binary(), values.map(lambda value: json.dumps(value).encode())))
@example(b"[" * 21 + b"]" * 21)
@example(b"[" * 20 + b"1e999" + b"]" * 20)
@example(b'{"a":"\\ud800"}')
@example(b"1" * 5000)
@example(b" " * 10_001)
def test_the_fuzz_target_holds(data: bytes) -> None:
    target(data)


# Cases of others


TOO_LONG_TO_KEEP = {
    "n_structure_100000_opening_arrays.json": b"[" * 100_000,
    "n_structure_open_array_object.json": b'[{"":' * 50_000 + b"\n",
}


# Gradio servers before 4.24 send them.
NO_JSON_AND_READ_ALL_THE_SAME = {
    "n_number_NaN.json",
    "n_number_infinity.json",
    "n_number_minus_infinity.json",
}


def test_the_cases_of_others() -> None:
    cases = cases_of("json_testsuite.json")
    wrong: list[str] = []
    for case in cases:
        data = TOO_LONG_TO_KEEP.get(case["name"]) or base64.b64decode(case["bytes_b64"])
        target(data)
        try:
            loads(data)
        except RemoteProtocolError:
            outcome = "reject"
        else:
            outcome = "accept"
        must = "accept" if case["name"] in NO_JSON_AND_READ_ALL_THE_SAME else case["must"]
        if not must.startswith((outcome, "either")):
            wrong.append(f"{case['name']}: {outcome}")
    assert wrong == []
    assert len(cases) >= 318
