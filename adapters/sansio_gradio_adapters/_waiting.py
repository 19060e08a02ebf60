"""How a thread waits for a ``Signal``, without polling and without locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from sansio_gradio_adapters._jobs import Signal


def wait_until(signal: Signal, happened: Callable[[], bool], timeout: float | None = None) -> bool:
    """Block until *happened*, which may change with each notification of *signal*.

    At most *timeout* seconds; False: it has not happened by then.
    """
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        seen = signal.version
        if happened():
            return True
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return False
        wait_for(signal, seen, left)


def wait_for(signal: Signal, seen: int, timeout: float | None = None) -> None:
    """Block until *signal* is beyond the version *seen*, at most *timeout* seconds.

    Ctrl-C interrupts it, and, unlike a ``threading.Condition``, leaves no lock in disorder.
    """
    gate: SimpleQueue[None] = SimpleQueue()
    wake = partial(gate.put, None)
    try:
        if signal.subscribe(wake, seen):
            gate.get(timeout=None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
    except Empty:
        pass  # the time is over
    finally:
        signal.unsubscribe(wake)
