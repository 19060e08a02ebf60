"""Which way a job goes to the server, and in whose session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sansio_gradio.client.call import Call
from sansio_gradio.client.call_stream import CallStream
from sansio_gradio.client.context import Context
from sansio_gradio.client.job import Carrier, Job
from sansio_gradio.client.job_channel import JobChannel
from sansio_gradio.client.plain_call import PlainCall
from sansio_gradio.client.polling import Polling
from sansio_gradio.client.session_stream import SessionStream
from sansio_gradio.client.unfinished import UnfinishedRuns
from sansio_gradio.protocol.app_info import Endpoint
from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import Channel

# Jobs with a channel of their own; those of a SESSION_STREAM share it.
_CARRIERS: Final[Mapping[Channel, Callable[[Context, Job], Carrier]]] = {
    Channel.POLL: Polling,
    Channel.WEBSOCKET: JobChannel,
    Channel.JOB_STREAM: JobChannel,
}

_OWN: Final = frozenset({Channel.WEBSOCKET, Channel.JOB_STREAM, Channel.CALL_STREAM})


class Dispatch:
    """Starts the jobs of a client."""

    def __init__(self, context: Context, session_hash: str | None) -> None:
        self.session_hash = session_hash or context.new_hash()
        self._context = context
        self._main: SessionStream | None = None
        self._given_up: set[int] = set()  # functions that may still run in the shared session
        self._unfinished = UnfinishedRuns(context.limits.value)

    def start(self, job: Job, others: Iterable[Job]) -> None:
        """Start *job*, beside *others* that are under way."""
        context, channel = self._context, self._context.traits.channel
        own = self._wants_own_session(job, others)
        job.session_hash = self._context.new_hash() if own else self.session_hash
        if not own:
            job.unfinished = self._unfinished
        if job.no_socket is not None and channel is Channel.WEBSOCKET:
            job.start(PlainCall(context, job, job.no_socket))
        elif self._is_past_the_queue(job.endpoint):
            job.start(PlainCall(context, job))
        elif channel in _CARRIERS:
            job.start(_CARRIERS[channel](context, job))
        elif channel is Channel.CALL_STREAM:
            call = CallStream(context, job)
            job.start(call, call.send_chunk)
        elif not own:
            self._main = self._main or SessionStream(context, self.session_hash, self._lost)
            job.start(self._main, self._main.send_chunk)
        else:
            stream = SessionStream(context, job.session_hash, self._lost)
            job.start(stream, stream.send_chunk)
            stream.retire()

    def over(self, job: Job) -> None:
        """The job is done, here and on the server."""
        if job.given_up:
            self._given_up.add(job.endpoint.fn_index)

    def go_on(self, context: Context, *, renew: bool) -> None:
        """Start jobs in *context* from now on; *renew*: in a new session, too."""
        self._context = context
        if renew:
            self.renew()

    def renew(self) -> None:
        """Go on in a new session."""
        old, self._main = self._main, None
        self.session_hash = self._context.new_hash()
        self._given_up.clear()
        self._unfinished = UnfinishedRuns(self._context.limits.value)
        if old is not None:
            old.retire()

    def close(self) -> None:
        if self._main is not None:
            self._main.close()

    def needs_connection(self, call: Call, endpoint: Endpoint) -> bool:
        """Whether a job has a connection of its own for as long as it runs."""
        channel = self._context.traits.channel
        has_own = channel in _OWN or (channel is Channel.SESSION_STREAM and call.isolated)
        return has_own and not self._is_past_the_queue(endpoint)

    def _is_past_the_queue(self, endpoint: Endpoint) -> bool:
        if endpoint.queue or self._context.traits.channel is Channel.CALL_STREAM:
            return False
        # A plain POST gets no more than the first output of a generator from 4.0 on.
        return not (endpoint.is_generator and has(self._context.app.version, Feature.QUEUES_ALL))

    def _wants_own_session(self, job: Job, others: Iterable[Job]) -> bool:
        """Whether *job* must not share a session: its generator would be mixed up with another's.

        Servers before 4.0 keep one iterator for each function and session
        (gradio@3.50.2 queueing.py: call_prediction).
        """
        if self._context.traits.channel is not Channel.WEBSOCKET:
            return job.call.isolated
        busy = {other.endpoint.fn_index for other in others if other is not job}
        is_generator = job.endpoint.is_generator is not False  # None: 3.16 does not tell
        shared = job.endpoint.fn_index in busy | self._given_up
        return job.call.isolated or (is_generator and shared)

    def _lost(self, stream: SessionStream) -> None:
        """A stream had to be cut: its session_hash is not used again."""
        if stream is self._main:
            self.renew()
            self._context.session_lost()
