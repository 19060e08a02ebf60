"""Cases that others have collected. They are not part of this project: they are checked where
``SANSIO_GRADIO_CORPORA`` names the folder that they lie in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of a corpus; where it is not there, the test is skipped, and says so."""
    folder = os.environ.get("SANSIO_GRADIO_CORPORA")
    if not folder:
        pytest.skip(f"not run: SANSIO_GRADIO_CORPORA names no folder with {name}")
    cases: list[dict[str, Any]] = json.loads((Path(folder) / name).read_text("utf-8"))["cases"]
    return cases
