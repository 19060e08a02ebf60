"""One job of a client: what is read of it, and how it ends."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from sansio_gradio.client.call import Call
from sansio_gradio.errors import AppError, JobCancelledError
from sansio_gradio.events import JobCancelled, JobCompleted, JobFailed, Output
from sansio_gradio.protocol.outputs import Change, Outputs
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord, OutputUpdate, Signal
from tests.adapters.test_history import LIMIT, generating, more, ready, status, whole


def output(change: Change) -> Output:
    return Output(session=1, job=1, edits=change, value=())


def outputs(*changes: Change) -> Outputs:
    """What a job has yielded so far."""
    found = Outputs(diffs=True, limit=LIMIT)
    for change in changes:
        found.add(change, 1)
    return found


def unwrapped(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def new_job(messages: MessageQueue | None = None) -> JobRecord:
    return JobRecord(call=Call(), shape=unwrapped, messages=messages)


def completed(*data: Any) -> JobCompleted:
    return JobCompleted(session=1, job=1, data=data)


def failed(error: AppError) -> JobFailed:
    return JobFailed(session=1, job=1, error=error)


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
                assert gate.acquire(timeout=PATIENCE)
        thread.join()
    finally:
        sys.setswitchinterval(interval)


# One job


def test_a_new_job_is_starting() -> None:
    job = new_job()
    assert job.status.code is Status.STARTING
    assert not job.is_over
    assert job.outputs() == []


def test_everything_is_read_in_the_order_of_its_coming() -> None:
    job = new_job()
    queued, running = status(Status.IN_QUEUE), status(Status.PROCESSING)
    done = status(Status.FINISHED, {"success": True})
    updates, values = job.read_updates(), job.read_outputs()
    job.add_status(queued)
    job.add_status(running)
    yielded = outputs(whole("a"))
    job.add_outputs(yielded)
    assert ready(updates) == [queued, running, OutputUpdate(outputs="a", final=False, success=True)]
    yielded.add(more("b"), 1)
    job.add_outputs(yielded)
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
    assert ready(values) == ["a", "ab"]
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


def test_outputs_are_made_when_they_are_read() -> None:
    made: list[Any] = []

    def shape(values: tuple[Any, ...]) -> Any:
        made.append(values)
        return unwrapped(values)

    job = JobRecord(call=Call(), shape=shape)
    assert job.outputs() == []
    yielded = outputs(whole("a"), more("b"), more("c"))
    job.add_outputs(yielded)
    found = job.outputs()
    assert (len(found), repr(found), made) == (3, "<JobOutputs: 3>", [])
    assert (found[-1], made) == ("abc", [("abc",)])
    assert list(reversed(found)) == ["abc", "ab", "a"]
    assert (found[:2], found[::-2], found == ["a", "ab", "abc"]) == (
        ["a", "ab"],
        ["abc", "a"],
        True,
    )
    assert (found != ("a",), found != "abc", "ab" in found) == (True, True, True)
    for index in (3, -4):
        with pytest.raises(IndexError):
            found[index]
    yielded.add(more("d"), 1)
    assert (len(found), len(job.outputs())) == (3, 4)


def test_a_job_that_failed_raises_after_its_outputs() -> None:
    job = new_job()
    error = AppError("no")
    job.add_outputs(outputs(whole("a")))
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
    job.add_outputs(outputs(whole("a")))
    assert job.cancel()
    job.tell()
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


def test_the_world_is_told_of_the_outcome() -> None:
    job = new_job()
    told: list[JobRecord] = []
    job.on_outcome = told.append
    job.keeps = object()
    job.add_end(completed(1))
    job.publish()
    assert told == [job]
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

    job = JobRecord(call=Call(), shape=broken)
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
    job.add_outputs(outputs(whole("a")))
    job.publish()
    versions.append(job.changed.version)
    job.add_end(completed("a"))
    job.publish()
    versions.append(job.changed.version)
    assert versions == sorted(set(versions))
