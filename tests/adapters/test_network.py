"""Non-blocking sockets, against real ones of this machine that the test holds the other end of."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters import _network, resolve
from sansio_gradio_adapters._network import READ_SIZE, Network
from sansio_gradio_adapters.resolve import Address


class Told:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.opened_ones: list[int] = []
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.reads = 0
        self.ended: list[int] = []
        self.errors: dict[int, GradioError] = {}
        self.to_send: dict[int, bytes] = {}

    def opened(self, conn: int, now: float) -> None:
        self.opened_ones.append(conn)

    def received(self, conn: int, data: bytes, now: float) -> None:
        self.reads += 1
        self.data[conn] += data
        if not data:
            self.ended.append(conn)

    def lost(self, conn: int, error: GradioError, now: float) -> None:
        assert conn not in self.errors
        self.errors[conn] = error

    def data_to_send(self, conn: int) -> bytes:
        data = self.to_send.get(conn, b"")
        self.to_send[conn] = data[65536:]
        return data[:65536]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def network(told: Told) -> Iterator[Network]:
    network = Network()
    network.tell(told)
    yield network
    network.shut_down()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def run(network: Network, done: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until
        network.wait(0.2)


@pytest.fixture
def peer(network: Network, told: Told, listener: socket.socket) -> Iterator[socket.socket]:
    """The other end of connection 1."""
    network.open(1, "127.0.0.1", port_of(listener))
    run(network, lambda: told.opened_ones)
    sock, _ = listener.accept()
    with sock:
        yield sock


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return port_of(sock)


# Connecting


def test_a_connection_is_told_when_it_is_there(
    network: Network, told: Told, listener: socket.socket
) -> None:
    network.open(1, "127.0.0.1", port_of(listener))
    assert told.opened_ones == []  # never from within a verb
    run(network, lambda: told.opened_ones)
    assert told.opened_ones == [1]


def test_who_refuses_is_named(network: Network, told: Told) -> None:
    port = free_port()
    network.open(1, "127.0.0.1", port)
    run(network, lambda: told.errors)
    error = told.errors[1]
    assert isinstance(error, ConnectFailed)
    assert error.message == f"No connection to 127.0.0.1, port {port}: Connection refused."
    assert error.phase == "connect"
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == errno.ECONNREFUSED


def test_names_are_looked_up_in_a_thread_once_for_all_who_wait(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    go_on = threading.Event()

    def look_up(host: str, port: int) -> list[Address]:
        asked.append(host)
        assert go_on.wait(PATIENCE)
        return [(socket.AF_INET.value, ("127.0.0.1", port))]

    monkeypatch.setattr(resolve, "look_up", look_up)
    network.open(1, "app.localhost", port_of(listener))
    network.open(2, "app.localhost", port_of(listener))
    network.open(3, "127.0.0.1", port_of(listener))
    run(network, lambda: told.opened_ones)
    assert told.opened_ones == [3]  # which did not wait for the lookup
    network.close(2, b"")  # given up meanwhile
    go_on.set()
    run(network, lambda: len(told.opened_ones) == 2)
    assert told.opened_ones == [3, 1]
    assert asked == ["app.localhost"]


def test_a_name_that_is_not_found_is_an_error(network: Network, told: Told) -> None:
    network.open(1, "nowhere.invalid", 80)
    run(network, lambda: told.errors)
    assert "No address was found for nowhere.invalid" in told.errors[1].message


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    family = socket.AF_INET.value
    monkeypatch.setattr(resolve, "literal", lambda host, port: [(family, each) for each in found])


def test_the_next_address_is_tried_when_one_refuses(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", port_of(listener)))
    network.open(1, "app.example", 80)
    run(network, lambda: told.opened_ones)
    assert told.errors == {}


def test_an_address_that_cannot_be_tried_at_all_is_passed_over(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (socket.AF_INET.value, ("127.0.0.1", port_of(listener)))
    # No such family; and a port that needs rights or does not exist at all.
    found: list[Address] = [(9999, ("127.0.0.1", 1)), (socket.AF_UNIX.value, "/nowhere"), good]
    monkeypatch.setattr(resolve, "literal", lambda host, port: found)
    network.open(1, "app.example", 80)
    run(network, lambda: told.opened_ones)
    assert told.errors == {}


def test_no_address_that_can_be_tried_is_an_error(
    network: Network, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "literal", lambda host, port: [])
    network.open(1, "app.example", 80)
    assert told.errors == {}
    network.wait(None)
    assert "no address to try" in told.errors[1].message


def silent_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose backlog is full: who connects gets no answer."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
    return sock, fillers


def test_an_address_that_does_not_answer_gets_company(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, fillers = silent_listener()
    monkeypatch.setattr(resolve, "ATTEMPT_DELAY", 0.01)
    addresses(monkeypatch, ("127.0.0.1", port_of(silent)), ("127.0.0.1", port_of(listener)))
    network.open(1, "app.example", 80)
    run(network, lambda: told.opened_ones)
    peer, _ = listener.accept()
    told.to_send[1] = b"hello"
    network.wake_writer(1)
    assert peer.recv(5) == b"hello"
    for sock in (silent, peer, *fillers):
        sock.close()


def test_what_is_still_connecting_can_be_given_up(
    network: Network, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, fillers = silent_listener()
    network.open(1, "127.0.0.1", port_of(silent))
    network.close(1, b"")
    network.wait(0.05)
    assert (told.opened_ones, told.errors) == ([], {})
    for sock in (silent, *fillers):
        sock.close()


def test_what_could_not_be_reached_may_have_been_given_up_already(
    network: Network, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "literal", lambda host, port: [])
    network.open(1, "app.example", 80)
    network.close(1, b"")
    network.wait(0.0)
    assert told.errors == {}


# Reading


def test_what_arrives_is_told_and_then_the_end_once(
    network: Network, told: Told, peer: socket.socket
) -> None:
    peer.sendall(b"hello")
    run(network, lambda: told.data[1])
    peer.close()
    run(network, lambda: told.ended)
    network.wait(0.05)
    network.resume(1)
    network.wait(0.05)
    assert told.data[1] == b"hello"
    assert told.ended == [1]


def test_much_is_read_in_big_pieces(network: Network, told: Told, peer: socket.socket) -> None:
    size = 4 * READ_SIZE
    threading.Thread(target=peer.sendall, args=(b"x" * size,), daemon=True).start()
    run(network, lambda: len(told.data[1]) == size)
    assert told.reads < size / 8192


def test_a_paused_connection_is_not_read(network: Network, told: Told, peer: socket.socket) -> None:
    network.pause(1)
    network.pause(1)
    peer.sendall(b"hello")
    network.wait(0.05)
    assert told.data[1] == b""
    network.resume(1)
    run(network, lambda: told.data[1])
    assert told.data[1] == b"hello"


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_reset_is_told_as_a_loss(network: Network, told: Told, peer: socket.socket) -> None:
    reset(peer)
    run(network, lambda: told.errors)
    error = told.errors[1]
    assert isinstance(error, ConnectionLost)
    assert error.message == "The connection was lost: Connection reset by peer."
    assert isinstance(error.__cause__, ConnectionResetError)


# Writing


def drain(peer: socket.socket, into: bytearray) -> threading.Thread:
    def read() -> None:
        while data := peer.recv(65536):
            into.extend(data)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def test_what_the_socket_does_not_take_waits(
    network: Network, told: Told, peer: socket.socket
) -> None:
    size = 8 << 20
    told.to_send[1] = b"y" * size
    network.wake_writer(1)
    network.wake_writer(1)
    assert told.to_send[1], "the socket of a peer who does not read took 8 MiB"
    received = bytearray()
    thread = drain(peer, received)
    run(network, lambda: len(received) == size)
    peer.shutdown(socket.SHUT_RD)
    thread.join(PATIENCE)
    assert received == b"y" * size


def test_an_answer_is_read_even_when_the_peer_takes_no_more(
    network: Network, told: Told, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.sendall(b"HTTP/1.1 413 Too Large")
    connection = network._connections[1]
    connection.sock.shutdown(socket.SHUT_WR)  # so that writing fails
    told.to_send[1] = b"z" * 100_000
    network.wake_writer(1)
    assert told.errors == {}
    run(network, lambda: told.data[1])
    assert told.data[1] == b"HTTP/1.1 413 Too Large"
    peer.close()
    run(network, lambda: told.errors)
    assert isinstance(told.errors[1].__cause__, BrokenPipeError)
    assert told.ended == []


# Closing


def test_the_last_bytes_are_sent_before_the_end(
    network: Network, told: Told, peer: socket.socket
) -> None:
    size = 8 << 20
    told.to_send[1] = b"y" * size
    network.wake_writer(1)
    rest = told.to_send.pop(1)
    network.close(1, rest + b"bye")
    received = bytearray()
    thread = drain(peer, received)
    run(network, lambda: not network._closing)
    thread.join(PATIENCE)
    assert received == b"y" * size + b"bye"
    assert (told.errors, told.ended) == ({}, [])


def test_a_peer_who_takes_nothing_is_not_waited_for_long(
    network: Network, told: Told, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_network, "LINGER", 0.01)
    network.close(1, b"y" * (16 << 20))
    assert network._closing
    run(network, lambda: not network._closing)
    assert told.errors == {}


def test_a_closed_connection_is_told_of_no_more(
    network: Network, told: Told, peer: socket.socket
) -> None:
    peer.sendall(b"too late")
    network.close(1, b"")
    network.wait(0.05)
    network.pause(1)
    network.wake_writer(1)
    network.close(1, b"")
    assert (told.reads, told.errors) == (0, {})


def no_more(*_: object) -> None:
    raise RuntimeError("there is no more of them")


def test_a_name_that_no_thread_can_look_up_is_asked_for_again_the_next_time(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            network.open(1, "localhost", port_of(listener))
        network.close(1, b"")
    network.open(2, "localhost", port_of(listener))
    run(network, lambda: told.opened_ones)
    assert (told.opened_ones, told.errors) == ([2], {})


def test_a_socket_that_cannot_be_watched_is_closed_and_told_of(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(network._selector, "register", no_more)
        network.open(1, "127.0.0.1", port_of(listener))
    run(network, lambda: told.errors)
    assert "there is no more of them" in told.errors[1].message
    assert isinstance(told.errors[1], ConnectFailed)


def test_two_attempts_may_succeed_at_once_and_one_is_taken(
    network: Network, told: Told, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "ATTEMPT_DELAY", 0.0)
    where = ("127.0.0.1", port_of(listener))
    addresses(monkeypatch, where, where, where)
    network.open(1, "app.example", 80)
    dial = network._dials[1]
    network._handle_timers(time.monotonic() + 1)
    network._handle_timers(time.monotonic() + 1)
    assert len(dial.attempts) == 3
    run(network, lambda: told.opened_ones)
    network.wait(0.05)
    assert told.opened_ones == [1]
    assert all(attempt.fileno() < 0 for attempt in dial.attempts)


# Waking


def test_a_wait_is_ended_from_another_thread(network: Network) -> None:
    threading.Timer(0.05, network.wake).start()
    network.wait(None)


def test_many_wakes_are_one_and_none_is_lost(network: Network) -> None:
    for _ in range(100_000):
        network.wake()
    network.wait(None)
    network.wake()
    network.wait(None)


def test_a_call_from_another_thread_is_made_in_this_one(network: Network) -> None:
    callers: list[threading.Thread] = []
    thread = threading.Thread(
        target=network.call_soon, args=(lambda now: callers.append(threading.current_thread()),)
    )
    thread.start()
    run(network, lambda: callers)
    thread.join()
    assert callers == [threading.current_thread()]


def test_whoever_comes_after_the_end_does_no_harm(told: Told) -> None:
    network = Network()
    network.tell(told)
    network.shut_down()
    network.wake()
    network.call_soon(lambda now: None)


def test_every_descriptor_is_closed_at_the_end(told: Told, listener: socket.socket) -> None:
    silent, fillers = silent_listener()
    network = Network()
    network.tell(told)
    network.open(1, "127.0.0.1", port_of(listener))
    network.open(2, "127.0.0.1", port_of(listener))
    run(network, lambda: len(told.opened_ones) == 2)
    network.open(3, "127.0.0.1", port_of(silent))
    network.close(2, b"y" * (16 << 20))
    owned = [
        network._connections[1].sock,
        *(connection.sock for connection in network._closing),
        *network._dials[3].attempts,
    ]
    assert len(owned) == 3
    network.shut_down()
    assert all(sock.fileno() < 0 for sock in owned)
    for sock in (silent, *fillers):
        sock.close()
