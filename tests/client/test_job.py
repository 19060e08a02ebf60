"""What the messages of one job mean, up to the one last thing that is said of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.call import Want
from sansio_gradio.client.steps import Deliver, Fail, Step, Stopped, TakesPieces, Way
from sansio_gradio.client.streaming_input import Chunk
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.events import (
    Anomaly,
    Connected,
    Event,
    JobCancelled,
    JobCompleted,
    JobEnd,
    JobFailed,
    MessageReceived,
    Output,
    OutputsGrew,
    StatusUpdated,
)
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import TRANSITIONS, JobState, Msg, after
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.talk import (
    COUNT,
    ECHO,
    Talk,
    app,
    compact,
    completed,
    estimation,
    failed,
    generating,
    starts,
)


class Carried(TakesPieces):
    """A job of a session, and a channel that writes down what it is asked for."""

    def __init__(self, protocol: str = "sse_v3", version: str = "6.31.0", **options: Any) -> None:
        want, pieces = options.pop("want", Want.ALL), options.pop("pieces", ())
        fn_index = options.pop("fn_index", ECHO)
        self.refuses: LocalProtocolError | None = options.pop("refuses", None)
        self.asked: list[Any] = []
        self.talk = Talk(app(protocol, version), **options)
        self.conversation = conversation = self.talk.conversation
        conversation._dispatch.channel_for = lambda attempt, *_: self._carry(attempt)  # type: ignore[method-assign]
        self.talk.look()
        self.talk.said.clear()
        if pieces:
            conversation._discovery._is_finding = True  # before the app is known
        self.id = conversation.submit("x", fn_index=fn_index, want=want)
        if pieces:
            for piece in pieces:
                conversation.send(self.id, piece)
            conversation._discovery._is_finding = False
            conversation._start(conversation._jobs[self.id])

    def _carry(self, attempt: Attempt) -> Carried:
        self.attempt = attempt
        return self

    # The channel.

    def start(self, attempt: Attempt) -> Way:
        self.asked.append("start")
        if self.refuses is not None:
            raise self.refuses
        yield from ()

    def stop(self, attempt: Attempt) -> Way:
        self.asked.append("stop")
        yield from ()

    def forget(self, attempt: Attempt) -> Way:
        self.asked.append("forget")
        yield from ()

    def send_chunk(self, attempt: Attempt, chunk: Chunk) -> Way:
        self.asked.append(chunk.data)
        yield from ()

    # What the server is made to say.

    def _take(self, *todo: Step) -> list[Any]:
        answers: list[Any] = []

        def way() -> Way:
            for step in todo:
                answers.append((yield step))

        self.conversation._go(way())
        return answers

    def deliver(self, *messages: dict[str, Any]) -> None:
        self._take(*(Deliver(self.attempt, message) for message in messages))  # type: ignore[arg-type]

    def receive(self, *messages: dict[str, Any]) -> list[Event]:
        """What is told of these messages."""
        before = len(self.said)
        self.deliver(*messages)
        return self.said[before:]

    def skip(self, text: str) -> bool:
        """Whether a yield needs not to be read."""
        read: list[str] = []

        def note(text: str) -> tuple[Message, list[str]]:
            read.append(text)
            raise RemoteProtocolError("not now")

        options = self.conversation._options
        reader = options.read_message
        object.__setattr__(options, "read_message", note)
        try:
            with suppress(RemoteProtocolError):
                self._take(Deliver(self.attempt, None, text))
        finally:
            object.__setattr__(options, "read_message", reader)
        return not read

    def fail(self, error: GradioError) -> None:
        self._take(Fail(self.attempt, error))

    def stopped(self, on_server: bool | None) -> None:
        self._take(Stopped(self.attempt, on_server))

    # What its user does.

    def cancel(self) -> bool:
        return self.conversation.cancel(self.id)

    def expire(self) -> None:
        if (job := self.conversation._jobs.get(self.id)) is not None:
            self.conversation._expire(job)

    # What has become of it.

    @property
    def is_over(self) -> bool:
        job = self.conversation._jobs.get(self.id)
        return job is None or job.is_over

    @property
    def has_left(self) -> Any:  # a type checker would take it for what it was before
        return self.id not in self.conversation._jobs

    @property
    def said(self) -> list[Event]:
        self.talk.look()
        return self.talk.said

    @property
    def end(self) -> JobEnd:
        """The one last event, behind which nothing is."""
        (end,) = [e for e in self.said if isinstance(e, JobCompleted | JobFailed | JobCancelled)]
        assert self.said[-1] is end
        assert self.is_over
        return end

    @property
    def error(self) -> GradioError:
        end = self.end
        assert isinstance(end, JobFailed)
        assert end.error.outputs == end.outputs
        assert (end.error.job, end.error.url) == (self.id, "http://app.example/")
        return end.error


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def statuses(events: list[Event]) -> list[Status]:
    return [event.status.code for event in events if isinstance(event, StatusUpdated)]


# The table


MESSAGES: dict[Msg, dict[str, Any]] = {
    **{msg: {"msg": str(msg)} for msg in Msg},
    Msg.PROGRESS: {"msg": "progress", "progress_data": [{"index": 1, "length": 2}]},
    Msg.LOG: {"msg": "log", "log": "hello", "level": "info"},
    Msg.PROCESS_GENERATING: generating(["y"]),
    Msg.PROCESS_STREAMING: {**generating(["y"]), "msg": "process_streaming"},
    Msg.PROCESS_COMPLETED: completed("z"),
}
WAY: dict[JobState, list[Msg]] = {
    JobState.JOINING: [],
    JobState.QUEUED: [Msg.ESTIMATION],
    JobState.RUNNING: [Msg.PROCESS_STARTS],
    JobState.DONE: [Msg.PROCESS_COMPLETED],
}


def at(state: JobState, **options: Any) -> Carried:
    carried = Carried(**options)
    carried.receive(*(MESSAGES[msg] for msg in WAY[state]))
    return carried


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("msg", Msg)
def test_a_message_moves_the_job_as_the_table_says(state: JobState, msg: Msg) -> None:
    carried = at(state, protocol="ws", version="3.50.2")  # where every message is legal
    told = carried.receive(MESSAGES[msg])
    if state is JobState.DONE:
        assert told == []
    elif msg in TRANSITIONS[state]:
        assert kinds(told)[:2] == [MessageReceived, StatusUpdated]
        assert Anomaly not in kinds(told)
        assert carried.is_over == (TRANSITIONS[state][msg] is JobState.DONE)
    else:
        assert kinds(told) == [MessageReceived, Anomaly]
        assert not carried.is_over
    assert carried.attempt.heard


@pytest.mark.parametrize("state", [JobState.JOINING, JobState.QUEUED, JobState.RUNNING])
@pytest.mark.parametrize("msg", [*Msg, "of tomorrow"])
def test_if_strict_what_the_table_does_not_know_is_an_error(state: JobState, msg: str) -> None:
    carried = at(state, strict=True)
    kind = next((kind for kind in Msg if kind == msg), None)
    carried.receive(MESSAGES[kind] if kind else {"msg": msg})
    if kind is None or after(state, kind) is None:
        error = carried.error
        assert type(error) is RemoteProtocolError
        assert error.phase == "job"
        assert repr(str(msg)) in error.message
    else:
        assert carried.said[0] is not None
        assert Anomaly not in kinds(carried.said)


@pytest.mark.parametrize("message", [{"msg": "of tomorrow", "x": 1}, {}, {"output": {}}])
def test_unknown_kinds_are_told_and_otherwise_without_effect(message: dict[str, Any]) -> None:
    carried = at(JobState.RUNNING)
    told = carried.receive(message)
    assert kinds(told) == [MessageReceived, Anomaly]
    assert isinstance(told[0], MessageReceived)
    assert told[0].message == message
    assert isinstance(told[1], Anomaly)
    assert told[1].job == 1
    carried.receive(completed(1))
    assert isinstance(carried.end, JobCompleted)


@given(st.lists(st.sampled_from([*Msg, "cancel", "expire", "fail", "answer"]), max_size=12))
def test_whatever_happens_one_last_thing_is_said(steps: list[str]) -> None:
    carried = Carried()
    for step in steps:
        match step:
            case "cancel":
                carried.cancel()
            case "expire":
                carried.expire()
            case "fail":
                carried.fail(ConnectionLost())
            case "answer":
                carried.stopped(True)
            case _:
                carried.receive(MESSAGES[Msg(step)])
    carried.stopped(True)
    assert carried.end is not None
    assert carried.has_left
    assert carried.asked.count("forget") == 1
    assert carried.asked.count("stop") <= 1


# What is told


def test_messages_are_told_as_they_came_and_what_they_mean_behind() -> None:
    carried = Carried(wall_offset=500.0)
    message = {**estimation("e", rank=3), "unknown": [1]}
    told = carried.receive(message)
    assert told[0] == MessageReceived(session=0, job=1, message=message)  # type: ignore[arg-type]
    assert isinstance(told[1], StatusUpdated)
    assert told[1].status.code is Status.IN_QUEUE
    assert (told[1].status.rank, told[1].status.eta) == (3, 1.5)
    assert told[1].status.time == 1500.0


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (Want.RESULT, []),
        (Want.MESSAGES, [MessageReceived, MessageReceived, MessageReceived]),
        (Want.STATUS, [StatusUpdated, StatusUpdated, StatusUpdated]),
        (Want.OUTPUTS, [Output]),
        (Want.GROWTH, [OutputsGrew]),
        (Want.OUTPUTS | Want.GROWTH, [Output]),
        (Want.OUTPUTS | Want.STATUS, [StatusUpdated, StatusUpdated, Output, StatusUpdated]),
    ],
)
def test_only_what_is_wanted_is_told(want: Want, expected: list[type]) -> None:
    carried = Carried(want=want)
    carried.receive(starts(), generating(["y"]), completed("z"))
    assert kinds(carried.said) == [*expected, JobCompleted]
    assert isinstance(carried.end, JobCompleted)


@pytest.mark.parametrize("want", [Want.RESULT, Want.STATUS, Want.OUTPUTS, Want.ALL])
def test_what_was_yielded_is_there_however_little_was_wanted(want: Want) -> None:
    carried = Carried(want=want)
    carried.receive(starts(), generating(["a"]), generating([[["append", [], "b"]]]))
    carried.receive(failed("no"))
    assert list(carried.error.outputs) == [("a",), ("ab",)]


def test_a_result_is_the_data_of_the_last_message() -> None:
    carried = Carried()
    carried.receive(starts(), generating(["y"]), completed("z", None, [1]))
    assert carried.end == JobCompleted(session=0, job=1, data=("z", None, [1]))
    assert statuses(carried.said)[-1] is Status.FINISHED
    assert carried.asked == ["start", "forget"]
    assert carried.has_left


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (failed("boom", title="Oh"), AppError, "boom"),
        (failed(None), AppError, AppError.default_message),
        ({**failed("boom"), "title": "From above"}, AppError, "boom"),
        ({**completed(1), "success": False}, AppError, AppError.default_message),
        ({"msg": "queue_full"}, QueueFullError, QueueFullError.default_message),
        ({"msg": "unexpected_error", "message": "bad"}, ServerStoppedError, "bad"),
        ({"msg": "unexpected_error"}, ServerStoppedError, ServerStoppedError.default_message),
        ({"msg": "server_stopped", "message": "bye"}, ServerStoppedError, "bye"),
        ({"msg": "process_completed", "output": {}}, ServerStoppedError, "The server cancelled"),
        ({"msg": "process_completed"}, ServerStoppedError, "The server cancelled"),
        ({"msg": "process_completed", "output": {"data": 3}}, AppError, AppError.default_message),
    ],
)
def test_every_bad_end_says_why(
    message: dict[str, Any], kind: type[GradioError], text: str
) -> None:
    carried = Carried()
    carried.receive(message)
    error = carried.error
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert text in error.message
    if isinstance(error, AppError) and text == "boom":
        assert error.title in ("Oh", "From above")


def test_success_may_be_left_out() -> None:
    for success in ({}, {"success": None}):
        carried = Carried()
        carried.receive({"msg": "process_completed", "output": {"data": [1]}, **success})
        assert isinstance(carried.end, JobCompleted)


# What it yields


def test_the_first_yield_is_whole_and_the_others_are_edits() -> None:
    carried = Carried()
    told = carried.receive(
        starts(),
        generating([["a"], 1]),
        generating([[["add", [1], "b"]], []]),
        generating([[["replace", [0], "A"], ["delete", [1], None]], [["replace", [], 2]]]),
    )
    outputs = [event for event in told if isinstance(event, Output)]
    assert carried.talk.values == [(["a"], 1), (["a", "b"], 1), (["A"], 2)]
    assert [list(output.edits) for output in outputs] == [
        [[["replace", [], ["a"]]], [["replace", [], 1]]],
        [[["add", [1], "b"]], []],
        [[["replace", [0], "A"], ["delete", [1], None]], [["replace", [], 2]]],
    ]
    assert [output.value for output in outputs] == carried.talk.values  # once asked for, it stays


def test_where_there_are_no_edits_every_yield_is_whole() -> None:
    carried = Carried("sse_v1", "4.16.0")
    carried.receive(starts(), generating([[["append", [], "b"]]]), generating([1]))
    assert carried.talk.values == [([["append", [], "b"]],), (1,)]


def test_an_output_slot_may_appear_later() -> None:
    carried = Carried()
    carried.receive(starts(), generating(["a"]), generating([[], [["replace", [], "b"]]]))
    assert carried.talk.values == [("a",), ("a", "b")]


@pytest.mark.parametrize(
    "data",
    [
        ["a value"],
        [[["append", [], 7]]],
        [[["append", ["nowhere"], "x"]]],
        [[["explode", [], "x"]]],
        [[["append", []]]],
        [[7]],
    ],
)
def test_after_edits_that_do_not_fit_only_the_result_is_true(data: list[Any]) -> None:
    carried = Carried()
    carried.receive(starts(), generating(["a"]))
    told = carried.receive(generating(data), generating([[["append", [], "c"]]]))
    assert [kind for kind in kinds(told) if kind in (Output, Anomaly)] == [Anomaly]
    carried.receive(completed("whole again"))
    assert carried.end == JobCompleted(session=0, job=1, data=("whole again",))
    assert carried.talk.values == [("a",), ("whole again",)]


def test_what_was_in_step_is_kept() -> None:
    carried = Carried()
    carried.receive(starts(), generating(["a"]), generating(["b"]), failed("no"))
    assert list(carried.error.outputs) == [("a",)]


@pytest.mark.parametrize("output", [{}, {"data": None}, {"data": "x"}, None])
def test_a_yield_without_data_is_an_anomaly(output: Any) -> None:
    carried = at(JobState.RUNNING)
    told = carried.receive({"msg": "process_generating", "output": output})
    assert kinds(told) == [MessageReceived, StatusUpdated, Anomaly]
    carried.receive(generating(["a"]))
    assert carried.talk.values == [("a",)]


def test_a_snapshot_never_changes() -> None:
    carried = Carried()
    first: Any = None
    carried.receive(starts(), generating([["a"]]))
    (first,) = carried.talk.values[0]
    carried.receive(generating([[["add", [1], "b"]]]))
    assert first == ["a"]


def test_what_is_kept_for_a_failure_is_bounded() -> None:
    carried = Carried(limits=Limits(kept_outputs=2000))
    carried.receive(starts(), generating([0]))
    carried.receive(*(generating([[["replace", [], n]]]) for n in range(1, 100)), failed("no"))
    end = carried.end
    assert isinstance(end, JobFailed)
    assert 0 < len(end.outputs) < 100
    assert list(end.outputs)[-1] == (99,)
    assert end.outputs.skipped == 100 - len(end.outputs)  # type: ignore[attr-defined]


def test_long_outputs_weigh_more() -> None:
    carried = Carried(limits=Limits(kept_outputs=10_000))
    for value in ("x" * 6000, ["y" * 6000], {"z": "z" * 6000}):
        carried.receive(generating([[["replace", [], value]]] if carried.said else [value]))
    carried.receive(failed("no"))
    end = carried.end
    assert isinstance(end, JobFailed)
    assert list(end.outputs) == [({"z": "z" * 6000},)]


# Its other ends


def test_what_cannot_be_handed_in_fails_at_once() -> None:
    carried = Carried(refuses=LocalProtocolError("no JSON"))
    error = carried.error
    assert type(error) is LocalProtocolError
    assert error.message == "no JSON"
    assert (carried.asked, carried.has_left) == (["start", "forget"], True)


@pytest.mark.parametrize("want", [Want.RESULT, Want.MESSAGES, Want.OUTPUTS])
def test_ends_have_no_status_where_none_is_wanted(want: Want) -> None:
    expired, cancelled = Carried(want=want), Carried(want=want)
    expired.expire()
    cancelled.cancel()
    cancelled.stopped(True)
    for carried in (expired, cancelled):
        assert carried.said == [carried.end]


def test_a_cancel_waits_for_the_server() -> None:
    carried = at(JobState.RUNNING)
    assert carried.cancel()
    assert carried.asked == ["start", "stop"]
    assert carried.cancel()  # it is under way already
    assert carried.asked == ["start", "stop"]
    assert not carried.is_over
    told = carried.receive(generating(["not told"]), MESSAGES[Msg.LOG])
    assert told == []
    carried.stopped(True)
    assert carried.end == JobCancelled(session=0, job=1, stopped_on_server=True)
    assert statuses(carried.said)[-1] is Status.CANCELLED
    assert carried.has_left
    assert not carried.cancel()
    assert carried.asked == ["start", "stop", "forget"]


@pytest.mark.parametrize(
    ("message", "stopped"),
    [
        ({"msg": "process_completed", "output": {}}, True),
        (completed(1), False),
        (failed("no"), False),
        ({"msg": "unexpected_error"}, False),
    ],
)
def test_the_last_message_answers_a_cancel_too(message: dict[str, Any], stopped: bool) -> None:
    carried = at(JobState.RUNNING)
    carried.cancel()
    carried.receive(message)
    assert carried.end == JobCancelled(session=0, job=1, stopped_on_server=stopped)
    carried.stopped(not stopped)
    assert carried.end is carried.said[-1]


def test_unknown_messages_are_an_anomaly_where_messages_are_not_wanted() -> None:
    carried = at(JobState.RUNNING, want=Want.STATUS)
    assert kinds(carried.receive({"msg": "of tomorrow"})) == [Anomaly]


def test_an_unknown_message_during_a_cancel_is_an_anomaly_as_ever() -> None:
    carried = at(JobState.RUNNING)
    carried.cancel()
    assert kinds(carried.receive({"msg": "of tomorrow"})) == [MessageReceived, Anomaly]


def test_a_cancel_before_anything_came() -> None:
    carried = Carried()
    assert carried.cancel()
    carried.stopped(False)
    assert carried.end == JobCancelled(session=0, job=1, stopped_on_server=False)


def test_a_cancel_after_the_end_is_none() -> None:
    carried = at(JobState.DONE)
    assert not carried.cancel()
    assert carried.asked == ["start", "forget"]


def test_a_cancel_has_its_time() -> None:
    carried = at(JobState.RUNNING)
    carried.cancel()
    carried.talk.sleep(1.9)
    assert not carried.is_over
    carried.talk.sleep(0.2)
    assert carried.end == JobCancelled(session=0, job=1, stopped_on_server=None)
    assert not carried.has_left  # the server is still being told
    carried.stopped(True)
    assert carried.has_left
    assert carried.end is carried.said[-1]


def test_a_failure_during_a_cancel_is_the_cancel() -> None:
    carried = at(JobState.RUNNING)
    carried.cancel()
    carried.fail(ConnectionLost())
    assert isinstance(carried.end, JobCancelled)
    assert carried.conversation.next_deadline() is None


def test_an_expired_job_is_over_at_once_and_the_server_is_told() -> None:
    carried = at(JobState.RUNNING)
    carried.expire()
    assert type(carried.error) is DeadlineExceeded
    assert carried.error.phase == "job"
    assert statuses(carried.said)[-1] is Status.FINISHED
    assert (carried.asked, carried.has_left) == (["start", "stop"], False)
    carried.receive(completed(1))
    carried.fail(ConnectionLost())
    carried.expire()
    carried.stopped(True)
    assert (carried.asked, carried.has_left) == (["start", "stop", "forget"], True)
    assert type(carried.error) is DeadlineExceeded


def test_a_job_that_expires_while_it_is_cancelled_is_stopped_once() -> None:
    carried = at(JobState.RUNNING)
    carried.cancel()
    carried.expire()
    assert type(carried.error) is DeadlineExceeded
    assert carried.asked == ["start", "stop"]
    carried.stopped(True)
    assert carried.has_left


def test_a_failure_is_a_copy_for_each_job() -> None:
    shared = ConnectionLost("gone", phase="stream")
    shared.__cause__ = OSError("why")
    carried = at(JobState.RUNNING)
    carried.fail(shared)
    assert carried.error is not shared
    assert carried.error.phase == "stream"
    assert carried.error.__cause__ is shared.__cause__
    assert shared.job is None
    carried.fail(shared)
    assert carried.has_left


def test_a_message_with_a_long_name_is_told_of_in_few_words() -> None:
    carried = at(JobState.RUNNING)
    carried.receive({"msg": "x" * 100_000})
    (odd,) = [event for event in carried.said if isinstance(event, Anomaly)]
    assert len(odd.what) < 100


# Streaming inputs


STREAMING = MESSAGES[Msg.PROCESS_STREAMING]


def test_pieces_wait_until_they_are_asked_for() -> None:
    carried = at(JobState.RUNNING)
    for piece in ("one", "two"):
        carried.conversation.send(carried.id, piece)
    carried.conversation.end_input(carried.id)
    assert carried.asked == ["start"]
    for _ in range(4):
        carried.receive(STREAMING)
    assert carried.asked == ["start", ["one"], ["two"], None]


def test_pieces_for_a_job_that_takes_none_end_it_before_it_is_handed_in() -> None:
    carried = Carried(pieces=["one"], fn_index=COUNT)
    assert isinstance(carried.end, JobFailed)
    assert "in pieces" in carried.end.error.message
    assert carried.asked == ["forget"]


# What it does not read


def test_a_yield_that_nobody_looks_at_is_only_kept() -> None:
    carried = yielding("a", want=Want.RESULT)
    assert all(map(carried.skip, growing("b", "c")))
    assert carried.said == []


@pytest.mark.parametrize("want", [Want.MESSAGES, Want.STATUS, Want.OUTPUTS, Want.ALL])
def test_a_yield_that_somebody_looks_at_is_read(want: Want) -> None:
    assert not at(JobState.RUNNING, want=want).skip("{}")


def test_only_what_is_legal_now_is_kept_unread() -> None:
    assert not at(JobState.QUEUED, want=Want.RESULT).skip("{}")
    over = at(JobState.DONE, want=Want.RESULT)
    before = over.said[:]
    assert over.skip("{}")  # it needs nothing any more
    assert over.said == before
    carried = at(JobState.RUNNING, want=Want.RESULT)
    carried.cancel()
    assert not carried.skip("{}")


def test_what_was_kept_unread_and_is_nonsense_spoils_only_itself() -> None:
    carried = yielding("a", want=Want.RESULT)
    carried.skip("nonsense")
    carried.receive(completed("fine"))
    assert carried.end == JobCompleted(session=0, job=1, data=("fine",))


def yielding(first: str, want: Want) -> Carried:
    """A job that has yielded once: what comes first is always read."""
    carried = at(JobState.RUNNING, want=want)
    assert not carried.skip(compact({"output": {"data": [first]}}))
    carried.receive(generating([first]))
    return carried


def growing(*texts: str) -> list[str]:
    """What the server says of a text that grows, after the first yield."""
    return [compact({"output": {"data": [[["append", [], text]]]}}) for text in texts]


def test_growth_is_told_once_until_that_is_taken() -> None:
    carried = yielding("a", want=Want.GROWTH)
    (grew,) = carried.said
    assert all(map(carried.skip, growing("b", "c")))
    (once, grew) = carried.said
    assert once is not grew
    assert isinstance(grew, OutputsGrew)
    assert (grew.session, grew.job) == (0, 1)
    assert list(grew.outputs) == [("a",), ("ab",), ("abc",)]
    assert carried.skip(*growing("d"))
    again = carried.said[-1]
    assert isinstance(again, OutputsGrew)
    assert again.outputs is grew.outputs
    assert again.outputs[-1] == ("abcd",)


def test_yields_that_are_read_and_such_that_are_not_make_one_history() -> None:
    carried = at(JobState.RUNNING, want=Want.GROWTH | Want.STATUS)
    assert kinds(carried.receive(generating(["a"]))) == [StatusUpdated, OutputsGrew]
    assert all(map(carried.skip, growing("b")))  # its status would be the same again
    assert statuses(carried.receive(MESSAGES[Msg.PROGRESS])) == [Status.PROGRESS]
    assert not carried.skip(*growing("c"))
    told = carried.receive(generating([[["append", [], "c"]]]))
    assert statuses(told) == [Status.ITERATING]
    (grew,) = (event for event in told if isinstance(event, OutputsGrew))
    assert carried.skip(*growing("d"))
    assert list(grew.outputs) == [("a",), ("ab",), ("abc",), ("abcd",)]


def test_a_value_where_edits_are_due_is_no_growth() -> None:
    carried = yielding("a", want=Want.GROWTH)
    (grew,) = carried.said
    assert kinds(carried.receive(generating(["a"]))) == [Anomaly, OutputsGrew]
    assert isinstance(grew, OutputsGrew)
    assert len(grew.outputs) == 1


def test_who_is_strict_has_every_yield_read() -> None:
    assert not at(JobState.RUNNING, want=Want.GROWTH, strict=True).skip("{}")


def test_jobs_of_a_session_count_up() -> None:
    talk = Talk(app())
    assert [talk.conversation.submit("x", fn_index=COUNT) for _ in range(3)] == [1, 2, 3]
    assert talk.of(Connected)
