"""Files of an app, in every world: read, opened, streamed, saved, and what can go wrong."""

from __future__ import annotations

import copy
import errno
import inspect
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from sansio_gradio import Limits, RemoteFile, Timeouts
from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    OptionError,
    RemoteProtocolError,
)
from sansio_gradio.events import DownloadReceived
from sansio_gradio.server.app import App
from sansio_gradio.server.components import STREAMED_AUDIO
from sansio_gradio.server.contents import File, InMemory
from sansio_gradio.testing.worlds import World, wait_for
from sansio_gradio_adapters import _saving
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._options import ClientOptions
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client
from tests.support.shelf import MARKS, Request, Shelf, file
from tests.support.worlds import CANCELLING, WORLDS, CancellingWorld

BIG = os.urandom(100_000) * 30
TOGETHER = ("sockets", "asyncio", "trio")
EACH = pytest.mark.parametrize("world", [WORLDS[name] for name in TOGETHER], ids=TOGETHER)
BOTH = pytest.mark.parametrize(
    "world", [WORLDS["sockets"], WORLDS["trio"]], ids=["sockets", "trio"]
)
CUT = pytest.mark.parametrize("world", CANCELLING.values(), ids=CANCELLING)


async def got(value: Any) -> Any:
    """What a verb gives, in a world with ``await`` and in one without."""
    return await value if inspect.isawaitable(value) else value


async def chunks_of(stream: Any) -> list[bytes]:
    if hasattr(stream, "__anext__") and not hasattr(stream, "__next__"):
        return [chunk async for chunk in stream]
    return list(stream)


def give(content: bytes) -> Callable[[Request], object]:
    return lambda request: request.give(content)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@EACH
def test_a_file_is_read_opened_streamed_and_saved(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            assert await got(found.read()) == BIG
            with await got(found.open()) as opened:
                assert opened.read(3) == BIG[:3]
                opened.seek(-3, os.SEEK_END)
                assert opened.read() == BIG[-3:]
            stream = found.stream()
            assert b"".join(await chunks_of(stream)) == BIG
            assert stream.size == len(BIG)
            told: list[tuple[int, int | None]] = []
            path = await got(found.save(tmp_path, on_progress=lambda *how: told.append(how)))
            assert path == tmp_path / "big.bin"
            assert path.read_bytes() == BIG
            assert told[-1] == (len(BIG), len(BIG))
            assert [saved for saved, _ in told] == sorted(saved for saved, _ in told)
            # A name of the server never replaces a file; the caller's own path does.
            second = await got(found.save(tmp_path))
            assert second != path
            assert (second.suffix, second.read_bytes()) == (".bin", BIG)
            path.write_bytes(b"old")
            assert await got(found.save(path)) == path
            assert path.read_bytes() == BIG
            assert len(listed(tmp_path)) == 2

    with Shelf({"big.bin": give(BIG)}) as shelf:
        world.run(scenario)


@BOTH
def test_a_file_outlives_its_client_as_a_value(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            twin = copy.deepcopy([found])[0]
            assert await got(twin.read()) == b"x"
            assert await got(copy.copy(found).read()) == b"x"
            thawed = pickle.loads(pickle.dumps(found))
            assert json.dumps(thawed) == json.dumps(file("a.txt"))
            with pytest.raises(LocalProtocolError, match="use client"):
                await got(thawed.read())
            for given in (thawed, dict(found), found):
                path = await got(client.download(given, tmp_path / "a"))
                assert path.read_bytes() == b"x"
            for nonsense in ({"path": "/etc/passwd"}, "a.txt", None):
                with pytest.raises(
                    OptionError, match=r"file is a RemoteFile, .*: this \w+ is neither"
                ):
                    await got(client.download(nonsense, tmp_path))
            thawed.base = "http://elsewhere.example/"
            with pytest.raises(LocalProtocolError, match="lies at another app"):
                await got(client.download(thawed, tmp_path / "b"))
            assert listed(tmp_path) == ["a"]
        with pytest.raises(LocalProtocolError, match="closed"):
            await got(found.read())

    with Shelf({"a.txt": give(b"x")}) as shelf:
        world.run(scenario)


# What goes wrong


@BOTH
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda r: r.give(b'{"detail":"File not found: a."}', 404), AppError),
        (lambda r: r.give(b"<html>", 404), RemoteProtocolError),
        (lambda r: r.give(b"", 302, {"location": "http://127.0.0.1:1/x"}), RemoteProtocolError),
        (lambda r: r.give(b"x", 200, {"content-encoding": "gzip"}), RemoteProtocolError),
        (lambda r: r.give(b"12345678901"), RemoteProtocolError),
        (
            lambda r: (r.head(200, {"content-length": 9}), r.wfile.write(b"1234"), r.hang_up()),
            ConnectionLost,
        ),
        (lambda r: (r.head(200, {"content-length": 9}), r.rfile.read()), DeadlineExceeded),
    ],
)
def test_what_fails_leaves_nothing_behind(
    world: World, answer: Callable[[Request], object], kind: type[Exception], tmp_path: Path
) -> None:
    async def scenario() -> None:
        limits, timeouts = Limits(download=10), Timeouts(download=0.2)
        async with world.client(shelf.url, limits=limits, timeouts=timeouts) as client:
            found = await client.predict(api_name="/give")
            for target in (tmp_path, tmp_path / "a"):
                with pytest.raises(kind):
                    await got(found.save(target))
            with pytest.raises(kind):
                await got(found.open())
            with pytest.raises(kind):
                await got(found.read())
        assert listed(tmp_path) == []

    with Shelf({"a": answer}) as shelf:
        world.run(scenario)


def test_a_place_that_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with Shelf({"a": give(b"x")}) as shelf, Client(shelf.url) as client:
        found = client.predict(api_name="/give")
        with pytest.raises(FileNotFoundError) as caught:
            found.save(tmp_path / "nowhere" / "a")
        assert caught.value.filename == str(tmp_path / "nowhere")
        assert shelf.asked == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Shelf({"a": give(b"x")}) as shelf, Client(shelf.url) as client:
        found = client.predict(api_name="/give")
        with pytest.raises(OSError, match="A device or a pipe"):
            found.save(tmp_path / "pipe")
        assert shelf.asked == []
    assert (tmp_path / "pipe").is_fifo()
    assert listed(tmp_path) == ["pipe"]


def test_a_later_thread_is_not_taken_for_that_of_a_closed_client() -> None:
    """The system gives the number of an ended thread to another one."""
    with Shelf({"a": give(b"x")}) as shelf:
        with Client(shelf.url) as client:
            found = client.predict(api_name="/give")
        errors: list[str] = []

        def read() -> None:
            with pytest.raises(LocalProtocolError) as caught:
                found.read()
            errors.append(caught.value.message)

        for _ in range(20):
            thread = threading.Thread(target=read)
            thread.start()
            thread.join()
    assert set(errors) == {"The client is closed."}


@EACH
def test_progress_that_raises_ends_the_download(world: World, tmp_path: Path) -> None:
    def full(_saved: int, _size: int | None) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            with pytest.raises(ZeroDivisionError):
                await got(found.save(tmp_path, on_progress=full))
            await wait_for(world, lambda: listed(tmp_path) == [])

    def endless(request: Request) -> None:
        request.head(200, {"content-length": 10**9})
        while True:
            request.wfile.write(bytes(1000))

    with Shelf({"a": endless}) as shelf:
        world.run(scenario)


@BOTH
def test_a_break_is_mended(world: World, tmp_path: Path) -> None:
    """The connection ends again and again; each time the rest is asked for."""

    def breaks(request: Request) -> None:
        start = int((request.headers["range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if request.command == "HEAD":
            request.give(BIG, 200, MARKS)
            return
        if start:
            where = f"bytes {start}-{len(BIG) - 1}/{len(BIG)}"
            request.head(206, {"content-range": where, "content-length": len(BIG) - start})
        else:
            request.head(200, {"content-length": len(BIG), **MARKS})
        request.wfile.write(BIG[start : start + 1_000_000])
        request.hang_up()

    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            path = await got(found.save(tmp_path))
            assert path.read_bytes() == BIG
            gets = [how for method, _, how in shelf.asked if method == "GET"]
            assert gets[0] is None
            assert len(gets) > 1
            with pytest.raises(ConnectionLost):
                await got(found.save(tmp_path, resume=False))
            assert listed(tmp_path) == ["a"]

    with Shelf({"a": breaks}) as shelf:
        world.run(scenario)


class Held:
    """A file of which the beginning comes, and the rest when the test says so."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, request: Request) -> None:
        request.head(200, {"content-length": len(BIG)})
        request.wfile.write(BIG[:1000])
        self.has_begun.set()
        self.may_go_on.wait(30)
        request.wfile.write(BIG[1000:])


@CUT
@pytest.mark.parametrize("verb", ["save", "read", "open"])
def test_a_cancelled_download_leaves_nothing_behind(
    world: CancellingWorld, verb: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            args = (tmp_path,) if verb == "save" else ()
            assert await world.within(0.05, lambda: getattr(found, verb)(*args))
            assert listed(tmp_path) == []
            held.may_go_on.set()
            assert await found.read() == BIG
        assert listed(tmp_path) == []

    held = Held()
    with Shelf({"a": held}) as shelf:
        world.run(scenario)


@BOTH
def test_closing_the_client_ends_its_downloads(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")

            async def save() -> None:
                with pytest.raises(LocalProtocolError, match="closed"):
                    await got(found.save(tmp_path))

            async def close() -> None:
                await world.blocking(lambda: held.has_begun.wait(30))
                await client.close()

            await world.together(save, close)
        assert listed(tmp_path) == []

    held = Held()
    with Shelf({"a": held}) as shelf:
        world.run(scenario)


@BOTH
def test_what_nobody_reads_waits_at_the_server(world: World) -> None:
    sent: list[int] = []

    def pour(request: Request) -> None:
        request.head(200, {"content-length": 200 * len(BIG)})
        for _ in range(200):
            request.wfile.write(BIG)
            sent.append(len(BIG))

    async def scenario() -> None:
        async with world.client(shelf.url) as client:
            found = await client.predict(api_name="/give")
            stream = found.stream()
            first = next(stream) if hasattr(stream, "__next__") else await anext(stream)
            assert BIG.startswith(first)
            before = -1
            while len(sent) != before:  # what the buffers of the system take
                before = len(sent)
                await world.sleep(0.05)
            assert before < 150
            assert client._core.downloads
            stream.close()
            await wait_for(world, lambda: not client._core.downloads)

    with Shelf({"a": pour}) as shelf:
        world.run(scenario)


# Results with files in them


@EACH
def test_the_files_of_a_result_are_downloaded(world: World, tmp_path: Path) -> None:
    """One that fails does not lose the others, and says why."""
    folder = tmp_path / "new" / "folder"

    async def scenario() -> None:
        async with world.client(shelf.url, download_files=folder) as client:
            job = client.submit(api_name="/give")
            texts, found, gone = await job.result()
            assert texts == [{"image": str(folder / "a.txt"), "caption": "cap"}, "text"]
            assert Path(texts[0]["image"]).read_bytes() == b"A"
            assert Path(found).read_bytes() == b"B"
            assert isinstance(gone.error, AppError)
            assert "File not found" in str(gone.error)
            assert pickle.loads(pickle.dumps(gone)).error.message == gone.error.message
            assert job.outputs() == [(texts, found, gone)]
            # Another call saves others.
            _, again, _ = await client.predict(api_name="/give")
            assert again != found
        assert len(listed(folder)) == 4

    shelf = Shelf({}, kind="gallery", outputs=3)
    shelf.files = {
        "file=/1": give(b"A"),
        "file=/2": give(b"B"),
        "file=/3": lambda request: request.give(b'{"detail":"File not found: /3."}', 404),
    }
    shelf.result = [
        [{"image": file("/1", orig_name="../../a.txt"), "caption": "cap"}, "text"],
        file("/2", orig_name="CON"),
        file("/3", orig_name="c"),
    ]
    with shelf:
        world.run(scenario)


def test_many_files_are_fetched_a_few_at_a_time(tmp_path: Path) -> None:
    """All have one name."""
    shelf = Shelf({})
    shelf.files = {f"file=/{n}": give(str(n).encode()) for n in range(80)}
    shelf.result = [[file(f"/{n}", orig_name="image.webp") for n in range(80)]]
    with shelf, Client(shelf.url, download_files=tmp_path, limits=Limits(downloads=3)) as client:
        before = threading.active_count()
        paths = client.predict(api_name="/give")
        assert [Path(path).read_text() for path in paths] == [str(n) for n in range(80)]
        assert shelf.busiest <= 3
        assert len(set(paths)) == len(listed(tmp_path)) == 80
        assert threading.active_count() <= before + 2 * 3 + 2


def test_all_files_of_a_result_have_one_limit(tmp_path: Path) -> None:
    shelf = Shelf({})
    shelf.files = {f"file=/{n}": give(b"12345678") for n in range(4)}
    shelf.result = [[file(f"/{n}") for n in range(4)]]
    limits = Limits(download=20, downloads=1)
    with shelf, Client(shelf.url, download_files=tmp_path, limits=limits) as client:
        found = client.predict(api_name="/give")
        kinds = [isinstance(path, str) for path in found]
        assert kinds == [True, True, False, False]
        assert "The files of this result exceed 20 bytes" in str(found[2].error)
        assert len(listed(tmp_path)) == 2


@BOTH
def test_a_job_is_cancelled_while_its_files_come(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url, download_files=tmp_path) as client:
            job = client.submit(api_name="/give")
            await world.blocking(lambda: held.has_begun.wait(30))
            assert not job.done()
            assert job.cancel()
            await wait_for(world, lambda: not (listed(tmp_path) or client._core.downloads))
        assert job.cancelled()

    held = Held()
    with Shelf({"a": held}) as shelf:
        world.run(scenario)


@BOTH
def test_the_deadline_of_a_job_holds_for_its_files_too(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url, download_files=tmp_path) as client:
            job = client.submit(api_name="/give", timeout=0.2)
            with pytest.raises(DeadlineExceeded, match="while the files") as caught:
                await job.result(30)
            assert (caught.value.phase, caught.value.job) == ("job", 1)
            assert [file["path"] for file in caught.value.outputs[0]] == ["quick", "held"]
            assert listed(tmp_path) == ["quick"]
            assert not client._core.downloads

    with Shelf({"quick": give(b"x"), "held": Held()}, outputs=2) as shelf:
        world.run(scenario)


@BOTH
def test_a_client_is_closed_while_the_files_of_a_job_come(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world.client(shelf.url, download_files=tmp_path) as client:
            job = client.submit(api_name="/give")
            await world.blocking(lambda: held.has_begun.wait(30))
        with pytest.raises(LocalProtocolError, match="closed"):
            await job.result(30)
        await wait_for(world, lambda: listed(tmp_path) == [])

    held = Held()
    with Shelf({"a": held}) as shelf:
        world.run(scenario)


@pytest.mark.parametrize("folder", [True, "", 5, b"x"])
def test_the_folder_for_downloads_is_a_path(folder: Any) -> None:
    with pytest.raises(OptionError, match="download_files is the path of a folder"):
        Client("http://127.0.0.1:1/", download_files=folder)


def test_the_folder_for_downloads_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="a file is there"):
        Client("http://127.0.0.1:1/", download_files=tmp_path / "file")


# Outputs that grow


@BOTH
@pytest.mark.parametrize("version", ["3.50.2", "4.44.1", "6.31.0"])
def test_an_output_that_grows_streams_while_it_is_made(world: World, version: str) -> None:
    app, may_go_on = App(version=version), threading.Event()

    @app.endpoint
    def play(name: str) -> Iterator[Annotated[File, STREAMED_AUDIO]]:
        yield File(name, InMemory(b"one"))
        may_go_on.wait(30)
        yield File(name, InMemory(b"two"))

    async def scenario() -> None:
        async with world.client(url) as client:
            job = client.submit("a.aac", api_name="/play")
            found = await anext(aiter(job))
            assert found.is_stream
            stream = found.stream()
            first = next(stream) if hasattr(stream, "__next__") else await anext(stream)
            assert (type(first), first) == (bytes, b"one")
            may_go_on.set()
            assert b"".join(await chunks_of(stream)) == b"two"
            assert await got((await job.result()).read()) == b"onetwo"

    with serve_in_thread(app) as url:
        world.run(scenario)


# Into its place


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_may_have_no_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.txt").write_bytes(b"mine")
    for _ in range(2):
        target = _saving.Target(tmp_path, "a.txt")
        target.write(b"new")
        path = target.finish()
        assert path.read_bytes() == b"new"
        assert path.name != "a.txt"
    assert (tmp_path / "a.txt").read_bytes() == b"mine"
    assert len(listed(tmp_path)) == 3


def test_a_move_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    with Shelf({"a": give(b"x")}) as shelf, Client(shelf.url) as client:
        found = client.predict(api_name="/give")
        with pytest.raises(OSError, match="full"):
            found.save(tmp_path)
    assert listed(tmp_path) == []


@pytest.mark.parametrize("name", ["日" * 66, "x" * 200, "日" * 80])
def test_a_long_name_is_no_mistake(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        target = _saving.Target(tmp_path, name)
        target.write(b"x")
        target.finish()
    assert len(listed(tmp_path)) == 2


def test_a_reader_that_is_quicker_than_the_pause_is_not_left_waiting() -> None:
    """It takes all that there is just when the download is about to be paused."""
    core = ClientCore(ClientOptions("http://127.0.0.1:1/"))
    core.post = lambda _: None
    steered: list[bool] = []
    record = core.open_download(RemoteFile({}, "http://127.0.0.1:1/"))
    record.id, core.downloads[7] = 7, record

    class Session:
        def pause(self, _: int, *, on: bool = True) -> bool:
            while on and not isinstance(next(record), Nothing):
                pass
            steered.append(on)
            return True

    core.session = Session()  # type: ignore[assignment]
    core.receive(DownloadReceived(session=1, download=7, data=bytes(2_000_000)))
    assert steered == [True, False]
    assert not record.is_paused


def test_one_that_was_abandoned_is_not_moved(tmp_path: Path) -> None:
    target = _saving.Target(tmp_path, "a")
    target.write(b"x")
    target.abandon()
    with pytest.raises(Exception, match="given up"):
        target.finish()
    target.discard()
    assert listed(tmp_path) == []
