"""Each fault is one right ending, over real sockets.

The program is the one that the documentation shows: it connects, calls, reads what is yielded, and
catches ``AppError`` and ``ConnectionError``. Nothing else may reach it, nothing may keep it, and it
leaves neither thread nor socket behind, whatever the server does.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import pytest

from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    TooManyRequestsError,
    ValidationError,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.testing.talk import config
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters import resolve
from tests.support.fault_peer import (
    LAST_CHUNK,
    SSE_HEAD,
    FaultServer,
    Script,
    accept,
    answer,
    chunked,
    close,
    drip,
    end,
    event,
    frame,
    hold,
    html,
    in_turn,
    listen,
    nothing_is_left,
    page,
    reset,
    stream,
    text,
)
from tests.support.worlds import WORLDS

LONG = Timeouts(connect=20, tls=20, request=20, join=20, send=20, stream_idle=20, job=20, close=0.3)
"""None of these may be what ends the wait."""
SOON = 0.3  # seconds

JOIN, DATA = "/queue/join", "/queue/data"


# What a sane server of this app says: sse_v3, and ws


def generating(*data: Any) -> dict[str, Any]:
    output = {"data": list(data), "is_generating": True}
    return {"msg": "process_generating", "event_id": "e", "output": output, "success": True}


def completed(*data: Any) -> dict[str, Any]:
    output = {"data": list(data), "is_generating": False}
    return {"msg": "process_completed", "event_id": "e", "output": output, "success": True}


def failed(output: Any) -> dict[str, Any]:
    return {"msg": "process_completed", "event_id": "e", "output": output, "success": False}


ESTIMATION = {"msg": "estimation", "event_id": "e", "rank": 0, "queue_size": 1, "rank_eta": None}
STARTS = {"msg": "process_starts", "event_id": "e", "eta": None}
FIRST, SECOND = generating("a"), generating([["append", [], "b"]])
DONE = completed("ab")
CLOSE_STREAM = {"msg": "close_stream", "event_id": None}
GOOD_END = event(DONE) + event(CLOSE_STREAM) + LAST_CHUNK
BEGUN = stream(ESTIMATION, STARTS, FIRST, SECOND)
SANE = BEGUN + GOOD_END
YIELDED = ["a", "ab"]

CONFIG = page(config(connect_heartbeat=True))
HEARTBEAT = (SSE_HEAD + chunked(b"data: ALIVE\n\n"), hold)
APP: Mapping[str, Script] = {
    "/config": CONFIG,
    JOIN: page({"event_id": "e"}),
    DATA: SANE,
    "/cancel": page({"success": True}),
    "/heartbeat/": HEARTBEAT,
}

SEND_HASH, SEND_DATA = text({"msg": "send_hash"}), text({"msg": "send_data"})
HELLO = (accept, SEND_HASH, listen, text(ESTIMATION), SEND_DATA, listen, text(STARTS))
WS_BEGUN = (*HELLO, text(generating("a")), text(generating("ab")))
WS_GOOD_END = text(DONE) + close(1000)
WS_APP: Mapping[str, Script] = {
    "/config": page(config(None, "3.50.2")),
    JOIN: (*WS_BEGUN, WS_GOOD_END),
}


@attrs.frozen
class Fault:
    """What the server does instead, and what the program is told.

    ``kind`` is the error, None where the job works nevertheless; ``asked`` how often which path is
    asked; ``look`` takes a closer look at the error.
    """

    name: str
    pages: Mapping[str, Script]
    kind: type[GradioError] | None
    phase: str | None = None
    says: str = ""
    status: int | None = None
    outputs: list[Any] = attrs.field(factory=list[Any])
    asked: Mapping[str, int] = attrs.field(factory=dict[str, int])
    app: Mapping[str, Script] = APP
    timeouts: Timeouts = LONG
    limits: Limits | None = None
    banner: bytes = b""
    exact: bool = True  # a reset may overtake what was said before it
    look: Callable[[Any], bool] = lambda _: True


def at_config(name: str, script: Script, kind: type[GradioError], **more: Any) -> Fault:
    more = {"phase": "config", **more}
    return Fault(f"config: {name}", {"/config": script}, kind, **more)


def at_join(name: str, script: Script, kind: type[GradioError] | None, **more: Any) -> Fault:
    more = {"phase": "join", "asked": {JOIN: 1}, **more}
    return Fault(f"join: {name}", {JOIN: script}, kind, **more)


def on_stream(name: str, script: Script, kind: type[GradioError] | None, **more: Any) -> Fault:
    more = {"phase": None if kind is None else "stream", **more}
    if kind is None:
        more = {"outputs": YIELDED, **more}
    return Fault(f"stream: {name}", {DATA: script}, kind, **more)


def on_ws(name: str, script: Script, kind: type[GradioError] | None, **more: Any) -> Fault:
    more = {"phase": None if kind is None else "stream", **more}
    if kind is None:
        more = {"outputs": YIELDED, **more}
    return Fault(f"ws: {name}", {JOIN: script}, kind, app=WS_APP, **more)


DEEP = b"[" * 100_000
BOMB = gzip.compress(bytes(20_000_000), 1)


def said(data: bytes) -> bytes:
    """A stream with these bytes as its body, in one chunk."""
    return SSE_HEAD + chunked(data) + LAST_CHUNK


def lines(*messages: Any, before: str = "", newline: str = "\n") -> bytes:
    """Messages as other servers and proxies might write them."""
    blocks = [f"{before}data: {json.dumps(message)}{newline}{newline}" for message in messages]
    return "".join(blocks).encode()


ALL = (ESTIMATION, STARTS, FIRST, SECOND, DONE, CLOSE_STREAM)

CONNECTING = [
    at_config("no answer", end, ConnectionLost),
    at_config("reset", reset, ConnectionLost),
    at_config("silence", hold, DeadlineExceeded, phase="request", timeouts=Timeouts(request=SOON)),
    at_config(
        "a byte now and then",
        drip(CONFIG, 0.01),
        DeadlineExceeded,
        phase="request",
        timeouts=Timeouts(request=SOON),
    ),
    at_config("502 in HTML", html(502, "Bad Gateway"), RemoteProtocolError, status=502, says="Bad"),
    at_config(
        "429",
        page({}, 429, "retry-after: 7"),
        TooManyRequestsError,
        status=429,
        look=lambda error: error.retry_after == 7.0,
    ),
    at_config("HTML", html(200), RemoteProtocolError, says="not a Gradio app"),
    at_config("no object", page([1]), RemoteProtocolError),
    at_config("of something else", page({"status": "ok"}), RemoteProtocolError),
    at_config("too deep", answer(200, DEEP), RemoteProtocolError),
    at_config("a login wanted", page({"detail": "Not authenticated"}, 401), AuthenticationError),
    at_config(
        "redirected for ever",
        answer(302, b"", "location: /config"),
        RemoteProtocolError,
        says="redirects",
        asked={"/config": 6},
    ),
    at_config(
        "redirected to somebody else",
        answer(302, b"", "location: http://169.254.169.254/config"),
        RemoteProtocolError,
        says="169.254.169.254",
    ),
    at_config(
        "a gzip bomb",
        answer(200, BOMB, "content-encoding: gzip"),
        RemoteProtocolError,
        says="gzip",
    ),
    at_config(
        "too long",
        answer(200, b" " * 300_000),
        RemoteProtocolError,
        limits=Limits(answer=200_000),
        says="200000",
    ),
    at_config(
        "a head without end",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000,
        RemoteProtocolError,
    ),
    at_config("cut short", (CONFIG[:-10], end), ConnectionLost),
    at_config(
        "two lengths",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        RemoteProtocolError,
    ),
    at_config(
        "a chunk of no size",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        RemoteProtocolError,
    ),
    at_config("no HTTP", b"220 mail.example.com ESMTP\r\n\r\n", RemoteProtocolError),
    at_config("spoken unasked", end, RemoteProtocolError, banner=b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
]

JOINING = [
    at_join("no answer", end, ConnectionLost),
    at_join("reset", reset, ConnectionLost),
    at_join("cut in its head", (b"HTTP/1.1 200 O", end), ConnectionLost),
    at_join("cut in its body", (page({"event_id": "e"})[:-3], end), ConnectionLost),
    at_join("silence", hold, DeadlineExceeded, timeouts=Timeouts(join=SOON)),
    at_join(
        "a byte now and then",
        drip(page({"event_id": "e"}), 0.03),
        DeadlineExceeded,
        timeouts=Timeouts(join=SOON),
    ),
    at_join(
        "full", page({"detail": "Queue is full. Max size is 1."}, 503), QueueFullError, status=503
    ),
    at_join("503 in HTML", html(503, "Down"), RemoteProtocolError, status=503, says="Down"),
    at_join("stopping", page({"detail": "Queue is stopped."}, 503), ServerStoppedError, status=503),
    at_join(
        "429",
        page({}, 429, "retry-after: 120"),
        TooManyRequestsError,
        status=429,
        look=lambda error: error.retry_after == 120.0,
    ),
    at_join("500", answer(500, b"Internal Server Error"), RemoteProtocolError, status=500),
    at_join("500 of the app", page({"error": "no"}, 500), AppError, status=500, says="no"),
    at_join("HTML", html(200), RemoteProtocolError, status=200),
    at_join("no name", page({}), RemoteProtocolError, says="event_id"),
    at_join("a name that is none", page({"event_id": 7}), RemoteProtocolError, says="event_id"),
    at_join("nothing", answer(200, b""), RemoteProtocolError),
    at_join("a login wanted", page({"detail": "Not authenticated"}, 401), AuthenticationError),
    at_join(
        "a validator objects",
        page({"detail": [{"is_valid": False, "message": "too long", "parameter_name": "t"}]}, 422),
        ValidationError,
        status=422,
        says="t: too long",
    ),
    at_join(
        "the framework objects",
        page({"detail": [{"loc": ["body"], "msg": "field required"}]}, 422),
        RemoteProtocolError,
        status=422,
        says="field required",
    ),
    at_join(
        "422 in words",
        page({"detail": "unheard of"}, 422),
        RemoteProtocolError,
        status=422,
        says="unheard of",
    ),
]

STREAMING = [
    on_stream("404 in JSON", page({"detail": "Not Found"}, 404), RemoteProtocolError, status=404),
    on_stream("502 in HTML", html(502), RemoteProtocolError, status=502),
    on_stream("JSON", page({}), RemoteProtocolError, status=200),
    on_stream(
        "gzip",
        SSE_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n"),
        RemoteProtocolError,
        says="gzip",
    ),
    # Asked once more, since nothing was said of the job.
    on_stream("empty", said(b""), ConnectionLost, asked={DATA: 2}),
    on_stream("closed early", stream(CLOSE_STREAM) + LAST_CHUNK, ConnectionLost, asked={DATA: 2}),
    on_stream("empty at first", in_turn(said(b""), SANE), None, asked={DATA: 2, JOIN: 1}),
    # Not asked again: what came is the middle of something.
    on_stream("ends", BEGUN + LAST_CHUNK, ConnectionLost, outputs=YIELDED, asked={DATA: 1}),
    on_stream("cut", (BEGUN, end), ConnectionLost, outputs=YIELDED, asked={DATA: 1}),
    on_stream(
        "reset", (BEGUN, reset), ConnectionLost, outputs=YIELDED, asked={DATA: 1}, exact=False
    ),
    on_stream("cut in an event", (BEGUN, event(DONE)[:30], end), ConnectionLost, outputs=YIELDED),
    on_stream(
        "reset in an event",
        (BEGUN, event(DONE)[:30], reset),
        ConnectionLost,
        outputs=YIELDED,
        exact=False,
    ),
    on_stream(
        "half-open",
        (BEGUN, hold),
        DeadlineExceeded,
        phase="stream_idle",
        outputs=YIELDED,
        timeouts=Timeouts(stream_idle=SOON),
    ),
    on_stream(
        "half-open, no head",
        hold,
        DeadlineExceeded,
        phase="stream_idle",
        timeouts=Timeouts(stream_idle=SOON),
    ),
    # Other ways to write the same.
    on_stream("comments", said(lines(*ALL, before=": ping\n\n")), None),
    on_stream("names", said(lines(*ALL, before="event: message\nid: 7\nretry: 10\n")), None),
    on_stream("CRLF", said(lines(*ALL, newline="\r\n")), None),
    on_stream("CR", said(lines(*ALL, newline="\r")), None),
    on_stream("a byte order mark", said(b"\xef\xbb\xbf" + lines(*ALL)), None),
    on_stream("byte by byte", drip(SANE), None),
    on_stream(
        "without chunks",
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"connection: close\r\n\r\n" + lines(*ALL),
            end,
        ),
        None,
    ),
    on_stream(
        "several lines of data",
        said(
            lines(ESTIMATION, STARTS, FIRST, SECOND) + b'data: {"msg": "process_completed",\n'
            b'data: "event_id": "e", "output":\ndata: {"data": ["ab"]}, "success": true}\n\n'
        ),
        None,
    ),
    # Texts.
    on_stream("no UTF-8", said(lines(*ALL).replace(b'"ab"', b'"a\xff"')), None),
    on_stream("a lone surrogate", said(lines(*ALL).replace(b'"ab"', b'"\\ud800"')), None),
    on_stream("NaN", said(lines(*ALL).replace(b'"ab"', b"NaN")), None),
    # Nonsense.
    on_stream(
        "no JSON", BEGUN + chunked(b"data: {nonsense\n\n"), RemoteProtocolError, outputs=YIELDED
    ),
    on_stream("no object", stream([1]), RemoteProtocolError),
    on_stream("too deep", stream() + chunked(b"data: " + DEEP + b"\n\n"), RemoteProtocolError),
    on_stream(
        "too long",
        stream() + chunked(b"data: " + b"x" * 2_000_000),
        RemoteProtocolError,
        limits=Limits(message=1_000_000),
    ),
    on_stream("a broken chunk", BEGUN + b"zz\r\n", RemoteProtocolError, outputs=YIELDED),
    # Messages.
    on_stream("an unknown message", stream({"msg": "brand_new", "event_id": "e"}, *ALL), None),
    on_stream("an unknown one of all", stream({"msg": "brand_new"}, *ALL), None),
    on_stream("somebody else's", stream(*[{**FIRST, "event_id": "x"}] * 50, *ALL), None),
    on_stream("completed twice", stream(*ALL[:-1], completed("other"), CLOSE_STREAM), None),
    on_stream("wrong types", stream({**ESTIMATION, "rank": "x", "rank_eta": []}, *ALL[1:]), None),
    on_stream(
        "edits of nothing",
        stream(*ALL[:4], generating([["append", [9], "x"]]), DONE),
        None,
        outputs=[*YIELDED, YIELDED[-1]],  # the last is the result
    ),
    on_stream(
        "stopped", stream(*ALL[:4], {"msg": "server_stopped"}), ServerStoppedError, outputs=YIELDED
    ),
    on_stream(
        "an unexpected error",
        stream(*ALL[:4], {"msg": "unexpected_error", "message": "out of cheese"}),
        ServerStoppedError,
        says="out of cheese",
        outputs=YIELDED,
    ),
    on_stream(
        "an unexpected error of the job",
        stream(*ALL[:4], {"msg": "unexpected_error", "message": "cheese", "event_id": "e"}),
        ServerStoppedError,
        phase="job",
        says="cheese",
        outputs=YIELDED,
    ),
    on_stream(
        "no such session",
        (
            stream(
                {"msg": "unexpected_error", "message": "404: Not Found", "session_not_found": True}
            ),
            end,
        ),
        ServerStoppedError,
        asked={DATA: 2},
    ),
    on_stream(
        "cancelled by somebody",
        stream(*ALL[:4], completed() | {"output": {}}),
        ServerStoppedError,
        phase="job",
        outputs=YIELDED,
    ),
    on_stream(
        "failed",
        stream(*ALL[:4], failed({"error": "boom"})),
        AppError,
        phase="job",
        says="boom",
        outputs=YIELDED,
    ),
    on_stream("failed in secret", stream(failed({"error": None})), AppError, phase="job"),
    on_stream("failed without output", stream(failed(None)), ServerStoppedError, phase="job"),
    Fault("heartbeat: 500", {"/heartbeat/": html(500)}, None, outputs=YIELDED),
]

WEBSOCKETS = [
    on_ws("no answer", end, ConnectionLost, phase="join", asked={JOIN: 1}),
    on_ws("reset", (*WS_BEGUN, reset), ConnectionLost, outputs=YIELDED, exact=False),
    on_ws("cut", (*WS_BEGUN, end), ConnectionLost, outputs=YIELDED),
    on_ws("cut in a frame", (*WS_BEGUN, text(DONE)[:9], end), ConnectionLost, outputs=YIELDED),
    on_ws("silence", hold, DeadlineExceeded, phase="join", timeouts=Timeouts(join=SOON)),
    on_ws(
        "half-open",
        (*WS_BEGUN, hold),
        DeadlineExceeded,
        phase="job",
        outputs=YIELDED,
        timeouts=Timeouts(job=SOON),
    ),
    on_ws("403", html(403), AuthenticationError, phase="join", status=403),
    on_ws("502", html(502), RemoteProtocolError, phase="join", status=502),
    on_ws("no upgrade", page({}), RemoteProtocolError, phase="join", status=200),
    on_ws(
        "full",
        (accept, SEND_HASH, listen, text({"msg": "queue_full"}), close(1000)),
        QueueFullError,
        phase="job",
    ),
    on_ws("closed with 1000", (*WS_BEGUN, close(1000)), ServerStoppedError, outputs=YIELDED),
    *[
        on_ws(
            f"closed with {code}",
            (*WS_BEGUN, close(code, "why")),
            ConnectionLost,
            says=f"{code}, why",
            outputs=YIELDED,
        )
        for code in (1001, 1008, 1011, 1012, 1013)
    ],
    on_ws("closed without a code", (*WS_BEGUN, close(None)), ConnectionLost, outputs=YIELDED),
    on_ws("closed with nonsense", (*WS_BEGUN, close(1005)), RemoteProtocolError, outputs=YIELDED),
    on_ws(
        "in pieces",
        (
            *WS_BEGUN,
            frame(text(DONE)[2:20], first=1),
            frame(text(DONE)[20:], first=0x80),
            close(1000),
        ),
        None,
    ),
    on_ws("byte by byte", (*WS_BEGUN, drip(WS_GOOD_END)), None),
    on_ws(
        "pings",
        (*HELLO, frame(b"?", 9) * 200, text(generating("a")), text(generating("ab")), WS_GOOD_END),
        None,
    ),
    on_ws("masked", (*WS_BEGUN, b"\x81\x81\0\0\0\0x"), RemoteProtocolError, outputs=YIELDED),
    on_ws(
        "reserved bits", (*WS_BEGUN, frame(b"x", first=0xC1)), RemoteProtocolError, outputs=YIELDED
    ),
    on_ws("an unknown opcode", (*WS_BEGUN, frame(b"x", 5)), RemoteProtocolError, outputs=YIELDED),
    on_ws("no UTF-8", (*WS_BEGUN, frame(b"\xff")), RemoteProtocolError, outputs=YIELDED),
    on_ws("no JSON", (*WS_BEGUN, frame(b"{")), RemoteProtocolError, outputs=YIELDED),
    on_ws(
        "too long",
        (*WS_BEGUN, frame(bytes(2_000_000))),
        RemoteProtocolError,
        limits=Limits(message=1_000_000),
        outputs=YIELDED,
    ),
    on_ws(
        "compressed unasked",
        lambda visit: visit.accept("sec-websocket-extensions: permessage-deflate"),
        RemoteProtocolError,
        phase="join",
    ),
    on_ws(
        "unknown messages",
        (*HELLO, text({"msg": "new"}), text(generating("a")), text(generating("ab")), WS_GOOD_END),
        None,
    ),
]

FAULTS = [*CONNECTING, *JOINING, *STREAMING, *WEBSOCKETS]


# The program


@attrs.define
class Told:
    """What the program has found out."""

    outputs: list[Any] = attrs.field(factory=list[Any])
    result: Any = None
    error: AppError | ConnectionError | None = None


async def program(world: World, url: str, told: Told, **options: Any) -> None:
    """It catches what the documentation tells it to, and nothing else."""
    try:
        async with world.client(url, **options) as client:
            job = client.submit("x", api_name="/count")
            async for output in job:
                told.outputs.append(output)
            told.result = await job.result()
    except (AppError, ConnectionError) as error:
        told.error = error


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_right_ending(world: World, fault: Fault) -> None:
    told = Told()
    pages = {**fault.app, **fault.pages}
    with nothing_is_left(), FaultServer(pages, banner=fault.banner) as server:
        options: dict[str, Any] = {"timeouts": fault.timeouts, "limits": fault.limits}
        world.run(lambda: program(world, server.url, told, **options))
    if fault.exact:
        assert told.outputs == fault.outputs
    assert told.outputs == fault.outputs[: len(told.outputs)]
    assert {path: len(server.asked(path)) for path in fault.asked} == fault.asked
    error = told.error
    if fault.kind is None:
        if error is not None:
            raise error
        return
    assert isinstance(error, GradioError)
    assert type(error) is fault.kind
    assert error.phase == fault.phase
    assert fault.status in {None, error.status}
    assert fault.says in error.message
    assert list(error.outputs) == [(output,) for output in told.outputs]
    assert error.url is not None
    assert error.url.startswith(server.url)
    assert (error.job is None) is (fault in CONNECTING)
    assert fault.look(error)


def test_nobody_listens(world: World) -> None:
    told = Told()
    with nothing_is_left(), socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        world.run(lambda: program(world, url, told, timeouts=LONG))
    assert type(told.error) is ConnectFailed
    assert (told.error.phase, told.error.url) == ("connect", f"{url}/config")


def test_nobody_has_that_name(world: World) -> None:
    told = Told()
    with nothing_is_left():
        world.run(lambda: program(world, "http://nobody.invalid/app", told, timeouts=LONG))
    assert type(told.error) is ConnectFailed
    assert told.error.phase == "connect"
    assert "nobody.invalid" in told.error.message


@pytest.mark.parametrize(
    ("banner", "kind"),
    [(b"", DeadlineExceeded), (b"HTTP/1.1 400 Bad Request\r\n\r\n", ConnectFailed)],
)
def test_where_tls_is_due_there_is_none(
    world: World, banner: bytes, kind: type[GradioError]
) -> None:
    told = Told()
    with nothing_is_left(), FaultServer({}, banner=banner) as server:
        url = server.url.replace("http:", "https:")
        timeouts = Timeouts(tls=SOON if kind is DeadlineExceeded else 20)
        world.run(lambda: program(world, url, told, timeouts=timeouts))
    assert type(told.error) is kind
    assert isinstance(told.error, GradioError)
    assert (told.error.phase, told.error.url) == ("tls", f"{url}/config")


def test_a_job_that_was_refused_is_handed_in_again_if_that_is_wanted(world: World) -> None:
    full = page({"detail": "Queue is full."}, 503)
    soon = Retry(times=2, backoff=0.01)
    for retry, kind, asked in ((soon, type(None), 3), (None, QueueFullError, 1)):
        told = Told()
        pages = {**APP, JOIN: in_turn(full, full, APP[JOIN])}
        with nothing_is_left(), FaultServer(pages) as server:
            url, options = server.url, {"timeouts": LONG, "retry": retry}
            world.run(partial(program, world, url, told, **options))
        assert type(told.error) is kind
        assert len(server.asked(JOIN)) == asked


def test_every_connection_notices_that_nobody_is_there_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []

    def prepare(sock: socket.socket) -> None:
        prepared.append(sock.fileno())

    monkeypatch.setattr(resolve, "prepare", prepare)
    told = Told()
    with FaultServer(APP) as server:
        world.run(lambda: program(world, server.url, told))
    assert told.outputs == YIELDED
    assert prepared
