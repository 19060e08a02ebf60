"""The clients of all worlds, and what they hand out, have the same words."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
import sansio_gradio_adapters.trio

BLOCKING = sansio_gradio_adapters.sockets
WORLDS = [sansio_gradio_adapters.asyncio, sansio_gradio_adapters.trio]

# What only one kind has, and why.
ONLY_BLOCKING = {
    "add_done_callback",  # a concurrent.futures.Future calls back; a task awaits
    "set_result",  # what a Future has for its own maker
    "set_exception",
    "set_running_or_notify_cancel",
}
ONLY_AWAITED = {
    "give_up",  # of the job, by the stream that it belongs to
}


def words(kind: type[Any]) -> dict[str, Any]:
    """Its public names, each with its parameters if it is called."""
    found: dict[str, Any] = {}
    for name, value in inspect.getmembers(kind):
        if not name.startswith("_"):
            found[name] = None
            if inspect.isfunction(value):
                found[name] = list(inspect.signature(value).parameters.values())
    return found


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["Client", "Job", "MessageStream", "Reader", "Results"])
def test_the_words_are_the_same(world: Any, name: str) -> None:
    blocking = words(getattr(BLOCKING, name))
    awaited = words(getattr(world, name))
    assert blocking.keys() - awaited.keys() <= ONLY_BLOCKING
    assert awaited.keys() - blocking.keys() <= ONLY_AWAITED
    for word in blocking.keys() & awaited.keys():
        assert awaited[word] == blocking[word], word


@pytest.mark.parametrize("world", WORLDS)
def test_clients_are_made_with_the_same_options(world: Any) -> None:
    assert inspect.signature(world.Client).parameters == (
        inspect.signature(BLOCKING.Client).parameters
    )


@pytest.mark.parametrize("world", WORLDS)
def test_the_same_names_are_exported(world: Any) -> None:
    assert set(BLOCKING.__all__) - set(world.__all__) == {"Loop"}
    assert set(world.__all__) <= set(BLOCKING.__all__)
