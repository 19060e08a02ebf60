"""``python3 dev.py bench``: this library, its peers and two floors, in turns, on the same servers.

``--quick``: a few small measurements of our blocking client and the floors, in some seconds.
``--rounds N``: how often each is measured (3); medians count. ``--only ROW[,ROW]``: these rows.
``--out FILE``: where the figures go (docs/performance.md), between its two marks; plots beside it.

Each measurement is a process of its own, ``drive.py``. There are four servers: the stub (see
``stub.py``) that sends all at once, one that sends message by message, one that is 50 ms away, and
a real Gradio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import attrs

from benchmarks.report import Figure, Findings, write
from tests.reverse.table import NotInstalled, command

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
REAL: Final = "6.31.0"
PEERS: Final = {"peer": "gradio_client==2.7.2", "js": "@gradio/client@2.7.0"}
OURS: Final = ("blocking", "speed", "asyncio", "trio", "loop")
FLOORS: Final = ("h11", "raw")
PACE, DELAY = 0.0003, 0.05


@attrs.frozen
class Row:
    """One measurement of ``drive.py``, and what of it is shown."""

    name: str
    numbers: tuple[int, ...]
    server: str
    figures: tuple[Figure, ...]
    quick: tuple[int, ...] | None = None
    """What ``--quick`` measures; None: nothing."""
    without: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    """These clients take long: they are measured once."""
    timeout: int = 60


ROWS: Final = [
    Row(
        "import",
        (),
        "burst",
        (Figure("import", "s", "ms"), Figure("import, memory", "memory", "MB")),
        (),
        without=("raw", "speed"),
    ),
    Row(
        "connect",
        (20,),
        "burst",
        (Figure("connect, CPU", "cpu", "ms"), Figure("connect, p50", "p50", "ms")),
        (3,),
    ),
    Row(
        "predict",
        (100,),
        "burst",
        (Figure("predict, CPU", "cpu", "ms"), Figure("predict, p50", "p50", "ms")),
        (10,),
        once=("peer",),
    ),
    Row(
        "predict",
        (10,),
        "far",
        (Figure("predict, 50 ms away, p50", "p50", "ms"),),
        (2,),
        once=("peer", "js"),
    ),
    Row(
        "grow",
        (10_000,),
        "burst",
        (
            Figure("10,000 growing, CPU each", "cpu", "us"),
            Figure("10,000 growing, memory", "memory", "MB"),
        ),
        (200,),
    ),
    Row(
        "result",
        (10_000,),
        "burst",
        (Figure("10,000 growing, result only, CPU each", "cpu", "us"),),
        (200,),
    ),
    Row("plain", (10_000,), "burst", (Figure("10,000 replaced, CPU each", "cpu", "us"),), (200,)),
    Row("grow", (2000,), "paced", (Figure("2,000 one by one, CPU each", "cpu", "us"),), (50,)),
    Row(
        "big",
        (10,),
        "burst",
        (
            Figure("a message of 10 MB", "s", "ms"),
            Figure("a message of 10 MB, memory of each byte", "memory", "B"),
        ),
        (1,),
    ),
    Row(
        "big",
        (100,),
        "burst",
        (Figure("a message of 100 MB", "s", "s"),),
        once=("peer", "js"),
        timeout=20,
    ),
    Row(
        "jobs",
        (1000, 5),
        "burst",
        (
            Figure("1,000 jobs of 0.5 s", "s", "s"),
            Figure("1,000 jobs, CPU each", "cpu", "ms"),
            Figure("1,000 jobs, threads", "threads", ""),
        ),
        (20, 1),
        once=("peer", "js"),
        timeout=90,
    ),
    Row(
        "sessions",
        (100,),
        "burst",
        (
            Figure("100 sessions, with a call each", "s", "s"),
            Figure("100 sessions, memory", "memory", "MB"),
            Figure("100 sessions, threads", "threads", ""),
        ),
        (5,),
        once=("peer",),
    ),
    Row(
        "idle",
        (1000, 5),
        "burst",
        (
            Figure("idle with 1,000 jobs, CPU", "busy", "%"),
            Figure("idle with 1,000 jobs, wakes a second", "wakes", ""),
            Figure("idle, memory of a job", "memory", "kB"),
        ),
        without=("h11", "raw", "peer", "speed"),
        once=(*OURS, "js"),
    ),
    Row("cancel", (10,), "burst", (Figure("cancel, p50", "p50", "ms"),), (2,)),
    Row(
        "upload",
        (100,),
        "burst",
        (
            Figure("upload of 100 MB", "rate", "MB/s"),
            Figure("upload of 100 MB, CPU", "cpu", "ms"),
            Figure("upload of 100 MB, memory", "memory", "MB"),
        ),
        (1,),
        without=("loop", "speed"),
    ),
    Row(
        "download",
        (100,),
        "burst",
        (
            Figure("download of 100 MB", "rate", "MB/s"),
            Figure("download of 100 MB, CPU", "cpu", "ms"),
            Figure("download of 100 MB, memory", "memory", "MB"),
        ),
        (1,),
        without=("loop", "speed", "js"),
    ),
    Row("connect", (10,), "real", (Figure("connect, p50", "p50", "ms"),), without=("speed",)),
    Row(
        "real_predict",
        (50,),
        "real",
        (Figure("predict, p50", "p50", "ms"),),
        without=("speed",),
        once=("peer",),
    ),
    Row(
        "first",
        (100,),
        "real",
        (Figure("first output, p50", "p50", "ms"), Figure("first output, p99", "p99", "ms")),
        without=("speed",),
        once=("peer",),
    ),
]

# How cost grows: the row, its sizes, what a size counts, and the figure (for one of these).
GROWTH: Final[dict[str, tuple[list[tuple[int, ...]], str, str]]] = {
    "jobs": ([(n, 1) for n in (10, 100, 1000, 10_000)], "jobs", "cpu"),
    "sessions": ([(n,) for n in (1, 10, 100, 1000)], "sessions", "cpu"),
    "big": ([(1,), (10,), (100,)], "MB in one message", "cpu"),
    "result": ([(n,) for n in (1000, 10_000, 100_000, 1_000_000)], "messages of a stream", "cpu"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    wanted = set(str(options.only).split(",")) - {""}
    rows = [row for row in ROWS if not wanted or row.name in wanted]
    clients = [*OURS, *FLOORS]
    if options.quick:
        quick = [attrs.evolve(row, numbers=row.quick) for row in rows if row.quick is not None]
        rows, clients = quick, ["blocking", *FLOORS]
    with ExitStack() as stack:
        servers = {
            "burst": stack.enter_context(stub()),
            "paced": stack.enter_context(stub(PACE)),
            "far": stack.enter_context(stub(0, DELAY)),
        }
        runs = {client: [sys.executable, str(HERE / "drive.py"), client] for client in clients}
        if not options.quick:
            runs |= peers()
            if (url := real(stack)) is not None:
                servers["real"] = url
        findings = measure(rows, runs, servers, rounds=1 if options.quick else options.rounds)
        if not options.quick and not wanted:
            grow(findings, runs["blocking"], servers["burst"])
    write(
        options.out, findings, [(row.server, row.figures) for row in rows if row.server in servers]
    )
    print(f"written to {options.out}")
    return 0


@contextmanager
def stub(*options: float) -> Generator[str]:
    """A stub in a process of its own; its URL."""
    started = [sys.executable, str(HERE / "stub.py"), *map(str, options)]
    pipe = subprocess.PIPE
    with subprocess.Popen(started, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def real(stack: ExitStack) -> str | None:
    """The URL of a real server; None: it is not installed."""
    from tests.real.server import RealServer  # noqa: PLC0415

    servers = Path(os.environ.get("SANSIO_GRADIO_SERVERS") or ROOT / ".servers")
    if not (servers / REAL).is_dir():
        print(f"Gradio {REAL}: not measured: not installed", flush=True)
        return None
    return stack.enter_context(RealServer(REAL, CONCURRENCY="10")).url


def peers() -> dict[str, list[str]]:
    """How to measure the official clients, as far as they can be installed."""
    found: dict[str, list[str]] = {}
    for client, release in PEERS.items():
        print(f"{release}: installing, if need be", flush=True)
        try:
            how, folder = command(release)
        except NotInstalled as error:
            print(f"{release}: not measured: {error}", flush=True)
            continue
        if client == "js":
            node = shutil.which("node") or "node"
            found[client] = [node, str(HERE / "drive.mjs"), str(folder)]
        else:
            found[client] = [how[0], str(HERE / "drive.py"), client]
    return found


def measure(
    rows: Sequence[Row], runs: dict[str, list[str]], servers: dict[str, str], *, rounds: int
) -> Findings:
    """Medians of the rounds. In each round the clients take turns, row by row."""
    todo = [
        (turn, row, client)
        for turn in range(rounds)
        for row in rows
        for client in runs
        if row.server in servers
        and client not in row.without
        and (turn == 0 or client not in row.once)
    ]
    findings, began = Findings(), time.monotonic()
    for number, (turn, row, client) in enumerate(todo, 1):
        figures = once(runs[client], row, servers[row.server])
        for figure in row.figures:
            findings.add(row.server, figure, client, figures)
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        found = findings.text(row.server, row.figures[0], client)
        what = f"{row.figures[0].title:40} {client:9} {found:>9}"
        print(f"{minutes}:{seconds:02} [{number}/{len(todo)}] {what} ({turn + 1})", flush=True)
    return findings


def once(how: Sequence[str], row: Row, url: str) -> dict[str, float] | str:
    """One measurement; or, in words, why there is none."""
    ours = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONPATH": ours}
    try:
        done = subprocess.run(
            [*how, row.name, url, *map(str, row.numbers)],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=row.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"> {row.timeout} s"
    if done.returncode:
        print(done.stderr.strip()[-500:], file=sys.stderr, flush=True)
        return "fails"
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def grow(findings: Findings, how: Sequence[str], url: str) -> None:
    """How the cost of the blocking client grows with jobs, sessions, sizes and lengths."""
    for name, (sizes, unit, key) in GROWTH.items():
        for numbers in sizes:
            row = Row(name, numbers, "burst", (), timeout=120)
            figures = once(how, row, url)
            if isinstance(figures, dict):
                each = figures[key] / (numbers[0] if name == "big" else 1)
                findings.growth.setdefault(unit, []).append((numbers[0], each))
                print(f"{numbers[0]:>9} {unit}: {each * 1e6:.1f} us of CPU each", flush=True)


if __name__ == "__main__":
    sys.exit(main())
