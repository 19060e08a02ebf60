"""Whoever asks for receipts is told what the server has taken, and what it said to that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.errors import LocalProtocolError, QueueFullError
from sansio_gradio.events import Accepted, JobFailed, MessageReceived
from sansio_gradio.testing.talk import (
    ECHO,
    Talk,
    app,
    body_of,
    estimation,
    failed,
    generating,
    starts,
)

JOIN, DATA = "/queue/join", "/queue/data"
WANTED = Want.RECEIPTS | Want.MESSAGES


def submitted(talk: Talk, **options: Any) -> int:
    return talk.conversation.submit("x", fn_index=ECHO, want=WANTED, **options)


def receipts(talk: Talk) -> list[tuple[int, int, Any]]:
    talk.look()
    return [(event.job, event.chunk, event.answer) for event in talk.of(Accepted)]


def test_the_answer_to_a_join_comes_before_any_message() -> None:
    talk = Talk(app())
    submitted(talk)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    job = submitted(talk)
    join = talk.request(JOIN)
    talk.send(stream, estimation("b"))
    assert receipts(talk) == [(1, 0, {"event_id": "a"})]
    talk.answer(join, {"event_id": "b", "more": 1})
    assert receipts(talk)[1:] == [(job, 0, {"event_id": "b", "more": 1})]
    of_job = [event for event in talk.said if getattr(event, "job", 0) == job]
    assert list(map(type, of_job)) == [Accepted, MessageReceived]


def test_a_refused_join_has_no_receipt() -> None:
    talk = Talk(app())
    job = submitted(talk)
    talk.answer(talk.request(JOIN), b"no", status=500)
    assert talk.failure_of(job)
    assert receipts(talk) == []


def test_who_does_not_ask_is_told_nothing() -> None:
    talk = Talk(app())
    talk.conversation.submit("x", fn_index=ECHO, want=Want.ALL & ~Want.RECEIPTS)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    assert receipts(talk) == []


@pytest.mark.parametrize("asks", [[{"msg": "send_hash"}], []])
def test_a_websocket_takes_a_job_with_its_first_word_on_it(asks: list[dict[str, str]]) -> None:
    talk = Talk(app(None, "3.50.2"))
    job = submitted(talk)
    socket = talk.socket()
    talk.open(socket)
    talk.send(socket, *asks)
    assert receipts(talk) == []
    talk.send(socket, estimation(), {"msg": "send_data"}, starts())
    assert receipts(talk) == [(job, 0, None)]


def test_a_full_queue_takes_nothing() -> None:
    talk = Talk(app(None, "3.50.2"))
    job = submitted(talk)
    socket = talk.socket()
    talk.open(socket)
    talk.send(socket, {"msg": "queue_full"})
    assert isinstance(talk.failure_of(job), QueueFullError)
    assert receipts(talk) == []


def test_each_piece_of_an_input_has_its_number_and_its_headers() -> None:
    talk = Talk(app())
    job = submitted(talk, headers={"X-Job": "1"})
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    asks = {**generating(["y"], "a"), "msg": "process_streaming"}
    assert talk.conversation.send(job, "one", headers={"X-Mine": "one"}) == 1
    assert talk.conversation.send(job, "two", latest=True, headers={"X-Mine": "two"}) == 2
    assert talk.conversation.send(job, "three") == 3
    for number, mine in ((2, "two"), (3, None)):
        talk.send(stream, asks)
        request = talk.request("/stream/a")
        assert dict(request.headers).get("x-mine") == mine
        assert "x-job" not in dict(request.headers)
        talk.answer(request, {"msg": "success"} if number == 2 else b"fine")
    assert receipts(talk)[1:] == [(job, 2, {"msg": "success"}), (job, 3, None)]
    with pytest.raises(LocalProtocolError):
        talk.conversation.send(job, "four", headers={"Host": "elsewhere"})


def test_the_answer_to_the_last_piece_may_come_after_the_end() -> None:
    talk = Talk(app())
    job = submitted(talk)
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, {**generating(["y"], "a"), "msg": "process_streaming"})
    talk.conversation.send(job, "one")
    request = talk.request("/stream/a")
    talk.send(stream, failed("no", "a"))
    talk.answer(request, {"msg": "success"})
    talk.look()
    assert isinstance(talk.said[-1], JobFailed)


@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
def test_what_is_sent_beside_the_arguments(version: str) -> None:
    talk = Talk(app("sse_v3" if version == "6.31.0" else None, version))
    submitted(talk, extra={"counter": "1"})
    if version == "6.31.0":
        body = json.loads(body_of(talk.request(JOIN)))
    else:
        socket = talk.socket()
        talk.open(socket)
        talk.send(socket, {"msg": "send_data"})
        body = talk.text()
    assert (body["data"], body["counter"]) == (["x"], "1")


def test_whether_an_endpoint_takes_its_input_in_pieces() -> None:
    known = app(
        dependencies=[
            {"inputs": [], "outputs": [], "connection": c} for c in ("stream", "sse", None)
        ]
    )
    assert [endpoint.streaming for endpoint in known.endpoints.values()] == [True, False, False]
