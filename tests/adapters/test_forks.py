"""A client belongs to the process that it was made in; a fork of that has clients of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sansio_gradio.testing.lively_app import Lively
from sansio_gradio_adapters.server import serve_in_thread
from tests.adapters.test_processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Lively, str]]:
    lively = Lively()
    with serve_in_thread(lively.app) as url:
        yield lively, url
        lively.go_on.set()


BLOCKING = """
import concurrent.futures, gc, os
from sansio_gradio.errors import LocalProtocolError

client = Client(url)
done = client.submit("over", api_name="/echo")
done.result()
job = client.submit(name, api_name="/endless")
outputs, updates = iter(job), job.updates()
next(outputs), next(updates)
stream = client.stream_messages(name, api_name="/endless")
next(stream)
results = client.map("ab", "/held", in_flight=1)

def wait_for_output():
    while True:
        next(outputs)

VERBS = {
    "predict": lambda: client.predict("x", api_name="/echo"),
    "submit": lambda: client.submit("x", api_name="/echo"),
    "map": lambda: client.map("x", "/echo"),
    "stream_messages": lambda: client.stream_messages("x", api_name="/echo"),
    "send_data": lambda: client.send_data({}, {}, client.protocol, {}),
    "reset_session": client.reset_session,
    "endpoints": lambda: client.endpoints,
    "result": lambda: job.result(2),
    "exception": job.exception,
    "cancel": job.cancel,
    "send": lambda: job.send("x"),
    "end_input": job.end_input,
    "iteration": wait_for_output,
    "updates": lambda: list(updates),
    "messages": lambda: list(stream),
    "results": lambda: next(results),
    "wait": lambda: concurrent.futures.wait([job]),
    "add_done_callback": lambda: job.add_done_callback(print),
}
"""
IN_THE_CHILD = """
def play():
    for verb, call in VERBS.items():
        try:
            call()
        except LocalProtocolError as error:
            if "forked" not in str(error):
                print(verb, error)
        else:
            print(verb, "was not refused")
    print(done.result(), list(done))
    stream.close()
    results.close()
    with client:
        pass
    client.close()
    with Client(url) as own:
        print(own.predict("own", api_name="/echo"))
"""
FORK = """
sys.stdout.flush()
child = os.fork()
if child == 0:
    play()
    sys.exit(0)
_, status = os.waitpid(child, 0)
print("status", status)
count = next(outputs)
print(client.predict("parent", api_name="/echo"), next(outputs) - count, job.cancel())
stream.close()
client.close()
"""


def test_verbs_in_a_forked_process(served: tuple[Lively, str]) -> None:
    lively, url = served
    endless = lively.new_endless()
    script = BLOCKING + IN_THE_CHILD + FORK
    printed = run(script, url, endless.name, "-X", "dev", "-W", "error")
    assert printed.splitlines() == [
        "over ['over']",
        "own",
        "status 0",
        "parent 1 True",
    ]
    endless.wait_for_end()


def test_what_is_forgotten_in_a_forked_process_goes_on_in_its_parent(
    served: tuple[Lively, str],
) -> None:
    lively, url = served
    endless = lively.new_endless()
    forget = """
def play():
    global client, job, outputs, updates, stream, results, VERBS, wait_for_output, done
    del client, job, outputs, updates, stream, results, VERBS, wait_for_output, done
    gc.collect()
    print("forgotten")
"""
    script = BLOCKING + forget + FORK
    printed = run(script, url, endless.name, "-X", "dev", "-W", "error")
    assert printed.splitlines() == ["forgotten", "status 0", "parent 1 True"]
    endless.wait_for_end()


# From 3.12 on Python warns of every fork beside a thread.
NO_WARNING = ("-W", "ignore:This process:DeprecationWarning")


def test_a_fork_while_others_use_clients_has_working_ones(served: tuple[Lively, str]) -> None:
    script = """
        import os, threading
        clients = [Client(url) for _ in range(2)]
        stop = threading.Event()

        def use(client):
            while not stop.is_set():
                list(client.submit("abc" * 30, api_name="/chat"))

        threads = [threading.Thread(target=use, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for _ in range(20):
            if (child := os.fork()) == 0:
                with Client(url) as own:
                    right = own.predict("own", api_name="/echo", timeout=30) == "own"
                os._exit(0 if right else 1)
            print(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads:
            thread.join()
    """
    assert run(script, served[1], "", *NO_WARNING).split() == ["0"] * 20


def test_the_parents_close_reaches_the_server_while_the_child_lives(
    served: tuple[Lively, str],
) -> None:
    lively, url = served
    endless = lively.new_endless()
    script = """
        import os
        client = Client(url)
        client.predict("x", api_name="/echo")
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        if (child := os.fork()) == 0:
            os.close(from_parent)
            os.write(from_child, b".")
            os.read(to_child, 1)  # until the parent is gone
            os._exit(0)
        os.read(to_parent, 1)
        files = os.listdir(f"/proc/{child}/fd") if os.path.exists("/proc") else []
        sockets = [f for f in files if os.readlink(f"/proc/{child}/fd/{f}").startswith("socket")]
        print(len(sockets))
        client.close()
    """
    assert run(script, url, endless.name, *NO_WARNING) == "0\n"


TASKS = """
import os
from sansio_gradio.errors import LocalProtocolError

async def main():
    async with Client(url) as client:
        job = client.submit(name, api_name="/endless")
        outputs = aiter(job)
        await anext(outputs)
        stream = client.stream_messages(name, api_name="/endless")
        results = client.map("ab", "/held", in_flight=1)

        async def submit(): client.submit("x", api_name="/echo")
        async def predict(): await client.predict("x", api_name="/echo")
        async def result(): await job.result(2)
        async def cancel(): job.cancel()
        async def send(): job.send("x")
        async def iterate(): [output async for output in outputs]
        async def update(): [update async for update in job.updates()]
        async def message(): [message async for message in stream]
        async def take(): await anext(results)
        async def reset(): await client.reset_session()
        async def endpoints(): await client.get_endpoints()

        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            for verb in (
                submit, predict, result, cancel, send, iterate, update, message, take, reset,
                endpoints,
            ):
                try:
                    await verb()
                except LocalProtocolError as error:
                    if "forked" not in str(error):
                        print(verb, error)
                else:
                    print(verb, "was not refused")
            stream.close()
            results.close()
            await client.close()
            sys.stdout.flush()
            os._exit(0)
        print("status", os.waitpid(child, 0)[1])
        count = await anext(outputs)
        print(await client.predict("parent", api_name="/echo"), await anext(outputs) - count)
        results.close()
        stream.close()
        print(job.cancel())
"""
ASYNCIO = (
    TASKS
    + """
import asyncio
from sansio_gradio_adapters.asyncio import Client
asyncio.run(main())
"""
)
TRIO = (
    TASKS
    + """
import trio
from sansio_gradio_adapters.trio import Client
trio.run(main)
"""
)


@pytest.mark.parametrize("script", [ASYNCIO, TRIO])
def test_verbs_of_tasks_in_a_forked_process(served: tuple[Lively, str], script: str) -> None:
    lively, url = served
    endless = lively.new_endless()
    assert run(script, url, endless.name).splitlines() == ["status 0", "parent 1", "True"]
    endless.wait_for_end()
