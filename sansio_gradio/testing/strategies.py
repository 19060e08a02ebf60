"""Hypothesis strategies for what Gradio servers send, and for how it arrives.

Each strategy shrinks to the shortest and plainest case. ``Script`` and ``ScriptedJob`` say what the
messages mean, so a test can compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs
from hypothesis import strategies as st

from sansio_gradio.errors import AppError, GradioError, OptionError
from sansio_gradio.protocol.diff import apply_diff, compute_diff
from sansio_gradio.protocol.features import Feature, Version, has, version_numbers
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel, Handover, Naming, traits_of
from sansio_gradio.protocol.states import (
    CLOSE_STREAM,
    HEARTBEAT,
    SESSION_MSGS,
    TRANSITIONS,
    JobState,
    Msg,
)
from sansio_gradio.server.app import App
from sansio_gradio.server.messages import Messages
from sansio_gradio.testing.faults import Fault, FaultKind

__all__ = [
    "Cut",
    "Framing",
    "Script",
    "ScriptedJob",
    "Violation",
    "cuts",
    "exactly",
    "faults",
    "framings",
    "histories",
    "json_values",
    "messages",
    "violations",
]

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]


def exactly(value: Any) -> str:
    """A text that is equal for equal JSON values only: ``1``, ``1.0`` and ``True`` differ.

    The order of keys does not count.
    """
    return json.dumps(value, sort_keys=True)


# Values

# Few of each kind, so that drawn values have things in common: what changes little makes edits. One
# draw each, since values are made of many.
# fmt: off
_TEXTS: Final = st.sampled_from([
    "", "a", "b", "ab", "é", "日本語", "\U0001f600", "a\nb", "a\r\nb", "\u2028", "\x00", "\ufeff",
    "data: x", '"', "\\",
])
_SCALARS: Final = st.sampled_from([
    None, False, True, 0, 1, 2, 1.0, -0.0, 0.5, -7, 2**53 + 1, 1e300,
    "", "a", "ab", "b", "a\nb", "é",
])
# fmt: on
_KEYS: Final = st.sampled_from(["a", "b", "c", "", "0", "é"])


def json_values(*, max_leaves: int = 12) -> st.SearchStrategy[Any]:
    """JSON values of all types, nested, with at most *max_leaves* scalars.

    Among the scalars are those that programs confuse: ``0``, ``-0.0`` and ``False``, integers that
    no float can hold, texts with line ends, and texts that look like a line of an event stream.
    """
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        _SCALARS | _TEXTS | numbers | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_KEYS, inner, max_size=4),
        max_leaves=max_leaves,
    )


_ITEMS: Final = st.lists(_SCALARS, min_size=2, max_size=6)
_PARTS: Final = st.dictionaries(_KEYS, _SCALARS, min_size=1, max_size=3)
_SHAPES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "a list": _ITEMS,
    "lists in a list": st.lists(_ITEMS, min_size=1, max_size=3),
    "lists in a dict": st.dictionaries(_KEYS, _ITEMS, min_size=1, max_size=2),
    "dicts in a list": st.lists(_PARTS, min_size=2, max_size=4),
    "a dict": _PARTS,
    "a text": _TEXTS,
    "anything": json_values(max_leaves=8),
}
_NAMES: Final = st.sampled_from([*_SHAPES, "lists in a list", "lists in a dict"])
_IN_LISTS: Final = st.sampled_from(
    [
        "shrink by several",
        "shrink by several",
        "shrink",
        "grow",
        "inside",
        "inside",
        "inside",
        "other",
    ]
)
_IN_DICTS: Final = st.sampled_from(["add", "lose", "inside", "inside", "inside", "other"])


_TWINS: Final[Mapping[float, tuple[Any, ...]]] = {0: (0, False, -0.0), 1: (1, True, 1.0)}
"""Equal in Python, and not the same in JSON."""


def histories(like: str | None = None, *, max_steps: int = 5) -> st.SearchStrategy[list[Any]]:
    """What a generator yields: a first value and up to *max_steps* that follow from it.

    From one value to the next, several places change. Lists grow and shrink at any depth, by one
    item or by several. Texts are appended to, dicts gain and lose keys, and values change their
    type.

    *like* is a version of Gradio, such as ``"5.50.0"``: only values whose edits by a server of that
    version (``compute_diff(old, new, like=like)``) say exactly what changed. Servers do not notice
    that 1 became True; some lose their way when a nested list shrinks.
    """
    return _histories(like, max_steps)


@st.composite
def _histories(draw: Draw, like: str | None, max_steps: int) -> list[Any]:
    steps = draw(st.integers(1, max_steps))
    return _history(draw, 1 + steps, like)


def _history(draw: Draw, length: int, like: str | None) -> list[Any]:
    values = [_first(draw)]
    while len(values) < length:
        values.append(_next(draw, values[-1], like))
    return values


def _first(draw: Draw) -> Any:
    """A value that much can happen to."""
    return draw(_SHAPES[draw(_NAMES)])


def _next(draw: Draw, old: Any, like: str | None) -> Any:
    """The value after *old*: it differs, and servers of version *like* can tell how."""
    new = old
    for _ in range(draw(st.integers(1, 3))):
        changed = _changed(draw, new)
        if _can_be_told(old, changed, like):
            new = changed
    if exactly(new) == exactly(old):
        return f"{old if isinstance(old, str) else ''}x"
    return new


def _can_be_told(old: Any, new: Any, like: str | None) -> bool:
    if like is None:
        return True
    try:
        edits = compute_diff(old, new, like=like)
        return exactly(apply_diff(old, edits)) == exactly(new)
    except OptionError:
        raise
    except GradioError:
        return False


def _changed(draw: Draw, value: Any) -> Any:
    """*value* with one change, somewhere in it."""
    if isinstance(value, list) and value:
        items = cast("Sequence[Any]", value)
        match draw(_IN_LISTS):
            case "grow":
                return [*items, *draw(_ITEMS)]
            case "shrink":
                return [*items[:-1]]
            case "shrink by several":
                return [*items[: draw(st.integers(0, max(0, len(items) - 2)))]]
            case "inside":
                at = draw(st.integers(0, len(items) - 1))
                return [*items[:at], _changed(draw, items[at]), *items[at + 1 :]]
            case _:
                return _first(draw)
    if isinstance(value, dict) and value:
        parts = cast("Mapping[str, Any]", value)
        match draw(_IN_DICTS):
            case "add":
                return {**parts, draw(_KEYS): draw(_ITEMS)}
            case "lose":
                lost = draw(st.sets(st.sampled_from(list(parts)), min_size=1))
                return {key: item for key, item in parts.items() if key not in lost}
            case "inside":
                key = draw(st.sampled_from(list(parts)))
                return {**parts, key: _changed(draw, parts[key])}
            case _:
                return _first(draw)
    if isinstance(value, str) and draw(st.booleans()):
        return value + draw(_TEXTS)
    if isinstance(value, int | float) and draw(st.booleans()):
        return draw(st.sampled_from(_TWINS.get(value, (value + 1,))))
    return draw(_SCALARS) if draw(st.booleans()) else _first(draw)


# Messages


@attrs.frozen
class ScriptedJob:
    """One job of a ``Script``: its messages, and what they mean."""

    event_id: str
    """Its name. In protocols without names no message has it."""
    messages: tuple[Message, ...]
    outputs: tuple[list[Any], ...]
    """The data of each yield, whole: one item for each output component."""
    data: list[Any] | None
    """The result; None: the job fails."""
    error: str | None
    """Why it fails; empty: the server does not say why; None: it does not fail. (Before 5.2 servers
    send the ``repr`` of this text.)"""


@attrs.frozen
class Script:
    """What a server says about some jobs, in order, and what that means."""

    protocol: str
    version: str
    """The release of Gradio whose messages these are."""
    jobs: tuple[ScriptedJob, ...]
    messages: tuple[Message, ...]
    """All messages. Where each job has a stream or WebSocket of its own: those of all, mixed."""
    streams: tuple[tuple[Message, ...], ...]
    """The messages of each stream or WebSocket: one for all jobs, or one for each."""

    @property
    def texts(self) -> list[str]:
        """The messages as JSON, as servers write them."""
        return [written(message) for message in self.messages]


def written(message: Mapping[str, Any]) -> str:
    """A message as JSON, as servers since 4.24 write it."""
    return json.dumps(message, separators=(",", ":"))


_RELEASES: Final[Mapping[str, tuple[str, ...]]] = {
    "ws": ("3.50.2", "3.16.2", "3.1.7"),
    "sse": ("4.0.2", "4.8.0"),
    "sse_v1": ("4.16.0", "4.9.1"),
    "sse_v2": ("4.19.2", "4.17.0"),
    "sse_v2.1": ("4.21.0",),
    "sse_v3": ("6.31.0", "5.50.0", "5.0.2", "4.44.1", "4.22.0"),
}
"""Releases that differ in their messages or edits, the one to be tried first in front."""

_OFTEN: Final[Mapping[Msg, int]] = {
    # The way to the end first, so that a script shrinks to a short one.
    Msg.SEND_DATA: 9,
    Msg.PROCESS_STARTS: 9,
    Msg.PROCESS_COMPLETED: 3,
    Msg.PROCESS_GENERATING: 12,
    Msg.ESTIMATION: 1,
    Msg.PROGRESS: 1,
    Msg.LOG: 1,
    Msg.QUEUE_FULL: 1,
    Msg.UNEXPECTED_ERROR: 1,
    Msg.SERVER_STOPPED: 1,
}
"""How often each kind comes, where it may. (``process_streaming`` answers what a client sends.)"""

_MOST: Final = 12
"""The most messages of a job before its last one."""


def messages(
    protocol: str = "sse_v3",
    jobs: int = 1,
    *,
    version: str | None = None,
    kinds: Collection[str] | None = None,
) -> st.SearchStrategy[Script]:
    """What a server may say about *jobs* jobs, in the order of the table of states.

    *version* is the release of Gradio (None: one of several that speak *protocol*): messages have
    its keys, and yields its edits. Where the jobs share a stream, their messages are mixed, with
    heartbeats between them, and ``close_stream`` comes last if the protocol has it. *kinds*: only
    these kinds of messages, besides those without which a job cannot run and end.

    Raises:
        ValueError: there is no such protocol, or it has no messages: clients of ``push`` poll.
    """
    if traits_of(protocol).channel is Channel.POLL:
        raise OptionError(f"{protocol} has no messages: its clients poll")
    releases = _RELEASES.get(protocol, ("6.31.0",)) if version is None else (version,)
    wanted = None if kinds is None else frozenset(kinds)
    return _scripts(protocol, jobs, releases, wanted)


@st.composite
def _scripts(
    draw: Draw, protocol: str, count: int, releases: Sequence[str], kinds: frozenset[str] | None
) -> Script:
    traits = traits_of(protocol)
    version = draw(st.sampled_from(releases))
    writer = _Writer(draw, protocol, version, kinds)
    jobs = tuple(writer.job(f"e{number}") for number in range(count))
    queues = [list(job.messages) for job in jobs]
    mixed: list[Message] = []
    shared = traits.channel is Channel.SESSION_STREAM
    while any(queues):
        if shared and writer.may(HEARTBEAT) and draw(st.integers(0, 9)) == 9:
            mixed.append(writer.made.make(HEARTBEAT))
        left = [queue for queue in queues if queue]
        mixed.append(left[0 if len(left) == 1 else draw(st.integers(0, len(left) - 1))].pop(0))
    if traits.close_stream:
        mixed.append(writer.made.make(CLOSE_STREAM))
    streams = (tuple(mixed),) if shared else tuple(job.messages for job in jobs)
    return Script(protocol, version, jobs, tuple(mixed), streams)


class _Writer:
    """Draws the messages of jobs of one app."""

    def __init__(
        self,
        draw: Draw,
        protocol: str,
        version: str,
        kinds: frozenset[str] | None,
    ) -> None:
        self.draw = draw
        self.traits = traits_of(protocol)
        self.version: Version = version_numbers(version)
        self.made = Messages(App(protocol=protocol, version=version, show_error=True))
        self.like = version if self.version >= (4, 17) else None
        self.kinds = kinds

    def may(self, kind: str) -> bool:
        return self.kinds is None or kind in self.kinds

    def job(self, event_id: str) -> ScriptedJob:
        walked = self._walk()
        yields = walked.count(Msg.PROCESS_GENERATING)
        width = self.draw(st.sampled_from([1, 1, 1, 2, 0]))
        like = self.like if self.traits.diffs else None
        told = [_history(self.draw, max(1, yields), like) for _ in range(width)]
        outputs = [[history[place] for history in told] for place in range(max(1, yields))]
        ends_well = walked[-1] is Msg.PROCESS_COMPLETED and self.draw(
            st.sampled_from([True, True, True, False])
        )
        error = None if ends_well else self.draw(_TEXTS)
        said: list[Message] = []
        place = 0
        for kind in walked[:-1]:
            if kind is Msg.PROCESS_GENERATING:
                data = outputs[place]
                if self.traits.diffs and place:
                    data = self._edits(outputs[place - 1], data)
                place += 1
                output = self.made.output(data=data, is_generating=True, duration=0.1)
                said.append(self._make(kind, event_id, output=output))
            else:
                said.append(self._plain(kind, event_id, len(said)))
        said.append(self._last(walked[-1], event_id, outputs[-1] if ends_well else None, error))
        return ScriptedJob(
            event_id=event_id,
            messages=tuple(said),
            outputs=tuple(outputs[:yields]),
            data=outputs[-1] if ends_well else None,
            error="" if walked[-1] is Msg.QUEUE_FULL else error,
        )

    def _walk(self) -> list[Msg]:
        """The kinds of a job's messages: a way through the table of states to its end."""
        state, walked = JobState.JOINING, list[Msg]()
        if self.traits.channel is Channel.WEBSOCKET and has(self.version, Feature.SEND_HASH):
            walked.append(Msg.SEND_HASH)
        is_asked = self.traits.handover is not Handover.ASKED
        while state is not JobState.DONE:
            may = [
                kind
                for kind, often in _OFTEN.items()
                if self._comes(kind, state, is_asked) and self._is_wanted(kind)
                for _ in range(often)
            ]
            if len(walked) >= _MOST:
                may = [kind for kind in may if TRANSITIONS[state][kind] is not state] or may
            kind = self.draw(st.sampled_from(may))
            is_asked = is_asked or kind is Msg.SEND_DATA
            walked.append(kind)
            state = TRANSITIONS[state][kind]
        return walked

    def _comes(self, kind: Msg, state: JobState, is_asked: bool) -> bool:
        """Whether servers of this version send it in that state."""
        if kind not in TRANSITIONS[state]:
            return False
        if kind is Msg.SEND_DATA:
            return not is_asked
        if kind is Msg.QUEUE_FULL:  # later protocols refuse the request instead
            shared = self.traits.channel is Channel.SESSION_STREAM
            return state is JobState.JOINING and not shared and not is_asked
        if kind is Msg.SERVER_STOPPED:
            return (4, 9) <= self.version < (4, 10)
        if kind is Msg.UNEXPECTED_ERROR:
            return self.version >= (4, 0)
        if kind is Msg.LOG:
            return self.version >= (3, 36)
        if kind is Msg.ESTIMATION:
            return True
        # A job runs when its data is there; from 6.12 on a result may come out of a cache.
        ran = state is JobState.RUNNING or kind is Msg.PROCESS_STARTS
        return is_asked and (ran or self.version >= (6, 12))

    def _is_wanted(self, kind: Msg) -> bool:
        needed = (Msg.SEND_DATA, Msg.PROCESS_STARTS, Msg.PROCESS_COMPLETED)
        return kind in needed or self.may(kind)

    def _edits(self, old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
        return [compute_diff(a, b, like=self.like) for a, b in zip(old, new, strict=True)]

    def _make(self, kind: Msg, event_id: str, **values: Any) -> Message:
        if kind is Msg.SERVER_STOPPED:
            made = self.made.make(Msg.UNEXPECTED_ERROR, event_id=event_id, **values)
            made = cast("Message", {**made, "msg": kind.value})
            names = self.traits.naming is Naming.JOIN_ANSWER
            return cast("Message", {**made, "event_id": event_id}) if names else made
        made = self.made.make(kind, event_id=event_id, **values)
        if kind is Msg.UNEXPECTED_ERROR and "event_id" not in made:
            # Else it would be about the whole session.
            named = self.traits.naming is Naming.JOIN_ANSWER
            return cast("Message", {**made, "event_id": event_id}) if named else made
        return made

    def _plain(self, kind: Msg, event_id: str, place: int) -> Message:
        """A message that changes nothing but the status."""
        match kind:
            case Msg.ESTIMATION:
                rank = self.draw(st.integers(0, 3))
                values: dict[str, Any] = {"rank": rank, "queue_size": rank + 1, "rank_eta": 1.5}
            case Msg.PROGRESS:
                length = self.draw(st.sampled_from([None, 9]))
                unit = {"index": place, "length": length, "unit": "steps", "progress": None}
                values = {"progress_data": [{**unit, "desc": self.draw(st.none() | _TEXTS)}]}
            case Msg.LOG:
                level = self.draw(st.sampled_from(["info", "warning"]))
                values = {"log": self.draw(_TEXTS), "level": level}
            case _:
                values = {}
        return self._make(kind, event_id, **values)

    def _last(self, kind: Msg, event_id: str, data: list[Any] | None, error: str | None) -> Message:
        if kind is not Msg.PROCESS_COMPLETED:
            return self._make(kind, event_id, message=error)
        if data is not None:
            output = self.made.output(data=data, is_generating=False, duration=0.1)
            return self._make(kind, event_id, output=output)
        if error == "":  # cancelled by somebody else
            return self._make(kind, event_id, output={}, success=False)
        return self.made.failed(event_id, AppError(error or ""), generating=False)


# Violations


@attrs.frozen
class Violation:
    """A script with one fault in it."""

    label: str
    """What is wrong, in words."""
    script: Script
    """What the server should have said."""
    texts: tuple[str, ...]
    """What it says, as texts: what is wrong need not be JSON."""
    at: int
    """Which of the texts is wrong. Those before it are as in the script."""


def violations(
    protocol: str = "sse_v3", jobs: int = 2, *, version: str | None = None
) -> st.SearchStrategy[Violation]:
    """Scripts with one fault that no server should commit, labelled.

    A client must neither crash nor hang, and each of its jobs must end once. Jobs on other streams
    must end as the script says.
    """
    return _violations(messages(protocol, jobs, version=version))


@st.composite
def _violations(draw: Draw, scripts: st.SearchStrategy[Script]) -> Violation:
    script: Script = draw(scripts)
    wrongs = {
        label: {
            place: wrong
            for place, message in enumerate(script.messages)
            if message.get("msg") not in SESSION_MSGS
            and (wrong := makes(message, script)) is not None
        }
        for label, (makes, _) in _FAULTS.items()
    }
    label = draw(st.sampled_from([label for label, found in wrongs.items() if found]))
    at = draw(st.sampled_from(list(wrongs[label])))
    texts, is_extra = script.texts, _FAULTS[label][1]
    rest = texts[at if is_extra else at + 1 :]
    return Violation(label, script, (*texts[:at], wrongs[label][at], *rest), at)


_Makes: TypeAlias = Callable[[Message, Script], str | None]
"""The wrong text in the place of a message; None: the fault does not fit there."""


def _with(**values: Any) -> _Makes:
    return lambda message, _: written({**message, **values})


def _wrong_type(message: Message, _: Script) -> str | None:
    wrongs: dict[str, Any] = {"output": [], "rank": "0", "log": 5, "progress_data": {}}
    for key, wrong in wrongs.items():
        if key in message:
            return written({**message, key: wrong})
    return None


def _is_yield(message: Message) -> bool:
    return message.get("msg") == Msg.PROCESS_GENERATING


def _wrong_edits(message: Message, script: Script) -> str | None:
    """Edits where there is nothing to edit."""
    edits = [[["replace", ["no such key", 0], 1]]]
    if not (_is_yield(message) and traits_of(script.protocol).diffs):
        return None
    yields = [[it for it in job.messages if _is_yield(it)] for job in script.jobs]
    if any(of_job and of_job[0] is message for of_job in yields):
        return None  # the first one is whole
    output = {**message.get("output", {}), "data": edits}
    return written({**message, "output": output})


def _no_data(message: Message, _: Script) -> str | None:
    if not _is_yield(message):
        return None
    output: dict[str, Any] = dict(message.get("output", {}))
    del output["data"]
    return written({**message, "output": output})


def _of_nobody(message: Message, script: Script) -> str | None:
    if traits_of(script.protocol).channel is not Channel.SESSION_STREAM:
        return None  # there the name is new to the client
    return written({**message, "event_id": "nobody"}) if message.get("event_id") else None


def _last_again(message: Message, script: Script) -> str | None:
    """A job's last message before its turn, so that everything of the job comes behind its end."""
    for job in script.jobs:
        if any(it is message for it in job.messages[:-1]):
            return written(job.messages[-1])
    return None


_FAULTS: Final[Mapping[str, tuple[_Makes, bool]]] = {
    # What is wrong: how it is made, and whether it comes besides the message.
    "a text that is no JSON": (lambda message, _: written(message)[:-1], True),
    "a text that is no JSON object": (lambda message, _: written({"a": [message]})[5:-1], True),
    "a kind that does not exist": (_with(msg="process_teleports"), True),
    "no kind": (lambda message, _: written({**message, "msg": None}), True),
    "a key of a wrong type": (_wrong_type, False),
    "a job that does not exist": (_of_nobody, True),
    "messages behind a job's end": (_last_again, True),
    "a yield without data": (_no_data, False),
    "edits that do not fit": (_wrong_edits, False),
}


# How it arrives


@attrs.frozen
class Cut:
    """Cuts bytes into pieces of these sizes, again and again. No sizes: into one piece."""

    sizes: tuple[int, ...] = ()

    def __call__(self, data: bytes) -> list[bytes]:
        if not self.sizes:
            return [data] if data else []
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            size = self.sizes[len(pieces) % len(self.sizes)]
            pieces.append(data[at : at + size])
            at += size
        return pieces


def cuts() -> st.SearchStrategy[Cut]:
    """How a network cuts bytes: whole, byte by byte, or in pieces of changing sizes."""
    sizes = st.lists(st.integers(1, 9) | st.integers(1, 2000), min_size=1, max_size=5)
    return st.builds(Cut, st.just(()) | st.just((1,)) | sizes.map(tuple))


@attrs.frozen
class Framing:
    """One of the many ways in which the same messages may be written as an event stream."""

    newlines: tuple[str, ...] = ("\n",)
    """The ends of lines, in turn."""
    starts_with_bom: bool = False
    comments: tuple[str, ...] = ()
    """Put before each event."""
    extra: tuple[str, ...] = ()
    """Further lines of each event: other fields than data."""
    has_space: bool = True
    """A space behind the colon."""
    splits: bool = False
    """Each message is written over several lines."""
    is_ascii: bool = False

    def __call__(self, messages: Iterable[Mapping[str, Any] | str]) -> bytes:
        """The bytes of a stream with these *messages*; a text is taken as it is."""
        lines: list[str] = []
        colon = ": " if self.has_space else ":"
        for message in messages:
            lines += [f":{comment}" for comment in self.comments]
            lines += self.extra
            lines += [f"data{colon}{line}" for line in self._text(message).split("\n")]
            lines.append("")
        ends = (self.newlines[place % len(self.newlines)] for place in range(len(lines)))
        text = "".join(line + end for line, end in zip(lines, ends, strict=True))
        return (("\ufeff" if self.starts_with_bom else "") + text).encode()

    def _text(self, message: Mapping[str, Any] | str) -> str:
        if isinstance(message, str):
            return message
        indent = 0 if self.splits else None
        return json.dumps(message, ensure_ascii=self.is_ascii, indent=indent)


_COMMENTS: Final = st.sampled_from(["", " ping - 2026-11-30", "data: no", "é"])
_EXTRA: Final = st.sampled_from(["event: message", "id: 7", "retry: 3000", "data_: no", "unknown"])


def framings() -> st.SearchStrategy[Framing]:
    """Ways to write an event stream that all mean the same: LF, CRLF and CR, a byte order mark,
    comments, further fields, data over several lines."""
    newlines = st.sampled_from([("\n",), ("\r\n",), ("\r",), ("\n", "\r\n"), ("\r\n", "\n", "\n")])
    return st.builds(
        Framing,
        newlines=newlines,
        starts_with_bom=st.booleans(),
        comments=st.lists(_COMMENTS, max_size=2).map(tuple),
        extra=st.lists(_EXTRA, max_size=2).map(tuple),
        has_space=st.booleans(),
        splits=st.booleans(),
        is_ascii=st.booleans(),
    )


def faults(*kinds: FaultKind, most: int = 3) -> st.SearchStrategy[list[Fault]]:
    """Faults for a ``Simulation``: up to *most*, of these *kinds* (none: of all)."""
    one = st.builds(
        Fault,
        st.sampled_from(kinds or tuple(FaultKind)),
        after=st.integers(0, 30),
        seconds=st.sampled_from([0.1, 1.0, 20.0]),
    )
    return st.lists(one, max_size=most)
