"""What real servers answered to uploads and to requests for files, and what the server role does.

The exchanges in ``data/files`` are recorded from Gradio 3.16.2, 3.50.2, 4.44.1 and 6.31.0.
"""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import h11
import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import FILE
from sansio_gradio.server.contents import File
from sansio_gradio.server.events import JobSubmitted
from tests.support.served import Wire

FOLDER = Path(__file__).parents[1] / "data" / "files"
VERSIONS = [path.name.removesuffix(".json.xz") for path in sorted(FOLDER.iterdir())]
# What the server role does otherwise, and why.
OTHERWISE = {
    "file proxy": "it does not fetch for others",
    "file missing": "3.16.2 looked at a file that another scenario had made",
}
RANDOM_NAME = re.compile(r"tmp[0-9a-f]{10}$")


def recorded(version: str) -> list[dict[str, Any]]:
    with lzma.open(FOLDER / f"{version}.json.xz") as file:
        kept: list[dict[str, Any]] = json.load(file)
    return kept


class Places:
    """Where a recorded server had its files, and where ours has them."""

    def __init__(self, version: str) -> None:
        slash = "(/|%2F)"
        self._roots = re.compile(f"(?:srv{slash}files1|tmp{slash}bound1){slash}tmp{slash}{version}")
        self._folders: dict[str, str] = {}

    def learn(self, theirs: str, ours: str) -> None:
        self._folders[theirs] = ours

    def ours(self, text: str) -> str:
        text = self._roots.sub(lambda found: f"tmp{found[3]}gradio", text)
        for theirs, ours in self._folders.items():
            text = text.replace(theirs, ours)
        return text


def answer(wire: Wire, text: str) -> tuple[int, dict[str, str], bytes, bool]:
    """Send a request. Returns the status, the headers, the body, and whether it is complete."""
    conn = wire.connect()
    wire.send(conn, text.encode("latin-1"))
    method = text.split(maxsplit=1)[0]
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire.received[conn])
    status, headers, body = 0, {}, b""
    while not isinstance(event := client.next_event(), type | h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
            headers = {key.decode(): value.decode("latin-1") for key, value in event.headers}
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    return status, headers, body, isinstance(event, h11.EndOfMessage)


def shown(value: Any) -> Any:
    """The text of a body without what is random, or told by another library."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        dropped = ("url", "ctx", "input")
        return {key: shown(item) for key, item in value.items() if key not in dropped}
    return RANDOM_NAME.sub("tmp", value) if isinstance(value, str) else value


def wire_of(version: str, scenario: str) -> Wire:
    largest = 1000 if scenario.startswith("maxsize") else None
    app = App(version=version, max_file_size=largest)
    app.add("f", parameters=[], returns=[Slot(name="x", component=FILE)])
    return Wire(app)


@pytest.mark.parametrize("version", VERSIONS)
def test_real_servers_answer_the_same(version: str) -> None:
    places, wires = Places(version), {name: wire_of(version, name) for name in ("", "maxsize")}
    wire = wires[""]
    if version == "3.16.2":  # which takes no uploads: its file came from a function
        asked = wire.ask("POST", "/api/f", {"data": []})
        event = wire.event()
        assert isinstance(event, JobSubmitted)
        wire.engine.start(event.job, wire.now)
        wire.engine.complete(event.job, [File("0123.txt", b"0123456789")], now=wire.now)
        wire.settle()
        seen = wire.seen(asked, "POST")
        recorded_path = re.search("=(/tmp/0123[^ ]*)", recorded(version)[0]["request"])
        assert recorded_path is not None
        places.learn(recorded_path[1].removeprefix("/"), seen.body["data"][0]["name"][1:])
        places.learn("%2Ftmp%2F0123", "%2Fnowhere%2F0123")
    count = 0
    for exchange in recorded(version):
        name = exchange["scenario"]
        if name in OTHERWISE or ("percent-encoded" in name and version == "3.16.2"):
            continue
        wire = wires["maxsize" if name.startswith("maxsize") else ""]
        status, headers, body, complete = answer(wire, places.ours(exchange["request"]))
        assert status == exchange["status"], (name, body)
        assert complete is exchange["complete"], name
        wanted = exchange["headers"]
        count += 1
        if wanted.get("content-type") == "application/json" and not name.endswith("json quoted"):
            theirs = json.loads(exchange["body"].encode("latin-1") or "null")
            ours = json.loads(body or "null")
            for their, our in zip(theirs, ours, strict=True) if isinstance(ours, list) else ():
                places.learn(their.split("/")[-2], our.split("/")[-2])
            assert shown(ours) == json.loads(places.ours(json.dumps(shown(theirs)))), name
        elif wanted.get("content-type", "").startswith("text/event-stream"):
            lines = [re.findall("data: ({.*})", text) for text in (body.decode(), exchange["body"])]
            ours, theirs = ([json.loads(line) for line in found] for found in lines)
            assert ours == theirs, name
        else:
            assert body == exchange["body"].encode("latin-1"), name
            assert headers.get("content-length") == wanted.get("content-length"), name
        for key, value in wanted.items():
            if key == "etag":
                assert headers[key].startswith('"') is value.startswith('"'), name
            elif key not in ("content-length", "allow"):
                assert headers[key] == places.ours(value), (name, key)
    assert count > 15
