"""Cases that others have collected. They are not part of this project: they are checked where the
folder ``shared`` lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"


def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of a corpus; where it is not there, the test is skipped, and says so."""
    corpus = CORPORA / name
    if not corpus.exists():
        pytest.skip(f"not run: {corpus.name} does not lie in ../shared/corpora")
    cases: list[dict[str, Any]] = json.loads(corpus.read_text())["cases"]
    return cases
