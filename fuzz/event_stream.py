"""Invariant: however a stream is cut, the decoder gives the events that the standard, read word by
word over the whole text, gives; and too large an event ends it with RemoteProtocolError, after the
same events.

The first byte says how the rest is cut.
"""

from __future__ import annotations

import re

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.sse import ServerSentEvent, SSEDecoder

LIMIT = 500


def target(data: bytes) -> None:
    step, stream = max(data[:1], default=0) + 1, data[1:]
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert decoded(pieces, LIMIT) == decoded([stream], LIMIT) == by_the_standard(stream, LIMIT)


def decoded(pieces: list[bytes], limit: int) -> tuple[list[ServerSentEvent], bool]:
    """The events, and whether the stream stayed within the limit."""
    decoder = SSEDecoder(max_event_size=limit)
    events: list[ServerSentEvent] = []
    try:
        for piece in pieces:
            events += decoder.receive_data(piece)
        events += decoder.receive_eof()
    except RemoteProtocolError:
        return events, False
    return events, True


def by_the_standard(stream: bytes, limit: int) -> tuple[list[ServerSentEvent], bool]:
    """Sections 9.2.5 and 9.2.6 of the HTML standard, slowly."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    *lines, rest = re.split("\r\n|\n|\r", text)
    events: list[ServerSentEvent] = []
    data = event_type = id_buffer = last_event_id = ""
    reconnection_time: int | None = None
    size = 0

    def decode(text: str) -> str:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    for line in lines:
        size += len(line.encode("utf-8", "surrogateescape"))
        if size > limit:
            return events, False
        if line == "":
            size = 0
            last_event_id = id_buffer
            if data == "":
                event_type = ""
                continue
            events.append(
                ServerSentEvent(
                    decode(event_type) or "message",
                    decode(data.removesuffix("\n")),
                    decode(last_event_id),
                    reconnection_time,
                )
            )
            data = event_type = ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                event_type = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                id_buffer = value
            elif field == "retry" and re.fullmatch("[0-9]+", value):
                reconnection_time = int(value)
    return events, size + len(rest.encode("utf-8", "surrogateescape")) <= limit


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    return b"\x0f" + b"event: e\ndata: x\ndata: y\r\n\n" * (100 * times)
