"""Contents on disk: written, read and deleted; and a server that keeps its files there."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import sansio_gradio_adapters.asyncio as in_asyncio
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import Draft, File, Memory
from sansio_gradio.server.events import ServerEvent, StorageRaised
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters.gateways import from_app, to_app
from sansio_gradio_adapters.server import ServerLoop, serve_in_thread
from sansio_gradio_adapters.sockets import Client, handle_file
from sansio_gradio_adapters.storage import OnDisk, opened
from tests.support.worlds import WORLDS


def kept(storage: OnDisk, *pieces: bytes) -> Any:
    draft = storage.begin()
    for piece in pieces:
        draft.write(piece)
    return draft.keep()


def files_in(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_a_content_is_what_was_written_and_may_be_read_from_anywhere(tmp_path: Path) -> None:
    content = kept(OnDisk(tmp_path), b"abc", b"", b"defgh")
    assert content.size == 8
    assert [content.read(a, b) for a, b in ((0, 8), (2, 5), (6, 100), (8, 9), (3, 3))] == [
        b"abcdefgh",
        b"cde",
        b"gh",
        b"",
        b"",
    ]
    assert kept(OnDisk(tmp_path)).read(0, 1) == b""


def test_what_nobody_needs_is_deleted(tmp_path: Path) -> None:
    storage = OnDisk(tmp_path)
    first, second = kept(storage, b"1"), kept(storage, b"2")
    dropped = storage.begin()
    dropped.write(b"3")
    assert files_in(tmp_path) == 3
    dropped.drop()
    del first
    gc.collect()
    assert files_in(tmp_path) == 1
    del storage
    gc.collect()
    assert second.read(0, 1) == b"2"  # the folder lives as long as a content
    del second, dropped
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_folders_are_only_for_their_owner(tmp_path: Path) -> None:
    kept_here = kept(OnDisk(tmp_path), b"secret")
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert kept_here.size == 6


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_a_file_that_a_function_has_got_can_be_opened(tmp_path: Path, is_on_disk: bool) -> None:
    storage = OnDisk(tmp_path) if is_on_disk else Memory()
    draft = storage.begin()
    draft.write(b"0123456789" * 100_000)
    with opened(File("a.txt", draft.keep())) as file:
        assert file.read(4) == b"0123"
        assert file.seek(-3, io.SEEK_END) == 999_997
        assert file.read() == b"789"
        assert file.read() == b""
        assert file.seek(5) == 5
        assert file.seek(2, io.SEEK_CUR) == 7
        assert len(file.read()) == 999_993
        assert not file.writable()


def app_of_files() -> App:
    app = App()

    @app.endpoint
    def loud(file: File) -> File:
        return File(file.name, file.read().upper())

    return app


def test_a_server_keeps_uploads_on_disk_up_to_its_limit(tmp_path: Path) -> None:
    limits = ServerLimits(files=25_000)
    with (
        serve_in_thread(app_of_files(), storage=OnDisk(tmp_path), limits=limits) as url,
        Client(url) as client,
    ):
        for letter in (b"a", b"b", b"c", b"d"):
            result = client.predict(handle_file(letter * 10_000, name="x.txt"))
            assert result.read() == letter.upper() * 10_000
        gc.collect()
        assert 1 <= files_in(tmp_path) <= 2
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_polled_server_does_so_too(tmp_path: Path) -> None:
    with ServerLoop(app_of_files(), storage=OnDisk(tmp_path)) as loop:
        found: list[int] = []

        def ask() -> None:
            with Client(loop.url) as client:
                client.upload(b"hello")
            found.append(files_in(tmp_path))
            loop.wake()

        thread = threading.Thread(target=ask)
        thread.start()
        while not found:
            loop.run_once()
        thread.join()
    assert found == [1]


class Full:
    """A disk that takes nothing more."""

    def begin(self) -> Draft:
        raise OSError(28, "No space left on device")


class Bad(Memory):
    """A disk that cannot be read any more."""

    size = 5

    def begin(self) -> Any:
        return self

    def write(self, data: bytes) -> None:
        """Takes everything."""

    def keep(self) -> Bad:
        return self

    def drop(self) -> None:
        """Nothing is there."""

    def read(self, start: int, stop: int) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_storage_that_fails_is_told_to_the_owner(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[ServerEvent] = []
    with (
        serve_in_thread(app_of_files(), storage=Full(), on_event=seen.append) as url,
        Client(url) as client,
    ):
        with pytest.raises(RemoteProtocolError, match="500"):
            client.upload(b"hello")
        assert client.view_api()  # the server works on
    assert any(isinstance(event, StorageRaised) for event in seen)
    assert "the server's storage raised" in caplog.text


def test_a_file_that_cannot_be_read_is_cut_off() -> None:
    app = App()
    with serve_in_thread(app, storage=Bad()) as url, Client(url) as client:
        file = client.upload(b"hello")
        with pytest.raises(ConnectionError):
            file.read()
        assert client.upload(b"hello").path


def test_values_pass_a_gateway_with_the_files_in_them(tmp_path: Path) -> None:
    app = App()

    @app.endpoint
    def swap(a: File, b: list[File]) -> tuple[File, File]:
        return b[0], a

    storage = OnDisk(tmp_path)

    async def passed() -> None:
        with contextlib.ExitStack() as server:
            url = server.enter_context(serve_in_thread(app))
            async with in_asyncio.Client(url) as client:
                given = (File("a.txt", kept(storage, b"A")), [File("b.txt", b"B"), 3, None])
                marked = to_app({"values": given})["values"]
                assert [type(marked), type(marked[1]), marked[1][1:]] == [tuple, list, [3, None]]
                first, second = await client.predict(marked[0], [marked[1][0]])
                back = await from_app({"x": [first, (second, "text")]}, storage)
                one, (other, text) = back["x"]
                assert [one.read(), other.read(), text] == [b"B", b"A", "text"]
                assert [one.name, other.name] == ["b.txt", "a.txt"]
                server.close()
                with pytest.raises(ConnectionError):
                    await from_app(first, storage)
        assert files_in(tmp_path) == 3

    WORLDS["asyncio"].run(passed)
