"""What clients ask, and what they get."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX, dropdown
from sansio_gradio.server.events import JobAbandoned, JobSubmitted, SendResponse
from sansio_gradio.server.limits import ServerLimits
from tests.support.served import Talk

TEXT = Slot(name="x", component=TEXTBOX)


def app_with(*names: str, version: str | None = None, **options: Any) -> App:
    app = App(version=version, **options)
    for name in names or ("f",):
        app.add(name, parameters=[TEXT], returns=[TEXT])
    return app


# The session's stream


def test_a_job_is_joined_streamed_and_closes_the_stream() -> None:
    talk = Talk(app_with())
    event_id = talk.join("hi")
    stream = talk.stream()
    submitted = talk.submitted()
    assert (submitted.data, submitted.session_hash, submitted.queued) == (["hi"], "s", True)
    talk.conversation.start(submitted.job, 1)
    talk.conversation.complete(submitted.job, ["ho"], now=2)
    messages = talk.messages(stream)
    kinds = ["estimation", "process_starts", "process_completed", "close_stream"]
    assert [message["msg"] for message in messages] == kinds
    assert {message["event_id"] for message in messages[:3]} == {event_id}
    assert messages[2]["output"]["data"] == ["ho"]


def test_messages_wait_for_the_stream() -> None:
    talk = Talk(app_with())
    talk.join("hi")
    talk.conversation.complete(talk.started(), ["ho"], now=1)
    ended = ["open", "estimation", "process_starts", "process_completed", "close_stream", "end"]
    assert talk.kinds(talk.stream()) == ended


def test_before_sse_v3_a_stream_ends_without_a_word() -> None:
    talk = Talk(app_with(version="4.16.0"))
    talk.join("hi")
    talk.conversation.complete(talk.started(), ["ho"], now=1)
    assert talk.kinds(talk.stream())[-2:] == ["process_completed", "end"]


def test_a_stream_stays_until_the_last_job_is_over() -> None:
    talk = Talk(app_with("f", "g"))
    talk.join("1")
    talk.join("2", fn_index=1)
    stream = talk.stream()
    first, second = talk.started(), talk.started()
    talk.conversation.complete(first, ["1"], now=1)
    assert talk.kinds(stream)[-1] == "process_completed"
    talk.conversation.complete(second, ["2"], now=1)
    assert talk.kinds(stream) == ["process_completed", "close_stream", "end"]


def test_a_stream_of_a_session_that_nobody_joined_is_cut() -> None:
    talk = Talk(app_with())
    assert talk.kinds(talk.stream("nobody")) == ["open", "unexpected_error", "cut"]
    assert talk.idle()


def test_a_known_session_may_wait_for_its_next_job() -> None:
    talk = Talk(app_with())
    talk.join("1")
    talk.conversation.complete(talk.started(), ["1"], now=0)
    talk.kinds(talk.stream())
    stream = talk.stream()
    assert talk.kinds(stream) == ["open"]
    talk.pass_time(31)
    assert talk.kinds(stream) == ["heartbeat", "heartbeat"]
    talk.join("2")
    assert talk.kinds(stream) == ["estimation"]


def test_two_streams_of_a_session_take_turns() -> None:
    talk = Talk(app_with("f", "g"))
    talk.join("1")
    talk.conversation.complete(talk.started(), ["1"], now=0)
    talk.kinds(talk.stream())
    one, two = talk.stream(), talk.stream()
    talk.join("2")
    talk.conversation.complete(talk.started(), ["2"], now=0)
    assert talk.kinds(one) == ["open", "estimation", "process_completed", "close_stream", "end"]
    assert talk.kinds(two) == ["open", "process_starts"]


def test_a_client_that_leaves_its_stream_loses_its_jobs_and_its_session() -> None:
    talk = Talk(app_with())
    talk.join("1")
    talk.join("2")
    running = talk.started()
    talk.leave(talk.stream())
    assert talk.event() == JobAbandoned(job=running)
    assert talk.idle()  # the second one never gets its turn
    assert talk.kinds(talk.stream()) == ["open", "unexpected_error", "cut"]
    # The dead one is pending for ever, and keeps later streams open.
    talk.join("3")
    stream = talk.stream()
    talk.conversation.complete(talk.started(), ["3"], now=1)
    assert talk.kinds(stream)[-1] == "process_completed"


@pytest.mark.parametrize(("version", "last"), [("5.50.0", "process_completed"), ("6.31.0", "end")])
def test_a_waiting_job_of_a_client_that_left_was_pending_until_614(version: str, last: str) -> None:
    talk = Talk(app_with(version=version))
    talk.join("other", session="o")
    talk.join("1")
    talk.leave(talk.stream())
    other = talk.started()
    talk.join("2")
    stream = talk.stream()
    talk.conversation.complete(other, ["other"], now=1)
    talk.conversation.complete(talk.started(), ["2"], now=1)
    assert talk.kinds(stream)[-1] == last


@pytest.mark.parametrize(
    ("version", "said", "answer"),
    [
        ("6.31.0", {"session": None}, (400, "Session hash not found.")),
        ("4.16.0", {"session": None}, (400, "No session hash provided.")),
        ("6.31.0", {"fn_index": None}, (400, "No function index provided.")),
    ],
)
def test_what_cannot_be_joined(version: str, said: Any, answer: tuple[int, str]) -> None:
    talk = Talk(app_with(version=version))
    assert talk.try_join("hi", **said) == (answer[0], {"detail": answer[1]})


@pytest.mark.parametrize("fn_index", [1, 99, -1])
def test_a_function_that_does_not_exist_breaks_the_server(fn_index: int) -> None:
    talk = Talk(app_with())
    assert talk.try_join("hi", fn_index=fn_index) == (500, "Internal Server Error")
    assert talk.kinds(talk.stream()) == ["open", "unexpected_error", "cut"]


def test_a_full_queue_refuses_with_503() -> None:
    talk = Talk(app_with(max_size=1))
    talk.join("runs")
    talk.join("waits")
    detail = "Queue is full. Max size is 1 and size is 1."
    assert talk.try_join("no") == (503, {"detail": detail})


# Cancelling


def test_a_running_job_that_is_cancelled_completes_with_nothing() -> None:
    talk = Talk(app_with())
    event_id = talk.join("1")
    job = talk.started()
    stream = talk.stream()
    talk.cancel(event_id)
    assert talk.event() == JobAbandoned(job=job)
    messages = talk.messages(stream)
    assert [message["msg"] for message in messages[2:]] == ["process_completed", "close_stream"]
    assert messages[2]["output"] == {}
    assert messages[2]["success"] is True
    talk.conversation.complete(job, ["too late"], now=1)
    assert talk.kinds(stream) == []


def test_cancelling_takes_running_siblings_along_in_silence() -> None:
    talk = Talk(app_with(concurrency_limit=5))
    named = talk.join("1")
    sibling = talk.join("2")
    jobs = [talk.started(), talk.started()]
    stream = talk.stream()
    talk.cancel(named)
    assert [talk.event(), talk.event()] == [JobAbandoned(job=job) for job in reversed(jobs)]
    ends = [m for m in talk.messages(stream) if m["msg"] == "process_completed"]
    assert [end["event_id"] for end in ends] == [named]
    assert sibling != named
    assert talk.kinds(stream) == []  # the silent sibling keeps it open


def test_cancelling_ends_the_streams_of_those_that_have_their_own() -> None:
    talk = Talk(app_with(version="6.31.0", protocol="sse", concurrency_limit=2))
    named, sibling = talk.job_stream(["1"]), talk.job_stream(["2"])
    jobs = [talk.started(), talk.started()]
    talk.cancel(talk_event_id(talk, jobs[0]))
    assert [talk.event(), talk.event()] == [JobAbandoned(job=job) for job in reversed(jobs)]
    assert [talk.kinds(stream)[-1] for stream in (named, sibling)] == ["end", "end"]


def test_cancelling_leaves_waiting_siblings_alone() -> None:
    talk = Talk(app_with())
    event_id = talk.join("1")
    talk.join("2")
    running = talk.started()
    talk.cancel(event_id)
    assert talk.event() == JobAbandoned(job=running)
    assert talk.submitted().data == ["2"]


def test_cancelling_leaves_other_functions_alone() -> None:
    talk = Talk(app_with("f", "g"))
    event_id = talk.join("1")
    talk.join("2", fn_index=1)
    first, _ = talk.started(), talk.started()
    talk.cancel(event_id)
    assert talk.event() == JobAbandoned(job=first)
    assert talk.idle()


def test_a_waiting_job_that_is_cancelled_leaves_the_line() -> None:
    talk = Talk(app_with("f", "g"))
    talk.join("runs", session="other")
    waits = talk.join("waits")
    runs = talk.started()
    stream = talk.stream()
    talk.cancel(waits)
    assert talk.kinds(stream) == ["open", "estimation", "process_completed", "close_stream", "end"]
    talk.conversation.complete(runs, ["done"], now=1)
    assert talk.idle()


def test_before_614_a_waiting_job_that_is_cancelled_starts_all_the_same() -> None:
    talk = Talk(app_with(version="6.13.0"))
    talk.join("runs", session="other")
    waits = talk.join("waits")
    runs = talk.started()
    stream = talk.stream()
    talk.cancel(waits)
    assert talk.kinds(stream) == ["open", "estimation", "process_completed", "close_stream", "end"]
    talk.conversation.complete(runs, ["done"], now=1)
    talk.conversation.complete(talk.started(), ["done, too"], now=2)
    wanted = talk.join("wanted")
    talk.conversation.complete(talk.started(), ["done"], now=3)
    later = [(message["msg"], message.get("event_id")) for message in talk.messages(talk.stream())]
    assert ("process_completed", waits) in later
    assert later[-2:] == [("process_completed", wanted), ("close_stream", None)]


def test_cancelling_what_nobody_knows_succeeds_and_does_nothing() -> None:
    talk = Talk(app_with())
    talk.cancel("nothing", session="nobody")
    event_id = talk.join("1")
    talk.cancel(event_id, session="another")
    talk.cancel(event_id, fn_index=7, session="another")
    assert isinstance(talk.event(), JobSubmitted)
    assert talk.idle()


def test_cancelling_after_the_stream_has_left_says_nothing() -> None:
    talk = Talk(app_with())
    event_id = talk.join("1")
    talk.started()
    talk.leave(talk.stream())
    talk.cancel(event_id)
    talk.join("2")
    assert talk.kinds(talk.stream()) == ["open", "estimation"]


def test_reset_stops_a_job_in_silence_and_later_does_nothing() -> None:
    talk = Talk(app_with(version="4.16.0"))
    event_id = talk.join("1")
    waiting = talk.join("2")
    job = talk.started()
    stream = talk.stream()
    assert not talk.reset("nothing")
    # Servers know the generators that have yielded, and touch no other job.
    assert not talk.reset(event_id)
    assert not talk.reset(waiting)
    assert talk.idle()
    talk.conversation.generate(job, ["a"], 1)
    assert talk.reset(event_id)
    assert talk.event() == JobAbandoned(job=job)
    kinds = [kind for kind in talk.kinds(stream) if kind != "estimation"]
    assert kinds == ["open", "process_starts", "process_generating"]

    last = Talk(app_with(version="4.34.0"))
    job_id = last.join("1")
    stopped = last.started()
    last.conversation.generate(stopped, ["a"], 1)
    assert last.reset(job_id)
    assert last.event() == JobAbandoned(job=stopped)

    newer = Talk(app_with(version="4.44.1"))
    event_id = newer.join("1")
    newer.started()
    assert newer.reset(event_id)
    assert newer.reset(None)
    assert newer.idle()
    oldest = Talk(app_with(version="3.50.2"))
    oldest.conversation.app.add("gen", parameters=[TEXT], returns=[TEXT], generator=True)
    assert not oldest.reset(None)
    oldest.call("gen", 1, session_hash="s")
    assert oldest.post("reset", session_hash="s") == (200, {"success": True})


@pytest.mark.parametrize(
    ("version", "given", "is_refused"),
    [
        ("4.44.1", "soft", False),
        ("5.0.2", "soft", True),
        ("6.31.0", "soft", True),
        ("6.31.0", ["rye", "soft"], True),
        ("6.31.0", {"a": 1}, True),
        ("6.31.0", "rye", False),
        ("6.31.0", ["rye"], False),
        ("6.31.0", None, False),
    ],
)
def test_newer_releases_refuse_a_choice_that_is_not_offered(
    version: str, given: Any, is_refused: bool
) -> None:
    app = App(version=version)
    bread = Slot(name="bread", component=dropdown(("rye", "oat")))
    app.add("bake", parameters=[TEXT, bread], returns=[TEXT])
    talk = Talk(app)
    talk.join("x", given)
    stream = talk.stream()
    if not is_refused:
        assert talk.submitted().data == ["x", given]
        return
    assert talk.idle()
    (end,) = [one for one in talk.messages(stream) if one["msg"] == "process_completed"]
    assert end["success"] is False
    assert "is not in the list of choices: ['rye', 'oat']" in end["output"]["error"]


def test_reset_ends_the_stream_of_a_job_of_its_own() -> None:
    talk = Talk(app_with(version="4.0.2"))
    stream = talk.job_stream(data=["1"])
    job = talk.started()
    talk.conversation.generate(job, ["a"], 1)
    assert talk.reset(talk_event_id(talk, job))
    assert talk.event() == JobAbandoned(job=job)
    assert talk.kinds(stream)[-1] == "end"


def stop_app(version: str) -> App:
    app = app_with("slow", "other", version=version)
    app.add("stop", cancels=["slow"])
    return app


@pytest.mark.parametrize(("version", "answer"), [("4.29.0", 200), ("4.32.0", 500), ("6.31.0", 500)])
def test_a_function_that_cancels_stopped_jobs_on_the_server_until_432(
    version: str, answer: int
) -> None:
    talk = Talk(stop_app(version))
    talk.join("1", fn_index=1)
    talk.join("2")
    talk.join("3", fn_index=1)
    _, slow = talk.started(), talk.started()
    status, body = call(talk, fn_index=2)
    assert status == answer
    if answer == 200:
        assert body["data"] == []
        assert talk.event() == JobAbandoned(job=slow)
    else:
        assert body == {"error": None}
    assert talk.idle()
    assert call(talk, fn_index=2, session_hash="nobody")[0] == answer


def test_a_websocket_that_is_cancelled_by_a_function_is_closed() -> None:
    talk = Talk(stop_app("3.50.2"))
    socket = talk.hello()
    talk.text(socket, data=["1"], fn_index=0, session_hash="s")
    job = talk.started()
    assert call(talk, fn_index=2)[0] == 200
    assert talk.event() == JobAbandoned(job=job)
    assert talk.kinds(socket)[-1] == "end"


# A stream for each job


def talk_event_id(talk: Talk, job: int) -> str:
    """Real clients learn it from ``send_data`` only."""
    found = talk.conversation._queue.find(job)
    assert found is not None
    return found.event_id


def test_a_job_with_a_stream_of_its_own() -> None:
    talk = Talk(app_with(version="4.0.2"))
    stream = talk.job_stream()
    _, asked = talk.messages(stream)
    event_id = asked["event_id"]
    assert talk.hand_over("another", []) == (500, "Internal Server Error")
    assert talk.hand_over(event_id, ["hi"]) == (200, None)
    assert talk.hand_over(event_id, ["again"]) == (500, "Internal Server Error")
    submitted = talk.submitted()
    assert (submitted.data, submitted.session_hash) == (["hi"], "s")
    talk.conversation.start(submitted.job, 0)
    talk.conversation.complete(submitted.job, ["ho"], now=1)
    assert talk.kinds(stream) == ["process_starts", "process_completed", "end"]


def test_a_job_stream_may_bring_its_data_along() -> None:
    talk = Talk(app_with(version="4.0.2"))
    stream = talk.job_stream(["hi"])
    assert talk.kinds(stream) == ["open", "estimation"]
    assert talk.submitted().data == ["hi"]


def test_a_job_stream_whose_data_does_not_come_just_ends() -> None:
    talk = Talk(app_with(version="4.0.2"))
    stream = talk.job_stream()
    talk.pass_time(5)
    assert talk.kinds(stream) == ["open", "estimation", "send_data", "end"]
    assert talk.idle()


def test_a_job_stream_gets_one_heartbeat() -> None:
    talk = Talk(app_with(version="4.0.2"))
    stream = talk.job_stream(["hi"])
    talk.started()
    talk.pass_time(60)
    assert talk.kinds(stream) == ["open", "estimation", "process_starts", "heartbeat"]


def test_a_job_stream_that_cannot_be() -> None:
    talk = Talk(app_with(version="4.0.2", max_size=1))
    assert talk.answer(talk.job_stream(fn_index=9)) == (500, "Internal Server Error")
    talk.job_stream(["runs"])
    talk.job_stream(["waits"])
    assert talk.kinds(talk.job_stream()) == ["open", "queue_full", "end"]


# Plain calls


def call(talk: Talk, name: str = "f", *data: Any, session_hash: str = "s", **said: Any) -> Any:
    exchange = talk.call(name, *data, headers=(("a", "b"),), session_hash=session_hash, **said)
    found = talk.told(exchange)
    if not found:
        return exchange
    (answer,) = found
    assert isinstance(answer, SendResponse)
    return answer.status, answer.body


def test_a_plain_call_is_answered_with_its_result() -> None:
    talk = Talk(app_with("f", "g"))
    exchange = call(talk, "g", "hi")
    submitted = talk.submitted()
    assert (submitted.function.api_name, submitted.data, submitted.queued) == ("g", ["hi"], False)
    assert submitted.headers == (("a", "b"),)
    talk.conversation.start(submitted.job, 1)
    talk.conversation.log(submitted.job, "nobody hears this")
    talk.conversation.progress(submitted.job, [])
    talk.conversation.complete(submitted.job, ["ho"], now=3)
    status, body = talk.answer(exchange)
    assert status == 200
    assert (body["data"], body["is_generating"], body["duration"]) == (["ho"], False, 2)


def test_the_index_wins_over_the_name() -> None:
    talk = Talk(app_with("f", "g"))
    call(talk, "predict", "hi", fn_index=1)
    assert talk.submitted().function.api_name == "g"
    assert call(talk, "predict", "hi") == (500, "Internal Server Error")
    assert call(talk, "f", "hi", fn_index=9) == (500, "Internal Server Error")


def test_a_plain_call_that_fails_is_a_500() -> None:
    talk = Talk(app_with())
    exchange = call(talk)
    talk.conversation.fail(talk.started(), ValueError("secret"), now=1)
    assert talk.answer(exchange) == (500, {"error": None})


def test_a_plain_call_gets_the_first_yield_only() -> None:
    talk = Talk(app_with())
    exchange = call(talk)
    job = talk.started()
    talk.conversation.generate(job, ["first"], 1)
    status, body = talk.answer(exchange)
    assert (status, body["data"], body["is_generating"]) == (200, ["first"], True)
    assert talk.event() == JobAbandoned(job=job)
    talk.conversation.generate(job, ["second"], 2)
    assert talk.told(exchange) == []


def test_a_plain_call_gets_a_generator_s_steps_one_by_one() -> None:
    talk = Talk(app_with(version="3.50.2"))
    exchange = call(talk, "f", "hi")
    job = talk.started()
    talk.conversation.generate(job, ["first"], 1)
    status, body = talk.answer(exchange)
    assert (status, body["data"], body["is_generating"]) == (200, ["first"], True)
    talk.conversation.generate(job, ["second"], 2)  # ahead of who asks
    _, body = call(talk, "f", "hi")
    assert (body["data"], body["is_generating"]) == (["second"], True)
    exchange = call(talk, "f", "hi")  # ahead of the function
    talk.conversation.generate(job, ["third"], 3)
    assert talk.answer(exchange)[1]["data"] == ["third"]
    talk.conversation.complete(job, now=4)
    _, body = call(talk, "f", "hi")
    assert (body["data"], body["is_generating"]) == ([None], False)
    assert isinstance(call(talk, "f", "hi"), int)  # a new run
    assert talk.submitted().job != job


def test_steps_that_fail_end_with_one_more() -> None:
    talk = Talk(app_with(version="3.50.2"))
    exchange = call(talk, "f", "hi")
    job = talk.started()
    talk.conversation.generate(job, ["first"], 1)
    assert talk.answer(exchange)[0] == 200
    talk.conversation.fail(job, ValueError("secret"), now=2)
    assert call(talk, "f", "hi") == (500, {"error": None})
    assert call(talk, "f", "hi")[1]["data"] == [None]
    assert isinstance(call(talk, "f", "hi"), int)


def test_steps_are_those_of_a_session_and_a_function() -> None:
    talk = Talk(app_with("f", "g", version="3.50.2"))
    exchange = call(talk, "f", "hi")
    job = talk.started()
    talk.conversation.generate(job, ["first"], 1)
    talk.answer(exchange)
    others = [call(talk, "g", "hi"), call(talk, "f", "hi", session_hash="other")]
    assert all(isinstance(other, int) for other in others)
    assert talk.submitted().job != job
    assert talk.submitted().job != job


def test_steps_that_nobody_asks_for_have_a_limit() -> None:
    talk = Talk(app_with(version="3.50.2"), limits=ServerLimits(messages=2))
    exchange = call(talk, "f", "hi")
    job = talk.started()
    for number in range(5):
        talk.conversation.generate(job, [number], number)
    assert talk.answer(exchange)[1]["data"] == [0]
    assert talk.event() == JobAbandoned(job=job)
    assert [call(talk, "f", "hi")[1]["data"] for _ in range(3)] == [[1], [2], [3]]
    assert isinstance(call(talk, "f", "hi"), int)


def test_a_plain_call_whose_client_leaves_is_stopped() -> None:
    talk = Talk(app_with())
    exchange = call(talk)
    job = talk.started()
    talk.leave(exchange)
    assert talk.event() == JobAbandoned(job=job)


def test_queued_functions_may_be_closed_to_plain_calls() -> None:
    app = app_with(api_open=False)
    app.add("open", parameters=[TEXT], returns=[TEXT], queue=False)
    talk = Talk(app)
    status, body = call(talk)
    assert status == 404
    assert "Please join the queue" in body["detail"]
    assert isinstance(call(talk, "open"), int)
