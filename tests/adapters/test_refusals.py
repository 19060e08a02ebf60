"""What the blocking client says, at once, when there is no Gradio app where one should be.

Every deadline is far away, and none may be what ends the wait.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    TooManyRequestsError,
)
from sansio_gradio.events import ConnectingFailed
from sansio_gradio.limits import Timeouts
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._options import ClientOptions
from sansio_gradio_adapters.sockets import Client
from tests.support.transcripts import load

FAR_AWAY = Timeouts(connect=60, tls=60, request=60, join=60, send=60, stream_idle=60, job=60)
SECRET = "hunter2"
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "localhost.pem"
RECORDING = load("6.31.0", "add")


def json_page(value: Any, status: int = 200) -> Page:
    return Page(status, "application/json", json.dumps(value).encode())


@attrs.frozen
class Page:
    status: int
    content_type: str
    body: bytes


HTML = Page(200, "text/html", b"<html>Welcome to nginx</html>")
NOT_FOUND = Page(404, "text/html", b"<h1>Not Found</h1>")
BROKEN = Page(500, "text/plain", b"Internal Server Error")
CONFIG = json_page(dict(RECORDING.config))
JOINED = json_page({"event_id": "1"})


class Pages(ThreadingHTTPServer):
    """Answers a path with the page that it has for it, whatever the method."""

    daemon_threads = True

    def __init__(self, pages: dict[str, Page]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = pages
        self.port: int = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that say something strange are what this is for


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Pages)
        self.rfile.read(int(self.headers.get("content-length") or 0))
        page = self.server.pages.get(self.path.partition("?")[0], NOT_FOUND)
        self.send_response(page.status)
        self.send_header("content-type", page.content_type)
        self.send_header("content-length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving(pages: dict[str, Page], context: ssl.SSLContext | None = None) -> Generator[Pages]:
    with Pages(pages) as server:
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connect(url: str, **options: Any) -> Client:
    """A client with secrets in every place where one fits."""
    return Client(
        url,
        headers={"Authorization": f"Bearer {SECRET}"},
        cookies={"session": SECRET},
        timeouts=FAR_AWAY,
        **options,
    )


def refusal_of(url: str, **options: Any) -> GradioError:
    with pytest.raises(GradioError) as caught:
        connect(url, **options).close()
    return checked(caught.value)


def checked(error: GradioError) -> GradioError:
    """The error, after looking at what holds for all of them."""
    assert not isinstance(error, DeadlineExceeded)
    assert error.phase is not None
    assert error.url is not None
    assert f"phase {error.phase}, url {error.url}" in str(error)
    for text in (str(error), repr(error), repr(vars(error))):
        assert SECRET not in text
    return error


# Nobody there


def test_a_refused_connection() -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else can listen here meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = refusal_of(url)
    assert type(error) is ConnectFailed
    assert isinstance(error, ConnectionError)
    assert (error.phase, error.url) == ("connect", f"{url}/config")
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_a_name_that_nobody_has() -> None:
    error = refusal_of("http://nonexistent.invalid/app")
    assert type(error) is ConnectFailed
    assert (error.phase, error.url) == ("connect", "http://nonexistent.invalid/app/config")
    assert "nonexistent.invalid" in error.message
    assert isinstance(error.__cause__, socket.gaierror)


@pytest.mark.parametrize("src", ["nonsense", "ftp://example.com", f"http://me:{SECRET}@localhost/"])
def test_an_address_that_is_none(src: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Client(src)
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, ConnectionError)  # trying again does not help


# Another language


def test_tls_to_a_port_without() -> None:
    with serving({"/config": CONFIG}) as server:
        error = refusal_of(server.url.replace("http:", "https:"))
    assert type(error) is ConnectFailed
    assert error.phase == "tls"
    assert "http://" in error.message  # what to try instead
    assert isinstance(error.__cause__, ssl.SSLError)


def test_no_tls_to_a_port_with() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with serving({"/config": CONFIG}, context) as server:
        error = refusal_of(server.url)
    # The peer may cut, or send a TLS alert before: no HTTP in either case.
    assert isinstance(error, ConnectionLost | RemoteProtocolError)
    assert (error.phase, error.url) == ("config", f"{server.url}/config")


def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with serving({"/config": CONFIG}, context) as server:
        error = refusal_of(server.url.replace("http:", "https:"))
    assert type(error) is ConnectFailed
    assert error.phase == "tls"
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize(
    "greeting",
    [
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",  # RFC 8446 section 6: fatal, protocol_version
        b"",
    ],
    ids=["text", "tls alert", "nothing"],
)
def test_a_peer_that_does_not_speak_http(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):  # the listener is shut down
                while True:
                    with listener.accept()[0] as conn:
                        conn.recv(65536)
                        conn.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            error = refusal_of(url)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert type(error) is (RemoteProtocolError if greeting else ConnectionLost)
    assert (error.phase, error.url) == ("config", f"{url}/config")


# Something else there


@pytest.mark.parametrize(
    ("page", "status", "says"),
    [
        (HTML, 200, "not a Gradio app"),
        (NOT_FOUND, 404, "Not Found"),
        (BROKEN, 500, "Internal Server Error"),
        (Page(502, "text/html", b"<h1>Bad Gateway</h1>"), 502, "Bad Gateway"),
        (Page(200, "application/json", b""), 200, "not a Gradio app"),
        (Page(200, "application/json", b"[" * 100_000), 200, "not a Gradio app"),
        (json_page([]), None, "JSON object"),
        (json_page({"status": "ok"}), None, "no Gradio app"),
    ],
    ids=["html", "404", "500", "502", "empty", "deep", "list", "other"],
)
def test_something_else_where_the_config_is_due(page: Page, status: int | None, says: str) -> None:
    with serving({"/config": page}) as server:
        error = refusal_of(server.url)
    assert type(error) is RemoteProtocolError
    assert isinstance(error, ConnectionError)
    assert (error.phase, error.url) == ("config", f"{server.url}/config")
    assert error.status == status
    assert says in error.message


def test_too_many_requests() -> None:
    with serving({"/config": Page(429, "text/plain", b"later")}) as server:
        error = refusal_of(server.url)
    assert type(error) is TooManyRequestsError
    assert (error.phase, error.status, error.retry_after) == ("config", 429, None)


@pytest.mark.parametrize(
    "page",
    [
        json_page({"detail": "Not authenticated"}, 401),
        json_page({"auth_required": True, "auth_message": "Who are you?"}),
    ],
    ids=["401", "200"],
)
def test_a_login_that_was_not_given(page: Page) -> None:
    with serving({"/config": page}) as server:
        error = refusal_of(server.url)
    assert type(error) is AuthenticationError
    assert isinstance(error, ValueError)
    assert isinstance(error, ConnectionError)
    assert error.phase == "config"
    assert "login" in error.message


def test_a_login_that_is_refused() -> None:
    refused = json_page({"detail": "Incorrect credentials."}, 400)
    with serving({"/login": refused, "/config": CONFIG}) as server:
        error = refusal_of(server.url, auth=("user", SECRET))
    assert type(error) is AuthenticationError
    assert (error.phase, error.url, error.status) == ("login", f"{server.url}/login", 400)
    assert "Incorrect credentials" in error.message


# An app at first, then something else


@pytest.mark.parametrize("page", [HTML, BROKEN], ids=["html", "500"])
def test_something_else_where_the_info_is_due(page: Page) -> None:
    with (
        serving({"/config": CONFIG, "/gradio_api/info": page}) as server,
        connect(server.url) as client,
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            client.view_api()
        error = checked(caught.value)
    assert error.phase == "info"
    assert error.url is not None
    assert error.url.startswith(f"{server.url}/gradio_api/info")
    assert error.status == page.status


def test_everybody_who_waits_is_told_of_the_same_failure() -> None:
    core = ClientCore(ClientOptions("http://127.0.0.1:1"))
    askers = [core.ask_for_info() for _ in range(3)]
    failure = ConnectFailed("nobody is there", phase="info")
    failure.__cause__ = OSError("no")
    core.receive(ConnectingFailed(session=core.session.id, error=failure))
    told = set[int]()
    for since in askers:
        assert core.has_failed(since)
        with pytest.raises(ConnectFailed, match="nobody") as caught:
            core.raise_error(since)
        assert caught.value.phase == "info"
        assert caught.value.__cause__ is failure.__cause__
        told.add(id(caught.value))
        core.ask_for_info()  # whoever is told may ask again at once
    assert id(failure) not in told
    again = core.ask_for_info()
    assert not core.has_failed(again)
    core.raise_error(again)


@pytest.mark.parametrize(
    ("join", "kind", "status"),
    [
        (HTML, RemoteProtocolError, 200),
        (NOT_FOUND, RemoteProtocolError, 404),
        (BROKEN, RemoteProtocolError, 500),
        (json_page({"event_id": None}), RemoteProtocolError, 200),
        (json_page({"detail": "Queue is full. Max size is 1."}, 503), QueueFullError, 503),
        (json_page({"detail": "Service shutting down"}, 503), ServerStoppedError, 503),
        (json_page({"detail": "Not authenticated"}, 401), AuthenticationError, 401),
        (Page(429, "text/plain", b"later"), TooManyRequestsError, 429),
        (json_page({"error": "no"}, 500), AppError, 500),
    ],
    ids=["html", "404", "500", "no id", "full", "stopping", "login", "429", "app"],
)
def test_something_else_where_a_job_is_handed_in(
    join: Page, kind: type[GradioError], status: int | None
) -> None:
    pages = {"/config": CONFIG, "/gradio_api/info": json_page(RECORDING.info)}
    pages["/gradio_api/queue/join"] = join
    with serving(pages) as server, connect(server.url) as client:
        job = client.submit(2, 3, api_name="/add")
        with pytest.raises(kind) as caught:
            job.result()
        error = checked(caught.value)
        assert type(error) is kind
        assert error.phase == "join"
        assert error.url == f"{server.url}/gradio_api/queue/join"
        assert error.status == status
        assert error.job is not None
        with pytest.raises(kind):
            list(job)


@pytest.mark.parametrize("page", [HTML, NOT_FOUND, BROKEN], ids=["html", "404", "500"])
def test_something_else_where_the_stream_is_due(page: Page) -> None:
    pages = {"/config": CONFIG, "/gradio_api/info": json_page(RECORDING.info)}
    pages |= {"/gradio_api/queue/join": JOINED, "/gradio_api/queue/data": page}
    with serving(pages) as server, connect(server.url) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            client.predict(2, 3, api_name="/add")
        error = checked(caught.value)
    assert error.phase == "stream"
    assert error.status == page.status
    assert error.job is not None


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (HTML, RemoteProtocolError),
        (NOT_FOUND, RemoteProtocolError),
        (BROKEN, RemoteProtocolError),
        (json_page({"detail": "Not authenticated"}, 401), AuthenticationError),
        (Page(429, "text/plain", b"later"), TooManyRequestsError),
    ],
    ids=["html", "404", "500", "login", "429"],
)
def test_something_else_where_a_websocket_is_due(page: Page, kind: type[GradioError]) -> None:
    recording = load("3.50.2", "add")
    pages = {"/config": json_page(dict(recording.config)), "/info": json_page(recording.info)}
    pages["/queue/join"] = page
    with serving(pages) as server, connect(server.url) as client:
        assert client.protocol == "ws"
        job = client.submit(2, 3, api_name="/add")
        with pytest.raises(kind) as caught:
            job.result()
        error = checked(caught.value)
        assert type(error) is kind
        assert error.phase == "join"
        assert error.url == f"{server.url}/queue/join"
        assert error.status == page.status
        assert error.job is not None


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (HTML, RemoteProtocolError),
        (NOT_FOUND, RemoteProtocolError),
        (BROKEN, RemoteProtocolError),
        (json_page({"detail": "Not authenticated"}, 401), AuthenticationError),
        (Page(429, "text/plain", b"later"), TooManyRequestsError),
        (json_page({"error": "no"}, 500), AppError),
        (json_page([]), RemoteProtocolError),
    ],
    ids=["html", "404", "500", "login", "429", "app", "list"],
)
def test_something_else_where_an_answer_is_due(page: Page, kind: type[GradioError]) -> None:
    """Of an endpoint beside the queue."""
    config = dict(RECORDING.config)
    config["dependencies"] = [{**said, "queue": False} for said in config["dependencies"]]
    pages = {"/config": json_page(config), "/gradio_api/info": json_page(RECORDING.info)}
    pages["/gradio_api/api/predict"] = page
    with serving(pages) as server, connect(server.url) as client:
        with pytest.raises(kind) as caught:
            client.predict(2, 3, api_name="/add")
        error = checked(caught.value)
        assert type(error) is kind
        assert error.phase == "call"
        assert error.url == f"{server.url}/gradio_api/api/predict"
        assert error.status == page.status
        assert error.job is not None


# An app, and a call that it does not know


@pytest.fixture
def client() -> Iterator[Client]:
    pages = {"/config": CONFIG, "/gradio_api/info": json_page(RECORDING.info)}
    with serving(pages) as server, connect(server.url) as connected:
        yield connected


def test_an_endpoint_that_the_app_does_not_have(client: Client) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        client.predict(2, 3, api_name="/ad")
    error = checked(caught.value)
    assert "'/ad'" in error.message
    assert "'/add'" in error.message  # did you mean
    with pytest.raises(LocalProtocolError, match="fn_index=4711"):
        client.predict(2, 3, fn_index=4711)


def test_arguments_that_do_not_fit_are_told_all_at_once(client: Client) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        client.predict(1, 2, 3, c=4, api_name="/add")
    error = checked(caught.value)
    assert "at most, not 3" in error.message
    assert "'c'" in error.message
    assert "predict(" in error.message  # how it is called


def test_a_call_that_fails_leaves_the_client_as_it_was(client: Client) -> None:
    for _ in range(3):
        with pytest.raises(LocalProtocolError):
            client.predict(api_name="/nowhere")
    assert "/add" in client.view_api()
