"""The input of a job that takes it in pieces, while it runs (gradio 5.0 and later).

The first piece goes with the job. The server asks for each of the others; until then they wait
here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.app_info import Endpoint
from sansio_gradio.wire.headers import Fields, Headers, checked
from sansio_gradio.wire.snapshot import snapshot


class Piece:
    """One piece of a streaming input, as a caller gives it. It is copied: later changes of the
    original have no effect.

    Raises:
        LocalProtocolError: it is not JSON, or a header cannot be sent.
    """

    def __init__(self, data: Sequence[Any], headers: Fields | None = None) -> None:
        self.data: list[Any] = snapshot(data, "chunk")
        self.headers = checked(headers or ())


@attrs.frozen
class Chunk:
    """A piece as on the wire: one item for each input; None for the end. The first number is 1."""

    number: int
    data: list[Any] | None
    headers: Headers


def no_pieces() -> LocalProtocolError:
    """The error for a piece for a job that takes no pieces."""
    return LocalProtocolError(
        "Only a job of a streaming event takes its input in pieces: this endpoint gets all of it"
        " with the call."
    )


class StreamingInput:
    """The pieces that wait for their turn."""

    def __init__(self, *, is_whole: bool = False) -> None:
        """*is_whole*: the input is only the piece that goes with the job."""
        self._is_whole = is_whole
        self._endpoint: Endpoint | None = None
        self._takes_pieces = False
        self._waiting: deque[Chunk] = deque()
        self._last_number = 0
        self.is_due = False
        self._has_ended = False

    def add(self, data: list[Any] | None, *, latest: bool = False, headers: Headers = ()) -> int:
        """Queue a piece, and return its number; *latest*: drop the pieces that wait.

        Raises:
            LocalProtocolError: the input was ended, the job takes no pieces, or the piece does not
                fit.
        """
        if self._has_ended:
            raise LocalProtocolError("The input was ended already.")
        data = self._bound(data)
        self._has_ended = data is None
        if latest and data is not None:
            self._waiting.clear()
        self._last_number += 1
        self._waiting.append(Chunk(self._last_number, data, headers))
        return self._last_number

    def begin(self, endpoint: Endpoint, *, takes_pieces: bool) -> None:
        """The endpoint is known now: check the pieces that wait.

        *takes_pieces*: the job's channel can send pieces.

        Raises:
            LocalProtocolError: a waiting piece does not fit, or the job takes no pieces.
        """
        is_known = self._endpoint is not None
        self._endpoint, self._takes_pieces = endpoint, takes_pieces and endpoint.streaming
        if not is_known:
            if self._waiting:
                self._waiting = deque(
                    attrs.evolve(chunk, data=self._bound(chunk.data)) for chunk in self._waiting
                )
            if self._is_whole and self._takes_pieces and not self._has_ended:
                self.add(None)

    def _bound(self, data: list[Any] | None) -> list[Any] | None:
        """Turn the caller's piece into one as on the wire."""
        if self._endpoint is None:
            return data
        if not self._takes_pieces:
            raise no_pieces()
        return None if data is None else self._endpoint.bind(data, {})

    def asked(self) -> None:
        """The server wants the next piece."""
        self.is_due = True

    def next(self) -> Chunk | None:
        """The piece to send now; None: the server does not want it yet, or there is none."""
        if not (self.is_due and self._waiting and self._takes_pieces):
            return None
        self.is_due = False
        return self._waiting.popleft()
