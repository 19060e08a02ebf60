"""``dev.py bench`` runs, and writes its figures where they belong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import BEGIN, END, Figure, Findings, write
from benchmarks.run import main

ROOT = Path(__file__).parents[1]


@pytest.mark.exhaustive
def test_a_quick_run_writes_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    run = [
        sys.executable,
        "-m",
        "benchmarks.run",
        "--quick",
        "--only",
        "connect,predict,grow,cancel",
    ]
    done = subprocess.run(
        [*run, "--out", page], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    for title in ("connect, CPU", "predict, p50", "predict, 50 ms away, p50", "cancel, p50"):
        assert re.search(
            rf"^\| {title} \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+ ms \| [\d.]+ \|$", text, re.M
        )
    assert "[18/18]" in done.stdout


def test_the_page_has_medians_ratios_and_plots_for_light_and_dark(tmp_path: Path) -> None:
    findings, seconds = Findings(), Figure("connect", "s", "ms")
    rate = Figure("upload", "rate", "MB/s")
    for client, values in {
        "blocking": (0.002, 0.003, 0.9),
        "h11": (0.0015,),
        "peer": (0.03,),
    }.items():
        for value in values:
            findings.add("burst", seconds, client, {"s": value, "cpu": 1.0})
    findings.add("burst", seconds, "js", "> 20 s")
    findings.add("burst", rate, "blocking", {"rate": 3e8})
    findings.add("burst", rate, "peer", {"rate": 1e8})
    findings.growth["jobs"] = [(10, 1e-3), (100, 1.1e-3)]
    page = tmp_path / "page.md"
    for _ in range(2):  # anew each time
        write(page, findings, [("burst", (seconds, rate))])
    text = page.read_text()
    assert "| connect | 3 ms | 1.5 ms | 30 ms | > 20 s | 2 | 0.1 |  |" in text
    assert "| upload | 300 MB/s |  | 100 MB/s |  |  | 0.33 |  |" in text
    assert "| of so many jobs |  | 1000 | 1100 |" in text
    assert text.count("page/bars.svg") == text.count("page/growth.svg") == 1
    for plot in ("bars.svg", "growth.svg"):
        drawn = (tmp_path / "page" / plot).read_text()
        assert drawn.startswith("<svg ")
        assert "prefers-color-scheme: dark" in drawn


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SystemExit) as refused:
        main(["nonsense"])
    assert refused.value.code == 2
