"""Invariant: whatever a server answers to an upload or a download, in whatever pieces, both end
exactly once, and a download never gives more than its limit.

For the data see ``_visit.py``.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from fuzz._visit import LIMITS, Visit, written
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.events import DownloadReceived
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.protocol.remote_files import RemoteFile


def target(data: bytes) -> None:
    visit = Visit("http://app.example/", data)
    session = visit.session
    file = partial(handle_file, b"content of a file", name="a.txt")
    base = f"http://app.example{visit.app.api_prefix}/"
    remote = RemoteFile({"path": "/tmp/a.txt", "url": None}, base, "file=")

    def download() -> None:
        with suppress(LocalProtocolError):  # the server says that the app is another one by now
            visit.downloads.append(session.download(remote, timeout=100.0))

    visit.play(
        partial(session.submit, file(), api_name="/file", timeout=100.0),
        partial(session.upload, file(), timeout=100.0),
        download,
    )
    received = visit.driver.of(DownloadReceived)
    for number in visit.downloads:
        got = sum(len(event.data) for event in received if event.download == number)
        assert got <= LIMITS.download
    visit.end()


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    size = 4000 * times
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    return written("6.31.0", 20, (b"file=", head + b"x" * size))
