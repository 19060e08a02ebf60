"""The example of docs/test_your_client.md is a suite of tests that passes, and notices a fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from sansio_gradio.testing.patience import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "test_your_client.md"
FILES = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_suite(folder: Path) -> str:
    """What pytest says of the suite in *folder*."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.stdout


def test_the_example_passes_and_notices_a_fault(tmp_path: Path) -> None:
    files = dict(FILES.findall(PAGE.read_text("utf-8")))
    assert list(files) == ["conftest.py", "test_ask.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert "2 passed" in run_suite(tmp_path)
    wrong = files["test_ask.py"].replace("predict(word,", 'predict(word + "s",')
    (tmp_path / "test_ask.py").write_text(wrong)
    assert "1 failed, 1 passed" in run_suite(tmp_path)
