"""What docs/protocol.md shows first: an app, three commands, and what they print."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:7860"
CURL = shutil.which("curl")


def app() -> str:
    """The program on the page."""
    found = re.search(r"```py\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def commands() -> list[tuple[str, str]]:
    """Each command, and what the page says that it prints."""
    return re.findall(r"```\n\$ (curl [^\n]*)\n(.*?)```", PAGE, re.DOTALL)


def run(command: str, address: str) -> str:
    """What the command prints, asked of the app at *address*."""
    done = subprocess.run(
        ["sh", "-c", command.replace(ADDRESS, address.rstrip("/"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_shown(printed: str, shown: str) -> bool:
    """Whether *shown* is what was *printed*, but for names of jobs, times, and ``…`` for more."""
    parts = _alike(shown).split("…")
    place = 0
    for part in parts:
        found = _alike(printed).find(part, place)
        if found < 0 or (place == 0 and found > 0):
            return False
        place = found + len(part)
    return len(parts) > 1 or _alike(printed) == _alike(shown)


def _alike(text: str) -> str:
    text = re.sub(r"[0-9a-f]{32}", "ID", text.strip())
    return re.sub(r"\d+\.\d+(e-\d+)?(?=[,}])", "TIME", text)
