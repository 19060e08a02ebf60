"""A whole client engine visits a server whose every answer is made of the fuzzed bytes.

The bytes are: one that chooses the release, one that says how answers are cut, and then answers,
each behind ``\\x1e``. An answer begins with a piece of its target, up to ``\\x1f``. A
request gets the first one that fits it, or else the next one, or else the connection ends. A
WebSocket is accepted first. ``/config`` is answered rightly where no answer fits it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable

from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.errors import GradioError
from sansio_gradio.events import (
    Connected,
    ConnectingFailed,
    DownloadCompleted,
    DownloadFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    Output,
    SessionClosed,
)
from sansio_gradio.limits import Limits
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import FILE, TEXTBOX
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, reply

VERSIONS = ("3.50.2", "4.0.2", "4.16.0", "4.19.2", "4.44.1", "5.50.0", "6.31.0")
ANSWER, NAME = b"\x1e", b"\x1f"
LIMITS = Limits(message=20_000, value=20_000, kept_outputs=20_000, download=20_000, answer=100_000)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def written(version: str, cut: int, *answers: tuple[bytes, bytes]) -> bytes:
    """The bytes that mean this."""
    parts = [ANSWER + name + NAME + said for name, said in answers]
    return bytes([VERSIONS.index(version), cut - 1]) + b"".join(parts)


@functools.cache
def app_of(version: str) -> App:
    """An app with a generator, a plain function and a file."""
    app = App(version=version)
    text, file = Slot(name="x", component=TEXTBOX), Slot(name="file", component=FILE)
    app.add("many", parameters=[text], returns=[text], generator=True)
    app.add("plain", parameters=[text], returns=[text], queue=False)
    app.add("file", parameters=[file], returns=[file])
    return app


@functools.cache
def config(version: str) -> bytes:
    """Its answer to ``/config``."""
    engine = ServerEngine(app_of(version), entropy=counted_entropy())
    engine.connection_made(0, 0.0)
    engine.receive_data(0, b"GET /config HTTP/1.1\r\nhost: app.example\r\n\r\n", 0.0)
    return engine.data_to_send(0, 1 << 20)


class Visit:
    """One visit. ``session`` may be asked for anything; ``end`` sees to it that all holds."""

    def __init__(self, src: str, data: bytes, **options: str) -> None:
        choice, step = (data[:2] + b"\0\0")[:2]
        self.version = VERSIONS[choice % len(VERSIONS)]
        self.app = app_of(self.version)
        self._step = step + 1
        self._answers = [
            tuple(part.split(NAME, 1)) if NAME in part else (b"\0", part)
            for part in data[2:].split(ANSWER)[1:]
        ]
        self.peer = ByHand(self._answer)
        self.engine = Engine(entropy=counted_entropy(), limits=LIMITS)
        self.driver = Driver(self.engine, self.peer)
        self.session: Session = self.engine.session(src, **options)  # type: ignore[arg-type]
        self.said: list[tuple[Asked, bytes]] = []
        self.jobs: list[int] = []
        self.downloads: list[int] = []

    def _answer(self, asked: Asked) -> None:
        said = self._next(asked.target.encode())
        if said is None and asked.path.endswith("/config"):
            said = config(self.version)
        if said is not None and "upgrade" in asked.headers:
            key = asked.headers["sec-websocket-key"].encode()
            accepted = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            said = (
                b"HTTP/1.1 101 OK\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                b"sec-websocket-accept: %b\r\n\r\n%b" % (accepted, said)
            )
        if said is None:
            self.peer.hang_up(asked.conn)
            return
        self.said.append((asked, said))
        pieces = [said[at : at + self._step] for at in range(0, len(said), self._step)]
        self.peer.say(asked.conn, *pieces)

    def _next(self, target: bytes) -> bytes | None:
        fitting = [one for one in self._answers if one[0] in target]
        others = [] if target.endswith(b"/config") else self._answers
        for one in (*fitting, *others):
            self._answers.remove(one)
            return one[1]
        return None

    def play(self, *steps: Callable[[], int | None]) -> None:
        """Ask for these, one after the other, and let everything happen in between."""
        for step in steps:
            self.driver.settle()
            job = step()
            if job is not None:
                self.jobs.append(job)
        self.driver.settle()
        self.driver.sleep(300.0)  # what hangs has run out of time

    def end(self) -> None:
        """Close the session, and see that it is over as it must be."""
        events = self.driver.events
        for job in self.jobs:
            self.driver.end(self.session.id, job)  # one, and nothing behind it
        failed = [event for event in events if isinstance(event, JobFailed | ConnectingFailed)]
        failures = [event.error for event in failed]
        failures += [event.error for event in events if isinstance(event, DownloadFailed)]
        for error in failures:
            assert isinstance(error, GradioError), repr(error)
            assert str(error)
        for event in events:
            if isinstance(event, Output):
                assert len(repr(event.edits)) < 50 * LIMITS.message
        for download in self.downloads:
            kinds = (DownloadCompleted, DownloadFailed)
            assert len([one for one in self.driver.of(*kinds) if one.download == download]) <= 1
        assert len(self.driver.of(Connected, ConnectingFailed)) > 0
        self.session.close()
        self.driver.sleep(300.0)
        assert len(self.driver.of(SessionClosed)) == 1
        assert isinstance(events[-1], SessionClosed)
        assert self.driver.links == {}
        assert self.engine.next_deadline() is None
        ends = self.driver.of(JobCompleted, JobFailed, JobCancelled)
        assert sorted(end.job for end in ends) == sorted(self.jobs)


def answer(status: int, said: object, *headers: str) -> bytes:
    """An HTTP answer, for seeds."""
    return reply(said, status, *headers)
