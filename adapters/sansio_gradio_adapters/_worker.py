"""The one thread of a blocking client, and how others wait for what it finds out.

Rule 1: only this thread touches the engine. Others leave it a note and wake it; so no lock is held
while somebody waits, and Ctrl-C, which hits the main thread wherever it is, leaves no half-done
work in a machine.

Rule 2: this thread must not wait for itself: what would is refused.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters.loop import Loop

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


class Worker:
    """Runs the engine of a client until its session is closed."""

    def __init__(self, core: ClientCore, ssl_context: ssl.SSLContext | None) -> None:
        self._core = core
        core.post = self.leave
        self._loop = Loop(core.engine, ssl_context=ssl_context)
        self._loop.attach(core.session.id, core.receive)
        self._notes: deque[Callable[[], object]] = deque()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="sansio_gradio", daemon=True)
        self._thread.start()

    def leave(self, note: Callable[[], object]) -> None:
        """Have the thread call *note*, if it has not ended; nothing is locked or run meanwhile.

        For finalisers: the garbage collector may run them in a thread that holds a lock.
        """
        self._notes.append(note)
        self._loop.wake()

    def post(self, note: Callable[[], object]) -> None:
        """Have the thread call *note*; once it has ended, it is called at once."""
        self.leave(note)
        if self._ended:
            self._read_notes()

    def ask(self, question: Callable[[], T]) -> T:
        """Have the thread call *question*; wait for what it returns or raises."""
        if self.is_current:
            return question()
        answers: list[T] = []
        errors: list[BaseException] = []
        answered = Signal()

        def note() -> None:
            try:
                answers.append(question())
            except BaseException as error:
                errors.append(error)
            answered.notify()

        self.post(note)
        wait_until(answered, lambda: bool(answers or errors))
        if errors:
            raise errors[0]
        return answers[0]

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    @property
    def is_current(self) -> bool:
        """Whether it is this thread that asks."""
        return threading.current_thread() is self._thread

    def may_wait(self) -> None:
        """Refuse what would make the thread wait for itself."""
        if self.is_current:
            raise LocalProtocolError(
                "A callback cannot wait for the client that called it: it would wait for ever. "
                "Hand the work to another thread."
            )

    def _run(self) -> None:
        core, loop = self._core, self._loop
        try:
            while not core.is_closed:
                loop.wait()
                self._read_notes()
                loop.step()
                core.publish()
        except BaseException as error:
            core.break_down(error)
        finally:
            loop.close()
            self._ended = True
            self._read_notes()

    def _read_notes(self) -> None:
        while self._notes:
            try:
                note = self._notes.popleft()
            except IndexError:
                return  # after the end, two threads may read at once
            note()


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
    gate = threading.Lock()
    gate.acquire()
    if not signal.subscribe(gate.release, seen):
        return
    try:
        gate.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
    finally:
        signal.unsubscribe(gate.release)
