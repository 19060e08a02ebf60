"""What waits to be sent comes out once, in order, whatever is asked for at a time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.wire.body import FileSlice
from sansio_gradio.wire.outbox import Outbox


@given(st.lists(st.binary(max_size=9), max_size=6), st.lists(st.integers(0, 20), max_size=9))
def test_however_it_is_taken_it_comes_whole_and_in_order(
    pieces: list[bytes], sizes: list[int]
) -> None:
    outbox = Outbox()
    for piece in pieces:
        outbox.put(piece)
    whole = b"".join(pieces)
    assert len(outbox) == sum(map(bool, pieces))
    taken = b""
    for size in sizes:
        part = outbox.take(size)
        assert len(part) == min(size, len(whole) - len(taken))
        taken += part
        assert outbox.size == len(whole) - len(taken)
    assert taken + outbox.take(100) == whole
    assert (len(outbox), outbox.size, outbox.take(1)) == (0, 0, b"")


class Counted(bytes):
    """Bytes that count how many of them were copied."""

    copied = 0

    def __getitem__(self, place: Any) -> Any:
        found = bytes(self)[place]
        Counted.copied += len(found)
        return Counted(found)


def test_taking_copies_every_byte_once_and_none_of_what_is_taken_whole() -> None:
    outbox = Outbox()
    Counted.copied = 0
    outbox.put(Counted(b"0123456789" * 1000))
    outbox.put(Counted(b"!"))
    taken = list(iter(lambda: outbox.take(7), b""))
    assert b"".join(taken) == b"0123456789" * 1000 + b"!"
    assert Counted.copied == 10_000


def test_what_is_dropped_half_taken_leaves_no_trace() -> None:
    outbox = Outbox()
    outbox.put(b"0123456789")
    assert outbox.take(4) == b"0123"
    outbox.clear()
    assert outbox.size == 0
    outbox.put(b"abc")
    assert outbox.take(100) == b"abc"


def test_a_slice_of_a_file_comes_after_the_bytes_before_it() -> None:
    outbox = Outbox()
    outbox.put(b"ab")
    outbox.put(FileSlice("a file", 10, 5))
    assert outbox.take_slice(9) is None
    assert (outbox.take(9), outbox.take(9), outbox.slices) == (b"ab", b"", 1)
    assert outbox.take_slice(3) == FileSlice("a file", 10, 3)
    assert outbox.take_slice(9) == FileSlice("a file", 13, 2)
    assert (outbox.take_slice(9), outbox.size, outbox.slices) == (None, 0, 0)
