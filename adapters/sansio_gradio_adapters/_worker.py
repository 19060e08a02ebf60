"""The one thread of a blocking client, and how other threads wait for it.

Rule 1: only this thread touches the engine. Other threads leave a note and wake it, in one action
that nothing interrupts. So Ctrl-C, which may hit the main thread anywhere, finds work that has not
begun, or work of this thread.

Rule 2: no thread holds a lock, so a signal handler, a finaliser and a fork find none held.

Rule 3: this thread must not wait for itself: such a call is refused.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain
from operator import call
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio_adapters._client import ClientCore, nobody
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._waiting import wait_for, wait_until
from sansio_gradio_adapters.loop import Loop

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)
_Note: TypeAlias = tuple[Callable[[], object], Callable[[BaseException], object]]


def at_once(*actions: Callable[[], object], last: Iterable[Callable[[], object]] = ()) -> None:
    """Call *actions*, and then the functions that are in *last* by then, as one action. All are
    written in C.

    So Python runs nothing between them: no Ctrl-C, no signal handler, no finaliser.
    """
    deque(map(call, chain(actions, last)), maxlen=0)


class Worker:
    """Runs the engine of a client, from ``start`` until its session is closed."""

    def __init__(self, core: ClientCore, ssl_context: ssl.SSLContext | None) -> None:
        self._core = core
        core.post = self.do_soon
        self._ssl_context = ssl_context
        self._notes: deque[_Note] = deque()
        self._bells: list[Callable[[], object]] = []  # one, as long as the thread may wait
        self._loop: Loop | None = None
        self._has_ended = False
        self._end = Signal()
        self._thread = threading.Thread(target=self._run, name="sansio_gradio", daemon=True)
        _WORKERS.add(self)

    def start(self) -> None:
        """Once only."""
        self._thread.start()

    def do_soon(
        self,
        note: Callable[[], object],
        refuse: Callable[[BaseException], object] = nobody,
        first: Callable[[], object] = int,
    ) -> None:
        """Let the thread call *note*. If the thread has ended, call *refuse* with the reason.

        *refuse* may be called in any thread, and twice. *first*, which is written in C, is called
        at once; no Ctrl-C comes between. In a forked process nothing is called.

        Finalisers call this, too: the garbage collector may run them in a thread that holds a lock.
        """
        if not self._core.is_own_process:
            return
        with suppress(OSError):
            at_once(first, partial(self._notes.append, (note, refuse)), last=self._bells)
        if self._has_ended:  # and may have read its notes for the last time
            refuse(self._why_not())

    def do(self, question: Callable[[], T]) -> T:
        """Let the thread call *question*; wait, and return or raise as it does."""
        self._core.demand_own_process()
        if self.is_current:
            if self._core.is_busy:
                self.may_wait()
            return question()
        answers: list[T] = []
        errors: list[BaseException] = []
        answered = Signal()

        def note() -> None:
            try:
                answers.append(question())
            except BaseException as error:
                refuse(error)
            else:
                answered.notify()

        def refuse(error: BaseException) -> None:
            errors.append(error)
            answered.notify()

        self.do_soon(note, refuse)
        wait_until(answered, lambda: bool(answers or errors))
        if answers:
            return answers[0]
        raise errors[0]

    def join(self) -> None:
        """Wait for the end of the thread."""
        # Not by the thread's own lock, which Ctrl-C can leave in disorder.
        wait_until(self._end, lambda: self._has_ended)
        self._thread.join()

    def leave(self, note: Callable[[], object], _error: BaseException) -> None:
        """Let *note* give up what a thread has waited for until an error was raised in it."""
        self.do_soon(note)

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        is_same = threading.get_ident() == self._thread.ident
        return is_same and self._thread.is_alive()  # the number of an ended thread is used again

    def may_wait(self) -> None:
        """Raise if waiting for the thread would never end.

        Raises:
            LocalProtocolError: the caller is the thread itself, or this process was forked from the
                one of the thread.
        """
        self._core.demand_own_process()
        if self.is_current:
            raise LocalProtocolError(
                "A callback cannot wait for the client that called it: it would wait for ever. "
                "Hand the work to another thread."
            )

    def wait_for(self, signal: Signal, seen: int) -> None:
        """Wait until *signal* is beyond the version *seen*; raises as ``may_wait``."""
        self.may_wait()
        wait_for(signal, seen)

    def wait_until(
        self, signal: Signal, happened: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Wait until *happened*, which may change with each notification of *signal*.

        At most *timeout* seconds; False: it has not happened by then. Raises as ``may_wait``, if
        there is something to wait for.
        """
        if happened():
            return True
        self.may_wait()
        return wait_until(signal, happened, timeout)

    def let_go(self) -> None:
        """In a forked process: close the copies of the parent's descriptors."""
        if self._loop is not None:
            self._loop.let_go()

    def _run(self) -> None:
        core = self._core
        core.is_busy = True  # but while it publishes
        try:
            # Here, where no Ctrl-C can leave its descriptors open.
            with Loop(core.engine, ssl_context=self._ssl_context) as loop:
                self._loop = loop
                loop.attach(core.session.id, core.receive)
                self._bells.append(loop.ring)
                while not core.is_closed:
                    if self._notes:
                        self._read_notes()
                    loop.step()
                    core.publish()
                    if not core.is_closed:
                        loop.wait()
                self._bells.clear()
        except BaseException as error:
            core.break_down(error)
        finally:
            core.is_busy = False
            self._has_ended = True
            self._refuse_notes()
            self._end.notify()

    def _read_notes(self) -> None:
        while self._notes:
            note, _ = self._notes.popleft()
            try:
                note()
            except Exception:  # a fault of ours, which is no affair of the other notes
                _log.exception("what was asked of the client could not be done")

    def _refuse_notes(self) -> None:
        while self._notes:
            _, refuse = self._notes.popleft()
            refuse(self._why_not())

    def _why_not(self) -> BaseException:
        return self._core.why_not or LocalProtocolError("The client is closed.")


_WORKERS: Final = weakref.WeakSet[Worker]()


def _let_go() -> None:
    for worker in list(_WORKERS):
        worker.let_go()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_let_go)
