"""Every credential goes where its row of the table says, on every request, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from sansio_gradio.client.commands import (
    ConversationCommand,
    OpenConnection,
    OpenWebSocket,
    SendRequest,
)
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.credentials import GOES_TO, Credential, Credentials, Recipient
from sansio_gradio.client.engine import Engine
from sansio_gradio.errors import AuthenticationError, LocalProtocolError
from sansio_gradio.events import Connected, ConnectingFailed
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio.testing.talk import Talk, app, completed, config, starts
from sansio_gradio.wire.url import URL

APP = URL.parse("https://app.example/mount/")
HUB = URL.parse("https://hub.example/")
OTHERS = [
    "http://app.example/mount/",
    "https://app.example:8443/mount/",
    "https://sub.app.example/",
    "https://example/",
    "https://hub.example:8443/",
    "https://other.example/",
]
SECRETS: dict[Credential, Any] = {
    Credential.HEADERS: {"x-key": "s-header", "cookie": "c=s-header-cookie"},
    Credential.COOKIES: {"own": "s-cookie"},
    Credential.AUTH: ("me", "s-password"),
    Credential.TOKEN: "s-token",
    Credential.OAUTH_TOKEN: "s-oauth",
}
OPTIONS: dict[str, Any] = {credential.value: given for credential, given in SECRETS.items()}
OPTIONS["query"] = "key=s-query"
CALL = (("content-type", "application/json"), ("x-ip-token", "s-call"), ("cookie", "d=s-call"))


def credentials() -> Credentials:
    made = Credentials(**OPTIONS)
    made.add(Recipient.APP, APP)
    made.add(Recipient.HUB, HUB)
    made.receive_cookies(APP, ["theirs=s-theirs; Path=/"], 0.0)
    made.receive_cookies(HUB, ["hubs=s-hubs; Path=/"], 0.0)
    return made


def said(url: str | URL, own: Any = CALL) -> str:
    """The secrets in the fields of a request."""
    url = URL.parse(url) if isinstance(url, str) else url
    fields = credentials().fields(url, own, 0.0)
    assert ("user-agent", "sansio-gradio") in fields
    assert ("content-type", "application/json") in fields
    return json.dumps(fields)


def test_the_table_has_a_row_for_each_credential_and_all_go_to_the_app() -> None:
    assert set(GOES_TO) == set(Credential)
    assert all(Recipient.APP in places for places in GOES_TO.values())
    assert {what for what, places in GOES_TO.items() if Recipient.HUB in places} == {
        Credential.TOKEN
    }


def test_a_request_to_the_app_has_all_that_fields_can_carry() -> None:
    found = credentials().fields(APP, CALL, 0.0)
    assert found == (
        ("user-agent", "sansio-gradio"),
        ("accept", "*/*"),
        ("accept-encoding", "identity"),
        ("x-hf-authorization", "Bearer s-token"),
        ("x-key", "s-header"),
        ("content-type", "application/json"),
        ("x-ip-token", "s-call"),
        ("cookie", "c=s-header-cookie; own=s-cookie; theirs=s-theirs; d=s-call"),
    )


def test_the_query_of_the_address_goes_to_the_app_only() -> None:
    assert credentials().query_for(APP) == "key=s-query"
    assert credentials().query_for(HUB) == ""


def test_a_request_to_the_hub_has_the_token_and_nothing_else() -> None:
    found = credentials().fields(HUB, CALL, 0.0)
    assert ("authorization", "Bearer s-token") in found
    assert said(HUB).count("s-") == 1


@pytest.mark.parametrize("url", OTHERS)
def test_a_request_to_another_place_has_none(url: str) -> None:
    assert "s-" not in said(url)
    assert not any(credentials().may_go(what, URL.parse(url)) for what in Credential)
    assert credentials().oauth_token_for(URL.parse(url)) is None
    assert credentials().query_for(URL.parse(url)) == ""


def test_what_is_not_set_by_the_app_is_no_cookie() -> None:
    made = credentials()
    other = URL.parse("https://other.example/")
    made.receive_cookies(other, ["a=1"], 0.0)
    assert made.jar.set_by(other.origin, 0.0) == {}
    assert made.jar.set_by(HUB.origin, 0.0) == {}
    assert made.jar.set_by(APP.origin, 0.0) == {"theirs": "s-theirs"}


def test_the_same_place_twice_changes_nothing() -> None:
    made = credentials()
    made.receive_cookies(APP, ["own=changed; Path=/"], 0.0)
    made.add(Recipient.APP, APP)
    assert ("own=changed") in dict(made.fields(APP, (), 0.0))["cookie"]


# On every request


def fields_of(command: ConversationCommand) -> dict[str, str]:
    assert isinstance(command, SendRequest | OpenWebSocket)
    return dict(command.headers)


def test_the_token_is_on_every_request_of_a_session() -> None:
    talk = Talk(token="t0ken", oauth_token="0auth", auth=("me", "secret"))
    job = talk.conversation.submit(2, api_name="/count")
    talk.answer(talk.request("/login"), {"success": True})
    talk.answer(talk.request("/config"), config(connect_heartbeat=True))
    talk.answer(talk.request("/info"), {"named_endpoints": {}, "unnamed_endpoints": {}})
    talk.answer(talk.request("/queue/join"), {"event_id": "a"})
    stream, _heartbeat = talk.requests(
        "/queue/data", f"/heartbeat/{talk.conversation.session_hash}"
    )
    talk.open(stream)
    talk.send(stream, starts("a"))
    talk.conversation.cancel(job)
    talk.answer(talk.request("/cancel"), {"success": True})
    talk.look()
    sent = [command for command in talk.asked if isinstance(command, SendRequest)]
    assert len(sent) == 7
    for command in sent:
        assert fields_of(command)["x-hf-authorization"] == "Bearer t0ken"
        assert "0auth" not in f"{command.headers}{command.body!r}{command.url}"


@pytest.mark.parametrize(
    ("protocol", "version", "asked"),
    [("ws", "3.50.2", "/queue/join"), ("sse", "4.0.2", "/queue/join"),
     ("push", "3.0.26", "/api/queue/push/"), ("call", "6.31.0", "/call/echo")],
)  # fmt: skip
def test_whatever_the_protocol(protocol: str, version: str, asked: str) -> None:
    talk = Talk(app(protocol, version), protocol=protocol, token="t0ken")
    talk.conversation.submit("x", api_name="/echo", headers={"X-IP-Token": "1"})
    (command,) = talk.new()
    assert isinstance(command, SendRequest | OpenWebSocket)
    assert asked in command.url
    assert fields_of(command)["x-hf-authorization"] == "Bearer t0ken"
    assert fields_of(command)["x-ip-token"] == "1"


def test_headers_win_over_the_token_and_those_of_a_call_over_headers() -> None:
    talk = Talk(app(), token="t0ken", headers={"X-HF-Authorization": "mine", "x-a": "1"})
    talk.conversation.submit("x", api_name="/echo")
    found = fields_of(talk.request("/queue/join"))
    assert (found["x-hf-authorization"], found["x-a"]) == ("mine", "1")
    own = {"X-HF-authorization": "call", "X-A": "2"}
    talk.conversation.submit("x", api_name="/plain", headers=own)
    found = fields_of(talk.request("/api/predict"))
    assert (found["x-hf-authorization"], found["x-a"]) == ("call", "2")


def test_headers_of_a_call_are_not_kept() -> None:
    talk = Talk(app())
    given = {"x-ip-token": "1"}
    first = talk.conversation.submit("x", api_name="/echo", headers=given)
    given["x-ip-token"] = "changed"
    join = talk.request("/queue/join")
    assert fields_of(join)["x-ip-token"] == "1"
    talk.answer(join, {"event_id": "a"})
    stream = talk.request("/queue/data")
    talk.open(stream)
    talk.send(stream, starts("a"), completed("y", event_id="a"))
    assert talk.data_of(first) == ("y",)
    talk.conversation.submit("x", api_name="/echo")
    for command in (stream, talk.request("/queue/join")):
        assert "x-ip-token" not in fields_of(command)
    assert given == {"x-ip-token": "changed"}


def test_no_value_of_the_caller_changes_and_changes_of_it_have_no_effect() -> None:
    headers, cookies = {"X-A": "1"}, {"a": "1"}
    talk = Talk(headers=headers, cookies=cookies, token="t")
    headers["X-A"] = cookies["a"] = "2"
    headers["more"] = "3"
    request = talk.request("/config")
    found = fields_of(request)
    assert (found["x-a"], found["cookie"]) == ("1", "a=1")
    assert "more" not in found
    talk.answer(request, config(), headers=(("set-cookie", "b=1; Path=/"),))
    talk.conversation.submit("x", api_name="/echo", headers={"y": "1"})
    talk.request("/queue/join")
    assert (headers, cookies) == ({"X-A": "2", "more": "3"}, {"a": "2"})


@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
def test_a_command_that_is_printed_shows_no_secret(version: str) -> None:
    talk = Talk(
        src="http://app.example/?key=s-query",
        token="s-token",
        headers={"x-key": "s-header"},
        auth=("me", "s-password"),
    )
    talk.answer(talk.request("/login"), {"success": True})
    protocol = "sse_v3" if version == "6.31.0" else None
    talk.answer(talk.request("/config"), config(protocol, version))
    talk.conversation.submit("s-argument", api_name="/echo")
    talk.look()
    assert len(talk.asked) == 3
    shown = repr(talk.asked)
    assert "s-" not in shown
    assert shown.count("://app.example/") == 3


# Tokens that rotate


def test_a_token_that_is_set_holds_from_the_next_request_on() -> None:
    talk = Talk(app(), token="old")
    talk.conversation.submit("x", api_name="/plain")
    assert fields_of(talk.request("/api/predict"))["x-hf-authorization"] == "Bearer old"
    talk.conversation.set_token(" new\n")
    talk.conversation.submit("x", api_name="/plain")
    assert fields_of(talk.request("/api/predict"))["x-hf-authorization"] == "Bearer new"
    talk.conversation.set_token(None)
    talk.conversation.submit("x", api_name="/plain")
    assert "x-hf-authorization" not in fields_of(talk.request("/api/predict"))


@pytest.mark.parametrize("name", ["token", "oauth_token"])
@pytest.mark.parametrize("token", ["s-a b", "s-a\r\nx: y", "s-ä", "s-\0", b"s-bytes", 7, True])
def test_a_token_that_cannot_be_sent_is_not_shown(name: str, token: Any) -> None:
    talk = Talk(app())
    with pytest.raises(LocalProtocolError, match=name) as caught:
        Conversation("http://app.example/", entropy=bytes, **{name: token})
    assert "s-" not in str(caught.value)
    with pytest.raises(LocalProtocolError):
        getattr(talk.conversation, f"set_{name}")(token)


@pytest.mark.parametrize("token", [None, "", " \n"])
def test_an_empty_token_is_none(token: str | None) -> None:
    talk = Talk(token=token)
    assert "x-hf-authorization" not in fields_of(talk.request("/config"))


def test_a_session_of_an_engine_takes_a_token_too() -> None:
    engine = Engine(entropy=bytes)
    session = engine.session("http://127.0.0.1:7860/", token="t0ken")
    engine.handle_timer(0.0)
    opened = engine.next_command()
    assert isinstance(opened, OpenConnection)
    engine.connection_made(opened.conn, 0.0)
    assert b"x-hf-authorization: Bearer t0ken\r\n" in bytes_of(engine.data_to_send(opened.conn))
    assert dict(session.cookies) == {}


# The token for the app's own use


INFO: dict[str, Any] = {
    "named_endpoints": {
        "/echo": {"parameters": [], "returns": [], "oauth_token": "required"},
        "/plain": {"parameters": [], "returns": [], "oauth_token": "optional"},
        "/count": {"parameters": [], "returns": []},
    },
    "unnamed_endpoints": {},
}


def body_of(command: SendRequest) -> Any:
    assert isinstance(command.body, bytes)
    return json.loads(command.body)


@pytest.mark.parametrize(
    ("name", "path", "asks"),
    [("/echo", "/queue/join", True), ("/plain", "/api/predict", True),
     ("/count", "/queue/join", False)],
)  # fmt: skip
def test_the_oauth_token_goes_to_endpoints_that_ask_for_it(
    name: str, path: str, asks: bool
) -> None:
    talk = Talk(app(), oauth_token="0auth")
    talk.conversation.submit(1, api_name=name)
    talk.answer(talk.request("/info"), INFO)
    body = body_of(talk.request(path))
    assert body.get("oauth_token") == ("0auth" if asks else None)
    assert ("oauth_token" in body) is asks


@pytest.mark.parametrize("protocol", ["call", "call_v2"])
def test_by_the_rest_api_too(protocol: str) -> None:
    talk = Talk(app(), oauth_token="0auth", protocol=protocol)
    talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request("/info"), INFO)
    (join,) = talk.new()
    assert isinstance(join, SendRequest)
    assert body_of(join)["oauth_token"] == "0auth"


def test_without_an_oauth_token_nothing_is_asked_and_nothing_sent() -> None:
    talk = Talk(app())
    talk.conversation.submit("x", api_name="/echo")
    assert "oauth_token" not in body_of(talk.request("/queue/join"))


def test_an_app_before_it_is_not_asked_for_info() -> None:
    talk = Talk(app(version="6.20.0"), oauth_token="0auth")
    talk.conversation.submit("x", api_name="/echo")
    assert "oauth_token" not in body_of(talk.request("/queue/join"))


def test_the_oauth_token_may_be_set() -> None:
    talk = Talk(app(), oauth_token="old")
    talk.conversation.submit("x", api_name="/echo")
    talk.conversation.set_oauth_token("new")
    talk.answer(talk.request("/info"), INFO)
    assert body_of(talk.request("/queue/join"))["oauth_token"] == "new"


def test_the_endpoint_says_that_it_asks() -> None:
    known = app().with_info(INFO)
    assert known.endpoint("/echo").oauth_token == "required"
    assert known.endpoint("/count").oauth_token is None
    assert known.describe().count("oauth_token=") == 2
    assert "(optional): oauth_token=." in known.describe()


# Cookies


def test_sticky_cookies_go_along_from_the_config_on_and_can_be_read() -> None:
    talk = Talk(cookies={"own": "1"})
    cookies = talk.conversation.cookies
    talk.answer(
        talk.request("/config"),
        config(),
        headers=(("set-cookie", "route=r1; Path=/; HttpOnly"), ("set-cookie", "own=2; Path=/")),
    )
    talk.conversation.submit("x", api_name="/echo")
    join = talk.request("/queue/join")
    assert fields_of(join)["cookie"] == "own=2; route=r1"
    assert dict(cookies) == {}
    assert dict(talk.conversation.cookies) == {"route": "r1", "own": "2"}
    with pytest.raises(TypeError):
        talk.conversation.cookies["a"] = "b"  # type: ignore[index]
    talk.answer(join, {"event_id": "a"}, headers=(("set-cookie", "route=x; Path=/; Max-Age=0"),))
    assert dict(talk.conversation.cookies) == {"own": "2"}


def test_of_two_paths_the_longer_one_is_shown() -> None:
    made = credentials()
    made.receive_cookies(APP, ["a=deep; Path=/mount", "a=top; Path=/"], 0.0)
    made.receive_cookies(APP, ["b=top; Path=/", "b=deep; Path=/mount"], 0.0)
    found = made.jar.set_by(APP.origin, 0.0)
    assert (found["a"], found["b"]) == ("deep", "deep")


def test_an_old_cookie_is_not_shown() -> None:
    made = credentials()
    made.receive_cookies(APP, ["a=1; Path=/; Max-Age=5"], 0.0)
    assert "a" in made.jar.set_by(APP.origin, 4.0)
    assert "a" not in made.jar.set_by(APP.origin, 5.0)


# Redirects


def test_all_go_along_to_https_of_the_same_host_and_to_no_other_host() -> None:
    talk = Talk(token="t0ken", headers={"x-a": "1"}, cookies={"own": "1"})
    secured = (("location", "https://app.example/config"),)
    talk.answer(talk.request("/config"), b"", status=301, headers=secured)
    (again,) = talk.new()
    assert isinstance(again, SendRequest)
    assert again.url == "https://app.example/config"
    found = fields_of(again)
    assert (found["x-a"], found["cookie"]) == ("1", "own=1")
    assert found["x-hf-authorization"] == "Bearer t0ken"
    away = (("location", "https://evil.example/config"),)
    talk.answer(again, b"", status=302, headers=away)
    assert talk.new() == []
    assert talk.of(Connected) == []


def test_a_config_that_names_another_root_gets_nothing_there() -> None:
    talk = Talk(token="t0ken")
    root = {"root": "https://evil.example/x", "root_url": "https://evil.example/"}
    talk.answer(talk.request("/config"), config(**root))
    talk.conversation.submit("x", api_name="/echo")
    talk.request("/queue/join")  # at the address that was asked


def test_a_login_gone_wrong_shows_no_secret() -> None:
    talk = Talk(auth=("me", "s-password"), token="s-token")
    request = talk.request("/login")
    talk.answer(request, {"detail": "Incorrect credentials."}, status=400)
    (failed,) = talk.of(ConnectingFailed)
    assert isinstance(failed.error, AuthenticationError)
    assert "s-" not in str(failed.error)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422, 500, 502])
@pytest.mark.parametrize("of", [str, json.dumps, quote, quote_plus, escape])
def test_a_server_that_repeats_what_it_was_given_is_not_repeated(
    status: int, of: Callable[[str], str]
) -> None:
    secrets = 's-pässword & "co"', "s-token+/~", "s-oauth=="
    password, token, oauth_token = secrets
    talk = Talk(token=token, oauth_token=oauth_token, auth=("me", password))
    body = f"no: {' '.join(map(of, secrets))}".encode()
    talk.answer(talk.request("/login"), body, status=status, headers=())
    (failed,) = talk.of(ConnectingFailed)
    assert "s-" not in str(failed.error)
    talk = Talk(app(), token=token)
    job = talk.conversation.submit("x", api_name="/echo")
    talk.answer(talk.request("/queue/join"), of(token).encode(), status=status, headers=())
    assert "s-" not in str(talk.failure_of(job))


def test_a_secret_that_is_in_many_words_is_not_looked_for() -> None:
    assert Credentials(auth=("me", "no")).hidden_in(b"know") == b"know"
    assert Credentials(auth=("me", "know")).hidden_in(b"I know") == b"I ***"
    assert Credentials().hidden_in(b"know") == b"know"


@pytest.mark.parametrize("auth", ["s-text", ("s-user",), ("u", "s-p", "x"), 7, ("u", b"s-pw")])
def test_a_login_that_is_none_is_refused_and_not_shown(auth: Any) -> None:
    with pytest.raises(LocalProtocolError, match="auth") as caught:
        Credentials(auth=auth)
    assert "s-" not in str(caught.value)


# The fields of a request are merged once, and remembered


def test_many_different_calls_each_have_their_own_fields() -> None:
    made = credentials()
    for number in range(40):
        own = (("x-call", str(number)), ("cookie", f"d={number}"))
        for _ in range(2):
            fields = dict(made.fields(APP, own, 0.0))
            assert fields["x-call"] == str(number)
            assert fields["cookie"].endswith(f"d={number}")
            assert "x-call" not in dict(made.fields(HUB, own, 0.0))
