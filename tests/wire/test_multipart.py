"""A form with files: what a parser of forms finds in it is what was put in."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.wire.multipart import Part, content_type, form, sent_name

BOUNDARY = "0123456789abcdef"


def parsed(pieces: list[bytes]) -> list[Any]:
    head = f"Content-Type: {content_type(BOUNDARY)}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + b"".join(pieces))
    return list(message.iter_parts())


@given(st.lists(st.binary().filter(lambda data: BOUNDARY.encode() not in data), max_size=4))
def test_files_come_out_as_they_went_in(contents: list[bytes]) -> None:
    parts = [Part("files", f"{at}.bin", "image/png", data) for at, data in enumerate(contents)]
    found = parsed(form(parts, BOUNDARY)) if parts else []
    assert [part.get_payload(decode=True) for part in found] == contents
    assert [part.get_filename() for part in found] == [part.filename for part in parts]
    assert {part.get_content_type() for part in found} <= {"image/png"}


def test_the_bytes_are_those_of_the_standard() -> None:
    content = object()
    head, stays, tail = form([Part("files", "a b.txt", "text/plain", content)], "XX")
    assert head == (
        b'--XX\r\nContent-Disposition: form-data; name="files"; filename="a b.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n"
    )
    assert stays is content
    assert tail == b"\r\n--XX--\r\n"
    assert content_type("XX") == "multipart/form-data; boundary=XX"


# As servers of each version read them: see FILES in the protocol's documentation.
NAMES = {
    "plain.txt": "plain.txt",
    "na\u00efve \u65e5\u672c.txt": "na\u00efve \u65e5\u672c.txt",
    "100%20.txt": "100%20.txt",  # never decoded, never escaped
    'a"b\\c.txt': "abc.txt",
    "x\"; filename*=utf-8''y": "x; filename*=utf-8''y",
    "line\r\nX-Evil: 1.txt": "lineX-Evil: 1.txt",
    "nul\0tab\t\x7f\x85\u2028.txt": "nultab.txt",
    "\udc80.txt": "?.txt",
    "a/../../b.txt": "a....b.txt",
    "": "file",
    ".": "file",
    "..": "file",
    " . ": "file",
    "\r\n": "file",
    ".env": ".env",
    "Makefile": "Makefile",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_sent_as_servers_can_store_it(name: str) -> None:
    assert sent_name(name) == NAMES[name]


@given(st.text(max_size=400))
def test_no_name_leaves_its_quotes_or_is_too_long(name: str) -> None:
    sent = sent_name(name)
    assert 0 < len(sent.encode()) <= 200
    assert not set(sent) & set('"\\/\r\n\0')
    (part,) = parsed(form([Part("files", name, "image/png", b"")], BOUNDARY))
    assert part.get_payload(decode=True) == b""


def test_a_long_name_keeps_its_ending() -> None:
    assert sent_name("a" * 300 + ".png") == "a" * 196 + ".png"
    whole = sent_name("\u65e5" * 120 + ".txt")
    assert whole == "\u65e5" * 65 + ".txt"  # 195 bytes, cut at a whole character
    assert sent_name("a." + "b" * 300) == "a." + "b" * 198
    assert sent_name("." + "b" * 300) == "." + "b" * 199


@pytest.mark.parametrize("kind", ['a"b', "a\r\nX: y", "caf\u00e9"])
def test_a_type_that_no_header_can_carry_is_left_out(kind: str) -> None:
    head, _, _ = form([Part("files", "a", kind, b"")], BOUNDARY)
    assert head.endswith(b"\r\nContent-Type: application/octet-stream\r\n\r\n")
