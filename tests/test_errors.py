"""Two questions sort every failure, and an error keeps what it knows wherever it goes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from sansio_gradio import errors
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
    LocalProtocolError,
    OptionError,
    ProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    SpaceError,
    TooManyRequestsError,
    ValidationError,
)

# Each error with all that a program may catch it as.
CAUGHT_AS: dict[type[GradioError], set[type[Exception]]] = {
    GradioError: set(),
    ProtocolError: set(),
    LocalProtocolError: {ProtocolError},
    OptionError: {ProtocolError, ValueError},
    RemoteProtocolError: {ProtocolError, ConnectionError},
    ConnectFailed: {ConnectionError},
    SpaceError: {ConnectFailed, ConnectionError},
    ConnectionLost: {ConnectionError},
    TooManyRequestsError: {ConnectionError},
    DeadlineExceeded: {ConnectionError, TimeoutError},
    AuthenticationError: {ValueError, ConnectionError},
    AppError: {ValueError},
    QueueFullError: {AppError, ValueError},
    ValidationError: {AppError, ValueError},
    ServerStoppedError: {AppError, ValueError},
    JobCancelledError: set(),
}
EVERY_ERROR = pytest.mark.parametrize("kind", CAUGHT_AS)
KINDS = {ProtocolError, ConnectionError, TimeoutError, ValueError, AppError, ConnectFailed}


def test_the_list_of_errors_is_whole() -> None:
    public = {
        value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert public == set(CAUGHT_AS)


@EVERY_ERROR
def test_an_error_is_caught_as_what_it_is_and_nothing_else(kind: type[GradioError]) -> None:
    assert issubclass(kind, GradioError)
    assert {other for other in KINDS - {kind} if issubclass(kind, other)} == CAUGHT_AS[kind]


def test_two_clauses_catch_every_fault_after_connecting() -> None:
    misuse = {LocalProtocolError, OptionError}
    not_faults = {GradioError, ProtocolError, JobCancelledError, *misuse}
    for kind in set(CAUGHT_AS) - not_faults:
        assert issubclass(kind, AppError | ConnectionError)
    for kind in not_faults:
        assert not issubclass(kind, AppError | ConnectionError)


@EVERY_ERROR
def test_an_error_that_was_told_nothing_still_says_something(kind: type[GradioError]) -> None:
    error = kind()
    assert str(error) == error.message == kind.default_message
    assert error.message.endswith((".", ")."))
    known = (error.phase, error.url, error.status, error.job, error.outputs, error.__cause__)
    assert known == (None, None, None, None, (), None)


@EVERY_ERROR
def test_the_text_names_phase_url_status_and_job(kind: type[GradioError]) -> None:
    error = kind("no luck", phase="join", url="http://host/", status=502, job=0, outputs=[(1,)])
    assert str(error) == "no luck (phase join, url http://host/, status 502, job 0)"
    assert error.message == "no luck"
    assert error.outputs == [(1,)]
    assert error.args == ("no luck",)


def test_the_text_names_only_what_is_known() -> None:
    assert str(ConnectionLost("gone", job=3)) == "gone (job 3)"


def test_an_app_error_has_what_gr_error_was_given() -> None:
    error = AppError("x", title="T", duration=0.0, visible=False, phase="job")
    assert (error.title, error.duration, error.visible) == ("T", 0.0, False)
    assert str(error) == "x (phase job)"
    untold = AppError()
    assert (untold.title, untold.duration, untold.visible) == (None, None, True)


def test_a_demand_for_fewer_requests_says_for_how_long() -> None:
    assert TooManyRequestsError(retry_after=0.5, status=429).retry_after == 0.5
    assert TooManyRequestsError().retry_after is None


def full(kind: type[GradioError]) -> GradioError:
    """An error of this kind with everything set that it can carry."""
    own: dict[str, Any] = {}
    if issubclass(kind, AppError):
        own = {"title": "T", "duration": 1.5, "visible": False}
    if issubclass(kind, TooManyRequestsError):
        own = {"retry_after": 2.5}
    return kind("m", phase="p", url="u", status=1, job=2, outputs=[("o",)], **own)


@EVERY_ERROR
@pytest.mark.parametrize(
    "again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy]
)
def test_an_error_survives_being_pickled_and_copied(kind: type[GradioError], again: Any) -> None:
    error = full(kind)
    error.add_note("said by the caller")
    twin = again(error)
    assert type(twin) is kind
    assert twin is not error
    assert vars(twin) == vars(error)
    assert (str(twin), twin.args) == (str(error), error.args)


def test_an_error_of_somebody_else_survives_too() -> None:
    assert pickle.loads(pickle.dumps(Own("m", job=1))).job == 1


class Own(JobCancelledError):
    """As an adapter may define it."""


def test_where_it_happened_is_filled_in_once() -> None:
    error = GradioError("m", phase="join", status=0)
    assert error.located(phase="stream", url="u", status=500, job=0) is error
    assert (error.phase, error.url, error.status, error.job) == ("join", "u", 0, 0)
    error.located(phase="x", url="x", status=1, job=1)
    assert (error.phase, error.url, error.status, error.job) == ("join", "u", 0, 0)
    error = GradioError()
    error.located(status=502)
    assert (error.phase, error.url, error.status, error.job) == (None, None, 502, None)
    error.located(phase="late")
    assert (error.phase, error.url, error.status, error.job) == ("late", None, 502, None)


@EVERY_ERROR
def test_one_fault_that_ends_two_jobs_is_told_to_each_with_its_own(
    kind: type[GradioError],
) -> None:
    error = full(kind)
    error.__cause__ = cause = OSError("why")
    one, two = error.for_job(7, [("a",)]), error.for_job(8)
    assert (type(one), one.job, one.outputs) == (kind, 7, [("a",)])
    assert (type(two), two.job, two.outputs) == (kind, 8, ())
    assert one.__cause__ is two.__cause__ is cause
    assert (error.job, error.outputs) == (2, [("o",)])
    same = {"phase", "url", "status", "message", "title", "duration", "visible", "retry_after"}
    assert {k: v for k, v in vars(one).items() if k in same} == {
        k: v for k, v in vars(error).items() if k in same
    }
    one.located(job=9).phase = "other"
    assert error.phase == "p"
