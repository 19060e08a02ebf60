"""Which request means what: paths, methods and bodies, as verbs of the conversation.

The table is the whole truth. A route has the releases that have it, and may depend on what the
protocol's row says (gradio routes.py of each version).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, unquote

import attrs

from sansio_gradio.protocol.protocols import Channel, Handover, Traits
from sansio_gradio.server.bodies import Invalid, missing, read_fields, read_object, read_submission
from sansio_gradio.server.conversation import Conversation
from sansio_gradio.server.events import Answer, AnswerText
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.queue import Submission
from sansio_gradio.server.run import Headers
from sansio_gradio.server.versions import ALWAYS, Span, since
from sansio_gradio.wire import json

NOT_FOUND: Final = {"detail": "Not Found"}
NOT_ALLOWED: Final = {"detail": "Method Not Allowed"}


@attrs.frozen
class AnswerPage:
    """Answer a request with HTML."""

    exchange: int
    text: str


Immediate: TypeAlias = Answer | AnswerText | AnswerPage
"""An answer that needs no conversation."""


@attrs.define
class Request:
    """One request of a client, with its whole body."""

    exchange: int
    method: str
    target: str
    headers: Headers
    body: bytes
    now: float
    scheme: str = "http"
    parts: tuple[str, ...] = ()  # what stood for the {} of the route

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> Mapping[str, list[str]]:
        text = self.target.partition("?")[2]
        try:
            return parse_qs(text, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            return {}

    def asked(self, name: str) -> str:
        """A value of the query.

        Raises:
            Invalid: it is missing.
        """
        values = self.query.get(name)
        if not values:
            raise Invalid(missing("query", name))
        return values[-1]


Handler: TypeAlias = "Callable[[Router, Request], Immediate | None]"


def _any(_traits: Traits) -> bool:
    return True


def _session_stream(traits: Traits) -> bool:
    return traits.channel is Channel.SESSION_STREAM


def _job_stream(traits: Traits) -> bool:
    return traits.channel is Channel.JOB_STREAM


def _asked_by_stream(traits: Traits) -> bool:
    streams = (Channel.JOB_STREAM, Channel.SESSION_STREAM)
    return traits.handover is Handover.ASKED and traits.channel in streams


@attrs.frozen
class Route:
    """One row: ``{}`` in the path is one segment; ``prefixed``: below the app's api_prefix."""

    method: str
    path: str
    handler: Handler
    span: Span = ALWAYS
    prefixed: bool = True
    only: Callable[[Traits], bool] = _any

    def match(self, segments: list[str]) -> tuple[str, ...] | None:
        """What stands for each ``{}``; None: another path."""
        own = self.path.strip("/").split("/")
        if len(own) != len(segments):
            return None
        pairs = list(zip(own, segments, strict=True))
        if any(mine not in ("{}", theirs) for mine, theirs in pairs):
            return None
        return tuple(unquote(theirs) for mine, theirs in pairs if mine == "{}")


class Router:
    """Takes requests to where they belong."""

    def __init__(self, conversation: Conversation, limits: ServerLimits) -> None:
        self._conversation = conversation
        self._limits = limits
        app = conversation.app
        self._prefix = app.api_prefix
        self._routes = [
            route for route in ROUTES if route.span.covers(app.version) and route.only(app.traits)
        ]

    def request(self, request: Request) -> Immediate | None:
        """Take a request to the conversation; what is returned is an answer of our own."""
        allowed = False
        for route, parts in self._matching(request.path):
            if route.method == request.method:
                request.parts = parts
                try:
                    return route.handler(self, request)
                except Invalid as invalid:
                    return Answer(request.exchange, 422, {"detail": invalid.detail})
            allowed = True
        if allowed:
            return Answer(request.exchange, 405, NOT_ALLOWED)
        return Answer(request.exchange, 404, NOT_FOUND)

    def takes_socket(self, path: str) -> bool:
        """Whether a WebSocket may be opened there."""
        on_socket = self._conversation.app.traits.channel is Channel.WEBSOCKET
        return on_socket and path.rstrip("/") == f"{self._prefix}/queue/join"

    def text(self, exchange: int, text: str, now: float) -> None:
        """What came on a WebSocket."""
        submission: Submission | None = None
        try:
            said = read_object(text.encode("utf-8", "replace"), self._limits)
            submission = read_submission(said, data_required=False)
        except Invalid:
            pass  # the conversation ends the WebSocket, as the real server's task does
        self._conversation.receive_text(exchange, submission, now)

    def _matching(self, path: str) -> list[tuple[Route, tuple[str, ...]]]:
        found: list[tuple[Route, tuple[str, ...]]] = []
        for route in self._routes:
            prefix = self._prefix if route.prefixed else ""
            if path != prefix and not path.startswith(f"{prefix}/"):
                continue
            segments = path[len(prefix) :].strip("/").split("/")
            parts = route.match(segments)
            if parts is not None:
                found.append((route, parts))
        return found

    def _body(self, request: Request) -> dict[str, Any]:
        return read_object(request.body, self._limits)

    def _submission(self, request: Request) -> Submission:
        return read_submission(self._body(request))

    # Documents

    def config(self, request: Request) -> Immediate:
        return Answer(request.exchange, 200, self._conversation.documents.config(_root(request)))

    def page(self, request: Request) -> Immediate:
        """A page of our own, with the config where old clients look for it."""
        config = json.dumps(self._conversation.documents.config(_root(request))).decode()
        config = config.replace("<", "\\u003c")  # no text of the app ends the script
        title = re.sub("[<>&]", "", self._conversation.app.title)
        return AnswerPage(
            request.exchange,
            f"<!doctype html>\n<html><head><meta charset=utf-8><title>{title}</title>"
            f"<script>window.gradio_config = {config};</script></head>"
            f"<body><h1>{title}</h1><p>This app is spoken to by its API.</p></body></html>\n",
        )

    def info(self, request: Request) -> Immediate:
        return Answer(request.exchange, 200, self._conversation.documents.info())

    def app_id(self, request: Request) -> Immediate:
        return Answer(request.exchange, 200, {"app_id": self._conversation.documents.app_id})

    # The queue

    def join(self, request: Request) -> None:
        asked = self._conversation.app.traits.handover is Handover.ASKED
        submission = read_submission(self._body(request), data_required=not asked)
        self._conversation.join(request.exchange, submission, request.headers, request.now)

    def stream(self, request: Request) -> None:
        session_hash = request.asked("session_hash")
        self._conversation.open_stream(request.exchange, session_hash, request.now)

    def job_stream(self, request: Request) -> None:
        fn_index = request.asked("fn_index")
        data = request.query.get("data")
        said: dict[str, Any] = {
            "fn_index": int(fn_index) if re.fullmatch("[0-9]{1,9}", fn_index) else None,
            "session_hash": request.asked("session_hash"),
        }
        if data is not None:
            wrapped = f'{{"data":{data[-1]}}}'.encode("utf-8", "replace")
            said["data"] = read_object(wrapped, self._limits).get("data")
        submission = read_submission(said, data_required=False)
        self._conversation.open_job_stream(
            request.exchange, submission, request.headers, request.now
        )

    def hand_over(self, request: Request) -> None:
        submission = self._submission(request)
        self._conversation.hand_over(request.exchange, submission, request.now)

    def cancel(self, request: Request) -> None:
        wanted = {"session_hash": str, "fn_index": int, "event_id": str}
        said = read_fields(self._body(request), wanted)
        self._conversation.cancel(request.exchange, **said, now=request.now)

    def reset(self, request: Request) -> None:
        event_id = self._body(request).get("event_id")
        event_id = event_id if isinstance(event_id, str) else None
        self._conversation.reset(request.exchange, event_id, request.now)

    def heartbeat(self, request: Request) -> None:
        self._conversation.open_heartbeat(request.exchange, request.parts[0], request.now)

    # The rest

    def call(self, request: Request) -> None:
        self._conversation.call(
            request.exchange,
            request.parts[0],
            self._submission(request),
            request.headers,
            request.now,
        )

    def feed(self, request: Request) -> None:
        submission = self._submission(request)
        self._conversation.feed(request.exchange, request.parts[0], submission, request.now)

    def end_input(self, request: Request) -> None:
        self._conversation.end_input(request.exchange, request.parts[0], request.now)


def _root(request: Request) -> str:
    """The address that the client used (gradio route_utils.py: get_root_url)."""
    scheme = request.header("x-forwarded-proto") or request.scheme
    host = request.header("x-forwarded-host") or request.header("host") or "localhost"
    return f"{scheme}://{host}"


ROUTES: Final = (
    Route("GET", "/config", Router.config, prefixed=False),
    Route("GET", "/", Router.page, prefixed=False),
    Route("HEAD", "/", Router.page, prefixed=False),
    Route("GET", "/info", Router.info, since(3, 26)),
    Route("GET", "/app_id", Router.app_id),
    Route("POST", "/queue/join", Router.join, only=_session_stream),
    Route("GET", "/queue/data", Router.stream, only=_session_stream),
    Route("GET", "/queue/join", Router.job_stream, only=_job_stream),
    Route("POST", "/queue/data", Router.hand_over, only=_asked_by_stream),
    Route("POST", "/cancel", Router.cancel, since(4, 31)),
    Route("POST", "/reset", Router.reset, since(3, 6)),
    Route("GET", "/heartbeat/{}", Router.heartbeat, since(4, 25)),
    Route("POST", "/api/{}", Router.call),
    Route("POST", "/run/{}", Router.call, since(3, 9)),
    Route("POST", "/stream/{}", Router.feed, since(5, 0)),
    Route("POST", "/stream/{}/close", Router.end_input, since(5, 0)),
)
