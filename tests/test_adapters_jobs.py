"""What a client keeps of its jobs, and the readers of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import AppError, JobCancelledError
from sansio_gradio.events import JobCancelled, JobCompleted, JobFailed, Output
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Change
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._jobs import (
    KEPT_STATUSES,
    History,
    JobRecord,
    MessageQueue,
    Nothing,
    OutputUpdate,
    Signal,
    StatusHistory,
    weight,
)

LIMIT = 1 << 20


def whole(*values: Any) -> Change:
    return tuple([["replace", [], value]] for value in values)


def more(text: str) -> Change:
    return ([["append", [], text]],)


def output(change: Change) -> Output:
    return Output(session=1, job=1, edits=change, snapshot=tuple)


def status(code: Status, **said: Any) -> StatusUpdate:
    return StatusUpdate(code, 0.0, Message(**said))


def unwrapped(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def new_job(messages: MessageQueue | None = None) -> JobRecord:
    return JobRecord(limit=LIMIT, shape=unwrapped, messages=messages)


def completed(*data: Any) -> JobCompleted:
    return JobCompleted(session=1, job=1, data=data)


def failed(error: AppError) -> JobFailed:
    return JobFailed(session=1, job=1, error=error)


def ready(reader: Iterator[Any]) -> list[Any]:
    """What there is to read now."""
    found: list[Any] = []
    for item in reader:
        if item is Nothing.YET:
            break
        found.append(item)
    return found


# Signals


def test_who_waits_is_called_once() -> None:
    signal, calls = Signal(), list[int]()
    assert signal.subscribe(lambda: calls.append(1), signal.version)
    signal.notify()
    signal.notify()
    assert calls == [1]


def test_who_comes_too_late_is_told_so_and_not_called() -> None:
    signal, calls = Signal(), list[int]()
    seen = signal.version
    signal.notify()
    assert not signal.subscribe(lambda: calls.append(1), seen)
    signal.notify()
    assert calls == []


def test_no_notification_is_missed_between_threads() -> None:
    signal, counted, limit = Signal(), [0], 2000
    interval = sys.getswitchinterval()

    def count() -> None:
        for _ in range(limit):
            counted[0] += 1
            signal.notify()

    thread = threading.Thread(target=count)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        while True:
            seen = signal.version
            if counted[0] == limit:
                break
            gate = threading.Lock()
            gate.acquire()
            if signal.subscribe(gate.release, seen):
                assert gate.acquire(timeout=10)
        thread.join()
    finally:
        sys.setswitchinterval(interval)


# Outputs


def test_what_grows_can_be_followed() -> None:
    history = History(diffs=True, limit=LIMIT)
    reader = history.follow()
    assert ready(reader) == []
    history.add(whole("a"), 1)
    history.add(more("b"), 1)
    assert ready(reader) == [("a",), ("ab",)]
    assert ready(reader) == []
    history.add(more("c"), 1)
    assert ready(reader) == [("abc",)]
    assert ready(history.follow()) == [("a",), ("ab",), ("abc",)]


@given(
    st.lists(st.one_of(st.text(max_size=3), st.none()), min_size=20, max_size=40),
    st.integers(1, 3000),
)
def test_whoever_keeps_up_misses_nothing_however_little_is_kept(
    steps: list[str | None], limit: int
) -> None:
    """None: the reader who does not keep up looks at what there is."""
    history = History(diffs=True, limit=limit)
    eager, lazy = history.follow(), history.follow()
    text, expected, seen, seen_late = "", list[str](), list[str](), list[str]()
    for step in steps:
        if step is None:
            seen_late += [value for (value,) in ready(lazy)]
            continue
        text += step
        expected.append(text)
        history.add(more(step) if len(expected) > 1 else whole(step), len(step))
        seen += [value for (value,) in ready(eager)]
    seen_late += [value for (value,) in ready(lazy)]
    assert seen == expected
    assert seen_late[-1:] == expected[-1:]
    rest = iter(expected)
    assert all(value in rest for value in seen_late)  # in order, with gaps


# Statuses


def test_statuses_are_found_by_their_place() -> None:
    history = StatusHistory()
    assert history.at(0) is None
    first, second = status(Status.IN_QUEUE), status(Status.PROCESSING)
    history.add(0, first)
    history.add(3, second)
    assert history.at(0) == (0, 0, first)
    assert history.at(1) == (1, 3, second)
    assert history.at(2) is None


def test_of_very_many_statuses_the_newest_are_kept() -> None:
    history = StatusHistory()
    many = 10 * KEPT_STATUSES
    for rank in range(many):
        history.add(0, status(Status.IN_QUEUE, rank=rank))
        assert history.at(rank) is not None  # whoever keeps up misses nothing
    kept = list[int]()
    place = 0
    while (entry := history.at(place)) is not None:
        place = entry[0] + 1
        kept.append(entry[2].rank)
    assert kept == list(range(kept[0], many))
    assert KEPT_STATUSES <= len(kept) <= 2 * KEPT_STATUSES


# Messages


def generating(data: list[Any]) -> Message:
    return {"msg": "process_generating", "output": {"data": data, "is_generating": True}}


def test_edits_are_made_whole_in_messages() -> None:
    queue = MessageQueue(LIMIT)
    queue.add(generating(["a"]))
    queue.add_change(whole("a"), 1)
    edits: Change = ([["append", [], "b"]],)
    as_sent = generating(list(edits))
    queue.add(as_sent)
    queue.add_change(edits, 1)
    assert queue.take() == generating(["a"])
    assert queue.take() == generating(["ab"])
    assert queue.take() is Nothing.YET
    assert as_sent == generating([[["append", [], "b"]]])  # observers have it, too


def test_a_message_is_held_until_it_is_clear_what_it_yields() -> None:
    queue = MessageQueue(LIMIT)
    queue.add({"msg": "estimation", "rank": 0})
    assert queue.take() is Nothing.YET
    queue.release()
    assert queue.take() == {"msg": "estimation", "rank": 0}
    queue.release()
    assert queue.take() is Nothing.YET


def test_the_next_message_releases_the_one_before() -> None:
    queue = MessageQueue(LIMIT)
    queue.add({"msg": "process_starts"})
    queue.add({"msg": "log", "log": "hello"})
    assert queue.take() == {"msg": "process_starts"}


def test_a_yield_that_did_not_fit_repeats_what_is_known() -> None:
    queue = MessageQueue(LIMIT)
    queue.add(generating(["a"]))
    queue.add_change(whole("a"), 1)
    queue.add(generating([[["delete", ["nowhere"], None]]]))
    queue.release()
    queue.take()
    assert queue.take() == generating(["a"])


def test_a_change_without_a_message_is_dropped() -> None:
    queue = MessageQueue(LIMIT)
    queue.add_change(whole("a"), 1)
    assert queue.take() is Nothing.YET


def test_the_fraction_of_the_progress_is_filled_in() -> None:
    queue = MessageQueue(LIMIT)
    unit = {"index": 1, "length": 4, "unit": "steps", "progress": None, "desc": None}
    queue.add({"msg": "progress", "progress_data": [unit]})
    queue.release()
    message = queue.take()
    assert isinstance(message, dict)
    assert message["progress_data"] == [{**unit, "progress": 0.25}]
    assert unit["progress"] is None


@given(st.lists(st.text(max_size=20), min_size=10), st.integers(1, 400))
def test_messages_that_nobody_reads_are_dropped_and_counted(texts: list[str], limit: int) -> None:
    queue = MessageQueue(limit)
    text = ""
    for count, piece in enumerate(texts):
        text += piece
        queue.add({"msg": "log", "log": piece})
        queue.add(generating([]))
        queue.add_change(more(piece) if count else whole(piece), len(piece) + 10)
    queue.add({"msg": "process_completed", "output": {"data": [text]}})
    queue.release()
    taken = list[Message]()
    while not isinstance(message := queue.take(), Nothing):
        taken.append(message)
    assert queue.skipped + len(taken) == 2 * len(texts) + 1
    assert taken[-1]["msg"] == "process_completed"
    if len(taken) > 1:
        assert taken[-2] == generating([text])


# One job


def test_a_new_job_is_starting() -> None:
    job = new_job()
    assert job.status.code is Status.STARTING
    assert not job.is_over
    assert job.outputs() == []


def test_everything_is_read_in_the_order_of_its_coming() -> None:
    job = new_job()
    queued, running = status(Status.IN_QUEUE), status(Status.PROCESSING)
    done = status(Status.FINISHED, success=True)
    updates, outputs = job.read_updates(), job.read_outputs()
    job.add_status(queued)
    job.add_status(running)
    job.add_output(output(whole("a")))
    assert ready(updates) == [queued, running, OutputUpdate(outputs="a", final=False, success=True)]
    job.add_output(output(more("b")))
    job.add_status(done)
    job.add_end(completed("ab"))
    job.publish()
    final = OutputUpdate(outputs="ab", final=True, success=True)
    assert ready(updates) == [attrs_of("ab"), done, final]
    assert ready(job.read_updates()) == [
        queued,
        running,
        attrs_of("a"),
        attrs_of("ab"),
        done,
        final,
    ]
    assert ready(outputs) == ["a", "ab"]
    assert job.outputs() == ["a", "ab"]
    assert job.result == "ab"
    assert job.status is done


def attrs_of(value: Any) -> OutputUpdate:
    return OutputUpdate(outputs=value, final=False, success=True)


def test_a_job_that_yields_nothing_has_its_result_as_output() -> None:
    job = new_job()
    reader = job.read_outputs()
    assert ready(reader) == []
    job.add_end(completed(1, 2))
    job.publish()
    assert ready(reader) == [(1, 2)]
    assert job.outputs() == [(1, 2)]


def test_a_job_that_failed_raises_after_its_outputs() -> None:
    job = new_job()
    error = AppError("no")
    job.add_output(output(whole("a")))
    job.add_end(failed(error))
    job.publish()
    reader = job.read_outputs()
    assert next(reader) == "a"
    with pytest.raises(AppError) as caught:
        next(reader)
    assert caught.value is error
    updates = job.read_updates()
    assert next(updates) == attrs_of("a")
    last = next(updates)
    assert isinstance(last, dict)
    assert (last.code, last.success) == (Status.FINISHED, False)
    assert next(updates) == OutputUpdate(outputs="a", final=True, success=False)
    with pytest.raises(AppError):
        next(updates)
    assert job.outputs() == ["a"]


def test_a_cancelled_job_is_over_at_once_and_stays_so() -> None:
    job = new_job()
    reader = job.read_updates()
    job.add_output(output(whole("a")))
    assert job.cancel()
    job.show()
    assert job.is_over
    assert not job.cancel()
    job.add_status(status(Status.FINISHED))
    job.add_end(JobCancelled(session=1, job=1, stopped_on_server=True))
    job.publish()
    assert job.stopped_on_server is True
    assert next(reader) == attrs_of("a")
    last = next(reader)
    assert isinstance(last, dict)
    assert last.code is Status.CANCELLED
    with pytest.raises(JobCancelledError) as caught:
        next(reader)
    assert list(caught.value.outputs) == [("a",)]
    assert job.status.code is Status.CANCELLED
    assert job.outputs() == ["a"]


def test_a_job_that_the_client_gave_up_by_itself_is_cancelled() -> None:
    job = new_job()
    job.add_status(status(Status.CANCELLED))
    job.add_end(JobCancelled(session=1, job=1, stopped_on_server=False))
    job.publish()
    assert job.was_cancelled
    assert job.stopped_on_server is False
    assert isinstance(job.outcome_error(), JobCancelledError)
    reader = job.read_updates()
    next(reader)
    with pytest.raises(JobCancelledError):
        next(reader)


def test_too_late_to_cancel() -> None:
    job = new_job()
    job.add_end(completed(1))
    job.publish()
    assert not job.cancel()
    assert job.result == 1


def test_the_world_may_take_the_outcome_first() -> None:
    job = new_job()
    taken: list[JobRecord] = []
    job.on_outcome = taken.append
    job.keeps = object()
    job.add_end(completed(1))
    job.publish()
    assert taken == [job]
    assert not job.is_over
    job.show()
    assert job.is_over
    assert job.keeps is None


def test_an_error_that_is_no_event_ends_a_job_too() -> None:
    job = new_job()
    error = AppError("never begun")
    job.add_end(error)
    job.publish()
    assert job.outcome_error() is error


def test_a_result_that_cannot_be_shaped_is_that_jobs_error_only() -> None:
    def broken(_values: tuple[Any, ...]) -> Any:
        raise KeyError("shape")

    job = JobRecord(limit=LIMIT, shape=broken)
    job.add_end(completed(1))
    job.publish()
    assert isinstance(job.outcome_error(), KeyError)


def test_messages_are_read_until_the_job_is_over() -> None:
    job = new_job(MessageQueue(LIMIT))
    reader = job.read_messages()
    job.add_message(generating(["a"]))
    job.add_output(output(whole("a")))
    job.add_message({"msg": "process_completed"})
    assert ready(reader) == [generating(["a"])]
    job.add_end(completed("a"))
    job.publish()
    assert ready(reader) == [{"msg": "process_completed"}]


def test_a_job_whose_messages_nobody_asked_for_keeps_none() -> None:
    job = new_job()
    job.add_message({"msg": "process_starts"})
    job.add_end(completed("a"))
    job.publish()
    assert ready(job.read_messages()) == []


def test_every_change_is_announced() -> None:
    job = new_job()
    versions = [job.changed.version]
    job.add_output(output(whole("a")))
    job.publish()
    versions.append(job.changed.version)
    job.add_end(completed("a"))
    job.publish()
    versions.append(job.changed.version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize(
    ("value", "least"),
    [("x" * 100, 100), (["x" * 100, {"k": "y" * 50}], 150), (list(range(100)), 100), (None, 1)],
)
def test_the_weight_of_a_value_counts_its_texts(value: Any, least: int) -> None:
    assert least <= weight(value) <= 20 * least + 100
