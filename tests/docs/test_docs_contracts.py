"""The examples of docs/testing.md that judge clients and worlds run, and find what they should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.testing import World
from sansio_gradio.testing.cases import Case, cases

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FILES = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CASES = {case.name: case for case in cases(["6.31.0"])}


def named(file: str, name: str) -> Any:
    """What one of the page's files defines by that name."""
    found: dict[str, Any] = {"__name__": file}
    exec(dict(FILES.findall(PAGE.read_text("utf-8")))[file], found)
    return found[name]


@pytest.mark.parametrize("name", ["several", "shrinking_list", "half, small chunks", "plain"])
def test_the_client_of_the_page_passes(name: str) -> None:
    named("test_mine.py", "TestMine")().test_call(CASES[name])


def test_one_that_loses_something_fails_as_the_page_says() -> None:
    right = named("test_mine.py", "TestMine")

    class Loses(right):  # type: ignore[misc, valid-type]  # known when it runs
        def call(self, url: str, api_name: str, data: list[Any]) -> Any:
            for output in super().call(url, api_name, data):
                yield [output[0][:1]]

    case: Case = CASES["growing_list"]
    with pytest.raises(pytest.fail.Exception) as failed:
        Loses().test_call(case)
    told = str(failed.value).splitlines()[:4]
    assert "\n".join(told) in PAGE.read_text("utf-8")
    assert told[0].startswith("Its output 2 is ")


@pytest.mark.parametrize(
    "scenario",
    ["test_values_come_as_they_are", "test_a_connection_that_is_closed_is_read_no_more"],
)
def test_the_world_of_the_page_passes(scenario: str) -> None:
    getattr(named("test_world.py", "TestMyWorld")(), scenario)("6.31.0")


def test_the_verbs_of_a_world_are_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    verbs = [name for name in vars(World) if not name.startswith("_")]
    assert [name for name in verbs if f"\n| `{name}(" not in text] == []
