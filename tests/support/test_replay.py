"""The replay peer gives a client that asks as the recorder did the recorder's bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Event, Request, TextMessage

from tests.support.replay import ReplayServer, Slicer, as_recorded, bytewise, random_cuts, whole
from tests.support.selection import by_default
from tests.support.transcripts import (
    FOLDER,
    LEFT_OUT,
    VERSIONS,
    Recording,
    load,
    recordings,
    scenarios,
)

SLICERS: dict[str, Slicer] = {"as recorded": as_recorded, "whole": whole, "random": random_cuts(7)}
ACCEPT = re.compile(rb"(?i)sec-websocket-accept: *[^\r]*")

# Paths were redacted in the recording, but not under the mask of a client's WebSocket frames.
UNREDACTED = {("3.50.2", "file")}


class Echo:
    """A client that repeats the recorder's bytes on connections of the same number."""

    def __init__(self, recording: Recording, slicer: Slicer) -> None:
        self.recording = recording
        self.server = ReplayServer(recording, slicer=slicer)
        self.got: dict[Hashable, bytearray] = {}
        self.closed: set[Hashable] = set()

    def collect(self) -> None:
        for conn, data in self.server.outputs():
            assert conn not in self.closed, "bytes after the end"
            self.got[conn] += data
            if not data:
                self.closed.add(conn)

    def run(self) -> None:
        for chunk in self.recording.chunks:
            if chunk.direction == "c2s":
                if chunk.conn not in self.got:
                    self.got[chunk.conn] = bytearray()
                    self.server.open(chunk.conn)
                if chunk.data:
                    self.server.receive(chunk.conn, chunk.data)
                self.collect()


@pytest.mark.parametrize("slicer", by_default(SLICERS, "random".__eq__))
@pytest.mark.parametrize(("version", "scenario"), recordings())
def test_the_recorded_requests_get_the_recorded_bytes(
    version: str, scenario: str, slicer: str
) -> None:
    recording = load(version, scenario)
    client = Echo(recording, SLICERS[slicer])
    client.run()
    if (version, scenario) not in UNREDACTED:
        assert not client.server.unmatched
    assert not client.server.unused()
    for conn, got in client.got.items():
        assert ACCEPT.sub(b"", got) == ACCEPT.sub(b"", recording.bytes_of(int(str(conn)), "s2c"))


class Asker:
    """A client of our own: requests written by hand, answers read by h11 or wsproto."""

    def __init__(self, version: str, scenario: str, slicer: Slicer = as_recorded) -> None:
        self.recording = load(version, scenario)
        self.server = ReplayServer(self.recording, slicer=slicer)
        self.got: dict[Hashable, bytes] = {}
        self.closed: set[Hashable] = set()

    def ask(self, conn: str, method: str, target: str, asked: object = None) -> bytes:
        body = b"" if asked is None else json.dumps(asked).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        return self.say(conn, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def say(self, conn: str, data: bytes) -> bytes:
        if conn not in self.got:
            self.server.open(conn)
        self.got[conn] = b""
        self.server.receive(conn, data)
        self.collect()
        return self.got[conn]

    def collect(self) -> None:
        for conn, data in self.server.outputs():
            self.got[conn] += data
            if not data:
                self.closed.add(conn)

    def join(self, conn: str, data: list[object], fn_index: int, session: str = "mine") -> bytes:
        asked = {"data": data, "fn_index": fn_index, "session_hash": session}
        return self.ask(conn, "POST", "/gradio_api/queue/join", asked)


STREAM = "/gradio_api/queue/data?session_hash=mine"


def test_equal_requests_are_told_apart_by_what_they_ask() -> None:
    client = Asker("6.31.0", "concurrent")
    jobs = client.recording.expected["jobs"]
    for job in reversed(jobs):
        answer = client.join("one connection", job["data"], job["fn_index"])
        assert job["key"].encode() in answer


def test_a_request_that_the_recording_does_not_know_gets_404_and_is_told() -> None:
    client = Asker("6.31.0", "generator")
    assert b" 404 " in client.join("a", ["something else"], 1)
    assert b" 404 " in client.ask("a", "GET", "/nothing")
    assert len(client.server.unmatched) == 2


def test_a_stream_waits_for_the_requests_that_came_before_its_bytes() -> None:
    client = Asker("6.31.0", "concurrent")
    jobs = client.recording.expected["jobs"]
    client.join("a", jobs[0]["data"], jobs[0]["fn_index"])
    assert jobs[3]["key"].encode() not in client.ask("s", "GET", STREAM)
    for job in jobs[1:]:
        client.join("a", job["data"], job["fn_index"])
    for job in jobs:
        assert client.got["s"].count(job["key"].encode()) > 1
    assert client.got["s"].endswith(b"0\r\n\r\n")


def test_what_another_session_asks_is_not_waited_for() -> None:
    client = Asker("6.31.0", "file")
    job = client.recording.expected["jobs"][-1]
    client.join("a", job["data"], job["fn_index"])
    assert job["session_hash"] != client.recording.expected["jobs"][0]["session_hash"]
    assert b"process_completed" in client.ask("s", "GET", STREAM)


def test_a_client_that_never_asks_is_not_waited_for_forever() -> None:
    client = Asker("6.31.0", "cancel")
    (job,) = client.recording.expected["jobs"]
    client.join("a", job["data"], job["fn_index"])
    client.ask("s", "GET", STREAM)
    assert b"process_completed" not in client.got["s"]
    assert client.server.idle()
    client.collect()
    assert b"process_completed" in client.got["s"]
    assert not client.server.idle()
    assert [exchange.expected["target"] for exchange in client.server.unused()] == [
        "/gradio_api/cancel"
    ]


def test_a_stream_that_the_server_cut_is_cut() -> None:
    client = Asker("6.31.0", "bad_requests")
    answer = client.ask("s", "GET", "/gradio_api/queue/data?session_hash=never")
    assert b"unexpected_error" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert client.closed == {"s"}


def test_a_stream_that_the_recorder_left_stays_open() -> None:
    client = Asker("4.29.0", "cancel")
    (job,) = client.recording.expected["jobs"]
    client.ask("a", "POST", "/queue/join", {"data": job["data"], "fn_index": job["fn_index"]})
    client.ask("s", "GET", "/queue/data?session_hash=mine")
    while client.server.idle():
        client.collect()
    assert client.closed == set()
    assert client.ask("s", "GET", "/config") == b""  # the stream has not ended


def test_what_every_client_may_ask_is_answered_though_the_recorder_did_not() -> None:
    client = Asker("6.31.0", "add")
    config = client.ask("a", "GET", "/config").partition(b"\r\n\r\n")[2]
    assert json.loads(config) == client.recording.config
    info = client.ask("a", "GET", "/gradio_api/info?serialize=False").partition(b"\r\n\r\n")[2]
    assert json.loads(info) == client.recording.info
    assert b"ALIVE" in client.ask("b", "GET", "/gradio_api/heartbeat/mine")
    assert b"true" in client.ask("a", "POST", "/gradio_api/cancel", {"event_id": "e"})
    (job,) = client.recording.expected["jobs"]
    client.join("a", job["data"], job["fn_index"])
    assert b"data:" in client.ask("a", "GET", STREAM)  # the recorded one
    second = client.ask("a", "GET", STREAM)
    assert b" 200 OK" in second
    assert second.endswith(b"\r\n\r\n")  # open, and silent
    assert client.closed == set()
    assert not client.server.unmatched


def test_requests_may_be_pipelined() -> None:
    client = Asker("6.31.0", "add")
    twice = b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    assert client.say("a", twice).count(b"HTTP/1.1 200") == 2


class Socket:
    """One WebSocket of an ``Asker``, by wsproto."""

    def __init__(self, client: Asker, conn: str) -> None:
        self.client, self.conn, self.ws = client, conn, WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []
        self.send(Request(host="x", target="/queue/join"))

    def send(self, event: Event) -> None:
        self.client.say(self.conn, self.ws.send(event))
        self.listen()

    def listen(self) -> None:
        if data := self.client.got[self.conn]:
            self.client.got[self.conn] = b""
            self.ws.receive_data(data)
            self.events += self.ws.events()

    def kinds(self) -> list[str]:
        return [
            json.loads(event.data)["msg"]
            if isinstance(event, TextMessage)
            else type(event).__name__
            for event in self.events
        ]


@pytest.mark.parametrize("slicer", SLICERS)
def test_websockets_are_played_frame_for_frame_and_told_apart_by_them(slicer: str) -> None:
    client = Asker("3.50.2", "concurrent", SLICERS[slicer])
    chat = client.recording.expected["jobs"][2]
    socket = Socket(client, "a")  # the first handshake of four equal ones
    assert socket.kinds() == ["AcceptConnection", "send_hash"]
    socket.send(TextMessage(data=json.dumps({"fn_index": 2, "session_hash": "mine"})))
    assert socket.kinds()[2:] == ["estimation", "send_data"]
    asked = {"data": chat["data"], "fn_index": 2, "session_hash": "mine"}
    socket.send(TextMessage(data=json.dumps(asked)))
    assert socket.kinds()[-2:] == ["process_completed", "CloseConnection"]
    assert client.closed == set()
    closing = next(event for event in socket.events if isinstance(event, CloseConnection))
    socket.send(closing.response())
    assert client.closed == {"a"}
    assert not client.server.unmatched


@given(
    chunks=st.lists(st.binary(min_size=1), min_size=1),
    slicer=st.sampled_from([as_recorded, whole, bytewise, random_cuts(1)]),
)
def test_a_slicer_changes_no_byte(chunks: list[bytes], slicer: Slicer) -> None:
    assert b"".join(slicer(chunks)) == b"".join(chunks)


def test_every_recording_is_there() -> None:
    assert len(recordings()) == 302
    assert {version for version, _ in recordings()} == set(VERSIONS)
    for version in VERSIONS:
        assert not LEFT_OUT.keys() & set(scenarios(version))
    assert {path.name.removesuffix(".json.xz") for path in FOLDER.iterdir()} == set(VERSIONS)
