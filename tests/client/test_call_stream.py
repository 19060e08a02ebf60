"""The simple REST API: a POST that names the job, and a stream with events for messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.call import Call
from sansio_gradio.client.commands import Abort, Pause, Resume, SendRequest
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    ServerStoppedError,
    ValidationError,
)
from sansio_gradio.events import Accepted, Anomaly, JobCancelled, MessageReceived, SessionClosed
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    STATE,
    TEXT,
    Talk,
    app,
    body_of,
    config,
)

BASE = "/gradio_api"
INFO: dict[str, Any] = {
    "named_endpoints": {
        "/echo": {"parameters": [{"parameter_name": "class", "label": "Text"}], "returns": []}
    },
    "unnamed_endpoints": {},
}


def talk_to(version: str = "6.31.0", protocol: str = "call", **options: Any) -> Talk:
    known = app("sse_v3", version, api_prefix=BASE)
    return Talk(known, protocol=protocol, **options)


def joined(
    version: str = "6.31.0", fn_index: int = ECHO, **options: Any
) -> tuple[Talk, int, SendRequest]:
    """A job up to its open stream."""
    talk = talk_to(version, **options)
    job = talk.conversation.submit("x", fn_index=fn_index)
    name = talk.conversation.endpoint_of(job)
    assert name is not None
    talk.answer(talk.request(f"{BASE}/call{name.api_name}"), {"event_id": "e"})
    stream = talk.request(f"{BASE}/call{name.api_name}/e")
    talk.open(stream)
    return talk, job, stream


def events(talk: Talk, stream: SendRequest, *said: tuple[str, Any]) -> None:
    text = "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in said)
    talk.conversation.data(stream.id, text.encode(), talk.now)


def test_what_is_heard_is_read_within_the_limits() -> None:
    for data, is_refused in (([[]], False), ([[[]]], True)):
        talk, job, stream = joined(limits=Limits(json_depth=2))
        events(talk, stream, ("complete", data))
        if is_refused:
            assert "2 levels" in talk.failure_of(job).message
        else:
            assert talk.data_of(job) == tuple(data)


def test_a_parser_of_ones_own_reads_what_is_heard_and_what_is_refused() -> None:
    texts: list[str | bytes] = []

    def parse(text: str | bytes) -> Any:
        texts.append(text)
        return json.loads(text)

    talk, job, stream = joined(json_loads=parse)
    events(talk, stream, ("complete", ["heard"]))
    assert talk.data_of(job) == ("heard",)
    job = talk.conversation.submit("x", fn_index=ECHO)
    _, again = talk.new()
    talk.answer(again, {"error": "refused"}, status=500)
    assert talk.failure_of(job).message == "refused"
    assert texts == ['{"event_id": "e"}', '["heard"]', '{"error": "refused"}']


def test_a_job_is_joined_by_its_name_and_heard_on_its_own_stream() -> None:
    talk = talk_to()
    job = talk.conversation.submit("hello", api_name="/echo", headers={"X-Mine": "1"})
    request = talk.request(f"{BASE}/call/echo")
    assert request.method == "POST"
    assert ("x-mine", "1") in request.headers
    assert json.loads(body_of(request)) == {"data": ["hello"]}
    talk.answer(request, {"event_id": "e/1"})
    stream = talk.request(f"{BASE}/call/echo/e%2F1")
    assert stream.method == "GET"
    assert ("accept", "text/event-stream") in stream.headers
    assert ("x-mine", "1") in stream.headers
    talk.open(stream)
    events(talk, stream, ("heartbeat", None), ("complete", ["olleh"]))
    assert talk.data_of(job) == ("olleh",)
    assert talk.aborted() == [stream.id]
    assert [event.message["msg"] for event in talk.of(MessageReceived)] == ["process_completed"]


def test_outputs_are_whole_each_time() -> None:
    talk, job, stream = joined(fn_index=COUNT)
    events(talk, stream, ("generating", [["a"]]), ("generating", [["a", "b"]]))
    events(talk, stream, ("complete", [["a", "b"]]), ("generating", [["late"]]))
    assert talk.values == [(["a"],), (["a", "b"],)]
    assert talk.data_of(job) == (["a", "b"],)


def test_an_event_that_is_not_known_is_odd_and_no_more() -> None:
    talk, job, stream = joined()
    events(talk, stream, ("warming_up", "soon"), ("complete", [1]))
    assert talk.data_of(job) == (1,)
    (odd,) = talk.of(Anomaly)
    assert "warming_up" in odd.what
    talk, job, stream = joined(strict=True)
    events(talk, stream, ("warming_up", "soon"))
    assert "warming_up" in talk.failure_of(job).message


def test_what_does_not_want_the_queue_is_called_so_as_well() -> None:
    talk, job, stream = joined(fn_index=PLAIN)
    events(talk, stream, ("complete", [1]))
    assert talk.data_of(job) == (1,)


def test_state_is_null_and_what_is_sent_beside_the_arguments_is_sent() -> None:
    functions: dict[str, Any] = config("sse_v3", has_state=True, api_prefix=BASE)
    functions["dependencies"][ECHO]["inputs"] = [TEXT, STATE]
    talk = Talk(AppInfo.from_config(functions), protocol="call")
    talk.conversation.submit("x", fn_index=ECHO, extra={"oauth_token": "t"})
    request = talk.request(f"{BASE}/call/echo")
    assert json.loads(body_of(request)) == {"data": ["x", None], "oauth_token": "t"}


def test_arguments_may_go_under_their_names() -> None:
    talk = talk_to(protocol="call_v2")
    job = talk.conversation.submit("x", fn_index=ECHO, extra={"oauth_token": "t"})
    talk.answer(talk.request(f"{BASE}/info"), INFO)
    request = talk.request(f"{BASE}/call/v2/echo")
    assert json.loads(body_of(request)) == {"class": "x", "oauth_token": "t"}
    talk.answer(request, {"event_id": "e"})
    stream = talk.request(f"{BASE}/call/echo/e")
    talk.open(stream)
    events(talk, stream, ("complete", [1]))
    assert talk.data_of(job) == (1,)


@pytest.mark.parametrize(
    ("version", "protocol", "since"),
    [("4.19.2", "call", "4.20"), ("3.50.2", "call", "4.20"), ("6.12.0", "call_v2", "6.13")],
)
def test_servers_that_do_not_have_it_are_not_asked(version: str, protocol: str, since: str) -> None:
    talk = talk_to(version, protocol)
    job = talk.conversation.submit("x", fn_index=ECHO)
    if protocol == "call_v2":
        talk.answer(talk.request(f"{BASE}/info"), INFO)
    error = talk.failure_of(job)
    assert type(error) is LocalProtocolError
    assert version in error.message
    assert since in error.message
    assert talk.new() == []


def test_a_function_without_a_name_cannot_be_called() -> None:
    functions: dict[str, Any] = config("sse_v3", api_prefix=BASE)
    functions["dependencies"][ECHO]["api_name"] = None
    talk = Talk(AppInfo.from_config(functions), protocol="call")
    job = talk.conversation.submit("x", fn_index=ECHO)
    error = talk.failure_of(job)
    assert type(error) is LocalProtocolError
    assert "api_name" in error.message


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ({"error": "boom", "title": "Oh", "duration": 3, "visible": False}, AppError, "boom"),
        ({"error": None}, AppError, "does not show"),
        ("404: Not Found", ServerStoppedError, "404"),
    ],
)
def test_what_goes_wrong_is_told(said: Any, kind: type[GradioError], text: str) -> None:
    talk, job, stream = joined()
    events(talk, stream, ("generating", ["first"]), ("error", said))
    error = talk.failure_of(job)
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert text in error.message
    assert list(error.outputs) == [("first",)]
    if isinstance(error, AppError) and error.message == "boom":
        assert (error.title, error.duration, error.visible) == ("Oh", 3, False)


def test_an_error_that_the_server_loses_is_told_as_lost() -> None:
    talk, job, stream = joined("6.12.0")
    events(talk, stream, ("error", None))
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert "6.13" in error.message


@pytest.mark.parametrize(
    "said",
    ["event: complete\ndata: {}\n\n", "event: error\ndata: 1\n\n", "event: error\ndata: [\n\n"],
)
def test_what_makes_no_sense_ends_the_job(said: str) -> None:
    talk, job, stream = joined()
    talk.conversation.data(stream.id, said.encode(), talk.now)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert error.phase == "stream"


def test_an_event_has_a_limit() -> None:
    talk, job, stream = joined(limits=Limits(message=100))
    talk.conversation.data(stream.id, b"data: " + b"x" * 200, talk.now)
    assert type(talk.failure_of(job)) is RemoteProtocolError


def test_a_stream_that_ends_before_its_job_is_lost() -> None:
    talk, job, stream = joined()
    talk.end(stream)
    assert type(talk.failure_of(job)) is ConnectionLost
    talk, job, stream = joined()
    talk.lose(stream)
    assert type(talk.failure_of(job)) is ConnectionLost


def test_a_stream_may_be_refused() -> None:
    talk = talk_to()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(f"{BASE}/call/echo"), {"event_id": "e"})
    talk.answer(talk.request(f"{BASE}/call/echo/e"), b"Bad Gateway", status=502)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert (error.phase, error.status) == ("join", 502)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"Internal Server Error", RemoteProtocolError),
        (422, {"detail": [{"is_valid": False, "message": "no"}]}, ValidationError),
        (200, b"null", RemoteProtocolError),
        (200, b"{}", RemoteProtocolError),
        (200, b"<html>", RemoteProtocolError),
    ],
)
def test_a_join_may_be_refused(status: int, body: Any, kind: type[GradioError]) -> None:
    talk = talk_to()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(f"{BASE}/call/echo"), body, status=status)
    error = talk.failure_of(job)
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert (error.phase, error.status) == ("join", status)
    assert talk.new() == []


def test_silence_is_an_end() -> None:
    talk, job, stream = joined(timeouts=Timeouts(stream_idle=20.0))
    talk.sleep(15)
    events(talk, stream, ("heartbeat", None))
    talk.sleep(19)
    assert talk.ends_of(job) == []
    assert talk.sleep(2) == [Abort(stream.id)]
    error = talk.failure_of(job)
    assert type(error) is DeadlineExceeded
    assert error.phase == "stream_idle"


def test_who_is_paused_is_not_silent() -> None:
    talk, job, stream = joined(timeouts=Timeouts(stream_idle=20.0))
    assert talk.conversation.pause(job)
    assert talk.sleep(1e6) == [Pause(stream.id)]
    assert talk.conversation.pause(job, on=False)
    assert talk.sleep(1) == [Resume(stream.id)]
    assert talk.ends_of(job) == []
    assert talk.sleep(40) == [Abort(stream.id)]
    assert type(talk.failure_of(job)) is DeadlineExceeded


@pytest.mark.parametrize(
    ("version", "path", "body"),
    [
        ("6.31.0", "cancel", {"session_hash": "e", "fn_index": COUNT, "event_id": "e"}),
        ("4.31.0", "cancel", {"session_hash": "e", "fn_index": COUNT, "event_id": "e"}),
        ("4.29.0", "reset", {"event_id": "e"}),
    ],
)
def test_a_cancel_is_exact(version: str, path: str, body: Any) -> None:
    talk, job, stream = joined(version, COUNT)
    events(talk, stream, ("generating", [1]))
    assert talk.conversation.cancel(job)
    request = talk.request(f"{BASE}/{path}")
    assert json.loads(body_of(request)) == body
    talk.answer(request, {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    assert list(end.outputs) == [(1,)]
    assert talk.aborted() == [stream.id]


def test_the_stream_itself_says_that_the_job_was_stopped() -> None:
    talk, job, stream = joined()
    assert talk.conversation.cancel(job)
    talk.request(f"{BASE}/cancel")
    events(talk, stream, ("complete", None))
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server


def test_a_cancel_waits_for_the_name_of_the_job() -> None:
    talk = talk_to()
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(f"{BASE}/call/echo")
    assert talk.conversation.cancel(job)
    assert talk.new() == []
    talk.answer(join, {"event_id": "e"})
    stream, cancel = talk.requests(f"{BASE}/call/echo/e", f"{BASE}/cancel")
    talk.answer(cancel, {"success": True})
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.aborted() == [stream.id]


def test_a_cancelled_job_that_is_not_taken_is_cancelled() -> None:
    talk = talk_to()
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(f"{BASE}/call/echo")
    assert talk.conversation.cancel(job)
    talk.answer(join, b"", status=500)
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    talk.conversation.close()
    talk.look()


def test_a_job_past_its_deadline_that_is_not_taken_is_done_with() -> None:
    talk = talk_to()
    job = talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    join = talk.request(f"{BASE}/call/echo")
    talk.sleep(5.0)
    assert type(talk.failure_of(job)) is DeadlineExceeded
    talk.answer(join, b"", status=500)
    talk.conversation.close()
    assert len(talk.of(SessionClosed)) == 1  # there is nothing left to wait for


def test_a_job_that_the_server_stops_for_another_s_sake_has_failed() -> None:
    talk, job, stream = joined()
    events(talk, stream, ("complete", None))
    assert type(talk.failure_of(job)) is ServerStoppedError


def test_a_streaming_input_is_handed_over_in_pieces() -> None:
    talk, job, stream = joined()
    talk.conversation.send(job, "more", headers={"X-Mine": "1"})
    assert talk.new() == []  # before it is asked for
    events(talk, stream, ("generating", [1]))
    piece = talk.request(f"{BASE}/stream/e")
    assert ("x-mine", "1") in piece.headers
    sent = json.loads(body_of(piece))
    assert (sent["data"], sent["session_hash"], sent["simple_format"]) == (["more"], "e", True)
    talk.answer(piece, {"msg": "success"})
    answers = [(receipt.chunk, receipt.answer) for receipt in talk.of(Accepted)]
    assert answers == [(0, {"event_id": "e"}), (1, {"msg": "success"})]
    talk.conversation.end_input(job)
    events(talk, stream, ("generating", [2]))
    end = talk.request(f"{BASE}/stream/e/close")
    assert end.body is None
    talk.answer(end, {"msg": "success"})
    events(talk, stream, ("complete", [2]))
    assert talk.data_of(job) == (2,)
    assert talk.values == [(1,), (2,)]


def test_an_input_that_is_whole_ends_behind_its_one_piece() -> None:
    talk = talk_to()
    job = talk.conversation.begin(Call(args=("x",), fn_index=ECHO, whole_input=True))
    talk.answer(talk.request(f"{BASE}/call/echo"), {"event_id": "e"})
    stream = talk.request(f"{BASE}/call/echo/e")
    talk.open(stream)
    events(talk, stream, ("generating", [1]))
    talk.answer(talk.request(f"{BASE}/stream/e/close"), {"msg": "success"})
    events(talk, stream, ("complete", [1]))
    assert talk.data_of(job) == (1,)


def test_a_piece_that_cannot_be_handed_over_ends_the_job() -> None:
    talk, job, stream = joined()
    talk.conversation.send(job, "more")
    events(talk, stream, ("generating", [1]))
    talk.answer(talk.request(f"{BASE}/stream/e"), b"", status=500)
    assert talk.failure_of(job).phase == "send"


def test_an_endpoint_that_takes_its_input_all_at_once_takes_no_pieces() -> None:
    talk, job, _ = joined(fn_index=COUNT)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        talk.conversation.send(job, "chunk")


def test_what_was_heard_before_a_message_that_is_too_large_is_kept() -> None:
    talk, job, stream = joined(limits=Limits(message=100))
    whole = b'event: generating\ndata: ["a"]\n\n'
    talk.conversation.data(stream.id, whole + b"data: " + b"x" * 200, talk.now)
    assert talk.values == [("a",)]
    failure = talk.failure_of(job)
    assert type(failure) is RemoteProtocolError
    assert (failure.phase, "100" in failure.message) == ("stream", True)
