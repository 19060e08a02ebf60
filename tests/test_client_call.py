"""What is asked of an endpoint, as a value."""

from __future__ import annotations

from sansio_gradio.client.call import Call


def test_a_call_with_nothing_but_arguments_has_no_options() -> None:
    call = Call(args=(1,), kwargs={"timeout": 3}, api_name="/add", extra={"x": 1})
    assert call.options == []


def test_options_are_those_that_were_given() -> None:
    call = Call(headers={"a": "b"}, timeout=1.0, isolated=True, event_data={}, trigger_id=0)
    assert call.options == ["headers", "timeout", "isolated", "event_data", "trigger_id"]
    assert Call(timeout=0.0).options == ["timeout"]


def test_the_same_call_twice_is_equal() -> None:
    assert Call(args=(1,)) == Call(args=(1,))
    assert Call(args=(1,)) != Call(args=(2,))
