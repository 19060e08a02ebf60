"""Files that are fetched: what is asked, what a hostile server can do, how a break is mended."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio import Limits, RemoteFile, Timeouts
from sansio_gradio.client.commands import Abort, Expect, Pause, Resume, SendRequest
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.events import (
    DownloadCompleted,
    DownloadEvent,
    DownloadFailed,
    DownloadReceived,
    DownloadStarted,
    SessionClosed,
)
from sansio_gradio.protocol.files import META
from sansio_gradio.testing.talk import SRC, Talk, app

MARK = (("etag", '"1"'), ("last-modified", "Mon, 30 Nov 2026 09:00:00 GMT"))
HLS = {"path": "s/1/2/playlist.m3u8", "is_stream": True, "meta": META}
FOLDER = "/stream/s/1/2"


def sized(size: int, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("content-length", str(size)), ("content-type", "text/plain"), *more)


class Fetch(Talk):
    """A conversation, and one download after the other in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(app(version=options.pop("version", "6.31.0")), **options)

    def file(self, path: str = "/tmp/a.txt", **more: Any) -> RemoteFile:
        return RemoteFile({"path": path, "meta": META, **more}, SRC)

    def get(self, file: RemoteFile | None = None, **options: Any) -> tuple[int, SendRequest]:
        """Begin one; its number, and what is asked for it."""
        number = self.conversation.download(file or self.file(), **options)
        (command,) = self.new()
        assert isinstance(command, SendRequest)
        return number, command

    def head(self, command: SendRequest, status: int = 200, *headers: tuple[str, str]) -> None:
        self.conversation.response(command.id, status, headers, self.now)

    def data(self, command: SendRequest, data: bytes) -> None:
        self.conversation.data(command.id, data, self.now)

    def events(self, number: int) -> list[DownloadEvent]:
        self.look()
        found = [event for event in self.said if isinstance(event, DownloadEvent)]
        return [event for event in found if event.download == number]

    def content(self, number: int) -> bytes:
        """All that has come of it."""
        received = [e.data for e in self.events(number) if isinstance(e, DownloadReceived)]
        return b"".join(received)

    def error(self, number: int) -> GradioError:
        """Why it failed; it is over."""
        last = self.events(number)[-1]
        assert isinstance(last, DownloadFailed)
        assert not self.conversation.cancel(number)
        return last.error

    def is_complete(self, number: int) -> bool:
        return isinstance(self.events(number)[-1], DownloadCompleted)


def test_a_file_comes_in_pieces() -> None:
    talk = Fetch()
    number, get = talk.get(talk.file("/tmp/a b%20#.txt"))
    assert (get.method, get.url) == ("GET", f"{SRC}file=/tmp/a%20b%2520%23.txt")
    assert get.expect is Expect.STREAM
    assert ("accept-encoding", "identity") in get.headers
    talk.head(get, 200, *sized(6))
    talk.data(get, b"abc")
    talk.data(get, b"def")
    talk.end(get)
    assert talk.events(number) == [
        DownloadStarted(session=0, download=number, size=6, mime_type="text/plain"),
        DownloadReceived(session=0, download=number, data=b"abc"),
        DownloadReceived(session=0, download=number, data=b"def"),
        DownloadCompleted(session=0, download=number),
    ]
    assert not talk.conversation.cancel(number)


def test_the_address_of_the_server_is_never_used() -> None:
    talk = Fetch(version="5.50.0")
    talk.conversation = Talk(app(api_prefix="/gradio_api")).conversation
    file = RemoteFile({"path": "/tmp/a", "url": "http://elsewhere.example/a"}, f"{SRC}gradio_api/")
    _, get = talk.get(file)
    assert get.url == f"{SRC}gradio_api/file=/tmp/a"


def test_a_data_url_asks_nothing() -> None:
    talk = Fetch()
    for url, content in (("data:text/plain;base64,aGk=", b"hi"), ("data:,", b"")):
        number = talk.conversation.download(RemoteFile({"data": url}, "http://other.example/"))
        assert talk.new() == []
        assert talk.content(number) == content
        assert talk.is_complete(number)
    number = talk.conversation.download(RemoteFile({"data": "data:;base64,?"}, SRC))
    assert isinstance(talk.error(number), RemoteProtocolError)
    small = Fetch(limits=Limits(download=1))
    number = small.conversation.download(RemoteFile({"data": "data:,hi"}, SRC))
    assert "Limits.download" in str(small.error(number))


def test_a_file_of_another_app_is_not_asked_of_this_one() -> None:
    talk = Fetch()
    with pytest.raises(LocalProtocolError, match=r"lies at another app, http://other\.example/"):
        talk.conversation.download(RemoteFile({"path": "/a"}, "http://other.example/"))
    with pytest.raises(LocalProtocolError, match="once the session is connected"):
        Talk().conversation.download(talk.file())


# What the server says


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "text"),
    [
        (404, (), {"detail": "File not found: /tmp/a."}, AppError, "File not found: /tmp/a."),
        (403, (), {"detail": "File not allowed: /a."}, AppError, "does not hand out this file"),
        (
            404,
            (),
            b"<html>not here</html>",
            RemoteProtocolError,
            "the server answered 404: '<html>",
        ),
        (401, (), {"detail": "Not authenticated"}, AuthenticationError, "login"),
        (500, (), b"Internal Server Error", RemoteProtocolError, "500"),
        (206, (), b"abc", RemoteProtocolError, "206"),
        (
            302,
            (("location", "http://elsewhere.example/x"),),
            b"",
            RemoteProtocolError,
            "redirected to http://elsewhere.example",
        ),
    ],
)
def test_what_is_not_the_file(
    status: int, headers: tuple[tuple[str, str], ...], body: Any, kind: type[Exception], text: str
) -> None:
    talk = Fetch(headers={"authorization": "secret"})
    number, get = talk.get()
    talk.answer(get, body, status=status, headers=headers)
    assert talk.new() == []  # nothing goes elsewhere
    error = talk.error(number)
    assert type(error) is kind
    assert text in str(error)
    assert (error.phase, error.url) == ("download", f"{SRC}file=/tmp/a.txt")


def test_a_redirect_within_the_app_is_followed() -> None:
    talk = Fetch()
    number, get = talk.get()
    talk.answer(get, b"", status=307, headers=(("location", "/there"),))
    (again,) = talk.requests("/there")
    talk.head(again, 200, *sized(1))
    talk.data(again, b"x")
    talk.end(again)
    assert talk.content(number) == b"x"
    assert talk.is_complete(number)


def test_a_body_that_is_compressed_though_nobody_asked_for_that_is_an_error() -> None:
    talk = Fetch()
    number, get = talk.get()
    talk.head(get, 200, ("content-encoding", "gzip"))
    assert talk.new() == [Abort(get.id)]
    assert "the answer is encoded, as 'gzip'" in str(talk.error(number))


@pytest.mark.parametrize("headers", [(), sized(11)])
def test_a_file_has_a_limit(headers: tuple[tuple[str, str], ...]) -> None:
    """Told in advance, or a body without end."""
    talk = Fetch(limits=Limits(download=10))
    number, get = talk.get()
    talk.head(get, 200, *headers)
    if not headers:
        for _ in range(3):
            talk.data(get, b"12345")
    assert Abort(get.id) in talk.new()
    assert "exceeds 10 bytes (Limits.download)" in str(talk.error(number))
    assert len(talk.content(number)) <= 10


@pytest.mark.parametrize("length", ["", "x", "\u0661", "-1"])
def test_a_length_that_is_none_is_not_known(length: str) -> None:
    talk = Fetch()
    number, get = talk.get()
    talk.head(get, 200, ("content-length", length))
    started = talk.events(number)[0]
    assert isinstance(started, DownloadStarted)
    assert started.size is None


# Time


def test_a_server_that_says_nothing_is_given_up() -> None:
    talk = Fetch(timeouts=Timeouts(download=5))
    number, get = talk.get()
    assert talk.sleep(5) == [Abort(get.id)]
    error = talk.error(number)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "download"


def test_a_file_that_drips_is_given_up() -> None:
    talk = Fetch(timeouts=Timeouts(download=5))
    number, get = talk.get()
    talk.head(get, 200)
    for _ in range(5):
        talk.data(get, bytes(64 * 1024))
        assert talk.sleep(4.9) == []
    for _ in range(4):
        talk.data(get, b"drip")
        talk.sleep(1.5)
    assert isinstance(talk.error(number), DeadlineExceeded)
    assert Abort(get.id) in talk.asked


@pytest.mark.parametrize("waits", [False, True])
def test_a_download_of_a_job_has_what_the_job_has_left(waits: bool) -> None:
    talk = Fetch(limits=Limits(downloads=1 if waits else 3))
    others = [talk.conversation.download(talk.file("0")) for _ in range(2)]
    late, dropped = (talk.conversation.download(talk.file("1"), timeout=3.0) for _ in range(2))
    assert talk.conversation.cancel(dropped)
    talk.sleep(2.9)
    assert talk.events(late) == []
    talk.sleep(0.2)
    error = talk.error(late)
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "job"
    assert talk.sleep(10.0) == []
    assert [talk.events(number) for number in (*others, dropped)] == [[], [], []]


def test_a_timeout_is_in_seconds() -> None:
    talk = Fetch()
    with pytest.raises(LocalProtocolError, match="timeout"):
        talk.conversation.download(talk.file(), timeout=-1.0)


def test_a_paused_download_is_not_late() -> None:
    talk = Fetch(timeouts=Timeouts(download=5))
    number, get = talk.get()
    talk.head(get, 200)
    assert talk.conversation.pause(number)
    assert talk.sleep(100) == [Pause(get.id)]
    assert talk.conversation.pause(number, on=False)
    assert talk.sleep(4.9) == [Resume(get.id)]
    assert talk.sleep(0.2) == [Abort(get.id)]
    assert isinstance(talk.error(number), DeadlineExceeded)


def test_a_growing_output_may_be_slow() -> None:
    talk = Fetch(version="4.44.1", timeouts=Timeouts(download=5))
    number, get = talk.get(RemoteFile({"path": "s/1/2", "is_stream": True}, SRC))
    assert get.url == f"{SRC}stream/s/1/2"
    talk.head(get, 200)
    for _ in range(5):
        talk.data(get, b"x")
        assert talk.sleep(4.9) == []
    talk.end(get)
    assert talk.content(number) == b"xxxxx"
    assert talk.is_complete(number)


# A break


def broken(talk: Fetch, *, size: int = 6, **options: Any) -> tuple[int, SendRequest]:
    """A download that breaks after three bytes; what is asked then."""
    number, get = talk.get(**options)
    talk.head(get, 200, *sized(size, *MARK))
    talk.data(get, b"abc")
    talk.lose(get)
    (look,) = talk.new()
    assert isinstance(look, SendRequest)
    assert (look.method, look.url) == ("HEAD", get.url)
    return number, look


def rest_of(talk: Fetch, look: SendRequest) -> SendRequest:
    """The file is still the same; what is asked then."""
    talk.answer(look, b"", headers=sized(6, *MARK))
    (rest,) = talk.new()
    assert isinstance(rest, SendRequest)
    return rest


def test_a_download_goes_on_where_it_broke() -> None:
    talk = Fetch()
    number, look = broken(talk)
    rest = rest_of(talk, look)
    assert rest.method == "GET"
    assert ("range", "bytes=3-5") in rest.headers
    talk.head(rest, 206, ("content-range", "bytes 3-5/6"), ("content-length", "3"))
    talk.data(rest, b"def")
    talk.end(rest)
    assert talk.content(number) == b"abcdef"
    assert talk.is_complete(number)
    assert len([e for e in talk.events(number) if isinstance(e, DownloadStarted)]) == 1


def test_what_comes_again_is_left_out() -> None:
    """A proxy may not know ranges."""
    talk = Fetch()
    number, look = broken(talk)
    rest = rest_of(talk, look)
    talk.head(rest, 200, *sized(6, *MARK))
    for piece in (b"ab", b"cd", b"ef"):
        talk.data(rest, piece)
    talk.end(rest)
    assert talk.content(number) == b"abcdef"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, (("content-range", "bytes 0-5/6"),)),
        (206, (("content-range", "bytes 3-5/7"),)),
        (206, ()),
        (200, sized(7, *MARK)),
        (200, sized(6)),
    ],
)
def test_the_rest_of_another_file_is_not_taken(
    status: int, headers: tuple[tuple[str, str], ...]
) -> None:
    talk = Fetch()
    number, look = broken(talk)
    rest = rest_of(talk, look)
    talk.head(rest, status, *headers)
    talk.data(rest, b"xyz")
    assert Abort(rest.id) in talk.new()
    assert isinstance(talk.error(number), ConnectionLost)
    assert talk.content(number) == b"abc"


@pytest.mark.parametrize("content", [b"de", b"defg"])
def test_a_rest_of_another_length_than_its_range_makes_no_whole_file(content: bytes) -> None:
    talk = Fetch()
    number, look = broken(talk)
    rest = rest_of(talk, look)
    talk.head(rest, 206, ("content-range", "bytes 3-5/6"))
    talk.data(rest, content)
    talk.end(rest)
    assert isinstance(talk.error(number), ConnectionLost)


def test_a_rest_that_is_refused_is_the_break() -> None:
    talk = Fetch()
    number, look = broken(talk)
    talk.answer(rest_of(talk, look), {"detail": "Requested Range Not Satisfiable"}, status=416)
    assert isinstance(talk.error(number), ConnectionLost)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, sized(6, ("etag", '"2"'), MARK[1])), (200, sized(7, *MARK)), (405, ())],
)
def test_a_file_that_may_have_changed_does_not_go_on(
    status: int, headers: tuple[tuple[str, str], ...]
) -> None:
    talk = Fetch()
    number, look = broken(talk)
    talk.answer(look, b"", status=status, headers=headers)
    assert talk.new() == []
    assert isinstance(talk.error(number), ConnectionLost)


@pytest.mark.parametrize(
    ("headers", "data", "options"),
    [
        (sized(6, *MARK), b"", {}),
        (sized(6), b"abc", {}),
        ((("content-type", "text/plain"), *MARK), b"abc", {}),
        (sized(6, *MARK), b"abc", {"resume": False}),
    ],
)
def test_without_a_proof_a_download_does_not_go_on(
    headers: tuple[tuple[str, str], ...], data: bytes, options: dict[str, Any]
) -> None:
    talk = Fetch()
    number, get = talk.get(**options)
    talk.head(get, 200, *headers)
    if data:
        talk.data(get, data)
    talk.lose(get)
    assert talk.new() == []
    assert isinstance(talk.error(number), ConnectionLost)


def test_a_download_breaks_for_good_at_last() -> None:
    talk = Fetch()
    number, look = broken(talk, size=6)
    for breaks in range(1, 7):
        rest = rest_of(talk, look)
        talk.head(rest, 206, ("content-range", "bytes 3-5/6"))
        talk.lose(rest)
        if breaks == 5:
            break
        (again,) = talk.new()
        assert isinstance(again, SendRequest)
        look = again
    assert talk.new() == []
    assert isinstance(talk.error(number), ConnectionLost)


def test_a_paused_download_that_breaks_goes_on_when_it_is_read_again() -> None:
    talk = Fetch()
    number, get = talk.get()
    talk.head(get, 200, *sized(6, *MARK))
    talk.data(get, b"abc")
    talk.conversation.pause(number)
    talk.lose(get)
    assert [c for c in talk.new() if isinstance(c, SendRequest)] == []
    talk.conversation.pause(number, on=False)
    (look,) = [c for c in talk.new() if isinstance(c, SendRequest)]
    talk.conversation.pause(number)
    talk.answer(look, b"", headers=sized(6, *MARK))
    assert [c for c in talk.new() if isinstance(c, SendRequest)] == []
    talk.conversation.pause(number, on=False)
    (look,) = [c for c in talk.new() if isinstance(c, SendRequest)]
    assert ("range", "bytes=3-5") in rest_of(talk, look).headers


def test_a_download_cancelled_while_it_is_looked_at_says_nothing_more() -> None:
    talk = Fetch()
    number, look = broken(talk)
    before = talk.events(number)
    assert talk.conversation.cancel(number)
    talk.answer(look, b"", headers=sized(6, *MARK))
    assert [c for c in talk.new() if isinstance(c, SendRequest)] == []
    assert talk.events(number) == before


# Many


def test_downloads_wait_for_their_turn() -> None:
    talk = Fetch(limits=Limits(downloads=2))
    numbers = [talk.conversation.download(talk.file(str(n))) for n in range(4)]
    one, two = talk.requests("/file=0", "/file=1")
    talk.head(one, 200)
    talk.end(one)
    (three,) = talk.requests("/file=2")
    talk.head(two, 200)
    talk.head(three, 200)
    # What nobody reads does not hold up the others.
    assert talk.conversation.pause(numbers[1])
    (pause, four) = talk.new()
    assert pause == Pause(two.id)
    assert isinstance(four, SendRequest)
    assert four.url == f"{SRC}file=3"


def test_a_waiting_download_can_be_cancelled_or_paused() -> None:
    talk = Fetch(limits=Limits(downloads=1))
    _, one = talk.get(talk.file("0"))
    cancelled, paused = (talk.conversation.download(talk.file(n)) for n in ("1", "2"))
    assert talk.conversation.cancel(cancelled)
    assert talk.conversation.pause(paused)
    talk.answer(one, b"x", headers=sized(1))
    get, pause = talk.new()
    assert isinstance(get, SendRequest)
    assert get.url == f"{SRC}file=2"
    assert pause == Pause(get.id)
    assert talk.events(cancelled) == []


@pytest.mark.unmeasured
def test_a_thousand_that_end_at_once_are_no_recursion() -> None:
    talk = Fetch(limits=Limits(downloads=1))
    _, one = talk.get(talk.file("0"))
    file = RemoteFile({"data": "data:,x"}, SRC)
    numbers = [talk.conversation.download(file) for _ in range(1000)]
    talk.answer(one, b"x", headers=sized(1))
    assert all(talk.is_complete(number) for number in numbers)


def test_a_cancelled_download_is_dropped() -> None:
    talk = Fetch()
    number, get = talk.get()
    talk.head(get, 200)
    assert talk.conversation.cancel(number)
    assert talk.new() == [Abort(get.id)]
    assert not talk.conversation.cancel(number)
    assert not talk.conversation.pause(number)
    assert talk.sleep(1000) == []


def test_closing_ends_downloads() -> None:
    talk = Fetch(limits=Limits(downloads=1))
    numbers = [talk.conversation.download(talk.file()) for _ in range(2)]
    talk.new()
    talk.conversation.close()
    talk.look()
    for number in numbers:
        assert "The session was closed." in str(talk.error(number))
    assert isinstance(talk.said[-1], SessionClosed)
    with pytest.raises(LocalProtocolError, match="closed"):
        talk.conversation.download(talk.file())


# Outputs in segments (5.0 and later)


def playlist(*segments: str, end: bool = False) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
    for segment in segments:
        lines += ["#EXTINF:0.128000", segment]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if end else [])]).encode()


def test_an_output_in_segments_is_one_file_by_default() -> None:
    talk = Fetch()
    number, get = talk.get(RemoteFile(HLS, SRC))
    assert get.url == f"{SRC}stream/s/1/2/playlist-file"
    talk.answer(get, b"whole", headers=(("content-type", "audio/mpeg"),))
    assert talk.content(number) == b"whole"


def test_segments_come_while_the_output_grows() -> None:
    talk = Fetch()
    number, get = talk.get(RemoteFile(HLS, SRC), growing=True)
    assert get.url == f"{SRC}stream/s/1/2/playlist.m3u8"
    talk.answer(get, playlist("a.aac", "b.aac"), headers=())
    for name in ("a.aac", "b.aac"):
        talk.answer(talk.request(f"{FOLDER}/{name}"), name.encode(), headers=())
    talk.answer(talk.request(f"{FOLDER}/playlist.m3u8"), playlist("a.aac", "b.aac"), headers=())
    (get,) = talk.sleep(0.5)  # type: ignore[assignment]
    talk.answer(get, playlist("a.aac", "b.aac", "c.aac", end=True), headers=())
    talk.answer(talk.request(f"{FOLDER}/c.aac"), b"c", headers=())
    assert talk.content(number) == b"a.aacb.aacc"
    assert talk.is_complete(number)
    assert talk.events(number)[0] == DownloadStarted(
        session=0, download=number, size=None, mime_type=None
    )
    assert talk.sleep(1000) == []


def test_segments_wait_while_nobody_reads() -> None:
    talk = Fetch()
    number, get = talk.get(RemoteFile(HLS, SRC), growing=True)
    talk.answer(get, playlist("a.aac", end=True), headers=())
    get = talk.request(f"{FOLDER}/a.aac")
    talk.head(get, 200)
    assert talk.conversation.pause(number)
    talk.data(get, b"a")
    talk.end(get)
    assert not talk.is_complete(number)
    assert talk.conversation.pause(number, on=False)
    assert talk.is_complete(number)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>", "something else than a playlist"),
        (b"", "something else than a playlist"),
        (playlist("http://elsewhere.example/a.aac"), "beside it"),
        (playlist("../../../file=/etc/passwd"), "beside it"),
        (playlist("%2e%2e"), "beside it"),
        (playlist("a.aac?x"), "beside it"),
    ],
)
def test_a_playlist_leads_nowhere_else(body: bytes, text: str) -> None:
    talk = Fetch()
    number, get = talk.get(RemoteFile(HLS, SRC), growing=True)
    talk.answer(get, body, headers=())
    assert [c for c in talk.new() if isinstance(c, SendRequest)] == []
    assert text in str(talk.error(number))


def test_a_playlist_has_a_limit() -> None:
    talk = Fetch(limits=Limits(answer=10))
    number, get = talk.get(RemoteFile(HLS, SRC), growing=True)
    talk.head(get, 200)
    talk.data(get, b"x" * 11)
    assert "Limits.answer" in str(talk.error(number))


@pytest.mark.parametrize("ending", ["refused", "lost", "silent"])
def test_segments_that_do_not_come(ending: str) -> None:
    talk = Fetch(timeouts=Timeouts(download=5))
    number, get = talk.get(RemoteFile(HLS, SRC), growing=True)
    if ending == "refused":
        talk.answer(get, b"", status=404)
    elif ending == "lost":
        talk.lose(get)
    else:
        asked: list[Any] = [get]
        while asked:
            talk.answer(asked[0], playlist(), headers=())
            asked = talk.sleep(0.5)
    kinds = {"refused": RemoteProtocolError, "lost": ConnectionLost, "silent": DeadlineExceeded}
    assert isinstance(talk.error(number), kinds[ending])
