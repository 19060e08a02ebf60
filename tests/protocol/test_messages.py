"""What the queue says is checked where the core reads it, and kept as it is elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.messages import Message, output_data, parse_message
from tests.support import transcripts

SAMPLES: dict[str, Any] = {
    "null": None,
    "bool": False,
    "int": 0,
    "float": 0.5,
    "str": "",
    "list": [],
    "dict": {},
}

# What servers send in each key (docs/protocol/fields.md#messages), null where some do.
KINDS = {
    "msg": {"str"},
    "output": {"dict"},
    "event_id": {"str", "null"},
    "rank": {"int", "null"},
    "rank_eta": {"float", "int", "null"},
    "queue_size": {"int"},
    "success": {"bool"},
    "progress_data": {"list", "null"},
    "log": {"str"},
    "level": {"str"},
    "title": {"str", "null"},
    "duration": {"float", "int", "null"},
    "visible": {"bool"},
    "message": {"str"},
    "session_not_found": {"bool"},
    "time_limit": {"float", "int", "null"},
    "eta": {"float", "int", "null"},
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
some_messages = st.dictionaries(
    st.sampled_from(sorted(KINDS)) | st.text(max_size=5), json_values, max_size=6
)


def recorded_messages(version: str) -> Iterator[dict[str, Any]]:
    """Every message of the queue that a server of *version* sent, WebSocket or event stream."""
    for scenario in transcripts.scenarios(version):
        for exchange in transcripts.load(version, scenario).expected["exchanges"]:
            for message in [*exchange.get("messages", ()), *exchange.get("received", ())]:
                if "event" not in message and "raw" not in message:  # /call, /heartbeat
                    yield message


@pytest.mark.parametrize("version", [v for v in transcripts.versions() if v != "3.1.4"])
def test_what_real_servers_say_passes_unchanged(version: str) -> None:
    count = 0
    for message in recorded_messages(version):
        assert parse_message(json.dumps(message), strict=True) == message
        count += 1
    assert count > 50


def test_all_keys_that_are_read_are_known() -> None:
    assert set(Message.__annotations__) == set(KINDS)


@pytest.mark.unmeasured
@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_key_that_is_read_has_its_type_or_is_dropped(key: str, kind: str) -> None:
    text = json.dumps({"before": 1, key: SAMPLES[kind], "after": 2})
    anomalies: list[str] = []
    message = parse_message(text, on_anomaly=anomalies.append)
    if kind in KINDS[key]:
        assert dict(message) == json.loads(text)
        assert anomalies == []
        assert parse_message(text, strict=True) == message
    elif kind != "null":  # a null says nothing, and nothing is what it is read as
        assert dict(message) == {"before": 1, "after": 2}
        assert len(anomalies) == 1
        assert repr(key) in anomalies[0]
        with pytest.raises(RemoteProtocolError, match=repr(key)):
            parse_message(text, strict=True)


@pytest.mark.parametrize("units", [[1], [{}, None], [{}, []], ["x"]])
def test_progress_is_a_list_of_objects(units: list[Any]) -> None:
    text = json.dumps({"msg": "progress", "progress_data": units})
    assert parse_message(text) == {"msg": "progress"}
    with pytest.raises(RemoteProtocolError, match="progress_data"):
        parse_message(text, strict=True)
    assert parse_message('{"progress_data":[{},{"index":1}]}', strict=True) == {
        "progress_data": [{}, {"index": 1}]
    }


def test_every_wrong_key_is_told() -> None:
    anomalies: list[str] = []
    text = '{"msg":1,"rank":"x","progress_data":[1],"output":[],"else":true}'
    assert parse_message(text, on_anomaly=anomalies.append) == {"else": True}
    assert len(anomalies) == 4


def test_what_is_told_of_a_wrong_value_is_short() -> None:
    anomalies: list[str] = []
    parse_message('{"msg":["x",1]}', on_anomaly=anomalies.append)
    assert "['x', 1]" in anomalies.pop()
    parse_message(json.dumps({"msg": ["x" * 10_000]}), on_anomaly=anomalies.append)
    assert "['xxx" in anomalies[0]
    assert len(anomalies[0]) < 100
    with pytest.raises(RemoteProtocolError) as raised:
        parse_message(json.dumps(["x" * 10_000]))
    assert len(str(raised.value)) < 150


def test_a_server_of_tomorrow_is_understood() -> None:
    text = '{"msg":"brand_new","event_id":"e","detail":{"deep":[1,{"x":null}]},"n":1e3}'
    assert parse_message(text, strict=True) == json.loads(text)


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", "true", "", "{", "ALIVE"])
def test_what_is_no_object_is_refused(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(RemoteProtocolError):
            parse_message(form)


def test_bytes_are_utf_8() -> None:
    assert parse_message('{"log":"é"}'.encode()) == parse_message('{"log":"é"}') == {"log": "é"}
    with pytest.raises(RemoteProtocolError):
        parse_message('{"log":"é"}'.encode("latin-1"))


def test_size_and_depth_are_bounded() -> None:
    text = '{"output":{"data":[[]]}}'
    assert parse_message(text, limits=Limits(message=len(text), json_depth=4))
    with pytest.raises(RemoteProtocolError, match="limit"):
        parse_message(text, limits=Limits(message=len(text) - 1))
    with pytest.raises(RemoteProtocolError, match="deep"):
        parse_message(text, limits=Limits(json_depth=3))


def test_another_json_parser_may_do_the_work() -> None:
    text = '{"msg":"log","log":"x","rank":true}'
    assert parse_message(text, json_loads=orjson.loads) == parse_message(text)
    with pytest.raises(RemoteProtocolError):
        parse_message("{", json_loads=orjson.loads)
    assert parse_message(text, json_loads=lambda text: {"seen": text}) == {"seen": text}


@given(st.text() | st.binary())
def test_any_text_is_a_message_or_refused(text: str | bytes) -> None:
    try:
        message = parse_message(text)
    except RemoteProtocolError:
        return
    assert dict(message) == json.loads(text)


@given(some_messages)
def test_strict_is_an_error_exactly_where_tolerance_drops_something(said: dict[str, Any]) -> None:
    anomalies: list[str] = []
    text = json.dumps(said)
    message = parse_message(text, on_anomaly=anomalies.append)
    whole = json.loads(text)
    assert list(message.items()) == [pair for pair in whole.items() if pair[0] in message]
    assert len(anomalies) == len(whole) - len(message)
    assert whole.keys() - message.keys() <= KINDS.keys()
    if anomalies:
        with pytest.raises(RemoteProtocolError):
            parse_message(text, strict=True)
    else:
        assert parse_message(text, strict=True) == message


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ({"output": {"data": [1, None]}}, [1, None]),
        ({"output": {"data": []}}, []),
        ({"output": {"data": {"x": 1}}}, None),
        ({"output": {"data": "text"}}, None),
        ({"output": {"error": None}}, None),
        ({"output": {}}, None),
        ({"output": None}, None),
        ({}, None),
    ],
)
def test_the_data_of_an_output_is_a_list_or_missing(message: Any, data: list[Any] | None) -> None:
    assert output_data(message) == data
