"""What may be different on the wire from what a server usually sends, as data.

A change is legal, and then a client must come to the same end; or it is a fault, and then the
client must say that its job failed. Each names the rule that a client breaks which does neither.

A change is made of small functions. They are handed what the server role is about to do, as
commands at the altitude of HTTP messages, and return what is done in its place. They are handed
``Doings``, which knows what was asked and said so far.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import attrs

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import Channel, traits_of
from sansio_gradio.server.events import (
    JSON,
    TEXT,
    OpenChannel,
    SendMessage,
    SendResponse,
    ServerCommand,
)
from sansio_gradio.server.requests import Request
from sansio_gradio.server.versions import covers, protocol_of

__all__ = [
    "CHANGES",
    "HTML",
    "LONG",
    "SHORT",
    "Asking",
    "BreakOff",
    "Change",
    "Command",
    "Doings",
    "Ending",
    "Wait",
    "is_of_job",
]

HTML: Final = "text/html"
SHORT: Final = 20.0
"""Seconds within which a client must see that its job is over."""
LONG: Final = 95.0
"""The same where it can only be seen by silence: 60 s of that, and some time to act."""


class Asking(enum.StrEnum):
    """What a client asks for."""

    CONFIG = enum.auto()
    PAGE = enum.auto()  # which has the config, too
    INFO = enum.auto()
    JOIN = enum.auto()  # a POST that is answered with an event_id
    CHANNEL = enum.auto()  # what brings messages: a stream or a WebSocket
    HAND_OVER = enum.auto()  # the data of a job, where the server asks for it
    PLAIN = enum.auto()  # a call past the queue
    POLL = enum.auto()  # what has become of a job
    STOP = enum.auto()
    HEARTBEAT = enum.auto()
    UPLOAD = enum.auto()
    OTHER = enum.auto()


class Ending(enum.Enum):
    """How a connection ends, for TCP."""

    CLOSE = enum.auto()
    RESET = enum.auto()
    HOLD = enum.auto()  # it does not, and nothing comes any more


@attrs.frozen
class Wait:
    """Nothing goes out on that exchange for so many seconds."""

    exchange: int
    seconds: float


@attrs.frozen
class BreakOff:
    """The connection ends, and so many of the last bytes are lost. ``last``: further ones are sent
    before that, whatever HTTP says."""

    exchange: int
    ending: Ending
    lost: int = 0
    last: bytes = b""


Command: TypeAlias = ServerCommand | Wait | BreakOff


class Doings(Protocol):
    """What was asked and said so far, and a way to say more."""

    @property
    def counts(self) -> Mapping[Asking, int]:
        """How often each kind of request has come, this one included."""
        ...

    @property
    def said(self) -> Mapping[str, int]:
        """How often each kind of message was sent, without those that a change has added."""
        ...

    def asked(self, exchange: int) -> Asking: ...
    def added(self, exchange: int, message: Mapping[str, Any]) -> SendMessage:
        """A message that no job of the scenario has said."""
        ...


Rewrite: TypeAlias = "Callable[[Doings, Command], Iterable[Command]]"
Answer: TypeAlias = "Callable[[Doings, Request], Iterable[Command] | None]"
"""What is done in place of asking the server role; None: that is asked."""
Frame: TypeAlias = "Callable[[bytes], Sequence[bytes]]"
"""The text of a message, in JSON, as one or more chunks of an event stream."""


@attrs.frozen(kw_only=True)
class Change:
    """One difference. ``releases``: as in ``server.versions``; ``on``: the channels that it can
    happen on; ``scenarios``: to which. ``ends``: how the call ends then. ``texts``: what the error
    must say. ``seconds``: how long that may take. ``joins``: how often a job may be handed in.
    ``skips_outputs``: outputs may be missing. ``layer``: two changes of one layer do not go
    together, and faults go with nothing.
    """

    name: str
    rule: str
    says: str
    layer: Literal["config", "messages", "fault"] = "fault"
    releases: str = ""
    on: Sequence[Channel] = (Channel.SESSION_STREAM, Channel.JOB_STREAM, Channel.WEBSOCKET)
    scenarios: Sequence[str] = ("growing",)
    ends: Literal["as before", "error", "either", "refused"] = "as before"
    texts: Sequence[str] = ()
    seconds: float = SHORT
    joins: int = 1
    skips_outputs: bool = False
    rewrite: Rewrite | None = None
    answer: Answer | None = None
    frame: Frame | None = None

    def fits(self, version: str, scenario: str) -> bool:
        """Whether it can happen to that scenario on a server of that release."""
        numbers = version_numbers(version)
        channel = traits_of(protocol_of(numbers)).channel
        return covers(self.releases, numbers) and channel in self.on and scenario in self.scenarios


def is_of_job(command: Command, kind: str = "") -> bool:
    """Whether it is a message of a job; of that kind, if one is given."""
    if not isinstance(command, SendMessage):
        return False
    said = command.message.get("msg")
    return said == kind if kind else said not in ("heartbeat", "close_stream")


_STREAMS: Final = (Channel.SESSION_STREAM, Channel.JOB_STREAM)
_SHARED: Final = (Channel.SESSION_STREAM,)
_SOCKET: Final = (Channel.WEBSOCKET,)
_BOTH: Final = ("text", "growing")


# The config


def _config(change: Callable[[dict[str, Any]], dict[str, Any]], headers: Any = ()) -> Rewrite:
    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not isinstance(command, SendResponse) or doings.asked(command.exchange) != Asking.CONFIG:
            return [command]
        if command.status != 200:
            return [command]
        body = change(json.loads(json.dumps(command.body)))
        return [attrs.evolve(command, body=body, headers=(*command.headers, *headers))]

    return rewrite


def _reorder(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "dependencies": config["dependencies"][::-1]}


def _repeat_names(config: dict[str, Any]) -> dict[str, Any]:
    """Every name stands once more at the end, for the function of number 0, a decoy."""
    functions: list[dict[str, Any]] = config["dependencies"]
    again = [
        {**functions[0], "api_name": function["api_name"], "id": len(functions) + place}
        for place, function in enumerate(functions[1:])
    ]
    if "id" not in functions[0]:
        again = [{key: value for key, value in one.items() if key != "id"} for one in again]
    return {**config, "dependencies": [*functions, *again]}


def _in_browser(config: dict[str, Any]) -> dict[str, Any]:
    functions = [{**function, "backend_fn": False} for function in config["dependencies"]]
    return {**config, "dependencies": functions}


def _more_keys(config: dict[str, Any]) -> dict[str, Any]:
    def more(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"brand_new": {"a": [1]}, **item} for item in items]

    functions, parts = more(config["dependencies"]), more(config["components"])
    return {"brand_new": [None], **config, "dependencies": functions, "components": parts}


# Messages


def _before(kind: str, nth: int, *messages: dict[str, Any]) -> Rewrite:
    """These messages come before the nth one of that kind."""

    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not is_of_job(command, kind) or doings.said.get(kind, 0) != nth - 1:
            return [command]
        assert isinstance(command, SendMessage)
        own = command.message.get("event_id")
        made = [_with_id(message, own) for message in messages]
        return [*(doings.added(command.exchange, message) for message in made), command]

    return rewrite


def _with_id(message: dict[str, Any], own: str | None) -> dict[str, Any]:
    """The message, with the job's own id where it says OWN."""
    if message.get("event_id") != OWN:
        return message
    if own is None:
        return {key: value for key, value in message.items() if key != "event_id"}
    return {**message, "event_id": own}


OWN: Final = "OWN"


def _edit(
    kind: str, change: Callable[[dict[str, Any]], Mapping[str, Any]], nth: int = 0
) -> Rewrite:
    """Each message of that kind is changed; or only the nth."""

    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not is_of_job(command, kind) or (nth and doings.said.get(kind, 0) != nth - 1):
            return [command]
        assert isinstance(command, SendMessage)
        made: Any = change(json.loads(json.dumps(command.message)))
        return [SendMessage(command.exchange, made)]

    return rewrite


def _drop(*kinds: str) -> Rewrite:
    return lambda _, command: [] if any(is_of_job(command, k) for k in kinds) else [command]


def _generating_is(value: bool | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(message: dict[str, Any]) -> dict[str, Any]:
        return {**message, "output": {**message["output"], "is_generating": value}}

    return change


def _as_edits(message: dict[str, Any]) -> dict[str, Any]:
    """A first yield whose values are edits that replace all."""
    output = message["output"]
    edits: list[Any] = [[["replace", [], value]] for value in output["data"]]
    return {**message, "output": {**output, "data": edits}}


def _edits(*edits: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(message: dict[str, Any]) -> dict[str, Any]:
        return {**message, "output": {**message["output"], "data": [list(edits)]}}

    return change


def _spread(seconds: float) -> Rewrite:
    def rewrite(_: Doings, command: Command) -> Iterable[Command]:
        return [command, Wait(command.exchange, seconds)] if is_of_job(command) else [command]

    return rewrite


def _start_first(doings: Doings, command: Command) -> Iterable[Command]:
    """The estimation comes behind process_starts."""
    if is_of_job(command, "estimation"):
        return []
    if not is_of_job(command, "process_starts"):
        return [command]
    assert isinstance(command, SendMessage)
    late = {"msg": "estimation", "event_id": OWN, "rank": 0, "queue_size": 1, "rank_eta": None}
    own = command.message.get("event_id")
    return [command, doings.added(command.exchange, _with_id(late, own))]


def _stay_open(_: Doings, command: Command) -> Iterable[Command]:
    """The stream does not end with the job."""
    if is_of_job(command, "process_completed"):
        return [command, BreakOff(command.exchange, Ending.HOLD)]
    return [command]


# Faults


def _is(doings: Doings, request: Request, ask: Asking) -> bool:
    """Whether that is what the request asks for; the page counts as the config."""
    asked = doings.asked(request.exchange)
    return asked == ask or (ask == Asking.CONFIG and asked == Asking.PAGE)


def _refuse(
    ask: Asking, status: int, body: Any, content_type: str = JSON, headers: Any = ()
) -> Answer:
    """Requests of that kind are refused."""

    def answer(doings: Doings, request: Request) -> Iterable[Command] | None:
        if not _is(doings, request, ask):
            return None
        return [SendResponse(request.exchange, status, body, content_type, headers)]

    return answer


def _break(ask: Asking, ending: Ending, last: bytes = b"", times: int = 1_000_000) -> Answer:
    """Connections end in place of an answer; *last* is what still comes."""

    def answer(doings: Doings, request: Request) -> Iterable[Command] | None:
        if not _is(doings, request, ask) or doings.counts[ask] > times:
            return None
        return [BreakOff(request.exchange, ending, last=last)]

    return answer


def _open_and(last: bytes, ending: Ending, *, times: int = 1_000_000) -> Answer:
    """A stream that has these bytes, and then ends."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return _break(Asking.CHANNEL, ending, head + last, times)


_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _chunk(message: Mapping[str, Any]) -> bytes:
    event = b"data: %b\n\n" % json.dumps(message).encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def _cut(kind: str, nth: int, ending: Ending, *, lost: int = 0, is_after: bool = True) -> Rewrite:
    """The channel ends at the nth message of that kind. ``lost``: -1 for half of it."""

    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not is_of_job(command, kind) or doings.said.get(kind, 0) != nth - 1:
            return [command]
        assert isinstance(command, SendMessage)
        if not is_after:
            return [BreakOff(command.exchange, ending)]
        bytes_lost = len(json.dumps(command.message)) // 2 if lost < 0 else lost
        return [command, BreakOff(command.exchange, ending, bytes_lost)]

    return rewrite


def _end_cleanly(kind: str, nth: int) -> Rewrite:
    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not is_of_job(command, kind) or doings.said.get(kind, 0) != nth - 1:
            return [command]
        return [BreakOff(command.exchange, Ending.CLOSE, last=b"0\r\n\r\n")]

    return rewrite


def _instead(kind: str, nth: int, message: dict[str, Any], ending: Ending | None) -> Rewrite:
    """That message comes in place of the nth one of that kind; then the channel ends."""

    def rewrite(doings: Doings, command: Command) -> Iterable[Command]:
        if not is_of_job(command, kind) or doings.said.get(kind, 0) != nth - 1:
            return [command]
        assert isinstance(command, SendMessage)
        made = _with_id(message, command.message.get("event_id"))
        end = [] if ending is None else [BreakOff(command.exchange, ending)]
        return [doings.added(command.exchange, made), *end]

    return rewrite


def _forget(doings: Doings, command: Command) -> Iterable[Command]:
    """The server knows the session, but not the job: only heartbeats come."""
    if isinstance(command, OpenChannel) and doings.asked(command.exchange) == Asking.CHANNEL:
        beat = {"msg": "heartbeat"}
        return [command, doings.added(command.exchange, beat)]
    return [] if is_of_job(command) else [command]


_GARBAGE: Final = "<html><h1>Bad Gateway</h1></html>"
_STATUS_TEXTS: Final = {
    502: (_GARBAGE, HTML),
    504: (_GARBAGE, HTML),
    500: ("Internal Server Error", "text/plain; charset=utf-8"),
}


def _statuses(ask: Asking, rule: str, on: Sequence[Channel], *statuses: int) -> Iterable[Change]:
    for status in statuses:
        yield Change(
            name=f"{ask}_{status}",
            rule=rule,
            says=f"The {ask} is answered {status}.",
            on=on,
            scenarios=("text",),
            ends="error",
            answer=_refuse(ask, status, *_STATUS_TEXTS[status]),
        )


_TOO_LARGE: Final = "File size exceeded maximum allowed size of 4 bytes."
_NO_PATHS: Final[list[str]] = []
_BROKEN: Final = "Internal Server Error"

_LAST: Final = "process_completed"
_YIELD: Final = "process_generating"

_CONFIG: Final = (
    Change(
        name="reordered",
        layer="config",
        rule="R-config-3",
        says="The functions stand in another order than their ids.",
        releases=">=4.32",
        scenarios=_BOTH,
        rewrite=_config(_reorder),
    ),
    Change(
        name="wrong_root",
        layer="config",
        rule="R-config-2",
        says="config.root is an address where nobody is.",
        releases=">=4.19",
        scenarios=_BOTH,
        rewrite=_config(lambda config: {**config, "root": "http://127.0.0.1:9/nowhere"}),
    ),
    Change(
        name="same_names",
        layer="config",
        rule="R-config-4",
        says="Another function has the same name, further down.",
        scenarios=("text",),
        rewrite=_config(_repeat_names),
    ),
    Change(
        name="more_in_config",
        layer="config",
        rule="R-message-1",
        says="The config has keys that nobody knows yet.",
        scenarios=("text",),
        rewrite=_config(_more_keys),
    ),
    Change(
        name="sse_v4",
        layer="config",
        rule="R-protocol-2",
        says="The config names a protocol that nobody knows yet, which is like the newest.",
        releases=">=6.0",
        scenarios=_BOTH,
        rewrite=_config(lambda config: {**config, "protocol": "sse_v4"}),
    ),
    Change(
        name="cookies",
        layer="config",
        rule="R-config-7",
        says="/config sets a cookie, which every later request must bring.",
        scenarios=_BOTH,
        rewrite=_config(lambda config: config, [("set-cookie", "replica=7; Path=/; HttpOnly")]),
    ),
    Change(
        name="in_browser",
        rule="R-config-5",
        says="The function runs in the browser only: it cannot be called.",
        scenarios=("text",),
        ends="refused",
        rewrite=_config(_in_browser),
    ),
)

_MESSAGES: Final = (
    Change(
        name="unknown_kind_for_all",
        layer="messages",
        rule="R-stream-5",
        says="A message of a kind that nobody knows yet comes for the whole session.",
        on=_SHARED,
        scenarios=_BOTH,
        rewrite=_before(_LAST, 1, {"msg": "brand_new_message", "event_id": None}),
    ),
    Change(
        name="alive",
        layer="messages",
        rule="R-message-1",
        says='A WebSocket says "alive?" meanwhile, as some releases do.',
        on=_SOCKET,
        scenarios=_BOTH,
        rewrite=_before(_LAST, 1, {"msg": "alive?"}),
    ),
    Change(
        name="late_estimation",
        layer="messages",
        rule="R-message-5",
        says="The estimation comes when the job runs already.",
        scenarios=_BOTH,
        rewrite=_start_first,
    ),
    Change(
        name="never_starts",
        layer="messages",
        rule="R-message-5",
        says="The last message is the only one, as of a cached function.",
        releases=">=4.9",
        scenarios=("text",),
        rewrite=_drop("estimation", "process_starts"),
    ),
    Change(
        name="generating_true",
        layer="messages",
        rule="R-message-3",
        says="The last message says is_generating: true, as up to 4.16.",
        releases="<4.17",
        scenarios=_BOTH,
        rewrite=_edit(_LAST, _generating_is(True)),
    ),
    Change(
        name="generating_null",
        layer="messages",
        rule="R-message-3",
        says="is_generating is null, as of batched functions.",
        releases=">=3.16",
        scenarios=_BOTH,
        rewrite=_edit(_LAST, _generating_is(None)),
    ),
    Change(
        name="generating_false",
        layer="messages",
        rule="R-message-3",
        says="is_generating is null in each yield, as of batched functions.",
        releases=">=3.16",
        rewrite=_edit(_YIELD, _generating_is(None)),
    ),
    Change(
        name="first_is_edits",
        layer="messages",
        rule="R-edit-5",
        says="The first yield is an edit already: it replaces all.",
        releases=">=4.17<6.27",
        rewrite=_edit(_YIELD, _as_edits, 1),
    ),
    Change(
        name="misfit",
        rule="R-edit-4",
        says="An edit does not fit what was there: the last message is whole all the same.",
        releases=">=4.17",
        skips_outputs=True,
        rewrite=_edit(_YIELD, _edits(["replace", ["a", 3, "b"], "WRONG"]), 3),
    ),
    Change(
        name="no_base",
        rule="R-edit-4",
        says="The first yield has edits of a value that nobody knows.",
        releases=">=4.17<6.27",
        skips_outputs=True,
        rewrite=_edit(_YIELD, _edits(["append", [], "WRONG"]), 1),
    ),
    Change(
        name="spread",
        layer="messages",
        rule="R-stream-6",
        says="A short time passes after each message.",
        scenarios=_BOTH,
        rewrite=_spread(0.05),
    ),
    Change(
        name="stays_open",
        layer="messages",
        rule="R-session-1",
        says="The stream does not end with the job.",
        on=_SHARED,
        scenarios=_BOTH,
        rewrite=_stay_open,
    ),
    Change(
        name="empty_stream",
        layer="messages",
        rule="R-end-4",
        says="The first stream ends cleanly before anything came: there is more on a second one.",
        on=_SHARED,
        scenarios=_BOTH,
        answer=_open_and(b"0\r\n\r\n", Ending.CLOSE, times=1),
    ),
)

_NOT_FOUND: Final = {
    "msg": "unexpected_error",
    "event_id": None,
    "message": "404: Session not found.",
    "session_not_found": True,
    "success": False,
}
_DETAIL: Final = [{"is_valid": False, "message": "too short", "parameter_name": "text"}]
_OF_CONFIG: Final = (
    *_statuses(Asking.CONFIG, "R-config-1", _SHARED + _SOCKET, 502, 500),
    Change(
        name="config_html",
        rule="R-config-1",
        says="The config is a page.",
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.CONFIG, 200, _GARBAGE, HTML),
    ),
    Change(
        name="config_list",
        rule="R-config-1",
        says="The config is JSON, but no object.",
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.CONFIG, 200, ["a"]),
    ),
    Change(
        name="login_wanted",
        rule="R-config-8",
        says="The app wants a login.",
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.CONFIG, 401, {"detail": "Not authenticated"}),
    ),
    Change(
        name="config_reset",
        rule="R-config-1",
        says="The connection is reset in place of the config.",
        scenarios=("text",),
        ends="error",
        answer=_break(Asking.CONFIG, Ending.RESET),
    ),
    Change(
        name="config_cut",
        rule="R-config-1",
        says="The config is cut off.",
        scenarios=("text",),
        ends="error",
        answer=_break(
            Asking.CONFIG,
            Ending.CLOSE,
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n{",
        ),
    ),
    Change(
        name="config_silence",
        rule="R-http-3",
        says="The config is never answered.",
        scenarios=("text",),
        ends="error",
        seconds=LONG,
        answer=_break(Asking.CONFIG, Ending.HOLD),
    ),
)
_OF_JOIN: Final = (
    *_statuses(Asking.JOIN, "R-refuse-1", _SHARED, 502, 500, 504),
    Change(
        name="queue_full",
        rule="R-join-2",
        says="There is no room in the queue.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        joins=5,
        answer=_refuse(Asking.JOIN, 503, {"detail": "Queue is full. Max size is 1 and size is 1."}),
    ),
    Change(
        name="queue_full_said",
        rule="R-ws-8",
        says="There is no room in the queue.",
        on=_SOCKET,
        scenarios=("text",),
        ends="error",
        joins=5,
        rewrite=_instead("estimation", 1, {"msg": "queue_full"}, None),
    ),
    Change(
        name="queue_full_streamed",
        rule="R-sse-5",
        says="There is no room in the queue.",
        on=(Channel.JOB_STREAM,),
        scenarios=("text",),
        ends="error",
        joins=5,
        rewrite=_instead("estimation", 1, {"msg": "queue_full"}, Ending.CLOSE),
    ),
    Change(
        name="too_many_requests",
        rule="R-join-2",
        says="A proxy lets no more requests through.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        joins=5,
        answer=_refuse(Asking.JOIN, 429, _GARBAGE, HTML, [("retry-after", "60")]),
    ),
    Change(
        name="not_valid",
        rule="R-join-2",
        says="The app's validators refuse the arguments.",
        releases=">=5.45",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        texts=("too short",),
        answer=_refuse(Asking.JOIN, 422, {"detail": _DETAIL}),
    ),
    Change(
        name="not_understood",
        rule="R-join-2",
        says="The server says that the request is malformed.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_refuse(
            Asking.JOIN,
            422,
            {"detail": [{"type": "missing", "loc": ["body", "data"], "msg": "Field required"}]},
        ),
    ),
    Change(
        name="join_html",
        rule="R-join-2",
        says="The join is answered by a page.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.JOIN, 200, _GARBAGE, HTML),
    ),
    Change(
        name="no_event_id",
        rule="R-join-2",
        says="The answer to the join names no job.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.JOIN, 200, {}),
    ),
    Change(
        name="join_reset",
        rule="R-join-4",
        says="The connection is reset in place of an answer to the join.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_break(Asking.JOIN, Ending.RESET),
    ),
    Change(
        name="join_cut",
        rule="R-join-4",
        says="The answer to the join is cut off.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_break(
            Asking.JOIN,
            Ending.CLOSE,
            b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 47\r\n\r\n{"ev',
        ),
    ),
    Change(
        name="join_silence",
        rule="R-http-3",
        says="The join is never answered.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        seconds=LONG,
        answer=_break(Asking.JOIN, Ending.HOLD),
    ),
)


def _cuts() -> Iterable[Change]:
    """The channel of messages ends, at every kind of place."""
    places: Sequence[tuple[str, str, dict[str, Any]]] = (
        ("first", "before its first message", {"kind": "estimation", "nth": 1, "is_after": False}),
        ("waiting", "when the job waits", {"kind": "estimation", "nth": 1}),
        ("yield", "after a yield", {"kind": _YIELD, "nth": 2}),
        ("inside", "within a yield", {"kind": _YIELD, "nth": 3, "lost": -1}),
        ("edge", "within the line end after a yield", {"kind": _YIELD, "nth": 2, "lost": 3}),
        ("last", "within the last message", {"kind": _LAST, "nth": 1, "lost": -1}),
    )
    for name, where, place in places:
        for ending in (Ending.CLOSE, Ending.RESET):
            how = "closed" if ending is Ending.CLOSE else "reset"
            for on, rule in ((_STREAMS, "R-end-5"), (_SOCKET, "R-ws-8")):
                yield Change(
                    name=f"{how}_{name}",
                    rule=rule,
                    says=f"The connection is {how} {where}.",
                    on=on,
                    ends="error",
                    rewrite=_cut(ending=ending, **place),
                )


_OF_STREAM: Final = (
    *_cuts(),
    *_statuses(Asking.CHANNEL, "R-end-1", _SHARED, 502, 500),
    Change(
        name="stream_html",
        rule="R-end-1",
        says="The stream is a page.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_refuse(Asking.CHANNEL, 200, _GARBAGE, HTML),
    ),
    Change(
        name="closed_behind_the_end",
        rule="R-end-1",
        says="The connection is closed behind the last message of the job.",
        layer="fault",
        scenarios=_BOTH,
        rewrite=_cut(_LAST, 1, Ending.CLOSE),
    ),
    Change(
        name="ended_cleanly",
        rule="R-end-4",
        says="The stream ends cleanly in the middle of the job.",
        on=_SHARED,
        ends="error",
        rewrite=_end_cleanly(_YIELD, 3),
    ),
    Change(
        name="ended_cleanly_always",
        rule="R-end-4",
        says="Each stream ends cleanly before anything came: one more is asked for, not many.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_open_and(b"0\r\n\r\n", Ending.CLOSE),
    ),
    Change(
        name="dropped",
        rule="R-sse-5",
        says="The stream ends cleanly in the middle of the job.",
        on=(Channel.JOB_STREAM,),
        ends="error",
        rewrite=_end_cleanly(_YIELD, 3),
    ),
    Change(
        name="socket_stopped",
        rule="R-ws-8",
        says="The server closes the WebSocket with 1000 before the job has ended.",
        on=_SOCKET,
        ends="error",
        rewrite=lambda doings, command: (
            [BreakOff(command.exchange, Ending.CLOSE, last=b"\x88\x02\x03\xe8")]
            if is_of_job(command, _YIELD) and doings.said.get(_YIELD, 0) == 2
            else [command]
        ),
    ),
    Change(
        name="silence",
        rule="R-stream-7",
        says="The stream stays open, and brings nothing any more, not even heartbeats.",
        on=_SHARED,
        ends="error",
        seconds=LONG,
        rewrite=_cut(_YIELD, 2, Ending.HOLD),
    ),
    Change(
        name="forgotten",
        rule="R-end-6",
        says="Heartbeats come, and nothing of the job: the server has forgotten it.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        seconds=LONG,
        rewrite=_forget,
    ),
    Change(
        name="given_up",
        rule="R-end-7",
        says="The server gives the job up, and says why.",
        on=_SHARED,
        ends="error",
        texts=("it ran out of memory",),
        rewrite=_instead(
            _YIELD,
            3,
            {
                "msg": "unexpected_error",
                "event_id": OWN,
                "message": "it ran out of memory",
                "success": False,
            },
            Ending.CLOSE,
        ),
    ),
    Change(
        name="stopped",
        rule="R-end-7",
        says="The server stops, and tells the whole session so.",
        on=_SHARED,
        ends="error",
        texts=("Server stopped unexpectedly",),
        rewrite=_instead(
            _YIELD,
            3,
            {
                "msg": "unexpected_error",
                "event_id": None,
                "message": "Server stopped unexpectedly.",
                "success": False,
            },
            Ending.CLOSE,
        ),
    ),
    Change(
        name="session_lost",
        rule="R-end-7",
        says="The server does not know the session.",
        on=_SHARED,
        scenarios=("text",),
        ends="error",
        answer=_open_and(_chunk(_NOT_FOUND), Ending.CLOSE),
    ),
    Change(
        name="cancelled_by_others",
        rule="R-end-1",
        says="The server cancels the job, and nobody had asked for it.",
        on=_SHARED,
        releases=">=4.31",
        ends="error",
        rewrite=_edit(_LAST, lambda message: {**message, "output": {}}),
    ),
    Change(
        name="no_json",
        rule="R-end-1",
        says="A message is no JSON: no wrong value, and an end.",
        ends="either",
        skips_outputs=True,
        layer="fault",
        on=_STREAMS,
        frame=lambda text: [
            b"data: {'msg': oops\n\n" if b'"process_starts"' in text else b"data: %b\n\n" % text
        ],
    ),
    Change(
        name="no_object",
        rule="R-end-1",
        says="A message is JSON, but no object: no wrong value, and an end.",
        ends="either",
        skips_outputs=True,
        on=_STREAMS,
        frame=lambda text: [
            b"data: [1, null]\n\n" if b'"process_starts"' in text else b"data: %b\n\n" % text
        ],
    ),
)

_OF_UPLOAD: Final = tuple(
    Change(
        name=name,
        rule=rule,
        says=says,
        releases=">=4.0",
        scenarios=("file",),
        ends="error",
        joins=0,
        answer=_refuse(Asking.UPLOAD, status, body, kind),
    )
    for name, rule, says, status, body, kind in (
        ("upload_413", "R-file-3", "The file is too large.", 413, _TOO_LARGE, TEXT),
        ("upload_500", "R-file-1", "The upload is answered 500.", 500, _BROKEN, TEXT),
        ("upload_lost", "R-file-1", "Its answer names no file.", 200, _NO_PATHS, JSON),
    )
)
"""An upload that fails: the call ends in an error, and no job joins. Before 4.0 a call may hold the
content, without an upload."""

CHANGES: Final[Sequence[Change]] = (
    *_CONFIG,
    *_MESSAGES,
    *_OF_CONFIG,
    *_OF_JOIN,
    *_OF_STREAM,
    *_OF_UPLOAD,
)
