"""What is asked of an endpoint, as a value."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_gradio import GivenFile, handle_file
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


def test_the_files_of_a_call_are_known_and_can_be_replaced_each_once() -> None:
    file, other = handle_file("a.txt"), handle_file(b"x")
    twin = handle_file("a.txt")
    call = Call(args=([file, 1], twin), kwargs={"x": {"y": other}})
    assert call.files == (file, twin, other)
    looked_at: list[GivenFile] = []

    def noted(given: GivenFile) -> GivenFile:
        looked_at.append(given)
        return attrs.evolve(given, size=7)

    changed = call.with_files(noted)
    assert looked_at == [file, other]
    (first, _), second = changed.args
    assert first is second
    assert [given.size for given in changed.files] == [7, 7, 7]
    assert call.files[0].size is None
    plain = Call(args=(1,))
    assert plain.with_files(noted) is plain


def test_a_file_may_stand_only_among_the_arguments() -> None:
    others: list[dict[str, Any]] = [
        {"event_data": handle_file("a")},
        {"extra": {"a": handle_file("a")}},
    ]
    for other in others:
        with pytest.raises(LocalProtocolError, match=r"predict\(handle_file"):
            Call(**other)
    with pytest.raises(LocalProtocolError, match=r"use handle_file\(\.\.\.\)"):
        Call(args=(Path("a"),))
