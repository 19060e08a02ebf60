"""Endpoints, as the dependencies of a config and the entries of /info tell of them."""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.endpoints import Endpoint, Visibility
from tests.support import sample_apps, transcripts


def endpoint(info: Any = None, /, **dependency: Any) -> Endpoint:
    app = AppInfo.from_config(sample_apps.config(dependency))
    return (app if info is None else app.with_info(info)).endpoints[dependency.get("id", 0)]


def test_a_dependency_is_read_whole() -> None:
    found = endpoint(
        id=7,
        api_name="add",
        inputs=[1, 3, 2],
        outputs=[3, 2],
        queue=True,
        types={"generator": True, "cancel": False},
        api_description="Adds.",
    )
    assert (found.fn_index, found.api_name) == (7, "/add")
    assert [component.id for component in found.inputs] == [1, 3, 2]
    assert [component.type for component in found.outputs] == ["state", "number"]
    assert [p.label for p in found.parameters] == ["Your name", "parameter_2"]
    assert [r.label for r in found.returns] == ["value_2"]
    assert (found.queue, found.backend_fn, found.is_generator) == (True, True, True)
    assert found.description == "Adds."


def test_what_is_not_said_is_as_old_servers_had_it() -> None:
    found = endpoint()
    assert (found.fn_index, found.api_name) == (0, None)
    assert (found.backend_fn, found.is_generator) == (True, None)
    assert (found.visibility, found.description) == (Visibility.PUBLIC, "")
    assert endpoint(backend_fn=False).backend_fn is False


@pytest.mark.parametrize(
    "dependency",
    [
        None,
        [],
        {},
        {"inputs": [], "outputs": None},
        {"inputs": 1, "outputs": []},
        {"inputs": ["1"], "outputs": []},
        {"inputs": [], "outputs": [True]},
    ],
)
def test_without_inputs_and_outputs_it_is_none(dependency: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="Dependency 3 of the config has no inputs or"):
        Endpoint.read(dependency, 3, {}, enable_queue=True)


def test_an_endpoints_number_is_its_id_or_else_its_place() -> None:
    app = AppInfo.from_config(sample_apps.config({"id": 5}, {}, {"id": 0}))
    assert list(app.endpoints) == [5, 1, 0]
    assert [endpoint.fn_index for endpoint in app.endpoints.values()] == [5, 1, 0]


@pytest.mark.parametrize("enable_queue", [True, False, None])
@pytest.mark.parametrize("queue", [True, False, None])
def test_a_function_is_queued_if_it_or_else_the_app_says_so(
    queue: bool | None, enable_queue: bool | None
) -> None:
    app = AppInfo.from_config(sample_apps.config({"queue": queue}, enable_queue=enable_queue))
    assert app.endpoints[0].queue is bool(enable_queue if queue is None else queue)


@pytest.mark.parametrize(
    ("dependency", "visibility"),
    [
        ({"api_name": "a"}, "public"),
        ({"api_name": None}, "public"),  # 3.x
        ({"api_name": False, "show_api": False}, "private"),  # 4.0 to 5.50
        ({"api_name": "a", "show_api": False}, "undocumented"),  # 4.12 to 5.50
        ({"api_name": "a", "show_api": True}, "public"),
        ({"api_name": "a", "api_visibility": "public"}, "public"),  # since 6.0
        ({"api_name": "a", "api_visibility": "undocumented"}, "undocumented"),
        ({"api_name": "a", "api_visibility": "private"}, "private"),
        ({"api_name": "a", "api_visibility": "something new"}, "undocumented"),
    ],
)
def test_visibility_is_said_in_three_ways(dependency: Any, visibility: str) -> None:
    found = endpoint(**dependency).visibility
    assert isinstance(found, Visibility)
    assert found == visibility


def test_data_has_null_where_the_state_is() -> None:
    found = endpoint(inputs=[3, 1, 3, 2])
    assert found.bind(("x", 5), {}) == [None, "x", None, 5]
    assert endpoint(inputs=[]).bind((), {}) == []
    assert endpoint(inputs=[3]).bind((), {}) == [None]


def test_an_input_that_the_config_does_not_list_is_given_by_the_caller() -> None:
    found = endpoint(inputs=[99, 3])
    assert found.bind(("x",), {}) == ["x", None]
    assert found.inputs[0] == Component(id=99, type="component", props={}, skip_api=False)


def test_nothing_is_made_of_the_inputs_before_it_is_asked_for() -> None:
    called: set[str] = set()

    def count(frame: FrameType, kind: str, _: object) -> None:
        if kind == "call":
            called.add(frame.f_code.co_name)

    sys.setprofile(count)
    try:
        info: Any = {"named_endpoints": {}, "unnamed_endpoints": {}}
        found = endpoint(info, inputs=[1, 99] * 1000, outputs=[1] * 1000)
    finally:
        sys.setprofile(None)
    assert "with_info" in called
    assert not {"read_parameters", "read_returns"} & called
    assert found.inputs[1] is found.inputs[3]
    assert (len(found.parameters), len(found.returns)) == (2000, 1000)
    assert found.parameters is found.parameters


def test_an_endpoint_is_shown_as_a_call() -> None:
    assert str(endpoint(api_name="a")) == 'predict(api_name="/a") -> ()'
    assert str(endpoint(inputs=[1], outputs=[1, 2])) == (
        "predict(your_name: Any, fn_index=0) -> (Any, Any)"
    )
    assert str(endpoint(api_name="\x1b" + "a" * 10_000))[:23] == 'predict(api_name="/?aaa'
    assert len(str(endpoint(api_name="a" * 10_000))) < 200


@pytest.mark.parametrize(
    ("args", "kwargs", "needed"),
    [
        ((1, 2), {}, False),
        ((1, 2, 3), {}, False),  # wrong anyway
        ((1,), {}, True),
        ((), {"your_name": 1}, True),
        ((1, 2), {"c": 3}, True),
    ],
)
def test_info_is_needed_for_names_and_defaults_only(args: Any, kwargs: Any, needed: bool) -> None:
    assert endpoint(inputs=[1, 3, 2]).needs_info(args, kwargs) is needed


def test_the_values_that_callers_get() -> None:
    found = endpoint(outputs=[3, 1, 2])
    assert found.result_of([{"s": 1}, "x", 5]) == ("x", 5)
    assert found.result_of([{"s": 1}, "x", 5, "more"]) == ("x", 5)
    assert found.result_of([{"s": 1}]) == ()


def test_one_value_is_not_wrapped() -> None:
    found = endpoint(outputs=[3, 1])
    assert found.result_of([{"s": 1}, 1]) == 1
    assert found.result_of([{"s": 1}, [1, 2]]) == [1, 2]


def test_info_describes_parameters_and_returns() -> None:
    told: Any = {
        "parameters": [sample_apps.default("x", 1)],
        "returns": [{"label": "Out", "python_type": {"type": "float"}}],
        "description": "Does it.",
    }
    info: Any = {"named_endpoints": {"/f": told}, "unnamed_endpoints": {}}
    found = endpoint(info, api_name="f", inputs=[3, 2], outputs=[1], api_description="Old.")
    assert [p.name for p in found.parameters] == ["x"]
    assert [r.label for r in found.returns] == ["Out"]
    assert found.description == "Does it."
    assert found.bind((), {}) == [None, 1]
    assert str(found.signature) == "(x: 'str' = 1) -> 'float'"


@pytest.mark.parametrize("told", [None, [], {}, {"parameters": 1, "returns": {}, "description": 5}])
def test_an_entry_that_tells_nothing_leaves_the_configs_word(told: Any) -> None:
    info: Any = {"named_endpoints": {"/f": told}, "unnamed_endpoints": {}}
    found = endpoint(info, api_name="f", inputs=[1], api_description="Old.")
    assert ([p.name for p in found.parameters], found.description) == (["your_name"], "Old.")


def recorded_jobs() -> list[tuple[str, str, Any]]:
    return [
        (version, scenario, job)
        for version, scenario in transcripts.recordings()
        for job in transcripts.load(version, scenario).expected["jobs"]
        if isinstance(job["data"], list) and job["end"] == "completed"
    ]


@pytest.mark.unmeasured
def test_recorded_data_is_bound_from_its_visible_part() -> None:
    """State slots were sent as null by the recorder, too."""
    states = 0
    jobs = recorded_jobs()
    assert len(jobs) > 200
    for version, scenario, job in jobs:
        found = sample_apps.recorded(version, scenario.rpartition("/")[0]).endpoints[
            job["fn_index"]
        ]
        if len(found.inputs) != len(job["data"]):
            assert job["protocol"] == "call"  # /call may omit State slots
            continue
        visible = [
            item
            for component, item in zip(found.inputs, job["data"], strict=True)
            if not component.skip_api
        ]
        states += len(job["data"]) - len(visible)
        assert found.bind(visible, {}) == job["data"]
        final = job["final"]
        if isinstance(final, list) and len(found.returns) != 1:
            assert len(found.result_of(final)) == len(found.returns)
    assert states >= len(transcripts.VERSIONS)


# Arguments


def call(returns: tuple[str, ...] = (), /, **defaults: Any) -> Endpoint:
    """An endpoint whose parameters have these names and defaults; ``...`` is none."""
    told: Any = {
        "parameters": [
            sample_apps.told(name) if value is ... else sample_apps.default(name, value)
            for name, value in defaults.items()
        ],
        "returns": [{"label": "", "python_type": {"type": kind}} for kind in returns],
    }
    info: Any = {"named_endpoints": {"/f": told}, "unnamed_endpoints": {}}
    return endpoint(info, api_name="f", inputs=[1] * len(defaults), outputs=[1] * len(returns))


ADD = call(a=..., b=2, c=None)


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
    assert ADD.bind(args, kwargs) == values


@pytest.mark.parametrize(
    ("args", "kwargs", "mistake"),
    [
        ((), {}, "'a' must be given"),
        ((1, 2, 3, 4), {}, "3 by position at most, not 4"),
        ((1,), {"a": 1}, "'a' is given twice"),
        ((1,), {"d": 1}, "there is no parameter 'd'"),
    ],
)
def test_a_mistake_is_told(args: Any, kwargs: Any, mistake: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        ADD.bind(args, kwargs)
    assert str(caught.value) == (
        f"These arguments do not fit: {mistake}. The call is: "
        'predict(a: str, b: str = 2, c: str = None, api_name="/f") -> ()'
    )


def test_all_mistakes_are_told_at_once() -> None:
    taken = call(message=..., history=..., limit=...)
    with pytest.raises(LocalProtocolError) as caught:
        taken.bind(("hello",), {"message": 1, "histroy": 2, "xyz": 3})
    assert str(caught.value).startswith(
        "These arguments do not fit: there is no parameter 'histroy'; there is no parameter 'xyz'; "
        "'message' is given twice; 'history' must be given; 'limit' must be given. The call is: "
    )


def test_what_might_be_an_option_is_no_argument() -> None:
    slow = call(x=..., timeout=7, headers=...)
    with pytest.raises(LocalProtocolError) as caught:
        slow.bind((1,), {}, ["timeout", "headers", "isolated"])
    assert str(caught.value).startswith(
        "These arguments do not fit: "
        "'timeout' is an option of every call: give the parameter of that name by position; "
        "'headers' is an option of every call: give the parameter of that name by position. The "
    )
    assert slow.bind((1, 8, "h"), {}, ["timeout", "headers"]) == [1, 8, "h"]
    assert ADD.bind((1,), {}, ["timeout"]) == [1, 2, None]


def test_an_argument_is_passed_on_as_it_is() -> None:
    argument = object()
    assert ADD.bind((argument,), {})[0] is argument


@given(
    st.lists(st.booleans(), max_size=4),
    st.integers(0, 5),
    st.sets(st.sampled_from(["p0", "p1", "p2", "p3", "other"])),
)
def test_binding_is_pythons(optional: list[bool], count: int, named: set[str]) -> None:
    """Python itself says which calls are right; what it binds is what we bind."""
    optional = sorted(optional)  # in Python those without a default come first
    taken = call(**{f"p{i}": f"d{i}" if has else ... for i, has in enumerate(optional)})
    args, kwargs = list(range(count)), {name: f"by name {name}" for name in sorted(named)}
    try:
        expected = taken.signature.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(LocalProtocolError):
            taken.bind(args, kwargs)
        return
    expected.apply_defaults()
    assert taken.bind(args, kwargs) == list(expected.arguments.values())


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (call(), "() -> 'tuple[()]'"),
        (
            call(("float",), a=..., b=2, c=None),
            "(a: 'str', b: 'str' = 2, c: 'str' = None) -> 'float'",
        ),
        (call(("float", "str"), a=...), "(a: 'str') -> 'tuple[float, str]'"),
        (call(("str",), a=1, b=..., c=3), "(a: 'str' = 1, *, b: 'str', c: 'str' = 3) -> 'str'"),
        (call(("str",), a=1, b=2, c=...), "(a: 'str' = 1, b: 'str' = 2, *, c: 'str') -> 'str'"),
    ],
)
def test_there_is_a_signature(taken: Endpoint, text: str) -> None:
    assert isinstance(taken.signature, inspect.Signature)
    assert str(taken.signature) == text
