"""The world of trio: see ``worlds``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import trio

import sansio_gradio_adapters.trio
from sansio_gradio.testing.worlds import Call, Suspensions, World

__all__ = ["Trio"]


class Trio(World):
    """trio."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        trio.run(scenario)

    def client(self, src: str, **options: Any) -> sansio_gradio_adapters.trio.Client:
        return sansio_gradio_adapters.trio.Client(src, **options)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def blocking(self, call: Callable[[], object]) -> Any:
        return await trio.to_thread.run_sync(call)

    async def together(self, *calls: Call) -> list[Any]:
        results: list[Any] = [None] * len(calls)

        async def keep(place: int, call: Call) -> None:
            results[place] = await call()

        async with trio.open_nursery() as nursery:
            for place, call in enumerate(calls):
                nursery.start_soon(keep, place, call)
        return results

    def tasks(self) -> int:
        return trio.lowlevel.current_statistics().tasks_living

    async def cut(self, call: Call, at: int) -> bool:
        scope = trio.CancelScope()
        suspensions = Suspensions(call, at, scope.cancel)
        with scope:
            await suspensions
        if scope.cancelled_caught:
            assert suspensions.count >= at
        return suspensions.count >= at  # what is shielded to its end is not cancelled

    async def within(self, seconds: float, call: Call) -> bool:
        with trio.move_on_after(seconds) as scope:
            await call()
        return scope.cancelled_caught

    def door(self) -> Callable[[Call], Any]:
        token = trio.lowlevel.current_trio_token()
        return lambda call: trio.from_thread.run(call, trio_token=token)
