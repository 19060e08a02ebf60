"""What an application may ask of a session, when, and what becomes of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from sansio_gradio.client.commands import Abort, OpenWebSocket, SendRequest
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
)
from sansio_gradio.events import (
    Anomaly,
    Connected,
    ConnectingFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    SessionClosed,
    SessionLost,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    SRC,
    TOTAL,
    Talk,
    app,
    body_of,
    completed,
    config,
    starts,
)

JOIN, DATA, CANCEL = "/queue/join", "/queue/data", "/cancel"


def running(talk: Talk, event_id: str = "a", **options: Any) -> tuple[int, SendRequest]:
    """A job of a session whose stream is not open, up to the open stream."""
    job = talk.conversation.submit("x", fn_index=options.pop("fn_index", ECHO), **options)
    talk.answer(talk.request(JOIN), {"event_id": event_id})
    stream = talk.request(DATA)
    talk.open(stream)
    return job, stream


# What it is begun with


@pytest.mark.parametrize("src", ["", "app.example", "ftp://app.example/", "http://", "http://a b/"])
def test_a_session_needs_an_address(src: str) -> None:
    with pytest.raises(LocalProtocolError):
        Conversation(src, entropy=counted_entropy())


@pytest.mark.parametrize(
    "headers", [{"x\r\ny": "1"}, {"x": "1\r\n"}, {"Content-Length": "0"}, {"": "x"}]
)
def test_headers_are_checked_before_anything_is_sent(headers: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        Conversation(SRC, entropy=counted_entropy(), headers=headers)
    talk = Talk(app())
    with pytest.raises(LocalProtocolError):
        talk.conversation.submit("x", fn_index=ECHO, headers=headers)
    assert talk.new() == []
    assert len(talk.said) == 1


def test_there_must_be_such_a_protocol() -> None:
    with pytest.raises(ValueError, match="sse_v4"):
        Conversation(SRC, entropy=counted_entropy(), protocol="sse_v4")


def test_headers_and_cookies_go_along() -> None:
    talk = Talk(headers={"User-Agent": "mine", "X-Token": "t"}, cookies={"a": "1"})
    request = talk.request("/config")
    assert request.headers == (
        ("accept", "*/*"),
        ("accept-encoding", "identity"),
        ("user-agent", "mine"),
        ("x-token", "t"),
        ("cookie", "a=1"),
    )
    talk.answer(request, config())
    talk.conversation.submit("x", fn_index=ECHO, headers={"X-Token": "of the job"})
    join = talk.request(JOIN)
    assert [value for name, value in join.headers if name == "x-token"] == ["of the job"]
    talk.conversation.submit("x", fn_index=ECHO)
    assert ("x-token", "t") in talk.request(JOIN).headers


def test_a_session_has_a_name_of_its_own_or_the_one_it_is_given() -> None:
    entropy = counted_entropy()
    one, two = Conversation(SRC, entropy=entropy), Conversation(SRC, entropy=entropy)
    assert one.session_hash != two.session_hash
    assert len(bytes.fromhex(one.session_hash)) == 8
    assert Conversation(SRC, entropy=entropy, session_hash="mine").session_hash == "mine"
    assert one.url == SRC


@pytest.mark.parametrize(
    ("said", "version", "forced", "spoken"),
    [
        ("sse_v3", "6.31.0", None, "sse_v3"),
        (None, "3.50.2", None, "ws"),
        (None, "3.1.4", None, "push"),
        ("sse_v1", "4.16.0", "sse_v3", "sse_v3"),
    ],
)
def test_the_protocol_is_the_app_s_or_the_one_it_is_told(
    said: str | None, version: str, forced: str | None, spoken: str
) -> None:
    talk = Talk(app(said, version), protocol=forced)
    assert talk.conversation.protocol == spoken
    assert talk.of(Anomaly) == []


def test_a_protocol_of_tomorrow_is_spoken_to_as_the_newest() -> None:
    talk = Talk(app("sse_v4"))
    assert talk.conversation.protocol == "sse_v3"
    (anomaly,) = talk.of(Anomaly)
    assert "'sse_v4'" in anomaly.what
    running(talk)


def test_the_protocol_is_decided_once() -> None:
    talk = Talk(app())
    talk.conversation.request_info()
    talk.answer(talk.request("/info"), {"named_endpoints": {}, "unnamed_endpoints": {}})
    assert len(talk.of(Connected)) == 2
    assert talk.conversation.protocol == "sse_v3"
    assert talk.of(Anomaly) == []


# Jobs


def test_jobs_wait_until_the_app_is_known() -> None:
    talk = Talk()
    request = talk.request("/config")
    jobs = [talk.conversation.submit(str(n), fn_index=PLAIN) for n in range(3)]
    assert talk.conversation.endpoint_of(jobs[0]) is None
    assert talk.new() == []
    talk.answer(request, config())
    for job, call in zip(jobs, talk.requests(*["/api/predict"] * 3), strict=True):
        endpoint = talk.conversation.endpoint_of(job)
        assert endpoint is not None
        assert endpoint.fn_index == PLAIN
        talk.answer(call, {"data": json.loads(body_of(call))["data"]})
    assert [talk.data_of(job) for job in jobs] == [("0",), ("1",), ("2",)]
    assert talk.conversation.endpoint_of(jobs[0]) is None


@pytest.mark.parametrize(
    ("args", "named", "text"),
    [
        ((1,), {"api_name": "/nowhere"}, "/nowhere"),
        ((1,), {"fn_index": 99}, "99"),
        ((1,), {}, "Say which"),
        ((), {"fn_index": PLAIN}, ""),
        ((1, 2), {"fn_index": PLAIN}, ""),
        ((1,), {"fn_index": PLAIN, "what": 2}, ""),
    ],
)
def test_wrong_arguments_end_the_job_and_nothing_else(
    args: tuple[Any, ...], named: dict[str, Any], text: str
) -> None:
    talk = Talk(app().with_info({"named_endpoints": {}, "unnamed_endpoints": {}}))
    job = talk.conversation.submit(*args, **named)
    error = talk.failure_of(job)
    assert type(error) is LocalProtocolError
    assert text in error.message
    assert (error.phase, error.job, error.url) == ("submit", job, SRC)
    assert talk.new() == []
    assert not talk.conversation.cancel(job)
    running(talk)


def test_an_app_that_cannot_be_reached_fails_all_that_wait_for_it() -> None:
    talk = Talk()
    jobs = [talk.conversation.submit("x", fn_index=PLAIN) for _ in range(3)]
    talk.lose(talk.request("/config"))
    (failed,) = talk.of(ConnectingFailed)
    for job in jobs:
        error = talk.failure_of(job)
        assert type(error) is type(failed.error) is ConnectionLost
        assert (error.job, failed.error.job) == (job, None)


def test_a_job_may_have_to_wait_for_more_than_the_config() -> None:
    talk = Talk(app())
    job = talk.conversation.submit(what="x", api_name="/echo")
    other = talk.conversation.submit("x", api_name="/echo")
    info, join = talk.requests("/info", JOIN)
    assert json.loads(body_of(join))["data"] == ["x"]
    assert talk.conversation.cancel(job)
    talk.answer(info, {"named_endpoints": {}, "unnamed_endpoints": {}})
    assert talk.new() == []
    assert talk.ends_of(job) == [JobCancelled(session=0, job=job, stopped_on_server=False)]
    assert talk.ends_of(other) == []


def test_a_job_cancelled_before_the_app_is_known_was_never_sent() -> None:
    talk = Talk()
    request = talk.request("/config")
    job, other = (talk.conversation.submit("x", fn_index=PLAIN) for _ in range(2))
    assert talk.conversation.cancel(job)
    end = talk.last_of(job)
    assert end == JobCancelled(session=0, job=job, stopped_on_server=False)
    assert not talk.conversation.cancel(job)
    talk.answer(request, config())
    talk.request("/api/predict")
    assert talk.ends_of(other) == []


def test_a_job_s_deadline_counts_from_submitting() -> None:
    talk = Talk(timeouts=Timeouts(job=50.0, request=None))
    request = talk.request("/config")
    short = talk.conversation.submit("x", fn_index=PLAIN, timeout=5.0)
    long = talk.conversation.submit("x", fn_index=PLAIN)
    talk.sleep(5.1)
    error = talk.failure_of(short)
    assert type(error) is DeadlineExceeded
    assert error.phase == "job"
    talk.answer(request, config())
    call = talk.request("/api/predict")
    assert talk.ends_of(long) == []
    talk.sleep(45.0)
    assert Abort(call.id) in talk.asked
    assert type(talk.failure_of(long)) is DeadlineExceeded


def test_a_job_that_is_over_has_no_deadline_left() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=PLAIN, timeout=5.0)
    talk.answer(talk.request("/api/predict"), {"data": [1]})
    assert talk.data_of(job) == (1,)
    assert talk.conversation.next_deadline() is None


@pytest.mark.parametrize("fn_index", [PLAIN, ECHO])
def test_what_is_no_json_begins_no_job(fn_index: int) -> None:
    talk = Talk(app())
    with pytest.raises(LocalProtocolError, match=r"JSON.*args\[0\]"):
        talk.conversation.submit(object(), fn_index=fn_index)
    assert talk.new() == []


def test_queued_jobs_of_all_kinds_know_their_session() -> None:
    talk = Talk(app())
    sent: list[str] = []
    for isolated in (False, True, False, True):
        talk.conversation.submit("x", fn_index=COUNT, isolated=isolated)
        sent.append(json.loads(body_of(talk.request(JOIN)))["session_hash"])
    mine = talk.conversation.session_hash
    assert sent[0] == sent[2] == mine
    assert len({mine, sent[1], sent[3]}) == 3


def test_an_unqueued_job_may_be_isolated_too() -> None:
    talk = Talk(app())
    talk.conversation.submit("x", fn_index=PLAIN, isolated=True)
    body = json.loads(body_of(talk.request("/api/predict")))
    assert body["session_hash"] != talk.conversation.session_hash


@pytest.mark.parametrize("version", ["3.1.5", "3.4.1", "3.5"])
def test_where_jobs_get_lost_in_line_they_wait_here(version: str) -> None:
    functions = config(None, version)
    talk = Talk(AppInfo.from_config(functions))
    submit = partial(talk.conversation.submit, "x")
    first, second, third, fourth = [submit(fn_index=ECHO) for _ in range(4)]
    socket = talk.socket()
    assert talk.conversation.cancel(second)
    talk.open(socket)
    talk.new()
    talk.send(socket, starts())
    assert talk.new() == []
    talk.send(socket, completed(1))
    assert talk.data_of(first) == (1,)
    dropped, following = talk.new()
    assert dropped == Abort(socket.id)
    assert isinstance(following, OpenWebSocket)
    talk.lose(following)
    assert isinstance(talk.failure_of(third), ConnectionLost)
    talk.same_app()
    socket = talk.socket()
    talk.conversation.close()
    assert talk.new() == [Abort(socket.id)]
    assert isinstance(talk.last_of(fourth), JobCancelled)


def crowd(count: int, **options: Any) -> tuple[Talk, list[int], list[OpenWebSocket]]:
    """So many jobs on a server with WebSockets, two of which may be open at once."""
    talk = Talk(app(None, "3.16.2"), limits=Limits(job_connections=2))
    jobs = [talk.conversation.submit("x", fn_index=ECHO, **options) for _ in range(count)]
    return talk, jobs, opened(talk)


def opened(talk: Talk) -> list[OpenWebSocket]:
    return [command for command in talk.new() if isinstance(command, OpenWebSocket)]


def test_no_more_websockets_are_opened_at_once_than_the_limit_says() -> None:
    talk, jobs, sockets = crowd(5)
    assert len(sockets) == 2
    for number, job in enumerate(jobs):
        talk.open(socket := sockets.pop(0))
        talk.send(socket, starts(), completed(number))
        assert talk.data_of(job) == (number,)  # in order
        sockets += opened(talk)
        assert len(sockets) == min(2, len(jobs) - number - 1)


def test_a_job_is_given_up_while_it_waits_for_a_websocket() -> None:
    talk, (first, _, third, fourth), (socket, _) = crowd(4)
    assert talk.conversation.cancel(third)
    assert isinstance(talk.last_of(third), JobCancelled)
    assert opened(talk) == []
    assert talk.conversation.cancel(third) is False
    talk.open(socket)
    talk.send(socket, starts(), completed(1))
    assert talk.data_of(first) == (1,)
    (following,) = opened(talk)
    talk.lose(following)
    assert isinstance(talk.failure_of(fourth), ConnectionLost)


def test_the_deadline_of_a_job_passes_while_it_waits_for_a_websocket() -> None:
    talk = Talk(app(None, "3.16.2"), limits=Limits(job_connections=1))
    talk.conversation.submit("x", fn_index=ECHO)
    late = talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    (socket,) = opened(talk)
    talk.open(socket)
    talk.sleep(5.1)
    error = talk.failure_of(late)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "job"
    talk.send(socket, starts(), completed(1))
    assert opened(talk) == []


@pytest.mark.parametrize("end", ["completed", "lost", "refused", "closed", "cancelled"])
def test_each_end_of_a_job_lets_the_next_one_go(end: str) -> None:
    talk, (first, *_), (socket, _) = crowd(3)
    if end == "refused":
        talk.answer(socket, {}, status=403)
    elif end == "cancelled":
        talk.conversation.cancel(first)
    elif end == "lost":
        talk.lose(socket)
    else:
        talk.open(socket)
        if end == "completed":
            talk.send(socket, starts(), completed(1))
        else:
            talk.end(socket)
    assert talk.last_of(first)
    if end in {"lost", "refused", "closed"}:
        talk.same_app()
    assert len(opened(talk)) == 1


def test_a_job_whose_deadline_passes_lets_the_next_one_go() -> None:
    talk, jobs, _ = crowd(2, timeout=5.0)
    talk.conversation.submit("x", fn_index=ECHO)
    asked = talk.sleep(5.1)
    for job in jobs:
        assert isinstance(talk.failure_of(job), DeadlineExceeded)
    assert len([one for one in asked if isinstance(one, OpenWebSocket)]) == 1


def test_closing_opens_no_further_websocket() -> None:
    talk, jobs, _ = crowd(4)
    talk.conversation.close()
    assert opened(talk) == []
    for job in jobs:
        assert isinstance(talk.last_of(job), JobCancelled)


@pytest.mark.parametrize(
    ("protocol", "version", "spoken", "isolated"),
    [
        ("sse", "4.0.2", None, False),
        ("sse_v3", "6.31.0", "call", False),
        ("sse_v3", "6.31.0", None, True),
    ],
)
def test_streams_of_jobs_are_limited_as_websockets_are(
    protocol: str, version: str, spoken: str | None, isolated: bool
) -> None:
    limits = Limits(job_connections=2)
    talk = Talk(app(protocol, version), protocol=spoken, limits=limits)
    jobs = [talk.conversation.submit("x", fn_index=ECHO, isolated=isolated) for _ in range(4)]
    assert len(talk.new()) == 2
    assert talk.conversation.cancel(jobs[3])
    talk.conversation.cancel(jobs[0])
    talk.sleep(61.0)  # until the server's word on it is not waited for any more
    assert len(talk.ends_of(jobs[0])) == 1
    asked = [one for one in talk.asked if isinstance(one, SendRequest)]
    begun = {"queue/join", "call/echo"}
    assert len([one for one in asked if any(path in one.url for path in begun)]) == 3


def test_past_the_queue_and_on_other_servers_nobody_waits_for_others() -> None:
    for version, queued in (("3.4.1", 1), ("3.1.4", 2), ("3.16.2", 2)):
        talk = Talk(app(None, version))
        for _ in range(2):
            talk.conversation.submit("x", fn_index=ECHO)
            talk.conversation.submit("x", fn_index=PLAIN)
        asked = talk.new()
        urls = [one.url for one in asked if isinstance(one, SendRequest | OpenWebSocket)]
        assert len([url for url in urls if url.endswith("/api/predict")]) == 2
        assert len(urls) == len(asked) == queued + 2


def test_only_jobs_under_way_take_input() -> None:
    talk = Talk(app())
    for job in (0, 1, 99):
        with pytest.raises(LocalProtocolError, match="is over, or was never there"):
            talk.conversation.send(job, 1)
        with pytest.raises(LocalProtocolError, match="is over, or was never there"):
            talk.conversation.end_input(job)
    job, stream = running(talk, timeout=5.0)
    talk.conversation.send(job, 1)
    talk.conversation.send(job, 2, latest=True)
    talk.sleep(5.1)
    with pytest.raises(LocalProtocolError, match="is over"):
        talk.conversation.send(job, 3)  # though the server is still being told
    assert talk.conversation.cancel(99) is False
    assert stream


def test_input_may_be_given_before_the_app_is_known() -> None:
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.send(job, "two")
    talk.conversation.end_input(job)
    talk.answer(request, config())
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    message = {"msg": "process_streaming", "event_id": "a", "output": {"data": [1]}}
    talk.send(stream, starts("a"), message)
    assert json.loads(body_of(talk.request("/stream/a")))["data"] == ["two"]


def test_a_piece_of_the_input_is_bound_as_arguments_are() -> None:
    """The server wants an item for State, too (gradio blocks.py: validate_inputs)."""
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit(1, fn_index=TOTAL)
    talk.conversation.send(job, 2)  # before it is known what that means
    talk.answer(request, config(has_state=True))
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.conversation.send(job, 3)
    talk.conversation.end_input(job)
    message = {"msg": "process_streaming", "event_id": "a", "output": {"data": [None, 1]}}
    talk.send(stream, starts("a"), message, message)
    sent = talk.requests("/stream/a", "/stream/a")
    assert [json.loads(body_of(one))["data"] for one in sent] == [[None, 2], [None, 3]]


def test_an_endpoint_that_takes_its_input_all_at_once_takes_no_pieces() -> None:
    talk = Talk(app())
    job, stream = running(talk, fn_index=COUNT)
    for verb in (lambda: talk.conversation.send(job, 1), lambda: talk.conversation.end_input(job)):
        with pytest.raises(LocalProtocolError, match="in pieces"):
            verb()
    talk.send(stream, completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)


def test_a_piece_is_copied_and_what_is_no_json_counts_for_nothing() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    for wrong in (object(), float("nan"), {(): 1}):
        with pytest.raises(LocalProtocolError, match=r"chunk\[1\]"):
            talk.conversation.send(job, "a", wrong)
    piece = {"a": ["as it was"]}
    assert talk.conversation.send(job, piece) == 1
    piece["a"].append("and is")
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    message = {"msg": "process_streaming", "event_id": "a", "output": {"data": [1]}}
    talk.send(stream, starts("a"), message)
    sent = json.loads(body_of(talk.request("/stream/a")))
    assert sent["data"] == [{"a": ["as it was"]}]


def test_a_piece_is_refused_at_once_where_only_the_arguments_are_not_known_yet() -> None:
    talk = Talk(app())
    job = talk.conversation.submit(number=1, fn_index=COUNT)
    for verb in (lambda: talk.conversation.send(job, 1), lambda: talk.conversation.end_input(job)):
        with pytest.raises(LocalProtocolError, match="in pieces"):
            verb()
    assert talk.ends_of(job) == []
    job = talk.conversation.submit(text="x", fn_index=ECHO)
    assert talk.conversation.send(job, "y") == 1
    talk.conversation.end_input(job)


def test_a_job_whose_endpoint_turns_out_to_take_no_pieces_is_not_handed_in() -> None:
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit(1, fn_index=COUNT)
    talk.conversation.end_input(job)
    talk.answer(request, config())
    error = talk.failure_of(job)
    assert type(error) is LocalProtocolError
    assert "in pieces" in error.message
    assert talk.new() == []


def test_a_piece_of_the_input_that_does_not_fit_is_refused_at_once() -> None:
    talk = Talk(app(has_state=True))
    job, _ = running(talk, fn_index=TOTAL)
    for wrong in ((), (None, 2)):
        with pytest.raises(LocalProtocolError, match="do not fit"):
            talk.conversation.send(job, *wrong)
    assert talk.new() == []


def test_nor_does_a_job_begin_with_one() -> None:
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.send(job, "two", "three")
    talk.answer(request, config())
    assert talk.new() == []
    failed = talk.said[-1]
    assert isinstance(failed, JobFailed)
    assert isinstance(failed.error, LocalProtocolError)
    assert "do not fit" in failed.error.message


# Starting afresh


def test_a_reset_cancels_what_is_under_way_and_renews_the_session() -> None:
    talk = Talk(app(connect_heartbeat=True, has_state=True))
    old = talk.conversation.session_hash
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream, beat = talk.requests(DATA, f"/heartbeat/{old}")
    talk.open(stream)
    talk.open(beat)
    talk.conversation.reset()
    assert talk.conversation.session_hash != old
    cancel = talk.request(CANCEL)
    assert json.loads(body_of(cancel))["session_hash"] == old
    new = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    assert json.loads(body_of(join))["session_hash"] == talk.conversation.session_hash
    talk.answer(cancel, {"success": True})
    assert talk.last_of(job) == JobCancelled(session=0, job=job, stopped_on_server=True)
    assert set(talk.aborted()) == {stream.id, beat.id}  # nobody needs them any more
    talk.answer(join, {"event_id": "b"})
    stream, _ = talk.requests(DATA, f"/heartbeat/{talk.conversation.session_hash}")
    talk.open(stream)
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(new) == (2,)
    assert talk.of(SessionLost) == []  # it was asked for


def test_a_reset_of_an_idle_session_leaves_its_stream() -> None:
    talk = Talk(app())
    job, stream = running(talk)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)
    talk.conversation.reset()
    assert talk.aborted() == [stream.id]


def test_a_reset_does_not_touch_jobs_that_wait_for_the_app() -> None:
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.reset()
    talk.answer(request, config())
    body = json.loads(body_of(talk.request(JOIN)))
    assert body["session_hash"] == talk.conversation.session_hash
    assert talk.ends_of(job) == []


def test_a_lost_session_is_renewed() -> None:
    talk = Talk(app(has_state=True))
    job, stream = running(talk)
    old = talk.conversation.session_hash
    talk.send(stream, "nonsense")
    assert talk.failure_of(job)
    assert talk.conversation.session_hash != old
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)]


def test_the_session_of_an_isolated_job_is_nobody_else_s() -> None:
    talk = Talk(app(has_state=True))
    mine = talk.conversation.session_hash
    job, stream = running(talk, isolated=True)
    talk.send(stream, "nonsense")
    assert talk.failure_of(job)
    assert talk.conversation.session_hash == mine
    assert talk.of(SessionLost) == []


# Leaving


def test_closing_an_idle_session_takes_no_time() -> None:
    talk = Talk(app())
    talk.conversation.close()
    assert talk.of(SessionClosed) == talk.said[-1:] == [SessionClosed(session=0)]
    assert talk.new() == []
    assert talk.conversation.next_deadline() is None
    talk.conversation.close()
    assert len(talk.of(SessionClosed)) == 1


def test_closing_cancels_what_is_under_way_and_waits_for_the_server() -> None:
    talk = Talk(app(connect_heartbeat=True))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream, beat = talk.requests(DATA, f"/heartbeat/{talk.conversation.session_hash}")
    talk.open(stream)
    talk.conversation.close()
    cancel = talk.request(CANCEL)
    assert talk.of(SessionClosed) == []
    talk.answer(cancel, {"success": True})
    assert talk.ends_of(job) == [JobCancelled(session=0, job=job, stopped_on_server=True)]
    assert talk.said[-1] == SessionClosed(session=0)
    assert set(talk.aborted()) == {stream.id, beat.id}
    assert talk.conversation.next_deadline() is None


def test_closing_does_not_wait_for_ever() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=2.0))
    job, stream = running(talk)
    joining = talk.conversation.submit("x", fn_index=COUNT)
    join = talk.request(JOIN)
    talk.conversation.close()
    cancel = talk.request(CANCEL)
    assert talk.sleep(1.9) == []
    assert set(talk.sleep(0.2)) == {Abort(stream.id), Abort(join.id), Abort(cancel.id)}
    for number in (job, joining):
        (end,) = talk.ends_of(number)
        assert end == JobCancelled(session=0, job=number, stopped_on_server=None)
    assert talk.said[-1] == SessionClosed(session=0)
    assert talk.conversation.next_deadline() is None


def test_closing_may_wait_for_a_job_that_is_over_and_not_stopped_yet() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=2.0))
    job = talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    join = talk.request(JOIN)
    talk.sleep(5.1)
    assert talk.failure_of(job)
    talk.conversation.close()
    assert talk.of(SessionClosed) == []
    assert talk.sleep(2.1) == [Abort(join.id)]
    assert talk.said[-1] == SessionClosed(session=0)


def test_closing_while_the_app_is_being_found_out() -> None:
    talk = Talk()
    request = talk.request("/config")
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.close()
    assert talk.aborted() == [request.id]
    assert talk.ends_of(job) == [JobCancelled(session=0, job=job, stopped_on_server=False)]
    assert talk.said[-1] == SessionClosed(session=0)
    assert talk.of(ConnectingFailed) == []
    talk.answer(request, config())
    assert talk.of(Connected) == []


def test_closing_lets_unqueued_calls_and_websockets_go() -> None:
    talk = Talk(app(None, "3.50.2"))
    talk.conversation.submit("x", fn_index=PLAIN)
    call = talk.request("/api/predict")
    talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    talk.conversation.close()
    assert talk.aborted() == [call.id, socket.id]
    assert talk.said[-1] == SessionClosed(session=0)


def test_a_closed_session_takes_nothing_more() -> None:
    talk = Talk(app())
    job, _ = running(talk)
    talk.conversation.close()
    for _ in range(2):
        for ask in (
            lambda: talk.conversation.submit("x", fn_index=ECHO),
            talk.conversation.request_info,
            talk.conversation.reset,
        ):
            with pytest.raises(LocalProtocolError, match="closed"):
                ask()
        talk.answer(talk.asked[-1], {"success": True})  # the cancel: then it is closed indeed
        talk.look()
    assert talk.of(SessionClosed)
    assert not talk.conversation.cancel(job)
    assert talk.conversation.endpoint_of(job) is None


def test_a_job_that_completes_while_closing_was_cancelled() -> None:
    talk = Talk(app())
    job, stream = running(talk)
    talk.conversation.close()
    talk.request(CANCEL)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.ends_of(job) == [JobCancelled(session=0, job=job, stopped_on_server=False)]
    assert talk.said[-1] == SessionClosed(session=0)
    assert talk.of(JobCompleted) == []


# Who is told that it was asked


def test_whoever_carries_the_session_is_told_that_it_was_asked() -> None:
    told: list[Any] = []
    talk = Talk(app(), on_asked=told.append)
    conversation = talk.conversation
    talk.look()
    job = conversation.submit("x", fn_index=ECHO)
    verbs: list[Any] = [
        lambda: conversation.send(job, 1),
        lambda: conversation.end_input(job),
        lambda: conversation.cancel(job),
        conversation.request_info,
        conversation.reset,
        conversation.close,
    ]
    for verb in verbs:
        talk.look()
        told.clear()
        verb()
        assert told
        deadline = conversation.next_deadline()
        assert deadline is not None
        assert deadline <= talk.now  # the time is to be told at once
        assert set(told) == {conversation}


def test_the_loss_of_everything_is_the_loss_of_each_job() -> None:
    talk = Talk(app())
    job, stream = running(talk)
    talk.lose(stream)
    assert type(talk.failure_of(job)) is ConnectionLost
    assert talk.of(SessionLost) == []
