"""The ledger itself notices what does not add up."""

from __future__ import annotations

import pytest

from sansio_gradio.events import JobCompleted, SessionClosed
from sansio_gradio.testing.ledger import LEDGER, Ledger
from sansio_gradio.testing.talk import ECHO, Talk, app


def closed_with(*ends: int) -> Ledger:
    """The books, checked, of a session that has closed: one job submitted, and these ends."""
    ledger, context = Ledger(), Talk(app()).conversation
    ledger.submit(context, 1)
    for job in ends:
        ledger.emit(context, JobCompleted(session=0, job=job, data=()))
    ledger.emit(context, SessionClosed(session=0))
    ledger.check()
    return ledger


def test_each_job_ends_once() -> None:
    assert str(closed_with(1)) == "1 sessions closed: 1 jobs, 1 ends"


def test_a_job_that_ends_twice_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"twice: \[1\]"):
        closed_with(1, 1)


def test_a_job_that_never_ends_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"never ended: \[1\]"):
        closed_with()


def test_sessions_write_it() -> None:
    LEDGER.check()
    before = LEDGER.submitted, LEDGER.ended, LEDGER.sessions
    talk = Talk(app())
    talk.conversation.submit("x", fn_index=ECHO)
    talk.conversation.close()
    talk.sleep(10.0)
    LEDGER.check()
    assert (LEDGER.submitted, LEDGER.ended, LEDGER.sessions) == tuple(n + 1 for n in before)
