"""Type hints to components."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Annotated, Any, Literal, Optional

import pytest

from sansio_gradio.server import components
from sansio_gradio.server.components import (
    CHECKBOX,
    JSON,
    NUMBER,
    STATE,
    TEXTBOX,
    ComponentKind,
    State,
    component_of,
    hints_of,
    results_of,
)


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


OWN = ComponentKind(kind="chatbot", schema={"type": "array"}, python_type="list")


@pytest.mark.parametrize(
    ("hint", "component"),
    [
        (str, TEXTBOX),
        (int, NUMBER),
        (float, NUMBER),
        (bool, CHECKBOX),
        (list[int], JSON),
        (dict, JSON),
        (Any, JSON),
        ([], JSON),  # no hint at all
        (str | None, TEXTBOX),
        (Optional[int], NUMBER),  # noqa: UP045  # both spellings are met
        (int | float, NUMBER),
        (str | int, JSON),
        (Literal[1, 2], JSON),
        (Annotated[int, State], STATE),
        (Annotated[int, "a comment"], NUMBER),
        (Annotated[list[Any], OWN], OWN),
    ],
)
def test_each_hint_has_its_component(hint: Any, component: ComponentKind) -> None:
    assert component_of(hint) == component


@pytest.mark.parametrize("hint", [Literal["red", "blue"], Color])
def test_a_choice_is_a_dropdown(hint: Any) -> None:
    component = component_of(hint)
    assert component.kind == "dropdown"
    assert component.schema == {"enum": ["red", "blue"], "type": "string"}
    assert component.python_type == "Literal['red', 'blue']"
    assert component.example == "red"


@pytest.mark.parametrize(
    ("hint", "generator", "components"),
    [
        (str, False, (TEXTBOX,)),
        (None, False, ()),
        (type(None), False, ()),
        (tuple[str, int], False, (TEXTBOX, NUMBER)),
        (tuple[str, ...], False, (JSON,)),
        (tuple, False, (JSON,)),
        (Iterator[str], True, (TEXTBOX,)),
        (Iterator[str], False, (JSON,)),
        (AsyncIterator[tuple[str, Annotated[int, State]]], True, (TEXTBOX, STATE)),
        (Generator[int, None, None], True, (NUMBER,)),
        (Any, True, (JSON,)),
    ],
)
def test_results(hint: Any, generator: bool, components: tuple[ComponentKind, ...]) -> None:
    assert results_of(hint, generator=generator) == components


def test_hints_are_resolved_with_their_marks() -> None:
    def known(value: Annotated[int, State]) -> str:
        raise NotImplementedError

    assert hints_of(known) == {"value": Annotated[int, State], "return": str}


def test_hints_that_mean_nothing_are_none() -> None:
    def unknown(value: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821  # on purpose
        raise NotImplementedError

    assert hints_of(unknown) == {}


def test_every_array_says_something_of_its_items() -> None:
    """gradio_client 1.x fails otherwise, already as it connects."""

    def arrays(schema: Any) -> Iterator[Any]:
        if isinstance(schema, dict):
            if schema.get("type") == "array":
                yield schema
            for part in schema.values():
                yield from arrays(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from arrays(part)

    kinds = [kind for kind in vars(components).values() if isinstance(kind, ComponentKind)]
    found = [schema for kind in kinds for schema in arrays(dict(kind.schema))]
    assert len(found) > 3
    assert all("items" in schema or "prefixItems" in schema for schema in found)
