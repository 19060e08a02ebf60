"""Answers to polls and events of calls mean what the queue says in messages."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.dialects import of_call, of_poll
from sansio_gradio.protocol.states import Msg
from sansio_gradio.wire.json import dumps
from tests.support import transcripts

OLD, NEW = (6, 12, 0), (6, 13, 0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": "QUEUED", "data": 3}, {"msg": "estimation", "rank": 3}),
        ({"status": "QUEUED", "data": None}, {"msg": "estimation", "rank": None}),
        ({"status": "QUEUED", "data": True}, {"msg": "estimation", "rank": None}),
        ({"status": "PENDING", "data": None}, {"msg": "process_starts"}),
        ({"status": "NOT FOUND", "data": None}, None),
        (
            {"status": "COMPLETE", "data": {"data": [1], "duration": 0.1}},
            {
                "msg": "process_completed",
                "output": {"data": [1], "duration": 0.1},
                "success": True,
            },
        ),
    ],
)
def test_the_answer_to_a_poll_is_a_message(answer: Any, message: Any) -> None:
    assert of_poll(answer) == message
    assert message is None or dumps(message)  # of plain strings


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Internal Server Error", "Internal Server Error"),
        ('{"error":"valueboom: x"}', "valueboom: x"),
        ('{"error":null}', None),
        ('{"detail":"x"}', '{"detail":"x"}'),
        ('["error"]', '["error"]'),
        (None, None),
    ],
)
def test_a_failed_job_says_why_in_text_or_in_json_within_the_text(
    text: str | None, error: str | None
) -> None:
    said = of_poll({"status": "FAILED", "data": text})
    assert said == {"msg": "process_completed", "output": {"error": error}, "success": False}


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"status": "DONE"}, {"status": "COMPLETE", "data": None}, {"status": 1}],
)
def test_what_is_no_answer_to_a_poll_is_an_error(answer: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="poll"):
        of_poll(answer)


@pytest.mark.parametrize(
    ("event", "data", "message"),
    [
        ("heartbeat", None, None),
        (
            "generating",
            ["a"],
            {
                "msg": "process_generating",
                "output": {"data": ["a"], "is_generating": True},
                "success": True,
            },
        ),
        (
            "complete",
            [1, 2],
            {"msg": "process_completed", "output": {"data": [1, 2]}, "success": True},
        ),
        ("complete", None, {"msg": "process_completed", "output": {}, "success": True}),
        (
            "error",
            {"error": "no", "title": "Oh"},
            {
                "msg": "process_completed",
                "output": {"error": "no", "title": "Oh"},
                "success": False,
            },
        ),
        (
            "error",
            "404: Not Found",
            {"msg": "unexpected_error", "message": "404: Not Found", "success": False},
        ),
    ],
)
def test_an_event_of_a_call_is_a_message(event: str, data: Any, message: Any) -> None:
    assert of_call(event, json.dumps(data), NEW) == message
    assert message is None or dumps(message)


def test_errors_that_a_server_loses_are_told_as_such() -> None:
    def error(version: tuple[int, ...]) -> Any:
        message: Any = of_call("error", "null", version)
        assert message["success"] is False
        return message["output"]["error"]

    assert error(NEW) is error(()) is None
    assert "6.13" in error(OLD)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("generating", "null"),
        ("generating", "{}"),
        ("complete", "{}"),
        ("error", "[]"),
        ("complete", "[1"),
    ],
)
def test_what_is_no_event_of_a_call_is_an_error(event: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        of_call(event, text, NEW)


@pytest.mark.parametrize("event", ["message", "", "log", "process_completed", "x" * 1000])
def test_an_event_of_a_later_server_is_a_message_of_an_unknown_kind(event: str) -> None:
    message: Any = of_call(event, "no JSON", NEW)
    assert message["msg"] not in set(Msg)
    assert message == {"msg": f"/call: {event}"[:37], "data": "no JSON"}


def test_what_a_heartbeat_says_is_not_read() -> None:
    assert of_call("heartbeat", "no JSON", NEW) is None


def test_all_recorded_polls_and_events_are_understood() -> None:
    polls = events = 0
    for version, scenario in transcripts.recordings():
        numbers = tuple(map(int, version.split(".")))
        for exchange in transcripts.load(version, scenario).expected["exchanges"]:
            if exchange["target"] == "/api/queue/status/":
                polls += 1
                of_poll(exchange["response_json"])
            elif "/call/" in exchange["target"] and "messages" in exchange:
                for said in exchange["messages"]:
                    events += 1
                    of_call(said["event"], json.dumps(said["data"]), numbers)
    assert (polls, events) == (187, 87)


# Whatever a server says


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)
statuses = st.sampled_from(["QUEUED", "PENDING", "COMPLETE", "FAILED", "NOT FOUND", "?"])
kinds = st.sampled_from(["generating", "complete", "error", "heartbeat", "message", ""])


@given(st.fixed_dictionaries({"status": statuses | anything}, optional={"data": anything}))
def test_any_answer_to_a_poll_is_a_message_or_an_error(answer: Any) -> None:
    with contextlib.suppress(RemoteProtocolError):
        message = of_poll(answer)
        assert message is None or message.get("msg") in TERMINAL | {"estimation", "process_starts"}


@given(kinds, anything.map(json.dumps) | st.text(), st.sampled_from([OLD, NEW, ()]))
def test_any_event_is_a_message_or_an_error(
    event: str, text: str, version: tuple[int, ...]
) -> None:
    with contextlib.suppress(RemoteProtocolError):
        message = of_call(event, text, version)
        known = TERMINAL | {"process_generating", f"/call: {event}"}
        assert message is None or message.get("msg") in known


TERMINAL = {"process_completed", "unexpected_error"}
