"""Uploads, files in arguments and in results, and downloads of the server role."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import pytest

from sansio_gradio.server.app import App, Function, Slot
from sansio_gradio.server.components import (
    ANNOTATED_IMAGE,
    AUDIO,
    CHATBOT,
    FILE,
    FILES,
    GALLERY,
    IMAGE,
    IMAGE_EDITOR,
    JSON,
    MULTIMODAL_TEXTBOX,
    STREAMED_AUDIO,
    STREAMED_VIDEO,
    TEXTBOX,
    VIDEO,
    ComponentKind,
)
from sansio_gradio.server.contents import Content, File, InMemory
from sansio_gradio.server.engine import Disconnect, ServerEngine
from sansio_gradio.server.events import JobSubmitted, SendFile, SendResponse, StorageRaised
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.names import kept_name
from sansio_gradio.server.requests import Request
from tests.support.served import Seen, Talk, Wire, request

FORM = {"content_type": "multipart/form-data; boundary=x"}
META = {"_type": "gradio.FileData"}
PNG = b"PNG, but not really"


def form(*files: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\n%b\r\n'
        % (name.encode(), content)
        for name, content in files
    ]
    return b"".join([*parts, end])


def upload(wire: Wire, *files: tuple[str, bytes]) -> list[str]:
    prefix = wire.engine.app.api_prefix
    seen = wire.seen(wire.ask("POST", f"{prefix}/upload", form(*files), **FORM), "POST")
    assert seen.status == 200, seen.body
    paths: list[str] = seen.body
    return paths


def wire_to(
    version: str | None = None,
    kind: ComponentKind = FILE,
    limits: ServerLimits | None = None,
    **options: Any,
) -> Wire:
    app = App(version=version, **options)
    slot = Slot(name="x", component=kind)
    app.add("f", parameters=[slot], returns=[slot])
    return Wire(app, limits)


def call(wire: Wire, value: Any) -> tuple[int, Any]:
    """Begin a plain call. Returns its connection, and what the function gets."""
    conn = wire.ask("POST", f"{wire.engine.app.api_prefix}/api/f", {"data": [value]})
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.start(event.job, wire.now)
    return conn, event.data[0]


def echo(wire: Wire, value: Any, *, back: Any = None) -> tuple[Any, Any]:
    """Call a function that gives what it gets, or *back*: what it got, and what its client got."""
    conn, got = call(wire, value)
    wire.engine.complete(0, [got if back is None else back], now=wire.now)
    wire.settle()
    return got, wire.seen(conn, "POST").body["data"][0]


def refused(wire: Wire, value: Any) -> str:
    """The error of a call whose argument the server does not take."""
    conn = wire.ask("POST", f"{wire.engine.app.api_prefix}/api/f", {"data": [value]})
    assert wire.next_event() is None
    wire.settle()
    seen = wire.seen(conn, "POST")
    assert seen.status == 500
    return str(seen.body["error"])


def fetch(wire: Wire, path: str, **headers: str) -> Seen:
    return wire.get(f"{wire.engine.app.api_prefix}/file={quote(path)}", **headers)


# In and out


@pytest.mark.parametrize("version", ["3.50.2", "4.0.2", "4.18.0", "4.44.1", "5.4.0", "6.31.0"])
def test_a_file_goes_in_and_out(version: str) -> None:
    wire = wire_to(version)
    (path,) = upload(wire, ("note.txt", b"hello"))
    if version < "4":
        sent: Any = {"name": path, "data": None, "is_file": True, "orig_name": "note.txt"}
    else:
        sent = {"path": path, "orig_name": "other.txt", "meta": META}
    got, given = echo(wire, sent)
    assert (got.name, got.read(), got.size) == ("note.txt", b"hello", 5)
    key = "name" if version < "4" else "path"
    assert given[key].endswith("/note.txt")
    assert (given["orig_name"], given["size"]) == ("note.txt", 5)
    prefix = "/gradio_api" if version >= "5" else ""
    if version >= "4.18":
        assert given["url"] == f"http://app.example{prefix}/file={given['path']}"
        assert given["is_stream"] is False
    assert ("meta" in given) is (version >= "4.21")
    assert fetch(wire, given[key]).body == "hello"


def test_the_same_content_and_name_have_one_path() -> None:
    for version, same in [("3.50.2", False), ("4.29.0", True), ("6.31.0", True)]:
        wire = wire_to(version)
        first, second, other = upload(wire, ("a", b"1"), ("a", b"1"), ("a", b"2"))
        assert (first == second) is same
        assert other not in (first, second)
    assert upload(wire_to("4.29.0"), ("a", b"1")) == [
        "/tmp/gradio/356a192b7913b04c54574d18c28d46e6395428ab/a"
    ]


def test_a_file_in_3x_may_be_written_out() -> None:
    data = f"data:text/plain;base64,{base64.b64encode(b'hi').decode()}"
    got, _ = echo(wire_to("3.50.2"), {"name": "a.txt", "data": data, "is_file": False})
    assert (got.read(), got.mime_type) == (b"hi", "text/plain")
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    got, given = echo(wire_to("3.50.2", IMAGE), url)
    assert (got.name, got.read(), given) == ("file.png", PNG, url)
    got, given = echo(wire_to("5.0.2", IMAGE), {"path": None, "url": url})
    assert (got.read(), given["orig_name"]) == (PNG, "file.png")
    for wrong in ("data:image/png;base64,x", "data:nothing", "no data URL"):
        assert refused(wire_to("3.50.2", IMAGE, show_error=True), wrong)


def test_a_url_is_handed_on() -> None:
    wire = wire_to()
    sent = {"path": "https://elsewhere.example/a.png", "meta": META}
    assert call(wire, sent)[1] == sent


def test_other_components_keep_what_looks_like_a_file() -> None:
    sent = {"path": "/etc/passwd", "meta": META}
    assert call(wire_to(kind=TEXTBOX), sent)[1] == sent
    assert call(wire_to(kind=JSON), {"path": "x"})[1] == {"path": "x"}
    assert "x is not in the upload folder" in refused(
        wire_to("4.29.0", JSON, show_error=True), {"path": "x"}
    )


@pytest.mark.parametrize(
    ("version", "sent", "said"),
    [
        ("3.50.2", {"name": "/etc/passwd", "data": None, "is_file": True}, "No such file"),
        ("4.29.0", {"path": "/etc/passwd"}, "File /etc/passwd is not in the upload folder"),
        ("4.29.0", {"path": "/tmp/gradio/x/y"}, "No such file or directory: '/tmp/gradio/x/y'"),
        ("6.31.0", {"path": "/etc/passwd", "meta": META}, "Cannot move /etc/passwd"),
        ("6.31.0", {"path": "/tmp/gradio/x/y"}, "'meta' field must be explicitly provided"),
        ("6.31.0", {"path": None, "meta": META}, "no path"),
    ],
)
def test_files_that_are_not_taken(version: str, sent: Any, said: str) -> None:
    assert said in refused(wire_to(version, show_error=True), sent)
    assert refused(wire_to(version), sent) == "None"


def test_a_queued_job_fails_the_same_way_and_makes_way_for_the_next() -> None:
    talk = Talk(App())
    talk.conversation.app.add("f", parameters=[Slot(name="x", component=FILE)])
    bad = talk.join({"path": "/nowhere", "meta": META})
    talk.join(None)
    event = talk.submitted()
    assert event.data == [None]
    stream = talk.stream()
    ended = [m for m in talk.messages(stream) if m["msg"] == "process_completed"]
    assert [(m["event_id"], m["success"]) for m in ended] == [(bad, False)]


VIDEO_4: dict[str, Any] = {"video": "A", "subtitles": None}
WORLDS: list[tuple[str, ComponentKind, Any, Any]] = [
    # version, component, what the function gives, and what the client gets (A and B are files)
    ("3.50.2", VIDEO, "A", ["A", None]),
    ("3.16.2", VIDEO, "A", "A"),
    ("4.0.2", VIDEO, "A", VIDEO_4),
    ("5.0.2", VIDEO, ("A", "B"), {"video": "A", "subtitles": "B"}),
    ("6.31.0", VIDEO, "A", "A"),
    ("3.50.2", GALLERY, [("A", None), ("B", "cap")], ["A", ["B", "cap"]]),
    ("4.0.2", GALLERY, ["A"], [{"image": "A", "caption": None}]),
    ("6.31.0", GALLERY, [("B", "cap")], [{"video": "B", "caption": "cap"}]),
    ("6.31.0", GALLERY, ["other"], ["other"]),
    ("6.31.0", FILES, ["A", "B"], ["A", "B"]),
    ("6.31.0", MULTIMODAL_TEXTBOX, "A", {"text": "", "files": ["A"]}),
    ("6.31.0", IMAGE_EDITOR, "A", {"background": "A", "layers": [], "composite": "A", "id": None}),
    (
        "6.31.0",
        ANNOTATED_IMAGE,
        ("A", [("A", "lab")]),
        {"image": "A", "annotations": [{"image": "A", "label": "lab"}]},
    ),
    ("3.50.2", ANNOTATED_IMAGE, ("A", [("A", "lab")]), ["A", [["A", "lab"]]]),
    ("3.50.2", CHATBOT, [["hi", "A"]], [["hi", "A"]]),
    ("4.29.0", CHATBOT, [("hi", "A")], [["hi", {"file": "A", "alt_text": None}]]),
    (
        "5.0.2",
        CHATBOT,
        [{"role": "user", "content": "A"}],
        [{"role": "user", "content": {"file": "A", "alt_text": None}}],
    ),
    (
        "6.31.0",
        CHATBOT,
        [{"role": "user", "content": "A"}],
        [{"role": "user", "content": [{"type": "file", "file": "A", "alt_text": None}]}],
    ),
    (
        "6.31.0",
        CHATBOT,
        [{"role": "user", "content": [{"type": "file", "file": "A"}]}],
        [{"role": "user", "content": [{"type": "file", "file": "A"}]}],
    ),
]
FILES_GIVEN = {"A": File("a.png", PNG), "B": File("b.mp4", b"moving")}


def replaced(value: Any, files: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return files.get(value, value)
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, files) for item in value)
    if isinstance(value, dict):
        return {key: replaced(item, files) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("version", "kind", "given", "told"), WORLDS)
def test_each_component_has_its_shape(
    version: str, kind: ComponentKind, given: Any, told: Any
) -> None:
    wire = wire_to(version, kind)
    key = "name" if version < "4" else "path"

    def named(value: Any) -> Any:
        if isinstance(value, dict) and key in value:
            label = {"a.png": "A", "b.mp4": "B"}[value[key].rpartition("/")[2]]
            assert fetch(wire, value[key]).status == 200
            return label
        if isinstance(value, list):
            return [named(item) for item in value]
        if isinstance(value, dict):
            return {name: named(item) for name, item in value.items()}
        return value

    _, got = echo(wire, None, back=replaced(given, FILES_GIVEN))
    assert named(got) == told


def test_functions_get_the_same_in_all_versions() -> None:
    for version in ("4.29.0", "5.0.2", "6.31.0"):
        wire = wire_to(version, VIDEO)
        path, subtitles = upload(wire, ("v.mp4", b"v"), ("s.vtt", b"s"))
        file, other = ({"path": p, "meta": META} for p in (path, subtitles))
        bare = version >= "6"
        got = call(wire, file if bare else {"video": file, "subtitles": None})[1]
        assert got.read() == b"v"
        if not bare:
            got = call(wire, {"video": file, "subtitles": other})[1]
            assert [one.read() for one in got] == [b"v", b"s"]
        wire = wire_to(version, GALLERY)
        (path,) = upload(wire, ("a.png", PNG))
        items = [{"image": {"path": path, "meta": META}, "caption": "c"}, "other"]
        got = call(wire, items)[1]
        assert (got[0][0].read(), got[0][1], got[1]) == (PNG, "c", "other")
    wire = wire_to("3.50.2", GALLERY)
    old: dict[str, Any] = {"data": None, "is_file": True}
    old["name"] = upload(wire, ("a.png", PNG))[0]
    assert [(one.name, cap) for one, cap in call(wire, [old, [old, "c"]])[1]] == [
        ("a.png", None),
        ("a.png", "c"),
    ]
    wire = wire_to("3.50.2", VIDEO)
    old["name"] = upload(wire, ("v.mp4", b"v"))[0]
    assert call(wire, [old, None])[1].read() == b"v"


def test_what_a_result_says_of_a_file() -> None:
    file = File("a.png", PNG)
    said = {}
    for kind in (FILE, IMAGE, AUDIO, JSON, GALLERY):
        given = [(file, None)] if kind is GALLERY else file
        _, told = echo(wire_to(kind=kind), None, back=given)
        said[kind.kind] = told[0]["image"] if kind is GALLERY else told
    assert said["file"]["size"] == len(PNG)
    assert said["image"]["size"] is None
    assert said["gallery"]["mime_type"] == "image/png"
    assert said["audio"]["mime_type"] is None
    assert said["json"]["url"].startswith("/gradio_api/file=/tmp/gradio/")


def test_hints_of_files() -> None:
    app = App()

    @app.endpoint
    def f(one: File, many: list[File], image: Annotated[File | None, IMAGE] = None) -> File:
        return one

    function: Function = app.functions[0]
    assert [slot.component for slot in function.parameters] == [FILE, FILES, IMAGE]
    assert function.returns[0].component is FILE
    wire = Wire(app)
    component = wire.get("/config").body["components"][1]
    assert (component["type"], component["props"]["file_count"]) == ("file", "multiple")
    info = wire.get("/gradio_api/info").body["named_endpoints"]["/f"]
    assert [p["component"] for p in info["parameters"]] == ["File", "File", "Image"]


def test_a_file_is_no_json() -> None:
    wire = wire_to(kind=TEXTBOX)
    conn, _ = call(wire, "x")
    with pytest.raises(Exception, match="A value of type File cannot be sent"):
        wire.engine.complete(0, [File("a", b"")], now=wire.now)
    assert wire.seen(conn).status == 0


# Uploads


def test_a_large_upload_needs_no_whole_body() -> None:
    """It is read as it comes: more than the limit of other requests."""
    wire = wire_to(limits=ServerLimits(request=1000))
    (path,) = upload(wire, ("big", b"b" * 50_000))
    assert fetch(wire, path).body == "b" * 50_000


def test_slow_uploads_go_on_and_stalled_ones_end() -> None:
    wire = wire_to()
    body = form(("a", b"12345"))
    conn = wire.connect()
    head, _, _ = request("POST", "/gradio_api/upload", body, **FORM).partition(b"\r\n\r\n")
    wire.send(conn, head + b"\r\n\r\n")
    for byte in body[:-1]:
        wire.pass_time(50)
        wire.send(conn, bytes([byte]))
    assert conn not in wire.closed
    wire.pass_time(61)
    assert conn in wire.closed


def test_a_refusal_does_not_cut_the_connection() -> None:
    """The client may still be sending. What it sends is dropped, then comes its next request."""
    wire = wire_to(max_file_size=3)
    conn = wire.connect()
    sent = request("POST", "/gradio_api/upload", form(("a", b"1234" * 1000)), **FORM)
    wire.send(conn, sent[:1000])
    assert wire.seen(conn, "POST").status == 413
    assert wire.seen(conn, "POST").body == "File size exceeded maximum allowed size of 3 bytes."
    wire.send(conn, sent[1000:-1])
    wire.received[conn] = b""
    wire.send(conn, sent[-1:] + request("GET", "/config", None))
    assert wire.seen(conn).body["max_file_size"] == 3
    assert conn not in wire.closed
    # But it does not wait for ever.
    conn = wire.connect()
    wire.send(conn, sent[:1000])
    wire.pass_time(61)
    assert conn in wire.closed


def test_an_upload_that_its_client_leaves_is_forgotten() -> None:
    wire = wire_to(limits=ServerLimits(files=20_000))
    for _ in range(5):
        conn = wire.connect()
        sent = request("POST", "/gradio_api/upload", form(("a", b"x" * 9000)), **FORM)
        wire.send(conn, sent[:-5])
        wire.send(conn, b"")
    assert upload(wire, ("a", b"x" * 9000))


def test_old_files_make_room_for_new_ones() -> None:
    wire = wire_to(limits=ServerLimits(files=10_000))
    (first,) = upload(wire, ("a", b"1" * 3000))
    (second,) = upload(wire, ("a", b"2" * 3000))
    assert fetch(wire, first).status == 200  # so it is the second that was not used for longest
    upload(wire, ("a", b"3" * 3000))
    assert [fetch(wire, path).status for path in (first, second)] == [200, 403]
    seen = wire.seen(wire.ask("POST", "/gradio_api/upload", form(("a", b"4" * 20_000)), **FORM))
    assert (seen.status, seen.body) == (413, "Request Entity Too Large")
    assert upload(wire, ("a", b"5" * 3000))
    # A file of a function may be larger: it is the app's own.
    _, given = echo(wire, None, back=File("b", b"6" * 20_000))
    assert fetch(wire, given["path"]).body == "6" * 20_000


def test_an_upload_has_so_many_files() -> None:
    wire = wire_to(limits=ServerLimits(parts=2))
    assert len(upload(wire, ("a", b""), ("b", b""))) == 2
    body = form(("a", b""), ("b", b""), ("c", b""))
    seen = wire.seen(wire.ask("POST", "/gradio_api/upload", body, **FORM), "POST")
    assert seen.status == 400
    assert seen.body.endswith("Too many files. Maximum number of files is 2.")


def test_the_head_of_a_part_that_is_too_large() -> None:
    for version, status in [("3.50.2", 400), ("4.44.1", 500), ("6.31.0", 413)]:
        wire = wire_to(version)
        body = b"--x\r\nA: " + b"a" * 9000
        target = f"{wire.engine.app.api_prefix}/upload"
        assert wire.seen(wire.ask("POST", target, body, **FORM), "POST").status == status


def test_a_file_that_is_cut_off_is_not_kept() -> None:
    wire = wire_to()
    body = form(("a", b"1"), ("b", b"2"), end=b"")[:-3]
    seen = wire.seen(wire.ask("POST", "/gradio_api/upload", body, **FORM), "POST")
    assert (seen.status, len(seen.body)) == (200, 1)


def test_dots_are_no_name() -> None:
    for version, status in [("3.50.2", 500), ("4.29.0", 200), ("4.44.1", 400)]:
        wire = wire_to(version)
        seen = wire.seen(wire.ask("POST", "/upload", form(("..", b"1")), **FORM), "POST")
        assert seen.status == status
        if status == 200:
            assert seen.body == ["/tmp/gradio/356a192b7913b04c54574d18c28d46e6395428ab"]


def test_a_form_for_something_else_is_collected() -> None:
    wire = wire_to(limits=ServerLimits(request=1000))
    seen = wire.seen(wire.ask("POST", "/gradio_api/api/f", form(("a", b"1")), **FORM), "POST")
    assert seen.status == 422
    seen = wire.seen(wire.ask("POST", "/gradio_api/api/f", b"x" * 2000, **FORM), "POST")
    assert seen.status == 413
    assert wire.seen(wire.ask("POST", "/nothing", b"x", **FORM), "POST").status == 404
    conn = wire.connect()
    wire.send(conn, request("POST", "/nothing", b"xy", **FORM)[:-1])
    wire.send(conn, b"")
    assert conn in wire.closed


def test_a_conversation_takes_an_upload_in_one_piece() -> None:
    talk = Talk(App())
    headers = (("content-type", "multipart/form-data; boundary=x"), ("host", "a"))
    asked = Request(9, "POST", "/gradio_api/upload", headers, form(("a.txt", b"1")))
    talk.conversation.request(asked, 0)
    status, paths = talk.answer(9)
    assert status == 200
    asked = Request(10, "GET", f"/gradio_api/file={paths[0]}", headers, b"")
    talk.conversation.request(asked, 0)
    (command,) = talk.told(10)
    assert isinstance(command, SendFile)
    assert command.content.read(command.start, command.stop) == b"1"
    asked = Request(11, "POST", "/gradio_api/upload", headers, b"nonsense")
    talk.conversation.request(asked, 0)
    assert talk.answer(11)[0] == 400
    talk.conversation.data(11, b"late", 0)
    talk.conversation.ended(11, 0)
    assert talk.told(11) == []


@pytest.mark.parametrize(
    ("version", "name", "kept"),
    [
        ("6.31.0", "#.txt", "#.txt"),
        ("6.31.0", "?.txt", "file.txt"),
        ("6.31.0", "?", "file"),
        ("6.31.0", "a. . ", "a"),
        ("6.31.0", "NUL.tar.gz", "_NUL.tar.gz"),
        ("6.31.0", "console", "console"),
        ("6.31.0", "..", ".."),
        ("6.31.0", "." + "x" * 300, "." + "x" * 199),
        ("6.31.0", "a." + "x" * 300, "a." + "x" * 198),
        ("4.44.1", "a,b#.txt", "ab.txt"),
        ("5.50.0", "a,b#.txt", "a,b.txt"),
    ],
)
def test_names(version: str, name: str, kept: str) -> None:
    numbers = tuple(map(int, version.split(".")))
    assert kept_name(name, numbers) == kept


# Downloads


class Counting(InMemory):
    """A content that knows how much of it was read."""

    reads: ClassVar[list[tuple[int, int]]] = []

    def read(self, start: int, stop: int) -> bytes:
        self.reads.append((start, stop))
        return super().read(start, stop)


def test_a_file_is_read_as_its_client_takes_it() -> None:
    Counting.reads = []
    wire = wire_to()
    _, given = echo(wire, None, back=File("big", Counting(b"b" * 3_000_000)))
    Counting.reads.clear()
    engine, conn = wire.engine, 99
    engine.connection_made(conn, 0)
    asked = request("GET", given["url"].removeprefix("http://app.example"), None)
    engine.receive_data(conn, asked + asked, 0)
    received = engine.data_to_send(conn, 1000)
    assert len(Counting.reads) == 2
    while data := engine.data_to_send(conn, 100_000):
        received += data
    assert received.count(b"HTTP/1.1 200 ") == 2
    assert received.endswith(b"b" * 3_000_000)
    assert len(Counting.reads) == 24


def test_a_download_without_keep_alive_is_complete() -> None:
    wire = wire_to()
    (path,) = upload(wire, ("a", b"1" * 300_000))
    conn = wire.ask("GET", f"/gradio_api/file={path}", connection="close")
    assert wire.seen(conn).body == "1" * 300_000
    assert conn in wire.closed


def test_a_length_that_is_wrong_leaves_the_connection_open_for_a_while() -> None:
    wire = wire_to("4.44.1")
    (path,) = upload(wire, ("a", b"0123456789"))
    conn = wire.ask("GET", f"/file={path}", range="bytes=0-0")
    assert wire.received[conn].endswith(b"content-length: 11\r\n\r\n0123456789")
    assert conn not in wire.closed
    wire.pass_time(21)
    assert conn in wire.closed


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=3-", 206, "3456789"),
        ("bytes=-20", 206, "0123456789"),
        ("bytes=10-", 416, None),
        ("bytes=5-4", 416, None),
        ("bytes=-", 200, "0123456789"),
        ("bytes=x-y", 200, "0123456789"),
        ("lines=1-2", 200, "0123456789"),
        ("bytes=1", 200, "0123456789"),
    ],
)
def test_ranges(asked: str, status: int, body: str | None) -> None:
    wire = wire_to()
    (path,) = upload(wire, ("a.txt", b"0123456789"))
    seen = fetch(wire, path, range=asked)
    assert seen.status == status
    if body is not None:
        assert seen.body == body


def test_an_impossible_range_breaks_older_servers() -> None:
    wire = wire_to("4.44.1")
    (path,) = upload(wire, ("a.txt", b"0123456789"))
    assert fetch(wire, path, range="bytes=5-4").status == 500


def test_last_modified_needs_to_know_the_date() -> None:
    app = App()
    engine = ServerEngine(app, entropy=bytes, wall_offset=1_000_000_000)
    wire = Wire(app)
    wire.engine, wire.now = engine, 5
    (path,) = upload(wire, ("a", b"1"))
    wire.now = 60
    conn = wire.ask("GET", f"/gradio_api/file={path}")
    assert b"last-modified: Sun, 09 Sep 2001 01:46:45 GMT\r\n" in wire.received[conn]
    assert b"date: Sun, 09 Sep 2001 01:47:40 GMT\r\n" in wire.received[conn]


def test_older_servers_send_elsewhere() -> None:
    wire = wire_to("4.44.1")
    conn = wire.ask("GET", "/file=http://a.example/b%0d%0aX-Evil:%201")
    assert b"location: http://a.example/b%0D%0AX-Evil:%201\r\n" in wire.received[conn]
    assert wire_to("6.31.0").get("/gradio_api/file=http://a.example/b").status == 403


# Streams


def streamed(wire: Wire) -> tuple[int, Any]:
    """A job that has yielded once: its number, and what its client got."""
    prefix = wire.engine.app.api_prefix
    joined = {"data": [None], "fn_index": 0, "session_hash": "s"}
    wire.post(f"{prefix}/queue/join", joined)
    conn = wire.ask("GET", f"{prefix}/queue/data?session_hash=s")
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    wire.engine.start(event.job, wire.now)
    wire.engine.generate(event.job, [File("1", b"one ")], wire.now)
    wire.settle()
    (value,) = wire.seen(conn).messages[-1]["output"]["data"]
    return event.job, value


def test_a_streamed_output_has_a_playlist() -> None:
    wire = wire_to(kind=STREAMED_AUDIO)
    job, value = streamed(wire)
    assert (value["is_stream"], value["orig_name"]) == (True, "audio-stream.mp3")
    target = value["url"].removeprefix("http://app.example")
    assert target == f"/gradio_api/stream/{value['path']}"
    folder = target.removesuffix("playlist.m3u8")
    seen = wire.get(target)
    assert seen.content_type == "application/vnd.apple.mpegurl"
    assert [line for line in seen.body.split() if not line.startswith("#")] == ["0.aac"]
    assert "ENDLIST" not in seen.body
    wire.engine.generate(job, [File("2", b"two")], wire.now)
    wire.engine.complete(job, now=wire.now)
    wire.settle()
    assert wire.get(target).body.endswith("1.aac\n#EXT-X-ENDLIST\n")
    assert [wire.get(folder + name).body for name in ("0.aac", "1.aac")] == ["one ", "two"]
    whole = wire.get(folder + "playlist-file")
    assert (whole.body, whole.content_type) == ("one two", "audio/mpeg")
    for nothing in ("2.aac", "0.ts"):
        assert wire.get(folder + nothing).status == 404
    assert wire.get("/gradio_api/stream/s/x/0/playlist.m3u8").status == 404


def test_older_releases_stream_bytes_up_to_the_end_of_the_job() -> None:
    wire = wire_to("4.44.1", STREAMED_VIDEO)
    job, value = streamed(wire)
    assert value["url"].startswith("http://app.example/stream/s/")
    listening = [wire.ask("GET", f"/stream/{value['path']}") for _ in range(3)]
    wire.engine.generate(job, [File("2", b"two")], wire.now)
    wire.settle()
    wire.send(listening[1], b"")
    assert not wire.seen(listening[0]).complete
    wire.engine.complete(job, now=wire.now)
    wire.settle()
    seen = wire.seen(listening[0])
    assert (seen.body, seen.complete, seen.content_type) == ("one two", True, "video/mp4")
    late = wire.seen(wire.ask("GET", f"/stream/{value['path']}"))
    assert (late.body, late.complete) == ("one two", True)
    assert wire.get("/stream/s/x/0").body == {"detail": "Stream not found."}


def test_streams_are_bounded() -> None:
    for limits in (ServerLimits(sessions=1), ServerLimits(files=4)):
        wire = wire_to("4.44.1", STREAMED_AUDIO, limits)
        job, first = streamed(wire)
        listening = wire.ask("GET", f"/stream/{first['path']}")
        assert wire.seen(listening).body == "one "
        if limits.files == 4:
            wire.engine.generate(job, [File("2", b"more")], wire.now)
            wire.settle()
        else:
            wire.engine.complete(job, now=wire.now)
            wire.settle()
            streamed(wire)
        assert wire.get(f"/stream/{first['path']}").status == 404
        assert listening in wire.closed or wire.seen(listening).complete


def test_a_release_without_streams_sends_files() -> None:
    wire = wire_to("3.16.2", STREAMED_AUDIO)
    _, value = echo(wire, None, back=File("a", b"1"))
    assert value["is_file"] is True


# Storage


class Shelf:
    """A storage that writes down what it is asked."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self) -> Shelf:
        self.said.append("begin")
        self.data = b""
        return self

    def write(self, data: bytes) -> None:
        self.data += data

    def keep(self) -> Content:
        self.said.append("keep")
        return InMemory(self.data)

    def drop(self) -> None:
        self.said.append("drop")


def test_contents_are_kept_where_the_owner_wants_them() -> None:
    app, shelf = App(), Shelf()
    wire = Wire(app)
    wire.engine = ServerEngine(app, entropy=bytes, storage=shelf)
    (path,) = upload(wire, ("a", b"1"))
    assert shelf.said == ["begin", "keep"]
    assert fetch(wire, path).body == "1"
    wire.ask("POST", "/gradio_api/upload", form(("a", b"1"))[:-4] + b"!!\r\n", **FORM)
    assert shelf.said[2:] == ["begin", "drop"]


class Failing(Shelf):
    """A storage whose disk is full, or cannot be read."""

    def __init__(self, failing: str) -> None:
        super().__init__()
        self.failing = failing
        self.size = 5

    def begin(self) -> Failing:
        super().begin()
        return self

    def write(self, data: bytes) -> None:
        self._fail("write")

    def keep(self) -> Content:
        self._fail("keep")
        return self

    def read(self, start: int, stop: int) -> bytes:
        self._fail("read")
        return b"12345"[start:stop]

    def _fail(self, name: str) -> None:
        if name == self.failing:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["write", "keep"])
def test_a_storage_that_raises_costs_one_upload(failing: str) -> None:
    app, shelf = App(), Failing(failing)
    wire = Wire(app)
    wire.engine = ServerEngine(app, entropy=bytes, storage=shelf)
    seen = wire.seen(wire.ask("POST", "/gradio_api/upload", form(("a", b"1")), **FORM), "POST")
    assert (seen.status, seen.body) == (500, "Internal Server Error")
    assert shelf.said == ["begin", "drop"]
    event = wire.next_event()
    assert isinstance(event, StorageRaised)
    assert event.error.errno == 28
    shelf.failing = ""
    (path,) = upload(wire, ("a", b"12345"))
    assert fetch(wire, path).body == "12345"


def test_a_download_whose_content_cannot_be_read_is_cut_off() -> None:
    app, shelf = App(), Failing("")
    wire = Wire(app)
    wire.engine = ServerEngine(app, entropy=bytes, storage=shelf)
    (path,) = upload(wire, ("a", b"12345"))
    shelf.failing = "read"
    conn = wire.connect()
    wire.engine.receive_data(conn, request("GET", f"/gradio_api/file={path}"), 1)
    assert wire.engine.next_command() == Disconnect(
        conn, at_once=True, why="its file cannot be read: [Errno 28] No space left on device"
    )
    assert wire.engine.data_to_send(conn) == b""
    shelf.failing = ""
    assert fetch(wire, path).body == "12345"


# Progress


def slowly(wire: Wire, *pieces: bytes, upload_id: str = "u") -> tuple[int, list[bytes]]:
    """Begin an upload. Returns its connection, and the pieces that are still to be sent."""
    conn = wire.connect()
    body = b"".join(pieces)
    prefix = wire.engine.app.api_prefix
    target = f"{prefix}/upload?upload_id={upload_id}"
    head, _, _ = request("POST", target, body, **FORM).partition(b"\r\n\r\n")
    wire.send(conn, head + b"\r\n\r\n")
    return conn, list(pieces)


def watch(wire: Wire, upload_id: str = "u") -> int:
    prefix = wire.engine.app.api_prefix
    return wire.ask("GET", f"{prefix}/upload_progress?upload_id={upload_id}")


def test_progress_is_told_as_it_comes() -> None:
    wire = wire_to()
    watching = watch(wire)
    start, end = form(("a", b"12345"), end=b""), form(("b", b"1"))
    conn, _ = slowly(wire, start, end)
    wire.send(conn, start[:-2])
    assert wire.seen(watching).messages[-1]["chunk_size"] >= 1
    late = watch(wire)
    wire.pass_time(15)
    assert wire.seen(late).messages == [{"msg": "heartbeat"}]
    wire.send(conn, start[-2:] + end)
    messages = wire.seen(watching).messages
    assert sum(m.get("chunk_size", 0) for m in messages if m.get("orig_name") == "a") == 5
    assert messages[-2:] == [
        {"msg": "update", "orig_name": "b", "chunk_size": 1},
        {"msg": "done"},
    ]
    assert wire.seen(watching).complete
    assert wire.seen(late).messages[-1] == {"msg": "done"}


def test_progress_before_the_upload() -> None:
    wire = wire_to()
    watching = watch(wire)
    wire.pass_time(2.9)
    assert wire.seen(watching).status == 0
    wire.pass_time(0.2)
    assert (wire.seen(watching).status, wire.seen(watching).body) == (404, "Upload not found")
    old = wire_to("4.44.1")
    seen = old.seen(watch(old))
    assert (seen.status, seen.messages, seen.complete) == (200, [], True)


def test_a_watcher_may_leave() -> None:
    wire = wire_to()
    watching = watch(wire)
    wire.send(watching, b"")
    wire.pass_time(5)
    assert wire.received[watching] == b""
    conn, (piece,) = slowly(wire, form(("a", b"1")))
    wire.send(conn, piece)
    assert wire.seen(conn, "POST").status == 200


def test_a_name_may_be_used_again() -> None:
    """The stream goes on, and ends with the upload that ends first."""
    wire = wire_to()
    watching = watch(wire)
    slowly(wire, form(("a", b"1")))
    conn, (piece,) = slowly(wire, form(("a", b"1")))
    wire.send(conn, piece)
    assert [m["msg"] for m in wire.seen(watching).messages] == ["update", "done"]
    assert wire.seen(watching).complete


def test_uploads_that_nobody_watches_are_forgotten() -> None:
    wire = wire_to(limits=ServerLimits(sessions=2))
    conn, (piece,) = slowly(wire, form(("a", b"1")), upload_id="u0")
    for count in range(1, 3):
        slowly(wire, form(("a", b"1")), upload_id=f"u{count}")
    wire.send(conn, piece)
    assert wire.seen(conn, "POST").status == 200
    assert wire.seen(watch(wire, "u0")).status == 0
    assert wire.seen(watch(wire, "u1")).status == 200


def test_a_server_that_stops_ends_the_streams_of_progress() -> None:
    talk = Talk(App())
    asked = Request(5, "GET", "/gradio_api/upload_progress?upload_id=u", (), b"")
    talk.conversation.request(asked, 0)
    talk.conversation.stop(0)
    assert talk.kinds(5) == ["cut"]


def test_the_body_of_a_sent_response() -> None:
    assert SendResponse(1, 200, ["a"]).data == b'["a"]'
    assert json.loads(SendResponse(1, 200, {"a": 1}).data) == {"a": 1}
