"""However the network cuts an event stream, what comes out is what the standard says."""

from __future__ import annotations

import base64
import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fuzz.event_stream import LIMIT, by_the_standard, decoded, target
from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.wire.sse import ServerSentEvent, SSEDecoder
from tests.support.corpora import cases_of


def event(
    data: str, event: str = "message", id: str = "", retry: int | None = None
) -> ServerSentEvent:
    return ServerSentEvent(event=event, data=data, id=id, retry=retry)


def one_by_one(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


# Cases of our own. Each ends with a blank line, so that another event can follow it.

CASES: dict[str, tuple[bytes, list[ServerSentEvent]]] = {
    "nothing": (b"", []),
    "blank lines": (b"\n\r\n\r\n\n", []),
    "as Gradio sends it": (
        b'data: {"msg":"estimation"}\n\ndata: {"msg":"process_starts"}\n\n',
        [event('{"msg":"estimation"}'), event('{"msg":"process_starts"}')],
    ),
    "as /call sends it": (
        b"event: generating\ndata: [1]\n\nevent: complete\ndata: [2]\n\n",
        [event("[1]", "generating"), event("[2]", "complete")],
    ),
    "a ping between": (b": ping - 2024\r\n\r\ndata: a\r\n\r\n", [event("a")]),
    "CRLF": (b"event: x\r\ndata: a\r\ndata: b\r\n\r\n", [event("a\nb", "x")]),
    "CR": (b"event: x\rdata: a\rdata: b\r\r", [event("a\nb", "x")]),
    "mixed line ends": (b"data: a\rdata: b\r\ndata: c\n\r", [event("a\nb\nc")]),
    "CR CRLF is two line ends": (b"data: a\r\r\ndata: b\n\n", [event("a"), event("b")]),
    "CRLF CR is two line ends": (b"data: a\r\n\rdata: b\n\n", [event("a"), event("b")]),
    "LF CR is two line ends": (b"data: a\n\rdata: b\n\n", [event("a"), event("b")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [event("a")]),
    "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [event("b")]),
    "a byte order mark later": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [event("a")]),
    "the start of a byte order mark": (b"\xef\xbbdata: a\n\ndata: b\n\n", [event("b")]),
    "a mark in the data": (b"data: \xef\xbb\xbfa\n\n", [event("\ufeffa")]),
    "no space after the colon": (b"data:a\n\n", [event("a")]),
    "one space is removed": (b"data:  a \n\n", [event(" a ")]),
    "a tab is not": (b"data:\ta\n\n", [event("\ta")]),
    "colons in the value": (b"data: a: b\n\n", [event("a: b")]),
    "no colon": (b"data\n\n", [event("")]),
    "empty data": (b"data:\n\ndata: \n\n", [event(""), event("")]),
    "two empty data lines": (b"data\ndata:\n\n", [event("\n")]),
    "empty data in the middle": (b"data: a\ndata\ndata: b\n\n", [event("a\n\nb")]),
    "no data, no event": (b"event: x\n\ndata: a\n\n", [event("a")]),
    "an empty event type": (b"event: x\nevent\ndata: a\n\n", [event("a")]),
    "the last event type": (b"event: x\nevent: y\ndata: a\n\n", [event("a", "y")]),
    "names have cases and no spaces": (b"Data: a\n data: b\ndata : c\ndata: d\n\n", [event("d")]),
    "unknown names": (b"date: a\ndatas: b\ndata: c\n\n", [event("c")]),
    "comments": (b":\n:data: a\n: data: b\ndata: c\n\n", [event("c")]),
    "an id stays": (b"id: 1\ndata: a\n\ndata: b\n\n", [event("a", id="1"), event("b", id="1")]),
    "an id without data": (b"id: 1\n\ndata: a\n\n", [event("a", id="1")]),
    "an id goes": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [event("a", id="1"), event("b")]),
    "an id with NUL": (b"id: 1\nid: 2\0\ndata: a\n\n", [event("a", id="1")]),
    "NUL elsewhere": (b"event: x\0\ndata: a\0\n\n", [event("a\0", "x\0")]),
    "a retry stays": (
        b"retry: 030\ndata: a\n\ndata: b\n\n",
        [event("a", retry=30), event("b", retry=30)],
    ),
    "no retry": (
        b"retry: 5x\nretry: -5\nretry: +5\nretry:  5\nretry: 5.\nretry\nretry: \xd9\xa3\n"
        b"retry: \xc2\xb2\ndata: a\n\n",
        [event("a")],
    ),
    "more digits than Python converts": (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [event("a")]),
    "UTF-8": ("id: ä\nevent: €\ndata: 😀\n\n".encode(), [event("😀", "€", "ä")]),
    "not UTF-8": (
        b"id: \xff\nevent: \xe2\x82\ndata: \xf0\x9f\x98\ndata: \xc0\xaf\xed\xa0\x80\n\n",
        [event("\ufffd\n" + "\ufffd" * 5, "\ufffd", "\ufffd")],
    ),
    "other line ends of Unicode": (
        "data: a\x0b\x0c\x85\u2028b\n\n".encode(),
        [event("a\x0b\x0c\x85\u2028b")],
    ),
    "long": (b"data: " + b"x" * 70_000 + b"\n\n", [event("x" * 70_000)]),
    "long, in two lines": (
        b"data: " + b"x" * 20_000 + b"\ndata: " + b"y" * 20_000 + b"\n\n",
        [event("x" * 20_000 + "\n" + "y" * 20_000)],
    ),
}  # fmt: skip


def all_of(decoder: SSEDecoder, pieces: list[bytes]) -> list[ServerSentEvent]:
    return [event for piece in pieces for event in decoder.receive_data(piece)]


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_each_case_three_ways(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert all_of(SSEDecoder(), [stream]) == expected
    assert all_of(SSEDecoder(), one_by_one(stream)) == expected

    decoder = SSEDecoder()
    *before, last = all_of(decoder, [stream + b"event: tail\ndata: t\n\ndata: unfinished\n"])
    assert before == expected
    assert (last.event, last.data) == ("tail", "t")
    assert decoder.receive_eof() == []


@pytest.mark.parametrize(
    "stream", [b"data: a", b"data: a\n", b"data: a\r", b"data: a\r\n", b"\xef\xbb", b"id: 1\n"]
)
def test_what_has_no_blank_line_is_dropped(stream: bytes) -> None:
    for pieces in ([stream], one_by_one(stream)):
        decoder = SSEDecoder()
        assert all_of(decoder, pieces) == decoder.receive_eof() == []
        assert decoder.last_event_id == ""


def test_an_event_ended_by_cr_is_dispatched_at_once_and_a_following_lf_swallowed() -> None:
    decoder = SSEDecoder()
    assert decoder.receive_data(b"data: a\r\r") == [event("a")]
    assert decoder.receive_data(b"\ndata: b\r") == []
    assert decoder.receive_data(b"") == []
    assert decoder.receive_data(b"\n") == []
    assert decoder.receive_data(b"data: c\r\n\r") == [event("b\nc")]


def test_only_the_lf_right_after_the_cr_is_swallowed() -> None:
    decoder = SSEDecoder()
    assert decoder.receive_data(b"data: a\r") == []
    assert decoder.receive_data(b"data: b\n") == []
    assert decoder.receive_data(b"\n") == [event("a\nb")]


def test_any_kind_of_bytes_will_do() -> None:
    decoder = SSEDecoder()
    assert decoder.receive_data(bytearray(b"data: a\n\ndata")) == [event("a")]
    assert decoder.receive_data(memoryview(b": b\n\n")) == [event("b")]


def test_a_buffer_may_be_used_again() -> None:
    decoder, buffer = SSEDecoder(), bytearray(b"data: " + b"x" * 20_000 + b"\n")
    decoder.receive_data(buffer)
    buffer[:] = b"\n" * len(buffer)
    assert decoder.receive_data(b"\n") == [event("x" * 20_000)]


def test_the_last_event_id_is_that_of_the_last_finished_event() -> None:
    decoder = SSEDecoder()
    decoder.receive_data(b"id: 1\ndata: a\n")
    assert decoder.last_event_id == ""
    decoder.receive_data(b"\nid: 2\n")
    assert decoder.last_event_id == "1"
    decoder.receive_data(b"\n")
    assert decoder.last_event_id == "2"


def test_a_reconnection_time_counts_from_its_own_line_on() -> None:
    decoder = SSEDecoder()
    assert decoder.reconnection_time is None
    decoder.receive_data(b"retry: 100\n")
    assert decoder.reconnection_time == 100


def test_nothing_comes_after_the_end() -> None:
    decoder = SSEDecoder()
    assert decoder.receive_eof() == decoder.receive_eof() == []
    with pytest.raises(LocalProtocolError):
        decoder.receive_data(b"data: a\n\n")


# Limits

ENDLESS = {
    "a line": b"data: " + b"x" * 1000,
    "data": b"data: x\n" * 200,
    "empty data": b"data\n" * 250,
    "comments": b": x\r\n" * 400,
    "names": b"xyz\r" * 400,
    "an event type": b"event: " + b"x" * 1000,
}


@pytest.mark.parametrize("stream", ENDLESS.values(), ids=ENDLESS)
def test_an_event_without_end_is_refused_where_its_bytes_pass_the_limit(stream: bytes) -> None:
    decoder = SSEDecoder(max_event_size=100)
    counted = [at for at, byte in enumerate(stream) if byte not in b"\r\n"]
    assert all_of(decoder, one_by_one(stream[: counted[100]])) == []
    with pytest.raises(RemoteProtocolError, match="100 bytes"):
        decoder.receive_data(stream[counted[100] : counted[100] + 1])
    with pytest.raises(RemoteProtocolError):
        SSEDecoder(max_event_size=100).receive_data(stream)


def test_a_decoder_that_failed_stays_failed_and_keeps_nothing() -> None:
    decoder = SSEDecoder(max_event_size=100)
    for data in (b"data: " + b"x" * 50 + b"\n" + b"y" * 101, b"", b"\n\ndata: a\n\n"):
        with pytest.raises(RemoteProtocolError, match="larger than 100 bytes"):
            decoder.receive_data(data)
    with pytest.raises(RemoteProtocolError, match="larger than 100 bytes"):
        decoder.receive_eof()
    kept = [value for value in vars(decoder).values() if isinstance(value, bytes | bytearray)]
    assert not any(kept)


@pytest.mark.parametrize("end", [b"", b"\n\n", b"\n\ndata: never\n\n"])
def test_events_before_one_too_large_are_handed_out_first(end: bytes) -> None:
    decoder = SSEDecoder(max_event_size=20)
    assert decoder.receive_data(b"data: a\n\ndata: " + b"x" * 50 + end) == [event("a")]
    with pytest.raises(RemoteProtocolError):
        decoder.receive_data(b"\n\n")


def test_an_event_of_just_the_limit_passes_and_the_next_one_starts_anew() -> None:
    stream = b"event: x\ndata: abcdef\n\n" * 3
    size = len(b"event: x" + b"data: abcdef")
    assert len(all_of(SSEDecoder(max_event_size=size), [stream])) == 3
    assert len(all_of(SSEDecoder(max_event_size=size), one_by_one(stream))) == 3
    assert decoded([stream], size - 1) == decoded(one_by_one(stream), size - 1) == ([], False)


# Any slicing

noisy = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"data", b"data:", b"data: ", b":", b" "]),
        st.sampled_from([b"event: ", b"id: ", b"retry: ", b"12", b"\0", b"\xef\xbb\xbf", b"\xe2"]),
        st.binary(max_size=4),
        st.just(b"x" * 90),
    ),
    max_size=40,
).map(b"".join)


@given(stream=noisy, cuts=st.lists(st.integers(0, 300), max_size=8))
@example(stream=b"\xef\xbb\xbfdata:\r\r\n", cuts=[1, 2, 9, 10])
def test_any_slicing_gives_what_the_standard_says(stream: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(ends)]
    expected = by_the_standard(stream, LIMIT)
    assert decoded(pieces, LIMIT) == expected
    assert decoded(one_by_one(stream), LIMIT) == expected


@given(
    st.one_of(
        st.binary(), st.binary(min_size=1, max_size=1).flatmap(lambda b: noisy.map(b.__add__))
    )
)
def test_the_fuzz_target_holds(data: bytes) -> None:
    target(data)


# A server that writes, a network that cuts, and a decoder that must not notice.

texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
line_ends = st.sampled_from(["\n", "\r\n", "\r"])
reached: Counter[str] = Counter()


class SlicedStream(RuleBasedStateMachine):
    """The server's half is written from the standard, not from the decoder."""

    @initialize(marked=st.booleans())
    def open_stream(self, marked: bool) -> None:
        self.decoder = SSEDecoder()
        self.in_flight = b"\xef\xbb\xbf" if marked else b""
        self.id = ""
        self.retry: int | None = None
        self.expected: list[ServerSentEvent] = []
        self.got: list[ServerSentEvent] = []

    @rule(lines=st.lists(texts, min_size=1, max_size=3), end=line_ends, kind=texts)
    def server_writes(self, lines: list[str], end: str, kind: str) -> None:
        fields = [f"event: {kind}", *(f"data: {line}" for line in lines), ""]
        self.in_flight += "".join(field + end for field in fields).encode()
        self.expected.append(event("\n".join(lines), kind or "message", self.id, self.retry))
        reached[f"events ended by {end!r}"] += 1

    @rule(id=texts.filter(lambda text: "\0" not in text), end=line_ends)
    def server_names_an_id(self, id: str, end: str) -> None:
        self.in_flight += f"id:{' ' + id if id else ''}{end}{end}".encode()
        self.id = id

    @rule(retry=st.integers(min_value=0), end=line_ends)
    def server_asks_for_patience(self, retry: int, end: str) -> None:
        self.in_flight += f"retry:{retry}{end}".encode()
        self.retry = retry

    @rule(text=texts, end=line_ends)
    def proxy_pings(self, text: str, end: str) -> None:
        self.in_flight += f":{text}{end}{end}".encode()

    @rule(size=st.integers(min_value=1, max_value=9))
    def network_delivers_some(self, size: int) -> None:
        self.got += self.decoder.receive_data(self.in_flight[:size])
        self.in_flight = self.in_flight[size:]

    @precondition(lambda self: b"\r" in self.in_flight)
    @rule()
    def network_cuts_behind_a_cr(self) -> None:
        self.network_delivers_some(self.in_flight.index(b"\r") + 1)
        reached["cuts inside a CRLF"] += self.in_flight.startswith(b"\n")

    @rule()
    def network_delivers_the_rest(self) -> None:
        self.got += self.decoder.receive_data(self.in_flight)
        self.in_flight = b""
        assert self.got == self.expected  # nothing held back once it is all here
        reached["whole deliveries with two events behind them"] += len(self.got) >= 2

    def teardown(self) -> None:
        self.network_delivers_the_rest()

    @invariant()
    def nothing_invented_lost_or_reordered(self) -> None:
        assert self.got == self.expected[: len(self.got)]


@pytest.mark.unmeasured
def test_the_network_cannot_be_noticed() -> None:
    reached.clear()
    # Enough examples for the counts below to be no matter of luck.
    examples = max(150, settings().max_examples)
    run_state_machine_as_test(SlicedStream, settings=settings(max_examples=examples))
    assert len(+reached) == 5, reached  # each kind of end, cuts inside CRLF, several events


# Linear time, counted instead of timed


def bytes_scanned(pieces: list[bytes]) -> int:
    """The bytes in all the byte strings whose methods the decoder calls."""
    decoder, scanned = SSEDecoder(), 0

    def count(frame: object, kind: str, function: Any) -> None:
        nonlocal scanned
        if kind == "c_call" and isinstance(
            of := getattr(function, "__self__", None), bytes | bytearray
        ):
            scanned += len(of)

    sys.setprofile(count)
    try:
        for piece in pieces:
            decoder.receive_data(piece)
    finally:
        sys.setprofile(None)
    return scanned


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 5000 + b"\n\n",
        b"data: x\n" * 700 + b"\n",
        b"data: x\r\n\r\n" * 500,
        b"event: x\rid: y\r: z\rdata: x\r\r" * 200,
        b"\n" * 5000,
    ],
    ids=["one line", "many lines", "many events", "all fields", "blank lines"],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 7, 1000, 10_000])
def test_every_byte_is_scanned_a_fixed_number_of_times(stream: bytes, step: int) -> None:
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert len(stream) / 2 < bytes_scanned(pieces) < 10 * len(stream)


# Cases of others


@pytest.mark.parametrize("name", ["sse_wpt.json", "sse_others.json"])
def test_the_cases_of_others(name: str) -> None:
    cases = cases_of(name)
    wrong: list[str] = []
    for case in cases:
        pieces = [base64.b64decode(chunk) for chunk in case["chunks_b64"]]
        whole = b"".join(pieces)
        for way in (pieces, [whole], one_by_one(whole)):
            decoder = SSEDecoder()
            events = all_of(decoder, way) + decoder.receive_eof()
            expected = [ServerSentEvent(**fields) for fields in case["expected"]]
            if (events, decoder.last_event_id, decoder.reconnection_time) != (
                expected,
                case["final_last_event_id"],
                case["final_retry"],
            ):
                wrong.append(case["name"])
    assert wrong == []
    assert len(cases) >= {"sse_wpt.json": 26, "sse_others.json": 202}[name]
