"""Events and commands are values."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest

from sansio_gradio.server import events
from sansio_gradio.server.app import Function
from sansio_gradio.server.requests import Request
from sansio_gradio.server.run import Run


@pytest.mark.parametrize("kind", get_args(events.JobEvent))
def test_each_event_names_its_job_and_compares_by_value(kind: type) -> None:
    needed = {"function": Function(fn_index=0, api_name="f"), "data": [1], "session_hash": None}
    given = {field.name for field in attrs.fields(kind)} & needed.keys()
    arguments = {name: needed[name] for name in given}
    assert kind(job=1, **arguments) == kind(job=1, **arguments)
    assert kind(job=1, **arguments) != kind(job=2, **arguments)


@pytest.mark.parametrize("kind", get_args(events.ServerCommand))
def test_each_command_names_its_exchange_first(kind: type) -> None:
    assert attrs.fields(kind)[0].name == "exchange"


def test_a_body_is_json_unless_it_is_a_text_of_another_kind() -> None:
    assert events.SendResponse(1, 200, {"a": None}).data == b'{"a":null}'
    assert events.SendResponse(1, 500, "ü", events.TEXT).data == "ü".encode()
    assert events.SendResponse(1, 404, "", None).data == b""


SECRET = (("cookie", "access-token=hush"),)


@pytest.mark.parametrize(
    "printed",
    [
        events.JobSubmitted(
            job=1,
            function=Function(fn_index=0, api_name="f"),
            data=[],
            session_hash=None,
            headers=SECRET,
        ),
        events.SendResponse(1, 200, None, headers=SECRET),
        events.OpenChannel(1, SECRET),
        Request(1, "POST", "/login", SECRET, b"username=ann&password=hush"),
        Run(session_hash=None, headers=SECRET, event_data=None, say=print),
    ],
)
def test_what_is_printed_shows_no_secret(printed: object) -> None:
    assert "hush" not in repr(printed)
