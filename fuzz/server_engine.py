"""Invariant: whatever clients send to a server, on however many connections and in whatever pieces,
it answers or hangs up; what it says does not depend on the pieces; it raises nothing, keeps no
connection, and every run that it asks for is over when it is stopped.

The first byte chooses the release, the second one says how the rest is cut. The rest is what the
clients say, a connection each, parted by ``\\x1e``; the clients stay for a minute.
"""

from __future__ import annotations

import functools

from fuzz._visit import ANSWER, VERSIONS
from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import FILE, STATE, TEXTBOX
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import JobSubmitted
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.testing.entropy import counted_entropy

LIMITS = ServerLimits(request=20_000, unsent=200_000)
MANY = 10_000


def target(data: bytes) -> None:
    choice, cut = (data[:2] + b"\0\0")[:2]
    version = VERSIONS[choice % len(VERSIONS)]
    clients = data[2:].split(ANSWER)[:8]
    assert served(version, clients, cut + 1) == served(version, clients, 1 << 20)


@functools.cache
def app(version: str) -> App:
    made = App(version=version, auth=None, max_size=3)
    text = Slot(name="x", component=TEXTBOX)
    state, file = Slot(name="s", component=STATE), Slot(name="f", component=FILE)
    made.add("many", parameters=[text, state], returns=[text, state], generator=True)
    made.add("plain", parameters=[text], returns=[text], queue=False)
    made.add("file", parameters=[file], returns=[file])
    made.add("fails", parameters=[text], returns=[text])
    return made


def served(version: str, clients: list[bytes], step: int) -> dict[int, bytes]:
    """What each client is told."""
    engine = ServerEngine(app(version), entropy=counted_entropy(), limits=LIMITS)
    told: dict[int, bytes] = {}
    open_ones: set[int] = set()
    now = 0.0

    def move() -> None:
        for _ in range(MANY):
            moved = False
            for conn in engine.connections_with_data():
                while data := engine.data_to_send(conn):
                    assert conn in open_ones or conn in told
                    told[conn] += data
                    moved = True
            while (command := engine.next_command()) is not None:
                moved = True
                open_ones.discard(command.conn)
                while data := engine.data_to_send(command.conn):
                    told[command.conn] += data
            while (event := engine.next_event()) is not None:
                moved = True
                if isinstance(event, JobSubmitted):
                    run(event)
            if not moved:
                return
        raise AssertionError("the engine runs in circles")

    def run(event: JobSubmitted) -> None:
        engine.start(event.job, now)
        given = [*event.data, None, None][: len(event.function.returns)]
        if event.function.api_name == "fails":
            engine.fail(event.job, AppError("it fails"), now=now)
        elif event.function.generator:
            engine.log(event.job, "a notice")
            engine.generate(event.job, given, now)
            engine.generate(event.job, ["again", None], now)
            engine.complete(event.job, now=now)
        else:
            engine.complete(event.job, given, now=now)

    for conn, said in enumerate(clients):
        told[conn] = b""
        open_ones.add(conn)
        engine.connection_made(conn, now)
        for at in range(0, len(said), step):
            engine.receive_data(conn, said[at : at + step], now)
        move()
    for _ in range(MANY):
        due = engine.next_deadline()
        if due is None or due > 60.0:
            break
        now = max(now, due)
        engine.handle_timer(now)
        move()
    else:
        raise AssertionError("deadlines follow each other for ever")
    for conn in sorted(open_ones):
        engine.connection_lost(conn, None, now)
    open_ones.clear()
    move()
    engine.stop(now)
    move()
    for conn, said in told.items():
        assert said == b"" or said.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), conn
        assert engine.data_to_send(conn) == b""
    return told


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    return b"\x00\x1f" + b"GET /config HTTP/1.1\r\nhost: a\r\n\r\n" * (10 * times)
