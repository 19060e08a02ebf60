"""Talk both ways: the open ``stream_messages`` of a client, and the data of ``send_data``.

Rule 1: as in ``_client``, all of this is called in the thread that runs the engine, except verbs
that only read; and nothing outside is called before ``publish``.

Rule 2: a job of ``send_data`` belongs to the stream of its messages, and ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import attrs

from sansio_gradio.client.call import Call, Want
from sansio_gradio.client.session import Session
from sansio_gradio.errors import JobCancelledError, LocalProtocolError
from sansio_gradio.events import Accepted, JobCancelled, JobEnd, JobFailed
from sansio_gradio.given import index
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.wire.headers import Headers, checked
from sansio_gradio.wire.snapshot import mapping
from sansio_gradio_adapters._history import MessageQueue
from sansio_gradio_adapters._jobs import JobRecord, Signal


class Owner(Protocol):
    """What streams need of their client; ``ClientCore``, which describes it, has more."""

    session: Session
    app: AppInfo | None
    error: BaseException | None
    is_closed: bool
    jobs: dict[int, JobRecord]
    cancelled_error: type[JobCancelledError]

    def demand_open(self) -> None: ...
    def ask_for_info(self) -> int: ...
    def new_job(self, call: Call, messages: MessageQueue | None = None) -> JobRecord: ...
    def begin(self, record: JobRecord) -> None: ...
    def give_up(self, record: JobRecord) -> None: ...
    def touch(self, record: JobRecord) -> None: ...
    def publish(self) -> None: ...


@attrs.define(eq=False)
class Sending:
    """One call of ``send_data``, and its outcome."""

    values: list[Any]
    fn_index: int | None
    extra: dict[str, Any]
    headers: Headers
    changed: Signal = attrs.field(factory=Signal, init=False)
    """One of the following has changed."""
    is_placed: bool = attrs.field(default=False, init=False)
    """Its stream is known."""
    is_over: bool = attrs.field(default=False, init=False)
    _answer: Any = attrs.field(default=None, init=False)
    _error: BaseException | None = attrs.field(default=None, init=False)

    @classmethod
    def of(
        cls,
        data: Mapping[str, Any],
        hash_data: Mapping[str, Any],
        request_headers: Mapping[str, str],
        session_hash: str,
    ) -> Self:
        """Read the arguments of ``send_data``.

        Raises:
            LocalProtocolError: they are for another session, ``fn_index`` is not a number, a header
                cannot be sent, or the data is not JSON.
        """
        given, extra = mapping(data, "data"), mapping(hash_data, "hash_data")
        values: list[Any] = [given]
        if isinstance(given.get("data"), list):
            values = given.pop("data")
            extra = {**given, **extra}
        fn_index = index(extra.pop("fn_index", None), "fn_index")
        if extra.pop("session_hash", session_hash) != session_hash:
            raise LocalProtocolError("Data can only be sent in the client's own session.")
        return cls(values, fn_index, extra, checked(request_headers))

    def arguments(self, endpoint: Endpoint) -> list[Any]:
        """What callers give; on the wire there is null for State and its like, too."""
        if len(self.values) != len(endpoint.inputs):
            return self.values
        pairs = zip(endpoint.inputs, self.values, strict=True)
        return [value for component, value in pairs if not component.skip_api]

    def end(self, answer: Any, error: BaseException | None = None) -> None:
        self._answer, self._error = answer, error
        self.is_over = True

    def refuse(self, error: BaseException) -> None:
        """It could not even be handed in."""
        self.end(None, error)
        self.changed.notify()

    def result(self) -> Any:
        """The server's answer; raises the error if there is one."""
        if self._error is not None:
            raise self._error
        return self._answer


@attrs.define(eq=False)
class _Stream:
    """One open ``stream_messages``."""

    record: JobRecord
    queue: MessageQueue
    may_listen: bool
    endpoint: Endpoint | None = None  # as soon as it is known
    guests: set[JobRecord] = attrs.field(factory=set[JobRecord])  # jobs of send_data


class OpenStreams:
    """The streams of one client."""

    def __init__(self, core: Owner) -> None:
        self._core = core
        self._open: dict[JobRecord, _Stream] = {}
        self._waiting: dict[Sending, None] = {}  # for a stream to be opened
        self._sent: dict[tuple[int, int], Sending] = {}  # by job and chunk
        self._changed: dict[Sending, None] = {}
        self._orphans: list[JobRecord] = []

    def open(self, record: JobRecord, queue: MessageQueue, *, may_listen: bool) -> None:
        """Begin ``stream_messages``, of the job of *record*.

        *may_listen*: no arguments were given. If the endpoint requires some, there will be no job,
        and the stream has only the messages of jobs of ``send``.
        """
        stream = _Stream(record, queue, may_listen)
        self._open[record] = stream
        self._begin(stream)
        self._core.publish()

    def close(self, record: JobRecord) -> None:
        """Nothing reads the stream of *record* any more, if it has one."""
        if (stream := self._open.pop(record, None)) is not None:
            self._orphans += stream.guests
            self.publish()

    def send(self, sending: Sending) -> None:
        """Hand *sending* in as soon as there is a stream for it."""
        self._waiting[sending] = None
        self._place()
        self.publish()

    def give_up(self, sending: Sending) -> None:
        """Wait no longer for a stream."""
        if sending in self._waiting:
            del self._waiting[sending]
            self._end(sending, error=LocalProtocolError("No stream_messages is open to send to."))
            self.publish()

    # What the engine tells.

    def accepted(self, event: Accepted) -> None:
        sending = self._sent.pop((event.job, event.chunk), None)
        if event.chunk:
            # Those before it that were not taken were dropped for a later one.
            for job, chunk in [key for key in self._sent if key[0] == event.job]:
                if 0 < chunk < event.chunk:
                    self._end(self._sent.pop((job, chunk)))
            answer = event.answer
        else:
            answer = _name_of(event)
        if sending is not None:
            self._end(sending, answer)

    def ended(self, record: JobRecord, end: JobEnd) -> None:
        """A job is over."""
        left = [key for key in self._sent if key[0] == end.job]
        for key in left:
            self._end(self._sent.pop(key), end.job, self._why_not(end, key[1]))
        if (stream := self._open.pop(record, None)) is not None:
            self._orphans += stream.guests
        for stream in list(self._open.values()):
            if record in stream.guests:
                stream.guests.remove(record)
                # The words of an app that says no have been read; of a loss there are none.
                error: BaseException | None = end.error if isinstance(end, JobFailed) else None
                if isinstance(error, ConnectionError) and not left and stream.record.id is None:
                    self._stop_listening(stream, error)

    def app_changed(self) -> None:
        """More is known of the app, or reading it has failed."""
        error = self._core.error
        for stream in [stream for stream in self._open.values() if stream.endpoint is None]:
            if error is None:
                self._begin(stream)
            else:
                self._stop_listening(stream, error)

    def session_ended(self, error: BaseException | None = None) -> None:
        """The session has ended, because of *error* or by ``close``: end the streams that
        listen."""
        for stream in list(self._open.values()):
            if stream.record.id is None:
                self._stop_listening(stream, error)
        if self._core.is_closed:
            for sending in [*self._waiting, *self._sent.values()]:
                self._end(sending, error=error or LocalProtocolError("The client is closed."))
            self._waiting.clear()
            self._sent.clear()

    def publish(self) -> None:
        """Wake all that wait, and stop the jobs that nothing reads any more."""
        orphans, self._orphans = self._orphans, []
        for guest in orphans:
            self._core.give_up(guest)
        changed, self._changed = self._changed, {}
        for sending in changed:
            sending.changed.notify()

    # Streams.

    def _begin(self, stream: _Stream) -> None:
        core, app = self._core, self._core.app
        try:
            if app is None:
                return
            endpoint = app.endpoint(stream.record.call.api_name, stream.record.call.fn_index)
            if stream.may_listen and endpoint.needs_info((), {}):
                if not app.has_info:
                    core.ask_for_info()
                    return
                stream.endpoint = endpoint
                if not all(parameter.has_default for parameter in endpoint.parameters):
                    self._place()
                    return
        except Exception as error:
            self._stop_listening(stream, error)
            return
        stream.endpoint = endpoint
        core.begin(stream.record)
        if stream.record.id is None:
            self._open.pop(stream.record, None)  # it could not even be asked for
        self._place()

    def _stop_listening(self, stream: _Stream, error: BaseException | None) -> None:
        self._open.pop(stream.record, None)
        self._orphans += stream.guests
        stream.record.add_end(
            error or JobCancelled(session=self._core.session.id, job=0, stopped_on_server=False)
        )
        self._core.touch(stream.record)

    # What is sent.

    def _place(self) -> None:
        for sending in list(self._waiting):
            try:
                if self._hand_in(sending):
                    sending.is_placed = True
                    self._changed[sending] = None
                    del self._waiting[sending]
            except Exception as error:  # such as a header that cannot be sent
                del self._waiting[sending]
                self._end(sending, error=error)

    def _hand_in(self, sending: Sending) -> bool:
        core = self._core
        core.demand_open()
        there = {s.endpoint.fn_index: s for s in self._open.values() if s.endpoint is not None}
        if core.app is None or any(s.endpoint is None for s in self._open.values()):
            return False  # it may be the one to go to
        if sending.fn_index is not None:
            endpoint = core.app.endpoint(fn_index=sending.fn_index)
        elif not there:
            return False
        else:
            fn_index, *others = there
            if others:
                raise LocalProtocolError(
                    "Several stream_messages are open: say which endpoint by fn_index."
                )
            endpoint = core.app.endpoint(fn_index=fn_index)
        arguments = sending.arguments(endpoint)
        job = self._streaming_job(endpoint)
        if job is not None:
            chunk = core.session.send(job, *arguments, headers=sending.headers)
            self._sent[job, chunk] = sending
            return True
        self._begin_guest(sending, endpoint, arguments, there.get(endpoint.fn_index))
        return True

    def _streaming_job(self, endpoint: Endpoint) -> int | None:
        """The newest job of the stream that takes its input in pieces."""
        if not endpoint.streaming:
            return None
        return next(
            (
                job
                for job, record in reversed(self._core.jobs.items())
                if not record.was_cancelled
                and (its := self._core.session.endpoint_of(job)) is not None
                and its.fn_index == endpoint.fn_index
            ),
            None,
        )

    def _begin_guest(
        self, sending: Sending, endpoint: Endpoint, arguments: list[Any], stream: _Stream | None
    ) -> None:
        core = self._core
        assert core.app is not None
        want = Want.RESULT if stream is None else Want.MESSAGES | Want.OUTPUTS
        messages = None if stream is None else stream.queue.branch()
        # By name, which holds where the app is started anew, unless several have it.
        name = endpoint.api_name if sending.fn_index is None else None
        if name is not None and core.app.endpoint(name).fn_index != endpoint.fn_index:
            name = None
        call = Call(
            args=tuple(arguments),
            api_name=name,
            fn_index=endpoint.fn_index if name is None else None,
            headers=sending.headers,
            extra=sending.extra,
            want=want | Want.RECEIPTS,
        )
        record = core.new_job(call, messages)
        core.begin(record)
        if record.id is None:
            assert record.error is not None
            raise record.error
        self._sent[record.id, 0] = sending
        if stream is not None:
            stream.guests.add(record)
            record.changed = stream.record.changed

    def _why_not(self, end: JobEnd, chunk: int) -> BaseException | None:
        """Why the data was not accepted; None: a job past the queue has no receipt."""
        if isinstance(end, JobFailed):
            return end.error
        if isinstance(end, JobCancelled):
            return self._core.cancelled_error(job=end.job)
        return LocalProtocolError("The job completed without this.") if chunk else None

    def _end(
        self, sending: Sending, answer: Any = None, error: BaseException | None = None
    ) -> None:
        sending.end(answer, error)
        self._changed[sending] = None


def _name_of(event: Accepted) -> str | int:
    """The server's name of a job, or our number if it has none."""
    if isinstance(event.answer, dict) and isinstance(name := event.answer.get("event_id"), str):
        return name
    return event.job
