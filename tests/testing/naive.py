"""A client that somebody might write in an afternoon: only ``sse_v3``, and with http.client.

Its methods are what tests replace by what such clients get wrong.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import urlsplit


class NaiveClient:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = f"{parts.hostname}:{parts.port}"
        self.config = json.loads(self.ask("GET", "/config"))
        self.base = self.config.get("api_prefix", "")

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        headers = {"content-type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def call(self, api_name: str, data: list[Any]) -> Generator[list[Any], None, list[Any]]:
        function = next(
            one for one in self.config["dependencies"] if f"/{one['api_name']}" == api_name
        )
        kinds = {one["id"]: one["type"] for one in self.config["components"]}
        given = iter(data)
        sent = [None if kinds[one] == "state" else next(given) for one in function["inputs"]]
        shown = [kinds[one] != "state" for one in function["outputs"]]
        session = os.urandom(5).hex()
        body = {"data": sent, "fn_index": function.get("id", 0), "session_hash": session}
        if not function["queue"]:
            answer = json.loads(self.ask("POST", f"{self.base}/run/predict", body))
            return self.seen(answer["data"], shown)
        joined = json.loads(self.ask("POST", f"{self.base}/queue/join", body))
        if "event_id" not in joined:
            raise RuntimeError(joined)
        values: list[Any] | None = None
        for message in self.messages(session):
            if message.get("event_id") != joined["event_id"]:
                continue
            output = message.get("output") or {}
            if message["msg"] == "process_generating":
                values = self.updated(values, output["data"])
                yield self.seen(values, shown)
            elif message["msg"] == "process_completed":
                if not message["success"]:
                    raise RuntimeError(output.get("error") or "no text")
                return self.seen(output["data"], shown)
        raise ConnectionError("the stream ended")

    def seen(self, values: list[Any], shown: list[bool]) -> list[Any]:
        return [value for value, is_shown in zip(values, shown, strict=True) if is_shown]

    def messages(self, session: str) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request("GET", f"{self.base}/queue/data?session_hash={session}")
        try:
            yield from self.events(connection.getresponse())
        finally:
            connection.close()

    def events(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        data: list[str] = []
        for line in self.lines(answer):
            if line.startswith("data:"):
                data.append(line[5:])
            elif line == "" and data:
                yield json.loads("\n".join(data))
                data = []

    def lines(self, answer: http.client.HTTPResponse) -> Iterator[str]:
        line, was_return = b"", False
        while byte := answer.read(1):
            if byte == b"\n" and was_return:
                was_return = False
                continue
            was_return = byte == b"\r"
            if byte in (b"\n", b"\r"):
                yield line.decode().lstrip("\ufeff")
                line = b""
            else:
                line += byte

    def updated(self, values: list[Any] | None, data: list[Any]) -> list[Any]:
        if values is None:
            return data
        copies = json.loads(json.dumps(values))
        return [self.edited(value, edits) for value, edits in zip(copies, data, strict=True)]

    def edited(self, value: Any, edits: list[Any]) -> Any:
        for action, path, new in edits:
            if not path:
                value = value + new if action == "append" else new
                continue
            place = value
            for step in path[:-1]:
                place = place[step]
            last = path[-1]
            if action == "append":
                place[last] += new
            elif action == "delete":
                self.delete(place, last)
            elif action == "add" and isinstance(place, list):
                place.append(new)
            else:
                place[last] = new
        return value

    def delete(self, place: Any, last: Any) -> None:
        if isinstance(place, list):
            place.pop()
        else:
            del place[last]
