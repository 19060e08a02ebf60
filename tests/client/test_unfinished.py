"""A job whose first yield is sent as edits of what an unfinished run of its session had yielded."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import SendRequest
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.events import Anomaly, JobCancelled, JobFailed, Output
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.talk import (
    COUNT,
    COUNT_TOO,
    ECHO,
    TEXT,
    Talk,
    app,
    completed,
    config,
    failed,
    generating,
    starts,
)

JOIN, DATA, CANCEL = "/queue/join", "/queue/data", "/cancel"
APPEND = [["append", [], "!"]]


class Session:
    """Jobs one after the other on one stream that stays open; ``said`` by job."""

    def __init__(self, known: AppInfo | None = None, **options: Any) -> None:
        self.talk = Talk(known or app("sse_v3", "4.44.1"), **options)
        self.stream: SendRequest | None = None
        self.count = 0

    def begin(self, fn_index: int = COUNT, want: Want = Want.ALL) -> int:
        """A job that the server has taken."""
        self.count += 1
        job = self.talk.conversation.submit(3, fn_index=fn_index, want=want)
        new = [command for command in self.talk.new() if isinstance(command, SendRequest)]
        self.talk.answer(new[0], {"event_id": f"e{self.count}"})
        for command in [*new[1:], *self.talk.new()]:
            assert isinstance(command, SendRequest)
            self.stream = command
            self.talk.open(command)
        return job

    def send(self, *messages: dict[str, Any], to: int | None = None) -> None:
        assert self.stream is not None
        event_id = f"e{to or self.count}"
        self.talk.send(self.stream, *[{**m, "event_id": event_id} for m in messages])
        self.talk.look()

    def run(self, *data: list[Any], last: Any = None, fn_index: int = COUNT) -> list[Any]:
        """What a job yields, and its end; the values that its application sees."""
        before = len(self.talk.values)
        self.begin(fn_index)
        self.send(starts(), *map(generating, data), last or failed("no"))
        return self.talk.values[before:]


def run_of(*yields: list[Any], **options: Any) -> Session:
    """A session in which a run has failed."""
    session = Session(**options)
    session.run(*yields)
    return session


@pytest.mark.parametrize("fn_index", [COUNT, COUNT_TOO, ECHO])
def test_the_run_may_be_one_of_any_function(fn_index: int) -> None:
    session = run_of(["x"], [[["append", [], "y"]]])
    assert session.run([APPEND], last=completed("r"), fn_index=fn_index) == [("xy!",)]
    assert session.talk.of(Anomaly) == []


def test_what_it_completed_is_gone() -> None:
    session = Session()
    session.run(["x"], last=completed("x"))
    assert session.run([APPEND], last=completed("r")) == [("r",)]
    assert len(session.talk.of(Anomaly)) == 1


def test_a_run_that_takes_over_and_fails_leaves_its_own() -> None:
    session = run_of(["x"])
    assert session.run([APPEND], [APPEND]) == [("x!",), ("x!!",)]
    assert session.run([[]], last=completed("r")) == [("x!!",)]
    assert session.run([APPEND], last=completed("r")) == [("r",)]


def test_several_runs_that_agree_are_certain() -> None:
    session = run_of(["x"])
    session.run(["x"])
    assert session.run([APPEND], last=completed("r")) == [("x!",)]
    assert session.run([APPEND]) == [("x!",)]
    assert session.run([APPEND], last=completed("r")) == [("x!!",)]


def test_several_that_do_not_agree_are_not_but_for_what_needs_none() -> None:
    session = run_of(["x"])
    session.run(["y"])
    assert session.run([APPEND], [APPEND], last=completed("r")) == [("r",)]
    (anomaly,) = session.talk.of(Anomaly)
    assert "not certain" in anomaly.what
    assert session.run([[["replace", [], "new"]]], [APPEND]) == [("new",), ("new!",)]


def test_the_yields_of_a_run_that_could_not_be_read_are_not_known() -> None:
    session = run_of(["x"], ["a value"])
    assert session.run([APPEND], last=completed("r")) == [("r",)]


def cancelled(session: Session, *before: list[Any]) -> SendRequest:
    job = session.begin()
    session.send(starts(), *map(generating, before))
    session.talk.conversation.cancel(job)
    (cancel,) = session.talk.new()
    assert isinstance(cancel, SendRequest)
    return cancel


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("answered_first", [False, True])
def test_a_cancelled_run_is_followed_to_its_end(count: int, answered_first: bool) -> None:
    """What it yields until then is not told, but it is what the server has in mind."""
    session = Session()
    steps: list[list[Any]] = [["x"], [[["append", [], "y"]]]]
    cancel = cancelled(session, *steps[:count])
    if answered_first:
        session.talk.answer(cancel, {"success": True})
    session.send(*map(generating, steps[count:]), completed_of_nothing())
    if not answered_first:
        session.talk.answer(cancel, {"success": True})
    assert session.talk.values == [("x",), ("xy",)][:count]
    assert isinstance(session.talk.last_of(1), JobCancelled)
    assert session.run([APPEND], last=completed("r")) == [("xy!",)]


def completed_of_nothing() -> dict[str, Any]:
    return {"msg": "process_completed", "output": {}, "success": True}


def test_one_that_completes_all_the_same_leaves_nothing() -> None:
    session = Session()
    cancel = cancelled(session, ["x"])
    session.send(completed("x"))
    session.talk.answer(cancel, {"success": True})
    assert session.run([APPEND], last=completed("r")) == [("r",)]


def test_one_that_says_nonsense_meanwhile_is_not_known() -> None:
    session = Session()
    cancel = cancelled(session, ["x"])
    session.send(generating(["a value"]), generating([[]]), completed_of_nothing())
    session.talk.answer(cancel, {"success": True})
    assert session.run([APPEND], last=completed("r")) == [("r",)]
    session = Session()
    cancel = cancelled(session)
    session.send(generating([APPEND]), generating([APPEND]), completed_of_nothing())
    session.talk.answer(cancel, {"success": True})
    assert session.run([APPEND], last=completed("r")) == [("r",)]


def test_only_so_much_is_remembered() -> None:
    session = run_of(["x" * 1000], limits=Limits(value=1500))
    session.run(["y" * 1000])
    assert session.run([APPEND], last=completed("r")) == [("r",)]
    (anomaly,) = session.talk.of(Anomaly)
    assert "not known" in anomaly.what


def test_a_new_session_has_nothing_to_remember() -> None:
    session = run_of(["x"])
    session.talk.conversation.reset()
    assert session.run([APPEND], last=completed("r")) == [("r",)]
    job = session.talk.conversation.submit(3, fn_index=COUNT, isolated=True)
    assert job


@pytest.mark.parametrize("want", [Want.RESULT, Want.GROWTH, Want.STATUS | Want.GROWTH])
def test_whoever_wants_little_has_the_same_outputs(want: Want) -> None:
    session = run_of(["x"])
    job = session.begin(want=want)
    session.send(starts(), generating([APPEND]), generating([APPEND]), failed("no"))
    end = session.talk.last_of(job)
    assert isinstance(end, JobFailed)
    assert list(end.outputs) == [("x!",), ("x!!",)]


# Lists


def with_lists(version: str) -> AppInfo:
    said = config("sse_v3", version)
    for part in said["components"]:
        part["type"] = "json"
    return AppInfo.from_config(said)


def test_nothing_has_changed_or_the_list_is_empty() -> None:
    """Both are said in the same way, by servers that may say either."""
    session = run_of([["x"]], known=with_lists("4.44.1"))
    assert session.run([[]], last=completed(["r"])) == [(["r"],)]
    session = run_of([[]], known=with_lists("4.44.1"))
    assert session.run([[]], last=completed([])) == [([],)]
    session = run_of([["x"]], known=with_lists("6.31.0"))
    assert session.run([[]], last=completed([])) == [([],)]
    session = run_of([["x"]], known=with_lists("4.44.1"))
    assert session.run([[["add", [1], "y"]]], last=completed([])) == [(["x", "y"],)]


@pytest.mark.parametrize(
    "value",
    [
        [["explode", [], 1]],
        [["replace", 0, 1]],
        [["replace", [None], 1]],
        [["replace", []]],
        [[1, [], 1]],
        [{}],
        {},
        None,
    ],
)
def test_what_is_no_edit_is_a_value(value: Any) -> None:
    session = run_of(["x"], known=with_lists("4.44.1"))
    assert session.run([value], last=completed("r")) == [(value,)]


def test_more_outputs_than_the_run_had_start_as_null() -> None:
    session = run_of(["x"])
    assert session.run([APPEND, [["replace", [], "y"]]], last=completed("r", "s")) == [("x!", "y")]
    session = run_of(["x", "y"])
    assert session.run([APPEND], last=completed("r")) == [("x!",)]
    session = run_of(["x"])
    assert session.run([APPEND, [["append", [], "y"]]], last=completed("r")) == [("r",)]


# Values that grow


@pytest.mark.parametrize("want", [Want.RESULT, Want.GROWTH, Want.ALL])
def test_a_value_beyond_its_limit_ends_the_job_and_has_it_stopped(want: Want) -> None:
    session = Session(limits=Limits(value=1000))
    job = session.begin(want=want)
    session.send(starts(), generating(["x" * 500]), generating([[["append", [], "y" * 400]]]))
    session.send(generating([[["append", [], "z" * 200]]]))
    error = session.talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert "Limits.value" in error.message
    assert list(error.outputs) == [("x" * 500,), ("x" * 500 + "y" * 400,)]
    (cancel,) = session.talk.new()
    assert isinstance(cancel, SendRequest)
    assert cancel.url.endswith(CANCEL)
    session.send(generating([APPEND]), completed_of_nothing())
    session.talk.answer(cancel, {"success": True})
    outputs = [event.job for event in session.talk.of(Output)]
    assert outputs == [job] * (2 if want is Want.ALL else 0)


def test_a_value_may_be_replaced_time_and_again() -> None:
    session = Session(limits=Limits(value=1000))
    many = [[[["replace", [], f"{n}" + "x" * 900]]] for n in range(20)]
    assert len(session.run(["first"], *many, last=completed("r"))) == 21


# What is told


def test_text_is_imported_for_the_type() -> None:
    assert app().components[TEXT].may_be_list is False


def test_a_run_that_was_cut_off_while_it_was_cancelled_is_not_known() -> None:
    """It may have yielded more since."""
    session = Session()
    cancel = cancelled(session, ["x"])
    stream = session.stream
    assert stream is not None
    session.talk.send(stream, {"msg": "close_stream"})
    session.talk.end(stream)
    assert isinstance(session.talk.last_of(1), JobCancelled)
    session.talk.answer(cancel, {"success": True})
    assert session.run([APPEND], last=completed("r")) == [("r",)]
    (anomaly,) = session.talk.of(Anomaly)
    assert "not known" in anomaly.what


def test_a_run_that_another_one_goes_on_from_may_end_later() -> None:
    session = Session()
    cancel = cancelled(session, ["x"])
    session.talk.answer(cancel, {"success": True})
    session.begin(COUNT_TOO)
    session.send(starts(), generating([APPEND]))
    session.send(completed("x"), to=1)
    session.send(generating([APPEND]), completed("r"))
    assert session.talk.values == [("x",), ("x!",), ("x!!",)]
    assert session.talk.of(Anomaly) == []
