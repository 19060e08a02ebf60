"""The life of jobs: places in the line, limits, sessions that are forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.events import JobAbandoned
from sansio_gradio.server.limits import ServerLimits
from tests.support.served import Talk

TEXT = Slot(name="x", component=TEXTBOX)


def talk_with(
    count: int = 1, *, version: str | None = None, limits: ServerLimits | None = None, **how: Any
) -> Talk:
    app = App(version=version, **how)
    for number in range(count):
        app.add(f"f{number}", parameters=[TEXT], returns=[TEXT])
    return Talk(app, limits)


def test_jobs_of_one_function_wait_for_each_other_and_others_do_not() -> None:
    talk = talk_with(2)
    talk.join("a")
    talk.join("b")
    talk.join("c", fn_index=1)
    first, other = talk.submitted(), talk.submitted()
    assert (first.data, other.data) == (["a"], ["c"])
    assert talk.idle()
    talk.conversation.complete(first.job, ["A"], now=1)
    assert talk.submitted().data == ["b"]


def test_before_40_all_functions_shared_one_line() -> None:
    talk = talk_with(2, version="3.50.2")
    first, second = talk.hello(0), talk.hello(1)
    assert talk.kinds(first)[-1] == "send_data"
    assert talk.kinds(second)[-1] == "estimation"


@pytest.mark.parametrize(("limit", "running"), [(1, 1), (2, 2), (None, 4)])
def test_as_many_run_as_may(limit: int | None, running: int) -> None:
    talk = talk_with(concurrency_limit=limit)
    for number in range(4):
        talk.join(number)
    started = 0
    while talk.next_event():
        started += 1
    assert started == running


def test_everybody_in_line_is_told_when_it_moves() -> None:
    talk = talk_with()
    ids = [talk.join(name) for name in "abc"]
    stream = talk.stream()
    talk.conversation.complete(talk.started(), ["A"], now=1)
    told = [
        (ids.index(m["event_id"]), m["rank"], m["queue_size"])
        for m in talk.messages(stream)
        if m["msg"] == "estimation"
    ]
    assert told == [(0, 0, 1), (1, 0, 1), (2, 1, 2), (2, 0, 1)]


def test_a_crowd_is_turned_away_whatever_the_app_allows() -> None:
    talk = talk_with(limits=ServerLimits(jobs=2), concurrency_limit=None)
    talk.join("1")
    talk.join("2")
    status, body = talk.try_join("3")
    assert (status, body["detail"]) == (503, "Queue is full. Max size is 2 and size is 0.")
    talk.conversation.complete(talk.started(), ["1"], now=1)
    talk.join("3")


def test_the_job_that_asks_does_not_stand_in_its_own_way() -> None:
    talk = talk_with(version="3.50.2", limits=ServerLimits(jobs=1))
    socket = talk.hello()
    assert talk.kinds(socket) == ["send_hash", "estimation", "send_data"]
    assert talk.kinds(talk.hello()) == ["send_hash", "queue_full", "end"]


def test_the_longest_unused_session_is_forgotten() -> None:
    talk = talk_with(limits=ServerLimits(sessions=2), concurrency_limit=None)
    talk.join("a", session="a")
    talk.join("b", session="b")
    job_a, job_b = talk.started(), talk.started()
    reader = talk.stream("b")
    talk.join("a2", session="a")
    talk.join("c", session="c")
    jobs = [talk.event(), talk.event(), talk.event()]
    assert JobAbandoned(job=job_b) in jobs
    assert JobAbandoned(job=job_a) not in jobs
    assert talk.kinds(reader)[-2:] == ["unexpected_error", "cut"]
    assert talk.kinds(talk.stream("b")) == ["open", "unexpected_error", "cut"]
    assert talk.kinds(talk.stream("a"))[:2] == ["open", "estimation"]


def test_a_session_that_is_forgotten_loses_its_websockets() -> None:
    talk = talk_with(limits=ServerLimits(sessions=1), version="3.50.2", concurrency_limit=5)
    first = talk.hello(session="a")
    second = talk.hello(session="b")
    assert talk.kinds(first)[-1] == "cut"
    assert talk.kinds(second)[-1] == "send_data"


def test_a_session_is_forgotten_once() -> None:
    talk = talk_with(limits=ServerLimits(sessions=1, messages=2))
    talk.join("a", session="a")
    job = talk.started()
    for _ in range(3):
        talk.conversation.log(job, "one too many")
    assert talk.conversation.next_deadline() == talk.now  # it is to be forgotten
    talk.join("b", session="b")  # and is, in favour of this one
    talk.pass_time(0)
    assert talk.event() == JobAbandoned(job=job)
    assert talk.submitted().data == ["b"]
    assert talk.idle()


def test_messages_that_nobody_reads_are_kept_up_to_a_limit() -> None:
    talk = talk_with(limits=ServerLimits(messages=5))
    talk.join("a")
    job = talk.started()
    for _ in range(3):
        talk.conversation.log(job, "x")
    assert talk.idle()
    talk.conversation.log(job, "one too many")
    talk.conversation.log(job, "and another one")
    assert talk.idle()
    assert talk.conversation.next_deadline() == talk.now
    talk.pass_time(0)
    assert talk.event() == JobAbandoned(job=job)
    talk.conversation.log(job, "more")
    assert talk.kinds(talk.stream()) == ["open", "unexpected_error", "cut"]


def test_a_last_message_that_is_one_too_many_ends_job_and_session() -> None:
    talk = talk_with(limits=ServerLimits(messages=2))
    talk.join("a")
    talk.conversation.complete(talk.started(), ["A"], now=0)
    talk.pass_time(0)
    assert talk.idle()
    assert talk.kinds(talk.stream()) == ["open", "unexpected_error", "cut"]


def test_messages_that_are_read_have_no_limit() -> None:
    talk = talk_with(limits=ServerLimits(messages=5))
    talk.join("a")
    job, stream = talk.started(), talk.stream()
    for _ in range(20):
        talk.conversation.log(job, "x")
    assert talk.kinds(stream).count("log") == 20


def test_a_plain_call_survives_the_stream_of_its_session() -> None:
    talk = talk_with()
    talk.join("a")
    talk.submitted()
    exchange = talk.call("f0", "b", session_hash="s")
    called = talk.submitted()
    talk.leave(talk.stream())
    assert talk.event() == JobAbandoned(job=0)
    talk.conversation.complete(called.job, ["B"], now=1)
    assert talk.answer(exchange)[0] == 200
