"""A server that knows nothing but one recording, and answers with its very bytes.

Like everything here it does no I/O: it is told what the client under test does, and says what to
send. It stands on h11 and wsproto directly, not on our own wire layer, so that the two cannot share
a mistake.

Rule 1: a request is answered by the recorded exchange of the same method and path; several of those
are told apart by what was asked (body, query, headers), and else taken in their order. The client's
session_hash is its own; event ids are those of the recording.

Rule 2: nothing is sent before its time: a stream waits for the requests of its session (all but
GET) that came before its next bytes in the recording, a WebSocket for the frames. A client that
never makes such a request is not waited for forever: ``idle`` lets the stream go on.

Rule 3: what the recording does not know is not guessed, except what every client may ask of any
server (config, info, heartbeat, cancel and reset); the rest gets a 404 and is in ``unmatched``.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import attrs
import h11

from tests.support.exchanges import (
    Answer,
    Asked,
    Exchange,
    FrameCount,
    concerns,
    exchanges,
    parsed,
    same_frame,
)
from tests.support.transcripts import Recording

Slicer = Callable[[Sequence[bytes]], Iterable[bytes]]


def as_recorded(chunks: Sequence[bytes]) -> Iterable[bytes]:
    return chunks


def whole(chunks: Sequence[bytes]) -> Iterable[bytes]:
    return [b"".join(chunks)]


def bytewise(chunks: Sequence[bytes]) -> Iterable[bytes]:
    return (bytes([byte]) for chunk in chunks for byte in chunk)


def random_cuts(seed: int) -> Slicer:
    rng = random.Random(seed)

    def cut(chunks: Sequence[bytes]) -> Iterable[bytes]:
        data = b"".join(chunks)
        cuts = sorted(rng.sample(range(1, len(data)), k=rng.randrange(min(len(data), 20))))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    return cut


@attrs.define
class _Play:
    """An exchange being answered on a connection."""

    exchange: Exchange
    next: int = 0  # index of the answer to send
    frames: FrameCount | None = None
    handshake: bytes = b""  # what Sec-WebSocket-Accept must be

    @property
    def over(self) -> bool:
        return self.next == len(self.exchange.answers)

    @property
    def all_heard(self) -> bool:
        """Whether the client has said its part: its Close, where the server has sent one."""
        closed_politely = self.exchange.expected.get("close") not in (None, "eof")
        return self.frames is None or not closed_politely or self.frames.closed


@attrs.define
class _Peer:
    """One connection of the client under test."""

    http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER))
    request: h11.Request | None = None
    body: bytearray = attrs.field(factory=bytearray)
    play: _Play | None = None


class ReplayServer:
    """Answers one client with one recording; ``conn`` is whatever the test calls a connection."""

    def __init__(self, recording: Recording, *, slicer: Slicer = as_recorded) -> None:
        self.recording = recording
        self.unmatched: list[str] = []  # what was asked and is not in the recording
        self._slicer = slicer
        self._unused = exchanges(recording)
        self._waived: set[int] = set()
        self._sessions: dict[str, str] = {}  # recorded session_hash -> the client's
        self._peers: dict[Hashable, _Peer] = {}

    def open(self, conn: Hashable) -> None:
        self._peers[conn] = _Peer()

    def receive(self, conn: Hashable, data: bytes) -> None:
        """What the client sent; ``b""`` is its end. A connection that is over may still be told."""
        if (peer := self._peers.get(conn)) is None:
            return
        if not data:
            del self._peers[conn]
        elif peer.play is not None and peer.play.frames is not None:
            self._frames(peer.play, peer.play.frames.feed(data))
        else:
            peer.http.receive_data(data)
            self._requests(peer)

    def outputs(self) -> list[tuple[Hashable, bytes]]:
        """What to send now, connection by connection; ``b""`` closes one."""
        result: list[tuple[Hashable, bytes]] = []
        for conn, peer in list(self._peers.items()):
            while (play := peer.play) is not None:
                ready = self._ready(play)
                if ready:
                    result += ((conn, piece) for piece in self._slicer(ready) if piece)
                if not play.over or play.exchange.then_holds or not play.all_heard:
                    break
                if play.exchange.then_closes:
                    result.append((conn, b""))
                    del self._peers[conn]
                    break
                peer.play = None
                self._requests(peer)  # what came meanwhile
        return result

    def idle(self) -> bool:
        """Nothing moves any more: no longer wait for the first request that has not come.

        False when no stream waits for one.
        """
        plays = [peer.play for peer in self._peers.values() if peer.play and not peer.play.over]
        waiting = [b for play in plays if (b := self._blocker(play)) is not None]
        if not waiting:
            return False
        self._waived.add(min(exchange.index for exchange in waiting))
        return True

    def unused(self) -> list[Exchange]:
        """Recorded exchanges that the client has not asked for."""
        return list(self._unused)

    # Sending

    def _ready(self, play: _Play) -> list[bytes]:
        found: list[bytes] = []
        while not play.over and not self._held(play):
            data = play.exchange.answers[play.next].data
            if play.next == 0 and play.handshake:
                accept = rb"(?i)(sec-websocket-accept: *)[^\r]*"
                data = re.sub(accept, rb"\g<1>" + play.handshake, data, count=1)
            found.append(data)
            play.next += 1
        return found

    def _held(self, play: _Play) -> bool:
        answer = play.exchange.answers[play.next]
        said = play.frames.count if play.frames else 0
        return answer.frames > said or self._blocker(play) is not None

    def _blocker(self, play: _Play) -> Exchange | None:
        """The first request that came before the next answer in the recording, and not yet now."""
        if not play.exchange.waits:
            return None
        before = play.exchange.answers[play.next].index
        session = Asked.recorded(play.exchange.expected).session
        for exchange in self._unused:
            early = exchange.index < before and exchange.index not in self._waived
            if early and concerns(session, exchange.expected):
                return exchange
        return None

    # Receiving

    def _requests(self, peer: _Peer) -> None:
        while peer.play is None:
            event = peer.http.next_event()
            if isinstance(event, h11.Request):
                peer.request, peer.body = event, bytearray()
            elif isinstance(event, h11.Data):
                peer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                rest = peer.http.trailing_data[0]
                # Answers are raw bytes, so h11 is not told of them: a new one for each request.
                peer.http = h11.Connection(h11.SERVER)
                assert peer.request is not None
                asked = Asked.of(peer.request, bytes(peer.body))
                peer.play = _Play(self._answer_to(asked), handshake=asked.accept)
                if peer.play.exchange.is_websocket:
                    peer.play.frames = FrameCount()
                    texts = peer.play.frames.feed(b"\r\n\r\n" + rest)  # the handshake is over
                    self._frames(peer.play, texts)
                elif rest:
                    peer.http.receive_data(rest)
            else:
                break

    def _answer_to(self, asked: Asked) -> Exchange:
        fitting = [exchange for exchange in self._unused if asked.fits(exchange)]
        if not fitting:
            return self._usual(asked)
        best = max(
            fitting, key=lambda exchange: (self._closeness(asked, exchange), -exchange.index)
        )
        self._use(best, asked.session)
        return best

    def _closeness(self, asked: Asked, exchange: Exchange) -> tuple[int, ...]:
        recorded = Asked.recorded(exchange.expected)
        mine = self._sessions.get(recorded.session or "")
        session = 1 if None in (mine, asked.session) else 2 if mine == asked.session else 0
        headers = exchange.expected.get("request_headers", {})
        same = sum(asked.headers.get(name) == headers.get(name) for name in ("cookie", "range"))
        # What a WebSocket asks, its frames say later.
        as_asked = bool(asked.accept) or asked.json == recorded.json
        return session, same, asked.query == recorded.query, as_asked

    def _use(self, exchange: Exchange, session: str | None) -> None:
        self._unused.remove(exchange)
        recorded = Asked.recorded(exchange.expected).session
        if recorded is not None and session is not None:
            self._sessions.setdefault(recorded, session)

    def _frames(self, play: _Play, texts: Sequence[str]) -> None:
        """Frames say which of several equal handshakes this was."""
        assert play.frames is not None
        first = play.frames.count - len(texts) - play.frames.closed
        for position, text in enumerate(texts, first):
            said = parsed(text)
            if position == 0 and not same_frame(play.exchange, 0, said):
                self._swap(play, said)
            if not same_frame(play.exchange, position, said):
                self.unmatched.append(f"frame {text}")

    def _swap(self, play: _Play, said: dict[str, Any]) -> None:
        for other in self._unused:
            if other.is_websocket and same_frame(other, 0, said):
                self._use(other, said.get("session_hash"))
                self._unused = sorted([*self._unused, play.exchange], key=lambda e: e.index)
                play.exchange = other
                if play.next:
                    play.next = sum(answer.frames == 0 for answer in other.answers)
                return

    def _usual(self, asked: Asked) -> Exchange:
        """What every client may ask of any server, though the recorder did not."""
        prefix = str(self.recording.config.get("api_prefix") or "").rstrip("/")
        config, info = self.recording.config, self.recording.info
        if asked.path == "/config":
            return _made(_json(200, config))
        if asked.path == f"{prefix}/info" and info is not None:
            return _made(_json(200, info))
        if asked.path == f"{prefix}/app_id" and "app_id" in config:
            return _made(_json(200, {"app_id": config["app_id"]}))
        if asked.path in (f"{prefix}/cancel", f"{prefix}/reset"):
            return _made(_json(200, {"success": True}))
        if asked.path.startswith(f"{prefix}/heartbeat/"):
            return _made(_STREAM + b"d\r\ndata: ALIVE\n\n\r\n", holds=True)
        if asked.path == f"{prefix}/queue/data" and asked.method == "GET":
            return _made(_STREAM, holds=True)  # nothing pending: open, and silent
        self.unmatched.append(f"{asked.method} {asked.path} {asked.json}")
        return _made(_json(404, {"detail": "Not Found"}))


_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def _json(status: int, value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _made(data: bytes, *, holds: bool = False) -> Exchange:
    answers = (Answer(data, 0),)
    return Exchange(
        expected={"status": 200}, index=0, answers=answers, then_closes=False, then_holds=holds
    )
