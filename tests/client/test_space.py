"""A Space by its name: the Hub is asked where it is, and whether it runs."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client.commands import Abort, SendRequest
from sansio_gradio.client.engine import Engine
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    DeadlineExceeded,
    GradioError,
    RemoteProtocolError,
    SpaceError,
    TooManyRequestsError,
)
from sansio_gradio.events import (
    Anomaly,
    Connected,
    ConnectingFailed,
    JobFailed,
    SessionClosed,
    SpaceStatus,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio.testing.talk import Talk, app, body_of, config

NAME = "owner/name"
HUB = "https://hub.example"
API = f"{HUB}/api/spaces/{NAME}"
HOST, RUNTIME = f"{API}/host", f"{API}/runtime"
PAGE = "https://owner-name.hf.space/"
LOADING = b"<html>Your Space is starting</html>"


def visit(**options: Any) -> Talk:
    return Talk(src=NAME, hub=HUB, token="t0ken", headers={"x-a": "1"}, **options)


def asked(talk: Talk, url: str) -> SendRequest:
    """What is asked now: one request, for *url*; with the right credentials."""
    (command,) = talk.new()
    return checked(command, url)


def checked(command: Any, url: str) -> SendRequest:
    assert isinstance(command, SendRequest)
    assert (command.method, command.url) == ("GET", url)
    fields = dict(command.headers)
    if url.startswith(HUB):
        assert fields["authorization"] == "Bearer t0ken"
        assert not {"x-hf-authorization", "x-a", "cookie"} & set(fields)
    else:
        assert (fields["x-hf-authorization"], fields["x-a"]) == ("Bearer t0ken", "1")
        assert "authorization" not in fields
    return command


def locate(talk: Talk) -> None:
    talk.answer(asked(talk, HOST), {"subdomain": "owner-name", "host": PAGE.rstrip("/")})


def stage(talk: Talk, name: str, **more: Any) -> None:
    talk.answer(asked(talk, RUNTIME), {"stage": name, **more})


def stages(talk: Talk) -> list[str]:
    return [event.stage for event in talk.of(SpaceStatus)]


def error_of(talk: Talk) -> Any:
    (failed,) = talk.of(ConnectingFailed)
    assert talk.of(Connected) == []
    return failed.error


@pytest.mark.parametrize("src", [NAME, f"{HUB}/spaces/{NAME}", f"https://hf.co/spaces/{NAME}/"])
@pytest.mark.parametrize("name", ["RUNNING", "RUNNING_BUILDING", "RUNNING_APP_STARTING", "NEW"])
def test_a_space_that_runs_is_connected_to(src: str, name: str) -> None:
    talk = Talk(src=src, hub=HUB, token="t0ken", headers={"x-a": "1"}, cookies={"own": "1"})
    assert talk.conversation.url == f"{HUB}/spaces/{NAME}/"
    locate(talk)
    stage(talk, name)
    request = asked(talk, f"{PAGE}config")
    assert ("cookie", "own=1") in request.headers
    talk.answer(request, config())
    assert talk.of(Connected) == [Connected(session=0, app=app())]
    assert talk.of(SpaceStatus) == [SpaceStatus(session=0, stage=name)]
    assert talk.conversation.url == PAGE
    talk.conversation.submit("x", api_name="/echo")
    (join,) = talk.new()
    assert isinstance(join, SendRequest)
    assert join.url == f"{PAGE}queue/join"


@pytest.mark.parametrize("name", ["BUILDING", "APP_STARTING"])
def test_a_space_that_starts_is_waited_for(name: str) -> None:
    talk = visit()
    job = talk.conversation.submit("x", api_name="/echo")
    locate(talk)
    stage(talk, name)
    assert talk.new() == []
    assert talk.sleep(1.9) == []
    (command,) = talk.sleep(0.1)
    talk.answer(checked(command, RUNTIME), {"stage": name})
    (command,) = talk.sleep(2.0)
    talk.answer(checked(command, RUNTIME), {"stage": "RUNNING"})
    talk.answer(asked(talk, f"{PAGE}config"), config())
    assert stages(talk) == [name, "RUNNING"]
    (join,) = talk.new()
    assert isinstance(join, SendRequest)
    assert job == 1


def test_a_hub_that_is_out_of_order_for_a_moment_does_not_end_the_waiting() -> None:
    talk = visit(timeouts=Timeouts(space=9.0))
    locate(talk)
    stage(talk, "BUILDING")
    for _ in range(2):
        (command,) = talk.sleep(2.0)
        talk.answer(checked(command, RUNTIME), b"<html>", status=500)
        (command,) = talk.sleep(2.0)
        talk.lose(checked(command, RUNTIME))
    assert talk.sleep(1.0) == []
    error = error_of(talk)
    assert type(error) is DeadlineExceeded
    assert "BUILDING after 9 s" in error.message
    assert len(talk.of(Anomaly)) == 4
    assert stages(talk) == ["BUILDING"]


@pytest.mark.parametrize("name", ["SLEEPING", "STOPPED"])
@pytest.mark.parametrize("answered", [True, False])
def test_a_space_that_sleeps_is_woken(name: str, answered: bool) -> None:
    talk = visit()
    locate(talk)
    stage(talk, name)
    wake = asked(talk, PAGE)
    if answered:
        talk.answer(wake, LOADING, status=503)
    (command,) = talk.sleep(2.0)
    talk.answer(checked(command, RUNTIME), {"stage": name})
    again = talk.new()  # not while the app has not answered
    assert [checked(command, PAGE) for command in again] == again
    assert len(again) == answered
    (command,) = talk.sleep(2.0)
    if not answered:
        talk.lose(wake)
    talk.answer(checked(command, RUNTIME), {"stage": "RUNNING"})
    talk.answer(asked(talk, f"{PAGE}config"), config())
    assert stages(talk) == [name, "RUNNING"]
    assert len(talk.of(Connected)) == 1


FINAL = ["PAUSED", "NO_APP_FILE", "CONFIG_ERROR", "BUILD_ERROR", "RUNTIME_ERROR", "DELETING"]


@pytest.mark.parametrize("name", FINAL)
def test_a_space_that_cannot_run_fails_at_once(name: str) -> None:
    talk = visit()
    job = talk.conversation.submit("x", api_name="/echo")
    locate(talk)
    stage(talk, name, errorMessage="exit code 1")
    error = error_of(talk)
    assert type(error) is SpaceError
    assert error.stage == name
    assert name in error.message
    assert "exit code 1" in error.message
    assert (error.phase, error.url) == ("space", PAGE)
    assert type(talk.failure_of(job)) is SpaceError
    assert stages(talk) == [name]
    assert talk.new() == []
    # The next call looks again: its owner may have done something.
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(asked(talk, f"{PAGE}config"), config())
    (join,) = talk.new()
    assert isinstance(join, SendRequest)


@pytest.mark.parametrize("patience", [5.0, None])
def test_it_is_waited_for_no_longer_than_allowed(patience: float | None) -> None:
    talk = visit(timeouts=Timeouts(space=patience))
    locate(talk)
    stage(talk, "BUILDING")
    for _ in range(2):
        (command,) = talk.sleep(2.0)
        talk.answer(checked(command, RUNTIME), {"stage": "BUILDING"})
    assert talk.of(ConnectingFailed) == []
    if patience is None:
        (command,) = talk.sleep(2.0)
        checked(command, RUNTIME)
        return
    assert talk.sleep(1.0) == []
    error = error_of(talk)
    assert type(error) is DeadlineExceeded
    assert (error.phase, error.url) == ("space", PAGE)
    assert "BUILDING after 5 s" in error.message
    assert talk.sleep(100.0) == []


def test_a_hub_that_is_slow_does_not_make_it_longer() -> None:
    talk = visit(timeouts=Timeouts(space=5.0, request=30.0))
    locate(talk)
    stage(talk, "BUILDING")
    (command,) = talk.sleep(2.0)
    checked(command, RUNTIME)  # it is not answered
    assert talk.sleep(2.9) == []
    (abort,) = talk.sleep(0.2)
    assert abort == Abort(command.id)
    assert "BUILDING after 5 s" in error_of(talk).message


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, (), AuthenticationError, "does not know the token"),
        (404, (("X-Error-Code", "RepoNotFound"),), SpaceError, "no Space owner/name"),
        (403, (("X-Error-Code", "GatedRepo"),), AuthenticationError, "ask for access"),
        (429, (), TooManyRequestsError, "fewer requests"),
        (500, (), RemoteProtocolError, "500"),
        (200, (), RemoteProtocolError, "does not say where"),
    ],
)
def test_a_space_that_the_hub_does_not_show(
    status: int, headers: Any, kind: type[GradioError], words: str
) -> None:
    talk = visit()
    talk.answer(asked(talk, HOST), b"{}", status=status, headers=headers)
    error = error_of(talk)
    assert type(error) is kind
    assert words in error.message
    assert (error.phase, error.url) == ("space", HOST)
    if status != 200:
        assert error.status == status
    assert talk.new() == []


def test_a_private_or_missing_space_without_a_token() -> None:
    talk = Talk(src=NAME, hub=HUB)
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    assert "authorization" not in dict(command.headers)
    talk.answer(command, {"error": "Repository not found"}, status=401)
    error = error_of(talk)
    assert type(error) is AuthenticationError
    assert "pass token=" in error.message


def test_a_hub_that_cannot_be_reached() -> None:
    talk = visit()
    talk.lose(asked(talk, HOST), ConnectFailed("refused", phase="connect"))
    assert type(error_of(talk)) is ConnectFailed
    talk.conversation.submit("x", api_name="/echo")
    locate(talk)


@pytest.mark.parametrize("answer", [(200, {"stage": 7}), (200, b"<html>"), (404, {}), None])
def test_a_hub_that_does_not_tell_the_stage_does_not_matter(answer: Any) -> None:
    talk = visit()
    locate(talk)
    request = asked(talk, RUNTIME)
    if answer is None:
        talk.lose(request)
    else:
        talk.answer(request, answer[1], status=answer[0])
    talk.answer(asked(talk, f"{PAGE}config"), config())
    assert len(talk.of(Connected)) == 1
    assert stages(talk) == []
    (puzzle,) = talk.of(Anomaly)
    assert "the stage of the Space" in puzzle.what


def test_a_renamed_space_is_found_at_its_new_name() -> None:
    talk = visit()
    there = f"{HUB}/api/spaces/owner/new/host"
    talk.answer(asked(talk, HOST), b"", status=307, headers=(("location", there),))
    talk.answer(asked(talk, there), {"host": PAGE})
    stage(talk, "RUNNING")


def test_a_hub_that_has_moved_to_https_names_no_address_without_it() -> None:
    talk = Talk(src=NAME, hub="http://hub.example", token="t0ken")
    (request,) = talk.new()
    assert isinstance(request, SendRequest)
    talk.answer(request, b"", status=301, headers=(("location", HOST),))
    talk.answer(asked(talk, HOST), {"host": "http://owner-name.hf.space"})
    assert "without TLS" in error_of(talk).message
    assert talk.new() == []


def test_a_hub_that_redirects_elsewhere_is_not_followed() -> None:
    talk = visit()
    away = (("location", "https://evil.example/api"),)
    talk.answer(asked(talk, HOST), b"", status=302, headers=away)
    assert type(error_of(talk)) is RemoteProtocolError
    assert talk.new() == []


# Later


def connected(**options: Any) -> Talk:
    talk = visit(**options)
    locate(talk)
    stage(talk, "RUNNING")
    talk.answer(asked(talk, f"{PAGE}config"), config())
    assert len(talk.of(Connected)) == 1
    return talk


def test_an_app_that_has_gone_to_sleep_is_woken_for_the_next_job() -> None:
    talk = connected()
    talk.conversation.doubt_app(talk.now)
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(asked(talk, f"{PAGE}config"), LOADING, status=503)
    stage(talk, "SLEEPING")
    talk.answer(asked(talk, PAGE), LOADING, status=503)
    (command,) = talk.sleep(2.0)
    talk.answer(checked(command, RUNTIME), {"stage": "RUNNING"})
    talk.answer(asked(talk, f"{PAGE}config"), config())
    assert stages(talk) == ["RUNNING", "SLEEPING", "RUNNING"]
    (join,) = talk.new()
    assert isinstance(join, SendRequest)
    assert join.url == f"{PAGE}queue/join"


def test_an_app_that_fails_though_its_space_runs_fails() -> None:
    talk = connected()
    talk.conversation.doubt_app(talk.now)
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(asked(talk, f"{PAGE}config"), LOADING, status=503)
    stage(talk, "RUNNING")
    error = talk.failure_of(job)
    assert type(error) is RemoteProtocolError
    assert (error.phase, error.url, error.status) == ("config", f"{PAGE}config", 503)
    assert stages(talk) == ["RUNNING"]


def test_an_app_that_is_known_needs_its_address_only() -> None:
    talk = Talk(app(), src=NAME, hub=HUB, token="t0ken", headers={"x-a": "1"})
    assert talk.of(Connected) == []
    locate(talk)
    stage(talk, "RUNNING")
    assert talk.new() == []
    assert talk.of(Connected) == [Connected(session=0, app=app())]


def test_a_login_is_given_to_the_app_and_not_to_the_hub() -> None:
    talk = visit(auth=("me", "s-password"))
    locate(talk)
    stage(talk, "RUNNING")
    sent = [command for command in talk.asked if isinstance(command, SendRequest)]
    assert not any(b"s-password" in body_of(command) for command in sent)
    (login,) = talk.new()
    assert isinstance(login, SendRequest)
    assert login.url == f"{PAGE}login"
    assert b"s-password" in body_of(login)


@pytest.mark.parametrize("when", ["locating", "waiting"])
def test_a_session_that_is_closed_meanwhile_asks_no_more(when: str) -> None:
    talk = visit()
    job = talk.conversation.submit("x", api_name="/echo")
    if when == "waiting":
        locate(talk)
        stage(talk, "BUILDING")
    talk.new()
    talk.conversation.close()
    talk.new()
    assert talk.sleep(100.0) == []
    assert len(talk.of(SessionClosed)) == 1
    assert len(talk.ends_of(job)) == 1


def test_an_engine_connects_to_the_hub_and_then_to_the_app() -> None:
    engine = Engine(entropy=bytes)
    session = engine.session(NAME, hub="http://127.0.0.1:5000")
    engine.handle_timer(0.0)
    opened: Any = engine.next_command()
    assert (opened.host, opened.port) == ("127.0.0.1", 5000)
    engine.connection_made(opened.conn, 0.0)
    assert bytes_of(engine.data_to_send(opened.conn)).startswith(
        b"GET /api/spaces/owner/name/host "
    )
    body = b'{"host": "http://127.0.0.1:5001"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    engine.receive_data(opened.conn, answer, 0.0)
    engine.handle_timer(0.0)
    assert bytes_of(engine.data_to_send(opened.conn)).startswith(
        b"GET /api/spaces/owner/name/runtime "
    )
    body = b'{"stage": "RUNNING"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    engine.receive_data(opened.conn, answer, 0.0)
    engine.handle_timer(0.0)
    opened = engine.next_command()
    assert (opened.host, opened.port) == ("127.0.0.1", 5001)
    assert session.url == "http://127.0.0.1:5001/"


def test_a_job_ends_with_the_error_of_the_space() -> None:
    talk = visit()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(asked(talk, HOST), {}, status=404)
    assert isinstance(talk.last_of(job), JobFailed)
