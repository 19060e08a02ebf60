"""Endpoints, as the dependencies of a config and the entries of /info tell of them."""

from __future__ import annotations

from typing import Any

import pytest
import sample_apps
import transcripts

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.endpoints import Endpoint, Visibility, unwrapped


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
        connection="stream",
        time_limit=30,
        batch=True,
        cancels=[4, 5],
        api_description="Adds.",
    )
    assert (found.fn_index, found.api_name) == (7, "/add")
    assert (found.inputs, found.outputs) == ((1, 3, 2), (3, 2))
    assert found.hidden_inputs == {1}
    assert found.hidden_outputs == {0}
    assert [p.label for p in found.parameters] == ["Your name", "parameter_2"]
    assert [r.label for r in found.returns] == ["value_2"]
    assert (found.queue, found.backend_fn, found.batch) == (True, True, True)
    assert (found.is_generator, found.connection, found.time_limit) == (True, "stream", 30)
    assert found.cancels == (4, 5)
    assert found.description == "Adds."


def test_what_is_not_said_is_as_old_servers_had_it() -> None:
    found = endpoint()
    assert (found.fn_index, found.api_name) == (0, None)
    assert (found.backend_fn, found.batch, found.is_generator) == (True, False, None)
    assert (found.connection, found.time_limit, found.cancels) == ("sse", None, ())
    assert (found.visibility, found.description) == (Visibility.PUBLIC, "")
    assert endpoint(backend_fn=False).backend_fn is False
    assert endpoint(time_limit=0.5).time_limit == 0.5
    assert endpoint(cancels="all").cancels == ()


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
    assert endpoint(inputs=[99, 3]).bind(("x",), {}) == ["x", None]


def test_a_call_that_does_not_fit_is_shown_how_it_would() -> None:
    found = endpoint(
        sample_apps.info(add=[sample_apps.told("a"), sample_apps.default("b", 2)]),
        api_name="add",
        inputs=[1, 3, 2],
        outputs=[2],
    )
    with pytest.raises(LocalProtocolError) as caught:
        found.bind((), {"c": 1})
    assert str(caught.value) == (
        "These arguments do not fit: there is no parameter 'c'; 'a' must be given. "
        'The call is: predict(a: str, b: str = 2, api_name="/add") -> Any'
    )


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
    assert found.visible_outputs([{"s": 1}, "x", 5]) == ["x", 5]
    assert found.visible_outputs([{"s": 1}, "x", 5, "more"]) == ["x", 5]
    assert found.visible_outputs([{"s": 1}]) == []


def test_one_value_is_unwrapped() -> None:
    assert unwrapped([1]) == 1
    assert unwrapped([[1, 2]]) == [1, 2]
    assert unwrapped([1, 2]) == (1, 2)
    assert unwrapped([]) == ()


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
            item for place, item in enumerate(job["data"]) if place not in found.hidden_inputs
        ]
        states += len(job["data"]) - len(visible)
        assert found.bind(visible, {}) == job["data"]
        final = job["final"]
        if isinstance(final, list):
            hidden = len(found.hidden_outputs)
            assert len(found.visible_outputs(final)) == len(final) - hidden
    assert states >= len(transcripts.VERSIONS)
