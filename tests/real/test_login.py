"""Apps that want a login: right and wrong ones, in every world, also where they are mounted."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio import handle_file
from sansio_gradio.errors import AuthenticationError
from sansio_gradio_adapters.sockets import Client
from tests.support.worlds import WORLDS

from .server import RealServer, free_port

pytestmark = pytest.mark.real

LOGIN = ("user", "secret")
every_world = pytest.mark.parametrize("name", WORLDS)


@pytest.fixture(scope="module")
def url(version: str) -> Iterator[str]:
    """It believes to be below a path, where a proxy would have it."""
    with RealServer(version, AUTH="1", ROOT_PATH="/sub/app") as server:
        yield server.url


def use(name: str, src: str, **options: Any) -> None:
    """Log in and call: through the queue, past it, with yields, and ask for ``/info``."""

    async def play() -> None:
        async with WORLDS[name].client(src, auth=LOGIN, **options) as client:
            assert await client.predict("x", api_name="/echo") == "x"
            assert await client.predict("y", api_name="/echo_unqueued") == "y"
            outputs = [output async for output in client.submit(3, api_name="/count")]
            assert outputs == ["step 0", "step 1", "step 2"]
            assert "/greet" in await client.view_api()
            assert client.cookies
            assert all(key.startswith("access-token") for key in client.cookies)

    WORLDS[name].run(play)


def refused(name: str, src: str, **options: Any) -> AuthenticationError:
    errors: list[AuthenticationError] = []

    async def play() -> None:
        with pytest.raises(AuthenticationError) as caught:
            async with WORLDS[name].client(src, **options):
                pass
        errors.append(caught.value)

    WORLDS[name].run(play)
    (error,) = errors
    assert isinstance(error, ConnectionError)
    assert isinstance(error, ValueError)
    return error


@every_world
def test_without_a_login(name: str, url: str) -> None:
    error = refused(name, url)
    assert (error.phase, error.url, error.status) == ("config", f"{url}/config", 401)
    assert "auth=(user, password)" in error.message


@pytest.mark.parametrize("login", [("user", "wr0ng"), ("nobody", "wr0ng"), ("user", "")])
@every_world
def test_with_a_wrong_one(name: str, url: str, login: tuple[str, str]) -> None:
    error = refused(name, url, auth=login)
    assert (error.phase, error.url) == ("login", f"{url}/login")
    assert error.status in ({400, 422} if login[1] == "" else {400})
    assert "wr0ng" not in str(error)


@every_world
def test_with_the_right_one(name: str, url: str) -> None:
    use(name, url, token="t0ken", headers={"x-mine": "1"})


@pytest.fixture(scope="module")
def files(version: str) -> Iterator[str]:
    with RealServer(version, "special") as server:
        yield server.url


@every_world
def test_files_behind_a_login(name: str, files: str, tmp_path: Path) -> None:
    found: list[Any] = []

    async def play() -> None:
        async with WORLDS[name].client(files, auth=LOGIN) as client:
            given = handle_file(b"content", name="note.txt")
            found.append(await client.predict(given, api_name="/file"))
            path = await client.download(found[0], tmp_path)
            assert path.read_bytes() == b"content"
            assert "7 " in await client.predict(given, api_name="/digest")

    WORLDS[name].run(play)
    address = f"{found[0].url}"
    assert address.startswith(files)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address)


@every_world
def test_where_the_app_is_mounted(name: str, mounted: str, version: str) -> None:
    async def play() -> None:
        async with WORLDS[name].client(mounted, auth=LOGIN) as client:
            assert await client.predict("x", api_name="/echo") == "x"
            assert client.cookies

    WORLDS[name].run(play)
    error = refused(name, mounted)
    assert error.status == 401
    assert ("Members only" in error.message) is (version >= "6")
    error = refused(name, mounted, auth=("user", "wr0ng"))
    assert (error.phase, error.url) == ("login", f"{mounted}/login")


@pytest.fixture(scope="module")
def mounted(version: str) -> Iterator[str]:
    if tuple(map(int, version.split("."))) < (4, 20):
        pytest.skip("a mounted app has no login of its own")
    with RealServer(version, "guarded", path="/app", GUARD="message") as server:
        yield f"{server.url}/app"


def test_a_login_that_a_restart_made_void(version: str, tmp_path: Path) -> None:
    if version == "3.16.2":
        pytest.skip("its port is not free for a minute")
    port = free_port()

    def served() -> RealServer:
        ran = str(tmp_path / "ran.txt")
        return RealServer(version, "turning", port=port, ORDER="read,count", RAN=ran, AUTH="1")

    clients: list[Client] = []
    try:
        with served() as server:
            clients += [Client(server.url, auth=LOGIN)]
            for client in clients:
                assert client.predict("a", api_name="/read") == "read a"
            before = [dict(client.cookies) for client in clients]
        with served():
            for client, old in zip(clients, before, strict=True):
                jobs = [client.submit("b", api_name="/read") for _ in range(3)]
                assert [job.result() for job in jobs] == ["read b"] * 3
                assert client.cookies != old
    finally:
        for client in clients:
            client.close()
