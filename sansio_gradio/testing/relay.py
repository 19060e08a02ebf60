"""Say what a server says in another way that is just as legal.

A ``Relay`` stands between a client and a server and has no sockets: bytes of either side go in, and
pieces for either side come out. It reads HTTP with h11 and frames of WebSockets with wsproto, and
writes them anew as its ``Variation`` says. A client that follows the protocol notices nothing.
"""

from __future__ import annotations

import enum
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import attrs
import h11
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionType

from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.wire.sse import SSEDecoder

__all__ = ["PLAIN", "Relay", "Side", "Spoken", "Variation"]

_MOST: Final = 1 << 24  # bytes of a head, or of a frame; both ends are our own
_JOIN: Final = re.compile(rb"/queue/join(?:\?|$)")
_STREAM: Final = re.compile(rb"/queue/data\?(?:.*&)?session_hash=([^&]*)")
_ALL: Final = frozenset(Channel)
_STREAMS: Final = frozenset({Channel.JOB_STREAM, Channel.SESSION_STREAM})


@attrs.frozen(kw_only=True)
class Variation:
    """One legal way of saying what a server says.

    ``rule``: what a client violates that does not understand it, an anchor of docs/protocol.md.
    ``channels``: where it can occur. The other fields say what is different.
    """

    name: str
    rule: str
    channels: frozenset[Channel] = _ALL
    # Messages
    unknown_keys: bool = False  # in each message, and in its output
    unknown_messages: bool = False  # before each message one of a kind that does not exist
    foreign_jobs: bool = False  # before each message one for a job of somebody else
    late_messages: bool = False  # behind a job's last message further ones for it
    heartbeats: bool = False  # behind each message
    join_answered_last: bool = False  # but for a session's first: behind the job's first message
    # JSON
    ascii: bool = False  # \\u1234 instead of UTF-8
    spaces: bool = False  # around everything
    reversed_keys: bool = False
    # Event streams
    line_end: bytes = b"\n"
    comments: bool = False
    no_space: bool = False  # behind the colon
    byte_order_mark: bool = False
    split_data: bool = False  # over several lines
    other_fields: bool = False  # event, id, retry, and one that does not exist
    # WebSockets
    pings: bool = False  # before each message, and in its middle
    fragments: int | None = None  # bytes of a frame
    # HTTP and TCP
    chunk: int | None = None  # bytes of a chunk of a body; 0: whatever has a length has chunks
    closes: bool = False  # the connection, behind each answer
    capital_headers: bool = False
    piece: int | None = None  # bytes sent at a time


PLAIN: Final = Variation(name="plain", rule="R-http-1")
"""As the server says it."""


class Side(enum.Enum):
    """The two ends that a relay stands between."""

    CLIENT = "client"
    SERVER = "server"


@attrs.frozen
class Spoken:
    """Bytes as the client saw them: sent by it, or for it. No bytes: that side ended."""

    conn: int
    by: Side
    data: bytes


class Relay:
    """All connections of one client, or of several. ``conn`` numbers them from 0 on.

    ``spoken`` keeps what passed, in order, as the client saw it. ``breaches``: what the client must
    not say, and said, each with its rule.
    """

    def __init__(self, variation: Variation = PLAIN) -> None:
        self.variation = variation
        self.spoken: list[Spoken] = []
        self.breaches: list[tuple[str, str]] = []
        self._lines: dict[int, _Passage] = {}
        self._count = 0
        self._out: deque[tuple[int, Side, bytes]] = deque()
        self._held: dict[str, tuple[_Passage, list[h11.Event]]] = {}  # by event_id
        self._sessions: set[object] = set()  # that have joined

    def open(self) -> int:
        """A client has connected. Returns the connection's number."""
        self._count += 1
        conn = self._count - 1
        self._lines[conn] = _Passage(self, conn)
        return conn

    def receive(self, conn: int, side: Side, data: bytes) -> None:
        """Take the bytes that *side* has sent. No bytes: it has ended the connection."""
        line = self._lines.get(conn)
        if line is None:
            return
        if side is Side.CLIENT:
            self.spoken.append(Spoken(conn, side, data))
            line.from_client(data)
        else:
            line.from_server(data)
        if not data:
            self.end(conn, Side.CLIENT if side is Side.SERVER else Side.SERVER)

    def data_to_send(self) -> Iterator[tuple[int, Side, bytes]]:
        """What to send next, and on which side of which connection. No bytes: end that side."""
        while self._out:
            yield self._out.popleft()

    def put(self, conn: int, side: Side, data: bytes) -> None:
        """Send *data* to that side."""
        if conn not in self._lines or not data:
            return
        if side is Side.SERVER:
            self._out.append((conn, side, data))
            return
        self.spoken.append(Spoken(conn, Side.SERVER, data))
        size = self.variation.piece or len(data)
        for start in range(0, len(data), size):
            self._out.append((conn, side, data[start : start + size]))

    def end(self, conn: int, side: Side) -> None:
        """End the connection, first to *side*; the other end follows."""
        if self._lines.pop(conn, None) is not None:
            if side is Side.CLIENT:
                self.spoken.append(Spoken(conn, Side.SERVER, b""))
            self._out.append((conn, side, b""))
            other = Side.CLIENT if side is Side.SERVER else Side.SERVER
            self._out.append((conn, other, b""))

    # What connections have to know of each other

    def streams(self, line: _Passage, session: bytes) -> None:
        """A client asks for the stream of a session."""
        if any(one.streams == session for one in self._lines.values() if one is not line):
            name = session.decode("utf-8", "replace")
            what = f"It has two streams open at once for the session_hash {name!r}."
            self.breaches.append(("R-stream-3", what))
        line.streams = session

    def holds(
        self, line: _Passage, events: list[h11.Event], event_id: str, session: object
    ) -> bool:
        """Whether the answer to a join waits until that job's first message has passed.

        The first one of a session does not: the client may open its stream behind that.
        """
        is_first = session not in self._sessions
        self._sessions.add(session)
        if is_first or any(event_id in one.heard for one in self._lines.values()):
            return False
        self._held[event_id] = line, events
        return True

    def idle(self) -> None:
        """Nothing has passed for a while: let go what waits, since the client may wait for it."""
        for event_id in list(self._held):
            self.let_go(event_id)

    def let_go(self, event_id: object) -> None:
        """A message of that job has passed."""
        if isinstance(event_id, str) and event_id in self._held:
            line, events = self._held.pop(event_id)
            for event in events:
                line.say(event)


class _Passage:
    """One connection."""

    def __init__(self, relay: Relay, conn: int) -> None:
        self.heard: set[object] = set()
        """The event_ids of the messages that passed."""
        self.streams: bytes | None = None
        """The session whose stream this is."""
        self._relay = relay
        self._conn = conn
        self._way = relay.variation
        self._client = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST)
        self._server = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
        self._asked = b""  # the target, and the body
        self._body = b""
        self._first = b""  # the bytes of the client as long as it might ask for a WebSocket
        self._frames: _Frames | None = None
        self._stream: _Stream | None = None
        self._answer: list[h11.Event] = []

    def from_client(self, data: bytes) -> None:
        if self._frames is not None:
            self._relay.put(self._conn, Side.SERVER, data)
            return
        self._first += data
        try:
            self._client.receive_data(data)
            self._ask()
        except h11.ProtocolError:  # the server judges it
            self._relay.put(self._conn, Side.SERVER, data)

    def _ask(self) -> None:
        while not isinstance(event := self._client.next_event(), type):
            if isinstance(event, h11.Request):
                self._asked, self._body = bytes(event.target), b""
                if (session := _STREAM.search(self._asked)) is not None:
                    self._relay.streams(self, session[1])
                if (b"upgrade", b"websocket") in [(n, v.lower()) for n, v in event.headers]:
                    self._frames = _Frames(self._way)
                    self._relay.put(self._conn, Side.SERVER, self._first)
                    return
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif not isinstance(event, h11.EndOfMessage):
                return
            self._relay.put(self._conn, Side.SERVER, self._server.send(event) or b"")
            if isinstance(event, h11.EndOfMessage):
                self._first = b""

    def from_server(self, data: bytes) -> None:
        if self._frames is not None:
            for piece in self._frames.receive(data):
                self._relay.put(self._conn, Side.CLIENT, piece)
            return
        try:
            self._server.receive_data(data)
            while not isinstance(event := self._server.next_event(), type):
                if isinstance(event, h11.ConnectionClosed):  # h11 says so again and again
                    return
                self._hear(event)
        except h11.ProtocolError:  # an answer that ends too early: so does ours
            pass

    def _hear(self, event: h11.Event) -> None:
        if isinstance(event, h11.InformationalResponse):
            self.say(event)
        elif isinstance(event, h11.Response):
            head = self._head(event)
            kinds = [value for name, value in event.headers if name == b"content-type"]
            if kinds and kinds[0].startswith(b"text/event-stream"):
                self._stream = _Stream(self._way)
                self.say(head)
            else:
                self._answer = [head]
        elif isinstance(event, h11.Data) and self._stream is not None:
            for text, event_id in self._stream.receive(bytes(event.data)):
                self._say_body(text)
                self.heard.add(event_id)
                self._relay.let_go(event_id)
        elif isinstance(event, h11.Data):
            self._answer.append(event)
        elif isinstance(event, h11.EndOfMessage):
            self.streams, self._stream = None, None
            events, self._answer = [*self._answer, event], []
            if not self._waits(events):
                for one in events:
                    self.say(one)

    def _waits(self, events: list[h11.Event]) -> bool:
        """Whether this is the answer to a join, and comes later."""
        if not self._way.join_answered_last or not _JOIN.search(self._asked):
            return False
        answer = _object(b"".join(bytes(one.data) for one in events if isinstance(one, h11.Data)))
        event_id, session = answer.get("event_id"), _object(self._body).get("session_hash")
        return isinstance(event_id, str) and self._relay.holds(self, events, event_id, session)

    def _head(self, head: h11.Response) -> h11.Response:
        headers = [(bytes(name), bytes(value)) for name, value in head.headers]
        if self._way.chunk is not None:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        if self._way.closes:
            headers = [pair for pair in headers if pair[0] != b"connection"]
            headers.append((b"connection", b"close"))
        if self._way.capital_headers:
            headers = [(name.title(), value) for name, value in headers]
        return h11.Response(status_code=head.status_code, headers=headers, reason=head.reason)

    def say(self, event: h11.Event) -> None:
        """Say a part of an answer to the client."""
        if isinstance(event, h11.Data):
            self._say_body(bytes(event.data))
            return
        self._relay.put(self._conn, Side.CLIENT, self._client.send(event) or b"")
        if isinstance(event, h11.EndOfMessage):
            if self._client.our_state is h11.MUST_CLOSE or self._client.our_state is h11.CLOSED:
                self._relay.end(self._conn, Side.CLIENT)
                return
            for side in (self._client, self._server):
                if side.our_state is side.their_state is h11.DONE:
                    side.start_next_cycle()
            self._ask()

    def _say_body(self, data: bytes) -> None:
        size = self._way.chunk or len(data) or 1
        for start in range(0, len(data), size):
            said = self._client.send(h11.Data(data=data[start : start + size])) or b""
            self._relay.put(self._conn, Side.CLIENT, said)


def _object(text: str | bytes) -> dict[str, Any]:
    """The JSON object that *text* is; empty: it is something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


class _Instead:
    """What is said instead of one message."""

    def __init__(self, way: Variation, *, on_socket: bool) -> None:
        self._way = way
        self._on_socket = on_socket

    def instead(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        way, event_id = self._way, message.get("event_id")
        named = {} if event_id is None else {"event_id": event_id}
        if way.unknown_messages:
            yield {"msg": "of_tomorrow", **named, "output": {"data": ["tomorrow"]}, "success": True}
        if way.foreign_jobs and event_id is not None:
            yield {
                "msg": "process_completed",
                "event_id": "0" * 32,
                "output": {"data": ["of somebody else"]},
                "success": True,
            }
        if way.unknown_keys:
            message = {**message, "of_tomorrow": {"event_id": "x", "msg": "x"}}
            if isinstance(message.get("output"), dict):
                message["output"] = {**message["output"], "of_tomorrow": [None]}
        yield message
        if way.late_messages and message.get("msg") == "process_completed":
            late = {**named, "output": {"data": ["too late"]}, "success": True}
            yield {"msg": "process_generating", **late}
            yield {"msg": "process_completed", **late}
        if way.heartbeats and not self._on_socket and event_id is not None:
            yield {"msg": "heartbeat"}

    def text(self, message: dict[str, Any]) -> str:
        way = self._way
        return json.dumps(
            _reversed(message) if way.reversed_keys else message,
            ensure_ascii=way.ascii,
            separators=(" , ", " : ") if way.spaces else (",", ":"),
            indent=0 if way.split_data and not self._on_socket else None,
        )


def _reversed(value: Any) -> Any:
    """The same with the keys of all objects from back to front."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _reversed(one) for key, one in reversed(items)}
    if isinstance(value, list):
        return list(map(_reversed, cast("Iterable[Any]", value)))
    return value


class _Stream:
    """An event stream."""

    def __init__(self, way: Variation) -> None:
        self._way = way
        self._decoder = SSEDecoder(max_event_size=_MOST)
        self._messages = _Instead(way, on_socket=False)
        self._has_begun = False
        self._count = 0

    def receive(self, data: bytes) -> Iterator[tuple[bytes, object]]:
        """What to say instead, and for which job it is; one event at a time."""
        for event in self._decoder.receive_data(data):
            message = _object(event.data)
            if event.event != "message" or not message:  # "ALIVE", for one
                yield self._written(event.event, event.data), None
                continue
            for one in self._messages.instead(message):
                yield self._written("message", self._messages.text(one)), one.get("event_id")

    def _written(self, name: str, text: str) -> bytes:
        way, lines = self._way, list[str]()
        self._count += 1
        if way.comments:
            lines += [":", f": comment {self._count}", "", ": ping", ""]
        if name != "message" or way.other_fields:
            lines.append(f"event: {name}")
        if way.other_fields:
            lines += [f"id: {self._count}", "retry: 3000", "unknown: field", "lonely"]
        colon = "data:" if way.no_space else "data: "
        lines += [colon + part for part in text.split("\n")]
        end = way.line_end
        written = b"".join(line.encode() + end for line in [*lines, ""])
        if way.byte_order_mark and not self._has_begun:
            written = b"\xef\xbb\xbf" + written
        self._has_begun = True
        return written


class _Frames:
    """The server's half of a WebSocket."""

    def __init__(self, way: Variation) -> None:
        self._way = way
        self._head = b""
        self._is_open = False
        self._in = Connection(ConnectionType.CLIENT)
        self._out = Connection(ConnectionType.SERVER)
        self._messages = _Instead(way, on_socket=True)
        self._text = ""

    def receive(self, data: bytes) -> Iterator[bytes]:
        if not self._is_open:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            yield head + found
            self._is_open = True
        if not data:
            return
        self._in.receive_data(data)
        for event in self._in.events():
            if isinstance(event, ws.TextMessage):
                self._text += event.data
                if event.message_finished:
                    text, self._text = self._text, ""
                    yield from self._said(text)
            else:  # a Close, a Ping or a Pong
                yield self._out.send(event)

    def _said(self, text: str) -> Iterator[bytes]:
        message: dict[str, Any] = json.loads(text)
        for one in self._messages.instead(message):
            written = self._messages.text(one)
            size = self._way.fragments or len(written)
            for start in range(0, len(written), size):
                if self._way.pings:
                    yield self._out.send(ws.Ping(payload=b"are you there?"))
                end = start + size
                piece = ws.TextMessage(
                    data=written[start:end], message_finished=end >= len(written)
                )
                yield self._out.send(piece)
