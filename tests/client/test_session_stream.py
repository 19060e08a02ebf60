"""Many jobs, one stream: who gets which message, and what the end of the stream means for whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import Abort, Expect, SendRequest
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    ValidationError,
)
from sansio_gradio.events import (
    Accepted,
    Anomaly,
    Connected,
    JobCancelled,
    JobCompleted,
    JobFailed,
    MessageReceived,
    SessionLost,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol import protocols
from sansio_gradio.protocol.protocols import Channel, Handover, Naming, Traits
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    Talk,
    app,
    body_of,
    compact,
    completed,
    estimation,
    failed,
    generating,
    starts,
)

JOIN, DATA, CANCEL = "/queue/join", "/queue/data", "/cancel"


def joined(talk: Talk, event_id: str, fn_index: int = ECHO, **options: Any) -> int:
    """Submit a job of a session whose stream is not open, up to the answer to its join."""
    job = talk.conversation.submit("x", fn_index=fn_index, **options)
    talk.answer(talk.request(JOIN), {"event_id": event_id})
    return job


def streaming(talk: Talk, event_id: str, **options: Any) -> tuple[int, SendRequest]:
    """The same, up to the open stream."""
    job = joined(talk, event_id, **options)
    stream = talk.request(DATA)
    talk.open(stream)
    return job, stream


def more(talk: Talk, event_id: str, **options: Any) -> int:
    """One more job while the stream is open; *doubted*: the app is asked for first."""
    doubted = options.pop("doubted", False)
    job = talk.conversation.submit("x", fn_index=options.pop("fn_index", ECHO), **options)
    if doubted:
        talk.same_app()
    talk.answer(talk.request(JOIN), {"event_id": event_id})
    assert talk.new() == []
    return job


# Joining


def test_the_first_join_precedes_the_first_stream() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("hello", api_name="/echo", trigger_id=7, event_data=[1])
    join = talk.request(JOIN)
    assert join.method == "POST"
    assert join.expect is Expect.ANSWER
    assert json.loads(body_of(join)) == {
        "data": ["hello"],
        "event_data": [1],
        "fn_index": ECHO,
        "session_hash": talk.conversation.session_hash,
        "trigger_id": 7,
    }
    talk.answer(join, {"event_id": "a"})
    stream = talk.request(DATA)
    assert stream.method == "GET"
    assert stream.expect is Expect.STREAM
    assert stream.url.endswith(f"?session_hash={talk.conversation.session_hash}")
    talk.open(stream)
    talk.send(stream, estimation("a"), starts("a"), completed("olleh", event_id="a"))
    assert talk.data_of(job) == ("olleh",)


def test_a_name_that_another_job_has_already_is_no_name() -> None:
    talk = Talk(app())
    first, stream = streaming(talk, "a")
    second = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    error = talk.failure_of(second)
    assert isinstance(error, RemoteProtocolError)
    assert "another job" in error.message
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(first) == (1,)


def test_from_the_second_call_on_join_and_stream_overlap() -> None:
    talk = Talk(app())
    first, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    talk.end(stream)
    assert talk.data_of(first) == (1,)
    second = talk.conversation.submit("x", fn_index=ECHO)
    join, stream = talk.requests(JOIN, DATA)  # both at once: one round trip
    talk.answer(join, {"event_id": "b"})
    assert talk.new() == []
    talk.open(stream)
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(second) == (2,)


def test_there_are_never_two_streams_at_once() -> None:
    talk = Talk(app())
    jobs = [talk.conversation.submit("x", fn_index=ECHO) for _ in range(3)]
    joins = talk.requests(JOIN, JOIN, JOIN)
    talk.answer(joins[1], {"event_id": "b"})
    stream = talk.request(DATA)
    talk.answer(joins[0], {"event_id": "a"})
    talk.answer(joins[2], {"event_id": "c"})
    fourth = more(talk, "d")
    talk.open(stream)
    for job, event_id in zip([*jobs, fourth], "abcd", strict=True):
        talk.send(stream, starts(event_id), completed(event_id, event_id=event_id))
        assert talk.data_of(job) == (event_id,)
    fifth = more(talk, "e")  # the server left the stream open: it is used again
    talk.send(stream, starts("e"), completed("e", event_id="e"))
    assert talk.data_of(fifth) == ("e",)
    assert talk.of(Anomaly) == []


def test_messages_go_to_their_job_in_whatever_order_they_come() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("b"), starts("a"), estimation("b"), generating([1], "b"))
    talk.send(stream, generating([2], "a"), completed("A", event_id="a"))
    assert talk.data_of(one) == ("A",)
    assert talk.ends_of(two) == []
    talk.send(stream, completed("B", event_id="b"))
    assert talk.data_of(two) == ("B",)
    kinds = [(event.job, event.message["msg"]) for event in talk.of(MessageReceived)]
    assert kinds == [
        (two, "process_starts"),
        (one, "process_starts"),
        (two, "estimation"),
        (two, "process_generating"),
        (one, "process_generating"),
        (one, "process_completed"),
        (two, "process_completed"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (503, {"detail": "Queue is full. Max size is 1."}, QueueFullError, "Queue is full. Max"),
        (503, {"detail": "Queue is stopped."}, ServerStoppedError, "Queue is stopped."),
        (401, {"detail": "Not authenticated"}, AuthenticationError, "login"),
        (422, {"detail": [{"is_valid": False, "message": "no"}]}, ValidationError, "no"),
        (422, {"detail": [{"loc": ["body"]}]}, RemoteProtocolError, "422"),
        (500, b"Internal Server Error", RemoteProtocolError, "Internal Server Error"),
        (500, {"error": "it broke"}, AppError, "it broke"),
        (200, {"event_id": 7}, RemoteProtocolError, "without naming it"),
        (200, [], RemoteProtocolError, "without naming it"),
        (200, b"<html>", RemoteProtocolError, "JSON"),
    ],
)
def test_a_refused_join_says_why(
    status: int, body: Any, kind: type[GradioError], text: str
) -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), body, status=status)
    error = talk.failure_of(job)
    assert type(error) is kind
    assert text in error.message
    assert (error.phase, error.url, error.job) == ("join", "http://app.example/queue/join", job)
    assert talk.asked[-1:] == talk.asked[:1]  # nothing else was asked


def test_a_join_has_a_deadline() -> None:
    talk = Talk(app(), timeouts=Timeouts(join=5.0))
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    assert talk.sleep(4.9) == []
    assert talk.sleep(0.2) == [Abort(join.id)]
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "join"


def test_a_lost_join_fails_its_job_alone() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = talk.conversation.submit("x", fn_index=ECHO)
    talk.lose(talk.request(JOIN))
    assert isinstance(talk.failure_of(two), ConnectionLost)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(one) == (1,)


# Messages before their time


def test_messages_may_come_before_the_answer_to_their_join() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    # A cached function (6.12+) is over before the join is answered.
    talk.send(stream, generating(["early"], "b"), completed("early", event_id="b"))
    assert talk.ends_of(two) == []
    talk.answer(join, {"event_id": "b"})
    assert talk.data_of(two) == ("early",)
    assert talk.values == [("early",)]
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(one) == (1,)
    assert talk.of(Anomaly) == []


def test_what_nobody_waits_for_is_told_and_not_kept() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    talk.send(stream, starts("stranger"), starts("stranger"))
    anomalies = talk.of(Anomaly)
    assert [event.message["event_id"] for event in anomalies] == ["stranger", "stranger"]
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "stranger"})
    talk.new()
    told = [event for event in talk.said if getattr(event, "job", None) == job]
    assert [type(event) for event in told] == [Accepted]


def test_early_messages_that_find_no_job_are_told_when_all_joins_are_answered() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, starts("stranger"), starts("stranger"))
    assert talk.of(Anomaly) == []
    talk.answer(join, {"event_id": "b"})
    (anomaly,) = talk.of(Anomaly)
    assert anomaly.message["event_id"] == "stranger"


def test_early_messages_are_dropped_when_no_join_is_left_to_wait_for() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, starts("b"))
    talk.lose(join)
    assert len(talk.of(Anomaly)) == 1
    three = more(talk, "b", doubted=True)
    assert not any(isinstance(e, MessageReceived) and e.job == three for e in talk.said)


def test_early_messages_are_bounded_in_number() -> None:
    talk = Talk(app(), limits=Limits(early_messages=3))
    _, stream = streaming(talk, "a")
    two = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, starts("b"), *(generating([n], "b") for n in range(5)))
    assert [event.what for event in talk.of(Anomaly)] == [
        "too many messages for jobs not known yet"
    ] * 3
    talk.answer(join, {"event_id": "b"})
    talk.new()
    assert len([e for e in talk.said if isinstance(e, MessageReceived) and e.job == two]) == 3
    # What was handed over is held no more.
    three = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, starts("c"), generating([1], "c"), completed(1, event_id="c"))
    talk.answer(join, {"event_id": "c"})
    assert talk.data_of(three) == (1,)


def test_early_messages_are_bounded_in_size() -> None:
    talk = Talk(app(), limits=Limits(message=1000))
    _, stream = streaming(talk, "a")
    talk.conversation.submit("x", fn_index=ECHO)
    talk.request(JOIN)
    talk.send(stream, starts("b"), *(generating(["x" * 300], "b") for _ in range(3)))
    assert len(talk.of(Anomaly)) == 1


def test_late_messages_of_a_job_that_is_over_are_no_riddle() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("b"), completed(1, event_id="b"))
    assert talk.data_of(two) == (1,)
    count = len(talk.said)
    talk.send(stream, generating(["late"], "b"), completed(2, event_id="b"))
    three = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, completed(3, event_id="b"))  # and is not taken for an early one, either
    talk.new()
    assert len(talk.said) == count
    talk.answer(join, {"event_id": "c"})
    talk.send(stream, starts("c"), completed(4, event_id="c"))
    assert talk.data_of(three) == (4,)
    assert talk.of(Anomaly) == []


def test_of_the_jobs_that_are_over_a_thousand_are_remembered() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "keeps the stream busy")
    for number in range(1001):
        more(talk, str(number))
        talk.send(stream, starts(str(number)), completed(1, event_id=str(number)))
    talk.send(stream, starts("1"))
    assert talk.of(Anomaly) == []
    talk.send(stream, starts("0"))
    assert len(talk.of(Anomaly)) == 1


# The end of the stream


@pytest.mark.parametrize("ending", [Talk.end, Talk.lose])
def test_a_job_is_lost_of_which_a_stream_spoke_before_its_join_was_answered(ending: Any) -> None:
    talk = Talk(app())
    first, stream = streaming(talk, "a")
    second, third = (talk.conversation.submit("x", fn_index=ECHO) for _ in range(2))
    joins = talk.requests(JOIN, JOIN)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(first) == (1,)
    talk.send(stream, starts("b"), generating(["x"], "b"))  # and its end is lost on the way
    talk.send(stream, starts("c"), completed(3, event_id="c"))
    ending(talk, stream)
    for join, event_id in zip(joins, "bc", strict=True):
        talk.answer(join, {"event_id": event_id})
    error = talk.failure_of(second)
    assert isinstance(error, ConnectionLost)
    assert list(error.outputs) == [("x",)]
    assert talk.data_of(third) == (3,)
    assert talk.new() == []  # no stream for what was lost


def test_a_clean_end_gives_unheard_jobs_one_more_stream() -> None:
    talk = Talk(app())
    job = joined(talk, "a")
    for _ in range(2):
        stream = talk.request(DATA)
        talk.open(stream)
        assert talk.new() == []
        talk.end(stream)
    error = talk.failure_of(job)
    assert isinstance(error, ConnectionLost)
    assert error.phase == "stream"
    assert len(talk.asked) == 3


def test_a_job_goes_on_on_the_second_stream() -> None:
    talk = Talk(app())
    first, stream = streaming(talk, "a")
    second = more(talk, "b")  # while the server was ending the stream for the first
    talk.send(stream, starts("a"), completed(1, event_id="a"), {"msg": "close_stream"})
    talk.end(stream)
    stream = talk.request(DATA)
    assert talk.data_of(first) == (1,)
    talk.open(stream)
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(second) == (2,)
    assert talk.of(Anomaly) == []


def test_a_clean_end_in_the_middle_loses_the_job() -> None:
    talk = Talk(app())
    heard, stream = streaming(talk, "a")
    unheard = more(talk, "b")
    talk.send(stream, starts("a"), generating(["so far"], "a"))
    talk.end(stream)
    end = talk.last_of(heard)
    assert isinstance(end, JobFailed)
    assert isinstance(end.error, ConnectionLost)
    assert list(end.outputs) == [("so far",)]
    assert list(end.error.outputs) == [("so far",)]
    assert talk.ends_of(unheard) == []
    talk.requests(DATA)


def test_what_was_heard_on_an_earlier_stream_does_not_count() -> None:
    talk = Talk(app())
    heard, stream = streaming(talk, "a")
    unheard = more(talk, "b")
    talk.send(stream, starts("a"))
    talk.end(stream)
    assert isinstance(talk.failure_of(heard), ConnectionLost)
    stream = talk.request(DATA)
    talk.open(stream)
    third = more(talk, "c", doubted=True)
    talk.send(stream, estimation("b"))
    talk.end(stream)
    assert isinstance(talk.failure_of(unheard), ConnectionLost)  # reopened, and heard
    assert talk.ends_of(third) == []


def test_an_unclean_end_loses_all() -> None:
    talk = Talk(app())
    heard, stream = streaming(talk, "a")
    unheard = more(talk, "b")
    talk.send(stream, starts("a"), generating(["so far"], "a"))
    talk.lose(stream)
    for job in (heard, unheard):
        error = talk.failure_of(job)
        assert isinstance(error, ConnectionLost)
        assert error.phase == "stream"
        assert error.job == job
    assert list(talk.failure_of(heard).outputs) == [("so far",)]
    assert list(talk.failure_of(unheard).outputs) == []
    assert talk.of(SessionLost) == []
    third = talk.conversation.submit("x", fn_index=ECHO)
    talk.same_app()
    join, stream = talk.requests(JOIN, DATA)
    talk.answer(join, {"event_id": "c"})
    talk.open(stream)
    talk.send(stream, starts("c"), completed(3, event_id="c"))
    assert talk.data_of(third) == (3,)


def test_a_job_that_is_being_joined_survives_the_end_of_a_stream() -> None:
    for ending in (Talk.end, Talk.lose):
        talk = Talk(app())
        _, stream = streaming(talk, "a")
        two = talk.conversation.submit("x", fn_index=ECHO)
        join = talk.request(JOIN)
        talk.send(stream, starts("a"), completed(1, event_id="a"))
        ending(talk, stream)
        assert talk.ends_of(two) == []
        talk.answer(join, {"event_id": "b"})
        stream = talk.request(DATA)
        talk.open(stream)
        talk.send(stream, starts("b"), completed(2, event_id="b"))
        assert talk.data_of(two) == (2,)


def test_a_refused_stream_fails_its_jobs() -> None:
    talk = Talk(app())
    job = joined(talk, "a")
    talk.answer(talk.request(DATA), {"detail": "Not authenticated"}, status=401)
    error = talk.failure_of(job)
    assert isinstance(error, AuthenticationError)
    assert error.phase == "stream"


def test_an_answer_that_is_no_stream_fails_its_jobs() -> None:
    talk = Talk(app())
    job = joined(talk, "a")
    talk.answer(talk.request(DATA), b"<html>", headers=(("content-type", "text/html"),))
    assert isinstance(talk.failure_of(job), RemoteProtocolError)


@pytest.mark.parametrize("text", ["nothing", "[1]", '{"msg":'])
def test_nonsense_on_the_stream_loses_all_and_the_session(text: str) -> None:
    talk = Talk(app(has_state=True))
    one, stream = streaming(talk, "a")
    two = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    old = talk.conversation.session_hash
    talk.send(stream, text, starts("a"))
    assert Abort(stream.id) in talk.new()
    for job in (one, two):
        assert isinstance(talk.failure_of(job), RemoteProtocolError)
    talk.answer(join, {"event_id": "b"})
    assert talk.new() == []
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)]
    assert talk.conversation.session_hash != old
    # Rule 3: what was cut is never asked for again.
    three = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    assert json.loads(body_of(join))["session_hash"] == talk.conversation.session_hash
    talk.answer(join, {"event_id": "c"})
    stream = talk.request(DATA)
    assert old not in stream.url
    talk.open(stream)
    talk.send(stream, starts("c"), completed(3, event_id="c"))
    assert talk.data_of(three) == (3,)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_message_beyond_the_limit_loses_the_session(at_once: bool) -> None:
    talk = Talk(app(), limits=Limits(message=500))
    job, stream = streaming(talk, "a")
    messages = [starts("a"), generating(["x" * 600], "a")]
    for part in [messages] if at_once else [[message] for message in messages]:
        talk.send(stream, *part)
    assert isinstance(talk.failure_of(job), RemoteProtocolError)
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=False)]


# What the server says of the whole session


@pytest.mark.parametrize("kind", ["unexpected_error", "server_stopped"])
def test_a_server_that_stops_ends_all_jobs(kind: str) -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("a"), {"msg": kind, "message": "Server stopped unexpectedly."})
    assert talk.aborted() == [stream.id]
    for job in (one, two):
        error = talk.failure_of(job)
        assert type(error) is ServerStoppedError
        assert error.message == "Server stopped unexpectedly."


def test_what_comes_after_the_stream_was_given_up_is_not_read() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, {"msg": "unexpected_error", "message": "bad"}, "no JSON", starts("a"))
    assert type(talk.failure_of(job)) is ServerStoppedError
    assert talk.of(SessionLost) == []


def test_an_unexpected_error_of_one_job_is_its_own() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, {"msg": "unexpected_error", "event_id": "a", "message": "bad"})
    assert type(talk.failure_of(one)) is ServerStoppedError
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(two) == (2,)


NOT_FOUND = [
    {"msg": "unexpected_error", "message": "404: Session not found.", "success": False},
    {"msg": "unexpected_error", "message": "Not Found", "session_not_found": True},
]


@pytest.mark.parametrize("message", NOT_FOUND)
@pytest.mark.parametrize("answer_first", [False, True])
def test_a_stream_that_came_too_early_is_asked_for_again(
    message: dict[str, Any], answer_first: bool
) -> None:
    talk = Talk(app(has_state=True))
    first, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    talk.end(stream)
    assert talk.data_of(first) == (1,)
    job = talk.conversation.submit("x", fn_index=ECHO)
    join, stream = talk.requests(JOIN, DATA)
    talk.open(stream)
    if answer_first:
        talk.answer(join, {"event_id": "b"})
        assert talk.new() == []
        talk.send(stream, message)
    else:
        talk.send(stream, message)
        assert talk.aborted() == [stream.id]
        talk.answer(join, {"event_id": "b"})
    again = [command for command in talk.new() if isinstance(command, SendRequest)]
    assert len(again) == 1
    talk.open(again[0])
    talk.send(again[0], starts("b"), completed(2, event_id="b"))
    assert talk.data_of(job) == (2,)
    assert talk.of(SessionLost) == []


@pytest.mark.parametrize("message", NOT_FOUND)
def test_a_session_that_the_server_has_forgotten_is_lost(message: dict[str, Any]) -> None:
    talk = Talk(app(has_state=True))
    job, stream = streaming(talk, "a")
    talk.send(stream, message)
    (new,) = [command for command in talk.new() if isinstance(command, SendRequest)]
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)]
    talk.open(new)
    talk.send(new, message)
    assert type(talk.failure_of(job)) is ServerStoppedError
    assert talk.aborted() == [new.id]
    # The server knows nobody now: the next join comes first again.
    talk.conversation.submit("x", fn_index=ECHO)
    talk.same_app()
    talk.request(JOIN)


def test_signs_of_life_and_announcements_mean_nothing_else() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, {"msg": "heartbeat"}, {"msg": "heartbeat", "event_id": None})
    talk.send(stream, {"msg": "alive?"}, starts("a"), {"msg": "close_stream"})
    talk.send(stream, completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)
    assert talk.of(Anomaly) == []


def test_a_message_for_nobody_is_an_anomaly() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    talk.send(stream, {"msg": "of tomorrow"}, {"no": "msg"}, {"msg": "process_starts"})
    assert [event.what for event in talk.of(Anomaly)] == [
        "a message for no job: 'of tomorrow'",
        "a message for no job: None",
        "a message for no job: 'process_starts'",
    ]
    talk.send(stream, {"msg": "x" * 100_000})
    assert len(talk.of(Anomaly)[-1].what) < 100


# Silence


def test_silence_ends_the_session() -> None:
    talk = Talk(app(has_state=True), timeouts=Timeouts(stream_idle=60.0))
    old = talk.conversation.session_hash
    job, stream = streaming(talk, "a")
    talk.sleep(59.0)
    talk.send(stream, {"msg": "heartbeat"})
    talk.sleep(59.0)
    assert talk.ends_of(job) == []
    assert talk.sleep(2.0) == [Abort(stream.id)]
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "stream_idle"
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)]
    assert talk.conversation.session_hash != old


def test_a_job_that_joined_while_its_stream_was_opened_and_of_which_nothing_comes_is_lost() -> None:
    """The server took the job, and dropped it with a stream that broke: the next one lives on."""
    talk = Talk(app(), timeouts=Timeouts(stream_idle=60.0))
    told, stream = streaming(talk, "a")
    talk.send(stream, completed(1, event_id="a"))
    talk.end(stream)
    assert talk.data_of(told) == (1,)
    job = talk.conversation.submit("x", fn_index=ECHO)
    asked = {command.method: command for command in talk.new() if isinstance(command, SendRequest)}
    talk.open(asked["GET"])  # the engine may have asked for it twice
    talk.answer(asked["POST"], {"event_id": "b"})
    for _ in range(5):
        assert talk.ends_of(job) == []
        talk.sleep(15.0)
        talk.send(asked["GET"], {"msg": "heartbeat", "event_id": None})
    error = talk.failure_of(job)
    assert isinstance(error, ConnectionLost)
    assert "60 s the server has said nothing of the job" in error.message


def test_a_job_of_which_a_stream_that_goes_on_says_nothing_is_lost() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=60.0))
    told, stream = streaming(talk, "a")
    untold = more(talk, "b")  # the server may have ended the stream when it took this one
    talk.send(stream, completed(1, event_id="a"))
    talk.end(stream)
    assert talk.data_of(told) == (1,)
    stream = talk.request(DATA)
    talk.open(stream)
    told = more(talk, "c")  # after the stream was asked for: who knows when its word comes?
    for _ in range(4):
        talk.sleep(14.9)
        talk.send(stream, {"msg": "heartbeat", "event_id": None})
        assert talk.ends_of(untold) == []
    talk.sleep(14.9)
    talk.send(stream, {"msg": "heartbeat", "event_id": None})
    error = talk.failure_of(untold)
    assert isinstance(error, ConnectionLost)
    assert "60 s the server has said nothing of the job" in error.message
    assert error.phase == "stream"
    for _ in range(20):
        talk.sleep(15.0)
        talk.send(stream, {"msg": "heartbeat", "event_id": None})
    assert talk.new() == []  # the stream goes on
    talk.send(stream, completed(3, event_id="c"))
    assert talk.data_of(told) == (3,)


def test_a_job_of_which_something_was_said_may_wait_as_long_as_there_are_heartbeats() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, estimation("a", rank=7))
    for _ in range(1000):
        talk.sleep(15.0)
        talk.send(stream, {"msg": "heartbeat"})
    talk.send(stream, completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)


def test_a_job_waits_for_ever_where_silence_has_no_deadline() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=None))
    job, stream = streaming(talk, "a")
    for _ in range(1000):
        talk.sleep(15.0)
        talk.send(stream, {"msg": "heartbeat"})
    assert talk.ends_of(job) == []


def test_a_stream_without_jobs_may_be_silent() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=60.0))
    first, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(first) == (1,)
    assert talk.sleep(1000.0) == []
    second = more(talk, "b")
    talk.sleep(59.0)
    talk.send(stream, starts("b"))
    talk.sleep(59.0)
    talk.send(stream, completed(2, event_id="b"))
    assert talk.data_of(second) == (2,)
    assert talk.of(SessionLost) == []


def test_a_stream_that_is_silent_during_a_join_is_watched_on_for_its_job() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=60.0, join=100.0))
    first, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(first) == (1,)
    second = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    assert talk.sleep(90.0) == []  # nothing is expected on the stream yet
    talk.answer(join, {"event_id": "b"})
    assert talk.sleep(29.0) == []
    assert Abort(stream.id) in talk.sleep(61.0)
    assert isinstance(talk.failure_of(second), DeadlineExceeded)


def test_without_a_limit_silence_may_last() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=None))
    job, _ = streaming(talk, "a")
    assert talk.sleep(1e6) == []
    assert talk.ends_of(job) == []


def test_a_stream_whose_head_does_not_come_is_silent_too() -> None:
    talk = Talk(app(), timeouts=Timeouts(stream_idle=60.0))
    job = joined(talk, "a")
    stream = talk.request(DATA)
    assert talk.sleep(61.0) == [Abort(stream.id)]
    assert isinstance(talk.failure_of(job), DeadlineExceeded)


# Stopping


def test_a_cancel_is_asked_for_by_name() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), generating([1], "a"))
    assert talk.conversation.cancel(job)
    request = talk.request(CANCEL)
    assert json.loads(body_of(request)) == {
        "session_hash": talk.conversation.session_hash,
        "fn_index": ECHO,
        "event_id": "a",
    }
    assert talk.ends_of(job) == []
    talk.send(stream, generating([2], "a"))  # no longer told
    talk.answer(request, {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    assert list(end.outputs) == [(1,)]


def test_the_stream_may_tell_that_a_job_was_stopped() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.conversation.cancel(job)
    request = talk.request(CANCEL)
    talk.send(stream, {"msg": "process_completed", "event_id": "a", "output": {}, "success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    talk.answer(request, {"success": True})
    assert talk.last_of(job) is end


def test_a_job_that_completes_before_it_is_stopped_was_not_stopped() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.conversation.cancel(job)
    talk.new()
    talk.send(stream, completed("too late", event_id="a"))
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"success": False}), (200, b"<"), (200, []), (404, {"success": True}), (500, b"no")],
)
def test_a_server_that_does_not_stop_the_job_says_so(status: int, body: Any) -> None:
    talk = Talk(app())
    job, _ = streaming(talk, "a")
    talk.conversation.cancel(job)
    talk.answer(talk.request(CANCEL), body, status=status)
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server


def test_a_cancel_that_is_not_answered_takes_no_longer_than_closing() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=2.0))
    job, _ = streaming(talk, "a")
    talk.conversation.cancel(job)
    request = talk.request(CANCEL)
    assert talk.sleep(1.9) == []
    assert talk.sleep(0.2) == [Abort(request.id)]
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server


def test_a_sibling_is_not_taken_along() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    three = talk.conversation.submit("x", fn_index=COUNT)  # another function
    talk.answer(talk.request(JOIN), {"event_id": "c"})
    talk.conversation.cancel(one)
    assert talk.new() == []
    end = talk.last_of(one)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    talk.conversation.cancel(three)
    talk.answer(talk.request(CANCEL), {"success": True})
    end = talk.last_of(three)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(two) == (2,)


def test_a_sibling_that_is_being_joined_is_not_taken_along_either() -> None:
    talk = Talk(app())
    one, _ = streaming(talk, "a")
    talk.conversation.submit("x", fn_index=ECHO)
    talk.request(JOIN)
    talk.conversation.cancel(one)
    assert talk.new() == []
    assert isinstance(talk.last_of(one), JobCancelled)


def test_a_cancel_under_way_takes_no_later_job_along() -> None:
    """The server would stop it too, if it were there in time: it cancels by function."""
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    talk.conversation.cancel(one)
    cancel = talk.request(CANCEL)
    two, three = (talk.conversation.submit(number, fn_index=ECHO) for number in (2, 3))
    assert talk.new() == []
    talk.conversation.submit("x", fn_index=COUNT)  # of another function
    other = talk.request(JOIN)
    assert talk.conversation.cancel(three)
    assert talk.last_of(three) == JobCancelled(session=0, job=three, stopped_on_server=False)
    talk.answer(cancel, {"success": True})
    join = talk.request(JOIN)
    assert json.loads(body_of(join))["data"] == [2]
    talk.answer(join, {"event_id": "b"})
    talk.answer(other, {"event_id": "c"})
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(two) == (2,)
    assert isinstance(talk.last_of(one), JobCancelled)


def test_a_cancel_that_is_not_answered_holds_nobody_up() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=2.0))
    one, _ = streaming(talk, "a")
    talk.conversation.cancel(one)
    cancel = talk.request(CANCEL)
    talk.conversation.submit(2, fn_index=ECHO)
    abort, join = talk.sleep(2.1)
    assert abort == Abort(cancel.id)
    assert isinstance(join, SendRequest)


def test_a_job_that_waits_for_a_cancel_shares_the_fate_of_its_session() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    talk.conversation.cancel(one)
    talk.request(CANCEL)
    two = talk.conversation.submit(2, fn_index=ECHO)
    talk.send(stream, "nonsense")
    assert isinstance(talk.failure_of(two), RemoteProtocolError)


def test_a_session_that_is_left_stays_for_a_job_that_waits_for_a_cancel() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a", timeout=5.0)
    talk.send(stream, starts("a"))
    (cancel,) = talk.sleep(5.1)
    two = talk.conversation.submit(2, fn_index=ECHO)
    talk.conversation.reset()
    assert isinstance(talk.last_of(two), JobCancelled)
    talk.answer(cancel, {"success": True})
    assert talk.aborted() == [stream.id]
    assert isinstance(talk.failure_of(one), DeadlineExceeded)


@pytest.mark.parametrize(
    ("version", "path", "body"),
    [
        ("4.16.0", "/reset", {"event_id": "a"}),
        ("4.30.0", "/reset", {"event_id": "a"}),
        ("4.31.0", "/cancel", {"session_hash": "0000000000000001", "fn_index": 0, "event_id": "a"}),
    ],
)
def test_older_servers_are_asked_their_way(version: str, path: str, body: Any) -> None:
    talk = Talk(app("sse_v2", version))
    job, _ = streaming(talk, "a")
    talk.conversation.cancel(job)
    request = talk.request(path)
    assert json.loads(body_of(request)) == body
    talk.answer(request, {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server


def test_a_server_that_can_stop_nothing_is_not_asked() -> None:
    talk = Talk(app("sse_v3", "3.50.2"))
    job, _ = streaming(talk, "a")
    talk.conversation.cancel(job)
    assert talk.new() == []
    assert isinstance(talk.last_of(job), JobCancelled)


def test_a_job_cancelled_while_joining_is_stopped_when_it_has_a_name() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    assert talk.conversation.cancel(job)
    assert talk.new() == []
    talk.answer(join, {"event_id": "a"})
    request, _stream = talk.requests(CANCEL, DATA)
    talk.answer(request, {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server


def test_a_cancel_while_joining_takes_no_longer_than_closing_and_is_still_carried_out() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=2.0))
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.conversation.cancel(job)
    assert talk.sleep(2.1) == []
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert not end.stopped_on_server
    talk.answer(join, {"event_id": "a"})
    asked = [command.url for command in talk.new() if isinstance(command, SendRequest)]
    assert any(url.endswith(CANCEL) for url in asked)
    assert talk.last_of(job) is end


def test_a_join_that_fails_after_the_cancel_was_cancelled() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.conversation.cancel(job)
    talk.answer(join, {"detail": "Queue is full."}, status=503)
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.new() == []


def test_a_job_that_was_over_when_it_got_its_name_is_not_stopped() -> None:
    talk = Talk(app())
    _, stream = streaming(talk, "a")
    job = talk.conversation.submit("x", fn_index=COUNT)
    join = talk.request(JOIN)
    talk.conversation.cancel(job)
    talk.send(stream, starts("b"), completed(1, event_id="b"))
    talk.answer(join, {"event_id": "b"})
    assert isinstance(talk.last_of(job), JobCancelled)
    assert talk.new() == []


def test_the_end_of_the_stream_cancels_what_was_being_cancelled() -> None:
    for ending in (Talk.end, Talk.lose):
        talk = Talk(app())
        job, stream = streaming(talk, "a")
        talk.send(stream, starts("a"))
        talk.conversation.cancel(job)
        talk.new()
        ending(talk, stream)
        assert isinstance(talk.last_of(job), JobCancelled)


# A job's own deadline


def test_a_job_that_takes_too_long_ends_and_is_stopped() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a", timeout=10.0)
    talk.send(stream, starts("a"), generating([1], "a"))
    (request,) = talk.sleep(10.1)
    assert isinstance(request, SendRequest)
    assert request.url.endswith(CANCEL)
    error = talk.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "job"
    assert list(error.outputs) == [(1,)]
    assert not talk.conversation.cancel(job)
    talk.send(stream, {"msg": "process_completed", "event_id": "a", "output": {}, "success": True})
    talk.answer(request, {"success": True})
    assert talk.failure_of(job) is error


def test_a_dead_job_asks_for_no_stream() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a", timeout=10.0)
    talk.send(stream, starts("a"))
    talk.sleep(10.1)
    assert isinstance(talk.failure_of(job), DeadlineExceeded)
    talk.end(stream)
    assert talk.new() == []


def test_a_deadline_while_joining_stops_the_job_later() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO, timeout=10.0)
    join = talk.request(JOIN)
    assert talk.sleep(10.1) == []
    assert isinstance(talk.failure_of(job), DeadlineExceeded)
    talk.answer(join, {"event_id": "a"})
    asked = [command.url for command in talk.new() if isinstance(command, SendRequest)]
    assert any(url.endswith(CANCEL) for url in asked)


def test_a_deadline_during_a_cancel_is_the_end() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=100.0))
    job, _ = streaming(talk, "a", timeout=10.0)
    talk.conversation.cancel(job)
    request = talk.request(CANCEL)
    assert talk.sleep(10.1) == []
    assert isinstance(talk.failure_of(job), DeadlineExceeded)
    talk.answer(request, {"success": True})
    assert isinstance(talk.failure_of(job), DeadlineExceeded)


# Streaming inputs


def streaming_message(data: Any, event_id: str) -> dict[str, Any]:
    return {**generating(data, event_id), "msg": "process_streaming"}


def test_pieces_of_an_input_go_one_by_one_as_the_server_asks() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a/b")
    for piece in (1, 2):
        talk.conversation.send(job, piece)
    assert talk.new() == []
    talk.send(stream, starts("a/b"), streaming_message(["one"], "a/b"))
    request = talk.request("/stream/a%2Fb")
    assert json.loads(body_of(request))["data"] == [1]
    talk.answer(request, {"msg": "success"})
    talk.send(stream, streaming_message(["two"], "a/b"))
    talk.answer(talk.request("/stream/a%2Fb"), {"msg": "success"})
    talk.send(stream, streaming_message(["three"], "a/b"))
    assert talk.new() == []
    talk.conversation.end_input(job)
    request = talk.request("/stream/a%2Fb/close")
    assert request.body is None
    talk.answer(request, {"msg": "success"})
    talk.send(stream, completed("three", event_id="a/b"))
    assert talk.data_of(job) == ("three",)
    assert talk.values == [("one",), ("two",), ("three",)]  # never edits


def test_a_refused_piece_fails_the_job() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), streaming_message(["one"], "a"))
    talk.conversation.send(job, 1)
    talk.answer(talk.request("/stream/a"), b"", status=404)
    error = talk.failure_of(job)
    assert isinstance(error, RemoteProtocolError)
    assert (error.phase, error.status) == ("send", 404)


# Sessions of their own


def test_an_isolated_job_has_a_session_of_its_own() -> None:
    talk = Talk(app(connect_heartbeat=True))
    job = talk.conversation.submit("x", fn_index=ECHO, isolated=True)
    join = talk.request(JOIN)
    own = json.loads(body_of(join))["session_hash"]
    assert own != talk.conversation.session_hash
    talk.answer(join, {"event_id": "a"})
    stream = talk.request(DATA)  # and no heartbeat: there is no State to keep
    assert stream.url.endswith(own)
    talk.open(stream)
    sibling = talk.conversation.submit("x", fn_index=ECHO)
    talk.request(JOIN)
    talk.conversation.cancel(job)
    talk.answer(talk.request(CANCEL), {"success": True})
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server
    assert Abort(stream.id) in talk.asked
    assert talk.ends_of(sibling) == []


def test_the_loss_of_an_isolated_session_is_no_loss_of_the_others() -> None:
    talk = Talk(app(has_state=True))
    session_hash = talk.conversation.session_hash
    job = talk.conversation.submit("x", fn_index=ECHO, isolated=True)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, "nonsense")
    assert isinstance(talk.failure_of(job), RemoteProtocolError)
    assert talk.of(SessionLost) == []
    assert talk.conversation.session_hash == session_hash


# What costs no time


def test_who_wants_the_result_only_is_told_the_result_only() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a", want=Want.RESULT)
    talk.send(stream, starts("a"), generating(["x"], "a"))
    talk.send(stream, generating([[["append", [], "y"]]], "a"), completed("xy", event_id="a"))
    assert talk.data_of(job) == ("xy",)
    assert [type(event) for event in talk.said] == [Connected, JobCompleted]


def test_what_was_not_read_is_still_there_for_a_failure() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a", want=Want.RESULT)
    talk.send(stream, starts("a"), generating(["x"], "a"))
    talk.send(stream, generating([[["append", [], "y"]]], "a"), failed("no", "a"))
    error = talk.failure_of(job)
    assert type(error) is AppError
    assert list(error.outputs) == [("x",), ("xy",)]


def test_what_was_read_is_kept_as_it_came() -> None:
    # A text is no work for the garbage collector; ten thousand edits would make it stop the loop.
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, starts("a"), generating(["x"], "a"))
    talk.send(stream, generating([[["append", [], "y"]]], "a"), failed("no", "a"))
    outputs = talk.failure_of(job).outputs
    assert {type(kept) for kept in outputs._kept.entries} == {str}
    assert list(outputs) == talk.values == [("x",), ("xy",)]


def test_what_a_streaming_input_yields_is_kept_whole() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    said = {"msg": "process_streaming", "event_id": "a", "success": True}
    for value in "xy":
        talk.send(stream, {**said, "output": {"data": [value]}})
    talk.send(stream, failed("no", "a"))
    assert list(talk.failure_of(job).outputs) == [("x",), ("y",)]


def test_messages_that_need_not_be_read_are_not_read() -> None:
    read: list[str | bytes] = []

    def json_loads(text: str | bytes) -> Any:
        read.append(text)
        return json.loads(text)

    talk = Talk(app(), json_loads=json_loads)
    job, stream = streaming(talk, "a", want=Want.RESULT)
    talk.send(stream, starts("a"), *(generating([n], "a") for n in range(10)))
    other = more(talk, "b")
    talk.send(stream, starts("b"), generating([1], "b"), compact(completed(1, event_id="a")))
    assert talk.data_of(job) == (1,)
    assert talk.ends_of(other) == []
    answers = [said for text in read if "msg" not in (said := json.loads(text))]
    assert answers == [{"event_id": "a"}, {"event_id": "b"}]
    kinds = [said["msg"] for text in read if "msg" in (said := json.loads(text))]
    of_a_job = ["process_starts", "process_generating"]  # of which only the first one
    assert kinds == [*of_a_job, *of_a_job, "process_completed"]


def test_what_was_kept_unread_is_read_within_the_limits() -> None:
    deep = [["replace", [], [[["x"]]]]]
    outputs = []
    for depth in (7, 8):  # the message, its output, data, the edits of a component, an edit, ...
        talk = Talk(app(), limits=Limits(json_depth=depth))
        job, stream = streaming(talk, "a", want=Want.STATUS)
        talk.send(stream, starts("a"), generating(["a"], "a"), generating([deep], "a"))
        talk.lose(stream)
        outputs.append(list(talk.failure_of(job).outputs))
    assert outputs == [[("a",)], [("a",), ([[["x"]]],)]]


# A protocol that is not there


def test_data_may_be_handed_over_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Traits(
        channel=Channel.SESSION_STREAM,
        handover=Handover.ASKED,
        naming=Naming.JOIN_ANSWER,
        diffs=True,
        close_stream=True,
    )
    monkeypatch.setattr(protocols, "PROTOCOLS", {**protocols.PROTOCOLS, "made up": row})
    talk = Talk(app(), protocol="made up")
    job = talk.conversation.submit("secret", fn_index=ECHO)
    join = talk.request(JOIN)
    assert json.loads(body_of(join))["data"] == []
    talk.answer(join, {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, {"msg": "send_data", "event_id": "a"})
    request = talk.request(DATA)
    assert json.loads(body_of(request))["data"] == ["secret"]
    assert json.loads(body_of(request))["event_id"] == "a"
    talk.answer(request, None)
    # It may be asked for before the answer to the join has come,
    early = talk.conversation.submit("early", fn_index=ECHO)
    join = talk.request(JOIN)
    talk.send(stream, {"msg": "send_data", "event_id": "b"})
    talk.answer(join, {"event_id": "b"})
    assert json.loads(body_of(talk.request(DATA)))["data"] == ["early"]
    # and when it is too late.
    late = more(talk, "c", timeout=5.0)
    talk.sleep(5.1)
    talk.send(stream, {"msg": "send_data", "event_id": "c"})
    assert talk.new() == []
    assert talk.failure_of(late)
    for number, event_id in ((job, "a"), (early, "b")):
        talk.send(stream, starts(event_id), completed(event_id, event_id=event_id))
        assert talk.data_of(number) == (event_id,)


def test_texts_and_streams_are_not_mixed_up() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.conversation.text(stream.id, "?", talk.now)
    assert talk.new() == []
    assert talk.ends_of(job) == []


# Several jobs of one function are cancelled


OF_NOTHING = {"msg": "process_completed", "output": {}, "success": True}


def over(event_id: str) -> dict[str, Any]:
    """What the server says of a job that it was asked to stop."""
    return {**OF_NOTHING, "event_id": event_id}


def stopped(talk: Talk, *, path: str = CANCEL) -> str:
    """The one job that the server is asked to stop now; it says that it does."""
    request = talk.request(path)
    talk.answer(request, {"success": True})
    name = json.loads(body_of(request))["event_id"]
    assert isinstance(name, str)
    return name


@pytest.mark.parametrize("version", ["6.14.0", "4.44.1"])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_two_one_runs_and_one_waits(version: str, order: str) -> None:
    talk = Talk(app("sse_v3", version))
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, estimation("a"), starts("a"), estimation("b"))
    for name in order:
        talk.conversation.cancel({"a": one, "b": two}[name])
    if version == "6.14.0":  # this server takes it out of the queue
        assert stopped(talk) == "b"
        assert talk.new() == []  # it counts as open until the server has said its last word of it
        talk.send(stream, over("b"))
        assert stopped(talk) == "a"
        talk.send(stream, over("a"))
    else:  # and this one starts it all the same
        assert stopped(talk) == "a"
        talk.send(stream, over("a"))
        assert talk.new() == []
        talk.send(stream, starts("b"))
        assert stopped(talk) == "b"
        talk.send(stream, over("b"))
    assert talk.new() == []
    for job in (one, two):
        assert isinstance(talk.last_of(job), JobCancelled)
    third = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request(JOIN), {"event_id": "c"})
    talk.send(stream, starts("c"), completed("done", event_id="c"))
    assert talk.data_of(third) == ("done",)


@pytest.mark.parametrize("order", ["abc", "cab", "bca"])
def test_of_three_none_keeps_its_slot(order: str) -> None:
    talk = Talk(app("sse_v3", "4.44.1"))
    one, stream = streaming(talk, "a")
    jobs = {"a": one, "b": more(talk, "b"), "c": more(talk, "c")}
    talk.send(stream, starts("a"), estimation("b"), estimation("c", 1))
    for name in order:
        talk.conversation.cancel(jobs[name])
    late = talk.conversation.submit("x", fn_index=ECHO)
    for name in "abc":
        talk.send(stream, starts(name))
        assert stopped(talk) == name
        talk.send(stream, generating(["too late"], name), over(name))
    talk.answer(talk.request(JOIN), {"event_id": "d"})
    talk.send(stream, starts("d"), completed("done", event_id="d"))
    assert talk.data_of(late) == ("done",)
    assert talk.values == []


def test_one_that_was_given_up_for_a_sibling_is_stopped_behind_it() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("a"), starts("b"))
    talk.conversation.cancel(one)
    assert talk.last_of(one) == JobCancelled(session=0, job=one, stopped_on_server=False)
    assert talk.new() == []
    talk.send(stream, completed("done", event_id="b"))
    assert talk.data_of(two) == ("done",)
    assert stopped(talk) == "a"
    talk.send(stream, over("a"))
    assert talk.new() == []


def test_one_that_completes_before_that_is_left_alone() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("a"), starts("b"))
    talk.conversation.cancel(one)
    talk.send(stream, completed(1, event_id="a"), completed(2, event_id="b"))
    assert talk.data_of(two) == (2,)
    assert talk.new() == []


def test_a_last_word_that_does_not_come_holds_nobody_up() -> None:
    talk = Talk(app())
    one, _ = streaming(talk, "a")
    two = more(talk, "b")
    talk.conversation.cancel(one)
    talk.conversation.cancel(two)
    assert stopped(talk) == "b"
    (request,) = talk.sleep(2.1)
    assert json.loads(getattr(request, "body", b""))["event_id"] == "a"


def test_a_job_that_does_not_start_holds_nobody_up() -> None:
    talk = Talk(app("sse_v3", "4.44.1"), timeouts=Timeouts(close=2.0))
    one, stream = streaming(talk, "a")
    talk.send(stream, estimation("a", 5))
    talk.conversation.cancel(one)
    two = talk.conversation.submit("x", fn_index=ECHO)
    assert talk.new() == []
    (join,) = talk.sleep(2.1)
    end = talk.last_of(one)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server is None
    talk.answer(join, {"event_id": "b"})
    talk.send(stream, starts("a"))  # while another is there, it is not stopped
    assert talk.new() == []
    talk.send(stream, starts("b"), completed(2, event_id="b"))
    assert talk.data_of(two) == (2,)
    assert stopped(talk) == "a"


def test_who_closes_does_not_wait_for_a_job_to_start() -> None:
    talk = Talk(app("sse_v3", "4.44.1"))
    job, stream = streaming(talk, "a")
    talk.send(stream, estimation("a", 5))
    talk.conversation.close()
    assert stopped(talk) == "a"
    assert isinstance(talk.last_of(job), JobCancelled)


def test_the_end_of_the_stream_is_the_end_of_all_that_was_given_up() -> None:
    talk = Talk(app())
    one, stream = streaming(talk, "a")
    two = more(talk, "b")
    talk.send(stream, starts("a"), starts("b"))
    talk.conversation.cancel(one)
    talk.conversation.cancel(two)
    assert stopped(talk) == "b"
    talk.end(stream)
    assert talk.sleep(10.0) == []
    assert talk.of(Anomaly) == []


@pytest.mark.parametrize("version", ["4.16.0", "4.30.0"])
def test_where_a_cancel_is_exact_no_sibling_is_in_the_way(version: str) -> None:
    talk = Talk(app("sse_v2", version))
    one, stream = streaming(talk, "a")
    two, three = more(talk, "b"), more(talk, "c")
    talk.send(stream, starts("a"), starts("b"), starts("c"))
    talk.conversation.cancel(one)
    assert stopped(talk, path="/reset") == "a"
    talk.conversation.cancel(two)
    assert stopped(talk, path="/reset") == "b"
    talk.send(stream, completed(3, event_id="c"))
    assert talk.data_of(three) == (3,)
    assert talk.new() == []


def test_a_yield_with_a_bad_field_is_an_anomaly_of_its_job() -> None:
    talk = Talk(app())
    job = talk.conversation.submit(3, fn_index=COUNT)
    talk.answer(talk.request("/queue/join"), {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    talk.send(stream, starts("a"), {**generating(["x"], "a"), "time_limit": "soon"})
    assert talk.values == [("x",)]
    (anomaly,) = talk.of(Anomaly)
    assert anomaly.job == job
    assert "time_limit" in anomaly.what


def test_a_job_that_is_late_while_it_is_cancelled_ends_once() -> None:
    talk = Talk(app(), timeouts=Timeouts(close=5.0))
    job = talk.conversation.submit(3, fn_index=COUNT, timeout=1.0)
    talk.answer(talk.request("/queue/join"), {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    talk.send(stream, starts("a"))
    talk.conversation.cancel(job)
    talk.request("/cancel")
    talk.sleep(100.0)
    assert isinstance(talk.failure_of(job), DeadlineExceeded)


def test_a_field_of_a_wrong_type_is_told_and_dropped_and_the_message_counts() -> None:
    talk = Talk(app())
    job, stream = streaming(talk, "a")
    talk.send(stream, {**starts("a"), "rank": "first"}, completed(1, event_id="a"))
    assert talk.data_of(job) == (1,)
    (anomaly,) = talk.of(Anomaly)
    assert "rank" in anomaly.what
