"""``handle_file`` only marks: what it takes, and what it notes."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

import pytest

import sansio_gradio
import sansio_gradio_adapters
from sansio_gradio import GivenFile, LocalProtocolError, OptionError, handle_file
from sansio_gradio.protocol.given_file import is_url


class Named(io.BytesIO):
    name: Any = "/tmp/some where/voice.WAV"


class BadPath:
    def __fspath__(self) -> Any:
        raise RuntimeError("no")


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/tmp/a"


# source, name, type, size
GIVEN: dict[str, tuple[Any, str, str, int | None]] = {
    "a path": ("/no/such/a b.PNG", "a b.PNG", "image/png", None),
    "a path of Windows": ("C:\\folder\\a.txt", "a.txt", "text/plain", None),
    "a PathLike": (PurePosixPath("x/y.tar.gz"), "y.tar.gz", "application/octet-stream", None),
    "a folder's path": ("x/y/", "y", "application/octet-stream", None),
    "bytes": (b"abc", "file", "application/octet-stream", 3),
    "a bytearray": (bytearray(b"abcd"), "file", "application/octet-stream", 4),
    "a memoryview": (memoryview(b"abcde"), "file", "application/octet-stream", 5),
    "a file object": (io.BytesIO(b"abc"), "file", "application/octet-stream", None),
    "a file with a name": (Named(b"abc"), "voice.WAV", "audio/wav", None),
    "a URL": ("HTTPS://u.example/a/b%20c.mp4?x=/d.txt#e", "b c.mp4", "video/mp4", None),
    "a URL without a path": ("http://u.example", "file", "application/octet-stream", None),
}


@pytest.mark.parametrize("case", GIVEN)
def test_a_mark_notes_what_it_is_given(case: str) -> None:
    source, name, kind, size = GIVEN[case]
    mark = handle_file(source)
    assert (mark.name, mark.mime_type, mark.size) == (name, kind, size)
    assert mark.is_url is case.startswith("a URL")
    assert str(source) not in repr(mark)


def test_the_caller_may_name_it() -> None:
    mark = handle_file(b"x", name="sub/a.bin", mime_type="image/webp")
    assert (mark.name, mark.mime_type) == ("a.bin", "image/webp")
    assert handle_file(b"x", name="a.csv").mime_type == "text/csv"
    assert handle_file(b"x", mime_type="image/png").name == "file.png"  # apps look at the ending
    assert handle_file(b"x", mime_type="image/x-none").name == "file"


def test_later_changes_change_nothing() -> None:
    content = bytearray(b"abc")
    mark = handle_file(content)
    content[:] = b"xyz"
    assert mark.source == b"abc"


def test_marks_of_one_source_are_one_upload() -> None:
    content = b"abc"
    assert handle_file("a").key == handle_file("a").key
    assert handle_file("a").key != handle_file("a", name="b").key
    assert handle_file(content).key == handle_file(content).key
    assert handle_file(content).key != handle_file(bytearray(content)).key


@pytest.mark.parametrize(
    "source", [None, 7, ["a"], "", "a\0b", BadPath(), BytesPath(), io.StringIO("x"), object()]
)
def test_what_is_no_file_is_refused(source: Any) -> None:
    with pytest.raises(OptionError, match="source"):
        handle_file(source)


def test_a_text_file_object_is_refused_with_the_way_out() -> None:
    text = io.TextIOWrapper(io.BytesIO(b"abc"), "utf-8")
    with pytest.raises(OptionError, match="binary mode"):
        handle_file(text)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        handle_file("http://")
    with pytest.raises(OptionError):
        handle_file(b"", name=b"a")  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        handle_file(b"", mime_type=1)  # type: ignore[arg-type]


def test_only_http_is_an_address() -> None:
    assert [is_url(x) for x in ("http://a", "HTTPS://a", "ftp://a", "file:///a", 1)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_every_package_gives_it() -> None:
    assert sansio_gradio.GivenFile is GivenFile
    assert sansio_gradio_adapters.handle_file is handle_file
    from sansio_gradio_adapters import asyncio, sockets, trio

    assert {world.handle_file for world in (asyncio, sockets, trio)} == {handle_file}
