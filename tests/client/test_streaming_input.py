"""The pieces of a streaming input wait until the server asks."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client.streaming_input import Chunk, StreamingInput
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from tests.support import sample_apps


class Fed:
    """A streaming input, and the pieces of it that were handed over."""

    def __init__(self, given: StreamingInput) -> None:
        self.given = given
        self.handed: list[Chunk] = []

    def add(self, data: list[Any] | None, **options: Any) -> int:
        number = self.given.add(data, **options)
        self._hand_over()
        return number

    def begin(self, endpoint: Endpoint) -> None:
        self.given.begin(endpoint, takes_pieces=True)
        self._hand_over()

    def asked(self) -> None:
        self.given.asked()
        self._hand_over()

    def _hand_over(self) -> None:
        while (chunk := self.given.next()) is not None:
            self.handed.append(chunk)


def streaming() -> tuple[Fed, list[Chunk]]:
    fed = Fed(StreamingInput())
    fed.begin(endpoint([1]))
    return fed, fed.handed


def test_pieces_wait_until_they_are_asked_for_and_are_counted() -> None:
    given, handed = streaming()
    assert [given.add(["one"]), given.add(["two"]), given.add(None)] == [1, 2, 3]
    assert handed == []
    for _ in range(4):
        given.asked()
    assert handed == [Chunk(1, ["one"], ()), Chunk(2, ["two"], ()), Chunk(3, None, ())]


def test_a_piece_that_is_asked_for_goes_at_once_with_its_headers() -> None:
    given, handed = streaming()
    given.asked()
    given.add(["one"], headers=(("a", "b"),))
    given.add(["two"])
    assert handed == [Chunk(1, ["one"], (("a", "b"),))]


def test_to_be_asked_twice_is_to_be_asked() -> None:
    given, handed = streaming()
    given.asked()
    given.asked()
    given.add(["one"])
    given.add(["two"])
    assert [chunk.number for chunk in handed] == [1]


def test_the_latest_piece_may_replace_those_that_wait() -> None:
    given, handed = streaming()
    given.add(["one"])
    given.add(["two"])
    given.add(["three"], latest=True)
    given.add(None, latest=True)  # the end is no piece
    for _ in range(3):
        given.asked()
    assert [chunk.data for chunk in handed] == [["three"], None]


def test_behind_the_end_of_the_input_there_is_nothing() -> None:
    given, handed = streaming()
    given.add(None)
    for piece in (["x"], None):
        with pytest.raises(LocalProtocolError, match="ended already"):
            given.add(piece)
    given.asked()
    for piece in (["x"], None):  # also when the server has been told
        with pytest.raises(LocalProtocolError, match="ended already"):
            given.add(piece)
    assert [chunk.data for chunk in handed] == [None]


def test_pieces_that_came_before_the_app_was_known_are_bound_when_it_is() -> None:
    given = Fed(StreamingInput())
    handed = given.handed
    given.add(["one"])
    given.add(["one", "two", "three"], latest=True)
    given.add(["two"], latest=True)
    given.begin(endpoint([1, 3]))
    given.add(["three"])
    given.asked()
    given.begin(endpoint([1, 3]))  # another time: they are bound already
    given.asked()
    assert [chunk.data for chunk in handed] == [["two", None], ["three", None]]


def test_a_piece_that_does_not_fit_is_told_when_that_is_known() -> None:
    given = StreamingInput()
    given.add(["one", "two", "three"])
    with pytest.raises(LocalProtocolError, match="do not fit"):
        given.begin(endpoint([1]), takes_pieces=True)


@pytest.mark.parametrize("piece", [["one"], None])
@pytest.mark.parametrize(
    ("connection", "takes_pieces"), [("sse", True), (None, True), ("stream", False)]
)
def test_what_takes_no_pieces_is_given_none(
    piece: Any, connection: str | None, takes_pieces: bool
) -> None:
    whole = endpoint([1], connection)
    early, late = StreamingInput(), StreamingInput()
    early.add(piece)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        early.begin(whole, takes_pieces=takes_pieces)
    late.begin(whole, takes_pieces=takes_pieces)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        late.add(piece)
    late.asked()
    assert late.next() is None


def endpoint(inputs: list[int], connection: str | None = "stream") -> Endpoint:
    dependency: Any = {"inputs": inputs, "api_name": "f", "connection": connection}
    return AppInfo.from_config(sample_apps.config(dependency)).endpoints[0]


def test_an_input_that_is_whole_ends_at_once_where_it_could_go_on() -> None:
    given = Fed(StreamingInput(is_whole=True))
    given.begin(endpoint([1]))
    given.begin(endpoint([1]))  # handed in again
    for _ in range(2):
        given.asked()
    assert given.handed == [Chunk(1, None, ())]
    with pytest.raises(LocalProtocolError, match="ended"):
        given.add(["one"])
    ended = Fed(StreamingInput(is_whole=True))
    ended.add(None)
    ended.begin(endpoint([1]))
    ended.asked()
    ended.asked()
    assert ended.handed == [Chunk(1, None, ())]
    one_way = StreamingInput(is_whole=True)
    one_way.begin(endpoint([1]), takes_pieces=False)
    one_way.asked()
    assert one_way.next() is None  # there is no end to tell
