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
from sansio_gradio_adapters.gateways import from_app, to_app
from sansio_gradio_adapters.storage import OnDisk


async def main(url: str, port: int = 7861) -> None:
    visitors: dict[str | None, Client] = {}  # a client for each, since State is in the other app
    connecting = asyncio.Lock()  # so that the jobs of a visitor share it
    storage = OnDisk()  # for files, which may be larger than the memory

    def answer(function: Function) -> Any:
        async def yielding(run: Run, values: list[Any]) -> AsyncIterator[Any]:
            async with connecting:
                if run.session_hash not in visitors:
                    visitors[run.session_hash] = await Client(url)
                client = visitors[run.session_hash]
            job = client.submit(*to_app(values), api_name=f"/{function.api_name}")
            has_yielded = False
            try:
                async for update in job.updates():
                    if isinstance(update, StatusUpdate):
                        if update.log:
                            run.log(*update.log)
                        run.report(update.progress_data or ())
                    elif isinstance(update, OutputUpdate) and update.success:
                        if not (update.final and has_yielded):
                            yield await from_app(update.outputs, storage)
                        has_yielded = True
            finally:
                job.cancel()

        async def returning(run: Run, values: list[Any]) -> Any:
            return [value async for value in yielding(run, values)][-1]

        return yielding if function.generator else returning

    def note(event: ServerEvent) -> None:
        if isinstance(event, SessionEnded) and event.session_hash in visitors:
            asyncio.get_running_loop().create_task(visitors.pop(event.session_hash).close())

    async with Client(url) as client:
        await client.get_endpoints()  # with what only /info tells
        app = App.from_info(client.app, answer=answer)  # with our functions for its own
    async with serving(app, port=port, on_event=note, storage=storage) as address:
        print(f"{url} is served at {address}", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
