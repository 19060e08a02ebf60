"""Bad visitors of a served app: when the server lets them go, and what they cost until then.

``python benchmarks/visitors.py [N]`` sends N visitors (default 200) of each kind, each kind to a
server of its own, all at once. It prints the seconds until the first and the last of them was let
go, and the most memory that the server had because of them. It takes two minutes, and hardly any
CPU. Linux only: it reads /proc. Half-open visitors, whose machine has vanished, need a network of
their own (``unshare`` and ``ip``); without it they are left out.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIVE_UP = 120.0  # seconds
MESSAGE = 64 * 1024
HERE, THERE = "10.83.0.1", "10.83.0.2"  # in the network of the half-open visitors


# What visitors do. Each gives its socket.

Visit = Callable[[tuple[str, int], int], socket.socket]


def connected(address: tuple[str, int], sent: bytes = b"", *, room: int = 0) -> socket.socket:
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.connect(address)
    sock.sendall(sent)
    return sock


def post(path: str, body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        size,
        body,
    )


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()


def silent(address: tuple[str, int], _: int) -> socket.socket:
    return connected(address)


def half_a_head(address: tuple[str, int], _: int) -> socket.socket:
    return connected(address, b"GET /config HTTP/1.1\r\nHost: a\r\nX-Slow: ")


def half_a_body(address: tuple[str, int], _: int) -> socket.socket:
    return connected(address, post("/gradio_api/queue/join", b"{" * 5000, length=10_000))


def dripping(address: tuple[str, int], number: int) -> socket.socket:
    sock = half_a_head(address, number)

    def drip() -> None:
        try:
            while True:
                time.sleep(5)
                sock.send(b"x")
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    return sock


def answered(address: tuple[str, int], _: int) -> socket.socket:
    sock = connected(address, get("/gradio_api/app_id"))
    sock.recv(1000)
    return sock


def streaming(address: tuple[str, int], number: int, *, room: int = 4096) -> socket.socket:
    """One that has joined the queue, and opened the stream of its messages."""
    said = {"data": [1000], "fn_index": 0, "session_hash": f"s{number}"}
    with connected(address, post("/gradio_api/queue/join", json.dumps(said).encode())) as joining:
        joining.recv(1000)
    return connected(address, get(f"/gradio_api/queue/data?session_hash=s{number}"), room=room)


def slow(address: tuple[str, int], number: int) -> socket.socket:
    sock = streaming(address, number, room=4 * MESSAGE)

    def read() -> None:
        try:
            while sock.recv(MESSAGE // 4):
                time.sleep(1)
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()
    return sock


KINDS: dict[str, Visit] = {
    "connects, and says nothing": silent,
    "sends half a head": half_a_head,
    "sends a head, a byte in 5 s": dripping,
    "sends half a body": half_a_body,
    "has its answer, and stays": answered,
    "reads nothing of its stream": streaming,
    "reads 16 KB/s": slow,
}


# The server, in a process of its own.


def serve(host: str) -> None:
    import asyncio  # noqa: PLC0415  # the visitors need none of these

    from sansio_gradio.server.app import App  # noqa: PLC0415
    from sansio_gradio_adapters.server import Server  # noqa: PLC0415

    app = App(concurrency_limit=None)

    @app.endpoint("/gen")
    async def gen(n: int) -> object:
        for step in range(n):
            yield f"{step} " + "x" * MESSAGE
            await asyncio.sleep(0)

    async def forever() -> None:
        async with Server(app, host) as server:
            print(server.port, flush=True)
            await asyncio.Event().wait()

    asyncio.run(forever())


def started(host: str = "127.0.0.1") -> tuple[subprocess.Popen[str], tuple[str, int]]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", host],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    assert process.stdout is not None
    return process, (host, int(process.stdout.readline()))


def peak(pid: int) -> float:
    """The most memory that a process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


# Measuring


def ends(socks: list[socket.socket], began: float) -> Iterator[float]:
    """After how many seconds each of them was let go."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLRDHUP)
    left = len(socks)
    while left and time.monotonic() - began < GIVE_UP:
        for number, _ in poll.poll(1000):
            poll.unregister(number)
            left -= 1
            yield time.monotonic() - began


def measure(kind: str, count: int) -> None:
    process, address = started()
    before = peak(process.pid)
    try:
        socks = [KINDS[kind](address, number) for number in range(count)]
        began = time.monotonic()
        report(kind, count, list(ends(socks, began)), peak(process.pid) - before)
    finally:
        process.kill()


def report(kind: str, count: int, times: list[float], mib: float) -> None:
    if not times:
        gone = f"all there after {GIVE_UP:g} s"
    elif len(times) < count:
        gone = f"{len(times)} of {count} gone after {times[-1]:.0f} s"
    else:
        gone = f"gone after {times[0]:.0f} to {times[-1]:.0f} s"
    print(f"| {kind} | {gone} | {mib:.0f} MiB | {mib * 1024 / count:.0f} KiB |", flush=True)


def half_open(count: int) -> None:
    """In a network of its own: visitors on another machine, which then vanishes."""
    there = subprocess.Popen(
        ["unshare", "-n", sys.executable, __file__, "--there", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert there.stdin is not None
    assert there.stdout is not None
    there.stdout.readline()
    for command in (
        "link set lo up",
        "link add here type veth peer name there",
        f"link set there netns {there.pid}",
        f"addr add {HERE}/24 dev here",
        "link set here up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    process, (_, port) = started(HERE)
    before = peak(process.pid)
    print(port, file=there.stdin, flush=True)
    there.stdout.readline()  # all have their streams, and their machine has gone
    began, times = time.monotonic(), list[float]()
    folder = Path(f"/proc/{process.pid}/fd")
    idle = len(list(folder.iterdir())) - count
    while len(times) < count and time.monotonic() - began < GIVE_UP:
        time.sleep(1)
        gone = count - (len(list(folder.iterdir())) - idle)
        times += [time.monotonic() - began] * (gone - len(times))
    report("vanishes while its stream is quiet", count, times, peak(process.pid) - before)
    process.kill()
    there.kill()


def be_there(count: int) -> None:
    """The other machine."""
    print("up", flush=True)
    port = int(sys.stdin.readline())
    for command in (f"addr add {THERE}/24 dev there", "link set there up"):
        subprocess.run(["ip", *command.split()], check=True)
    socks = [
        connected((HERE, port), get(f"/gradio_api/heartbeat/s{number}")) for number in range(count)
    ]
    for sock in socks:
        sock.recv(1000)
    subprocess.run(["ip", *f"addr del {THERE}/24 dev there".split()], check=True)
    print("gone", flush=True)
    time.sleep(2 * GIVE_UP)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--serve"]:
        serve(arguments[1])
        return 0
    if arguments[:1] == ["--there"]:
        be_there(int(arguments[1]))
        return 0
    if arguments[:1] == ["--half-open"]:
        half_open(int(arguments[1]))
        return 0
    if not Path("/proc/self/status").exists():
        print("not run: this benchmark reads /proc")
        return 0
    count = int(arguments[0]) if arguments else 200
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{count} visitors of each kind, and what they cost the server\n")
    print(
        "| each of them | let go | memory at its peak | for each |\n|---|---|---|---|", flush=True
    )
    threads = [threading.Thread(target=measure, args=(kind, count)) for kind in KINDS]
    for thread in threads:
        thread.start()
    command = ["unshare", "-rn", sys.executable, __file__, "--half-open", str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    except OSError as error:
        print(f"half-open: not run: {error}")
    else:
        print(done.stdout or f"half-open: not run: {done.stderr.strip()[-200:]}", end="")
    for thread in threads:
        thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
