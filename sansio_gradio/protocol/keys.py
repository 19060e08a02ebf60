"""The JSON objects of the wire, as data: a row for each key.

The readers in this folder take keys and types from here. ``docs/build.py`` writes the tables of
docs/protocol/fields.md and the JSON Schema from the same rows.

Rule 1: a reader asks a row for its value (``ConfigKeys.version.of(config)``). What has another type
counts as absent, so a later server that writes a key differently breaks nothing.

Rule 2: ``null`` says what servers send. A reader takes null for absent.

Sources: gradio data_classes.py, server_messages.py, blocks.py and routes.py of each version, and
the recordings in ``tests/data/transcripts``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs

from sansio_gradio.protocol.states import ALIVE, CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.wire.json import JSON

_ALSO: Final[Mapping[type, tuple[type, ...]]] = {float: (int,)}  # a number may be whole

T = TypeVar("T", str, int, float, bool, list[Any], dict[str, Any])


@attrs.frozen
class Key(Generic[T]):
    """A key of a JSON object."""

    name: str
    kind: type[T]
    """float stands for any JSON number."""
    meaning: str
    null: bool = attrs.field(default=False, kw_only=True)
    also: tuple[type, ...] = attrs.field(default=(), kw_only=True)
    """Further types that servers send."""
    any: bool = attrs.field(default=False, kw_only=True)
    """Any JSON value; *kind* is the usual one."""
    unit: str = attrs.field(default="", kw_only=True)
    since: str = attrs.field(default="", kw_only=True)
    """The first release with it; empty: all releases of the object."""
    gone: str = attrs.field(default="", kw_only=True)
    """The first release without it."""
    always: bool = attrs.field(default=False, kw_only=True)
    """Every release sends it."""
    is_read: bool = attrs.field(default=True, kw_only=True)
    """This library reads it, and so checks its type."""

    def of(self, part: JSON | Mapping[str, Any]) -> T | None:
        """The value in *part*; None if it is absent or of another type than ``kind``."""
        value: Any = part.get(self.name) if isinstance(part, dict) else None
        return value if type(value) in (self.kind, *_ALSO.get(self.kind, ())) else None

    @property
    def kinds(self) -> frozenset[type]:
        """The exact Python types of the values that a reader takes."""
        nothing: tuple[type, ...] = (type(None),) if self.null or self.kind is not str else ()
        return frozenset((self.kind, *_ALSO.get(self.kind, ()), *self.also, *nothing))


class ConfigKeys:
    """The answer to ``GET config``."""

    version = Key("version", str, "the release of Gradio; up to 3.23 it ends in a newline")
    protocol = Key("protocol", str, "the name of the protocol", since="4.0")
    api_prefix = Key("api_prefix", str, "what the base adds to the address", since="5.0")
    components = Key("components", list, "every component", always=True)
    dependencies = Key("dependencies", list, "every function", always=True)
    enable_queue = Key("enable_queue", bool, "the default of functions that do not say", null=True)
    connect_heartbeat = Key(
        "connect_heartbeat", bool, "hold `/heartbeat` open for each session", since="4.29"
    )
    app_id = Key(
        "app_id", int, "changes with each start of the server; up to 64 bits", since="3.17"
    )
    root = Key(
        "root", str, "the address that the server believes to have", null=True, is_read=False
    )
    max_file_size = Key(
        "max_file_size",
        int,
        "the largest upload",
        null=True,
        unit="bytes",
        since="4.28",
        is_read=False,
    )
    auth_required = Key("auth_required", bool, "this is no config: log in")
    auth_message = Key(
        "auth_message", str, "what the app says to visitors who are not logged in", null=True
    )


class ComponentKeys:
    """A component: an item of ``config.components``."""

    id = Key("id", int, "what functions call it", always=True)
    type = Key("type", str, "such as `textbox`", always=True)
    props = Key("props", dict, "its properties: `label`, `value`, `server_fns`, …")
    skip_api = Key("skip_api", bool, "callers neither give nor get its value", since="4.0")


class FunctionKeys:
    """A function: an item of ``config.dependencies``."""

    id = Key("id", int, "its number on the wire; before, that is its place", since="4.32")
    inputs = Key("inputs", list, "ids of components, in the order of `data`", always=True)
    outputs = Key("outputs", list, "ids of components, in the order of results", always=True)
    api_name = Key(
        "api_name",
        str,
        "the name to call it by, without a slash; false: private (up to 5.x)",
        null=True,
        also=(bool,),
    )
    api_visibility = Key(
        "api_visibility", str, "`public`, `undocumented` or `private`", since="6.0"
    )
    show_api = Key("show_api", bool, "false: undocumented", since="4.12", gone="6.0")
    queue = Key("queue", bool, "call it through the queue; null: as `enable_queue` says", null=True)
    backend_fn = Key("backend_fn", bool, "false: it runs in the browser only")
    types = Key("types", dict, "`generator`: it yields; `cancel`: it cancels others")
    batch = Key("batch", bool, "the server runs several calls at once", is_read=False)
    cancels = Key(
        "cancels", list, "numbers of functions whose jobs it stops", since="3.6", is_read=False
    )
    connection = Key(
        "connection", str, "`stream`: it takes its input in pieces; else `sse`", since="5.0"
    )
    time_limit = Key(
        "time_limit",
        float,
        "how long a streaming input may last",
        null=True,
        unit="s",
        since="5.0",
        is_read=False,
    )
    api_description = Key("api_description", str, "for people", null=True, since="5.29")


class InfoKeys:
    """The answer to ``GET info`` (3.26 and later)."""

    named_endpoints = Key("named_endpoints", dict, "by `/api_name`", always=True)
    unnamed_endpoints = Key("unnamed_endpoints", dict, "by the number as a text", always=True)


class EndpointKeys:
    """An endpoint in the answer to ``GET info``."""

    parameters = Key("parameters", list, "what callers give", always=True)
    returns = Key("returns", list, "what callers get", always=True)
    description = Key("description", str, "for people", null=True, since="5.29")


class ParameterKeys:
    """A parameter, or a return value, of an endpoint."""

    label = Key("label", str, "what users see", null=True)
    parameter_name = Key("parameter_name", str, "the name to give it by", since="4.23")
    parameter_has_default = Key("parameter_has_default", bool, "it may be left out", since="4.23")
    parameter_default = Key(
        "parameter_default", str, "its default", null=True, any=True, since="4.23"
    )
    type = Key("type", dict, "JSON Schema of the value", any=True, is_read=False)
    python_type = Key("python_type", dict, "`type`: the type in Python; `description`")
    component = Key("component", str, "the kind of component, such as `Textbox`")
    example_input = Key("example_input", str, "a value to try", any=True, is_read=False)


class CallKeys:
    """The body of a call: of ``queue/join``, ``api/predict``, ``stream/{event_id}``, and on
    ``send_data``."""

    data = Key("data", list, "one item for each input", always=True)
    fn_index = Key("fn_index", int, "the number of the function")
    session_hash = Key("session_hash", str, "your name for the session, not empty")
    event_data = Key(
        "event_data", dict, "what a browser would tell of the event", null=True, any=True
    )
    trigger_id = Key("trigger_id", int, "the component that set it off", null=True, since="4.3")
    event_id = Key(
        "event_id", str, "of the question: for `POST queue/data` only", since="4.0", gone="4.9"
    )


class StopKeys:
    """The body of ``cancel`` (4.31 and later). ``reset`` (4.0 to 4.30) takes ``event_id`` alone."""

    event_id = Key("event_id", str, "the job", always=True)
    session_hash = Key("session_hash", str, "its session")
    fn_index = Key("fn_index", int, "its function")


class JoinedKeys:
    """The answer to ``POST queue/join`` (4.9 and later), and to ``POST call/{api_name}``."""

    event_id = Key("event_id", str, "the name of the job", always=True)


class OutputKeys:
    """``output`` of a message: of a good run, of a failed one, or empty (cancelled)."""

    data = Key("data", list, "one item for each output: values, or lists of edits")
    is_generating = Key("is_generating", bool, "do not decide by it", null=True, is_read=False)
    duration = Key(
        "duration",
        float,
        "of a good run: the time this step took; of a `gr.Error`: how long to show it",
        null=True,
        unit="s",
    )
    average_duration = Key(
        "average_duration", float, "of all runs of the function", unit="s", is_read=False
    )
    render_config = Key("render_config", dict, "what a `gr.render` made", null=True, since="4.31")
    changed_state_ids = Key(
        "changed_state_ids",
        list,
        "ids of the States that have changed",
        since="4.32",
        is_read=False,
    )
    used_cache = Key(
        "used_cache",
        str,
        "`full` or `partial`: the result comes out of a cache",
        null=True,
        since="6.12",
        is_read=False,
    )
    error = Key("error", str, "what went wrong; null: the app hides it", null=True)
    visible = Key("visible", bool, "false: do not show the error", since="4.37.1")
    title = Key("title", str, "a heading for the error", since="5.3")


class UnitKeys:
    """A loop in ``progress_data``; the outermost comes first."""

    index = Key("index", float, "steps done", null=True)
    length = Key("length", float, "steps in all", null=True)
    unit = Key("unit", str, "what a step is, such as `steps`", null=True)
    progress = Key("progress", float, "from 0 to 1; null: it is index / length", null=True)
    desc = Key("desc", str, "what is done", null=True)


_AVERAGE: Final = "the estimated time of a run; null before the first"

MESSAGE_KEYS: Final[Mapping[str, Key[Any]]] = {
    key.name: key
    for key in (
        Key("msg", str, "the kind of the message", always=True),
        Key(
            "event_id",
            str,
            "the job; absent or null: the whole session. `sse`: in `send_data` only",
            null=True,
            since="4.0",
        ),
        Key("output", dict, "see [output](#output)"),
        Key("success", bool, "whether the run is good"),
        Key("rank", int, "place in the queue, 0 is next", null=True),
        Key("queue_size", int, "how many wait"),
        Key("rank_eta", float, "until the job is done", null=True, unit="s"),
        Key("eta", float, _AVERAGE, null=True, unit="s", since="4.11"),
        Key("progress_data", list, "see [progress](#progress)", null=True),
        Key("log", str, "the text"),
        Key("level", str, "`info`, `warning`, `success` (5.10), `error`"),
        Key(
            "title",
            str,
            "a heading; of `process_completed`: of its error",
            null=True,
            since="5.3",
        ),
        Key("duration", float, "how long to show it", null=True, unit="s", since="4.37.1"),
        Key("visible", bool, "false: do not show it", since="4.37.1"),
        Key("message", str, "why the server gives up"),
        Key("session_not_found", bool, "the server does not know the session", since="5.38"),
        Key(
            "time_limit",
            float,
            "how long a streaming input may last",
            null=True,
            unit="s",
            since="5.0",
        ),
        Key(
            "used_cache",
            str,
            "`full` or `partial`: the result comes out of a cache",
            null=True,
            since="6.12",
            is_read=False,
        ),
        Key(
            "cache_duration",
            float,
            "the time that this answer took, out of a cache or not",
            null=True,
            unit="s",
            since="6.12",
            is_read=False,
        ),
        Key(
            "avg_time",
            float,
            "of all runs of the function",
            null=True,
            unit="s",
            since="6.12",
            is_read=False,
        ),
        Key(
            "avg_event_process_time",
            float,
            _AVERAGE,
            null=True,
            unit="s",
            gone="4.11",
            is_read=False,
        ),
        Key(
            "avg_event_concurrent_process_time",
            float,
            "the same, divided by the jobs that run at once",
            null=True,
            unit="s",
            gone="4.11",
            is_read=False,
        ),
        Key(
            "queue_eta",
            float,
            "of the whole queue",
            null=True,
            unit="s",
            gone="4.11",
            is_read=False,
        ),
    )
}
"""The keys of messages, by name."""


@attrs.frozen
class Kind:
    """A kind of message: what it means, and its keys beside ``msg``."""

    meaning: str
    keys: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    """Those of its keys that every release sends."""


_YIELD: Final = ("event_id", "output", "success", "time_limit")

KINDS: Final[Mapping[str, Kind]] = {
    Msg.SEND_HASH: Kind("`ws`: say who you are"),
    Msg.SEND_DATA: Kind("`ws`, `sse`: send the data", ("event_id",)),
    Msg.QUEUE_FULL: Kind("`ws`, `sse`: no room. The end"),
    Msg.ESTIMATION: Kind(
        "place in the queue. Repeated whenever it moves",
        (
            "event_id",
            "rank",
            "queue_size",
            "rank_eta",
            "avg_event_process_time",
            "avg_event_concurrent_process_time",
            "queue_eta",
        ),
        ("rank", "queue_size"),
    ),
    Msg.PROCESS_STARTS: Kind("it runs", ("event_id", "eta")),
    Msg.PROGRESS: Kind(
        "how far it is. The server looks ten to twenty times a second: steps are skipped",
        ("event_id", "progress_data"),
        ("progress_data",),
    ),
    Msg.LOG: Kind(
        "`gr.Info`, `gr.Warning`, `gr.Success` (3.36 and later)",
        ("event_id", "log", "level", "duration", "visible", "title"),
        ("log", "level"),
    ),
    Msg.PROCESS_GENERATING: Kind(
        "a yield. `output.data` is whole, or edits. `success` is never false",
        _YIELD,
        ("output", "success"),
    ),
    Msg.PROCESS_STREAMING: Kind(
        "the answer to a piece of a streaming input, always whole (5.0 and later)",
        _YIELD,
        ("output", "success"),
    ),
    Msg.PROCESS_COMPLETED: Kind(
        "the end",
        ("event_id", "output", "success", "title", "used_cache", "cache_duration", "avg_time"),
        ("output", "success"),
    ),
    Msg.UNEXPECTED_ERROR: Kind(
        "the server gives up a job, or the whole session",
        ("event_id", "message", "session_not_found", "success"),
        ("message", "success"),
    ),
    Msg.SERVER_STOPPED: Kind(
        "what 4.9.0 called `unexpected_error`", ("event_id", "message", "success")
    ),
    HEARTBEAT: Kind("every 15 s on streams of 4.9 and later", ("event_id",)),
    CLOSE_STREAM: Kind("the stream ends now (`sse_v3`)", ("event_id",)),
    ALIVE: Kind("`ws`, 3.16 to 3.34 on Python 3.7: ignore it"),
}
"""Every kind of message."""


def keys_of(group: type) -> Iterator[Key[Any]]:
    """The rows of a class of keys, in their order."""
    rows = vars(group).values()
    return (row for row in rows if isinstance(row, Key))  # pyright: ignore[reportUnknownVariableType]  # Key[Any]
