"""Finding out what app it is: in which order things are asked, and what answers are no app's."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import parse_qs

import pytest

from sansio_gradio.client.commands import Abort, SendRequest
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    RemoteProtocolError,
    TooManyRequestsError,
)
from sansio_gradio.events import Anomaly, Connected, ConnectingFailed, JobCompleted, JobFailed
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.talk import ECHO, PLAIN, SRC, Talk, app, body_of, compact, config

INFO: dict[str, Any] = {
    "named_endpoints": {
        "/echo": {
            "parameters": [
                {"parameter_name": "what", "label": "What", "type": {}, "component": "Textbox"}
            ],
            "returns": [],
        }
    },
    "unnamed_endpoints": {},
}


def failure(talk: Talk) -> Any:
    """The error in which the only attempt to connect has ended."""
    (failed,) = talk.of(ConnectingFailed)
    assert talk.of(Connected) == []
    return failed.error


def test_the_config_is_asked_for_at_once() -> None:
    talk = Talk()
    request = talk.request("/config")
    assert request.method == "GET"
    assert talk.of(Connected) == []
    talk.answer(request, config())
    assert talk.of(Connected) == [Connected(session=0, app=app())]
    assert talk.conversation.app == app()
    assert talk.conversation.protocol == "sse_v3"
    assert talk.new() == []


def test_an_app_that_is_known_is_not_asked_for() -> None:
    talk = Talk(app())
    assert talk.of(Connected) == [Connected(session=0, app=app())]
    assert talk.new() == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (401, {"detail": "Not authenticated"}, AuthenticationError, "login"),
        (401, {"detail": {"error": "Not authenticated"}}, AuthenticationError, "login"),
        (200, {"auth_required": True, "auth_message": "Who?"}, AuthenticationError, "Who?"),
        (404, {"detail": "Not Found"}, RemoteProtocolError, "Not Found"),
        (500, b"Internal Server Error", RemoteProtocolError, "Internal Server Error"),
        (500, {"error": "broken"}, AppError, "broken"),
        (502, b"<html>Bad Gateway</html>", RemoteProtocolError, "Bad Gateway"),
        (429, b"", TooManyRequestsError, "fewer"),
        (200, b"<!DOCTYPE html><html>", RemoteProtocolError, "not a Gradio app"),
        (200, b"\xff\xfe{}", RemoteProtocolError, "not a Gradio app"),
        (200, b"", RemoteProtocolError, "not a Gradio app"),
        (200, b"[" * 10_000, RemoteProtocolError, "not a Gradio app"),
        (200, {"version": "2.9.4", "allow_flagging": "never"}, RemoteProtocolError, "Gradio 2"),
        (200, {}, RemoteProtocolError, "no Gradio app"),
        (200, [], RemoteProtocolError, "JSON object"),
        (204, b"", RemoteProtocolError, "204"),
    ],
)
def test_what_is_no_config_says_what_it_is(
    status: int, body: Any, kind: type[GradioError], text: str
) -> None:
    talk = Talk()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request("/config"), body, status=status)
    if status == 404 or body == b"<!DOCTYPE html><html>":  # then the page may know
        talk.answer(talk.request("/"), b"<html>", status=200)
    error = failure(talk)
    assert type(error) is kind
    assert isinstance(error, GradioError)
    assert text in error.message
    assert (error.phase, error.url) == ("config", f"{SRC}config")
    if status != 200:
        assert error.status == status
    own = talk.failure_of(job)
    assert type(own) is kind
    assert own.job == job
    assert talk.new() == []


PAGE = b"<html><script>window.gradio_config = %s;</script><script>...</script></html>"


@pytest.mark.parametrize(("status", "body"), [(404, b"Not Found"), (200, b"\n <!DOCTYPE html>")])
def test_where_there_is_no_config_the_page_has_it(status: int, body: bytes) -> None:
    talk = Talk(src=f"{SRC}mounted")
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/mounted/config"), body, status=status)
    talk.answer(talk.request("/mounted/"), PAGE % json.dumps(config()).encode())
    assert talk.of(Connected) == [Connected(session=0, app=app())]
    talk.answer(talk.request("/mounted/queue/join"), {"event_id": "e"})
    assert job == 1


@pytest.mark.parametrize(
    ("status", "page", "text"),
    [
        (500, b"window.gradio_config = {};</script>", "404: 'not here'"),
        (200, b"window.gradio_config = {}", "404: 'not here'"),
        (200, b"<html>", "404: 'not here'"),
        (200, b"window.gradio_config = {;</script>", "not a Gradio app"),
        (200, b"window.gradio_config = {};</script>", "no Gradio app"),
    ],
)
def test_a_page_without_a_config_is_no_app(status: int, page: bytes, text: str) -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), b"not here", status=404)
    talk.answer(talk.request("/"), page, status=status)
    error = failure(talk)
    assert type(error) is RemoteProtocolError
    assert text in error.message
    assert error.phase == "config"
    assert error.url == (f"{SRC}config" if "404" in text else SRC)
    assert talk.new() == []


def test_a_page_may_say_that_it_wants_a_login() -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), b"", status=404)
    talk.answer(talk.request("/"), PAGE % b'{"auth_required": true, "auth_message": "Who?"}')
    error = failure(talk)
    assert type(error) is AuthenticationError
    assert "Who?" in error.message


def test_retry_after_is_told() -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), b"", status=429, headers=(("Retry-After", "7"),))
    assert failure(talk).retry_after == 7.0


def test_a_config_has_a_deadline_and_a_limit() -> None:
    talk = Talk(timeouts=Timeouts(request=3.0))
    request = talk.request("/config")
    assert talk.sleep(3.1) == [Abort(request.id)]
    error = failure(talk)
    assert type(error) is DeadlineExceeded
    assert error.phase == "request"
    talk = Talk(limits=Limits(answer=1000))
    talk.answer(talk.request("/config"), b"x" * 1001)
    assert type(failure(talk)) is RemoteProtocolError


def test_a_config_may_be_no_deeper_than_the_limit() -> None:
    talk = Talk(limits=Limits(json_depth=20))
    talk.answer(talk.request("/config"), config(css=[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]))
    assert "nested" in failure(talk).message


def test_a_lost_connection_is_told() -> None:
    talk = Talk()
    talk.lose(talk.request("/config"))
    assert type(failure(talk)) is ConnectionLost
    assert talk.new() == []


def test_after_a_failure_the_next_job_asks_again() -> None:
    talk = Talk()
    talk.lose(talk.request("/config"))
    first = talk.conversation.submit("x", fn_index=PLAIN)
    second = talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request("/config"), config())
    for request in talk.requests("/api/predict", "/api/predict"):
        talk.answer(request, {"data": [1]})
    assert talk.data_of(first) == talk.data_of(second) == (1,)
    assert len(talk.of(ConnectingFailed)) == 1


def test_the_page_may_lie_anywhere() -> None:
    for src, page, query in (
        ("https://app.example/some/mount", "https://app.example/some/mount/", ""),
        ("http://app.example:7860/?token=a%20b", "http://app.example:7860/", "?token=a%20b"),
    ):
        talk = Talk(src=src)
        (request,) = talk.new()
        assert getattr(request, "url", None) == f"{page}config{query}"
        talk.answer(request, config(api_prefix="/gradio_api"))
        talk.conversation.submit("x", fn_index=PLAIN)
        (request,) = talk.new()
        assert getattr(request, "url", None) == f"{page}gradio_api/api/predict{query}"


@pytest.mark.parametrize(
    ("location", "base"),
    [
        ("https://app.example/config", "https://app.example/"),
        ("/mount/config", "http://app.example/mount/"),
        ("/mount/config?x=1", "http://app.example/mount/"),
        ("/mount", "http://app.example/mount/"),
    ],
)
def test_a_redirect_holds_for_all_that_follows(location: str, base: str) -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), b"", status=307, headers=(("location", location),))
    (request,) = talk.new()
    talk.answer(request, config())
    talk.conversation.submit("x", fn_index=PLAIN)
    talk.conversation.request_info()
    assert [getattr(command, "url", None) for command in talk.new()] == [
        f"{base}api/predict",
        f"{base}info?serialize=False",
    ]


def test_a_redirect_to_no_app_leads_nobody_astray() -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), b"", status=302, headers=(("location", "/maintenance"),))
    for _ in range(2):  # for the config, and for the page that may have one in it
        (request,) = talk.new()
        talk.answer(request, b"<html>Back soon</html>")
    assert len(talk.of(ConnectingFailed)) == 1
    talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request("/config"), config())
    talk.request("/api/predict")


def test_an_app_that_cannot_be_called_is_not_known() -> None:
    talk = Talk()
    talk.answer(talk.request("/config"), config(api_prefix="/../x"))
    assert isinstance(failure(talk), RemoteProtocolError)
    talk.conversation.request_info()  # which says nothing of what the server did
    talk.request("/config")


# Login


def test_a_login_comes_first() -> None:
    talk = Talk(auth=("me & you", "pässword=1"))
    request = talk.request("/login")
    assert request.method == "POST"
    assert ("content-type", "application/x-www-form-urlencoded") in request.headers
    assert parse_qs(body_of(request).decode()) == {
        "username": ["me & you"],
        "password": ["pässword=1"],
    }
    token = ("set-cookie", "access-token-unsecure-abc=token; HttpOnly; Path=/; SameSite=none")
    talk.answer(request, {"success": True}, headers=(token,))
    request = talk.request("/config")
    assert ("cookie", "access-token-unsecure-abc=token") in request.headers
    talk.answer(request, config())
    assert len(talk.of(Connected)) == 1


def test_an_old_login_answers_by_a_redirect() -> None:
    talk = Talk(auth=("u", "p"))
    headers = (("location", "/"), ("set-cookie", "access-token=token; Path=/"))
    talk.answer(talk.request("/login"), b"", status=302, headers=headers)
    assert ("cookie", "access-token=token") in talk.request("/config").headers


@pytest.mark.parametrize(
    ("status", "body"), [(400, {"detail": "Incorrect credentials."}), (401, b"no"), (404, b"")]
)
def test_a_refused_login_says_so(status: int, body: Any) -> None:
    talk = Talk(auth=("u", "secret"))
    talk.answer(talk.request("/login"), body, status=status)
    error = failure(talk)
    assert type(error) is AuthenticationError
    assert (error.phase, error.url, error.status) == ("login", f"{SRC}login", status)
    assert "secret" not in str(error)
    assert talk.new() == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, RemoteProtocolError),
        (500, AppError),
        (429, TooManyRequestsError),
        (503, RemoteProtocolError),
    ],
)
def test_not_every_other_answer_is_the_fault_of_the_password(
    status: int, kind: type[GradioError]
) -> None:
    talk = Talk(auth=("u", "p"))
    body = {"error": "boom"} if status == 500 else b""
    talk.answer(talk.request("/login"), body, status=status, headers=(("location", "/login/"),))
    error = failure(talk)
    assert type(error) is kind
    assert (error.phase, error.status) == ("login", status)
    assert ("try again later" in error.message) is (status == 503)


@pytest.mark.parametrize("has_token", [True, False])
def test_a_login_that_is_not_there_may_be_that_of_a_private_space(has_token: bool) -> None:
    talk = Talk(auth=("u", "p"), token="t" if has_token else None)
    talk.answer(talk.request("/login"), b"<html>404</html>", status=404)
    assert ("pass token=" in failure(talk).message) is not has_token


def test_a_date_to_come_back_is_understood_before_the_app_is_known() -> None:
    talk = Talk(wall_offset=784111777.0 - 1000.0)  # RFC 9110's example
    headers = (("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"),)
    talk.answer(talk.request("/config"), b"", status=429, headers=headers)
    assert failure(talk).retry_after == 60.0


def to_https(path: str) -> tuple[tuple[str, str], ...]:
    return (("location", f"https://app.example{path}"),)


def test_a_login_follows_to_https_and_all_that_comes_after_is_asked_there() -> None:
    talk = Talk(auth=("u", "p"))
    first = talk.request("/login")
    talk.answer(first, b"", status=301, headers=to_https("/login"))
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    assert (request.method, request.url) == ("POST", "https://app.example/login")
    assert request.body == first.body
    talk.answer(request, {}, headers=(("set-cookie", "token=1; Path=/; Secure"),))
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    assert request.url == "https://app.example/config"
    assert ("cookie", "token=1") in request.headers


def test_where_only_the_config_leads_to_https_the_login_is_done_again_there() -> None:
    talk = Talk(auth=("u", "p"))
    talk.answer(talk.request("/login"), {}, headers=(("set-cookie", "token=1; Path=/"),))
    talk.answer(talk.request("/config"), b"", status=302, headers=to_https("/config"))
    (request,) = talk.new()
    talk.answer(request, {"detail": "Not authenticated"}, status=401)
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    assert (request.method, request.url) == ("POST", "https://app.example/login")
    talk.answer(request, {}, headers=(("set-cookie", "token=2; Path=/"),))
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    assert request.url == "https://app.example/config"
    assert ("cookie", "token=2") in request.headers
    talk.answer(request, config())
    assert len(talk.of(Connected)) == 1


def test_a_login_that_is_lost_is_tried_again_with_the_next_job() -> None:
    talk = Talk(auth=("u", "p"))
    talk.lose(talk.request("/login"))
    assert type(failure(talk)) is ConnectionLost
    talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request("/login"), {"success": True})
    talk.request("/config")


def test_a_config_that_is_lost_after_the_login_is_told() -> None:
    talk = Talk(auth=("u", "p"))
    talk.answer(talk.request("/login"), {"success": True})
    talk.lose(talk.request("/config"))
    assert failure(talk).phase == "config"


# More of it


def test_info_is_asked_for_when_it_is_needed() -> None:
    talk = Talk(app(api_prefix="/gradio_api"))
    job = talk.conversation.submit(what="hello", api_name="/echo")
    request = talk.request("/gradio_api/info")
    assert request.url.endswith("?serialize=False")
    waiting = talk.conversation.submit(what="too", api_name="/echo")
    at_once = talk.conversation.submit("x", fn_index=PLAIN)
    talk.request("/gradio_api/api/predict")
    talk.answer(request, INFO)
    assert [event.app.has_info for event in talk.of(Connected)] == [False, True]
    joins = talk.requests("/gradio_api/queue/join", "/gradio_api/queue/join")
    assert b'"hello"' in body_of(joins[0])
    assert b'"too"' in body_of(joins[1])
    assert [talk.ends_of(number) for number in (job, waiting, at_once)] == [[], [], []]
    talk.conversation.submit(what="three", api_name="/echo")
    talk.request("/gradio_api/queue/join")  # what is known is not asked again


def test_info_may_not_be_there() -> None:
    talk = Talk(app())
    talk.conversation.request_info()
    talk.answer(talk.request("/info"), {"detail": "Not Found"}, status=404)
    assert [event.app.has_info for event in talk.of(Connected)] == [False, True]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"Internal Server Error", RemoteProtocolError),
        (401, b"", AuthenticationError),
        (200, b"<html>", RemoteProtocolError),
        (200, [], RemoteProtocolError),
        (200, {"named_endpoints": {}}, RemoteProtocolError),
    ],
)
def test_what_is_no_info_fails_who_needs_it(
    status: int, body: Any, kind: type[GradioError]
) -> None:
    talk = Talk(app())
    job = talk.conversation.submit(what="x", api_name="/echo")
    talk.answer(talk.request("/info"), body, status=status)
    (failed,) = talk.of(ConnectingFailed)
    assert type(failed.error) is kind
    assert (failed.error.phase, failed.error.url) == ("info", f"{SRC}info")
    assert isinstance(talk.last_of(job), JobFailed)
    other = talk.conversation.submit("x", fn_index=PLAIN)  # who does not need it goes on
    talk.answer(talk.request("/api/predict"), {"data": [1]})
    assert isinstance(talk.last_of(other), JobCompleted)
    talk.conversation.request_info()
    talk.answer(talk.request("/info"), INFO)
    assert talk.conversation.app is not None
    assert talk.conversation.app.has_info


@pytest.mark.parametrize("auth", [None, ("u", "p")])
def test_info_that_is_wanted_before_the_config_is_there_comes_after_it(
    auth: tuple[str, str] | None,
) -> None:
    talk = Talk(auth=auth)
    talk.conversation.request_info()
    talk.conversation.request_info()
    if auth:
        talk.answer(talk.request("/login"), {"success": True})
    talk.answer(talk.request("/config"), config())
    talk.answer(talk.request("/info"), INFO)
    assert [event.app.has_info for event in talk.of(Connected)] == [False, True]
    assert talk.new() == []


def test_info_that_is_wanted_after_a_failure_asks_for_all() -> None:
    talk = Talk()
    talk.lose(talk.request("/config"))
    talk.conversation.request_info()
    talk.answer(talk.request("/config"), config())
    talk.request("/info")


def test_a_failure_is_the_end_of_what_was_wanted() -> None:
    talk = Talk()
    talk.conversation.request_info()
    talk.lose(talk.request("/config"))
    talk.conversation.submit("x", fn_index=PLAIN)
    talk.answer(talk.request("/config"), config())
    talk.request("/api/predict")


def test_nothing_is_asked_twice_at_once() -> None:
    talk = Talk()
    request = talk.request("/config")
    for _ in range(3):
        talk.conversation.submit("x", fn_index=PLAIN)
    assert talk.new() == []
    talk.answer(request, config())
    talk.requests(*["/api/predict"] * 3)
    for _ in range(3):
        talk.conversation.request_info()
    talk.answer(talk.request("/info"), INFO)
    assert talk.new() == []


# What is rendered at run time


def render(place: int, *names: str, first: int) -> dict[str, Any]:
    """A ``render_config`` with a function for each name, as gradio@6.31.0 sends them."""
    return {
        "components": [{"id": first, "type": "textbox", "props": {}}],
        "dependencies": [
            {
                "id": first + number,
                "inputs": [first],
                "outputs": [first],
                "api_name": name,
                "queue": True,
                "rendered_in": place,
            }
            for number, name in enumerate(names)
        ],
        "layout": {},
        "render_id": place,
    }


def names(talk: Talk) -> set[str | None]:
    app = talk.conversation.app
    assert app is not None
    return {endpoint.api_name for endpoint in app.endpoints.values()}


def rendering(talk: Talk, said: Any, event_id: str = "e", **options: Any) -> int:
    """A job whose result comes with a render."""
    job = talk.conversation.submit("x", fn_index=ECHO, **options)
    join, *streams = talk.new()
    talk.answer(join, {"event_id": event_id})
    (stream,) = streams or talk.new()
    talk.open(stream)
    output = {"data": [None], "render_config": said}
    message = {"msg": "process_completed", "event_id": event_id, "output": output}
    talk.send(stream, {**message, "success": True})
    talk.end(stream)
    return job


def test_what_is_rendered_can_be_called() -> None:
    talk = Talk(app())
    job = rendering(talk, render(0, "box_0", "box_1", first=50))
    assert talk.data_of(job) == (None,)
    said = [event for event in talk.said if isinstance(event, Connected | JobCompleted)]
    assert [type(event) for event in said] == [Connected, Connected, JobCompleted]
    talk.conversation.submit("y", api_name="/box_1")
    (request,) = talk.new()[:1]
    assert isinstance(request, SendRequest)
    asked = json.loads(body_of(request))
    assert (asked["fn_index"], asked["data"]) == (51, ["y"])
    assert asked["session_hash"] == talk.conversation.session_hash


def test_what_is_rendered_anew_takes_the_place_of_what_was_there() -> None:
    talk = Talk(app())
    before = names(talk)
    rendering(talk, render(0, "a", "b", first=50), "e1")
    rendering(talk, render(1, "c", first=60), "e2")
    rendering(talk, render(0, "d", first=70), "e3")
    assert names(talk) == before | {"/c", "/d"}
    known = talk.conversation.app
    assert known is not None
    assert len(known.components) == len({*known.components})
    talk.conversation.reset()  # the new session has none of them
    talk.look()
    assert names(talk) == before


def test_what_was_rendered_is_gone_when_the_app_was_started_anew() -> None:
    talk = Talk(app(app_id=7))
    before = names(talk)
    rendering(talk, render(0, "box", first=50))
    assert names(talk) == before | {"/box"}
    talk.conversation.reload()
    talk.answer(talk.request("/config"), config(app_id=8))
    assert names(talk) == before


def test_a_new_session_without_renders_changes_nothing_of_the_app() -> None:
    talk = Talk(app())
    talk.conversation.reset()
    assert len(talk.of(Connected)) == 1


def test_info_adds_to_what_was_rendered() -> None:
    talk = Talk(app())
    rendering(talk, render(0, "box", first=50))
    talk.conversation.request_info()
    talk.answer(talk.request("/info"), {"named_endpoints": {}, "unnamed_endpoints": {}})
    assert "/box" in names(talk)
    assert talk.conversation.app is not None
    assert talk.conversation.app.has_info
    rendering(talk, render(0, "other", first=50), "e2")
    assert talk.conversation.app.has_info
    assert names(talk) >= {"/other"}


def test_what_another_session_renders_is_not_ours() -> None:
    talk = Talk(app())
    rendering(talk, render(0, "box", first=50), isolated=True)
    assert "/box" not in names(talk)
    assert len(talk.of(Connected)) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"components": [{"id": "x"}], "dependencies": []},
        {"components": [], "dependencies": [{"id": 1}]},
    ],
)
def test_a_render_that_cannot_be_read_fails_nothing(said: Any) -> None:
    talk = Talk(app())
    before = names(talk)
    job = rendering(talk, said)
    assert talk.data_of(job) == (None,)
    assert ["render" in event.what for event in talk.of(Anomaly)] == [True]
    assert names(talk) == before


@pytest.mark.parametrize("said", [None, [], "x", {}])
def test_a_render_of_nothing_is_nothing(said: Any) -> None:
    talk = Talk(app())
    before = names(talk)
    rendering(talk, said)
    assert talk.of(Anomaly) == []
    assert names(talk) == before


def steps_to_render(parts: int) -> int:
    """Calls made on the way of a render into an app of so many components and functions."""
    base = config()
    base["components"] += [{"id": 100 + n, "type": "box", "props": {}} for n in range(parts)]
    base["dependencies"] += [{"id": 100 + n, "inputs": [], "outputs": []} for n in range(parts)]
    talk = Talk(AppInfo.from_config(base))
    talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/queue/join"), {"event_id": "e"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    output = {"data": ["x"], "render_config": render(0, "box", first=50)}
    said = compact({"msg": "process_completed", "event_id": "e", "output": output})
    steps: list[str] = []
    sys.setprofile(lambda frame, kind, _: steps.append(kind))
    try:
        talk.send(stream, said)
    finally:
        sys.setprofile(None)
    assert talk.conversation.app is not None
    assert talk.conversation.app.endpoint("/box").fn_index == 50
    return len(steps)


def test_a_render_costs_the_same_in_an_app_of_any_size() -> None:
    assert steps_to_render(1000) < 2 * steps_to_render(0)


def steps_of_the_last_render(count: int, *, components: int = 10, ids: int = 1) -> int:
    """Calls made on the way of the last of so many renders with a function of so many inputs."""
    base = config()
    base["components"] += [{"id": 100 + n, "type": "box", "props": {}} for n in range(components)]
    talk = Talk(AppInfo.from_config(base))
    talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/queue/join"), {"event_id": "e"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    talk.send(stream, {"msg": "process_starts", "event_id": "e"})
    steps: list[str] = []
    places = range(5000, 5000 + count)
    for place in places:
        function = {"id": place, "inputs": [100] * ids, "outputs": [7777]}
        output = {"data": ["x"], "render_config": {"dependencies": [function], "render_id": place}}
        # In another order than servers have it, so that no yield is left unread.
        said = compact({"event_id": "e", "msg": "process_generating", "output": output})
        steps.clear()
        sys.setprofile(lambda frame, kind, _: steps.append(kind))
        try:
            talk.send(stream, said)
        finally:
            sys.setprofile(None)
    assert talk.conversation.app is not None
    assert [part.id for part in talk.conversation.app.endpoints[places[-1]].inputs] == [100] * ids
    return len(steps)


def test_a_render_costs_the_same_however_much_was_rendered_before() -> None:
    assert steps_of_the_last_render(90) < 1.1 * steps_of_the_last_render(2)
    assert steps_of_the_last_render(150) < 1.5 * steps_of_the_last_render(2)  # one has to go
    assert steps_of_the_last_render(90, components=1000) < 1.1 * steps_of_the_last_render(90)


def test_an_id_that_a_render_repeats_is_looked_up_once() -> None:
    few = steps_of_the_last_render(90, ids=10)
    assert steps_of_the_last_render(90, ids=1000) < 1.1 * few


def test_of_one_id_rendered_in_two_places_the_newest_counts_and_then_the_other() -> None:
    def box(place: int, kind: str) -> dict[str, Any]:
        return {"components": [{"id": 50, "type": kind, "props": {}}], "render_id": place}

    def function(name: str) -> dict[str, Any]:
        made = {"id": 60, "inputs": [50], "outputs": [50], "api_name": name}
        return {"dependencies": [made], "render_id": name}

    def kind_of(name: str) -> str:
        assert talk.conversation.app is not None
        return talk.conversation.app.endpoint(name).inputs[0].type

    talk = Talk(app())
    for turn, rendered in enumerate((box(0, "textbox"), box(1, "slider"), function("a"))):
        rendering(talk, rendered, f"e{turn}")
    assert kind_of("/a") == "slider"
    for turn, rendered in enumerate(({"components": [], "render_id": 1}, function("b"))):
        rendering(talk, rendered, f"f{turn}")
    assert kind_of("/b") == "textbox"


def test_an_app_that_was_told_of_stays_as_it_was_told() -> None:
    talk = Talk(app())
    rendering(talk, render(0, "a", first=50), "e1")
    told = talk.of(Connected)[-1].app
    rendering(talk, render(0, "b", first=50), "e2")
    assert told.endpoint("/a").api_name == "/a"
    assert "/b" not in {endpoint.api_name for endpoint in told.endpoints.values()}
    assert 50 in told.components
    assert len(told.components) == len(talk.of(Connected)[0].app.components) + 1


def test_a_server_that_renders_without_end_fills_no_memory() -> None:
    talk = Talk(app())
    before = names(talk)
    for place in range(103):
        rendering(talk, render(place, f"box_{place}", first=1000 + place), f"e{place}")
    assert names(talk) == before | {f"/box_{place}" for place in range(3, 103)}
