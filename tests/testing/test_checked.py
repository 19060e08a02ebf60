"""A checked engine names each mistake of its driver, and lets a driver without mistakes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sansio_gradio.client.commands import CloseConnection, OpenConnection, PauseReading
from sansio_gradio.client.engine import Engine
from sansio_gradio.server.app import App
from sansio_gradio.testing.checked import CheckedEngine, DriverMistake
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer, ByHand, reply
from sansio_gradio.testing.talk import config

Mistake = Callable[[Any], Any]


def opening(src: str = "http://app.example/", **options: Any) -> Any:
    """An engine that has asked for connection 1."""
    checked = CheckedEngine(Engine(entropy=counted_entropy()), **options)
    checked.session(src)
    checked.handle_timer(10.0)
    assert isinstance(checked.next_command(), OpenConnection)
    assert checked.next_command() is None
    while checked.next_event() is not None:
        pass
    return checked


def sent(checked: Any, now: float = 11.0) -> Any:
    """The same, and its request is sent."""
    checked.connection_made(1, now)
    take(checked)
    return checked


def take(checked: CheckedEngine) -> list[Any]:
    """One step, done well; the commands."""
    taken: list[Any] = []
    while (command := checked.next_command()) is not None:
        taken.append(command)
    for conn in checked.connections_with_data():
        while checked.data_to_send(conn):
            pass
    while checked.next_event() is not None:
        pass
    return taken


def closing(checked: Any) -> Any:
    """The same, and the engine has closed connection 1."""
    checked.receive_data(1, b"this is no HTTP\r\n\r\n", 12.0)
    assert CloseConnection(1) in take(checked)
    return checked


MISTAKES: dict[str, Mistake] = {
    "receive_data came before connection_made on connection 1": lambda _: opening().receive_data(
        1, b"x", 11.0
    ),
    "connection_made was called twice for connection 1": lambda _: sent(opening()).connection_made(
        1, 12.0
    ),
    "connection_made came after connection_lost": lambda c: (
        c.connection_lost(1, None, 11.0),
        c.connection_made(1, 12.0),
    ),
    "receive_data came after connection_lost on connection 1": lambda c: (
        sent(c).connection_lost(1, None, 12.0),
        take(c),
        c.receive_data(1, b"x", 12.0),
    ),
    "connection_lost was called twice for connection 1": lambda c: (
        sent(c).connection_lost(1, None, 12.0),
        take(c),
        c.connection_lost(1, None, 12.0),
    ),
    "receive_data came after CloseConnection on connection 1": lambda c: closing(
        sent(c)
    ).receive_data(1, b"x", 12.0),
    "connection_lost came after CloseConnection on connection 1": lambda c: closing(
        sent(c)
    ).connection_lost(1, None, 12.0),
    "receive_data came after the end of connection 1": lambda c: (
        sent(c).receive_data(1, b"", 12.0),
        c.receive_data(1, b"", 12.0),
    ),
    "receive_data is about connection 7, which no OpenConnection asked for": lambda c: (
        c.receive_data(7, b"x", 11.0)
    ),
    "the clock runs backwards: connection_made says 9 after 10": lambda c: c.connection_made(
        1, 9.0
    ),
    "tls_made came without a StartTLS on connection 1": lambda c: sent(c).tls_made(1, 12.0),
    "connection 1 has had bytes to send for 9 seconds": lambda c: (
        c.connection_made(1, 11.0),
        c.next_command(),
        c.next_event(),
        c.handle_timer(20.0),
    ),
    "commands have waited for 9 seconds": lambda c: (
        sent(c).receive_data(1, b"no HTTP\r\n\r\n", 12.0),
        [c.next_event() for _ in range(9)],
        c.handle_timer(21.0),
    ),
    "events have waited for 9 seconds": lambda c: (
        sent(c).receive_data(1, b"no HTTP\r\n\r\n", 12.0),
        [c.next_command() for _ in range(9)],
        c.handle_timer(21.0),
    ),
    "next_deadline has passed for 10 seconds: call handle_timer": lambda c: (
        sent(c).handle_timer(11.0),
        take(c),
        c.receive_data(1, b"HTTP/1.1 200 OK\r\n", 500.0),
        take(c),
        c.receive_data(1, b"content-length: 9\r\n\r\n", 510.0),
    ),
    "OpenConnection 1 was never answered": lambda c: c.check_end(),
    "a command was never taken": lambda c: (
        sent(c).receive_data(1, b"no HTTP\r\n\r\n", 12.0),
        c.check_end(),
    ),
    "an event was never taken": lambda c: (
        sent(c).receive_data(1, b"no HTTP\r\n\r\n", 12.0),
        [c.next_command() for _ in range(9)],
        c.check_end(),
    ),
    "connection 1 has bytes that were never taken": lambda c: (
        c.connection_made(1, 11.0),
        c.next_event(),
        c.check_end(),
    ),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_each_mistake_is_named(words: str) -> None:
    checked = opening()
    with pytest.raises(DriverMistake) as caught:
        MISTAKES[words](checked)
    assert words in str(caught.value)


def test_a_mistake_stays_if_the_driver_swallows_it() -> None:
    checked = opening()
    with pytest.raises(DriverMistake):
        checked.receive_data(1, b"x", 11.0)
    assert len(checked.mistakes) == 1
    with pytest.raises(DriverMistake, match="receive_data came before connection_made"):
        checked.check_end()


def test_tls_must_be_answered_before_bytes() -> None:
    checked = opening("https://app.example/")
    checked.connection_made(1, 11.0)
    take(checked)
    with pytest.raises(DriverMistake, match="StartTLS on connection 1 was never answered"):
        checked.check_end()
    with pytest.raises(DriverMistake, match="receive_data came before tls_made on connection 1"):
        checked.receive_data(1, b"x", 11.0)
    with pytest.raises(DriverMistake, match="taken before tls_made: start TLS first"):
        checked.data_to_send(1)
    checked.tls_made(1, 11.0)
    assert checked.data_to_send(1)


def test_a_paused_connection_is_read_once_at_most() -> None:
    checked = sent(opening())
    told = checked._connections_told[1]
    told.is_paused = True  # as after PauseReading
    checked.receive_data(1, b"HTTP/1.1 200 OK\r\n", 12.0)
    with pytest.raises(DriverMistake, match="connection 1 was read on after PauseReading"):
        checked.receive_data(1, b"content-length: 0\r\n", 12.0)


def test_commands_say_whether_a_connection_is_read() -> None:
    checked = sent(opening())
    checked.engine._commands.append(PauseReading(1))
    take(checked)
    assert checked._connections_told[1].is_paused


def test_a_driver_without_mistakes_is_left_alone() -> None:
    made = App(version="6.31.0")

    @made.endpoint("/echo")
    def echo(text: str) -> str:
        return text

    checked = CheckedEngine(Engine(entropy=counted_entropy()), patience=0.0)
    driver = Driver(checked, AppPeer(made, pace=1.0))
    session = checked.session("http://app.example/")
    job = session.submit("x", api_name="/echo")
    driver.sleep(100.0)
    assert getattr(driver.end(session.id, job), "data", None) == ("x",)
    checked.close()
    driver.sleep(100.0)
    assert checked.is_closed
    checked.check_end()
    assert checked.mistakes == []


def test_it_is_an_engine_in_every_verb() -> None:
    driver = Driver(
        CheckedEngine(Engine(entropy=counted_entropy())),
        ByHand(lambda asked: reply(config()) if asked.path == "/config" else None),
    )
    driver.engine.session("http://app.example/")
    driver.settle()
    assert isinstance(driver.engine, Engine)
    verbs = {name for name in vars(Engine) if not name.startswith("_")}
    assert verbs <= {name for name in vars(CheckedEngine) if not name.startswith("_")}
