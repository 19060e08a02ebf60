"""One job: what its messages mean, up to its last event.

Rule 1: the last event of a job is one ``JobCompleted``, ``JobFailed`` or ``JobCancelled``. Later
messages have no effect.

Rule 2: a job knows what messages mean. Its channel knows how they travel.

Rule 3: its verbs return the events that they make. It calls no other part.
"""

from __future__ import annotations

import reprlib
from typing import Any, Final, cast

from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.options import Options
from sansio_gradio.client.streaming_input import StreamingInput
from sansio_gradio.errors import (
    AppError,
    GradioError,
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
    JobFailed,
    MessageReceived,
    Output,
    OutputsGrew,
    StatusUpdated,
    UploadProgress,
)
from sansio_gradio.protocol.failures import app_error, is_lost_file, is_unknown, unknown_there
from sansio_gradio.protocol.files import FileRules
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.messages import Message, output_data
from sansio_gradio.protocol.outputs import Change, Outputs, Slots, change_of, whole
from sansio_gradio.protocol.states import MSGS, TRANSITIONS, JobState, Msg
from sansio_gradio.protocol.status import Status, StatusUpdate, status_of
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.json import JSON

_MESSAGES: Final[int] = Want.MESSAGES.value
_STATUS: Final[int] = Want.STATUS.value
_OUTPUTS: Final[int] = Want.OUTPUTS.value
_GROWTH: Final[int] = Want.GROWTH.value
_RECEIPTS: Final[int] = Want.RECEIPTS.value
_READ_AT_END: Final = 256 * 1024
"""Up to so many bytes of unread outputs are read when the job ends, to find mistakes in them."""


_NOTHING: Final = Outputs(diffs=False, limit=0)
"""The outputs of a job that has not begun: nothing is added to these."""
_NO_SLOTS: Final = Slots()
"""The values of a job whose outputs are not wanted: nothing is applied to these."""


class Job:
    """What is known of one job; ``id`` is its number."""

    def __init__(self, id: int, call: Call, session: int, options: Options) -> None:
        self.id = id
        self.call = call
        self.headers = cast("Headers", call.headers or ())  # ``Call`` has checked them
        self.timeout = options.timeouts.job if call.timeout is None else call.timeout
        """Seconds from its beginning to its end; None: any."""
        self.input = StreamingInput(is_whole=call.whole_input)
        self.attempt: Attempt | None = None
        """The present attempt, or the last one; None before the first."""
        self.attempts = 0
        """How many attempts failed and were followed by another one."""
        self.taken_back = 0
        """How often the job waited and started again, since the app might have been started
        anew."""
        self.has_logged_in_again = False
        """The app had forgotten the login, and the job waited for a new one."""
        self.has_had_another_token = False
        """The token was refused, and the job waited for another one."""
        self.no_socket: GradioError | None = None
        """Why the job does not use a WebSocket, though its protocol does."""
        self.stored: dict[object, str] = {}
        """Where the server has the files of the job, by ``place_of``."""
        self.uploads_again = False
        """The server had lost files of the job."""
        self.is_cancelling = False
        self.is_over = False
        """Its last event was made."""
        self.verdict: GradioError | None = None
        """The error in which the job must end; no event has told it yet."""
        self.is_too_much = False
        """The verdict is our own: the server still runs the function."""
        self.given_up = False
        """It ended here, and its function may still run on the server."""
        self.outputs = _NOTHING
        self._session = session
        self._options = options
        wanted = call.want.value  # numbers, since Python's flags take ten times as long
        self._wants_messages = bool(wanted & _MESSAGES)
        self._wants_status = bool(wanted & _STATUS)
        self._wants_outputs = bool(wanted & _OUTPUTS)
        self._wants_growth = bool(wanted & _GROWTH)
        self._wants_receipts = bool(wanted & _RECEIPTS)
        self._state = JobState.JOINING
        self._slots = Slots() if self._wants_outputs else _NO_SLOTS
        self._has_broken = False
        """An anomaly has told that a yield cannot be read."""
        self._yields = False
        """The last message was a yield: its status is told already."""
        self._has_grown = False

    def begin(self, attempt: Attempt) -> None:
        """Begin an attempt to bring the job to the server."""
        self.attempt = attempt
        self._state = JobState.JOINING
        self._diffs = attempt.traits.diffs
        self._never_asked = attempt.traits.never_asked
        limits = self._options.limits
        self.outputs = Outputs(
            diffs=self._diffs,
            limit=limits.kept_outputs,
            value_limit=limits.value,
            loads=self._options.loads_message,
            eager=self._options.strict,
        )

    @property
    def is_running(self) -> bool:
        """Whether its function runs."""
        return self._state is JobState.RUNNING and not self.is_over

    # What the server says.

    def receive(self, message: Message, text: str | None, at: float) -> tuple[list[Event], bool]:
        """Take a message. *text*: its text; *at*: the POSIX time.

        Returns the events, and whether the message has an effect; without one, do not do what it
        asks for. Look at ``verdict`` afterwards.
        """
        assert self.attempt is not None
        kind = MSGS.get(message.get("msg", ""))
        if kind is not Msg.PROCESS_GENERATING or self._state is not JobState.RUNNING:
            self.attempt.note_place(kind)
        if self.is_over:
            self.attempt.overhear(kind, message)
            return [], False
        is_first, self.attempt.heard = not self.attempt.heard, True
        moved = None
        if kind is not None and kind not in self._never_asked:
            moved = TRANSITIONS[self._state].get(kind)
        if kind is None or moved is None:
            return self._puzzled(message, known=kind is not None), False
        events: list[Event] = []
        if self.is_cancelling:
            self.attempt.overhear(kind, message)
            if moved is JobState.DONE:
                events += self.cancelled(message.get("output") == {}, at)
            return events, False
        if moved is not JobState.DONE:  # set by its last event
            self._state = moved
        self._yields = kind is Msg.PROCESS_GENERATING
        if self._wants_messages:
            events.append(MessageReceived(session=self._session, job=self.id, message=message))
        if self._wants_status:
            status = status_of(kind, message, at)
            if moved is JobState.DONE and not _succeeds(kind, message):
                status = StatusUpdate(status.code, status.time, {**message, "success": False})
            events.append(self._status(status))
        if kind is Msg.PROCESS_GENERATING:
            self._yielded(events, message, text, diffs=self._diffs)
        elif moved is JobState.DONE:
            self._finish(events, kind, message, is_first=is_first)
        elif kind is Msg.PROCESS_STREAMING:
            # Always whole values (gradio@5.0.0 queueing.py: process_events).
            self._yielded(events, message, None, diffs=False)
            self.input.asked()
        return events, moved is not JobState.DONE and self.verdict is None

    def accepted(self, answer: JSON, chunk: int) -> list[Event]:
        """The server has taken the job, or a piece of its input."""
        if self.is_over or not (chunk or self._wants_receipts):
            return []
        return [Accepted(session=self._session, job=self.id, chunk=chunk, answer=answer)]

    def uploading(self, file: GivenFile, sent: int) -> list[Event]:
        """So many bytes of a file were sent."""
        if self.is_over or not self._wants_status:
            return []
        return [
            UploadProgress(
                session=self._session, job=self.id, sent=sent, total=file.size, name=file.name
            )
        ]

    def uploaded(self, files: FileRules) -> Event:
        """End an upload that was all of the job."""
        (file,) = self.call.files
        (path,) = self.stored.values()
        told = files.result(path, orig_name=file.name, size=file.size, mime_type=file.mime_type)
        self.is_over = True
        return JobCompleted(session=self._session, job=self.id, data=(told,))

    def has_lost_files(self, error: GradioError) -> bool:
        """Whether the server has lost files of the job, which may be uploaded again, once."""
        again = all(file.can_be_read_again for file in self.call.files)
        may = again and not (self.uploads_again or self.outputs.received or self.is_over)
        return may and bool(self.stored) and is_lost_file(error, self.stored.values())

    def forget_files(self) -> None:
        """Upload the files again."""
        self.uploads_again = True
        self.stored.clear()

    def keep(self, text: str) -> list[Event] | None:
        """Take a ``process_generating`` without parsing it; None: it must be parsed."""
        if self._wants_messages or self._wants_outputs or self._options.strict:
            return None
        if self._state is not JobState.RUNNING or self.is_cancelling:
            return None
        if self._wants_status and not self._yields:
            return None
        if self._diffs and not self.outputs.received:
            return None  # the first one may be edits, too
        if not self._add(text) or self._has_grown:
            return []
        return self._growth()

    def _add(self, change: Change | str) -> bool:
        """Keep a yield; False: it is too large, and the job must fail."""
        try:
            self.outputs.add(change, len(change) if isinstance(change, str) else None)
        except RemoteProtocolError as error:
            self._end_it(error)
            return False
        return True

    def _end_it(self, error: GradioError) -> None:
        self.verdict = error
        self.is_too_much = True

    def _growth(self) -> list[Event]:
        events = self._break()
        if self._wants_growth and not self._has_grown:
            self._has_grown = True
            events.append(OutputsGrew(session=self._session, job=self.id, outputs=self.outputs))
        return events

    def growth_taken(self) -> None:
        """The application has taken the ``OutputsGrew``."""
        self._has_grown = False

    def _puzzled(self, message: Message, *, known: bool) -> list[Event]:
        what = "a message that may not come now" if known else "a message of an unknown kind"
        what = f"{what}: {reprlib.repr(message.get('msg'))}"
        if self._options.strict:
            self.verdict = RemoteProtocolError(what, phase="job")
            return []
        events: list[Event] = []
        if self._wants_messages:
            events.append(MessageReceived(session=self._session, job=self.id, message=message))
        events.append(self._anomaly(what, message))
        return events

    def _anomaly(self, what: str, message: Message | None = None) -> Event:
        return Anomaly(session=self._session, what=what, job=self.id, message=message)

    # What it yields.

    def _yielded(
        self, events: list[Event], message: Message, text: str | None, *, diffs: bool
    ) -> None:
        assert self.attempt is not None
        outputs = self.outputs
        change: Change | None = None
        data = output_data(message)
        if data is None:
            self._bad_output(events, "an output without data", message)
            return
        try:
            if diffs and not outputs.received:
                change = self.attempt.first_change(data)
                if change != whole(data):
                    text = None  # which would be taken for the values
            else:
                change = change_of(data, first=not outputs.received, diffs=diffs)
        except RemoteProtocolError as error:
            outputs.end(error.message)
        else:
            # The garbage collector does not have to walk a text.
            if not self._add(change if text is None else text):
                return
        if self._options.strict and outputs.has_ended:
            self._bad_output(events, self._what_broke(outputs.why_ended), message)
        elif self._wants_outputs:
            self._output(events, change, message)
        else:
            events += self._growth()

    def _bad_output(self, events: list[Event], what: str, message: Message) -> None:
        if self._options.strict:
            self._end_it(RemoteProtocolError(what, phase="job"))
        else:
            events.append(self._anomaly(what, message))

    def _what_broke(self, why: str) -> str:
        return f"an output that does not follow from the one before: {why}"

    def _break(self) -> list[Event]:
        """Tell once that a yield cannot be read."""
        if not self.outputs.has_ended or self._has_broken or self._wants_outputs:
            return []
        self._has_broken = True
        return [self._anomaly(self._what_broke(self.outputs.why_ended))]

    def _output(self, events: list[Event], change: Change | None, message: Message) -> None:
        """Apply a yield, and make its ``Output``."""
        if self._has_broken:
            return
        why: str | None = None
        try:
            if change is not None:
                self._slots.apply(change)
        except RemoteProtocolError as error:
            change, why = None, error.message
        if change is None:
            # The whole value comes again only with the last message.
            self._has_broken = True
            why = self.outputs.why_ended if why is None else why
            events.append(self._anomaly(self._what_broke(why), message))
            return
        values = self._slots.snapshot()
        events.append(Output(session=self._session, job=self.id, edits=change, value=values))

    # Ends.

    def _finish(self, events: list[Event], kind: Msg, message: Message, *, is_first: bool) -> None:
        if kind is Msg.QUEUE_FULL:
            self.verdict = QueueFullError()
        elif kind is not Msg.PROCESS_COMPLETED:
            unknown = is_first and is_unknown(message)
            told = message.get("message")
            self.verdict = unknown_there() if unknown else ServerStoppedError(told)
        elif _succeeds(kind, message):
            self._complete(events, tuple(output_data(message) or ()))
        elif output := message.get("output"):
            assert self.attempt is not None
            self.verdict = app_error(output, self.attempt.app.version, message.get("title"))
        else:
            self.verdict = ServerStoppedError("The server cancelled the job.")

    def _complete(self, events: list[Event], values: tuple[Any, ...]) -> None:
        outputs = self.outputs
        if self._wants_growth and outputs.size_received <= _READ_AT_END:
            outputs.newest()
        events += self._break()
        outputs.finish(values)
        if self._wants_outputs and self._has_broken:
            # The result is an output, too, if the last yield could not be read.
            edits = whole(values)
            events.append(Output(session=self._session, job=self.id, edits=edits, value=values))
        self.is_over = True
        events.append(JobCompleted(session=self._session, job=self.id, data=values))

    def cancelled(self, on_server: bool | None, at: float) -> list[Event]:
        """End the job as cancelled by its own client."""
        end = JobCancelled(
            session=self._session, job=self.id, stopped_on_server=on_server, outputs=self.outputs
        )
        self.is_over = self.given_up = True
        if not self._wants_status:
            return [end]
        return [self._status(StatusUpdate(Status.CANCELLED, at)), end]

    def failed(self, error: GradioError) -> Event:
        """End the job in *error*."""
        if self.attempt is not None:
            self.attempt.may_not_finish(self.outputs)
        self.is_over = True
        self.given_up = not isinstance(error, AppError)
        own = error.for_job(self.id, self.outputs)
        return JobFailed(session=self._session, job=self.id, error=own, outputs=self.outputs)

    def told_failed(self, at: float) -> list[Event]:
        """The status for a failure without a message."""
        if not self._wants_status:
            return []
        return [self._status(StatusUpdate(Status.FINISHED, at, {"success": False}))]

    def _status(self, status: StatusUpdate) -> Event:
        return StatusUpdated(session=self._session, job=self.id, status=status)


def _succeeds(kind: Msg, message: Message) -> bool:
    """Whether a last message means success."""
    failed = kind is not Msg.PROCESS_COMPLETED or message.get("success") is False
    return not failed and output_data(message) is not None
