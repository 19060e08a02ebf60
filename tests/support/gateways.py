"""The gateway of the examples, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["GATEWAY", "gateway", "gateway_to"]

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "examples" / "gateway.py"


@contextmanager
def gateway_to(url: str) -> Generator[str]:
    """The address of a gateway to the app at *url*."""
    with gateway(url) as (address, _):
        yield address


@contextmanager
def gateway(url: str) -> Generator[tuple[str, int]]:
    """The address of a gateway to the app at *url*, and its process."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    with subprocess.Popen(
        [sys.executable, str(GATEWAY), url, "0"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.kill()
