"""A conversation whose HTTP library is the test: commands in order, answers by hand.

``Talk`` keeps what the conversation asks, and has the words to answer with. Time stands still but
in ``sleep``.
"""

from __future__ import annotations

import json
from typing import Any

from sansio_gradio.client.commands import (
    Abort,
    ConversationCommand,
    OpenWebSocket,
    SendRequest,
    SendText,
)
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.events import Event, JobCancelled, JobCompleted, JobEnd, JobFailed, Output
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.wire.body import Body

SRC = "http://app.example/"
STREAM = (("content-type", "text/event-stream; charset=utf-8"),)

TEXT, NUMBER, STATE = 1, 2, 3
STREAMING: dict[str, Any] = {"connection": "stream"}  # may be given its input in pieces
FUNCTIONS: tuple[dict[str, Any], ...] = (
    {"api_name": "echo", "inputs": [TEXT], "outputs": [TEXT], **STREAMING},
    {"api_name": "count", "inputs": [NUMBER], "outputs": [TEXT], "types": {"generator": True}},
    {"api_name": "plain", "inputs": [TEXT], "outputs": [TEXT], "queue": False},
    {"api_name": "count_too", "inputs": [NUMBER], "outputs": [TEXT], "types": {"generator": True}},
    {"api_name": "total", "inputs": [STATE, NUMBER], "outputs": [STATE, NUMBER], **STREAMING},
)
ECHO, COUNT, PLAIN, COUNT_TOO, TOTAL = range(5)


def config(protocol: str | None = "sse_v3", version: str = "6.31.0", **more: Any) -> dict[str, Any]:
    """What ``/config`` says of an app with the endpoints above."""
    parts: list[dict[str, Any]] = [{"id": TEXT, "type": "textbox", "props": {}}]
    parts += [{"id": NUMBER, "type": "number", "props": {}}]
    if more.pop("has_state", False):
        parts += [{"id": STATE, "type": "state", "props": {}}]
    said = {} if protocol is None else {"protocol": protocol}
    dependencies = [
        {"id": place, "queue": True, "types": {"generator": False}, **function}
        for place, function in enumerate(FUNCTIONS)
    ]
    base = {"version": version, "components": parts, "dependencies": dependencies}
    return {**base, "connect_heartbeat": False, **said, **more}


def app(*args: Any, **more: Any) -> AppInfo:
    return AppInfo.from_config(config(*args, **more))


class Talk:
    """A conversation about *known* (None: it has to find out), and all that is said in it."""

    def __init__(self, known: AppInfo | None = None, **options: Any) -> None:
        src = options.pop("src", SRC)
        options.setdefault("entropy", counted_entropy())
        self.conversation = Conversation(src, app=known, **options)
        self.now = 1000.0
        self.asked: list[ConversationCommand] = []
        """Every command, in order."""
        self.said: list[Event] = []
        """Every event, in order."""
        self._values: list[tuple[Any, ...]] = []
        self._looked_at = 0  # commands

    # What it asks

    def look(self) -> None:
        """Tell the time if it is due, and take what there is."""
        for _ in range(10):
            due = self.conversation.next_deadline()
            if due is None or due > self.now:
                break
            self.conversation.handle_timer(self.now)
        else:
            raise AssertionError("it is always time")
        while (command := self.conversation.next_command()) is not None:
            self.asked.append(command)
        while (event := self.conversation.next_event()) is not None:
            self.said.append(event)
            if isinstance(event, Output):
                self._values.append(event.value)

    def new(self) -> list[ConversationCommand]:
        """What is asked since the last time."""
        self.look()
        new = self.asked[self._looked_at :]
        self._looked_at = len(self.asked)
        return new

    def sleep(self, seconds: float) -> list[ConversationCommand]:
        """Let time pass, deadline by deadline; what is asked since the last time."""
        end = self.now + seconds
        self.look()
        while (due := self.conversation.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.look()
        self.now = end
        return self.new()

    def request(self, path: str) -> SendRequest:
        """What is asked now: one request, for *path*."""
        (command,) = self.requests(path)
        return command

    def requests(self, *paths: str) -> list[SendRequest]:
        """What is asked now: requests for *paths*, in this order."""
        new = self.new()
        found = [command for command in new if isinstance(command, SendRequest)]
        assert found == new
        got = [command.url.partition("?")[0].removeprefix(SRC.rstrip("/")) for command in found]
        assert got == list(paths)
        return found

    def same_app(self) -> None:
        """What is asked now: whether it is still the same app. It is."""
        (command,) = self.new()
        assert isinstance(command, SendRequest)
        known = self.conversation.app
        assert known is not None
        path = command.url.removeprefix(self.conversation.url)
        self.answer(command, {"config": known.config, "app_id": {"app_id": known.app_id}}[path])

    def socket(self) -> OpenWebSocket:
        """What is asked now: one WebSocket."""
        (command,) = self.new()
        assert isinstance(command, OpenWebSocket)
        return command

    def text(self) -> Any:
        """What is asked now: to send a text, which is read."""
        (command,) = self.new()
        assert isinstance(command, SendText)
        return json.loads(command.text)

    def aborted(self) -> list[int]:
        """What is asked now: to drop these."""
        new = self.new()
        aborts = [command for command in new if isinstance(command, Abort)]
        assert aborts == new
        return [command.id for command in aborts]

    # What it is told

    def answer(
        self,
        command: ConversationCommand,
        body: Any = None,
        *,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),),
    ) -> None:
        """A whole answer; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.conversation.response(command.id, status, headers, self.now)
        if data:
            self.conversation.data(command.id, data, self.now)
        self.conversation.ended(command.id, self.now)

    def open(self, command: ConversationCommand) -> None:
        """The stream or WebSocket that was asked for is there."""
        if isinstance(command, OpenWebSocket):
            self.conversation.response(command.id, 101, (), self.now)
        else:
            self.conversation.response(command.id, 200, STREAM, self.now)

    def send(self, command: ConversationCommand, *messages: dict[str, Any] | str) -> None:
        """Messages, in one piece on a stream and one by one on a WebSocket."""
        texts = [m if isinstance(m, str) else compact(m) for m in messages]
        if isinstance(command, OpenWebSocket):
            for text in texts:
                self.conversation.text(command.id, text, self.now)
        else:
            data = "".join(f"data: {text}\n\n" for text in texts)
            self.conversation.data(command.id, data.encode(), self.now)

    def end(self, command: ConversationCommand) -> None:
        """The end of a stream as HTTP wants it; of a WebSocket by Close 1000."""
        self.conversation.ended(command.id, self.now)

    def lose(self, command: ConversationCommand, error: BaseException | None = None) -> None:
        """The end of a stream, or of anything, that is none."""
        self.conversation.failed(command.id, error or ConnectionResetError("gone"), self.now)

    # What has become of it

    def last_of(self, job: int) -> JobEnd:
        """The last event of a job that is over, after which nothing is said of it."""
        self.look()
        (end,) = self.ends_of(job)
        assert [event for event in self.said if getattr(event, "job", None) == job][-1] is end
        return end

    def ends_of(self, job: int) -> list[JobEnd]:
        self.look()
        return [
            event
            for event in self.said
            if isinstance(event, JobCompleted | JobFailed | JobCancelled) and event.job == job
        ]

    def failure_of(self, job: int) -> Any:
        """The error in which a job has ended."""
        end = self.last_of(job)
        assert isinstance(end, JobFailed), end
        return end.error

    def data_of(self, job: int) -> tuple[Any, ...]:
        """What a job has completed with."""
        end = self.last_of(job)
        assert isinstance(end, JobCompleted), end
        return end.data

    @property
    def values(self) -> list[tuple[Any, ...]]:
        """What the jobs have yielded."""
        self.look()
        return self._values

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of this kind, in order."""
        self.look()
        return [event for event in self.said if isinstance(event, kind)]


def body_of(request: SendRequest | HTTPRequest) -> bytes:
    """The body of a request that has no files."""
    assert not isinstance(request.body, Body)
    return request.body or b""


def compact(message: dict[str, Any]) -> str:
    """JSON as servers since 4.24 write it."""
    return json.dumps(message, separators=(",", ":"))


# Messages of the queue


def starts(event_id: str | None = None) -> dict[str, Any]:
    return _of({"msg": "process_starts"}, event_id)


def estimation(event_id: str | None = None, rank: int = 0) -> dict[str, Any]:
    return _of({"msg": "estimation", "rank": rank, "queue_size": 1, "rank_eta": 1.5}, event_id)


def generating(data: Any, event_id: str | None = None) -> dict[str, Any]:
    output = {"data": data, "is_generating": True}
    return {**_of({"msg": "process_generating"}, event_id), "output": output, "success": True}


def completed(*data: Any, event_id: str | None = None) -> dict[str, Any]:
    output = {"data": list(data), "is_generating": False}
    return {**_of({"msg": "process_completed"}, event_id), "output": output, "success": True}


def failed(error: str | None, event_id: str | None = None, **more: Any) -> dict[str, Any]:
    output = {"error": error, **more}
    return {**_of({"msg": "process_completed"}, event_id), "output": output, "success": False}


def _of(message: dict[str, Any], event_id: str | None) -> dict[str, Any]:
    return message if event_id is None else {**message, "event_id": event_id}
