"""The jobs of one session on its one event stream (``Channel.SESSION_STREAM``).

A job is joined by a POST and named in its answer; its messages come on the stream, among those of
all other jobs of the session.

Rule 1: never two streams at once on one session_hash. The server would split the messages.

Rule 2: a session's first join precedes its first stream. Once the server knows the session the two
overlap; the stream may then be told ``session_not_found``, which means only that it came too early.

Rule 3: a stream that the server leaves open is used again. One that *we* cut is never asked for
again, because the server cleans up after it at a time of its own choosing.

Rule 4: a job is at the server until the server has said its last word of it, or the stream ends,
whatever became of it here.

Rule 5: no job waits for ever. A stream that ends is asked for once more for the jobs that it said
nothing of. Where it goes on, but without a word of a job that the server had taken before it was
asked for the stream, the job is lost there: of each, something is in line before any heartbeat is
(gradio@6.31.0 queueing.py: push, routes.py: queue_data_helper).
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sansio_gradio.client.chunks import Chunk
from sansio_gradio.client.context import Context, name_given
from sansio_gradio.client.exchanges import Answer, OnAnswer
from sansio_gradio.client.heartbeat import Heartbeat
from sansio_gradio.client.job import Job
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.failures import is_unknown, unknown_there
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.fields import said
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Handover
from sansio_gradio.protocol.states import CLOSE_STREAM, SESSION_MSGS, Msg
from sansio_gradio.wire.sse import SSEDecoder

_REMEMBERED: Final = 1000  # event_ids of jobs that are over, so that late messages are no riddle

# How servers since 4.24 begin the messages that are by far the most frequent.
_GENERATING: Final = '{"msg":"process_generating","event_id":"'


class SessionStream:
    """The stream of one session_hash; ``on_lost`` is told when the session cannot go on."""

    def __init__(
        self, context: Context, session_hash: str, on_lost: Callable[[SessionStream], None]
    ) -> None:
        self.session_hash = session_hash
        self._request = requests.session_stream(session_hash)
        self._context = context
        self._on_lost = on_lost
        self._jobs: dict[str, Job] = {}  # joined, not over, by event_id
        self._waiting: dict[int, tuple[Job, requests.HTTPRequest]] = {}  # to be joined, by number
        self._joining: dict[int, Job] = {}  # not answered yet
        self._left: dict[str, Job] = {}  # given up here, but not over there, by event_id
        self._stops: dict[str, Callable[[bool | None], None]] = {}  # to be stopped, by event_id
        self._stopping: set[int] = set()  # functions that the server stops a job of
        self._stopped_soon: set[str] = set()  # it has said so of these, but not ended them yet
        self._lately_given_up: set[str] = set()  # what joins may wait for that long
        # Cancelled before they were joined.
        self._to_stop: dict[int, Callable[[bool | None], None]] = {}
        self._early: dict[str, list[tuple[Message, int]]] = {}
        self._early_count = self._early_size = 0
        self._cut: dict[str, GradioError] = {}  # early ones, in the middle of which a stream ended
        self._over: dict[str, None] = {}
        self._decoder = SSEDecoder()
        self._stream: int | None = None
        self._ends = False  # as the server has announced
        self._opened = 0.0
        self._heartbeat = Heartbeat(context, session_hash)
        self._is_closed = False
        self._known = False
        self._overlaps = False  # the stream was asked for while a join was
        self._retired = False

    @property
    def is_idle(self) -> bool:
        return not (self._jobs or self._joining or self._waiting)

    # What the conversation says.

    def start(self, job: Job) -> None:
        """Join *job*."""
        asked = self._context.traits.handover is Handover.ASKED
        body: dict[str, Any] = {**job.body, "data": []} if asked else job.body
        self._waiting[job.id] = job, requests.join(body, job.headers)
        self._join_waiting()

    def _join_waiting(self) -> None:
        """Join the jobs that no cancel under way could take along."""
        for job, request in list(self._waiting.values()):
            if self._is_closed or self._has_stops(job.endpoint.fn_index):
                continue
            del self._waiting[job.id]
            self._joining[job.id] = job
            joined, failed = partial(self._joined, job), partial(self._not_joined, job)
            self._context.ask(
                request,
                phase="join",
                deadline="join",
                then=joined,
                failed=failed,
                hands_in=job.id,
            )
            if self._known:
                self._open()

    # Stopping. To cancel one job stops every running job of its function in the session, and a
    # server before 6.14 starts a waiting one all the same (gradio@4.31.0 routes.py: cancel_event).
    # So one is stopped at a time, none while another of the function is wanted, and one that waits
    # in the queue of such a server when it has started.

    def stop(self, job: Job, then: Callable[[bool | None], None]) -> None:
        if job.id in self._waiting:
            then(False)
        elif job.id in self._joining:
            self._to_stop[job.id] = then
        else:
            assert job.event_id is not None
            self._stops[job.event_id] = then
            self._lately_given_up.add(job.event_id)
            late = partial(self._stop_is_late, job)
            self._context.timers.start(("stopping", job.id), self._context.timeouts.close, late)
            self._stop_next(job.endpoint.fn_index)

    def _stop_next(self, fn_index: int) -> None:
        """Have the next job of a function stopped that is to be, if one may be now."""
        jobs = [self._jobs[name] for name in self._stops if name in self._jobs]
        jobs = [job for job in jobs if job.endpoint.fn_index == fn_index]
        version = self._context.app.version
        if has(version, Feature.CANCEL):
            if self._has_wanted(fn_index):
                for job in jobs:
                    self._end_stop(job, False)
                return
            left = [job for job in self._left.values() if job.endpoint.fn_index == fn_index]
            if any(job.event_id in self._stopped_soon for job in left):
                return
            jobs += left
        if not has(version, Feature.UNQUEUES) and not self._context.is_closing:
            jobs = [job for job in jobs if not job.is_waiting]
        if fn_index in self._stopping or self._is_closed or not jobs:
            return
        # Those that wait come first: so that none gets its turn.
        jobs.sort(key=lambda job: not job.is_waiting)
        self._stopping.add(fn_index)
        answered = partial(self._stop_answered, jobs[0])
        self._context.ask_to_stop(self.session_hash, fn_index, jobs[0].event_id, answered)

    def _stop_answered(self, job: Job, stopped: bool | None) -> None:
        fn_index, name = job.endpoint.fn_index, job.event_id
        assert name is not None
        self._stopping.discard(fn_index)
        self._lately_given_up.discard(name)
        self._context.timers.stop(("stopping", job.id))
        if stopped and has(self._context.app.version, Feature.CANCEL):
            # It is over when the server has said that, too.
            if name in self._jobs or name in self._left:
                self._stopped_soon.add(name)
                over = partial(self._over_there, job)
                self._context.timers.start(("over", name), self._context.timeouts.close, over)
        else:
            self._left.pop(name, None)
            job.is_over_there = True
        self._end_stop(job, stopped)
        self._stop_next(fn_index)
        self._join_waiting()

    def _stop_is_late(self, job: Job) -> None:
        self._lately_given_up.discard(job.event_id or "")
        self._end_stop(job, None)
        self._join_waiting()

    def _end_stop(self, job: Job, stopped: bool | None) -> None:
        then = self._stops.pop(job.event_id or "", None)
        if then is not None:
            then(stopped)

    def _over_there(self, job: Job) -> None:
        """The server is done with a job that was given up, or is taken to be."""
        assert job.event_id is not None
        self._left.pop(job.event_id, None)
        self._stopped_soon.discard(job.event_id)
        self._lately_given_up.discard(job.event_id)
        self._context.timers.stop(("over", job.event_id))
        self._context.timers.stop(("stopping", job.id))
        self._remember(job.event_id)
        self._stop_next(job.endpoint.fn_index)
        self._join_waiting()

    def _has_stops(self, fn_index: int) -> bool:
        """Whether a job that is joined now might be stopped, or wait behind one that is to be."""
        if fn_index in self._stopping:
            return True
        jobs = (self._jobs.get(name) or self._left.get(name) for name in self._lately_given_up)
        return not self._has_wanted(fn_index) and any(
            job is not None and job.endpoint.fn_index == fn_index for job in jobs
        )

    def _has_wanted(self, fn_index: int) -> bool:
        """Whether a job of the function is at the server that is not to be stopped."""
        joined = (job for name, job in self._jobs.items() if name not in self._stops)
        joining = (job for job in self._joining.values() if job.id not in self._to_stop)
        return any(
            job.endpoint.fn_index == fn_index and not job.is_over_there
            for job in (*joined, *joining)
        )

    def forget(self, job: Job) -> None:
        self._waiting.pop(job.id, None)
        self._joining.pop(job.id, None)
        self._to_stop.pop(job.id, None)
        name = job.event_id
        if name is not None and self._jobs.pop(name, None) is not None:
            self._stops.pop(name, None)
            if job.is_over_there or self._stream is None:
                self._over_there(job)
            else:
                self._left[name] = job
                self._stop_next(job.endpoint.fn_index)
        self._drop_early()
        if self._retired:
            self.retire()

    def send_chunk(self, job: Job, chunk: Chunk) -> None:
        """Hand over the next piece of a streaming input."""
        body = None if chunk.data is None else {**job.body, "data": chunk.data}
        request = requests.next_chunk(job.event_id or "", body, chunk.headers)
        self._ask_for(job, request, lambda answer: job.accepted(answer.json, chunk.number))

    def retire(self) -> None:
        """Go when the last job has: a new session takes this one's place."""
        self._retired = True
        if self.is_idle:
            self.close()

    def close(self) -> None:
        """Cut the stream and the heartbeat, whatever is under way."""
        self._is_closed = True
        self._context.exchanges.abort(self._stream)
        self._heartbeat.stop()
        self._has_no_stream()

    def _has_no_stream(self) -> None:
        """The stream is over: nothing more is said on it."""
        self._stream = None
        for name, job in self._left.items():
            self._context.timers.stop(("over", name))
            self._context.timers.stop(("stopping", job.id))
            self._remember(name)
        self._left.clear()
        self._stopped_soon.clear()

    # Joining.

    def _joined(self, job: Job, answer: Answer) -> None:
        if job.id not in self._joining:
            return
        told, event_id = name_given(answer)
        if event_id in self._jobs:
            raise RemoteProtocolError("another job has this event_id already")
        job.event_id = event_id
        del self._joining[job.id]
        self._known = True
        self._jobs[event_id] = job
        job.accepted(told)
        for message, size in self._early.pop(event_id, ()):
            self._early_count -= 1
            self._early_size -= size
            self._give(job, message)
        if (cut := self._cut.pop(event_id, None)) is not None:
            job.fail(cut)
        then = self._to_stop.pop(job.id, None)
        if then is not None and event_id in self._jobs:
            self.stop(job, then)
        self._drop_early()
        if not job.is_over:
            self._open()
        if not self._retired:
            self._heartbeat.beat()

    def _not_joined(self, job: Job, error: GradioError) -> None:
        then = self._to_stop.pop(job.id, None)
        job.fail(error)
        if then is not None:
            then(False)

    def _ask_for(
        self, job: Job, request: requests.HTTPRequest, then: OnAnswer = lambda _: None
    ) -> None:
        """Send something that a running job needs; if that fails, so does the job."""
        self._context.ask(request, phase="send", deadline="send", then=then, failed=job.fail)

    # The stream.

    def _open(self) -> None:
        if self._stream is None:
            self._ask()
        self._context.exchanges.watch(self._stream, self._silent)

    def _ask(self) -> None:
        self._decoder = SSEDecoder(max_event_size=self._context.limits.message)
        self._ends = False
        for job in self._jobs.values():
            job.heard, job.is_due = False, True
        self._overlaps = bool(self._joining)
        self._stream = self._context.exchanges.listen(
            self._context.base,
            self._request,
            phase="stream",
            listener=self,
        )
        for job in self._jobs.values():
            job.stream = self._stream if job.call.isolated else None

    def opened(self) -> None:
        self._opened = self._context.timers.now

    def received(self, data: bytes) -> None:
        decoder = self._decoder
        try:
            for event in decoder.receive_data(data):
                self._take(event.data)
                if self._stream is None:
                    return
            decoder.receive_data(b"")  # what is wrong behind the last event is said now
        except RemoteProtocolError as error:
            self._give_up(error.located(phase="stream"))
        except Exception as error:  # see ``Context.fault``
            self._give_up(self._context.fault(error).located(phase="stream"))

    def told(self, text: str) -> None:
        """Event streams have no texts of their own."""

    def ended(self) -> None:
        self._has_no_stream()
        if not self._ends and any(job.heard for job in self._jobs.values()):
            self._context.doubt_app()
        self._try_again(ConnectionLost("the stream ended before the job did", phase="stream"))

    def refused(self, answer: Answer) -> None:
        self._has_no_stream()
        self._fail_all(self._context.refusal(answer, "stream"))

    def failed(self, error: GradioError) -> None:
        self._has_no_stream()
        self._fail_all(error)

    def _take(self, text: str) -> None:
        if text.startswith(_GENERATING):
            start = len(_GENERATING)
            job = self._jobs.get(text[start : text.find('"', start)])
            if job is not None and job.skip(text):
                return
        message = self._context.parse(text)
        event_id = message.get("event_id")
        if event_id is None:
            self._take_for_session(message)
        elif (job := self._jobs.get(event_id)) is not None:
            self._give(job, message, text)
        elif (left := self._left.get(event_id)) is not None:
            left.receive(message, text)
            self._heard_left(left)
        elif self._joining and event_id not in self._over:
            self._hold(event_id, message, len(text))
        elif event_id not in self._over:
            self._context.anomaly("a message for a job that is not ours", message=message)

    def _give(self, job: Job, message: Message, text: str | None = None) -> None:
        try:
            self._hand_on(job, message, text)
        except Exception as error:  # what hits one job is no affair of those beside it
            job.break_off(error)

    def _hand_on(self, job: Job, message: Message, text: str | None) -> None:
        render = said(message.get("output"), "render_config", dict)
        if render is not None and not self._retired:
            self._context.on_render(render)
        waited = job.is_waiting
        wants_data = job.receive(message, text) and message.get("msg") == Msg.SEND_DATA
        if waited and not job.is_waiting and job.event_id in self._stops:
            self._stop_next(job.endpoint.fn_index)
        if wants_data:
            self._ask_for(job, requests.job_data({**job.body, "event_id": job.event_id}))

    def _heard_left(self, job: Job) -> None:
        if job.is_over_there:
            self._over_there(job)
        else:
            self._stop_next(job.endpoint.fn_index)

    def _take_for_session(self, message: Message) -> None:
        match message.get("msg"):
            case Msg.UNEXPECTED_ERROR | Msg.SERVER_STOPPED:
                self._stopped(message)
            case kind if kind in SESSION_MSGS:
                self._ends = self._ends or kind == CLOSE_STREAM
                self._find_lost()  # the stream's end itself says what close_stream announces
            case kind:
                what = f"a message for no job: {reprlib.repr(kind)}"
                self._context.anomaly(what, message=message)

    def _find_lost(self) -> None:
        idle = self._context.timeouts.stream_idle
        if idle is None or self._context.timers.now < self._opened + idle:
            return
        for job in list(self._jobs.values()):
            if job.is_due and not job.heard:
                self._context.doubt_app()
                what = f"for {idle:g} s the server has said nothing of the job: it is lost there"
                job.fail(ConnectionLost(what, phase="stream"))

    def _stopped(self, message: Message) -> None:
        """The server gives the whole session up. An unclean end usually follows."""
        self._context.doubt_app()
        not_found = is_unknown(message)
        error = unknown_there() if not_found else ServerStoppedError(message.get("message"))
        error.located(phase="stream")
        self._context.exchanges.abort(self._stream)
        self._has_no_stream()
        if not_found:
            if self._known and not self._overlaps:
                self._context.session_lost()
            self._known = False
            self._try_again(error)
        else:
            self._fail_all(error)

    def _try_again(self, error: GradioError) -> None:
        """Jobs that the stream has said nothing of get one more; those in the middle are lost."""
        self._cut.update(dict.fromkeys(self._early, error))
        for job in list(self._jobs.values()):
            if job.heard or job.reopened:
                job.fail(error)
            else:
                job.reopened = True
        if not all(job.is_over for job in self._jobs.values()):
            self._open()

    def _fail_all(self, error: GradioError) -> None:
        self._cut.update(dict.fromkeys(self._early, error))
        for job in list(self._jobs.values()):
            job.fail(error)

    def _give_up(self, error: GradioError) -> None:
        """The stream is of no use any more, and cutting it ends the session."""
        self.close()
        self._fail_all(error)
        for job in (*self._joining.values(), *(job for job, _ in self._waiting.values())):
            job.fail(error)
        self._on_lost(self)

    def _silent(self) -> None:
        if self._jobs:
            self._context.doubt_app()
            self._give_up(DeadlineExceeded(phase="stream_idle"))

    # Messages that come before the answer to the join does.

    def _hold(self, event_id: str, message: Message, size: int) -> None:
        limits = self._context.limits
        if self._early_count >= limits.early_messages or self._early_size + size > limits.message:
            self._context.anomaly("too many messages for jobs not known yet", message=message)
            return
        self._early_count += 1
        self._early_size += size
        self._early.setdefault(event_id, []).append((message, size))

    def _drop_early(self) -> None:
        if self._joining:
            return
        for messages in self._early.values():
            self._context.anomaly("a message for a job that is not ours", message=messages[0][0])
        self._early.clear()
        self._cut.clear()
        self._early_count = self._early_size = 0

    def _remember(self, event_id: str) -> None:
        self._over[event_id] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]
