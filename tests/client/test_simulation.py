"""Simulated runs in the protocols that differ most, in one that is not there, and in any other.

What the runs came to is counted, and the counts are asserted: see ``simulation.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from sansio_gradio.client import conversation as conversation_module
from sansio_gradio.client.channels.job_connection import JobSocket, JobStream
from sansio_gradio.client.channels.session_stream import SessionStream
from sansio_gradio.client.connection import Transfer
from sansio_gradio.client.job import Job
from sansio_gradio.client.pool import Pool
from sansio_gradio.client.steps import Way
from sansio_gradio.protocol import protocols
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import PROTOCOLS, Channel, Handover, Naming, Traits
from tests.support.simulation import REACHED, Simulation, Weather

pytestmark = pytest.mark.exhaustive

EIGHTH = Traits(
    channel=Channel.WEBSOCKET,
    handover=Handover.ASKED,
    naming=Naming.SEND_DATA,
    diffs=True,
    close_stream=False,
)
"""No real protocol has these together: WebSockets, edits, names that the server gives."""

traits = st.one_of(
    st.builds(
        Traits,
        channel=st.just(Channel.WEBSOCKET),
        handover=st.sampled_from(Handover),
        naming=st.sampled_from([Naming.NOWHERE, Naming.SEND_DATA]),
        diffs=st.booleans(),
        close_stream=st.just(False),
    ),
    st.builds(
        Traits,
        channel=st.just(Channel.JOB_STREAM),
        handover=st.just(Handover.ASKED),
        naming=st.just(Naming.SEND_DATA),
        diffs=st.booleans(),
        close_stream=st.just(False),
    ),
    st.builds(
        Traits,
        channel=st.just(Channel.JOB_STREAM),
        handover=st.just(Handover.JOINING),
        naming=st.just(Naming.NOWHERE),
        diffs=st.booleans(),
        close_stream=st.just(False),
    ),
    st.builds(
        Traits,
        channel=st.just(Channel.SESSION_STREAM),
        handover=st.sampled_from(Handover),
        naming=st.just(Naming.JOIN_ANSWER),
        diffs=st.booleans(),
        close_stream=st.booleans(),
    ),
)
"""All that is legal: jobs that share a stream have a name from the start, and data that is handed
over by a request of its own says whose it is."""


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what the runs of a test come to, and how often."""
    REACHED.clear()

    def count(owner: type[Any], name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counting(*args: Any, **options: Any) -> Any:
            REACHED[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counting)

    for name in ("_try_again", "_give_up", "_stopped", "_open", "stop", "_hand_over"):
        for owner in (SessionStream, JobSocket, JobStream):
            if hasattr(owner, name):
                count(owner, name)
    count(Job, "keep")
    hold = SessionStream._hold

    def holding(stream: SessionStream, event_id: str, message: Message, size: int) -> Way:
        REACHED[f"early {message.get('msg')}"] += 1
        return hold(stream, event_id, message, size)

    monkeypatch.setattr(SessionStream, "_hold", holding)
    want = Pool.want

    def wanting(pool: Pool, transfer: Transfer, *, first: bool = False) -> None:
        REACHED["asked again"] += first
        want(pool, transfer, first=first)

    monkeypatch.setattr(Pool, "want", wanting)
    return REACHED


class OneProtocol(Simulation):
    version: ClassVar[str | None] = None

    @initialize(limit=st.sampled_from([1, 2, None]), sessions=st.integers(1, 2))
    def begin(self, limit: int | None, sessions: int) -> None:
        self.prepare(self.version, limit, sessions)


class StreamSimulation(OneProtocol):
    protocol = "sse_v3"


class SocketSimulation(OneProtocol):
    protocol = "ws"


class EighthSimulation(OneProtocol):
    protocol = "made up"
    version = "4.20.0"


class DrawnSimulation(Simulation):
    """The same in a protocol that is drawn for each run."""

    protocol = "made up"
    table: ClassVar[dict[str, Traits]]

    @initialize(
        row=traits,
        version=st.sampled_from(["3.50.2", "4.20.0", "6.31.0"]),
        limit=st.sampled_from([1, 2, None]),
    )
    def begin_in(self, row: Traits, version: str, limit: int | None) -> None:
        self.table["made up"] = row
        REACHED[row.channel.name] += 1
        self.prepare(version, limit, 1)


def simulate(machine: type[Simulation], examples: int) -> None:
    """Run *machine* in every weather; *examples* in each, if hypothesis is to be fast."""
    scale = settings().max_examples / settings.get_profile("fast").max_examples
    for weather in Weather:
        run_state_machine_as_test(
            type(machine.__name__, (machine,), {"weather": weather}),
            settings=settings(max_examples=max(1, round(examples * scale)), stateful_step_count=30),
        )


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Traits]:
    """The table of protocols, to be added to."""
    copy = dict(protocols.PROTOCOLS)
    monkeypatch.setattr(protocols, "PROTOCOLS", copy)
    monkeypatch.setattr(conversation_module, "PROTOCOLS", copy)
    return copy


EVERYWHERE = {
    "JobCompleted",
    "JobCancelled",
    "JobFailed",
    "AppError",
    "ends in calm runs",
    "cancel of what was over",
    "broken connections",
    "refused connections",
    "outputs",
    "notices",
    "stop",
}


def missing(reached: Counter[str], *wanted: str) -> set[str]:
    """What no run has come to; all that they have come to is printed."""
    print(dict(reached.most_common()))
    return {name for name in {*EVERYWHERE, *wanted} if not reached[name]}


def test_a_stream_a_session(reached: Counter[str]) -> None:
    simulate(StreamSimulation, 25)
    assert not missing(
        reached,
        "outputs by edits",
        "stopped on server",
        "keep",
        "early estimation",  # before the answer to its job's join
        "early process_generating",
        "_try_again",
    )


@pytest.mark.parametrize("protocol", ["sse", "sse_v1", "sse_v2", "sse_v2.1"])
def test_every_other_protocol(protocol: str, reached: Counter[str]) -> None:
    simulate(type("OtherSimulation", (OneProtocol,), {"protocol": protocol}), 10)
    diffs = PROTOCOLS[protocol].diffs
    assert not missing(reached, *(["outputs by edits"] if diffs else []))


def test_a_websocket_a_job(reached: Counter[str]) -> None:
    simulate(SocketSimulation, 20)
    assert not missing(reached, "_hand_over")


def test_a_protocol_that_is_not_there(reached: Counter[str], table: dict[str, Traits]) -> None:
    table["made up"] = EIGHTH
    simulate(EighthSimulation, 15)
    assert not missing(reached, "_hand_over", "outputs by edits")


def test_any_protocol_that_there_could_be(
    reached: Counter[str], table: dict[str, Traits], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DrawnSimulation, "table", table, raising=False)
    simulate(DrawnSimulation, 25)
    channels = (Channel.WEBSOCKET, Channel.JOB_STREAM, Channel.SESSION_STREAM)
    assert not missing(reached, "_open", "_hand_over", *(channel.name for channel in channels))
