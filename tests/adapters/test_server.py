"""Python functions served on a real socket of this machine."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import math
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

import pytest

from sansio_gradio.errors import AppError, JobCancelledError
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX, State
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import Server, serve_in_thread
from sansio_gradio_adapters.sockets import Client


class Mute(Exception):
    """Says nothing, with an error."""

    def __str__(self) -> str:
        raise RuntimeError


class Unheard(BaseException):
    """No Exception."""


def shown_in_vain() -> AppError:
    error = AppError("x", duration=math.inf)
    error.message = error.title = Mute()  # type: ignore[assignment]  # on purpose
    return error


BROKEN_ERRORS: dict[str, Callable[[], BaseException]] = {
    "of an error": lambda: AppError(ValueError("why")),
    "of a number": lambda: AppError(7),
    "for ever": lambda: AppError("x", duration=math.inf),
    "nonsense": lambda: AppError("x", duration="long"),  # type: ignore[arg-type]  # on purpose
    "mute": Mute,
    "mute inside": lambda: AppError(Mute()),
    "changed": shown_in_vain,
    "no exception": Unheard,
    "exit": SystemExit,
    "cancelled": asyncio.CancelledError,
    "stop": StopIteration,
    "group": lambda: BaseExceptionGroup("two", [Mute(), Unheard()]),
    "surrogate": lambda: AppError("\ud800"),
}


class Caller:
    """A client of one session, on the standard library."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self.event_id = ""

    def ask(self, method: str, path: str, said: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        body = None if said is None else json.dumps(said)
        connection.request(method, f"/gradio_api{path}", body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data)

    def join(self, name: str, *data: Any) -> None:
        fn_index = NAMES.index(name)
        said = {"data": data, "fn_index": fn_index, "session_hash": "s"}
        status, body = self.ask("POST", "/queue/join", said)
        assert status == 200
        self.event_id = body["event_id"]

    @contextmanager
    def stream(self) -> Generator[Iterator[Any]]:
        """The messages of the session, as they come."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        connection.request("GET", "/gradio_api/queue/data?session_hash=s")
        answer = connection.getresponse()
        lines = (line for line in answer if line.strip())
        try:
            yield (json.loads(line.removeprefix(b"data: ")) for line in lines)
        finally:
            answer.close()
            connection.close()

    def run(self, name: str, *data: Any) -> list[Any]:
        """All messages of one job but the first two, which are always the same."""
        self.join(name, *data)
        with self.stream() as messages:
            _, _, *rest, close = messages
        assert close["msg"] == "close_stream"
        return rest

    def result(self, name: str, *data: Any) -> Any:
        return self.run(name, *data)[-1]["output"]


class Traces:
    """What the functions leave behind."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.held = threading.Event()
        self.let_go = threading.Event()


def make_app(traces: Traces) -> App:
    app = App(title="Sample")

    @app.endpoint()
    def add(a: float, b: float = 1) -> float:
        return a + b

    @app.endpoint()
    async def wait(text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    @app.endpoint()
    def count(n: int) -> Iterator[str]:
        for i in range(n):
            yield f"step {i}"

    @app.endpoint()
    async def grow(n: int) -> AsyncIterator[list[int]]:
        items: list[int] = []
        for i in range(n):
            items.append(i)
            yield items

    @app.endpoint()
    def endless(kind: str) -> Iterator[int]:
        try:
            i = 0
            while True:
                yield (i := i + 1)
        finally:
            traces.stopped.set()

    @app.endpoint()
    async def endless_async(kind: str) -> AsyncIterator[int]:
        try:
            i = 0
            while True:
                await asyncio.sleep(0)
                yield (i := i + 1)
        finally:
            traces.stopped.set()

    @app.endpoint()
    def tidy(kind: str) -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            traces.let_go.wait(0.1)
            traces.stopped.set()

    @app.endpoint()
    def hold(run: Run) -> str:
        traces.held.set()
        traces.let_go.wait(PATIENCE)
        try:
            run.info("still there?")
        except JobCancelledError:
            traces.stopped.set()
            raise
        return "held"

    @app.endpoint()
    def refuse(why: str) -> str:
        raise AppError(why, title="No", duration=3)

    @app.endpoint()
    async def break_(why: str) -> str:
        raise ValueError(why)

    @app.endpoint()
    def exit_(why: str) -> str:
        raise SystemExit(why)

    @app.endpoint()
    def pair(x: str) -> tuple[str, int]:
        return (x, 1) if x else (x,)  # type: ignore[return-value]  # on purpose

    @app.endpoint()
    def nothing(x: Any) -> None:
        return x  # type: ignore[no-any-return]  # on purpose

    @app.endpoint()
    def strange(x: str) -> str:
        return object()  # type: ignore[return-value]  # on purpose

    @app.endpoint()
    def step(x: str, st: Annotated[int, State] = 0) -> tuple[str, Annotated[int, State]]:
        return f"{x} {st}", st + 1

    @app.endpoint()
    def work(n: int, run: Run) -> str:
        for _ in run.track(range(n), desc="outer"):
            list(run.track("ab", desc="inner"))
        run.warning("careful", title="Hm", duration=None, visible=False)
        return f"{run.session_hash} {dict(run.headers).get('host') is not None} {run.event_data}"

    @app.endpoint()
    async def work_async(n: int, run: Run) -> str:
        run.progress(0.5, desc="half")
        run.success("good")
        return "done"

    @app.endpoint(scripted=True)
    def script(x: str) -> Iterator[dict[str, Any]]:
        yield {"msg": "reading", "value": 1}
        yield {"msg": "reading", "value": 2}

    @app.endpoint(streaming=True)
    def feed(x: str) -> str:
        if x == "bad":
            raise ValueError(x)
        return x * 2

    @app.endpoint(queue=False)
    def plain(x: str) -> str:
        return x

    app.add("nobody", parameters=[Slot(name="x", component=TEXTBOX)])
    return app


NAMES = [function.api_name for function in make_app(Traces()).functions]


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def caller(traces: Traces) -> Iterator[Caller]:
    before = set(threading.enumerate())
    with serve_in_thread(make_app(traces)) as url:
        yield Caller(url)
    # A function that was stopped may still be on its way out, in a thread of its own.
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("name", "data", "result"),
    [
        ("add", [1, 2], [3]),
        ("wait", ["hi"], ["HI"]),
        ("count", [3], ["step 2"]),
        ("count", [0], [None]),
        ("grow", [3], [[0, 1, 2]]),
        ("pair", ["x"], ["x", 1]),
        ("nothing", [None], []),
        ("script", ["x"], [None]),
        ("add", [1, 2, "one too many"], [3]),
    ],
)
def test_functions_of_all_kinds(caller: Caller, name: str, data: list[Any], result: Any) -> None:
    assert caller.result(name, *data)["data"] == result


def test_each_yield_is_a_message(caller: Caller) -> None:
    outputs = [message["output"]["data"] for message in caller.run("count", 2)]
    assert outputs == [["step 0"], [[["replace", [], "step 1"]]], ["step 1"]]


def test_a_script_sends_its_own_messages(caller: Caller) -> None:
    first, second, last = caller.run("script", "x")
    assert [first["value"], second["value"], last["msg"]] == [1, 2, "process_completed"]
    assert first["event_id"] == caller.event_id


def test_progress_and_notices_from_a_thread(caller: Caller) -> None:
    *progress, log, last = caller.run("work", 2)
    loops = [[unit["index"] for unit in message["progress_data"]] for message in progress]
    assert loops == [[0], [0, 0], [0, 1], [1], [1, 0], [1, 1]]
    assert [log[key] for key in ("log", "level", "title", "duration", "visible")] == [
        "careful",
        "warning",
        "Hm",
        None,
        False,
    ]
    assert last["output"]["data"] == ["s True None"]


def test_progress_and_notices_from_the_loop(caller: Caller) -> None:
    progress, log, last = caller.run("work_async", 2)
    assert progress["progress_data"][0]["progress"] == 0.5
    assert (log["log"], log["level"]) == ("good", "success")
    assert last["success"] is True


def test_a_state_is_kept_for_the_session(caller: Caller) -> None:
    assert caller.result("step", "a", None)["data"] == ["a 0", None]
    assert caller.result("step", "b", None)["data"] == ["b 1", None]


def test_an_error_for_the_client_is_told_and_not_logged(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    output = caller.result("refuse", "no")
    assert output == {"error": "no", "duration": 3, "visible": True, "title": "No"}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("break_", ["secret"]),
        ("exit_", ["secret"]),
        ("pair", [""]),
        ("nothing", [5]),
        ("nothing", [[1]]),
        ("strange", ["x"]),
    ],
)
def test_other_errors_are_hidden_and_logged(
    caller: Caller, caplog: pytest.LogCaptureFixture, name: str, data: list[Any]
) -> None:
    with caplog.at_level(logging.ERROR):
        assert caller.result(name, *data) == {"error": None}
    (record,) = caplog.records
    assert name in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(("name", "data"), [("add", [1]), ("nobody", ["x"])])
def test_what_cannot_be_called_fails(caller: Caller, name: str, data: list[Any]) -> None:
    assert caller.result(name, *data) == {"error": None}
    assert caller.result("add", 1, 2)["data"] == [3]


def test_a_plain_call(caller: Caller) -> None:
    status, body = caller.ask("POST", "/run/plain", {"data": ["x"]})
    assert (status, body["data"]) == (200, ["x"])


@pytest.mark.parametrize("name", ["endless", "endless_async"])
def test_a_generator_is_closed_when_its_job_is_cancelled(
    caller: Caller, traces: Traces, name: str
) -> None:
    caller.join(name, "x")
    with caller.stream() as messages:
        while next(messages)["msg"] != "process_generating":
            pass
        said = {"session_hash": "s", "fn_index": NAMES.index(name), "event_id": caller.event_id}
        assert caller.ask("POST", "/cancel", said)[0] == 200
        *_, completed, close = messages
    assert (completed["output"], close["msg"]) == ({}, "close_stream")
    assert traces.stopped.wait(PATIENCE)


@pytest.mark.parametrize("name", ["endless", "endless_async"])
def test_a_generator_is_closed_when_its_client_leaves(
    caller: Caller, traces: Traces, name: str
) -> None:
    caller.join(name, "x")
    with caller.stream() as messages:
        for _ in range(5):
            next(messages)
    assert traces.stopped.wait(PATIENCE)


def test_a_plain_function_is_stopped_where_it_says_something(
    caller: Caller, traces: Traces
) -> None:
    caller.join("hold")
    assert traces.held.wait(PATIENCE)
    said = {"session_hash": "s", "fn_index": NAMES.index("hold"), "event_id": caller.event_id}
    caller.ask("POST", "/cancel", said)
    traces.let_go.set()
    assert traces.stopped.wait(PATIENCE)


def test_a_streaming_input_is_one_call_a_chunk(caller: Caller) -> None:
    caller.join("feed", "a")
    with caller.stream() as messages:
        seen = [next(messages)["msg"] for _ in range(2)]
        for chunk, output in [("b", "aa"), ("c", "bb")]:
            assert next(messages)["output"]["data"] == [output]
            assert caller.ask("POST", f"/stream/{caller.event_id}", {"data": [chunk]})[0] == 200
        assert next(messages)["output"]["data"] == ["cc"]
        caller.ask("POST", f"/stream/{caller.event_id}/close")
        completed, _ = messages
    assert seen == ["estimation", "process_starts"]
    assert completed["output"]["data"] == ["cc"]


@pytest.mark.parametrize("name", BROKEN_ERRORS)
@pytest.mark.parametrize("world", ["thread", "loop"])
@pytest.mark.parametrize("show_error", [False, True])
def test_any_error_of_a_function_ends_its_job(name: str, world: str, show_error: bool) -> None:
    app = App(show_error=show_error)

    @app.endpoint("/add")
    def in_thread(a: float, b: float) -> float:
        raise BROKEN_ERRORS[name]()

    if world == "loop":
        app = App(show_error=show_error)

        @app.endpoint("/add")
        async def on_loop(a: float, b: float) -> float:
            raise BROKEN_ERRORS[name]()

    with serve_in_thread(app) as url:
        caller = Caller(url)
        for _ in range(2):  # the server goes on
            last = caller.run("add", 1, 2)[-1]
            assert (last["msg"], last["success"]) == ("process_completed", False)


def test_a_streaming_input_that_fails_is_over(caller: Caller) -> None:
    assert caller.result("feed", "bad") == {"error": None}


def test_further_plain_functions_wait_for_a_thread(traces: Traces) -> None:
    with serve_in_thread(make_app(traces), max_threads=1) as url:
        caller = Caller(url)
        caller.join("hold")
        assert traces.held.wait(PATIENCE)
        other = Caller(url)
        other.join("add", 1, 2)
        with caller.stream() as messages:
            started = [next(messages)["msg"] for _ in range(4)]
            traces.let_go.set()
            ended = [message["msg"] for message in messages]
    assert started == ["estimation", "process_starts"] * 2
    assert ended == ["log", "process_completed", "process_completed", "close_stream"]


def test_a_server_that_stops_waits_for_what_it_cancels(traces: Traces) -> None:
    with serve_in_thread(make_app(traces)) as url:
        caller = Caller(url)
        caller.join("tidy", "x")
        with caller.stream() as messages:
            while next(messages)["msg"] != "process_generating":
                pass
    assert traces.stopped.is_set()


def test_a_function_that_cannot_be_stopped_is_left_behind(traces: Traces) -> None:
    with serve_in_thread(make_app(traces), grace=0.01) as url:
        Caller(url).join("hold")
        assert traces.held.wait(PATIENCE)
    assert not traces.stopped.is_set()
    traces.let_go.set()
    assert traces.stopped.wait(PATIENCE)


def test_a_port_that_is_taken_is_told_at_once() -> None:
    with serve_in_thread(App()) as url:
        port = urlsplit(url).port
        assert port is not None
        with pytest.raises(OSError, match="address"), serve_in_thread(App(), port=port):
            raise AssertionError


def test_an_error_in_the_block_is_not_swallowed() -> None:
    with pytest.raises(KeyError), serve_in_thread(App()):
        raise KeyError


def test_a_client_that_does_not_read_is_cut(traces: Traces) -> None:
    app = App()

    @app.endpoint()
    def flood(n: int) -> Iterator[str]:
        try:
            while True:
                yield "x" * 100_000
                yield "y" * 100_000
        finally:
            traces.stopped.set()

    with serve_in_thread(app, limits=ServerLimits(unsent=1_000_000, stall=0.2)) as url:
        caller = Caller(url)
        said = {"data": [1], "fn_index": 0, "session_hash": "s"}
        assert caller.ask("POST", "/queue/join", said)[0] == 200
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as peer:
            peer.sendall(b"GET /gradio_api/queue/data?session_hash=s HTTP/1.1\r\nhost: x\r\n\r\n")
            assert traces.stopped.wait(PATIENCE)


def test_a_function_goes_on_when_a_first_reader_has_taken_all_at_once() -> None:
    app, began = App(), threading.Event()

    @app.endpoint()
    def count(n: int) -> Iterator[str]:
        for number in range(n):
            if number == 4:
                began.set()
            yield str(number % 10) * 10_000

    with serve_in_thread(app, limits=ServerLimits(unsent=100_000)) as url:
        caller = Caller(url)
        said = {"data": [30], "fn_index": 0, "session_hash": "s"}
        assert caller.ask("POST", "/queue/join", said)[0] == 200
        assert began.wait(PATIENCE)  # now it waits for a reader
        time.sleep(0.05)
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as peer:
            peer.settimeout(10.0)  # the heartbeat after 15 s would hide that it is forgotten
            peer.sendall(b"GET /gradio_api/queue/data?session_hash=s HTTP/1.1\r\nhost: x\r\n\r\n")
            heard = b""
            while b"process_completed" not in heard:
                heard += peer.recv(65536)


def test_ipv6_addresses_are_in_brackets() -> None:
    assert Server(App(), "::1", 80).url == "http://[::1]:80/"


def test_serving_on_the_loop_that_one_has() -> None:
    async def main() -> tuple[int, Any]:
        async with Server(make_app(Traces())) as server:
            caller = Caller(server.url)
            return await asyncio.to_thread(caller.ask, "POST", "/run/wait", {"data": ["hi"]})

    status, body = asyncio.run(main())
    assert (status, body["data"]) == (200, ["HI"])


def test_a_text_or_a_dict_is_one_result_and_is_not_taken_apart() -> None:
    app = App(show_error=True)

    def answer(kind: str) -> tuple[str, str]:
        given: Any = {"text": "ab", "dict": {"a": 1, "b": 2}, "list": ["a", "b"]}[kind]
        return given  # type: ignore[no-any-return]  # as from a function without type hints

    app.add_function(answer)
    with serve_in_thread(app) as url, Client(url) as client:
        assert client.predict("list", api_name="/answer") == ("a", "b")
        for kind in ("text", "dict"):
            with pytest.raises(AppError, match=r"/answer has 2 results, and gave 1\."):
                client.predict(kind, api_name="/answer")


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run without
from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve

serve(App(), port=0)
print("over", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_a_program_serves_until_ctrl_c() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    said = re.fullmatch(r"Serving (http://\S+) until Ctrl-C\.\n", process.stdout.readline())
    assert said is not None
    assert Caller(said[1]).ask("GET", "/app_id")[0] == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("over\n", "", 0)
