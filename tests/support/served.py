"""The app of the recordings, served by our server role, and a clockwork that drives it.

``replay`` gives the recorded bytes of the client to a ``ServerEngine``, each at its time, lets the
functions take the time that they took, and decodes what the engine sends with h11 and wsproto, not
with our own wire layer.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Generator, Iterator
from typing import Any

import attrs
import h11
from wsproto.frame_protocol import FrameProtocol, Opcode

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import JSON, NUMBER, STATE, TEXTBOX, ComponentKind
from sansio_gradio.server.conversation import ServerConversation
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import (
    ChunkReceived,
    EndChannel,
    InputEnded,
    JobAbandoned,
    JobSubmitted,
    OpenChannel,
    SendAlive,
    SendBytes,
    SendEvent,
    SendFile,
    SendMessage,
    SendResponse,
    ServerCommand,
    ServerEvent,
    SessionEnded,
)
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from tests.support.transcripts import Recording

# A function is a generator of what it does: a number of seconds that it sleeps, a list that it
# yields, or a call of one of the engine's verbs. What it returns is its result.
Told = Callable[[ServerEngine, int], None]
Steps = Generator["float | list[Any] | Told", None, "list[Any] | None"]


def progress(index: int, length: int, desc: str) -> Told:
    unit = {"index": index, "length": length, "unit": "steps", "progress": None, "desc": desc}
    return lambda engine, job: engine.progress(job, [unit])


def log(text: str, level: str) -> Told:
    return lambda engine, job: engine.log(job, text, level=level)


class Clockwork:
    """Runs functions on an engine, in simulated time."""

    def __init__(self, engine: ServerEngine, functions: dict[str, Callable[..., Steps]]) -> None:
        self.engine = engine
        self.now = 0.0
        self.events: list[ServerEvent] = []
        self._functions = functions
        self._running: dict[int, Steps] = {}
        self._fed: dict[int, Callable[..., Steps]] = {}
        self._due: list[tuple[float, int, int]] = []
        self._count = 0

    def run_until(self, time: float) -> None:
        """Let everything happen that is due by then."""
        while True:
            self._step()
            deadline = self.engine.next_deadline()
            due = self._due[0][0] if self._due else None
            times = [when for when in (deadline, due) if when is not None and when <= time]
            if not times:
                break
            self.now = max(self.now, min(times))
            if due is not None and due <= self.now:
                self._advance(heapq.heappop(self._due)[2])
            else:
                self.engine.handle_timer(self.now)
        self.now = max(self.now, time)

    def _step(self) -> None:
        while (event := self.engine.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, JobSubmitted):
                self.engine.start(event.job, self.now)
                call = self._functions[event.function.api_name]
                if event.function.streaming:
                    self._fed[event.job] = call
                self._running[event.job] = call(*event.data)
                self._advance(event.job)
            elif isinstance(event, ChunkReceived):
                self._running[event.job] = self._fed[event.job](*event.data)
                self._advance(event.job)
            elif not isinstance(event, SessionEnded):
                assert isinstance(event, JobAbandoned | InputEnded)
                self._running.pop(event.job, None)

    def _advance(self, job: int) -> None:
        steps = self._running.get(job)
        if steps is None:
            return
        try:
            while True:
                did = next(steps)
                if isinstance(did, float | int):
                    self._count += 1
                    heapq.heappush(self._due, (self.now + did, self._count, job))
                    return
                if isinstance(did, list):
                    self.engine.generate(job, did, self.now)
                else:
                    did(self.engine, job)
        except StopIteration as stop:
            if job in self._fed:
                self.engine.generate(job, stop.value, self.now)
            else:
                self.engine.complete(job, stop.value, now=self.now)
        except Exception as error:
            self.engine.fail(job, error, now=self.now)
        self._running.pop(job, None)


# The app of the recordings


def functions(version: tuple[int, ...]) -> dict[str, Callable[..., Steps]]:
    # Numbers came as floats from the Number component up to 4.8.
    number = float if version < (4, 9) else (lambda value: value)

    def add(a: Any, b: Any = None) -> Steps:
        if b is None:
            raise TypeError("add() misses an argument")
        yield 0
        return [number(a + b)]

    def count(n: Any) -> Steps:
        for i in range(int(n)):
            yield 0.15
            yield [f"step {i}"]
        return None

    def chat(msg: Any) -> Steps:
        history = [{"role": "user", "content": msg}]
        text = ""
        for i, word in enumerate(["Hello", " there", ", how", " are", " you?"]):
            yield 0.15
            text += word
            answer = {"role": "assistant", "content": text, "n": i, "meta": {"len": len(text)}}
            yield [[*history, answer]]
        return None

    def prog(n: Any) -> Steps:
        for i in range(int(n)):
            yield progress(i, int(n), "work")
            yield 0.15
        return ["done"]

    def boom(x: Any) -> Steps:
        yield 0
        raise AppError(f"boom: {x}", title="Error", duration=10)

    def boom2(x: Any) -> Steps:
        yield 0
        raise ValueError(f"valueboom: {x}")

    def boomgen(x: Any) -> Steps:
        yield ["first"]
        yield 0.2
        raise ValueError(f"genboom: {x}")

    def slow(n: Any) -> Steps:
        for i in range(int(n)):
            yield 0.2
            yield [f"slow {i}"]
        return None

    def nap(s: Any) -> Steps:
        yield float(s)
        return [f"napped {number(s)}"]

    def logs(x: Any) -> Steps:
        if version >= (3, 36):
            yield log("info message", "info")
            yield 0.3
            yield log("warning message", "warning")
            yield 0.3
        return [f"logged {x}"]

    def counter(x: Any, state: Any) -> Steps:
        yield 0
        state = (state or 0) + 1
        return [f"{x} {state}", state]

    def multi(a: Any) -> Steps:
        for i in range(3):
            yield 0.1
            yield [number(i), f"t{i}"]
        return None

    def prog_without(n: Any) -> Steps:
        yield 0.1
        return ["done"]

    several = (add, count, chat, boom, boom2, boomgen, slow, nap, logs, counter, multi)
    return {
        **{function.__name__: function for function in several},
        "prog": prog if version >= (3, 16) else prog_without,
        "add_unqueued": add,
    }


def recorded_functions(recording: Recording) -> dict[str, Callable[..., Steps]]:
    """Functions that give what those of the recording's second app (``app2.py``) gave."""
    given = iter([list(job["outputs"]) for job in recording.expected["jobs"]])
    chunks: list[list[Any]] = []

    def yielding(value: Any) -> Steps:
        for place, output in enumerate(next(given)):
            yield 0.15 if place else 0
            yield output
        return None

    def frames(value: Any) -> Steps:
        if not chunks:
            chunks.extend(next(given))
        yield 0.05
        return chunks.pop(0)

    generators = dict.fromkeys(("chatbot", "shrink", "shrink_json", "skipper"), yielding)
    return {**generators, "frames": frames}


def recorded_second_app(version: str) -> App:
    app = App(version=version)
    text = Slot(name="x", component=TEXTBOX)
    chat = Slot(name="chat", component=CHATBOT)
    app.add("chatbot", parameters=[text], returns=[chat], generator=True)
    app.add("shrink", parameters=[text], returns=[chat], generator=True)
    shown = Slot(name="json", component=JSON)
    app.add("shrink_json", parameters=[text], returns=[shown], generator=True)
    app.add("skipper", parameters=[text], returns=[text, text], generator=True)
    app.add("frames", parameters=[text], returns=[text], streaming=True, time_limit=3)
    return app


CHATBOT = ComponentKind(kind="chatbot", schema={"type": "array"}, python_type="list")


def recorded_app(version: str, **options: Any) -> App:
    """The app of the recordings (their ``app.py``), function for function."""
    app = App(version=version, **options)
    a, b = Slot(name="a", component=NUMBER), Slot(name="b", component=NUMBER)
    text, state = Slot(name="x", component=TEXTBOX), Slot(name="st", component=STATE, default=0)

    def add(name: str, inputs: list[Slot], outputs: list[Slot], **how: Any) -> None:
        app.add(name, parameters=inputs, returns=outputs, **how)

    add("add", [a, b], [a])
    add("count", [a], [text], generator=True)
    add("chat", [text], [Slot(name="json", component=JSON)], generator=True)
    add("prog", [a], [text])
    add("boom", [text], [text])
    add("boom2", [text], [text])
    add("slow", [a], [text], generator=True)
    if app.version >= (3, 6):
        add("stop", [], [], queue=False)
        add("unnamed", [], [], cancels=["slow"])
    add("nap", [a], [text])
    add("logs", [text], [text])
    add("file", [text], [text])
    add("counter", [text, state], [text, state])
    if app.version >= (3, 6):
        add("batched", [text], [text])
    add("add_unqueued", [a, b], [a], queue=False)
    add("boomgen", [text], [text], generator=True)
    add("multi", [a], [a, text], generator=True)
    return app


def in_a_word(command: ServerCommand) -> str:
    match command:
        case SendMessage():
            return str(command.message.get("msg"))
        case OpenChannel():
            return "open"
        case SendAlive():
            return "alive"
        case SendBytes():
            return "bytes"
        case SendEvent():
            return command.name
        case EndChannel():
            return "end" if command.clean else "cut"
        case SendResponse() | SendFile():
            return "answer"


class Talk:
    """A conversation, and what each exchange was told."""

    def __init__(self, app: App, limits: ServerLimits | None = None) -> None:
        ids = itertools.count()
        self.conversation = ServerConversation(
            app, entropy=lambda count: next(ids).to_bytes(count), limits=limits
        )
        self.now = 0.0
        self.events: list[ServerEvent] = []
        self._count = 0
        self._told: dict[int, list[ServerCommand]] = {}

    def exchange(self) -> int:
        self._count += 1
        return self._count

    def told(self, exchange: int) -> list[ServerCommand]:
        """What the exchange was told since the last time."""
        while (command := self.conversation.next_command()) is not None:
            self._told.setdefault(command.exchange, []).append(command)
        return self._told.pop(exchange, [])

    def kinds(self, exchange: int) -> list[str]:
        """The same in words: the kind of each message, or of another command."""
        return [in_a_word(command) for command in self.told(exchange)]

    def messages(self, exchange: int) -> list[Any]:
        return [
            command.message for command in self.told(exchange) if isinstance(command, SendMessage)
        ]

    def answer(self, exchange: int) -> tuple[int, Any]:
        """The status and the body of the one answer that the exchange got."""
        (answer,) = self.told(exchange)
        assert isinstance(answer, SendResponse)
        return answer.status, answer.body

    def event(self) -> ServerEvent:
        """The next event, which there must be."""
        event = self.next_event()
        assert event is not None
        return event

    def next_event(self) -> ServerEvent | None:
        """The next event, but for visitors who have gone."""
        return of_jobs(self.conversation)

    def idle(self) -> bool:
        return self.next_event() is None

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, stopping at every deadline."""
        until = self.now + seconds
        while (deadline := self.conversation.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.conversation.handle_timer(self.now)
        self.now = until

    # What clients ask

    def join(self, *data: Any, fn_index: int | None = 0, session: str | None = "s") -> str:
        """Join the queue; the event_id."""
        status, body = self.try_join(*data, fn_index=fn_index, session=session)
        assert status == 200
        return str(body["event_id"])

    def request(
        self,
        method: str,
        path: str,
        said: Any = None,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        is_websocket: bool = False,
    ) -> int:
        """The number of a request's exchange; *said* is JSON."""
        exchange, target = self.exchange(), f"{self.conversation.app.api_prefix}/{path}"
        body = b"" if said is None else json.dumps(said).encode()
        request = Request(exchange, method, target, headers, body, is_websocket)
        self.conversation.request(request, self.now)
        return exchange

    def post(self, path: str, **said: Any) -> tuple[int, Any]:
        """The answer to a POST."""
        return self.answer(self.request("POST", path, said))

    def try_join(
        self, *data: Any, fn_index: int | None = 0, session: str | None = "s"
    ) -> tuple[int, Any]:
        return self.post("queue/join", data=data, fn_index=fn_index, session_hash=session)

    def stream(self, session: str = "s") -> int:
        return self.request("GET", f"queue/data?session_hash={session}")

    def job_stream(self, data: list[Any] | None = None, fn_index: int = 0) -> int:
        """The stream of a job of its own."""
        given = "" if data is None else f"&data={json.dumps(data)}"
        return self.request("GET", f"queue/join?fn_index={fn_index}&session_hash=s{given}")

    def hand_over(self, event_id: str | None, data: list[Any]) -> tuple[int, Any]:
        return self.post("queue/data", data=data, event_id=event_id)

    def heartbeat(self, session: str = "s") -> int:
        return self.request("GET", f"heartbeat/{session}")

    def socket(self) -> int:
        """A WebSocket that is accepted."""
        exchange = self.request("GET", "queue/join", is_websocket=True)
        opened, *told = self.told(exchange)
        assert opened == OpenChannel(exchange)
        self._told[exchange] = told
        return exchange

    def text(self, exchange: int, **said: Any) -> None:
        self.conversation.text(exchange, json.dumps(said) if said else "nonsense", self.now)

    def hello(self, fn_index: int = 0, session: str = "s") -> int:
        """A WebSocket that has said for which function it is."""
        exchange = self.socket()
        self.text(exchange, fn_index=fn_index, session_hash=session)
        return exchange

    def cancel(self, event_id: str, *, fn_index: int = 0, session: str = "s") -> None:
        named = {"session_hash": session, "fn_index": fn_index, "event_id": event_id}
        assert self.post("cancel", **named) == (200, {"success": True})

    def reset(self, event_id: str | None) -> bool:
        status, body = self.post("reset", event_id=event_id)
        assert status == 200
        return bool(body["success"])

    def call(self, name: str, *data: Any, headers: Any = (), **said: Any) -> int:
        """Call past the queue."""
        return self.request("POST", f"api/{name}", {"data": data, **said}, headers)

    def leave(self, exchange: int) -> None:
        self.conversation.closed(exchange, self.now)

    # What the application does

    def submitted(self) -> JobSubmitted:
        event = self.event()
        assert isinstance(event, JobSubmitted)
        return event

    def started(self) -> int:
        """The next job, started; its number."""
        job = self.submitted().job
        self.conversation.start(job, self.now)
        return job


# What a client sees


@attrs.define
class Seen:
    """One exchange, as the client saw it."""

    status: int = 0
    content_type: str | None = None
    body: Any = None
    messages: list[Any] = attrs.field(factory=list[Any])
    complete: bool = False
    close: int | str | None = None


def see_http(method: str, data: bytes, eof: bool) -> Seen:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    if eof:
        client.receive_data(b"")
    seen = Seen()
    body = b""
    while True:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError:
            break
        if isinstance(event, h11.Response):
            seen.status = event.status_code
            found = [value for name, value in event.headers if name == b"content-type"]
            seen.content_type = found[0].decode() if found else None
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            seen.complete = isinstance(event, h11.EndOfMessage)
            break
    if (seen.content_type or "").startswith("text/event-stream"):
        for block in body.decode().split("\n\n")[:-1]:
            assert block.startswith("data: ")
            text = block.removeprefix("data: ")
            seen.messages.append({"raw": text} if text == "ALIVE" else json.loads(text))
    elif seen.content_type == "application/json":
        seen.body = json.loads(body)
    else:
        seen.body = body.decode()
    return seen


def see_socket(data: bytes, eof: bool) -> Seen:
    head, _, frames = data.partition(b"\r\n\r\n")
    seen = Seen(status=int(head.split()[1]))
    if seen.status != 101:
        return seen
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(frames)
    for frame in protocol.received_frames():
        if frame.opcode is Opcode.CLOSE:
            assert isinstance(frame.payload, tuple)
            seen.close = int(frame.payload[0])
        else:
            assert isinstance(frame.payload, str)
            seen.messages.append(json.loads(frame.payload))
    if seen.close is None and eof:
        seen.close = "eof"
    return seen


class Wire:
    """Clients of a ``ServerEngine``, connection by connection."""

    def __init__(self, app: App, limits: ServerLimits | None = None) -> None:
        ids = itertools.count()
        self.engine = ServerEngine(
            app, entropy=lambda count: next(ids).to_bytes(count), limits=limits
        )
        self.now = 0.0
        self.closed: set[int] = set()
        self.received: dict[int, bytes] = {}

    def connect(self) -> int:
        conn = len(self.received)
        self.received[conn] = b""
        self.engine.connection_made(conn, self.now)
        self.settle()
        return conn

    def settle(self) -> None:
        """Let the engine send what it has to send."""
        for conn in self.engine.connections_with_data():
            while data := self.engine.data_to_send(conn, 1000):
                assert len(data) <= 1000
                self.received[conn] += data
        while (command := self.engine.next_command()) is not None:
            assert command.conn not in self.closed
            self.closed.add(command.conn)

    def send(self, conn: int, data: bytes) -> None:
        self.engine.receive_data(conn, data, self.now)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := self.engine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.engine.handle_timer(self.now)
            self.settle()
        self.now = until

    def pass_time_unread(self, seconds: float) -> None:
        """Let time pass while no client reads."""
        until = self.now + seconds
        while (deadline := self.engine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.engine.handle_timer(self.now)
        self.now = until

    def ask(self, method: str, target: str, said: Any = None, **headers: str) -> int:
        """Send a request on a connection of its own; its number."""
        conn = self.connect()
        self.send(conn, request(method, target, said, **headers))
        return conn

    def seen(self, conn: int, method: str = "GET") -> Seen:
        return see_http(method, self.received[conn], conn in self.closed)

    def get(self, target: str, **headers: str) -> Seen:
        return self.seen(self.ask("GET", target, **headers))

    def post(self, target: str, said: Any = None) -> Seen:
        return self.seen(self.ask("POST", target, said), "POST")

    def next_event(self) -> ServerEvent | None:
        """The next event, but for visitors who have gone."""
        return of_jobs(self.engine)

    def event(self) -> ServerEvent:
        event = self.next_event()
        assert event is not None
        return event


def of_jobs(source: ServerConversation | ServerEngine) -> ServerEvent | None:
    """The next event, but for visitors who have gone."""
    while isinstance(event := source.next_event(), SessionEnded):
        pass
    return event


def request(method: str, target: str, said: Any = None, **headers: str) -> bytes:
    """The bytes of a request; *said* is JSON, or the bytes of a body."""
    body = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
    lines = [f"{method} {target} HTTP/1.1", "host: app.example"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if said is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def event_ids(recording: Recording) -> Iterator[bytes]:
    """The server's random bytes: those that make the event_ids of the recording."""
    yield bytes(8)  # the app_id
    for exchange in recording.expected["exchanges"]:
        if exchange["target"].endswith("/upload"):
            yield bytes(32)  # the secret in the paths of files
        answer = exchange.get("response_json")
        if isinstance(answer, dict) and "event_id" in answer:
            yield bytes.fromhex(answer["event_id"])
        for message in exchange.get("messages", ()):
            if message.get("msg") == "send_data":
                yield bytes.fromhex(message["event_id"])
    for number in itertools.count():
        yield number.to_bytes(16)


def replay(recording: Recording) -> dict[int, Seen]:
    """What the recorded client would have seen of our server, by connection."""
    version, name = recording.version, recording.name
    options: dict[str, Any] = {}
    if name in ("error_shown", "error_in_generator_shown", "queue_full"):
        options = {"show_error": True, "max_size": 1}
    elif name == "cancel_one_of_two_running_same_fn":
        options = {"concurrency_limit": 5}
    elif version.startswith("3."):
        options = {"concurrency_limit": 3}
    second = name.startswith("app2/")
    app = recorded_second_app(version) if second else recorded_app(version, **options)
    ids = event_ids(recording)
    engine = ServerEngine(app, entropy=lambda count: next(ids)[:count])
    known = recorded_functions(recording) if second else functions(app.version)
    clockwork = Clockwork(engine, known)
    sent: dict[int, bytes] = {}
    closed: set[int] = set()

    def deliver() -> None:
        for conn in engine.connections_with_data():
            while data := engine.data_to_send(conn):
                sent[conn] = sent.get(conn, b"") + data
        while (command := engine.next_command()) is not None:
            closed.add(command.conn)

    for chunk in recording.chunks:
        clockwork.run_until(chunk.t)
        deliver()
        if chunk.direction == "s2c":
            continue
        if chunk.conn not in sent:
            sent[chunk.conn] = b""
            engine.connection_made(chunk.conn, clockwork.now)
        engine.receive_data(chunk.conn, chunk.data, clockwork.now)
        clockwork.run_until(chunk.t)
        deliver()
    seen: dict[int, Seen] = {}
    for exchange in recording.expected["exchanges"]:
        conn = exchange["conn"]
        data, eof = sent.get(conn, b""), conn in closed
        seen[conn] = (
            see_socket(data, eof) if exchange.get("ws") else see_http(exchange["method"], data, eof)
        )
    return seen
