"""Call one endpoint with many inputs: ``map`` of every world, without the waiting.

Rule 1: the next input is taken when there is room for its job, and not before.

Rule 2: a job that is over keeps its place until its result is taken. So a slow reader holds no more
than a fast one, however many inputs there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args

import attrs

from sansio_gradio.client.call import Call
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import count as counted
from sansio_gradio.given import refused
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._history import Nothing
from sansio_gradio_adapters._jobs import JobRecord, Signal

OnError: TypeAlias = Literal["raise", "return", "skip"]


class DoSoon(Protocol):
    """Calls *note* where the engine runs; *refuse* with the reason if it cannot."""

    def __call__(
        self, note: Callable[[], object], refuse: Callable[[BaseException], object] = ..., /
    ) -> object: ...


class Calls:
    """The calls of one ``map``: *call* with each of *inputs*.

    Several threads or tasks may take results. ``do_soon``: see ``Worker`` and ``Machine``.
    """

    def __init__(
        self,
        core: ClientCore,
        do_soon: DoSoon,
        call: Call,
        inputs: Iterable[Any],
        *,
        in_flight: int,
        ordered: bool,
        on_error: OnError,
    ) -> None:
        in_flight = counted(in_flight, "in_flight")
        if on_error not in get_args(OnError):
            raise refused(on_error, "on_error", f"one of {get_args(OnError)}")
        self.changed = Signal()
        """A call is over, or there are no more inputs."""
        self._core = core
        self._do_soon = do_soon
        self._call = call
        self._inputs = iterated(inputs)
        self._turn = deque([True])  # whose it is to ask for inputs
        self._has_more = True
        self._is_closed = False
        self._in_flight = in_flight
        self._ordered = ordered
        self._on_error = on_error
        self._numbers = count()
        self._held: dict[int, JobRecord] = {}  # in the order of their inputs

    def begin(self) -> None:
        """Start as many calls as there is room for. If another thread does so, do nothing.

        If this raises, call ``close``: an input has raised, or Ctrl-C has come.
        """
        while self._has_more and not self._is_closed and len(self._held) < self._in_flight:
            try:
                turn = self._turn.pop()
            except IndexError:
                return
            try:
                self._begin(next(self._inputs))
            except StopIteration:
                self._has_more = False
            finally:
                self._turn.append(turn)
                self.changed.notify()

    def take(self) -> Any:
        """Take the next result that is there; raises the error of a call.

        ``Nothing.YET``: there is none.
        """
        for number, record in list(self._held.items()):
            if self._is_closed:
                break
            if record.is_over and self._held.pop(number, None) is not None:
                self.changed.notify()  # there is room for another, or there are no more
                if (error := record.outcome_error()) is None:
                    return record.result
                if self._on_error == "raise":
                    raise error
                if self._on_error == "return":
                    return error
            elif self._ordered and number in self._held:
                break
        return Nothing.YET

    def close(self) -> None:
        """Cancel the calls under way, and take no more inputs."""
        self._is_closed = True
        self._do_soon(self._give_up)

    @property
    def are_over(self) -> bool:
        """Whether no result comes any more."""
        return self._is_closed or not (self._has_more or self._held)

    def _begin(self, item: object) -> None:
        args = tuple(cast("Iterable[Any]", item)) if isinstance(item, tuple) else (item,)
        mistake: LocalProtocolError | None = None
        call = self._call
        try:
            call = attrs.evolve(call, args=args)  # copied here, in the caller's thread
        except LocalProtocolError as error:
            mistake = error
        self._core.renew_tokens(self._do_soon)
        record = self._core.new_job(call)
        record.ended = self.changed
        self._held[next(self._numbers)] = record
        if mistake is None:
            self._do_soon(partial(self._core.begin, record), record.refuse)
        else:
            record.add_end(mistake)
            record.publish()
        if self._is_closed:  # by another thread, in between
            self._do_soon(self._give_up)

    def _give_up(self) -> None:
        for number in list(self._held):
            if (record := self._held.pop(number, None)) is not None:
                self._core.give_up(record)
        self.changed.notify()


def iterated(inputs: Iterable[Any]) -> Iterator[Any]:
    if not hasattr(type(inputs), "__iter__") and not hasattr(type(inputs), "__getitem__"):
        raise refused(inputs, "inputs", "what can be iterated")
    return iter(inputs)
