"""``map`` past one process: the calls are made by other processes, or by an engine such as dask.

The inputs go out in batches, each of which is one ``Client.map`` in a process. That is plain
``concurrent.futures``: processes of our own, or any ``Executor`` that you have.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, get_args

import attrs

from sansio_gradio.errors import QueueFullError, ServerStoppedError, TooManyRequestsError
from sansio_gradio.given import count as counted
from sansio_gradio.given import refused
from sansio_gradio_adapters._mapping import OnError, iterated

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from sansio_gradio_adapters.sockets import Client

_TURNS: Final = 4  # a batch is so many times what is in flight: calls of unequal length overlap
_AHEAD: Final = 2  # batches for each process: the next one is there when one is done
_SUSPECT: Final = 2  # a batch that so many processes have died with runs alone
_ELSEWHERE: Final = (
    ConnectionError, TimeoutError, QueueFullError, TooManyRequestsError, ServerStoppedError,
)  # fmt: skip
"""What another app, or a later try, may not run into."""

_Outcome: TypeAlias = tuple[Any, BaseException | None]


def map_in_processes(
    src: str | Sequence[str],
    inputs: Iterable[Any],
    api_name: str | None = None,
    *,
    processes: int | None = None,
    executor: Executor | None = None,
    fn_index: int | None = None,
    timeout: float | None = None,
    isolated: bool = False,
    in_flight: int = 8,
    ordered: bool = True,
    on_error: OnError = "raise",
    retries: int = 2,
    **options: Any,
) -> ProcessResults:
    """Call an endpoint with each of *inputs*, from several processes; results as they come.

    The words are those of ``Client.map``: a tuple among the inputs holds several arguments, the
    inputs are taken as there is room, and ``on_error`` is ``"raise"``, ``"return"`` or ``"skip"``.
    ``src``: an app, or several that do the same; the one with the fewest calls under way gets the
    next batch. ``processes``: how many (default: one for each CPU); they are started anew (spawn).
    ``executor``: run the batches there, on ``processes`` workers, and not in processes of our own.
    ``in_flight``: the calls that a process makes at a time. ``retries``: how often a call that its
    app could not take or finish (a lost connection, a timeout, a full queue) is made again, by
    another app if there is one. Inputs of a process that dies are called again, too. ``options``
    are those of ``sockets.Client``. They, the inputs and the results must be picklable.

    Raises:
        LocalProtocolError: an argument that does not do.
        BrokenProcessPool: (for an input) the process died each time that it was called.
    """
    apps = [src] if isinstance(src, str) else list(src)
    if not apps or not all(isinstance(app, str) for app in apps):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise refused(src, "src", "a URL, or several")
    if on_error not in get_args(OnError):
        raise refused(on_error, "on_error", f"one of {get_args(OnError)}")
    in_flight = counted(in_flight, "in_flight")
    return ProcessResults(
        [pickle.dumps((app, options)) for app in apps],
        iterated(inputs),
        {
            "api_name": api_name,
            "fn_index": fn_index,
            "timeout": timeout,
            "isolated": isolated,
            "in_flight": in_flight,
        },
        processes=counted(processes or os.cpu_count() or 1, "processes"),
        executor=executor,
        ordered=ordered,
        on_error=on_error,
        retries=retries,
    )


@attrs.define(eq=False)
class _Batch:
    """Some inputs, and what has become of them."""

    number: int
    items: list[Any]
    outcomes: list[_Outcome | None]
    tries: list[int]
    deaths: int = 0
    """How many processes have died with it, or with a batch beside it."""
    avoided: set[int] = attrs.field(factory=set[int])
    app: int = 0  # where it runs, with the inputs at these places
    places: list[int] = attrs.field(factory=list[int])
    pool: _Processes | None = None

    @property
    def left(self) -> list[int]:
        """The places of the inputs without an outcome."""
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]


class ProcessResults(Iterator[Any]):
    """The results of ``map_in_processes``: an iterator, and a context manager, for one thread.

    Leaving early, by ``close``, the end of a ``with``, an exception, Ctrl-C, or when it is
    garbage-collected, ends the processes, and with them the calls under way.
    """

    def __init__(
        self,
        apps: list[bytes],
        inputs: Iterator[Any],
        call: dict[str, Any],
        *,
        processes: int,
        executor: Executor | None,
        ordered: bool,
        on_error: OnError,
        retries: int,
    ) -> None:
        self._apps = apps
        self._inputs = inputs
        self._call = call
        self._processes = processes
        self._given = executor
        self._own: _Processes | None = None
        self._ordered = ordered
        self._on_error = on_error
        self._retries = retries
        self._begun = 0  # batches, and of these those whose outcomes were handed out
        self._next = 0
        self._has_more = True
        self._batches: dict[int, _Batch] = {}
        self._waiting: deque[_Batch] = deque()
        self._running: dict[Future[list[_Outcome]], _Batch] = {}
        self._ready: deque[_Outcome] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            while True:
                while self._ready:
                    result, error = self._ready.popleft()
                    if error is None:
                        return result
                    if self._on_error == "raise":
                        raise error
                    if self._on_error == "return":
                        return error
                self._fill()
                if not self._running:
                    break
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._take(future)
                self._collect()
        except BaseException:  # KeyboardInterrupt, and what the inputs raise, too
            self.close()
            raise
        self.close()
        raise StopIteration

    def _fill(self) -> None:
        """Hand out batches while there is room."""
        room = _AHEAD * self._processes
        size: int = _TURNS * self._call["in_flight"]
        while self._has_more and len(self._batches) < room:
            items = list(islice(self._inputs, size))
            self._has_more = len(items) == size
            if items:
                batch = _Batch(self._begun, items, [None] * len(items), [0] * len(items))
                self._begun += 1
                self._batches[batch.number] = batch
                self._waiting.append(batch)
        while self._waiting:
            alone = self._waiting[0].deaths >= _SUSPECT
            if self._running and (
                alone or any(c.deaths >= _SUSPECT for c in self._running.values())
            ):
                break
            self._start(self._waiting.popleft())

    def _start(self, batch: _Batch) -> None:
        loads = [0] * len(self._apps)
        for other in self._running.values():
            loads[other.app] += len(other.places)
        apps = [app for app in range(len(loads)) if app not in batch.avoided] or range(len(loads))
        batch.app = min(apps, key=loads.__getitem__)
        # Alone, one input after the other: so only the one that kills its process is lost.
        batch.places = batch.left[:1] if batch.deaths > _SUSPECT else batch.left
        items = [batch.items[place] for place in batch.places]
        executor = self._given
        if executor is None:
            self._own = self._own or _Processes(self._processes)
            executor = self._own.executor
        batch.pool = self._own
        try:
            future = executor.submit(_run, self._apps[batch.app], items, self._call)
        except BrokenProcessPool as error:  # it broke since, which the others will be told, too
            future = Future[list[_Outcome]]()
            future.set_exception(error)
        self._running[future] = batch

    def _take(self, future: Future[list[_Outcome]]) -> None:
        batch = self._running.pop(future)
        places = batch.places
        try:
            outcomes = future.result()
        except BrokenProcessPool as error:
            if self._own is not None and self._own is batch.pool:
                self._own.close()
                self._own = None
            batch.deaths += 1
            if batch.deaths <= _SUSPECT + 1 or len(places) > 1:
                self._waiting.appendleft(batch)
                return
            outcomes = [(None, error)]
        except Exception as error:  # of the engine, or of pickle
            outcomes = [(None, error)] * len(places)
        for place, outcome in zip(places, outcomes, strict=True):
            batch.tries[place] += 1
            may_do_elsewhere = isinstance(outcome[1], _ELSEWHERE)
            if may_do_elsewhere and batch.tries[place] <= self._retries:
                batch.avoided.add(batch.app)
            else:
                batch.outcomes[place] = outcome
        if batch.left:
            self._waiting.appendleft(batch)

    def _collect(self) -> None:
        """Make ready what has come, in order."""
        for number in list(self._batches):
            batch = self._batches[number]
            if not batch.left:
                self._ready += filter(None, batch.outcomes)
                del self._batches[number]
            elif self._ordered:
                break

    def close(self) -> None:
        """End the processes; with an executor of yours, drop the batches that have not begun."""
        self._has_more = False
        for what in (self._ready, self._waiting, self._batches):
            what.clear()
        for future in self._running:
            future.cancel()
        self._running.clear()
        if self._own is not None:
            self._own.close()
            self._own = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.__dict__.get("_own") is not None and not sys.is_finalizing():
            self.close()


class _Processes:
    """Processes of our own, which end at once when they are closed, or when this process ends."""

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        theirs: Connection
        theirs, self._held = context.Pipe(duplex=False)
        self.executor = ProcessPoolExecutor(
            processes, mp_context=context, initializer=_watch, initargs=(theirs,)
        )
        self._theirs = theirs

    def close(self) -> None:
        self._held.close()
        self._theirs.close()
        self.executor.shutdown(wait=False, cancel_futures=True)


# In the other process.


def _watch(parent: Connection) -> None:
    """End this process when the parent closes its end of the pipe, or ends."""

    def end() -> None:
        try:
            parent.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()


@cache
def _client(made: bytes) -> Client:
    """The one client of this process for an app."""
    from sansio_gradio_adapters.sockets import Client  # noqa: PLC0415  # the parent needs none

    app, options = pickle.loads(made)
    return Client(app, **options)


def _run(made: bytes, items: list[Any], call: dict[str, Any]) -> list[_Outcome]:
    """Call the endpoint with *items*."""
    try:
        client = _client(made)
    except Exception as error:  # of connecting: it is the outcome of each item
        return [(None, error)] * len(items)
    found = client.map(items, **call, on_error="return")
    return [
        (None, result) if isinstance(result, BaseException) else (result, None) for result in found
    ]
