"""How long a game waits for the engine in each of its frames.

``python benchmarks/frame.py [SECONDS]`` plays so many seconds (30) of a game at 60 frames a second,
to which 1,000 messages of 317 B come in each second, and prints, of the time inside the engine in
each frame, the median, the 99th percentile and the longest: for what a server of each kind sends,
in a text that grows and in outputs that are replaced, each of which is looked at, and where only
the newest in each frame is. Then the longest single call is printed, for messages of up to 1 MB
that arrive as a socket gives them. Time is that of the thread, so that what else the machine does
does not count; what Python's garbage collector does within a call does. The goals are 2 ms for 99
of 100 frames, and 5 ms for a call.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import OpenConnection
from sansio_gradio.client.engine import Engine
from sansio_gradio.events import JobCompleted, Output, OutputsGrew
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.wire.http import Role
from sansio_gradio.wire.websocket import HandshakeRequested, WebSocketConnection

T = TypeVar("T")

FRAME = 1 / 60  # seconds
RATE = 1000  # messages a second
SIZE = 317  # bytes of a message
READ = 64 * 1024  # bytes that a socket gives at once
ANSWER = 5000  # messages of a text that grows, until the next one begins
EVENT = "0123456789abcdef" * 2
LARGE = (1_000, 10_000, 100_000, 1_000_000)

PARTS: list[Any] = [{"id": 1, "type": "textbox", "props": {}}]
CONFIGS: dict[str, dict[str, Any]] = {
    "sse_v3": {"version": "6.31.0", "protocol": "sse_v3"},
    "ws": {"version": "3.50.2"},
}


def app(protocol: str) -> AppInfo:
    """An app with one generator, whose one output is a text."""
    parts: dict[str, Any] = {
        "inputs": [1],
        "outputs": [1],
        "queue": True,
        "types": {"generator": True},
    }
    function: dict[str, Any] = {"id": 0, "api_name": "f", **parts}
    return AppInfo.from_config(
        {**CONFIGS[protocol], "components": PARTS, "dependencies": [function]}
    )


def _value(output: Output) -> tuple[Any, ...]:
    return output.value


def _newest(grown: OutputsGrew) -> tuple[Any, ...]:
    return grown.outputs[-1]


class Timed:
    """An engine whose calls are timed: ``spent`` since it was last cleared, and the ``longest``."""

    def __init__(self) -> None:
        self.engine = Engine(entropy=bytes)
        self.now = 0.0
        self.spent = self.longest = 0.0
        self.value: Any = None
        self.is_over = False

    def call(self, verb: Callable[..., T], *args: Any) -> T:
        began = time.thread_time()
        result = verb(*args)
        took = time.thread_time() - began
        self.spent += took
        self.longest = max(self.longest, took)
        return result

    def step(self) -> list[tuple[int, bytes]]:
        """What a loop does after it has read: what there is to send."""
        engine, sent = self.engine, list[tuple[int, bytes]]()
        while True:
            due = self.call(engine.next_deadline)
            if due is not None and due <= self.now:
                self.call(engine.handle_timer, self.now)
            while (command := self.call(engine.next_command)) is not None:
                assert isinstance(command, OpenConnection)
                self.call(engine.connection_made, command.conn, self.now)
            data: list[tuple[int, Any]] = [
                (conn, self.call(engine.data_to_send, conn))
                for conn in self.call(engine.connections_with_data)
            ]
            sent += data
            while (event := self.call(engine.next_event)) is not None:
                if isinstance(event, Output):
                    (self.value,) = self.call(_value, event)
                elif isinstance(event, OutputsGrew):
                    (self.value,) = self.call(_newest, event)
                self.is_over |= isinstance(event, JobCompleted)
            if not data:
                return sent

    def receive(self, conn: int, data: bytes) -> list[tuple[int, bytes]]:
        sent: list[tuple[int, bytes]] = []
        for start in range(0, len(data), READ):
            self.call(self.engine.receive_data, conn, data[start : start + READ], self.now)
            sent += self.step()
        return sent


class Server:
    """Just enough of a server: the connection on which messages go, and how they are written."""

    def __init__(self, protocol: str, timed: Timed, want: Want = Want.OUTPUTS) -> None:
        self.protocol = protocol
        self._socket = WebSocketConnection(Role.SERVER)
        session = timed.engine.session("http://127.0.0.1:7860", app=app(protocol))
        session.submit("x", api_name="/f", want=Want.STATUS | want)
        [(self.conn, asked)] = timed.step()
        if protocol == "ws":
            [shaken] = self._socket.receive_data(asked)
            assert isinstance(shaken, HandshakeRequested)
            timed.receive(self.conn, self._socket.accept())
            timed.receive(self.conn, self.written({"msg": "send_data"}))
        else:
            body = b'{"event_id":"%s"}' % EVENT.encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
            [(self.conn, _)] = timed.receive(self.conn, head + body)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            timed.receive(self.conn, head + b"transfer-encoding: chunked\r\n\r\n")
        timed.receive(self.conn, self.written({"msg": "process_starts"}))

    def written(self, message: dict[str, Any]) -> bytes:
        """A message of the job as the server writes it."""
        kind = message.pop("msg")
        if self.protocol == "ws":
            return self._socket.send_text(json.dumps({"msg": kind, **message}))
        said = json.dumps({"msg": kind, "event_id": EVENT, **message}, separators=(",", ":"))
        data = b"data: %s\n\n" % said.encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    def generating(self, *data: Any) -> bytes:
        times = {"duration": 0.15, "average_duration": 0.15}
        output = {"data": list(data), "is_generating": True, **times}
        more: dict[str, Any] = {"success": True}
        if self.protocol != "ws":
            output |= {"render_config": None, "changed_state_ids": []}
            more["time_limit"] = None
        return self.written({"msg": "process_generating", "output": output, **more})

    def completed(self, *data: Any) -> bytes:
        output = {"data": list(data), "is_generating": False}
        return self.written({"msg": "process_completed", "output": output, "success": True})


def growing(server: Server) -> Iterator[bytes]:
    """A text to which each message adds: the edits of sse_v3."""
    yield server.generating("")
    token = "x" * (SIZE - len(server.generating([["append", [], ""]])))
    while True:
        yield server.generating([["replace", [], ""]])
        for _ in range(ANSWER):
            yield server.generating([["append", [], token]])


def replaced(server: Server) -> Iterator[bytes]:
    """A whole value each time."""
    first = True
    while True:
        for letter in "ab":
            text = letter * (SIZE - len(server.generating([["replace", [], ""]])))
            whole = first or server.protocol == "ws"
            first = False
            yield server.generating(text if whole else [["replace", [], text]])


def frames(
    protocol: str,
    kind: Callable[[Server], Iterator[bytes]],
    seconds: float,
    want: Want = Want.OUTPUTS,
) -> str:
    timed = Timed()
    server = Server(protocol, timed, want)
    messages = kind(server)
    timed.longest = 0.0
    gc.collect()
    took: list[float] = []
    said = 0
    for number in range(int(seconds / FRAME)):
        due = int((number + 1) * FRAME * RATE) - said
        said += due
        data = b"".join(next(messages) for _ in range(due))
        timed.now += FRAME
        timed.spent = 0.0
        timed.receive(server.conn, data)
        timed.step()
        took.append(timed.spent * 1e3)
    took.sort()
    median, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    longest = timed.longest * 1e3
    return f"{median:>8.2f} {p99:>8.2f} {took[-1]:>8.2f} {longest:>8.2f}"


def large(protocol: str, size: int) -> str:
    """The longest call for messages of this size: five outputs, and a result."""
    timed = Timed()
    server = Server(protocol, timed)
    timed.longest = 0.0
    for letter in "abcde":
        text = letter * size
        whole = letter == "a" or protocol == "ws"
        timed.receive(server.conn, server.generating(text if whole else [["replace", [], text]]))
        assert timed.value == text
    timed.receive(server.conn, server.completed("e" * size))
    assert timed.is_over
    return f"{timed.longest * 1e3:>8.2f}"


def main(seconds: float) -> None:
    print(f"{RATE} messages of {SIZE} B a second, {seconds:g} s; ms in the engine in each frame")
    print(f"{'':24} {'median':>8} {'p99':>8} {'longest':>8} {'a call':>8}")
    for protocol, kind in (("sse_v3", growing), ("sse_v3", replaced), ("ws", replaced)):
        print(f"{protocol + ', ' + kind.__name__:24} {frames(protocol, kind, seconds)}")
    print(f"{'sse_v3, only the newest':24} {frames('sse_v3', growing, seconds, Want.GROWTH)}")
    print(f"\n{'ms of the longest call, messages of B':40}" + "".join(f"{n:>10}" for n in LARGE))
    for protocol in CONFIGS:
        print(f"{protocol:40}" + "".join(f"{large(protocol, size):>10}" for size in LARGE))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
