"""Connect in asyncio: try the addresses in order, a next one beside a slow one (RFC 8305).

``create_connection`` can do this, too, but not in every loop; and in 3.11 a cancellation leaves the
socket of the winning attempt open.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from sansio_gradio_adapters import resolve
from sansio_gradio_adapters._machine import connect_failed

T = TypeVar("T")


class StartTask(Protocol):
    """Makes a task, and keeps it until it is over."""

    def __call__(self, what: Coroutine[Any, Any, T]) -> asyncio.Task[T]: ...


async def dial(
    host: str, port: int, wire: Callable[[], asyncio.BufferedProtocol], start: StartTask
) -> None:
    """Connect, so that a *wire* is told ``connection_made``.

    If two attempts succeed together, or on a cancellation, another wire may be told so, too.

    Raises:
        ConnectFailed: there is no address, or none answers.
    """
    loop = asyncio.get_running_loop()
    attempts: set[asyncio.Task[Exception | None]] = set()
    try:
        found = resolve.literal(host, port)
        left = found or await loop.run_in_executor(None, resolve.look_up, host, port)
        while True:
            if left:
                attempts.add(start(_attempt(wire, start, *left.pop(0))))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=resolve.ATTEMPT_DELAY if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                if (error := attempt.result()) is None:
                    return
                if not left and not attempts:
                    raise connect_failed(host, port, error)
    finally:
        for attempt in attempts:
            attempt.cancel()


async def _attempt(
    wire: Callable[[], asyncio.BufferedProtocol], start: StartTask, family: int, address: Any
) -> Exception | None:
    """Try one address. Returns why it failed; None: the connection is made."""
    loop = asyncio.get_running_loop()
    try:
        with ExitStack() as failed:
            sock = failed.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setblocking(False)
            resolve.prepare(sock)
            await loop.sock_connect(sock, address)
            failed.pop_all()
        # Not to be cancelled: uvloop would close the transport without a connection_lost.
        await asyncio.shield(start(loop.create_connection(wire, sock=sock)))
    except Exception as error:  # after any error: another address may work
        return error
    return None
