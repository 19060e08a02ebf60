"""The table of protocols says what the map of docs/protocol.md and the recordings say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import attrs
import pytest

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import (
    KNOWN,
    NEWEST,
    PROTOCOLS,
    Channel,
    Handover,
    Naming,
    Protocol,
    Traits,
    detect,
    traits_of,
)
from tests.support import transcripts

# docs/protocol.md#map: the first and the last version of each, and what it announces.
MAP: list[tuple[str, str, str, str | None]] = [
    ("push", "3.0", "3.1.4", None),
    ("ws", "3.1.5", "3.50.2", None),
    ("sse", "4.0.0", "4.8.0", "sse"),
    ("sse_v1", "4.9.0", "4.16.0", "sse_v1"),
    ("sse_v2", "4.17.0", "4.20.1", "sse_v2"),
    ("sse_v2.1", "4.21.0", "4.21.0", "sse_v2.1"),
    ("sse_v3", "4.22.0", "6.31.0", "sse_v3"),
]
# docs/protocol.md#map, in the words of the table.
TABLE = {
    "push": (Channel.POLL, Handover.JOINING, Naming.JOIN_ANSWER, False, False),
    "ws": (Channel.WEBSOCKET, Handover.ASKED, Naming.NOWHERE, False, False),
    "sse": (Channel.JOB_STREAM, Handover.ASKED, Naming.SEND_DATA, False, False),
    "sse_v1": (Channel.SESSION_STREAM, Handover.JOINING, Naming.JOIN_ANSWER, False, False),
    "sse_v2": (Channel.SESSION_STREAM, Handover.JOINING, Naming.JOIN_ANSWER, True, False),
    "sse_v2.1": (Channel.SESSION_STREAM, Handover.JOINING, Naming.JOIN_ANSWER, True, False),
    "sse_v3": (Channel.SESSION_STREAM, Handover.JOINING, Naming.JOIN_ANSWER, True, True),
}
SPOKEN = {
    "3.1.4": "push",
    "3.1.7": "ws",
    "3.4.1": "ws",
    "3.16.2": "ws",
    "3.50.2": "ws",
    "4.0.2": "sse",
    "4.16.0": "sse_v1",
    "4.19.2": "sse_v2",
    "4.21.0": "sse_v2.1",
    "4.29.0": "sse_v3",
    "4.44.1": "sse_v3",
    "6.31.0": "sse_v3",
}


def test_there_are_seven_protocols_in_order_of_age() -> None:
    assert list(get_args(Protocol)) == [name for name, *_ in MAP]
    assert list(PROTOCOLS) == list(KNOWN) == [name for name, *_ in MAP]
    assert MAP[-1][0] == NEWEST


@pytest.mark.parametrize("name", KNOWN)
def test_the_table_has_the_traits_of_the_specification(name: str) -> None:
    assert attrs.astuple(traits_of(name)) == TABLE[name]
    assert traits_of(name) is PROTOCOLS[name]


@pytest.mark.parametrize("name", ["sse_v4", "", "WS", "wss", "sse_v2_1", "3.1"])
def test_a_protocol_that_there_is_not_has_no_traits(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r}.*push, ws, .*sse_v3"):
        traits_of(name)


@pytest.mark.parametrize(("name", "first", "last", "announced"), MAP)
def test_each_version_speaks_the_protocol_of_the_map(
    name: str, first: str, last: str, announced: str | None
) -> None:
    for version in (first, last):
        assert detect(announced, version_numbers(version)) == name


@pytest.mark.parametrize(
    ("version", "name"),
    [("3.0.24\n", "push"), ("3.1.4", "push"), ("3.1.5", "ws"), ("3.2", "ws"), ("4.0.0b1", "ws")],
)
def test_who_announces_nothing_is_told_by_the_version(version: str, name: str) -> None:
    assert detect(None, version_numbers(version)) == name


def test_who_says_neither_protocol_nor_version_speaks_websocket() -> None:
    assert detect(None, ()) == "ws"


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("version", [(), (3, 1, 4), (6, 31, 0)])
def test_what_is_announced_counts_more_than_the_version(
    name: str, version: tuple[int, ...]
) -> None:
    assert detect(name, version) == name


@pytest.mark.parametrize("name", ["sse_v4", "websocket", ""])
def test_an_unknown_protocol_is_a_newer_one(name: str) -> None:
    assert detect(name, (7, 0, 0)) == detect(name, ()) == NEWEST


def test_a_row_may_combine_traits_as_no_real_protocol_does() -> None:
    flags, name = (False, True), "diffs"
    for channel, handover, naming, diffs, close in product(Channel, Handover, Naming, flags, flags):
        row = Traits(
            channel=channel, handover=handover, naming=naming, diffs=diffs, close_stream=close
        )
        assert attrs.astuple(row) == (channel, handover, naming, diffs, close)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(PROTOCOLS["ws"], name, True)


# The recordings


@pytest.mark.parametrize("version", transcripts.versions())
def test_the_recorded_configs_name_the_protocol(version: str) -> None:
    config = transcripts.load(version, "add").config
    said = version_numbers(config["version"])
    assert detect(config.get("protocol"), said) == SPOKEN[version]
    assert {job["protocol"] for job in jobs(version)} == {SPOKEN[version]}


@pytest.mark.parametrize("version", transcripts.versions())
def test_the_recorded_traffic_has_the_traits(version: str) -> None:
    traits = PROTOCOLS[detect(SPOKEN[version], ())]
    kinds = {message["msg"] for message in messages(version)}
    generating = [m["output"]["data"] for m in messages(version) if m["msg"] == GENERATING]
    assert any(map(are_edits, generating)) is traits.diffs
    assert ("close_stream" in kinds) is traits.close_stream
    assert ("send_data" in kinds) is (traits.handover is Handover.ASKED)
    opened = {target for target, ws in carriers(version) if not ws}
    sockets = [target for target, ws in carriers(version) if ws]
    assert bool(sockets) is (traits.channel is Channel.WEBSOCKET)
    assert ("/queue/join" in opened) is (traits.channel is Channel.JOB_STREAM)
    assert ("/queue/data" in opened) is (traits.channel is Channel.SESSION_STREAM)


@pytest.mark.parametrize("version", transcripts.versions())
def test_the_recorded_jobs_get_their_names_as_the_table_says(version: str) -> None:
    naming = PROTOCOLS[detect(SPOKEN[version], ())].naming
    asked = [m for m in messages(version) if m["msg"] == "send_data"]
    joins = [
        exchange["response_json"]
        for exchange in exchanges(version)
        if exchange.get("method") == "POST"
        and exchange["target"].endswith(("/queue/join", "/queue/push/"))
        and exchange["status"] == 200
    ]
    assert all(bool(m.get("event_id")) is (naming is Naming.SEND_DATA) for m in asked)
    assert bool(joins) is (naming is Naming.JOIN_ANSWER)
    assert all({"event_id", "hash"} & answer.keys() for answer in joins)


GENERATING = "process_generating"


def exchanges(version: str) -> Iterator[dict[str, Any]]:
    for scenario in transcripts.scenarios(version):
        yield from transcripts.load(version, scenario).expected["exchanges"]


def messages(version: str) -> list[dict[str, Any]]:
    said = [m for e in exchanges(version) for m in (*e.get("messages", ()), *e.get("received", ()))]
    return [message for message in said if "msg" in message]


def carriers(version: str) -> list[tuple[str, bool]]:
    """What carried messages: path, without a prefix, and whether it is a WebSocket."""
    return [
        (exchange["target"].split("?")[0].removeprefix("/gradio_api"), "ws" in exchange)
        for exchange in exchanges(version)
        if exchange.get("messages") or ("ws" in exchange and exchange["status"] == 101)
    ]


def jobs(version: str) -> list[dict[str, Any]]:
    return [
        job
        for scenario in transcripts.scenarios(version)
        for job in transcripts.load(version, scenario).expected["jobs"]
        if job["protocol"] not in ("http", "call")
    ]


def are_edits(data: list[Any]) -> bool:
    """Whether each output has a list of edits, and some have any."""
    edits = [edit for slot in data if isinstance(slot, list) for edit in slot]
    return bool(edits) and all(
        isinstance(edit, list) and len(edit) == 3 and isinstance(edit[1], list) for edit in edits
    )
