"""Files of a call: brought to the server before the job is handed in, and as its version wants."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import attrs
import pytest

from sansio_gradio import (
    AppInfo,
    Body,
    FileSlice,
    GivenFile,
    Limits,
    OptionError,
    RemoteFile,
    Retry,
    Timeouts,
    handle_file,
)
from sansio_gradio.client.commands import Abort, ReadFile, SendRequest, SendText
from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.events import JobCancelled, JobFailed, UploadProgress
from sansio_gradio.protocol.files import META
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio.testing.talk import Talk, body_of, failed, generating, starts

JOIN = "/queue/join"
UPLOAD = "/upload"
A, B = handle_file(b"aaa", name="a.png"), handle_file(b"bb", name="b.txt")


def app(version: str = "6.31.0", protocol: str | None = "sse_v3", kind: str = "image") -> AppInfo:
    """An app with /image (or another *kind*), /files (several) and /two (a File and a Textbox).

    ``/info`` says of /image that it takes a file.
    """
    parts: list[Any] = [
        {"id": 1, "type": kind, "props": {}},
        {"id": 2, "type": "file", "props": {"file_count": "multiple"}},
        {"id": 3, "type": "file", "props": {}},
        {"id": 4, "type": "textbox", "props": {}},
    ]
    inputs = {"image": [1], "files": [2], "two": [3, 4], "text": [4], "both": [1, 3]}
    dependencies: list[Any] = [
        {"id": at, "api_name": name, "inputs": ids, "outputs": [4], "queue": True}
        for at, (name, ids) in enumerate(inputs.items())
    ]
    config: dict[str, Any] = {
        "version": version,
        "components": parts,
        "dependencies": dependencies,
        "connect_heartbeat": False,
    }
    known = AppInfo.from_config(config if protocol is None else {**config, "protocol": protocol})
    told: Any = {"parameters": [{"label": "x", "python_type": {"type": "filepath"}}], "returns": []}
    return known.with_info({"named_endpoints": {"/image": told}, "unnamed_endpoints": {}})


def talk(version: str = "6.31.0", **options: Any) -> Talk:
    return Talk(app(version, options.pop("protocol", "sse_v3")), **options)


def content(request: SendRequest) -> tuple[bytes, list[FileSlice]]:
    """The body that a library would send, and the slices in it."""
    assert isinstance(request.body, Body)
    slices = [piece for piece in request.body.pieces if isinstance(piece, FileSlice)]
    whole = b""
    for piece in request.body.pieces:
        whole += bytes_of(piece)
    assert request.body.size == len(whole)
    return whole, slices


def answered(one: Talk, path: str) -> str:
    """What is asked now: one upload. It is stored at *path*; returns the name that was sent."""
    (request,) = one.requests(UPLOAD)
    whole, _ = content(request)
    one.answer(request, [path])
    return whole.split(b'filename="')[1].split(b'"')[0].decode()


def joined(one: Talk) -> list[Any]:
    """What is asked now: to join the queue; returns the arguments."""
    data: list[Any] = json.loads(body_of(one.request(JOIN)))["data"]
    return data


def payload(path: str, name: str) -> dict[str, Any]:
    return {"path": path, "orig_name": name, "meta": META}


def test_a_file_is_uploaded_and_its_place_is_handed_in() -> None:
    one = talk()
    job = one.conversation.submit(B, "hi", api_name="/two")
    (request,) = one.requests(UPLOAD)
    assert request.method == "POST"
    whole, (piece,) = content(request)
    boundary = dict(request.headers)["content-type"].removeprefix("multipart/form-data; boundary=")
    assert (
        whole
        == (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="b.txt"\r\n'
            f"Content-Type: text/plain\r\n\r\nbb\r\n--{boundary}--\r\n"
        ).encode()
    )
    assert (piece.offset, piece.length) == (0, 2)
    one.conversation.sent(request.id, 2, one.now)
    one.answer(request, ["/tmp/x/b.txt"])
    assert joined(one) == [payload("/tmp/x/b.txt", "b.txt"), "hi"]
    assert one.of(UploadProgress) == [
        UploadProgress(session=0, job=job, sent=2, total=2, name="b.txt")
    ]


def test_files_go_side_by_side_but_not_too_many_and_each_once() -> None:
    one = talk(limits=Limits(uploads=2))
    files = [handle_file(b"x", name=f"{at}.txt") for at in range(4)]
    same = [files[0], handle_file("p"), handle_file("p")]
    one.conversation.submit([*files, *same], api_name="/files")
    asked = one.requests(UPLOAD, UPLOAD)
    for at in range(5):
        one.answer(asked.pop(0), [f"/{at}"])
        asked += one.requests(*([UPLOAD] if at < 3 else []))  # one comes when one has gone
        assert len(asked) == min(2, 4 - at)
        if at == 3:
            break
    one.answer(asked[0], ["/4"])
    (data,) = joined(one)
    paths = [file["path"] for file in data]
    assert paths == ["/0", "/1", "/2", "/3", "/0", "/4", "/4"]


def test_without_files_nothing_is_uploaded() -> None:
    one = talk()
    one.conversation.submit([], api_name="/files")
    assert joined(one) == [[]]
    one.conversation.submit(None, "x", api_name="/two")
    assert joined(one) == [None, "x"]


def test_only_what_is_marked_is_read() -> None:
    told = {"path": "/etc/passwd", "meta": META}
    one = talk()
    one.conversation.submit([told, {"path": "/etc/hosts"}], api_name="/files")
    assert joined(one) == [[told, {"path": "/etc/hosts"}]]


@pytest.mark.parametrize("how", ["cancel", "close", "timeout"])
def test_a_job_that_ends_during_its_upload_is_never_handed_in(how: str) -> None:
    one = talk(limits=Limits(uploads=1))
    job = one.conversation.submit([A, B], api_name="/files", timeout=5.0)
    (request,) = one.requests(UPLOAD)
    if how == "cancel":
        assert one.conversation.cancel(job)
    elif how == "close":
        one.conversation.close()
    else:
        one.now += 6.0
    assert one.new() == [Abort(request.id)]
    end = one.last_of(job)
    if how == "timeout":
        assert isinstance(one.failure_of(job), DeadlineExceeded)
    else:
        assert isinstance(end, JobCancelled)
        assert end.stopped_on_server is False
    one.answer(request, ["/late"])
    assert not [asked for asked in one.new() if isinstance(asked, SendRequest)]


def test_an_upload_without_progress_fails_and_one_that_goes_on_does_not() -> None:
    one = talk(timeouts=Timeouts(send=30.0))
    file = attrs_sized(100)
    job = one.conversation.submit(file, "", api_name="/two")
    (request,) = one.requests(UPLOAD)
    for _ in range(5):
        assert one.sleep(29.0) == []
        one.conversation.sent(request.id, 20, one.now)
    one.sleep(7.0)  # and the server may take a while to answer
    assert not one.ends_of(job)
    assert one.sleep(24.0) == [Abort(request.id)]
    error = one.failure_of(job)
    assert isinstance(error, DeadlineExceeded)
    assert (error.phase, error.url) == ("send", "http://app.example/upload")


def attrs_sized(size: int) -> GivenFile:
    return handle_file(bytes(size), name="big.bin")


@pytest.mark.parametrize("answer", [[], ["a", "b"], [1], [""], {"path": "a"}, None, b"<html>"])
def test_an_answer_that_names_no_place_is_a_failure(answer: Any) -> None:
    one = talk()
    job = one.conversation.submit(A, api_name="/image")
    (request,) = one.requests(UPLOAD)
    one.answer(request, answer)
    error = one.failure_of(job)
    assert isinstance(error, RemoteProtocolError)
    assert "has not taken the upload of handle_file('a.png')" in error.message
    assert (error.phase, error.status) == ("upload", 200)
    assert one.new() == []


def test_one_failed_upload_ends_the_others() -> None:
    one = talk()
    job = one.conversation.submit([A, B], api_name="/files")
    first, second = one.requests(UPLOAD, UPLOAD)
    one.answer(first, {"detail": "no"}, status=500)
    assert one.aborted() == [second.id]
    assert isinstance(one.last_of(job), JobFailed)


TOO_LARGE = b"File size exceeded maximum allowed size of 1000 bytes."


def test_a_file_that_is_too_large_for_the_app_or_for_a_proxy_is_told_apart() -> None:
    for body, kind, words in (
        (TOO_LARGE, AppError, TOO_LARGE.decode()),
        (b"<html><h1>413 Request Entity Too Large</h1></html>", RemoteProtocolError, "proxy"),
        (b"", RemoteProtocolError, "proxy"),
    ):
        one = talk()
        job = one.conversation.submit(A, api_name="/image")
        (request,) = one.requests(UPLOAD)
        one.answer(request, body, status=413, headers=(("content-type", "text/plain"),))
        error = one.failure_of(job)
        assert type(error) is kind
        assert words in error.message
        assert error.status == 413


# By version


def test_an_image_of_gradio_3_is_written_into_the_arguments() -> None:
    one = talk("3.50.2", protocol=None)
    one.conversation.submit(A, api_name="/image")
    socket = one.socket()
    one.open(socket)
    one.send(socket, {"msg": "send_hash"}, {"msg": "send_data"})
    texts = [json.loads(command.text) for command in one.new() if isinstance(command, SendText)]
    assert texts[-1]["data"] == ["data:image/png;base64," + base64.b64encode(b"aaa").decode()]


def sent_on_socket(one: Talk) -> Any:
    socket = one.socket()
    one.open(socket)
    one.send(socket, {"msg": "send_hash"}, {"msg": "send_data"})
    texts = [json.loads(command.text) for command in one.new() if isinstance(command, SendText)]
    return texts[-1]["data"]


def test_a_file_of_gradio_3_is_uploaded_or_before_that_written() -> None:
    one = talk("3.50.2", protocol=None)
    one.conversation.submit(B, "", api_name="/two")
    assert answered(one, "/tmp/b.txt") == "b.txt"
    stored = {"name": "/tmp/b.txt", "data": None, "is_file": True, "orig_name": "b.txt"}
    assert sent_on_socket(one) == [stored, ""]
    one = talk("3.16.2", protocol=None)
    one.conversation.submit(B, "", api_name="/two")
    written = {"name": "b.txt", "data": "data:text/plain;base64,YmI=", "is_file": False}
    assert sent_on_socket(one) == [written, ""]


def test_one_source_may_be_uploaded_and_written_in_one_call() -> None:
    one = talk("3.50.2", protocol=None)
    one.conversation.submit(A, A, api_name="/both")
    answered(one, "/tmp/a.png")
    image, file = sent_on_socket(one)
    assert image.startswith("data:image/png")
    assert file["name"] == "/tmp/a.png"


def test_a_path_whose_content_is_an_argument_is_read_by_the_surroundings() -> None:
    one = talk("3.50.2", protocol=None)
    one.conversation.submit(handle_file("/some/x.png"), api_name="/image")
    (command,) = one.new()
    assert isinstance(command, ReadFile)
    assert command.upload.source == "/some/x.png"
    one.conversation.data(command.id, b"aa", one.now)
    one.conversation.data(command.id, b"a", one.now)
    one.conversation.ended(command.id, one.now)
    assert sent_on_socket(one) == ["data:image/png;base64,YWFh"]


def test_a_file_that_cannot_be_read_ends_the_job() -> None:
    one = talk("3.50.2", protocol=None)
    job = one.conversation.submit(handle_file("/some/x.png"), api_name="/image")
    (command,) = one.new()
    one.conversation.failed(command.id, LocalProtocolError("changed"), one.now)
    assert isinstance(one.failure_of(job), LocalProtocolError)


@pytest.mark.parametrize("content", [b"", b"later"])
def test_an_empty_file_is_read_before_it_is_sent(content: bytes) -> None:
    one = talk()
    empty = attrs.evolve(handle_file(io.BytesIO(), name="x.png"), size=0)
    job = one.conversation.submit(empty, api_name="/image")
    (command,) = one.new()
    assert isinstance(command, ReadFile)
    if content:
        one.conversation.data(command.id, content, one.now)
    one.conversation.ended(command.id, one.now)
    if content:
        error = one.failure_of(job)
        assert isinstance(error, LocalProtocolError)
        assert "has become longer" in error.message
        assert one.new() == []
    else:
        answered(one, "/tmp/x.png")
        assert joined(one) == [payload("/tmp/x.png", "x.png")]


def test_a_content_that_is_too_large_for_an_argument_is_refused() -> None:
    for source in (bytes(11), "/some/x.png"):
        one = talk("3.50.2", protocol=None, limits=Limits(answer=10))
        job = one.conversation.submit(handle_file(source, name="x.png"), api_name="/image")
        if isinstance(source, str):
            (command,) = one.new()
            one.conversation.data(command.id, bytes(11), one.now)
        error = one.failure_of(job)
        assert isinstance(error, LocalProtocolError)
        assert "Limits.answer" in error.message


URL = "http://files.example/x%20y.png?key=1"


@pytest.mark.parametrize("given", [URL, handle_file(URL)])
def test_a_url_is_handed_to_the_server(given: Any) -> None:
    one = talk("4.44.1")
    one.conversation.submit(given, api_name="/image")
    assert joined(one) == [payload(URL, "x y.png")]


def test_before_gradio_4_a_url_is_fetched_without_anything_of_the_users() -> None:
    secret = {"headers": {"authorization": "Bearer s"}, "cookies": {"c": "s"}}
    one = talk("3.50.2", protocol=None, **secret)
    one.conversation.submit(handle_file(URL), "", api_name="/two")
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    assert (request.method, request.url) == ("GET", URL)
    assert {name for name, _ in request.headers} == {"user-agent", "accept", "accept-encoding"}
    moved = (("location", "https://cdn.example/z"), ("set-cookie", "evil=1"))
    one.answer(request, b"", status=302, headers=moved)
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    assert request.url == "https://cdn.example/z"
    assert {name for name, _ in request.headers} == {"user-agent", "accept", "accept-encoding"}
    one.answer(request, b"PNG")
    (request,) = one.requests(UPLOAD)
    assert b"\r\n\r\nPNG\r\n" in content(request)[0]
    assert dict(request.headers)["cookie"] == "c=s"
    one.answer(request, ["/tmp/x"])
    assert sent_on_socket(one)[0]["name"] == "/tmp/x"


def test_even_at_the_app_itself_a_url_is_fetched_without_anything_of_the_users() -> None:
    one = talk("3.50.2", protocol=None, headers={"authorization": "Bearer s"}, cookies={"c": "s"})
    one.conversation.submit(handle_file("http://app.example/x.txt"), "", api_name="/two")
    (request,) = one.requests("/x.txt")
    assert {name for name, _ in request.headers} == {"user-agent", "accept", "accept-encoding"}


def test_a_fetch_does_not_leave_https_and_has_its_limits() -> None:
    one = talk("3.50.2", protocol=None, limits=Limits(answer=3))
    job = one.conversation.submit(handle_file("https://f.example/x"), "", api_name="/two")
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    one.answer(request, b"", status=302, headers=(("location", "http://f.example/y"),))
    assert "redirected to http://f.example" in one.failure_of(job).message
    job = one.conversation.submit(handle_file("https://f.example/x"), "", api_name="/two")
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    one.answer(request, b"four")
    assert isinstance(one.failure_of(job), RemoteProtocolError)
    job = one.conversation.submit(handle_file("https://f.example/x"), "", api_name="/two")
    request = next(command for command in one.new() if isinstance(command, SendRequest))
    one.answer(request, b"no", status=404)
    assert one.failure_of(job).status == 404


# What is no file


@pytest.mark.parametrize(
    ("api_name", "args"),
    [
        ("/image", ("x.png",)),
        ("/two", ("x.txt", "hi")),
        ("/files", (["x.txt"],)),
        ("/image", ("data:text/plain,x",)),
    ],
)
def test_a_bare_path_is_refused_with_the_way_out(api_name: str, args: Any) -> None:
    one = talk("4.44.1")
    job = one.conversation.submit(*args, api_name=api_name)
    error = one.failure_of(job)
    assert isinstance(error, LocalProtocolError)
    assert "use handle_file(...)" in error.message
    assert one.new() == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("gallery", ["x.png"]),
        ("gallery", [["x.png", "caption"]]),
        ("gallery", [{"image": "x.png", "caption": "c"}]),
        ("video", {"video": "x.mp4", "subtitles": None}),
        ("imageeditor", {"background": None, "layers": ["x.png"], "composite": None}),
        ("pdf", "x.pdf"),
    ],
)
def test_a_bare_path_is_found_inside_a_value_too(kind: str, value: Any) -> None:
    one = Talk(app(kind=kind))
    job = one.conversation.submit(value, api_name="/image")
    assert "use handle_file(...)" in one.failure_of(job).message


def test_captions_and_the_texts_of_other_components_are_texts() -> None:
    one = Talk(app(kind="gallery"))
    one.conversation.submit([[URL, "caption"], {"image": None, "caption": "x"}], api_name="/image")
    (value,) = joined(one)
    assert value == [
        {"image": payload(URL, "x y.png"), "caption": "caption"},
        {"image": None, "caption": "x"},
    ]


def test_a_data_url_passes_where_the_version_takes_it() -> None:
    one = talk("3.50.2", protocol=None)
    one.conversation.submit("data:image/png;base64,YWFh", api_name="/image")
    assert sent_on_socket(one) == ["data:image/png;base64,YWFh"]
    one = talk("6.31.0")
    one.conversation.submit("data:image/png;base64,YWFh", api_name="/image")
    assert joined(one) == [{"path": None, "url": "data:image/png;base64,YWFh", "meta": META}]


# Again


def test_a_job_that_is_handed_in_again_does_not_upload_again() -> None:
    one = talk(retry=Retry(queue_full=True, jitter=0.0))
    one.conversation.submit(A, api_name="/image")
    answered(one, "/1")
    (request,) = one.requests(JOIN)
    one.answer(request, {"detail": "Queue is full."}, status=503)
    again = one.sleep(2.0)
    assert [command.url for command in again if isinstance(command, SendRequest)] == [
        "http://app.example/queue/join"
    ]


def test_an_upload_that_could_not_connect_may_be_tried_again() -> None:
    one = talk(retry=Retry(jitter=0.0))
    one.conversation.submit(A, api_name="/image")
    (request,) = one.requests(UPLOAD)
    one.lose(request, ConnectFailed("refused", phase="connect"))
    one.sleep(2.0)
    requests = [command for command in one.asked if isinstance(command, SendRequest)]
    assert requests[-1].url.endswith(("/upload", "/config"))


def test_a_stream_is_not_sent_twice_after_a_redirect() -> None:
    one = talk()
    job = one.conversation.submit(handle_file(io.BytesIO(b"x")), api_name="/image")
    (request,) = one.requests(UPLOAD)
    assert isinstance(request.body, Body)
    assert request.body.size is None
    one.conversation.sent(request.id, 1, one.now)
    one.answer(request, b"", status=307, headers=(("location", "/upload/"),))
    assert "cannot be read twice" in one.failure_of(job).message


def test_what_is_sent_of_no_upload_means_nothing() -> None:
    one = talk()
    job = one.conversation.submit("x", api_name="/text")
    (request,) = one.requests(JOIN)
    one.conversation.sent(request.id, 5, one.now)
    one.conversation.sent(99, 5, one.now)
    one.conversation.cancel(job)
    assert one.of(UploadProgress) == []


# Without a call


def test_a_file_is_uploaded_without_a_call() -> None:
    one = talk()
    job = one.conversation.upload(B)
    (request,) = one.requests(UPLOAD)
    one.answer(request, ["/tmp/b.txt"])
    told = {"path": "/tmp/b.txt", "url": None, "size": 2, "orig_name": "b.txt"}
    more = {"mime_type": "text/plain", "is_stream": False, "meta": META}
    assert one.data_of(job) == ({**told, **more},)
    assert one.new() == []
    one.conversation.submit({**told, **more}, "", api_name="/two")
    assert joined(one) == [{**told, **more}, ""]


def test_a_url_is_fetched_to_be_uploaded_without_a_call() -> None:
    one = talk()
    job = one.conversation.upload(handle_file(URL))
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    assert request.url == URL
    one.answer(request, b"PNG")
    answered(one, "/tmp/x")
    assert one.data_of(job)[0]["path"] == "/tmp/x"


def test_an_upload_without_a_call_can_be_cancelled_and_can_fail() -> None:
    one = talk()
    job = one.conversation.upload(A)
    (request,) = one.requests(UPLOAD)
    assert one.conversation.cancel(job)
    assert one.aborted() == [request.id]
    assert isinstance(one.last_of(job), JobCancelled)
    job = one.conversation.upload(A)
    (request,) = one.requests(UPLOAD)
    one.answer(request, [])
    assert isinstance(one.failure_of(job), RemoteProtocolError)


def test_before_there_was_an_upload_there_is_none() -> None:
    one = talk("3.16.2", protocol=None)
    assert (
        "give handle_file(...) with the call" in one.failure_of(one.conversation.upload(A)).message
    )
    with pytest.raises(OptionError):
        one.conversation.upload("a.png")  # type: ignore[arg-type]


# What the server has lost


def lost(one: Talk, stream: SendRequest, text: str) -> None:
    one.send(stream, starts("e"), failed(text, "e"))


def test_files_that_the_server_has_lost_are_uploaded_again_once() -> None:
    one = talk()
    job = one.conversation.submit(A, api_name="/image")
    answered(one, "/tmp/1/a.png")
    one.answer(one.request(JOIN), {"event_id": "e"})
    (stream,) = one.requests("/queue/data")
    one.open(stream)
    lost(one, stream, "[Errno 2] No such file or directory: '/tmp/1/a.png'")
    assert not one.ends_of(job)
    answered(one, "/tmp/2/a.png")
    (request,) = one.requests(JOIN)
    assert json.loads(body_of(request))["data"][0]["path"] == "/tmp/2/a.png"
    one.answer(request, {"event_id": "e2"})
    error = failed("[Errno 2] No such file or directory: '/tmp/2/a.png'", "e2")
    one.send(stream, starts("e2"), error)
    assert isinstance(one.failure_of(job), AppError)  # once is enough


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("[Errno 2] No such file or directory: '/etc/other'", b"aaa"),
        ("boom /tmp/1/a.png", b"aaa"),
        ("[Errno 2] No such file or directory: '/tmp/1/a.png'", io.BytesIO(b"aaa")),
    ],
)
def test_other_failures_and_streams_are_not_uploaded_again(text: str, source: Any) -> None:
    one = talk()
    job = one.conversation.submit(handle_file(source, name="a.png"), api_name="/image")
    (request,) = one.requests(UPLOAD)
    one.answer(request, ["/tmp/1/a.png"])
    one.answer(one.request(JOIN), {"event_id": "e"})
    (stream,) = one.requests("/queue/data")
    one.open(stream)
    lost(one, stream, text)
    assert one.failure_of(job).message == text


def test_after_an_output_nothing_is_uploaded_again() -> None:
    one = talk()
    job = one.conversation.submit(A, api_name="/image")
    answered(one, "/tmp/1/a.png")
    one.answer(one.request(JOIN), {"event_id": "e"})
    (stream,) = one.requests("/queue/data")
    one.open(stream)
    one.send(stream, starts("e"), generating(["x"], "e"))
    one.send(stream, failed("File /tmp/1/a.png is not in the upload folder", "e"))
    assert isinstance(one.failure_of(job), AppError)


# Files of an app


def test_a_file_of_the_app_goes_by_its_path() -> None:
    one = talk()
    file = RemoteFile({"path": "/tmp/x/r.png", "meta": META}, one.conversation.api_url)
    one.conversation.submit(file, api_name="/image")
    assert joined(one) == [payload("/tmp/x/r.png", "r.png")]
    one.conversation.submit([file, A], api_name="/files")
    answered(one, "/2")
    (files,) = joined(one)
    assert [item["path"] for item in files] == ["/tmp/x/r.png", "/2"]


@pytest.mark.parametrize("base", ["http://other.example/api/", "http://app.example/other/"])
def test_a_file_of_another_app_is_fetched_without_anything_of_the_users(base: str) -> None:
    one = talk(headers={"authorization": "Bearer s"})
    file = RemoteFile({"path": "/r.png", "meta": META}, base)
    one.conversation.submit(file, api_name="/image")
    (request,) = [command for command in one.new() if isinstance(command, SendRequest)]
    assert request.url == f"{base}file=/r.png"
    assert "authorization" not in dict(request.headers)
    one.answer(request, b"PNG")
    assert answered(one, "/here/r.png") == "r.png"
    assert joined(one) == [payload("/here/r.png", "r.png")]


def test_a_file_that_was_sent_as_text_goes_back_as_text_or_is_uploaded() -> None:
    written = {"name": None, "data": "data:image/png;base64,YWFh", "is_file": False}
    one = talk("3.50.2", protocol=None)
    file = RemoteFile(written, one.conversation.api_url)
    one.conversation.submit(file, api_name="/image")
    assert sent_on_socket(one) == ["data:image/png;base64,YWFh"]
    one = talk()
    one.conversation.submit(RemoteFile(written, "http://other.example/"), api_name="/image")
    (request,) = one.requests(UPLOAD)
    assert b"\r\n\r\naaa\r\n" in content(request)[0]


def test_an_image_of_gradio_3_that_is_a_file_there_is_fetched_for_the_argument() -> None:
    one = talk("3.50.2", protocol=None, headers={"x-mine": "1"})
    stored = {"name": "/tmp/r.png", "data": None, "is_file": True}
    one.conversation.submit(RemoteFile(stored, one.conversation.api_url), api_name="/image")
    (request,) = one.requests("/file=/tmp/r.png")
    assert dict(request.headers)["x-mine"] == "1"
    one.answer(request, b"aaa")
    assert sent_on_socket(one) == ["data:image/png;base64,YWFh"]


def test_an_output_in_segments_is_fetched_whole_and_uploaded() -> None:
    one = talk()
    playlist = {"path": "s/r/1/playlist.m3u8", "orig_name": "audio-stream.mp3", "is_stream": True}
    file = RemoteFile({**playlist, "meta": META}, one.conversation.api_url)
    one.conversation.submit([file], api_name="/files")
    (request,) = one.requests("/stream/s/r/1/playlist-file")
    one.answer(request, b"MP3")
    assert answered(one, "/tmp/a.mp3") == "audio-stream.mp3"
    assert joined(one) == [[payload("/tmp/a.mp3", "audio-stream.mp3")]]
