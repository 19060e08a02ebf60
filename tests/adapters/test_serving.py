"""An app is served in every world: in asyncio, in trio, in a thread, and by polling."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import sansio_gradio_adapters.asyncio as in_asyncio
import sansio_gradio_adapters.sockets as in_sockets
import sansio_gradio_adapters.trio as in_trio
from sansio_gradio.errors import AppError, ConnectFailed
from sansio_gradio.server.app import App
from sansio_gradio.server.events import JobSubmitted
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters._serving import watch_client
from sansio_gradio_adapters.server import ServerLoop, serve_in_thread
from sansio_gradio_adapters.sockets import Client

CERTIFICATES = Path(__file__).parents[1] / "data" / "tls"


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "localhost.pem")
    return context


def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem"))


class Seen:
    """What functions have done."""

    def __init__(self) -> None:
        self.yielded = 0
        self.ended = threading.Event()
        self.worlds: list[str] = []


def make_app(seen: Seen, sleep: Callable[[float], Any]) -> App:
    app = App(show_error=True, concurrency_limit=None)

    @app.endpoint
    def plain(x: int) -> int:
        return x + 1

    @app.endpoint
    async def awaited(x: int) -> int:
        await sleep(0)
        return x + 2

    @app.endpoint
    def steps(n: int) -> Iterator[int]:
        yield from range(n)

    @app.endpoint
    async def awaited_steps(n: int, run: Run) -> AsyncIterator[int]:
        for i in range(n):
            run.info(f"at {i}")
            await sleep(0)
            yield i

    @app.endpoint
    async def boom() -> str:
        await sleep(0)
        raise AppError("refused")

    @app.endpoint
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                await sleep(0.01)
                seen.yielded += 1
                yield seen.yielded
        finally:
            seen.ended.set()

    @app.endpoint
    async def flood() -> AsyncIterator[str]:
        for i in range(300):
            seen.yielded = i + 1
            yield f"{i}" + "x" * 50_000

    return app


# Each way to serve: a context manager that gives the address.


@contextmanager
def by_asyncio(make: Callable[[Any], App], **options: Any) -> Generator[str]:
    with _in_thread(
        lambda up, down: asyncio.run(_hold(make(asyncio.sleep), up, down, options))
    ) as url:
        yield url


async def _hold(
    app: App, up: Callable[[str], None], down: threading.Event, options: dict[str, Any]
) -> None:
    async with in_asyncio.serving(app, **options) as url:
        up(url)
        await asyncio.to_thread(down.wait)


@contextmanager
def by_trio(make: Callable[[Any], App], **options: Any) -> Generator[str]:
    async def hold(up: Callable[[str], None], down: threading.Event) -> None:
        async with in_trio.serving(make(trio.sleep), **options) as url:
            up(url)
            await trio.to_thread.run_sync(down.wait)

    with _in_thread(lambda up, down: trio.run(hold, up, down)) as url:
        yield url


@contextmanager
def by_a_thread(make: Callable[[Any], App], **options: Any) -> Generator[str]:
    with in_sockets.serving(make(asyncio.sleep), **options) as url:
        yield url


@contextmanager
def by_polling(make: Callable[[Any], App], **options: Any) -> Generator[str]:
    def poll(up: Callable[[str], None], down: threading.Event) -> None:
        with ServerLoop(make(asyncio.sleep), **options) as loop:
            up(loop.url)
            while not down.is_set():
                select.select([loop.fileno()], [], [], min(loop.patience() or 0, 0.05))
                loop.poll(0.001)

    with _in_thread(poll) as url:
        yield url


@contextmanager
def _in_thread(serve: Callable[[Callable[[str], None], threading.Event], object]) -> Generator[str]:
    urls: list[str] = []
    is_up, down = threading.Event(), threading.Event()

    def up(url: str) -> None:
        urls.append(url)
        is_up.set()

    thread = threading.Thread(target=serve, args=(up, down))
    thread.start()
    try:
        assert is_up.wait(PATIENCE)
        yield urls[0]
    finally:
        down.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


WAYS = [by_asyncio, by_trio, by_a_thread, by_polling]


@pytest.mark.parametrize("way", WAYS)
def test_functions_of_all_kinds_are_run(way: Any) -> None:
    seen = Seen()
    with way(lambda sleep: make_app(seen, sleep)) as url, Client(url) as client:
        assert client.predict(1, api_name="/plain") == 2
        assert client.predict(1, api_name="/awaited") == 3
        assert list(client.submit(3, api_name="/steps")) == [0, 1, 2]
        job = client.submit(3, api_name="/awaited_steps")
        assert list(job) == [0, 1, 2]
        with pytest.raises(AppError, match="refused"):
            client.predict(api_name="/boom")
        endless = client.submit(api_name="/endless")
        next(iter(endless))
        assert endless.cancel()
        assert seen.ended.wait(PATIENCE)


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_ends_cancels_what_runs(way: Any) -> None:
    seen = Seen()
    with way(lambda sleep: make_app(seen, sleep)) as url:
        client = Client(url)
        next(iter(client.submit(api_name="/endless")))
    client.close()
    assert seen.ended.wait(PATIENCE)


@pytest.mark.parametrize("way", WAYS)
def test_a_server_may_have_tls(way: Any) -> None:
    seen = Seen()
    with way(lambda sleep: make_app(seen, sleep), ssl_context=server_tls()) as url:
        assert url.startswith("https://")
        here = url.replace("127.0.0.1", "localhost")
        with Client(here, ssl_context=client_tls()) as client:
            assert client.config["root"] + "/" == here
            assert client.predict(1, api_name="/plain") == 2
            assert list(client.submit(3, api_name="/steps")) == [0, 1, 2]
        with pytest.raises(ConnectFailed, match="not trusted"):
            Client(here)
        # Who does not speak TLS is let go, and so is who leaves in the middle of it.
        port = int(url.rstrip("/").rpartition(":")[2])
        for said in (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass


def ask(url: str, method: str, path: str, said: str = "") -> socket.socket:
    """A connection on which this was asked."""
    host, _, port = url.rstrip("/").rpartition("//")[2].rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout=PATIENCE)
    head = f"{method} /gradio_api/{path} HTTP/1.1\r\nhost: {host}\r\n"
    sock.sendall(f"{head}content-length: {len(said)}\r\n\r\n{said}".encode())
    return sock


@pytest.mark.parametrize("way", [by_trio, by_polling])
def test_a_function_waits_for_a_slow_reader_who_gets_all(way: Any) -> None:
    seen = Seen()
    with way(lambda sleep: make_app(seen, sleep)) as url:
        said = '{"data": [], "fn_index": 6, "session_hash": "s"}'
        with ask(url, "POST", "queue/join", said) as joined:
            assert b"200" in joined.recv(4096)
        with ask(url, "GET", "queue/data?session_hash=s") as stream:
            data = stream.recv(4096)
            before = -1
            while seen.yielded != before or not before:  # until it stands still
                before = seen.yielded
                time.sleep(0.2)
            assert before < 200
            while b"process_completed" not in data[-100_000:]:
                data = data[-100_000:] + stream.recv(1 << 20)
    assert seen.yielded == 300


def test_a_poll_leaves_the_rest_to_the_next_one() -> None:
    app = make_app(Seen(), asyncio.sleep)
    with ServerLoop(app) as loop:
        socks = [ask(loop.url, "GET", "app_id") for _ in range(5)]
        select.select([loop.fileno()], [], [], PATIENCE)
        loop.poll(0.0)
        assert loop.patience() == 0.0
        polls = 1
        while loop.patience() == 0.0 or select.select([loop.fileno()], [], [], 0)[0]:
            loop.poll(0.0)
            polls += 1
        assert polls > 5
        for sock in socks:
            assert b"app_id" in sock.recv(4096)
            sock.close()


def test_a_timer_is_part_of_the_patience() -> None:
    now = 0.0
    with ServerLoop(App(), clock=lambda: now) as loop:
        assert loop.patience() is None
        sock = ask(loop.url, "GET", "app_id")
        while b"app_id" not in (sock.recv(4096) if is_readable(sock) else b""):
            loop.poll()
        assert loop.patience() == 5.0  # then an idle connection is closed
        now = 5.0
        loop.poll()
        assert sock.recv(4096) == b""
        sock.close()


def is_readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def test_a_client_that_takes_nothing_more_is_let_go() -> None:
    app = App(concurrency_limit=None)

    @app.endpoint
    def much() -> str:
        return "x" * 3_000_000

    now = 0.0
    limits = ServerLimits(stall=10.0)
    with ServerLoop(app, clock=lambda: now, limits=limits) as loop:
        sock = ask(loop.url, "POST", "run/much", '{"data": []}')
        for _ in range(50):
            loop.run_once(0.01)
        sock.shutdown(socket.SHUT_WR)  # it leaves, and reads no more
        for _ in range(30):
            now += 1.0
            loop.run_once(0.0)
        assert loop.patience() is None  # nothing is left of it
        with sock, pytest.raises(ConnectionResetError):  # nor in the system
            read_all(sock)


def read_all(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


@pytest.mark.parametrize("serving", [in_sockets.serving, serve_in_thread])
def test_a_client_beyond_the_limit_is_turned_away(
    serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(App(), limits=ServerLimits(connections=2)) as url:
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        socks = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(4)]
        for sock in socks[2:]:
            with sock:
                assert sock.recv(1) == b""
        for sock in socks[:2]:
            with sock:
                sock.sendall(b"GET /config HTTP/1.1\r\nHost: a\r\n\r\n")
                assert sock.recv(12) == b"HTTP/1.1 200"
    assert caplog.messages == []


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such timer")
def test_a_client_whose_machine_has_vanished_is_noticed_by_the_system() -> None:
    for stall, timeout in ((20.0, 60_000), (1e9, 2**31 - 1)):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            with client, server:
                watch_client(server, stall)
                assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == timeout


def test_the_owner_is_told_what_clients_do() -> None:
    told: list[object] = []
    app = make_app(Seen(), asyncio.sleep)
    with in_sockets.serving(app, on_event=told.append) as url, Client(url) as client:
        client.predict(1, api_name="/plain")
    assert [event.function.api_name for event in told if isinstance(event, JobSubmitted)] == [
        "plain"
    ]


def test_a_taken_port_is_told_and_leaves_nothing_open() -> None:
    with ServerLoop(App()) as loop, pytest.raises(OSError, match="in use"):
        ServerLoop(App(), port=loop.port)


def test_a_closed_loop_may_be_closed_again() -> None:
    loop = ServerLoop(App(), "::1")
    assert loop.url == f"http://[::1]:{loop.port}/"
    loop.close(grace=1.0)
    loop.close()


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt()])
def test_an_error_in_the_block_comes_out_as_it_is(error: BaseException) -> None:
    async def main(serving: Any) -> None:
        async with serving(App()):
            raise error

    with pytest.raises(type(error)):
        trio.run(main, in_trio.serving)
    with pytest.raises(type(error)):
        asyncio.run(main(in_asyncio.serving))
