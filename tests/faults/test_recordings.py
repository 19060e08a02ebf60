"""Recordings of real servers of each era that are cut: by an end or a reset, at places all over.

``faults/test_cuts`` has every byte, of two protocols; this has all protocols, as real servers speak
them.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    RemoteProtocolError,
)
from sansio_gradio.events import ConnectingFailed, JobCompleted, JobFailed, SessionClosed
from sansio_gradio.testing.driver import Driver
from tests.client.test_transcripts import Replay
from tests.support.replay import as_recorded
from tests.support.transcripts import load, scenarios

VERSIONS = (
    *("3.1.4", "3.1.7", "3.4.1", "3.16.2", "3.50.2"),
    *("4.0.2", "4.16.0", "4.19.2", "4.21.0", "4.29.0", "4.44.1", "6.31.0"),
)
WITHOUT_CALL = {("4.16.0", "call_rest"), ("4.19.2", "call_rest")}  # there all are refused
RECORDINGS = [
    (version, name)
    for version in VERSIONS
    for name in ("generator", "concurrent", "call_rest")
    if name in scenarios(version) and (version, name) not in WITHOUT_CALL
]
CUTS = 20  # of each recording
QUICK = ("3.16.2", "3.50.2", "6.31.0")


class Cut(Driver):
    """Breaks one connection after so many bytes of the server; the others stay."""

    def __init__(self, replay: Replay, after: int, *, resets: bool) -> None:
        super().__init__(replay.engine, replay.peer)
        self.left = after
        self._resets = resets

    def deliver(self, conn: int, data: bytes) -> None:
        good, bad = data[: max(0, self.left)], data[max(0, self.left) :]
        if self.left < 0 or not bad:
            self.left -= len(data) if self.left >= 0 else 0
            super().deliver(conn, data)
            return
        self.left = -1
        if good:
            super().deliver(conn, good)
        if conn not in self.links:
            return
        if self._resets:
            self.lose(conn, ConnectionResetError("reset"))
        else:
            super().deliver(conn, b"")


def played(version: str, name: str, after: int, *, resets: bool = False) -> Replay:
    replay = Replay(load(version, name), as_recorded)
    replay.driver = Cut(replay, after, resets=resets)
    replay.run()
    # What the recording has no answer to, such as a second stream, stays open and silent.
    # And 3.4.1 forgets jobs.
    replay.driver.sleep(7300.0)
    return replay


def size_of(version: str, name: str) -> int:
    """How many bytes the server sends if nothing breaks."""
    replay = played(version, name, 1 << 40)
    assert isinstance(replay.driver, Cut)
    return (1 << 40) - replay.driver.left


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(*pair, marks=[] if pair[0] in QUICK else [pytest.mark.exhaustive])
        for pair in RECORDINGS
    ],
)
def test_a_recording_that_is_cut(version: str, name: str) -> None:
    size, rng = size_of(version, name), random.Random(f"{version} {name}")
    reached, jobs = Counter[str](), 0
    for number in range(CUTS):
        replay = played(version, name, rng.randrange(size), resets=number % 2 == 0)
        jobs = len(replay.jobs)
        for index, (session, job) in replay.jobs.items():
            expected: dict[str, Any] = dict(replay.recording.expected["jobs"][index])
            end = replay.driver.end(session.id, job)
            values = replay.driver.values.get((session.id, job), [])
            assert values == [tuple(row) for row in expected["outputs"][: len(values)]]
            if isinstance(end, JobCompleted):
                assert list(end.data) == expected["final"]
                reached["completed"] += 1
                continue
            assert isinstance(end, JobFailed)
            assert list(end.outputs) == list(end.error.outputs) == values
            # What is asked for in vain by now has a 404; a stream that is new is silent.
            unknown = (RemoteProtocolError, DeadlineExceeded, AppError)
            assert isinstance(end.error, (ConnectionLost, ConnectFailed, *unknown))
            reached[type(end.error).__name__] += 1
            if end.error.phase == "config" and version == "3.1.7":
                # It was never handed in, since the cut hit the question whether it is still the
                # same app. All handshakes are alike here: the next job is taken for this one.
                break
        for session in {session.id: session for session, _ in replay.jobs.values()}.values():
            session.close()
        replay.driver.settle()
        assert replay.driver.links == {}
        closed = {event.session for event in replay.driver.of(SessionClosed)}
        failed = {event.session for event in replay.driver.of(ConnectingFailed)}
        assert closed >= {session.id for session, _ in replay.jobs.values()} - failed
    assert reached["ConnectionLost"] > 0
    # Of a single job nearly all is before its end.
    assert reached["completed"] > 0 or jobs == 1
