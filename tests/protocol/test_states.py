"""The life of a job: the table is closed, and what real servers do is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.protocol.states import SESSION_MSGS, TRANSITIONS, JobState, Msg, after
from tests.support import transcripts

# The life of a job (docs/protocol/sse_v3.md#5-messages), an expression over the kinds of messages,
# a letter each. Its three moves that surprise are allowed.
LETTERS = {
    Msg.SEND_HASH: "h",
    Msg.SEND_DATA: "d",
    Msg.QUEUE_FULL: "q",
    Msg.ESTIMATION: "e",
    Msg.PROCESS_STARTS: "s",
    Msg.PROGRESS: "p",
    Msg.LOG: "l",
    Msg.PROCESS_GENERATING: "g",
    Msg.PROCESS_STREAMING: "t",
    Msg.PROCESS_COMPLETED: "C",
    Msg.UNEXPECTED_ERROR: "U",
    Msg.SERVER_STOPPED: "V",
}
LIFE = re.compile("h*[ed]*(q|[CUV]|[sgt][eplgt]*[CUV]?)?")
OVER = re.compile(".*[qCUV]")


def lived(msgs: Iterable[Msg]) -> JobState | None:
    """The state after all of *msgs*; None if one of them may not come."""
    state = JobState.JOINING
    for msg in msgs:
        moved = after(state, msg)
        if moved is None:
            return None
        state = moved
    return state


@pytest.mark.parametrize("length", range(5))
def test_a_job_lives_as_the_diagram_says(length: int) -> None:
    for msgs in product(Msg, repeat=length):
        life = "".join(LETTERS[msg] for msg in msgs)
        assert (lived(msgs) is not None) == (LIFE.fullmatch(life) is not None), life


@given(st.lists(st.sampled_from([msg for msg in Msg if msg is not Msg.SEND_HASH])))
def test_a_long_life_follows_the_diagram_too(msgs: list[Msg]) -> None:
    life = "".join(LETTERS[msg] for msg in msgs)
    assert (lived(msgs) is not None) == (LIFE.fullmatch(life) is not None)


@given(st.lists(st.sampled_from(Msg)))
def test_a_finished_job_stays_finished(msgs: list[Msg]) -> None:
    state = JobState.JOINING
    for msg in msgs:
        moved = after(state, msg)
        assert moved is None or state is not JobState.DONE
        state = moved or state


@given(st.lists(st.sampled_from(Msg), max_size=8))
def test_a_job_is_done_exactly_after_a_last_message(msgs: list[Msg]) -> None:
    life = "".join(LETTERS[msg] for msg in msgs)
    state = lived(msgs)
    if state is not None:
        assert (state is JobState.DONE) == (OVER.fullmatch(life) is not None)


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("msg", Msg)
def test_every_pair_is_decided_by_the_table(state: JobState, msg: Msg) -> None:
    moved = after(state, msg)
    assert moved is TRANSITIONS[state].get(msg)
    assert (moved is None) == (msg not in TRANSITIONS[state])


def test_a_job_never_goes_back() -> None:
    order = list(JobState)
    for state, row in TRANSITIONS.items():
        for moved in row.values():
            assert order.index(moved) >= order.index(state)


def test_every_state_is_reached_and_all_but_the_last_are_left() -> None:
    reached = {moved for row in TRANSITIONS.values() for moved in row.values()}
    assert reached == set(JobState)
    assert TRANSITIONS[JobState.DONE] == {}
    for state in set(JobState) - {JobState.DONE}:
        assert JobState.DONE in TRANSITIONS[state].values()


def test_the_kinds_are_those_of_the_protocol() -> None:
    # docs/protocol/fields.md#messages.
    documented = """
        estimation process_starts progress log process_generating process_streaming
        process_completed heartbeat close_stream unexpected_error send_hash queue_full alive?
        send_data server_stopped
    """
    assert set(Msg) | SESSION_MSGS == set(documented.split())
    assert set(Msg).isdisjoint(SESSION_MSGS)


@pytest.mark.parametrize("version", [v for v in transcripts.versions() if v != "3.1.4"])
def test_real_servers_do_nothing_that_is_not_in_the_table(version: str) -> None:
    count = 0
    for scenario in transcripts.scenarios(version):
        for job in transcripts.load(version, scenario).expected["jobs"]:
            if job["protocol"] in ("http", "call"):
                continue
            kinds = [kind for kind, times in job["message_kinds"] for _ in range(times)]
            said = [Msg(kind) for kind in kinds if kind not in SESSION_MSGS]
            state = lived(said)
            assert state is not None, (scenario, kinds)
            if job["end"] in ("completed", "failed") or said[-1:] == [Msg.QUEUE_FULL]:
                assert state is JobState.DONE, (scenario, kinds)
            if job["end"] == "none":
                assert state is not JobState.DONE, (scenario, kinds)
            for kind, times in job.get("after_end", ()):
                assert [after(state, Msg(kind))] * times == [None] * times
            count += 1
    assert count > 15
