"""The messages of a server, with the very keys of the version that it poses as.

Rule 1: nothing else in the server role makes a message.

Rule 2: which keys a message has is data. The table lists them in the order of real servers, each
with the releases that have it (gradio server_messages.py, queueing.py, utils.py: error_payload;
the rest from recordings).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel, Naming, Traits
from sansio_gradio.protocol.states import CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.server.app import App
from sansio_gradio.server.events import JSON
from sansio_gradio.server.requests import BROKEN
from sansio_gradio.server.versions import Manner, filled, template

__all__ = ["Messages", "OutputFields"]

SHOWN_FOR: Final = 10  # seconds (gr.Error, gr.Info)

OutputFields: TypeAlias = dict[str, Any]
"""The ``output`` of a message."""

_YIELDED: Final = "msg event_id output success:true time_limit>=5.0"
_KEYS: Final[Mapping[str, str]] = {
    Msg.SEND_HASH: "msg",
    Msg.SEND_DATA: "msg event_id",
    Msg.QUEUE_FULL: "msg",
    Msg.ESTIMATION: """
        msg event_id rank queue_size avg_event_process_time<4.11
        avg_event_concurrent_process_time<4.11 rank_eta queue_eta<4.11
    """,
    Msg.PROCESS_STARTS: "msg event_id eta>=4.11",
    Msg.PROGRESS: "msg event_id progress_data",
    Msg.LOG: "msg event_id log level duration>=4.37.1 visible>=4.37.1 title>=5.2",
    Msg.PROCESS_GENERATING: _YIELDED,
    Msg.PROCESS_STREAMING: _YIELDED,
    Msg.PROCESS_COMPLETED: """
        msg event_id output success:true title>=5.2 used_cache>=6.12 cache_duration>=6.12
        avg_time>=6.12
    """,
    HEARTBEAT: "msg event_id>=4.39",
    CLOSE_STREAM: "msg event_id>=4.39",
    Msg.UNEXPECTED_ERROR: """
        msg event_id>=4.39 success<4.20:false message session_not_found>=5.38:false
        success>=4.20:false
    """,
}
_OUTPUT: Final = """
    data is_generating>=3.3:false duration average_duration
    render_config>=4.31 changed_state_ids>=4.32:[] used_cache>=6.12
"""
_ERROR: Final = "error duration>=4.37.1 visible>=4.37.1 title>=5.2"


class Messages:
    """Makes the messages of one app."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.names_jobs = _has_event_id(app.traits, Msg.PROCESS_STARTS)
        """Whether a job's messages say whose they are."""
        self._templates = {kind: template(keys, app.version) for kind, keys in _KEYS.items()}
        for kind, made in self._templates.items():
            made["msg"] = str(kind)
            if not _has_event_id(app.traits, kind):
                made.pop("event_id", None)
        self._output = template(_OUTPUT, app.version)
        self._error = template(_ERROR, app.version)

    def make(self, kind: str, /, **values: Any) -> Message:
        """A message. Those of the *values* that the version does not send are left out."""
        return cast("Message", filled(self._templates[kind], values))

    def named(self, message: Message) -> tuple[str, Any] | None:
        """Name and data of the event of a /call stream that says the same; None: none does."""
        kind, output = message.get("msg"), message.get("output") or {}
        if kind == HEARTBEAT:
            return "heartbeat", None
        if kind == Msg.UNEXPECTED_ERROR:
            return "error", message.get("message")
        if kind not in (Msg.PROCESS_GENERATING, Msg.PROCESS_COMPLETED):
            return None
        if not message.get("success"):
            return "error", output if has(self._app.version, Feature.CALL_ERRORS) else None
        name = "complete" if kind == Msg.PROCESS_COMPLETED else "generating"
        return name, output.get("data")

    def output(self, **values: Any) -> OutputFields:
        """An output: ``data is_generating duration average_duration`` (seconds)."""
        return filled(self._output, values)

    def failed(self, event_id: str, error: BaseException | None, *, generating: bool) -> Message:
        """The last message of a job that has raised. *generating*: it had yielded before."""
        output = self.error_output(error, generating=generating)
        title = None if generating else output.get("title", "Error")
        values = {"event_id": event_id, "output": output, "success": False, "title": title}
        return self.make(Msg.PROCESS_COMPLETED, **values)

    def error_output(
        self, error: BaseException | None, *, generating: bool = False
    ) -> OutputFields:
        """The output of an error. An ``AppError`` is told whole, any other only if ``show_error``
        allows it. None: nothing is told."""
        is_told = self._app.show_error or not self._app.does(Manner.HIDDEN_ERROR_BREAKS)
        if isinstance(error, AppError) and is_told:
            text = _text(error.message)
            made = {
                "error": repr(text) if self._app.does(Manner.QUOTED_ERROR) else text,
                "duration": _seconds(error.duration) if error.is_duration_given else SHOWN_FOR,
                "visible": error.visible is not False,
                "title": "Error" if error.title is None else _text(error.title),
            }
            return filled(self._error, made)
        if not self._app.show_error or error is None:
            hidden_as_text = generating and self._app.does(Manner.HIDDEN_ERROR_IS_NONE)
            return {"error": "None" if hidden_as_text else None}
        shown: OutputFields = {"error": _text(error)}
        if self._app.does(Manner.SHOWN_ERROR_IS_VISIBLE):
            shown["visible"] = True
        return shown

    def failed_call(self, output: OutputFields) -> tuple[int, Any, str]:
        """The answer to a plain call with that output of an error: status, body and type."""
        is_hidden = output.get("error") is None
        breaks = is_hidden and self._app.does(Manner.HIDDEN_ERROR_BREAKS)
        return BROKEN if breaks else (500, output, JSON)

    def session_not_found(self) -> Message:
        # The text of the exception, which had a detail of its own before it had a flag.
        flagged = "session_not_found" in self._templates[Msg.UNEXPECTED_ERROR]
        text = "404: Not Found" if flagged else "404: Session not found."
        return self.make(Msg.UNEXPECTED_ERROR, message=text, session_not_found=True)


def _text(value: object) -> str:
    """The text of *value*, whatever a function has put there."""
    try:
        return str.__str__(str(value))
    except Exception:  # of its own __str__: the error is told all the same
        return type(value).__name__


def _seconds(duration: object) -> float | None:
    """How long an error is shown; None: until dismissed."""
    return duration if isinstance(duration, int | float) and math.isfinite(duration) else None


def _has_event_id(traits: Traits, kind: str) -> bool:
    """Whether messages of *kind* name their job: always where jobs share a channel."""
    if traits.naming is Naming.SEND_DATA:
        return kind == Msg.SEND_DATA or traits.channel is Channel.SESSION_STREAM
    return traits.naming is Naming.JOIN_ANSWER
