"""The parts of the protocol pages that are drawn from the tables in ``sansio_gradio/protocol``.

``python3 dev.py docs`` writes them into the pages, between ``<!-- begin NAME -->`` and
``<!-- end NAME -->``, and writes the JSON Schema; a test sees to it that all is current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from sansio_gradio.protocol import keys
from sansio_gradio.protocol.features import RELEASES, Feature
from sansio_gradio.protocol.keys import KINDS, MESSAGE_KEYS, Key, keys_of
from sansio_gradio.protocol.protocols import CALLS, PROTOCOLS, Channel, Handover, Naming, Traits
from sansio_gradio.protocol.states import TRANSITIONS, JobState

DOCS = Path(__file__).parent
PAGE = DOCS / "protocol.md"
FOLDER = DOCS / "protocol"
ANCHORS = FOLDER / "anchors.txt"
SCHEMA = FOLDER / "schema.json"
REFUSALS = DOCS / "vectors" / "refusals.json"

_CHANNELS = {
    Channel.POLL: "polling",
    Channel.WEBSOCKET: "a WebSocket a job",
    Channel.JOB_STREAM: "an event stream a job",
    Channel.SESSION_STREAM: "one event stream a session",
    Channel.CALL_STREAM: "an event stream a job, named events",
}
_HANDOVERS = {
    Handover.JOINING: "with the join",
    Handover.JOINING_BY_NAME: "with the join, by name",
    Handover.ASKED: "when asked (`send_data`)",
}
_NAMINGS = {
    Naming.NOWHERE: "none",
    Naming.JOIN_ANSWER: "answer to the join",
    Naming.SEND_DATA: "`send_data`",
}
_VERSIONS = {
    "push": "3.0 to 3.1.4",
    "ws": "3.1.5 to 3.50.2",
    "sse": "4.0.0 to 4.8.0",
    "sse_v1": "4.9.0 to 4.16.0",
    "sse_v2": "4.17.0 to 4.20.1",
    "sse_v2.1": "4.21.0",
    "sse_v3": "4.22.0 to 6.31.0",
    "call": "beside, since 4.20.0",
    "call_v2": "beside, since 6.13.0",
}
_FEATURES = {
    Feature.HELLO: 'the WebSocket waits for `{"hash": ...}` before it says anything',
    Feature.STEPS: "past the queue, each POST gets the next output of a generator",
    Feature.LOST_IN_LINE: "jobs that wait are asked for their data twice at once, and hang",
    Feature.SEND_HASH: "the WebSocket asks who is there (`send_hash`)",
    Feature.QUEUES_ALL: "the queue takes functions that are not queued, too",
    Feature.RESET_BY_EVENT: '`POST /reset {"event_id"}` stops a job',
    Feature.APP_ID: "`GET /app_id`",
    Feature.CALL: "`POST /call/{api_name}`",
    Feature.HEARTBEAT: "`GET /heartbeat/{session_hash}`",
    Feature.CANCEL: "`POST /cancel` stops a job",
    Feature.REUSED_RUNS: "the first yield of a job may be edits of an older run's last yield",
    Feature.UNQUEUES: "`/cancel` takes a job that waits out of the queue",
    Feature.CALL_BY_NAME: "`POST /call/v2/{api_name}`",
    Feature.CALL_ERRORS: "`/call` says what went wrong",
    Feature.OAUTH_TOKEN: "`/info` says which endpoints take an `oauth_token` of the caller",
}


def protocols() -> str:
    """The table of traits."""
    lines = [
        "| name | Gradio | messages come by | data goes | job named by | edits | `close_stream` |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: Mapping[str, Traits] = {**PROTOCOLS, **CALLS}
    for name, row in rows.items():
        cells = [
            f"`{name}`",
            _VERSIONS[name],
            _CHANNELS[row.channel],
            _HANDOVERS[row.handover],
            _NAMINGS[row.naming],
            "yes" if row.diffs else "",
            "yes" if row.close_stream else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def job_states() -> str:
    """The life of a job, as a diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {JobState.JOINING.name}"]
    for state, moves in TRANSITIONS.items():
        by_target: dict[JobState, list[str]] = {}
        for msg, target in moves.items():
            by_target.setdefault(target, []).append(msg.value)
        for target, msgs in by_target.items():
            lines.append(f"    {state.name} --> {target.name} : {', '.join(msgs)}")
    return "\n".join([*lines, f"    {JobState.DONE.name} --> [*]", "```"])


def features() -> str:
    """Since when servers can do what."""
    lines = ["| what | first release | gone in |", "|---|---|---|"]
    for feature, (first, gone) in RELEASES.items():
        until = "" if gone > (900,) else _dotted(gone)
        lines.append(f"| {_FEATURES[feature]} | {_dotted(first)} | {until} |")
    return "\n".join(lines)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


# Keys and kinds

_TYPES: Mapping[type, tuple[str, str]] = {  # in words, and in JSON Schema
    str: ("text", "string"),
    bool: ("true or false", "boolean"),
    int: ("whole number", "integer"),
    float: ("number", "number"),
    list: ("list", "array"),
    dict: ("object", "object"),
}


@attrs.frozen
class Group:
    """The keys of one kind of JSON object, as a section of the page."""

    title: str
    what: str
    keys: tuple[Key[Any], ...]
    name: str


def _group(title: str, group: type, name: str = "") -> Group:
    what = " ".join((group.__doc__ or "").replace("``", "`").split())
    return Group(title, what, tuple(keys_of(group)), name or title.lower().replace(" ", "_"))


GROUPS = (
    _group("Config", keys.ConfigKeys),
    _group("Function", keys.FunctionKeys),
    _group("Component", keys.ComponentKeys),
    _group("Info", keys.InfoKeys),
    _group("Endpoint", keys.EndpointKeys),
    _group("Parameter", keys.ParameterKeys),
    _group("Call", keys.CallKeys),
    _group("Joined", keys.JoinedKeys),
    _group("Stop", keys.StopKeys),
    _group("Output", keys.OutputKeys),
    _group("Progress", keys.UnitKeys),
)


def fields() -> str:
    """A table of keys for each kind of object, messages first."""
    every = Group(
        "Messages",
        "Every message is an object with `msg`. These are the keys of all kinds; which kind has"
        " which says the table below.",
        tuple(MESSAGE_KEYS.values()),
        "message",
    )
    return "\n\n".join([*_section(every), kinds(), *(p for g in GROUPS for p in _section(g))])


def _section(group: Group) -> Iterator[str]:
    lines = ["| key | type | null? | unit | since | meaning |", "|---|---|---|---|---|---|"]
    for key in group.keys:
        cells = [
            f"`{key.name}`",
            _type(key),
            "yes" if key.null else "",
            key.unit,
            _since(key),
            key.meaning,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    yield f"## {group.title}"
    yield group.what
    yield "\n".join(lines)


def _type(key: Key[Any]) -> str:
    if key.any:
        return "any"
    return ", ".join(_TYPES[kind][0] for kind in (key.kind, *key.also))


def _since(key: Key[Any]) -> str:
    return ", ".join(filter(None, [key.since, key.gone and f"before {key.gone}"]))


def kinds() -> str:
    """What each kind of message means, and the keys that it has."""
    lines = ["| `msg` | keys | meaning |", "|---|---|---|"]
    for name, kind in KINDS.items():
        listed = ", ".join(f"`{key}`" for key in kind.keys if key != "event_id")
        lines.append(f"| `{name}` | {listed} | {kind.meaning} |")
    return "\n".join(lines)


def schema() -> str:
    """JSON Schema of every message and body, as the file."""
    everywhere: dict[str, Any] = {
        group.name: {"description": group.what, **_object(group.keys)} for group in GROUPS
    }
    for name, kind in KINDS.items():
        its = [MESSAGE_KEYS[key] for key in kind.keys]
        described = _object(its, ["msg", *kind.always])
        described["properties"]["msg"] = {"const": str(name)}
        everywhere[f"message.{name}"] = {"description": kind.meaning, **described}
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The messages and bodies of the Gradio wire protocols",
        "description": "Objects may have further keys. `anyOf` at the top is any known message.",
        "anyOf": [{"$ref": f"#/$defs/message.{name}"} for name in KINDS],
        "$defs": everywhere,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _object(its: Iterable[Key[Any]], required: Iterable[str] = ()) -> dict[str, Any]:
    its = tuple(its)
    return {
        "type": "object",
        "properties": {key.name: _value(key) for key in its},
        "required": [*required, *(key.name for key in its if key.always)],
    }


def _value(key: Key[Any]) -> dict[str, Any]:
    types = [_TYPES[kind][1] for kind in (key.kind, *key.also)] + ["null"] * key.null
    kind: dict[str, Any] = {} if key.any else {"type": types if types[1:] else types[0]}
    return {"description": f"{key.meaning}{f' [{key.unit}]' if key.unit else ''}", **kind}


# Rules and refusals


def pages() -> list[Path]:
    """The pages about protocols that rules stand in, the front page first."""
    return [PAGE, *(page for page in sorted(FOLDER.glob("*.md")) if page.name != "rules.md")]


def rules() -> str:
    """Every rule, by its name, with its first sentence and a link."""
    lines = ["| rule | says |", "|---|---|"]
    for page in pages():
        where = "../protocol.md" if page == PAGE else page.name
        for name, text in rules_of(page.read_text("utf-8")):
            first = re.split(r"(?<=[.:]) (?=[A-Z`(])|:$", text, maxsplit=1)[0].rstrip(":")
            lines.append(f"| [{name}]({where}#{name}) | {_from_root(first, where)} |")
    return "\n".join(lines)


_RULE = re.compile(r'^\* <a id="(R-\w+-\d+)"></a>\*\*\1\*\* (.*(?:\n  .*)*)', re.MULTILINE)


def rules_of(text: str) -> list[tuple[str, str]]:
    """The rules on a page: the name of each, and its text in one line without footnotes."""
    return [
        (name, re.sub(r"\s*\[\^\d+\]", "", " ".join(body.split())))
        for name, body in _RULE.findall(text)
    ]


def _from_root(text: str, where: str) -> str:
    return re.sub(r"\]\(#", f"]({where}#", text).replace("|", "\\|")


def refusals() -> str:
    """What a server refuses with, and what to do, from the test vectors."""
    lines = [
        "| status | body | meaning | tell the caller | again? |",
        "|---|---|---|---|---|",
    ]
    for case in json.loads(REFUSALS.read_text("utf-8")):
        headers = [f"`{name}`" for name in case.get("headers", {})]
        body = json.dumps(case["body"]) if "body" in case else case["text_body"]
        since = f" ({case['since']} and later)" if "since" in case else ""
        shown = ", ".join([*headers, *([f"`{body}`"] if body else [])])
        cells = [str(case["status"]), shown, case["means"] + since, case["tell"], case["again"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


# The pages

PARTS: Mapping[str, tuple[Path, Callable[[], str]]] = {
    "protocols": (PAGE, protocols),
    "kinds": (FOLDER / "sse_v3.md", kinds),
    "job states": (FOLDER / "sse_v3.md", job_states),
    "refusals": (FOLDER / "sse_v3.md", refusals),
    "features": (FOLDER / "versions.md", features),
    "fields": (FOLDER / "fields.md", fields),
    "rules": (FOLDER / "rules.md", rules),
}


def current(page: Path, text: str) -> str:
    """*text*, the text of *page*, with its parts drawn anew."""
    for name, (where, draw) in PARTS.items():
        if where != page:
            continue
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended) or begin in after:
            raise ValueError(f"{page.name} has no place for {name!r}, or more than one")
        text = f"{before}{begin}{draw()}\n{end}{after}"
    return text


def main() -> None:
    """Write all parts, the schema, and the names of new rules."""
    for page in dict.fromkeys(where for where, _ in PARTS.values()):
        page.write_text(current(page, page.read_text("utf-8")), "utf-8")
    SCHEMA.write_text(schema(), "utf-8")
    listed = ANCHORS.read_text("utf-8").split()
    there = [name for page in pages() for name, _ in rules_of(page.read_text("utf-8"))]
    ANCHORS.write_text("".join(f"{name}\n" for name in dict.fromkeys([*listed, *there])), "utf-8")


if __name__ == "__main__":
    main()
    sys.exit(0)
