"""The channels, one module each, and the table that says which channel a protocol uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.channels.call_stream import CallStream
from sansio_gradio.client.channels.job_connection import JobSocket, JobStream
from sansio_gradio.client.channels.plain_call import PlainCall
from sansio_gradio.client.channels.polling import Polling
from sansio_gradio.client.channels.session_stream import SessionStream
from sansio_gradio.client.options import Options
from sansio_gradio.client.steps import JobChannel
from sansio_gradio.protocol import protocols

__all__ = ["OF_ONE_JOB", "PlainCall", "SessionStream"]

OF_ONE_JOB: Final[Mapping[protocols.Channel, Callable[[Options, Attempt], JobChannel]]] = {
    protocols.Channel.POLL: Polling,
    protocols.Channel.WEBSOCKET: JobSocket,
    protocols.Channel.JOB_STREAM: JobStream,
    protocols.Channel.CALL_STREAM: CallStream,
}
"""The channels that each job has for itself. The jobs of a SESSION_STREAM share one."""
