"""What a recording is made of: requests with their answers, and which two requests are the same."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import h11
from wsproto.connection import Connection as WebSocket
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, TextMessage

from tests.support.transcripts import Recording


@attrs.frozen
class Answer:
    """Recorded bytes, and what must have happened before they are sent."""

    data: bytes
    index: int  # where in the recording: every request before it comes first
    frames: int = 0  # of the client on this WebSocket: texts and Close


@attrs.frozen(kw_only=True)
class Exchange:
    """One recorded request and its answer."""

    expected: dict[str, Any]  # as in the recording's expected exchanges
    index: int  # of the request in the recording
    answers: tuple[Answer, ...]
    then_closes: bool  # the server ends the connection when all is said
    then_holds: bool = False  # the recorder left before the end: so nothing more comes

    @property
    def is_websocket(self) -> bool:
        return "ws" in self.expected and self.expected["status"] == 101

    @property
    def waits(self) -> bool:
        """Bytes that came over time wait for their time; an answer in one go does not."""
        return self.is_websocket or "messages" in self.expected


def exchanges(recording: Recording) -> list[Exchange]:
    """The recording, taken apart; each of its connections carried one request."""
    return [_exchange(recording, expected) for expected in recording.expected["exchanges"]]


def _exchange(recording: Recording, expected: dict[str, Any]) -> Exchange:
    conn, frames, ended = expected["conn"], FrameCount(), None
    is_websocket = "ws" in expected and expected["status"] == 101
    begun, answers = -1, list[Answer]()
    for index, chunk in enumerate(recording.chunks):
        if chunk.conn != conn:
            continue
        begun = index if begun < 0 else begun
        if not chunk.data:
            ended = ended or chunk.direction
        elif chunk.direction == "s2c":
            answers.append(Answer(chunk.data, index, frames.count))
        elif is_websocket:
            frames.feed(chunk.data)
    if is_websocket:
        closes, holds = expected["close"] is not None, expected["close"] is None
    else:
        closes, holds = ended == "s2c", expected.get("ended_by") == "client"
    return Exchange(
        expected=expected,
        index=begun,
        answers=tuple(answers),
        then_closes=closes and not holds,
        then_holds=holds,
    )


class FrameCount:
    """How many texts and Closes a client has sent on a WebSocket, its handshake included."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self._head: bytes | None = b""
        self._frames = WebSocket(ConnectionType.SERVER)

    def feed(self, data: bytes) -> list[str]:
        """The texts that these bytes complete."""
        if self._head is not None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return []
            data, self._head = self._head.split(b"\r\n\r\n", 1)[1], None
        if not data:
            return []
        self._frames.receive_data(data)
        texts: list[str] = []
        for event in self._frames.events():
            if isinstance(event, TextMessage):
                texts.append(event.data)
                self.count += 1
            elif isinstance(event, CloseConnection):
                self.closed = True
                self.count += 1
        return texts


@attrs.frozen(kw_only=True)
class Asked:
    """What a request asks, without what may differ from client to client."""

    method: str
    path: str
    query: dict[str, str]
    json: Any
    headers: dict[str, str]
    session: str | None
    accept: bytes = b""

    @classmethod
    def of(cls, request: h11.Request, body: bytes) -> Asked:
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        accept = b""
        if key := headers.get("sec-websocket-key"):
            salted = key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
            accept = base64.b64encode(hashlib.sha1(salted).digest())
        is_json = "json" in headers.get("content-type", "")
        asked = parsed(body.decode()) if body and is_json else None
        method, target = request.method.decode(), request.target.decode()
        return cls._split(method, target, asked, headers, accept)

    @classmethod
    def recorded(cls, expected: dict[str, Any]) -> Asked:
        asked = expected.get("request_json")
        sent = expected.get("sent") or [None]
        return cls._split(
            expected.get("method", "GET"),
            expected["target"],
            sent[0] if expected.get("ws") else asked,
            expected.get("request_headers", {}),
        )

    @classmethod
    def _split(
        cls, method: str, target: str, asked: Any, headers: dict[str, str], accept: bytes = b""
    ) -> Asked:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        session = query.pop("session_hash", None)
        if isinstance(asked, dict):
            session = asked.get("session_hash", session)
            asked = {k: v for k, v in asked.items() if k != "session_hash" and v is not None}
        path, beat, owner = parts.path.partition("/heartbeat/")
        return cls(
            method=method,
            path=path + beat,
            query=query,
            json=asked,
            headers=headers,
            session=owner or session,
            accept=accept,
        )

    def fits(self, exchange: Exchange) -> bool:
        recorded = Asked.recorded(exchange.expected)
        if (self.method, self.path) != (recorded.method, recorded.path):
            return False
        if bool(self.accept) != ("ws" in exchange.expected):
            return False
        if self.accept or not isinstance(recorded.json, dict):
            return True
        return isinstance(self.json, dict) and _same(recorded.json, self.json)


# What makes two requests different ones; other keys are a matter of style.
_TELLING = ("data", "fn_index", "event_id", "hash", "raw")


def concerns(session: str | None, expected: dict[str, Any]) -> bool:
    """Whether a recorded request may change what a stream of this session says."""
    if expected.get("method", "GET") == "GET":
        return False
    asked = Asked.recorded(expected)
    names_event = "/stream/" in asked.path or (
        isinstance(asked.json, dict) and "event_id" in asked.json
    )
    return asked.session == session if asked.session else names_event


def _same(recorded: dict[str, Any], said: dict[str, Any]) -> bool:
    return all(recorded.get(key) == said.get(key) for key in _TELLING if key in recorded)


def same_frame(exchange: Exchange, position: int, said: dict[str, Any]) -> bool:
    sent = exchange.expected["sent"]
    # ``hash`` is the session_hash of 3.1.5 to 3.1.7: the client's own.
    recorded = sent[position] if position < len(sent) else {"data": "nothing more"}
    return _same({k: v for k, v in recorded.items() if k != "hash"}, said)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"raw": text}  # as the expected exchanges have it
