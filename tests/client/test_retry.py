"""Jobs that are handed in again: only those that the server has not got, as often as is wanted."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import SendRequest
from sansio_gradio.client.engine import Engine
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
from sansio_gradio.events import JobCancelled, JobCompleted, SessionClosed, StatusUpdated
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import ByHand, reply
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    STATE,
    STREAMING,
    TEXT,
    Talk,
    app,
    body_of,
    completed,
    config,
    estimation,
)

JOIN, DATA = "/queue/join", "/queue/data"
FULL = {"detail": "Queue is full."}
STEADY = Retry(jitter=0.0)


# The policy


def test_by_itself_a_wait_doubles_up_to_the_longest() -> None:
    retry = Retry(times=9, backoff=2.0, longest=20.0, jitter=0.0)
    waits = [retry.delay(QueueFullError(), attempt, 0.7) for attempt in range(10)]
    assert waits == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0, 20.0, 20.0, None]


@pytest.mark.parametrize(("random", "wait"), [(0.0, 8.0), (0.5, 7.0), (1.0, 6.0)])
def test_a_part_of_the_wait_is_random(random: float, wait: float) -> None:
    assert Retry(backoff=8.0, jitter=0.25).delay(QueueFullError(), 0, random) == wait


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 1.0), (0.2, 1.0), (7.0, 7.0), (60.0, 60.0), (60.1, None)]
)
def test_a_server_that_says_when_is_obeyed_within_limits(
    asked: float | None, wait: float | None
) -> None:
    assert STEADY.delay(TooManyRequestsError(retry_after=asked), 0, 0.0) == wait


COVERED: list[tuple[GradioError, str | None]] = [
    (QueueFullError(), "queue_full"),
    (TooManyRequestsError(), "too_many_requests"),
    (ConnectFailed(), "not_connected"),
    (DeadlineExceeded(phase="connect"), "not_connected"),
    (DeadlineExceeded(phase="tls"), "not_connected"),
    (ConnectionLost(phase="join"), "not_joined"),
    (ConnectionLost(phase="stream"), "not_joined"),
    (DeadlineExceeded(phase="join"), "not_joined"),
    (ConnectionLost(phase="call"), None),
    (DeadlineExceeded(phase="job"), None),
    (DeadlineExceeded(phase="stream_idle"), None),
    (RemoteProtocolError(phase="join"), None),
    (AuthenticationError(phase="join"), None),
    (AppError(), None),
    (ValidationError(), None),
    (ServerStoppedError(), None),
]


@pytest.mark.parametrize(("error", "field"), COVERED)
def test_each_kind_of_failure_has_its_switch(error: GradioError, field: str | None) -> None:
    switches = ("queue_full", "too_many_requests", "not_connected", "not_joined")
    for switch in switches:
        only = attrs.evolve(STEADY, **{name: name == switch for name in switches})
        assert (only.delay(error, 0, 0.0) is not None) is (switch == field)


def test_nothing_that_may_run_twice_is_handed_in_unasked() -> None:
    assert not Retry().not_joined


@pytest.mark.parametrize(
    "wrong", [{"times": -1}, {"backoff": 0.0}, {"longest": 0.0}, {"jitter": 1.1}, {"jitter": -0.1}]
)
def test_a_policy_makes_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)


# Handing in


def talking(
    *args: Any, retry: Retry | None = STEADY, timeouts: Timeouts | None = None, **more: Any
) -> Talk:
    options = {"entropy": more.pop("entropy", counted_entropy()), "timeouts": timeouts}
    return Talk(app(*args, **more), retry=retry, **options)


def refuse(talk: Talk, body: object = FULL, status: int = 503) -> None:
    talk.answer(talk.request(JOIN), body, status=status)


def take(talk: Talk, join: Any = None) -> None:
    """Take the job that is handed in now, and complete it."""
    talk.answer(join or talk.request(JOIN), {"event_id": "e"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, completed("done", event_id="e"))


def test_without_a_policy_nothing_is_handed_in_again() -> None:
    talk = talking(retry=None)
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    assert isinstance(talk.failure_of(job), QueueFullError)
    assert talk.sleep(1000.0) == []


def test_a_job_that_found_the_queue_full_comes_again() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    assert talk.ends_of(job) == []
    assert talk.sleep(0.9) == []
    (again,) = talk.sleep(0.2)
    take(talk, again)
    assert talk.data_of(job) == ("done",)


def test_it_asks_for_the_same() -> None:
    talk = talking()
    talk.conversation.submit("x", fn_index=ECHO, headers={"X-Mine": "1"}, event_data=[1])
    first = talk.request(JOIN)
    talk.answer(first, FULL, status=503)
    (again,) = talk.sleep(2.0)
    assert attrs.evolve(again, id=first.id) == first


def test_after_the_last_time_the_error_stands() -> None:
    talk = talking(retry=attrs.evolve(STEADY, times=2))
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    for wait in (1.0, 2.0):
        (again,) = talk.sleep(wait)
        talk.answer(again, FULL, status=503)
    error = talk.failure_of(job)
    assert isinstance(error, QueueFullError)
    assert error.phase == "join"
    assert talk.sleep(1000.0) == []


def test_as_long_as_it_waits_nothing_says_that_it_is_over() -> None:
    talk = talking()
    talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    assert [event.status.code for event in talk.of(StatusUpdated)] == []
    (again,) = talk.sleep(1.0)
    take(talk, again)
    assert [event.status.code for event in talk.of(StatusUpdated)] == [Status.FINISHED]


def test_the_wait_is_drawn_from_the_entropy() -> None:
    talk = talking(retry=Retry(backoff=8.0, jitter=1.0), entropy=lambda size: b"\x80" * size)
    talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    assert talk.sleep(3.9) == []
    assert len(talk.sleep(0.2)) == 1


def test_a_server_that_wants_fewer_requests_says_how_long() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), b"", status=429, headers=(("retry-after", "30"),))
    assert talk.sleep(29.9) == []
    (again,) = talk.sleep(0.2)
    take(talk, again)
    assert talk.data_of(job) == ("done",)


def test_what_the_server_has_taken_is_never_handed_in_again() -> None:
    talk = talking(retry=attrs.evolve(STEADY, not_joined=True))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "e"})
    talk.lose(talk.request(DATA), ConnectFailed("refused", phase="connect"))
    assert isinstance(talk.failure_of(job), ConnectFailed)
    assert talk.sleep(1000.0) == []


@pytest.mark.parametrize("wanted", [False, True])
def test_what_may_have_been_taken_is_handed_in_again_if_that_is_wanted(wanted: bool) -> None:
    talk = talking(retry=attrs.evolve(STEADY, not_joined=wanted))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.lose(talk.request(JOIN))
    if not wanted:
        assert isinstance(talk.failure_of(job), ConnectionLost)
        return
    question: Any
    (question,) = talk.sleep(1.0)
    assert question.url.endswith("/config")
    talk.answer(question, config())
    take(talk)
    assert talk.data_of(job) == ("done",)


def test_the_others_go_on_meanwhile() -> None:
    talk = talking()
    waits = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    other = talk.conversation.submit("y", fn_index=COUNT)
    take(talk)
    assert talk.data_of(other) == ("done",)
    assert talk.ends_of(waits) == []
    assert len(talk.sleep(1.0)) == 1


def test_an_unqueued_call_comes_again_too() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=PLAIN)
    (asked,) = talk.new()
    talk.answer(asked, b"", status=429)
    (again,) = talk.sleep(1.0)
    talk.answer(again, {"data": ["done"]})
    assert talk.data_of(job) == ("done",)


@pytest.mark.parametrize(
    ("version", "protocol", "path"),
    [("6.31.0", "call", "/call/echo"), ("3.1.4", None, "/api/queue/push/")],
)
def test_so_does_one_of_the_oldest_servers_and_of_the_rest_api(
    version: str, protocol: str | None, path: str
) -> None:
    known = app("sse_v3" if protocol else None, version)
    talk = Talk(known, retry=STEADY, protocol=protocol)
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(path), FULL, status=503)
    assert talk.ends_of(job) == []
    (again,) = talk.sleep(1.0)
    talk.answer(again, {"event_id": "e", "hash": "e"})
    assert len(talk.sleep(1.0)) == 1  # where the job is heard of
    talk.conversation.cancel(job)
    talk.sleep(10.0)
    assert isinstance(talk.last_of(job), JobCancelled)


def test_an_isolated_job_comes_in_a_session_of_its_own_again() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO, isolated=True)
    first = talk.request(JOIN)
    talk.answer(first, FULL, status=503)
    (again,) = talk.sleep(1.0)
    assert isinstance(again, SendRequest)
    names = [json.loads(body_of(join))["session_hash"] for join in (first, again)]
    assert len({*names, talk.conversation.session_hash}) == 3
    take(talk, again)
    assert talk.data_of(job) == ("done",)


# One connection a job


def test_a_full_queue_may_be_told_on_a_websocket() -> None:
    talk = talking(None, "3.50.2")
    job = talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    talk.open(socket)
    talk.send(socket, {"msg": "queue_full"})
    assert talk.aborted() == [socket.id]
    (again,) = talk.sleep(1.0)
    talk.open(again)
    talk.send(again, {"msg": "send_data"}, completed("done"))
    assert talk.data_of(job) == ("done",)
    codes = [event.status.code for event in talk.of(StatusUpdated)]
    assert codes == [Status.QUEUE_FULL, Status.SENDING_DATA, Status.FINISHED]


def test_what_came_behind_the_refusal_is_not_for_the_next_time() -> None:
    talk = talking("sse", "4.0.2")
    job = talk.conversation.submit("x", fn_index=ECHO)
    stream = talk.request(JOIN)
    talk.open(stream)
    talk.send(stream, {"msg": "queue_full"}, estimation(), completed("somebody else's"))
    assert talk.aborted() == [stream.id]
    (again,) = talk.sleep(1.0)
    talk.open(again)
    talk.send(again, completed("done"))
    assert talk.data_of(job) == ("done",)


def test_a_websocket_that_was_in_the_queue_is_not_opened_again() -> None:
    talk = talking(None, "3.50.2", retry=attrs.evolve(STEADY, not_joined=True))
    job = talk.conversation.submit("x", fn_index=ECHO)
    socket = talk.socket()
    talk.open(socket)
    talk.send(socket, estimation())
    talk.lose(socket)
    assert isinstance(talk.failure_of(job), ConnectionLost)
    assert talk.sleep(1000.0) == []


# A job's other ends


def test_a_job_that_waits_can_be_cancelled() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    assert talk.conversation.cancel(job) is True
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    assert talk.conversation.cancel(job) is False
    assert talk.sleep(1000.0) == []


def test_a_job_that_is_being_cancelled_does_not_come_again() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.conversation.cancel(job)
    talk.answer(join, FULL, status=503)
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.sleep(1000.0) == []


def test_the_job_s_deadline_counts_all_its_waits() -> None:
    talk = talking(timeouts=Timeouts(job=2.5))
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    (again,) = talk.sleep(1.0)
    talk.answer(again, FULL, status=503)
    assert talk.sleep(1.4) == []
    assert talk.ends_of(job) == []
    assert talk.sleep(0.2) == []
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "job"
    assert talk.sleep(1000.0) == []


def test_closing_waits_for_nobody_who_waits() -> None:
    talk = talking()
    job = talk.conversation.submit("x", fn_index=ECHO)
    refuse(talk)
    talk.conversation.close()
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.of(SessionClosed)
    assert talk.conversation.next_deadline() in {None, talk.now}
    assert talk.sleep(1000.0) == []


def test_pieces_of_an_input_wait_as_well() -> None:
    parts = {"inputs": [TEXT, STATE], "outputs": [TEXT], "queue": True, **STREAMING}
    talk = talking(has_state=True, dependencies=[{"id": 0, "api_name": "listen", **parts}])
    job = talk.conversation.submit("x", api_name="/listen")
    talk.conversation.send(job, "y")
    refuse(talk)
    talk.conversation.send(job, "z")
    (again,) = talk.sleep(1.0)
    talk.answer(again, {"event_id": "e"})
    stream = talk.request(DATA)
    talk.open(stream)
    for piece in ("y", "z"):
        talk.send(stream, {"msg": "process_streaming", "event_id": "e", "output": {"data": ["."]}})
        asked = talk.request("/stream/e")
        assert json.loads(body_of(asked))["data"] == [piece, None]


# Over connections


def test_a_server_that_is_away_for_a_while() -> None:
    answers = {
        "/config": reply(config()),
        JOIN: reply({"event_id": "e"}),
        DATA: reply(
            b"data: " + json.dumps(completed("done", event_id="e")).encode() + b"\n\n", 200
        ).replace(b"content-length", b"content-type: text/event-stream\r\ncontent-length"),
    }
    engine = Engine(entropy=counted_entropy())
    driver = Driver(engine, ByHand(lambda asked: answers.get(asked.path)))
    session = engine.session("http://app.example/", app=app(), retry=STEADY)
    driver.refuse = lambda _: ConnectionRefusedError("refused")
    job = session.submit("x", fn_index=ECHO, want=Want.RESULT)
    driver.sleep(2.0)
    assert driver.ends(session.id, job) == []
    driver.refuse = lambda _: None
    driver.sleep(2.0)
    assert driver.end(session.id, job) == JobCompleted(session=session.id, job=job, data=("done",))
    assert len(driver.opened) == 3
