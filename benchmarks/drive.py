"""One measurement of one client, in a process of its own: ``drive.py CLIENT ROW URL [NUMBER ...]``.

It prints one line of JSON: figures by name, in seconds and bytes. It runs on two interpreters: the
one of this library, and the one that has gradio_client (the client ``peer``). ``drive.mjs`` does
the same for the JavaScript client. Only the client ``speed``, the blocking one, finds orjson.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

NEVER = 1e9
LARGE = 1 << 28


class Blocking:
    """The words of this library's blocking client, and of gradio_client's."""

    def __init__(self, client: str) -> None:
        self.is_ours = client != "peer"
        self.module: Any = importlib.import_module(
            "sansio_gradio_adapters.sockets" if self.is_ours else "gradio_client"
        )
        self.options: dict[str, Any] = {} if self.is_ours else {"verbose": False}
        if self.is_ours:
            self.options = {"limits": large_limits()}

    def run(self, row: Callable[[], Awaitable[None]]) -> None:
        """Nothing is awaited here, so the coroutine never stops."""
        next(row().__await__())

    async def connect(self, url: str) -> Any:
        return self.module.Client(url, **self.options)

    async def predict(self, client: Any, name: str, *args: Any) -> Any:
        return client.predict(*args, api_name=f"/{name}")

    async def iterate(self, client: Any, name: str, *args: Any) -> tuple[int, Any]:
        count, last = 0, None
        for last in client.submit(*args, api_name=f"/{name}"):  # noqa: B007  # it is returned
            count += 1
        return count, last

    async def first(self, client: Any, name: str, *args: Any) -> float:
        """The seconds to the first output."""
        began = time.perf_counter()
        job = client.submit(*args, api_name=f"/{name}")
        next(iter(job))
        took = time.perf_counter() - began
        job.result()
        return took

    async def jobs(self, client: Any, count: int, name: str, *args: Any) -> None:
        jobs = [client.submit(*args, api_name=f"/{name}") for _ in range(count)]
        for job in jobs:
            job.result()

    async def submit(self, client: Any, name: str, *args: Any) -> Any:
        return client.submit(*args, api_name=f"/{name}")

    async def cancel(self, client: Any, job: Any) -> None:  # noqa: ARG002
        job.cancel()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sessions(self, url: str, count: int, name: str, *args: Any) -> Any:
        clients = [self.module.Client(url, **self.options) for _ in range(count)]
        jobs = [client.submit(*args, api_name=f"/{name}") for client in clients]
        for job in jobs:
            job.result()
        return clients

    async def upload(self, client: Any, path: Path) -> None:
        if self.is_ours:
            client.upload(path)
        else:
            meta = {"_type": "gradio.FileData"}
            client.endpoints[6]._upload_file({"path": str(path), "meta": meta}, 0)

    async def download(self, client: Any, path: str, target: Path) -> None:
        if self.is_ours:
            client.download({"path": path, "meta": {"_type": "gradio.FileData"}}, target)
        else:
            client.endpoints[6]._download_file({"path": path})


class Awaited:
    """The words of this library's clients for asyncio and trio."""

    def __init__(self, world: str) -> None:
        self.world = world
        self.module: Any = importlib.import_module(f"sansio_gradio_adapters.{world}")
        self.options: dict[str, Any] = {"limits": large_limits()}
        self.sleep: Any = importlib.import_module(world).sleep

    def run(self, row: Callable[[], Awaitable[None]]) -> None:
        if self.world == "asyncio":
            asyncio.run(row())  # type: ignore[arg-type]  # here it is a coroutine
        else:
            importlib.import_module("trio").run(row)

    async def connect(self, url: str) -> Any:
        return await self.module.Client(url, **self.options).__aenter__()

    async def predict(self, client: Any, name: str, *args: Any) -> Any:
        return await client.predict(*args, api_name=f"/{name}")

    async def iterate(self, client: Any, name: str, *args: Any) -> tuple[int, Any]:
        count, last = 0, None
        async for last in client.submit(*args, api_name=f"/{name}"):  # noqa: B007  # it is returned
            count += 1
        return count, last

    async def first(self, client: Any, name: str, *args: Any) -> float:
        began = time.perf_counter()
        job = client.submit(*args, api_name=f"/{name}")
        await anext(aiter(job))
        took = time.perf_counter() - began
        await job.result()
        return took

    async def jobs(self, client: Any, count: int, name: str, *args: Any) -> None:
        jobs = [client.submit(*args, api_name=f"/{name}") for _ in range(count)]
        for job in jobs:
            await job.result()

    async def submit(self, client: Any, name: str, *args: Any) -> Any:
        return client.submit(*args, api_name=f"/{name}")

    async def cancel(self, client: Any, job: Any) -> None:  # noqa: ARG002
        job.cancel()

    async def sessions(self, url: str, count: int, name: str, *args: Any) -> Any:
        clients = [await self.connect(url) for _ in range(count)]
        jobs = [client.submit(*args, api_name=f"/{name}") for client in clients]
        for job in jobs:
            await job.result()
        return clients

    async def upload(self, client: Any, path: Path) -> None:
        await client.upload(path)

    async def download(self, client: Any, path: str, target: Path) -> None:
        await client.download({"path": path, "meta": {"_type": "gradio.FileData"}}, target)


class Seen:
    """What the sessions of a ``Loop`` have been told."""

    def __init__(self, events: Any) -> None:
        self.kinds = events.Connected, events.Output, events.JobCompleted, events.JobCancelled
        self.connected = self.outputs = self.over = 0
        self.last: tuple[Any, ...] = (None,)

    def __call__(self, event: Any) -> None:
        connected, output, completed, cancelled = self.kinds
        if isinstance(event, output):
            self.outputs += 1
            self.last = event.value
        elif isinstance(event, completed):
            self.over += 1
            self.last = event.data
        elif isinstance(event, cancelled):
            self.over += 1
        elif isinstance(event, connected):
            self.connected += 1


class Looped(Blocking):
    """This library's ``Loop``: one engine, no thread."""

    def __init__(self, _: str) -> None:
        self.core: Any = importlib.import_module("sansio_gradio")
        self.loop_class: Any = importlib.import_module("sansio_gradio_adapters.loop").Loop
        self.events: Any = importlib.import_module("sansio_gradio.events")
        self.want: Any = self.core.Want
        self.loop: Any = None

    async def connect(self, url: str) -> Any:
        return self._open(url, 1)

    def _open(self, url: str, count: int) -> Any:
        engine = self.core.Engine(entropy=os.urandom, limits=large_limits())
        self.loop = loop = self.loop_class(engine)
        sessions = [engine.session(url) for _ in range(count)]
        seen = Seen(self.events)
        for session in sessions:
            loop.attach(session.id, seen)
        while seen.connected < count:
            loop.run_once()
        return loop, sessions, seen

    def _until_over(self, loop: Any, seen: Seen, jobs: int) -> tuple[int, Any]:
        while seen.over < jobs:
            loop.run_once()
        found = seen.outputs, seen.last[0]
        seen.outputs = seen.over = 0
        return found

    async def predict(self, client: Any, name: str, *args: Any) -> Any:
        loop, (session, *_), seen = client
        session.submit(*args, api_name=f"/{name}", want=self.want(0))
        return self._until_over(loop, seen, 1)[1]

    async def iterate(self, client: Any, name: str, *args: Any) -> tuple[int, Any]:
        loop, (session, *_), seen = client
        session.submit(*args, api_name=f"/{name}", want=self.want.OUTPUTS)
        return self._until_over(loop, seen, 1)

    async def first(self, client: Any, name: str, *args: Any) -> float:
        loop, (session, *_), seen = client
        began = time.perf_counter()
        session.submit(*args, api_name=f"/{name}", want=self.want.OUTPUTS)
        while not seen.outputs:
            loop.run_once()
        took = time.perf_counter() - began
        self._until_over(loop, seen, 1)
        return took

    async def jobs(self, client: Any, count: int, name: str, *args: Any) -> None:
        loop, (session, *_), seen = client
        for _ in range(count):
            session.submit(*args, api_name=f"/{name}", want=self.want(0))
        self._until_over(loop, seen, count)

    async def submit(self, client: Any, name: str, *args: Any) -> Any:
        loop, (session, *_), _ = client
        job = session.submit(*args, api_name=f"/{name}", want=self.want(0))
        loop.poll()
        return job

    async def cancel(self, client: Any, job: Any) -> None:
        loop, (session, *_), seen = client
        session.cancel(job)
        self._until_over(loop, seen, 1)

    async def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.loop.run_once(left)

    async def sessions(self, url: str, count: int, name: str, *args: Any) -> Any:
        loop, sessions, seen = self._open(url, count)
        for session in sessions:
            session.submit(*args, api_name=f"/{name}", want=self.want(0))
        self._until_over(loop, seen, count)
        return loop


class Floor(Blocking):
    """The floors, of which a client is one session."""

    def __init__(self, client: str) -> None:
        module = importlib.import_module("floor")
        self.make: Any = module.Raw if client == "raw" else module.H11

    async def connect(self, url: str) -> Any:
        return self.make(url)

    async def predict(self, client: Any, name: str, *args: Any) -> Any:
        return client.predict(name, *args)

    async def iterate(self, client: Any, name: str, *args: Any) -> tuple[int, Any]:
        found: tuple[int, Any] = client.iterate(name, *args)
        return found

    async def first(self, client: Any, name: str, *args: Any) -> float:
        began = time.perf_counter()
        client.join(name, *args)
        messages = client.messages()
        while next(messages)["msg"] != "process_generating":
            pass
        took = time.perf_counter() - began
        for _ in messages:
            pass
        return took

    async def jobs(self, client: Any, count: int, name: str, *args: Any) -> None:
        client.jobs(count, name, *args)

    async def submit(self, client: Any, name: str, *args: Any) -> Any:
        cancelling = client.cancel(name, *args)
        next(cancelling)
        return cancelling

    async def cancel(self, client: Any, job: Any) -> None:  # noqa: ARG002
        for _ in job:
            pass

    async def sessions(self, url: str, count: int, name: str, *args: Any) -> Any:
        clients = [self.make(url) for _ in range(count)]
        for client in clients:
            client.join(name, *args)
        for client in clients:
            for _ in client.messages():
                pass
        return clients

    async def upload(self, client: Any, path: Path) -> None:
        client.upload(path)

    async def download(self, client: Any, path: str, target: Path) -> None:
        client.download(path, target)


CLIENTS: dict[str, Callable[[str], Any]] = {
    "blocking": Blocking,
    "speed": Blocking,
    "asyncio": Awaited,
    "trio": Awaited,
    "loop": Looped,
    "raw": Floor,
    "h11": Floor,
    "peer": Blocking,
}
IMPORTS = {
    "blocking": "sansio_gradio_adapters.sockets",
    "asyncio": "sansio_gradio_adapters.asyncio",
    "trio": "sansio_gradio_adapters.trio",
    "loop": "sansio_gradio_adapters.loop",
    "h11": "h11",
    "peer": "gradio_client",
}


def large_limits() -> Any:
    limits: Any = importlib.import_module("sansio_gradio").Limits
    return limits(message=LARGE, answer=LARGE, value=LARGE, kept_outputs=LARGE)


def memory() -> float:
    """The bytes that the process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * float(resource.getpagesize())


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


class Stopwatch:
    """Elapsed seconds, and those of CPU, since it was made."""

    def __init__(self) -> None:
        gc.collect()
        self.cpu, self.began = time.process_time(), time.perf_counter()

    def read(self, count: int = 1) -> dict[str, float]:
        elapsed = time.perf_counter() - self.began
        return {"s": elapsed, "cpu": (time.process_time() - self.cpu) / count}


def spread(took: list[float]) -> dict[str, float]:
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


class Rows:
    """What is measured. Each row gives figures by name; ``cpu`` is that of one call or message."""

    def __init__(self, client: Any, url: str) -> None:
        self.client = client
        self.url = url

    async def warm(self, name: str = "ident") -> Any:
        client = await self.client.connect(self.url)
        assert await self.client.predict(client, name, "warm") == "warm"
        return client

    async def connect(self, count: int) -> dict[str, float]:
        await self.client.connect(self.url)  # what is imported late is no part of connecting
        kept: list[Any] = []
        took: list[float] = []
        watch = Stopwatch()
        for _ in range(count):
            began = time.perf_counter()
            kept.append(await self.client.connect(self.url))
            took.append(time.perf_counter() - began)
        return watch.read(count) | spread(took)

    async def predict(self, count: int, name: str = "ident") -> dict[str, float]:
        client = await self.warm(name)
        took: list[float] = []
        watch = Stopwatch()
        for number in range(count):
            began = time.perf_counter()
            assert await self.client.predict(client, name, f"x{number}") == f"x{number}"
            took.append(time.perf_counter() - began)
        return watch.read(count) | spread(took)

    async def real_predict(self, count: int) -> dict[str, float]:
        return await self.predict(count, "echo")

    async def grow(self, count: int, name: str = "grow", size: int = 0) -> dict[str, float]:
        client = await self.warm()
        before = memory()
        watch = Stopwatch()
        found, last = await self.client.iterate(client, name, count, size or 8 * count)
        figures = watch.read(count) | {"memory": memory() - before}
        assert (found, len(last)) == (count, size or 8 * count), (found, len(last))
        return figures

    async def plain(self, count: int) -> dict[str, float]:
        return await self.grow(count, "plain", 100)

    async def result(self, count: int) -> dict[str, float]:
        client = await self.warm()
        before = memory()
        watch = Stopwatch()
        text = await self.client.predict(client, "grow", count, 8 * count)
        figures = watch.read(count) | {"memory": memory() - before}
        assert len(text) == 8 * count
        return figures

    async def big(self, megabytes: int) -> dict[str, float]:
        client = await self.warm()
        size = megabytes * 10**6
        before = memory()
        watch = Stopwatch()
        text = await self.client.predict(client, "big", size)
        assert len(text) == size
        return watch.read() | {"memory": (peak() - before) / size}

    async def jobs(self, count: int, tenths: int) -> dict[str, float]:
        client = await self.warm()
        threads = [0]
        over = threading.Event()
        threading.Thread(target=watch_threads, args=(threads, over), daemon=True).start()
        before = memory()
        watch = Stopwatch()
        await self.client.jobs(client, count, "slow", tenths / 10)
        figures = watch.read(count) | {"memory": memory() - before, "threads": max(threads)}
        over.set()
        return figures

    async def sessions(self, count: int) -> dict[str, float]:
        await self.warm()
        before = memory()
        watch = Stopwatch()
        kept = await self.client.sessions(self.url, count, "ident", "x")
        figures = watch.read(count) | {"memory": memory() - before}
        figures["threads"] = threading.active_count()
        del kept
        return figures

    async def idle(self, count: int, seconds: int) -> dict[str, float]:
        client = await self.warm()
        before = memory()
        jobs = [await self.client.submit(client, "slow", NEVER) for _ in range(count)]
        await self.client.sleep(3)
        usage, watch = resource.getrusage(resource.RUSAGE_SELF), Stopwatch()
        await self.client.sleep(seconds)
        wakes = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - usage.ru_nvcsw
        busy = watch.read()["cpu"] / seconds
        return {"busy": busy, "wakes": wakes / seconds, "memory": (memory() - before) / len(jobs)}

    async def cancel(self, count: int) -> dict[str, float]:
        client = await self.warm()
        took: list[float] = []
        for _ in range(count):
            job = await self.client.submit(client, "slow", NEVER)
            await self.client.sleep(0.1)
            began = time.perf_counter()
            await self.client.cancel(client, job)
            took.append(time.perf_counter() - began)
        return spread(took)

    async def upload(self, megabytes: int) -> dict[str, float]:
        return await self.file(megabytes, sends=True)

    async def download(self, megabytes: int) -> dict[str, float]:
        return await self.file(megabytes, sends=False)

    async def file(self, megabytes: int, *, sends: bool) -> dict[str, float]:
        client = await self.warm()
        size = megabytes << 20
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"blob_{size}.bin"
            if sends:
                path.write_bytes(bytes(size))
            before = memory()
            watch = Stopwatch()
            if sends:
                await self.client.upload(client, path)
            else:
                await self.client.download(client, f"/srv/gradio/blob_{size}.bin", path)
            figures = watch.read()
        return figures | {
            "rate": size / figures["s"],
            "memory": max(peak() - before - size * sends, 0),
        }

    async def first(self, count: int) -> dict[str, float]:
        client = await self.client.connect(self.url)
        for _ in range(3):
            await self.client.first(client, "count", 2)
        return spread([await self.client.first(client, "count", 2) for _ in range(count)])


def importing(client: str) -> dict[str, float]:
    before = memory()
    watch = Stopwatch()
    importlib.import_module(IMPORTS[client])
    return watch.read() | {"memory": memory() - before}


def watch_threads(threads: list[int], over: threading.Event) -> None:
    while not over.wait(0.02):
        threads.append(threading.active_count() - 1)  # without this one


def main(client: str, row: str, url: str, *numbers: str) -> None:
    if client != "speed":
        sys.modules["orjson"] = None  # type: ignore[assignment]  # it cannot be imported
    if row == "import":
        report(importing(client))
    used = CLIENTS[client](client)

    async def measured() -> None:
        report(await getattr(Rows(used, url), row)(*map(int, numbers)))

    used.run(measured)


def report(figures: dict[str, float]) -> NoReturn:
    print(json.dumps(figures), flush=True)
    os._exit(0)  # the clients are still open, and the threads of some outlive them


if __name__ == "__main__":
    main(*sys.argv[1:])
