"""The package for tests stands on top of the library, and says what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def said_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_library_does_not_import_it() -> None:
    program = "import sys, sansio_gradio; print('sansio_gradio.testing' in sys.modules)"
    assert said_by(program) == "False"


def test_what_it_needs_is_said_in_one_sentence() -> None:
    program = """
import sys
sys.modules["hypothesis"] = None
try:
    import sansio_gradio.testing
except ImportError as error:
    print(error)
"""
    assert said_by(program) == (
        "sansio_gradio.testing needs hypothesis and pytest, and hypothesis is not installed:"
        ' pip install "sansio-gradio[testing]"'
    )
