"""From a host name to the addresses to try, in the order in which to try them, and their sockets.

Looking a name up blocks, so it is for a thread; what is an address already needs no lookup.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sansio_gradio.errors import ConnectFailed

Address: TypeAlias = tuple[int, Any]
"""An address family and what ``socket.connect`` takes there."""

ATTEMPT_DELAY: Final = 0.25
"""Seconds that an attempt has before the next address is tried beside it (RFC 8305 section 5)."""


# Streams before 4.9, and WebSockets, may be silent for long; a peer that is there answers these.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


def prepare(sock: socket.socket) -> None:
    """Have *sock* send at once what is written, and notice within two minutes of silence that the
    other machine, or the way to it, is gone."""
    with contextlib.suppress(OSError):  # the peer may have gone already, which reading tells
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        with contextlib.suppress(AttributeError, OSError):  # other systems have other names
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def literal(host: str, port: int) -> list[Address] | None:
    """The address that *host* is; None: it is a name, and must be looked up."""
    try:
        return _ask(host, port, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None


def look_up(host: str, port: int) -> list[Address]:
    """The addresses of *host*, best first. Blocks for as long as the system's resolver likes.

    Raises:
        ConnectFailed: there are none.
    """
    try:
        return in_order(_ask(host, port))
    except (OSError, ValueError) as error:
        # ValueError: what the idna codec says of empty and overlong labels.
        why = getattr(error, "strerror", None) or str(error)
        raise ConnectFailed(f"No address was found for {host}: {why}.", phase="connect") from error


def in_order(addresses: Sequence[Address]) -> list[Address]:
    """*addresses* with their families taking turns, beginning with the system's first choice.

    RFC 8305 section 4: a network on which one family is broken costs one attempt, not all of them.
    """
    families: dict[int, deque[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], deque()).append(address)
    ordered: list[Address] = []
    while families:
        for family in list(families):
            ordered.append(families[family].popleft())
            if not families[family]:
                del families[family]
    return ordered


def _ask(host: str, port: int, flags: int = 0) -> list[Address]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in infos]
