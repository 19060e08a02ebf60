"""The files in results: where they are found, what they are called, and where they lie."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio import RemoteFile
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.files import META
from sansio_gradio.protocol.remote_files import (
    MAX_DEPTH,
    decode_data_url,
    files_in,
    replaced_files,
    safe_name,
    with_files,
)

BASE = "http://app.example/gradio_api/"
PNG = "data:image/png;base64,iVBORw0K"


def file(**value: Any) -> RemoteFile:
    return RemoteFile(value, BASE)


def result(version: str, component: str, value: Any, **dependency: Any) -> Any:
    """The result of an endpoint with one output."""
    config: Any = {
        "version": version,
        "components": [{"id": 1, "type": component, "props": {"server_fns": ["ls"]}}],
        "dependencies": [{"id": 0, "inputs": [], "outputs": [1], **dependency}],
    }
    app = AppInfo.from_config(config)

    def make(value: dict[str, Any], route: str) -> RemoteFile:
        return RemoteFile(value, BASE, route)

    read = with_files(app.endpoints[0], app.version, make)
    return read([value])


def named(path: str = "/tmp/a.png") -> dict[str, Any]:
    return {"name": path, "data": None, "is_file": True}


def pathed(path: str = "/tmp/a.png") -> dict[str, Any]:
    known = {"url": None, "size": None, "orig_name": "a.png", "mime_type": None}
    return {"path": path, **known}


def marked(path: str = "/tmp/a.png", **more: Any) -> dict[str, Any]:
    return {**pathed(path), "is_stream": False, "meta": META, **more}


STREAM_3 = {"name": "s/1/2", "is_stream": True, "is_file": False}
SUBTITLES_3 = {"name": None, "data": "data:text/vtt;base64,V0VCVlRU", "is_file": False}
HLS = marked("s/1/2/playlist.m3u8", is_stream=True, orig_name="audio-stream.mp3")


# What each version sends for each component (real servers), and how many files are in it.
FOUND: list[tuple[str, str, Any, int]] = [
    ("3.16.2", "file", {**named(), "orig_name": "a.png", "size": 6}, 1),
    ("3.16.2", "file", [named(), named("/tmp/b")], 2),
    ("3.16.2", "image", PNG, 1),
    ("3.16.2", "gallery", [[named(), "cap"], named("/tmp/b.jpg")], 2),
    ("3.50.2", "audio", named(), 1),
    ("3.50.2", "audio", STREAM_3, 1),
    ("3.50.2", "video", [named("/tmp/a.mp4"), None], 1),
    ("3.50.2", "video", [named("/tmp/a.mp4"), SUBTITLES_3], 2),
    ("3.50.2", "annotatedimage", [named(), [[named("/tmp/mask.png"), "label"]]], 2),
    ("3.50.2", "chatbot", [["hi", {**named(), "mime_type": "image/png", "alt_text": None}]], 1),
    ("4.0.2", "image", pathed(), 1),
    ("4.16.0", "video", {"video": pathed(), "subtitles": pathed("/tmp/s.vtt")}, 2),
    ("4.16.0", "gallery", [{"image": pathed(), "caption": "cap"}], 1),
    ("4.16.0", "pdf", pathed(), 1),
    ("4.19.2", "chatbot", [["hi", {"file": pathed(), "alt_text": None}]], 1),
    ("4.44.1", "imageeditor", {"background": marked(), "layers": [marked()], "composite": None}, 2),
    ("4.44.1", "image", {"url": PNG}, 1),
    ("4.16.0", "image", {"path": None, "url": PNG}, 1),
    ("5.50.0", "audio", HLS, 1),
    ("6.31.0", "gallery", [{"video": marked("/tmp/a.mp4"), "caption": None}], 1),
    ("6.31.0", "multimodaltextbox", {"text": "hi", "files": [marked(), marked("/tmp/b")]}, 2),
    (
        "6.31.0",
        "chatbot",
        [{"role": "user", "content": [{"text": "hi"}, {"file": marked(), "alt_text": None}]}],
        1,
    ),
    ("6.31.0", "json", {"a": marked()}, 1),  # the server takes it for one, too
    ("", "file", marked(), 1),  # an unknown version is the newest
]


@pytest.mark.parametrize(("version", "component", "value", "count"), FOUND)
def test_files_are_found_where_each_version_puts_them(
    version: str, component: str, value: Any, count: int
) -> None:
    before = copy.deepcopy(value)
    read = result(version, component, value)
    assert len(files_in(read)) == count
    assert value == before
    # The same dicts, but for a data URL, which becomes one.
    assert json.dumps(read) == json.dumps(
        {"name": None, "data": PNG, "is_file": False} if value == PNG else value
    )


NOT_FOUND: list[tuple[str, str, Any]] = [
    ("3.50.2", "json", named()),
    ("3.50.2", "textbox", PNG),
    ("3.50.2", "chatbot", [[PNG, "data: of a person"]]),
    ("3.50.2", "image", "data: is missing"),
    ("3.50.2", "file", {"name": "x", "data": "x", "is_file": False}),
    ("3.50.2", "file", {"name": None, "data": None, "is_file": True}),
    ("3.50.2", "file", 5),
    ("4.16.0", "image", {"path": "/tmp/a"}),
    ("4.16.0", "image", {"path": None, "url": "http://elsewhere.example/"}),
    ("4.16.0", "image", 5),
    ("4.44.1", "textbox", PNG),
    ("6.31.0", "json", {"path": "/etc/passwd"}),
    ("6.31.0", "json", pathed()),
    ("6.31.0", "image", {**marked(), "meta": {"_type": "other"}}),
    ("6.31.0", "image", marked(path=5)),  # type: ignore[arg-type]
    ("6.31.0", "image", None),
    ("6.31.0", "textbox", marked()),
]


@pytest.mark.parametrize(("version", "component", "value"), NOT_FOUND)
def test_what_only_looks_like_a_file_stays_as_it_is(
    version: str, component: str, value: Any
) -> None:
    assert result(version, component, value) is value


def test_without_a_component_for_files_nothing_is_looked_for() -> None:
    """A stream of texts costs nothing extra."""
    config: Any = {
        "version": "6.31.0",
        "components": [{"id": 1, "type": "textbox"}, {"id": 2, "type": "dataframe"}],
        "dependencies": [{"inputs": [], "outputs": [1, 2]}],
    }
    endpoint = AppInfo.from_config(config).endpoints[0]
    assert with_files(endpoint, (6, 31), RemoteFile) == endpoint.result_of


def test_a_function_of_a_component_returns_no_files() -> None:
    config: Any = {
        "version": "6.31.0",
        "components": [{"id": 1, "type": "fileexplorer", "props": {"server_fns": ["ls"]}}],
        "dependencies": [],
    }
    app = AppInfo.from_config(config)
    endpoint = app.server_function(1, "ls")
    assert with_files(endpoint, app.version, RemoteFile) == endpoint.result_of


def test_what_holds_no_file_is_not_copied() -> None:
    texts = {"role": "user", "content": "hi"}
    value = [texts, {"role": "user", "content": marked()}]
    read = result("6.31.0", "chatbot", value)
    assert read is not value
    assert read[0] is texts


def test_a_value_of_any_depth_is_read() -> None:
    deep: Any = marked()
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert len(files_in(result("6.31.0", "json", deep))) == 1
    for _ in range(5000):
        deep = [deep]
    assert result("6.31.0", "json", deep) is deep
    assert files_in(deep) == []


def test_each_file_is_listed_once_in_its_order() -> None:
    one, two = file(path="1"), file(path="2")
    assert files_in(([one], {"a": two, "b": [one]})) == [one, two]


def test_the_files_of_a_result_are_replaced_wherever_they_are_found() -> None:
    deep: Any = marked("/deep")
    for _ in range(MAX_DEPTH):
        deep = [deep]
    value = (result("6.31.0", "json", deep), "text", {"a": [file(path="/a"), None]})
    changed = replaced_files(value, lambda found: found.path)
    assert files_in(changed) == []
    assert changed[1:] == ("text", {"a": ["/a", None]})
    assert len(files_in(value)) == 2
    for _ in range(5000):
        deep = [deep]
    assert replaced_files(deep, lambda _: None)[0] is not None


# Where it lies.


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/tmp/a b.png", "file=/tmp/a%20b.png"),
        ("/tmp/a%20b.png", "file=/tmp/a%2520b.png"),
        ("/tmp/a?x=1&y#z", "file=/tmp/a%3Fx%3D1%26y%23z"),
        ("C:\\tmp\\ä.txt", "file=C%3A%5Ctmp%5C%C3%A4.txt"),
        ("/tmp/a\r\nhost: x", "file=/tmp/a%0D%0Ahost%3A%20x"),
        ("../../admin", "file=..%2F..%2Fadmin"),
        ("/tmp/..\\x", "file=%2Ftmp%2F..%5Cx"),
        ("/./x", "file=%2F.%2Fx"),
        ("http://elsewhere.example/x", "file=http%3A//elsewhere.example/x"),
        ("\ud800", "file=%ED%A0%80"),
        ("", "file="),
    ],
)
def test_a_path_is_quoted_into_an_address_of_the_own_app(path: str, target: str) -> None:
    found = file(path=path, url="http://elsewhere.example/secret")
    assert found.target == target
    assert found.url == BASE + target
    assert found.path == path


def test_the_oldest_servers_have_another_address() -> None:
    assert result("3.1.7", "file", named()).url == f"{BASE}file//tmp/a.png"
    assert result("3.2", "file", named()).url == f"{BASE}file=/tmp/a.png"


def test_a_stream_has_an_address_of_its_own() -> None:
    assert RemoteFile(HLS, BASE).url == f"{BASE}stream/s/1/2/playlist.m3u8"
    assert RemoteFile(HLS, BASE).is_stream
    assert RemoteFile(STREAM_3, BASE).url == f"{BASE}stream/s/1/2"
    climbs = RemoteFile({**STREAM_3, "name": "../run"}, BASE)
    assert climbs.target == "stream/..%2Frun"


@pytest.mark.parametrize(
    ("value", "is_stream", "size", "mime_type"),
    [
        (marked(size=6, mime_type="text/plain"), False, 6, "text/plain"),
        (marked(size=-1, mime_type=7, is_stream="yes"), False, None, None),
        (marked(size=True), False, None, None),
        (STREAM_3, True, None, None),
        (SUBTITLES_3, False, None, "text/vtt"),
        ({"url": "data:,x"}, False, None, None),
    ],
)
def test_what_is_known_of_a_file(
    value: dict[str, Any], is_stream: bool, size: int | None, mime_type: str | None
) -> None:
    found = file(**value)
    assert (found.is_stream, found.size, found.mime_type) == (is_stream, size, mime_type)


def test_a_data_url_is_the_content_itself() -> None:
    found = file(name=None, data=PNG, is_file=False)
    assert (found.data_url, found.url, found.path) == (PNG, PNG, None)
    assert file(path="/a", url=PNG).data_url is None
    assert decode_data_url(PNG) == b"\x89PNG\r\n"
    assert decode_data_url("data:,a%20b") == b"a b"
    assert decode_data_url("data:text/plain;charset=utf-8;base64,aGk=") == b"hi"


@pytest.mark.parametrize("text", ["", "data:", "data:x", "data:;base64,?", "data:;base64,é", "x"])
def test_a_broken_data_url_is_an_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_data_url(text)


# Its name.


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (marked("/tmp/x/b.png", orig_name="a.png"), "a.png"),
        (marked("/tmp/x/b.png", orig_name=None), "b.png"),
        (marked("C:\\x\\b.png", orig_name=""), "b.png"),
        (named("/tmp/c.wav"), "c.wav"),
        (STREAM_3, "stream"),
        (HLS, "audio-stream.mp3"),
        (SUBTITLES_3, "text.vtt"),
        ({"url": PNG}, "image.png"),
        ({"url": "data:image/svg+xml,x"}, "image.svg"),
        ({"url": "data:audio/x-wav,x"}, "audio.wav"),
        ({"url": "data:,x"}, "file.bin"),
    ],
)
def test_the_name_of_a_file(value: dict[str, Any], name: str) -> None:
    assert file(**value).name == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("naïve 日本.txt", "naïve 日本.txt"),
        ("100% #1.txt", "100% #1.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/", "file"),
        ("..", "file"),
        (" . ", "file"),
        ("", "file"),
        ("a\r\nb\0.txt", "ab.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\ud800b", "ab"),
        ('a<b>:"c|d?*.txt', "a_b___c_d__.txt"),
        (".bashrc", "_.bashrc"),
        ("a. ", "a"),
        (" a", "a"),
        ("con", "_con"),
        ("CON.txt", "_CON.txt"),
        ("nul .tar.gz", "_nul .tar.gz"),
        ("com¹", "_com¹"),
        ("lpt9.x", "_lpt9.x"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
    ],
)
def test_a_name_fits_for_every_file_system(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a" * 300 + ".txt", "a" * 196 + ".txt"),
        ("日" * 120 + ".txt", "日" * 65 + ".txt"),
        ("a" * 300, "a" * 200),
        ("a." + "b" * 300, "a." + "b" * 198),
    ],
)
def test_a_long_name_is_cut_at_a_whole_character(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=300) | st.from_regex(r"[./\\ a-zA-Z0-9:~]*(con|nul)?[.]*", fullmatch=True))
def test_no_name_is_a_path(name: str) -> None:
    safe = safe_name(name)
    assert safe == safe_name(safe)
    assert 0 < len(safe.encode()) <= 200
    assert not set(safe) & set('/\\<>:"|?*\r\n\0')
    assert not safe.startswith((".", " "))
    assert not safe.endswith((".", " "))


# It is a value.


def test_a_file_is_the_servers_dict() -> None:
    found = file(**marked())
    assert found == marked()
    assert json.loads(json.dumps([found])) == [marked()]
    assert repr(found) == f"<RemoteFile 'a.png': {BASE}file=/tmp/a.png>"
    assert len(repr(file(url=PNG * 100))) < 100


def test_a_result_can_be_pickled() -> None:
    before = ([file(**marked())], "text")
    after = pickle.loads(pickle.dumps(before))
    assert after == before
    assert type(after[0][0]) is RemoteFile
    assert after[0][0].url == f"{BASE}file=/tmp/a.png"
