"""The programs in a page of docs/, run as they are, with what they need where that is installed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sansio_gradio.testing.patience import PATIENCE

ROOT = Path(__file__).parents[2]


def listings(page: str, language: str = "py") -> list[str]:
    """The blocks of ``py``; those of ``python`` need nothing and are run like the README's."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def printed_by(code: str, *arguments: str, needs: str | None = None) -> list[str]:
    """What the program prints; it must succeed, and complain of nothing."""
    if needs is not None and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
