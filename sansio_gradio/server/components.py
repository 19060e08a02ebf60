"""What components a served function's parameters and results are, from their type hints.

Each has what ``/config`` and ``/info`` say of it; values are those of Gradio's own components
(``api_info`` of each; python types as gradio_client names them).
"""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs


class State:
    """Marks a value that stays on the server: ``Annotated[int, State]``.

    Slots of one name are one State, shared by all functions of the app, with one value a session.
    Clients neither send nor get it.
    """


@attrs.frozen(kw_only=True)
class Component:
    """A kind of component: what the documents say of its values."""

    kind: str  # as in config.components[].type
    schema: Mapping[str, Any]  # the JSON schema of a value
    python_type: str
    description: str = ""
    example: Any = None
    serializer: str = "SimpleSerializable"  # 3.x's name for how values travel


TEXTBOX: Final = Component(
    kind="textbox",
    schema={"type": "string"},
    python_type="str",
    example="Hello!!",
    serializer="StringSerializable",
)
NUMBER: Final = Component(
    kind="number",
    schema={"type": "number"},
    python_type="float",
    example=3,
    serializer="NumberSerializable",
)
CHECKBOX: Final = Component(
    kind="checkbox",
    schema={"type": "boolean"},
    python_type="bool",
    example=True,
    serializer="BooleanSerializable",
)
JSON: Final = Component(
    kind="json",
    schema={"type": {}, "description": "any valid json"},
    python_type="str | float | bool | list | dict",
    description="any valid json",
    example={"foo": "bar"},
    serializer="JSONSerializable",
)
STATE: Final = Component(kind="state", schema={"type": {}}, python_type="Any")

_SCALARS: Final[Mapping[Any, Component]] = {
    str: TEXTBOX,
    int: NUMBER,
    float: NUMBER,
    bool: CHECKBOX,
}
_NONE: Final = type(None)


def dropdown(choices: tuple[Any, ...]) -> Component:
    return Component(
        kind="dropdown",
        schema={"enum": list(choices), "type": "string"},
        python_type=f"Literal[{', '.join(map(repr, choices))}]",
        example=choices[0],
    )


def component_of(hint: Any) -> Component:
    """The component of a type hint; what is not known better travels as JSON."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        if State in marks:
            return STATE
        given = [mark for mark in marks if isinstance(mark, Component)]
        return given[0] if given else component_of(inner)
    if get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint)):
        return dropdown(get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return dropdown(tuple(choice.value for choice in hint))
    if get_origin(hint) in (Union, types.UnionType):
        known = [component_of(arg) for arg in get_args(hint) if arg is not _NONE]
        return known[0] if all(one == known[0] for one in known) else JSON
    return _SCALARS.get(hint, JSON) if isinstance(hint, collections.abc.Hashable) else JSON


def results_of(hint: Any, *, generator: bool) -> tuple[Component, ...]:
    """The components of what a function returns, or a *generator* yields: none for ``None``, one
    for each item of a ``tuple[...]``, else one."""
    if generator and get_args(hint):  # Iterator[...], AsyncGenerator[..., None] and their like
        hint = get_args(hint)[0]
    if hint is None or hint is _NONE:
        return ()
    args = get_args(hint)
    if get_origin(hint) is tuple and Ellipsis not in args:
        return tuple(component_of(arg) for arg in args)
    return (component_of(hint),)


def hints_of(function: Any) -> dict[str, Any]:
    """The type hints of *function*, marks included; of those that cannot be resolved, none."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
