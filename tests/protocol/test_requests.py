"""What a client says, compared with what the recorder said to real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.protocols import KNOWN, Channel, Handover, Naming, Traits
from sansio_gradio.protocol.requests import HTTPRequest, TextFrame, data_frame, send_data_frame
from sansio_gradio.testing.talk import body_of
from sansio_gradio.wire.json import loads
from tests.support import transcripts

JSON = ("content-type", "application/json")
EVENTS = ("accept", "text/event-stream")

# The version of each protocol in the recordings, and how many of the recorder's frames hand data
# over, at least.
RECORDED = [
    *(("push", "3.1.4"), ("ws", "3.1.7"), ("ws", "3.4.1"), ("ws", "3.16.2"), ("ws", "3.50.2")),
    *(("sse", "4.0.2"), ("sse_v1", "4.16.0"), ("sse_v2", "4.19.2"), ("sse_v2.1", "4.21.0")),
    *(("sse_v3", "4.29.0"), ("sse_v3", "4.44.1"), ("sse_v3", "6.31.0")),
]
PATHS = {"push": "api/queue/push/", "sse": "queue/data"}
IDENTITY = {"fn_index", "session_hash", "event_id"}


@attrs.frozen
class Said:
    """A request of the recorder; the target relative to the app's base."""

    method: str
    target: str
    body: Any
    status: int

    @property
    def path(self) -> str:
        return self.target.split("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@cache
def said(version: str) -> list[Said]:
    return [
        Said(
            exchange["method"],
            exchange["target"].removeprefix("/gradio_api").removeprefix("/"),
            exchange.get("request_json"),
            exchange["status"],
        )
        for scenario in transcripts.scenarios(version)
        for exchange in transcripts.load(version, scenario).expected["exchanges"]
        if "method" in exchange
    ]


def frames(version: str) -> Iterator[dict[str, Any]]:
    """Every JSON frame that the recorder sent on a WebSocket."""
    for scenario in transcripts.scenarios(version):
        for exchange in transcripts.load(version, scenario).expected["exchanges"]:
            yield from (frame for frame in exchange.get("sent", ()) if "raw" not in frame)


def handovers(protocol: str, version: str) -> list[dict[str, Any]]:
    """The bodies in which the recorder handed the data of a job over."""
    if protocol == "ws":
        bodies = list(frames(version))
    else:
        path = PATHS.get(protocol, "queue/join")
        bodies = [s.body for s in said(version) if (s.method, s.path) == ("POST", path)]
    return [body for body in bodies if body and "data" in body and "fn_index" in body]


@pytest.mark.parametrize(("protocol", "version"), RECORDED)
def test_a_jobs_data_is_handed_over_as_the_recorder_did(protocol: str, version: str) -> None:
    bodies = handovers(protocol, version)
    assert len(bodies) > 10
    for body in bodies:
        data = {k: v for k, v in body.items() if k not in IDENTITY and k != "action"}
        identity = {k: v for k, v in body.items() if k in IDENTITY}
        frame = send_data_frame(protocol, data, identity)
        if protocol == "ws":
            assert isinstance(frame, TextFrame)
            assert json.loads(frame.text) == body
        else:
            assert isinstance(frame, HTTPRequest)
            assert (frame.method, frame.target) == ("POST", PATHS.get(protocol, "queue/join"))
            assert frame.headers == (JSON,)
            assert json.loads(body_of(frame)) == body


@pytest.mark.parametrize("protocol", KNOWN)
def test_the_identity_counts_more_than_what_the_data_says(protocol: str) -> None:
    frame = send_data_frame(protocol, {"data": [1], "fn_index": 1, "x": 2}, {"fn_index": 3})
    body = json.loads(frame.text if isinstance(frame, TextFrame) else body_of(frame))
    body.pop("action", None)
    assert body == {"data": [1], "fn_index": 3, "x": 2}


@pytest.mark.parametrize("protocol", ["sse_v4", "", "WS", "http"])
def test_a_protocol_that_there_is_not_is_a_value_error(protocol: str) -> None:
    with pytest.raises(ValueError, match="no such protocol"):
        send_data_frame(protocol, {"data": []}, {})


@pytest.mark.parametrize("protocol", KNOWN)
def test_data_that_is_no_json_is_the_callers_mistake(protocol: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"\['data'\]\[0\]"):
        send_data_frame(protocol, {"data": [object()]}, {})


@pytest.mark.parametrize("protocol", KNOWN)
def test_headers_of_one_request_go_with_it(protocol: str) -> None:
    given = {"X-Ip-Token": "t ", "Content-Type": "application/json"}
    frame = send_data_frame(protocol, {"data": []}, {}, given)
    if isinstance(frame, HTTPRequest):
        assert frame.headers == (JSON, ("x-ip-token", "t"))
    assert given == {"X-Ip-Token": "t ", "Content-Type": "application/json"}


@pytest.mark.parametrize("protocol", KNOWN)
@pytest.mark.parametrize("bad", [{"a": "x\r\ny: z"}, {"a\nb": "x"}, {"Content-Length": "5"}])
def test_no_header_is_smuggled_into_a_frame(protocol: str, bad: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        send_data_frame(protocol, {"data": []}, {}, bad)


def test_a_frame_of_any_row_of_the_table_follows_from_its_traits() -> None:
    for channel, handover, naming, diffs in product(Channel, Handover, Naming, (False, True)):
        row = Traits(
            channel=channel, handover=handover, naming=naming, diffs=diffs, close_stream=diffs
        )
        frame = data_frame(row, {"data": []})
        if channel is Channel.WEBSOCKET:
            assert isinstance(frame, TextFrame)
            continue
        assert isinstance(frame, HTTPRequest)
        if channel is Channel.POLL:
            assert frame.target == "api/queue/push/"
        else:
            asked = handover is Handover.ASKED
            assert frame.target == ("queue/data" if asked else "queue/join")


# The other requests


@pytest.mark.parametrize("version", ["3.16.2", "3.50.2"])
def test_who_we_are_is_told_as_the_recorder_told_it(version: str) -> None:
    told = [frame for frame in frames(version) if "data" not in frame]
    for frame in told:
        text = requests.hash_frame(frame["fn_index"], frame["session_hash"]).text
        assert json.loads(text) == frame
    assert len(told) > 15


def test_a_jobs_socket_is_where_the_recorder_opened_it() -> None:
    for version in ("3.4.1", "3.50.2"):
        (target,) = {
            exchange["target"]
            for scenario in transcripts.scenarios(version)
            for exchange in transcripts.load(version, scenario).expected["exchanges"]
            if exchange.get("ws") and exchange["status"] == 101
        }
        socket = requests.job_socket((("x", "y"),))
        assert socket == HTTPRequest("GET", target.removeprefix("/"), (("x", "y"),))


@pytest.mark.parametrize("version", [v for p, v in RECORDED if p.startswith("sse_v")])
def test_a_sessions_stream_is_asked_for_as_the_recorder_did(version: str) -> None:
    asked = [s for s in said(version) if (s.method, s.path) == ("GET", "queue/data") and s.query]
    for one in asked:
        (session_hash,) = one.query["session_hash"]
        request = requests.session_stream(session_hash)
        assert request == HTTPRequest("GET", one.target, (EVENTS,))
    assert len(asked) > 15


def test_a_jobs_stream_is_asked_for_as_the_recorder_did() -> None:
    asked = [
        s for s in said("4.0.2") if (s.method, s.path) == ("GET", "queue/join") and s.status == 200
    ]
    for one in asked:
        data = json.loads(one.query["data"][0]) if "data" in one.query else None
        fn_index, session_hash = int(one.query["fn_index"][0]), one.query["session_hash"][0]
        request = requests.job_stream(fn_index, session_hash, data, (("x", "y"),))
        assert Said("GET", request.target, None, 200).query == {
            **one.query,
            **({} if data is None else {"data": [json.dumps(data, separators=(",", ":"))]}),
        }
        assert request.target.startswith("queue/join?fn_index=")
        assert (request.method, request.headers) == ("GET", (EVENTS, ("x", "y")))
        assert request.body is None
    assert len(asked) > 15
    with_data = requests.job_stream(1, "s", ["é", None])
    assert Said("GET", with_data.target, None, 200).query["data"] == ['["é",null]']


@pytest.mark.parametrize("version", ["4.44.1", "6.31.0"])
def test_a_job_is_cancelled_as_the_recorder_did(version: str) -> None:
    asked = [s for s in said(version) if s.path == "cancel"]
    for one in asked:
        request = requests.cancel(**one.body)
        assert (request.method, request.target, request.headers) == (one.method, "cancel", (JSON,))
        assert json.loads(body_of(request)) == one.body
    assert asked


@pytest.mark.parametrize("version", ["4.0.2", "4.16.0", "4.29.0"])
def test_a_job_is_reset_as_the_recorder_did(version: str) -> None:
    asked = [s for s in said(version) if s.path == "reset"]
    for one in asked:
        request = requests.reset(one.body["event_id"])
        assert (request.method, request.target, request.headers) == (one.method, "reset", (JSON,))
        # The recorder also said what 3.x wants to know.
        assert json.loads(body_of(request)) == {"event_id": one.body["event_id"]}
    assert asked


@pytest.mark.parametrize(
    ("version", "target"),
    [
        ((3, 50, 2), None),
        ((4, 0), "reset"),
        ((4, 30), "reset"),
        ((4, 31), "cancel"),
        ((6, 31), "cancel"),
        ((), "cancel"),
    ],
)
def test_each_server_stops_a_job_in_its_way(version: tuple[int, ...], target: str | None) -> None:
    request = requests.stop(version, "s", 1, "e")
    assert (request and request.target) == target
    assert requests.stop(version, "s", 1, None) is None


def test_a_plain_call_is_made_as_the_recorder_did() -> None:
    # By fn_index, which every version from 3.1.4 to 6.31.0 answers at this path.
    for version in transcripts.versions():
        asked = [s for s in said(version) if s.path == "api/predict" and s.status == 200]
        for one in asked:
            request = requests.plain_call(one.body, (("x", "y"), ("content-type", "no")))
            assert (request.method, request.target) == (one.method, one.target)
            assert request.headers == (JSON, ("x", "y"))
            assert json.loads(body_of(request)) == one.body
        assert asked


def test_a_streaming_input_is_fed_as_the_recorder_did() -> None:
    asked = [s for s in said("6.31.0") if s.path.startswith("stream/") and s.status == 200]
    for one in asked:
        event_id = one.path.split("/")[1]
        request = requests.next_chunk(event_id, one.body)
        assert (request.method, request.target) == (one.method, one.target)
        if one.body is None:
            assert (request.headers, request.body) == ((), None)
        else:
            assert request.headers == (JSON,)
            assert json.loads(body_of(request)) == one.body
    assert {s.body is None for s in asked} == {True, False}


def test_the_heartbeat_is_opened_as_the_recorder_did() -> None:
    asked = [s for s in said("6.31.0") if s.path.startswith("heartbeat/")]
    for one in asked:
        session_hash = one.path.split("/")[1]
        assert requests.heartbeat(session_hash) == HTTPRequest("GET", one.target, (EVENTS,))
    assert asked


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_no_name_changes_where_a_request_goes(name: str) -> None:
    targets = [
        requests.session_stream(name).target,
        requests.job_stream(0, name, [name]).target,
        requests.heartbeat(name).target,
        requests.next_chunk(name, {}).target,
        requests.next_chunk(name, None).target,
    ]
    for target in targets:
        assert target.isascii()
        assert target.isprintable()
        assert " " not in target
        assert "#" not in target
    paths = [target.split("?")[0].split("/") for target in targets]
    assert [len(path) for path in paths] == [2, 2, 2, 2, 3]
    assert parse_qs(urlsplit(targets[0]).query, keep_blank_values=True) == {"session_hash": [name]}
    assert parse_qs(urlsplit(targets[1]).query, keep_blank_values=True) == {
        "fn_index": ["0"],
        "session_hash": [name],
        "data": [json.dumps([name], ensure_ascii=False, separators=(",", ":"))],
    }


@given(st.sampled_from(KNOWN), st.text(max_size=5), st.text(max_size=5))
def test_whatever_is_said_arrives(protocol: str, key: str, value: str) -> None:
    frame = send_data_frame(protocol, {"data": [{key: value}]}, {"session_hash": value})
    text = frame.text.encode() if isinstance(frame, TextFrame) else body_of(frame)
    assert json.loads(text)["data"] == [{key: value}]
    assert json.loads(text)["session_hash"] == value
    assert b"\n" not in text
    assert isinstance(loads(text), dict)
