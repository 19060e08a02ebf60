"""A client and an app in one thread, over a pretended network and a pretended clock.

The client role's engine talks to the server role's engine. Nothing waits: an hour of stream costs
as much as its messages. The same arguments give the same run, so a failure can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from sansio_gradio.client.commands import OpenConnection
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.events import JobCompleted, JobEnd, JobFailed
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.server.app import App
from sansio_gradio.testing.checked import CheckedEngine
from sansio_gradio.testing.driver import Driver, Link
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.faults import Fault, FaultKind
from sansio_gradio.testing.peers import AppPeer
from sansio_gradio.testing.strategies import Cut

__all__ = ["SRC", "SimulatedJob", "Simulation"]

SRC: Final = "http://app.example/"
"""Where the app of a simulation is."""


@attrs.frozen
class SimulatedJob:
    """A job of a ``Simulation``, and what has become of it."""

    simulation: Simulation = attrs.field(repr=False)
    session: int
    number: int

    @property
    def outputs(self) -> list[tuple[Any, ...]]:
        """What it has yielded so far: each time one item for each output component."""
        return self.simulation.values.get((self.session, self.number), [])

    @property
    def end(self) -> JobEnd | None:
        """Its last event: ``JobCompleted``, ``JobFailed`` or ``JobCancelled``; None: not yet."""
        return next(iter(self.simulation.ends(self.session, self.number)), None)

    @property
    def data(self) -> tuple[Any, ...] | None:
        """Its result; None: it has none."""
        end = self.end
        return end.data if isinstance(end, JobCompleted) else None

    @property
    def error(self) -> Exception | None:
        """Why it has failed; None: it has not."""
        end = self.end
        return end.error if isinstance(end, JobFailed) else None

    def cancel(self) -> bool:
        """Ask for its end; False: it is over."""
        return self.simulation.sessions[self.session].cancel(self.number)


class Simulation(Driver):
    """A client and *app* on a pretended network.

    *faults* strike at their times (``strategies.faults()`` draws them). *cut* cuts what the server
    sends. *pace* is how many seconds each step of a Python function takes. *limits*, *timeouts* and
    *strict* are those of the client's ``Engine``.

    Whatever happens, the simulation fails with an ``AssertionError`` if the engine does what it may
    not: connects to a host that nobody named, keeps a deadline that has passed, runs in circles.

    ``app`` may have functions without a Python function: see ``AppPeer``, which is ``peer``.
    """

    peer: AppPeer

    def __init__(
        self,
        app: App,
        *,
        faults: Iterable[Fault] = (),
        cut: Cut | None = None,
        pace: float = 0.0,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        strict: bool = False,
    ) -> None:
        engine = Engine(entropy=counted_entropy(), limits=limits, timeouts=timeouts, strict=strict)
        self.checked = CheckedEngine(engine, patience=0.0)
        self._entropy = counted_entropy()
        self._pace = pace
        super().__init__(self.checked, AppPeer(app, pace=pace, entropy=self._entropy))
        self.sessions: dict[int, Session] = {}
        self.jobs: list[SimulatedJob] = []
        self.arrived = 0
        """How many pieces of bytes have arrived at the client."""
        self.struck: list[Fault] = []
        """The faults that have happened."""
        self.refuse = self._refuses
        self.is_refusing = 0
        """How many of the next connections are refused."""
        self._faults = sorted(faults, key=lambda fault: fault.after)
        self._cut = cut or Cut()
        self._hosts: set[str] = set()

    # What the application does

    def session(self, src: str = SRC, **options: Any) -> Session:
        """Begin a session with the app. *options* are those of ``Engine.session``."""
        session = self.engine.session(src, **options)
        self.sessions[session.id] = session
        self._hosts.add(urlsplit(src).hostname or src)
        return session

    def submit(self, *args: Any, session: Session | None = None, **options: Any) -> SimulatedJob:
        """Call the app, in *session* (None: in the first one, which begins now if need be).

        *args* and *options* are those of ``Session.submit``.
        """
        if session is None:
            session = next(iter(self.sessions.values()), None) or self.session()
        job = SimulatedJob(self, session.id, session.submit(*args, **options))
        self.jobs.append(job)
        return job

    def run(self, within: float = 3600.0) -> None:
        """Let time pass until all jobs are over.

        Raises:
            AssertionError: some are not after *within* pretended seconds.
        """
        end = self.now + within
        self.settle()
        while (left := [job for job in self.jobs if job.end is None]) and self.now < end:
            due = self.next_time()
            assert due is not None, f"these jobs wait for nothing: {left}"
            self.sleep(max(0.0, min(due, end) - self.now))
        assert not left, f"these jobs are not over after {within:g} seconds: {left}"

    def finish(self) -> None:
        """Run until all jobs are over, close the client, and check that nothing is left.

        Raises:
            AssertionError: a job has no end, or two; or something is left open.
        """
        self.run()
        self.engine.close()
        self.sleep(60.0)
        for job in self.jobs:
            self.end(job.session, job.number)
        assert self.engine.is_closed, "the engine is not closed after a minute"
        assert not self.links, f"connections are left open: {list(self.links)}"
        self.checked.check_end()

    # What happens to the network

    def restart(self, app: App | None = None) -> None:
        """Start the server anew, with *app* (None: the same). All connections are reset."""
        for conn in list(self.links):
            if conn in self.links:  # or the engine has closed it, since another one was lost
                self.lose(conn, ConnectionResetError("the server was stopped"))
        self.peer = AppPeer(app or self.peer.app, pace=self._pace, entropy=self._entropy)

    def strike(self, fault: Fault, conn: int) -> None:
        """Have *fault* happen to a connection, and to what is on its way there."""
        self.struck.append(fault)
        link = self.links[conn]
        match fault.kind:
            case FaultKind.DELAY:
                link.held_until = self.now + fault.seconds
            case FaultKind.STALL:
                link.held_until = float("inf")
            case FaultKind.END:
                link.down.clear()
                self.deliver(conn, b"")
            case FaultKind.RESTART:
                self.restart()
            case _:
                if fault.kind is FaultKind.CUT:
                    way = b"".join(link.down)
                    if way[: len(way) // 2]:
                        self.deliver(conn, way[: len(way) // 2])
                self.is_refusing += fault.kind is FaultKind.REFUSE
                if conn in self.links:
                    self.lose(conn, ConnectionResetError("reset by peer"))

    def _refuses(self, opening: OpenConnection) -> BaseException | None:
        assert opening.host in self._hosts, f"nobody named the host {opening.host!r}"
        if not self.is_refusing:
            return None
        self.is_refusing -= 1
        return ConnectionRefusedError("refused")

    def collect(self) -> None:
        for conn, data in self.peer.outputs():
            if conn in self.links:
                self.links[conn].down.extend(self._cut(data) if data else [b""])

    def deliver_up(self) -> bool:
        moved = False
        for conn, link in list(self.links.items()):
            while link.up and link.held_until <= self.now and conn in self.links:
                moved = True
                self.peer.receive(conn, link.up.popleft(), self.now)
        return moved

    def deliver_down(self) -> bool:
        moved = False
        for conn in list(self.links):
            while (link := self._arriving(conn)) is not None:
                moved = True
                self.arrive(conn, link)
        return moved

    def arrive(self, conn: int, link: Link) -> None:
        """The next piece reaches the client, unless a fault is due."""
        if self._faults and self._faults[0].after <= self.arrived:
            self.strike(self._faults.pop(0), conn)
        else:
            self.arrived += 1
            self.deliver(conn, link.down.popleft())

    def _arriving(self, conn: int) -> Link | None:
        """The connection, if something can reach the client on it now."""
        link = self.links.get(conn)
        if link is None or not link.down or link.paused or link.held_until > self.now:
            return None
        return link

    def next_time(self) -> float | None:
        held = (link.held_until for link in self.links.values() if link.up or link.down)
        times = [super().next_time(), *(time for time in held if self.now < time < float("inf"))]
        return min((time for time in times if time is not None), default=None)
