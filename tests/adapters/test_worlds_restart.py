"""The app is started anew while a client is connected, in every world.

The server is started again on its port at once. So what the next call meets is another app, and
not one that is away.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Coroutine, Iterator
from functools import partial, wraps
from typing import Annotated, Any
from urllib.parse import urlsplit

import pytest

from sansio_gradio.errors import ConnectFailed, ConnectionLost, LocalProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.components import State
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.worlds import WORLDS

NEWEST = "6.31.0"
VERSIONS = ["3.16.2", "3.50.2", "4.0.2", "4.16.0", "4.19.2", "4.44.1", NEWEST]
BEFORE = ("read", "count", "plain", "remember", "delete")
AFTER = ("delete", "extra", "remember", "plain", "count", "read")


class Server:
    """Apps that are served on one port, one after the other."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        """The functions that were called."""
        self._stack = contextlib.ExitStack()
        self._port = 0

    def start(self, names: tuple[str, ...] = BEFORE, version: str = NEWEST) -> str:
        """Serve the functions of these *names*, in this order."""
        self.stop()
        app = App(version=version)
        for name in names:
            app.endpoint(f"/{name}", queue=name != "plain")(self._function(name))
        url = self._stack.enter_context(serve_in_thread(app, port=self._port))
        self._port = urlsplit(url).port or 0
        return url

    def stop(self) -> None:
        self._stack.close()

    def _function(self, name: str) -> Callable[..., Any]:
        def count(text: str) -> Iterator[str]:
            self.ran.append(name)
            yield f"{text} 1"
            yield f"{text} 2"

        def remember(
            text: str, before: Annotated[str, State] = ""
        ) -> tuple[str, Annotated[str, State]]:
            self.ran.append(name)
            return f"{before}{text}", f"{before}{text}"

        def other(text: str) -> str:
            self.ran.append(name)
            return f"{name} {text}"

        others: dict[str, Callable[..., Any]] = {"count": count, "remember": remember}
        return others.get(name, other)


async def restart(world: World, server: Server, *args: Any) -> None:
    """Start it anew; the client sees its connections end meanwhile."""
    await world.blocking(partial(server.start, *args))
    await world.sleep(0.02)


class Requests:
    """What a client asks, as paths without their queries; to be given to ``observe``."""

    def __init__(self) -> None:
        self._sent = b""

    def __call__(self, now: float, conn: int | None, direction: str, what: Any) -> None:
        if direction == "sent":
            self._sent += what

    def new(self) -> list[str]:
        """Those since the last time."""
        sent, self._sent = self._sent, b""
        return [
            path.decode().removeprefix("/gradio_api")
            for path in re.findall(rb"(?:GET|POST) (/[^ ?]*)[^ ]* HTTP/1.1\r\n", sent)
        ]

    def questions(self) -> list[str]:
        """Those since the last time that are about the app."""
        return [path for path in self.new() if path in {"/app_id", "/config", "/info"}]


Scenario = Callable[[World, Server, str], Coroutine[Any, Any, None]]


def in_every_world(scenario: Scenario) -> Callable[..., None]:
    """A scenario, as a test in each world: with a server that poses as the newest release."""

    @pytest.mark.parametrize("world", WORLDS)
    @wraps(scenario)
    def test(world: str) -> None:
        server = Server()
        try:
            url = server.start()
            WORLDS[world].run(lambda: scenario(WORLDS[world], server, url))
        finally:
            server.stop()

    vars(test).pop("__wrapped__")  # its parameters are not the test's
    made: Callable[..., None] = test
    return made


def in_every_protocol(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The same, with a server of each protocol."""

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("world", WORLDS)
    @wraps(scenario)
    def test(world: str, version: str) -> None:
        server = Server()
        try:
            url = server.start(version=version)
            WORLDS[world].run(lambda: scenario(WORLDS[world], server, url, version))
        finally:
            server.stop()

    vars(test).pop("__wrapped__")  # its parameters are not the test's
    made: Callable[..., None] = test
    return made


# By name


@in_every_protocol
async def test_a_call_by_name_reaches_its_function(
    world: World, server: Server, url: str, version: str
) -> None:
    requests = Requests()
    async with world.client(url, observe=requests) as client:
        assert await client.predict("x", api_name="/read") == "read x"
        assert await client.predict("x", api_name="/plain") == "plain x"
        requests.new()
        await client.predict("y", api_name="/read")
        assert requests.questions() == []  # a warm call costs none
        await restart(world, server, AFTER, version)
        assert await client.predict("x", api_name="/read") == "read x"
        questions = ["/config"] if version == "3.16.2" else ["/app_id", "/config"]
        assert requests.questions() == questions
        assert await client.predict("x", api_name="/plain") == "plain x"
        assert await client.predict("x", api_name="/extra") == "extra x"  # which is new
        assert await client.submit("x", api_name="/read", isolated=True) == "read x"
        job = client.submit("x", api_name="/count")
        assert [output async for output in job] == ["x 1", "x 2"]
        assert requests.questions() == []
    assert "delete" not in server.ran


@in_every_protocol
async def test_the_first_call_after_a_restart_may_be_any(
    world: World, server: Server, url: str, version: str
) -> None:
    async with world.client(url) as client:
        calls = ("plain", "count", "remember", "read")
        for number, name in enumerate(calls):
            isolated = number % 2 == 1
            await client.submit("x", api_name=f"/{name}", isolated=isolated)
            await restart(world, server, AFTER if number % 2 == 0 else BEFORE, version)
            await client.submit("x", api_name=f"/{name}", isolated=isolated)
    assert server.ran == [name for name in calls for _ in range(2)]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3.50.2", NEWEST),
        (NEWEST, "3.50.2"),
        ("4.44.1", NEWEST),
        (NEWEST, "4.0.2"),
        ("4.0.2", "4.16.0"),
        ("3.16.2", "4.19.2"),
    ],
)
def test_another_release_is_spoken_to_in_its_own_words(world: str, old: str, new: str) -> None:
    server = Server()

    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            assert await client.predict("x", api_name="/read") == "read x"
            await restart(WORLDS[world], server, AFTER, new)
            for name in ("read", "plain", "extra"):
                assert await client.predict("x", api_name=f"/{name}") == f"{name} x"
            job = client.submit("x", api_name="/count")
            assert [output async for output in job] == ["x 1", "x 2"]
            assert client.app.version_text == client.config["version"] == new
            assert client.protocol == {"3": "ws"}.get(new[0], client.config.get("protocol"))

    try:
        url = server.start(version=old)
        WORLDS[world].run(scenario)
    finally:
        server.stop()
    assert "delete" not in server.ran


@in_every_world
async def test_many_calls_after_a_restart_cost_one_question(
    world: World, server: Server, url: str
) -> None:
    requests = Requests()
    async with world.client(url, observe=requests) as client:
        await client.predict("x", api_name="/read")
        requests.new()
        await restart(world, server, AFTER)
        jobs = [client.submit(str(n), api_name=f"/{BEFORE[n % 3]}") for n in range(30)]
        results = [await job.result() for job in jobs]
        assert results[:6] == ["read 0", "1 2", "plain 2", "read 3", "4 2", "plain 5"]
        assert requests.questions() == ["/app_id", "/config"]
    assert "delete" not in server.ran


@in_every_world
async def test_what_was_asked_of_the_app_is_asked_of_the_new_one(
    world: World, server: Server, url: str
) -> None:
    async with world.client(url) as client:
        assert "/extra" not in await client.view_api()
        assert await client.predict(text="x", api_name="/read") == "read x"
        await restart(world, server, AFTER)
        assert await client.predict(text="x", api_name="/read") == "read x"
        assert await client.predict(text="x", api_name="/extra") == "extra x"
        text = await client.view_api()
        assert 'predict(text: str, api_name="/extra") -> str' in text
        endpoints = await client.get_endpoints()
        assert [endpoint.api_name for endpoint in endpoints.values()] == [f"/{n}" for n in AFTER]
        assert client.app.endpoints == endpoints


@in_every_world
async def test_a_function_that_is_gone_is_said_to_be(
    world: World, server: Server, url: str
) -> None:
    async with world.client(url) as client:
        assert await client.predict("x", api_name="/delete") == "delete x"
        await restart(world, server, ("count", "read"))
        with pytest.raises(LocalProtocolError, match="/count, /read"):
            await client.predict("x", api_name="/delete")
        assert await client.predict("x", api_name="/read") == "read x"
    assert server.ran == ["delete", "read"]


@in_every_world
async def test_state_begins_anew_in_a_new_session(world: World, server: Server, url: str) -> None:
    async with world.client(url) as client:
        assert await client.predict("a", api_name="/remember") == "a"
        assert await client.predict("b", api_name="/remember") == "ab"
        old = client.session_hash
        await restart(world, server, AFTER)
        assert await client.predict("c", api_name="/remember") == "c"
        assert await client.predict("d", api_name="/remember") == "cd"
        assert client.session_hash != old


# By number


@in_every_world
async def test_a_call_by_number_is_refused_once_the_config_has_changed(
    world: World, server: Server, url: str
) -> None:
    async with world.client(url) as client:
        assert await client.predict("x", fn_index=0) == "read x"
        await restart(world, server, AFTER)
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match=r"has changed.*api_name.*reload\(\)"):
                await client.predict("x", fn_index=0)
        with pytest.raises(LocalProtocolError, match="has changed"):
            await client.call_component(1, "ls")
        assert await client.predict("x", api_name="/read", fn_index=5) == "read x"
        assert server.ran == ["read"] * 2
        await client.reload()
        assert await client.predict("x", fn_index=1) == "extra x"
    assert "delete" not in server.ran


@in_every_world
async def test_in_the_same_app_numbers_mean_the_same(
    world: World, server: Server, url: str
) -> None:
    async with world.client(url) as client:
        assert await client.predict("x", fn_index=0) == "read x"
        await restart(world, server)
        assert await client.predict("x", fn_index=0) == "read x"


@in_every_world
async def test_the_only_function_of_an_app_is_meant_by_its_name(
    world: World, server: Server, url: str
) -> None:
    await restart(world, server, ("read",))
    async with world.client(url) as client:
        assert await client.predict("x") == "read x"
        await restart(world, server, ("delete",))
        with pytest.raises(LocalProtocolError, match="/read"):
            await client.predict("x")
        await restart(world, server, ("delete", "read"))
        assert await client.predict("x") == "read x"
        await restart(world, server, ("delete",))
        await client.reload()
        assert await client.predict("x") == "delete x"
    assert server.ran == ["read", "read", "delete"]


# By hand, and in vain


@in_every_world
async def test_reload_reads_everything_again(world: World, server: Server, url: str) -> None:
    requests = Requests()
    async with world.client(url, observe=requests) as client:
        await client.get_endpoints()
        requests.new()
        await client.reload()
        assert requests.questions() == ["/config", "/info"]
        await restart(world, server, AFTER, "4.44.1")
        await client.reload()
        assert client.app.version_text == "4.44.1"
        assert client.app.has_info
        assert [e.api_name for e in client.app.endpoints.values()] == [f"/{n}" for n in AFTER]
        server.stop()
        with pytest.raises(ConnectFailed):
            await client.reload()
        await restart(world, server, ("read",))
        assert await client.predict("x", fn_index=0, api_name="/read") == "read x"


@in_every_world
async def test_while_the_server_is_away_calls_fail_as_ever(
    world: World, server: Server, url: str
) -> None:
    async with world.client(url) as client:
        await client.predict("x", api_name="/read")
        server.stop()
        for _ in range(2):
            with pytest.raises(ConnectionError) as caught:
                await client.predict("x", api_name="/read")
            assert isinstance(caught.value, ConnectFailed | ConnectionLost)
        await restart(world, server, AFTER)
        assert await client.predict("x", api_name="/read") == "read x"
    assert "delete" not in server.ran
