"""What ``import sansio_gradio`` offers, and what it says of what it does not."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

import sansio_gradio
from sansio_gradio import GradioError, errors

CONTRACT = """
AppError AppInfo AuthenticationError Component ConnectFailed ConnectionLost Conversation
DeadlineExceeded Endpoint Engine GradioError JobCancelledError Limits LocalProtocolError Message
OptionError Protocol ProtocolError QueueFullError RemoteProtocolError Retry SSEDecoder
ServerSentEvent ServerStoppedError Session Status StatusUpdate Timeouts TooManyRequestsError
UploadProgress ValidationError
apply_diff compute_diff events handle_file parse_message send_data_frame
"""


@pytest.mark.parametrize("name", CONTRACT.split())
def test_the_names_that_users_import_are_there(name: str) -> None:
    assert name in sansio_gradio.__all__
    assert getattr(sansio_gradio, name) is not None


def test_all_that_is_offered_is_there_and_in_order() -> None:
    assert sansio_gradio.__all__ == sorted(sansio_gradio.__all__)
    assert [name for name in sansio_gradio.__all__ if not hasattr(sansio_gradio, name)] == []


def test_every_error_is_offered() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name for name in kinds if issubclass(getattr(errors, name), GradioError)} <= set(
        sansio_gradio.__all__
    )


def test_the_client_is_found_by_those_who_look_in_the_wrong_place() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = sansio_gradio.Client
    for world in ("sockets", "asyncio", "trio"):
        module = f"sansio_gradio_adapters.{world}"
        assert module in str(caught.value)
        assert importlib.import_module(module).Client


def test_what_nobody_knows_is_an_ordinary_mistake() -> None:
    with pytest.raises(AttributeError, match=r"module 'sansio_gradio' has no attribute 'Klient'"):
        _ = sansio_gradio.Klient


def test_the_command_is_a_function_that_is_there() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    module, _, name = project["project"]["scripts"]["sansio-gradio"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
