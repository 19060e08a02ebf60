"""Property-based tests for code that speaks Gradio's protocols: yours, and this library's own.

Install it with ``pip install "sansio-gradio[testing]"``. docs/testing.md shows what to do with it.
``import sansio_gradio`` does not import it.
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401  # pyright: ignore[reportUnusedImport]  # is it there?
    import pytest
except ImportError as missing:
    raise ImportError(
        f"sansio_gradio.testing needs hypothesis and pytest, and {missing.name} is not installed:"
        ' pip install "sansio-gradio[testing]"'
    ) from missing

# An assertion that fails in there is shown with its values, as in a test.
pytest.register_assert_rewrite(
    *(f"sansio_gradio.testing.{name}" for name in ("adapter_contract", "driver", "talk"))
)

from sansio_gradio.testing import strategies  # noqa: E402  # behind that
from sansio_gradio.testing.adapter_contract import AdapterContract  # noqa: E402
from sansio_gradio.testing.checked import CheckedEngine, DriverMistake  # noqa: E402
from sansio_gradio.testing.client_contract import ClientContract  # noqa: E402
from sansio_gradio.testing.driver import Driver  # noqa: E402
from sansio_gradio.testing.faults import Fault, FaultKind  # noqa: E402
from sansio_gradio.testing.peers import AppPeer  # noqa: E402
from sansio_gradio.testing.simulation import SimulatedJob, Simulation  # noqa: E402
from sansio_gradio.testing.worlds import World  # noqa: E402

__all__ = [
    "AdapterContract",
    "AppPeer",
    "CheckedEngine",
    "ClientContract",
    "Driver",
    "DriverMistake",
    "Fault",
    "FaultKind",
    "SimulatedJob",
    "Simulation",
    "World",
    "strategies",
]
