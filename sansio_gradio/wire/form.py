"""Parse the body of a form with files (``multipart/form-data``) piece by piece, as servers do.

Rule 1: the content of a part leaves as it comes. Only the head of a part is held, and bytes that
may be the start of a boundary.
Rule 2: what comes out does not depend on how the body was cut, but for the cuts of ``PartData``.
Rule 3: a form has ended well if ``FormEnded`` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import unquote

import attrs

from sansio_gradio.errors import RemoteProtocolError

__all__ = [
    "FormEnded",
    "FormError",
    "FormEvent",
    "FormReader",
    "PartData",
    "PartEnded",
    "PartStarted",
    "boundary_of",
    "is_form",
]

_PARAMETER: Final = re.compile(rb';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)', re.S)
_ESCAPED: Final = re.compile(rb'\\(["\\])')
_AFTER: Final = (b"", b"\r", b"\r\n", b"-", b"--")  # a boundary, as far as it has come
_MAX_HEADER: Final = 8 * 1024  # of one part (python-multipart's users: starlette, gradio)


class FormError(RemoteProtocolError):
    """The body is not a form. ``is_too_large``: the head of one part exceeds its limit."""

    def __init__(self, text: str, *, is_too_large: bool = False) -> None:
        super().__init__(text)
        self.is_too_large = is_too_large


@attrs.frozen
class PartStarted:
    """The head of a part: its field, and the name of its file; None if it is not a file.

    ``extended_filename`` is what ``filename*`` says (RFC 5987), if it is there.
    """

    field: str | None
    filename: str | None = None
    extended_filename: str | None = None
    content_type: str | None = None


@attrs.frozen
class PartData:
    """Some bytes of the part's content, never empty."""

    data: bytes


@attrs.frozen
class PartEnded:
    """The part is complete."""


@attrs.frozen
class FormEnded:
    """The closing boundary has come. What follows it means nothing."""


FormEvent: TypeAlias = PartStarted | PartData | PartEnded | FormEnded


class FormReader:
    """Reads one form. ``max_header`` (bytes) bounds the head of a part."""

    def __init__(self, boundary: bytes, *, max_header: int = _MAX_HEADER) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._max_header = max_header
        self._held = b""
        self._step: Callable[[list[FormEvent]], bool] = self._read_start

    def receive_data(self, data: bytes) -> list[FormEvent]:
        """The events that *data* completes.

        Raises:
            FormError: it is no form. What came before the mistake is lost: nobody wants half a
                form.
        """
        events: list[FormEvent] = []
        self._held += data
        while self._step(events):
            pass
        return events

    def _read_start(self, events: list[FormEvent]) -> bool:
        """The first boundary. It has no line end before it, but some clients send one."""
        self._held = self._held.lstrip(b"\r\n")
        first = self._delimiter[2:]
        for place, (wanted, got) in enumerate(zip(first, self._held, strict=False), start=2):
            if wanted != got:
                raise FormError(f"Expected boundary character {wanted}, got {got} at index {place}")
        return self._after_boundary(events, len(first))

    def _read_head(self, events: list[FormEvent]) -> bool:
        end = 0 if self._held.startswith(b"\r\n") else self._held.find(b"\r\n\r\n")
        least = end if end >= 0 else len(self._held) - 3  # its end may have begun to come
        if least > self._max_header:
            raise FormError("Headers exceeded maximum allowed size.", is_too_large=True)
        if end < 0:
            return False
        head, self._held = self._held[:end], self._held[end + (4 if end else 2) :]
        events.append(_read_part_head(head))
        self._step = self._read_content
        return True

    def _read_content(self, events: list[FormEvent]) -> bool:
        """The content, up to the next boundary."""
        held, delimiter = self._held, self._delimiter
        place = held.find(delimiter)
        while place >= 0 and held[place + len(delimiter) :][:2] not in _AFTER:
            place = held.find(delimiter, place + 1)  # the same bytes, but no boundary
        # What may be the start of a boundary waits for more.
        known = place if place >= 0 else max(len(held) - len(delimiter) + 1, 0)
        if known:
            events.append(PartData(held[:known]))
            self._held = held[known:]
        if place < 0 or len(self._held) < len(delimiter) + 2:
            return False
        events.append(PartEnded())
        return self._after_boundary(events, len(delimiter))

    def _after_boundary(self, events: list[FormEvent], end: int) -> bool:
        """Read what follows a boundary that ends there: a line end, or the end of the form."""
        following = self._held[end : end + 2]
        if len(following) < 2:
            return False
        if following == b"--":
            events.append(FormEnded())
            self._step = self._skip
        elif following == b"\r\n":
            self._step = self._read_head
        else:
            raise FormError(f"Did not find CR LF at the end of the boundary, but {following!r}")
        self._held = self._held[end + 2 :]
        return True

    def _skip(self, events: list[FormEvent]) -> bool:  # noqa: ARG002
        self._held = b""
        return False


def is_form(content_type: str) -> bool:
    """Whether a Content-Type says that a body is a form with files."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a Content-Type names; None if it names none."""
    found = _parameters(b";" + content_type.partition(";")[2].encode("latin-1"))
    return found.get("boundary") or None


def _read_part_head(head: bytes) -> PartStarted:
    said: dict[str, bytes] = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        said.setdefault(name.strip().lower().decode("latin-1"), value.strip())
    disposition = _parameters(said.get("content-disposition", b""))
    field, filename = disposition.get("name"), disposition.get("filename")
    content_type = said.get("content-type")
    return PartStarted(
        None if field is None else _text(field),
        None if filename is None else _text(filename),
        _extended(disposition.get("filename*")),
        None if content_type is None else content_type.decode("latin-1"),
    )


def _parameters(value: bytes) -> dict[str, bytes]:
    """The parameters of a header field, such as ``; name="files"``, without their quotes."""
    found: dict[str, bytes] = {}
    for name, given in _PARAMETER.findall(value):
        text: bytes = given.strip()
        if text.startswith(b'"'):
            text = _ESCAPED.sub(rb"\1", text[1:-1])
        found.setdefault(name.decode("latin-1").lower(), text)
    return found


def _extended(value: bytes | None) -> str | None:
    """What ``filename*=utf-8''na%C3%AFve`` says."""
    if value is None:
        return None
    charset, _, rest = value.decode("latin-1").partition("'")
    try:
        return unquote(rest.partition("'")[2], encoding=charset or "utf-8", errors="replace")
    except (LookupError, ValueError):  # no such charset, or none that a codec can have
        return None


def _text(value: bytes) -> str:
    """UTF-8 as a rule; what is not is taken for latin-1, as servers do."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
