"""The pieces of a streaming input wait until the server asks."""

from __future__ import annotations

from typing import Any

import pytest
import sample_apps

from sansio_gradio.client.chunks import Chunk, StreamingInput
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.app_info import AppInfo, Endpoint


def streaming() -> tuple[StreamingInput, list[Chunk]]:
    handed: list[Chunk] = []
    given = StreamingInput()
    given.begin(endpoint([1]), handed.append)
    return given, handed


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
    given, handed = StreamingInput(), list[Chunk]()
    given.add(["one"])
    given.add(["one", "two", "three"], latest=True)
    given.add(["two"], latest=True)
    given.begin(endpoint([1, 3]), handed.append)
    given.add(["three"])
    given.asked()
    given.begin(endpoint([1, 3]), handed.append)  # another time: they are bound already
    given.asked()
    assert [chunk.data for chunk in handed] == [["two", None], ["three", None]]


def test_a_piece_that_does_not_fit_is_told_when_that_is_known() -> None:
    given = StreamingInput()
    given.add(["one", "two", "three"])
    with pytest.raises(LocalProtocolError, match="do not fit"):
        given.begin(endpoint([1]), lambda _: None)


@pytest.mark.parametrize("piece", [["one"], None])
@pytest.mark.parametrize(
    ("connection", "hand_over"), [("sse", [].append), (None, [].append), ("stream", None)]
)
def test_what_takes_no_pieces_is_given_none(
    piece: Any, connection: str | None, hand_over: Any
) -> None:
    whole = endpoint([1], connection)
    early, late = StreamingInput(), StreamingInput()
    early.add(piece)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        early.begin(whole, hand_over)
    late.begin(whole, hand_over)
    with pytest.raises(LocalProtocolError, match="in pieces"):
        late.add(piece)
    late.asked()


def endpoint(inputs: list[int], connection: str | None = "stream") -> Endpoint:
    dependency: Any = {"inputs": inputs, "api_name": "f", "connection": connection}
    return AppInfo.from_config(sample_apps.config(dependency)).endpoints[0]


def test_an_input_that_is_whole_ends_at_once_where_it_could_go_on() -> None:
    handed: list[Chunk] = []
    given = StreamingInput(is_whole=True)
    given.begin(endpoint([1]), handed.append)
    given.begin(endpoint([1]), handed.append)  # handed in again
    for _ in range(2):
        given.asked()
    assert handed == [Chunk(1, None, ())]
    with pytest.raises(LocalProtocolError, match="ended"):
        given.add(["one"])
    ended = StreamingInput(is_whole=True)
    ended.add(None)
    ended.begin(endpoint([1]), handed.append)
    ended.asked()
    ended.asked()
    assert handed == [Chunk(1, None, ())] * 2
    StreamingInput(is_whole=True).begin(endpoint([1]), None)  # there is one way, and no end to tell
