"""Talking both ways: ``send_data``, streams that listen, and inputs in pieces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sansio_gradio.errors import AppError, ConnectFailed, LocalProtocolError
from sansio_gradio.limits import Timeouts
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import STATE
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client, JobCancelledError, MessageStream

JSON_TYPE = {"Content-Type": "application/json"}


class Talkative:
    """The app, and what it has heard."""

    def __init__(self, version: str) -> None:
        self.app = App(version=version, show_error=True, concurrency_limit=None)
        self.ended = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.headers: list[dict[str, str]] = []
        self.sessions: list[str | None] = []
        for function in (self.interactive, self.plain, self.greet, self.endless, self.picky):
            self.app.add_function(function)
        self.app.add_function(self.interactive, "other")
        self.app.add_function(self.plain, "unqueued", queue=False)
        slots = (Slot(name="seen", component=STATE), Slot(name="text"))
        self.app.add(
            "remember",
            call=lambda seen, text: [(seen or "") + text] * 2,
            parameters=slots,
            returns=slots,
        )
        if self.app.version >= (5,):
            self.app.add_function(self.frame, streaming=True)

    def interactive(self, data: Any, run: Run) -> Iterator[Any]:
        self.headers.append(dict(run.headers))
        self.sessions.append(run.session_hash)
        yield ["heard"]
        yield ["heard", data]

    def plain(self, data: Any) -> Any:
        return data

    def greet(self) -> str:
        assert self.go_on.wait(PATIENCE)
        return "Hello."

    def endless(self, data: Any) -> Iterator[Any]:
        try:
            while True:
                yield data
                self.go_on.wait(0.01)
        finally:
            self.ended.release()

    def picky(self, text: str) -> str:
        raise AppError(f"not {text}")

    def frame(self, picture: str) -> str:
        return f"seen: {picture}"


@pytest.fixture(scope="module", params=["6.31.0", "3.50.2"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Talkative, str]]:
    talkative = Talkative(request.param)
    with serve_in_thread(talkative.app) as url:
        yield talkative, url
        talkative.go_on.set()


@pytest.fixture
def app(served: tuple[Talkative, str]) -> Talkative:
    served[0].go_on.clear()
    return served[0]


@pytest.fixture
def client(served: tuple[Talkative, str], app: Talkative) -> Iterator[Client]:
    with Client(served[1], timeouts=Timeouts(send=PATIENCE)) as client:
        yield client


def in_thread(what: Callable[[], Any]) -> Callable[[], Any]:
    """Begin *what*; the result waits for what it returns, or raises."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(what())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(PATIENCE)
        (it,) = found
        if isinstance(it, BaseException):
            raise it
        return it

    return result


def send(client: Client, data: dict[str, Any], **hash_data: Any) -> Any:
    return client.send_data(data, hash_data, client.protocol, JSON_TYPE)


def index_of(client: Client, api_name: str) -> int:
    return client.app.endpoint(api_name).fn_index


def until_completed(stream: MessageStream) -> list[Any]:
    """The outputs of the next job that completes."""
    outputs: list[Any] = []
    for message in stream:
        if message.get("msg") in ("process_generating", "process_completed"):
            outputs.append(message.get("output", {}).get("data"))
        if message.get("msg") == "process_completed":
            return outputs
    raise AssertionError("the stream has ended")


def heard(data: Any) -> list[Any]:
    return [[["heard"]], [["heard", data]], [["heard", data]]]


# Streams that listen


def test_without_the_arguments_that_are_required_a_stream_listens(client: Client) -> None:
    with client.stream_messages(api_name="/interactive") as stream:
        for count in range(3):
            name = send(client, {"counter": count})
            assert isinstance(name, int if client.protocol == "ws" else str)
            assert until_completed(stream) == heard({"counter": count})


def test_without_required_arguments_a_stream_calls_as_ever(client: Client, app: Talkative) -> None:
    with client.stream_messages(api_name="/greet") as stream:
        app.go_on.set()
        assert until_completed(stream)[-1] == ["Hello."]
        assert list(stream) == []


def test_a_job_of_its_own_and_one_that_is_sent_share_a_stream(client: Client) -> None:
    with client.stream_messages("first", api_name="/endless") as stream:
        send(client, {"data": ["second"]})
        found: set[str] = set()
        for message in stream:
            found.update((message.get("output") or {}).get("data", ()))
            if found == {"first", "second"}:
                break


def test_leaving_a_stream_ends_what_was_sent_to_it(client: Client, app: Talkative) -> None:
    with client.stream_messages(api_name="/endless") as stream:
        send(client, {"data": ["one"]})
        send(client, {"data": ["two"]})
        next(iter(stream))
    for _ in range(2):
        assert app.ended.acquire(timeout=PATIENCE)
    assert list(stream) == []
    with client.stream_messages(api_name="/interactive") as stream:  # nothing is mixed up
        send(client, {"data": ["three"]})
        assert until_completed(stream) == heard("three")


def test_a_failed_job_does_not_end_a_stream_that_listens(client: Client) -> None:
    with client.stream_messages(api_name="/picky") as stream:
        for _ in range(2):
            send(client, {"data": ["you"]})
            (message,) = (m for m in stream_until(stream, "process_completed"))
            assert message["success"] is False


def stream_until(stream: MessageStream, kind: str) -> Iterator[Any]:
    for message in stream:
        if message.get("msg") == kind:
            yield message
            return


def test_closing_the_client_ends_a_stream_that_listens(client: Client) -> None:
    stream = client.stream_messages(api_name="/interactive")
    send(client, {"data": ["x"]})
    until_completed(stream)
    read = in_thread(lambda: list(stream))
    client.close()
    assert read() == []


def test_a_new_session_ends_a_stream_that_listens(client: Client) -> None:
    stream = client.stream_messages(api_name="/interactive")
    client.reset_session()
    assert list(stream) == []


def test_a_stream_that_listens_where_nothing_is_says_so(client: Client) -> None:
    with pytest.raises(LocalProtocolError, match="nowhere"):
        list(client.stream_messages(api_name="/nowhere"))


def test_the_end_of_the_server_ends_a_stream_that_listens() -> None:
    talkative = Talkative("3.50.2")
    with serve_in_thread(talkative.app, grace=0.1) as url:
        client = Client(url)
        stream = client.stream_messages(api_name="/endless")
        send(client, {"data": ["x"]})
        next(stream)
    with pytest.raises(ConnectionError):
        list(stream)
    assert list(stream) == []
    with client, pytest.raises(ConnectFailed):
        send(client, {"data": ["y"]}, fn_index=index_of(client, "/endless"))


# Where data goes


def test_the_data_as_on_the_wire(client: Client, app: Talkative) -> None:
    number = index_of(client, "/interactive")
    with client.stream_messages(api_name="/interactive") as stream:
        send(client, {"data": ["a"], "fn_index": number, "session_hash": client.session_hash})
        assert until_completed(stream) == heard("a")
        send(client, {"data": "no list"}, fn_index=number)
        assert until_completed(stream) == heard({"data": "no list"})
        assert app.sessions[-2:] == [client.session_hash] * 2


def test_state_is_null_on_the_wire_and_may_be_left_out(client: Client) -> None:
    with client.stream_messages(api_name="/remember") as stream:
        send(client, {"data": [None, "a"]})
        assert until_completed(stream)[-1] == [None, "a"]
        send(client, {"data": ["b"]})
        assert until_completed(stream)[-1] == [None, "ab"]


def test_an_endpoint_without_a_stream_may_be_named(client: Client) -> None:
    assert send(client, {"data": ["x"]}, fn_index=index_of(client, "/plain"))
    assert send(client, {"data": ["x"]}, fn_index=index_of(client, "/unqueued"))


def test_headers_go_with_one_request_only(client: Client, app: Talkative) -> None:
    with client.stream_messages(api_name="/interactive") as stream:
        client.send_data({"data": [1]}, {}, client.protocol, {"X-Mine": "1"})
        until_completed(stream)
        assert app.headers[-1].get("x-mine") == "1"
        send(client, {"data": [2]})
        until_completed(stream)
        assert "x-mine" not in app.headers[-1]


def test_it_waits_for_a_stream(client: Client) -> None:
    sent = in_thread(lambda: send(client, {"data": [1]}))
    with client.stream_messages(api_name="/interactive") as stream:
        assert until_completed(stream) == heard(1)
        assert sent()


def test_it_does_not_wait_for_ever(served: tuple[Talkative, str]) -> None:
    with Client(served[1], timeouts=Timeouts(send=0.05)) as client:
        with pytest.raises(LocalProtocolError, match="No stream_messages is open"):
            send(client, {"data": [1]})
        with client.stream_messages(api_name="/interactive") as stream:
            send(client, {"data": [2]})
            assert until_completed(stream) == heard(2)


@pytest.mark.parametrize("protocol", ["sse_v1", "ws2", ""])
def test_another_protocol_is_refused(client: Client, protocol: str) -> None:
    with pytest.raises(ValueError, match=r"client\.protocol") as caught:
        client.send_data({}, {}, protocol, {})
    assert repr(client.protocol) in str(caught.value)


def test_what_cannot_be_sent(client: Client) -> None:
    with client.stream_messages(api_name="/interactive"):
        with pytest.raises(LocalProtocolError, match="do not fit"):
            send(client, {"data": [1, 2, 3]})
        with pytest.raises(LocalProtocolError, match="own session"):
            send(client, {}, session_hash="another")
        with pytest.raises(LocalProtocolError, match="fn_index"):
            send(client, {}, fn_index="1")
        with pytest.raises(LocalProtocolError, match="99"):
            send(client, {}, fn_index=99)
        with pytest.raises(LocalProtocolError):
            client.send_data({}, {}, client.protocol, {"X": "a\nb"})
        with pytest.raises(LocalProtocolError):
            send(client, {"data": [object()]})
        with (
            client.stream_messages(api_name="/other"),
            pytest.raises(LocalProtocolError, match="Several"),
        ):
            send(client, {})
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        send(client, {})


def test_closing_the_client_ends_the_wait_for_a_stream(client: Client) -> None:
    sent = in_thread(lambda: send(client, {"data": [1]}))
    while not client._core.streams._waiting:
        pass
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        sent()


# Input in pieces


@pytest.fixture
def newest(client: Client) -> Client:
    if client.protocol == "ws":
        pytest.skip("streaming inputs are younger than this protocol (5.0)")
    return client


def test_pieces_of_an_input_and_its_end(newest: Client) -> None:
    job = newest.submit("0", api_name="/frame")
    outputs = iter(job)
    assert next(outputs) == "seen: 0"
    for piece in ("1", "2"):
        job.send(piece)
        assert next(outputs) == f"seen: {piece}"
    job.end_input()
    assert job.result() == "seen: 2"
    with pytest.raises(LocalProtocolError):
        job.send("3")
    with pytest.raises(LocalProtocolError):
        job.end_input()


def test_only_the_latest_piece_may_be_wanted(newest: Client) -> None:
    job = newest.submit("0", api_name="/frame")
    for piece in ("1", "2", "3"):
        job.send(piece, latest=True)
    job.end_input()
    *_, last = job
    assert last == "seen: 3"
    with pytest.raises(LocalProtocolError, match=r"over|ended"):
        job.send("4")


def test_data_is_the_next_piece_of_an_input_that_runs(newest: Client) -> None:
    with newest.stream_messages("0", api_name="/frame") as stream:
        assert send(newest, {"data": ["1"]}) == {"msg": "success"}
        assert send(newest, {"data": ["2"]}) == {"msg": "success"}
        found: list[Any] = []
        while found[-1:] != [["seen: 2"]]:
            found.append((next(stream).get("output") or {}).get("data"))


def test_the_first_piece_begins_the_input(newest: Client) -> None:
    with newest.stream_messages(api_name="/frame") as stream:
        assert isinstance(send(newest, {"data": ["1"]}), str)
        assert send(newest, {"data": ["2"]}) == {"msg": "success"}
        found: list[Any] = []
        while found[-1:] != [["seen: 2"]]:
            found.append((next(stream).get("output") or {}).get("data"))
        assert ["seen: 1"] in found


def test_a_piece_that_the_job_does_not_live_to_take(newest: Client) -> None:
    job = newest.submit("0", api_name="/frame")
    next(iter(job))
    number = index_of(newest, "/frame")
    assert send(newest, {"data": ["1"]}, fn_index=number) == {"msg": "success"}
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result()
    assert isinstance(send(newest, {"data": ["2"]}, fn_index=number), str)
