"""A conversation for those who bring their own HTTP library: asked in commands, told in verbs."""

from __future__ import annotations

import pytest

from sansio_gradio.client.commands import Abort, Expect, OpenWebSocket, SendRequest, SendText
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from sansio_gradio.events import Connected, JobCompleted, Output, StatusUpdated
from sansio_gradio.limits import Timeouts
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    PLAIN,
    SRC,
    STREAM,
    Talk,
    app,
    completed,
    config,
    generating,
    starts,
)
from sansio_gradio.wire.http import BodyReceived, MessageEnded, ResponseStarted


def test_a_whole_conversation_without_a_clock() -> None:
    """Time may be left out by who sets no deadlines."""
    conversation = Conversation(SRC, entropy=counted_entropy())
    request = conversation.next_command()
    assert isinstance(request, SendRequest)
    assert request.expect is Expect.ANSWER
    body = str(config()).replace("'", '"').replace("True", "true").replace("False", "false")
    conversation.response(request.id, 200, iter([("Content-Type", "application/json")]))
    conversation.data(request.id, body.encode())
    conversation.ended(request.id)
    assert isinstance(conversation.next_event(), Connected)
    job = conversation.submit("x", fn_index=ECHO)
    request = conversation.next_command()
    assert isinstance(request, SendRequest)
    conversation.response(request.id, 200, ())
    conversation.data(request.id, b'{"event_id":"a"}')
    conversation.ended(request.id)
    stream = conversation.next_command()
    assert isinstance(stream, SendRequest)
    assert stream.expect is Expect.STREAM
    conversation.response(stream.id, 200, STREAM)
    for byte in b'data: {"msg":"process_completed","event_id":"a","output":{"data":[1]}}\n\n':
        conversation.data(stream.id, bytes([byte]))
    events = list(iter(conversation.next_event, None))
    assert events[-1] == JobCompleted(session=0, job=job, data=(1,))
    assert conversation.next_command() is None
    conversation.ended(stream.id)
    assert conversation.next_command() is None


def test_a_websocket_without_a_clock() -> None:
    conversation = Conversation(SRC, entropy=counted_entropy(), app=app(None, "3.50.2"))
    job = conversation.submit("x", fn_index=ECHO)
    socket = conversation.next_command()
    assert isinstance(socket, OpenWebSocket)
    conversation.response(socket.id, 101, ())
    conversation.text(socket.id, '{"msg":"send_hash"}')
    assert isinstance(conversation.next_command(), SendText)
    conversation.failed(socket.id, OSError("gone"))
    assert conversation.next_command() is None
    (*_, end) = iter(conversation.next_event, None)
    assert getattr(end, "job", None) == job
    assert type(getattr(end, "error", None)) is ConnectionLost


def test_a_conversation_is_a_session() -> None:
    assert issubclass(Conversation, Session)
    assert Talk(app(), id=3).conversation.id == 3


@pytest.mark.parametrize("verb", ["response", "data", "ended", "failed", "text", "handle_timer"])
def test_every_verb_tells_the_time(verb: str) -> None:
    talk = Talk(app(), timeouts=Timeouts(join=10.0))
    conversation = talk.conversation
    talk.look()
    job = conversation.submit("x", fn_index=ECHO)
    assert conversation.next_deadline() == 1000.0  # not anchored yet
    match verb:
        case "response":
            conversation.response(99, 200, (), 1005.0)
        case "data":
            conversation.data(99, b"", 1005.0)
        case "ended":
            conversation.ended(99, 1005.0)
        case "failed":
            conversation.failed(99, OSError(), 1005.0)
        case "text":
            conversation.text(99, "", 1005.0)
        case _:
            conversation.handle_timer(1005.0)
    assert conversation.next_deadline() == 1015.0
    conversation.handle_timer(1014.9)
    assert talk.ends_of(job) == []
    conversation.handle_timer(1015.0)
    assert type(talk.failure_of(job)) is DeadlineExceeded


def test_nothing_to_do_is_no_deadline() -> None:
    talk = Talk(app())
    talk.look()
    assert talk.conversation.next_deadline() is None


def test_verbs_about_unknown_exchanges_are_ignored() -> None:
    talk = Talk(app())
    talk.look()
    conversation = talk.conversation
    conversation.response(99, 200, ())
    conversation.data(99, b"x")
    conversation.text(99, "x")
    conversation.ended(99)
    conversation.failed(99, OSError())
    assert talk.new() == []
    assert len(talk.said) == 1


def test_names_of_header_fields_are_read_in_any_case() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/queue/join"), {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.conversation.response(stream.id, 200, [("Content-TYPE", "text/event-stream")])
    talk.send(stream, starts("a"), completed("x", event_id="a"))
    assert talk.data_of(job) == ("x",)


def test_what_comes_at_once_is_what_comes_one_by_one() -> None:
    news = (
        ResponseStarted(200, (("content-type", "application/json"),)),
        BodyReceived(b'{"event'),
        BodyReceived(b'_id":"a"}'),
        MessageEnded(),
    )
    talk = Talk(app())
    talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.receive(talk.request("/queue/join").id, news, 1000.0)
    assert talk.request("/queue/data").method == "GET"
    talk.conversation.receive(99, news, 1000.0)  # unknown, so it is ignored
    assert talk.conversation.next_command() is None


def test_nothing_is_read_behind_what_ends_an_exchange() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    refused = ResponseStarted(200, (("content-encoding", "gzip"),))
    body = BodyReceived(b'{"event_id":"a"}')
    join = talk.request("/queue/join")
    talk.conversation.receive(join.id, (refused, body, MessageEnded()), 1000.0)
    assert "encoded" in str(talk.failure_of(job))
    assert talk.asked == [join, Abort(join.id)]


def test_events_that_come_to_nothing_are_skipped() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=COUNT)
    talk.answer(talk.request("/queue/join"), {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    # The second does not fit, so nothing can be said of the third. The result is the last output.
    talk.send(stream, starts("a"), generating([1], "a"), generating([2], "a"))
    talk.send(stream, generating([[]], "a"), completed(3, event_id="a"))
    assert talk.data_of(job) == (3,)
    assert [output.value for output in talk.of(Output)] == [(1,), (3,)]
    assert len(talk.of(StatusUpdated)) == 5


def test_an_exchange_that_is_dropped_is_named() -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=PLAIN)
    request = talk.request("/api/predict")
    talk.conversation.cancel(job)
    assert talk.new() == [Abort(request.id)]


@pytest.mark.parametrize("error", [OSError("refused"), OSError(), ConnectFailed("refused")])
def test_where_no_connection_came_about_a_job_may_be_handed_in_again(error: Exception) -> None:
    talk = Talk(app(), retry=Retry(times=1, backoff=1.0))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.failed(talk.request("/queue/join").id, error, talk.now, connected=False)
    (again,) = talk.sleep(1.1)
    assert isinstance(again, SendRequest)
    talk.conversation.failed(again.id, error, talk.now, connected=False)
    failure = talk.failure_of(job)
    assert isinstance(failure, ConnectFailed)


def test_a_request_that_may_have_arrived_is_not_made_again() -> None:
    talk = Talk(app(), retry=Retry(times=1))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.failed(talk.request("/queue/join").id, OSError("gone"), talk.now)
    assert isinstance(talk.failure_of(job), ConnectionLost)
    assert talk.sleep(60.0) == []
