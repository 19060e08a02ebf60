"""What the client of a further world is made of: see docs/fourth_adapter.md.

``TaskClient`` is a client but for how it is opened; ``TaskWorld`` the verbs that it needs of a
world in which tasks await; ``Machine`` what that world tells what has happened. ``WatchedWorld`` is
all of that where the event loop can wait for a descriptor.
"""

from sansio_gradio_adapters._awaited import Job, MessageStream, Reader, Results
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._machine import (
    Machine,
    Rest,
    TaskWorld,
    connect_failed,
    connection_lost,
    first_in,
)
from sansio_gradio_adapters._task_client import TaskClient
from sansio_gradio_adapters._watched import WatchedWorld

__all__ = [
    "ClientCore",
    "Job",
    "Machine",
    "MessageStream",
    "Reader",
    "Rest",
    "Results",
    "Signal",
    "TaskClient",
    "TaskWorld",
    "WatchedWorld",
    "connect_failed",
    "connection_lost",
    "first_in",
]
