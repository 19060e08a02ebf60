"""The messages of a server, each with the very keys of the version that it poses as.

Rule 1: nothing else in the server role makes a message.

Rule 2: which keys a message has is data. The tables list them in the order in which servers write
them, each with the releases that have it (gradio server_messages.py, queueing.py, utils.py:
error_payload; for the rest the recordings of real servers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Channel, Naming, Traits
from sansio_gradio.protocol.states import CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.server.versions import Keys, Manner, does, keys_of, table

Output: TypeAlias = dict[str, Any]

_ESTIMATION: Final = """
    msg event_id rank queue_size
    avg_event_process_time<4.11 avg_event_concurrent_process_time<4.11 rank_eta queue_eta<4.11
"""
_COMPLETED: Final = """
    msg event_id output success title>=5.2 used_cache>=6.12 cache_duration>=6.12 avg_time>=6.12
"""
_OF_A_JOB: Final[Mapping[str, Keys]] = {
    Msg.SEND_HASH: table("msg"),
    Msg.SEND_DATA: table("msg event_id"),
    Msg.QUEUE_FULL: table("msg"),
    Msg.ESTIMATION: table(_ESTIMATION),
    Msg.PROCESS_STARTS: table("msg event_id eta>=4.11"),
    Msg.PROGRESS: table("msg event_id progress_data"),
    Msg.LOG: table("msg event_id log level duration>=4.37.1 visible>=4.37.1 title>=5.2"),
    Msg.PROCESS_GENERATING: table("msg event_id output success time_limit>=5.0"),
    Msg.PROCESS_COMPLETED: table(_COMPLETED),
}
_UNEXPECTED: Final = """
    msg event_id>=4.39 success<4.20 message session_not_found>=5.38 success>=4.20
"""
_OF_A_SESSION: Final[Mapping[str, Keys]] = {
    HEARTBEAT: table("msg event_id>=4.39"),
    CLOSE_STREAM: table("msg event_id>=4.39"),
    Msg.UNEXPECTED_ERROR: table(_UNEXPECTED),
}
_OUTPUT: Final = table("""
    data is_generating>=3.3 duration average_duration
    render_config>=4.31 changed_state_ids>=4.32 used_cache>=6.12
""")
_ERROR: Final = table("error duration>=4.37.1 visible>=4.37.1 title>=5.2")
_UNIT: Final = ("index", "length", "unit", "progress", "desc")


@attrs.frozen(kw_only=True)
class Estimate:
    """How long a job has to wait; times in seconds, None: not known yet."""

    rank: int
    queue_size: int
    rank_eta: float | None = None
    average: float | None = None  # up to 4.10: of a run
    concurrent: float | None = None  # up to 4.10: of a run, divided by those that run at once
    queue_eta: float | None = None  # up to 4.10


class Messages:
    """Makes the messages of one app: those of *version*, in a protocol with *traits*."""

    def __init__(self, version: Version, traits: Traits, *, show_error: bool) -> None:
        self._version = version
        self._show_error = show_error
        self.names_jobs = _has_event_id(traits, Msg.PROCESS_STARTS)
        """Whether a job's messages say whose they are."""
        self._keys: dict[str, tuple[str, ...]] = {}
        for kind, rows in _OF_A_JOB.items():
            named = _has_event_id(traits, kind)
            self._keys[kind] = tuple(
                key for key in keys_of(rows, version) if named or key != "event_id"
            )
        for kind, rows in _OF_A_SESSION.items():
            self._keys[kind] = keys_of(rows, version)
        self._output = keys_of(_OUTPUT, version)
        self._error = keys_of(_ERROR, version)

    def send_hash(self) -> Message:
        return self._make(Msg.SEND_HASH, {})

    def send_data(self, event_id: str) -> Message:
        return self._make(Msg.SEND_DATA, {"event_id": event_id})

    def queue_full(self) -> Message:
        return self._make(Msg.QUEUE_FULL, {})

    def estimation(self, event_id: str, estimate: Estimate) -> Message:
        return self._make(
            Msg.ESTIMATION,
            {
                "event_id": event_id,
                "rank": estimate.rank,
                "queue_size": estimate.queue_size,
                "avg_event_process_time": estimate.average,
                "avg_event_concurrent_process_time": estimate.concurrent,
                "rank_eta": estimate.rank_eta,
                "queue_eta": estimate.queue_eta,
            },
        )

    def process_starts(self, event_id: str, eta: float | None) -> Message:
        return self._make(Msg.PROCESS_STARTS, {"event_id": event_id, "eta": eta})

    def progress(self, event_id: str, units: Sequence[Mapping[str, Any]]) -> Message:
        """``units``: each of the nested loops, outermost first."""
        data = [{key: unit.get(key) for key in _UNIT} for unit in units]
        return self._make(Msg.PROGRESS, {"event_id": event_id, "progress_data": data})

    def log(
        self,
        event_id: str,
        text: str,
        *,
        level: str,
        title: str,
        duration: float | None,
        visible: bool,
    ) -> Message:
        said = {"log": text, "level": level, "duration": duration, "visible": visible}
        return self._make(Msg.LOG, {"event_id": event_id, **said, "title": title})

    def output(
        self, data: list[Any], *, is_generating: bool, duration: float, average: float
    ) -> Output:
        """What a run has produced, with its seconds and those of an average run."""
        made: Output = {
            "data": data,
            "is_generating": is_generating,
            "duration": duration,
            "average_duration": average,
            "render_config": None,
            "changed_state_ids": [],
            "used_cache": None,
        }
        return {key: made[key] for key in self._output}

    def generating(self, event_id: str, output: Output) -> Message:
        made = {"event_id": event_id, "output": output, "success": True, "time_limit": None}
        return self._make(Msg.PROCESS_GENERATING, made)

    def streaming(self, event_id: str, output: Output, time_limit: float | None) -> Message:
        """The answer to one piece of a streaming input; ``time_limit``: seconds that are left."""
        message = self.generating(event_id, output)
        message["msg"] = str(Msg.PROCESS_STREAMING)
        message["time_limit"] = time_limit
        return message

    def completed(self, event_id: str, output: Output, *, measured: bool = True) -> Message:
        """The end of a job that worked; not *measured*: nothing ran to bring it about."""
        return self._completed(event_id, output, success=True, measured=measured)

    def cancelled(self, event_id: str) -> Message:
        """How servers from 4.31 on end a job that was cancelled: completed, of nothing."""
        return self._completed(event_id, {}, success=True)

    def failed(self, event_id: str, error: BaseException | None, *, generating: bool) -> Message:
        """The end of a job whose function raised; *generating*: after it had yielded."""
        output = self.error_output(error, generating=generating)
        title = None if generating else output.get("title", "Error")
        return self._completed(event_id, output, success=False, title=title)

    def error_output(self, error: BaseException | None, *, generating: bool = False) -> Output:
        """What a server tells of an error (None: nothing): all of an ``AppError``, of any other
        only what ``show_error`` allows."""
        if isinstance(error, AppError):
            return self._app_error(error)
        if not self._show_error or error is None:
            hidden_as_text = generating and does(self._version, Manner.HIDDEN_ERROR_IS_NONE)
            return {"error": "None" if hidden_as_text else None}
        output: Output = {"error": str(error)}
        if does(self._version, Manner.SHOWN_ERROR_IS_VISIBLE):
            output["visible"] = True
        return output

    def _app_error(self, error: AppError) -> Output:
        quoted = does(self._version, Manner.QUOTED_ERROR)
        made = {
            "error": repr(error.message) if quoted else error.message,
            "duration": error.duration,
            "visible": error.visible,
            "title": "Error" if error.title is None else error.title,
        }
        return {key: made[key] for key in self._error}

    def timed_out(self, event_id: str) -> Message:
        """The end of a job whose data was asked for and never came (gradio@3.50.2 queueing.py)."""
        output = {"error": "Time out uploading data to server"}
        return self._completed(event_id, output, success=False)

    def heartbeat(self) -> Message:
        return self._make(HEARTBEAT, {"event_id": None})

    def close_stream(self) -> Message:
        return self._make(CLOSE_STREAM, {"event_id": None})

    def session_not_found(self) -> Message:
        # The text of the exception, which had a detail of its own before it had a flag.
        flagged = "session_not_found" in self._keys[Msg.UNEXPECTED_ERROR]
        return self._unexpected("404: Not Found" if flagged else "404: Session not found.", True)

    def server_stopped(self) -> Message:
        return self._unexpected("Server stopped unexpectedly.", False)

    def _unexpected(self, text: str, session_not_found: bool) -> Message:
        made = {"event_id": None, "message": text, "session_not_found": session_not_found}
        return self._make(Msg.UNEXPECTED_ERROR, {**made, "success": False})

    def _completed(
        self,
        event_id: str,
        output: Output,
        *,
        success: bool,
        title: str | None = None,
        measured: bool = False,
    ) -> Message:
        return self._make(
            Msg.PROCESS_COMPLETED,
            {
                "event_id": event_id,
                "output": output,
                "success": success,
                "title": title,
                "used_cache": None,
                "cache_duration": output["duration"] if measured else None,
                "avg_time": output["average_duration"] if measured else None,
            },
        )

    def _make(self, kind: str, values: Mapping[str, Any]) -> Message:
        made = {key: str(kind) if key == "msg" else values[key] for key in self._keys[kind]}
        return cast("Message", made)


def _has_event_id(traits: Traits, kind: str) -> bool:
    """Whether messages of *kind* name their job: always where jobs share a channel."""
    if traits.naming is Naming.SEND_DATA:
        return kind == Msg.SEND_DATA or traits.channel is Channel.SESSION_STREAM
    return traits.naming is Naming.JOIN_ANSWER
