"""What a ``gr.update`` makes of a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio import apply_update

CASES = json.loads(
    (Path(__file__).parents[2] / "docs" / "vectors" / "updates.json").read_text("utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_value_after_an_item(case: dict[str, Any]) -> None:
    assert apply_update(case["before"], case["item"]) == case["value"]


@pytest.mark.parametrize("item", [["__type__"], "update", {"__type__": ["update"]}, 5, True])
def test_what_is_no_update_is_the_value(item: Any) -> None:
    assert apply_update("before", item) is item
