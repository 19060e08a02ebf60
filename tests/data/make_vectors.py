"""Write docs/vectors: cases to try a client on, whatever its language.

    python tests/data/make_vectors.py

Values come from what real releases of Gradio made (``diff_cases.json``, the recordings), or stand
here. ``docs/vectors/README.md`` says what each file is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS.parent))

from tests.support import transcripts  # noqa: E402

FOLDER = TESTS.parent / "docs" / "vectors"
Case = dict[str, Any]

# Edits of one value

LISTS: dict[str, Any] = {"flat": [1, 2, 3, 4], "nested": [[1, 2, 3], [4, 5]]}
EDITS: list[Case] = [
    {"name": "no edits", "before": {"a": 1}, "edits": [], "after": {"a": 1}},
    {
        "name": "the example of the page",
        "before": {"a": [1, 2, 3], "t": "he"},
        "edits": [
            ["delete", ["a", 2], None],
            ["delete", ["a", 1], None],
            ["append", ["t"], "llo"],
            ["add", ["n"], 0],
        ],
        "after": {"a": [1], "t": "hello", "n": 0},
    },
    {
        "name": "replace the whole",
        "before": [1],
        "edits": [["replace", [], {"a": None}]],
        "after": {"a": None},
    },
    {
        "name": "append to the whole",
        "before": "hä",
        "edits": [["append", [], "\U0001f600"]],
        "after": "hä\U0001f600",
    },
    {
        "name": "a list shrinks, numbered in ascending order (up to 5.29.0)",
        "before": ["a", "b", "c", "d"],
        "edits": [["delete", [1], None], ["delete", [2], None], ["delete", [3], None]],
        "after": ["a"],
    },
    {
        "name": "a list shrinks, numbered one too low (5.36 and later)",
        "before": ["a", "b", "c"],
        "edits": [["delete", [0], None], ["delete", [0], None]],
        "after": ["a"],
    },
    {
        "name": "a list shrinks, with a negative index (lists in lists, 5.36 and later)",
        "before": LISTS,
        "edits": [["delete", ["nested", 0, -1], None], ["delete", ["flat", 3], None]],
        "after": {"flat": [1, 2, 3], "nested": [[1, 2], [4, 5]]},
    },
    {
        "name": "a list grows, whatever the index",
        "before": [1],
        "edits": [["add", [1], 2], ["add", [1], 3], ["add", [7], 4]],
        "after": [1, 2, 3, 4],
    },
    {
        "name": "a key that is a number in a text",
        "before": {"0": [1]},
        "edits": [["add", ["0", 1], 2], ["delete", ["0", 5], None]],
        "after": {"0": [1]},
    },
    {"name": "no such key", "before": {"a": 1}, "edits": [["append", ["b"], "x"]], "fits": False},
    {"name": "no such index", "before": [[1]], "edits": [["add", [1, 0], 2]], "fits": False},
    {"name": "append to a number", "before": 1, "edits": [["append", [], "x"]], "fits": False},
    {"name": "a path through a text", "before": "ab", "edits": [["add", [0, 0], 1]], "fits": False},
    {
        "name": "delete from nothing",
        "before": None,
        "edits": [["delete", [0], None]],
        "fits": False,
    },
    {
        "name": "delete from an empty list",
        "before": [],
        "edits": [["delete", [0], None]],
        "fits": False,
    },
    {
        "name": "a key that is not there",
        "before": {},
        "edits": [["delete", ["a"], None]],
        "fits": False,
    },
    {"name": "an unknown action", "before": [1], "edits": [["move", [0], 2]], "fits": False},
]
# 5.29.1 to 5.35 cut paths (R-edit-1): what they mean cannot be known.
WHOLE_PATHS = ("4.17.0", "4.44.1", "5.29.0", "5.36.2", "6.31.0")


def edits() -> list[Case]:
    """Those above, and what the ``diff`` of real releases makes of random values."""
    cases = [*EDITS]
    seen: set[str] = set()
    for case in json.loads((TESTS / "data" / "diff_cases.json").read_text("utf-8")):
        for version in WHOLE_PATHS:
            made = case[version]
            text = json.dumps([case["old"], made])
            if made and text not in seen:
                seen.add(text)
                name = f"{version}, random values {len(seen)}"
                after = json.loads(json.dumps(case["old"]))
                for edit in made:
                    after = _by_hand(after, *edit)
                if after != case["new"]:
                    raise ValueError(name)
                cases.append({"name": name, "before": case["old"], "edits": made, "after": after})
    return cases


def _by_hand(value: Any, action: str, path: list[Any], new: Any) -> Any:
    """One edit, in the plainest way; a list changes its length at its end."""
    if not path:
        return value + new if action == "append" else new
    if len(path) > 1 or action in ("append", "replace"):
        step = path[0]
        value[step] = _by_hand(value[step], action, path[1:], new)
    elif isinstance(value, list):
        value[len(value) - (action == "delete") :] = [new] if action == "add" else []
    elif action == "delete":
        del value[path[0]]
    else:
        value[path[0]] = new
    return value


# The yields of a job

YIELDS: list[Case] = [
    {
        "name": "whole, then edits",
        "version": "6.31.0",
        "yields": [["a", [1]], [[["append", [], "b"]], []], [[], [["add", [1], 2]]]],
        "values": [["a", [1]], ["ab", [1]], ["ab", [1, 2]]],
        "result": ["ab", [1, 2]],
    },
    {
        "name": "without edits before 4.17",
        "version": "4.16.0",
        "yields": [["a"], [[["append", [], "b"]]]],
        "values": [["a"], [[["append", [], "b"]]]],
        "result": ["c"],
    },
    {
        "name": "an edit that does not fit hides the rest, but not the result",
        "version": "6.31.0",
        "yields": [[{"a": 1}], [[["append", ["b"], "x"]]], [[["replace", ["a"], 2]]]],
        "values": [[{"a": 1}]],
        "result": [{"a": 2}],
    },
    {
        "name": "edits before a base",
        "version": "4.44.1",
        "yields": [[[["append", [], "x"]]], [[["append", [], "y"]]]],
        "values": [],
        "result": ["axy"],
    },
    {
        "name": "an update is edited as the object that it is",
        "version": "6.31.0",
        "yields": [
            [{"label": "0", "value": "u", "__type__": "update"}],
            [[["replace", ["label"], "1"], ["append", ["value"], "u"]]],
        ],
        "values": [
            [{"label": "0", "value": "u", "__type__": "update"}],
            [{"label": "1", "value": "uu", "__type__": "update"}],
        ],
        "result": [{"label": "1", "value": "uu", "__type__": "update"}],
    },
    {
        "name": "State slots",
        "version": "6.31.0",
        "yields": [["x0", None], [[["replace", [], "x1"]], []]],
        "values": [["x0", None], ["x1", None]],
        "result": ["x1", None],
    },
]

# The value of an update, after the value before it

UPDATES: list[Case] = [
    {"name": "a value", "item": "x", "before": "b", "value": "x"},
    {"name": "null", "item": None, "before": "b", "value": None},
    {
        "name": "an update with a value",
        "item": {"__type__": "update", "value": "u", "visible": True},
        "before": "b",
        "value": "u",
    },
    {
        "name": "an update with null",
        "item": {"value": None, "__type__": "update"},
        "before": "b",
        "value": None,
    },
    {
        "name": "an update without a value",
        "item": {"visible": False, "__type__": "update"},
        "before": "b",
        "value": "b",
    },
    {"name": "gr.skip()", "item": {"__type__": "update"}, "before": None, "value": None},
    {
        "name": "an object that is no update",
        "item": {"__type__": "other", "value": 1},
        "before": None,
        "value": {"__type__": "other", "value": 1},
    },
]

# Texts of errors: what a caller should read; null: the app hides it

ERRORS: list[Case] = [
    {"version": "6.31.0", "output": {"error": "boom"}, "text": "boom"},
    {"version": "6.31.0", "output": {"error": None}, "text": None},
    {"version": "6.31.0", "output": {}, "text": None},
    {"version": "6.31.0", "output": {"error": "'boom'"}, "text": "'boom'"},
    {"version": "6.31.0", "output": {"error": "None"}, "text": "None"},
    {
        "version": "6.31.0",
        "output": {"error": "boom", "duration": 10, "visible": True, "title": "Error"},
        "text": "boom",
    },
    {"version": "5.2.0", "output": {"error": "'boom'"}, "text": "'boom'"},
    {"version": "5.1.0", "output": {"error": "'boom'"}, "text": "boom"},
    {"version": "4.44.1", "output": {"error": "'it\\'s\\n\"ü\"'"}, "text": 'it\'s\n"ü"'},
    {"version": "4.44.1", "output": {"error": '"it\'s"'}, "text": "it's"},
    {
        "version": "4.44.1",
        "output": {"error": "'\\x41\\u20ac\\U0001f600\\\\'"},
        "text": "A€\U0001f600\\",
    },
    {"version": "4.44.1", "output": {"error": "''"}, "text": ""},
    {"version": "4.44.1", "output": {"error": "'a' or 'b'"}, "text": "'a' or 'b'"},
    {"version": "4.44.1", "output": {"error": "it's"}, "text": "it's"},
    {"version": "4.44.1", "output": {"error": "'\\d'"}, "text": "'\\d'"},
    {"version": "3.50.2", "output": {"error": "None"}, "text": None},
    {"version": "4.21.0", "output": {"error": "None"}, "text": None},
    {"version": "3.50.2", "output": {"error": "'None'"}, "text": "None"},
    {"version": "3.50.2", "output": {"error": "'boom'"}, "text": "boom"},
    {"version": "3.16.2", "output": {"error": None}, "text": None},
]

# Answers that refuse

REFUSALS: list[Case] = [
    {
        "name": "full",
        "since": "4.9.1",
        "status": 503,
        "body": {"detail": "Queue is full. Max size is 1 and size is 1."},
        "means": "no room in the queue",
        "tell": "the queue is full",
        "again": "yes, after some seconds",
        "error": "QueueFullError",
    },
    {
        "name": "stopped",
        "since": "4.9.1",
        "status": 503,
        "body": {"detail": "Queue is stopped."},
        "means": "the app ends",
        "tell": "the server is stopping",
        "again": "yes, after it was started anew",
        "error": "ServerStoppedError",
    },
    {
        "name": "invalid",
        "since": "5.45",
        "status": 422,
        "body": {"detail": [{"is_valid": False, "message": "too short", "parameter_name": "text"}]},
        "means": "the app's validators refuse the arguments",
        "tell": "each `parameter_name: message`",
        "again": "no: with other arguments",
        "error": "ValidationError",
        "text": "text: too short",
    },
    {
        "name": "validator",
        "since": "5.45",
        "status": 400,
        "body": {"detail": "'too short'"},
        "means": "a validator raised; for a `gr.Error` this is the repr of its text",
        "tell": "the text, without the quotes of a repr",
        "again": "no: with other arguments",
        "error": "AppError",
        "text": "too short",
    },
    {
        "name": "no session_hash",
        "status": 400,
        "body": {"detail": "Session hash not found."},
        "means": "the body has no `session_hash`, or null",
        "tell": "the client is at fault",
        "again": "no",
        "error": "RemoteProtocolError",
    },
    {
        "name": "no fn_index",
        "status": 400,
        "body": {"detail": "No function index provided."},
        "means": "the body has no `fn_index`, or null",
        "tell": "the client is at fault",
        "again": "no",
        "error": "RemoteProtocolError",
    },
    {
        "name": "malformed",
        "status": 422,
        "body": {"detail": [{"type": "missing", "loc": ["body", "data"], "msg": "Field required"}]},
        "means": "the request is malformed",
        "tell": "the client is at fault",
        "again": "no",
        "error": "RemoteProtocolError",
    },
    {
        "name": "login",
        "status": 401,
        "body": {"detail": "Not authenticated"},
        "means": "the app wants a login",
        "tell": "log in",
        "again": "yes, after a login",
        "error": "AuthenticationError",
    },
    {
        "name": "login, 6.x",
        "since": "5.50",
        "status": 401,
        "body": {"detail": {"error": "Not authenticated", "auth_message": "Members only"}},
        "means": "the app wants a login, and says so in its own words",
        "tell": "log in, and `auth_message`",
        "again": "yes, after a login",
        "error": "AuthenticationError",
    },
    {
        "name": "gateway",
        "status": 401,
        "headers": {"www-authenticate": "Basic realm=x"},
        "text_body": "<html>Authorization required</html>",
        "means": "a proxy or a gateway wants a login of its own",
        "tell": "log in at the gateway",
        "again": "yes, with its credentials",
        "error": "AuthenticationError",
    },
    {
        "name": "queue only",
        "status": 404,
        "body": {"detail": "This API endpoint does not accept direct HTTP POST requests. x"},
        "means": "[past the queue](plain.md) is closed for this function",
        "tell": "(the client queues the job)",
        "again": "yes, through the queue",
        "error": "RemoteProtocolError",
    },
    {
        "name": "too many",
        "status": 429,
        "headers": {"retry-after": "7"},
        "text_body": "",
        "means": "Hugging Face's proxy, not Gradio",
        "tell": "too many requests, and the seconds of `Retry-After`",
        "again": "yes, after `Retry-After`",
        "error": "TooManyRequestsError",
    },
    {
        "name": "failed",
        "status": 500,
        "body": {"error": "boom"},
        "means": "[plain HTTP](plain.md): the function failed",
        "tell": "the text, as for `process_completed`",
        "again": "as the caller likes",
        "error": "AppError",
        "text": "boom",
    },
    {
        "name": "crash",
        "status": 500,
        "text_body": "Internal Server Error",
        "means": "unknown `fn_index` or name, empty `session_hash`, a result that is no JSON",
        "tell": "the server failed",
        "again": "no: the function may have run",
        "error": "RemoteProtocolError",
    },
    {
        "name": "proxy",
        "status": 502,
        "text_body": "<html>Bad Gateway</html>",
        "means": "a proxy does not reach the app (502, 504)",
        "tell": "the app is not reached",
        "again": "a GET: yes; a POST: no, the function may have run",
        "error": "RemoteProtocolError",
    },
]

# Event streams, cut in bad places: ``cuts`` are offsets in the UTF-8 of ``text``

STREAMS: list[Case] = [
    {
        "name": "two messages",
        "text": 'data: {"a":1}\n\ndata: {"b":2}\n\n',
        "messages": [{"a": 1}, {"b": 2}],
    },
    {
        "name": "cut within a character",
        "text": 'data: {"a":"ü😀"}\n\n',
        "cuts": [13, 15, 16, 17],
        "messages": [{"a": "ü😀"}],
    },
    {
        "name": "cut within data:",
        "text": 'data: {"a":1}\n\n',
        "cuts": [1, 4, 5, 6],
        "messages": [{"a": 1}],
    },
    {
        "name": "cut between the line ends",
        "text": 'data: {"a":1}\n\ndata: 2\n\n',
        "cuts": [13, 14],
        "messages": [{"a": 1}, 2],
    },
    {"name": "CR LF", "text": "data: 1\r\n\r\ndata: 2\r\n\r\n", "messages": [1, 2]},
    {
        "name": "CR LF, cut between the two",
        "text": "data: 1\r\n\r\ndata: 2\r\n\r\n",
        "cuts": [8, 10, 19],
        "messages": [1, 2],
    },
    {"name": "CR alone", "text": "data: 1\r\rdata: 2\r\r:\n", "messages": [1, 2]},
    {"name": "comments", "text": ": hello\n\ndata: 1\n: ping\n\n:\n\n", "messages": [1]},
    {"name": "no blank after the colon", "text": "data:1\n\n", "messages": [1]},
    {"name": "several lines of data", "text": "data: [1,\ndata: 2]\n\n", "messages": [[1, 2]]},
    {
        "name": "other fields",
        "text": "id: 7\nretry: 10\nevent: x\ndata: 1\ndatum: 2\n\n",
        "messages": [1],
    },
    {"name": "an event without data", "text": "event: x\n\ndata: 1\n\n", "messages": [1]},
    {"name": "a mark at the beginning", "text": "\ufeffdata: 1\n\n", "messages": [1]},
    {
        "name": "the end comes before the empty line",
        "text": 'data: 1\n\ndata: {"b":2}\n',
        "messages": [1],
    },
    {"name": "the end comes within a line", "text": 'data: 1\n\ndata: {"b"', "messages": [1]},
    {
        "name": "line ends of other kinds are text",
        "text": 'data: "a\u2028b\u0085c"\n\n',
        "messages": ["a\u2028b\u0085c"],
    },
    {
        "name": "a byte at a time",
        "text": 'data: {"msg":"heartbeat"}\r\n\r\ndata: "é"\n\n',
        "cuts": [*range(1, 42)],
        "messages": [{"msg": "heartbeat"}, "é"],
    },
]

# Recordings of real servers: by release, the names of the scenarios.

RECORDINGS = {
    "3.16.2": ("add", "generator", "error_gr", "queue_full"),
    "3.50.2": (
        "generator",
        "multi_output_generator",
        "error_gr",
        "error_in_generator_hidden",
        "queue_full",
        "cancel_dependency",
    ),
    "4.16.0": ("generator", "concurrent"),
    "4.19.2": ("app2/shrink_json", "concurrent", "error_in_generator_hidden"),
    "4.21.0": ("generator",),
    "4.29.0": ("app2/chatbot", "error_gr", "batched"),
    "4.44.1": ("app2/shrink", "cancel", "bad_requests"),
    "6.31.0": (
        "generator",
        "concurrent",
        "state",
        "app2/shrink_json",
        "app2/skipper",
        "cancel",
        "error_in_generator_shown",
        "log",
        "batched",
    ),
}
ENDS = {"completed", "failed", "cancelled", "queue_full", "stream_ended"}


def recordings() -> Iterator[Case]:
    for version, names in RECORDINGS.items():
        for name in names:
            recording = transcripts.load(version, name)
            for exchange in recording.expected["exchanges"]:
                yield from _recorded(recording, exchange)


def _recorded(recording: transcripts.Recording, exchange: Case) -> Iterator[Case]:
    """The stream or the WebSocket of one exchange, with the jobs whose messages it has."""
    if exchange.get("ws"):
        texts = [json.dumps(message) for message in exchange["received"]]
        names: set[str | None] = {f"{exchange['conn']}:{exchange['n']}"}
        stream: Case = {"texts": texts, "close": exchange["close"]}
        sent = [said["session_hash"] for said in exchange["sent"] if "session_hash" in said]
    elif "messages" in exchange and "queue/data" in exchange["target"]:
        body, is_whole = _body(recording, exchange)
        names = {message.get("event_id") for message in exchange["messages"]}
        stream = {"stream": body, "clean_end": is_whole}
        sent = [exchange["target"].partition("session_hash=")[2]]
    else:
        return
    jobs = [
        {
            "event_id": None if exchange.get("ws") else job["key"],
            "end": job["end"],
            "yields": job["outputs"],
            "result": job["final"] if job["end"] == "completed" else None,
            "error": job["error"] if job["end"] == "failed" else None,
        }
        for job in recording.expected["jobs"]
        if job["key"] in names and job["session_hash"] in sent and job["end"] in ENDS
    ]
    if jobs:
        yield {
            "name": f"{recording.version}/{recording.name}",
            "version": recording.version,
            "protocol": recording.config.get("protocol", "ws"),
            **stream,
            "jobs": jobs,
        }


def _body(recording: transcripts.Recording, exchange: Case) -> tuple[str, bool]:
    """The text of an event stream, and whether its framing ended cleanly."""
    conn = exchange["conn"]
    client, server = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    client.receive_data(recording.bytes_of(conn, "c2s"))
    request = client.next_event()
    assert isinstance(request, h11.Request)
    server.send(request)
    server.send(h11.EndOfMessage())
    server.receive_data(recording.bytes_of(conn, "s2c"))
    body = b""
    while isinstance(event := server.next_event(), h11.Response | h11.Data):
        body += event.data if isinstance(event, h11.Data) else b""
    return body.decode("utf-8"), isinstance(event, h11.EndOfMessage)


def made() -> dict[str, str]:
    """The files, by name."""
    files = {
        "edits": edits(),
        "yields": YIELDS,
        "updates": UPDATES,
        "error_texts": ERRORS,
        "refusals": REFUSALS,
        "streams": STREAMS,
        "recordings": [*recordings()],
    }
    return {
        f"{name}.json": "[\n"
        + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        + "\n]\n"
        for name, cases in files.items()
    }


if __name__ == "__main__":
    for name, text in made().items():
        (FOLDER / name).write_text(text, "utf-8")
