"""Reading what a caller gives: checked when it is given, and read as it was then."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio import FileSlice, GivenFile, LocalProtocolError, RemoteFile, handle_file
from sansio_gradio.client.commands import ReadFile
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters import _files
from sansio_gradio_adapters._files import (
    is_stream,
    read,
    read_all,
)


def noted(file: GivenFile) -> GivenFile:
    return _files.noted(file, "http://app.example/")


def part(file: GivenFile, offset: int, length: int) -> bytes:
    return read(FileSlice(file, offset, length))


@pytest.fixture(name="path")
def made(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    return path


def test_a_path_is_read_in_parts(path: Path) -> None:
    file = noted(handle_file(path))
    assert file.size == 10
    assert (part(file, 0, 4), part(file, 4, 6)) == (b"0123", b"456789")
    assert part(file, 10, 0) == b""


def test_no_file_stays_open(path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc here")
    before = len(list(descriptors.iterdir()))
    file = noted(handle_file(path))
    part(file, 0, 4)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "gone", "touched"])
def test_a_file_that_is_not_what_it_was_is_not_sent(path: Path, change: str) -> None:
    file = noted(handle_file(path))
    if change == "longer":
        path.write_bytes(b"0123456789x")
    elif change == "shorter":
        path.write_bytes(b"0")
    elif change == "other":
        twin = path.with_name("b.bin")
        twin.write_bytes(b"0123456789")
        twin.replace(path)
    elif change == "touched":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    with pytest.raises((LocalProtocolError, FileNotFoundError)):
        part(file, 0, 10)


def test_a_path_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match=r"no_such.*cannot be read: No such file"):
        noted(handle_file(tmp_path / "no_such"))
    with pytest.raises(LocalProtocolError, match="a folder"):
        noted(handle_file(tmp_path))
    with pytest.raises(LocalProtocolError, match="a device or a pipe"):
        noted(handle_file(os.devnull))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
        with pytest.raises(LocalProtocolError, match="a device or a pipe"):
            noted(handle_file(tmp_path / "pipe"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux has such files")
def test_a_file_of_which_the_system_does_not_know_the_size_is_no_empty_file() -> None:
    file = noted(handle_file("/proc/self/status"))
    assert (file.size, is_stream(file)) == (None, False)
    assert part(file, 0, 5) == b"Name:"


def test_bytes_and_urls_need_no_look() -> None:
    content, url = handle_file(b"abc"), handle_file("http://x.example/a")
    assert noted(content) is content
    assert noted(url) is url
    assert part(content, 1, 2) == b"bc"


def test_a_file_object_is_read_from_where_it_stands_and_not_closed() -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(3)
    file = noted(handle_file(source))
    assert file.size == 7
    assert source.tell() == 3
    assert (part(file, 0, 4), part(file, 4, 3), part(file, 0, 2)) == (b"3456", b"789", b"34")
    assert not source.closed
    source.truncate(5)
    with pytest.raises(LocalProtocolError, match="shorter since it was given"):
        part(file, 0, 7)
    source.close()
    with pytest.raises(ValueError, match="closed"):
        part(file, 0, 1)
    with pytest.raises(LocalProtocolError, match="cannot be read"):
        noted(handle_file(source))


def test_several_jobs_may_have_one_file_object() -> None:
    source = io.BytesIO(b"0123456789")
    source.seek(3)
    one = noted(handle_file(source))
    assert part(one, 0, 4) == b"3456"
    other = noted(handle_file(source, name="other"))  # while the first one is read
    assert (other.size, source.tell()) == (7, 3)
    assert (part(other, 0, 2), part(one, 4, 3), part(other, 2, 5)) == (b"34", b"789", b"56789")


class Watched(io.BytesIO):
    """A file object that another thread gives, too, whenever it is read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.sizes: list[int | None] = []
        self.others: list[threading.Thread] = []

    def read(self, size: int | None = -1) -> bytes:
        other = threading.Thread(target=self._give)
        self.others.append(other)
        other.start()
        other.join(0.02)  # it moves the file object now, or waits
        return super().read(size)

    def _give(self) -> None:
        self.sizes.append(noted(handle_file(self)).size)


def test_one_thread_at_a_time_moves_a_file_object() -> None:
    source = Watched(b"0123456789")
    file = noted(handle_file(source))
    assert [part(file, at, 2) for at in (2, 8)] == [b"23", b"89"]
    for other in source.others:
        other.join(PATIENCE)
    assert source.sizes == [10, 10]


class Few(io.RawIOBase):
    """A stream that gives little at a time, and cannot seek."""

    def __init__(self, *parts: Any) -> None:
        self.parts = list(parts)

    def read(self, size: int = -1) -> Any:
        return self.parts.pop(0) if self.parts else b""


def test_a_stream_gives_what_it_has() -> None:
    file = noted(handle_file(Few(b"ab", bytearray(b"c"), b"")))
    assert file.size is None
    assert [part(file, 0, 100) for _ in range(4)] == [b"ab", b"c", b"", b""]


@pytest.mark.parametrize("nothing", ["text", None, 3])
def test_a_stream_that_gives_no_bytes_is_refused(nothing: Any) -> None:
    file = noted(handle_file(Few(nothing)))
    with pytest.raises(
        LocalProtocolError, match=r"gives an? \w+, not bytes: open it in binary mode"
    ):
        part(file, 0, 100)


class Half(io.BytesIO):
    """A file object that reads at most two bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(2, size if size is not None and size >= 0 else 2))


def test_a_whole_file_is_read_up_to_its_limit(path: Path) -> None:
    def whole(file: GivenFile, limit: int) -> bytes:
        return read_all(ReadFile(1, file, limit))

    assert whole(noted(handle_file(path)), 10) == b"0123456789"
    assert whole(noted(handle_file(path)), 4) == b"01234"  # one more than the limit tells it
    assert whole(noted(handle_file(Half(b"0123456789"))), 10) == b"0123456789"
    assert whole(noted(handle_file(Few(b"01", b"234", b"5"))), 5) == b"012345"
    assert whole(noted(handle_file(Few(b"01", b"234"))), 5) == b"01234"
    assert whole(handle_file(b"abc"), 10) == b"abc"
    assert whole(handle_file(str(path)), 100) == b"0123456789"  # not looked at before


class Streamed(RemoteFile):
    """A file that has a client."""

    _files = object()

    def stream(self) -> Any:
        return iter([b"ab", b"c"])


def test_a_file_of_another_app_is_read_from_its_client() -> None:
    here, there = "http://app.example/", "http://other.example/"
    value = {"path": "/x.png"}
    for own in (RemoteFile(value, here), RemoteFile(value, there), Streamed(value, here)):
        file = GivenFile(source=own, name="x.png", mime_type="image/png")
        assert noted(file) is file
    foreign = GivenFile(source=Streamed(value, there), name="x.png", mime_type="image/png")
    passed = noted(foreign)
    assert (passed.name, passed.size) == ("x.png", None)
    assert is_stream(passed)
    assert [part(passed, 0, 100) for _ in range(3)] == [b"ab", b"c", b""]


def test_only_a_stream_may_wait_for_somebody() -> None:
    assert is_stream(noted(handle_file(Few(b"a"))))
    assert not is_stream(noted(handle_file(io.BytesIO(b"a"))))
    assert not is_stream(handle_file(b"a"))
    assert not is_stream(handle_file("/a"))
