"""The examples of the published documentation, as programs, and what they promise to print.

Their text is in ``data/documentation_examples.md``. Only what a reader has to put in is put in: the
imports, and the address of the app.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import attrs

from sansio_gradio.testing.patience import PATIENCE

ROOT = Path(__file__).parents[2]
TEXT = Path(__file__).parents[1] / "data" / "documentation_examples.md"

IMPORTS = """\
import asyncio, threading, time
from sansio_gradio import AppError
from sansio_gradio_adapters.sockets import Client
"""
_EXAMPLE = re.compile(r"^## (.*?)\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPACE = re.compile(r'(?<=Client\(")abidlabs/[\w-]+(?="\))')


def examples() -> dict[str, str]:
    """The code of each example by its title."""
    return dict(_EXAMPLE.findall(TEXT.read_text("utf-8")))


def program(title: str, url: str) -> str:
    """The example as a program that talks to the app at *url*."""
    code, spaces = _SPACE.subn(url, examples()[title])
    assert spaces == 1
    return IMPORTS + code


@attrs.frozen
class Ended:
    """How a program ended, and what it has printed.

    Where threads print, two lines may stand in one, and the second line end by itself.
    """

    status: int
    lines: Sequence[str]  # but empty ones
    errors: str


def run(title: str, url: str, folder: Path) -> Ended:
    """Run the example to its end, under Python's default warning filters."""
    with started(title, url, folder) as process:
        printed, errors = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, _lines(printed), errors)


def interrupt(process: subprocess.Popen[str], after: Callable[[str], bool], times: int) -> Ended:
    """Press Ctrl-C when *process* has printed so many lines that *after* likes."""
    assert process.stdout is not None
    lines: list[str] = []
    while times and (line := process.stdout.readline()):
        lines.append(line)
        times -= after(line)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, _lines("".join([*lines, printed])), errors)


def _lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line]


@contextlib.contextmanager
def started(title: str, url: str, folder: Path) -> Generator[subprocess.Popen[str]]:
    """The running program, ended with the ``with`` at the latest."""
    path = folder / "example.py"
    path.write_text(program(title, url), "utf-8")
    # What ignores Ctrl-C, as a background job of a shell does, hands that down.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(os.environ),
        )
    finally:
        signal.signal(signal.SIGINT, ours)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    ours = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    kept = {name: value for name, value in given.items() if name != "PYTHONWARNINGS"}
    return {**kept, "PYTHONPATH": ours, "PYTHONUNBUFFERED": "1"}


def missing(promised: Sequence[str], lines: Sequence[str]) -> str | None:
    """The first of the *promised* patterns that no line matches after those before it."""
    left = iter(lines)
    for pattern in promised:
        if not any(re.fullmatch(pattern, line) for line in left):
            return pattern
    return None
