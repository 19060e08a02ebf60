"""One connection a job: the server asks, the job answers, and every way in which it can end."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from sansio_gradio.client.commands import Abort, Expect, OpenWebSocket, SendRequest
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    TooManyRequestsError,
)
from sansio_gradio.events import Anomaly, JobCancelled, MessageReceived
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol import protocols
from sansio_gradio.protocol.protocols import Channel, Handover, Naming, Traits
from sansio_gradio.protocol.states import Msg
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    Talk,
    app,
    body_of,
    completed,
    estimation,
    failed,
    generating,
    starts,
)

HASH, ASK = {"msg": "send_hash"}, {"msg": "send_data"}


def on_ws(version: str = "3.50.2", **options: Any) -> Talk:
    return Talk(app(None, version), **options)


def on_sse(**options: Any) -> Talk:
    return Talk(app("sse", "4.0.2"), **options)


def opened(talk: Talk, *args: Any, **options: Any) -> tuple[int, OpenWebSocket]:
    """Submit a job, up to its open WebSocket."""
    options.setdefault("fn_index", ECHO)
    job = talk.conversation.submit(*(args or ("x",)), **options)
    socket = talk.socket()
    talk.open(socket)
    assert talk.new() == []
    return job, socket


def streaming(talk: Talk, **options: Any) -> tuple[int, SendRequest]:
    """Submit a job, up to its open stream."""
    options.setdefault("fn_index", ECHO)
    job = talk.conversation.submit("x", **options)
    stream = talk.request("/queue/join")
    talk.open(stream)
    assert talk.new() == []
    return job, stream


# On a WebSocket


def test_the_server_asks_who_is_there_and_for_the_data() -> None:
    talk = on_ws()
    job = talk.conversation.submit("hello", api_name="/echo", headers={"X-Mine": "1"})
    socket = talk.socket()
    assert socket.url == "ws://app.example/queue/join"
    assert ("x-mine", "1") in socket.headers
    talk.open(socket)
    talk.send(socket, HASH)
    session_hash = talk.conversation.session_hash
    assert talk.text() == {"fn_index": ECHO, "session_hash": session_hash}
    talk.send(socket, estimation(), ASK)
    assert talk.text() == {
        "data": ["hello"],
        "event_data": None,
        "fn_index": ECHO,
        "session_hash": session_hash,
        "trigger_id": None,
    }
    talk.send(socket, starts(), completed("olleh"))
    assert talk.data_of(job) == ("olleh",)
    assert talk.aborted() == [socket.id]  # the Close is ours to say, at once
    assert [event.message["msg"] for event in talk.of(MessageReceived)] == [
        "send_hash",
        "estimation",
        "send_data",
        "process_starts",
        "process_completed",
    ]


def test_before_3_6_nobody_asks_who_is_there() -> None:
    talk = on_ws("3.4.1")
    job, socket = opened(talk)
    talk.send(socket, estimation(), ASK)
    assert talk.text()["session_hash"] == talk.conversation.session_hash
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)


def test_data_may_be_asked_for_more_than_once() -> None:
    talk = on_ws("3.4.1")
    job, socket = opened(talk)
    for _ in range(2):
        talk.send(socket, ASK)
        assert talk.text()["data"] == ["x"]
        talk.send(socket, estimation())
    talk.send(socket, starts(), completed(1))
    assert talk.data_of(job) == (1,)
    assert talk.of(Anomaly) == []


def test_outputs_are_whole_each_time() -> None:
    talk = on_ws()
    job, socket = opened(talk, fn_index=COUNT)
    talk.send(socket, starts(), generating([["a"]]), generating([["a", "b"]]))
    talk.send(socket, completed(["a", "b"]))
    assert talk.values == [(["a"],), (["a", "b"],)]
    assert talk.data_of(job) == (["a", "b"],)


def test_outputs_are_kept_as_they_came() -> None:
    talk = on_ws()
    job, socket = opened(talk, fn_index=COUNT)
    talk.send(socket, starts(), generating([["a"]]), generating([["a", "b"]]))
    talk.lose(socket)
    outputs = talk.failure_of(job).outputs
    assert {type(kept) for kept in outputs._kept.entries} == {str}
    assert list(outputs) == [(["a"],), (["a", "b"],)]


@pytest.mark.parametrize("said", [[], [HASH], [HASH, estimation()], [HASH, starts()]])
def test_a_close_without_a_result_is_the_server_s_doing(said: list[dict[str, Any]]) -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, *said)
    talk.end(socket)
    error = talk.failure_of(job)
    assert type(error) is ServerStoppedError
    assert (error.phase, error.job) == ("stream", job)


def test_an_abrupt_end_is_a_lost_connection() -> None:
    talk = on_ws()
    job, socket = opened(talk, fn_index=COUNT)
    talk.send(socket, starts(), generating([1]))
    talk.lose(socket)
    error = talk.failure_of(job)
    assert type(error) is ConnectionLost
    assert error.phase == "stream"  # it has been joined long ago
    assert list(error.outputs) == [(1,)]
    assert talk.new() == []


def test_a_full_queue_is_told_by_message() -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, HASH)
    talk.text()
    talk.send(socket, {"msg": "queue_full"})
    talk.end(socket)
    assert type(talk.failure_of(job)) is QueueFullError


def test_a_failed_run_is_the_app_s_error() -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, starts(), failed("'no'"))
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert error.message == "no"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"", AuthenticationError),
        (401, b"", AuthenticationError),
        (429, b"", TooManyRequestsError),
        (503, {"detail": "Queue is full."}, QueueFullError),
    ],
)
def test_a_refused_handshake_says_why(status: int, body: Any, kind: type[GradioError]) -> None:
    talk = on_ws()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.socket(), body, status=status)
    error = talk.failure_of(job)
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert (error.phase, error.url, error.status) == (
        "join",
        "http://app.example/queue/join",
        status,
    )
    assert talk.new() == []


def refused(status: int = 400, body: bytes = b"no upgrade here") -> tuple[Talk, int, SendRequest]:
    """A job whose WebSocket something on the way has refused: what is asked instead."""
    talk = on_ws()
    job = talk.conversation.submit("x", fn_index=COUNT, headers={"X-Mine": "1"})
    talk.answer(talk.socket(), body, status=status)
    assert [event.job for event in talk.of(Anomaly)] == [job]
    talk.same_app()
    return talk, job, talk.request("/api/predict")


@pytest.mark.parametrize(("status", "body"), [(404, b"Not Found"), (200, b"<html>"), (426, b"")])
def test_where_no_websocket_passes_the_job_goes_past_the_queue(status: int, body: bytes) -> None:
    talk, job, request = refused(status, body)
    assert ("x-mine", "1") in request.headers
    asked = json.loads(body_of(request))
    assert (asked["data"], asked["fn_index"]) == (["x"], COUNT)
    talk.answer(request, {"data": [1], "is_generating": True})
    talk.answer(talk.request("/api/predict"), {"data": [None], "is_generating": False})
    assert talk.values == [(1,)]
    assert talk.data_of(job) == (1,)


@pytest.mark.parametrize("status", [401, 404])
def test_an_app_that_wants_its_queue_cannot_be_called_without_websockets(status: int) -> None:
    talk, job, request = refused()
    talk.answer(request, {"detail": "Not authorized to skip the queue"}, status=status)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert "no WebSocket" in error.message
    assert "400: 'no upgrade here'" in error.message
    assert (error.phase, error.url) == ("join", "http://app.example/queue/join")
    assert error.status == 400


def test_what_the_app_says_past_its_queue_counts() -> None:
    talk, job, request = refused()
    talk.answer(request, {"error": "'no'"}, status=500)
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert error.message == "no"


def test_a_stream_that_is_refused_has_no_other_way() -> None:
    talk = on_sse()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/queue/join"), b"Not Found", status=404)
    assert type(talk.failure_of(job)) is RemoteProtocolError
    assert talk.new() == []


@pytest.mark.parametrize("version", ["3.1.5", "3.1.7"])
def test_from_3_1_5_to_3_1_7_the_client_speaks_first(version: str) -> None:
    talk = on_ws(version)
    job = talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    talk.open(socket)
    assert talk.text() == {"hash": talk.conversation.session_hash}
    talk.send(socket, estimation(), ASK)
    assert talk.text()["data"] == ["x"]
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)
    assert talk.aborted() == [socket.id]  # the server would leave it open


def test_a_handshake_has_a_deadline() -> None:
    talk = on_ws(timeouts=Timeouts(join=5.0))
    job = talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    assert talk.sleep(5.1) == [Abort(socket.id)]
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "join"


def test_an_open_websocket_may_be_silent() -> None:
    talk = on_ws()
    job, _ = opened(talk)
    assert talk.sleep(1e6) == []
    assert talk.ends_of(job) == []


def test_leaving_is_how_a_job_is_cancelled() -> None:
    talk = on_ws()
    job, socket = opened(talk, fn_index=COUNT)
    talk.send(socket, starts(), generating([1]))
    assert talk.conversation.cancel(job)
    assert talk.aborted() == [socket.id]
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    assert list(end.outputs) == [(1,)]
    assert not talk.conversation.cancel(job)


def test_a_deadline_leaves_too() -> None:
    talk = on_ws()
    job, socket = opened(talk, timeout=3.0)
    assert talk.sleep(3.1) == [Abort(socket.id)]
    assert isinstance(talk.failure_of(job), DeadlineExceeded)


@pytest.mark.parametrize("text", ["no JSON", "[]", '"send_data"'])
def test_nonsense_fails_the_job(text: str) -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, text)
    error = talk.failure_of(job)
    assert isinstance(error, RemoteProtocolError)
    assert error.phase == "stream"
    assert talk.aborted() == [socket.id]


def test_after_the_last_event_nothing_more_is_said() -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, starts(), completed(1))
    talk.look()
    count = len(talk.said)
    # The surroundings may have read more than they had to.
    talk.send(socket, ASK, HASH, completed(2), {"msg": 7}, "nonsense")
    talk.end(socket)
    assert len(talk.of(Anomaly)) == 0
    assert len(talk.said) == count
    assert talk.data_of(job) == (1,)
    assert talk.aborted() == [socket.id]


def test_what_is_wrong_with_a_message_is_told_of_its_job() -> None:
    talk = on_ws()
    job, socket = opened(talk)
    talk.send(socket, {"msg": "estimation", "rank": "first"}, {"msg": "of tomorrow"}, starts())
    assert [event.job for event in talk.of(Anomaly)] == [job, job]
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)


def test_what_is_asked_out_of_turn_is_an_error_if_strict() -> None:
    for asked in (HASH, ASK):
        talk = on_ws(strict=True)
        job, socket = opened(talk)
        talk.send(socket, starts(), asked)
        assert isinstance(talk.failure_of(job), RemoteProtocolError)
        assert talk.aborted() == [socket.id]  # and nothing was sent


def test_signs_of_life_are_no_messages_of_the_job() -> None:
    talk = on_ws("3.16.2")
    job, socket = opened(talk)
    talk.send(socket, starts(), {"msg": "alive?"}, {"msg": "heartbeat"}, {"msg": "close_stream"})
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)
    assert talk.of(Anomaly) == []
    assert len(talk.of(MessageReceived)) == 2


def test_concurrent_generators_of_one_function_get_sessions_of_their_own() -> None:
    talk = on_ws()
    main = talk.conversation.session_hash

    def session_hash(**options: Any) -> str:
        _, socket = opened(talk, **options)
        talk.send(socket, HASH)
        said: dict[str, str] = talk.text()
        return said["session_hash"]

    assert session_hash(fn_index=COUNT) == main
    second, third = session_hash(fn_index=COUNT), session_hash(fn_index=COUNT)
    assert len({main, second, third}) == 3
    assert session_hash(fn_index=ECHO) == main
    assert session_hash(fn_index=ECHO) == main  # no generator: State is shared
    assert session_hash(fn_index=ECHO, isolated=True) not in {main, second, third}


def test_a_generator_that_was_given_up_is_not_met_again() -> None:
    """The server runs it up to its next yield, and would mix it up with the next call."""
    talk = on_ws()

    def session_hash(socket: OpenWebSocket) -> str:
        talk.send(socket, HASH)
        said: dict[str, str] = talk.text()
        return said["session_hash"]

    main = talk.conversation.session_hash
    _, socket = opened(talk, fn_index=COUNT)
    assert session_hash(socket) == main
    talk.send(socket, starts(), completed(1))
    assert talk.aborted() == [socket.id]
    job, socket = opened(talk, fn_index=COUNT)
    assert session_hash(socket) == main  # the first has completed
    talk.conversation.cancel(job)
    assert talk.aborted() == [socket.id]
    assert session_hash(opened(talk, fn_index=COUNT)[1]) != main
    assert session_hash(opened(talk, fn_index=ECHO)[1]) == main


def test_pieces_of_an_input_are_for_later_servers() -> None:
    talk = on_ws()
    job, socket = opened(talk)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        talk.conversation.send(job, 1)
    talk.send(socket, starts(), {**generating([1]), "msg": "process_streaming"})
    assert talk.new() == []
    talk.send(socket, completed(1))
    assert talk.data_of(job) == (1,)


# On an event stream


def test_the_stream_is_the_join_and_the_data_is_asked_for() -> None:
    talk = on_sse()
    job = talk.conversation.submit("hello", fn_index=ECHO, headers=[("X-Mine", "1")])
    stream = talk.request("/queue/join")
    assert (stream.method, stream.expect) == ("GET", Expect.STREAM)
    assert ("x-mine", "1") in stream.headers
    assert parse_qs(urlsplit(stream.url).query) == {
        "fn_index": ["0"],
        "session_hash": [talk.conversation.session_hash],
    }
    talk.open(stream)
    talk.send(stream, estimation(), {**ASK, "event_id": "e"})
    request = talk.request("/queue/data")
    body = json.loads(body_of(request))
    assert (body["data"], body["event_id"]) == (["hello"], "e")
    assert ("x-mine", "1") in request.headers
    talk.answer(request, None)
    talk.send(stream, starts(), generating([1]), generating([2]), completed(2))
    assert talk.data_of(job) == (2,)
    assert talk.values == [(1,), (2,)]
    assert talk.aborted() == [stream.id]
    talk.end(stream)
    assert talk.data_of(job) == (2,)


def test_the_end_of_the_stream_before_the_job_s_is_a_loss() -> None:
    for ending in (Talk.end, Talk.lose):
        talk = on_sse()
        job, stream = streaming(talk, fn_index=COUNT)
        talk.send(stream, starts(), generating([1]))
        ending(talk, stream)
        error = talk.failure_of(job)
        assert type(error) is ConnectionLost
        assert list(error.outputs) == [(1,)]


def test_refused_data_fails_the_job() -> None:
    talk = on_sse()
    job, stream = streaming(talk)
    talk.send(stream, {**ASK, "event_id": "e"})
    talk.answer(talk.request("/queue/data"), b"Internal Server Error", status=500)
    error = talk.failure_of(job)
    assert isinstance(error, RemoteProtocolError)
    assert (error.phase, error.status) == ("send", 500)
    assert talk.aborted() == [stream.id]


def test_handing_over_has_a_deadline() -> None:
    talk = on_sse(timeouts=Timeouts(send=4.0))
    job, stream = streaming(talk)
    talk.send(stream, {**ASK, "event_id": "e"})
    request = talk.request("/queue/data")
    assert talk.sleep(4.1) == [Abort(request.id), Abort(stream.id)]
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "send"


def test_a_named_job_is_stopped_by_its_name() -> None:
    talk = on_sse()
    job, stream = streaming(talk)
    talk.send(stream, {**ASK, "event_id": "e"})
    talk.answer(talk.request("/queue/data"), None)
    talk.conversation.cancel(job)
    request = talk.request("/reset")
    assert json.loads(body_of(request)) == {"event_id": "e"}
    talk.answer(request, {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    assert talk.aborted() == [stream.id]


def test_a_job_without_a_name_is_left() -> None:
    talk = on_sse()
    job, stream = streaming(talk)
    talk.send(stream, estimation())
    talk.conversation.cancel(job)
    assert talk.aborted() == [stream.id]
    assert isinstance(talk.last_of(job), JobCancelled)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_message_beyond_the_limit_fails_the_job(at_once: bool) -> None:
    talk = on_sse(limits=Limits(message=300))
    job, stream = streaming(talk)
    messages = [starts(), generating(["x" * 400])]
    for part in [messages] if at_once else [[message] for message in messages]:
        talk.send(stream, *part)
    error = talk.failure_of(job)
    assert isinstance(error, RemoteProtocolError)
    assert error.phase == "stream"


def test_what_follows_the_end_in_one_piece_is_not_read() -> None:
    talk = on_sse()
    job, stream = streaming(talk)
    talk.send(stream, starts(), completed(1), {"msg": 7}, "nonsense", {**ASK, "event_id": "e"})
    assert talk.data_of(job) == (1,)
    assert talk.of(Anomaly) == []
    assert talk.aborted() == [stream.id]


# Protocols that are not there


@pytest.fixture
def eighth(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebSockets, edits, and an event_id that the server gives: no real one has all three."""
    row = Traits(
        channel=Channel.WEBSOCKET,
        handover=Handover.ASKED,
        naming=Naming.SEND_DATA,
        diffs=True,
        close_stream=False,
    )
    unasked = attrs.evolve(row, handover=Handover.JOINING, naming=Naming.NOWHERE)
    in_the_url = attrs.evolve(unasked, channel=Channel.JOB_STREAM)
    more = {"eighth": row, "unasked": unasked, "in the url": in_the_url}
    monkeypatch.setattr(protocols, "PROTOCOLS", {**protocols.PROTOCOLS, **more})


@pytest.mark.usefixtures("eighth")
def test_edits_and_names_on_a_websocket() -> None:
    talk = Talk(app(None, "4.20.0"), protocol="eighth")
    job, socket = opened(talk, fn_index=COUNT)
    talk.send(socket, {**ASK, "event_id": "e"})
    assert talk.text()["event_id"] == "e"
    talk.send(socket, starts("e"), generating(["a"], "e"))
    talk.send(socket, generating([[["append", [], "b"]]], "e"))
    assert talk.values == [("a",), ("ab",)]
    talk.conversation.cancel(job)
    talk.answer(talk.request("/reset"), {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server


@pytest.mark.usefixtures("eighth")
def test_data_handed_over_by_joining_on_a_websocket() -> None:
    talk = Talk(app(None, "4.20.0"), protocol="unasked")
    talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    talk.open(socket)
    assert talk.text()["data"] == ["x"]


@pytest.mark.usefixtures("eighth")
def test_data_handed_over_by_joining_on_a_stream() -> None:
    talk = Talk(app(None, "4.20.0"), protocol="in the url")
    talk.conversation.submit("x", fn_index=ECHO)
    stream = talk.request("/queue/join")
    assert parse_qs(urlsplit(stream.url).query)["data"] == ['["x"]']
    talk.open(stream)
    assert talk.new() == []


def test_the_messages_that_ask_are_known() -> None:
    assert (HASH["msg"], ASK["msg"]) == (Msg.SEND_HASH, Msg.SEND_DATA)
