"""Translate answers to polls, and events of ``/call``, to messages of the queue.

Servers up to 3.1.4 answer polls (``Channel.POLL``), the simple REST API sends named events
(``Channel.CALL_STREAM``). Both mean the same as messages of the queue, so a job has to know only
those. Sources: gradio@3.1.4 queueing.py; gradio@6.31.0 routes.py: simple_predict_get.
"""

from __future__ import annotations

from typing import Final, cast

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.features import Feature, Version, has
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.states import Msg
from sansio_gradio.wire.json import JSON, Loads, loads

_EVENTS: Final = frozenset({"generating", "complete", "error"})
_UNTOLD: Final = "The function failed; before Gradio 6.13 servers do not tell why to /call."


def of_poll(answer: JSON, loads: Loads = loads) -> Message | None:
    """The message for an answer to a poll; None: the server does not find the job at this moment.

    Raises:
        RemoteProtocolError: it is not an answer to a poll.
    """
    match answer:
        case {"status": "QUEUED", "data": position}:
            rank = position if type(position) is int else None
            return {"msg": Msg.ESTIMATION.value, "rank": rank}
        case {"status": "PENDING"}:
            return {"msg": Msg.PROCESS_STARTS.value}
        case {"status": "COMPLETE", "data": dict(output)}:
            return {"msg": Msg.PROCESS_COMPLETED.value, "output": output, "success": True}
        case {"status": "FAILED", "data": text}:
            return _failed(_told(text, loads))
        case {"status": "NOT FOUND"}:
            # The job is between two tables of the server: this may come just before COMPLETE.
            return None
        case _:
            raise RemoteProtocolError(f"this is no answer to a poll: {str(answer)[:60]}")


def _told(text: JSON, loads: Loads) -> dict[str, JSON]:
    """The body of the failed answer that the server's worker got from its own app."""
    try:
        inner = loads(text) if isinstance(text, str) else None
    except RemoteProtocolError:
        inner = None
    return inner if isinstance(inner, dict) and "error" in inner else {"error": text}


def of_call(
    event: str, text: str, version: Version, loads: Loads = loads, *, streaming: bool = False
) -> Message | None:
    """The message for an event of ``/call``; None: the event only keeps the connection alive.

    *streaming*: the job takes its input in pieces, so each yield asks for the next piece. An
    unknown event becomes a message of an unknown kind.

    Raises:
        RemoteProtocolError: its data is not JSON, or not the data of such an event.
    """
    if event == "heartbeat":
        return None
    if event not in _EVENTS:
        return cast("Message", {"msg": f"/call: {event[:30]}", "data": text})
    data = loads(text)
    match event, data:
        case "generating", list():
            output = {"data": data, "is_generating": True}
            kind = Msg.PROCESS_STREAMING if streaming else Msg.PROCESS_GENERATING
            return {"msg": kind.value, "output": output, "success": True}
        case "complete", list():
            return {"msg": Msg.PROCESS_COMPLETED.value, "output": {"data": data}, "success": True}
        case "complete", None:  # the output of a job that was cancelled is empty
            return {"msg": Msg.PROCESS_COMPLETED.value, "output": {}, "success": True}
        case "error", str():
            return {"msg": Msg.UNEXPECTED_ERROR.value, "message": data, "success": False}
        case "error", dict():
            return _failed(data)
        case "error", None:
            return _failed({"error": None if has(version, Feature.CALL_ERRORS) else _UNTOLD})
        case _:
            raise RemoteProtocolError(f"this is no {event!r} of a call: {text[:60]!r}")


def _failed(output: dict[str, JSON]) -> Message:
    return {"msg": Msg.PROCESS_COMPLETED.value, "output": output, "success": False}
