"""Invariant: a form, however it is cut, gives the same parts or FormError; what it holds at once is
bounded; and a form that we write reads as it was written.

The first byte says how the rest is cut, and the second one how long the boundary is, which follows.
"""

from __future__ import annotations

from typing import Any

from sansio_gradio.wire.form import (
    FormEnded,
    FormError,
    FormReader,
    PartData,
    PartEnded,
    PartStarted,
)
from sansio_gradio.wire.multipart import Part, form, sent_name

LIMIT = 200


def target(data: bytes) -> None:
    cut, size = (data[:2] + b"\0\0")[:2]
    boundary, body = data[2 : 2 + size % 32 + 1], data[2 + size % 32 + 1 :]
    step = cut + 1
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    assert read(boundary, pieces) == read(boundary, [body])
    _written(body)


def read(boundary: bytes, pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Any], bool]:
    """The parts, whose pieces are joined, and whether all was well."""
    reader = FormReader(boundary, max_header=limit)
    events: list[Any] = []
    try:
        for piece in pieces:
            for event in reader.receive_data(piece):
                if isinstance(event, PartData) and events and isinstance(events[-1], bytes):
                    events[-1] += event.data
                else:
                    events.append(event.data if isinstance(event, PartData) else event)
    except FormError:
        return [], False  # what came before the mistake is lost: nobody wants half a form
    return events, True


def _written(content: bytes) -> None:
    name = content[:60].decode("utf-8", "replace")
    boundary = "-" * 20 + "0123456789"
    if boundary.encode() in content:
        return
    body = b"".join(form([Part("files", name, "text/plain", content)] * 2, boundary))
    started = PartStarted("files", sent_name(name), None, "text/plain")
    part = [started, *([content] if content else []), PartEnded()]
    assert read(boundary.encode(), [body], 1000) == ([*part, *part, FormEnded()], True)


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    part = b'--X\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nhello\r\n-\r\n'
    return b"\x0f\x00X" + part * (50 * times) + b"--X--"
