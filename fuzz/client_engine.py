"""Invariant: whatever a server answers to a client, in whatever pieces, each job ends exactly once,
with a result or a documented error; nothing that must not be raised is raised, nothing hangs, and
no connection is left when the client is closed.

For the data see ``_visit.py``.
"""

from __future__ import annotations

from functools import partial

from fuzz._visit import Visit, written


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


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    said = (
        b'data: {"msg": "process_generating", "event_id": "e", "success": true, "output": %b}\n\n'
    )
    first = said % b'{"data": ["a"]}'
    stream = first + said % b'{"data": [[["append", [], "b"]]]}' * (50 * times)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    joined = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"event_id": "e"}'
    return written("6.31.0", 200, (b"queue/join", joined), (b"queue/data", head + stream))
