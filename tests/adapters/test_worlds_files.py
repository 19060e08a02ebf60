"""Files as arguments, in every world: what is given arrives, and what goes wrong is told."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio import AppError, Limits, LocalProtocolError, OptionError, RemoteFile, handle_file
from sansio_gradio.events import UploadProgress
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import File
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters._driver import WRITE_SIZE
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.fault_peer import page
from tests.support.worlds import WORLDS

BIG = os.urandom(1_000_000)


def apps(version: str | None = None) -> App:
    app = App(version=version)

    @app.endpoint("/size")
    async def size(file: File) -> str:
        content = file.content
        return f"{file.name} {content.size} {content.read(0, content.size)[-3:].hex()}"

    @app.endpoint("/all")
    async def every(files: list[File]) -> str:
        return " ".join(f"{file.name}:{file.content.size}" for file in files)

    return app


@pytest.fixture(scope="module", name="url")
def served() -> Iterator[str]:
    with serve_in_thread(apps()) as url:
        yield url


def end_of(data: bytes) -> str:
    return f"{len(data)} {data[-3:].hex()}"


def stream(data: bytes) -> Any:
    """A file object that cannot seek."""
    ours, theirs = os.pipe()

    def write() -> None:
        with os.fdopen(theirs, "wb") as file:
            file.write(data)

    threading.Thread(target=write, name="a writer", daemon=True).start()
    return os.fdopen(ours, "rb")


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_given_is_what_arrives(world: str, url: str, tmp_path: Path) -> None:
    path = tmp_path / "big file.bin"
    path.write_bytes(BIG)

    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            job = client.submit(handle_file(path), api_name="/size")
            updates = [update async for update in job.updates()]
            progress = [update for update in updates if isinstance(update, UploadProgress)]
            assert updates[: len(progress)] == progress  # before anything else
            assert progress[-1].sent == progress[-1].total == len(BIG)
            assert [update.sent for update in progress] == sorted({p.sent for p in progress})
            assert len(progress) <= len(BIG) // WRITE_SIZE + 1
            assert await job == f"big file.bin {end_of(BIG)}"
            for source in (BIG, io.BytesIO(BIG), stream(BIG)):
                file = handle_file(source, name="b.bin")
                assert await client.predict(file, api_name="/size") == f"b.bin {end_of(BIG)}"
                if not isinstance(source, bytes):
                    assert not source.closed
                    source.close()
            empty = handle_file(b"", name="%20.txt")
            assert await client.predict(empty, api_name="/size") == "%20.txt 0 "
            many = [handle_file(bytes(size), name=f"{size}") for size in range(9)]
            assert await client.predict(many, api_name="/all") == " ".join(
                f"{size}:{size}" for size in range(9)
            )

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_what_cannot_be_opened_is_refused_before_anything_is_sent(
    world: str, url: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            for source in (tmp_path, tmp_path / "none"):
                with pytest.raises(LocalProtocolError):
                    client.submit([handle_file(source)], api_name="/all")
            with pytest.raises(OptionError):
                handle_file(3)
            for given in ("bare.txt", ["bare.txt"]):
                with pytest.raises(LocalProtocolError, match=r"use handle_file\(\.\.\.\)"):
                    await client.predict(given, api_name="/size")
            with pytest.raises(LocalProtocolError, match=r"use handle_file\(\.\.\.\)"):
                client.submit(Path("bare.txt"), api_name="/size")

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_a_file_that_changes_before_it_is_read_is_not_sent(
    world: str, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")

    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            call = handle_file(path)
            path.unlink()
            with pytest.raises(LocalProtocolError):
                client.submit(call, api_name="/size")
            # A change after submit is met in the middle: the object is read by the upload.
            source = io.BytesIO(b"before")
            job = client.submit(handle_file(source), api_name="/size")
            source.truncate(1)
            with contextlib.suppress(LocalProtocolError):  # if it was read before: then it arrives
                assert (await job).startswith("file 6 ")
            assert await client.predict(handle_file(b"abc"), api_name="/size") == "file 3 616263"

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_a_file_may_be_uploaded_first_and_be_an_argument_later(world: str, url: str) -> None:
    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            told: list[tuple[int, int | None]] = []
            file = await client.upload(
                handle_file(BIG, name="b.bin"), on_progress=lambda *sent: told.append(sent)
            )
            assert told[-1] == (len(BIG), len(BIG))
            assert isinstance(file, RemoteFile)
            assert (file.name, file.size) == ("b.bin", len(BIG))
            assert file.url.startswith(url)
            for _ in range(2):
                assert await client.predict(file, api_name="/size") == f"b.bin {end_of(BIG)}"
            small = await client.upload(b"abc")
            assert await client.predict([small, file], api_name="/all") == (
                f"file:3 b.bin:{len(BIG)}"
            )
            with pytest.raises(LocalProtocolError, match="cannot be read"):
                await client.upload("/no/such/file")
            with pytest.raises(OptionError):
                await client.upload(b"", on_progress=3)

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_a_file_that_changes_during_its_upload_ends_it(world: str, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(HUGE)
    go_on = threading.Event()

    def script(sock: socket.socket) -> None:
        assert go_on.wait(PATIENCE)
        while sock.recv(1 << 20):  # until the client leaves
            pass

    async def scenario(server: Early) -> None:
        async with WORLDS[world].client(server.url) as client:
            job = client.submit(handle_file(path), api_name="/size")
            await wait_for(WORLDS[world], server.is_uploading.is_set, PATIENCE)
            path.write_bytes(b"other")
            go_on.set()
            with pytest.raises(LocalProtocolError, match="has changed since it was given"):
                await job

    with Early(script) as server:
        WORLDS[world].run(functools.partial(scenario, server))


class Turns(io.RawIOBase):
    """A file object that cannot seek; its content is *data*, and *meanwhile* happens before."""

    def __init__(self, data: bytes, meanwhile: Callable[[], object]) -> None:
        self._data, self._meanwhile = [data, b""], meanwhile

    def read(self, _size: int = -1) -> bytes:
        self._meanwhile()
        return self._data.pop(0)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("fills", [True, False])
def test_an_empty_file_that_is_filled_later_is_refused_as_any_other_change(
    fills: bool, world: str, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"")

    async def scenario() -> None:
        async with WORLDS[world].client(url, limits=Limits(uploads=1)) as client:
            first = Turns(b"first", lambda: fills and path.write_bytes(b"later"))
            job = client.submit([handle_file(first, name="a"), handle_file(path)], api_name="/all")
            if fills:
                with pytest.raises(LocalProtocolError, match="has changed since it was given"):
                    await job
            else:
                assert await job == "a:5 log.txt:0"

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seekable", [True, False])
def test_a_file_object_that_raises_system_exit_ends_its_job_and_nothing_else(
    seekable: bool, world: str, url: str
) -> None:
    class Leaves(io.BytesIO):
        def seekable(self) -> bool:
            return seekable

        def read(self, _size: int | None = -1) -> bytes:
            raise SystemExit(3)

    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            job = client.submit(handle_file(Leaves(b"abc"), name="a"), api_name="/size")
            with pytest.raises(LocalProtocolError, match="SystemExit") as caught:
                await job
            assert isinstance(caught.value.__cause__, SystemExit)
            assert await client.predict(handle_file(b"x", name="b"), api_name="/size")

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_a_file_of_another_app_is_passed_on_as_it_comes(world: str, url: str) -> None:
    async def scenario(other_url: str) -> None:
        async with (
            WORLDS[world].client(other_url) as other,
            WORLDS[world].client(url, limits=Limits(answer=100_000)) as client,
        ):
            file = await other.upload(handle_file(BIG, name="b.bin"))
            back = await client.upload(handle_file(BIG[:500_000], name="half.bin"))
            sent = [
                partial(client.predict, file, api_name="/size"),
                partial(other.predict, back, api_name="/size"),
            ]  # at once: neither client waits for the other
            assert await WORLDS[world].together(*sent) == [
                f"b.bin {end_of(BIG)}",
                f"half.bin {end_of(BIG[:500_000])}",
            ]
            gone = type(file)({**file, "path": "/gone"}, file.base, files=file._files)
            with pytest.raises((AppError, ConnectionError)):
                await client.predict(gone, api_name="/size")

    with serve_in_thread(apps()) as other_url:
        WORLDS[world].run(functools.partial(scenario, other_url))


def test_a_blocking_client_refuses_a_file_of_a_client_with_await(url: str) -> None:
    async def scenario(other_url: str) -> None:
        async with WORLDS["asyncio"].client(other_url) as other:
            file = await other.upload(handle_file(b"abc"))
            with contextlib.closing(_get(url)) as client:
                call = partial(client.predict, file, api_name="/size")
                with pytest.raises(LocalProtocolError, match="belongs to a client of asyncio"):
                    await WORLDS["asyncio"].blocking(call)
        gc.collect()  # so that Python would warn of what nobody awaited

    with serve_in_thread(apps()) as other_url:
        WORLDS["asyncio"].run(functools.partial(scenario, other_url))


class Early:
    """A server of an app that does *script* as soon as the head of an upload has come."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self.asked: list[str] = []
        self.is_uploading = threading.Event()
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        with serve_in_thread(apps()) as url, contextlib.closing(_get(url)) as found:
            self._config = page(found.config)

    def __enter__(self) -> Early:
        threading.Thread(target=self._accept, name="early", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(PATIENCE)
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := sock.recv(1024)):
                    return
                data += more
            path = data.split(b" ")[1].decode()
            self.asked.append(path)
            if path.endswith("/upload"):
                self.is_uploading.set()
                self._script(sock)
            else:
                sock.sendall(self._config)
                self._serve(sock)


def _get(url: str) -> Any:
    from sansio_gradio_adapters.sockets import Client

    return Client(url)


TOO_LARGE = b"File size exceeded maximum allowed size of 1000 bytes."
HUGE = bytes(8_000_000)  # more than the buffers of a connection hold


def refuse_and_reset(sock: socket.socket) -> None:
    head = b"HTTP/1.1 413 Too Large\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
    sock.sendall(head % len(TOO_LARGE) + TOO_LARGE)
    # The client has read that, and is still writing: now it meets a reset.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("world", WORLDS)
def test_an_early_answer_is_told_and_not_the_broken_pipe(world: str) -> None:
    async def scenario(server: Early) -> None:
        async with WORLDS[world].client(server.url) as client:
            with pytest.raises(AppError, match="exceeded maximum allowed size of 1000"):
                await client.predict(handle_file(HUGE), api_name="/size")

    with Early(refuse_and_reset) as server:
        WORLDS[world].run(functools.partial(scenario, server))
    assert server.asked[-1].endswith("/upload")


def test_an_answer_that_a_failed_write_would_hide_is_read_in_asyncio() -> None:
    refuse = threading.Event()

    def script(sock: socket.socket) -> None:
        assert refuse.wait(PATIENCE)
        refuse_and_reset(sock)

    async def scenario(server: Early) -> None:
        async with WORLDS["asyncio"].client(server.url) as client:
            job = client.submit(handle_file(HUGE), api_name="/size")
            await wait_for(WORLDS["asyncio"], server.is_uploading.is_set, PATIENCE)
            for wire in client._world.wires.values():
                wire.transport.pause_reading()  # so that only the writer meets the reset
            refuse.set()
            with pytest.raises(AppError, match="exceeded maximum allowed size of 1000"):
                await job

    with Early(script) as server:
        WORLDS["asyncio"].run(functools.partial(scenario, server))
    assert sum("upload" in path for path in server.asked) == 1  # it was not sent again


@pytest.mark.parametrize("world", WORLDS)
def test_a_stream_that_gives_nothing_holds_nothing_up(world: str, url: str) -> None:
    ours, theirs = os.pipe()

    async def scenario() -> None:
        async with WORLDS[world].client(url) as client:
            with os.fdopen(ours, "rb", buffering=0) as silent:
                job = client.submit(handle_file(silent), api_name="/size")
                # The client works on beside it, and can be closed.
                assert await client.predict(handle_file(b"abc"), api_name="/size") == (
                    "file 3 616263"
                )
                job.cancel()
                second = client.submit(handle_file(silent), api_name="/size")
                await client.predict(handle_file(b"abc"), api_name="/size")
                await client.close()
                await wait_for(WORLDS[world], second.done, PATIENCE)
                os.close(theirs)  # so that the threads end, too

    WORLDS[world].run(scenario)


@pytest.mark.parametrize("world", WORLDS)
def test_a_job_that_is_cancelled_during_its_upload_is_never_joined(world: str) -> None:
    async def scenario(server: Early) -> None:
        async with WORLDS[world].client(server.url) as client:
            job = client.submit(handle_file(HUGE), api_name="/size")
            await wait_for(WORLDS[world], server.is_uploading.is_set, PATIENCE)
            job.cancel()
            await wait_for(WORLDS[world], job.done, PATIENCE)
            with contextlib.suppress(Exception):
                await job
            assert job.status().code.name == "CANCELLED"

    def stall(sock: socket.socket) -> None:
        sock.recv(1)
        while sock.recv(65536):  # until the client leaves
            pass

    with Early(stall) as server:
        WORLDS[world].run(functools.partial(scenario, server))
    assert [path for path in server.asked if "join" in path] == []
