"""Which connection carries which exchange. The pool plans; the engine acts.

Rule 1: streams and requests are counted apart, so that long streams never starve a POST.

Rule 2: a connection idle for longer than ``MAX_IDLE`` takes nothing that must not be sent twice.
Uvicorn, which serves every Gradio app, drops idle connections after 5 s (its timeout_keep_alive),
and the drop may be on its way already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeAlias

import attrs

from sansio_gradio.client.commands import OpenWebSocket
from sansio_gradio.client.connection import Connection, Exchange, Origin

MAX_IDLE: Final = 4.0  # seconds


@attrs.frozen
class Assign:
    """Send this exchange on this connection."""

    exchange: Exchange
    connection: Connection


@attrs.frozen
class Open:
    """Open a connection to the exchange's origin; it is not bound to carry this very one."""

    exchange: Exchange


@attrs.frozen
class Close:
    """Close this idle connection."""

    connection: Connection


Plan: TypeAlias = Assign | Open | Close


@attrs.define(eq=False)
class _Host:
    """One origin."""

    streams: deque[Exchange] = attrs.field(factory=deque[Exchange])
    requests: deque[Exchange] = attrs.field(factory=deque[Exchange])
    idle: list[Connection] = attrs.field(factory=list[Connection])
    opening: int = 0
    busy: int = 0  # connections that carry requests


class Pool:
    """The connections of one engine, by origin. ``limit``: how many a host serve requests."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hosts: dict[Origin, _Host] = {}
        self._changed: dict[Origin, _Host] = {}

    def want(self, exchange: Exchange, *, first: bool = False) -> None:
        """An exchange waits for a connection; *first*: before the others."""
        host = self._host(exchange.url.origin)
        queue = host.streams if exchange.is_stream else host.requests
        if first:
            queue.appendleft(exchange)
        else:
            queue.append(exchange)

    def opened(self, connection: Connection, now: float) -> None:
        """A connection that was planned is there."""
        host = self._host(connection.origin)
        host.opening -= 1
        connection.idle_since = now
        host.idle.append(connection)

    def not_opened(self, connection: Connection) -> None:
        """A connection that was planned did not come about."""
        self._host(connection.origin).opening -= 1

    def released(self, connection: Connection, exchange: Exchange, now: float) -> None:
        """A connection has carried its exchange to the end, or broken on it."""
        if isinstance(exchange.command, OpenWebSocket):
            return
        host = self._host(connection.origin)
        if not exchange.is_stream:
            host.busy -= 1
        if connection.is_reusable and not connection.is_gone:
            connection.idle_since = now
            host.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """An idle connection is gone."""
        self._host(connection.origin).idle.remove(connection)

    def plan(self, now: float) -> Iterator[Plan]:
        """What to do after all that was told since the last time; act on each before the next."""
        while self._changed:
            _, host = self._changed.popitem()
            yield from self._plan_streams(host)
            yield from self._plan_requests(host, now)

    def _plan_streams(self, host: _Host) -> Iterator[Plan]:
        _drop_aborted(host.streams)
        while host.streams and host.idle:
            yield Assign(host.streams.popleft(), host.idle.pop())
            _drop_aborted(host.streams)

    def _plan_requests(self, host: _Host, now: float) -> Iterator[Plan]:
        _drop_aborted(host.requests)
        while host.requests and host.idle and host.busy < self._limit:
            connection = host.idle.pop()
            if now - connection.idle_since > MAX_IDLE and not host.requests[0].is_safe:
                yield Close(connection)
                continue
            host.busy += 1
            yield Assign(host.requests.popleft(), connection)
            _drop_aborted(host.requests)
        room = max(0, self._limit - host.busy)
        requests = (exchange for exchange in host.requests if not exchange.aborted)
        wanted = [*host.streams, *islice(requests, room)]
        for exchange in wanted[host.opening :]:
            host.opening += 1
            yield Open(exchange)

    def _host(self, origin: Origin) -> _Host:
        host = self._hosts.setdefault(origin, _Host())
        self._changed[origin] = host
        return host


def _drop_aborted(queue: deque[Exchange]) -> None:
    while queue and queue[0].aborted:
        queue.popleft()
