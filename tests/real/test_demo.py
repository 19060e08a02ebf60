"""The demo on real servers."""

from __future__ import annotations

import os

import pytest

from .demo import main
from .server import ROOT

pytestmark = pytest.mark.real


def test_it_shows_what_it_shows_on_the_embedded_server(
    version: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if version.startswith(("3.1.", "3.4.")):
        pytest.skip("before Gradio 3.16 there is no gr.Progress")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "adapters")]))
    assert main(version) == 0
    shown = capfd.readouterr().out
    for wanted in (f"Gradio {version}", "in the queue", " loaves\n", "There is nobody", "50 calls"):
        assert wanted in shown
