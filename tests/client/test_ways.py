"""What a conversation makes of the steps of a way: of questions, faults, and what is random."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.commands import SendRequest
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import Ask, LoseSession, Puzzle, Way
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    GradioError,
    RemoteProtocolError,
    TooManyRequestsError,
)
from sansio_gradio.events import Anomaly, JobCancelled, SessionLost
from sansio_gradio.limits import Limits
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.testing.talk import ECHO, Talk, app, config
from sansio_gradio.wire.url import URL

POST = HTTPRequest("POST", "queue/join", (), b"{}")


def options(**told: Any) -> Options:
    return Options(entropy=bytes, **told)


def test_a_message_is_read_within_the_limits() -> None:
    known = options(limits=Limits(message=100, json_depth=5))
    assert known.read_message('{"msg":"log","log":"x"}') == ({"msg": "log", "log": "x"}, [])
    for text in ("[]", "nonsense", '{"x":"' + "y" * 100 + '"}', '{"x":' + "[" * 6 + "]" * 6 + "}"):
        with pytest.raises(RemoteProtocolError):
            known.read_message(text)


def test_what_is_wrong_with_a_message_is_told() -> None:
    message, (problem,) = options().read_message('{"msg":"estimation","rank":"x"}')
    assert message == {"msg": "estimation"}
    assert "'rank'" in problem


def test_if_strict_it_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError):
        options(strict=True).read_message('{"msg":7}')


def test_another_parser_may_be_used() -> None:
    known = options(json_loads=lambda text: {"msg": "log", "log": text})
    assert known.read_message("anything") == ({"msg": "log", "log": "anything"}, [])


def asked(talk: Talk) -> list[Any]:
    """What comes of a question: the answer, or the error."""
    told: list[Any] = []

    def way() -> Way:
        try:
            told.append((yield Ask(talk.conversation._base, POST, "testing", "join")))
        except GradioError as error:
            told.append(error)

    talk.look()
    talk.conversation._go(way())
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
    talk, request = cancelled()
    talk.answer(request, body, status=status)
    (end,) = talk.of(JobCancelled)
    assert end.stopped_on_server is stopped


def cancelled() -> tuple[Talk, SendRequest]:
    """A job that is cancelled, and the request to stop it."""
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/queue/join"), {"event_id": "e"})
    talk.open(talk.request("/queue/data"))
    talk.conversation.cancel(job)
    return talk, talk.request("/cancel")


def test_stopping_may_be_lost_or_late() -> None:
    talk, request = cancelled()
    talk.lose(request)
    assert [end.stopped_on_server for end in talk.of(JobCancelled)] == [None]
    talk, request = cancelled()
    talk.sleep(2.1)  # Timeouts.close
    assert [end.stopped_on_server for end in talk.of(JobCancelled)] == [None]


@pytest.mark.parametrize(
    ("kind", "lost"), [("state", True), ("variable", True), ("textbox", False), (None, False)]
)
def test_a_lost_session_tells_whether_state_is_lost_with_it(kind: str | None, lost: bool) -> None:
    said = config()
    said["components"] += [] if kind is None else [{"id": 9, "type": kind, "props": {}}]
    talk = Talk(AppInfo.from_config(said))
    talk.look()

    def way() -> Way:
        yield LoseSession()

    talk.conversation._go(way())
    assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=lost)]


def test_what_is_random_is_made_of_the_entropy_that_was_given() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count

    known = Options(entropy=entropy)
    assert known.new_hash() == "ff" * 8
    assert known.random() == 1.0
    assert set(asked) == {8, 4}


@pytest.mark.parametrize("body", [{}, {"hash": 7}, {"event_id": "e"}, [], "hash", None])
def test_a_server_that_takes_a_job_names_it(body: Any) -> None:
    url = URL.parse("http://app.example/")
    said = Answer(200, (), json.dumps({"hash": "h", "more": 1}).encode(), url)
    assert said.name_given("hash") == ({"hash": "h", "more": 1}, "h")
    with pytest.raises(RemoteProtocolError, match="no hash"):
        Answer(200, (), json.dumps(body).encode(), url).name_given("hash")


def test_a_refusal_names_where_the_answer_came_from() -> None:
    url = URL.parse("http://app.example/elsewhere?secret=1")
    assert Answer(404, (), b"", url).refusal().url == "http://app.example/elsewhere"


def test_an_anomaly_carries_what_caused_it() -> None:
    talk = Talk(app(), id=5)
    talk.look()

    def way() -> Way:
        yield Puzzle("odd", 3, {"msg": "x"})

    talk.conversation._go(way())
    assert talk.of(Anomaly) == [Anomaly(session=5, what="odd", job=3, message={"msg": "x"})]
