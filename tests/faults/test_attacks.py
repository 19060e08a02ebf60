"""Conversations with a hostile app, drawn from a seed: it wants the credentials of its visitor,
requests to other hosts, lines of its own in heads, and names of files that are paths.

What must hold is checked for each request; that nothing reaches another host is watched besides
(``tests/support/second_host.py``).
"""

from __future__ import annotations

import json
import random
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from sansio_gradio.client.commands import OpenWebSocket, ReadFile, SendRequest
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.errors import GradioError, LocalProtocolError
from sansio_gradio.events import (
    DownloadCompleted,
    DownloadFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    SessionClosed,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.protocol.remote_files import RemoteFile, files_in, with_files
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.wire.body import Body

SECRET: Final = "0123456789-of-the-visitor"
EVIL: Final = "evil.example"
ENDS: Final = (JobCompleted, JobFailed, JobCancelled)
MANY: Final = 400  # requests of one conversation

PLACES: Final = (
    f"http://{EVIL}/",
    f"https://{EVIL}/config",
    f"//{EVIL}/",
    f"/\\{EVIL}/",
    f"\\\\{EVIL}\\",
    f"http://app.example@{EVIL}/",
    f"http://{EVIL}#@app.example/",
    f"http://app.example.{EVIL}/",
    f"http://app.example:81@{EVIL}/",
    "http://app.example:8080/config",
    "http://app.example:80:81/",
    "ftp://app.example/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "//",
    "///",
    "http://",
    "?x=1",
    "../../../config",
    "/config\r\nx-evil: 1",
    f"/x HTTP/1.1\r\nhost: {EVIL}\r\n\r\nGET /",
    "/\t/config",
    "/ÿ\u2028/",
    "https://app.example/config",
    "/config",
)
NAMES: Final = (
    "../../.ssh/authorized_keys",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "..",
    ".",
    "",
    "a\r\nb: c",
    "a\0b",
    "con.txt",
    "x" * 5000,
    f"http://{EVIL}/a.bin",
    f"//{EVIL}/a.bin",
    f"@{EVIL}",
    "?a#b%2e%2e/",
    "\u202etxt.exe",
    "~/.bashrc",
    "s/../../playlist.m3u8",
)
COOKIES: Final = (
    "a=b; Domain=example; Path=/",
    f"a=b; Domain={EVIL}",
    "a=b\r\nx-evil: 1; Path=/",
    "__Host-a=b; Path=/",
    "=b",
    "a=" + "b" * 5000,
    "a=b; Secure",
    "a=\0; Path=/../",
)


class Attack:
    """One conversation, in which the app does whatever the seed says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.malice = self.random.choice([0.03, 0.1, 0.3])
        version = self.random.choice(["6.31.0", "6.31.0", "5.0.2", "4.44.1", "4.0.2", "3.50.2"])
        self.version = version
        self.now = 1000.0
        self.events: list[Any] = []
        self.open: dict[int, Any] = {}
        self.conversation = Conversation(
            f"{self.random.choice(['http', 'https'])}://app.example/app/?key={SECRET}",
            entropy=counted_entropy(),
            headers={"x-key": SECRET},
            cookies={"session": SECRET},
            auth=("me", SECRET) if self.random.random() < 0.3 else None,
            token=SECRET,
            token_rotates=self.random.random() < 0.3,
            oauth_token=SECRET,
            timeouts=Timeouts(download=5.0, close=5.0),
        )

    # What it says

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def mostly(self, honest: Any, *choices: Any) -> Any:
        """The honest answer, as far as this app is honest."""
        return honest if self.random.random() > self.malice else self.random.choice(choices)

    def file(self) -> dict[str, Any]:
        path = self.pick(*NAMES, *PLACES)
        found: dict[str, Any] = {
            "path": path,
            "url": self.pick(None, *PLACES),
            "orig_name": self.pick(None, 5, *NAMES),
            "size": self.pick(None, -1, 10**30, "x", 3),
            "mime_type": self.pick(None, "text/html\r\nx: y", 5),
            "is_stream": self.pick(False, True, 1, "x"),
            "meta": {"_type": "gradio.FileData"},
        }
        if self.version.startswith("3"):
            found |= {"name": path, "data": self.pick(None, "data:,x", "data:x"), "is_file": True}
        return found

    def config(self) -> dict[str, Any]:
        parts = [{"id": 1, "type": self.pick("file", "image", "video", "json"), "props": {}}]
        functions = [
            {
                "id": 0,
                "api_name": "f",
                "inputs": [1],
                "outputs": [1],
                "queue": self.pick(True, False),
            }
        ]
        said = {
            "version": self.version,
            "components": parts,
            "dependencies": functions,
            "root": self.pick("", *PLACES),
            "api_prefix": self.mostly("/gradio_api", "", *PLACES),
            "app_id": self.mostly(1, 2),
            "space_id": "owner/name",
            "connect_heartbeat": self.pick(True, False),
        }
        if not self.version.startswith("3"):
            said["protocol"] = self.pick("sse_v3", "sse_v2", "sse_v1", "sse")
        return said

    def body(self, path: str) -> bytes:
        """What comes for a path; mostly in the right shape, so that there is a next request."""
        said: Any
        if self.random.random() < self.malice / 3:
            odd = b"", b"<html>", b"{", b"[]", b"null", b"\0\xff", b'{"detail": 5}'
            return self.random.choice(odd)
        if path.endswith("config"):
            said = self.config()
        elif path.endswith("info"):
            told = {"oauth_token": self.mostly("required", "optional", 5), "parameters": []}
            said = {"named_endpoints": {"/f": told}, "unnamed_endpoints": {}}
        elif path.endswith("app_id"):
            said = {"app_id": self.mostly(1, 2)}
        elif path.endswith("upload"):
            said = [self.mostly("/a", *NAMES, *PLACES, 5, None)] * self.mostly(1, 0, 2)
        elif path.endswith("join"):
            said = {"event_id": self.mostly("a", "a\r\nb", "../x", 5, None)}
        elif path.endswith(".m3u8"):
            lines = [self.pick(*PLACES, *NAMES, "#EXTINF:1", "a.ts") for _ in range(3)]
            return "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode("utf-8", "replace")
        else:
            said = {"data": [self.pick(self.file(), [self.file()], {"image": self.file()}, "x")]}
        return json.dumps(said).encode()

    def answer(self, command: SendRequest | OpenWebSocket) -> None:
        tell, id = self.conversation, command.id
        if isinstance(command, OpenWebSocket):
            if self.mostly(True, False):
                tell.response(id, 101, (), self.now)
                self.open[id] = "socket"
                for said in ({"msg": "send_hash"}, {"msg": "send_data"}, self.end()):
                    tell.text(id, json.dumps(said), self.now)
            else:
                tell.response(id, self.pick(403, 302, 200), self.heads(), self.now)
                tell.ended(id, self.now)
            return
        path = urlsplit(command.url).path
        hostile = self.mostly("", "redirect", "redirect", "refuse", "lose")
        if hostile == "redirect":
            status = self.pick(301, 302, 303, 307, 308)
            tell.response(id, status, (("location", self.pick(*PLACES)), *self.heads()), self.now)
            tell.ended(id, self.now)
        elif hostile == "lose":
            tell.failed(id, ConnectionResetError("gone"), self.now)
        elif hostile == "refuse":
            tell.response(id, self.pick(401, 403, 404, 413, 500, 503), self.heads(), self.now)
            echo = f"<html>not {SECRET}".encode()
            tell.data(id, self.pick(echo, self.body(path)), self.now)
            tell.ended(id, self.now)
        elif path.endswith("data") or "heartbeat" in path:
            tell.response(id, 200, (("content-type", "text/event-stream"), *self.heads()), self.now)
            for event in ({"msg": "process_starts", "event_id": "a"}, self.end()):
                tell.data(id, b"data: " + json.dumps(event).encode() + b"\n\n", self.now)
            tell.ended(id, self.now)
        else:
            kind = self.mostly("application/json", "text/html", "application/vnd.apple.mpegurl")
            tell.response(id, 200, (("content-type", kind), *self.heads()), self.now)
            tell.data(id, self.body(path), self.now)
            tell.ended(id, self.now)

    def end(self) -> dict[str, Any]:
        output = {"data": [self.pick(self.file(), [self.file()], "x")]}
        return {"msg": "process_completed", "event_id": "a", "output": output, "success": True}

    def heads(self) -> list[tuple[str, str]]:
        lines = [("set-cookie", self.pick(*COOKIES)) for _ in range(self.pick(0, 1, 2))]
        return [*lines, (self.pick("x-a", "refresh", "link", "alt-svc"), self.pick(*PLACES))]

    # What is checked

    def look(self) -> None:
        conversation, random_ = self.conversation, self.random
        for _ in range(MANY):
            due = conversation.next_deadline()
            if due is not None and due <= self.now:
                conversation.handle_timer(self.now)
            while (event := conversation.next_event()) is not None:
                self.events.append(event)
                if isinstance(event, JobCompleted):
                    self.take_files(event)
                if type(event).__name__ == "TokenRefused":
                    conversation.set_token(SECRET, rotates=True)
            command = conversation.next_command()
            if command is None:
                if due is None or due > self.now:
                    return
            elif isinstance(command, ReadFile):
                conversation.ended(command.id, self.now)
            elif isinstance(command, SendRequest | OpenWebSocket):
                self.check(command)
                if random_.random() < 0.97:
                    self.answer(command)
        raise AssertionError("it asks for ever")

    def check(self, command: SendRequest | OpenWebSocket) -> None:
        parts = urlsplit(command.url)
        scheme = parts.scheme.replace("ws", "http")
        assert (scheme, parts.hostname) in {("http", "app.example"), ("https", "app.example")}
        assert parts.port in (None, 80, 443)
        assert parts.username is None
        for text in (command.url, *(part for field in command.headers for part in field)):
            assert not set(text) & set("\r\n\0"), text
        assert command.url.isascii()
        assert " " not in command.url
        names = [name for name, _ in command.headers]
        assert len(names) == len(set(names)), names
        if isinstance(command, SendRequest) and isinstance(command.body, Body):
            head = command.body.pieces[0]
            assert isinstance(head, bytes)
            assert len(head.splitlines()) == 4  # boundary, name, type, and an empty line

    def take_files(self, event: JobCompleted) -> None:
        """Look at the files of a result, and fetch some."""
        app = self.conversation.app
        assert app is not None
        shape = with_files(app.endpoint("/f"), app.version, self.made)
        for file in files_in(shape(event.data)):
            name = file.name
            assert name not in ("", ".", "..")
            assert not set(name) & set("/\\\0\r\n:")
            assert len(name.encode()) <= 255
            if file.url is not None and not file.url.startswith("data:"):
                assert file.url.startswith(self.conversation.api_url)
            try:
                self.conversation.download(file, growing=self.random.random() < 0.5)
            except LocalProtocolError:  # the session is closed
                continue

    def made(self, value: dict[str, Any], route: str) -> RemoteFile:
        return RemoteFile(value, self.conversation.api_url, route)

    def play(self) -> None:
        conversation = self.conversation
        jobs: list[int] = []
        for _ in range(4):
            given = self.pick(None, "x", handle_file(b"content", name=self.pick("a", *NAMES)))
            headers = {"x-call": SECRET} if self.random.random() < 0.5 else None
            jobs.append(conversation.submit(given, api_name="/f", headers=headers))
            self.look()
            if self.random.random() < 0.2:
                conversation.cancel(self.random.choice(jobs))
            if self.random.random() < 0.2:
                conversation.reload()
            self.now += self.pick(0.0, 1.0, 40.0)
            self.look()
        conversation.close()
        self.look()
        self.now += 1000.0
        self.look()
        kinds = [type(event) for event in self.events]
        assert kinds[-1] is SessionClosed
        for job in jobs:
            ends = [event for event in self.events if isinstance(event, ENDS) and event.job == job]
            assert len(ends) == 1
        for event in self.events:
            if isinstance(event, JobFailed | DownloadFailed):
                assert isinstance(event.error, GradioError)
                assert SECRET not in f"{event.error} {event.error!r}"


def played(seeds: range) -> list[Attack]:
    attacks: list[Attack] = []
    for seed in seeds:
        attack = Attack(seed)
        try:
            attack.play()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        attacks.append(attack)
    return attacks


def test_a_hostile_app_gets_nothing() -> None:
    attacks = played(range(150))
    kinds = {type(event) for attack in attacks for event in attack.events}
    assert kinds >= {JobCompleted, JobFailed, JobCancelled, DownloadCompleted, DownloadFailed}


@pytest.mark.exhaustive
@pytest.mark.parametrize("start", range(1000, 21_000, 1000))
def test_many_hostile_apps_get_nothing(start: int) -> None:
    played(range(start, start + 1000))
