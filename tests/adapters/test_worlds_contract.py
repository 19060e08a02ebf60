"""The project's own worlds keep ``AdapterContract``; one with three mistakes does not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from sansio_gradio.limits import Timeouts
from sansio_gradio.testing import AdapterContract, World
from sansio_gradio.testing.trio_world import Trio
from sansio_gradio.testing.worlds import Asyncio, Threads
from tests.adapters import streams_world


class Ours(AdapterContract):
    many = 50


class TestThreads(Ours):
    def world(self) -> World:
        return Threads()


class InOneProtocol(Ours):
    """No world knows protocols: the others are tried in one, and exhaustively in both."""

    versions: ClassVar[Sequence[str]] = AdapterContract.versions[:1]


class TestAsyncio(InOneProtocol):
    def world(self) -> World:
        return Asyncio()


class TestTrio(InOneProtocol):
    def world(self) -> World:
        return Trio()


@pytest.mark.exhaustive
class TestAsyncioOnWebSockets(TestAsyncio):
    versions = AdapterContract.versions[1:]


@pytest.mark.exhaustive
class TestTrioOnWebSockets(TestTrio):
    versions = AdapterContract.versions[1:]


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="no uvloop here")
class TestUvloop(Ours):
    def world(self) -> World:
        import uvloop

        return Asyncio(uvloop.new_event_loop)


# A world of somebody else


class OnStreams(Asyncio):
    """The same loop, with another client."""

    def __init__(self, makes: type[streams_world.World] = streams_world.World) -> None:
        super().__init__()
        self.makes = makes

    def client(self, src: str, **options: Any) -> Any:
        client = streams_world.Client(src, **options)
        client.makes = self.makes
        return client


@pytest.mark.exhaustive
class TestStreams(InOneProtocol):
    """So that each of the mistakes below is the one that is found."""

    def world(self) -> World:
        return OnStreams()


class ReadsAfterClose(streams_world.World):
    def close(self, conn: int, last: bytes) -> None:
        wire = self.wires.get(conn)
        if wire is None:
            super().close(conn, last)
        else:
            wire.writer.write(last)


class ForgetsTheWriter(streams_world.World):
    def wake_writer(self, conn: int) -> None:
        pass


class WritesOnce(streams_world.World):
    """It sends what there is when the connection is made, and nothing after that."""

    def wake_writer(self, conn: int) -> None:
        if not self.wires[conn].has_written:
            self.wires[conn].has_written = True
            super().wake_writer(conn)


class TellsLostTwice(streams_world.World):
    def lost(self, conn: int, error: Any) -> None:
        super().lost(conn, error)
        super().lost(conn, error)


class Judged(AdapterContract):
    """The contract, for one world that has a mistake."""

    timeouts = Timeouts(connect=1.0, request=0.5, join=0.5, send=0.5, close=0.2)
    patience = 3.0

    def __init__(self, makes: type[streams_world.World]) -> None:
        self.makes = makes

    def world(self) -> World:
        return OnStreams(self.makes)


def complaints(makes: type[streams_world.World], name: str) -> str:
    """What the contract says of a world."""
    with pytest.raises(AssertionError) as failed:
        getattr(Judged(makes), name)("6.31.0")
    return str(failed.value)


def test_a_world_that_reads_after_close_is_told_so() -> None:
    told = complaints(ReadsAfterClose, "test_a_connection_that_is_closed_is_read_no_more")
    assert "receive_data came after CloseConnection on connection " in told
    assert "(in a TaskWorld, receive_data: received, CloseConnection: close)" in told


@pytest.mark.parametrize("makes", [ForgetsTheWriter, WritesOnce])
def test_a_world_that_forgets_wake_writer_is_told_so(makes: type[streams_world.World]) -> None:
    told = complaints(makes, "test_values_come_as_they_are")
    assert "and nobody took them: wake_writer(conn) has to call data_to_send(conn)" in told
    assert "What came of it: DeadlineExceeded" in told


def test_a_world_that_tells_lost_twice_is_told_so() -> None:
    told = complaints(TellsLostTwice, "test_a_connection_that_is_reset_fails_its_job")
    assert "connection_lost was called twice for connection " in told
    assert "connection_lost: lost" in told


def test_a_world_that_reads_while_paused_is_told_so() -> None:
    class ReadsOn(streams_world.World):
        def pause(self, conn: int) -> None:
            pass

    told = complaints(ReadsOn, "test_what_nobody_reads_stays_at_the_server")
    assert "pause(conn) was called, and the world reads on" in told


def test_a_world_that_leaves_something_open_is_told_so() -> None:
    class Leaves(streams_world.World):
        def close(self, conn: int, last: bytes) -> None:
            self.wires.pop(conn, None)

    contract = Judged(Leaves)
    contract.patience = 1.0
    with pytest.raises(AssertionError, match="stuck"):
        contract.test_nothing_is_left("6.31.0")


def test_a_scenario_that_is_stuck_is_told_so() -> None:
    class NoTimer(streams_world.World):
        def set_timer(self, at: float) -> None:
            if not at:
                super().set_timer(at)

    contract = Judged(NoTimer)
    contract.patience = 0.5
    with pytest.raises(AssertionError, match="stuck"):
        contract.test_a_server_that_says_nothing_runs_out_of_time("6.31.0")


def test_what_is_not_overridden_says_so() -> None:
    with pytest.raises(NotImplementedError, match="override world"):
        AdapterContract().test_values_come_as_they_are("6.31.0")


@pytest.mark.parametrize("verb", ["together", "within", "cut"])
def test_a_scenario_that_needs_more_than_a_world_has_is_skipped(verb: str) -> None:
    class Small(OnStreams):
        pass

    setattr(Small, verb, getattr(World, verb))

    class Judges(AdapterContract):
        def world(self) -> World:
            return Small()

    needs: dict[str, Callable[..., None]] = {
        "together": Judges().test_many_jobs_at_once,
        "within": Judges().test_waiting_for_a_silent_server_can_be_cancelled,
        "cut": Judges().test_a_goodbye_that_is_cancelled_is_short,
    }
    with pytest.raises(pytest.skip.Exception, match=verb):
        needs[verb]("6.31.0")
