"""Threads for work that blocks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class BlockingThreads:
    """Daemon threads: one for each call, up to a limit. Further calls wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    def call(self, function: Callable[[], None]) -> None:
        with self._lock:
            if self._running >= self._limit:
                self._waiting.append(function)
                return
            self._running += 1
        threading.Thread(target=self._work, args=(function,), daemon=True).start()

    def _work(self, function: Callable[[], None]) -> None:
        while True:
            function()
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                function = self._waiting.popleft()
