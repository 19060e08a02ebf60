"""One job: from the arguments to its last event.

Rule 1: a job says one last thing (``JobCompleted``, ``JobFailed`` or ``JobCancelled``) and then
nothing more, whatever comes.

Rule 2: a job knows what messages mean, and not how they travel. That is its carrier's business.

Rule 3: edits are applied when the application takes the ``Output``, not when they arrive, so that
``Output.value`` is the value of that moment.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.chunks import Chunk, StreamingInput
from sansio_gradio.client.context import Context
from sansio_gradio.client.retry import Pause
from sansio_gradio.client.unfinished import UnfinishedRun, UnfinishedRuns
from sansio_gradio.errors import (
    AppError,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.events import (
    Accepted,
    Anomaly,
    Event,
    JobCancelled,
    JobCompleted,
    JobEnd,
    JobFailed,
    MessageReceived,
    Output,
    OutputsGrew,
    StatusUpdated,
)
from sansio_gradio.protocol.app_info import Endpoint
from sansio_gradio.protocol.failures import app_error, is_unknown, unknown_there
from sansio_gradio.protocol.messages import Message, output_data
from sansio_gradio.protocol.outputs import Change, Outputs, Slots, change_of, whole
from sansio_gradio.protocol.states import JobState, Msg, after
from sansio_gradio.protocol.status import Status, StatusUpdate, status_of
from sansio_gradio.wire.headers import checked
from sansio_gradio.wire.json import JSON


class Carrier(Protocol):
    """What takes a job to the server and its messages back."""

    def start(self, job: Job, /) -> None:
        """Hand the job in."""
        ...

    def stop(self, job: Job, then: Callable[[bool | None], None], /) -> None:
        """Make the server stop a job; *then* is told whether it did; None: that is not known.
        It may take a while."""
        ...

    def forget(self, job: Job, /) -> None:
        """The job is over: listen no more for it."""
        ...


_READ_AT_END: Final = 256 * 1024
"""Bytes of outputs that are read when the job ends if nobody did: so it is told what is wrong."""

_MSGS: Final[Mapping[str, Msg]] = {msg.value: msg for msg in Msg}


class Job:
    """What is known of one job. ``id`` is its number, ``event_id`` the server's name for it."""

    def __init__(self, id: int, call: Call) -> None:
        self.id = id
        self.call = call
        self.headers = checked(call.headers or ())
        self._wants_messages = Want.MESSAGES in call.want
        self._wants_status = Want.STATUS in call.want
        self._wants_outputs = Want.OUTPUTS in call.want
        self._wants_growth = Want.GROWTH in call.want
        self._wants_receipts = Want.RECEIPTS in call.want
        self.event_id: str | None = None
        self.session_hash = ""
        self.stream: int | None = None  # the exchange that brings this job's messages only
        self.heard = False
        """A message for it came on the connection that now carries it."""
        self.given_up = False
        """It ended, and the server has not said so: its function may still run there."""
        self.is_due = False
        """The server had taken it before it was asked for that connection."""
        self.reopened = False
        """A second connection was opened for it already."""
        self.taken_back = 0
        """How often it was bound anew, since the app might have been started anew."""
        self.no_socket: GradioError | None = None
        """Why it is not carried by a WebSocket, where others are."""
        self.is_waiting = False
        """It is in the server's queue, and has not started."""
        self.is_over_there = False
        """The server has said its last word of it."""
        self.input = StreamingInput(is_whole=call.whole_input)
        self._state = self._there = JobState.JOINING
        self._cancelling = False
        self._taken = False  # by the server
        self._attempts = 0  # to hand it in again
        self._left = False
        self._data: list[Any] = []
        self._slots = Slots()
        self._has_broken = False
        """It was told that a yield cannot be read."""
        self._run: UnfinishedRun | None = None  # since it is clear that it might not finish
        self._yields = False
        """The last that was heard is a yield: its status is told already."""
        self._has_grown = False

    def begin(
        self,
        context: Context,
        endpoint: Endpoint,
        data: list[Any],
        on_left: Callable[[Job], None],
    ) -> None:
        """The app is known, and with it what the job's arguments mean.

        *on_left* is told when the server, too, is done with the job.
        """
        self._on_left = on_left
        self.context = context
        self.endpoint = endpoint
        self.carrier: Carrier = Pause(context.timers, self.id, math.inf, lambda: None)
        self._data = data
        self._diffs = context.traits.diffs
        self._never_asked = context.traits.never_asked
        self._outputs = Outputs(
            diffs=self._diffs,
            limit=context.limits.kept_outputs,
            value_limit=context.limits.value,
            loads=context.loads,
            eager=context.strict,
        )
        self.unfinished = UnfinishedRuns(context.limits.value)
        """Those of the job's session."""

    def start(
        self, carrier: Carrier, send_chunk: Callable[[Job, Chunk], None] | None = None
    ) -> None:
        """Go to the server, by *carrier*; *send_chunk*: by which pieces of the input follow."""
        self.carrier = carrier
        try:
            self.input.begin(self.endpoint, send_chunk and partial(send_chunk, self))
            carrier.start(self)
        except LocalProtocolError as error:  # the arguments are no JSON, or a piece does not fit
            self.fail(error)

    @property
    def is_over(self) -> bool:
        return self._state is JobState.DONE

    @property
    def body(self) -> dict[str, Any]:
        """What the server is told when the job joins (gradio data_classes.py: PredictBody)."""
        return {
            "data": self._data,
            "event_data": self.call.event_data,
            "fn_index": self.endpoint.fn_index,
            "session_hash": self.session_hash,
            "trigger_id": self.call.trigger_id,
            **(self.call.extra or {}),
        }

    # What the server says.

    def receive(self, message: Message, text: str | None = None) -> bool:
        """Take a message of the server that is for this job; *text*: as it came.

        False: it has no effect, so nothing that it asks for is to be done.
        """
        kind = _MSGS.get(message.get("msg", ""))
        self._note_place(kind)
        if self.is_over:
            self._overhear(kind, message)
            return False
        is_first, self.heard = not self.heard, True
        moved = None if kind is None or kind in self._never_asked else after(self._state, kind)
        if kind is None or moved is None:
            self._puzzled(message, known=kind is not None)
            return False
        if self._cancelling:
            self._overhear(kind, message)
            if moved is JobState.DONE:
                self._stopped(message.get("output") == {})
            return False
        if moved is not JobState.DONE:  # which is for its last event to say
            self._state = moved
        self._yields = kind is Msg.PROCESS_GENERATING
        if self._wants_messages:
            self._emit(MessageReceived(session=self._session, job=self.id, message=message))
        if self._wants_status:
            status = status_of(kind, message, self.context.timers.wall_now)
            if moved is JobState.DONE and not _succeeds(kind, message):
                status = StatusUpdate(status.code, status.time, {**message, "success": False})
            self._tell_status(status)
        if moved is JobState.DONE:
            self._finish(kind, message, is_first=is_first)
        elif kind is Msg.PROCESS_GENERATING:
            self._yielded(message, text, diffs=self._diffs)
        elif kind is Msg.PROCESS_STREAMING:
            # Always whole values (gradio@5.0.0 queueing.py: process_events).
            self._yielded(message, None, diffs=False)
            self.input.asked()
        return not self.is_over

    def _note_place(self, kind: Msg | None) -> None:
        """Note where the job is at the server, whatever became of it here."""
        there = None if kind is None else after(self._there, kind)
        if there is not None:
            self._there = there
            self.is_waiting = there is JobState.QUEUED
            self.is_over_there = there is JobState.DONE

    def _overhear(self, kind: Msg | None, message: Message) -> None:
        """Learn what the server still says of a job that was given up, or of which all was said."""
        if not self._diffs:
            return
        data = output_data(message)
        if kind is Msg.PROCESS_GENERATING and data is not None:
            if self._run is not None:
                self._run.follow(data)
            elif self._cancelling or self.given_up:
                try:
                    first = self._first_change(data)
                    values = tuple([edits[0][2] for edits in first])
                except RemoteProtocolError:
                    values = None
                self._run = self.unfinished.add(values)
        elif kind is Msg.PROCESS_COMPLETED and data is not None and self._run is not None:
            self.unfinished.discard(self._run)

    def _may_not_finish(self, *, known: bool = True) -> None:
        """What it has yielded may stay behind on the server; *known*: all of that has come."""
        if self._diffs and self._outputs.received and self._run is None:
            self._run = self.unfinished.add(self._outputs.newest() if known else None)
        elif self._run is not None and not known:
            self._run.slots = None

    def accepted(self, answer: JSON, chunk: int = 0) -> None:
        """The server has taken the job, or a piece of its input."""
        self._taken = True
        if (chunk or self._wants_receipts) and not self.is_over:
            self._emit(Accepted(session=self._session, job=self.id, chunk=chunk, answer=answer))

    def skip(self, text: str) -> bool:
        """Whether a ``process_generating``, not yet decoded, needs no more than to be kept."""
        if self._wants_messages or self._wants_outputs or self.context.strict:
            return False
        if self._state is not JobState.RUNNING or self._cancelling:
            return False
        if self._wants_status and not self._yields:
            return False
        if self._diffs and not self._outputs.received:
            return False  # the first one may be edits, too
        if self._keep(text):
            self._grow()
        return True

    def _keep(self, change: Change | str) -> bool:
        """Keep a yield; False: it is too much, and the job has failed."""
        try:
            self._outputs.add(change)
        except RemoteProtocolError as error:
            self._give_up(error)
            return False
        return True

    def _grow(self) -> None:
        self._tell_break()
        if self._wants_growth and not self._has_grown:
            self._has_grown = True
            self.context.emit(self._tell_growth)

    def _tell_growth(self) -> Event:
        self._has_grown = False
        return OutputsGrew(session=self._session, job=self.id, outputs=self._outputs)

    def _puzzled(self, message: Message, *, known: bool) -> None:
        what = "a message that may not come now" if known else "a message of an unknown kind"
        what = f"{what}: {reprlib.repr(message.get('msg'))}"
        if self.context.strict:
            self.fail(RemoteProtocolError(what, phase="job"))
            return
        if self._wants_messages:
            self._emit(MessageReceived(session=self._session, job=self.id, message=message))
        self.context.anomaly(what, job=self.id, message=message)

    def _yielded(self, message: Message, text: str | None, *, diffs: bool) -> None:
        outputs = self._outputs
        change: Change | None = None
        data = output_data(message)
        if data is None:
            self._bad_output("an output without data", message)
            return
        try:
            if diffs and not outputs.received:
                change = self._first_change(data)
                if change != whole(data):
                    text = None  # which would be taken for the values
            else:
                change = change_of(data, first=not outputs.received, diffs=diffs)
        except RemoteProtocolError as error:
            outputs.end(error.message)
        else:
            # A text is no work for the garbage collector.
            if not self._keep(change if text is None else text):
                return
        if self.context.strict and outputs.has_ended:
            self._bad_output(self._what_broke, message)
        elif self._wants_outputs:
            self.context.emit(partial(self._take_output, change, message))
        else:
            self._grow()

    def _bad_output(self, what: str, message: Message) -> None:
        if self.context.strict:
            self._give_up(RemoteProtocolError(what, phase="job"))
        else:
            self.context.anomaly(what, job=self.id, message=message)

    def _first_change(self, data: list[Any]) -> Change:
        return self.unfinished.first_change(data, self.endpoint, self.context.app.version)

    @property
    def _what_broke(self) -> str:
        why = self._outputs.why_ended
        return f"an output that does not follow from the one before: {why}"

    def _tell_break(self) -> None:
        """Tell, once, that a yield cannot be read, if that is known by now."""
        if self._outputs.has_ended and not self._has_broken and not self._wants_outputs:
            self._has_broken = True
            self.context.anomaly(self._what_broke, job=self.id)

    def _take_output(self, change: Change | None, message: Message) -> Event | None:
        """Apply what was yielded, and make the event of it."""
        if self._has_broken:
            return None
        try:
            return self._apply(change, message)
        except Exception as error:  # see ``Context.fault``
            self._has_broken = True
            self.break_off(error)
            return None

    def _apply(self, change: Change | None, message: Message) -> Event:
        what = self._what_broke
        try:
            if change is not None:
                self._slots.apply(change)
        except RemoteProtocolError as error:
            change = None
            what = f"an output that does not follow from the one before: {error.message}"
        if change is None:
            # Only the last message has the whole value again.
            self._has_broken = True
            return Anomaly(session=self._session, job=self.id, what=what, message=message)
        number = self._slots.changes
        return Output(
            session=self._session,
            job=self.id,
            edits=change,
            snapshot=lambda: self._snapshot(number),
        )

    def _take_last(self, values: tuple[Any, ...]) -> Event | None:
        """The result, as an output, if the last one that was yielded could not be read."""
        if not self._has_broken:
            return None
        return Output(
            session=self._session, job=self.id, edits=whole(values), snapshot=lambda: values
        )

    def _snapshot(self, number: int) -> tuple[Any, ...]:
        if number != self._slots.changes:
            raise LocalProtocolError(
                "Output.value was first asked for after the job's next event was taken"
            )
        return self._slots.snapshot()

    def _finish(self, kind: Msg, message: Message, *, is_first: bool) -> None:
        if kind is Msg.QUEUE_FULL:
            if not self._is_tried_again(full := QueueFullError()):
                self._end_in(full)
        elif kind is not Msg.PROCESS_COMPLETED:
            unknown = is_first and is_unknown(message)
            self._end_in(unknown_there() if unknown else ServerStoppedError(message.get("message")))
        elif _succeeds(kind, message):
            self._complete(tuple(output_data(message) or ()))
        elif output := message.get("output"):
            self._end_in(app_error(output, self.context.app.version, message.get("title")))
        else:
            self._end_in(ServerStoppedError("The server cancelled the job."))

    def _complete(self, values: tuple[Any, ...]) -> None:
        outputs = self._outputs
        if self._wants_growth and outputs.size_received <= _READ_AT_END:
            outputs.newest()
        self._tell_break()
        outputs.finish(values)
        if self._wants_outputs:
            self.context.emit(partial(self._take_last, values))
        self._say_last(JobCompleted(session=self._session, job=self.id, data=values))

    # What the user and the surroundings say.

    def cancel(self) -> bool:
        """Give the job up and have the server stop it; False: it is over already."""
        if self.is_over:
            return False
        if not self._cancelling:
            self._cancelling = True
            self._may_not_finish()
            # The server may take longer, above all to answer a join; it is told nevertheless.
            late = partial(self._stopped, None, leave=False)
            self.context.timers.start(("stop", self.id), self.context.timeouts.close, late)
            self.carrier.stop(self, self._stop_answered)
        return True

    def _stop_answered(self, on_server: bool | None) -> None:
        self._stopped(on_server)
        self.leave()

    def _stopped(self, on_server: bool | None, *, leave: bool = True) -> None:
        if not self.is_over:
            self._tell_status(StatusUpdate(Status.CANCELLED, self.context.timers.wall_now))
            self._say_last(
                JobCancelled(
                    session=self._session,
                    job=self.id,
                    stopped_on_server=on_server,
                    outputs=self._outputs,
                ),
                leave=leave,
            )

    def expire(self) -> None:
        """The job's own deadline has passed: it ends now, and the server is told."""
        if not self.is_over:
            self._give_up(DeadlineExceeded(phase="job"))

    def _give_up(self, error: GradioError) -> None:
        """End the job in *error* now, and have the server stop it."""
        stopping = self._cancelling
        self._cancelling = False
        self._tell_failed()
        self._end_in(error, leave=False)
        if not stopping:
            self.carrier.stop(self, self._stop_answered)

    def _tell_failed(self) -> None:
        now = self.context.timers.wall_now
        self._tell_status(StatusUpdate(Status.FINISHED, now, {"success": False}))

    def fail(self, error: GradioError) -> None:
        """End the job in *error*, or in the cancellation that was already asked for."""
        if self.is_over:
            return
        self._may_not_finish(known=False)
        if self._cancelling:
            self._stopped(None)
            return
        if self._is_tried_again(error):
            return
        try:
            self._tell_failed()
        finally:
            self._end_in(error)

    def break_off(self, error: Exception) -> None:
        """End the job in something that nobody foresaw."""
        broken = self.context.fault(error, job=self.id)
        try:
            self.fail(broken)
        except Exception as further:  # the same again, most likely, in what was to end it
            self.context.fault(further, job=self.id)

    def _is_tried_again(self, error: GradioError) -> bool:
        """Whether the job is handed in again, after a while, instead of ending in *error*."""
        context = self.context
        if self._taken or (seconds := self.try_again_after(error, context)) is None:
            return False
        self.carrier.forget(self)
        self._state = self._there = JobState.JOINING
        self.event_id, self.is_over_there = None, False
        self.carrier = Pause(context.timers, self.id, seconds, partial(context.hand_in, self))
        return True

    def try_again_after(self, error: GradioError, context: Context) -> float | None:
        """Seconds until a job that failed in *error* is handed in again; None: it is not."""
        if context.retry is None:
            return None
        seconds = context.retry.delay(error, self._attempts, context.random())
        self._attempts += seconds is not None
        return seconds

    @property
    def is_given_up(self) -> bool:
        """Nobody wants it to run any more."""
        return self._cancelling or self.is_over

    @property
    def is_running(self) -> bool:
        return self._state is JobState.RUNNING

    def unbind(self) -> None:
        """Leave the way that it was to go: the server has not heard yet what it is to do."""
        self.carrier.forget(self)
        self._state, self.heard = JobState.JOINING, False
        self._there, self.is_over_there = JobState.JOINING, False
        self.event_id = self.stream = None

    def leave(self) -> None:
        """Be done with the job, also where the server's word on stopping it is still due."""
        self._stopped(None)
        if not self._left:
            self._left = True
            self.context.timers.stop(("stop", self.id))
            try:
                self.carrier.forget(self)
            finally:
                self._on_left(self)
            del self.carrier, self.input  # which know it: what it was given goes with the last user

    # Endings.

    def _end_in(self, error: GradioError, *, leave: bool = True) -> None:
        self._may_not_finish()
        own = error.for_job(self.id, self._outputs)
        own.located(phase="job", url=self.context.base.public)
        self._say_last(
            JobFailed(session=self._session, job=self.id, error=own, outputs=self._outputs),
            leave=leave,
        )

    def _say_last(self, event: JobEnd, *, leave: bool = True) -> None:
        self._state = JobState.DONE
        refused = isinstance(event, JobFailed) and isinstance(event.error, AppError)
        self.given_up = not refused and not isinstance(event, JobCompleted)
        self._emit(event)
        if leave:
            self.leave()

    def _tell_status(self, status: StatusUpdate) -> None:
        if self._wants_status:
            self._emit(StatusUpdated(session=self._session, job=self.id, status=status))

    def _emit(self, event: Event) -> None:
        self.context.emit(event)

    @property
    def _session(self) -> int:
        return self.context.session


def _succeeds(kind: Msg, message: Message) -> bool:
    """Whether a last message says that the function has returned."""
    failed = kind is not Msg.PROCESS_COMPLETED or message.get("success") is False
    return not failed and output_data(message) is not None
