"""Invariant: whatever a server answers to a client, in whatever pieces, each job ends exactly once,
with a result or a documented error; nothing that must not be raised is raised, nothing hangs, and
no connection is left when the client is closed.

For the data see ``_visit.py``.
"""

from __future__ import annotations

from functools import partial

from fuzz._visit import Visit


def target(data: bytes) -> None:
    visit = Visit("http://app.example/", data)
    session = visit.session

    def cancel() -> None:
        session.cancel(visit.jobs[-1])

    visit.play(
        partial(session.submit, "x", api_name="/many", timeout=100.0),
        partial(session.submit, "x", api_name="/plain", timeout=100.0),
        partial(session.submit, "y", api_name="/many", timeout=100.0),
        cancel,
        partial(session.submit, "z", api_name="/many", isolated=True, timeout=100.0),
    )
    visit.end()
