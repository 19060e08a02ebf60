"""Where apps live: behind proxies, at Unix sockets, behind TLS, on IPv6; in every world."""

from __future__ import annotations

import os
import ssl
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.client.commands import OpenConnection
from sansio_gradio.client.engine import Engine
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    LocalProtocolError,
    OptionError,
    RemoteProtocolError,
)
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import File
from sansio_gradio_adapters import environment_proxies, handle_file
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_tls import CERTIFICATES, client_context, server_context
from tests.support.recorder import Balancer, Front, HTTPProxy, Recorder
from tests.support.worlds import WORLDS

PASSWORD = "s3cret-of-the-proxy"
OWN = "s3cret-of-the-app"
LARGE = bytes(200_000)
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

every_world = pytest.mark.parametrize("name", WORLDS)


def made(**how: Any) -> App:
    app = App(**how)

    @app.endpoint("/echo")
    def echo(text: str) -> str:
        return text

    @app.endpoint("/count")
    def count(text: str) -> Generator[str]:
        yield from text

    @app.endpoint("/size")
    def size(file: File) -> str:
        return f"{file.name} {file.content.size}"

    return app


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with serve_in_thread(made()) as url:
        yield url


@pytest.fixture(scope="module")
def old_app() -> Iterator[str]:
    with serve_in_thread(made(version="3.50.2")) as url:
        yield url


def use(name: str, src: str, **options: Any) -> None:
    """Call the app at *src* from one world: a plain function, one that yields, one with a file."""
    world = WORLDS[name]

    async def scenario() -> None:
        async with world.client(src, **options) as client:
            assert await client.predict("hi", api_name="/echo") == "hi"
            outputs = [output async for output in client.submit("abc", api_name="/count")]
            assert outputs[-1] == "c"
            file = handle_file(LARGE, name="a b.txt")
            assert await client.predict(file, api_name="/size") == f"a b.txt {len(LARGE)}"

    world.run(scenario)


def fails(name: str, src: str, **options: Any) -> Exception:
    world, errors = WORLDS[name], []

    async def scenario() -> None:
        try:
            async with world.client(src, **options):
                pass
        except Exception as error:
            errors.append(error)

    world.run(scenario)
    return errors[0]


# Proxies


@every_world
def test_http_through_a_proxy(name: str, app: str) -> None:
    with Recorder(app) as host:
        hosts = {"app.example:80": host.place}
        with HTTPProxy(login=f"me:{PASSWORD}", hosts=hosts) as proxy:
            via = f"http://me:{PASSWORD}@{proxy.place}"
            use(name, "http://app.example/", proxy=via, headers={"authorization": OWN})
    assert all(line.split()[1].startswith("http://app.example/") for line in proxy.asked)
    assert proxy.finds(PASSWORD)
    assert host.finds(OWN)
    assert not host.finds(PASSWORD)


@every_world
def test_websockets_through_a_proxy(name: str, old_app: str) -> None:
    with Recorder(old_app) as host:
        hosts = {"app.example:80": host.place}
        with HTTPProxy(login=f"me:{PASSWORD}", hosts=hosts) as proxy:
            use(name, "http://app.example/", proxy=f"http://me:{PASSWORD}@{proxy.place}")
    assert "CONNECT app.example:80 HTTP/1.1" in proxy.asked
    assert b"sec-websocket-key" in host.received
    assert not host.finds(PASSWORD)


@every_world
@pytest.mark.parametrize("kind", ["app", "old_app"])
def test_tls_through_a_proxy(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    with Recorder(url, tls=server_context()) as host:
        hosts = {"localhost:443": host.place}
        with HTTPProxy(login=f"me:{PASSWORD}", hosts=hosts) as proxy:
            via = f"http://me:{PASSWORD}@{proxy.place}"
            options = {"headers": {"authorization": OWN}, "ssl_context": client_context()}
            use(name, "https://localhost/", proxy=via, **options)
    assert set(proxy.asked) == {"CONNECT localhost:443 HTTP/1.1"}
    assert host.finds(OWN)
    assert proxy.finds(PASSWORD)
    assert not host.finds(PASSWORD)
    assert not proxy.finds(OWN)


@every_world
def test_a_proxy_that_says_no_is_named(name: str) -> None:
    with HTTPProxy(login=f"me:{PASSWORD}") as proxy:
        for src in ("http://app.example/", "https://app.example/"):
            error = fails(name, src, proxy=f"http://you:{PASSWORD}@{proxy.place}")
            assert type(error) is AuthenticationError
            assert f"the proxy {proxy.place} (proxy=): it refuses this user" in str(error)
            assert PASSWORD not in f"{error!r} {error}"
    error = fails(name, "https://app.example/", proxy=f"http://{proxy.place}")
    assert type(error) is ConnectFailed
    assert f"the proxy {proxy.place} (proxy=): No connection to 127.0.0.1" in str(error)


# The environment


@every_world
def test_the_environment_names_the_proxy(
    name: str, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = {"app.example:80": app.removeprefix("http://").rstrip("/")}
    with HTTPProxy(hosts=hosts) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.place}")
        use(name, "http://app.example/")
        assert proxy.asked
        monkeypatch.setenv("NO_PROXY", "app.invalid")
        asked = len(proxy.asked)
        assert "app.invalid" in str(fails(name, "http://app.invalid/"))
        error = fails(name, "http://app2.invalid/", trust_env=False)
        assert "No address was found for app2.invalid" in str(error)
        assert len(proxy.asked) == asked


@every_world
@pytest.mark.parametrize("kind", ["app", "old_app"])
def test_with_every_variable_set_nothing_for_this_machine_reaches_the_proxy(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(kind)
    with Recorder() as recorder:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, f"http://me:{PASSWORD}@{recorder.place}")
            monkeypatch.setenv(variable.lower(), f"http://me:{PASSWORD}@{recorder.place}")
        use(name, url)
        use(name, url.replace("127.0.0.1", "localhost"))
        assert recorder.records == []
        fails(name, "http://app.example/")  # it would have noticed
        assert recorder.finds(PASSWORD)


@every_world
def test_the_environment_is_read_once_by_the_constructor(
    name: str, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = WORLDS[name]
    hosts = {"app.example:80": app.removeprefix("http://").rstrip("/")}
    with HTTPProxy(hosts=hosts) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.place}")

        async def scenario() -> None:
            client = world.client("http://app.example/")
            async with client as opened:
                monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
                assert await opened.predict("hi", api_name="/echo") == "hi"

        world.run(scenario)


@pytest.mark.parametrize("name", ["sockets", "trio"])
def test_socks_is_refused_by_the_name_of_its_variable(
    name: str, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:{PASSWORD}@127.0.0.1:1")
    world = WORLDS[name]
    with pytest.raises(LocalProtocolError, match=r"^ALL_PROXY names .*SOCKS"):
        world.run(lambda: use_nothing(world.client("http://app.example/")))
    use(name, app)  # which needs no proxy
    assert PASSWORD not in repr(environment_proxies())


def test_an_engine_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for proxy, via in ((None, None), (environment_proxies(), ("127.0.0.1", 1))):
        engine = Engine(entropy=os.urandom)
        engine.session("https://app.example/", proxy=proxy)
        engine.handle_timer(0.0)
        command = engine.next_command()
        assert command == OpenConnection(1, "app.example", 443, "app.example", via)


async def use_nothing(client: Any) -> None:
    async with client:
        pass


@pytest.mark.parametrize("option", [{"proxy": 7}, {"proxy": "socks5://h"}])
def test_other_options_are_refused(option: dict[str, Any]) -> None:
    assert type(fails("sockets", "http://127.0.0.1:1", **option)) is OptionError


# Unix sockets


@every_world
@pytest.mark.parametrize("kind", ["app", "old_app"])
def test_an_app_at_a_unix_socket(
    name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = tmp_path / "a b.sock"
    with Recorder(request.getfixturevalue(kind), path=os.fspath(path)) as host:
        src = f"http+unix://{os.fspath(path).replace('/', '%2F').replace(' ', '%20')}/"
        use(name, src, proxy="http://127.0.0.1:1")
        assert b"host: localhost\r\n" in host.received


@every_world
def test_a_unix_socket_that_is_not_there_is_named(name: str) -> None:
    error = fails(name, "http+unix://%2Fnowhere%2Fapp.sock/")
    assert type(error) is ConnectFailed
    assert "No connection to the socket /nowhere/app.sock: No such file" in str(error)
    error = fails(name, f"http+unix://%2F{'x' * 200}/")
    assert "AF_UNIX path too long" in str(error)


# TLS


@every_world
def test_a_client_certificate(name: str, app: str) -> None:
    wants = server_context()
    wants.verify_mode = ssl.CERT_REQUIRED
    wants.load_verify_locations(CERTIFICATES / "client.pem")
    with Recorder(app, tls=wants) as host:
        src = f"https://localhost:{host.port}/"
        error = fails(name, src, ssl_context=client_context())
        assert isinstance(error, ConnectionError)
        context = client_context()
        context.load_cert_chain(CERTIFICATES / "client.pem")
        use(name, src, ssl_context=context)


@every_world
@pytest.mark.parametrize(("kind", "end"), [("app", ""), ("old_app", "/")])
def test_a_path_behind_tls_that_the_app_knows_nothing_of(
    name: str, kind: str, end: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(kind)
    with Front(url, "/sub/app/", tls=server_context()) as front:
        src = f"https://localhost:{front.port}/sub/app{end}"
        use(name, src, ssl_context=client_context())
        world, errors = WORLDS[name], []

        async def scenario() -> None:
            async with world.client(src, ssl_context=client_context()) as client:
                try:
                    await client.predict("x" * (2 << 20), api_name="/echo")
                except RemoteProtocolError as error:
                    errors.append(error)

        world.run(scenario)
        if kind == "old_app":  # its arguments go over the WebSocket
            assert errors == []
        else:
            (error,) = errors
            assert (error.status, error.phase) == (413, "join")
            assert "413 Request Entity Too Large" in error.message


@every_world
def test_ipv6(name: str, app: str) -> None:
    with Recorder(app, host="::1") as host:
        use(name, f"http://[::1]:{host.port}/")
        assert f"host: [::1]:{host.port}\r\n".encode() in host.received


# Replicas


@every_world
@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
def test_an_affinity_cookie_keeps_a_client_at_its_replica(name: str, version: str) -> None:
    one, two = made(version=version), made(version=version)
    with (
        serve_in_thread(one) as first,
        serve_in_thread(two) as second,
        Balancer(first, second) as balancer,
    ):
        for visitors in (1, 2):
            use(name, balancer.url)
            assert balancer.given == visitors


@pytest.mark.parametrize("name", WORLDS)
def test_a_websocket_behind_a_proxy_that_closes_each_connection_is_opened_once(name: str) -> None:
    """The proxy closes the connection of the question whether it is still the same app: that is no
    new doubt, since the WebSocket is on its way."""
    app, world = App(version="3.50.2"), WORLDS[name]

    @app.endpoint("/echo")
    def echo(text: str) -> str:
        return text

    async def scenario() -> None:
        async with world.client(url, proxy=proxy.url) as client:
            for text in ("x", "y"):
                proxy.asked.clear()
                assert await client.predict(text, api_name="/echo") == text
                asked = [line.partition(" ")[0] for line in proxy.asked]
                assert asked.count("CONNECT") == 1
                assert asked.count("GET") <= 1

    with serve_in_thread(app) as url, HTTPProxy() as proxy:
        world.run(scenario)
