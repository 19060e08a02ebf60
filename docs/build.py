"""The parts of protocol.md that are drawn from the tables in ``sansio_gradio/protocol``.

``python3 dev.py docs`` writes them into the page, between ``<!-- begin NAME -->`` and
``<!-- end NAME -->``; a test sees to it that they are current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sansio_gradio.protocol.features import RELEASES, Feature
from sansio_gradio.protocol.protocols import CALLS, PROTOCOLS, Channel, Handover, Naming, Traits
from sansio_gradio.protocol.states import TRANSITIONS, JobState

PAGE = Path(__file__).with_name("protocol.md")

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


PARTS: Mapping[str, Callable[[], str]] = {
    "protocols": protocols,
    "job states": job_states,
    "features": features,
}


def current(page: str) -> str:
    """The page with all parts drawn anew."""
    for name, draw in PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, begun, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended) or begin in after:
            raise ValueError(f"the page has no place for {name!r}, or more than one")
        page = f"{before}{begin}{draw()}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text("utf-8")), "utf-8")
    sys.exit(0)
