"""The body of a form with files, read piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.form import (
    FormEnded,
    FormError,
    FormEvent,
    FormReader,
    PartData,
    PartEnded,
    PartStarted,
    boundary_of,
    is_form,
)

HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'


def read(*pieces: bytes, boundary: bytes = b"x") -> list[FormEvent]:
    """The events of a form; data that comes in several pieces is joined."""
    reader, events = FormReader(boundary), list[FormEvent]()
    for piece in pieces:
        for event in reader.receive_data(piece):
            if isinstance(event, PartData) and events and isinstance(events[-1], PartData):
                events[-1] = PartData(events[-1].data + event.data)
            else:
                events.append(event)
    return events


def started(head: bytes) -> PartStarted:
    (event,) = read(b"--x\r\n" + head + b"\r\n\r\n")
    assert isinstance(event, PartStarted)
    return event


def test_files_and_fields() -> None:
    body = (
        HEAD + b"abc\r\n--x\r\nContent-Disposition: form-data; name=text\r\n"
        b"Content-Type: text/x-a\r\n\r\n\r\n--x--\r\nnoise"
    )
    assert read(body) == [
        PartStarted("files", "a.txt"),
        PartData(b"abc"),
        PartEnded(),
        PartStarted("text", content_type="text/x-a"),
        PartEnded(),
        FormEnded(),
    ]
    assert read(body) == read(*(bytes([byte]) for byte in body))


@given(st.data())
def test_any_content_and_any_cut(data: st.DataObject) -> None:
    """Also content that is nearly a boundary."""
    parts = st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"x", b"\r\n--x", b"a", b"\0"])
    content = b"".join(data.draw(st.lists(parts, max_size=12)))
    boundary = b"xyz"
    body = HEAD.replace(b"--x", b"--xyz") + content + b"\r\n--xyz--"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    held = [PartData(content)] if content else []
    assert read(*pieces, boundary=boundary) == [
        PartStarted("files", "a.txt"),
        *held,
        PartEnded(),
        FormEnded(),
    ]


def test_content_leaves_as_it_comes() -> None:
    reader = FormReader(b"x")
    reader.receive_data(HEAD)
    (event,) = reader.receive_data(b"a" * 100_000)
    assert isinstance(event, PartData)
    assert len(event.data) > 99_990


def test_a_form_that_is_cut_off_has_not_ended() -> None:
    assert read(HEAD + b"abc\r\n--") == [PartStarted("files", "a.txt"), PartData(b"abc")]
    assert read(HEAD + b"abc\r\n--x")[-1] == PartData(b"abc")
    assert read(HEAD + b"abc\r\n--x\r\n")[-1] == PartEnded()


def test_names() -> None:
    assert started(b'Content-Disposition: form-data; filename="a\\"b;\\\\.txt"; name=f') == (
        PartStarted("f", 'a"b;\\.txt')
    )
    assert started("content-disposition:form-data; filename=日.txt".encode()).filename == "日.txt"
    assert started(b'Content-Disposition: form-data; filename="\xef"').filename == "ï"
    extended = b"Content-Disposition: form-data; filename*=UTF-8'en'na%C3%AFve"
    assert started(extended) == PartStarted(None, None, "naïve")
    for unknown in (b"nonsense", b"UTF-8\0", b"hex"):
        assert started(extended.replace(b"UTF-8", unknown)) == PartStarted(None)
    assert started(extended.replace(b"UTF-8'en'na%C3%AFve", b"plain")).extended_filename == ""
    assert read(b"--x\r\n\r\nabc")[0] == PartStarted(None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"abc", "Expected boundary character 45, got 97 at index 2"),
        (b"--y", "Expected boundary character 120, got 121 at index 4"),
        (b"--xy", None),
        (b"--x\r", None),
        (b"--x__", "end of the boundary"),
        (b"\r\n--x\r\n", None),
    ],
)
def test_it_begins_with_the_boundary(body: bytes, said: str | None) -> None:
    if said is None:
        assert read(body) == []
    else:
        with pytest.raises(FormError, match=said) as raised:
            read(body)
        assert isinstance(raised.value, RemoteProtocolError)
        assert not raised.value.is_too_large


def test_the_head_of_a_part_is_bounded() -> None:
    long = b"--x\r\nA: " + b"a" * 8193
    for body in (long, long + b"\r\n\r\n"):
        with pytest.raises(FormError) as raised:
            read(body)
        assert raised.value.is_too_large
    longest = long[: 8192 + 5] + b"\r\n\r\n"
    assert read(longest)[0] == PartStarted(None)
    reader = FormReader(b"x")
    came = [event for byte in longest for event in reader.receive_data(bytes([byte]))]
    assert came == [PartStarted(None)]


def test_the_content_type_of_a_form() -> None:
    assert is_form("Multipart/Form-Data; boundary=x")
    assert not is_form("multipart/form-data-x")
    assert boundary_of('multipart/form-data; a=b; boundary="x y"') == b"x y"
    assert boundary_of("multipart/form-data; boundary=") is None
