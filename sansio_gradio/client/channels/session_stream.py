"""The jobs of one session on its one event stream (``Channel.SESSION_STREAM``).

A job is joined by a POST and named in its answer; its messages come on the stream, among those of
all other jobs of the session.

Rule 1: never two streams at once on one session_hash. The server would split the messages.

Rule 2: a session's first join precedes its first stream. Once the server knows the session the two
overlap; the stream may then be told ``session_not_found``, which means only that it came too early.

Rule 3: a stream that the server leaves open is used again. A session whose stream *we* cut is never
used again, because the server cleans up after a cut at a time of its own.

Rule 4: a job is at the server until the server has sent its last message, or the stream ends, even
if the job is over here.

Rule 5: no job waits for ever. After the end of a stream, a new one is opened, once, for the jobs
that had no message on it. A job is lost if the server had accepted it before we opened the stream,
and the stream goes on without a message of the job: a message of each job comes before any
heartbeat (gradio@6.31.0 queueing.py: push, routes.py: queue_data_helper).
"""

from __future__ import annotations

import reprlib
from collections.abc import Hashable
from typing import Any, Final

import attrs

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.channels.stopping import is_stopped
from sansio_gradio.client.heartbeat import Heartbeat
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import (
    Alarm,
    Ask,
    Begin,
    Deliver,
    Doubt,
    Drop,
    Fail,
    Listen,
    LoseSession,
    Puzzle,
    Render,
    Stopped,
    Take,
    TakesPieces,
    Watch,
    Watcher,
    Way,
)
from sansio_gradio.client.streaming_input import Chunk
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    RemoteProtocolError,
    ServerStoppedError,
)
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.failures import is_unknown, unknown_there
from sansio_gradio.protocol.features import Feature, Version, has
from sansio_gradio.protocol.fields import said
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Handover
from sansio_gradio.protocol.states import CLOSE_STREAM, SESSION_MSGS, Msg
from sansio_gradio.wire.sse import SSEDecoder
from sansio_gradio.wire.url import URL

_REMEMBERED: Final = 1000  # event_ids of jobs that are over: their late messages are ignored

# The beginning of the most frequent messages of servers since 4.24.
_GENERATING: Final = '{"msg":"process_generating","event_id":"'
_NAME: Final = len(_GENERATING)


@attrs.frozen
class _StopIsLate:
    """The server has not said in time that a job has stopped."""

    event_id: str


@attrs.frozen
class _Over:
    """A job that the server said it would stop counts as over now."""

    event_id: str


class SessionStream(Watcher, TakesPieces):
    """The stream of one session_hash; not *is_shared*: for one job only."""

    def __init__(self, options: Options, session_hash: str, *, is_shared: bool) -> None:
        self.session_hash = session_hash
        self._options = options
        self._request = requests.session_stream(session_hash)
        self._jobs: dict[str, Attempt] = {}  # joined, not over, by event_id
        self._waiting: dict[Attempt, None] = {}  # to be joined
        self._joining: dict[Attempt, None] = {}  # not answered yet
        self._left: dict[str, Attempt] = {}  # given up here, not over at the server, by event_id
        self._stops: dict[str, Attempt] = {}  # to be stopped, by event_id
        self._stopping: set[int] = set()  # functions of which a stop is under way
        self._stopped_soon: set[str] = (
            set()
        )  # the server said it stops these, and has not ended them yet
        self._lately_given_up: set[str] = set()  # joins may wait for these
        self._to_stop: set[Attempt] = set()  # cancelled before they were joined
        self._early: dict[str, list[tuple[Message, int]]] = {}
        self._early_count = self._early_size = 0
        self._cut: dict[str, GradioError] = {}  # jobs of early messages whose stream ended
        self._over: dict[str, None] = {}
        self._decoder = SSEDecoder()
        self._stream: int | None = None
        self._ends = False  # as the server has announced
        self._heartbeat = Heartbeat(session_hash)
        self._app: AppInfo | None = None
        self._base: URL | None = None
        self._is_closed = False
        self._is_closing = False
        self._known = False
        self._overlaps = False  # the stream was opened during a join
        self._retired = not is_shared

    @property
    def is_idle(self) -> bool:
        """Whether no job needs it."""
        return not (self._jobs or self._joining or self._waiting)

    # What the conversation says.

    def start(self, attempt: Attempt) -> Way:
        self._app, self._base = attempt.app, attempt.base
        self._waiting[attempt] = None
        return self._join_waiting()

    def forget(self, attempt: Attempt) -> Way:
        self._waiting.pop(attempt, None)
        self._joining.pop(attempt, None)
        self._to_stop.discard(attempt)
        name = attempt.event_id
        if name is not None and self._jobs.pop(name, None) is not None:
            self._stops.pop(name, None)
            if attempt.is_over_there or self._stream is None:
                yield from self._over_there(attempt)
            else:
                self._left[name] = attempt
                yield from self._stop_next(attempt.endpoint.fn_index)
        if self._early:
            yield from self._drop_early()
        if self._retired:
            yield from self.retire()

    def send_chunk(self, attempt: Attempt, chunk: Chunk) -> Way:
        """Hand over the next piece of a streaming input."""
        body = None if chunk.data is None else {**attempt.body, "data": chunk.data}
        request = requests.next_chunk(attempt.event_id or "", body, chunk.headers)
        answer: Answer = yield Ask(attempt.base, request, "send", "send")
        yield Take(attempt, answer.json, chunk.number)

    def retire(self) -> Way:
        """Close after the last job: a new session takes the place of this one."""
        self._retired = True
        if self.is_idle:
            yield from self.close()

    def hurry(self) -> None:
        """The session closes: stop jobs at once, although that may start others."""
        self._is_closing = True

    def close(self) -> Way:
        """Cut the stream and the heartbeat, whatever is under way."""
        self._is_closed = True
        yield Drop(self._stream)
        yield from self._heartbeat.stop()
        yield from self._has_no_stream()

    def _has_no_stream(self) -> Way:
        """The stream is over: forget the jobs that were given up."""
        self._stream = None
        left, self._left = self._left, {}
        stopped_soon, self._stopped_soon = self._stopped_soon, set()
        for name in stopped_soon:
            yield Alarm(self, _Over(name), None)
        for name in left:
            self._remember(name)
            yield Alarm(self, _StopIsLate(name), None)

    # Stopping. A cancel stops every running job of the function in the session, and a server before
    # 6.14 still starts a waiting job (gradio@4.31.0 routes.py: cancel_event). So jobs are stopped
    # one at a time; none is stopped while another job of the function is wanted; and a job that
    # waits in the queue of such a server is stopped after it has started.

    def stop(self, attempt: Attempt) -> Way:
        if attempt in self._waiting:
            yield Stopped(attempt, False)
        elif attempt in self._joining:
            self._to_stop.add(attempt)
        else:
            name = attempt.event_id
            assert name is not None
            self._stops[name] = attempt
            self._lately_given_up.add(name)
            yield Alarm(self, _StopIsLate(name), self._options.timeouts.close)
            yield from self._stop_next(attempt.endpoint.fn_index)

    def _stop_next(self, fn_index: int) -> Way:
        """Stop the next job of a function that was cancelled, if that is possible now."""
        if not (self._stops or self._left):
            return
        jobs = [self._jobs[name] for name in self._stops if name in self._jobs]
        jobs = [attempt for attempt in jobs if attempt.endpoint.fn_index == fn_index]
        if has(self._version, Feature.CANCEL):
            if self._has_wanted(fn_index):
                for attempt in jobs:
                    yield from self._end_stop(attempt, False)
                return
            left = [other for other in self._left.values() if other.endpoint.fn_index == fn_index]
            if any(other.event_id in self._stopped_soon for other in left):
                return
            jobs += left
        if not has(self._version, Feature.UNQUEUES) and not self._is_closing:
            jobs = [attempt for attempt in jobs if not attempt.is_waiting]
        if fn_index in self._stopping or self._is_closed or not jobs:
            return
        # Waiting jobs first, so that stopping the others starts none of them.
        jobs.sort(key=lambda attempt: not attempt.is_waiting)
        self._stopping.add(fn_index)
        yield Begin(self._have_stopped(jobs[0]))

    def _have_stopped(self, attempt: Attempt) -> Way:
        """Have the server stop a job."""
        stopped = yield from is_stopped(attempt)
        fn_index, name = attempt.endpoint.fn_index, attempt.event_id
        assert name is not None
        self._stopping.discard(fn_index)
        self._lately_given_up.discard(name)
        yield Alarm(self, _StopIsLate(name), None)
        if stopped and has(self._version, Feature.CANCEL):
            # It is over when its last message has come, too.
            if name in self._jobs or name in self._left:
                self._stopped_soon.add(name)
                yield Alarm(self, _Over(name), self._options.timeouts.close)
        else:
            self._left.pop(name, None)
            attempt.is_over_there = True
        yield from self._end_stop(attempt, stopped)
        yield from self._stop_next(fn_index)
        yield from self._join_waiting()

    def rang(self, name: Hashable, /) -> Way:
        match name:
            case _StopIsLate(event_id):
                self._lately_given_up.discard(event_id)
                if event_id in self._stops:
                    yield from self._end_stop(self._stops[event_id], None)
                yield from self._join_waiting()
            case _:
                assert isinstance(name, _Over)
                yield from self._over_there(
                    self._jobs.get(name.event_id) or self._left[name.event_id]
                )

    def _end_stop(self, attempt: Attempt, stopped: bool | None) -> Way:
        if self._stops.pop(attempt.event_id or "", None) is not None:
            yield Stopped(attempt, stopped)

    def _over_there(self, attempt: Attempt) -> Way:
        """A job that was given up is over at the server, or counts as over."""
        name = attempt.event_id
        assert name is not None
        self._left.pop(name, None)
        if name in self._stopped_soon:
            self._stopped_soon.remove(name)
            yield Alarm(self, _Over(name), None)
        if name in self._lately_given_up:
            self._lately_given_up.remove(name)
            yield Alarm(self, _StopIsLate(name), None)
        self._remember(name)
        yield from self._stop_next(attempt.endpoint.fn_index)
        if self._waiting:
            yield from self._join_waiting()

    def _has_stops(self, fn_index: int) -> bool:
        """Whether a stop under way could hit a job that is joined now."""
        if fn_index in self._stopping:
            return True
        if not self._lately_given_up:
            return False
        jobs = (self._jobs.get(name) or self._left.get(name) for name in self._lately_given_up)
        return not self._has_wanted(fn_index) and any(
            attempt is not None and attempt.endpoint.fn_index == fn_index for attempt in jobs
        )

    def _has_wanted(self, fn_index: int) -> bool:
        """Whether a job of the function that was not cancelled is at the server."""
        joined = (attempt for name, attempt in self._jobs.items() if name not in self._stops)
        joining = (attempt for attempt in self._joining if attempt not in self._to_stop)
        return any(
            attempt.endpoint.fn_index == fn_index and not attempt.is_over_there
            for attempt in (*joined, *joining)
        )

    @property
    def _version(self) -> Version:
        assert self._app is not None
        return self._app.version

    # Joining.

    def _join_waiting(self) -> Way:
        """Join the waiting jobs that no stop under way could hit."""
        for attempt in list(self._waiting):
            if self._is_closed or self._has_stops(attempt.endpoint.fn_index):
                continue
            del self._waiting[attempt]
            self._joining[attempt] = None
            yield Begin(self._join(attempt), attempt)
            if self._known:
                yield from self._open()

    def _join(self, attempt: Attempt) -> Way:
        asked = attempt.traits.handover is Handover.ASKED
        body: dict[str, Any] = {**attempt.body, "data": []} if asked else attempt.body
        try:
            request = requests.join(body, attempt.headers)
            answer: Answer = yield Ask(attempt.base, request, "join", "join", hands_in=attempt)
            if attempt not in self._joining:
                return
            told, event_id = answer.name_given()
            if event_id in self._jobs:
                what = "another job has this event_id already"
                raise answer.locate(RemoteProtocolError(what))
        except GradioError as error:
            is_to_stop = attempt in self._to_stop
            self._to_stop.discard(attempt)
            yield Fail(attempt, error)
            if is_to_stop:
                yield Stopped(attempt, False)
            return
        yield from self._joined(attempt, event_id, told)

    def _joined(self, attempt: Attempt, event_id: str, told: Any) -> Way:
        attempt.event_id = event_id
        del self._joining[attempt]
        self._known = True
        self._jobs[event_id] = attempt
        yield Take(attempt, told)
        for message, size in self._early.pop(event_id, ()):
            self._early_count -= 1
            self._early_size -= size
            yield from self._give(attempt, message)
        if (cut := self._cut.pop(event_id, None)) is not None:
            yield Fail(attempt, cut)
        if attempt in self._to_stop:
            self._to_stop.discard(attempt)
            yield from self.stop(attempt)
        if self._early:
            yield from self._drop_early()
        if self._stream is None and not attempt.is_over:
            yield from self._open()
        if not self._retired:
            yield from self._heartbeat.beat(attempt)

    # The stream.

    def _open(self) -> Way:
        """Open the stream. If it is open already, it may be silent for some more time."""
        if self._stream is not None:
            yield Watch(self._stream)
        else:
            assert self._base is not None
            self._decoder = SSEDecoder(max_event_size=self._options.limits.message)
            self._ends = False
            for attempt in self._jobs.values():
                attempt.heard = False
            self._overlaps = bool(self._joining)
            self._stream = yield Listen(self._base, self._request, self, "stream", watched=True)
            for attempt in self._jobs.values():
                attempt.stream = self._stream if attempt.call.isolated else None

    def opened(self, now: float, /) -> Way:
        for attempt in self._jobs.values():
            attempt.is_due, attempt.unheard_since = True, now
        # The server may have taken a job that joins now, and dropped it with a stream that broke.
        for attempt in self._joining:
            attempt.is_due, attempt.unheard_since = True, None
        yield from ()

    def received(self, data: bytes, now: float, /) -> Way:
        decoder = self._decoder
        try:
            for event in decoder.receive_data(data):
                text = event.data
                if text.startswith(_GENERATING):
                    attempt = self._jobs.get(text[_NAME : text.find('"', _NAME)])
                    if attempt is not None and not attempt.is_waiting:
                        yield Deliver(attempt, None, text)
                        continue
                message, problems = self._options.read_message(text)
                attempt = self._jobs.get(message.get("event_id") or "")
                if attempt is not None and not problems:
                    yield from self._give(attempt, message, text)
                else:
                    yield from self._take(message, problems, text, now)
                if self._stream is None:
                    return
            if decoder.error is not None:  # behind the last event
                raise decoder.error
        except RemoteProtocolError as error:
            yield from self._give_up(error.located(phase="stream"))

    def ended(self) -> Way:
        yield from self._has_no_stream()
        if not (self._jobs or self._early):
            return
        if not self._ends and any(attempt.heard for attempt in self._jobs.values()):
            yield Doubt()
        error = ConnectionLost("the stream ended before the job did", phase="stream")
        yield from self._try_again(error)

    def refused(self, answer: Answer, /) -> Way:
        yield from self._has_no_stream()
        yield from self._fail_all(answer.refusal(self._version))

    def failed(self, error: GradioError, /) -> Way:
        yield from self._has_no_stream()
        yield from self._fail_all(error)

    def silent(self) -> Way:
        if self._jobs:
            yield Doubt()
            yield from self._give_up(DeadlineExceeded(phase="stream_idle"))
        elif self._joining:
            yield Watch(self._stream)  # the messages of these are still to come

    # Messages.

    def _take(self, message: Message, problems: list[str], text: str, now: float) -> Way:
        """A message that is not simply one of a job under way."""
        for problem in problems:
            yield Puzzle(problem)
        event_id = message.get("event_id")
        if event_id is None:
            yield from self._take_for_session(message, now)
        elif (attempt := self._jobs.get(event_id)) is not None:
            yield from self._give(attempt, message, text)
        elif (left := self._left.get(event_id)) is not None:
            yield from self._hear_left(left, message)
        elif self._joining and event_id not in self._over:
            yield from self._hold(event_id, message, len(text))
        elif event_id not in self._over:
            yield Puzzle("a message for a job that is not ours", message=message)

    def _give(self, attempt: Attempt, message: Message, text: str | None = None) -> Way:
        if "output" in message and not self._retired:
            render = said(message["output"], "render_config", dict)
            if render is not None:
                yield Render(render)
        waited = attempt.is_waiting
        heeded = yield Deliver(attempt, message, text)
        if waited and not attempt.is_waiting and attempt.event_id in self._stops:
            yield from self._stop_next(attempt.endpoint.fn_index)
        if heeded and message.get("msg") == Msg.SEND_DATA:
            yield Begin(self._hand_over(attempt), attempt)

    def _hear_left(self, attempt: Attempt, message: Message) -> Way:
        """A message of a job that was given up."""
        attempt.hear(message)
        if attempt.is_over_there:
            yield from self._over_there(attempt)
        else:
            yield from self._stop_next(attempt.endpoint.fn_index)

    def _hand_over(self, attempt: Attempt) -> Way:
        body = {**attempt.body, "event_id": attempt.event_id}
        yield Ask(attempt.base, requests.job_data(body), "send", "send")

    def _take_for_session(self, message: Message, now: float) -> Way:
        match message.get("msg"):
            case Msg.UNEXPECTED_ERROR | Msg.SERVER_STOPPED:
                yield from self._stopped(message)
            case kind if kind in SESSION_MSGS:
                self._ends = self._ends or kind == CLOSE_STREAM
                yield from self._find_lost(now)  # close_stream: the end of the stream follows
            case kind:
                yield Puzzle(f"a message for no job: {reprlib.repr(kind)}", message=message)

    def _find_lost(self, now: float) -> Way:
        idle = self._options.timeouts.stream_idle
        if idle is None:
            return
        for attempt in list(self._jobs.values()):
            if not attempt.is_due or attempt.heard:
                continue
            if attempt.unheard_since is None:
                attempt.unheard_since = now
            elif now >= attempt.unheard_since + idle:
                yield Doubt()
                what = f"for {idle:g} s the server has said nothing of the job: it is lost there"
                yield Fail(attempt, ConnectionLost(what, phase="stream"))

    # Ends of the stream.

    def _stopped(self, message: Message) -> Way:
        """The server gives up the whole session. The stream usually breaks next."""
        yield Doubt()
        not_found = is_unknown(message)
        error = unknown_there() if not_found else ServerStoppedError(message.get("message"))
        error.located(phase="stream")
        yield Drop(self._stream)
        yield from self._has_no_stream()
        if not_found:
            if self._known and not self._overlaps:
                yield LoseSession()
            self._known = False
            yield from self._try_again(error)
        else:
            yield from self._fail_all(error)

    def _try_again(self, error: GradioError) -> Way:
        """Open one more stream for the jobs that had no message yet; the others are lost."""
        self._cut.update(dict.fromkeys(self._early, error))
        for attempt in list(self._jobs.values()):
            if attempt.heard or attempt.reopened:
                yield Fail(attempt, error)
            else:
                attempt.reopened = True
        if not all(attempt.is_over for attempt in self._jobs.values()):
            yield from self._open()

    def _fail_all(self, error: GradioError) -> Way:
        self._cut.update(dict.fromkeys(self._early, error))
        for attempt in list(self._jobs.values()):
            yield Fail(attempt, error)

    def _give_up(self, error: GradioError) -> Way:
        """Cut a stream that cannot be used any more, which ends the session."""
        yield from self.close()
        yield from self._fail_all(error)
        for attempt in (*self._joining, *self._waiting):
            yield Fail(attempt, error)
        yield LoseSession(renew=self)

    # Messages that come before the answer to the join.

    def _hold(self, event_id: str, message: Message, size: int) -> Way:
        limits = self._options.limits
        if self._early_count >= limits.early_messages or self._early_size + size > limits.message:
            yield Puzzle("too many messages for jobs not known yet", message=message)
            return
        self._early_count += 1
        self._early_size += size
        self._early.setdefault(event_id, []).append((message, size))

    def _drop_early(self) -> Way:
        if self._joining:
            return
        early, self._early = self._early, {}
        self._cut.clear()
        self._early_count = self._early_size = 0
        for messages in early.values():
            yield Puzzle("a message for a job that is not ours", message=messages[0][0])

    def _remember(self, event_id: str) -> None:
        self._over[event_id] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]
