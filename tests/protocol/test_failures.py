"""What a failing server says becomes the error that it means."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    GradioError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    TooManyRequestsError,
    ValidationError,
)
from sansio_gradio.protocol.failures import app_error, excerpt, missing, refusal
from sansio_gradio.protocol.features import Version, version_numbers
from tests.support import transcripts

HIDDEN = AppError.default_message
# What the recorded app raised (its app.py), by the function's name.
RAISED = {
    "boom": "boom: x",
    "boom2": "valueboom: x",
    "boomgen": "genboom: x",
    "nosuch": "This app has no endpoint /api/nosuch/.",
}
QUOTED = (5, 1, 0)  # the last version whose gr.Error arrives as its repr
PLAIN = (5, 2)


# A run that failed


def recorded_failures() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for version, scenario in transcripts.recordings():
        for job in transcripts.load(version, scenario).expected["jobs"]:
            # A poll's FAILED carries no output (docs/protocol/push.md), and /call loses
            # the text of the error.
            if job["end"] == "failed" and job["protocol"] not in ("push", "call"):
                yield version, scenario, job


def test_each_recorded_failure_says_what_the_app_raised() -> None:
    shown: set[tuple[str, str]] = set()
    count = 0
    for version, scenario, job in recorded_failures():
        output = job.get("error_output", {"error": job["error"]})
        error = app_error(output, version_numbers(version))
        assert type(error) is AppError
        if job["error"] in (None, "None"):
            assert error.message == HIDDEN, (version, scenario)
        else:
            assert error.message == RAISED[job["api_name"]], (version, scenario)
            shown.add((version, job["api_name"]))
        assert error.title == output.get("title")
        assert error.duration == output.get("duration")
        assert error.visible is True
        count += 1
    assert count > 80
    assert {v for v, name in shown if name == "boom"} == set(transcripts.versions()) - {"3.1.4"}
    assert {v for v, name in shown if name == "boomgen"} >= {"3.50.2", "4.29.0", "6.31.0"}


@pytest.mark.parametrize(
    "text",
    [
        *("boom", "it's", '"quoted"', "both ' and \"", "\n\t\r\\", "\x00\x7f\x85\xa0é", "\u2028€"),
        *("\ue000\U0001f600\U0010ffff", "'", '"', "\\'", "\\n", "\\x41", "x" * 10_000),
    ],
)
def test_the_quotes_of_old_servers_are_taken_off(text: str) -> None:
    assert app_error({"error": repr(text)}, QUOTED).message == text
    assert app_error({"error": ascii(text)}, QUOTED).message == text  # an older Unicode
    assert app_error({"error": repr(text)}, PLAIN).message == repr(text)
    assert app_error({"error": repr(text)}, ()).message == repr(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_its_quotes(text: str) -> None:
    assert app_error({"error": repr(text)}, QUOTED).message == text


@pytest.mark.parametrize(
    "text",
    [
        *("boom", "it's", "'a' 'b'", "'a' or 'b'", "'a'#'", "''b''", "'a\nb'", "'a\"", "'", "''a"),
        *(r"'\d'", r"'\ud800'", r"'\U00110000'", r"'\x4'", r"'\N{BEL}'", r"'\101'", "'\\"),
        *("b'x'", "('x')", "'''x'''", "{'x'}"),
    ],
)
def test_a_text_that_only_looks_quoted_stays(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert app_error({"error": text}, QUOTED).message == text


@pytest.mark.parametrize(
    ("version", "hidden"),
    [("3.50.2", True), ("4.21.0", True), ("4.28.3", True), ("4.29", False), ("6.31.0", False)],
)
def test_none_as_text_hides_an_error_of_old_generators(version: str, hidden: bool) -> None:
    error = app_error({"error": "None"}, version_numbers(version))
    assert error.message == (HIDDEN if hidden else "None")


@pytest.mark.parametrize("output", [{}, {"error": None}, {"error": ["x"]}, {"error": 5}])
def test_an_error_that_is_not_shown_says_how_to_show_it(output: Any) -> None:
    error = app_error(output, (6, 31, 0))
    assert error.message == HIDDEN
    assert "show_error" in HIDDEN


def test_an_error_has_what_gr_error_was_given() -> None:
    output = {"error": "x", "title": "T", "duration": 0.5, "visible": False}
    error = app_error(output, (6, 31, 0), "Top")
    assert (error.title, error.duration, error.visible) == ("T", 0.5, False)
    error = app_error({"error": "x", "title": None, "duration": None}, (6, 31, 0), "Top")
    assert (error.title, error.duration, error.visible) == ("Top", None, True)


@pytest.mark.parametrize("odd", ["10", True, [], {}, None])
def test_what_is_no_title_and_no_number_is_not_taken_for_one(odd: Any) -> None:
    error = app_error({"error": "x", "duration": odd, "visible": odd}, (6,), "Top")
    assert (error.duration, error.visible) == (None, True)
    if not isinstance(odd, str):
        assert app_error({"error": "x", "title": odd}, (6,), "Top").title == "Top"


def test_a_number_beyond_all_measure_does_no_harm() -> None:
    assert app_error({"error": "x", "duration": 10**400}, (6,)).duration == 10**400


# A server that refuses


def recorded_refusals() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each submission that got an error status, with its exchange."""
    for version, scenario in transcripts.recordings():
        expected = transcripts.load(version, scenario).expected
        exchanges = {f"{e['conn']}:{e['n']}": e for e in expected["exchanges"]}
        for job in expected["jobs"]:
            if job.get("status", 200) >= 400:
                yield version, job, exchanges[job["key"]]


def body_of(exchange: dict[str, Any]) -> bytes:
    if "response_json" in exchange:
        return json.dumps(exchange["response_json"]).encode()
    text: str = exchange["response_body"]["text"]
    return text.encode()


def test_each_recorded_refusal_is_the_error_that_it_means() -> None:
    seen: set[type[GradioError]] = set()
    for version, job, exchange in recorded_refusals():
        status = exchange["status"]
        error = refusal(status, (), body_of(exchange), version=version_numbers(version))
        if job["end"] == "queue_full":
            assert type(error) is QueueFullError
            assert error.message == job["error"]
        elif status == 401:
            assert type(error) is AuthenticationError
        elif job["end"] == "failed":
            assert type(error) is AppError
            assert error.message == (RAISED[job["api_name"]] if job["error"] else HIDDEN)
        else:
            assert type(error) is RemoteProtocolError
            assert str(status) in error.message
        assert error.status == status == job["status"]
        seen.add(type(error))
    assert seen == {QueueFullError, AuthenticationError, AppError, RemoteProtocolError}


@pytest.mark.parametrize(
    "body",
    [
        b'{"detail":"Not authenticated"}',
        b'{"detail":{"error":"Not authenticated","auth_message":null}}',
        b"<html>401</html>",
        b"",
    ],
)
def test_401_wants_a_login(body: bytes) -> None:
    assert type(refusal(401, (), body)) is AuthenticationError


@pytest.mark.parametrize("body", [b"<html>Forbidden</html>", b"Forbidden", b"", b'{"a": 1}'])
@pytest.mark.parametrize("has_token", [True, False])
def test_403_says_what_to_try(body: bytes, has_token: bool) -> None:
    error = refusal(403, (), body, has_token=has_token)
    assert type(error) is AuthenticationError
    assert error.status == 403
    for hint in ("auth=(user, password)", "headers= or cookies="):
        assert hint in error.message
    assert ("pass token=" in error.message) is not has_token
    assert ("token of token= may not open it" in error.message) is has_token


@pytest.mark.parametrize("body", [b'{"detail": "File not allowed: x."}', b'{"error": null}'])
def test_403_of_the_app_is_its_own_word(body: bytes) -> None:
    assert type(refusal(403, (), body)) is not AuthenticationError


@pytest.mark.parametrize("has_token", [True, False])
def test_a_page_with_401_says_what_to_try(has_token: bool) -> None:
    error = refusal(401, (), b"<html>Sign in</html>", has_token=has_token)
    assert "not the app's answer" in error.message
    assert "headers= or cookies=" in error.message
    assert ("pass token=" in error.message) is not has_token


@pytest.mark.parametrize("has_token", [True, False])
def test_404_in_place_of_an_app_says_what_to_try(has_token: bool) -> None:
    error = missing(b"<h1>Not Found</h1>", has_token=has_token)
    assert type(error) is RemoteProtocolError
    for hint in ("404", "Not Found", "Check the address"):
        assert hint in error.message
    assert ("pass token=" in error.message) is not has_token


def test_a_page_that_wants_a_login_says_so_with_200() -> None:
    body = b'{"auth_required":true,"auth_message":null,"space_id":null,"root":""}'
    error = refusal(200, (), body)
    assert type(error) is AuthenticationError
    assert error.status == 200


VALIDATORS: list[dict[str, Any]] = [
    {"__type__": "validate", "is_valid": False, "message": "too big", "parameter_name": "a"},
    {"is_valid": True, "message": ""},
    {"is_valid": False, "message": "too small"},
]


def test_422_of_validators_says_what_each_did_not_like() -> None:
    error = refusal(422, (), json.dumps({"detail": VALIDATORS}).encode())
    assert type(error) is ValidationError
    assert error.message == "a: too big; too small"
    assert error.status == 422


@pytest.mark.parametrize(
    "detail",
    [
        [{"type": "missing", "loc": ["body", "data"], "msg": "Field required", "input": {}}],
        [{"is_valid": True, "message": ""}],  # nobody objects
        ["is_valid"],
        [],
        "a text",  # where gradio_client raises AttributeError
        {"is_valid": False},
        None,
    ],
)
def test_422_of_the_framework_is_no_validation(detail: Any) -> None:
    error = refusal(422, (), json.dumps({"detail": detail}).encode())
    assert type(error) is RemoteProtocolError
    assert "422" in error.message


@pytest.mark.parametrize("status", [400, 500])
def test_validators_answer_with_422_only(status: int) -> None:
    error = refusal(status, (), json.dumps({"detail": VALIDATORS}).encode())
    assert type(error) is RemoteProtocolError


@pytest.mark.parametrize(
    ("detail", "kind"),
    [
        ("Queue is full. Max size is 1 and size is 1.", QueueFullError),
        ("Queue is stopped.", ServerStoppedError),
        (["Queue is full"], RemoteProtocolError),
        (None, RemoteProtocolError),
    ],
)
def test_503_is_the_queues_word(detail: Any, kind: type[GradioError]) -> None:
    error = refusal(503, (), json.dumps({"detail": detail}).encode())
    assert type(error) is kind
    if isinstance(detail, str):
        assert error.message == detail
        assert type(refusal(500, (), json.dumps({"detail": detail}).encode())) is not kind


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"\n\n<html>\r\n <head><title>502 Bad\tGateway</title></head>", "502 Bad Gateway"),
        (b"<?xml?><!DOCTYPE html><html><TITLE lang=en>\n No host</TITLE>", "No host"),
        (b"<html><title> </title><h1>No</h1>", "<html><title> </title><h1>No</h1>"),
        (b"<html><title>" + b"x" * 5000, "<html><title>xxx"),
        (b"<h1>Bad</h1>", "<h1>Bad</h1>"),
        (b"no page <title>at all</title>", "no page <title>at all</title>"),
    ],
)
def test_502_of_a_proxy_is_told_by_its_title_or_in_its_first_words(page: bytes, words: str) -> None:
    error = refusal(502, (("content-type", "text/html"),), page + b"<p>x</p>" * 1000)
    assert type(error) is RemoteProtocolError
    assert f"502: '{words}" in error.message
    assert len(error.message) < 300


def test_a_plain_call_that_fails_is_an_error_of_the_app() -> None:
    body = b'{"error":"\'x\'","duration":10,"visible":true,"title":"Error"}'
    error = refusal(500, (), body, version=(4, 44, 1))
    assert type(error) is AppError
    assert (error.message, error.title, error.status) == ("x", "Error", 500)
    assert refusal(500, (), body, version=(6, 31, 0)).message == "'x'"
    assert refusal(500, (), body).message == "'x'"
    assert type(refusal(400, (), body)) is AppError
    assert type(refusal(399, (), body)) is RemoteProtocolError  # not what an error looks like


# Too many requests


def retry_after(value: str, wall_now: float | None = 784111777.0) -> float | None:
    error = refusal(429, (("x", "y"), ("retry-after", value)), b"", wall_now=wall_now)
    assert type(error) is TooManyRequestsError
    assert error.status == 429
    return error.retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0.0), ("120", 120.0), (" 5\t", 5.0), ("999999999", 999999999.0)),
        *(("", None), ("soon", None), ("-1", None), ("1.5", None), ("1e9", None)),
        # RFC 9110 section 5.6.7; the three forms name the same moment.
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),
        ("Sun Nov  6 08:49:47 1994", 10.0),
        ("Sun, 06 Nov 1994 09:49:47 +0100", 10.0),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0.0),  # past already
        ("Sun, 06 Nov 1994 08:49:99999999999 GMT", None),
        ("9" * 5000, None),
    ],
)
def test_429_says_for_how_long_in_seconds_or_until_when(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's zone cannot be changed")
def test_a_date_without_a_zone_is_not_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")
        time.tzset()
        seconds = retry_after("Sun Nov  6 08:49:47 1994")
    time.tzset()
    assert seconds == 10.0


def test_seconds_need_no_clock_but_a_date_does() -> None:
    assert retry_after("7", None) == 7.0
    assert retry_after("Sun, 06 Nov 1994 08:49:47 GMT", None) is None


def test_429_may_say_nothing() -> None:
    error = refusal(429, (), b'{"error":"slow down"}', wall_now=0.0)
    assert type(error) is TooManyRequestsError
    assert error.retry_after is None


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d+ Nov \d+ \d+:\d+:\d+ [-+]?\w+"))
def test_any_retry_after_is_read_or_not(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0


# Excerpts


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "nothing"),
        (b" \r\n\t", "nothing"),
        (b"Internal Server Error", "'Internal Server Error'"),
        (b"a\n\n  b\x00\x1b[31m", "'a b??[31m'"),
        ("é".encode(), "'é'"),
        (b"\xff", "'\ufffd'"),
        (b"x" * 200, repr("x" * 200)),
        (b"x" * 201, repr("x" * 197 + "...")),
        (b" " * 10_000 + b"x", "'x'"),
    ],
)
def test_an_excerpt_is_short_and_harmless(body: bytes, said: str) -> None:
    assert excerpt(body) == said


VERSIONS: list[Version] = [(), (3, 50, 2), (4, 21, 0), (6, 31, 0)]


@given(
    st.sampled_from([200, 401, 404, 422, 429, 500, 503]),
    st.binary()
    | st.dictionaries(
        st.sampled_from(["detail", "error", "title", "duration", "auth_required"]),
        st.none()
        | st.text()
        | st.integers()
        | st.booleans()
        | st.lists(
            st.dictionaries(st.sampled_from(["is_valid", "message"]), st.none() | st.booleans()),
            max_size=2,
        ),
    ).map(lambda body: json.dumps(body).encode()),
    st.sampled_from(VERSIONS),
)
def test_whatever_is_answered_is_an_error_that_can_be_shown(
    status: int, body: bytes, version: Version
) -> None:
    error = refusal(status, (), body, version=version)
    assert error.status == status
    str(error).encode()
