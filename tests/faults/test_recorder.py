"""A second host records every byte that reaches it: no credential, and no request that nobody asked
for. First it is shown that the recorder notices each kind of credential."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import attrs
import pytest

from sansio_gradio.errors import GradioError, RemoteProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import File
from sansio_gradio_adapters import handle_file
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_tls import client_context, server_context
from tests.support.fault_peer import FaultServer, answer, page
from tests.support.recorder import HTTPProxy, Recorder, Redirector, forms
from tests.support.worlds import WORLDS

VERSIONS = [
    "6.31.0",
    "3.50.2",
    pytest.param("4.44.1", marks=pytest.mark.exhaustive),
    pytest.param("4.8.0", marks=pytest.mark.exhaustive),
]
VERSION_OF: dict[str, str] = {}
HERE, *OTHERS = WORLDS


def secret(kind: str) -> str:
    """One with letters that change where they are encoded."""
    return f'of"the {kind}/é'


@attrs.frozen
class Kind:
    """A kind of credential: the options with which a client has one, and what is secret in them."""

    options: Callable[[str], Mapping[str, Any]]
    secret: str
    in_src: str = ""


KINDS: dict[str, Kind] = {
    "header": Kind(lambda s: {"headers": {"x-api-key": s}}, secret("header").replace("é", "e")),
    "bearer": Kind(lambda s: {"headers": {"authorization": f"Bearer {s}"}}, "of-the-bearer"),
    "cookie": Kind(lambda s: {"cookies": {"session": s}}, "of-the-cookie"),
    "login": Kind(lambda s: {"auth": ("me", s)}, secret("login")),
    "query": Kind(lambda _: {}, secret("query"), "?token=" + quote(secret("query"), safe="")),
    "token": Kind(lambda s: {"token": s}, "hf_of-the-token"),
    "oauth_token": Kind(lambda s: {"oauth_token": s}, "hf_of-the-oauth-token"),
}
ALWAYS_SENT = [kind for kind in KINDS if kind != "oauth_token"]  # which goes where it is asked for


def everything(src: str = "") -> tuple[str, dict[str, Any]]:
    """An address and options with every credential at once."""
    options: dict[str, Any] = {}
    for kind in KINDS.values():
        for name, value in kind.options(kind.secret).items():
            options[name] = {**options.get(name, {}), **value} if name == "headers" else value
        src += kind.in_src
    return src, options


def made(version: str, **how: Any) -> App:
    app = App(version=version, **how)

    @app.endpoint("/echo")
    def echo(text: str) -> str:
        return text

    @app.endpoint("/count")
    def count(text: str) -> Generator[str]:
        yield from text

    @app.endpoint("/size")
    def size(file: File) -> str:
        return f"{file.name} {file.content.size}"

    @app.endpoint("/file")
    def file() -> File:
        return File("a.txt", b"of the app")

    return app


@pytest.fixture(scope="module", params=VERSIONS)
def app(request: pytest.FixtureRequest) -> Iterator[str]:
    login = ("me", KINDS["login"].secret)
    with serve_in_thread(made(request.param, auth=login)) as url:
        VERSION_OF[url] = request.param
        yield url


def visit(name: str, src: str, **options: Any) -> list[object]:
    """Use an app for everything; the results, and the errors, which are all of the library."""
    world, told = WORLDS[name], list[object]()

    async def scenario() -> None:
        async with world.client(src, **options) as client:
            for ask in (
                lambda: client.predict("hi", api_name="/echo", headers={"x-of-call": "1"}),
                lambda: outputs(client.submit("abc", api_name="/count")),
                lambda: client.view_api(return_format="dict"),
                client.reload,
                lambda: outputs(client.submit("d" * 50, api_name="/count", isolated=True), 1),
                client.reset_session,
                lambda: client.predict("hi", api_name="/echo"),
            ):
                try:
                    told.append(await ask())
                except GradioError as error:
                    told.append(error)

    try:
        world.run(scenario)
    except GradioError as error:
        told.append(error)
    return told


async def outputs(job: Any, most: int = 99) -> list[Any]:
    """What a job yields; after so many it is cancelled."""
    found: list[Any] = []
    async for output in job:
        found.append(output)
        if len(found) == most:
            job.cancel()
            break
    return found


# It notices


def test_the_recorder_notices_each_kind(app: str) -> None:
    src, options = everything()
    with Recorder(app) as recorder:
        visit(HERE, f"{recorder.url}/{src}", **options)
    assert [kind for kind in ALWAYS_SENT if not recorder.finds(KINDS[kind].secret)] == []
    assert not recorder.finds("nothing like it")
    assert b"POST " in recorder.received


def config(**more: Any) -> dict[str, Any]:
    """What ``/config`` says of an app with one function, which is called past the queue."""
    text = {"id": 1, "type": "textbox", "props": {}}
    echo = {"id": 0, "inputs": [1], "outputs": [1], "api_name": "echo", "queue": False}
    said = {"version": "6.31.0", "protocol": "sse_v3", "connect_heartbeat": False}
    return {**said, "components": [text], "dependencies": [echo], **more}


@pytest.mark.parametrize("name", WORLDS)
def test_the_recorder_notices_an_oauth_token_where_it_is_asked_for(name: str) -> None:
    told = {"parameters": [], "returns": [], "oauth_token": "required"}
    pages = {
        "/config": page(config()),
        "/info": page({"named_endpoints": {"/echo": told}, "unnamed_endpoints": {}}),
        "/login": answer(200, b'{"success":true}', "set-cookie: a=b"),
        "/api/predict": page({"data": ["hi"]}),
    }
    src, options = everything()
    with FaultServer(pages) as server, Recorder(server.url) as recorder:
        visit(name, f"{recorder.url}/{src}", **options)
    assert recorder.finds(KINDS["oauth_token"].secret)


def test_the_recorder_notices_the_login_of_a_proxy() -> None:
    with Recorder() as recorder:
        word = secret("proxy")
        proxy = f"http://me:{quote(word, safe='')}@{recorder.place}"
        for src in ("http://app.example/", "https://app.example/"):
            visit(HERE, src, proxy=proxy)
            assert recorder.finds(word)
            recorder.records.clear()


@pytest.mark.parametrize("before", ["", "x", "xx", "user:", "a:bc"])
def test_it_knows_every_form(before: str) -> None:
    word = secret("login")
    for form in (
        f"{before}{word}x".encode(),
        f"{before}{quote(word)}x".encode(),
        f"{before}{quote_plus(word)}x".encode(),
        base64.b64encode(f"{before}{word}".encode()),
        base64.b64encode(f"{before}{word}, and more".encode()),
    ):
        assert any(known in form for known in forms(word)), form
    assert not any(known in word[:-1].encode() for known in forms(word))


# Nothing reaches it


@pytest.mark.unmeasured
@pytest.mark.parametrize("status", [307, pytest.param(302, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    "path",
    ["/config", "/login", "/info", "/join", "/queue/data", "/app_id", "/heartbeat", "/reset"],
)
def test_no_redirect_leads_to_it(path: str, status: int, app: str) -> None:
    src, options = everything()
    with Recorder() as recorder, Redirector(app, recorder.url, path, status=status) as before:
        told = visit(HERE, f"{before.url}/{src}", **options)
        assert recorder.records == []
        asked = f"{path}" in before.received.decode("latin-1")
    assert before.redirected or not asked
    assert "hi" in told or any(isinstance(what, GradioError) for what in told)


@pytest.mark.unmeasured
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("path", ["/config", "/join"])
def test_no_redirect_leads_to_it_in_another_world(name: str, path: str, app: str) -> None:
    src, options = everything()
    with Recorder() as recorder, Redirector(app, recorder.url, path) as before:
        visit(name, f"{before.url}/{src}", **options)
        assert before.redirected
    assert recorder.records == []


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", WORLDS)
def test_the_root_that_an_app_tells_is_not_used(name: str, app: str) -> None:
    """A wrong X-Forwarded-Host of a proxy, or a ``root`` on another port, is the same to a client:
    ``root``, and the ``url`` of each file, lead elsewhere."""
    src, options = everything()
    with Recorder() as recorder:
        options["headers"] |= {"x-forwarded-host": recorder.place}
        told = visit(name, f"{app}/{src}", **options)
    assert "hi" in told
    assert recorder.records == []


@pytest.mark.parametrize("prefix", ["//{}", "http://{}", "/\\{}", "/..//{}", "@{}"])
def test_no_prefix_of_an_api_leads_to_it(prefix: str) -> None:
    with Recorder() as recorder:
        lies = config(
            root=recorder.url,
            api_prefix=prefix.format(recorder.place),
            src=recorder.url,
            space_id="owner/space",
        )
        login = answer(200, b'{"success":true}', "set-cookie: a=b; Domain=127.0.0.1")
        src, options = everything()
        with FaultServer({"/config": page(lies), "/login": login}) as server:
            visit(HERE, f"{server.url}/{src}", **options)
            assert server.asked("/config")
    assert recorder.records == []


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", WORLDS)
def test_http_addresses_of_an_app_behind_tls_are_not_used(name: str, app: str) -> None:
    """The proxy that ends TLS tells the app nothing: its addresses are http of the same place."""
    src, options = everything()
    with Recorder() as recorder, Recorder(app, tls=server_context()) as host:
        options["headers"] |= {"x-forwarded-host": recorder.place}
        told = visit(
            name, f"https://localhost:{host.port}/{src}", ssl_context=client_context(), **options
        )
    assert "hi" in told
    assert recorder.records == []


def test_a_proxy_sees_nothing_of_what_is_in_its_tunnel(app: str) -> None:
    src, options = everything()
    word = quote(secret("proxy"), safe="")
    with (
        Recorder(app, tls=server_context()) as host,
        HTTPProxy(hosts={"localhost:443": host.place}) as proxy,
    ):
        options |= {"proxy": f"http://me:{word}@{proxy.place}", "ssl_context": client_context()}
        told = visit(HERE, f"https://localhost/{src}", **options)
    assert "hi" in told
    for kind in ALWAYS_SENT:
        assert host.finds(KINDS[kind].secret)
        assert not proxy.finds(KINDS[kind].secret)
    assert proxy.finds(secret("proxy"))
    assert not host.finds(secret("proxy"))


def test_with_every_variable_of_proxies_set_it_gets_nothing(
    app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, options = everything()
    with Recorder() as recorder:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://me:pw@{recorder.place}")
        assert "hi" in visit(HERE, f"{app}/{src}", **options)
    assert recorder.records == []


@pytest.mark.parametrize("name", WORLDS)
def test_no_url_of_a_file_leads_to_it(name: str, app: str, tmp_path: Path) -> None:
    src, options = everything()
    world = WORLDS[name]
    with Recorder() as recorder:
        options["headers"] |= {"x-forwarded-host": recorder.place}

        async def scenario() -> None:
            async with world.client(f"{app}/{src}", **options) as client:
                file = await client.predict(api_name="/file")
                lies = {**file, "url": f"{recorder.url}/file={file.path}"}
                for place, given in enumerate((file, lies)):
                    path = await client.download(given, tmp_path / f"{place}")
                    assert path.read_bytes() == b"of the app"

        world.run(scenario)
    assert recorder.records == []


def test_no_redirect_of_a_file_leads_to_it(app: str, tmp_path: Path) -> None:
    src, options = everything()
    world = WORLDS[HERE]
    with Recorder() as recorder, Redirector(app, recorder.url, "/file=") as before:

        async def scenario() -> None:
            async with world.client(f"{before.url}/{src}", **options) as client:
                file = await client.predict(api_name="/file")
                with pytest.raises(RemoteProtocolError, match="connect to it directly"):
                    await client.download(file, tmp_path / "a.txt")

        world.run(scenario)
        assert before.redirected
    assert recorder.records == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WORLDS)
def test_a_file_elsewhere_is_fetched_without_credentials(name: str, app: str) -> None:
    """By the client only from apps of Gradio 3, which cannot do it themselves."""
    src, options = everything()
    world, told = WORLDS[name], list[object]()
    content = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nset-cookie: a=b\r\n\r\nabc"
    with Recorder(answer=content) as recorder:
        given = handle_file(f"{recorder.url}/a.txt?own=1")

        async def scenario() -> None:
            async with world.client(f"{app}/{src}", **options) as client:
                job = client.submit(given, api_name="/size")
                told.append(await job.exception() or await job.result())

        world.run(scenario)
    if VERSION_OF[app].startswith("3."):
        assert told == ["a.txt 3"]
        assert recorder.received.startswith(b"GET /a.txt?own=1 HTTP/1.1\r\n")
        assert recorder.received.count(b" HTTP/1.1\r\n") == 1
        assert not [kind for kind in KINDS if recorder.finds(KINDS[kind].secret)]
    else:
        assert recorder.records == []


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", WORLDS)
def test_the_hub_gets_the_token_and_nothing_else(
    name: str, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, options = everything()
    pages = {
        "/api/spaces/owner/name/host": page({"host": app.rstrip("/")}),
        "/api/spaces/owner/name/runtime": page({"stage": "RUNNING"}),
    }
    with FaultServer(pages) as server, Recorder(server.url) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert "hi" in visit(name, "owner/name", **options)
    found = {kind for kind in KINDS if hub.finds(KINDS[kind].secret)}
    assert found == {"token"}
    assert {request.method for request in server.requests} == {"GET"}
