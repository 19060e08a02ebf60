"""docs/architecture.md: its ways are those of the code, and its programs run.

The ways are walked with ``sys.setprofile``, on one message that becomes an ``Output``, and on one
call that becomes bytes. The calls of our functions are counted, too: a way that grows fails here.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import pytest

import sansio_gradio
import sansio_gradio_adapters
from sansio_gradio import Engine, OpenConnection, Session, Want
from sansio_gradio.events import Output
from sansio_gradio.server.app import App
from sansio_gradio.testing.driver import bytes_of
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client
from tests.support.listings import ROOT, listings, printed_by

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CORE = Path(sansio_gradio.__file__).parent
OURS = (CORE, Path(sansio_gradio_adapters.__file__).parent)

# The most that a way may cost. Where a change makes it shorter, lower the number.
CHUNK_CALLS, CHUNK_MODULES = 43, 12
PREDICT_CALLS, PREDICT_MODULES = 470, 48  # fewer as the answers arrive in fewer pieces

APP = {
    "version": "6.31.0",
    "protocol": "sse_v3",
    "api_prefix": "/gradio_api",
    "components": [{"id": 1, "type": "textbox", "props": {}}],
    "dependencies": [
        {"id": 0, "inputs": [1], "outputs": [1], "api_name": "f", "backend_fn": True, "queue": True}
    ],
}


# Walking


@functools.cache
def module_of(path: str) -> str:
    """The module of ours that lies there; empty: it is none of ours, or for tests."""
    for folder in OURS:
        if Path(path).is_relative_to(folder) and not Path(path).is_relative_to(CORE / "testing"):
            return Path(path).relative_to(folder).as_posix()
    return ""


@attrs.define
class Walk:
    """The calls of our functions, in order: their modules and their names."""

    calls: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])

    def look(self, frame: FrameType, what: str, _: object) -> None:
        """The function to give to ``sys.setprofile``."""
        if what == "call" and (module := module_of(frame.f_code.co_filename)):
            self.calls.append((module, frame.f_code.co_qualname))

    @property
    def modules(self) -> set[str]:
        return {module for module, _ in self.calls}

    def first(self, module: str, function: str, after: int) -> int | None:
        """Where a function is first called from *after* on; for a class: where one is made."""
        made = (f"{function}.__init__", f"{function}.__attrs_post_init__")
        for place, call in enumerate(self.calls[after:], after):
            if call in ((module, function), *((module, name) for name in made)):
                return place
        return None


def walked(go: Callable[[], object]) -> Walk:
    walk = Walk()
    sys.setprofile(walk.look)
    try:
        go()
    finally:
        sys.setprofile(None)
    return walk


class Network:
    """A pretended network with an app: who asks for what is told, and answered by hand."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.engine = Engine(entropy=lambda size: next(numbers).to_bytes(size))
        self.session: Session = self.engine.session("http://app.example/")
        self.asked: dict[int, bytes] = {}
        self.step()
        self.answer(self.path("config"), json.dumps(APP).encode())

    def step(self) -> list[Any]:
        """One step of the surroundings, until nothing moves; returns the events."""
        engine, events = self.engine, list[Any]()
        for _ in range(100):
            moved = False
            if (due := engine.next_deadline()) is not None and due <= 1.0:
                engine.handle_timer(1.0)
            while (command := engine.next_command()) is not None:
                moved = True
                if isinstance(command, OpenConnection):
                    engine.connection_made(command.conn, 1.0)
            for conn in engine.connections_with_data():
                while data := bytes_of(engine.data_to_send(conn)):
                    moved = True
                    self.asked[conn] = self.asked.get(conn, b"") + data
            while (event := engine.next_event()) is not None:
                moved = True
                events.append(event)
            if not moved:
                return events
        raise AssertionError("the engine runs in circles")

    def path(self, end: str) -> int:
        """The connection on which a path that ends so is asked for."""
        for conn, data in self.asked.items():
            if data.split(b" ", 2)[1].split(b"?")[0].decode().endswith(end):
                return conn
        raise AssertionError(f"nobody asked for {end}: {self.asked}")

    def answer(self, conn: int, body: bytes) -> None:
        del self.asked[conn]
        kind = b"content-type: application/json\r\ncontent-length: "
        head = b"HTTP/1.1 200 OK\r\n" + kind + str(len(body)).encode() + b"\r\n\r\n"
        self.engine.receive_data(conn, head + body, 1.0)
        self.step()

    def stream(self) -> int:
        """Take the job that was asked for, and open its stream; returns the connection."""
        self.answer(self.path("/queue/join"), b'{"event_id":"e1"}')
        conn = self.path("/queue/data")
        kind = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        start = {"msg": "process_starts", "event_id": "e1"}
        self.engine.receive_data(conn, b"HTTP/1.1 200 OK\r\n" + kind + chunk(start), 1.0)
        first = yielded("a")
        self.engine.receive_data(conn, first, 1.0)
        self.step()
        return conn


def chunk(message: dict[str, Any]) -> bytes:
    event = b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def yielded(value: Any) -> bytes:
    output = {"data": [value], "is_generating": True}
    return chunk({"msg": "process_generating", "event_id": "e1", "output": output, "success": True})


def walk_of_a_byte() -> Walk:
    network = Network()
    network.session.submit("x", api_name="/f", want=Want.OUTPUTS)
    network.step()
    stream = network.stream()
    data, events = yielded([["append", [], "b"]]), list[Any]()

    def go() -> None:
        network.engine.receive_data(stream, data, 1.0)
        while (event := network.engine.next_event()) is not None:
            events.append(event)

    walk = walked(go)
    (output,) = events
    assert isinstance(output, Output)
    assert output.value == ("ab",)
    return walk


def walk_of_a_call() -> Walk:
    network = Network()
    network.asked.clear()

    def go() -> None:
        network.session.submit("x", api_name="/f", want=Want.OUTPUTS)
        network.step()

    walk = walked(go)
    assert network.path("/queue/join")
    return walk


WALKS = {"a byte": walk_of_a_byte, "a call": walk_of_a_call}


# The page


def rooms(way: str, page: str = PAGE) -> list[tuple[str, str]]:
    """The modules and functions that the page has on the way, in order."""
    begin, end = f"<!-- begin way of {way} -->", f"<!-- end way of {way} -->"
    table = page[page.index(begin) : page.index(end)]
    return [
        (module, function)
        for module, functions in re.findall(r"^\| `([\w/.]+)` \| (.*?) \|", table, re.MULTILINE)
        for function in re.findall(r"`([\w.]+)`", functions)
    ]


def passed(way: str, page: str = PAGE) -> set[str]:
    """The modules that the section of the way names besides."""
    start = page.index(f"<!-- end way of {way} -->")
    also = page[page.index("It also passes", start) :].split("\n\n", maxsplit=1)[0]
    return set(re.findall(r"`([\w/]+\.py)`", also))


def complaints(way: str, walk: Walk, page: str = PAGE) -> list[str]:
    """Where the page differs from the walk."""
    told: list[str] = []
    at = 0
    for module, function in rooms(way, page):
        place = walk.first(module, function, at)
        if place is None:
            told.append(f"the way does not pass {function} of {module} there")
        else:
            at = place
    named = {module for module, _ in rooms(way, page)} | passed(way, page)
    told += [f"the page does not name {module}" for module in sorted(walk.modules - named)]
    told += [f"the way does not pass {module}" for module in sorted(named - walk.modules)]
    return told


@pytest.mark.parametrize("way", WALKS)
def test_the_way_on_the_page_is_the_way_of_the_code(way: str) -> None:
    assert len(rooms(way)) > 10
    assert complaints(way, WALKS[way]()) == []


def test_a_page_that_errs_is_found_out() -> None:
    walk = walk_of_a_byte()
    swapped = PAGE.replace("`wire/http.py` | `HTTPConnection.receive_data`", "MARK").replace(
        "`client/engine.py` | `Engine.next_event`",
        "`wire/http.py` | `HTTPConnection.receive_data`",
    )
    assert any("HTTPConnection" in told for told in complaints("a byte", walk, swapped))
    gone = PAGE.replace("| `wire/sse.py` | `SSEDecoder.receive_data` |", "| wire | sse |")
    assert complaints("a byte", walk, gone) == ["the page does not name wire/sse.py"]
    invented = PAGE.replace("`SSEDecoder.receive_data`", "`SSEDecoder.receive_data`, `Nobody`")
    assert len(complaints("a byte", walk, invented)) == 1
    more = PAGE.replace("It also passes `client/timers.py`", "It also passes `wire/cookies.py`")
    assert sorted(complaints("a byte", walk, more)) == [
        "the page does not name client/timers.py",
        "the way does not pass wire/cookies.py",
    ]


def test_every_module_and_function_on_the_page_exists() -> None:
    adapters = OURS[1]
    for name in set(re.findall(r"`([\w/]+\.py)`", PAGE)):
        places = (CORE / name, adapters / name, ROOT / name)
        assert any(place.exists() for place in places), name
    named = {f"{owner}.{name}" for owner, name in re.findall(r"`([A-Z]\w+)\.(\w+)`", PAGE)}
    text = "\n".join(path.read_text("utf-8") for folder in OURS for path in folder.rglob("*.py"))
    for name in named:
        owner, part = name.split(".")
        assert re.search(rf"^class {owner}\b", text, re.MULTILINE), name
        assert re.search(rf"^    (?:async )?(?:def )?{part}\b", text, re.MULTILINE), name


def test_the_page_can_be_found() -> None:
    assert "(docs/architecture.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "docs/architecture.md" in (sansio_gradio.__doc__ or "")


def test_the_made_up_protocol_speaks() -> None:
    (program,) = listings("architecture")
    promised = re.findall(r"# prints: ?(.*)$", program, re.MULTILINE)
    assert [line.rstrip() for line in printed_by(program)] == promised


# The counts


def test_a_message_costs_no_more_calls_than_it_did() -> None:
    walk = walk_of_a_byte()
    print(f"a message: {len(walk.calls)} calls in {len(walk.modules)} modules")
    assert len(walk.calls) <= CHUNK_CALLS, walk.calls
    assert len(walk.modules) <= CHUNK_MODULES, sorted(walk.modules)


def test_a_blocking_predict_costs_no_more_calls_than_it_did() -> None:
    app, walk, counts = App(), Walk(), list[int]()

    @app.endpoint("/echo")
    async def echo(text: str) -> str:
        return text

    with serve_in_thread(app) as url:  # its one thread runs already, and is not looked at
        threading.setprofile(walk.look)
        sys.setprofile(walk.look)
        try:
            with Client(url) as client:
                for _ in range(3):
                    client.predict("x", api_name="/echo")
                # More where the network cuts the answers into more pieces: on a busy machine nearly
                # always.
                while len(counts) < 11 or (min(counts) > PREDICT_CALLS and len(counts) < 200):
                    walk.calls.clear()
                    client.predict("x", api_name="/echo")
                    counts.append(len(walk.calls))
                modules = walk.modules
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    count = min(counts)
    print(f"a blocking predict: {count} calls in {len(modules)} modules")
    assert count <= PREDICT_CALLS
    assert len(modules) <= PREDICT_MODULES, sorted(modules)
