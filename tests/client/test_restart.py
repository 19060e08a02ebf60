"""The app may have been started anew: what is a sign of that, and what follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sansio_gradio import handle_file
from sansio_gradio.client.commands import Abort, OpenWebSocket, SendRequest
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.events import (
    Connected,
    ConnectingFailed,
    JobCancelled,
    SessionClosed,
    SessionLost,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, reply
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    FUNCTIONS,
    PLAIN,
    TEXT,
    Talk,
    app,
    body_of,
    completed,
    config,
    starts,
)

JOIN, DATA, QUESTION, CONFIG, INFO = "/queue/join", "/queue/data", "/app_id", "/config", "/info"
OLD, NEW = 7, 8  # app_id
TURNED = [
    {"id": place, "queue": True, "types": {"generator": False}, **function}
    for place, function in enumerate(reversed(FUNCTIONS))
]
"""The same functions, in another order."""
LAST = len(FUNCTIONS) - 1


def talking(protocol: str | None = "sse_v3", version: str = "6.31.0", **options: Any) -> Talk:
    more = {name: options.pop(name) for name in ("connect_heartbeat",) if name in options}
    return Talk(app(protocol, version, app_id=OLD, has_state=True, **more), **options)


def changed(talk: Talk, *args: Any, **more: Any) -> None:
    """The app is asked whether it is the same; it is another one."""
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    if command.url.endswith(QUESTION):
        talk.answer(command, {"app_id": NEW})
        command = talk.request(CONFIG)
    more = {"app_id": NEW, "has_state": True, "dependencies": TURNED, **more}
    talk.answer(command, config(*args, **more))


def body(command: SendRequest) -> Any:
    return json.loads(body_of(command))


def streaming(talk: Talk, **options: Any) -> tuple[int, SendRequest]:
    job = talk.conversation.submit("x", api_name="/echo", **options)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream, *_ = talk.new()
    assert isinstance(stream, SendRequest)
    talk.open(stream)
    return job, stream


# Which signs there are


def told(talk: Talk) -> None:
    talk.conversation.doubt_app(talk.now)


def heartbeat(talk: Talk) -> None:
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream, beat = talk.new()
    talk.open(stream)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    talk.open(beat)
    talk.end(beat)


def stream_ended(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.send(stream, starts("a"))
    talk.end(stream)


def stream_lost(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.lose(stream)


def session_not_found(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.send(stream, starts("a"))
    talk.send(stream, {"msg": "unexpected_error", "message": "404: Session not found."})


def stopped(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.send(stream, {"msg": "server_stopped", "message": "Server stopped unexpectedly."})


def silent(talk: Talk) -> None:
    streaming(talk)
    talk.sleep(61.0)


def refused(status: int) -> Callable[[Talk], None]:
    def join_refused(talk: Talk) -> None:
        talk.conversation.submit("x", api_name="/echo")
        talk.answer(talk.request(JOIN), {"detail": "no"}, status=status)

    return join_refused


def join_lost(talk: Talk) -> None:
    talk.conversation.submit("x", api_name="/echo")
    talk.lose(talk.request(JOIN))


def not_connected(talk: Talk) -> None:
    talk.conversation.submit("x", api_name="/echo")
    talk.lose(talk.request(JOIN), ConnectFailed("refused", phase="connect"))


def completed_well(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.send(stream, starts("a"), completed(1, event_id="a"), {"msg": "close_stream"})
    talk.end(stream)


def announced(talk: Talk) -> None:
    _, stream = streaming(talk)
    talk.send(stream, starts("a"), {"msg": "close_stream"})
    talk.end(stream)


def said_no(talk: Talk) -> None:
    _, stream = streaming(talk)
    output = {"error": "no"}
    talk.send(
        stream,
        {"msg": "process_completed", "event_id": "a", "success": False, "output": output},
    )


def said_locally(talk: Talk) -> None:
    talk.conversation.submit("x", api_name="/echo")
    talk.lose(talk.request(JOIN), LocalProtocolError("your library cannot send this"))


SIGNS = [
    told,
    stream_ended,
    stream_lost,
    session_not_found,
    stopped,
    silent,
    join_lost,
    not_connected,
    refused(401),
    refused(404),
    refused(405),
    refused(422),
]
NONE = [
    completed_well,
    announced,
    said_no,
    said_locally,
    refused(400),
    refused(429),
    refused(500),
    refused(503),
]


def is_asked(talk: Talk) -> bool:
    """Whether the next call asks whether the app is the same."""
    talk.new()
    talk.conversation.submit("y", api_name="/plain")
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    return command.url.endswith(QUESTION)


@pytest.mark.parametrize("sign", SIGNS)
def test_after_a_sign_the_next_call_asks_first(sign: Callable[[Talk], None]) -> None:
    talk = talking()
    sign(talk)
    assert is_asked(talk)


def test_after_the_end_of_its_heartbeat_the_next_call_asks_first() -> None:
    talk = talking(connect_heartbeat=True)
    heartbeat(talk)
    assert is_asked(talk)


@pytest.mark.parametrize("usual", NONE)
def test_what_is_usual_is_no_sign(usual: Callable[[Talk], None]) -> None:
    talk = talking()
    usual(talk)
    assert not is_asked(talk)


def socket_refused(talk: Talk, socket: OpenWebSocket) -> None:
    talk.answer(socket, {}, status=403)


def socket_closed(talk: Talk, socket: OpenWebSocket) -> None:
    talk.open(socket)
    talk.end(socket)


def socket_lost(talk: Talk, socket: OpenWebSocket) -> None:
    talk.lose(socket)


@pytest.mark.parametrize("sign", [socket_refused, socket_closed, socket_lost])
def test_the_end_of_a_websocket_is_a_sign(sign: Callable[[Talk, OpenWebSocket], None]) -> None:
    talk = talking(None, "3.50.2")
    talk.conversation.submit("x", api_name="/echo")
    sign(talk, talk.socket())
    assert is_asked(talk)


def test_the_end_of_a_job_s_own_stream_is_a_sign() -> None:
    talk = talking("sse", "4.0.2")
    talk.conversation.submit("x", api_name="/echo")
    stream = talk.request(JOIN)
    talk.open(stream)
    talk.end(stream)
    assert is_asked(talk)


def test_a_job_that_the_rest_api_does_not_know_is_a_sign() -> None:
    talk = Talk(app(app_id=OLD), protocol="call")
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request("/call/echo"), {"event_id": "a"})
    stream = talk.request("/call/echo/a")
    talk.open(stream)
    talk.conversation.data(stream.id, b'event: error\ndata: "404: Not Found"\n\n', talk.now)
    assert is_asked(talk)


def test_a_job_that_a_queue_does_not_know_any_more_is_a_sign() -> None:
    talk = Talk(app(None, "3.1.4"))
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request("/api/queue/push/"), {"hash": "a", "queue_position": 0})
    while not talk.ends_of(job):
        for poll in talk.sleep(0.6):
            talk.answer(poll, {"status": "NOT FOUND", "data": None})
    talk.conversation.submit("y", api_name="/plain")
    talk.request(CONFIG)  # which is all that these servers have


# What is asked


def test_the_same_app_is_asked_once() -> None:
    talk = talking()
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    talk.conversation.submit("x", api_name="/plain")
    talk.answer(talk.request(QUESTION), {"app_id": OLD})
    talk.requests(JOIN, "/api/predict")
    assert len(talk.of(Connected)) == 1
    assert talk.of(SessionLost) == []


def test_another_app_is_met_anew() -> None:
    talk = talking()
    old = talk.conversation.session_hash
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    changed(talk, "sse", "4.0.2")
    assert talk.conversation.protocol == "sse"
    assert talk.conversation.session_hash != old
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)]
    first, second = talk.of(Connected)
    assert (first.app.app_id, second.app.app_id) == (OLD, NEW)
    assert f"fn_index={LAST}" in talk.request(JOIN).url


@pytest.mark.parametrize("status", [200, 404, 500])
def test_where_there_is_no_such_question_the_config_tells(status: int) -> None:
    talk = talking()
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(QUESTION), b"<html>", status=status)
    talk.answer(talk.request(CONFIG), config(app_id=OLD, has_state=True))
    talk.request(JOIN)
    assert len(talk.of(Connected)) == 1


def test_before_3_17_the_config_is_compared() -> None:
    talk = Talk(app(None, "3.16.2"))
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(CONFIG), config(None, "3.16.2"))
    socket = talk.socket()
    assert talk.of(SessionLost) == []
    talk.lose(socket)
    talk.conversation.submit("x", api_name="/plain")
    talk.answer(talk.request(CONFIG), config(None, "3.16.2", dependencies=TURNED))
    assert body(talk.request("/api/predict"))["fn_index"] == LAST - PLAIN
    assert len(talk.of(SessionLost)) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_login_that_was_forgotten_is_given_again(known: bool) -> None:
    app_id: dict[str, Any] = {"app_id": OLD} if known else {}
    talk = Talk(app(**app_id), auth=("me", "secret"))
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    if known:
        talk.answer(talk.request(QUESTION), {"app_id": NEW})
    else:
        talk.answer(talk.request(CONFIG), {"detail": "Not authenticated"}, status=401)
    talk.answer(talk.request("/login"), {"success": True})
    talk.answer(talk.request(CONFIG), config(dependencies=TURNED, **app_id))
    assert body(talk.request(JOIN))["fn_index"] == LAST


def test_a_login_that_holds_is_not_given_again() -> None:
    talk = Talk(app(), auth=("me", "secret"))
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(CONFIG), config())
    talk.request(JOIN)


def test_an_app_that_cannot_be_asked_fails_its_jobs_and_is_asked_again() -> None:
    talk = talking()
    told(talk)
    jobs = [talk.conversation.submit("x", api_name="/echo") for _ in range(2)]
    talk.lose(talk.request(QUESTION), ConnectFailed("refused", phase="connect"))
    for job in jobs:
        assert type(talk.failure_of(job)) is ConnectFailed
    assert len(talk.of(ConnectingFailed)) == 1
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(QUESTION), {"app_id": NEW})
    talk.answer(talk.request(CONFIG), {"detail": "Not authenticated"}, status=401)
    assert type(talk.failure_of(job)) is AuthenticationError
    talk.conversation.submit("x", api_name="/echo")
    talk.request(QUESTION)


def test_a_policy_to_try_again_holds_for_the_question_too() -> None:
    talk = talking(retry=Retry(times=2, backoff=1.0, jitter=0.0))
    told(talk)
    jobs = [talk.conversation.submit("x", api_name="/echo") for _ in range(3)]
    talk.lose(talk.request(QUESTION), ConnectFailed("refused", phase="connect"))
    assert talk.conversation.cancel(jobs[2])
    assert isinstance(talk.last_of(jobs[2]), JobCancelled)
    (question,) = talk.sleep(1.0)
    talk.lose(question, ConnectFailed("refused", phase="connect"))
    (question,) = talk.sleep(2.0)
    talk.answer(question, {"app_id": OLD})
    talk.requests(JOIN, JOIN)
    told(talk)
    late = talk.conversation.submit("x", api_name="/echo")
    talk.lose(talk.request(QUESTION), ConnectFailed("refused", phase="connect"))
    talk.conversation.close()
    assert isinstance(talk.last_of(late), JobCancelled)


# Jobs that are bound already


def test_what_was_not_handed_out_is_bound_anew() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    told(talk)
    changed(talk)
    join = talk.request(JOIN)
    assert body(join)["fn_index"] == LAST
    talk.answer(join, {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)


@pytest.mark.parametrize("api_name", ["/echo", "/plain"])
@pytest.mark.parametrize("isolated", [False, True])
def test_what_was_not_sent_is_bound_anew(api_name: str, isolated: bool) -> None:
    talk = talking()
    talk.conversation.submit("x", api_name=api_name, isolated=isolated)
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    assert talk.conversation.is_wanted(request.id, talk.now)  # there is no sign
    told(talk)
    assert not talk.conversation.is_wanted(request.id, talk.now)
    changed(talk)
    again, *_ = talk.new()
    assert isinstance(again, SendRequest)
    assert body(again)["fn_index"] == LAST - (ECHO if api_name == "/echo" else PLAIN)


def test_what_was_sent_is_not_bound_anew() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    join = talk.request(JOIN)
    told(talk)
    talk.answer(join, {"event_id": "a"})
    stream = talk.request(DATA)
    assert talk.conversation.is_wanted(stream.id)  # it hands nothing in
    assert talk.conversation.is_wanted(join.id)  # it is over
    talk.open(stream)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)


def test_what_is_cancelled_before_it_was_sent_is_never_sent() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    join = talk.request(JOIN)
    assert talk.conversation.cancel(job)
    told(talk)
    assert not talk.conversation.is_wanted(join.id)
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.new() == []


def test_where_everything_breaks_a_job_goes_in_the_end() -> None:
    talk = talking()
    talk.conversation.submit("x", api_name="/echo")
    for _ in range(2):
        join = talk.request(JOIN)
        told(talk)
        assert not talk.conversation.is_wanted(join.id)
        talk.answer(talk.request(QUESTION), {"app_id": OLD})
    join = talk.request(JOIN)
    told(talk)
    assert talk.conversation.is_wanted(join.id)


def test_a_websocket_says_nothing_to_an_app_in_doubt() -> None:
    talk = talking(None, "3.50.2")
    job = talk.conversation.submit("x", api_name="/echo")
    socket = talk.socket()
    talk.open(socket)
    told(talk)
    talk.send(socket, {"msg": "send_hash"})
    dropped, question = talk.new()
    assert dropped == Abort(socket.id)
    assert isinstance(question, SendRequest)
    talk.answer(question, {"app_id": OLD})
    socket = talk.socket()
    talk.open(socket)
    talk.send(socket, {"msg": "send_hash"})
    assert talk.text()["fn_index"] == ECHO
    told(talk)  # too late: it is said to whom
    talk.send(socket, {"msg": "send_data"})
    assert talk.text()["data"] == ["x"]
    talk.send(socket, starts(), completed(1))
    assert talk.data_of(job) == (1,)


def test_where_websockets_break_and_then_are_refused_the_job_goes_past_the_queue() -> None:
    talk = talking(None, "3.50.2")
    talk.conversation.submit("x", api_name="/echo")
    for _ in range(2):
        socket = talk.socket()
        told(talk)
        assert not talk.conversation.is_wanted(socket.id)
        talk.answer(talk.request(QUESTION), {"app_id": OLD})
    talk.answer(talk.socket(), b"no upgrade here", status=400)
    talk.request("/api/predict")


def test_where_websockets_are_gone_it_may_be_another_release() -> None:
    talk = talking(None, "3.50.2")
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.socket(), b"Not Found", status=404)
    changed(talk)
    assert body(talk.request(JOIN))["fn_index"] == LAST


def generator() -> tuple[Talk, int, SendRequest]:
    """One that goes past the queue, up to its second request."""
    dependencies = [{"id": 0, **FUNCTIONS[COUNT], "queue": False}]
    known = config(None, "3.50.2", app_id=OLD, dependencies=dependencies)
    talk = Talk(AppInfo.from_config(known))
    job = talk.conversation.submit("x", api_name="/count")
    step = {"data": [1], "is_generating": True}
    talk.answer(talk.request("/api/predict"), step)
    second = talk.request("/api/predict")
    told(talk)
    assert not talk.conversation.is_wanted(second.id)
    return talk, job, talk.request(QUESTION)


def test_a_run_past_the_queue_goes_on_in_the_same_app() -> None:
    talk, job, question = generator()
    talk.answer(question, {"app_id": OLD})
    talk.answer(talk.request("/api/predict"), {"data": [None], "is_generating": False})
    assert talk.data_of(job) == (1,)


def test_a_run_past_the_queue_does_not_go_on_in_another_one() -> None:
    talk, job, question = generator()
    talk.answer(question, {"app_id": NEW})
    talk.answer(talk.request(CONFIG), config(None, "3.50.2", app_id=NEW))
    error = talk.failure_of(job)
    assert type(error) is ConnectionLost
    assert list(error.outputs) == [(1,)]
    assert talk.new() == []


def test_a_run_past_the_queue_of_an_app_that_is_gone_fails() -> None:
    talk, job, question = generator()
    talk.lose(question)
    error = talk.failure_of(job)
    assert type(error) is ConnectionLost
    assert list(error.outputs) == [(1,)]


def test_a_run_past_the_queue_is_cancelled_meanwhile() -> None:
    talk, job, question = generator()
    talk.conversation.cancel(job)
    assert isinstance(talk.last_of(job), JobCancelled)
    talk.answer(question, {"app_id": OLD})
    assert talk.new() == []


# ``/info``


def test_info_is_asked_for_again_if_it_was_known() -> None:
    talk = talking()
    talk.conversation.request_info()
    talk.answer(talk.request(INFO), {"named_endpoints": {}, "unnamed_endpoints": {}})
    told(talk)
    job = talk.conversation.submit("x", api_name="/echo")
    changed(talk)
    info, join = sorted_requests(talk)
    talk.answer(info, b"<html>")
    assert len(talk.of(ConnectingFailed)) == 1
    talk.answer(join, {"event_id": "a"})
    assert talk.ends_of(job) == []  # it needs none


def sorted_requests(talk: Talk) -> list[SendRequest]:
    found = [command for command in talk.new() if isinstance(command, SendRequest)]
    return sorted(found, key=lambda command: command.method)


def test_info_that_fails_takes_only_those_along_that_need_it() -> None:
    talk = Talk(app(None, "3.50.2"))
    talk.conversation.submit("x", api_name="/count")
    needs = talk.conversation.submit(nobody="x", api_name="/echo")
    told(talk)
    waits = talk.conversation.submit("x", api_name="/echo")
    requests = {type(c).__name__ + getattr(c, "url", ""): c for c in talk.new()}
    info = next(c for name, c in requests.items() if "/info" in name)
    talk.answer(info, b"<html>")
    assert isinstance(talk.failure_of(needs), RemoteProtocolError)
    assert talk.ends_of(waits) == []


@pytest.mark.parametrize("fails", [False, True])
def test_info_of_an_app_that_is_gone_is_not_taken_for_the_new_one_s(fails: bool) -> None:
    talk = talking()
    job = talk.conversation.submit(nobody="x", api_name="/echo")
    old = talk.request(INFO)
    talk.conversation.reload()
    talk.answer(talk.request(CONFIG), config(app_id=NEW, dependencies=TURNED))
    if fails:
        talk.lose(old)
    else:
        talk.answer(old, {"named_endpoints": {}, "unnamed_endpoints": {}})
    parameter = {"label": "x", "parameter_name": "nobody"}
    named = {"/echo": {"parameters": [parameter], "returns": [{"label": "y"}]}}
    info = {"named_endpoints": named, "unnamed_endpoints": {}}
    talk.answer(talk.request(INFO), info)
    if fails:  # which is a sign, too
        talk.answer(talk.request(QUESTION), {"app_id": NEW})
    assert body(talk.request(JOIN))["fn_index"] == LAST
    assert talk.ends_of(job) == []


def test_a_question_that_fails_takes_nobody_along_that_waits_for_info() -> None:
    talk = talking()
    waits = talk.conversation.submit(nobody="x", api_name="/echo")
    info = talk.request(INFO)
    told(talk)
    asks = talk.conversation.submit("x", api_name="/plain")
    talk.answer(talk.request(QUESTION), {"app_id": NEW})
    talk.answer(talk.request(CONFIG), b"<html>", status=502)
    assert talk.failure_of(asks).status == 502
    assert talk.ends_of(waits) == []
    talk.answer(info, b"<html>")
    assert isinstance(talk.failure_of(waits), RemoteProtocolError)


# By hand


def test_reload_reads_the_config_again() -> None:
    talk = talking()
    talk.conversation.reload()
    job = talk.conversation.submit("x", fn_index=COUNT)
    talk.answer(talk.request(CONFIG), config(app_id=NEW, dependencies=TURNED))
    assert body(talk.request(JOIN))["fn_index"] == COUNT  # a number of the new config
    assert talk.ends_of(job) == []
    assert len(talk.of(Connected)) == 2


def test_reload_in_the_middle_of_a_question_reads_all_of_it() -> None:
    talk = talking()
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    question = talk.request(QUESTION)
    talk.conversation.reload()
    assert talk.conversation.is_finding_out
    talk.answer(question, {"app_id": OLD})
    talk.answer(talk.request(CONFIG), config(app_id=OLD, has_state=True))
    talk.request(JOIN)
    assert len(talk.of(Connected)) == 2
    assert talk.of(SessionLost) == []


def test_reload_in_the_middle_of_a_question_needs_no_job() -> None:
    talk = talking()
    told(talk)
    job = talk.conversation.submit("x", api_name="/echo")
    question = talk.request(QUESTION)
    talk.conversation.reload()
    talk.conversation.cancel(job)
    talk.answer(question, {"app_id": OLD})
    talk.answer(talk.request(CONFIG), config(app_id=OLD, has_state=True))
    assert len(talk.of(Connected)) == 2


def test_reload_before_anything_is_known_asks_once() -> None:
    talk = Talk()
    talk.conversation.reload()
    talk.answer(talk.request(CONFIG), config())
    assert len(talk.of(Connected)) == 1
    assert talk.new() == []


def test_reload_that_fails_says_so() -> None:
    talk = talking()
    talk.conversation.reload()
    talk.answer(talk.request(CONFIG), b"<html>", status=502)
    assert len(talk.of(ConnectingFailed)) == 1
    talk.conversation.close()
    with pytest.raises(LocalProtocolError):
        talk.conversation.reload()


# Numbers


def test_numbers_are_refused_while_they_mean_something_else() -> None:
    talk = talking()
    told(talk)
    jobs = [
        talk.conversation.submit("x", fn_index=ECHO),
        talk.conversation.call_component(TEXT, "ls"),
    ]
    changed(talk)
    for job in jobs:
        error = talk.failure_of(job)
        assert type(error) is LocalProtocolError
        assert "reload()" in error.message
    talk.conversation.submit("x", api_name="/echo", fn_index=LAST)
    talk.request(JOIN)


def test_a_call_without_a_name_means_the_function_of_that_name() -> None:
    def one(api_name: str | bool, **more: Any) -> dict[str, Any]:
        dependency = {**TURNED[LAST], "id": 0, "api_name": api_name, **more}
        return config(app_id=OLD, dependencies=[dependency])

    talk = Talk(AppInfo.from_config(one("echo")))
    told(talk)
    job = talk.conversation.submit("x")
    changed(talk, dependencies=[{**TURNED[LAST], "id": 0, "api_name": "delete"}])
    assert type(talk.failure_of(job)) is LocalProtocolError
    talk = Talk(AppInfo.from_config(one(api_name=True)))  # no name
    told(talk)
    job = talk.conversation.submit("x")
    changed(talk, dependencies=[{**TURNED[LAST], "id": 0, "api_name": "delete"}])
    assert "reload()" in talk.failure_of(job).message
    talk = talking()  # where no function was meant
    told(talk)
    job = talk.conversation.submit("x")
    changed(talk)
    assert "Say which endpoint" in talk.failure_of(job).message


# Over connections


def test_the_last_connection_to_one_app_says_nothing_of_another() -> None:
    def answered(asked: Asked) -> bytes:
        if asked.path == QUESTION:
            return reply({"app_id": OLD})
        return reply({"data": [1], "is_generating": False})

    engine, known = Engine(entropy=counted_entropy()), app(app_id=OLD)
    peer = ByHand(answered)
    driver = Driver(engine, peer)
    sessions = [engine.session(f"http://{name}.example/", app=known) for name in ("one", "two")]

    def call() -> list[list[str]]:
        asked: list[list[str]] = []
        for session in sessions:
            peer.asked = []
            job = session.submit("x", api_name="/plain")
            driver.settle()
            assert driver.end(session.id, job)
            asked.append([request.path for request in peer.asked])
        return asked

    predict = "/api/predict"
    assert call() == [[predict], [predict]]
    driver.lose(min(driver.links))
    assert call() == [[QUESTION, predict], [predict]]
    assert call() == [[predict], [predict]]


def test_a_request_on_a_connection_that_broke_is_bound_anew() -> None:
    def answered(asked: Asked) -> bytes:
        if asked.path == QUESTION:
            return reply({"app_id": NEW})
        if asked.path == CONFIG:
            return reply(config(app_id=NEW, dependencies=TURNED))
        return reply({"data": [1], "is_generating": False})

    engine = Engine(entropy=counted_entropy())
    peer = ByHand(answered)
    driver = Driver(engine, peer)
    session = engine.session("http://app.example/", app=app(app_id=OLD))
    first = session.submit("x", api_name="/plain")
    driver.settle()
    assert driver.end(session.id, first)
    peer.asked = []
    second = session.submit("x", api_name="/plain")
    (conn,) = driver.links
    engine.connections_with_data()  # it is on its way to the connection, which is gone
    driver.lose(conn)
    driver.settle()
    assert driver.end(session.id, second)
    assert [request.path for request in peer.asked] == [QUESTION, CONFIG, "/api/predict"]
    assert json.loads(peer.asked[-1].body)["fn_index"] == LAST - PLAIN


def test_a_server_that_ends_each_connection_is_asked_once_a_call() -> None:
    def answered(asked: Asked) -> bytes:
        if asked.path == QUESTION:
            return reply(b"Not Found", 404, "connection: close")
        body: Any = {"data": [1], "is_generating": False}
        return reply(config(app_id=OLD) if asked.path == CONFIG else body, 200, "connection: close")

    engine = Engine(entropy=counted_entropy())
    peer = ByHand(answered)
    driver = Driver(engine, peer)
    session = engine.session("http://app.example/", app=app(app_id=OLD))
    for questions in ([], [QUESTION, CONFIG], [QUESTION, CONFIG]):
        peer.asked = []
        job = session.submit("x", api_name="/plain")
        driver.settle()
        assert driver.end(session.id, job)
        assert [asked.path for asked in peer.asked] == [*questions, "/api/predict"]


# The last event


def test_nothing_is_said_behind_the_last_event() -> None:
    talk = talking(timeouts=Timeouts(stream_idle=1.0, close=5.0))
    streaming(talk)
    talk.conversation.close()
    talk.look()
    talk.sleep(10.0)
    assert isinstance(talk.said[-1], SessionClosed)
    assert len(talk.of(SessionClosed)) == 1


def test_a_change_is_told_once() -> None:
    talk = talking()
    _, stream = streaming(talk)
    talk.send(stream, {"msg": "unexpected_error", "message": "404: Session not found."})
    assert len(talk.of(SessionLost)) == 1
    talk.new()
    talk.conversation.submit("x", api_name="/plain")
    changed(talk)
    assert len(talk.of(SessionLost)) == 1


def test_a_job_that_is_late_before_it_goes_to_an_app_that_may_be_another_one_never_goes() -> None:
    talk = Talk(app())
    conversation = talk.conversation
    job = conversation.submit("x", fn_index=ECHO, timeout=1.0)
    conversation.handle_timer(talk.now)
    conversation.doubt_app()
    talk.now += 1.1
    assert isinstance(talk.failure_of(job), DeadlineExceeded)
    assert talk.sleep(100.0) == []


def test_an_app_that_was_started_anew_as_it_was_has_forgotten_the_session() -> None:
    talk = talking()
    before = talk.conversation.session_hash
    told(talk)
    talk.conversation.submit("x", api_name="/echo")
    changed(talk, dependencies=config()["dependencies"])
    assert len(talk.of(SessionLost)) == 1
    assert body(talk.request(JOIN))["session_hash"] not in {before, None}


# Jobs that wait their turn


@pytest.mark.parametrize(
    ("protocol", "version"), [(None, "3.50.2"), (None, "3.1.7"), ("sse", "4.0.2")]
)
def test_jobs_in_line_go_on_when_the_one_before_them_has_to_wait(
    protocol: str | None, version: str
) -> None:
    more: Any = {"limits": Limits(job_connections=1), "retry": Retry(times=1, jitter=0)}
    talk = talking(protocol, version, **more)
    jobs = [talk.conversation.submit("x", api_name="/echo") for _ in range(3)]
    (first,) = talk.new()
    talk.conversation.failed(first.id, ConnectionRefusedError("no"), talk.now, connected=False)
    handed_in = 0
    for _ in range(20):
        talk.now += 0.2
        for command in talk.new():
            if "/queue/join" not in getattr(command, "url", ""):
                answer_about_the_app(talk, command, config(protocol, version, app_id=NEW))
                continue
            handed_in += 1
            talk.open(command)
            talk.lose(command)
    assert handed_in == len(jobs)
    assert [type(talk.failure_of(job)) for job in jobs] == [ConnectionLost] * len(jobs)


def answer_about_the_app(talk: Talk, command: Any, known: dict[str, Any]) -> None:
    if isinstance(command, SendRequest):
        asks = command.url.endswith(QUESTION)
        talk.answer(command, {"app_id": known["app_id"]} if asks else known)


# A login that the app has forgotten


NOT_LOGGED_IN = {"detail": "Not authenticated"}


def logged_in(**options: Any) -> Talk:
    """An app that has taken a login, and is known."""
    talk = Talk(auth=("me", "secret"), **options)
    log_in(talk, "1")
    talk.answer(talk.request(CONFIG), config(app_id=OLD))
    return talk


def log_in(talk: Talk, cookie: str) -> None:
    headers = (("set-cookie", f"access-token={cookie}; Path=/"),)
    talk.answer(talk.request("/login"), {"success": True}, headers=headers)


def cookie(command: SendRequest | OpenWebSocket) -> str:
    return dict(command.headers)["cookie"]


@pytest.mark.parametrize(("name", "path"), [("/echo", JOIN), ("/plain", "/api/predict")])
@pytest.mark.parametrize("app_id", [OLD, NEW])
def test_a_login_that_is_void_is_renewed_once(name: str, path: str, app_id: int) -> None:
    talk = logged_in()
    job = talk.conversation.submit("x", api_name=name)
    first = talk.request(path)
    assert cookie(first) == "access-token=1"
    talk.answer(first, NOT_LOGGED_IN, status=401)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(app_id=app_id, dependencies=TURNED))
    again = talk.request(path)
    assert cookie(again) == "access-token=2"
    assert body(again)["fn_index"] == LAST - (ECHO if name == "/echo" else PLAIN)
    assert talk.ends_of(job) == []
    talk.answer(again, NOT_LOGGED_IN, status=401)
    error = talk.failure_of(job)
    assert type(error) is AuthenticationError
    assert "took the login of auth=" in error.message
    assert talk.new() == []


def test_all_jobs_that_met_it_go_on_with_one_new_login() -> None:
    talk = logged_in()
    jobs = [talk.conversation.submit("x", api_name="/echo") for _ in range(3)]
    for request in talk.requests(JOIN, JOIN, JOIN):
        talk.answer(request, NOT_LOGGED_IN, status=401)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(app_id=OLD))
    joins = talk.requests(JOIN, JOIN, JOIN)
    assert {cookie(join) for join in joins} == {"access-token=2"}
    assert not any(talk.ends_of(job) for job in jobs)


def test_a_websocket_that_is_refused_has_the_login_renewed() -> None:
    talk = Talk(auth=("me", "secret"))
    log_in(talk, "1")
    talk.answer(talk.request(CONFIG), config(None, "3.50.2", app_id=OLD))
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.socket(), {}, status=403)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(None, "3.50.2", app_id=NEW))
    assert cookie(talk.socket()) == "access-token=2"


def test_a_login_that_the_app_takes_no_more_fails_the_job() -> None:
    talk = logged_in()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(JOIN), NOT_LOGGED_IN, status=401)
    talk.answer(talk.request("/login"), {"detail": "Incorrect credentials."}, status=400)
    error = talk.failure_of(job)
    assert type(error) is AuthenticationError
    assert error.phase == "login"


def test_a_job_that_the_app_began_is_not_handed_in_again() -> None:
    talk = Talk(auth=("me", "secret"))
    log_in(talk, "1")
    talk.answer(talk.request(CONFIG), config(None, "3.16.2"))
    job = talk.conversation.submit(2, api_name="/plain")
    output = {"data": ["a"], "is_generating": True}
    talk.answer(talk.request("/api/predict"), output)
    talk.answer(talk.request("/api/predict"), NOT_LOGGED_IN, status=401)
    assert type(talk.failure_of(job)) is AuthenticationError
    assert talk.new() == []


def test_a_job_that_is_cancelled_meanwhile_is_not_handed_in_again() -> None:
    talk = logged_in()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(JOIN), NOT_LOGGED_IN, status=401)
    assert talk.conversation.cancel(job)
    assert isinstance(talk.last_of(job), JobCancelled)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(app_id=OLD))
    assert talk.new() == []


def test_without_auth_there_is_nothing_to_renew() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(JOIN), NOT_LOGGED_IN, status=401)
    assert type(talk.failure_of(job)) is AuthenticationError
    assert talk.new() == []


def test_a_login_that_is_void_is_renewed_once_for_info() -> None:
    talk = logged_in()
    job = talk.conversation.submit(what="x", api_name="/echo")
    talk.answer(talk.request(INFO), NOT_LOGGED_IN, status=401)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(app_id=OLD))
    again = talk.request(INFO)
    assert cookie(again) == "access-token=2"
    talk.answer(again, NOT_LOGGED_IN, status=401)
    assert type(talk.failure_of(job)) is AuthenticationError
    talk.conversation.submit(what="x", api_name="/echo")
    talk.request(INFO)


def test_another_host_that_wants_a_login_is_not_the_app() -> None:
    talk = Talk(auth=("me", "secret"))
    log_in(talk, "1")
    talk.answer(talk.request(CONFIG), config(None, "3.50.2", app_id=OLD))
    job = talk.conversation.submit(handle_file("http://other.example/a.bin"), api_name="/echo")
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    assert command.url == "http://other.example/a.bin"
    assert not {"cookie", "x-hf-authorization"} & set(dict(command.headers))
    talk.answer(command, NOT_LOGGED_IN, status=401)
    assert type(talk.failure_of(job)) is AuthenticationError
    assert talk.new() == []


def test_an_upload_that_met_a_void_login_is_made_again() -> None:
    talk = logged_in()
    talk.conversation.submit(handle_file(b"content", name="a.bin"), api_name="/echo")
    talk.answer(talk.request("/upload"), NOT_LOGGED_IN, status=401)
    log_in(talk, "2")
    talk.answer(talk.request(CONFIG), config(app_id=NEW))
    again = talk.request("/upload")
    assert cookie(again) == "access-token=2"
    talk.answer(again, ["/tmp/a.bin"])
    assert body(talk.request(JOIN))["data"][0]["path"] == "/tmp/a.bin"
