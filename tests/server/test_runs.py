"""What the application says of its jobs, and what clients get of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sansio_gradio.errors import AppError, LocalProtocolError
from sansio_gradio.protocol.diff import apply_diff
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import JSON, STATE, TEXTBOX
from sansio_gradio.server.events import ChunkReceived, InputEnded, JobAbandoned
from tests.support.served import Talk

TEXT = Slot(name="x", component=TEXTBOX)


def talk_with(*returns: Slot, version: str | None = None, **options: Any) -> Talk:
    app = App(version=version)
    app.add("f", parameters=[TEXT], returns=returns or [TEXT], **options)
    return Talk(app)


def begun(talk: Talk, *data: Any) -> tuple[int, int]:
    """A job that has started and its stream, which has been read so far."""
    talk.join(*data)
    job, stream = talk.started(), talk.stream()
    talk.told(stream)
    return job, stream


def test_each_yield_is_sent_as_what_changed_since_the_one_before() -> None:
    talk = talk_with(TEXT, TEXT)
    job, stream = begun(talk)
    talk.conversation.generate(job, ["a", [1, 2, 3]], 1)
    talk.conversation.generate(job, ["ab", [1]], 2)
    talk.conversation.complete(job, now=3)
    first, second, last, _ = talk.messages(stream)
    assert first["output"]["data"] == ["a", [1, 2, 3]]
    assert second["output"]["data"][0] == [["append", [], "b"]]
    assert apply_diff([1, 2, 3], second["output"]["data"][1]) == [1]
    assert (last["output"]["data"], last["output"]["is_generating"]) == (["ab", [1]], False)


def test_a_value_that_the_application_goes_on_changing_is_no_surprise() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    history = [["a"]]
    talk.conversation.generate(job, [history], 1)
    history.append(["b"])
    talk.conversation.generate(job, [history], 2)
    first, second = talk.messages(stream)
    assert first["output"]["data"] == [[["a"]]]
    assert second["output"]["data"] == [[["add", [1], ["b"]]]]


def test_json_is_never_sent_as_a_fine_diff_since_4313() -> None:
    for version, edits in [
        ("6.31.0", [["replace", [], {"a": 2}]]),
        ("4.29.0", [["replace", ["a"], 2]]),
    ]:
        talk = talk_with(Slot(name="j", component=JSON), version=version)
        job, stream = begun(talk)
        talk.conversation.generate(job, [{"a": 1}], 1)
        talk.conversation.generate(job, [{"a": 2}], 2)
        assert talk.messages(stream)[1]["output"]["data"] == [edits]


def test_an_output_that_appears_later_is_compared_with_nothing() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    talk.conversation.generate(job, ["a"], 1)
    talk.conversation.generate(job, ["a", "b"], 2)
    talk.conversation.generate(job, ["a"], 3)
    assert [m["output"]["data"] for m in talk.messages(stream)[1:]] == [
        [[], [["replace", [], "b"]]],
        [[]],
    ]


def test_where_no_such_server_could_send_a_diff_an_exact_one_is_sent() -> None:
    # gradio 5.30.0 fails on a key that goes from a dict inside a list.
    talk = talk_with(version="5.30.0")
    job, stream = begun(talk)
    talk.conversation.generate(job, [[{"a": 1, "b": 2}]], 1)
    talk.conversation.generate(job, [[{"a": 1}]], 2)
    edits = talk.messages(stream)[1]["output"]["data"][0]
    assert apply_diff([{"a": 1, "b": 2}], edits) == [{"a": 1}]


def test_a_job_that_yielded_nothing_completes_with_nothing() -> None:
    talk = talk_with(TEXT, TEXT)
    job, stream = begun(talk)
    talk.conversation.complete(job, now=1)
    assert talk.messages(stream)[0]["output"]["data"] == [None, None]


def test_times_are_those_of_the_steps() -> None:
    talk = talk_with()
    talk.join()
    job, stream = talk.submitted().job, talk.stream()
    talk.conversation.start(job, 10)
    talk.conversation.start(job, 11)  # again: nothing
    talk.conversation.generate(job, ["a"], 12)
    talk.conversation.generate(job, ["b"], 13)
    talk.conversation.complete(job, now=16)
    outputs = [m["output"] for m in talk.messages(stream)[2:-1]]
    assert [o["duration"] for o in outputs] == [2, 1, 3]
    assert [o["average_duration"] for o in outputs] == [2, 1.5, 2]
    talk.now = 20
    talk.join()
    talk.conversation.start(talk.submitted().job, 20)
    messages = talk.messages(talk.stream())
    assert [m.get("rank_eta", m.get("eta")) for m in messages] == [6, 6]  # the run, start to end


def test_progress_and_notices() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    talk.conversation.progress(job, [{"index": 1, "length": 2, "desc": "work", "other": 3}])
    talk.conversation.log(job, "hello")
    talk.conversation.log(job, "no", level="warning", title="T", duration=None, visible=False)
    progress, first, second = talk.messages(stream)
    unit = {"index": 1, "length": 2, "unit": None, "progress": None, "desc": "work"}
    assert progress["progress_data"] == [unit]
    assert [first[k] for k in ("log", "level", "title", "duration", "visible")] == [
        "hello",
        "info",
        "Info",
        10,
        True,
    ]
    assert [second[k] for k in ("level", "title", "duration", "visible")] == [
        "warning",
        "T",
        None,
        False,
    ]


def test_a_message_of_the_applications_own_is_sent_as_it_stands() -> None:
    talk = talk_with()
    event_id = talk.join()
    job, stream = talk.started(), talk.stream()
    talk.told(stream)
    talk.conversation.send(job, {"msg": "reading", "timestamp": 1, "value": (1, 2)})
    talk.conversation.send(job, {"value": 3})
    talk.conversation.send(job, {"msg": "x", "event_id": "another's"})
    first, second, third = talk.messages(stream)
    assert list(first.items()) == [
        ("msg", "reading"),
        ("event_id", event_id),
        ("timestamp", 1),
        ("value", [1, 2]),
    ]
    assert second == {"event_id": event_id, "value": 3}
    assert third["event_id"] == "another's"


def test_a_last_message_of_the_applications_own_ends_the_job() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    last = {"msg": "process_completed", "output": {"data": [1]}, "success": True, "extra": 1}
    talk.conversation.send(job, last)
    talk.conversation.send(job, last)
    assert talk.kinds(stream) == ["process_completed", "close_stream", "end"]


def test_where_jobs_have_no_names_none_is_added() -> None:
    talk = talk_with(version="3.50.2")
    socket = talk.hello()
    talk.text(socket, data=["a"], fn_index=0)
    talk.conversation.send(talk.started(), {"value": 1})
    assert talk.messages(socket)[-1] == {"value": 1}


def test_a_failure_after_a_yield_has_no_title() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    talk.conversation.fail(job, AppError("no", title="T"), now=1)
    failed, *_ = talk.messages(stream)
    assert (failed["success"], failed["title"]) == (False, "T")
    assert failed["output"] == {"error": "no", "duration": 10, "visible": True, "title": "T"}
    job, stream = begun(talk)
    talk.conversation.generate(job, ["a"], 1)
    talk.conversation.fail(job, now=2)
    assert talk.messages(stream)[1]["title"] is None


VERBS: list[Any] = [
    lambda c, job: c.start(job, 1),
    lambda c, job: c.progress(job, []),
    lambda c, job: c.log(job, "x"),
    lambda c, job: c.send(job, {"msg": "x"}),
    lambda c, job: c.generate(job, ["x"], 1),
    lambda c, job: c.complete(job, ["x"], now=1),
    lambda c, job: c.fail(job, now=1),
]


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_that_is_over_stays_over(verb: Any) -> None:
    talk = talk_with()
    job, stream = begun(talk)
    talk.conversation.complete(job, ["done"], now=1)
    talk.told(stream)
    verb(talk.conversation, job)
    assert talk.told(stream) == []
    assert talk.idle()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("job", [-1, 1, 99])
def test_a_job_that_never_was_is_a_mistake(verb: Any, job: int) -> None:
    talk = talk_with()
    talk.join()
    with pytest.raises(LocalProtocolError, match=f"never been a job {job}"):
        verb(talk.conversation, job)


def test_a_value_that_json_cannot_say_leaves_the_job_as_it_was() -> None:
    talk = talk_with()
    job, stream = begun(talk)
    talk.conversation.generate(job, ["a"], 1)
    conversation: Any = talk.conversation
    verbs: list[Callable[[], None]] = [
        lambda: conversation.generate(job, [object()], 2),
        lambda: conversation.complete(job, [b""], now=2),
        lambda: conversation.send(job, {"msg": {1}}),
        lambda: conversation.progress(job, [{"index": object()}]),
        lambda: conversation.log(job, object()),
    ]
    for verb in verbs:
        with pytest.raises(LocalProtocolError):
            verb()
    talk.conversation.generate(job, ["b"], 3)
    assert [m["output"]["data"] for m in talk.messages(stream)] == [["a"], [[["replace", [], "b"]]]]


# Data


@pytest.mark.parametrize(("sent", "given"), [(["a", "b", 3], ["a"]), (["a"], ["a"]), ([], [])])
def test_values_for_which_there_is_no_parameter_are_ignored(
    sent: list[Any], given: list[Any]
) -> None:
    talk = talk_with()
    talk.join(*sent)
    assert talk.submitted().data == given
    talk.call("f", *sent, session_hash="other")
    assert talk.submitted().data == given


# State


def test_a_state_stays_on_the_server_one_for_each_session() -> None:
    state = Slot(name="n", component=STATE, default=[0])
    app = App()
    app.add("count", parameters=[TEXT, state], returns=[TEXT, state])
    app.add("look", parameters=[state], returns=[TEXT])
    talk = Talk(app)
    talk.join("a", None)
    first = talk.submitted()
    assert first.data == ["a", [0]]
    marker = object()  # anything: it is never sent
    talk.conversation.complete(first.job, ["b", marker], now=1)
    assert talk.messages(talk.stream())[1]["output"]["data"] == ["b", None]
    talk.join(None, fn_index=1)
    assert talk.submitted().data == [marker]
    talk.join(None, fn_index=1, session="another")
    other = talk.next_event()
    talk.join("c", None, session="third")
    third = talk.submitted()
    assert third.data == ["c", [0]]
    assert third.data[1] is not first.data[1]  # each session has a copy of the default
    assert other is None  # its turn comes after the first look


def test_a_plain_call_without_a_session_has_a_state_for_itself() -> None:
    state = Slot(name="n", component=STATE, default=0)
    app = App()
    app.add("count", parameters=[state], returns=[state])
    talk = Talk(app)
    for _ in range(2):
        exchange = talk.call("count", None)
        submitted = talk.submitted()
        assert submitted.data == [0]
        talk.conversation.complete(submitted.job, [1], now=1)
        assert talk.answer(exchange)[1]["data"] == [None]


# Streaming input


def streaming(time_limit: float | None = None) -> tuple[Talk, int, int, str]:
    talk = talk_with(streaming=True, time_limit=time_limit)
    event_id = talk.join("1")
    job, stream = talk.started(), talk.stream()
    talk.told(stream)
    return talk, job, stream, event_id


def feed(talk: Talk, event_id: str, *data: Any) -> tuple[int, Any]:
    return talk.post(f"stream/{event_id}", data=data)


def end_input(talk: Talk, event_id: str) -> tuple[int, Any]:
    return talk.post(f"stream/{event_id}/close")


def test_a_streaming_input_goes_chunk_by_chunk() -> None:
    talk, job, stream, event_id = streaming()
    talk.conversation.generate(job, ["one"], 1)
    assert talk.idle()
    talk.now = 2
    assert feed(talk, event_id, "2") == (200, {"msg": "success"})
    assert talk.event() == ChunkReceived(job=job, data=["2"])
    talk.conversation.generate(job, ["two"], 5)
    talk.now = 6
    assert end_input(talk, event_id) == (200, {"msg": "success"})
    assert talk.event() == InputEnded(job=job)
    messages = talk.messages(stream)
    assert [(m["msg"], m.get("time_limit")) for m in messages] == [
        ("process_streaming", None),
        ("process_streaming", None),
        ("process_completed", None),
        ("close_stream", None),
    ]
    # Raw, never a diff; and each took as long as its own chunk.
    assert [m["output"]["data"] for m in messages[:3]] == [["one"], ["two"], ["two"]]
    assert [m["output"]["duration"] for m in messages[:3]] == [1, 3, 3]
    assert feed(talk, event_id, "3") == (404, "")
    assert end_input(talk, event_id) == (404, "")


def test_of_chunks_that_come_ahead_the_newest_counts() -> None:
    talk, job, _, event_id = streaming()
    feed(talk, event_id, "2")
    feed(talk, event_id, "3")
    assert talk.idle()
    talk.conversation.generate(job, ["one"], 1)
    assert talk.event() == ChunkReceived(job=job, data=["3"])
    assert talk.idle()


def test_chunks_and_results_take_turns() -> None:
    talk, job, _, event_id = streaming()
    talk.conversation.generate(job, ["one"], 1)
    feed(talk, event_id, "2")
    assert talk.event() == ChunkReceived(job=job, data=["2"])
    feed(talk, event_id, "3")
    assert talk.idle()
    talk.conversation.generate(job, ["two"], 2)
    assert talk.event() == ChunkReceived(job=job, data=["3"])


def test_an_input_that_ends_while_a_chunk_is_dealt_with_ends_with_its_result() -> None:
    talk, job, stream, event_id = streaming()
    end_input(talk, event_id)
    assert talk.idle()
    talk.conversation.generate(job, ["one"], 1)
    assert talk.event() == InputEnded(job=job)
    (completed, _) = talk.messages(stream)
    assert completed["output"]["is_generating"] is False
    assert (completed["output"]["data"], completed["cache_duration"]) == (["one"], 1)


def test_the_time_limit_counts_the_time_of_runs() -> None:
    talk, job, stream, event_id = streaming(time_limit=3)
    talk.conversation.generate(job, ["one"], 1)
    talk.now = 2
    feed(talk, event_id, "2")
    talk.conversation.generate(job, ["two"], 2.5)
    talk.now = 3
    feed(talk, event_id, "3")
    talk.conversation.generate(job, ["three"], 4.5)
    messages = talk.messages(stream)
    # What is told is less the time of the first run, whatever the others take.
    assert [(m["msg"], m.get("time_limit")) for m in messages[:2]] == [("process_streaming", 2)] * 2
    assert messages[2]["msg"] == "process_completed"


@pytest.mark.parametrize(("time_limit", "seconds"), [(None, 29), (4, 3)])
def test_a_chunk_that_does_not_come_ends_the_job(time_limit: float | None, seconds: float) -> None:
    talk, job, stream, _ = streaming(time_limit)
    talk.now = 1
    talk.conversation.generate(job, ["one"], 1)
    talk.pass_time(seconds - 0.5)
    assert talk.kinds(stream)[0] == "process_streaming"
    talk.pass_time(0.5)
    assert talk.event() == InputEnded(job=job)
    completed = talk.messages(stream)[-2]
    assert (completed["output"]["data"], completed["cache_duration"]) == (["one"], None)


def test_a_streaming_job_can_fail_and_be_cancelled() -> None:
    talk, job, stream, event_id = streaming()
    talk.conversation.generate(job, ["one"], 1)
    talk.cancel(event_id)
    assert talk.event() == JobAbandoned(job=job)
    talk.pass_time(60)
    assert talk.kinds(stream) == ["process_streaming", "process_completed", "close_stream", "end"]
