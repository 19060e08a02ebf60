"""Real servers behind real proxies: nginx with TLS, a path and a limit; tinyproxy with a login."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from sansio_gradio.errors import AuthenticationError, GradioError
from tests.support.recorder import Balancer, HTTPProxy
from tests.support.worlds import WORLDS

from .fronts import CERTIFICATE, nginx, tinyproxy
from .server import RealServer

pytestmark = pytest.mark.real

every_world = pytest.mark.parametrize("name", WORLDS)
AUTHORITY = CERTIFICATE.with_name("authority.pem")


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=AUTHORITY)


def use(name: str, src: str, *, large: int = 0, **options: Any) -> list[Exception]:
    """Call the app; the error of a call with an argument of so many bytes."""
    world, errors = WORLDS[name], list[Exception]()

    async def scenario() -> None:
        async with world.client(src, **options) as client:
            assert await client.predict("x", api_name="/echo") == "x"
            job = client.submit(3, api_name="/count")
            assert [output async for output in job][-1] == "step 2"
            jobs = [client.submit(n, 0.2, api_name="/double") for n in range(5)]
            assert [await job.result() for job in jobs] == [0, 2, 4, 6, 8]
            try:
                assert len(await client.predict("x" * large, api_name="/echo")) == large
            except GradioError as error:
                errors.append(error)

    world.run(scenario)
    return errors


# Where apps believe to be, which is wrong: a mount, a path that only a proxy has, another host.
BELIEFS: dict[str, tuple[str, dict[str, Any]]] = {
    "mounted": ("guarded", {}),
    "path": ("main", {"ROOT_PATH": "/sub/app"}),
    "host": ("main", {"ROOT_PATH": "https://pub.example/deep"}),
}


@pytest.fixture(scope="module", params=BELIEFS)
def believer(request: pytest.FixtureRequest, version: str) -> Iterator[str]:
    app, options = BELIEFS[request.param]
    path = "/app" if app == "guarded" else ""
    with RealServer(version, app, path=path, **options) as server:
        yield server.url + path


@every_world
@pytest.mark.parametrize("end", ["", "/"])
def test_only_the_address_that_was_given_counts(name: str, end: str, believer: str) -> None:
    world = WORLDS[name]
    lies = {"x-forwarded-host": "wrong.example", "x-forwarded-proto": "https,http"}

    async def scenario(headers: dict[str, str]) -> None:
        async with world.client(f"{believer}{end}", headers=headers) as client:
            assert await client.predict("x", api_name="/echo") == "x"
            await client.view_api(return_format="dict")

    for headers in ({}, lies):
        world.run(partial(scenario, headers))


@every_world
def test_behind_nginx(name: str, server: RealServer) -> None:
    with nginx(server.url) as url:
        assert use(name, url, ssl_context=trusting(), large=900_000) == []
        large = use(name, url, ssl_context=trusting(), large=1_200_000)
        if server.version >= "4":  # before, the arguments go over the WebSocket
            (error,) = large
            assert isinstance(error, GradioError)
            assert error.status == 413
            assert "413 Request Entity Too Large" in str(error)


@every_world
def test_through_tinyproxy(name: str, server: RealServer) -> None:
    with tinyproxy() as (proxy, log):
        use(name, server.url, proxy=proxy)
        assert "CONNECT" in log.read_text() or server.version >= "4"
        # A wrong password is a 401, and a missing one a 407 (tinyproxy 1.11).
        with pytest.raises(AuthenticationError, match=r"the proxy .* or a server behind it: "):
            use(name, server.url, proxy=proxy.replace("me:", "you:"))
        with pytest.raises(AuthenticationError, match=r"it wants a login \(407, Basic\)"):
            use(name, server.url, proxy=proxy.replace("me:s3cret-of-the-proxy@", ""))
        with pytest.raises(AuthenticationError, match=r"refuses this user .* \(401, Basic\)"):
            use(name, "https://127.0.0.1:9/", proxy=proxy.replace("me:", "you:"))
        with nginx(server.url) as url:
            use(name, url, proxy=proxy, ssl_context=trusting())
            assert "CONNECT localhost" in log.read_text()
        # What nobody listens to.
        with pytest.raises(ConnectionError, match=r"the proxy 127\.0\.0\.1"):
            use(name, "http://127.0.0.1:9/", proxy=proxy)
        with pytest.raises(ConnectionError, match=r"the proxy .*: asked to connect to"):
            use(name, "https://127.0.0.1:9/", proxy=proxy)


@every_world
def test_through_the_small_proxy(name: str, server: RealServer) -> None:
    with HTTPProxy(login="me:s3cret-of-the-proxy") as proxy:
        use(name, server.url, proxy=f"http://me:s3cret-of-the-proxy@{proxy.place}")
        assert proxy.asked


def test_two_replicas_and_an_affinity_cookie(server: RealServer, version: str) -> None:
    with RealServer(version) as other, Balancer(server.url, other.url) as balancer:
        for visitors, name in enumerate(WORLDS, 1):
            use(name, balancer.url)
            assert balancer.given == visitors
