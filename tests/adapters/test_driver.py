"""The step that all worlds share, between a scripted engine and a world that takes notes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest

from sansio_gradio.client.commands import (
    CloseConnection,
    EngineCommand,
    HasData,
    OpenConnection,
    PauseReading,
    ResumeReading,
    StartTLS,
)
from sansio_gradio.client.engine import Engine
from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError
from sansio_gradio.events import Anomaly, Event
from sansio_gradio_adapters._driver import WRITE_SIZE, EngineDriver
from sansio_gradio_adapters.tls import TLSWrapper
from tests.adapters.test_tls import Peer, client_context

NOW = 100.0


class ScriptedEngine:
    """Says what the test puts in its queues, and writes down what it is told."""

    def __init__(self) -> None:
        self.commands: deque[EngineCommand] = deque()
        self.events: deque[Event] = deque()
        self.data: dict[int, bytes] = {}
        self.noted: set[int] = set()  # it was said that there is data
        self.waking: set[int] = set()
        self.deadline: float | None = None
        self.on_timer: Callable[[], None] = lambda: None
        self.told: list[tuple[Any, ...]] = []

    def next_action(self, now: float | None) -> EngineCommand | HasData | Event | None:
        if now is not None and self.deadline is not None and self.deadline <= now:
            self.handle_timer(now)
        if self.commands:
            return self.commands.popleft()
        for conn, data in self.data.items():
            if data and conn not in self.noted:
                self.noted.add(conn)
                return HasData(conn)
        return self.events.popleft() if self.events else None

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_timer(self, now: float) -> None:
        self.told.append(("timer", now))
        self.deadline = None
        self.on_timer()

    def read_first(self, conn: int) -> bool:
        return conn in self.waking

    def data_to_send(self, conn: int, max_bytes: int, now: float | None = None) -> bytes:
        if conn in self.waking:
            self.waking.discard(conn)
            self.told.append(("taken", conn, now))
        data = self.data.get(conn, b"")
        self.data[conn] = data[max_bytes:]
        if not self.data[conn]:
            self.noted.discard(conn)
        return data[:max_bytes]

    def connection_made(self, conn: int, now: float) -> None:
        self.told.append(("made", conn, now))

    def tls_made(self, conn: int, now: float) -> None:
        self.told.append(("tls", conn, now))

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        self.told.append(("data", conn, data, now))

    def connection_lost(self, conn: int, error: GradioError, now: float) -> None:
        self.told.append(("lost", conn, error, now))
        self.data.pop(conn, None)


class Notebook:
    """A world whose sockets take everything at once, unless ``full``."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.sent = b""
        self.full = False
        self.quiet = True
        self.reads: list[Any] | None = None
        """What is to be read elsewhere, and who is to be told; None: it is read here."""
        self.driver: EngineDriver

    def open(self, conn: int, host: str, port: int) -> None:
        self.done.append(("open", conn, host, port))

    def close(self, conn: int, last: bytes) -> None:
        self.done.append(("close", conn, last))

    def pause(self, conn: int) -> None:
        self.done.append(("pause", conn))

    def resume(self, conn: int) -> None:
        self.done.append(("resume", conn))

    def is_quiet(self, conn: int) -> bool:
        self.done.append(("quiet", conn))
        return self.quiet

    def read_elsewhere(
        self, read: Callable[[], Any], then: Callable[[Any], object], *, may_wait: bool
    ) -> bool:
        if self.reads is None:
            return False
        self.reads.append((read, then))
        return True

    def wake_writer(self, conn: int) -> None:
        while not self.full and (data := self.driver.data_to_send(conn)):
            self.sent += data


def joined() -> tuple[ScriptedEngine, Notebook, EngineDriver]:
    engine, world = ScriptedEngine(), Notebook()
    world.driver = EngineDriver(
        cast("Engine", engine), world, ssl_context=client_context(), clock=lambda: 77.0
    )
    return engine, world, world.driver


def anomaly(session: int, what: str = "odd") -> Anomaly:
    return Anomaly(session=session, what=what)


def test_nothing_to_do_is_done_at_once() -> None:
    engine, world, driver = joined()
    assert driver.step(NOW) is False
    assert (engine.told, world.done) == ([], [])


def test_each_command_becomes_the_verb_of_the_world() -> None:
    engine, world, driver = joined()
    engine.commands += [
        OpenConnection(1, "a.example", 80),
        OpenConnection(2, "b.example", 443, "b.example", via=("proxy.example", 3128)),
        PauseReading(1),
        ResumeReading(1),
        CloseConnection(1),
    ]
    driver.step(NOW)
    assert world.done == [
        ("open", 1, "a.example", 80),
        ("open", 2, "proxy.example", 3128),
        ("pause", 1),
        ("resume", 1),
        ("close", 1, b""),
    ]


def test_events_go_to_the_sink_of_their_session_and_others_nowhere() -> None:
    engine, _, driver = joined()
    got: dict[int, list[Event]] = {1: [], 2: []}
    driver.sinks.update({1: got[1].append, 2: got[2].append})
    first, second, nobodys, third = anomaly(1), anomaly(2), anomaly(3), anomaly(1, "later")
    engine.events += [first, second, nobodys, third]
    assert driver.step(NOW) is True
    assert got == {1: [first, third], 2: [second]}


def test_what_a_sink_asks_for_is_done_in_the_same_step() -> None:
    engine, world, driver = joined()

    def sink(event: Event) -> None:
        assert isinstance(event, Anomaly)
        if event.what == "odd":
            engine.deadline = NOW - 1  # as after any verb of a session
            engine.on_timer = lambda: engine.commands.append(CloseConnection(7))
            engine.events.append(anomaly(1, "again"))

    driver.sinks[1] = sink
    engine.events.append(anomaly(1))
    driver.step(NOW)
    assert world.done == [("close", 7, b"")]
    assert not engine.events


def test_a_timer_is_handled_when_it_has_passed_and_not_before() -> None:
    engine, world, driver = joined()
    engine.on_timer = lambda: engine.commands.append(PauseReading(1))
    engine.deadline = NOW + 0.001
    driver.step(NOW)
    assert engine.told == []
    engine.deadline = NOW
    driver.step(NOW)
    assert engine.told == [("timer", NOW)]
    assert world.done == [("pause", 1)]


def test_data_is_written_after_the_commands_that_it_may_need() -> None:
    engine, world, driver = joined()
    engine.data[3] = b"x" * (WRITE_SIZE + 1)
    driver.step(NOW)
    assert world.sent == b"x" * (WRITE_SIZE + 1)


def test_taking_data_may_lead_to_commands_which_are_carried_out_too() -> None:
    engine, world, driver = joined()

    def data_to_send(conn: int, max_bytes: int, now: float | None = None) -> bytes:
        data = ScriptedEngine.data_to_send(engine, conn, max_bytes, now)
        if data:
            engine.commands.append(CloseConnection(conn))
        return data

    engine.data_to_send = data_to_send  # type: ignore[method-assign]  # one answer is scripted
    engine.data[3] = b"bye"
    driver.step(NOW)
    assert world.sent == b"bye"
    assert world.done == [("close", 3, b"")]


def test_a_full_socket_does_not_keep_a_step_from_ending() -> None:
    engine, world, driver = joined()
    world.full = True
    engine.data[3] = b"later"
    assert driver.step(NOW) is False
    assert world.sent == b""


def test_what_is_left_to_say_is_said_at_closing() -> None:
    engine, world, driver = joined()
    world.full = True
    engine.data[3] = b"y" * (2 * WRITE_SIZE)
    engine.commands.append(CloseConnection(3))
    driver.step(NOW)
    assert world.done == [("close", 3, b"y" * (2 * WRITE_SIZE))]


def test_what_the_world_finds_out_is_told() -> None:
    engine, _, driver = joined()
    error = ConnectFailed()
    driver.opened(1, NOW)
    driver.received(1, b"hello", NOW)
    driver.received(1, b"", NOW)
    driver.lost(2, error, NOW)
    assert engine.told == [
        ("made", 1, NOW),
        ("data", 1, b"hello", NOW),
        ("data", 1, b"", NOW),
        ("lost", 2, error, NOW),
    ]


# TLS is the driver's: worlds see ciphertext only, engines plaintext only.


def secured() -> tuple[ScriptedEngine, Notebook, EngineDriver, Peer]:
    engine, world, driver = joined()
    peer = Peer()
    engine.commands.append(StartTLS(1, "localhost"))
    driver.step(NOW)
    exchange(world, driver, peer)
    assert engine.told == [("tls", 1, NOW)]
    engine.told.clear()
    return engine, world, driver, peer


def exchange(world: Notebook, driver: EngineDriver, peer: Peer) -> None:
    while world.sent:
        sent, world.sent = world.sent, b""
        peer.feed(sent)
        if answer := peer.output():
            driver.received(1, answer, NOW)


def test_tls_is_between_the_engine_and_the_world() -> None:
    engine, world, driver, peer = secured()
    engine.data[1] = b"GET / HTTP/1.1"
    driver.step(NOW)
    assert b"GET" not in world.sent
    exchange(world, driver, peer)
    assert peer.received == b"GET / HTTP/1.1"
    driver.received(1, peer.send(b"200 OK"), NOW)
    assert engine.told == [("data", 1, b"200 OK", NOW)]


def test_the_engine_may_have_data_before_the_handshake_is_over() -> None:
    engine, world, driver = joined()
    peer = Peer()
    engine.commands.append(StartTLS(1, "localhost"))
    engine.data[1] = b"too early"
    driver.step(NOW)
    exchange(world, driver, peer)
    driver.step(NOW)
    exchange(world, driver, peer)
    assert peer.received == b"too early"


def test_a_tls_goodbye_is_the_peers_end() -> None:
    engine, _, driver, peer = secured()
    last = peer.send(b"last")
    try:
        peer.tls.unwrap()
    except OSError:
        last += peer.output()
    driver.received(1, last, NOW)
    assert engine.told == [("data", 1, b"last", NOW), ("data", 1, b"", NOW)]


def test_an_end_after_the_goodbye_is_not_told_again() -> None:
    engine, _, driver, peer = secured()
    try:
        peer.tls.unwrap()
    except OSError:
        driver.received(1, peer.output(), NOW)
    driver.received(1, b"", NOW)
    assert engine.told == [("data", 1, b"", NOW)]


def test_a_refused_certificate_closes_the_connection_and_tells_both_sides() -> None:
    engine, world, driver = joined()
    peer = Peer()
    engine.commands.append(StartTLS(1, "example.org"))
    driver.step(NOW)
    peer.feed(world.sent)
    driver.received(1, peer.output(), NOW)
    [(closed, conn, alert)] = world.done
    assert (closed, conn) == ("close", 1)
    peer.feed(alert)
    assert "BAD_CERTIFICATE" in peer.said[0]
    [(lost, _, error, _)] = engine.told
    assert lost == "lost"
    assert "not for example.org" in error.message


def test_a_name_that_tls_cannot_have_fails_like_a_handshake() -> None:
    engine, world, driver = joined()
    engine.commands.append(StartTLS(1, ".example.org"))
    driver.step(NOW)
    assert world.done == [("close", 1, b"")]
    assert isinstance(engine.told[0][2], ConnectFailed)


def test_closing_says_goodbye_after_the_last_data() -> None:
    engine, world, driver, peer = secured()
    world.full = True
    engine.data[1] = b"last words"
    engine.commands.append(CloseConnection(1))
    driver.step(NOW)
    [(_, _, last)] = world.done
    peer.feed(last)
    assert peer.received == b"last words"
    assert peer.told_goodbye


def test_a_number_means_a_connection_and_not_its_tls_after_the_end() -> None:
    engine, _, driver, _ = secured()
    driver.lost(1, ConnectionLost(), NOW)
    engine.told.clear()
    driver.received(1, b"plain", NOW)
    assert engine.told == [("data", 1, b"plain", NOW)]


def test_where_something_is_to_be_read_first_nothing_is_written_before() -> None:
    engine, world, driver = joined()
    engine.data[1], engine.data[2] = b"idle before", b"not so"
    engine.waking, world.quiet = {1}, False
    driver.step(1.0)
    assert world.sent == b"not so"
    world.quiet = True
    driver.step(2.0)
    assert world.sent == b"not soidle before"
    assert engine.told == [("taken", 1, 77.0)]
    assert set(world.done) == {("quiet", 1)}


# What nobody foresaw ends the connection that it came up with.


def broken(*_: Any) -> Any:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("verb", "command", "kind"),
    [
        ("open", OpenConnection(1, "a.example", 80), ConnectFailed),
        ("wake_writer", StartTLS(1, "localhost"), ConnectFailed),
        ("pause", PauseReading(1), ConnectionLost),
        ("resume", ResumeReading(1), ConnectionLost),
        ("close", CloseConnection(1), ConnectionLost),
    ],
)
def test_a_verb_of_the_world_that_raises_ends_its_connection(
    verb: str, command: EngineCommand, kind: type[GradioError]
) -> None:
    engine, world, driver = joined()
    setattr(world, verb, broken)
    engine.commands += [command, OpenConnection(2, "b.example", 80)]
    driver.step(NOW)
    (lost, conn, error, now), *_ = engine.told
    assert (lost, conn, now) == ("lost", 1, NOW)
    assert type(error) is kind
    assert "RuntimeError: broken" in error.message
    assert isinstance(error.__cause__, RuntimeError)
    if verb != "close":
        assert ("close", 1, b"") in world.done
    assert (("open", 2, "b.example", 80) in world.done) is (verb != "open")


def test_a_connection_that_cannot_be_written_to_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, world, driver = joined()
    monkeypatch.setattr(world, "wake_writer", broken)
    engine.data[1] = b"x"
    driver.step(NOW)
    [(_, conn, error, _)] = engine.told
    assert (conn, type(error)) == (1, ConnectionLost)
    assert world.done == [("close", 1, b"")]


def test_what_tls_cannot_send_ends_the_connection() -> None:
    engine, world, driver, _ = secured()
    driver._tls[1].close()  # after which OpenSSL writes no more
    engine.data[1] = b"too late"
    driver.step(NOW)
    [(_, conn, error, _)] = engine.told
    assert (conn, type(error), error.phase) == (1, ConnectionLost, "tls")
    assert world.done == [("close", 1, b"")]


def test_what_ssl_raises_besides_its_own_errors_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, world, driver, peer = secured()
    monkeypatch.setattr(TLSWrapper, "receive", broken)
    driver.received(1, peer.send(b"x"), NOW)
    [(_, conn, error, _)] = engine.told
    assert (conn, type(error)) == (1, ConnectionLost)
    assert [done[:2] for done in world.done] == [("close", 1)]


def test_closing_what_cannot_be_written_to_is_closing_all_the_same() -> None:
    engine, world, driver, _ = secured()
    driver._tls[1].close()
    engine.data[1] = b"too late"
    engine.commands.append(CloseConnection(1))
    driver.step(NOW)
    assert [done[:2] for done in world.done] == [("close", 1)]
    assert engine.told == []
