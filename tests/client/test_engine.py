"""Connections: when they are opened, used again and closed, and what their end means for whom."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from sansio_gradio.client import commands
from sansio_gradio.client.commands import OpenConnection, PauseReading, StartTLS
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.events import (
    Connected,
    ConnectingFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    SessionClosed,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.testing.driver import Driver, bytes_of
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, chunk, reply, stream_head
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    app,
    completed,
    config,
    generating,
    starts,
)

SRC = "http://app.example/"


class World:
    """An engine, a peer whose answers are the test's, and one session."""

    def __init__(self, *answers: Callable[[Asked], bytes | None], **options: Any) -> None:
        self.src: str = options.pop("src", SRC)
        self.app = options.pop("app", app())
        self.peer = ByHand(*answers)
        self.engine = Engine(entropy=counted_entropy(), **options)
        self.driver = Driver(self.engine, self.peer)
        self.session = self.begin()

    def begin(self, **options: Any) -> Session:
        return self.engine.session(self.src, app=self.app, **options)

    def submit(self, fn_index: int = PLAIN, **options: Any) -> int:
        job = self.session.submit("x", fn_index=fn_index, **options)
        self.driver.settle()
        return job

    def only(self) -> Asked:
        """The one request that was asked since the last time."""
        (asked,) = self.new()
        return asked

    def new(self) -> list[Asked]:
        asked, self.peer.asked = self.peer.asked, []
        return asked

    def say(self, conn: int, *data: bytes) -> None:
        self.peer.say(conn, *data)
        self.driver.settle()

    def hang_up(self, conn: int) -> None:
        self.peer.hang_up(conn)
        self.driver.settle()

    def answer(self, asked: Asked, *args: Any) -> None:
        self.say(asked.conn, reply(*args))

    def end(self, job: int) -> Any:
        return self.driver.end(self.session.id, job)

    def error(self, job: int) -> GradioError:
        end = self.end(job)
        assert isinstance(end, JobFailed)
        return end.error

    def ends(self, job: int) -> list[Any]:
        return self.driver.ends(self.session.id, job)

    def is_clean(self) -> bool:
        """Whether nothing is left of anything."""
        engine = self.engine
        return not (
            self.driver.links
            or engine._connections
            or engine._transfers
            or engine._carriers
            or engine._writable
            or engine._sessions
        )


DONE = {"data": [1], "is_generating": False}


# Coming about


def test_the_app_is_found_out_by_itself() -> None:
    world = World(lambda asked: reply(config()), app=None)
    world.driver.settle()
    (connected,) = world.driver.of(Connected)
    assert connected.session == world.session.id
    assert world.session.app == app()
    assert world.session.protocol == "sse_v3"
    assert world.only().target == "/config"
    assert world.driver.opened == [OpenConnection(1, "app.example", 80)]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        socket.gaierror(-2, "Name or service not known"),
        TimeoutError(),
        None,
    ],
)
def test_a_connection_that_does_not_come_about_fails_what_it_was_for(
    error: BaseException | None,
) -> None:
    world = World(app=None)
    world.driver.refuse = lambda _: error or EOFError()
    job = world.submit()
    (failed,) = world.driver.of(ConnectingFailed)
    assert type(failed.error) is ConnectFailed
    assert (failed.error.phase, failed.error.url) == ("connect", f"{SRC}config")
    assert "app.example port 80: " in failed.error.message
    assert (str(error) if error and str(error) else "Error") in failed.error.message
    assert failed.error.__cause__ is not None
    own = world.error(job)
    assert type(own) is ConnectFailed
    assert own.job == job
    assert len(world.driver.opened) == 1  # and is not tried again by itself


def test_after_a_failure_the_next_job_tries_again() -> None:
    world = World(lambda asked: reply(config() if asked.path == "/config" else DONE), app=None)
    world.driver.refuse = lambda _: ConnectionRefusedError()
    world.driver.settle()
    world.driver.refuse = lambda _: None
    job = world.submit()
    assert isinstance(world.end(job), JobCompleted)


def test_a_share_link_is_an_address_like_any_other() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session("https://0123456789ABCDEF.gradio.live", token="mine")
    engine.handle_timer(0.0)
    host = "0123456789abcdef.gradio.live"
    assert engine.next_command() == OpenConnection(1, host, 443, host)
    engine.connection_made(1, 0.0)
    engine.tls_made(1, 0.0)
    head = engine.data_to_send(1)
    assert isinstance(head, bytes)
    assert head.startswith(f"GET /config HTTP/1.1\r\nhost: {host}\r\n".encode())
    assert b"x-hf-authorization: Bearer mine\r\n" in head


def test_tls_comes_before_the_first_byte() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session("https://app.example:8443/")
    engine.handle_timer(0.0)
    assert engine.next_command() == OpenConnection(1, "app.example", 8443, "app.example")
    engine.connection_made(1, 0.0)
    assert engine.connections_with_data() == []
    engine.receive_data(1, b"too early", 0.0)
    assert engine.next_command() == StartTLS(1, "app.example")
    assert engine.data_to_send(1) == b""
    engine.connection_made(1, 0.0)  # once is enough
    assert engine.next_command() is None
    engine.tls_made(1, 0.0)
    assert engine.connections_with_data() == [1]
    assert bytes_of(engine.data_to_send(1)).startswith(
        b"GET /config HTTP/1.1\r\nhost: app.example:8443\r\n"
    )
    engine.tls_made(1, 0.0)
    assert engine.next_command() is None


def test_without_tls_nobody_asks_for_it() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session(SRC)
    engine.handle_timer(0.0)
    engine.next_command()
    with pytest.raises(LocalProtocolError, match="StartTLS"):
        engine.tls_made(1, 0.0)
    assert engine.connections_with_data() == []
    engine.connection_made(1, 0.0)
    assert engine.connections_with_data() == [1]
    assert engine.next_command() is None


def test_a_failed_handshake_says_so() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session("https://app.example/")
    engine.handle_timer(0.0)
    engine.next_command()
    engine.connection_made(1, 0.0)
    assert isinstance(engine.next_command(), StartTLS)
    engine.connection_lost(1, ssl.SSLError("wrong version number"), 0.0)
    failed = engine.next_event()
    assert isinstance(failed, ConnectingFailed)
    assert type(failed.error) is ConnectFailed
    assert failed.error.phase == "tls"
    assert "wrong version number" in failed.error.message
    assert engine.next_command() is None


@pytest.mark.parametrize("phase", ["connect", "tls"])
def test_coming_about_has_its_deadlines(phase: str) -> None:
    engine = Engine(entropy=counted_entropy(), timeouts=Timeouts(connect=3.0, tls=5.0))
    engine.session("https://app.example/")
    engine.handle_timer(0.0)
    engine.next_command()
    engine.handle_timer(0.0)
    seconds = 3.0
    if phase == "tls":
        engine.connection_made(1, 2.0)
        engine.next_command()
        engine.handle_timer(2.0)
        seconds = 7.0
    assert engine.next_deadline() == seconds
    engine.handle_timer(seconds - 0.1)
    assert engine.next_command() is None
    engine.handle_timer(seconds)
    assert engine.next_command() == commands.CloseConnection(1)
    failed = engine.next_event()
    assert isinstance(failed, ConnectingFailed)
    assert type(failed.error) is DeadlineExceeded
    assert failed.error.phase == phase
    engine.connection_made(1, 9.0)  # too late
    engine.tls_made(1, 9.0)
    assert engine.next_command() is None


def test_http_may_become_https_while_discovering_and_stays_so() -> None:
    def moved(asked: Asked) -> bytes | None:
        if asked.conn == 1:
            return reply(b"", 301, "location: https://app.example/config")
        return reply(config() if asked.path == "/config" else DONE)

    world = World(moved, app=None)
    job = world.submit()
    assert isinstance(world.end(job), JobCompleted)
    assert [(link.port, link.server_name) for link in world.driver.opened] == [
        (80, None),
        (443, "app.example"),
    ]


def test_the_dot_that_ends_a_name_is_in_no_certificate() -> None:
    engine = Engine(entropy=bytes)
    engine.session("https://app.example./")
    engine.handle_timer(0.0)
    opening = engine.next_command()
    assert isinstance(opening, OpenConnection)
    assert (opening.host, opening.server_name) == ("app.example.", "app.example")
    engine.connection_made(opening.conn, 0.0)
    assert engine.next_command() == StartTLS(opening.conn, "app.example")


# Requests and their connections


def test_connections_are_used_again() -> None:
    world = World(lambda asked: reply(DONE))
    for _ in range(5):
        assert isinstance(world.end(world.submit()), JobCompleted)
    assert {asked.conn for asked in world.new()} == {1}


def test_a_connection_that_the_server_closes_after_its_answer_is_not() -> None:
    world = World(
        lambda asked: reply(config() if asked.path == "/config" else DONE, 200, "connection: close")
    )
    for _ in range(3):
        assert isinstance(world.end(world.submit()), JobCompleted)
    # Between two calls there is none open, so that the app may be another one: one question each.
    asked = [(asked.conn, asked.path.rpartition("/")[2]) for asked in world.new()]
    call, question = "predict", "config"
    assert asked == [(1, call), (2, question), (3, call), (4, question), (5, call)]
    assert world.driver.links == {}


def test_a_connection_on_which_the_server_crashed_is_not() -> None:
    world = World(lambda asked: reply(b"Internal Server Error", 500))
    for _ in range(2):
        assert isinstance(world.end(world.submit()), JobFailed)
    assert [asked.conn for asked in world.new()] == [1, 2]
    assert world.driver.links == {}


def test_an_answer_may_end_with_its_connection() -> None:
    world = World()
    job = world.submit()
    asked = world.only()
    world.say(asked.conn, b'HTTP/1.0 200 OK\r\n\r\n{"data":', b" [7]}")
    assert world.ends(job) == []
    world.hang_up(asked.conn)
    assert world.end(job).data == (7,)


def test_requests_share_eight_connections_and_what_takes_long_has_its_own() -> None:
    world = World(limits=Limits(calls=3))
    jobs = [world.session.submit("x", fn_index=ECHO) for _ in range(20)]
    world.driver.settle()
    joins = world.new()
    assert [asked.path for asked in joins] == 8 * ["/queue/join"]
    calls = [world.session.submit("x", fn_index=PLAIN) for _ in range(5)]
    world.driver.settle()
    called = world.new()
    assert [asked.path for asked in called] == 3 * ["/api/predict"]
    assert len(world.driver.opened) == 8 + 3
    world.answer(joins[0], {"event_id": "a"})
    join, stream = sorted(world.new(), key=lambda asked: asked.path, reverse=True)
    assert (join.path, stream.path) == ("/queue/join", "/queue/data")
    world.say(stream.conn, stream_head(), chunk(starts("a"), completed(1, event_id="a")))
    assert isinstance(world.end(jobs[0]), JobCompleted)
    world.answer(called[0], DONE)
    assert isinstance(world.end(calls[0]), JobCompleted)
    assert [asked.path for asked in world.new()] == ["/api/predict"]


def test_a_limit_of_connections_is_kept() -> None:
    world = World(limits=Limits(calls=2))
    for _ in range(5):
        world.session.submit("x", fn_index=PLAIN)
    world.driver.settle()
    assert len(world.driver.opened) == 2
    for _ in range(5):
        world.answer(world.peer.asked.pop(0), DONE)
    assert len(world.driver.of(JobCompleted)) == 5
    assert len(world.driver.opened) == 2


def test_a_server_that_left_all_idle_connections_is_asked_on_a_new_one() -> None:
    world = World()
    for _ in range(3):
        world.session.submit("x", fn_index=PLAIN)
    world.driver.settle()
    for asked in world.new():
        world.answer(asked, DONE)
    world.driver.sleep(100.0)
    world.session.request_info()
    world.driver.settle()
    tried = [world.only().conn]
    for _ in range(3):
        world.driver.lose(tried[-1])
        world.driver.settle()
        tried.append(world.only().conn)
    assert sorted(tried[:3]) == [1, 2, 3]
    assert tried[3] == 4
    world.driver.lose(4)
    world.driver.settle()
    world.driver.lose(world.only().conn)  # one that was new may be repeated once
    world.driver.settle()
    assert world.new() == []
    assert len(world.driver.of(ConnectingFailed)) == 1


def isolated(world: World, name: str = "a") -> tuple[int, int]:
    """A job with a stream of its own, which is open: its number, and that of the connection."""
    job = world.submit(COUNT, isolated=True)
    world.answer(world.only(), {"event_id": name})
    stream = world.only().conn
    world.say(stream, stream_head(), chunk(starts(name)))
    return job, stream


def test_what_a_paused_job_yields_stays_with_the_server() -> None:
    world = World()
    job, conn = isolated(world)
    assert world.session.pause(job)
    world.driver.settle()
    world.say(conn, chunk(generating([1], name := "a")))
    assert world.driver.values == {}
    other, its_conn = isolated(world, "b")
    world.say(its_conn, chunk(completed(2, event_id="b")))
    assert world.end(other).data == (2,)
    world.driver.sleep(1e6)  # which is no silence
    assert world.session.pause(job, on=False)
    world.driver.settle()
    assert world.driver.values == {(world.session.id, job): [(1,)]}
    world.say(conn, chunk(completed(1, event_id=name)))
    assert world.end(job).data == (1,)


def test_a_job_that_is_paused_twice_is_paused() -> None:
    world = World()
    job, conn = isolated(world)
    for on in (True, True, False, False, True):
        assert world.session.pause(job, on=on)
        world.driver.settle()
        assert world.driver.links[conn].paused is on
    assert world.session.cancel(job)
    world.driver.sleep(60.0)
    assert isinstance(world.end(job), JobCancelled)
    assert conn not in world.driver.links


def test_a_connection_is_read_again_when_it_has_served_a_paused_job() -> None:
    world = World()
    job, conn = isolated(world)
    assert world.session.pause(job)
    world.driver.settle()
    end = chunk(completed(1, event_id="a")) + b"0\r\n\r\n"
    world.driver.deliver(conn, end)  # it was on its way already
    assert world.end(job).data == (1,)
    assert not world.driver.links[conn].paused
    assert world.session.pause(job) is False
    world.driver.lose(conn)
    world.driver.settle()


def test_a_job_may_be_paused_before_its_stream_has_a_connection() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC, app=app())
    job = session.submit("x", fn_index=ECHO, isolated=True)
    engine.handle_timer(0.0)
    assert engine.next_command() == OpenConnection(1, "app.example", 80)
    engine.connection_made(1, 0.0)
    engine.data_to_send(1)
    engine.receive_data(1, reply({"event_id": "a"}), 0.0)
    assert b"/queue/data" in bytes_of(engine.data_to_send(1))
    assert session.pause(job)
    engine.connection_lost(1, None, 0.0)  # it is asked once more, on a new connection
    assert engine.next_command() == OpenConnection(2, "app.example", 80)
    engine.connection_made(2, 0.0)
    assert engine.next_command() == PauseReading(2)
    assert b"/queue/data" in bytes_of(engine.data_to_send(2))


def test_the_connection_of_a_paused_job_may_break() -> None:
    world = World()
    job, conn = isolated(world)
    assert world.session.pause(job)
    world.driver.settle()
    world.driver.lose(conn)
    world.driver.settle()
    assert isinstance(world.error(job), ConnectionLost)


@pytest.mark.parametrize("protocol", ["sse_v3", "ws"])
def test_who_shares_a_connection_or_has_to_answer_pings_is_not_paused(protocol: str) -> None:
    world = World(app=app(protocol))
    job = world.session.submit("x", fn_index=ECHO, isolated=protocol == "ws")
    assert world.session.pause(job) is False
    world.driver.settle()
    assert world.session.pause(job) is False
    if protocol == "sse_v3":
        world.answer(world.only(), {"event_id": "a"})
    assert world.session.pause(job) is False
    assert world.session.pause(99) is False


def test_an_old_idle_connection_takes_no_post() -> None:
    world = World(lambda asked: reply(config() if asked.path == "/config" else DONE))
    world.submit()
    world.driver.sleep(3.9)
    world.submit()
    assert [asked.conn for asked in world.new()] == [1, 1]
    world.driver.sleep(4.1)
    assert isinstance(world.end(world.submit()), JobCompleted)
    assert [(asked.conn, asked.path) for asked in world.new()] == [
        (2, "/config"),  # nothing is open any more
        (2, "/api/predict"),
    ]
    assert 1 in world.driver.closed


def test_an_old_idle_connection_takes_what_can_be_repeated() -> None:
    world = World(lambda asked: reply({"named_endpoints": {}, "unnamed_endpoints": {}}))
    world.session.request_info()
    world.driver.settle()
    world.driver.sleep(100.0)
    world.session.request_info()
    world.driver.settle()
    assert [asked.conn for asked in world.new()] == [1, 1]


def test_the_end_of_an_idle_connection_is_nobody_s_loss() -> None:
    world = World(lambda asked: reply(config() if asked.path == "/config" else DONE))
    world.submit()
    for error in (None, OSError("reset")):
        (conn,) = world.driver.links
        world.driver.lose(conn, error)
        assert isinstance(world.end(world.submit()), JobCompleted)
    # With the last one gone it may be another app by now.
    assert [asked.conn for asked in world.new()] == [1, 2, 2, 3, 3]


ENDS: dict[str, bytes] = {
    "its end": b"",
    "that it waited for too long": b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    "garbage": b"\x00\x01",
}


@pytest.mark.parametrize("kind", ["POST", "GET"])
@pytest.mark.parametrize("came", ENDS)
def test_what_came_before_the_first_byte_was_taken_sends_a_request_elsewhere(
    came: str, kind: str
) -> None:
    answers = {"/api/predict": DONE, "/config": config()}
    world = World(lambda asked: reply(answers.get(asked.path, {})))
    for _ in range(3):
        world.submit()
    engine, now = world.driver.engine, world.driver.now
    job = world.session.submit("x", fn_index=PLAIN) if kind == "POST" else 0
    if kind == "GET":
        world.session.request_info()
    engine.handle_timer(now)
    (conn,) = engine.connections_with_data()
    assert engine.read_first(conn)
    engine.receive_data(conn, ENDS[came], now)
    world.driver.settle()
    # With the only connection gone a job is preceded by the question for the app.
    asked = [a for a in world.new() if a.method == kind and a.path != "/config"]
    assert len(asked) == (4 if kind == "POST" else 1)  # nothing was sent twice
    assert asked[-1].conn != conn
    if kind == "POST":
        assert isinstance(world.driver.end(world.session.id, job), JobCompleted)
    else:
        assert world.driver.of(Connected)


def test_a_post_whose_last_byte_was_taken_is_never_sent_again() -> None:
    world = World(lambda asked: reply(DONE))
    world.submit()
    world.peer._answers = ()
    job = world.session.submit("x", fn_index=PLAIN)
    world.driver.settle()
    assert not world.driver.engine.read_first(1)
    world.driver.lose(1)
    assert isinstance(world.end(job), JobFailed)
    assert len(world.new()) == 2


def test_a_get_is_repeated_where_a_goodbye_was_on_its_way_already() -> None:
    world = World(lambda asked: reply(DONE) if asked.method == "POST" else None)
    world.submit()
    world.session.request_info()
    world.driver.settle()
    assert world.new()[-1].conn == 1
    world.say(1, ENDS["that it waited for too long"])
    world.driver.settle()
    again = world.only()
    assert (again.path, again.conn) == ("/info", 2)
    world.say(2, ENDS["that it waited for too long"])  # on a new one it is an answer
    assert len(world.driver.of(ConnectingFailed)) == 1


def test_how_long_a_connection_was_idle_counts_when_its_first_byte_is_taken() -> None:
    world = World(lambda asked: reply(config() if asked.path == "/config" else DONE))
    world.submit()
    engine, now = world.driver.engine, world.driver.now
    job = world.session.submit("x", fn_index=PLAIN)
    engine.handle_timer(now)
    assert engine.connections_with_data() == [1]
    assert engine.data_to_send(1, 10, now + 4.1) == b""
    assert not engine.read_first(1)
    world.driver.now += 4.1
    world.driver.settle()
    assert isinstance(world.end(job), JobCompleted)
    assert [asked.conn for asked in world.new()] == [1, 2, 2]
    world.session.submit("x", fn_index=PLAIN)
    engine.handle_timer(world.driver.now)
    assert engine.data_to_send(2, 10, world.driver.now)  # which is soon enough


def test_stale_connections_that_never_carried_anything_do_not_fail_a_get() -> None:
    world = World()
    jobs = [world.session.submit("x", fn_index=PLAIN) for _ in range(3)]
    engine = world.driver.engine
    engine.handle_timer(world.driver.now)
    opened = [engine.next_command() for _ in range(3)]
    for job in jobs:
        world.session.cancel(job)
    for command in opened:
        assert isinstance(command, OpenConnection)
        world.driver._open(command)
    world.driver.settle()
    world.driver.sleep(100.0)
    world.session.request_info()
    world.driver.settle()
    for conn in (1, 2, 3):
        (asked,) = world.new()
        assert asked.conn in (1, 2, 3), conn
        world.driver.lose(asked.conn)
        world.driver.settle()
    assert world.only().conn == 4
    assert world.driver.of(ConnectingFailed) == []


def test_a_server_that_speaks_unasked_is_left() -> None:
    world = World(lambda asked: reply(config() if asked.path == "/config" else DONE))
    world.submit()
    world.say(1, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert world.driver.links == {}
    assert isinstance(world.end(world.submit()), JobCompleted)
    assert [asked.conn for asked in world.new()] == [1, 2, 2]


def test_what_is_behind_an_answer_belongs_to_nobody() -> None:
    world = World()
    job = world.submit()
    world.say(1, reply(DONE) + b"HTTP/1.1 200 OK\r\n")
    assert isinstance(world.end(job), JobCompleted)
    assert world.driver.links == {}


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nx\r\n\r\n"])
def test_what_is_no_http_is_the_server_s_mistake(answer: bytes) -> None:
    world = World()
    job = world.submit()
    world.say(1, answer)
    error = world.error(job)
    assert type(error) is RemoteProtocolError
    assert error.phase == "call"
    assert world.driver.links == {}


def test_a_head_has_a_limit() -> None:
    world = World(limits=Limits(header=1000))
    job = world.submit()
    world.say(1, b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2000)
    assert type(world.error(job)) is RemoteProtocolError
    assert world.driver.links == {}


@pytest.mark.parametrize("error", [None, OSError("reset by peer")])
@pytest.mark.parametrize(
    "part", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"]
)
def test_an_answer_cut_short_is_a_lost_connection(part: bytes, error: OSError | None) -> None:
    world = World()
    job = world.submit()
    world.say(1, part)
    world.driver.lose(1, error)
    lost = world.error(job)
    assert type(lost) is ConnectionLost
    assert "app.example port 80" in lost.message
    assert (lost.phase, lost.url) == ("call", f"{SRC}api/predict")
    assert lost.__cause__ is not None
    if error is not None:
        assert lost.__cause__ is error
        assert "reset by peer" in lost.message
    assert len(world.driver.opened) == 1


# Doing it again


def test_a_get_that_ended_before_its_first_byte_is_asked_once_more() -> None:
    world = World(app=None)
    world.driver.settle()
    world.driver.lose(1, OSError("reset"))
    world.driver.settle()
    assert [asked.target for asked in world.new()] == ["/config", "/config"]
    world.say(2, reply(config()))
    assert len(world.driver.of(Connected)) == 1


def test_and_not_twice() -> None:
    world = World(app=None)
    world.driver.settle()
    world.driver.lose(1)
    world.driver.settle()
    world.driver.lose(2)
    world.driver.settle()
    assert type(world.driver.of(ConnectingFailed)[0].error) is ConnectionLost
    assert len(world.new()) == 2


def test_a_get_that_was_answered_in_part_is_not() -> None:
    world = World(app=None)
    world.driver.settle()
    world.say(1, b"H")
    world.driver.lose(1)
    world.driver.settle()
    assert len(world.new()) == 1
    assert type(world.driver.of(ConnectingFailed)[0].error) is ConnectionLost


def test_a_post_that_was_handed_out_is_not() -> None:
    world = World()
    job = world.submit()
    world.driver.lose(1)
    world.driver.settle()
    assert len(world.new()) == 1
    assert type(world.error(job)) is ConnectionLost


def test_a_post_of_which_a_byte_is_missing_is() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC, app=app())
    session.submit("x", fn_index=PLAIN)
    engine.handle_timer(0.0)
    engine.next_command()
    engine.connection_made(1, 0.0)
    whole = b""
    while data := bytes_of(engine.data_to_send(1, 1)):
        whole += data
    assert len(whole) > 100
    for handed_out, again in ((len(whole) - 1, True), (len(whole), False)):
        engine = Engine(entropy=counted_entropy())
        session = engine.session(SRC, app=app())
        job = session.submit("x", fn_index=PLAIN)
        engine.handle_timer(0.0)
        engine.next_command()
        engine.connection_made(1, 0.0)
        assert len(engine.data_to_send(1, handed_out)) == handed_out
        engine.connection_lost(1, OSError("reset"), 0.0)
        command = engine.next_command()
        if again:
            assert command == OpenConnection(2, "app.example", 80)
            engine.connection_made(2, 0.0)
            assert bytes_of(engine.data_to_send(2, 10**6)).startswith(b"GET /config ")
            engine.receive_data(2, reply(config()), 0.0)
            assert engine.data_to_send(2, 10**6) == whole
        else:
            assert command is None
            assert isinstance(engine.next_event(), Connected)
            ends = [engine.next_event() for _ in range(2)]
            assert isinstance(ends[1], JobFailed)
            assert ends[1].job == job


def test_what_is_repeated_goes_before_what_waits() -> None:
    world = World(limits=Limits(connections=1))
    world.session.request_info()
    world.driver.settle()
    for _ in range(3):
        world.session.submit("x", fn_index=ECHO)
    world.driver.settle()
    world.driver.lose(1)
    world.driver.settle()
    assert [asked.path for asked in world.new()] == ["/info", "/info"]


def test_a_stream_that_ended_before_its_first_byte_is_asked_once_more() -> None:
    world = World()
    job = world.submit(ECHO)
    world.answer(world.only(), {"event_id": "a"})
    stream = world.only()
    world.driver.lose(stream.conn)
    world.driver.settle()
    stream = world.only()
    assert stream.path == "/queue/data"
    world.say(stream.conn, stream_head(), chunk(starts("a"), completed(1, event_id="a")))
    assert isinstance(world.end(job), JobCompleted)


def test_another_connection_may_be_there_first() -> None:
    """What a connection was opened for may long be done when it fails to open."""
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC, app=app())
    first = session.submit("x", fn_index=PLAIN)
    second = session.submit("x", fn_index=PLAIN)
    engine.handle_timer(0.0)
    assert [type(engine.next_command()) for _ in range(2)] == [OpenConnection, OpenConnection]
    engine.connection_made(2, 0.0)  # and takes the first job
    engine.data_to_send(2)
    engine.receive_data(2, reply(DONE), 0.0)
    engine.data_to_send(2)  # the second
    engine.receive_data(2, reply(DONE), 0.0)
    engine.connection_lost(1, ConnectionRefusedError(), 0.0)
    ended = []
    while (event := engine.next_event()) is not None:
        if isinstance(event, JobCompleted | JobFailed):
            ended.append((type(event), event.job))
    assert ended == [(JobCompleted, first), (JobCompleted, second)]
    assert engine.next_command() is None


def test_the_failure_of_one_connection_fails_one_that_waits() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC, app=app())
    jobs = [session.submit("x", fn_index=PLAIN) for _ in range(2)]
    engine.handle_timer(0.0)
    engine.next_command()
    engine.next_command()
    engine.connection_lost(1, ConnectionRefusedError(), 0.0)
    engine.connection_made(2, 0.0)
    assert bytes_of(engine.data_to_send(2)).startswith(b"POST")
    engine.receive_data(2, reply(DONE), 0.0)
    ends = [event for event in iter(engine.next_event, None) if isinstance(event, JobFailed)]
    assert [end.job for end in ends] == jobs[:1]


# Dropping things


def secured_and_sent(engine: Engine) -> None:
    with contextlib.suppress(LocalProtocolError):  # of http nobody wants it
        engine.tls_made(1, 0.0)
    engine.data_to_send(1)


@pytest.mark.parametrize("src", [SRC, "https://app.example/"])
@pytest.mark.parametrize("phase", ["asked", "opening", "made", "sent", "partly", "answered"])
@pytest.mark.parametrize("leave", ["cancel", "close"])
def test_a_request_may_be_dropped_at_any_time(src: str, phase: str, leave: str) -> None:
    """Whatever has happened by then, nothing is left of it afterwards."""
    engine = Engine(entropy=counted_entropy())
    session = engine.session(src, app=app())
    job = session.submit("x", fn_index=PLAIN)
    steps: list[tuple[str, Callable[[], object]]] = [
        ("asked", lambda: engine.handle_timer(0.0)),
        ("opening", engine.next_command),
        ("made", lambda: engine.connection_made(1, 0.0)),
        ("sent", lambda: secured_and_sent(engine)),
        ("partly", lambda: engine.receive_data(1, b"HTTP/1.1 200 OK\r\n", 0.0)),
        ("answered", lambda: engine.receive_data(1, b'content-length:11\r\n\r\n{"data":', 0.0)),
    ]
    for name, step in steps:
        step()
        if name == phase:
            break
    if leave == "cancel":
        assert session.cancel(job)
    session.close()
    engine.handle_timer(0.0)
    told = list(iter(engine.next_event, None))
    assert isinstance(told[-1], SessionClosed)
    assert len([event for event in told if isinstance(event, JobCancelled)]) == 1
    asked = list(iter(engine.next_command, None))
    if phase != "asked":
        assert asked[-1] == commands.CloseConnection(1)
    # What the network has to say of it by now.
    if engine._last_connection:
        engine.connection_made(1, 0.0)
        engine.tls_made(1, 0.0)
        engine.receive_data(1, b"[1]}", 0.0)
        engine.receive_data(1, b"", 0.0)
        engine.connection_lost(1, OSError("late"), 0.0)
    assert engine.data_to_send(1) == b""
    assert engine.next_command() is None
    assert engine.next_event() is None
    assert engine.connections_with_data() == []
    assert engine.next_deadline() is None
    assert (engine._connections, engine._transfers, engine._carriers) == ({}, {}, {})


def test_a_connection_that_never_was_is_a_mistake() -> None:
    engine = Engine(entropy=counted_entropy())
    for conn in (0, 1, -1):
        with pytest.raises(LocalProtocolError, match="there never was"):
            engine.receive_data(conn, b"x", 0.0)
    assert engine.data_to_send(1) == b""


def test_an_answer_that_is_refused_in_the_middle_of_a_read_spoils_nothing() -> None:
    world = World()
    job = world.submit()
    world.say(1, reply(b"...", 200, "content-encoding: gzip"))
    assert type(world.error(job)) is RemoteProtocolError
    job = world.submit()
    asked = world.new()[-1]
    world.answer(asked, DONE)
    assert isinstance(world.end(job), JobCompleted)


def test_an_answer_that_is_refused_at_its_head_is_not_waited_for() -> None:
    world = World()
    job = world.submit()
    world.say(1, b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1000\r\n\r\n")
    assert type(world.error(job)) is RemoteProtocolError
    assert world.driver.links == {}


def test_a_dropped_request_that_waits_in_the_pool_is_never_sent() -> None:
    world = World(limits=Limits(calls=1))
    first = world.submit()
    second, third = world.submit(), world.submit()
    assert world.session.cancel(second)
    world.driver.settle()
    world.answer(world.only(), DONE)
    assert isinstance(world.end(first), JobCompleted)
    assert isinstance(world.end(second), JobCancelled)
    world.answer(world.only(), DONE)
    assert isinstance(world.end(third), JobCompleted)


def test_the_last_session_to_go_closes_the_door() -> None:
    world = World(lambda asked: reply(DONE))
    other = world.begin()
    world.submit()
    world.session.close()
    world.driver.settle()
    assert world.driver.links
    other.close()
    world.driver.settle()
    assert world.driver.of(SessionClosed) == [
        SessionClosed(session=world.session.id),
        SessionClosed(session=other.id),
    ]
    assert world.is_clean()
    assert world.engine.next_deadline() is None


def test_a_connection_that_opens_for_nobody_is_closed() -> None:
    world = World()
    world.session.submit("x", fn_index=PLAIN)
    world.engine.handle_timer(1000.0)
    assert isinstance(world.engine.next_command(), OpenConnection)
    world.session.close()
    world.engine.handle_timer(1000.0)
    assert any(isinstance(event, SessionClosed) for event in iter(world.engine.next_event, None))
    assert world.engine.next_command() == commands.CloseConnection(1)
    assert world.is_clean()


# WebSockets


class SocketWorld(World):
    """A world of Gradio 3, its server played by wsproto."""

    def __init__(self, **options: Any) -> None:
        super().__init__(app=app(None, "3.50.2"), **options)
        self.ws = WebSocket(ConnectionType.SERVER)
        self.said: list[Event] = []

    def shake_hands(self, asked: Asked) -> None:
        salted = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(salted.encode()).digest()).decode()  # RFC 6455, 1.3
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-accept: {accept}\r\n\r\n"
        )
        self.say(asked.conn, head.encode())


def joined(world: SocketWorld, **options: Any) -> tuple[int, int]:
    """Submit a job, up to its open WebSocket: its number, and that of the connection."""
    job = world.submit(options.pop("fn_index", ECHO), **options)
    asked = world.only()
    assert asked.headers["upgrade"].lower() == "websocket"
    assert "sec-websocket-extensions" not in asked.headers
    world.shake_hands(asked)
    return job, asked.conn


def frames(world: SocketWorld, conn: int) -> list[Event]:
    """What has come from the client on its WebSocket since the last time."""
    data, world.peer.got[conn] = world.peer.got[conn], b""
    if data:
        world.ws.receive_data(data)
    return list(world.ws.events())


def text(message: dict[str, Any]) -> Event:
    return TextMessage(data=json.dumps(message))


def test_a_job_on_a_websocket() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(text({"msg": "send_hash"})))
    (said,) = frames(world, conn)
    assert isinstance(said, TextMessage)
    world.say(conn, world.ws.send(text({"msg": "send_data"})))
    (said,) = frames(world, conn)
    assert isinstance(said, TextMessage)
    world.say(conn, world.ws.send(text(starts())) + world.ws.send(text(completed(1))))
    assert world.end(job).data == (1,)
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)
    assert said.code == 1000
    assert world.peer.ended == [conn]  # and then it is gone
    assert world.driver.links == {}
    assert world.engine._connections == {}


def test_the_server_s_close_is_answered_also_when_it_came_with_the_last_message() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(text(completed(1))) + world.ws.send(CloseConnection(1000)))
    assert world.end(job).data == (1,)
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)
    assert world.peer.ended == [conn]


@pytest.mark.parametrize("asked", ["send_hash", "send_data"])
def test_what_was_asked_together_with_the_end_is_not_answered(asked: str) -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(text({"msg": asked})) + world.ws.send(CloseConnection(1000)))
    assert type(world.error(job)) is ServerStoppedError
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize(("code", "kind"), [(1000, ServerStoppedError), (1011, ConnectionLost)])
def test_a_close_without_a_result(code: int, kind: type[GradioError], pieces: int) -> None:
    world = SocketWorld()
    job, conn = joined(world)
    data = world.ws.send(text(starts())) + world.ws.send(CloseConnection(code, "so there"))
    world.say(conn, *(data[at : at + pieces] for at in range(0, len(data), pieces)))
    error = world.error(job)
    assert type(error) is kind
    if code != 1000:
        assert "1011, so there" in error.message
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)
    assert said.code == code


def test_what_comes_while_a_close_waits_to_be_sent_is_ignored() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    engine, now = world.engine, world.driver.now
    engine.receive_data(conn, world.ws.send(text(completed(1))), now)
    assert conn in engine.connections_with_data()
    engine.receive_data(conn, b"late", now)
    world.driver.work()
    assert world.end(job).data == (1,)
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)


def test_a_close_may_be_without_words() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(CloseConnection(4000)))
    assert world.error(job).message == "the server closed the WebSocket with 4000"


def test_an_end_without_a_close_is_a_lost_connection() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(text(starts())) + world.ws.send(text(generating([1]))))
    world.hang_up(conn)
    error = world.error(job)
    assert type(error) is ConnectionLost
    assert list(error.outputs) == [(1,)]
    assert world.engine._connections == {}


@pytest.mark.parametrize("error", [None, OSError("reset")])
def test_a_websocket_is_never_opened_twice(error: OSError | None) -> None:
    world = SocketWorld()
    job = world.submit(ECHO)
    world.driver.lose(1, error)
    world.driver.settle()
    assert type(world.error(job)) is ConnectionLost
    assert len(world.driver.opened) == 1


def test_a_ping_is_answered() -> None:
    world = SocketWorld()
    _, conn = joined(world)
    world.say(conn, world.ws.send(Ping(b"there?")))
    (said,) = frames(world, conn)
    assert isinstance(said, Pong)
    assert said.payload == b"there?"


def test_a_server_that_breaks_the_rules_is_told_so() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(BytesMessage(data=b"x")))
    assert type(world.error(job)) is RemoteProtocolError
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)
    assert said.code == 1003
    assert world.driver.links == {}


def test_what_came_before_the_broken_rule_counts() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.say(conn, world.ws.send(text(completed(1))) + world.ws.send(BytesMessage(data=b"x")))
    assert world.end(job).data == (1,)


def test_a_message_too_large_is_a_broken_rule() -> None:
    world = SocketWorld(limits=Limits(message=1000))
    job, conn = joined(world)
    world.say(conn, world.ws.send(text(generating(["x" * 2000]))))
    assert type(world.error(job)) is RemoteProtocolError
    (said,) = frames(world, conn)
    assert isinstance(said, CloseConnection)
    assert said.code == 1009


def test_a_refused_handshake_is_an_answer() -> None:
    world = SocketWorld()
    job = world.submit(ECHO)
    world.answer(world.only(), b"Forbidden", 403)
    assert type(world.error(job)) is AuthenticationError
    assert world.driver.links == {}


def test_a_refused_handshake_may_be_no_answer_either() -> None:
    world = SocketWorld()
    job = world.submit(ECHO)
    world.answer(world.only(), b"...", 403, "content-encoding: gzip")
    assert type(world.error(job)) is RemoteProtocolError


def test_a_refused_handshake_may_lead_elsewhere() -> None:
    world = SocketWorld()
    world.submit(ECHO)
    world.answer(world.only(), b"", 302, "location: /mount/queue/join")
    assert world.only().target == "/mount/queue/join"


@pytest.mark.parametrize("phase", ["opening", "asked", "open"])
def test_a_websocket_may_be_dropped_at_any_time(phase: str) -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC, app=app(None, "3.50.2"))
    job = session.submit("x", fn_index=ECHO)
    engine.handle_timer(0.0)
    engine.next_command()
    if phase == "opening":
        assert session.cancel(job)
        engine.handle_timer(0.0)
        assert engine.next_command() == commands.CloseConnection(1)
        engine.connection_made(1, 0.0)
        assert engine.data_to_send(1) == b""
    elif phase == "asked":
        engine.connection_made(1, 0.0)
        engine.data_to_send(1)
        assert session.cancel(job)
        engine.handle_timer(0.0)
        assert engine.next_command() == commands.CloseConnection(1)
        assert engine.data_to_send(1) == b""
    else:
        world = SocketWorld()
        job, conn = joined(world)
        assert world.session.cancel(job)
        world.engine.handle_timer(world.driver.now)
        assert world.engine.next_command() == commands.CloseConnection(conn)
        close = bytes_of(world.engine.data_to_send(conn))
        world.ws.receive_data(close)
        (said,) = world.ws.events()
        assert isinstance(said, CloseConnection)
        assert said.code == 1000
        engine = world.engine
    assert engine._connections == {}
    assert engine._transfers == {}


def test_a_goodbye_that_cannot_be_sent_is_forgotten() -> None:
    world = SocketWorld()
    job, conn = joined(world)
    world.session.cancel(job)
    world.engine.handle_timer(world.driver.now)
    assert isinstance(world.engine.next_command(), commands.CloseConnection)
    world.engine.connection_lost(conn, OSError("gone"), world.driver.now)
    assert world.engine.data_to_send(conn) == b""
    assert world.engine._connections == {}
    assert world.engine.next_command() is None


# Many at once


def test_sessions_are_told_apart() -> None:
    world = World()
    sessions = [world.begin() for _ in range(3)]
    jobs = [(one.id, one.submit(str(n), fn_index=PLAIN)) for n, one in enumerate(sessions)]
    world.driver.settle()
    assert len({session.session_hash for session in sessions}) == 3
    for asked in reversed(world.new()):
        world.answer(asked, {"data": [asked.body.decode()]})
    for number, (session, job) in enumerate(jobs):
        end = world.driver.end(session, job)
        assert isinstance(end, JobCompleted)
        assert f'"data":["{number}"]' in end.data[0]


def test_what_many_sessions_wait_for_costs_those_that_do_something_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    look = Conversation.next_deadline

    def counted(self: Conversation) -> float | None:
        looks.append(self.id)
        return look(self)

    monkeypatch.setattr(Conversation, "next_deadline", counted)

    def looked_at(idle: int) -> int:
        world = World(limits=Limits(calls=100))
        others = [world.begin() for _ in range(idle)]
        for other in others:
            other.submit("x", fn_index=ECHO, timeout=60.0)
        world.driver.settle()
        world.new()
        looks.clear()
        job = world.submit()
        world.answer(world.only(), DONE)
        world.driver.sleep(1.0)
        assert isinstance(world.end(job), JobCompleted)
        assert not {other.id for other in others} & set(looks)
        return len(looks)

    assert looked_at(3) == looked_at(50)


def test_every_session_is_woken_when_it_is_due() -> None:
    world = World()
    sessions = [world.session, *(world.begin() for _ in range(3))]
    jobs = [
        (one.id, one.submit("x", fn_index=ECHO, timeout=2.0 * (4 - n)))
        for n, one in enumerate(sessions)
    ]
    for woken in range(5):
        world.driver.sleep(2.0 if woken else 1.0)
        ended = [bool(world.driver.ends(*job)) for job in jobs]
        assert ended == [4 - n <= woken for n in range(4)]


def test_who_asks_first_is_served_first() -> None:
    world = World(limits=Limits(calls=1))
    sessions = [world.begin() for _ in range(5)]
    for number, session in enumerate(sessions):
        session.submit(str(number), fn_index=PLAIN)
    for number in range(5):
        world.driver.settle()
        asked = world.only()
        assert f'["{number}"]'.encode() in asked.body
        world.answer(asked, DONE)


def test_hosts_do_not_share_connections() -> None:
    world = World(lambda asked: reply(DONE))
    other = world.engine.session("http://other.example:7860/mount", app=app())
    world.submit()
    other.submit("x", fn_index=PLAIN)
    world.driver.settle()
    assert [(link.host, link.port) for link in world.driver.opened] == [
        ("app.example", 80),
        ("other.example", 7860),
    ]
    assert [(asked.headers["host"], asked.target) for asked in world.new()] == [
        ("app.example", "/api/predict"),
        ("other.example:7860", "/mount/api/predict"),
    ]


def test_the_tap_sees_all_that_passes() -> None:
    seen: list[tuple[float, int | None, str, Any]] = []
    world = World(
        lambda asked: reply(DONE), observe=lambda *what: seen.append(what), wall_offset=5.0
    )
    world.submit()
    kinds = [(conn, direction) for _, conn, direction, _ in seen if direction != "event"]
    assert kinds == [(1, "command"), (1, "sent"), (1, "received")]
    assert [what for *_, direction, what in seen if direction == "event"] == world.driver.events
    assert {now for now, *_ in seen} == {1000.0}
    sent = next(what for *_, direction, what in seen if direction == "sent")
    assert sent.startswith(b"POST /api/predict")


def test_user_verbs_ask_for_the_time() -> None:
    engine = Engine(entropy=counted_entropy())
    assert engine.next_deadline() is None
    session = engine.session(SRC, app=app())
    deadline = engine.next_deadline()
    assert deadline is not None
    assert deadline <= 0.0
    engine.handle_timer(50.0)
    job = session.submit("x", fn_index=PLAIN, timeout=7.0)
    deadline = engine.next_deadline()
    assert deadline is not None
    assert deadline <= 50.0
    engine.handle_timer(60.0)  # from here on it counts
    engine.next_command()
    engine.connection_made(1, 60.0)
    engine.data_to_send(1)
    assert engine.next_deadline() == 67.0
    session.cancel(job)
    deadline = engine.next_deadline()
    assert deadline is not None
    assert deadline <= 60.0


def test_only_the_sessions_that_are_due_are_told_the_time() -> None:
    world = World()
    late = world.begin()
    job = late.submit("x", fn_index=PLAIN, timeout=10.0)
    own = world.submit(timeout=100.0)
    world.driver.sleep(11.0)
    end = world.driver.end(late.id, job)
    assert isinstance(end, JobFailed)
    assert type(end.error) is DeadlineExceeded
    assert world.ends(own) == []


def test_strict_and_json_loads_reach_the_sessions() -> None:
    world = World(strict=True)
    job = world.submit(ECHO)
    world.answer(world.only(), {"event_id": "a"})
    stream = world.only()
    world.say(stream.conn, stream_head(), chunk({"msg": "of tomorrow", "event_id": "a"}))
    assert type(world.error(job)) is RemoteProtocolError
    with pytest.raises(LocalProtocolError):
        world.engine.session("no address")
    with pytest.raises(ValueError, match="no such protocol"):
        world.engine.session(SRC, protocol="sse_v4")


@pytest.mark.unmeasured
def test_a_hundred_sessions_on_one_engine() -> None:
    ids = iter(range(1000))
    waiting: dict[str, list[str]] = {}

    def serve(asked: Asked) -> bytes | None:
        if asked.path == "/queue/join":
            event_id = f"e{next(ids)}"
            waiting.setdefault(json.loads(asked.body)["session_hash"], []).append(event_id)
            return reply({"event_id": event_id})
        mine = waiting.pop(asked.target.partition("=")[2])
        messages = [completed(event_id, event_id=event_id) for event_id in mine]
        return stream_head() + chunk(*messages) + b"0\r\n\r\n"

    world = World(serve)
    jobs = [
        (session.id, session.submit(n, fn_index=COUNT))
        for session in (world.begin() for _ in range(100))
        for n in range(3)
    ]
    world.driver.settle()
    for session, job in jobs:
        assert isinstance(world.driver.end(session, job), JobCompleted)
    results = [event.data[0] for event in world.driver.of(JobCompleted)]
    assert len(set(results)) == 300
    assert len(world.driver.opened) < 200


# The end of an engine, and what only a mistake explains


def test_an_engine_is_closed_when_its_sessions_and_connections_are() -> None:
    world = World(lambda asked: reply(DONE))
    other = world.begin()
    jobs = [world.session.submit("x", fn_index=ECHO), other.submit("x", fn_index=PLAIN)]
    world.driver.settle()
    engine = world.engine
    assert not engine.is_closed
    engine.close()
    engine.close()
    assert not engine.is_closed
    world.driver.sleep(3.0)
    assert bool(engine.is_closed)  # by now
    assert world.driver.links == {}
    assert len(world.driver.of(SessionClosed)) == 2
    assert world.ends(jobs[0])
    with pytest.raises(LocalProtocolError, match="closed"):
        engine.session(SRC)
    engine.receive_data(1, b"late", world.driver.now)
    engine.connection_lost(1, None, world.driver.now)
    engine.handle_timer(world.driver.now)
    assert engine.next_command() is None
    assert engine.next_event() is None
    assert engine.is_closed


def test_a_closed_engine_waits_until_its_last_command_is_taken() -> None:
    engine = Engine(entropy=counted_entropy())
    assert not engine.is_closed
    engine.session(SRC)
    assert isinstance(engine.next_command(), OpenConnection)
    engine.close()
    assert not engine.is_closed
    events = list(iter(engine.next_event, None))
    assert isinstance(events[-1], SessionClosed)
    assert not engine.is_closed
    assert engine.next_command() == commands.CloseConnection(1)
    assert engine.is_closed


def test_an_engine_without_sessions_is_closed_at_once() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.close()
    assert engine.is_closed


@pytest.mark.parametrize("src", [SRC, "https://app.example/"])
def test_what_is_told_out_of_order_is_a_mistake(src: str) -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session(src)
    assert engine.next_command() is not None
    with pytest.raises(LocalProtocolError, match="before connection_made"):
        engine.receive_data(1, b"HTTP/1.1 200 OK", 1.0)
    with pytest.raises(LocalProtocolError, match="StartTLS"):
        engine.tls_made(1, 1.0)
    with pytest.raises(LocalProtocolError, match="never was"):
        engine.connection_made(2, 1.0)
    engine.connection_made(1, 1.0)
    if src == SRC:
        with pytest.raises(LocalProtocolError, match="StartTLS"):
            engine.tls_made(1, 1.0)
    else:
        engine.tls_made(1, 1.0)
    engine.connection_lost(1, None, 1.0)
    for verb in (engine.connection_made, engine.tls_made):
        verb(1, 1.0)  # it is over: that is ignored


def test_an_end_before_a_connection_was_made_is_a_connection_that_was_not() -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session(SRC)
    assert engine.next_command() is not None
    engine.receive_data(1, b"", 1.0)
    (event,) = iter(engine.next_event, None)
    assert isinstance(event, ConnectingFailed)
    assert isinstance(event.error, ConnectFailed)


def test_a_clock_that_runs_backwards_is_a_mistake() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC)
    engine.handle_timer(1000.0)
    engine.handle_timer(999.5)  # read before, told after
    for now in (998.0, float("nan")):
        with pytest.raises(LocalProtocolError, match="backwards"):
            engine.handle_timer(now)
    session.close()
    conversation = Conversation(SRC, entropy=counted_entropy())
    conversation.handle_timer(1000.0)
    with pytest.raises(LocalProtocolError, match="backwards"):
        conversation.handle_timer(1.0)


def test_who_pings_and_does_not_read_is_answered_the_latest_only() -> None:
    world = SocketWorld()
    _, conn = joined(world)
    engine, ws, now = world.engine, world.ws, world.driver.now
    for number in range(1000):
        engine.receive_data(conn, ws.send(Ping(payload=b"%d" % number)), now)
    assert engine.connections_with_data() == [conn]
    ws.receive_data(bytes_of(engine.data_to_send(conn)))
    assert [event.payload for event in ws.events() if isinstance(event, Pong)] == [b"999"]
    assert engine.connections_with_data() == []
    engine.receive_data(conn, ws.send(Ping(payload=b"again")), now)
    engine.receive_data(conn, ws.send(CloseConnection(code=1000)), now)
    ws.receive_data(bytes_of(engine.data_to_send(conn)))
    assert [type(event) for event in ws.events()] == [CloseConnection]


# One verb for all that is to be done


def test_one_verb_says_all_that_is_to_be_done() -> None:
    world = World()
    engine, session = world.engine, world.session
    while engine.next_action(0.0) is not None:
        pass
    job = session.submit("x", fn_index=PLAIN)
    assert engine.next_action(0.0) == OpenConnection(1, "app.example", 80)
    assert engine.next_action(0.0) is None
    engine.connection_made(1, 0.0)
    assert engine.next_action(0.0) == commands.HasData(1)
    assert engine.next_action(0.0) is None  # it was said
    assert engine.connections_with_data() == [1]
    assert bytes_of(engine.data_to_send(1, 10)).startswith(b"POST ")
    assert engine.next_action(0.0) is None  # there is more of the same
    while engine.data_to_send(1):
        pass
    engine.receive_data(1, reply({"data": ["done"]}), 0.0)
    said = list(iter(lambda: engine.next_action(0.0), None))
    assert [event.data for event in said if isinstance(event, JobCompleted)] == [("done",)]
    assert job == 1


def test_not_a_deadline_passes_before_the_time_is_told() -> None:
    world = World(timeouts=Timeouts(connect=5.0))
    world.session.submit("x", fn_index=PLAIN)
    engine = world.engine
    told = list(iter(lambda: engine.next_action(0.0), None))
    assert told[0] == OpenConnection(1, "app.example", 80)
    assert engine.next_action(4.9) is None
    assert engine.next_action(None) is None
    late = list(iter(lambda: engine.next_action(5.1), None))
    assert any(isinstance(told, commands.CloseConnection) for told in late)
    assert any(isinstance(told, JobFailed) for told in late)


def test_what_was_asked_is_done_before_a_deadline_may_pass() -> None:
    world = World()
    world.driver.settle()
    world.session.submit("x", fn_index=PLAIN)
    assert isinstance(world.engine.next_action(None), OpenConnection)


def test_what_comes_on_a_connection_that_is_gone_is_ignored() -> None:
    world = World()
    world.submit()
    asked = world.only()
    world.answer(asked, {"data": ["x"]})
    world.engine.connection_lost(asked.conn, OSError(), world.driver.now)
    world.engine.receive_data(asked.conn, b"late", world.driver.now)
    assert world.engine.next_command() is None


def test_nothing_is_to_be_done_with_a_connection_that_could_not_be_made() -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session(SRC)
    engine.session("http://other.example/")
    opening = engine.next_command()
    assert isinstance(opening, OpenConnection)
    session.close()
    engine.connection_lost(opening.conn, OSError("refused"), 1.0)
    other = engine.next_command()
    assert isinstance(other, OpenConnection)
    assert other.conn != opening.conn
    assert engine.next_command() is None
