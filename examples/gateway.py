"""A gateway: an app of any age, served as today's Gradio.  python gateway.py URL [PORT]"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from sansio_gradio import StatusUpdate
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.events import ServerEvent, SessionEnded
from sansio_gradio.server.run import Run
from sansio_gradio_adapters.asyncio import Client, OutputUpdate, serving


async def main(url: str, port: int = 7861) -> None:
    visitors: dict[str | None, Client] = {}  # a client for each, since State is in the other app

    async def pass_on(function: Function, run: Run, values: list[Any]) -> AsyncIterator[Any]:
        client = visitors.setdefault(run.session_hash, Client(url))
        job = (await client).submit(*values, api_name=f"/{function.api_name}")
        has_yielded = False
        try:
            async for update in job.updates():
                if isinstance(update, StatusUpdate):
                    if update.log:
                        run.log(*update.log)
                    run.report(update.progress_data or ())
                elif isinstance(update, OutputUpdate) and not (update.final and has_yielded):
                    has_yielded = True
                    yield update.outputs
            await job.result()  # which may be an error
        finally:
            job.cancel()

    def answer(function: Function) -> Any:
        """The Python function that is called instead of the other app's."""

        async def yielding(run: Run, values: list[Any]) -> AsyncIterator[Any]:
            async for value in pass_on(function, run, values):
                yield value

        async def returning(run: Run, values: list[Any]) -> Any:
            return [value async for value in pass_on(function, run, values)][-1]

        return yielding if function.generator else returning

    def note(event: ServerEvent) -> None:
        if isinstance(event, SessionEnded) and event.session_hash in visitors:
            asyncio.get_running_loop().create_task(visitors.pop(event.session_hash).close())

    async with Client(url) as client:
        await client.get_endpoints()  # with what only /info tells
        app = App.from_info(client.app, answer=answer)
    async with serving(app, port=port, on_event=note) as address:
        print(f"{url} is served at {address}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
