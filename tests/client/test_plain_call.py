"""A job past the queue: one question, one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import Abort, Expect
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    TooManyRequestsError,
)
from sansio_gradio.events import JobCancelled, StatusUpdated
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.talk import COUNT, PLAIN, Talk, app, body_of, config

CALL = "/gradio_api/api/predict"


def unqueued(version: str = "6.31.0", **options: Any) -> Talk:
    return Talk(app("sse_v3", version, api_prefix="/gradio_api"), **options)


def test_an_unqueued_endpoint_is_called_by_one_post() -> None:
    talk = unqueued()
    job = talk.conversation.submit("hello", api_name="/plain", headers={"X-Mine": "1"})
    request = talk.request(CALL)
    assert (request.method, request.expect) == ("POST", Expect.CALL)
    assert ("x-mine", "1") in request.headers
    assert json.loads(body_of(request)) == {
        "data": ["hello"],
        "event_data": None,
        "fn_index": PLAIN,
        "session_hash": talk.conversation.session_hash,
        "trigger_id": None,
    }
    talk.answer(request, {"data": ["olleh"], "is_generating": False, "duration": 0.1})
    assert talk.data_of(job) == ("olleh",)
    assert [event.status.code for event in talk.of(StatusUpdated)] == [Status.FINISHED]
    assert talk.new() == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (500, {"error": "boom", "title": "Oh", "duration": 3, "visible": False}, AppError, "boom"),
        (500, {"error": None}, AppError, AppError.default_message),
        (500, b"Internal Server Error", RemoteProtocolError, "Internal Server Error"),
        (404, {"detail": "Not Found"}, RemoteProtocolError, "Not Found"),
        (401, {"detail": "Not authenticated"}, AuthenticationError, "login"),
        (429, b"", TooManyRequestsError, "fewer requests"),
        (200, b"<html>", RemoteProtocolError, "JSON"),
        (200, [1], RemoteProtocolError, "no data"),
        (200, {"data": "x"}, RemoteProtocolError, "no data"),
        (200, {}, RemoteProtocolError, "no data"),
        (204, b"", RemoteProtocolError, "204"),
    ],
)
def test_what_is_no_result_is_an_error(
    status: int, body: Any, kind: type[GradioError], text: str
) -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request(CALL), body, status=status)
    error = talk.failure_of(job)
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert text in error.message
    assert (error.phase, error.url, error.job) == ("call", f"http://app.example{CALL}", job)
    if isinstance(error, AppError) and error.message == "boom":
        assert (error.title, error.duration, error.visible) == ("Oh", 3.0, False)


def test_the_first_yield_of_a_generator_is_its_result() -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN, want=Want.RESULT)
    talk.answer(talk.request(CALL), {"data": ["step 0"], "is_generating": True})
    assert talk.data_of(job) == ("step 0",)


def test_a_function_may_take_its_time() -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN)
    request = talk.request(CALL)
    assert talk.sleep(1e5) == []
    talk.answer(request, {"data": [1]})
    assert talk.data_of(job) == (1,)


def test_but_not_more_than_the_job_has() -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN, timeout=5.0)
    request = talk.request(CALL)
    assert talk.sleep(5.1) == [Abort(request.id)]
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "job"


def test_a_cancelled_call_is_dropped_and_not_stopped() -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN)
    request = talk.request(CALL)
    assert talk.conversation.cancel(job)
    assert talk.aborted() == [request.id]
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    talk.answer(request, {"data": [1]})
    assert talk.last_of(job) is end


def test_a_lost_connection_is_told() -> None:
    talk = unqueued()
    job = talk.conversation.submit("x", fn_index=PLAIN)
    talk.lose(talk.request(CALL))
    assert isinstance(talk.failure_of(job), ConnectionLost)
    assert talk.new() == []


def test_an_answer_has_a_limit() -> None:
    talk = unqueued(limits=Limits(answer=100))
    job = talk.conversation.submit("x", fn_index=PLAIN)
    request = talk.request(CALL)
    talk.answer(request, {"data": ["x" * 100]})
    assert isinstance(talk.failure_of(job), RemoteProtocolError)
    assert talk.aborted() == [request.id]


def test_an_answer_is_read_within_the_limits_and_by_the_parser_given() -> None:
    talk = unqueued(limits=Limits(json_depth=3))
    jobs = [talk.conversation.submit("x", fn_index=PLAIN) for _ in range(2)]
    good, bad = talk.requests(CALL, CALL)
    talk.answer(good, {"data": [[]]})
    talk.answer(bad, {"data": [[[]]]})
    assert talk.data_of(jobs[0]) == ([],)
    assert "3 levels" in talk.failure_of(jobs[1]).message
    talk = unqueued(json_loads=lambda text: {"data": [text]})
    job = talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request(CALL), b"anything")
    assert talk.data_of(job) == ("anything",)


def test_what_cannot_be_sent_is_not_sent() -> None:
    talk = unqueued()
    with pytest.raises(LocalProtocolError, match="JSON"):
        talk.conversation.submit({1, 2}, fn_index=PLAIN)
    assert talk.new() == []


def test_it_takes_its_input_all_at_once() -> None:
    functions = config("sse_v3", api_prefix="/gradio_api")
    functions["dependencies"][PLAIN]["connection"] = "stream"
    talk = Talk(AppInfo.from_config(functions))
    job = talk.conversation.submit("x", fn_index=PLAIN)
    request = talk.request(CALL)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        talk.conversation.send(job, 1)
    talk.answer(request, {"data": [1]})
    assert talk.data_of(job) == (1,)


# Generators, step by step


def stepping(version: str = "3.50.2") -> tuple[Talk, int]:
    functions = config(None, version)
    functions["dependencies"][COUNT]["queue"] = False
    talk = Talk(AppInfo.from_config(functions))
    return talk, talk.conversation.submit(3, fn_index=COUNT)


def step(talk: Talk, *data: Any, more: bool = True) -> Any:
    request = talk.request("/api/predict")
    talk.answer(request, {"data": list(data), "is_generating": more})
    return json.loads(body_of(request))


def test_each_post_gets_the_next_output_of_a_generator() -> None:
    talk, job = stepping()
    bodies = [step(talk, 1), step(talk, 2), step(talk, 2), step(talk, None, more=False)]
    assert talk.values == [(1,), (2,), (2,)]
    assert talk.data_of(job) == (2,)
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["session_hash"] == talk.conversation.session_hash
    assert bodies[0]["fn_index"] == COUNT
    assert talk.new() == []


def test_a_generator_without_outputs_completes_with_null() -> None:
    talk, job = stepping("3.3")
    step(talk, None, more=False)
    assert talk.values == []
    assert talk.data_of(job) == (None,)


def test_before_3_3_there_are_no_generators() -> None:
    talk, job = stepping("3.2")
    step(talk, "<generator object>")
    assert talk.data_of(job) == ("<generator object>",)
    assert talk.new() == []


def test_a_generator_may_fail_on_the_way() -> None:
    talk, job = stepping()
    step(talk, 1)
    talk.answer(talk.request("/api/predict"), {"error": "'no'"}, status=500)
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert (error.message, list(error.outputs)) == ("no", [(1,)])


def test_a_generator_that_is_given_up_takes_no_further_step() -> None:
    talk, job = stepping()
    step(talk, 1)
    request = talk.request("/api/predict")
    assert talk.conversation.cancel(job)
    assert talk.new() == [Abort(request.id)]
    assert isinstance(talk.last_of(job), JobCancelled)
    talk.conversation.submit(3, fn_index=COUNT)  # the old one still waits there, in its session
    assert step(talk, 1)["session_hash"] != talk.conversation.session_hash


@pytest.mark.parametrize("version", ["4.0.2", "6.31.0"])
def test_from_4_0_on_generators_go_through_the_queue_in_any_case(version: str) -> None:
    functions = config("sse_v3", version)
    functions["dependencies"][COUNT]["queue"] = False
    talk = Talk(AppInfo.from_config(functions))
    job = talk.conversation.submit(3, fn_index=COUNT)
    assert json.loads(body_of(talk.request("/queue/join")))["fn_index"] == COUNT
    assert talk.ends_of(job) == []


# Functions of components


EXPLORER = 9


def explorer() -> Talk:
    said = config("sse_v3", api_prefix="/gradio_api")
    said["components"] += [{"id": EXPLORER, "type": "x", "props": {"server_fns": ["ls"]}}]
    return Talk(AppInfo.from_config(said))


def test_a_component_s_function_is_called_by_one_post() -> None:
    talk = explorer()
    conversation = talk.conversation
    job = conversation.call_component(EXPLORER, "ls", ["docs"], headers={"X-Mine": "1"})
    request = talk.request("/gradio_api/component_server")
    assert ("x-mine", "1") in request.headers
    assert json.loads(body_of(request)) == {
        "session_hash": conversation.session_hash,
        "component_id": EXPLORER,
        "fn_name": "ls",
        "data": ["docs"],
    }
    endpoint = conversation.endpoint_of(job)
    assert endpoint is not None
    talk.answer(request, [{"name": "a"}])
    assert talk.data_of(job) == ([{"name": "a"}],)
    assert endpoint.result_of(talk.data_of(job)) == [{"name": "a"}]


@pytest.mark.parametrize("said", [None, 0, "x", {"data": 1}, {"is_generating": True}])
def test_it_returns_any_json(said: Any) -> None:
    talk = explorer()
    job = talk.conversation.call_component(EXPLORER, "ls")
    talk.answer(talk.request("/gradio_api/component_server"), said)
    assert talk.data_of(job) == (said,)


def test_a_component_s_function_may_fail() -> None:
    talk = explorer()
    job = talk.conversation.call_component(EXPLORER, "ls")
    request = talk.request("/gradio_api/component_server")
    talk.answer(request, {"detail": "Function not found."}, status=404)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert "Function not found." in error.message
    assert error.phase == "call"


@pytest.mark.parametrize(("component", "function"), [(EXPLORER, "rm"), (1, "ls"), (99, "ls")])
def test_a_function_that_a_component_has_not_is_not_asked_for(
    component: int, function: str
) -> None:
    talk = explorer()
    job = talk.conversation.call_component(component, function, timeout=5.0)
    error = talk.failure_of(job)
    assert type(error) is LocalProtocolError
    assert f"Component {component} has no server function {function!r}" in error.message
    assert f"{EXPLORER}: ls" in error.message
    assert talk.new() == []


def test_a_component_s_function_has_a_deadline() -> None:
    talk = explorer()
    job = talk.conversation.call_component(EXPLORER, "ls", timeout=5.0)
    talk.new()
    talk.sleep(5.0)
    assert type(talk.failure_of(job)) is DeadlineExceeded


@pytest.mark.parametrize("size", [1, 1000])
def test_a_generator_that_yields_too_much_is_asked_no_more(size: int) -> None:
    known = app("ws", "3.50.2", api_prefix="/gradio_api")
    limits = Limits(value=500)
    talk = Talk(known, protocol="sse_v3", limits=limits)
    job = talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request(CALL), {"data": ["x" * size], "is_generating": True})
    if size == 1:
        talk.request(CALL)
        return
    assert "the limit (Limits.value)" in talk.failure_of(job).message
    assert talk.new() == []
