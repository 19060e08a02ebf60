"""Calling one endpoint with many inputs: what ``map`` does in every world, but for waiting.

Rule 1: an input is asked for when there is room for its job, and not before.

Rule 2: a job that is over keeps its place until its result is taken. So a slow reader holds no more
than a fast one, however many inputs there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import JobRecord, Signal

OnError: TypeAlias = Literal["raise", "return", "skip"]


class Calls:
    """The calls of one ``map``: *call* with each of *inputs*.

    ``run`` has its argument called where the engine is.
    """

    def __init__(
        self,
        core: ClientCore,
        run: Callable[[Callable[[], object]], object],
        call: Call,
        inputs: Iterable[Any],
        *,
        in_flight: int,
        ordered: bool,
        on_error: OnError,
    ) -> None:
        if in_flight < 1:
            raise LocalProtocolError(f"in_flight is a number from 1 on, not {in_flight!r}.")
        if on_error not in get_args(OnError):
            raise LocalProtocolError(f"on_error is one of {get_args(OnError)}, not {on_error!r}.")
        self.ended = Signal()
        """One of them is over."""
        self._core = core
        self._run = run
        self._call = call
        self._inputs = iter(inputs)
        self._has_more = True
        self._in_flight = in_flight
        self._ordered = ordered
        self._on_error = on_error
        self._held: deque[JobRecord] = deque()  # in the order of their inputs

    def begin(self) -> bool:
        """Begin as many as may be under way; False: there is none, and none will come."""
        while self._has_more and len(self._held) < self._in_flight:
            try:
                item = next(self._inputs)
            except StopIteration:
                self._has_more = False
            else:
                self._begin(item)
        return bool(self._held)

    def has_result(self) -> bool:
        """Whether there is one to ``take``."""
        if self._ordered:
            return self._held[0].is_over
        return any(record.is_over for record in self._held)

    def take(self) -> Any:
        """The next result; ``Nothing.YET``: that call has failed, and is skipped."""
        place = 0
        if not self._ordered:
            place = next(at for at, record in enumerate(self._held) if record.is_over)
        record = self._held[place]
        del self._held[place]
        if (error := record.outcome_error()) is None:
            return record.result
        if self._on_error == "raise":
            raise error
        return error if self._on_error == "return" else Nothing.YET

    def give_up(self) -> None:
        """Cancel what is under way, and ask for no more input."""
        self._has_more = False
        while self._held:
            record = self._held.popleft()
            if record.cancel():
                record.show()
                self._run(partial(self._core.cancel, record))

    def leave(self, run: Callable[[Callable[[], object]], object]) -> None:
        """As ``give_up``, but all is done in what *run* is given, and nothing here."""
        self._has_more = False
        while self._held:
            run(partial(self._core.give_up, self._held.popleft()))

    @property
    def are_over(self) -> bool:
        return not self._has_more and not self._held

    def _begin(self, item: object) -> None:
        call = attrs.evolve(self._call, args=item if isinstance(item, tuple) else (item,))
        record = self._core.new_job(call)
        record.ended = self.ended
        self._held.append(record)
        self._run(partial(self._core.begin, record))
