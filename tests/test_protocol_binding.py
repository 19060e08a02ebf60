"""Arguments find their parameters, and all mistakes are told at once."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import sample_apps
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.binding import bind, copied, signature_of
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.parameters import Parameter, read_parameters, read_returns


def parameters(**defaults: Any) -> tuple[Parameter, ...]:
    """By name; ``...`` has no default."""
    told: Any = [
        sample_apps.told(name) if value is ... else sample_apps.default(name, value)
        for name, value in defaults.items()
    ]
    return read_parameters([Component.unknown(place) for place in range(len(told))], told)


ADD = parameters(a=..., b=2, c=None)


@pytest.mark.parametrize(
    ("args", "kwargs", "values"),
    [
        ((1,), {}, [1, 2, None]),
        ((1, 5), {}, [1, 5, None]),
        ((1, 5, 6), {}, [1, 5, 6]),
        ((), {"a": 1}, [1, 2, None]),
        ((1,), {"c": 3}, [1, 2, 3]),
        ((), {"c": 3, "b": 4, "a": 5}, [5, 4, 3]),
        ((None,), {}, [None, 2, None]),
    ],
)
def test_arguments_are_bound_by_place_and_by_name(args: Any, kwargs: Any, values: Any) -> None:
    assert bind(ADD, args, kwargs) == values


@pytest.mark.parametrize(
    ("args", "kwargs", "mistake"),
    [
        ((), {}, "'a' must be given"),
        ((1, 2, 3, 4), {}, "3 arguments by position at most, not 4"),
        ((1,), {"a": 1}, "'a' is given twice, by position and by name"),
        ((1,), {"d": 1}, "there is no parameter 'd'"),
    ],
)
def test_a_mistake_is_told(args: Any, kwargs: Any, mistake: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        bind(ADD, args, kwargs)
    assert str(caught.value) == mistake


def test_all_mistakes_are_told_at_once() -> None:
    taken = parameters(message=..., history=..., limit=...)
    with pytest.raises(LocalProtocolError) as caught:
        bind(taken, ("hello",), {"message": 1, "histroy": 2, "xyz": 3})
    assert str(caught.value) == (
        "'message' is given twice, by position and by name; "
        "there is no parameter 'histroy' (did you mean 'history'?); "
        "there is no parameter 'xyz'; "
        "'history', 'limit' must be given"
    )
    with pytest.raises(
        LocalProtocolError, match=r"^one argument by position at most, not 2; there"
    ):
        bind(taken[:1], (1, 2), {"b": 3})


def test_a_default_is_never_handed_out_itself() -> None:
    (taken,) = parameters(a=[{"x": [1]}])
    (value,) = bind([taken], (), {})
    assert value == taken.default == [{"x": [1]}]
    value[0]["x"].append(2)
    assert taken.default == [{"x": [1]}]


def test_an_argument_is_passed_on_as_it_is() -> None:
    argument = object()
    assert bind(ADD, (argument,), {})[0] is argument


@given(
    st.lists(st.booleans(), max_size=4),
    st.integers(0, 5),
    st.sets(st.sampled_from(["p0", "p1", "p2", "p3", "other"])),
)
def test_binding_is_pythons(optional: list[bool], count: int, named: set[str]) -> None:
    """Python itself says which calls are right; what it binds is what we bind."""
    optional = sorted(optional)  # in Python those without a default come first
    taken = parameters(**{f"p{i}": f"d{i}" if has else ... for i, has in enumerate(optional)})
    args, kwargs = list(range(count)), {name: f"by name {name}" for name in sorted(named)}
    try:
        expected = signature_of(taken, ()).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(LocalProtocolError):
            bind(taken, args, kwargs)
        return
    expected.apply_defaults()
    assert bind(taken, args, kwargs) == list(expected.arguments.values())


def returns(*types: str) -> Any:
    told: list[Any] = [{"label": "", "python_type": {"type": kind}} for kind in types]
    return read_returns([Component.unknown(place) for place in range(len(types))], told)


@pytest.mark.parametrize(
    ("taken", "given_back", "text"),
    [
        ((), (), "() -> 'tuple[()]'"),
        (ADD, ("float",), "(a: 'str', b: 'str' = 2, c: 'str' = None) -> 'float'"),
        (ADD[:1], ("float", "str"), "(a: 'str') -> 'tuple[float, str]'"),
        (
            parameters(a=1, b=..., c=3),
            ("str",),
            "(a: 'str' = 1, *, b: 'str', c: 'str' = 3) -> 'str'",
        ),
        (
            parameters(a=1, b=2, c=...),
            ("str",),
            "(a: 'str' = 1, b: 'str' = 2, *, c: 'str') -> 'str'",
        ),
    ],
)
def test_there_is_a_signature(taken: Any, given_back: Any, text: str) -> None:
    signature = signature_of(taken, returns(*given_back))
    assert isinstance(signature, inspect.Signature)
    assert str(signature) == text


def test_a_signatures_default_is_a_copy() -> None:
    (taken,) = parameters(a=[1])
    signature_of([taken], ()).parameters["a"].default.append(2)
    assert taken.default == [1]


def test_a_copy_shares_nothing_however_deep_it_is() -> None:
    value: Any = []
    for _ in range(10_000):
        value = [{"x": value}, 1]
    copy: Any = copied(value)
    for _ in range(10_000):
        assert copy is not value
        assert copy[0] is not value[0]
        assert copy[1] == 1
        copy, value = copy[0]["x"], value[0]["x"]
    assert copy == []
    assert copied("a") == "a"
