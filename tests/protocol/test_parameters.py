"""Parameters and return values, their names above all."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.parameters import read_parameters, read_returns
from tests.support import sample_apps


def boxes(*labels: str | None) -> list[Component]:
    return [
        Component(
            id=10 + place,
            type="textbox",
            props={} if label is None else {"label": label},
            skip_api=False,
        )
        for place, label in enumerate(labels)
    ]


def names(*labels: str | None) -> list[str]:
    return [parameter.name for parameter in read_parameters(boxes(*labels), None)]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Your name", "your_name"),
        ("n", "n"),
        ("N", "N"),
        (None, "parameter_10"),  # as /info labels it
        ("", "parameter_10"),
        ("  (x) [cm]!", "x_cm"),
        ("2nd try", "_2nd_try"),
        ("Größe", "Größe"),
        ("名前 を", "名前_を"),
        ("class", "class_"),
        ("a class", "a_class"),
        ("None", "None_"),
        ("?!", "param_0"),
        ("_", "_"),
        ("__ __", "param_0"),
        ("²", "param_0"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_label_becomes_a_name(label: str | None, name: str) -> None:
    assert names(label) == [name]


def test_names_are_unique() -> None:
    assert names("a", "a", "a b", "a_2", "a") == ["a", "a_2", "a_b", "a_2_2", "a_3"]
    assert names("?", "?", "param_1") == ["param_0", "param_1", "param_1_2"]


@given(st.lists(st.text(max_size=5) | st.sampled_from(["a", "a_2", "if", "1"]), max_size=8))
def test_any_labels_give_a_signature(labels: list[str]) -> None:
    found = names(*labels)
    assert len(set(found)) == len(labels)
    namespace: dict[str, Any] = {}
    exec(f"def call({', '.join(found)}): pass", namespace)


def test_a_thousand_equal_labels_are_named_in_linear_time() -> None:
    assert names(*["a"] * 1000)[-1] == "a_1000"


def test_a_component_that_is_listed_many_times_is_looked_at_once() -> None:
    long = "x" * 10_000
    component = Component(id=1, type=long, props={"label": long}, skip_api=False)
    looked_at: Counter[str] = Counter()

    def count(frame: object, kind: str, function: Any) -> None:
        if kind == "c_call" and isinstance(text := function.__self__, str):
            looked_at[function.__name__] += len(text)

    sys.setprofile(count)
    try:
        parameters = read_parameters([component] * 500, None)
    finally:
        sys.setprofile(None)
    assert looked_at["capitalize"] == len(long)
    assert looked_at.total() < 20 * len(long)  # and not 500 times as long
    assert parameters[-1].name == f"{'x' * 64}_500"
    assert parameters[-1].info is parameters[0].info


def test_what_info_tells_comes_before_labels() -> None:
    (parameter,) = read_parameters(boxes("Label"), [sample_apps.default("text", ["x"])])
    assert parameter.name == "text"
    assert parameter.label == "Text"
    assert (parameter.has_default, parameter.default) == (True, ["x"])
    assert parameter.python_type == "str"
    assert parameter.component == "Textbox"
    assert parameter.info == sample_apps.default("text", ["x"])
    assert str(parameter) == "text: str = ['x']"


def test_a_told_name_that_is_none_is_made_one() -> None:
    told: Any = [sample_apps.told("a b"), sample_apps.told("class")]
    assert [p.name for p in read_parameters(boxes("", ""), told)] == ["a_b", "class_"]


def test_before_4_23_info_tells_no_names_and_no_defaults() -> None:
    old: Any = {"label": "Your name", "type": {"type": "string"}, "component": "Textbox"}
    (parameter,) = read_parameters(boxes(None), [old])
    assert (parameter.name, parameter.has_default, parameter.info) == ("your_name", False, old)
    assert str(parameter) == "your_name: Any"


def test_without_info_a_parameter_has_its_label_and_component() -> None:
    first, second = read_parameters(boxes("Your name", None), None)
    assert (first.label, first.component) == ("Your name", "Textbox")
    assert (second.label, second.python_type) == ("parameter_11", "Any")
    assert second.info == {"label": "parameter_11", "component": "Textbox"}
    (value,) = read_returns(boxes(None), None)
    assert (value.label, value.component, str(value)) == ("value_10", "Textbox", "Any")


@pytest.mark.parametrize(
    "told", [[], [sample_apps.told("a")], [sample_apps.told("a")] * 3, {"a": 1, "b": 2}, None]
)
def test_what_info_tells_of_other_inputs_does_not_count(told: Any) -> None:
    assert [p.name for p in read_parameters(boxes("x", "y"), told)] == ["x", "y"]
    assert [r.label for r in read_returns(boxes("x", "y"), told)] == ["x", "y"]


def test_what_info_tells_wrongly_of_one_is_not_told() -> None:
    told: Any = [1, {**sample_apps.told("a"), "python_type": 5, "label": None}]
    first, second = read_parameters(boxes("x", "y"), told)
    assert (first.name, first.label, first.component, first.info) == ("param_0", "", "", {})
    assert (second.name, second.label, second.python_type) == ("a", "", "Any")
    assert [r.python_type for r in read_returns(boxes("x", "y"), told)] == ["Any", "Any"]


def test_return_values_have_types() -> None:
    told: Any = {
        "label": "Sum",
        "type": {"type": "number"},
        "python_type": {"type": "float", "description": "of all"},
        "component": "Number",
    }
    (value,) = read_returns(boxes(None), [told])
    assert (value.label, value.component, value.python_type, value.info) == (
        *("Sum", "Number", "float"),
        told,
    )
    assert str(value) == "float"


def test_what_is_shown_is_short_whatever_the_server_says() -> None:
    told: Any = sample_apps.default("a", "x" * 10_000) | {"python_type": {"type": "y" * 10_000}}
    (parameter,) = read_parameters(boxes(None), [told])
    (value,) = read_returns(boxes(None), [told])
    assert len(str(parameter)) < 150
    assert len(str(value)) < 100
    assert parameter.python_type == "y" * 10_000
