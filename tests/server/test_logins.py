"""Logins, as servers of each release have them."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.server.app import App, Auth, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.events import JobSubmitted, LoginRaised
from sansio_gradio.server.limits import ServerLimits
from tests.support.served import Wire, request

TEXT = Slot(name="text", component=TEXTBOX)
FORM = b"username=user&password=secret"


def wire_to(version: str = "6.31.0", limits: ServerLimits | None = None, **options: Any) -> Wire:
    app = App(version=version, **options)
    app.add("echo", parameters=[TEXT], returns=[TEXT])
    app.add("echo_unqueued", parameters=[TEXT], returns=[TEXT], queue=False)
    return Wire(app, limits)


def post_form(wire: Wire, target: str, body: bytes) -> Any:
    kind = "application/x-www-form-urlencoded"
    return wire.seen(wire.ask("POST", target, body, content_type=kind), "POST")


def log_in(wire: Wire, body: bytes = FORM) -> str:
    """The cookies of a login."""
    kind = "application/x-www-form-urlencoded"
    conn = wire.ask("POST", "/login", body, content_type=kind)
    lines = wire.received[conn].decode().split("\r\n")
    found = [line.removeprefix("set-cookie: ") for line in lines if line.startswith("set-cookie")]
    return "; ".join(cookie.partition(";")[0] for cookie in found)


@pytest.mark.parametrize(
    "auth",
    [
        ("user", "secret"),
        [("other", "x"), ("user", "secret")],
        {"user": "secret"},
        lambda name, password: (name, password) == ("user", "secret"),
    ],
)
def test_an_app_says_in_several_ways_who_may_log_in(auth: Auth) -> None:
    wire = wire_to(auth=auth)
    assert post_form(wire, "/login", b"username=user&password=secret").status == 200
    assert post_form(wire, "/login", b"username=user&password=secre").status == 400
    assert post_form(wire, "/login", b"username=other&password=secret").status == 400


@pytest.mark.parametrize("auth", ["user", 1, ("user",), [("user", 1)], [("a", "b", "c")], {1: "a"}])
def test_what_cannot_be_a_login_is_refused_at_once(auth: Any) -> None:
    with pytest.raises(LocalProtocolError, match="auth is a pair"):
        App(auth=auth)


def test_a_function_knows_its_user() -> None:
    wire = wire_to(auth=("user", "secret"))
    cookie = log_in(wire)
    body = {"data": ["x"], "fn_index": 0, "session_hash": "s"}
    for target in ("/gradio_api/run/echo_unqueued", "/gradio_api/queue/join"):
        wire.ask("POST", target, body, cookie=cookie)
        event = wire.event()
        assert isinstance(event, JobSubmitted)
        assert event.user == "user"
    assert wire.get("/config", cookie=cookie).body["username"] == "user"


def test_the_oldest_login_ends_when_there_are_too_many() -> None:
    wire = wire_to(limits=ServerLimits(logins=2), auth=("user", "secret"))
    cookies = [log_in(wire) for _ in range(3)]
    assert [wire.get("/config", cookie=cookie).status for cookie in cookies] == [401, 200, 200]


def test_the_user_may_be_found_without_a_login() -> None:
    wire = wire_to(auth_dependency=lambda headers: headers.get("x-user"), auth_message="who?")
    refused = {"detail": {"error": "Not authenticated", "auth_message": "who?"}}
    for target in ("/config", "/gradio_api/info", "/"):
        seen = wire.get(target)
        assert (seen.status, seen.body) == (401, refused)
        assert wire.get(target, x_user="ann").status == 200
    assert wire.get("/gradio_api/user", x_user="ann").body == "ann"
    assert wire.get("/gradio_api/token", x_user="ann").body == {"token": None, "user": None}
    assert post_form(wire, "/login", FORM).status == 302
    assert wire.get("/logout", x_user="ann").status == 302


def test_logging_out_ends_all_logins_of_the_user_or_this_one() -> None:
    wire = wire_to(auth={"ann": "a", "bob": "b"})
    one, two = (log_in(wire, b"username=ann&password=a") for _ in range(2))
    bob = log_in(wire, b"username=bob&password=b")

    def come() -> list[int]:
        return [wire.get("/config", cookie=cookie).status for cookie in (one, two, bob)]

    wire.get("/logout?all_session=false", cookie=one)
    assert come() == [401, 200, 200]
    wire.get("/logout?all_session=false", cookie=bob.partition("; ")[2])  # without the first cookie
    wire.get("/logout?all_session=false")
    assert come() == [401, 200, 200]
    conn = wire.ask("GET", "/logout", cookie=two)
    assert come() == [401, 401, 200]
    assert wire.received[conn].count(b"Max-Age=0") == 2
    old = wire_to("4.20.0", auth=("user", "secret"))
    cookie = log_in(old)
    conn = old.ask("GET", "/logout?all_session=false", cookie=cookie)
    assert b"set-cookie" not in old.received[conn]  # they were forgotten; all logins end
    assert old.get("/config", cookie=cookie).status == 401


def test_an_auth_function_that_raises_is_told_to_the_application() -> None:
    error = OSError("no database")

    def auth(name: str, password: str) -> bool:
        raise error

    wire = wire_to(auth=auth)
    seen = post_form(wire, "/login", FORM)
    assert (seen.status, seen.body) == (500, "Internal Server Error")
    assert wire.event() == LoginRaised(error=error)


def test_a_form_with_too_many_fields_is_refused() -> None:
    wire = wire_to(auth=("user", "secret"))
    seen = post_form(wire, "/login", b"&".join([FORM, *[b"a=b"] * 1000]))
    assert (seen.status, seen.body["detail"][:15]) == (400, "Too many fields")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=b", b"--c\r\n", 400),
        ("multipart/form-data", b"--b\r\n", 400),
        ("multipart/form-data; boundary=b", b"", 422),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n' * 1001 + b"--b--\r\n",
            400,
        ),
    ],
)
def test_a_form_in_parts_that_is_none_is_refused(kind: str, body: bytes, status: int) -> None:
    wire = wire_to(auth=("user", "secret"))
    assert wire.seen(wire.ask("POST", "/login", body, content_type=kind), "POST").status == status


def test_of_a_cookie_given_twice_the_last_counts() -> None:
    wire = wire_to(auth=("user", "secret"))
    key = log_in(wire).partition("=")[0]
    good = log_in(wire).partition(";")[0]
    for cookie, status in ((f"{key}=bad; {good}", 200), (f"{good}; {key}=bad", 401)):
        assert wire.get("/config", cookie=f"; x; {cookie}").status == status


def test_no_cookie_opens_a_websocket_that_no_login_gave() -> None:
    """Real 3.16.2 lets any cookie in. That is a hole, and not ours to keep."""
    wire = wire_to("3.16.2", auth=("user", "secret"))
    cookie = log_in(wire)
    asked = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    asked["sec_websocket_key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for given, status in (("access-token=nonsense", 403), (cookie, 101)):
        conn = wire.connect()
        wire.send(conn, request("GET", "/queue/join", cookie=given, **asked))
        assert wire.received[conn].split()[1] == str(status).encode()
