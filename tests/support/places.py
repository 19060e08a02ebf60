"""Where a scenario is played: in each world, with each kind of server."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest

from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.worlds import CANCELLING, WORLDS

Play = Callable[..., Coroutine[Any, Any, None]]
SERVERS = {"sse_v3": {"protocol": "sse_v3"}, "ws": {"version": "3.50.2"}}


def serve(name: str) -> Iterator[tuple[Lively, str]]:
    """One of ``SERVERS``, for a fixture ``served``."""
    gc.collect()
    gc.freeze()  # what is there now need not be looked through after every test
    lively = Lively(**SERVERS[name])
    with serve_in_thread(lively.app) as url:
        yield lively, url
        lively.go_on.set()


def in_every_world(play: Play) -> Any:
    """Make of a scenario, which takes a ``place`` and perhaps fixtures, a test of each world."""
    return _in(WORLDS, play)


def where_tasks_are_cancelled(play: Play) -> Any:
    """The same without the world of threads."""
    return _in(CANCELLING, play)


def _in(worlds: Mapping[str, World], play: Play) -> Any:

    def test(world: str, served: tuple[Lively, str], **fixtures: Any) -> None:
        lively, url = served
        lively.go_on.clear()
        place = Place(WORLDS[world], lively, url)
        place.world.run(functools.partial(play, place, **fixtures))
        gc.collect()  # what was forgotten complains now

    _, *others = inspect.signature(play).parameters.values()
    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("world", "served")]
    others = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others]
    for_pytest: Any = test
    for_pytest.__signature__ = inspect.Signature([*own, *others])
    test.__name__ = play.__name__
    return pytest.mark.parametrize("world", worlds)(test)
