"""How files are written: the table, from both sides of each boundary.

The payloads are those that real servers took (3.16.2, 3.50.2, 4.44.1, 6.31.0).
"""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.files import (
    FILES,
    META,
    FileRules,
    Shape,
    Streams,
    argument,
    marks_in,
    placed,
    rules_of,
    takes_files,
)
from sansio_gradio.protocol.given_file import handle_file

PNG = handle_file("a.png")
MP4 = handle_file("b.mp4")
SRT = handle_file("c.srt")
STORED: dict[object, str] = {
    (PNG.key, False): "/tmp/1/a.png",
    (MP4.key, False): "/tmp/2/b.mp4",
    (SRT.key, False): "/tmp/3/c.srt",
}


def rules(version: str) -> FileRules:
    return rules_of(version_numbers(version))


def component(kind: str, **props: Any) -> Component:
    return Component(id=1, type=kind, props=props, skip_api=False)


def sent(value: Any, kind: str, version: str, **props: Any) -> Any:
    return argument(value, component(kind, **props), rules(version), STORED)


def path(of: str) -> dict[str, Any]:
    return {"path": f"/tmp/{'_abc'.index(of[0])}/{of}", "orig_name": of, "meta": META}


def name(of: str) -> dict[str, Any]:
    return {"name": path(of)["path"], "data": None, "is_file": True, "orig_name": of}


# What changes with a version: the last without it, and the first with it.
def test_each_boundary_from_both_sides() -> None:
    assert [rules(v).route for v in ("3.1.7", "3.2")] == ["file/", "file="]
    assert [rules(v).uploads for v in ("3.18", "3.19.0")] == [False, True]
    assert [rules(v).shape for v in ("3.18", "3.19", "3.50.2", "4.0")] == [
        Shape.NAME_DATA,
        Shape.NAME,
        Shape.NAME,
        Shape.PATH,
    ]
    assert [rules(v).image for v in ("3.50.2", "4.0.2")] == [Shape.DATA_URL, Shape.PATH]
    assert [rules(v).urls for v in ("3.50.2", "4.0.0")] == [False, True]
    assert [rules(v).has_stream_flag for v in ("4.17", "4.18")] == [False, True]
    assert [rules(v).has_meta for v in ("4.20.1", "4.21.0")] == [False, True]
    assert [rules(v).streams for v in ("3.32", "3.33", "4.44.1", "5.0")] == [
        Streams.NONE,
        Streams.RAW,
        Streams.RAW,
        Streams.HLS,
    ]
    assert [rules(v).image_urls for v in ("4.44.1", "5.0.2")] == [False, True]


def test_an_unknown_version_is_the_newest() -> None:
    assert rules_of(()) is FILES[-1][1]
    assert rules("6.31.0") is rules("99") is FILES[-1][1]
    assert [first for first, _ in FILES] == sorted(first for first, _ in FILES)


def test_only_content_needs_no_upload() -> None:
    assert {shape for shape in Shape if shape.has_content} == {Shape.DATA_URL, Shape.NAME_DATA}


# value, component, its payload, by version
ARGUMENTS: list[tuple[Any, str, dict[str, Any]]] = [
    (PNG, "file", {"3.50.2": name("a.png"), "4.44.1": path("a.png"), "6.31.0": path("a.png")}),
    (PNG, "image", {"4.0.2": path("a.png"), "6.31.0": path("a.png")}),
    (MP4, "video", {
        "3.50.2": name("b.mp4"),
        "4.44.1": {"video": path("b.mp4"), "subtitles": None},
        "6.31.0": path("b.mp4"),
    }),
    ([MP4, SRT], "video", {
        "3.50.2": [name("b.mp4"), name("c.srt")],
        "5.50.0": {"video": path("b.mp4"), "subtitles": path("c.srt")},
    }),
    ({"video": MP4, "subtitles": None}, "video", {
        "4.44.1": {"video": path("b.mp4"), "subtitles": None},
    }),
    ([PNG, [PNG, "cap"], MP4], "gallery", {
        "3.50.2": [name("a.png"), [name("a.png"), "cap"], name("b.mp4")],
        "4.44.1": [
            {"image": path("a.png"), "caption": None},
            {"image": path("a.png"), "caption": "cap"},
            {"image": path("b.mp4"), "caption": None},
        ],
        "6.31.0": [
            {"image": path("a.png"), "caption": None},
            {"image": path("a.png"), "caption": "cap"},
            {"video": path("b.mp4"), "caption": None},
        ],
    }),
    (PNG, "gallery", {"6.31.0": [{"image": path("a.png"), "caption": None}]}),
    ([{"image": PNG, "caption": "x"}], "gallery", {
        "6.31.0": [{"image": path("a.png"), "caption": "x"}],
    }),
    (None, "gallery", {"6.31.0": None}),
    (PNG, "imageeditor", {
        "6.31.0": {"background": path("a.png"), "layers": [], "composite": path("a.png")},
    }),
    ({"background": PNG, "layers": [PNG], "composite": None}, "imageeditor", {
        "4.44.1": {"background": path("a.png"), "layers": [path("a.png")], "composite": None},
    }),
    (PNG, "multimodaltextbox", {"6.31.0": {"text": "", "files": [path("a.png")]}}),
    ({"text": "hi", "files": [PNG, MP4]}, "multimodaltextbox", {
        "4.44.1": {"text": "hi", "files": [path("a.png"), path("b.mp4")]},
    }),
    ([["look", None], [PNG, "nice"]], "chatbot", {
        "3.50.2": [
            ["look", None],
            [{**name("a.png"), "mime_type": "image/png", "alt_text": None}, "nice"],
        ],
        "4.44.1": [["look", None], [{"file": path("a.png"), "alt_text": None}, "nice"]],
    }),
    ([{"role": "user", "content": PNG}], "chatbot", {
        "5.50.0": [{"role": "user", "content": {"file": path("a.png"), "alt_text": None}}],
        "6.31.0": [
            {
                "role": "user",
                "content": [{"type": "file", "file": path("a.png"), "alt_text": None}],
            }
        ],
    }),
    ([{"role": "user", "content": [{"type": "file", "file": PNG, "alt_text": "a"}]}], "chatbot", {
        "6.31.0": [
            {"role": "user", "content": [{"type": "file", "file": path("a.png"), "alt_text": "a"}]}
        ],
    }),
    ([PNG, PNG], "imageslider", {"6.31.0": [path("a.png"), path("a.png")]}),
    ({"deep": [{"er": PNG}]}, "json", {"6.31.0": {"deep": [{"er": path("a.png")}]}}),
    ("no file", "textbox", {"3.16.2": "no file", "6.31.0": "no file"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind", "version", "payload"),
    [
        (value, kind, version, payload)
        for value, kind, payloads in ARGUMENTS
        for version, payload in payloads.items()
    ],
)
def test_a_mark_becomes_the_payload_of_its_component(
    value: Any, kind: str, version: str, payload: Any
) -> None:
    assert sent(value, kind, version) == payload


def test_one_file_is_a_list_where_the_component_takes_several() -> None:
    for kind in ("file", "uploadbutton"):
        assert sent(PNG, kind, "6.31.0", file_count="multiple") == [path("a.png")]
        assert sent(PNG, kind, "6.31.0", file_count="directory") == [path("a.png")]
        assert sent([PNG], kind, "6.31.0", file_count="multiple") == [path("a.png")]
        assert sent(PNG, kind, "6.31.0", file_count="single") == path("a.png")


def test_before_there_was_an_upload_the_content_is_written() -> None:
    url: dict[object, str] = {(PNG.key, True): "data:image/png;base64,AA=="}
    image, file = component("image"), component("file")
    assert argument(PNG, image, rules("3.50.2"), url) == url[PNG.key, True]
    assert argument({"image": PNG, "mask": PNG}, image, rules("3.50.2"), url) == {
        "image": url[PNG.key, True],
        "mask": url[PNG.key, True],
    }
    payload = {"name": "a.png", "data": url[PNG.key, True], "is_file": False}
    assert argument([PNG], file, rules("3.16.2"), url) == [payload]


def test_marks_are_found_in_order_and_the_value_is_left_alone() -> None:
    value = {"a": [PNG, {"b": MP4}], "c": SRT, "d": 1}
    assert marks_in(value) == [PNG, MP4, SRT]
    assert sent(value, "json", "6.31.0") != value
    assert value == {"a": [PNG, {"b": MP4}], "c": SRT, "d": 1}
    assert placed(7, component("video"), rules("4.44.1")) == 7


def test_components_of_files_are_known() -> None:
    assert takes_files(component("image"))
    assert not takes_files(component("textbox"))
    assert not takes_files(component("chatbot"))  # which takes texts, too


# Results

RESULTS = {
    "3.16.2": {"name": "/t/a.txt", "data": None, "is_file": True, "orig_name": "a.txt", "size": 3},
    "4.0.2": {
        "path": "/t/a.txt", "url": "u", "size": 3, "orig_name": "a.txt", "mime_type": None,
    },
    "4.18.0": {
        "path": "/t/a.txt", "url": "u", "size": 3, "orig_name": "a.txt", "mime_type": None,
        "is_stream": False,
    },
    "6.31.0": {
        "path": "/t/a.txt", "url": "u", "size": 3, "orig_name": "a.txt", "mime_type": None,
        "is_stream": False, "meta": META,
    },
}  # fmt: skip


@pytest.mark.parametrize("version", RESULTS)
def test_a_result_is_written_as_that_version_writes_it_and_known_again(version: str) -> None:
    found = rules(version).result("/t/a.txt", url="u", orig_name="a.txt", size=3)
    assert found == RESULTS[version]
    assert rules(version).is_file(found)


def test_a_stream_is_written_as_one() -> None:
    assert rules("3.50.2").result("s/1/2", is_stream=True) == {
        "name": "s/1/2",
        "is_stream": True,
        "is_file": False,
    }
    assert rules("5.0").result("s/1/2/playlist.m3u8", is_stream=True)["is_stream"] is True


@pytest.mark.parametrize(
    ("version", "value"),
    [
        ("3.50.2", {"name": "x"}),
        ("3.50.2", {"name": "x", "data": None, "is_file": 1}),
        ("4.0.2", {"path": "x"}),
        ("4.0.2", {"path": None, "orig_name": "x"}),
        ("6.31.0", {"path": "x", "orig_name": "x"}),
        ("6.31.0", {"path": "x", "meta": {"_type": "other"}}),
        ("6.31.0", {"path": "x", "meta": "gradio.FileData"}),
        ("6.31.0", "x"),
        ("6.31.0", None),
    ],
)
def test_what_is_no_file_of_that_version_is_not_taken_for_one(version: str, value: Any) -> None:
    assert not rules(version).is_file(value)
