"""Files on connections: slices to be read, what becomes of a request whose file fails, and when a
request with a file goes on another connection."""

from __future__ import annotations

import io
from typing import Any

import h11
import pytest

from sansio_gradio import Engine, FileSlice, GivenFile, Limits, Session, Want, handle_file
from sansio_gradio.client.commands import CloseConnection, OpenConnection, ReadFile
from sansio_gradio.errors import ConnectionLost, LocalProtocolError
from sansio_gradio.events import JobFailed, UploadProgress
from sansio_gradio.testing.driver import Driver, bytes_of
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, reply
from tests.client.test_uploads import app

CONTENT = bytes(range(256)) * 10


def take_upload(asked: Asked) -> bytes | None:
    return reply(["/stored"]) if asked.path == "/upload" else None


class Hand:
    """An engine driven by hand, with one session; time stands still."""

    def __init__(self, version: str = "6.31.0", **options: Any) -> None:
        protocol = None if version.startswith("3") else "sse_v3"
        self.engine = Engine(entropy=counted_entropy(), **options)
        self.session: Session = self.engine.session(
            "http://app.example/", app=app(version, protocol)
        )
        self.sent: dict[int, list[bytes | FileSlice]] = {}
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.reads: list[ReadFile] = []
        self.events: list[Any] = []

    def step(self, piece: int = 65536) -> None:
        engine = self.engine
        for _ in range(1000):
            moved = False
            if (due := engine.next_deadline()) is not None and due <= 0.0:
                engine.handle_timer(0.0)
                moved = True
            while (command := engine.next_command()) is not None:
                moved = True
                if isinstance(command, OpenConnection):
                    self.opened.append(command.conn)
                    engine.connection_made(command.conn, 0.0)
                elif isinstance(command, CloseConnection):
                    self.closed.append(command.conn)
                elif isinstance(command, ReadFile):
                    self.reads.append(command)
            for conn in engine.connections_with_data():
                while data := engine.data_to_send(conn, piece):
                    moved = True
                    self.sent.setdefault(conn, []).append(data)
            while (event := engine.next_event()) is not None:
                moved = True
                self.events.append(event)
            if not moved:
                return
        raise AssertionError("it runs in circles")

    def slices(self, conn: int) -> list[FileSlice]:
        return [piece for piece in self.sent[conn] if isinstance(piece, FileSlice)]

    def failure(self) -> Any:
        (end,) = [event for event in self.events if isinstance(event, JobFailed)]
        return end.error


def given(source: Any = CONTENT, **more: Any) -> GivenFile:
    return handle_file(source, name="a.bin", **more)


def test_an_upload_is_a_request_with_its_length_and_the_file_in_slices() -> None:
    peer = ByHand(take_upload)
    driver = Driver(Engine(entropy=counted_entropy()), peer, piece=100)
    session = driver.engine.session("http://app.example/", app=app())
    session.submit(given(), "", api_name="/two")
    driver.settle()
    upload, join = peer.asked
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert upload.body.split(b"\r\n\r\n", 1)[1].startswith(CONTENT)
    assert b'"/stored"' in join.body
    told = driver.of(UploadProgress)
    assert [event.sent for event in told] == [*range(100, 2560, 100), 2560]
    assert {(event.total, event.name) for event in told} == {(2560, "a.bin")}


def test_slices_are_as_long_as_is_asked_for_and_bytes_are_never_mixed_with_them() -> None:
    hand = Hand()
    hand.session.submit(given(), "", api_name="/two")
    hand.step(1000)
    head, *slices, tail = hand.sent[1]
    assert isinstance(head, bytes)
    assert head.endswith(b"\r\n\r\n")
    assert isinstance(tail, bytes)
    assert tail.endswith(b"--\r\n")
    found = [(piece.offset, piece.length) for piece in slices if isinstance(piece, FileSlice)]
    assert found == [(0, 1000), (1000, 1000), (2000, 560)]
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"".join(map(bytes_of, hand.sent[1])))
    assert isinstance(peer.next_event(), h11.Request)
    assert isinstance(peer.next_event(), h11.Data)
    assert isinstance(peer.next_event(), h11.EndOfMessage)


def test_a_file_that_fails_ends_its_job_and_its_connection() -> None:
    hand = Hand()
    hand.session.submit(given(), "", api_name="/two")
    hand.step(1000)
    hand.engine.body_failed(hand.slices(1)[0].upload, OSError("disk on fire"))
    hand.step()
    error = hand.failure()
    assert isinstance(error, LocalProtocolError)
    assert error.message == "handle_file('a.bin') cannot be read: disk on fire"
    assert isinstance(error.__cause__, OSError)
    assert (error.phase, error.url) == ("upload", "http://app.example/upload")
    assert hand.closed == [1]
    hand.engine.body_failed(hand.slices(1)[0].upload, OSError("again"))  # is no news
    hand.engine.body_read(hand.slices(1)[0].upload, b"late")
    hand.step()
    assert len(hand.opened) == 1


def test_a_file_of_unknown_size_is_sent_in_chunks() -> None:
    hand = Hand()
    hand.session.submit(given(io.BytesIO()), "", api_name="/two")
    hand.step(1000)
    (head, asked) = hand.sent[1]
    assert isinstance(asked, FileSlice)
    assert (asked.offset, asked.length) == (0, 1000)
    assert isinstance(head, bytes)
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    for data in (b"first", b"second", b""):
        hand.engine.body_read(asked.upload, data)
        hand.step(1000)
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"".join(piece for piece in hand.sent[1] if isinstance(piece, bytes)))
    assert isinstance(peer.next_event(), h11.Request)
    body = b""
    while isinstance(event := peer.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert b"\r\n\r\nfirstsecond\r\n--" in body
    assert [piece.offset for piece in hand.slices(1)] == [0, 5, 11]
    told = [(e.sent, e.total) for e in hand.events if isinstance(e, UploadProgress)]
    assert told == [(5, None), (11, None), (11, None)]
    hand.engine.receive_data(1, reply(["/stored"]), 0.0)
    hand.step()
    assert b'"/stored"' in b"".join(p for p in hand.sent[1] if isinstance(p, bytes))


def test_a_request_with_a_file_goes_on_another_connection_only_if_it_was_not_sent_whole() -> None:
    hand = Hand()
    hand.session.submit(given(), "", api_name="/two")
    hand.engine.handle_timer(0.0)
    hand.engine.next_command()
    hand.engine.connection_made(1, 0.0)
    hand.engine.data_to_send(1)
    assert isinstance(hand.engine.data_to_send(1, 1000), FileSlice)
    hand.engine.connection_lost(1, ConnectionResetError("gone"), 0.0)
    hand.step()
    assert hand.opened == [2]
    whole = b"".join(map(bytes_of, hand.sent[2]))
    assert CONTENT in whole  # from its beginning
    hand.engine.connection_lost(2, ConnectionResetError("gone"), 0.0)
    hand.step()
    assert hand.opened == [2]
    assert isinstance(hand.failure(), ConnectionLost)


def test_a_stream_that_was_begun_is_not_sent_again() -> None:
    hand = Hand()
    hand.session.submit(given(io.BytesIO()), "", api_name="/two")
    hand.step(1000)
    hand.engine.connection_lost(1, ConnectionResetError("gone"), 0.0)
    hand.step()
    assert hand.opened == [1]
    assert isinstance(hand.failure(), ConnectionLost)


@pytest.mark.parametrize("keeps", [True, False])
def test_an_answer_before_the_file_was_sent_is_read_and_the_rest_is_not_sent(keeps: bool) -> None:
    hand = Hand()
    hand.session.submit(given(), "", api_name="/two")
    hand.engine.handle_timer(0.0)
    hand.engine.next_command()
    hand.engine.connection_made(1, 0.0)
    hand.engine.data_to_send(1)
    hand.engine.data_to_send(1, 1000)
    text = b"File size exceeded maximum allowed size of 1000 bytes."
    hand.engine.receive_data(1, reply(text, 413, *([] if keeps else ["connection: close"])), 0.0)
    hand.step()
    assert hand.failure().message == text.decode()
    assert hand.closed == [1]
    assert hand.sent == {}


def test_a_content_for_an_argument_is_asked_for_and_told() -> None:
    for failed in (False, True):
        hand = Hand("3.50.2")
        hand.session.submit(given("/x"), api_name="/image")
        hand.step()
        (command,) = hand.reads
        assert command.upload.source == "/x"
        assert command.limit == Limits().answer
        if failed:
            hand.engine.body_failed(command.upload, OSError("gone"))
            hand.step()
            assert "gone" in hand.failure().message
        else:
            hand.engine.body_read(command.upload, b"PNG")
            hand.step()
            assert hand.opened == [1]  # the WebSocket of the job
        hand.engine.body_read(command.upload, b"again")  # is no news


def test_an_error_of_ours_is_told_as_it_is() -> None:
    hand = Hand()
    hand.session.submit(given(), "", api_name="/two", want=Want.RESULT)
    hand.step(1000)
    hand.engine.body_failed(hand.slices(1)[0].upload, LocalProtocolError("it has changed"))
    hand.step()
    assert hand.failure().message == "it has changed"
    assert not [event for event in hand.events if isinstance(event, UploadProgress)]


def test_a_content_that_comes_after_the_session_is_no_news() -> None:
    hand = Hand("3.50.2")
    job = hand.session.submit(given("/x"), api_name="/image")
    hand.step()
    hand.session.cancel(job)
    hand.session.close()
    hand.step()
    hand.engine.body_read(hand.reads[0].upload, b"late")
    hand.step()
    assert hand.opened == []
