"""One try of a job at the server. A job that is handed in again gets a new one."""

from __future__ import annotations

from typing import Any

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.client.unfinished import UnfinishedRun, UnfinishedRuns
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.messages import Message, output_data
from sansio_gradio.protocol.outputs import Change, Outputs
from sansio_gradio.protocol.protocols import Traits
from sansio_gradio.protocol.states import MSGS, TRANSITIONS, JobState, Msg
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.url import URL


@attrs.define(eq=False, kw_only=True)
class Attempt:
    """What to say for a job, how far that has come, and what may stay behind on the server.

    ``job`` is the job's number, ``app`` and ``traits`` what the server is taken for, ``base`` the
    address of its API, ``data`` the arguments as they go on the wire.
    """

    job: int
    call: Call
    headers: Headers
    app: AppInfo
    traits: Traits
    base: URL
    endpoint: Endpoint
    data: list[Any]
    session_hash: str = ""
    unfinished: UnfinishedRuns = attrs.field(factory=UnfinishedRuns)
    """Those of the session."""
    event_id: str | None = None
    """The server's name for the job."""
    asked: int | None = None
    """The request that ends with the attempt."""
    stream: int | None = None
    """The exchange that brings this job's messages and no others."""
    heard: bool = False
    """A message of the job came on the connection that now carries it."""
    is_due: bool = False
    """The server had accepted the job before we opened the current stream."""
    reopened: bool = False
    """A second stream was opened for the job already."""
    taken: bool = False
    """The server has accepted the job."""
    is_over: bool = False
    """The job has ended, or goes on by another attempt."""
    is_waiting: bool = False
    """The job is in the server's queue, and has not started."""
    is_over_there: bool = False
    """The server has said its last word of the job."""
    _there: JobState = JobState.JOINING
    _run: UnfinishedRun | None = None  # since it is clear that it might not finish

    @property
    def body(self) -> dict[str, Any]:
        """The body of a join (gradio data_classes.py: PredictBody)."""
        return {
            "data": self.data,
            "event_data": self.call.event_data,
            "fn_index": self.endpoint.fn_index,
            "session_hash": self.session_hash,
            "trigger_id": self.call.trigger_id,
            **(self.call.extra or {}),
        }

    def note_place(self, kind: Msg | None) -> None:
        """Note where the job is at the server, whatever became of it here."""
        there = None if kind is None else TRANSITIONS[self._there].get(kind)
        if there is not None:
            self._there = there
            self.is_waiting = there is JobState.QUEUED
            self.is_over_there = there is JobState.DONE

    def first_change(self, data: list[Any]) -> Change:
        """The first yield, which may be edits of one of an unfinished run.

        Raises:
            RemoteProtocolError: it is edits, and it is not certain of what.
        """
        return self.unfinished.first_change(data, self.endpoint, self.app.version)

    def may_not_finish(self, outputs: Outputs, *, known: bool = True) -> None:
        """What the job has yielded may stay behind; *known*: all of that has come."""
        if self.traits.diffs and outputs.received and self._run is None:
            self._run = self.unfinished.add(outputs.newest() if known else None)
        elif self._run is not None and not known:
            self._run.slots = None

    def hear(self, message: Message) -> None:
        """Take a message of a job of which all was said here."""
        kind = MSGS.get(message.get("msg", ""))
        self.note_place(kind)
        self.overhear(kind, message)

    def overhear(self, kind: Msg | None, message: Message) -> None:
        """Learn what the server still says of a job that nobody wants, or that is over."""
        if not self.traits.diffs:
            return
        data = output_data(message)
        if kind is Msg.PROCESS_GENERATING and data is not None:
            if self._run is not None:
                self._run.follow(data)
            else:
                try:
                    values = tuple([edits[0][2] for edits in self.first_change(data)])
                except RemoteProtocolError:
                    values = None
                self._run = self.unfinished.add(values)
        elif kind is Msg.PROCESS_COMPLETED and data is not None and self._run is not None:
            self.unfinished.discard(self._run)
