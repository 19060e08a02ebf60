"""One try of a job at the server. A job that is handed in again gets a new attempt."""

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
    """The data to send for a job, how far the job has come, and what it may leave behind on the
    server.

    ``job`` is the job's number, ``app`` and ``traits`` describe the server, ``base`` is the address
    of its API, ``data`` has the arguments as on the wire; files are still marks in it until they
    are stored.
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
    oauth_token: str | None = attrs.field(default=None, repr=False)
    """The caller's token for the function; None: it asks for none, or there is none."""
    unfinished: UnfinishedRuns = attrs.field(factory=UnfinishedRuns)
    """The unfinished runs of the session."""
    event_id: str | None = None
    """The server's name for the job."""
    asked: list[int] = attrs.field(factory=list[int])
    """The exchanges to drop when the attempt ends."""
    stream: int | None = None
    """The exchange that brings this job's messages and no others."""
    heard: bool = False
    """A message of the job came on the connection that now carries it."""
    is_due: bool = False
    """The server had accepted the job when the current stream was opened, or may have."""
    unheard_since: float | None = None
    """Since when we wait for a first message on that stream; None: since the next heartbeat."""
    reopened: bool = False
    """A second stream was opened for the job already."""
    taken: bool = False
    """The server has accepted the job."""
    is_over: bool = False
    """The job has ended, or goes on with another attempt."""
    is_waiting: bool = False
    """The job is in the server's queue, and has not started."""
    is_over_there: bool = False
    """The server has sent the last message of the job."""
    _there: JobState = JobState.JOINING
    _run: UnfinishedRun | None = None  # set when it may not finish

    @property
    def body(self) -> dict[str, Any]:
        """The body of a join (gradio data_classes.py: PredictBody)."""
        body = {
            "data": self.data,
            "event_data": self.call.event_data,
            "fn_index": self.endpoint.fn_index,
            "session_hash": self.session_hash,
            "trigger_id": self.call.trigger_id,
            **(self.call.extra or {}),
        }
        if self.oauth_token is not None:
            body["oauth_token"] = self.oauth_token
        return body

    def note_place(self, kind: Msg | None) -> None:
        """Note the state of the job on the server, which may differ from its state here."""
        there = None if kind is None else TRANSITIONS[self._there].get(kind)
        if there is not None:
            self._there = there
            self.is_waiting = there is JobState.QUEUED
            self.is_over_there = there is JobState.DONE

    def first_change(self, data: list[Any]) -> Change:
        """The change of the first yield, which may be edits of an unfinished run's value.

        Raises:
            RemoteProtocolError: it is edits, and the value that they edit is not certain.
        """
        return self.unfinished.first_change(data, self.endpoint, self.app.version)

    def may_not_finish(self, outputs: Outputs, *, known: bool = True) -> None:
        """The job may leave its last yield behind; *known*: we have received that yield."""
        if self.traits.diffs and outputs.received and self._run is None:
            self._run = self.unfinished.add(outputs.newest() if known else None)
        elif self._run is not None and not known:
            self._run.slots = None

    def hear(self, message: Message) -> None:
        """Take a message of a job that is over here."""
        kind = MSGS.get(message.get("msg", ""))
        self.note_place(kind)
        self.overhear(kind, message)

    def overhear(self, kind: Msg | None, message: Message) -> None:
        """Learn from a message of a job that was given up, or is over."""
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
