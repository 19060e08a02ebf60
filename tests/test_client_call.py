"""What is asked of an endpoint, as a value."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sansio_gradio.client.call import Call, Want
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.app_info import AppInfo


def test_all_that_can_be_wanted_is_all() -> None:
    assert Want.ALL == ~Want.RESULT
    assert all(want in Want.ALL for want in Want)


def test_a_call_with_nothing_but_arguments_has_no_options() -> None:
    call = Call(args=(1,), kwargs={"timeout": 3}, api_name="/add", extra={"x": 1})
    assert call.options == []


def test_options_are_those_that_were_given() -> None:
    call = Call(headers={"a": "b"}, timeout=1.0, isolated=True, event_data={}, trigger_id=0)
    assert call.options == ["headers", "timeout", "isolated", "event_data", "trigger_id"]
    assert Call(timeout=0.0).options == ["timeout"]


@pytest.mark.parametrize("timeout", ["5", math.nan, -1, -0.1, [1]])
def test_a_timeout_that_is_no_time_is_the_callers_mistake(timeout: Any) -> None:
    with pytest.raises(LocalProtocolError, match="timeout is in seconds"):
        Call(timeout=timeout)


@pytest.mark.parametrize("timeout", [None, 0, 0.5, 60, math.inf])
def test_a_timeout_may_be_short_or_without_end(timeout: float | None) -> None:
    assert Call(timeout=timeout).timeout == timeout


def test_the_same_call_twice_is_equal() -> None:
    assert Call(args=(1,)) == Call(args=(1,))
    assert Call(args=(1,)) != Call(args=(2,))


def test_what_is_called_is_an_endpoint_or_a_component_s_function() -> None:
    parts: Any = [{"id": 1, "type": "fileexplorer", "props": {"server_fns": ["ls"]}}]
    function: Any = {"id": 7, "inputs": [1], "outputs": [1], "api_name": "f"}
    app = AppInfo.from_config({"components": parts, "dependencies": [function]})
    assert Call(api_name="f").endpoint_of(app) is app.endpoints[7]
    assert Call(fn_index=7).endpoint_of(app) is app.endpoints[7]
    assert Call(component=1, function="ls").endpoint_of(app).function == "ls"
    with pytest.raises(LocalProtocolError):
        Call(component=0, function="ls").endpoint_of(app)
