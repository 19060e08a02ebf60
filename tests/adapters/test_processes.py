"""The blocking client in a process of its own: how it ends, by itself and by Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sansio_gradio.server.app import App
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.worlds import WORLDS

ROOT = Path(__file__).parents[2]
HEAD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run without
from sansio_gradio_adapters.sockets import Client
url, name = sys.argv[1:]
"""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Lively, str]]:
    lively = Lively()
    with serve_in_thread(lively.app) as url:
        yield lively, url


@contextmanager
def started(
    script: str, url: str, name: str = "", *options: str
) -> Generator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    with subprocess.Popen(
        [sys.executable, *options, "-c", HEAD + textwrap.dedent(script), url, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": ""},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def printed_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    timer = threading.Timer(PATIENCE, process.kill)  # which ends the line
    timer.start()
    try:
        return process.stdout.readline()
    finally:
        timer.cancel()


def run(script: str, url: str, name: str = "", *options: str) -> str:
    """What *script* prints; it must end well and complain of nothing."""
    with started(script, url, name, *options) as process:
        printed, complaints = process.communicate(timeout=PATIENCE)
    assert (process.returncode, complaints) == (0, "")
    return printed


ALIVE_AT_EXIT = [
    "client = Client(url); print(client.predict('x', api_name='/echo'))",
    "client = Client(url); job = client.submit('x', api_name='/echo'); print(job.result())",
    "job = Client(url).submit(name, api_name='/endless'); print(next(iter(job)))",
    "stream = Client(url).stream_messages(name, api_name='/endless'); print(next(stream)['msg'])",
    "keep = [Client(url)]; keep.append(keep); print(1)",
]


@pytest.mark.parametrize("script", ALIVE_AT_EXIT)
def test_who_never_closes_ends_without_a_word(served: tuple[Lively, str], script: str) -> None:
    lively, url = served
    endless = lively.new_endless()
    assert run(script, url, endless.name, "-X", "dev", "-W", "error") != ""


def test_the_warning_about_an_unclosed_client_is_off_by_default(served: tuple[Lively, str]) -> None:
    script = """
        def use():
            print(Client(url).predict("x", api_name="/echo"))
        use()
    """
    assert run(script, served[1]) == "x\n"
    with started(script, served[1], "", "-W", "default") as process:
        _, complaints = process.communicate(timeout=PATIENCE)
    assert "was not closed" in complaints


def test_the_blocking_client_in_a_coroutine(served: tuple[Lively, str]) -> None:
    script = """
        import asyncio

        async def handler():
            client = Client(url)
            job = client.submit("ab", api_name="/chat")
            async for update in job:
                print(update)
                await asyncio.sleep(0)
            return job.result()

        print(asyncio.run(handler()))
    """
    assert run(script, served[1]) == "a\nab\nab\n"


WAITS = [
    "client.predict(name, api_name='/endless')",
    "client.submit(name, api_name='/endless').result()",
    "list(client.submit(name, api_name='/endless'))",
    "for message in client.stream_messages(name, api_name='/endless'): pass",
    "with client.stream_messages(name, api_name='/endless') as messages: list(messages)",
    "import concurrent.futures as c; c.wait([client.submit(name, api_name='/endless')])",
]


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_interrupts_every_wait_and_ends_the_job(
    served: tuple[Lively, str], wait: str
) -> None:
    lively, url = served
    endless = lively.new_endless()
    with started("client = Client(url)\n" + wait, url, endless.name) as process:
        endless.wait_for_listener()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE)
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert complaints.count("Traceback") == 1
    endless.wait_for_end()


@pytest.mark.parametrize(
    "wait",
    [
        "client.predict(name, api_name='/endless')",
        "stream = client.stream_messages(name, api_name='/endless'); list(stream)",
    ],
)
def test_after_ctrl_c_the_client_works_on_and_the_job_is_gone(
    served: tuple[Lively, str], wait: str
) -> None:
    lively, url = served
    endless = lively.new_endless()
    script = f"""
        client = Client(url)
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        input()
        print(client.predict("x", api_name="/echo"))
    """
    with started(script, url, endless.name) as process:
        endless.wait_for_listener()
        process.send_signal(signal.SIGINT)
        assert printed_line(process) == "interrupted\n"
        endless.wait_for_end()  # while the process is still there
        printed, complaints = process.communicate("go on\n", timeout=PATIENCE)
    assert (printed, complaints) == ("x\n", "")


def test_ctrl_c_interrupts_connecting(served: tuple[Lively, str]) -> None:
    script = """
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        print("ready", flush=True)
        Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
    """
    with started(script, served[1]) as process:
        assert printed_line(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE)
    assert complaints.rstrip().endswith("KeyboardInterrupt")


CROWD = f"""
import resource
limits = resource.RLIMIT_NOFILE, (225, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
resource.setrlimit(*limits)
sys.path.append({str(ROOT)!r})
from sansio_gradio import Limits
from tests.support.worlds import WORLDS

async def play():
    limits = Limits(job_connections=200)
    async with WORLDS[name].client(url, limits=limits) as client:
        jobs = [client.submit(str(n), api_name="/meet") for n in range(400)]
        print(*[await job for job in jobs])

WORLDS[name].run(play)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize("world", WORLDS)
def test_jobs_with_a_websocket_each_do_not_run_out_of_files(world: str) -> None:
    """200 of them are over at once, and 200 others begin."""
    app, meeting = App(version="3.50.2", concurrency_limit=None), asyncio.Barrier(200)

    @app.endpoint("/meet")
    async def meet(text: str) -> str:
        await meeting.wait()
        return text

    with serve_in_thread(app) as url:
        assert run(CROWD, url, world).split() == [str(number) for number in range(400)]


SEVERAL = f"""
import contextlib, itertools, resource
limits = resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
resource.setrlimit(*limits)
sys.path.append({str(ROOT)!r})
from tests.support.worlds import WORLDS

async def play():
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(WORLDS[name].client(url)) for _ in range(3)]
        jobs = [
            client.submit(str(number), api_name="/echo")
            for number, client in enumerate(itertools.chain(*[clients] * 200))
        ]
        print(*[await job for job in jobs])

WORLDS[name].run(play)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("version", ["3.50.2", "4.0.2"])
def test_jobs_of_several_clients_do_not_run_out_of_files(version: str, world: str) -> None:
    with serve_in_thread(Lively(version=version).app) as url:
        assert run(SEVERAL, url, world).split() == [str(number) for number in range(600)]
