"""What the application is told is values."""

from __future__ import annotations

import inspect
import pickle
from typing import Any, get_args

import attrs
import pytest

from sansio_gradio import events
from sansio_gradio.errors import AppError, ConnectFailed, GradioError, QueueFullError
from sansio_gradio.events import Event, JobEnd, Output, OutputsGrew
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.outputs import Outputs
from sansio_gradio.protocol.status import Status, StatusUpdate

APP = AppInfo.from_config({"version": "6.31.0", "dependencies": [], "components": []})
VALUES: dict[str, Any] = {
    "app": APP,
    "error": ConnectFailed("no"),
    "chunk": 0,
    "answer": {"event_id": "e"},
    "message": {"msg": "estimation"},
    "status": StatusUpdate(Status.IN_QUEUE, 1.5),
    "data": (1, [2]),
    "stopped_on_server": True,
    "state_lost": True,
    "stage": "RUNNING",
    "what": "a message for no job",
    "job": 7,
    "download": 8,
    "size": None,
    "mime_type": "text/plain",
    "sent": 3,
    "total": 10,
    "name": "a.png",
}
KINDS: tuple[type[Any], ...] = get_args(Event)
PLAIN = [kind for kind in KINDS if kind not in (Output, OutputsGrew)]


def made(kind: type[Any], **other: Any) -> Any:
    fields = attrs.fields_dict(kind)
    required = {n: VALUES[n] for n, f in fields.items() if n in VALUES and f.init}
    return kind(**{"session": 1, **required, **other})


def test_every_event_of_the_module_is_one_of_the_union() -> None:
    classes = {
        item
        for _, item in inspect.getmembers(events, inspect.isclass)
        if item.__module__ == events.__name__
    }
    assert classes == set(KINDS)
    assert set(get_args(JobEnd)) == {k for k in classes if k.__name__.startswith("Job")}


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_says_of_which_session_it_is(kind: type[Any]) -> None:
    assert "session" in attrs.fields_dict(kind)
    with pytest.raises(TypeError):
        kind(1)  # by name only: what comes first would be anybody's guess


@pytest.mark.parametrize("kind", PLAIN)
def test_events_are_values(kind: type[Any]) -> None:
    event = made(kind)
    assert event == made(kind)
    assert event != made(kind, session=2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.session = 3
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize("kind", [events.ConnectingFailed, events.JobFailed, events.DownloadFailed])
def test_errors_are_equal_if_they_are_of_one_kind_and_say_the_same(kind: type[Any]) -> None:
    def event(error: GradioError) -> Any:
        return made(kind, error=error)

    yielded = Outputs(diffs=True, limit=1000)
    yielded.add(([["replace", [], "a"]],))
    assert event(AppError("no", title="x")) == event(AppError("no", title="x"))
    assert event(AppError(outputs=yielded)) == event(AppError(outputs=[("a",)]))
    assert hash(event(AppError("no"))) == hash(event(AppError("no")))
    for other in (AppError("yes"), AppError("no", job=1), AppError("no", visible=False)):
        assert event(AppError("no")) != event(other)
    assert event(AppError("no")) != event(QueueFullError("no"))


def test_what_a_job_had_yielded_is_told_with_its_end() -> None:
    outputs = [("a",), ("ab",)]
    failed = events.JobFailed(session=1, job=7, error=AppError("no"), outputs=outputs)
    cancelled = events.JobCancelled(session=1, job=7, stopped_on_server=False, outputs=outputs)
    assert failed.outputs == cancelled.outputs == outputs
    assert made(events.JobFailed).outputs == made(events.JobCancelled).outputs == ()


def test_an_output_is_a_value() -> None:
    edits = ([["append", [], "e"]],)
    event = Output(session=1, job=7, edits=edits, value=("whole",))
    assert event == Output(session=1, job=7, edits=edits, value=("whole",))
    assert event != Output(session=1, job=7, edits=edits, value=("else",))


def test_outputs_that_grow_are_the_same_ones_each_time() -> None:
    outputs = Outputs(diffs=True, limit=1000)
    event = OutputsGrew(session=1, job=7, outputs=outputs)
    assert event != OutputsGrew(session=1, job=7, outputs=outputs)
    outputs.add(([["replace", [], "a"]],), 1)
    assert list(event.outputs) == [("a",)]
