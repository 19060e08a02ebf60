"""Every bound of the library: sizes, counts and seconds.

The server is untrusted, so one of these bounds every buffer and every wait.
"""

from __future__ import annotations

import attrs

from sansio_gradio.given import count, refused, seconds

MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on what is kept in memory, in bytes unless said otherwise."""

    message: int = 64 * MIB
    """One message: a server-sent event, a WebSocket message. Precedent: the official clients have
    no such limit; websockets' default is 1 MiB, too small for images in base64."""

    value: int = 64 * MIB
    """The values that one job yields, after all edits: many small edits can make a large value. The
    texts count, and 16 bytes for each part. A job that exceeds it fails."""

    answer: int = 64 * MIB
    """The body of one ordinary answer: ``/config``, ``/info``, a join, a call past the queue."""

    header: int = 64 * 1024
    """The head of one HTTP answer. Precedent: 100 KiB in curl, 64 KiB in nginx."""

    json_depth: int = 512
    """Nested containers in one JSON text."""

    early_messages: int = 10_000
    """Messages (a count) held on one stream for jobs whose join is not answered yet. Together they
    may be as long as one ``message``."""

    kept_outputs: int = 16 * MIB
    """The yields of one job, as received, for later readers and for the ``outputs`` of a failure.
    The oldest are dropped first, the newest never. The adapters keep as many bytes of its status
    updates, and as many of the messages that a ``stream_messages`` has not taken yet."""

    redirects: int = 5
    """Redirects (a count) followed for one request. Precedent: 10 in Go, 20 in browsers."""

    connections: int = 8
    """Connections (a count) for ordinary requests to one host; streams and calls are counted apart.
    Precedent: browsers open 6."""

    calls: int = 40
    """Calls past the queue (a count) under way at one host; more wait. Precedent: a server runs 40
    functions at a time (gradio@6.31.0 blocks.py: launch, ``max_threads``)."""

    download: int = 4096 * MIB
    """One file that is downloaded, and all files of one result together. Precedent: FAT32 holds
    files of up to 4 GiB."""

    downloads: int = 6
    """Files (a count) of one session that are downloaded at once; more wait their turn, in order.
    One that is not read meanwhile does not count. Precedent: browsers open 6 connections to a
    host."""

    uploads: int = 4
    """Files (a count) of one call that are uploaded at once. Precedent: browsers open 6 connections
    to one host for everything."""

    job_connections: int = 40
    """Jobs (a count) of one session under way that need a connection each: WebSockets of Gradio 3,
    streams of Gradio 4.0 to 4.8 and of ``/call``, isolated jobs. More wait their turn, in order.
    This is for each session. With many sessions, give each less, so that all together stay below
    the number of files that a process may open (256 on macOS, often 1024). Precedent: gradio_client
    has 40 at once."""

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self, recurse=False).items():
            least = 0 if name == "redirects" else 1
            object.__setattr__(self, name, count(value, name, least=least))


@attrs.frozen(kw_only=True)
class Timeouts:
    """Deadlines in seconds, one for each phase; None waits for ever.

    When one passes, the error is a ``DeadlineExceeded`` whose ``phase`` is the name of the field.
    """

    connect: float | None = 10.0
    """Finding the address and making one connection."""

    tls: float | None = 10.0
    """The TLS handshake."""

    request: float | None = 30.0
    """One ordinary request, from asking to the last byte of the answer."""

    join: float | None = 60.0
    """Handing a job in: servers validate and store large inputs before they answer."""

    send: float | None = 30.0
    """Sending data that the server asked for, or waiting for a stream to send it to. Uploading a
    file: without any progress, and, behind its last byte, until the server has answered."""

    stream_idle: float | None = 60.0
    """Silence on the stream of a session, or of ``/call``, while jobs are under way and the stream
    is not paused. Servers since 4.9 send a heartbeat every 15 s. It does not apply to older
    servers, where each job has its own connection."""

    download: float | None = 60.0
    """Downloading a file: until the server hands it out, and then for each further 64 KiB. (For any
    byte, if the file is an output that still grows.) It does not pass while nobody reads."""

    space: float | None = 300.0
    """Waiting for a Hugging Face Space that is built, starts or wakes up."""

    job: float | None = None
    """A whole job, from submitting to its end."""

    close: float | None = 2.0
    """Telling the server to stop, when closing or cancelling."""

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self, recurse=False).items():
            if value is not None:
                found = seconds(value, name)
                if not found:
                    raise refused(value, name, "in seconds, more than 0, or None")
                object.__setattr__(self, name, found)
