"""Which connection carries which transfer. The pool plans; the engine acts.

Rule 1: streams, calls and other requests are counted apart, so that long ones never starve a short
one.

Rule 2: a connection that was idle for longer than ``MAX_IDLE`` takes no request that must not be
sent twice. Uvicorn, which serves every Gradio app, closes idle connections after 5 s (its
timeout_keep_alive), and the close may be on its way already. This is checked when a connection is
chosen, and again when its first byte is taken, if the time is told then.

Rule 3: a connection on which a proxy has forwarded a request takes no such request either. Some
proxies close it behind each answer without saying so (tinyproxy 1.11).
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, NamedTuple, TypeAlias

import attrs

from sansio_gradio.client.commands import Expect, OpenWebSocket
from sansio_gradio.client.connection import Connection, Destination, Transfer
from sansio_gradio.limits import Limits

MAX_IDLE: Final = 4.0  # seconds


class Assign(NamedTuple):
    """Send this transfer on this connection."""

    transfer: Transfer
    connection: Connection


class Open(NamedTuple):
    """Open a connection for this transfer. Another transfer may be the one to use it."""

    transfer: Transfer


class Close(NamedTuple):
    """Close this idle connection."""

    connection: Connection


Plan: TypeAlias = Assign | Open | Close


@attrs.define(eq=False)
class _Lane:
    """The transfers of one kind with one host: *limit* at a time."""

    limit: float
    waiting: deque[Transfer] = attrs.field(factory=deque[Transfer])
    busy: int = 0  # connections

    @property
    def wanted(self) -> list[Transfer]:
        """The transfers that could go at once, if there were enough connections."""
        waiting = [transfer for transfer in self.waiting if not transfer.aborted]
        room = self.limit - self.busy
        return waiting if room >= len(waiting) else waiting[: int(room)]


@attrs.define(eq=False)
class _Host:
    """One destination: an origin, and the way to it."""

    lanes: dict[Expect, _Lane]
    idle: list[Connection] = attrs.field(factory=list[Connection])
    opening: int = 0


class Pool:
    """The connections of one engine, by destination."""

    def __init__(self, limits: Limits) -> None:
        self._limits = {
            Expect.STREAM: inf,
            Expect.ANSWER: limits.connections,
            Expect.CALL: limits.calls,
        }
        self._hosts: dict[Destination, _Host] = {}
        self.changed: dict[Destination, _Host] = {}
        """The hosts for which there is something to plan."""

    def want(self, transfer: Transfer, *, first: bool = False) -> None:
        """A transfer waits for a connection; *first*: before the others."""
        waiting = self._changed(transfer.destination).lanes[transfer.expect].waiting
        if first:
            waiting.appendleft(transfer)
        else:
            waiting.append(transfer)

    def opened(self, connection: Connection, now: float) -> None:
        """A connection that was planned is open."""
        host = self._changed(connection.destination)
        host.opening -= 1
        connection.idle_since = now
        host.idle.append(connection)

    def not_opened(self, connection: Connection) -> None:
        """A connection that was planned could not be made."""
        self._changed(connection.destination).opening -= 1

    def released(
        self, connection: Connection, transfer: Transfer, now: float, *, is_kept: bool
    ) -> None:
        """A connection has finished its transfer. It can carry another one, or (not *is_kept*) it
        is closed."""
        if isinstance(transfer.command, OpenWebSocket):
            return
        host = self._changed(connection.destination)
        host.lanes[transfer.expect].busy -= 1
        if is_kept:
            connection.has_rested = True
            connection.idle_since = now
            host.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """An idle connection is gone."""
        self._changed(connection.destination).idle.remove(connection)

    def waiting(self, destination: Destination) -> list[Transfer]:
        """The transfers that wait for a connection on *destination*."""
        host = self._hosts.get(destination)
        lanes = () if host is None else host.lanes.values()
        return [transfer for lane in lanes for transfer in lane.waiting if not transfer.aborted]

    def plan(self, now: float) -> list[Plan]:
        """The plans after everything since the last call."""
        plans: list[Plan] = []
        while self.changed:
            _, host = self.changed.popitem()
            wanted: list[Transfer] = []
            for lane in host.lanes.values():
                waiting = lane.waiting
                while waiting and lane.busy < lane.limit:
                    transfer = waiting[0]
                    if transfer.aborted:
                        waiting.popleft()
                        continue
                    if not host.idle:
                        wanted += lane.wanted
                        break
                    connection = host.idle.pop()
                    if is_stale(connection, transfer, now):
                        plans.append(Close(connection))
                        continue
                    connection.has_rested |= now > connection.idle_since
                    lane.busy += 1
                    waiting.popleft()
                    plans.append(Assign(transfer, connection))
            for transfer in wanted[host.opening :]:
                host.opening += 1
                plans.append(Open(transfer))
        return plans

    def _changed(self, destination: Destination) -> _Host:
        """The host at *destination*, for which there is something to plan now."""
        host = self._hosts.get(destination)
        if host is None:
            lanes = {expect: _Lane(limit) for expect, limit in self._limits.items()}
            host = self._hosts[destination] = _Host(lanes)
        self.changed[destination] = host
        return host


def is_stale(connection: Connection, transfer: Transfer, now: float) -> bool:
    """Whether *connection* may be closed by now, and *transfer* must not be sent twice."""
    may_be_closed = now - connection.idle_since > MAX_IDLE or (
        connection.is_forwarded and connection.has_rested
    )
    return may_be_closed and not transfer.is_safe
