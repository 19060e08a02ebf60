"""The addresses of a host name, in the order in which to try them, and options of their sockets.

A lookup blocks, so do it in a thread. An address needs no lookup.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from sansio_gradio.errors import ConnectFailed

Address: TypeAlias = tuple[int, Any]
"""An address family, and the argument of ``socket.connect``."""

ATTEMPT_DELAY: Final = 0.25
"""Seconds that an attempt has before the next address is tried beside it (RFC 8305 section 5)."""


# Streams before 4.9, and WebSockets, may be silent for long; a live peer answers these probes.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


def prepare(sock: socket.socket) -> None:
    """Let *sock* send every write at once, and notice after two minutes of silence that the peer is
    gone."""
    with contextlib.suppress(OSError):  # the peer may have gone already, which reading tells
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        with contextlib.suppress(AttributeError, OSError):  # other systems have other names
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def literal(host: str, port: int) -> list[Address] | None:
    """Parse *host* as an address; None: it is a name, and must be looked up.

    The path of a Unix socket, which starts with a slash, is an address, too.

    Raises:
        ConnectFailed: this system has no Unix sockets.
    """
    if host.startswith("/"):
        if not hasattr(socket, "AF_UNIX"):
            raise ConnectFailed("This system has no Unix sockets.", phase="connect")
        return [(socket.AF_UNIX, host)]
    try:
        return _ask(host, port, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None


def place(host: str, port: int) -> str:
    """How errors call the place to connect to."""
    return f"the socket {host}" if host.startswith("/") else f"{host}, port {port}"


def look_up(host: str, port: int) -> list[Address]:
    """Look up the addresses of *host*, best first. Blocks as long as the system's resolver takes.

    Raises:
        ConnectFailed: there are none.
    """
    try:
        return in_order(_ask(host, port))
    except (OSError, ValueError) as error:
        # ValueError: from the idna codec, for empty and overlong labels.
        why = getattr(error, "strerror", None) or str(error)
        raise ConnectFailed(f"No address was found for {host}: {why}.", phase="connect") from error


def in_order(addresses: Sequence[Address]) -> list[Address]:
    """Sort *addresses* so that their families alternate, beginning with the system's first choice.

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
