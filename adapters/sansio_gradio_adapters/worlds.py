"""The parts of a client for a further world: see docs/fourth_adapter.md.

``TaskClient`` is a client without its opening. ``TaskWorld`` has the verbs that it needs of a world
in which tasks await. The world tells a ``Machine`` what has happened. ``WatchedWorld`` is a world
for event loops that can wait for a descriptor.
"""

from sansio_gradio_adapters._awaited.files import FileStream, RemoteFile
from sansio_gradio_adapters._awaited.jobs import Job, MessageStream, Results
from sansio_gradio_adapters._awaited.reading import Reader
from sansio_gradio_adapters._awaited.task_client import TaskClient
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
from sansio_gradio_adapters._watched import WatchedWorld

__all__ = [
    "ClientCore",
    "FileStream",
    "Job",
    "Machine",
    "MessageStream",
    "Reader",
    "RemoteFile",
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
