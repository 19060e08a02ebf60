"""The blocking client beside gradio_client, the official one, on the same servers in one run.

``python benchmarks/peer.py [ROUNDS]`` prints a table of both and the ratio: how many times less we
take. The two take turns, each time in a new process; of the rounds the best counts. There are two
servers: the embedded one, and, where it is installed (``dev.py test-real``), a real one, whose own
time is part of each duration. gradio_client is installed by uv beside the real servers.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
SERVERS = Path(os.environ.get("SANSIO_GRADIO_SERVERS") or ROOT / ".servers").resolve()
REAL = "6.31.0"
PEER = "2.7.2"

CONNECTS, CALLS, JOBS, MESSAGES, GROWTH = 10, 50, 100, 10_000, 8

FIGURES = {
    "import": "import, ms",
    "memory": "memory after it, MB",
    "connect": "connect, p50, ms",
    "connect_cpu": "connect, CPU, ms",
    "predict": "predict, p50, ms",
    "predict_cpu": "predict, CPU, ms",
    "stream": f"{MESSAGES} outputs of a growing text, s",
    "stream_cpu": "  CPU of each, us",
    "result": "the same, result only, s",
    "result_cpu": "  CPU of each, us",
    "jobs": f"{JOBS} jobs of 0.2 s at once, s",
    "jobs_cpu": "  CPU of each, ms",
    "threads": "  threads",
}


# In a process of its own, on either interpreter: the standard library and the client to measure.


def importing(client: str) -> dict[str, float]:
    began = time.perf_counter()
    _client_class(client)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB, on a Mac bytes
    return {"import": took * 1e3, "memory": peak / (2**20 if sys.platform == "darwin" else 2**10)}


def using(client: str, url: str) -> dict[str, float]:
    make = _client_class(client)
    options: dict[str, Any] = {} if client == "ours" else {"verbose": False}
    _run(1, lambda: make(url, **options))  # what is imported late is no part of connecting
    clients, connect, connect_cpu = _run(CONNECTS, lambda: make(url, **options))
    used, *others = clients
    for other in others:
        other.close()
    used.predict("warm", api_name="/echo")
    texts, predict, predict_cpu = _run(CALLS, lambda: used.predict("x", api_name="/echo"))
    assert texts == ["x"] * CALLS
    found = {
        "connect": _median(connect) * 1e3,
        "connect_cpu": connect_cpu / CONNECTS * 1e3,
        "predict": _median(predict) * 1e3,
        "predict_cpu": predict_cpu / CALLS * 1e3,
    }
    threads = [0]
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(threads, over), daemon=True)
    watcher.start()
    try:
        numbers, (jobs,), jobs_cpu = _run(1, lambda: _many(used))
    except Exception as error:  # the peer does not always get this far
        print(f"{client}: {JOBS} jobs at once: {error!r}", file=sys.stderr)
    else:
        assert numbers == [[2 * number for number in range(JOBS)]]
        found |= {"jobs": jobs, "jobs_cpu": jobs_cpu / JOBS * 1e3, "threads": max(threads)}
    over.set()
    if any(d["api_name"] == "grow" for d in used.config["dependencies"]):
        for key, read in (("stream", _read_all), ("result", _read_result)):
            texts, (took,), cpu = _run(1, lambda: read(used))  # noqa: B023  # called at once
            assert texts == ["x" * GROWTH * MESSAGES]
            found |= {key: took, f"{key}_cpu": cpu / MESSAGES * 1e6}
    return found


def _client_class(client: str) -> Any:
    if client == "ours":
        from sansio_gradio_adapters.sockets import Client  # noqa: PLC0415

        return Client
    return importlib.import_module("gradio_client").Client  # not in this environment


def _run(times: int, action: Callable[[], T]) -> tuple[list[T], list[float], float]:
    """What it gave, how long each took, and the CPU time of all."""
    results: list[T] = []
    took: list[float] = []
    cpu = time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        results.append(action())
        took.append(time.perf_counter() - began)
    return results, took, time.process_time() - cpu


def _many(client: Any) -> list[Any]:
    jobs = [client.submit(number, 0.2, api_name="/double") for number in range(JOBS)]
    return [job.result() for job in jobs]


def _read_all(client: Any) -> str:
    last = ""
    for text in client.submit(MESSAGES, api_name="/grow"):
        last = text
    return last


def _read_result(client: Any) -> Any:
    return client.predict(MESSAGES, api_name="/grow")


def _watch(threads: list[int], over: threading.Event) -> None:
    while not over.wait(0.01):
        threads.append(threading.active_count() - 2)  # without this one and the main one


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


# The embedded server, in a process of its own.


def serve() -> None:
    import asyncio  # noqa: PLC0415

    from sansio_gradio.server.app import App  # noqa: PLC0415
    from sansio_gradio.server.limits import ServerLimits  # noqa: PLC0415
    from sansio_gradio_adapters.server import Server  # noqa: PLC0415

    app = App(concurrency_limit=None)

    async def echo(text: str) -> str:
        return text

    async def double(number: float, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return 2 * number

    async def grow(messages: float) -> AsyncIterator[str]:
        text = ""
        for _ in range(int(messages)):
            text += "x" * GROWTH
            yield text
            await asyncio.sleep(0)  # the server has clients to look after

    for function in (echo, double, grow):
        app.add_function(function)

    async def forever() -> None:
        async with Server(app, limits=ServerLimits(messages=10 * MESSAGES)) as server:
            print(server.url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(forever())


# The comparison.


def compare(rounds: int) -> None:
    sys.path[:0] = [str(ROOT)]
    from tests.real.server import RealServer  # noqa: PLC0415

    pythons = {"ours": sys.executable, "peer": str(peer_python())}
    print(f"ours beside gradio_client {PEER}, best of {rounds} rounds", flush=True)
    report("process", best(pythons, rounds, "import"))
    ourselves = [sys.executable, __file__, "serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(ourselves, stdin=pipe, stdout=pipe, text=True, env=env()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        report("embedded server", best(pythons, rounds, "use", url))
        process.stdin.close()
    if (SERVERS / REAL).is_dir():
        with RealServer(REAL, CONCURRENCY=str(JOBS)) as server:
            report(f"Gradio {REAL}", best(pythons, rounds, "use", server.url))
    else:
        print(f"Gradio {REAL}: not run: not installed (dev.py test-real installs it)")


def peer_python() -> Path:
    """The interpreter of an environment that has gradio_client, on the same Python as ours."""
    import dev  # noqa: PLC0415

    folder = SERVERS / f"gc-{PEER}"
    python = folder / dev.BIN / "python"
    if not python.exists():
        packages = [f"gradio_client=={PEER}"]
        reason = dev.install(folder, dev.get_uv(), sys.executable, packages)
        if reason:
            sys.exit(f"gradio_client {PEER} cannot be installed: {reason}")
    return python


def env() -> dict[str, str]:
    ours = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": ours}


def best(pythons: dict[str, str], rounds: int, *task: str) -> dict[str, dict[str, float]]:
    """The least of each figure, by client."""
    found: dict[str, dict[str, float]] = {client: {} for client in pythons}
    for _ in range(rounds):
        for client, python in pythons.items():
            name, *url = task
            command = [python, __file__, name, client, *url]
            done = subprocess.run(
                command, env=env(), stdout=subprocess.PIPE, text=True, check=True, timeout=120
            )
            for key, value in json.loads(done.stdout).items():
                found[client][key] = min(value, found[client].get(key, value))
    return found


def report(title: str, found: dict[str, dict[str, float]]) -> None:
    print(f"\n{title:42} {'ours':>10} {'peer':>10} {'ratio':>8}")
    ours, peer = found["ours"], found["peer"]
    for key, what in FIGURES.items():
        if key not in ours:
            continue
        beside = (
            f"{peer[key]:>10.2f} {peer[key] / ours[key]:>8.1f}" if key in peer else "     fails"
        )
        print(f"{what:42} {ours[key]:>10.2f} {beside}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["import", client]:
            print(json.dumps(importing(client)))
        case ["use", client, url]:
            print(json.dumps(using(client, url)), flush=True)
            os._exit(0)  # the peer's threads outlive their client
        case arguments:
            compare(int(arguments[0]) if arguments else 3)
