"""A session that is cut at every byte that its server sends.

Two jobs at once, one of which yields, and then, with a few of the cuts only, a third one. The whole
is played once for every byte, and there the network breaks: one connection or all of them, with an
end or a reset. Whatever the place, each job ends once, in the right kind of end, with exactly the
outputs that had arrived by then; no time passes; and a client whose server is still there works on.
"""

from __future__ import annotations

import enum
from collections import Counter

import attrs
import pytest

from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import ConnectFailed, ConnectionLost, ServerStoppedError
from sansio_gradio.events import JobCompleted, JobEnd, JobFailed, SessionClosed
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer
from tests.support.short_session import RESULTS, YIELDS, info, peer, play

pytestmark = pytest.mark.exhaustive


class Cut(enum.Enum):
    """What breaks, and how."""

    ONE_ENDS = enum.auto()
    ONE_IS_RESET = enum.auto()
    ALL_END = enum.auto()
    ALL_ARE_RESET = enum.auto()

    @property
    def takes_all(self) -> bool:
        return self in {Cut.ALL_END, Cut.ALL_ARE_RESET}

    @property
    def resets(self) -> bool:
        return self in {Cut.ONE_IS_RESET, Cut.ALL_ARE_RESET}


class Cutter(Driver):
    """Breaks the network after so many bytes of the server."""

    def __init__(self, engine: Engine, peer: AppPeer, cut: Cut, after: int) -> None:
        super().__init__(engine, peer)
        self.left = after
        self._cut = cut

    def deliver(self, conn: int, data: bytes) -> None:
        if self.left < 0 or len(data) <= self.left:
            self.left -= len(data) if self.left >= 0 else 0
            super().deliver(conn, data)
            return
        data, self.left = data[: self.left], -1
        if data:
            super().deliver(conn, data)
        if self._cut.takes_all:
            self.refuse = lambda _: ConnectionRefusedError("refused")
        for broken in list(self.links) if self._cut.takes_all else [conn]:
            if broken not in self.links:
                continue  # it went with the one before, or with what came last
            if self._cut.resets:
                self.lose(broken, ConnectionResetError("reset"))
            else:
                super().deliver(broken, b"")


class Dripping(Driver):
    """Delivers byte by byte, and notes what was known of each job after each of them."""

    def __init__(self, engine: Engine, peer: AppPeer) -> None:
        super().__init__(engine, peer)
        self.known: list[Known] = []

    def deliver(self, conn: int, data: bytes) -> None:
        for place in range(len(data)):
            self._note(conn)
            super().deliver(conn, data[place : place + 1])
        if not data:
            super().deliver(conn, data)

    def _note(self, conn: int) -> None:
        outputs = {job: len(values) for (_, job), values in self.values.items()}
        over = {event.job for event in self.of(JobCompleted)}
        self.known.append(Known(conn, outputs, over))


@attrs.frozen
class Known:
    """What was known before a byte: how many outputs there were, and which jobs were over."""

    conn: int
    outputs: dict[int, int]
    over: set[int]


STEPS = {Cut.ONE_ENDS: 1, Cut.ONE_IS_RESET: 1, Cut.ALL_END: 16, Cut.ALL_ARE_RESET: 16}
"""At every byte where the server stays, and at every sixteenth where it dies: there nothing comes
after, so less can differ."""
WORKS_ON = 8  # of so many cuts among the first two jobs one is followed by the third
THIRD = 5  # of so many bytes of the third job one is cut at


@attrs.frozen
class Recorded:
    """The session as it goes when nothing breaks."""

    protocol: str
    app: AppInfo  # known, so that only what concerns jobs is on the network
    known: list[Known]  # before each byte

    def places(self, step: int) -> list[int]:
        alone = next(place for place, known in enumerate(self.known) if len(known.over) == 2)
        return [*range(0, alone, step), *range(alone, len(self.known), THIRD * step)]


@pytest.fixture(scope="module", params=["sse_v3", "ws"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    protocol: str = request.param
    app = info(protocol)
    driver = Dripping(Engine(entropy=counted_entropy()), peer(protocol))
    jobs = play(driver, app)
    assert [driver.end(1, job) for job in jobs] == [
        JobCompleted(session=1, job=job, data=(data,)) for job, data in RESULTS.items()
    ]
    return Recorded(protocol, app, driver.known)


@pytest.mark.parametrize(("cut", "step"), STEPS.items())
def test_each_job_of_a_session_that_is_cut_ends_once(
    recorded: Recorded, cut: Cut, step: int
) -> None:
    reached: Counter[str] = Counter()
    for after in recorded.places(step):
        engine = Engine(entropy=counted_entropy())
        driver = Cutter(engine, peer(recorded.protocol), cut, after)
        started, known = driver.now, recorded.known[after]
        works_on = len(known.over) < 2 and after % WORKS_ON
        jobs = play(driver, recorded.app, on_and_on=not works_on)
        assert driver.left == -1, "nothing was cut"
        for job in jobs:
            reached[_judged(driver.end(1, job), known, driver, cut)] += 1
        assert driver.now == started, "something waited for a deadline"
        _is_left_clean(driver)
    assert reached["completed before"] > 0
    assert reached["lost with outputs"] > 0
    assert reached["lost without"] > 0
    assert (reached["completed after"] > 0) is not cut.takes_all
    assert (reached["refused"] > 0) is cut.takes_all


@pytest.mark.parametrize("cut", Cut)
def test_jobs_that_are_handed_in_again_end_once_too(recorded: Recorded, cut: Cut) -> None:
    reached: Counter[type[JobEnd]] = Counter()
    retry = Retry(times=2, not_joined=True, jitter=0.0)
    for after in range(0, len(recorded.known), 16):
        engine = Engine(entropy=counted_entropy())
        driver = Cutter(engine, peer(recorded.protocol), cut, after)
        jobs = play(driver, recorded.app, on_and_on=False, retry=retry)
        driver.sleep(10.0)
        for job in jobs:
            end = driver.end(1, job)
            reached[type(end)] += 1
            values = driver.values.get((1, job), [])
            if isinstance(end, JobCompleted):  # perhaps at the second time, and nothing twice
                assert values == ([(text + "1",) for text in YIELDS] if job == 1 else [])
            else:
                assert isinstance(end, JobFailed)
                assert list(end.outputs) == values
        _is_left_clean(driver)
    assert set(reached) == {JobCompleted, JobFailed}


def _judged(end: JobEnd, known: Known, driver: Driver, cut: Cut) -> str:
    """Which kind of end this is, after looking whether it is right."""
    values = driver.values.get((1, end.job), [])
    if isinstance(end, JobCompleted):
        assert end.data == (RESULTS[end.job],)
        assert values == ([(text + "1",) for text in YIELDS] if end.job == 1 else [])
        if end.job in known.over:
            return "completed before"
        assert not cut.takes_all
        return "completed after"
    assert isinstance(end, JobFailed)
    assert end.job not in known.over
    # The server stops what it lost sight of, and says so where it is asked again.
    assert type(end.error) in {ConnectionLost, ConnectFailed, ServerStoppedError}
    assert not values or type(end.error) is ConnectionLost
    assert cut.takes_all or type(end.error) is not ConnectFailed
    assert list(end.outputs) == list(end.error.outputs) == values
    assert end.error.job == end.job
    assert end.error.phase is not None
    assert end.error.url is not None
    # Nothing that had arrived is lost, and nothing is made up.
    assert len(values) == known.outputs.get(end.job, 0)
    if isinstance(end.error, ConnectFailed):
        return "refused"
    return "lost with outputs" if values else "lost without"


def _is_left_clean(driver: Driver) -> None:
    """No connection is kept by jobs that are over, and none by a session that is closed."""
    (session,) = driver.engine._sessions.values()
    session.close()
    driver.settle()
    assert driver.links == {}
    assert driver.engine._connections == {}
    assert driver.engine._transfers == {}
    assert driver.engine.next_deadline() is None
    assert isinstance(driver.events[-1], SessionClosed)
