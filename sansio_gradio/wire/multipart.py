"""The body of a form with files (multipart/form-data, RFC 7578), in pieces.

The writer makes the bytes between the files; the content of a file is any value with a length, and
stays as it is. So a file is never in memory, and the length of the body is known before it is read.

Names are sent as servers read them: as UTF-8 in ``filename`` (never percent-escaped, never as
``filename*``), without quotes, backslashes and control characters, at most 200 bytes long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import attrs

_LONGEST_NAME: Final = 200  # bytes, as servers cut
_LONGEST_ENDING: Final = 20
_DROPPED: Final = frozenset('"\\/')
_NO_TYPE: Final = "application/octet-stream"

T = TypeVar("T")


@attrs.frozen
class Part(Generic[T]):
    """A file of a form. ``content``: its bytes, or a value that stands for them."""

    field: str
    filename: str
    mime_type: str
    content: T


def form(parts: Iterable[Part[T]], boundary: str) -> list[bytes | T]:
    """The pieces of a form, in order. *boundary* must not occur in any file: draw it at random."""
    pieces: list[bytes | T] = []
    before = b""
    for part in parts:
        name = sent_name(part.filename)
        kind = part.mime_type if _is_plain(part.mime_type) else _NO_TYPE
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part.field}";'
            f' filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
        )
        pieces += [before + head.encode(), part.content]
        before = b"\r\n"
    return [*pieces, before + f"--{boundary}--\r\n".encode()]


def content_type(boundary: str) -> str:
    """The Content-Type of a form."""
    return f"multipart/form-data; boundary={boundary}"


def sent_name(name: str) -> str:
    """*name* as it can stand in a form, and as a server can store it."""
    name = name.encode("utf-8", "replace").decode()
    name = "".join(char for char in name if char.isprintable() and char not in _DROPPED)
    if not name.strip(" ."):
        return "file"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > _LONGEST_ENDING:
        stem, dot, ending = name, "", ""
    room = _LONGEST_NAME - len((dot + ending).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + ending


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and '"' not in text
