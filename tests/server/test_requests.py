"""What clients send as JSON, and how a wrong body is answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Refusal, Request, Submission, read_submission
from sansio_gradio.wire import json

LIMITS = ServerLimits()


def detail(refusal: Refusal) -> Any:
    status, body = refusal.args
    assert status == 422
    return body["detail"]


def test_a_body_that_is_not_there_is_missed() -> None:
    with pytest.raises(Refusal) as caught:
        read_submission(b"", LIMITS)
    assert [one["loc"] for one in detail(caught.value)] == [["body"]]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 9999])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_submission(body, LIMITS)
    assert [one["type"] for one in detail(caught.value)] == ["json_invalid"]


def test_a_body_may_be_as_long_as_the_limit() -> None:
    assert read_submission(b"{}", ServerLimits(request=2)) == Submission()
    with pytest.raises(Refusal):
        read_submission(b"{ }", ServerLimits(request=2))


@pytest.mark.parametrize("body", [b"[]", '"x"', b"1", "null"])
def test_what_is_no_object_is_told_so(body: bytes | str) -> None:
    with pytest.raises(Refusal) as caught:
        read_submission(body, LIMITS)
    assert detail(caught.value)[0]["loc"] == ["body"]


def submission(said: Any, *required: str) -> Submission:
    return read_submission(json.dumps(said), LIMITS, *required)


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
    assert submission(said) == Submission(
        data=[1],
        fn_index=2,
        session_hash="s",
        event_id="e",
        event_data={"any": "thing"},
        trigger_id=3,
    )
    assert submission({"data": [], "fn_index": None}) == Submission(data=[])


def details(said: Any, *required: str) -> list[tuple[str, Any, Any]]:
    with pytest.raises(Refusal) as caught:
        submission(said, *required)
    return [(one["type"], one["loc"][-1], one["input"]) for one in detail(caught.value)]


def test_everything_that_is_wrong_with_a_submission_is_told_at_once() -> None:
    said = {"data": "x", "fn_index": True, "session_hash": 1, "trigger_id": [2]}
    assert details(said) == [
        ("list_type", "data", None),
        ("int_type", "fn_index", True),
        ("string_type", "session_hash", 1),
        ("int_type", "trigger_id", None),
    ]


def test_what_must_be_there_must_be_something() -> None:
    assert details({}, "data") == [("missing", "data", None)]
    assert details({"data": None, "event_id": None}, "data") == [("list_type", "data", None)]
    assert submission({}) == Submission()
    wrong = {"session_hash": None, "trigger_id": ""}
    assert details(wrong, "session_hash", "fn_index") == [
        ("missing", "fn_index", None),
        ("string_type", "session_hash", None),
        ("int_type", "trigger_id", None),
    ]


def test_what_a_route_has_no_field_for_is_not_looked_at() -> None:
    body = b'{"data":1,"event_id":"e"}'
    assert read_submission(body, LIMITS, fields=["event_id"]) == Submission(event_id="e")


def asked(target: str, *headers: tuple[str, str]) -> Request:
    return Request(1, "GET", target, headers, b"")


def test_the_parts_of_a_target() -> None:
    request = asked("/a/b?x=1&y=&x=%C3%BC")
    assert (request.path, request.asked("x"), request.asked("y")) == ("/a/b", "ü", "")
    with pytest.raises(Refusal) as caught:
        request.asked("z")
    assert detail(caught.value)[0]["loc"] == ["query", "z"]
    assert asked("/a").query == {}


def test_the_address_that_the_client_used() -> None:
    assert asked("/").root == "http://localhost"
    assert asked("/", ("host", "app.example")).root == "http://app.example"
    proxied = (("x-forwarded-proto", "https"), ("x-forwarded-host", "out.example"))
    assert asked("/", ("host", "app.example"), *proxied).root == "https://out.example"


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["data", "fn_index", "session_hash", "x"]), jsons))
def test_whatever_is_wrong_can_be_told(said: dict[str, Any]) -> None:
    try:
        submission(said)
    except Refusal as refusal:
        json.dumps(detail(refusal))
