"""Components, and which of them callers have nothing to do with."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.components import Component


@pytest.mark.parametrize(
    ("part", "skip_api", "is_state"),
    [
        ({"id": 1, "type": "textbox"}, False, False),
        ({"id": 1, "type": "textbox", "skip_api": True}, True, False),
        ({"id": 1, "type": "button"}, False, False),  # before 4.0 a caller could give it a value
        ({"id": 1, "type": "button", "skip_api": True}, True, False),
        ({"id": 1, "type": "state"}, True, True),
        ({"id": 1, "type": "variable"}, True, True),
        ({"id": 1, "type": "state", "skip_api": True}, True, True),
        ({"id": 1, "type": "row"}, True, False),
        ({"id": 1, "type": "dataset"}, True, False),
        ({"id": 1, "type": "dataset", "skip_api": False}, False, False),
        ({"id": 1, "type": "dataset", "skip_api": "no"}, True, False),
    ],
)
def test_the_server_says_what_is_skipped_or_its_type_does(
    part: Any, skip_api: bool, is_state: bool
) -> None:
    component = Component.read(part)
    assert (component.skip_api, component.is_state) == (skip_api, is_state)


def test_a_component_has_props_and_perhaps_a_label() -> None:
    props: Any = {"label": "Name", "value": 1}
    component = Component.read({"id": 5, "type": "textbox", "props": props})
    assert component == Component(id=5, type="textbox", props=props, skip_api=False)
    assert component.label == "Name"
    assert Component.read({"id": 5, "type": "textbox", "props": [1]}).props == {}
    assert Component.read({"id": 5, "type": "textbox"}).label is None


@pytest.mark.parametrize(
    "part",
    [
        None,
        [],
        "textbox",
        {},
        {"id": 1},
        {"type": "a"},
        {"id": "1", "type": "a"},
        {"id": True, "type": "a"},
        {"id": 1, "type": 1},
    ],
)
def test_without_id_and_type_it_is_none(part: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="no id or no type"):
        Component.read(part)
