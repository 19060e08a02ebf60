"""Clients that tell what they get as JSON lines, one for each world, for ``conform client``:

    python -m sansio_gradio_adapters conform client --can cancel,status,jobs,files \\
        -- python examples/json_lines.py sockets {url} {api} {data} {jobs}
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import Any

from sansio_gradio import (
    GradioError,
    JobCancelledError,
    StatusUpdate,
    UploadProgress,
    apply_update,
    handle_file,
)
from sansio_gradio_adapters import asyncio as awaited
from sansio_gradio_adapters import sockets

FOLDER = tempfile.gettempdir()  # for files in results


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def given(value: Any) -> Any:
    """An argument: a file is told as an object with its path on this machine."""
    is_file = isinstance(value, dict) and "gradio.FileData" in str(value.get("meta"))  # pyright: ignore
    return handle_file(value["path"]) if is_file else value  # pyright: ignore


def listed(value: Any) -> list[Any]:
    """All results: the one of a function is given as it is, several as a tuple. A file is the path
    that it was saved at."""
    items: list[Any] = [*value] if isinstance(value, tuple) else [value]  # pyright: ignore
    return [apply_update(None, item) for item in items]


def tell_update(update: Any) -> None:
    """Tell a status, or what was yielded."""
    if isinstance(update, StatusUpdate):
        tell(status=update)
    elif not isinstance(update, UploadProgress) and not update.final:
        tell(output=listed(update.outputs))


def in_threads(url: str, api: str, data: list[Any], jobs: list[Any]) -> None:
    with sockets.Client(url, download_files=FOLDER) as client:
        if jobs:
            started = [client.submit(*args, api_name=name) for name, args in jobs]
            tell(result=[listed(job.result()) for job in started])
            return
        job = client.submit(*data, api_name=api)
        try:
            for update in job.updates():
                tell_update(update)
            tell(result=listed(job.result()))
        except KeyboardInterrupt:
            job.cancel()
            tell(cancelled=True)


async def in_tasks(client: Any, api: str, data: list[Any], jobs: list[Any]) -> None:
    """The same in asyncio and trio."""
    if jobs:
        started = [client.submit(*args, api_name=name) for name, args in jobs]
        tell(result=[listed(await job.result()) for job in started])
        return
    job = client.submit(*data, api_name=api)
    async for update in job.updates():
        tell_update(update)
    tell(result=listed(await job.result()))


async def in_asyncio(url: str, *what: Any) -> None:
    try:
        async with awaited.Client(url, download_files=FOLDER) as client:
            await in_tasks(client, *what)
    except asyncio.CancelledError:  # Ctrl-C
        tell(cancelled=True)


async def in_trio(url: str, *what: Any) -> None:
    from sansio_gradio_adapters.trio import Client  # noqa: PLC0415  # trio may not be there

    async with Client(url, download_files=FOLDER) as client:
        await in_tasks(client, *what)


def main(world: str, url: str, api: str, data: str, jobs: str = "[]") -> None:
    what = url, api, [given(value) for value in json.loads(data)], json.loads(jobs)
    try:
        if world == "sockets":
            in_threads(*what)
        elif world == "asyncio":
            asyncio.run(in_asyncio(*what))
        else:
            import trio  # noqa: PLC0415  # it may not be there

            trio.run(in_trio, *what)
    except (JobCancelledError, KeyboardInterrupt):
        tell(cancelled=True)
    except GradioError as error:
        tell(error=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
