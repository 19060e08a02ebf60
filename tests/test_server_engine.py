"""The server in bytes: recorded clients get from it what they got from real servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from served import replay
from transcripts import load, recordings

# What differs from run to run of the same server.
TIMES = {
    "duration",
    "average_duration",
    "cache_duration",
    "avg_time",
    "rank_eta",
    "eta",
    "queue_eta",
    "avg_event_process_time",
    "avg_event_concurrent_process_time",
    "time_limit",
}

NOT_SERVED = {
    "auth": "there is no login yet",
    "batched": "there are no batches",
    "after_batched_queue_dead": "there are no batches",
    "call_rest": "/call is another way to the same functions",
    "config": "documents are compared in test_server_documents.py",
    "file": "there are no files yet",
    "http_unqueued": "it calls the batched function, too; see test_server_conversation.py",
    "upload_progress": "there are no files yet",
}
RACES = "whether a job that takes no time has left the line already was a matter of milliseconds"
HIDDEN = "these servers did not notice that a client had left (PROTOCOL.md 3.3)"
OTHERWISE = {
    ("3.1.7", "chat"): "there were no generators",
    ("3.1.7", "concurrent"): "there were no generators",
    ("3.4.1", "bad_requests"): "the server lost jobs that were asked for their data early",
    ("3.4.1", "cancel"): "the server asked for data before it was the job's turn",
    ("3.4.1", "concurrent"): "the server lost jobs that were asked for their data early",
    ("3.4.1", "error_in_generator_hidden"): "the server completed failing generators",
    ("3.4.1", "error_in_generator_shown"): "the server completed failing generators",
    ("3.16.2", "cancel"): "/reset started the generator anew",
    ("3.16.2", "concurrent"): "jobs of one function shared a generator",
    ("3.16.2", "progress"): "the end of a loop was told, too",
    ("3.50.2", "cancel"): "/reset started the generator anew",
    ("3.50.2", "concurrent"): "jobs of one function shared a generator",
    ("4.0.2", "concurrent"): RACES,
    ("4.16.0", "bad_requests"): RACES,
    ("4.16.0", "stream_reconnect"): "the last message fell between the client's end and the check",
    ("4.19.2", "bad_requests"): RACES,
    ("4.19.2", "cancel_dependency"): "the generator was faster than its cancellation",
    ("4.19.2", "concurrent"): RACES,
    ("4.19.2", "disconnect_then_new_job_same_session"): HIDDEN,
    ("4.19.2", "stream_reconnect"): HIDDEN,
    ("4.21.0", "bad_requests"): RACES,
    ("4.21.0", "disconnect_then_new_job_same_session"): HIDDEN,
    ("4.21.0", "stream_reconnect"): HIDDEN,
    ("4.29.0", "bad_requests"): RACES,
    ("4.29.0", "concurrent"): RACES,
    ("6.31.0", "cancel_queued_event"): "the server ran the cancelled job",
}
REPLAYED = [
    (version, name)
    for version, name in recordings()
    if version != "3.1.4" and name not in NOT_SERVED and (version, name) not in OTHERWISE
]


def masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: "a time" if key in TIMES else masked(item)
            for key, item in value.items()
            if key != "url"  # of pydantic's documentation, which names pydantic's version
        }
    return [masked(item) for item in value] if isinstance(value, list) else value


def text(value: Any) -> str:
    """JSON, which keeps the order of keys and tells 1 from 1.0 and True."""
    return json.dumps(masked(value))


def by_event(messages: list[Any]) -> list[str]:
    """Each event's messages in order: how those of two events mix is a matter of milliseconds."""
    return [text(m) for m in sorted(messages, key=lambda m: str(m.get("event_id")))]


@pytest.mark.parametrize(("version", "name"), REPLAYED)
def test_a_recorded_client_gets_what_the_real_server_sent(version: str, name: str) -> None:
    recording = load(version, name)
    seen = replay(recording)
    assert recording.expected["exchanges"]
    for exchange in recording.expected["exchanges"]:
        if exchange["target"].endswith("/upload"):
            continue  # there are no files yet
        got = seen[exchange["conn"]]
        assert got.status == exchange["status"], exchange["target"]
        if exchange.get("ws"):
            assert list(map(text, got.messages)) == list(map(text, exchange["received"]))
            if exchange["close"] is not None:  # else the client left first
                assert got.close == exchange["close"]
            continue
        assert got.content_type == exchange["content_type"]
        if "messages" in exchange:
            assert by_event(got.messages) == by_event(exchange["messages"])
            assert got.complete == exchange["complete"]
        elif "response_json" in exchange:
            assert text(got.body) == text(exchange["response_json"])


def test_what_is_not_replayed_has_its_reason() -> None:
    known = recordings()
    assert set(OTHERWISE) <= set(known)
    assert set(NOT_SERVED) <= {name for _, name in known}
    assert len(REPLAYED) > 130
