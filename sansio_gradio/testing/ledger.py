"""The books of all jobs: what is submitted ends, once.

Call ``keep_books()`` in ``conftest.py``. From then on every session writes into ``LEDGER``,
whatever drives it. Call ``LEDGER.check()`` after each test: it fails if a job has ended twice, or
if a closed session has a job that never ended.
"""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Self
from weakref import WeakKeyDictionary, ref

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.events import JobCancelled, JobCompleted, JobFailed, SessionClosed

_ENDS = (JobCompleted, JobFailed, JobCancelled)


@attrs.define
class _Account:
    """Of one session."""

    submitted: set[int] = attrs.field(factory=set[int])
    ended: Counter[int] = attrs.field(factory=Counter[int])
    closed: bool = False


class Ledger:
    """Submitted against ended."""

    def __init__(self) -> None:
        self.sessions = self.submitted = self.ended = 0
        """Of all sessions that have closed."""
        self._accounts: WeakKeyDictionary[Conversation, _Account] = WeakKeyDictionary()

    def submit(self, session: Conversation, job: int) -> None:
        self._accounts.setdefault(session, _Account()).submitted.add(job)

    def emit(self, session: Conversation, event: Any) -> None:
        if isinstance(event, _ENDS):
            self._accounts.setdefault(session, _Account()).ended[event.job] += 1
        elif isinstance(event, SessionClosed) and session in self._accounts:
            self._accounts[session].closed = True

    def check(self) -> None:
        """Close the accounts of sessions that have closed; complain of what does not add up."""
        for session, account in list(self._accounts.items()):
            # Tests of jobs alone make them without a session, which knows nothing of them.
            ends = {job: account.ended[job] for job in account.submitted}
            twice = [job for job, count in ends.items() if count > 1]
            assert not twice, f"jobs that ended twice: {twice}"
            if account.closed:
                del self._accounts[session]
                self.sessions += 1
                self.submitted += len(ends)
                self.ended += sum(ends.values())
                never = [job for job, count in ends.items() if not count]
                assert not never, f"jobs of a closed session that never ended: {never}"

    @property
    def sums(self) -> tuple[int, int, int]:
        return self.sessions, self.submitted, self.ended

    def add(self, sums: tuple[int, int, int]) -> None:
        """Add the ``sums`` of another process."""
        self.sessions += sums[0]
        self.submitted += sums[1]
        self.ended += sums[2]

    def __str__(self) -> str:
        return f"{self.sessions} sessions closed: {self.submitted} jobs, {self.ended} ends"


LEDGER = Ledger()


class _WrittenDown(deque[Any]):
    """The events of a session, which are written down as they are queued."""

    def __init__(self, session: Conversation) -> None:
        super().__init__()
        self._session = ref(session)

    def append(self, event: Any) -> None:
        if (session := self._session()) is not None:
            LEDGER.emit(session, event)
        super().append(event)

    def __iadd__(self, events: Iterable[Any]) -> Self:
        for event in events:
            self.append(event)
        return self


def keep_books() -> None:
    """Have all sessions write the ledger."""
    init, begin = Conversation.__init__, Conversation.begin

    @functools.wraps(init)
    def init_and_listen(self: Conversation, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        listening = _WrittenDown(self)
        listening += self._events  # pyright: ignore[reportPrivateUsage]
        self._events = listening  # pyright: ignore[reportPrivateUsage]

    @functools.wraps(begin)
    def begin_and_write(self: Conversation, call: Call) -> int:
        job = begin(self, call)
        LEDGER.submit(self, job)
        return job

    Conversation.__init__ = init_and_listen  # type: ignore[method-assign]  # for all who test
    Conversation.begin = begin_and_write  # type: ignore[method-assign]  # the same
