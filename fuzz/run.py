"""Throw bytes at the fuzz targets until the time is up: ``python3 dev.py fuzz --help``.

A target is a module in this folder with a function ``target(data: bytes)`` that raises when its
invariant does not hold, and seeds in ``corpus/NAME/``. Where atheris is installed it does the work,
guided by coverage; elsewhere hypothesis and a mutator take turns. What breaks a target is kept in
``found/`` and can be run again with ``--input``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import importlib.util
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Target = Callable[[bytes], None]

HERE = Path(__file__).resolve().parent
FOUND = HERE / "found"
SECONDS_AN_INPUT = 10  # a target that takes longer is not linear
BYTES_AN_INPUT = 64 * 1024


def names() -> list[str]:
    """The targets that there are."""
    found = (path.stem for path in HERE.glob("*.py"))
    return sorted(name for name in found if name != "run" and not name.startswith("_"))


def load(name: str) -> Target:
    target: Target = importlib.import_module(f"fuzz.{name}").target
    return target


def grown(name: str) -> Callable[[int], bytes]:
    """What makes a longer input of a target: see ``_work``."""
    found: Callable[[int], bytes] = importlib.import_module(f"fuzz.{name}").grown
    return found


def seeds(name: str) -> list[bytes]:
    """The committed corpus of a target, in a fixed order; the empty input is always in it."""
    return [b"", *(path.read_bytes() for path in sorted((HERE / "corpus" / name).glob("*")))]


# Mutation

Change = Callable[[bytearray, random.Random], None]


def mutants(corpus: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Endlessly, inputs that are a few changes away from the corpus."""
    insert = _inserter(_words(corpus))
    changes: list[Change] = [_flip, _overwrite, insert, insert, _delete, _repeat, _move]
    while True:
        data = bytearray(rng.choice(corpus))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
            rng.choice(changes)(data, rng)
        yield bytes(data[:BYTES_AN_INPUT])


def _words(corpus: Iterable[bytes]) -> list[bytes]:
    """What to insert: delimiters, odd numbers, bad UTF-8, and short pieces of the corpus."""
    found = {b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b"\\"}
    found |= {b"-1", b"0", b"1e999", b"9" * 25, b"NaN", b"null", b"true", b"[" * 50, b"{}", b": "}
    for data in corpus:
        found.update(word for word in data.replace(b"\n", b" ").split(b" ") if 0 < len(word) < 40)
    return sorted(found)


def _inserter(words: Sequence[bytes]) -> Change:
    def insert(data: bytearray, rng: random.Random) -> None:
        place = rng.randint(0, len(data))
        data[place:place] = rng.choice(words)

    return insert


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _delete(data: bytearray, rng: random.Random) -> None:
    del data[_span(data, rng)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    place = rng.randint(0, len(data))
    data[place:place] = data[_span(data, rng)] * rng.choice((1, 1, 2, 30))


def _move(data: bytearray, rng: random.Random) -> None:
    span = _span(data, rng)
    piece = data[span]
    del data[span]
    place = rng.randint(0, len(data))
    data[place:place] = piece


def _span(data: bytearray, rng: random.Random) -> slice:
    start = rng.randint(0, len(data))
    return slice(start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 256))))


# Running


class TooSlow(Exception):
    """One input took more than ``SECONDS_AN_INPUT``."""


@contextlib.contextmanager
def time_limit() -> Generator[None]:
    """Bound the time of one input, where the system has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: object) -> None:
        raise TooSlow(f"more than {SECONDS_AN_INPUT} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_AN_INPUT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def first_failure(target: Target, inputs: Iterable[bytes]) -> bytes | None:
    """The first input that breaks the target; what went wrong is printed."""
    for data in inputs:
        try:
            with time_limit():
                target(data)
        except Exception:
            traceback.print_exc()
            return data
    return None


def until(give_up: float, inputs: Iterable[bytes]) -> Iterator[bytes]:
    """The inputs, for as long as the time lasts."""
    for data in inputs:
        if time.monotonic() > give_up:
            return
        yield data


def by_hypothesis(target: Target, examples: int) -> bytes | None:
    """The smallest input that hypothesis finds to break the target."""
    last = b""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.binary(max_size=2000))
    def run(data: bytes) -> None:
        nonlocal last
        last = data
        with time_limit():
            target(data)

    try:
        run()
    except Exception:
        traceback.print_exc()
        return last  # the last one that is run is the smallest
    return None


def fuzz(name: str, seconds: float) -> bytes | None:
    """One target for so long, without atheris; the input that breaks it, if one does."""
    target, corpus, give_up = load(name), seeds(name), time.monotonic() + seconds
    broken = first_failure(target, corpus)
    endless = mutants(corpus, random.Random())
    while broken is None and time.monotonic() < give_up:
        turn = min(give_up, time.monotonic() + 10)
        broken = first_failure(target, until(turn, endless))
        if broken is None and time.monotonic() < give_up:
            broken = by_hypothesis(target, 500)
    return broken


def keep(name: str, data: bytes) -> Path:
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def by_atheris(name: str, seconds: float) -> bool:
    """One target in a process of its own, which atheris takes over; whether it held."""
    FOUND.mkdir(exist_ok=True)
    command = [sys.executable, __file__, name, "--atheris"]
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={BYTES_AN_INPUT}",
        f"-timeout={SECONDS_AN_INPUT}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={FOUND}/{name}-",
    ]
    corpus = HERE / "corpus" / name
    # New inputs go into the first folder: not into the committed one.
    grown = HERE.parent / ".cache" / "fuzz" / name
    grown.mkdir(parents=True, exist_ok=True)
    folders = [str(grown), *([str(corpus)] if corpus.is_dir() else [])]
    return subprocess.run([*command, *options, *folders], check=False).returncode == 0


def become_atheris(name: str, arguments: list[str]) -> None:
    atheris: Any = importlib.import_module("atheris")  # not everybody has it
    with atheris.instrument_imports(include=["sansio_gradio", "fuzz"]):
        target = load(name)
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(names())}")
    parser.add_argument("--seconds", type=float, default=60, help="in all (default: 60)")
    parser.add_argument("--input", type=Path, help="run the target on this file only")
    parser.add_argument("--atheris", action="store_true", help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args(argv)
    if options.atheris:
        become_atheris(options.targets[0], [*rest, *options.targets[1:]])
    if unknown := [*rest, *(name for name in options.targets if name not in names())]:
        parser.error(f"unknown: {' '.join(unknown)}")
    wanted = options.targets or names()
    if options.input:
        for name in wanted:
            load(name)(options.input.read_bytes())
        return 0
    has_atheris = importlib.util.find_spec("atheris") is not None
    failed: list[str] = []
    for name in wanted:
        print(f"== {name}, {'atheris' if has_atheris else 'without atheris'}", flush=True)
        share = options.seconds / len(wanted)
        if has_atheris:
            held = by_atheris(name, share)
        elif (broken := fuzz(name, share)) is not None:
            held = False
            print(f"{name} breaks on {keep(name, broken)}")
        else:
            held = True
        failed += [] if held else [name]
    print(f"failed: {' '.join(failed)}" if failed else "every target held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.exit(main(sys.argv[1:]))
