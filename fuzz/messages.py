"""Invariant: whatever a server says, it is a message or RemoteProtocolError; strict refuses exactly
what tolerance tells as an anomaly; and all that is made of a message (its place in a job's life, a
status, a yield, an error) is made without surprises: a status can be sent as JSON, an error shown.
"""

from __future__ import annotations

import json
from contextlib import suppress

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.failures import app_error, refusal
from sansio_gradio.protocol.messages import Message, output_data, parse_message
from sansio_gradio.protocol.outputs import Outputs, Slots, change_of
from sansio_gradio.protocol.states import JobState, Msg, after
from sansio_gradio.protocol.status import status_of

VERSIONS = ((), (3, 50, 2), (4, 21, 0), (6, 31, 0))


def target(data: bytes) -> None:
    for status in (401, 422, 429, 500, 503):
        str(refusal(status, (), data, wall_now=0.0)).encode()
    anomalies: list[str] = []
    try:
        message = parse_message(data, on_anomaly=anomalies.append)
    except RemoteProtocolError:
        return
    try:
        assert parse_message(data, strict=True) == message
        assert not anomalies
    except RemoteProtocolError:
        assert anomalies
    _use(message)


def _use(message: Message) -> None:
    kind = message.get("msg")
    if kind in set(Msg):
        msg = Msg(kind)
        for state in JobState:
            after(state, msg)
        status = status_of(msg, message, 0.0)
        assert json.loads(json.dumps(status)) == status
    for version in VERSIONS:
        error = app_error(message.get("output") or {}, version, message.get("title"))
        str(error).encode()
        assert error.duration is None or error.duration == error.duration + 0
    values = output_data(message)
    if values is not None:
        for first in (True, False):
            with suppress(RemoteProtocolError):
                slots = Slots()
                slots.apply(change_of(values, first=first, diffs=True))
                slots.snapshot()
    outputs = Outputs(diffs=True, limit=2000)
    for _ in range(3):
        outputs.add(json.dumps(message), 1000)
    assert len(list(outputs)) == len(outputs)


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    data = b'[["append", [], "x"]], ' * (100 * times)
    return b'{"msg": "process_generating", "success": true, "output": {"data": [%b[]]}}' % data
