"""Server-sent events: bytes to events, by the letter of the standard.

https://html.spec.whatwg.org/multipage/server-sent-events.html (section numbers: 9.2.5 parsing,
9.2.6 interpreting). Gradio itself sends one ``data:`` line a message and LF only; proxies, gateways
and other servers add comments, CRLF, ids and byte order marks.

Rule 1: the cuts of the network change nothing: not the events, not their order, not the place where
a limit is reached.

Rule 2: every byte is looked at a fixed number of times. A chunk is searched once, when it comes;
bytes that are kept are never searched again.

Rule 3: all line ends become LF before anything else looks at the bytes. A CR at the end of a chunk
ends its line at once, since the next byte may come late; a LF that follows is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits

_BOM = b"\xef\xbb\xbf"
# The number of digits that every Python converts. The standard has no bound.
_MAX_RETRY_DIGITS = 640
# From here on a view costs less than a copy. One copy less is what takes 1 MB events over 1 GB/s.
_LARGE = 16 * 1024
_LIMITS = Limits()


class ServerSentEvent(NamedTuple):
    """One event of a stream.

    ``event`` is its type, ``message`` if the server named none. ``id`` (the last event id) and
    ``retry`` (the reconnection time in milliseconds) are those in force when the event was
    dispatched; an earlier event may have set them. None: the server never sent one.
    """

    event: str
    data: str
    id: str
    retry: int | None


# Half the cost of calling the class, which matters once a message.
_tuple: type[tuple[Any, ...]] = tuple
_new = _tuple.__new__


class SSEDecoder:
    """Turns the body of a ``text/event-stream`` into events, however it is cut.

    ``max_event_size`` bounds the bytes between two blank lines, line ends not counted, and so what
    is kept in memory. Events before one that is too large are returned first. If they came in the
    same chunk, ``error`` is set at once, and the next call raises it.
    """

    error: RemoteProtocolError | None = None
    """Why nothing more can be read."""

    def __init__(self, *, max_event_size: int = _LIMITS.message) -> None:
        self._max_event_size = max_event_size
        self._has_ended = False
        self._start: bytes | None = b""  # what may yet be a byte order mark; None: decided
        self._after_cr = False
        self._line = bytearray()  # the unfinished line
        # The bytes of the lines since the last blank one; more than the limit: no way back.
        self._size = 0
        # The buffers of section 9.2.6.
        self._event = ""
        self._data: bytes | bytearray | memoryview | None = None
        self._id = ""
        self._last_event_id = ""
        self._reconnection_time: int | None = None

    @property
    def last_event_id(self) -> str:
        """The ``Last-Event-ID`` to send when reconnecting; empty: send none."""
        return self._last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """How many milliseconds the server wants us to wait before reconnecting."""
        return self._reconnection_time

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Take the next bytes of the body; return the events that they complete.

        Raises:
            RemoteProtocolError: an event is larger than ``max_event_size``; now, and at every later
                call.
            LocalProtocolError: the stream was already said to have ended.
        """
        if self._has_ended:
            raise LocalProtocolError("This event stream has ended.")
        if self.error is not None:
            raise self.error.with_traceback(None)  # or each raising would lengthen it
        chunk = bytes(data)
        if b"\r" in chunk or self._after_cr or self._start is not None:
            chunk = self._with_one_line_end(chunk)
        lines: list[bytes | bytearray] = [*chunk.split(b"\n")]
        rest = lines.pop()
        events: list[ServerSentEvent] = []
        if lines:
            if self._line:
                self._line += lines[0]
                lines[0], self._line = self._line, bytearray()
            self._interpret(lines, events)
        self._line += rest
        if self._size + len(self._line) > self._max_event_size:
            self._size += len(self._line)
            self._line.clear()
            self._data = None
            size = self._max_event_size
            self.error = RemoteProtocolError(f"An event is larger than {size} bytes.")
            if not events:
                raise self.error
        return events

    def receive_eof(self) -> list[ServerSentEvent]:
        """End the body. An event without its blank line is dropped (9.2.6).

        Raises:
            RemoteProtocolError: the stream had already failed.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        self._has_ended = True
        return []

    def _with_one_line_end(self, chunk: bytes) -> bytes:
        """The next of the stream without its byte order mark, with LF as the only line end."""
        if self._start is not None:
            chunk = self._start + chunk
            undecided = len(chunk) < len(_BOM) and _BOM.startswith(chunk)
            self._start = chunk if undecided else None
            chunk = b"" if undecided else chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _interpret(self, lines: list[bytes | bytearray], events: list[ServerSentEvent]) -> None:
        """Section 9.2.6 for finished lines, up to the first that makes its event too large."""
        size, limit, data = self._size, self._max_event_size, self._data
        for line in lines:
            if line:
                size += len(line)
                if size > limit:
                    break
                if line[:6] == b"data: ":  # the line that matters, without a call
                    value = line[6:] if len(line) < _LARGE else memoryview(line)[6:]
                else:
                    name, _, value = line.partition(b":")
                    value = value.removeprefix(b" ")
                    if name != b"data":
                        self._process_field(name, value)
                        continue
                if data is None:
                    data = value
                else:
                    if not isinstance(data, bytearray):
                        data = bytearray(data)
                    data += b"\n"
                    data += value
            else:
                self._last_event_id = self._id
                if data is not None:
                    event = (
                        self._event or "message",
                        str(data, "utf-8", "replace"),
                        self._last_event_id,
                        self._reconnection_time,
                    )
                    events.append(_new(ServerSentEvent, event))
                    data = None
                self._event = ""
                size = 0
        self._size, self._data = size, data

    def _process_field(self, name: bytes | bytearray, value: bytes | bytearray) -> None:
        """Interpret a line that is not data. Unknown names and comments (an empty name) do
        nothing."""
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._reconnection_time = int(value)
