"""A token that expires while a job waits: the application is asked for another one, once a job."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client.commands import OpenWebSocket, SendRequest
from sansio_gradio.errors import AuthenticationError, DeadlineExceeded
from sansio_gradio.events import ConnectingFailed, JobCancelled, TokenRefused
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.testing.talk import Talk, app, completed, config, starts

EXPIRED = {"error": "Invalid username or password."}
JOIN, INFO, CONFIG, UPLOAD = "/queue/join", "/info", "/config", "/upload"


def talking(known: Any = None, **options: Any) -> Talk:
    return Talk(known or app(), **{"token": "old", "token_rotates": True, **options})


def token_of(command: SendRequest | OpenWebSocket) -> str:
    return dict(command.headers)["x-hf-authorization"].removeprefix("Bearer ")


def refuse(talk: Talk, *commands: SendRequest | OpenWebSocket, status: int = 401) -> None:
    for command in commands:
        talk.answer(command, EXPIRED, status=status)


def asked(talk: Talk) -> int:
    """How often the application was asked for another token."""
    return len(talk.of(TokenRefused))


def answer_doubt(talk: Talk) -> None:
    """A 401 may come of another app: it is looked at again."""
    talk.answer(talk.request(CONFIG), config())


@pytest.mark.parametrize("path", [JOIN, "/api/predict"])
def test_a_refused_job_waits_for_another_token(path: str) -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo" if path == JOIN else "/plain")
    refuse(talk, talk.request(path))
    assert talk.new() == []
    assert asked(talk) == 1
    talk.conversation.set_token("new", rotates=True)
    (look,) = talk.requests(CONFIG)
    assert token_of(look) == "new"
    talk.answer(look, config())
    again = talk.request(path)
    assert token_of(again) == "new"
    assert talk.ends_of(job) == []
    refuse(talk, again)
    assert type(talk.failure_of(job)) is AuthenticationError
    assert asked(talk) == 1


def test_all_jobs_that_met_it_are_asked_for_once() -> None:
    talk = talking()
    jobs = [talk.conversation.submit("x", api_name="/echo") for _ in range(3)]
    refuse(talk, *talk.requests(JOIN, JOIN, JOIN))
    assert asked(talk) == 1
    talk.conversation.set_token("new")
    answer_doubt(talk)
    assert {token_of(join) for join in talk.requests(JOIN, JOIN, JOIN)} == {"new"}
    assert not any(talk.ends_of(job) for job in jobs)


def test_a_job_in_line_meets_the_refusal_while_the_app_is_looked_for() -> None:
    talk = talking(app(app_id=1))
    talk.conversation.doubt_app(talk.now)
    job = talk.conversation.submit("x", api_name="/echo")
    refuse(talk, talk.request("/app_id"))
    refuse(talk, talk.request(CONFIG))
    assert asked(talk) == 1
    assert talk.ends_of(job) == []
    assert len(talk.of(ConnectingFailed)) == 1
    talk.conversation.set_token("new")
    talk.answer(talk.request("/app_id"), {"app_id": 1})
    assert token_of(talk.request(JOIN)) == "new"


def test_a_job_that_waits_for_info_meets_the_refusal() -> None:
    talk = talking()
    job = talk.conversation.submit(text="x", api_name="/echo")
    refuse(talk, talk.request(INFO))
    assert asked(talk) == 1
    talk.conversation.set_token("new")
    assert token_of(talk.request(INFO)) == "new"
    assert talk.ends_of(job) == []


def test_an_upload_meets_the_refusal() -> None:
    talk = talking()
    talk.conversation.submit(handle_file(b"content", name="a.bin"), api_name="/echo")
    refuse(talk, talk.request(UPLOAD))
    talk.conversation.set_token("new")
    answer_doubt(talk)
    assert token_of(talk.request(UPLOAD)) == "new"


def test_a_waiting_job_can_be_cancelled_and_is_late_in_time() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    late = talk.conversation.submit("x", api_name="/echo", timeout=5.0)
    refuse(talk, *talk.requests(JOIN, JOIN))
    assert talk.conversation.cancel(job)
    assert isinstance(talk.last_of(job), JobCancelled)
    talk.sleep(6.0)
    assert type(talk.failure_of(late)) is DeadlineExceeded
    talk.conversation.set_token("new")
    assert talk.new() == []


def test_the_next_refusal_is_asked_for_again() -> None:
    talk = talking()
    for count in (1, 2):
        job = talk.conversation.submit("x", api_name="/plain")
        refuse(talk, talk.request("/api/predict"))
        assert asked(talk) == count
        talk.conversation.set_token(f"new{count}", rotates=True)
        answer_doubt(talk)
        talk.answer(talk.request("/api/predict"), {"data": ["done"]})
        assert talk.data_of(job) == ("done",)


@pytest.mark.parametrize(
    ("options", "status"),
    [({"token_rotates": False}, 401), ({}, 403), ({}, 404)],
    ids=["fixed", "403", "404"],
)
def test_other_refusals_end_the_job(options: dict[str, Any], status: int) -> None:
    talk = talking(**options)
    job = talk.conversation.submit("x", api_name="/plain")
    refuse(talk, talk.request("/api/predict"), status=status)
    talk.failure_of(job)
    assert asked(talk) == 0


def test_a_token_that_rotates_no_more_ends_the_job() -> None:
    talk = talking()
    talk.conversation.set_token("fixed")
    job = talk.conversation.submit("x", api_name="/plain")
    refuse(talk, talk.request("/api/predict"))
    assert type(talk.failure_of(job)) is AuthenticationError
    assert asked(talk) == 0


def test_a_job_that_the_app_has_begun_is_not_handed_in_again() -> None:
    talk = talking()
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request(JOIN), {"event_id": "a"})
    refuse(talk, talk.request("/queue/data"))
    assert type(talk.failure_of(job)) is AuthenticationError
    assert asked(talk) == 0


def test_the_host_of_a_file_that_wants_a_login_has_nothing_to_do_with_it() -> None:
    talk = talking(app(None, "3.50.2"))
    job = talk.conversation.submit(handle_file("http://other.example/a.bin"), api_name="/echo")
    (command,) = talk.new()
    assert isinstance(command, SendRequest)
    refuse(talk, command)
    assert type(talk.failure_of(job)) is AuthenticationError
    assert asked(talk) == 0


def test_a_login_that_is_void_is_renewed_before_the_token() -> None:
    talk = Talk(token="old", token_rotates=True, auth=("me", "secret"))
    cookie = (("set-cookie", "access-token=1; Path=/"),)
    talk.answer(talk.request("/login"), {"success": True}, headers=cookie)
    talk.answer(talk.request(CONFIG), config())
    job = talk.conversation.submit("x", api_name="/echo")
    refuse(talk, talk.request(JOIN))
    refuse(talk, talk.request("/login"))  # the token is on it, too
    assert asked(talk) == 1
    talk.conversation.set_token("new")
    refuse(talk, talk.request(CONFIG))  # and the login is void as well
    login = talk.request("/login")
    assert token_of(login) == "new"
    talk.answer(login, {"success": True}, headers=cookie)
    talk.answer(talk.request(CONFIG), config())
    join = talk.request(JOIN)
    talk.answer(join, {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    talk.send(stream, starts("a"), completed("done", event_id="a"))
    assert talk.data_of(job) == ("done",)
