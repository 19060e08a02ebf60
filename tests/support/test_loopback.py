"""The replay peer on a socket is the replay peer."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

from sansio_gradio.testing.patience import PATIENCE
from tests.support.loopback import Loopback
from tests.support.replay import ReplayServer, bytewise
from tests.support.transcripts import load


def address_of(server: Loopback) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return parts.hostname or "", parts.port or 0


def test_a_recorded_job_over_a_real_socket() -> None:
    recording = load("6.31.0", "generator")
    (job,) = recording.expected["jobs"]
    with Loopback(ReplayServer(recording, slicer=bytewise)) as server:
        address = urlsplit(server.url).netloc
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        asked = {"data": job["data"], "fn_index": job["fn_index"], "session_hash": "mine"}
        headers = {"content-type": "application/json"}
        connection.request("POST", "/gradio_api/queue/join", json.dumps(asked), headers)
        assert json.loads(connection.getresponse().read()) == {"event_id": job["key"]}
        connection.request("GET", "/gradio_api/queue/data?session_hash=mine")
        stream = connection.getresponse().read().decode()
        connection.close()
    messages = [json.loads(line[5:]) for line in stream.splitlines() if line]
    (recorded,) = [e for e in recording.expected["exchanges"] if "messages" in e]
    assert messages == recorded["messages"]
    assert server.server.unmatched == []


def test_a_stream_that_waits_for_a_request_goes_on_when_nothing_moves() -> None:
    recording = load("6.31.0", "cancel")
    (job,) = recording.expected["jobs"]
    with Loopback(ReplayServer(recording)) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)
        asked = {"data": job["data"], "fn_index": job["fn_index"], "session_hash": "mine"}
        headers = {"content-type": "application/json"}
        connection.request("POST", "/gradio_api/queue/join", json.dumps(asked), headers)
        connection.getresponse().read()
        connection.request("GET", "/gradio_api/queue/data?session_hash=mine")
        assert b"process_completed" in connection.getresponse().read()
        connection.close()


def test_what_the_server_cut_ends_for_the_client() -> None:
    with (
        Loopback(ReplayServer(load("6.31.0", "bad_requests"))) as server,
        socket.create_connection(address_of(server), timeout=PATIENCE) as client,
    ):
        client.sendall(b"GET /gradio_api/queue/data?session_hash=never HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while data := client.recv(100):
            got += data
    assert b"unexpected_error" in got


def test_nothing_is_left_open_when_it_ends() -> None:
    with Loopback(ReplayServer(load("6.31.0", "add"))) as server:
        client = socket.create_connection(address_of(server), timeout=PATIENCE)
        client.sendall(b"GET /gradio_api/heartbeat/mine HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while b"ALIVE" not in got:
            got += client.recv(1000)
    assert client.recv(1000) == b""
    client.close()
