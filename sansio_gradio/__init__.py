"""The protocols of Gradio apps, without I/O.

Codecs (``SSEDecoder``, ``parse_message``, ``send_data_frame``, ``apply_diff``), the client role at
two altitudes (``Conversation`` if you bring an HTTP library, ``Engine`` if you bring sockets), and
what an app is (``AppInfo``). Clients that do the I/O are in ``sansio_gradio_adapters``. How the
code is built says docs/architecture.md.
"""

from __future__ import annotations

from typing import NoReturn

from sansio_gradio import events
from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import (
    Abort,
    CloseConnection,
    Expect,
    OpenConnection,
    OpenWebSocket,
    Pause,
    PauseReading,
    ReadFile,
    Resume,
    ResumeReading,
    SendRequest,
    SendText,
    StartTLS,
)
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.client.session import Session
from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
    LocalProtocolError,
    OptionError,
    ProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    SpaceError,
    TooManyRequestsError,
    ValidationError,
)
from sansio_gradio.events import UploadProgress
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.app_info import AppInfo, Component, Endpoint
from sansio_gradio.protocol.diff import apply_diff, compute_diff
from sansio_gradio.protocol.given_file import GivenFile, handle_file
from sansio_gradio.protocol.messages import Message, parse_message
from sansio_gradio.protocol.outputs import Outputs
from sansio_gradio.protocol.protocols import Protocol
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.protocol.requests import HTTPRequest, TextFrame, send_data_frame
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.protocol.updates import apply_update
from sansio_gradio.wire.body import Body, FileSlice
from sansio_gradio.wire.sse import ServerSentEvent, SSEDecoder

__version__ = "0.1.0"

__all__ = [
    "Abort",
    "AppError",
    "AppInfo",
    "AuthenticationError",
    "Body",
    "CloseConnection",
    "Component",
    "ConnectFailed",
    "ConnectionLost",
    "Conversation",
    "DeadlineExceeded",
    "Endpoint",
    "Engine",
    "Expect",
    "FileSlice",
    "GivenFile",
    "GradioError",
    "HTTPRequest",
    "JobCancelledError",
    "Limits",
    "LocalProtocolError",
    "Message",
    "OpenConnection",
    "OpenWebSocket",
    "OptionError",
    "Outputs",
    "Pause",
    "PauseReading",
    "Protocol",
    "ProtocolError",
    "Proxies",
    "QueueFullError",
    "ReadFile",
    "RemoteFile",
    "RemoteProtocolError",
    "Resume",
    "ResumeReading",
    "Retry",
    "SSEDecoder",
    "SendRequest",
    "SendText",
    "ServerSentEvent",
    "ServerStoppedError",
    "Session",
    "SpaceError",
    "StartTLS",
    "Status",
    "StatusUpdate",
    "TextFrame",
    "Timeouts",
    "TooManyRequestsError",
    "UploadProgress",
    "ValidationError",
    "Want",
    "apply_diff",
    "apply_update",
    "compute_diff",
    "events",
    "handle_file",
    "parse_message",
    "send_data_frame",
]


def __getattr__(name: str) -> NoReturn:
    if name == "Client":
        raise AttributeError(
            "the clients do I/O and live apart from the protocols: import Client from"
            " sansio_gradio_adapters.sockets, sansio_gradio_adapters.asyncio"
            " or sansio_gradio_adapters.trio"
        )
    raise AttributeError(f"module 'sansio_gradio' has no attribute {name!r}")
