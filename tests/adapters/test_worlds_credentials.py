"""Tokens, cookies and Spaces in every world: what is sent where, and when a token is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
import sansio_gradio_adapters.trio
from sansio_gradio.errors import (
    AuthenticationError,
    DeadlineExceeded,
    LocalProtocolError,
    SpaceError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.spaces import STAGES, Do
from sansio_gradio.testing.talk import completed, config, starts
from sansio_gradio.testing.worlds import World
from tests.adapters.test_tls import client_context, server_context
from tests.support.fault_peer import (
    LAST_CHUNK,
    SSE_HEAD,
    FaultServer,
    Request,
    Script,
    Visit,
    answer,
    hold,
    html,
    in_turn,
    page,
    play,
    stream,
)
from tests.support.recorder import HTTPProxy, Recorder
from tests.support.worlds import WORLDS

CLIENTS = [
    sansio_gradio_adapters.sockets.Client,
    sansio_gradio_adapters.asyncio.Client,
    sansio_gradio_adapters.trio.Client,
]
SAID = page({"data": ["said"]})
NAME = "owner/name"
HOST, RUNTIME = f"/api/spaces/{NAME}/host", f"/api/spaces/{NAME}/runtime"
APP: dict[str, Script] = {"/config": page(config()), "/api/predict": SAID}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


@pytest.fixture(autouse=True)
def saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN", "saved")


@pytest.fixture(name="server")
def serving() -> Iterator[FaultServer]:
    with FaultServer(APP) as running:
        yield running


def tokens(requests: list[Request], name: str = "x-hf-authorization") -> list[str | None]:
    return [request.headers.get(name) for request in requests]


# The saved token


def test_the_saved_token_does_not_go_to_a_plain_url(world: World, server: FaultServer) -> None:
    async def play() -> None:
        async with world.client(server.url) as client:
            assert await client.predict("x", api_name="/plain") == "said"

    world.run(play)
    assert len(server.requests) == 2
    assert "saved" not in repr(server.requests)


@pytest.mark.parametrize(("token", "sent"), [(None, "saved"), ("mine", "mine"), (False, None)])
def test_for_a_space_it_goes_to_the_hub_and_the_space(
    world: World,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    token: Any,
    sent: str | None,
) -> None:
    async def play() -> None:
        async with world.client(NAME, token=token) as client:
            assert await client.predict("x", api_name="/plain") == "said"

    pages = {HOST: page({"host": server.url}), RUNTIME: page({"stage": "RUNNING"})}
    with FaultServer(pages) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        world.run(play)
    bearer = None if sent is None else f"Bearer {sent}"
    assert tokens(hub.requests, "authorization") == [bearer] * 2
    assert tokens(hub.requests) == [None] * 2
    assert tokens(server.requests) == [bearer] * 2
    assert tokens(server.requests, "authorization") == [None] * 2


def test_without_trust_in_the_environment_no_variable_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not the saved token, not the address of the Hub, and no proxy."""
    context = client_context()
    context.check_hostname = False
    with (
        Recorder() as named,
        Recorder(tls=server_context()) as hub,
        HTTPProxy(hosts={"huggingface.co:443": hub.place}) as proxy,
    ):
        monkeypatch.setenv("HF_ENDPOINT", named.url)
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, named.url)
        with pytest.raises(AuthenticationError, match="pass token="):
            sansio_gradio_adapters.sockets.Client(
                NAME, trust_env=False, proxy=proxy.url, ssl_context=context
            )
    assert named.records == []
    assert hub.received.startswith(f"GET {HOST} ".encode())
    assert b"authorization" not in hub.received.lower()


# Tokens that rotate


def test_a_function_is_asked_at_each_call_in_the_caller_s_thread(
    world: World, server: FaultServer
) -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(threading.get_ident())
        return f"t{len(asked)}"

    async def play() -> None:
        async with world.client(server.url, token=token) as client:
            count = len(asked)
            await client.predict("x", api_name="/plain")
            assert len(asked) == count + 1
            await client.submit("x", api_name="/plain").result()
            assert len(asked) == count + 2
            results = [r async for r in client.map(["x", "x"], api_name="/plain", in_flight=1)]
            assert results == ["said", "said"]
            assert len(asked) == count + 5  # once for ``map``, once for each of its calls
            counts.extend([count + 1, count + 2, count + 4, count + 5])

    counts: list[int] = []
    world.run(play)
    config, *calls = server.requests
    assert tokens([config]) == ["Bearer t1"]
    assert tokens(calls) == [f"Bearer t{count}" for count in counts]
    assert set(asked) == {threading.get_ident()}


def test_a_file_is_fetched_with_the_token_of_the_moment(world: World, tmp_path: Path) -> None:
    file = {"path": "/tmp/a.txt", "meta": {"_type": "gradio.FileData"}}
    mood = ["one"]
    content = answer(200, b"content", "content-type: text/plain")

    async def play() -> None:
        async with world.client(server.url, token=lambda: mood[0]) as client:
            mood[0] = "two"
            assert (await client.download(file, tmp_path)).read_bytes() == b"content"
            mood[0] = "two words"
            with pytest.raises(LocalProtocolError, match="token"):
                await client.download(file, tmp_path)

    with FaultServer({**APP, "/file=/tmp/a.txt": content}) as server:
        world.run(play)
    assert tokens(server.requests) == ["Bearer one", "Bearer two"]


def test_what_the_function_raises_comes_out_of_the_call_and_ends_nothing_else(
    world: World, server: FaultServer
) -> None:
    mood: list[Any] = ["good"]

    def token() -> Any:
        if mood[0] == "bad":
            raise KeyError("no token today")
        return mood[0]

    async def play() -> None:
        async with world.client(server.url, token=token) as client:
            for wrong, error in (("bad", KeyError), ("two words", LocalProtocolError)):
                mood[0] = wrong
                with pytest.raises(error):
                    await client.predict("x", api_name="/plain")
                with pytest.raises(error):
                    client.submit("x", api_name="/plain")
            mood[0] = "better"
            assert await client.predict("x", api_name="/plain") == "said"

    world.run(play)
    assert tokens(server.requests) == ["Bearer good", "Bearer better"]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_function_raises_at_first_comes_out_of_the_constructor(client: Any) -> None:
    def token() -> str:
        raise KeyError("no token today")

    with pytest.raises(KeyError):
        client("http://127.0.0.1:9", token=token)
    with pytest.raises(LocalProtocolError):
        client("http://127.0.0.1:9", token=7)


def test_a_token_that_expires_while_jobs_wait_is_asked_for_again(world: World) -> None:
    """By the function, in another thread: it may wait, and other jobs do not."""
    now = ["first"]
    asked: list[int] = []

    def token() -> str:
        asked.append(threading.get_ident())
        return now[0]

    def visit(visit: Visit) -> None:
        now[0] = "second"  # the first call's token has expired on its way
        play(demanding(SAID, "second"), visit)

    async def play_all() -> None:
        async with world.client(server.url, token=token) as client:
            assert await client.predict("x", api_name="/plain") == "said"

    with FaultServer({"/config": APP["/config"], "/api/predict": visit}) as server:
        world.run(play_all)
    calls = [request for request in server.requests if request.path == "/api/predict"]
    assert tokens(calls) == ["Bearer first", "Bearer second"]
    assert set(asked[:-1]) == {threading.get_ident()}
    assert asked[-1] != threading.get_ident()


def test_a_function_that_raises_when_it_is_asked_again_ends_the_job_in_the_refusal(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    here = threading.get_ident()

    def token() -> str:
        if threading.get_ident() != here:
            raise SystemExit("no token today")
        return "old"

    async def play_all() -> None:
        async with world.client(server.url, token=token) as client:
            with pytest.raises(AuthenticationError) as caught:
                await client.predict("x", api_name="/plain")
            assert caught.value.status == 401

    pages: dict[str, Script] = {"/config": APP["/config"], "/api/predict": demanding(SAID, "new")}
    with FaultServer(pages) as server:
        world.run(play_all)
    assert caplog.text.count("SystemExit: no token today") == 1


def test_a_token_can_be_set(world: World, server: FaultServer) -> None:
    async def play() -> None:
        async with world.client(server.url) as client:
            client.set_token("one")
            await client.predict("x", api_name="/plain")
            client.set_token(lambda: "two")
            await client.predict("x", api_name="/plain")
            client.set_token(False)
            client.set_oauth_token("no-endpoint-asks")
            await client.predict("x", api_name="/plain")
            with pytest.raises(LocalProtocolError):
                client.set_token("a b")
        with pytest.raises(LocalProtocolError, match="closed"):
            client.set_token("late")

    world.run(play)
    calls = server.asked("/api/predict")
    assert tokens(calls) == ["Bearer one", "Bearer two", None]
    assert "no-endpoint-asks" not in repr(server.requests)


def test_a_token_can_be_set_in_place_of_a_function_that_raises(
    world: World, server: FaultServer
) -> None:
    good = [True]

    def token() -> str:
        if not good[0]:
            raise KeyError("no token any more")
        return "one"

    async def play() -> None:
        async with world.client(server.url, token=token) as client:
            good[0] = False
            with pytest.raises(KeyError):
                await client.predict("x", api_name="/plain")
            client.set_token("two")
            assert await client.predict("x", api_name="/plain") == "said"

    world.run(play)
    assert tokens(server.requests) == ["Bearer one", "Bearer two"]


def test_the_oauth_token_of_the_moment_goes_to_the_endpoint_that_asks(world: World) -> None:
    told = iter("abcdefgh")
    info = {"named_endpoints": {"/plain": {"oauth_token": "required"}}, "unnamed_endpoints": {}}
    bodies: list[Any] = []

    async def play() -> None:
        async with world.client(server.url, oauth_token=lambda: next(told)) as client:
            for name in ("/plain", "/plain"):
                await client.predict("x", api_name=name)
                bodies.append(json.loads(server.asked("/api/predict")[-1].body))

    with FaultServer({**APP, "/info": page(info)}) as server:
        world.run(play)
    first, second = [body["oauth_token"] for body in bodies]
    assert first < second
    assert not any("authorization" in name for r in server.requests for name in r.headers)


# Cookies


def test_cookies_of_the_app_go_back_to_it_and_can_be_read(world: World) -> None:
    sticky = page(config(), 200, "set-cookie: route=r1; Path=/; HttpOnly")
    found: list[Mapping[str, str]] = []

    async def play() -> None:
        async with world.client(server.url, cookies={"own": "1"}) as client:
            await client.predict("x", api_name="/plain")
            found.append(client.cookies)

    with FaultServer({**APP, "/config": sticky}) as server:
        world.run(play)
    (call,) = server.asked("/api/predict")
    assert call.headers["cookie"] == "own=1; route=r1"
    assert [dict(cookies) for cookies in found] == [{"route": "r1"}]
    with pytest.raises(TypeError):
        found[0]["a"] = "b"  # type: ignore[index]


# Spaces


class Hub:
    """A fake Hub: a Space with an app at *url*, which goes through *stages*, one each question."""

    def __init__(self, url: str, *stages: str) -> None:
        runtimes = [page({"stage": stage, "errorMessage": "exit 1"}) for stage in stages]
        pages: dict[str, Script] = {HOST: page({"host": url}), RUNTIME: in_turn(*runtimes)}
        self.server = FaultServer(pages)

    def __enter__(self) -> FaultServer:
        return self.server.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(*error)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansio_gradio.client.space._PAUSE", 0.01)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("before", ["BUILDING", "APP_STARTING", "SLEEPING", "STOPPED"])
def test_a_space_that_does_not_run_yet(
    world: World, server: FaultServer, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    seen: list[str] = []

    def observe(_now: float, _conn: int | None, direction: str, what: Any) -> None:
        if direction == "event" and type(what).__name__ == "SpaceStatus":
            seen.append(what.stage)

    async def play() -> None:
        src = f"{hub.url}/spaces/{NAME}"
        async with world.client(src, observe=observe) as client:
            assert await client.predict("x", api_name="/plain") == "said"
            assert client.app.version_text == "6.31.0"

    with Hub(server.url, before, before, "RUNNING") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        world.run(play)
    assert seen == [before, "RUNNING"]
    woken = before in {"SLEEPING", "STOPPED"}
    assert bool(server.asked("/")) is woken


# Each stage in one world, in the others one of a kind.
STAGES_TRIED = [
    (name, stage)
    for stage, (what, _) in STAGES.items()
    for name in WORLDS
    if what is Do.GIVE_UP and (name == "sockets" or stage == "PAUSED")
]
UP = [stage for stage, (what, _) in STAGES.items() if what is Do.GO_ON]


@pytest.mark.parametrize("stage", [*UP, "A_NEW_ONE"])
def test_a_space_that_runs(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    with Hub(server.url, stage) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with sansio_gradio_adapters.sockets.Client(NAME) as client:
            assert client.predict("x", api_name="/plain") == "said"
    assert [request.path for request in hub.requests] == [HOST, RUNTIME]


@pytest.mark.parametrize(("name", "stage"), STAGES_TRIED)
def test_a_space_that_will_not_run(
    name: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    world = WORLDS[name]

    async def play() -> None:
        with pytest.raises(SpaceError, match=f"{stage}.*exit 1") as caught:
            async with world.client(NAME):
                pass
        assert caught.value.stage == stage

    with Hub(server.url, stage) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        world.run(play)
    assert server.requests == []


@pytest.mark.usefixtures("no_pause")
def test_a_space_is_not_waited_for_for_ever(
    world: World, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        with pytest.raises(DeadlineExceeded, match="BUILDING") as caught:
            async with world.client(NAME, timeouts=Timeouts(space=0.03)):
                pass
        assert caught.value.phase == "space"

    with Hub(server.url, "BUILDING") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        world.run(play)


def test_a_space_that_is_private_or_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(token: Any, kind: type[Exception]) -> None:
        with pytest.raises(kind, match="owner/name"):
            async with world.client(NAME, token=token):
                pass

    with FaultServer({HOST: page({"error": "not found"}, 404)}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        world.run(lambda: play("mine", SpaceError))
        world.run(lambda: play(False, AuthenticationError))


def test_a_private_space_at_its_own_address_without_a_token(world: World) -> None:
    """The proxy of Spaces answers 404 in HTML."""

    async def play() -> None:
        with pytest.raises(ConnectionError, match="token="):
            async with world.client(server.url):
                pass

    with FaultServer({"/config": html(404), "/": html(404)}) as server:
        world.run(play)


@pytest.mark.parametrize("client", CLIENTS)
def test_spaces_are_not_duplicated(client: Any) -> None:
    with pytest.raises(LocalProtocolError, match="duplicate_space"):
        client.duplicate(NAME, private=True)


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_neither_a_url_nor_a_space(client: Any, tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match=r"neither a URL .* nor a Space"):
        client(str(tmp_path / "x"))


# What others have reported of clients


def demanding(script: Script, token: str = "mine") -> Script:
    """*script* for requests with the *token*; a page of the proxy of Spaces for others."""

    def visit(visit: Visit) -> None:
        if visit.request.headers.get("x-hf-authorization") == f"Bearer {token}":
            play(script, visit)
        else:
            visit.say(html(401, "<html>Sign in to see this Space</html>"))

    return visit


def test_a_token_that_is_demanded_everywhere_also_on_the_stream(world: World) -> None:
    beat = page(config(connect_heartbeat=True))
    messages = [starts("a"), completed("said", event_id="a"), {"msg": "close_stream"}]
    pages: dict[str, Script] = {
        "/config": demanding(beat),
        "/queue/join": demanding(page({"event_id": "a"})),
        "/queue/data": demanding([stream(*messages), LAST_CHUNK]),
        "/heartbeat": demanding([SSE_HEAD, hold]),
    }

    async def call(**options: Any) -> None:
        async with world.client(server.url, **options) as client:
            assert await client.predict("x", api_name="/echo") == "said"

    async def refuse(**options: Any) -> None:
        with pytest.raises(AuthenticationError, match="token=") as caught:
            await call(**options)
        assert (caught.value.phase, caught.value.status) == ("config", 401)

    with FaultServer(pages) as server:
        world.run(lambda: call(token="mine"))
        assert {request.path for request in server.requests} >= {"/queue/join", "/queue/data"}
        world.run(refuse)
        world.run(lambda: refuse(token="other"))


def test_a_login_that_is_answered_503(world: World) -> None:
    async def call() -> None:
        with pytest.raises(ConnectionError, match="try again later") as caught:
            async with world.client(server.url, auth=("me", "secret")):
                pass
        assert not isinstance(caught.value, AuthenticationError)

    with FaultServer({"/login": html(503, "<html>Service Unavailable</html>")}) as server:
        world.run(call)
