"""What clients send as JSON, and how a wrong body is answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.server.bodies import (
    Invalid,
    missing,
    read_fields,
    read_object,
    read_submission,
)
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.queue import Submission
from sansio_gradio.wire import json

LIMITS = ServerLimits()


def test_a_body_is_a_json_object() -> None:
    assert read_object(b'{"a": [1]}', LIMITS) == {"a": [1]}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 9999, b'{"a": NaN}'])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_object(body, LIMITS)
    assert [detail["type"] for detail in caught.value.detail] == ["json_invalid"]


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null"])
def test_what_is_no_object_is_told_so(body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read_object(body, LIMITS)
    assert caught.value.detail[0]["loc"] == ["body"]


def test_a_submission_takes_what_it_knows() -> None:
    said = {
        "data": [1],
        "fn_index": 2,
        "session_hash": "s",
        "event_id": "e",
        "event_data": {"any": "thing"},
        "trigger_id": 3,
        "batched": True,
    }
    assert read_submission(said) == Submission(
        data=[1],
        fn_index=2,
        session_hash="s",
        event_id="e",
        event_data={"any": "thing"},
        trigger_id=3,
    )
    assert read_submission({"data": [], "fn_index": None}) == Submission(data=[])


def details(said: Any, **how: bool) -> list[tuple[str, Any, Any]]:
    with pytest.raises(Invalid) as caught:
        read_submission(said, **how)
    return [(d["type"], d["loc"][-1], d["input"]) for d in caught.value.detail]


def test_everything_that_is_wrong_with_a_submission_is_told_at_once() -> None:
    said = {"data": "x", "fn_index": True, "session_hash": 1, "trigger_id": [2]}
    assert details(said) == [
        ("list_type", "data", None),
        ("int_type", "fn_index", True),
        ("string_type", "session_hash", 1),
        ("int_type", "trigger_id", None),
    ]
    assert details({}) == [("missing", "data", None)]
    assert read_submission({}, data_required=False) == Submission()


def test_fields_that_must_be_there() -> None:
    wanted = {"session_hash": str, "fn_index": int}
    said = {"session_hash": "s", "fn_index": 1, "more": 2}
    assert read_fields(said, wanted) == {"session_hash": "s", "fn_index": 1}
    with pytest.raises(Invalid) as caught:
        read_fields({"session_hash": None}, wanted)
    assert caught.value.detail == [
        {
            "type": "string_type",
            "loc": ["body", "session_hash"],
            "msg": "Input should be a valid string",
            "input": None,
        },
        missing("body", "fn_index"),
    ]


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["data", "fn_index", "session_hash", "x"]), jsons))
def test_whatever_is_wrong_can_be_told(said: dict[str, Any]) -> None:
    try:
        read_submission(said)
    except Invalid as invalid:
        json.dumps(invalid.detail)
