"""Whether a client has done right: what it told its caller, and what it asked the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from sansio_gradio.given import is_a
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.files import META
from sansio_gradio.protocol.protocols import Channel
from sansio_gradio.server.contents import File
from sansio_gradio.testing.cases import same
from sansio_gradio.testing.changes import Asking, Change
from sansio_gradio.testing.conducting import Conductor, Seen
from sansio_gradio.wire.form import FormError, FormReader, PartData, PartStarted, boundary_of
from sansio_gradio.wire.headers import header

__all__ = ["Finding", "ToldCaller", "judge"]


@attrs.frozen
class ToldCaller:
    """What a client has told its caller. ``status``: how its process has ended; None: it had to be
    ended after ``seconds``. A ``File`` in a line is one that it has downloaded."""

    lines: Sequence[Mapping[str, Any]]
    status: int | None
    seconds: float
    errors: str = ""

    def all(self, key: str) -> list[Any]:
        return [line[key] for line in self.lines if key in line]


@attrs.frozen
class Finding:
    """What a client has done wrong, and the rule that it broke."""

    rule: str
    what: str


def judge(conductor: Conductor, told: ToldCaller) -> Finding | None:
    """The first thing that was wrong; None: nothing was."""
    return next(_of_requests(conductor, told), None) or next(_of_end(conductor, told), None)


# What it told its caller

_ENDS: Final = ("result", "error", "cancelled")


def _rule(conductor: Conductor) -> str:
    return conductor.plan.rule


def _of_end(conductor: Conductor, told: ToldCaller) -> Iterator[Finding]:
    rule = _rule(conductor)
    for what in _wrong_ends(conductor, told):
        yield Finding(rule, what)


def _wrong_ends(conductor: Conductor, told: ToldCaller) -> Iterator[str]:
    scenario, change = conductor.plan.scenario, _fault(conductor)
    ends = [(key, line[key]) for line in told.lines for key in _ENDS if key in line]
    if told.status is None:
        said = f"it had told {_shown(ends[-1])}" if ends else "it had told no end"
        yield f"The client did not end within {told.seconds:g} s: {said}."
        return
    if not ends:
        tail = f" On its standard error: {told.errors[-300:]}" if told.errors else ""
        yield f"The client ended (status {told.status}) without a result or an error.{tail}"
        return
    if scenario.twin is not None:
        yield from _wrong_twins(conductor, told)
        return
    if len(ends) > 1:
        yield f"The call ended {len(ends)} times: {', '.join(map(_shown, ends))}."
    yield from _wrong_end(conductor, change, ends[0])
    if ends[0][0] != "cancelled" or scenario.is_cancelled:
        yield from _wrong_outputs(conductor, change, told.all("output"))
    yield from _wrong_status(conductor, told)
    if told.status:
        yield f"The process ended with status {told.status}, not 0."


def _fault(conductor: Conductor) -> Change | None:
    return next((c for c in conductor.plan.changes if c.ends != "as before"), None)


_TELLS_ERRORS: Final = (3, 1, 7)
"""From here on an app says why a call failed; before, "Internal Server Error"."""


def _wrong_end(conductor: Conductor, change: Change | None, end: tuple[str, Any]) -> Iterator[str]:
    scenario = conductor.plan.scenario
    kind, value = end
    if change is not None and change.ends in ("error", "refused"):
        # What was told whole before the fault is the result.
        wanted, texts = "error", change.texts
    elif scenario.is_cancelled:
        wanted, texts = "cancelled", ()
    elif scenario.error is not None:
        tells = conductor.app.version >= _TELLS_ERRORS
        wanted, texts = "error", (scenario.error,) if tells else ()
    else:
        wanted, texts = "result", ()
    if change is not None and change.ends == "either" and kind == "error":
        wanted, texts = "error", ()
    if kind != wanted:
        yield f"The call ended in {_shown(end)}, and not in {_article(wanted)}."
    elif kind == "result" and not same(value, list(scenario.result or [])):
        yield f"The result is {_cut(value)}, and not {_cut(scenario.result)}."
    elif kind == "error" and not str(value or "").strip():
        yield "The text of the error is empty: the caller is not told why."
    elif kind == "error":
        for text in texts:
            if text.lower() not in str(value).lower():
                yield f"The error says {_cut(value)}, and not {text!r}, which the server told."


def _wrong_outputs(
    conductor: Conductor, change: Change | None, outputs: list[Any]
) -> Iterator[str]:
    scenario, stage = conductor.plan.scenario, conductor.stage
    wanted = [list(output) for output in scenario.outputs]
    least = most = len(wanted)
    if any(c.skips_outputs for c in conductor.plan.changes):
        least = 0
    elif stage.least is not None and stage.most is not None and change is not None:
        least, most = stage.least, stage.most
    elif change is not None:
        least, most = min(stage.yields, len(wanted)), min(stage.yields, len(wanted))
        if change.ends in ("refused",):
            least = most = 0
    if any(c.skips_outputs for c in conductor.plan.changes):
        rest = iter(wanted)
        if not all(any(same(output, one) for one in rest) for output in outputs):
            yield f"The outputs are {_cut(outputs)}, and some are none of {_cut(wanted)}."
        return
    if not wanted and scenario.result is not None and same(outputs, [list(scenario.result)]):
        return  # R-message-2: what has not yielded may hand out its result so
    if conductor.plan.scenario.queue is False and not outputs:
        return  # past the queue a server may tell the result alone
    if not same(outputs, wanted[: len(outputs)]):
        yield f"The outputs are {_cut(outputs)}, and not {_cut(wanted[:most])}."
    elif not least <= len(outputs) <= most:
        number = str(least) if least == most else f"{least} to {most}"
        yield f"There are {len(outputs)} outputs, and not {number}: {_cut(outputs)}."


def _wrong_twins(conductor: Conductor, told: ToldCaller) -> Iterator[str]:
    scenario = conductor.plan.scenario
    assert scenario.twin is not None
    wanted = [list(scenario.result or []), list(scenario.twin.result or [])]
    errors = told.all("error")
    if errors:
        yield f"A job ended in the error {_cut(errors[0])}."
    results = told.all("result")
    got = results[0] if len(results) == 1 else results
    if not same(got, wanted) and not same(got, [one[0] for one in wanted]):
        yield f"The results are {_cut(got)}, and not {_cut(wanted)}."
    if told.status:
        yield f"The process ended with status {told.status}, not 0."


def _wrong_status(conductor: Conductor, told: ToldCaller) -> Iterator[str]:
    text = json.dumps(told.all("status"), ensure_ascii=False)
    for notice in conductor.plan.scenario.notices:
        if notice not in text:
            yield f"No status tells of {notice!r}, which the server said."


def _shown(end: tuple[str, Any]) -> str:
    return f"{_article(end[0])}, {_cut(end[1])}"


def _article(kind: str) -> str:
    return {"result": "a result", "error": "an error", "cancelled": '"cancelled"'}[kind]


def _cut(value: Any, size: int = 300) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_said)
    return text if len(text) <= size else f"{text[:size]}… ({len(text)} characters)"


def _said(value: Any) -> str:
    if not isinstance(value, File):
        return str(value)
    content = value.read()
    return f"file {value.name}: {len(content)} bytes, {content[:20]!r}"


# What it asked the server


def _of_requests(conductor: Conductor, told: ToldCaller) -> Iterator[Finding]:
    stage = conductor.stage
    seen = stage.seen
    if told.status is None and not seen:
        yield Finding("R-config-1", "The client has not asked for anything.")
        return
    yield from _wrong_places(conductor, seen)
    yield from _wrong_cookies(conductor, seen)
    yield from _wrong_uploads(conductor, seen)
    yield from _wrong_calls(conductor, seen)
    yield from _wrong_given(conductor)
    yield from _wrong_counts(conductor)
    yield from _wrong_streams(conductor, seen)
    if conductor.app.traits.channel is Channel.WEBSOCKET:
        yield from _wrong_sockets(conductor, told)
    if conductor.plan.scenario.is_cancelled:
        yield from _wrong_cancel(conductor, seen)


def _wrong_places(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    calls = (Asking.JOIN, Asking.CHANNEL, Asking.PLAIN)
    asked = [one.ask for one in seen]
    first = next((place for place, ask in enumerate(asked) if ask in calls), None)
    if first is not None and {Asking.CONFIG, Asking.PAGE}.isdisjoint(asked[:first]):
        yield Finding("R-config-1", "The client called a function before it read the config.")
    prefix = conductor.app.api_prefix
    for one in seen:
        path = one.request.path
        if one.ask == Asking.OTHER and "/queue/" in path:
            said = f"{one.request.method} {path} is not below the base, {prefix or '/'}."
            yield Finding("R-config-2", said)
        if one.ask == Asking.OTHER and one.request.method == "POST" and "/api/predict" in path:
            yield Finding("R-config-2", f"POST {path} is not below the base, {prefix or '/'}.")
    channel = conductor.app.traits.channel
    for one in seen:
        wrong = {
            Channel.SESSION_STREAM: one.ask == Asking.HAND_OVER
            or (one.ask == Asking.CHANNEL and one.request.path.endswith("join")),
            Channel.JOB_STREAM: one.ask == Asking.JOIN
            or (one.ask == Asking.CHANNEL and one.request.path.endswith("data")),
            Channel.POLL: one.ask == Asking.CHANNEL,
            Channel.WEBSOCKET: (one.ask == Asking.CHANNEL and not one.request.is_websocket)
            or one.ask == Asking.JOIN,
        }.get(channel, False)
        if wrong:
            said = f"{one.request.method} {one.request.path} is not of {conductor.app.protocol}."
            yield Finding("R-protocol-1", f"The app speaks one protocol, and {said}")


def _wrong_cookies(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    if not any(change.name == "cookies" for change in conductor.plan.changes):
        return
    is_set = False
    for one in seen:
        is_needed = one.ask in (
            Asking.JOIN,
            Asking.CHANNEL,
            Asking.HAND_OVER,
            Asking.PLAIN,
            Asking.STOP,
        )
        if is_set and is_needed and one.request.cookies.get("replica") != "7":
            said = f"{one.request.method} {one.request.path} does not bring the cookie."
            yield Finding("R-config-7", said)
        is_set = is_set or one.ask == Asking.CONFIG


def _wrong_calls(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    scenario = conductor.plan.scenario
    wanted = [scenario.sent, *([] if scenario.twin is None else [scenario.twin.sent])]
    for one in seen:
        if one.ask not in (Asking.JOIN, Asking.HAND_OVER, Asking.PLAIN):
            continue
        kind = dict(one.request.headers).get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            yield Finding("R-join-3", f"The Content-Type of a call is {kind!r}.")
        try:
            body: Any = json.loads(one.request.body)
        except ValueError:
            body = None
        if not is_a(body, dict):
            yield Finding("R-join-3", "The body of a call is no JSON object.")
            continue
        yield from _wrong_body(conductor, one.ask, body, wanted)
    for said in conductor.stage.texts:
        if not is_a(said, dict):
            yield Finding("R-ws-2", f"What was said on a WebSocket is {_cut(said)}, and no object.")
        elif "data" in said:
            yield from _wrong_body(conductor, Asking.HAND_OVER, said, wanted)
        elif "hash" not in said and not (said.get("session_hash") and "fn_index" in said):
            yield Finding("R-ws-2", f"The answer to send_hash is {_cut(said)}.")


def _wrong_body(
    conductor: Conductor, ask: Asking, body: dict[str, Any], wanted: list[list[Any]]
) -> Iterator[Finding]:
    function = conductor.app.functions[1]
    numbers: list[Any] = [function.fn_index]
    if ask == Asking.PLAIN and body.get("fn_index") is None:
        numbers.append(None)  # the name in the path is enough
    if body.get("fn_index") not in numbers:
        said = f"A call names the function {body.get('fn_index')!r}, not {function.fn_index}."
        is_second = "same_names" in conductor.plan.differences
        yield Finding("R-config-4" if is_second else "R-config-3", said)
    if ask != Asking.PLAIN and not body.get("session_hash"):
        yield Finding("R-join-1", "A call names no session.")
    data: Any = body.get("data")
    if is_a(data, list) and any(isinstance(one, File) for one in wanted[0]):
        yield from _wrong_arguments(conductor, data, wanted[0])
    elif not any(same(data, values) for values in wanted):
        said = f"The data of a call is {_cut(data)}, and not {_cut(wanted[0])}."
        yield Finding("R-data-1", said)


def _files(conductor: Conductor) -> list[File]:
    """Those that the client has to hand over."""
    return [one for one in conductor.plan.scenario.data if isinstance(one, File)]


def _wrong_uploads(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    fault = _fault(conductor)
    if fault is not None and fault.joins == 0 and not conductor.stage.uploads:
        yield Finding(fault.rule, "The client has not uploaded the file.")
    if fault is not None or not conductor.stage.uploads:
        return  # a refusal may come before the body; up to 3.50 a call may hold the content
    parts: list[File] = []
    for place, body in conductor.stage.uploads.items():
        try:
            parts += _parts(seen[place], bytes(body))
        except FormError as error:
            yield Finding("R-file-1", f"The body of an upload is no form: {error}")
            return
    names = [part.name for part in parts]
    for file in _files(conductor):
        named = [part for part in parts if part.name == file.name]
        if not named:
            said = f"No part of an upload has the name {file.name!r}: there are {_cut(names)}."
            yield Finding("R-file-2", said)
        elif not any(same(part, file) for part in named):
            yield Finding("R-file-1", f"What was uploaded is {_cut(named[0])}, not {_cut(file)}.")


def _parts(asked: Seen, body: bytes) -> list[File]:
    """The files of an upload."""
    boundary = boundary_of(header(asked.request.headers, "content-type") or "")
    if boundary is None:
        raise FormError("its Content-Type names no boundary.")
    found: list[tuple[str, bytearray]] = []
    for event in FormReader(boundary).receive_data(body):
        if isinstance(event, PartStarted):
            found.append((event.filename or "", bytearray()))
        elif isinstance(event, PartData):
            found[-1][1].extend(event.data)
    return [File(name, bytes(content)) for name, content in found]


def _wrong_arguments(
    conductor: Conductor, data: list[Any], wanted: Sequence[Any]
) -> Iterator[Finding]:
    """Files in the body of a call. What they are is seen where the function gets them."""
    if len(data) != len(wanted):
        yield Finding("R-data-1", f"A call has {len(data)} arguments, and not {len(wanted)}.")
        return
    if conductor.app.version < (4,):
        return
    for value, file in zip(data, wanted, strict=True):
        if not is_a(value, dict) or not is_a(value.get("path"), str):
            yield Finding("R-file-5", f"A file is {_cut(value)}, and no object with a path.")
        elif value.get("meta") != META or value.get("orig_name") != file.name:
            said = f"{_cut(value)} does not say that it is a file, or not its name, {file.name!r}."
            yield Finding("R-file-5", said)


def _wrong_given(conductor: Conductor) -> Iterator[Finding]:
    wanted = list(conductor.plan.scenario.sent)
    for given in conductor.given if _files(conductor) else ():
        if not same(list(given), wanted):
            said = f"The function got {_cut(list(given))}, and not {_cut(wanted)}."
            yield Finding(conductor.plan.rule, said)


def _wrong_counts(conductor: Conductor) -> Iterator[Finding]:
    stage, scenario = conductor.stage, conductor.plan.scenario
    jobs = 1 if scenario.twin is None else 2
    most = jobs * max((change.joins for change in conductor.plan.changes), default=1)
    channel = conductor.app.traits.channel
    handed = {
        Channel.SESSION_STREAM: stage.counts[Asking.JOIN],
        Channel.JOB_STREAM: stage.counts[Asking.HAND_OVER],
        Channel.WEBSOCKET: stage.counts[Asking.HAND_OVER],
        Channel.POLL: stage.counts[Asking.JOIN],
    }[channel]
    refused = any(change.ends == "refused" for change in conductor.plan.changes)
    if refused and handed + stage.counts[Asking.PLAIN]:
        yield Finding("R-config-5", "A function was called that runs in the browser only.")
    if handed > most:
        rule = "R-ws-8" if channel is Channel.WEBSOCKET else "R-join-4"
        if any(change.rule == "R-refuse-1" for change in conductor.plan.changes):
            rule = "R-refuse-1"
        if not most:
            rule = conductor.plan.rule
        yield Finding(rule, f"A job was handed in {handed} times, not {most}.")


def _wrong_streams(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    stage = conductor.stage
    if conductor.app.traits.channel is not Channel.SESSION_STREAM:
        return
    if stage.shared:
        yield Finding("R-stream-3", "A session had two streams at once.")
    for place, one in enumerate(seen):
        if one.ask == Asking.CHANNEL and all(other.ask != Asking.JOIN for other in seen[:place]):
            yield Finding("R-stream-1", "The stream was asked for before any job had joined.")
        if one.ask == Asking.CHANNEL and not "".join(one.request.query.get("session_hash", [])):
            yield Finding("R-join-1", "The stream names no session.")
    count = stage.counts[Asking.CHANNEL]
    if count > 3 * (1 if conductor.plan.scenario.twin is None else 2):
        yield Finding("R-end-4", f"The stream was asked for {count} times.")


def _wrong_sockets(conductor: Conductor, told: ToldCaller) -> Iterator[Finding]:
    if _fault(conductor) is not None or told.status is None:
        return
    for kinds in conductor.answers_of_sockets():
        if conductor.plan.variation.pings and 0xA not in kinds:
            yield Finding("R-ws-6", "No ping of the server was answered.")
    if conductor.late_closes:
        yield Finding("R-ws-5", "The Close of the server was not answered at once.")


def _wrong_cancel(conductor: Conductor, seen: Sequence[Seen]) -> Iterator[Finding]:
    app, stage = conductor.app, conductor.stage
    stops = [one for one in seen if one.ask == Asking.STOP]
    if app.traits.channel is Channel.WEBSOCKET:
        if not any(ask == Asking.CHANNEL for ask, _, _ in stage.left) and not conductor.abandoned:
            yield Finding("R-ws-9", "The WebSocket of the cancelled job was not closed.")
        return
    rule = conductor.plan.scenario.rule_in(app.version_text)
    path = "cancel" if has(app.version, Feature.CANCEL) else "reset"
    if not stops:
        yield Finding(rule, "The server was not told that the job is cancelled.")
        return
    body: Any = json.loads(stops[0].request.body or b"null")
    if not stops[0].request.path.endswith(path):
        yield Finding(rule, f"The job was cancelled at {stops[0].request.path}, not at {path}.")
    elif not is_a(body, dict) or body.get("event_id") not in stage.event_ids:
        yield Finding(rule, f"The cancel names a job that does not run: {_cut(body)}.")
