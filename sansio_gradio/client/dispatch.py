"""Choose the channel and the session of a job."""

from __future__ import annotations

from collections.abc import Iterable

from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.call import Call
from sansio_gradio.client.channels import OF_ONE_JOB, PlainCall, SessionStream
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import JobChannel, Way
from sansio_gradio.client.unfinished import UnfinishedRuns
from sansio_gradio.errors import GradioError
from sansio_gradio.protocol import protocols
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Traits


class Dispatch:
    """The shared session of a conversation, and the sessions beside it."""

    def __init__(self, options: Options, session_hash: str | None) -> None:
        self.session_hash = session_hash or options.new_hash()
        self._options = options
        self._shared: SessionStream | None = None
        self._given_up: set[int] = set()  # functions that may still run in the shared session
        self._unfinished = UnfinishedRuns(options.limits.value)

    def channel_for(
        self, attempt: Attempt, others: Iterable[Attempt], no_socket: GradioError | None = None
    ) -> JobChannel:
        """Choose a channel for *attempt*, beside *others* that are under way, and set its session.

        *no_socket*: why no WebSocket could be opened.
        """
        own = self._wants_own_session(attempt, others)
        attempt.session_hash = self._options.new_hash() if own else self.session_hash
        attempt.unfinished = UnfinishedRuns(self._options.limits.value) if own else self._unfinished
        if no_socket is not None and attempt.traits.channel is protocols.Channel.WEBSOCKET:
            return PlainCall(self._options, attempt, no_socket)
        if _is_past_the_queue(attempt.endpoint, attempt.traits, attempt.app):
            return PlainCall(self._options, attempt)
        make = OF_ONE_JOB.get(attempt.traits.channel)
        if make is not None:
            return make(self._options, attempt)
        if own:
            return SessionStream(self._options, attempt.session_hash, is_shared=False)
        if self._shared is None:
            self._shared = SessionStream(self._options, self.session_hash, is_shared=True)
        return self._shared

    def given_up(self, fn_index: int) -> None:
        """A function may still run in the shared session, though its job is over."""
        self._given_up.add(fn_index)

    def is_shared(self, channel: JobChannel) -> bool:
        """Whether *channel* is the stream of the shared session."""
        return channel is self._shared

    def renew(self) -> Way:
        """Go on in a new session."""
        old, self._shared = self._shared, None
        self.session_hash = self._options.new_hash()
        self._given_up.clear()
        self._unfinished = UnfinishedRuns(self._options.limits.value)
        if old is not None:
            yield from old.retire()

    def close(self) -> Way:
        """Cut the stream of the shared session."""
        if self._shared is not None:
            yield from self._shared.close()

    def _wants_own_session(self, attempt: Attempt, others: Iterable[Attempt]) -> bool:
        """Whether a job needs a session of its own, since its generator would be mixed up with
        another's.

        Servers before 4.0 keep one iterator for each function and session
        (gradio@3.50.2 queueing.py: call_prediction).
        """
        if attempt.traits.channel is not protocols.Channel.WEBSOCKET:
            return attempt.call.isolated
        # Only for this protocol: elsewhere the cost of a job must not grow with the number of jobs.
        busy = {other.endpoint.fn_index for other in others if other is not attempt}
        is_generator = attempt.endpoint.is_generator is not False  # None: 3.16 does not tell
        shared = attempt.endpoint.fn_index in busy | self._given_up
        return attempt.call.isolated or (is_generator and shared)


def needs_connection(call: Call, endpoint: Endpoint, traits: Traits, app: AppInfo) -> bool:
    """Whether a job occupies a connection for as long as it runs."""
    is_shared = traits.channel is protocols.Channel.SESSION_STREAM and not call.isolated
    polls = traits.channel is protocols.Channel.POLL
    return not (is_shared or polls or _is_past_the_queue(endpoint, traits, app))


def _is_past_the_queue(endpoint: Endpoint, traits: Traits, app: AppInfo) -> bool:
    if endpoint.queue or traits.channel is protocols.Channel.CALL_STREAM:
        return False
    # A plain POST gets no more than the first output of a generator from 4.0 on.
    return not (endpoint.is_generator and has(app.version, Feature.QUEUES_ALL))
