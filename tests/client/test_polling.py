"""A job that is pushed, and asked after until it has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.channels.polling import INTERVAL
from sansio_gradio.client.commands import Abort, SendRequest
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.events import JobCancelled, MessageReceived, StatusUpdated
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.talk import ECHO, Talk, app, body_of

PUSH, STATUS = "/api/queue/push/", "/api/queue/status/"


def pushed(**options: Any) -> tuple[Talk, int]:
    """A job that the server has taken."""
    talk = Talk(app(None, "3.1.4"), **options)
    job = talk.conversation.submit("x", fn_index=ECHO, headers={"X-Mine": "1"})
    request = talk.request(PUSH)
    assert ("x-mine", "1") in request.headers
    assert json.loads(body_of(request)) == {
        "action": "predict",
        "data": ["x"],
        "event_data": None,
        "fn_index": ECHO,
        "session_hash": talk.conversation.session_hash,
        "trigger_id": None,
    }
    talk.answer(request, {"hash": "h", "queue_position": 2})
    assert talk.new() == []
    return talk, job


def asked(talk: Talk) -> SendRequest:
    """The next poll, when it is time for it."""
    assert talk.sleep(INTERVAL * 0.9) == []
    (request,) = talk.sleep(INTERVAL * 0.2)
    assert isinstance(request, SendRequest)
    assert request.url.endswith(STATUS)
    assert json.loads(body_of(request)) == {"hash": "h"}
    return request


def told(talk: Talk, status: str, data: Any = None) -> None:
    talk.answer(asked(talk), {"status": status, "data": data})


def test_what_is_told_is_read_within_the_limits_and_by_the_parser_given() -> None:
    talk, job = pushed(limits=Limits(json_depth=3))
    told(talk, "COMPLETE", {"data": [[]]})
    assert "3 levels" in talk.failure_of(job).message
    read: list[str | bytes] = []

    def json_loads(text: str | bytes) -> Any:
        read.append(text)
        return json.loads(text)

    talk, job = pushed(json_loads=json_loads)
    told(talk, "FAILED", '{"error":"no"}')
    assert talk.failure_of(job).message == "no"
    assert read[-1] == '{"error":"no"}'
    assert len(read) == 3


def test_a_job_is_asked_after_until_it_is_complete() -> None:
    talk, job = pushed()
    told(talk, "QUEUED", 2)
    told(talk, "QUEUED", 1)
    told(talk, "NOT FOUND")  # for a moment, and no end
    told(talk, "PENDING")
    told(talk, "COMPLETE", {"data": ["olleh"], "duration": 0.1})
    assert talk.data_of(job) == ("olleh",)
    assert [update.status.code for update in talk.of(StatusUpdated)] == [
        Status.IN_QUEUE,
        Status.IN_QUEUE,
        Status.PROCESSING,
        Status.FINISHED,
    ]
    assert [u.status.rank for u in talk.of(StatusUpdated)][:2] == [2, 1]
    assert talk.sleep(60) == []


def test_what_is_said_again_is_no_news() -> None:
    talk, job = pushed()
    for _ in range(3):
        told(talk, "QUEUED", 0)
    for _ in range(3):
        told(talk, "PENDING")
    kinds = [event.message["msg"] for event in talk.of(MessageReceived)]
    assert kinds == ["estimation", "process_starts"]
    assert talk.ends_of(job) == []


def test_a_job_may_fail() -> None:
    talk, job = pushed()
    told(talk, "FAILED", '{"error":"no"}')
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert error.message == "no"
    assert talk.sleep(60) == []


@pytest.mark.parametrize("body", [b"null", b'{"hash": 5}', b"{}", b"<html>"])
def test_a_job_without_a_name_cannot_be_asked_after(body: bytes) -> None:
    talk = Talk(app(None, "3.1.4"))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(PUSH), body)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert (error.phase, error.url) == ("join", f"http://app.example{PUSH}")
    assert talk.sleep(60) == []


@pytest.mark.parametrize("body", [b"null", b'{"status": "DONE"}', b"<html>"])
def test_an_answer_that_makes_no_sense_ends_the_job(body: bytes) -> None:
    talk, job = pushed()
    talk.answer(asked(talk), body)
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert (error.phase, error.url) == ("poll", f"http://app.example{STATUS}")
    assert talk.sleep(60) == []


def test_a_server_that_has_forgotten_the_job_is_not_asked_for_ever() -> None:
    talk, job = pushed()
    for _ in range(20):
        told(talk, "NOT FOUND")
    told(talk, "QUEUED", 0)  # a moment was all it was
    for _ in range(20):
        told(talk, "NOT FOUND")
    assert talk.ends_of(job) == []
    told(talk, "NOT FOUND")
    error = talk.failure_of(job)
    assert type(error) is ServerStoppedError
    assert error.phase == "poll"
    assert talk.sleep(60) == []


def test_a_poll_that_fails_ends_the_job() -> None:
    talk, job = pushed()
    talk.lose(asked(talk))
    assert type(talk.failure_of(job)) is ConnectionLost
    talk, job = pushed()
    talk.answer(asked(talk), b"Internal Server Error", status=500)
    assert type(talk.failure_of(job)) is RemoteProtocolError
    talk, job = pushed(timeouts=Timeouts(request=5.0))
    asked(talk)
    talk.sleep(5.0)
    error = talk.failure_of(job)
    assert type(error) is DeadlineExceeded
    assert error.phase == "request"


def test_a_push_that_is_refused_ends_the_job() -> None:
    talk = Talk(app(None, "3.1.4"))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(PUSH), b"Internal Server Error", status=500)
    assert type(talk.failure_of(job)) is RemoteProtocolError


@pytest.mark.parametrize("while_asking", [False, True])
def test_a_cancelled_job_is_asked_after_no_more(while_asking: bool) -> None:
    talk, job = pushed()
    poll = asked(talk) if while_asking else None
    assert talk.conversation.cancel(job)
    assert talk.new() == ([Abort(poll.id)] if poll else [])
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    assert talk.sleep(60) == []


def test_streaming_inputs_are_not_for_these_servers() -> None:
    talk, job = pushed()
    with pytest.raises(LocalProtocolError, match="in pieces"):
        talk.conversation.send(job, "chunk")
    told(talk, "PENDING")
    assert talk.ends_of(job) == []
