"""The options of a session: keywords of ``Conversation`` and ``engine.session``, the same ones."""

from __future__ import annotations

import inspect
import typing

from sansio_gradio import Conversation, Engine
from sansio_gradio.client.conversation import SessionOptions

OF_ENGINES = {"entropy", "wall_offset", "limits", "timeouts", "strict", "json_loads"}
INSIDE = {"id", "on_asked"}  # what an engine tells its conversations


def test_a_session_of_an_engine_has_the_options_of_a_conversation() -> None:
    hints = typing.get_type_hints(Conversation.__init__)
    options = typing.get_type_hints(SessionOptions)
    of_session = hints.keys() - OF_ENGINES - INSIDE - {"src", "return"}
    assert options == {name: hints[name] for name in of_session}
    assert inspect.signature(Engine).parameters.keys() >= OF_ENGINES


def test_help_shows_the_options_of_a_session_one_by_one() -> None:
    parameters = inspect.signature(Engine.session).parameters
    whole = inspect.signature(Conversation).parameters
    assert list(parameters) == ["self", "src", *SessionOptions.__annotations__]
    assert all(whole[name] == parameters[name] for name in SessionOptions.__annotations__)
