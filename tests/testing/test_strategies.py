"""The strategies draw what servers say: what they promise is there often, and a client agrees."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_gradio.client.commands import OpenWebSocket, SendRequest
from sansio_gradio.events import Anomaly, JobCompleted, JobFailed, Output
from sansio_gradio.protocol.diff import apply_diff, compute_diff
from sansio_gradio.protocol.messages import parse_message
from sansio_gradio.protocol.protocols import Channel, traits_of
from sansio_gradio.protocol.states import SESSION_MSGS, TRANSITIONS, JobState, Msg
from sansio_gradio.testing.strategies import (
    Cut,
    Framing,
    Script,
    Violation,
    cuts,
    exactly,
    framings,
    histories,
    json_values,
    messages,
    violations,
)
from sansio_gradio.testing.talk import ECHO, Talk, app
from sansio_gradio.wire.sse import SSEDecoder

PROTOCOLS = ("ws", "sse", "sse_v1", "sse_v2", "sse_v2.1", "sse_v3")
MANY = settings(max_examples=100, derandomize=True)


def changes(old: Any, new: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """What differs, and how deep."""
    if isinstance(old, list) and isinstance(new, list):
        if len(new) != len(old):
            by = len(new) - len(old)
            yield ("grown" if by > 0 else "shrunk" if by == -1 else "shrunk by several"), depth
        for a, b in zip(old, new, strict=False):
            yield from changes(a, b, depth + 1)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from (("lost", depth) for key in old if key not in new)
        yield from (("gained", depth) for key in new if key not in old)
        for key in old.keys() & new.keys():
            yield from changes(old[key], new[key], depth + 1)
    elif type(old) is not type(new):
        yield "another type", depth
    elif exactly(old) != exactly(new):
        longer = isinstance(old, str) and new.startswith(old)
        yield "appended" if longer else "replaced", depth


@pytest.mark.parametrize("like", [None, "4.44.1"])
def test_histories_change_in_every_way_and_often(like: str | None) -> None:
    met: Counter[str] = Counter()

    @MANY
    @given(histories(like))
    def meet(values: list[Any]) -> None:
        assert len(values) >= 2
        met["histories"] += 1
        found = [list(changes(a, b)) for a, b in pairwise(values)]
        assert all(exactly(a) != exactly(b) for a, b in pairwise(values))
        met.update({what for step in found for what, _ in step})
        met["deep down"] += any(w == "shrunk by several" and d for step in found for w, d in step)
        met["several places"] += any(len(step) > 1 for step in found)

    meet()
    part = {what: round(count / met["histories"], 2) for what, count in met.items()}
    print(like, part)
    assert part["shrunk by several"] > 0.2
    assert part["deep down"] > 0.04
    assert part["several places"] > 0.2
    often = ("shrunk", "grown", "lost", "gained", "another type", "appended", "replaced")
    assert min(part[what] for what in often) > 0.02


@pytest.mark.parametrize("like", ["6.31.0", "5.34.0", "5.30.0", "4.17.0"])
@given(data=st.data())
@settings(max_examples=20)
def test_a_server_of_that_version_can_tell_the_history(like: str, data: st.DataObject) -> None:
    values = data.draw(histories(like))
    for old, new in pairwise(values):
        assert exactly(apply_diff(old, compute_diff(old, new, like=like))) == exactly(new)


@pytest.mark.exhaustive
def test_some_histories_cannot_be_told_by_any_server() -> None:
    def is_lost(values: list[Any]) -> bool:
        pairs = pairwise(values)
        return any(
            exactly(apply_diff(a, compute_diff(a, b, like="6.31.0"))) != exactly(b)
            for a, b in pairs
        )

    lost = 0

    @MANY
    @given(histories())
    def look(values: list[Any]) -> None:
        nonlocal lost
        lost += is_lost(values)

    look()
    assert lost


@given(json_values())
def test_values_are_json(value: Any) -> None:
    assert exactly(json.loads(json.dumps(value))) == exactly(value)


def test_values_that_programs_confuse_differ() -> None:
    assert len({exactly(value) for value in (1, 1.0, True, 0, 0.0, -0.0, False, None, "")}) == 9
    assert exactly({"a": 1, "b": 2}) == exactly({"b": 2, "a": 1})


# Messages


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(data=st.data())
@settings(max_examples=15)
def test_scripts_are_legal(protocol: str, data: st.DataObject) -> None:
    script = data.draw(messages(protocol, 2))
    traits = traits_of(protocol)
    for job in script.jobs:
        state = JobState.JOINING
        for message in job.messages:
            parse_message(json.dumps(message), strict=True)
            kind = Msg(message.get("msg", ""))
            assert kind not in traits.never_asked
            state = TRANSITIONS[state][kind]
            if traits.channel is Channel.SESSION_STREAM:
                assert message.get("event_id") == job.event_id
        assert state is JobState.DONE
        assert (job.data is None) == (job.error is not None)
    told = Counter(json.dumps(message) for job in script.jobs for message in job.messages)
    rest = Counter(script.texts) - Counter(
        {json.dumps(json.loads(text), separators=(",", ":")): n for text, n in told.items()}
    )
    assert {json.loads(text)["msg"] for text in rest} <= SESSION_MSGS
    closes = [message.get("msg") == "close_stream" for message in script.messages]
    assert closes.count(True) == traits.close_stream
    assert closes[-1] == traits.close_stream
    assert len(script.streams) == (1 if traits.channel is Channel.SESSION_STREAM else 2)


@pytest.mark.exhaustive
def test_every_kind_comes() -> None:
    met: set[str] = set()
    for protocol in PROTOCOLS:

        @MANY
        @given(messages(protocol))
        def meet(script: Script) -> None:
            met.update(message.get("msg", "") for message in script.messages)

        meet()
    assert met == ({*Msg} | SESSION_MSGS) - {Msg.PROCESS_STREAMING, "alive?"}


@given(messages(kinds={"process_generating"}))
@settings(max_examples=20)
def test_kinds_can_be_limited(script: Script) -> None:
    kinds = {message.get("msg") for message in script.messages}
    assert kinds <= {"process_starts", "process_generating", "process_completed", "close_stream"}


def test_push_has_no_messages() -> None:
    with pytest.raises(ValueError, match="push has no messages: its clients poll"):
        messages("push")
    with pytest.raises(ValueError, match="no such protocol: 'sse_v9'"):
        messages("sse_v9")


# A client that hears them


class Hearing:
    """A conversation with the jobs of a script, which hears what we give it."""

    def __init__(self, script: Script) -> None:
        self.talk = Talk(app(script.protocol, script.version))
        self.script = script
        self.jobs = [
            # Where each job has a WebSocket, those of one session go one after the other.
            self.talk.conversation.submit("x", fn_index=ECHO, isolated=script.protocol == "ws")
            for _ in script.jobs
        ]
        self.streams: list[Any] = []
        self._named = iter(script.jobs)
        self._answer()

    def hear(self, stream: int, text: str) -> None:
        command = self.streams[stream]
        if isinstance(command, OpenWebSocket):
            self.talk.conversation.text(command.id, text, self.talk.now)
        else:
            self.talk.conversation.data(command.id, f"data: {text}\n\n".encode(), self.talk.now)
        self._answer()

    def _answer(self) -> None:
        """Give what the client asks for: streams, names, and an ear for its data."""
        while new := self.talk.new():
            for command in new:
                if isinstance(command, OpenWebSocket) or (
                    isinstance(command, SendRequest) and command.method == "GET"
                ):
                    self.talk.open(command)
                    self.streams.append(command)
                elif isinstance(command, SendRequest):
                    joins = command.url.endswith("/queue/join")
                    self.talk.answer(command, {"event_id": joins and next(self._named).event_id})

    def check(self) -> None:
        outputs: dict[int, list[Any]] = {job: [] for job in self.jobs}
        for output in self.talk.of(Output):
            outputs[output.job].append([*output.value])
        for number, job in zip(self.jobs, self.script.jobs, strict=True):
            end = self.talk.last_of(number)
            assert exactly(outputs[number]) == exactly(job.outputs)
            if job.data is None:
                assert isinstance(end, JobFailed)
                assert (job.error or "") in str(end.error)
            else:
                assert isinstance(end, JobCompleted)
                assert exactly([*end.data]) == exactly(job.data)
        assert self.talk.of(Anomaly) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(data=st.data())
@settings(max_examples=10)
def test_a_client_understands_every_script(protocol: str, data: st.DataObject) -> None:
    script = data.draw(messages(protocol, 2))
    hearing = Hearing(script)
    for place, stream in enumerate(script.streams):
        for message in stream:
            hearing.hear(place, json.dumps(message))
    hearing.check()


@given(script=messages("sse_v3"), framing=framings(), cut=cuts())
@settings(max_examples=30)
def test_a_client_understands_it_however_it_is_written_and_cut(
    script: Script, framing: Framing, cut: Cut
) -> None:
    hearing = Hearing(script)
    for piece in cut(framing(script.messages)):
        hearing.talk.conversation.data(hearing.streams[0].id, piece, hearing.talk.now)
    hearing.check()


@pytest.mark.parametrize("protocol", ["ws", "sse", "sse_v3"])
@given(data=st.data())
@settings(max_examples=20)
def test_a_violation_neither_stops_a_client_nor_leaves_a_job(
    protocol: str, data: st.DataObject
) -> None:
    wrong: Violation = data.draw(violations(protocol, 1))
    assert wrong.texts[: wrong.at] == tuple(wrong.script.texts[: wrong.at])
    assert wrong.texts[wrong.at] != wrong.script.texts[wrong.at]
    hearing = Hearing(wrong.script)
    for text in wrong.texts:
        hearing.hear(0, text)
    hearing.talk.end(hearing.streams[0])
    hearing.talk.sleep(300.0)
    hearing.talk.conversation.close()
    hearing.talk.sleep(300.0)
    assert len(hearing.talk.ends_of(hearing.jobs[0])) == 1
    noticed = hearing.talk.of(Anomaly) or hearing.talk.of(JobFailed)
    assert noticed or wrong.label == "messages behind a job's end"


@pytest.mark.exhaustive
def test_every_violation_is_drawn() -> None:
    met: Counter[str] = Counter()

    @MANY
    @given(violations())
    def meet(wrong: Violation) -> None:
        met[wrong.label] += 1

    meet()
    assert len(met) >= 8, met


# How it arrives


@given(data=st.binary(), cut=cuts())
def test_what_is_cut_is_still_the_same(data: bytes, cut: Cut) -> None:
    pieces = cut(data)
    assert b"".join(pieces) == data
    assert b"" not in pieces


@given(script=messages(), framing=framings())
@settings(max_examples=20)
def test_every_framing_says_the_same(script: Script, framing: Framing) -> None:
    decoder = SSEDecoder()
    events = [*decoder.receive_data(framing(script.messages)), *decoder.receive_eof()]
    assert [json.loads(event.data) for event in events] == list(script.messages)


def test_framings_differ() -> None:
    plain = Framing()([{"a": 1}])
    assert plain == b'data: {"a": 1}\n\n'
    odd = Framing(("\r\n",), True, (" hi",), ("id: 7",), False, True)
    assert odd(["x\ny", {"a": 1}]) == (
        b"\xef\xbb\xbf: hi\r\nid: 7\r\ndata:x\r\ndata:y\r\n\r\n"
        b': hi\r\nid: 7\r\ndata:{\r\ndata:"a": 1\r\ndata:}\r\n\r\n'
    )
