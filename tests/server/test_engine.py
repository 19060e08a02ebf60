"""The server in bytes: recorded clients get from it what they got from real servers."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import JobAbandoned, JobSubmitted
from sansio_gradio.server.limits import ServerLimits
from tests.support.selection import by_default
from tests.support.served import Wire, replay, request, see_http, see_socket
from tests.support.transcripts import load, recordings

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
    "config": "documents are compared in server/test_documents.py",
    "file": "there are no files yet",
    "http_unqueued": "it calls the batched function, too; see server/test_conversation.py",
    "upload_progress": "there are no files yet",
}
RACES = "whether a job that takes no time has left the line already was a matter of milliseconds"
HIDDEN = "these servers did not notice that a client had left (docs/protocol/sse_v3.md#R-session-2)"
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


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("version", "name"),
    by_default(REPLAYED, lambda case: case[0] in {"3.1.7", "3.50.2", "4.0.2", "4.19.2", "6.31.0"}),
)
def test_a_recorded_client_gets_what_the_real_server_sent(version: str, name: str) -> None:
    recording = load(version, name)
    seen = replay(recording)
    assert recording.expected["exchanges"]
    for exchange in recording.expected["exchanges"]:
        got = seen[exchange["conn"]]
        assert got.status == exchange["status"], exchange["target"]
        if exchange["target"].endswith("/upload"):  # to folders that are secret hashes
            (ours,), (theirs,) = got.body, exchange["response_json"]
            assert (len(ours.split("/")[-2]), ours.split("/")[-1]) == (64, theirs.split("/")[-1])
            continue
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


# Connections


TEXT = Slot(name="x", component=TEXTBOX)


def wire_to(version: str | None = None, limits: ServerLimits | None = None) -> Wire:
    app = App(version=version)
    app.add("f", parameters=[TEXT], returns=[TEXT])
    return Wire(app, limits)


def join(wire: Wire, session: str = "s") -> int:
    """Join the queue; the number of the job."""
    said = {"data": ["hi"], "fn_index": 0, "session_hash": session}
    assert wire.post("/gradio_api/queue/join", said).status == 200
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    return event.job


STREAM = "/gradio_api/queue/data?session_hash=s"


def test_every_verb_of_the_application_reaches_the_client() -> None:
    wire = wire_to()
    job = join(wire)
    stream = wire.ask("GET", STREAM)
    engine = wire.engine
    engine.start(job, 1)
    engine.progress(job, [{"index": 1}])
    engine.log(job, "hello", level="warning")
    engine.send(job, {"msg": "own"})
    engine.generate(job, ["a"], 2)
    engine.complete(job, now=3)
    wire.settle()
    seen = wire.seen(stream)
    assert [message["msg"] for message in seen.messages] == [
        "estimation",
        "process_starts",
        "progress",
        "log",
        "own",
        "process_generating",
        "process_completed",
        "close_stream",
    ]
    assert seen.complete
    failing = join(wire)
    engine.fail(failing, now=4)
    wire.settle()
    assert wire.get(STREAM).messages[-2]["success"] is False


def test_who_does_not_know_the_date_sends_none() -> None:
    wire = wire_to()
    conn = wire.ask("GET", "/config")
    assert b"\r\ndate:" not in wire.received[conn].lower()


def test_answers_have_the_fields_that_uvicorn_sends() -> None:
    wire = wire_to()
    wire.engine._wall_offset = 86400.0
    conn = wire.ask("GET", "/config")
    head = wire.received[conn].partition(b"\r\n\r\n")[0].decode().lower()
    assert "date: fri, 02 jan 1970 00:00:00 gmt" in head
    assert "server: uvicorn" in head
    assert "content-type: application/json" in head
    assert "content-length: " in head


def test_a_connection_is_used_again_and_closed_when_idle() -> None:
    wire = wire_to()
    conn = wire.ask("GET", "/nothing")
    first = wire.received[conn]
    wire.pass_time(4.9)
    wire.send(conn, request("GET", "/nothing"))
    assert len(wire.received[conn]) == 2 * len(first)
    wire.pass_time(4.9)
    assert wire.closed == set()
    wire.pass_time(0.2)
    assert wire.closed == {conn}
    wire.send(conn, request("GET", "/nothing"))
    assert len(wire.received[conn]) == 2 * len(first)


def test_a_request_that_drips_is_not_waited_for_forever() -> None:
    wire = wire_to()
    conn = wire.connect()
    wire.pass_time(30)
    wire.send(conn, b"GET / HTTP")
    wire.pass_time(29)
    assert wire.closed == set()
    wire.pass_time(2)
    assert wire.closed == {conn}
    again = wire.ask("GET", "/nothing")
    wire.send(again, b"GET / HTTP")
    wire.pass_time(59)
    assert wire.closed == {conn}
    wire.pass_time(2)
    assert wire.closed == {conn, again}


def test_a_connection_that_is_not_to_be_kept_is_closed() -> None:
    wire = wire_to()
    conn = wire.ask("GET", "/nothing", connection="close")
    assert wire.seen(conn).status == 404
    assert wire.closed == {conn}


def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    wire = wire_to()
    conn = wire.connect()
    wire.send(conn, request("GET", "/nothing") + request("GET", "/gradio_api/app_id"))
    first, second = wire.received[conn].index(b" 404 "), wire.received[conn].index(b" 200 ")
    assert first < second


@pytest.mark.unmeasured
def test_as_many_requests_as_fit_may_be_sent_ahead() -> None:
    wire = wire_to()
    conn = wire.connect()
    wire.send(conn, request("GET", "/nothing") * 1000)
    assert wire.received[conn].count(b" 404 ") == 1000


def test_answers_that_are_not_read_are_not_heaped_up() -> None:
    wire = wire_to(limits=ServerLimits(unsent=10_000))
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", "/config") * 100, 0)
    unread = wire.engine.data_to_send(7, 1 << 20)
    assert len(unread) < 20_000
    command = wire.engine.next_command()
    assert command is not None
    assert command.conn == 7


def test_a_stream_that_is_not_read_is_cut_and_its_job_stopped() -> None:
    wire = wire_to(limits=ServerLimits(unsent=10_000))
    job = join(wire)
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", STREAM), 0)
    wire.engine.start(job, 0)
    for number in range(20):
        wire.engine.generate(job, ["x" * 1000 * number], 0)
    assert wire.event() == JobAbandoned(job=job)
    assert wire.engine.data_to_send(7) == b""
    command = wire.engine.next_command()
    assert command is not None
    assert command.conn == 7
    wire.engine.generate(job, ["more"], 0)
    assert wire.engine.connections_with_data() == []


def test_what_follows_on_a_stream_that_is_cut_goes_nowhere() -> None:
    wire = wire_to(limits=ServerLimits(unsent=10_000))
    job = join(wire)
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", STREAM), 0)
    wire.engine.send(job, {"msg": "x" * 20_000})
    wire.engine.complete(job, ["x" * 20_000], now=0)
    assert wire.engine.next_command() is not None
    assert wire.next_event() is None
    assert wire.engine.data_to_send(7) == b""


def test_too_many_connections_are_closed_at_once() -> None:
    wire = wire_to(limits=ServerLimits(connections=2))
    wire.connect()
    second = wire.connect()
    third = wire.connect()
    assert wire.closed == {third}
    wire.engine.connection_lost(second, None, 0)
    wire.connect()
    assert wire.closed == {third}


@pytest.mark.parametrize("how", ["eof", "lost", "broken"])
def test_a_client_that_goes_takes_its_job_along(how: str) -> None:
    wire = wire_to()
    job = join(wire)
    stream = wire.ask("GET", STREAM)
    if how == "eof":
        wire.send(stream, b"")
    elif how == "broken":
        wire.send(stream, b"?" * 100_000)
    else:
        wire.engine.connection_lost(stream, OSError(), 0)
        wire.settle()
    assert wire.event() == JobAbandoned(job=job)
    assert (stream in wire.closed) == (how != "lost")
    wire.engine.connection_lost(stream, None, 0)
    wire.engine.connection_lost(99, None, 0)
    wire.send(stream, b"late")
    assert wire.engine.data_to_send(stream) == b""


def test_what_is_left_to_send_outlives_the_closing() -> None:
    wire = wire_to()
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("GET", "/nothing", connection="close"), 0)
    assert wire.engine.next_command() is not None
    assert wire.engine.connections_with_data() == [7]
    assert b" 404 " in wire.engine.data_to_send(7)
    assert wire.engine.data_to_send(7) == b""
    wire.engine.connection_lost(7, None, 0)

    wire.engine.connection_made(8, 0)
    wire.engine.receive_data(8, request("GET", "/nothing", connection="close"), 0)
    wire.engine.connection_lost(8, OSError(), 0)
    assert wire.engine.connections_with_data() == []


HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec_websocket_version": "13",
}


def test_a_websocket_is_taken_at_its_own_place_only() -> None:
    wire = wire_to("3.50.2")
    conn = wire.ask("GET", "/queue/joinx", **HANDSHAKE)
    assert see_socket(wire.received[conn], True).status == 403
    assert wire.closed == {conn}
    assert wire_to().received == {}
    newer = wire_to()
    conn = newer.ask("GET", "/gradio_api/queue/join", **HANDSHAKE)
    assert see_socket(newer.received[conn], True).status == 403
    good = wire.ask("GET", "/queue/join?x=y", **HANDSHAKE)
    assert see_socket(wire.received[good], False).messages == [{"msg": "send_hash"}]


def test_a_websocket_is_accepted_at_once_where_the_client_speaks_first() -> None:
    wire = wire_to("3.1.7")
    conn = wire.ask("GET", "/queue/join", **HANDSHAKE)
    assert see_socket(wire.received[conn], False).status == 101


def test_verbs_of_the_application_tell_the_time_to_connections_too() -> None:
    wire = wire_to()
    wire.engine._wall_offset = 0.0
    conn = wire.ask("POST", "/gradio_api/run/f", {"data": ["hi"]})
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.complete(event.job, ["ho"], now=50)
    wire.settle()
    assert b"date: Thu, 01 Jan 1970 00:00:50 GMT" in wire.received[conn]
    assert wire.engine.next_deadline() == 55  # it may be used again until then


def test_a_connection_whose_number_is_used_again_gets_nothing_that_was_for_the_other() -> None:
    wire = wire_to()
    wire.engine.connection_made(7, 0)
    wire.engine.receive_data(7, request("POST", "/gradio_api/run/f", {"data": ["hi"]}), 0)
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.complete(event.job, ["ho"], now=1)
    wire.engine.connection_lost(7, None, 1)
    wire.engine.connection_made(7, 1)
    wire.engine.receive_data(7, request("GET", "/gradio_api/heartbeat/s"), 1)
    assert see_http("GET", wire.engine.data_to_send(7), False).messages == [{"raw": "ALIVE"}]


def frame(text: str) -> bytes:
    data = text.encode()
    return b"\x81" + bytes([0x80 | len(data)]) + b"\0\0\0\0" + data


def test_a_websocket_whose_client_does_not_answer_the_close_is_closed_all_the_same() -> None:
    wire = wire_to("3.50.2")
    conn = wire.ask("GET", "/queue/join", **HANDSHAKE)
    wire.send(conn, frame('{"fn_index":0,"session_hash":"s"}'))
    wire.send(conn, frame('{"fn_index":0,"data":["hi"]}'))
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.complete(event.job, ["ho"], now=1)
    wire.settle()
    assert see_socket(wire.received[conn], False).close == 1000
    wire.send(conn, frame("what the client had not heard the Close of"))
    assert wire.closed == set()
    wire.pass_time(21)
    assert wire.closed == {conn}


def test_two_frames_at_once_and_nonsense_after_them() -> None:
    wire = wire_to("3.50.2")
    conn = wire.ask("GET", "/queue/join", **HANDSHAKE)
    hello, data = '{"fn_index":0,"session_hash":"s"}', '{"fn_index":0,"data":["hi"]}'
    wire.send(conn, frame(hello) + frame(data))
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    assert event.data == ["hi"]
    wire.send(conn, b"\x81\x00" + frame(hello))
    assert wire.event() == JobAbandoned(job=event.job)
    assert wire.closed == {conn}


def test_a_text_that_is_no_json_ends_the_websocket_without_a_close() -> None:
    wire = wire_to("3.50.2")
    conn = wire.ask("GET", "/queue/join", **HANDSHAKE)
    wire.send(conn, frame("nonsense") + frame("more"))
    assert see_socket(wire.received[conn], True).close == "eof"
    assert wire.closed == {conn}


def test_stopping_closes_everything() -> None:
    wire = wire_to()
    job = join(wire)
    stream, idle = wire.ask("GET", STREAM), wire.connect()
    wire.engine.stop(1)
    wire.settle()
    assert wire.seen(stream).messages[-1]["message"] == "Server stopped unexpectedly."
    assert {stream, idle} <= wire.closed
    assert wire.event() == JobAbandoned(job=job)
    assert wire.engine.next_deadline() is None


# Hostile clients


EVENT_ID = f"{1:032x}"  # stands for any
PLACES = [
    "config",
    "info",
    "queue/join",
    "queue/data?session_hash=s",
    "queue/join?fn_index=0&session_hash=s",
    "queue/join?fn_index=0&session_hash=s&data=%5B1%5D",
    "queue/data",
    "heartbeat/s",
    "cancel",
    "reset",
    "run/f",
    f"stream/{EVENT_ID}",
    f"stream/{EVENT_ID}/close",
]
VALID: list[dict[str, Any]] = [
    {"data": ["hi"], "fn_index": 0, "session_hash": "s"},
    {"data": ["hi"], "fn_index": 2, "session_hash": "s"},
    {"data": [], "fn_index": 1, "session_hash": "s"},
    {"fn_index": 0, "session_hash": "s", "event_id": EVENT_ID},
    {"data": ["hi"], "event_id": EVENT_ID},
]
WORDS: list[Any] = ["s", EVENT_ID, 0, 1, -1, None, True, [], ["hi"], {}]
KEYS = ["data", "fn_index", "session_hash", "event_id", "event_data"]


def sent(rng: random.Random, prefix: str, socket: bool) -> bytes:
    """What a client sends: mostly what makes sense, now and then cut or with nonsense behind."""
    body = dict(rng.choice(VALID))
    if rng.random() < 0.1:
        body[rng.choice(KEYS)] = rng.choice(WORDS)
    kind = rng.random()
    if socket and kind < 0.8:
        shake = kind < 0.2
        opening = request("GET", f"{prefix}/queue/join", **HANDSHAKE)
        data = opening if shake else frame(json.dumps(body))
    elif kind < 0.98:
        place = rng.choice(PLACES)
        path = f"/{place}" if place == "config" else f"{prefix}/{place}"
        reads = "?" in path or place in ("config", "info", "heartbeat/s")
        method = rng.choice(["GET" if reads else "POST"] * 19 + ["PUT"])
        data = request(method, path, None if reads else body)
    else:
        data = rng.choice([b"\x88\x80\0\0\0\0", b"", rng.randbytes(20)])
    if rng.random() < 0.95:
        return data
    return data[: rng.randrange(len(data) + 1)] + rng.randbytes(rng.randrange(3))


def drive(version: str, seed: int, reached: Counter[str]) -> None:
    """Let clients do what they like to a small server, and count what comes of it."""
    rng = random.Random(seed)
    app = App(version=version, concurrency_limit=rng.choice([1, 3]))
    app.add("f", parameters=[TEXT], returns=[TEXT])
    app.add("stop", cancels=["f"])
    app.add("feed", parameters=[TEXT], returns=[TEXT], streaming=app.version >= (5, 0))
    limits = ServerLimits(unsent=4000, sessions=2, jobs=2, messages=6, connections=4, request=300)
    ids = itertools.count()
    engine = ServerEngine(app, entropy=lambda count: next(ids).to_bytes(count), limits=limits)
    socket = app.traits.channel is Channel.WEBSOCKET
    now, open_conns, jobs = 0.0, set[int](), list[int]()
    for _ in range(80):
        what, conn = rng.random(), rng.randrange(5)
        if what < 0.03:
            engine.connection_lost(conn, None, now)
            open_conns.discard(conn)
        elif what < 0.06:
            now += rng.choice([1, 6, 16, 61])
            engine.handle_timer(now)
        elif what < 0.5 and jobs:
            work(engine, rng.choice(jobs[-3:]), rng.randrange(5), now)
        else:
            if conn not in open_conns:
                engine.connection_made(conn, now)
                open_conns.add(conn)
            known = [*engine._conversation._queue._by_event, EVENT_ID]
            data = sent(rng, app.api_prefix, socket)
            data = data.replace(EVENT_ID.encode(), rng.choice(known).encode())
            engine.receive_data(conn, data, now)
        while (event := engine.next_event()) is not None:
            reached[type(event).__name__] += 1
            if isinstance(event, JobSubmitted):
                jobs.append(event.job)
        for ready in engine.connections_with_data():
            received = engine.data_to_send(ready, 1000)
            assert len(received) <= 1000
            for word in (
                b"process_completed",
                b"heartbeat",
                b" 503 ",
                b" 422 ",
                b"\x88\x02\x03\xe8",
            ):
                reached[word.decode("latin-1")] += word in received
        while (command := engine.next_command()) is not None:
            open_conns.discard(command.conn)
            engine.connection_lost(command.conn, None, now)
        assert len(engine._connections) <= 4
        assert len(engine._conversation._queue._jobs) <= 2 + 4  # some have a connection instead


def work(engine: ServerEngine, job: int, what: int, now: float) -> None:
    if what == 0:
        engine.start(job, now)
    elif what == 1:
        engine.generate(job, ["x" * 100], now)
    elif what == 2:
        engine.complete(job, now=now)
    elif what == 3:
        engine.fail(job, now=now)
    else:
        engine.log(job, "x" * 100)


VERSIONS = ["6.31.0", "4.16.0", "4.0.2", "3.50.2", "3.4.1", "3.1.7"]


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=settings().max_examples // 5)  # each is some forty steps
@given(seed=st.integers(0, 2**32))
def test_nothing_that_clients_do_breaks_the_server(version: str, seed: int) -> None:
    drive(version, seed, Counter())


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_those_clients_reach_what_they_try_to_break(version: str) -> None:
    reached: Counter[str] = Counter()
    for seed in range(40):
        drive(version, seed, reached)
    words = ["JobSubmitted", "JobAbandoned", "process_completed"]
    if version.startswith("3"):
        words.append("\x88\x02\x03\xe8")
    else:
        words += ["heartbeat", " 422 "]
    assert [word for word in words if not reached[word]] == []
