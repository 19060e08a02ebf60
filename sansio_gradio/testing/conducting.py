"""A server that keeps to a plan: the server role, with one scenario and some changes. No sockets.

    conductor = Conductor(plan, entropy=os.urandom)
    conductor.connection_made(conn, now)
    conductor.receive_data(conn, data, now)
    for conn, what in conductor.actions(now):    # bytes to send, or how the connection ends
        ...
    conductor.next_deadline()                    # when to call ``handle_timer``

It answers the scenario's calls by itself, and notes what the client has asked and what it was told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.errors import GradioError
from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.conversation import ServerConversation
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import (
    EndChannel,
    JobAbandoned,
    JobSubmitted,
    OpenChannel,
    SendBytes,
    SendMessage,
    ServerCommand,
)
from sansio_gradio.server.requests import Request
from sansio_gradio.testing.changes import (
    Asking,
    BreakOff,
    Change,
    Command,
    Ending,
    Wait,
    is_of_job,
)
from sansio_gradio.testing.relay import PLAIN, Relay, Side, Variation
from sansio_gradio.testing.scenarios import (
    Hold,
    Logs,
    Progresses,
    Raises,
    Returns,
    StagedScenario,
    Step,
    Yield,
)
from sansio_gradio.wire import json

__all__ = ["Action", "Conductor", "Plan", "Seen", "Traffic", "app_of"]

CLOSE_WITHIN: Final = 5.0  # seconds for the answer to a Close
GAP: Final = 0.0005  # seconds between two pieces
QUIET: Final = 0.2  # seconds without a byte: then a relay lets go what it holds

Action: TypeAlias = "bytes | Ending"
"""Bytes to send on a connection, or how it ends."""


@attrs.frozen
class Plan:
    """One case: what happens, on a server of which release, and what is different about it."""

    version: str
    scenario: StagedScenario
    changes: tuple[Change, ...] = ()
    variation: Variation = PLAIN

    @property
    def name(self) -> str:
        changed = "+".join(self.differences)
        return f"{self.scenario.name}/{changed}" if changed else self.scenario.name

    @property
    def differences(self) -> list[str]:
        """The names of the changes to the usual words of a server."""
        varied = [] if self.is_plain else [self.variation.name.replace(" ", "_")]
        return [*(change.name for change in self.changes), *varied]

    @property
    def is_plain(self) -> bool:
        return self.variation is PLAIN

    @property
    def rule(self) -> str:
        """The rule that a client breaks which fails here and nowhere else."""
        if not self.is_plain:
            return self.variation.rule
        if self.changes:
            return self.changes[-1].rule
        return self.scenario.rule_in(self.version)

    @property
    def says(self) -> str:
        varied = [] if self.is_plain else [f"It is said in another way: {self.variation.name}."]
        return " ".join([self.scenario.says, *(one.says for one in self.changes), *varied])


@attrs.frozen
class Seen:
    """A request of the client."""

    ask: Asking
    request: Request
    now: float


@attrs.frozen
class Traffic:
    """Some bytes on a connection. ``by``: "client" or "server"."""

    now: float
    conn: int
    by: str
    data: bytes


def app_of(scenario: StagedScenario, version: str) -> App:
    """An app with the functions of a scenario. The first one is a decoy."""
    app = App(version=version, concurrency_limit=None, title="conform")
    slot = Slot(name="value", component=TEXTBOX)
    app.add("decoy", parameters=(slot,), returns=(slot,))
    app.add(
        scenario.name,
        parameters=scenario.parameters,
        returns=scenario.returns,
        generator=scenario.generator,
        queue=scenario.queue,
    )
    return app


class ConductedConversation(ServerConversation):
    """The server role's logic, which does some things in another way than a server usually does."""

    def __init__(self, app: App, *, changes: Sequence[Change], **options: Any) -> None:
        super().__init__(app, **options)
        self.now = 0.0
        self.seen: list[Seen] = []
        self.counts = Counter[Asking]()
        self.said = Counter[str]()
        self.cuts: dict[int, BreakOff] = {}
        self.left: list[tuple[Asking, int, float]] = []
        """Exchanges that the client broke off."""
        self.texts: list[Any] = []
        """What the client said on WebSockets."""
        self.yields = 0
        """How many of the scenario's yields were handed to the network."""
        self._last = ""  # the kind of the message that was handed on last
        self.most: int | None = None
        self.least: int | None = None
        """How many of them the client can have got, if its channel was cut."""
        self.is_told_end = False
        self.event_ids: set[str] = set()
        """The names that the server has given to jobs."""
        self.shared = 0
        """How often a session had two streams at once."""
        self.uploads: dict[int, bytearray] = {}
        """The bodies of uploads, by the numbers of their requests in ``seen``."""
        self._changes = changes
        self._uploading: dict[int, bytearray] = {}
        self._asks: dict[int, Asking] = {}
        self._upgraded: set[int] = set()
        self._open: set[int] = set()  # channels that messages can come on
        self._added: dict[int, Message] = {}
        self._lanes: dict[int, deque[Command]] = {}
        self._due: dict[int, float] = {}
        self._ready: deque[ServerCommand] = deque()

    # What changes are handed

    def asked(self, exchange: int) -> Asking:
        return self._asks[exchange]

    def is_socket(self, exchange: int) -> bool:
        return exchange in self._upgraded

    def added(self, exchange: int, message: Mapping[str, Any]) -> SendMessage:
        made: Any = dict(message)
        self._added[id(made)] = made
        return SendMessage(exchange, made)

    # As a conversation

    def request(self, request: Request, now: float) -> None:
        self.now = now
        exchange = request.exchange
        ask = self._asks[exchange] = kind_of(request, self.app)
        self._lanes.pop(exchange, None)
        self._due.pop(exchange, None)
        if request.is_websocket:
            self._upgraded.add(exchange)
        self.counts[ask] += 1
        self.seen.append(Seen(ask, request, now))
        self._uploading.pop(exchange, None)
        if ask == Asking.UPLOAD:
            body = bytearray(request.body)
            self._uploading[exchange] = self.uploads[len(self.seen) - 1] = body
        for change in self._changes:
            answer = change.answer(self, request) if change.answer is not None else None
            if answer is not None:
                self._put(exchange, answer)
                return
        if ask == Asking.CHANNEL and not request.is_websocket:
            self._note_stream(request)
        super().request(request, now)

    def data(self, exchange: int, data: bytes, now: float) -> None:
        if exchange in self._uploading:
            self._uploading[exchange] += data
        super().data(exchange, data, now)

    def _note_stream(self, request: Request) -> None:
        session = "".join(request.query.get("session_hash", []))
        is_joining = request.path.endswith("join")
        open_now = [
            seen
            for seen in self.seen[:-1]
            if seen.ask == Asking.CHANNEL
            and "".join(seen.request.query.get("session_hash", [])) == session
            and self.channel_is_open(seen.request.exchange)
        ]
        self.shared += bool(open_now) and not is_joining

    def channel_is_open(self, exchange: int) -> bool:
        """Whether messages may still be sent on that channel."""
        return exchange in self._open and exchange not in self.cuts

    def text(self, exchange: int, text: str, now: float) -> None:
        self.now = now
        try:
            said: Any = json.loads(text)
        except GradioError:
            said = None
        self.texts.append(said)
        self.counts[Asking.HAND_OVER] += isinstance(said, dict) and "data" in said
        super().text(exchange, text, now)

    def closed(self, exchange: int, now: float) -> None:
        self._open.discard(exchange)
        self.left.append((self._asks.get(exchange, Asking.OTHER), exchange, now))
        super().closed(exchange, now)

    def next_command(self) -> ServerCommand | None:
        self._move_all()
        while not self._ready:
            command = super().next_command()
            if command is None:
                break
            self._put(command.exchange, self._rewritten(command))
        return self._ready.popleft() if self._ready else None

    def next_deadline(self) -> float | None:
        times = [super().next_deadline(), *self._due.values()]
        return min((when for when in times if when is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self.now = now
        super().handle_timer(now)

    def _rewritten(self, command: Command) -> list[Command]:
        commands = [command]
        for change in self._changes:
            rewrite = change.rewrite
            if rewrite is not None:
                commands = [
                    made
                    for one in commands
                    for made in ([one] if self._is_added(one) else rewrite(self, one))
                ]
        if isinstance(command, SendMessage):
            self.said[str(command.message.get("msg"))] += 1
        return commands

    def _is_added(self, command: Command) -> bool:
        return isinstance(command, SendMessage) and id(command.message) in self._added

    def _put(self, exchange: int, commands: Iterable[Command]) -> None:
        self._lanes.setdefault(exchange, deque()).extend(commands)
        self._move(exchange)

    def _move_all(self) -> None:
        for exchange in [one for one, due in self._due.items() if due <= self.now]:
            del self._due[exchange]
        for exchange in list(self._lanes):
            self._move(exchange)

    def _move(self, exchange: int) -> None:
        """Hand on what need not wait."""
        lane = self._lanes.get(exchange)
        while lane:
            if exchange in self.cuts:
                lane.clear()
                return
            if exchange in self._due:
                return
            command = lane.popleft()
            if isinstance(command, Wait):
                self._due[exchange] = self.now + command.seconds
            elif isinstance(command, BreakOff):
                self._note_cut(command)
            elif isinstance(command, SendMessage):
                self._say(command)
            else:
                if isinstance(command, OpenChannel) and self._asks[exchange] == Asking.CHANNEL:
                    self._open.add(exchange)
                elif isinstance(command, EndChannel):
                    self._open.discard(exchange)
                self._ready.append(command)

    def _note_cut(self, cut: BreakOff) -> None:
        self.cuts[cut.exchange] = cut
        if self._asks.get(cut.exchange) != Asking.CHANNEL or self.least is not None:
            return
        # With its line end a yield may be lost, too, and with half of it it is.
        is_cut = cut.lost > 0 and self._last == "process_generating"
        self.most = self.yields - (is_cut and cut.lost > len(b"\n\r\n"))
        self.least = 0 if cut.ending is Ending.RESET else self.yields - is_cut

    def _say(self, command: SendMessage) -> None:
        self._last = str(command.message.get("msg"))
        if not self._is_added(command):
            if (event_id := command.message.get("event_id")) is not None:
                self.event_ids.add(event_id)
            self.yields += is_of_job(command, "process_generating")
            self.is_told_end = self.is_told_end or is_of_job(command, "process_completed")
        frames = [change.frame for change in self._changes if change.frame is not None]
        if not frames or self.is_socket(command.exchange):
            self._ready.append(command)
            return
        text = json.dumps(command.message)
        self._ready += [SendBytes(command.exchange, chunk) for chunk in frames[-1](text)]


def kind_of(request: Request, app: App) -> Asking:
    """What a request asks for."""
    path = "/" + request.path.removeprefix(app.api_prefix).strip("/")
    is_below = request.path.startswith(app.api_prefix)
    if path in ("/config", "/"):
        return Asking.CONFIG if path == "/config" else Asking.PAGE
    if not is_below:
        return Asking.OTHER
    if path == "/queue/join":
        return Asking.JOIN if request.method == "POST" else Asking.CHANNEL
    if path == "/queue/data":
        return Asking.HAND_OVER if request.method == "POST" else Asking.CHANNEL
    if path.startswith("/api/queue/"):
        return Asking.JOIN if path == "/api/queue/push" else Asking.POLL
    if path.startswith(("/api/", "/run/")):
        return Asking.PLAIN
    if path == "/upload":
        return Asking.UPLOAD
    if path.startswith("/heartbeat/"):
        return Asking.HEARTBEAT
    return {"/info": Asking.INFO, "/cancel": Asking.STOP, "/reset": Asking.STOP}.get(
        path, Asking.OTHER
    )


@attrs.define(eq=False)
class _Wire:
    """One connection, as the network has it."""

    queue: deque[tuple[float, Action]] = attrs.field(factory=deque[tuple[float, Action]])
    is_over: bool = False
    is_upgraded: bool = False
    closed_at: float | None = None  # when the server said Close on a WebSocket
    received: bytearray = attrs.field(factory=bytearray)


class Conductor:
    """Serves the *plan*, and notes what happens. The verbs are those of ``ServerEngine``."""

    def __init__(
        self,
        plan: Plan,
        *,
        entropy: Callable[[int], bytes],
        wall_offset: float | None = None,
    ) -> None:
        self.plan = plan
        self.app = app_of(plan.scenario, plan.version)
        self.heard: list[Traffic] = []
        self.done = 0
        """How many of the scenario's jobs have run to their end."""
        self.given: list[Sequence[Any]] = []
        """The arguments that the scenario's function was called with."""
        self.abandoned = 0
        self.late_closes = 0
        """How many WebSockets were closed late by the client, after the server's Close."""
        made: list[ConductedConversation] = []

        def conversation(app: App, **options: Any) -> ConductedConversation:
            made.append(ConductedConversation(app, changes=plan.changes, **options))
            return made[0]

        self.engine = ServerEngine(
            self.app, entropy=entropy, wall_offset=wall_offset, conversation=conversation
        )
        self.stage = made[0]
        self._relay = None if plan.is_plain else Relay(plan.variation)
        self._lines: list[int] = []  # the connection of each line of the relay
        self._quiet: float | None = None
        self._wires: dict[int, _Wire] = {}
        self._scripts: dict[int, Iterator[Step]] = {}

    # The network

    def connection_made(self, conn: int, now: float) -> None:
        self._wires[conn] = _Wire()
        if self._relay is not None:
            self._relay.open()
            self._lines.append(conn)
        self.engine.connection_made(conn, now)

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        self.heard.append(Traffic(now, conn, "client", data))
        wire = self._wires[conn]
        wire.received += data
        if not data or (wire.is_upgraded and 8 in opcodes(bytes(wire.received))):
            self._note_closed(wire, now)
        self.stage.now = now
        if wire.is_over:
            return
        if self._relay is None:
            self.engine.receive_data(conn, data, now)
        else:
            self._relay.receive(self._lines.index(conn), Side.CLIENT, data)
            self._pass_on(now)

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:
        wire = self._wires[conn]
        self._note_closed(wire, now)
        if not wire.is_over:
            self.stage.now = now
            self.engine.connection_lost(conn, error, now)
        wire.is_over = True
        wire.queue.clear()

    def _note_closed(self, wire: _Wire, now: float) -> None:
        if wire.closed_at is not None:
            self.late_closes += now - wire.closed_at > CLOSE_WITHIN
            wire.closed_at = None

    def _pass_on(self, now: float) -> None:
        """Do what the relay says."""
        assert self._relay is not None
        for line, side, data in self._relay.data_to_send():
            conn = self._lines[line]
            if side is Side.SERVER:
                self.engine.receive_data(conn, data, now)
            elif data:
                self._put(self._wires[conn], data, now)
            else:
                self._close(conn, Ending.CLOSE, now)
        self._quiet = now + QUIET if self.plan.variation.join_answered_last else None

    def handle_timer(self, now: float) -> None:
        if self._relay is not None and self._quiet is not None and self._quiet <= now:
            self._relay.idle()
            self._pass_on(now)
            self._quiet = None
        self.stage.now = now
        self.engine.handle_timer(now)

    def next_deadline(self) -> float | None:
        times = [self.engine.next_deadline(), self._quiet]
        times += [wire.queue[0][0] for wire in self._wires.values() if wire.queue]
        return min((when for when in times if when is not None), default=None)

    def actions(self, now: float) -> list[tuple[int, Action]]:
        """What to do now, in order."""
        self.stage.now = now
        self._run_jobs(now)
        self._collect(now)
        found: list[tuple[int, Action]] = []
        for conn, wire in self._wires.items():
            while wire.queue and wire.queue[0][0] <= now:
                _, what = wire.queue.popleft()
                found.append((conn, what))
                if isinstance(what, bytes):
                    self.heard.append(Traffic(now, conn, "server", what))
                else:
                    self.heard.append(Traffic(now, conn, "server", b""))
        return found

    def answers_of_sockets(self) -> list[set[int]]:
        """The kinds of frames (opcodes) that came on each WebSocket."""
        return [opcodes(bytes(wire.received)) for wire in self._wires.values() if wire.is_upgraded]

    # The functions

    def _run_jobs(self, now: float) -> None:
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, JobSubmitted):
                self.engine.start(event.job, now)
                self._scripts[event.job] = self._script(event)
                self._go_on(event.job, now)
            elif isinstance(event, JobAbandoned):
                self.abandoned += 1
                self._scripts.pop(event.job, None)

    def _script(self, event: JobSubmitted) -> Iterator[Step]:
        own = self.plan.scenario
        self.given += [event.data] if event.function.api_name == own.name else []
        if event.function.api_name != own.name:
            return iter([Returns(("the decoy",))])
        twin = own.twin
        if twin is not None and list(event.data) == list(twin.data):
            return iter(twin.steps)
        return iter(own.steps)

    def _go_on(self, job: int, now: float) -> None:
        """Let the function do its next steps."""
        for step in self._scripts.get(job, ()):
            if isinstance(step, Hold):
                if self.done:
                    continue
                return
            self._do(job, step, now)
            if isinstance(step, Returns | Raises):
                self._scripts.pop(job, None)
                self.done += 1
                for other in list(self._scripts):
                    self._go_on(other, now)
                return

    def _do(self, job: int, step: Step, now: float) -> None:
        engine = self.engine
        match step:
            case Yield(data):
                engine.generate(job, data, now)
            case Returns(data):
                engine.complete(job, data, now=now)
            case Raises(error):
                engine.fail(job, error, now=now)
            case Progresses(index, length, desc):
                engine.progress(job, [{"index": index, "length": length, "desc": desc}])
            case Logs(text):
                engine.log(job, text)
            case Hold():
                pass

    # The bytes

    def _collect(self, now: float) -> None:
        while conns := self.engine.connections_with_data():
            for conn in conns:
                self._send(conn, self._data(conn), now)
        while (command := self.engine.next_command()) is not None:
            self._send(command.conn, self._data(command.conn), now)
            self._end(command.conn, Ending.CLOSE, now)
        for conn, cut in list(self.stage.cuts.items()):
            wire = self._wires[conn]
            if not wire.is_over:
                self._lose(wire, cut.lost)
                if cut.last:
                    self._send(conn, cut.last, now)
                self._end(conn, cut.ending, now)
                if cut.ending is not Ending.HOLD:
                    del self.stage.cuts[conn]
                    self.engine.connection_lost(conn, None, now)

    def _data(self, conn: int) -> bytes:
        parts: list[bytes] = []
        while data := self.engine.data_to_send(conn):
            parts.append(data)
        return b"".join(parts)

    def _send(self, conn: int, data: bytes, now: float) -> None:
        wire = self._wires[conn]
        if wire.is_over or not data:
            return
        if self._relay is None:
            self._put(wire, data, now)
        else:
            self._relay.receive(self._lines.index(conn), Side.SERVER, data)
            self._pass_on(now)

    def _put(self, wire: _Wire, data: bytes, now: float) -> None:
        """Put bytes on their way to the client."""
        if wire.is_over:
            return
        if data.startswith(b"HTTP/1.1 101"):
            wire.is_upgraded = True
        if wire.is_upgraded and data.startswith(b"\x88"):
            wire.closed_at = now
        gap = GAP if self.plan.variation.piece and wire.queue else 0.0
        wire.queue.append((self._when(wire, now) + gap, data))

    def _when(self, wire: _Wire, now: float) -> float:
        """When the next bytes may go: behind those that wait."""
        return max(now, wire.queue[-1][0]) if wire.queue else now

    def _lose(self, wire: _Wire, count: int) -> None:
        """Take so many bytes back."""
        while count > 0 and wire.queue:
            when, last = wire.queue.pop()
            assert isinstance(last, bytes)
            if len(last) > count:
                wire.queue.append((when, last[:-count]))
            count -= len(last)

    def _end(self, conn: int, ending: Ending, now: float) -> None:
        if self._relay is not None and ending is Ending.CLOSE:
            self._relay.receive(self._lines.index(conn), Side.SERVER, b"")
            self._pass_on(now)
        else:
            self._close(conn, ending, now)

    def _close(self, conn: int, ending: Ending, now: float) -> None:
        wire = self._wires[conn]
        if not wire.is_over:
            wire.is_over = True
            wire.queue.append((self._when(wire, now), ending))


def opcodes(received: bytes) -> set[int]:
    """The kinds of frames that a client has sent behind its handshake."""
    data = received.partition(b"\r\n\r\n")[2]
    found: set[int] = set()
    while len(data) >= 2:
        found.add(data[0] & 0x0F)
        size, head = data[1] & 0x7F, 2
        if size == 126:
            size, head = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10]), 10
        data = data[head + 4 * (data[1] >> 7) + size :]
    return found
