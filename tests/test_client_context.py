"""What the parts of a conversation share: the way to the app's API, and how things are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conversation_driver import Talk, app, config

from sansio_gradio.client.context import Context, name_given
from sansio_gradio.client.exchanges import Answer
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
    TooManyRequestsError,
)
from sansio_gradio.events import Anomaly, SessionLost
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.url import URL

POST = HTTPRequest("POST", "queue/join", (), b"{}")


def context_of(talk: Talk) -> Context:
    talk.look()
    return talk.conversation._context


def test_a_message_is_read_within_the_limits() -> None:
    talk = Talk(app(), limits=Limits(message=100, json_depth=5))
    context = context_of(talk)
    assert context.parse('{"msg":"log","log":"x"}') == {"msg": "log", "log": "x"}
    for text in ("[]", "nonsense", '{"x":"' + "y" * 100 + '"}', '{"x":' + "[" * 6 + "]" * 6 + "}"):
        with pytest.raises(RemoteProtocolError):
            context.parse(text)


def test_what_is_wrong_with_a_message_is_told() -> None:
    talk = Talk(app())
    context = context_of(talk)
    assert context.parse('{"msg":"estimation","rank":"x"}', job=7) == {"msg": "estimation"}
    assert context.parse('{"msg":7}') == {}
    assert [event.job for event in talk.of(Anomaly)] == [7, None]
    assert "'rank'" in talk.of(Anomaly)[0].what


def test_if_strict_it_is_an_error() -> None:
    context = context_of(Talk(app(), strict=True))
    with pytest.raises(RemoteProtocolError):
        context.parse('{"msg":7}')


def test_another_parser_may_be_used() -> None:
    talk = Talk(app(), json_loads=lambda text: {"msg": "log", "log": text})
    assert context_of(talk).parse("anything") == {"msg": "log", "log": "anything"}


def asked(talk: Talk) -> list[Any]:
    """What comes of a question: the answers, or the errors."""
    told: list[Any] = []
    context_of(talk).ask(
        POST, phase="testing", deadline="join", then=told.append, failed=told.append
    )
    return told


def test_an_answer_with_200_is_what_was_asked_for() -> None:
    talk = Talk(app(api_prefix="/api"))
    told = asked(talk)
    talk.answer(talk.request("/api/queue/join"), {"x": 1})
    (answer,) = told
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"x": 1}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, {"error": "'boom'"}, AppError),
        (404, b"", RemoteProtocolError),
        (201, {}, RemoteProtocolError),
    ],
)
def test_any_other_is_a_refusal(status: int, body: Any, kind: type[GradioError]) -> None:
    talk = Talk(app("sse_v3", "4.44.1"))
    told = asked(talk)
    talk.answer(talk.request("/queue/join"), body, status=status)
    (error,) = told
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert (error.phase, error.status) == ("testing", status)
    assert error.url == "http://app.example/queue/join"
    if kind is AppError:
        assert error.message == "boom"  # as that version means it


def test_a_refusal_is_read_by_the_parser_that_was_given() -> None:
    talk = Talk(app(), json_loads=lambda text: {"error": f"no {text!r}"})
    told = asked(talk)
    talk.answer(talk.request("/queue/join"), b"anything", status=500)
    assert told[0].message == "no 'anything'"


def test_who_asked_may_refuse_the_answer() -> None:
    def refuse(_: Answer) -> None:
        raise RemoteProtocolError("not this")

    talk = Talk(app())
    told: list[GradioError] = []
    context_of(talk).ask(POST, phase="testing", deadline="join", then=refuse, failed=told.append)
    talk.answer(talk.request("/queue/join"), {})
    assert str(told[0]) == (
        "not this (phase testing, url http://app.example/queue/join, status 200)"
    )


def test_what_went_wrong_on_the_way_is_told_too() -> None:
    talk = Talk(app())
    told = asked(talk)
    talk.lose(talk.request("/queue/join"))
    assert type(told[0]) is ConnectionLost
    talk = Talk(app())
    told = asked(talk)
    talk.request("/queue/join")
    talk.sleep(61.0)
    assert told[0].phase == "join"


@pytest.mark.parametrize(
    ("now", "wall_offset", "wait"),
    [
        (1000.0, 784111777.0 - 1000.0, 60.0),
        (784111777.0, 0.0, 60.0),
        (784111777.0, None, None),
        # A clock that starts in 1970 is one, too: of a simulation, or of a machine not yet set.
        (1000.0, 0.0, 784111837.0 - 1000.0),
    ],
)
def test_dates_are_compared_with_the_wall_clock_if_it_is_known(
    now: float, wall_offset: float | None, wait: float | None
) -> None:
    talk = Talk(app(), wall_offset=wall_offset)
    talk.now = now
    told = asked(talk)
    headers = (("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"),)  # RFC 9110's example and 60 s
    talk.answer(talk.request("/queue/join"), b"", status=429, headers=headers)
    assert isinstance(told[0], TooManyRequestsError)
    assert told[0].retry_after == wait


@pytest.mark.parametrize(
    ("now", "wall_offset", "sent"),
    [
        (1000.0, 784111777.0 - 1000.0, False),
        (784111777.0, 0.0, False),
        (1000.0, 0.0, True),  # it is 1970
        (1000.0, None, True),
    ],
)
def test_cookies_expire_by_the_wall_clock_if_it_is_known(
    now: float, wall_offset: float | None, sent: bool
) -> None:
    talk = Talk(app(), wall_offset=wall_offset)
    talk.now = now
    asked(talk)
    over = ("set-cookie", "over=1; Path=/; Expires=Sun, 06 Nov 1994 08:48:37 GMT")
    gone = ("set-cookie", "gone=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    talk.answer(talk.request("/queue/join"), {}, headers=(over, gone))
    asked(talk)
    cookies = [value for name, value in talk.request("/queue/join").headers if name == "cookie"]
    assert cookies == (["over=1"] if sent else [])


@pytest.mark.parametrize(
    ("status", "body", "stopped"),
    [
        (200, {"success": True}, True),
        (200, {"success": False}, False),
        (200, {"success": 1}, False),
        (200, [], False),
        (200, b"<html>", False),
        (404, {"success": True}, False),
        (502, b"<html>", None),
    ],
)
def test_stopping_is_answered_by_yes_or_no(status: int, body: Any, stopped: bool | None) -> None:
    talk = Talk(app())
    told: list[bool | None] = []
    context_of(talk).ask_to_stop("s", 1, "e", told.append)
    talk.answer(talk.request("/cancel"), body, status=status)
    assert told == [stopped]


def test_stopping_may_be_impossible_late_or_lost() -> None:
    talk = Talk(app())
    told: list[bool | None] = []
    context_of(talk).ask_to_stop("s", 1, None, told.append)
    assert (told, talk.new()) == ([None], [])
    for _ in range(2):
        context_of(talk).ask_to_stop("s", 1, "e", told.append)
    lost, _ = talk.requests("/cancel", "/cancel")
    talk.lose(lost)
    assert told == [None, None]
    talk.sleep(2.1)  # Timeouts.close
    assert told == [None, None, None]


@pytest.mark.parametrize(
    ("kind", "lost"), [("state", True), ("variable", True), ("textbox", False), (None, False)]
)
def test_a_lost_session_tells_whether_state_is_lost_with_it(kind: str | None, lost: bool) -> None:
    said = config()
    said["components"] += [] if kind is None else [{"id": 9, "type": kind, "props": {}}]
    talk = Talk(AppInfo.from_config(said))
    context_of(talk).session_lost()
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=lost)]


def test_what_is_random_is_made_of_the_entropy_that_was_given() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count

    context = context_of(Talk(app(), entropy=entropy))
    assert context.new_hash() == "ff" * 8
    assert context.random() == 1.0
    assert set(asked) == {8, 4}


@pytest.mark.parametrize("body", [{}, {"hash": 7}, {"event_id": "e"}, [], "hash", None])
def test_a_server_that_takes_a_job_names_it(body: Any) -> None:
    url = URL.parse("http://app.example/")
    said = Answer(200, (), json.dumps({"hash": "h", "more": 1}).encode(), url)
    assert name_given(said, "hash") == ({"hash": "h", "more": 1}, "h")
    with pytest.raises(RemoteProtocolError, match="no hash"):
        name_given(Answer(200, (), json.dumps(body).encode(), url), "hash")


def test_a_refusal_names_where_the_answer_came_from() -> None:
    url = URL.parse("http://app.example/elsewhere?secret=1")
    answer = Answer(404, (), b"", url)
    error = context_of(Talk(app())).refusal(answer, "testing")
    assert error.url == "http://app.example/elsewhere"


def test_an_anomaly_carries_what_caused_it() -> None:
    talk = Talk(app(), id=5)
    context_of(talk).anomaly("odd", job=3, message={"msg": "x"})
    assert talk.of(Anomaly) == [Anomaly(session=5, what="odd", job=3, message={"msg": "x"})]
