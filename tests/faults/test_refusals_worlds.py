"""What a refusal says: who refused, why, and what to do about it, in every world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.testing.adapter_contract import keep
from sansio_gradio.testing.talk import config
from sansio_gradio.testing.worlds import World
from tests.support.fault_peer import (
    FaultServer,
    Script,
    answer,
    end,
    hold,
    html,
    page,
    reset,
    stream,
)
from tests.support.worlds import WORLDS

PASSWORD = 'hunter2 & "co"'


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


def refused(
    world: World,
    pages: Mapping[str, Script],
    *call: Any,
    src: str = "{}",
    options: dict[str, Any] | None = None,
    **how: Any,
) -> GradioError:
    """The error of a call to a server with these *pages*."""

    async def play() -> None:
        with pytest.raises(GradioError) as caught:
            async with world.client(src.format(server.url), **(options or {})) as client:
                await client.predict(*(call or ("x",)), **(how or {"api_name": "/echo"}))
        errors.append(caught.value)

    errors: list[GradioError] = []
    with FaultServer(pages) as server:
        world.run(play)
    (error,) = errors
    assert PASSWORD not in str(error)
    return error


# The app says no


JOINS = {
    "queue": ("sse_v3", "6.31.0", "/queue/join", "/echo"),
    "past the queue": ("sse_v3", "6.31.0", "/api/predict", "/plain"),
    "simple": ("call", "6.31.0", "/call/echo", "/echo"),
    "old": ("sse_v2", "4.19.2", "/queue/join", "/echo"),
}


@pytest.mark.parametrize("way", JOINS)
@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ("'too \"big\"'", 'too "big"'),
        ("too big", "too big"),
        ("it's", "it's"),
        (r"'it\'s'", "it's"),
        ("''", AppError.default_message),
    ],
)
def test_a_validator_that_raises_is_the_app_saying_no(
    world: World, way: str, detail: str, message: str
) -> None:
    protocol, version, path, api_name = JOINS[way]
    options = {"protocol": protocol} if protocol == "call" else {}
    announced = "sse_v3" if protocol == "call" else protocol
    pages = {"/config": page(config(announced, version)), path: page({"detail": detail}, 400)}
    error = refused(world, pages, options=options, api_name=api_name)
    assert type(error) is AppError
    assert (error.message, error.status) == (message, 400)


@pytest.mark.parametrize(
    "body",
    [
        page({"detail": "Session hash not found."}, 400),
        page({"detail": ["no"]}, 400),
        page({"detail": {"loc": []}}, 400),
        answer(400, b"Invalid host header", "content-type: text/plain"),
        html(400),
    ],
)
def test_other_bad_requests_are_not_the_app_s_word(world: World, body: bytes) -> None:
    error = refused(world, {"/config": page(config()), "/queue/join": body})
    assert type(error) is RemoteProtocolError
    assert error.status == 400


# Redirects


@pytest.mark.unmeasured
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("to", "base"),
    [
        ("/config/", "/"),
        ("/config//", "/"),
        ("/config/?x=1", "/"),
        ("/config?token=1", "/"),
        ("/Config", "/"),
        ("/app/config/", "/app/"),
        ("/app/config", "/app/"),
        ("/app", "/app/"),
        ("/app/", "/app/"),
    ],
)
def test_where_the_config_was_redirected_to_the_rest_is_asked(
    world: World, status: int, to: str, base: str
) -> None:
    moved = answer(status, b"", f"location: {to}")
    path = to.partition("?")[0]
    found = page(config()) if path != "/config" else None
    pages: dict[str, Script] = {path: found or b""}
    if found is None:
        once = iter([moved, page(config())])
        pages = {"/config": lambda visit: visit.say(next(once))}
    else:
        pages["/config"] = moved
    pages[f"{base}api/predict"] = page({"data": ["said"]})
    results: list[str] = []

    async def play() -> None:
        async with world.client(server.url) as client:
            results.append(await client.predict("x", api_name="/plain"))

    with FaultServer(pages) as server:
        world.run(play)
    assert results == ["said"]


def test_a_page_that_lies_elsewhere_has_the_rest_beside_it(world: World) -> None:
    script = f"<html><script>window.gradio_config = {json.dumps(config())};</script>"
    pages: dict[str, Script] = {
        "/config": html(404),
        "/": answer(302, b"", "location: /app"),
        "/app": html(200, script),
        "/app/api/predict": page({"data": ["said"]}),
    }
    results: list[str] = []

    async def play() -> None:
        async with world.client(server.url) as client:
            results.append(await client.predict("x", api_name="/plain"))

    with FaultServer(pages) as server:
        world.run(play)
    assert results == ["said"]


# Logins

NOT_LOGGED_IN = page({"detail": "Not authenticated"}, 401)
AUTH = {"auth": ("me", PASSWORD)}
LOGGED_IN = page({"success": True}, 200, "set-cookie: access-token-unsecure-x=1; Path=/")
NO_LOGIN = answer(302, b"", "location: /")


@pytest.mark.parametrize(
    ("path", "auth"),
    [
        ("/login", AUTH),
        *((path, auth) for path in ("/config", "/queue/join") for auth in ({}, AUTH)),
    ],
)
@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (answer(401, b"", 'www-authenticate: Basic realm="x"'), "HTTP (Basic)"),
        (answer(401, b"<html>", "www-authenticate: Bearer"), "HTTP (Bearer)"),
        (page({"detail": "Not authenticated"}, 401, "www-authenticate: Basic"), "HTTP (Basic)"),
        (html(401, "\n<html>Sign in</html>"), "A page in HTML"),
    ],
)
def test_a_login_that_is_not_gradio_s_own(
    world: World, asked: bytes, text: str, auth: dict[str, Any], path: str
) -> None:
    pages = {"/login": LOGGED_IN, "/config": page(config()), path: asked}
    error = refused(world, pages, options=auth)
    assert type(error) is AuthenticationError
    assert error.status == 401
    assert text in error.message
    assert "headers=" in error.message
    assert "pass auth=" not in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Not authenticated"}, []),
        ({"detail": {"error": "Not authenticated", "auth_message": None}}, []),
        ({"detail": {"error": "Not authenticated", "auth_message": "Members only."}}, ["Members"]),
        ({"auth_required": True, "auth_message": "Members\nonly"}, ["Members only"]),
        ({"detail": "The token has expired"}, ["The token has expired"]),
    ],
)
@pytest.mark.parametrize("path", ["/config", "/queue/join"])
def test_a_login_that_was_not_given(world: World, body: Any, words: list[str], path: str) -> None:
    error = refused(world, {"/config": page(config()), path: page(body, 401)})
    assert type(error) is AuthenticationError
    for word in [*words, "auth=(user, password)"]:
        assert word in error.message


def test_an_app_that_says_it_on_its_page(world: World) -> None:
    for auth, word in (({}, "pass auth="), (AUTH, "took the login of auth=")):
        wanted = page({"auth_required": True, "auth_message": "Members only"})
        error = refused(world, {"/login": LOGGED_IN, "/config": wanted}, options=auth)
        assert type(error) is AuthenticationError
        assert "Members only" in error.message
        assert word in error.message


def test_a_login_that_the_app_took_and_does_not_know(world: World) -> None:
    for path in ("/config", "/queue/join"):
        pages = {"/login": LOGGED_IN, "/config": page(config()), path: NOT_LOGGED_IN}
        error = refused(world, pages, options=AUTH)
        assert type(error) is AuthenticationError
        assert "took the login of auth=" in error.message
        assert "pass auth=" not in error.message


def test_an_app_whose_login_auth_cannot_make(world: World) -> None:
    """``auth_dependency``: ``/login`` redirects to the page, and nobody is logged in."""
    for login in (NO_LOGIN, html(200), page({"detail": "ok"})):
        error = refused(world, {"/login": login, "/config": NOT_LOGGED_IN}, options=AUTH)
        assert type(error) is AuthenticationError
        assert (error.phase, error.status) == ("config", 401)
        assert "auth_dependency" in error.message
        assert "pass auth=" not in error.message


@pytest.mark.parametrize("status", [404, 405])
def test_an_app_without_a_login_is_not_said_to_refuse_it(world: World, status: int) -> None:
    error = refused(world, {"/login": html(status)}, options=AUTH)
    assert type(error) is AuthenticationError
    assert (error.phase, error.status) == ("login", status)
    assert "no login here" in error.message
    assert "as the browser shows it" in error.message
    assert "refused" not in error.message


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, {"detail": "Incorrect credentials."}, "refused the login of auth=: Incorrect"),
        (400, {"detail": f"{PASSWORD} is wrong"}, "refused the login of auth=: *** is wrong"),
        (422, {"detail": [{"input": PASSWORD}]}, "refused the login of auth=."),
        (403, b"<p>hunter2 &amp; &quot;co&quot;</p>", "refused the login of auth=: <p>***</p>"),
        (403, b"password=hunter2+%26+%22co%22", "refused the login of auth=: password=***"),
        (403, b"<p>Forbidden</p>", "refused the login of auth=: <p>Forbidden</p>"),
        (401, b"", "refused the login of auth=."),
    ],
)
def test_a_refused_login_never_repeats_the_password(
    world: World, status: int, body: Any, text: str
) -> None:
    said = answer(status, body) if isinstance(body, bytes) else page(body, status)
    error = refused(world, {"/login": said}, options=AUTH)
    assert type(error) is AuthenticationError
    assert text in error.message
    assert "hunter2" not in str(error)


def test_a_page_may_want_a_login_where_there_is_no_config(world: World) -> None:
    asked = answer(401, b"", "www-authenticate: Basic")
    error = refused(world, {"/config": html(404), "/": asked})
    assert type(error) is AuthenticationError
    assert "(Basic)" in error.message


def test_a_websocket_that_wants_a_login(world: World) -> None:
    ws = config(None, "3.50.2")
    error = refused(world, {"/config": page(ws), "/queue/join": [answer(403, b""), end]})
    assert type(error) is AuthenticationError
    assert "auth=(user, password)" in error.message
    forbidden: Script = [answer(403, b""), end]
    pages = {"/login": LOGGED_IN, "/config": page(ws), "/queue/join": forbidden}
    error = refused(world, pages, options=AUTH)
    assert type(error) is AuthenticationError
    assert "pass auth=" not in error.message


# Addresses


@pytest.mark.parametrize("src", [" {}", "{}\n", "\t{}/ \r\n", "\u00a0{}/?x=1 "])
def test_blanks_around_an_address_are_dropped(world: World, src: str) -> None:
    pages = {"/config": page(config()), "/api/predict": page({"error": "no"}, 500)}
    error = refused(world, pages, src=src, api_name="/plain")
    assert type(error) is AppError


@pytest.mark.parametrize(
    "src", ["http://a b.example", "http://a.example/a\nb", "http://\ta.example"]
)
def test_blanks_inside_an_address_are_a_mistake(world: World, src: str) -> None:
    error = refused(world, {}, src=src)
    assert type(error) is LocalProtocolError
    assert "no part of a URL" in error.message


# Names


def labelled(version: str = "6.31.0") -> dict[str, Any]:
    told = config("sse_v3", version)
    told["components"] = [
        {"id": number, "type": "textbox", "props": {"label": f"T{number}"}} for number in (1, 2)
    ]
    return told


def info_of(name: str | None) -> bytes:
    told = {"label": "T1", "type": {}, "component": "Textbox"}
    entry = {"parameters": [told if name is None else told | {"parameter_name": name}]}
    return page({"named_endpoints": {"/echo": entry | {"returns": []}}, "unnamed_endpoints": {}})


@pytest.mark.parametrize(("args", "kwargs"), [(("x", "y"), {}), ((), {}), ((), {"T1": "x"})])
def test_a_refusal_names_parameters_as_the_server_does(
    world: World, args: tuple[str, ...], kwargs: dict[str, str]
) -> None:
    pages = {"/config": page(labelled()), "/info": info_of("what")}

    async def play() -> None:
        async with world.client(server.url) as client:
            with pytest.raises(LocalProtocolError) as caught:
                await client.predict(*args, api_name="/echo", **kwargs)
            assert "predict(what: Any" in caught.value.message
            assert "labels" not in caught.value.message

    with FaultServer(pages) as server:
        world.run(play)


@pytest.mark.parametrize(
    ("version", "info", "why"),
    [
        ("4.22.0", info_of(None), "before Gradio 4.23 servers tell no names"),
        ("4.22.0", html(404), "the server has told none"),
        ("6.31.0", html(404), "the server has told none"),
    ],
)
def test_a_refusal_says_where_there_are_no_names_of_parameters(
    world: World, version: str, info: bytes, why: str
) -> None:
    pages = {"/config": page(labelled(version)), "/info": info}

    async def play() -> None:
        async with world.client(server.url) as client:
            calls: list[tuple[tuple[str, ...], dict[str, str]]] = [
                (("x", "y"), {}),
                ((), {"a": "x"}),
            ]
            for args, kwargs in calls:
                with pytest.raises(LocalProtocolError) as caught:
                    await client.predict(*args, api_name="/echo", **kwargs)
                assert f"These names are made of labels: {why}" in caught.value.message

    with FaultServer(pages) as server:
        world.run(play)


# Endpoints that are not called


def shown() -> dict[str, Any]:
    told = config()
    told["dependencies"][0] |= {"api_visibility": "private"}
    told["dependencies"][1] |= {"api_visibility": "undocumented"}
    told["dependencies"][3] |= {"api_name": False}
    told["dependencies"][4] |= {"backend_fn": False}
    return told


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"api_name": "/echo"}, "The endpoint with api_name='/echo' is private"),
        ({"fn_index": 0}, "fn_index=0 is private"),
        ({"fn_index": 3}, "fn_index=3 is private"),
        ({"api_name": "/total"}, "it runs in the browser only"),
        ({"api_name": "/plane"}, "(did you mean '/plain'?)"),
        ({"api_name": "/nothing"}, "There is no endpoint with api_name='/nothing'"),
    ],
)
def test_an_endpoint_that_is_not_called_is_told_from_one_that_is_not_there(
    world: World, how: dict[str, Any], says: str
) -> None:
    error = refused(world, {"/config": page(shown())}, **how)
    assert type(error) is LocalProtocolError
    assert says in error.message
    assert error.message.endswith(". The app has: /plain")


# A session that the server does not know


@pytest.mark.parametrize("protocol", ["sse_v3", "call"])
@pytest.mark.parametrize(
    "message",
    [
        {"message": "404: Not Found", "session_not_found": True},
        {"message": "404: Session not found."},
        {"message": "Not here", "session_not_found": True},
    ],
)
def test_a_session_that_the_server_does_not_know(
    world: World, protocol: str, message: dict[str, Any]
) -> None:
    if protocol == "call":
        text = "404: Session not found."
        told = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        told += f"event: error\ndata: {json.dumps(text)}\n\n".encode()
        pages: dict[str, Script] = {"/call/echo": page({"event_id": "e"})}
        pages["/call/echo/e"] = [told, end]
    else:
        told = stream({"msg": "unexpected_error", "event_id": None, **message})
        pages = {"/queue/join": page({"event_id": "e"}), "/queue/data": [told, end]}
    options = {"protocol": "call"} if protocol == "call" else {}
    error = refused(world, {"/config": page(config()), **pages}, options=options)
    assert type(error) is ServerStoppedError
    for word in ("does not know this session", "restarted", "replicas"):
        assert word in error.message
    assert "404" not in error.message


# What is told of endpoints


def test_two_functions_of_one_name_and_the_entry_of_the_last(world: World) -> None:
    told = labelled()
    told["dependencies"] = [
        {"id": 0, "api_name": "f", "inputs": [1], "outputs": [1], "queue": False},
        {"id": 1, "api_name": "f", "inputs": [2], "outputs": [1], "queue": False},
        {"id": 2, "api_name": "f", "inputs": [1, 2], "outputs": [1], "api_visibility": "private"},
    ]
    more = {"api_visibility": "public", "oauth_token": "required", "code": {"python": "..."}}
    entry = {"parameters": [{"label": "T2", "parameter_name": "second"}], "returns": [], **more}
    pages = {
        "/config": page(told),
        "/info": page({"named_endpoints": {"/f": entry}, "unnamed_endpoints": {}}),
        "/api/predict": page({"data": ["said"]}),
    }

    async def play() -> None:
        async with world.client(server.url) as client:
            assert await client.predict(T1="x", api_name="/f") == "said"
            assert await client.predict(second="y", fn_index=1) == "said"
        for request, number in zip(server.asked("/api/predict"), (0, 1), strict=True):
            assert json.loads(request.body)["fn_index"] == number

    with FaultServer(pages) as server:
        world.run(play)


def test_view_api_keeps_what_else_is_told_of_an_endpoint(world: World) -> None:
    more = {"api_visibility": "public", "oauth_token": "required", "of tomorrow": {"x": [1]}}
    entry = {"parameters": [{"label": "T1", "parameter_name": "what"}], "returns": [], **more}
    info = page({"named_endpoints": {"/echo": entry}, "unnamed_endpoints": {}})

    async def play() -> None:
        async with world.client(server.url) as client:
            named = (await client.view_api(return_format="dict"))["named_endpoints"]
            assert {key: named["/echo"][key] for key in more} == more
            assert "of tomorrow" not in named["/plain"]

    with FaultServer({"/config": page(labelled()), "/info": info}) as server:
        world.run(play)


# What the status of a job says that failed without a word of the app


def _stream(*said: dict[str, Any]) -> bytes:
    return stream(*[{"event_id": "e", **message} for message in said])


_STARTS = {"msg": "process_starts"}
COMPLETED = {"msg": "process_completed", "success": True}
FAILED = {(Status.FINISHED, False), (Status.QUEUE_FULL, False)}
_NO_LOGIN = {"auth_required": True, "detail": "Not authenticated"}


@pytest.mark.parametrize(
    ("pages", "call"),
    [
        ({"/queue/data": _stream({"msg": "queue_full"})}, {}),
        ({"/queue/join": page({"detail": "Queue is full."}, 503)}, {}),
        ({"/queue/data": [_stream(_STARTS), end]}, {}),
        ({"/queue/data": [_stream(_STARTS), reset]}, {}),
        ({"/queue/data": html(502)}, {}),
        ({"/queue/data": [stream(), end]}, {}),
        ({"/queue/data": _stream(_STARTS, {**COMPLETED, "output": {}})}, {}),
        ({"/queue/data": _stream(_STARTS, {**COMPLETED, "output": None})}, {}),
        ({"/queue/data": _stream(_STARTS, {**COMPLETED, "output": {"error": None}})}, {}),
        ({"/queue/data": _stream(_STARTS, {**COMPLETED, "output": {"data": 5}})}, {}),
        ({"/queue/data": _stream({"msg": "server_stopped", "success": True})}, {}),
        ({"/queue/data": _stream({"msg": "unexpected_error", "message": "no"})}, {}),
        ({"/queue/data": [_stream(_STARTS), hold]}, {"timeout": 0.1}),
        ({"/queue/join": hold}, {"timeout": 0.1}),
        ({"/queue/join": html(500)}, {}),
        ({"/queue/join": page(_NO_LOGIN, 401)}, {}),
        ({}, {"api_name": "/nowhere"}),
        ({"/api/predict": html(500)}, {"api_name": "/plain"}),
        ({"/api/predict": [answer(200, b"{")[:-1], end]}, {"api_name": "/plain"}),
    ],
)
def test_a_job_that_failed_says_so_in_its_status(
    world: World, pages: Mapping[str, Script], call: dict[str, Any]
) -> None:
    async def play() -> None:
        options = {"retry": Retry(times=1, backoff=0.001), "timeouts": Timeouts(close=0.1)}
        async with world.client(server.url, **options) as client:
            job = client.submit("x", **{"api_name": "/echo", **call})
            error = await job.exception()
            assert isinstance(error, GradioError)
            assert (job.status().code, job.status().success) in FAILED
            updates: list[Any] = []
            with pytest.raises(type(error)):
                await keep(job.updates(), updates)
            *_, last = [one for one in updates if isinstance(one, StatusUpdate)]
            assert (last.code, last.success) in FAILED

    known = {"/config": page(config()), "/queue/join": page({"event_id": "e"})}
    with FaultServer({**known, **pages}) as server:
        world.run(play)
