"""An app with the endpoints of another one, as a gateway needs it; and visitors who go."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.documents import Documents
from sansio_gradio.server.events import JobSubmitted, SessionEnded
from tests.support.served import Talk, recorded_app
from tests.support.transcripts import load

RECORDED = ["3.16.2", "3.50.2", "4.19.2", "4.44.1", "6.31.0"]


def known(version: str) -> AppInfo:
    recording = load(version, "config")
    config: Any = recording.config
    told: Any = recording.info
    info = AppInfo.from_config(config)
    return info if told is None else info.with_info(told)


def seen_by_a_client(app: App) -> AppInfo:
    documents = Documents(app, app_id=1)
    return AppInfo.from_config(documents.config("")).with_info(documents.info())


@pytest.mark.parametrize("posing", ["3.50.2", "6.31.0"])
@pytest.mark.parametrize("version", RECORDED)
def test_names_components_and_defaults_are_kept(version: str, posing: str) -> None:
    theirs = known(version)
    app = App.from_info(theirs, version=posing)
    assert app.version_text == posing
    assert app.title == theirs.config["title"]
    ours = seen_by_a_client(app)
    for name in ("/add", "/count", "/counter", "/multi", "/chat"):
        mine, real = ours.endpoint(name), theirs.endpoint(name)
        for part in ("parameters", "returns"):
            kinds = [one.component.lower() for one in getattr(real, part)]
            assert [one.component.lower() for one in getattr(mine, part)] == kinds
        if posing == "6.31.0":
            assert [p.name for p in mine.parameters] == [p.name for p in real.parameters]
            shown = [component for component in real.inputs if not component.skip_api]
            defaults = [
                parameter.default if parameter.has_default else component.props.get("value")
                for parameter, component in zip(real.parameters, shown, strict=True)
            ]
            assert [parameter.default for parameter in mine.parameters] == defaults
    assert ours.endpoint("/count").is_generator in (True, None)
    assert not ours.endpoint("/add_unqueued").queue


def test_endpoints_without_a_name_get_one_and_private_ones_are_left_out() -> None:
    config = Documents(recorded_app("3.50.2"), app_id=1).config("")
    config["dependencies"][0]["api_name"] = None
    config["dependencies"][1]["api_name"] = "chat"  # as the third
    config["dependencies"][3]["backend_fn"] = False
    names = [function.api_name for function in App.from_info(AppInfo.from_config(config)).functions]
    assert names[:3] == ["fn_0", "chat", "boom"]
    assert "prog" not in names


def test_the_answer_is_called_with_the_run_and_the_values() -> None:
    def answer(function: Any) -> Any:
        return lambda run, values: (function.api_name, run, values)

    app = App.from_info(known("6.31.0"), answer=answer)
    function = app.function_named("/counter")
    assert [slot.name for slot in function.parameters] == ["x"]  # State stays where it is
    assert function.call is not None
    assert function.run_parameter is not None
    given = {"x": "hi", function.run_parameter: "a run"}
    assert function.call(**given) == ("counter", "a run", ["hi"])


# Visitors who go


def talk_of(version: str = "6.31.0") -> Talk:
    app = App(version=version)
    text = Slot(name="x", component=TEXTBOX)
    app.add("f", parameters=[text], returns=[text])
    return Talk(app)


def ended(talk: Talk) -> list[str]:
    found: list[str] = []
    while (event := talk.conversation.next_event()) is not None:
        if isinstance(event, SessionEnded):
            found.append(event.session_hash)
    return found


def test_a_visitor_has_gone_when_nothing_is_open() -> None:
    talk = talk_of()
    first, second = talk.heartbeat(), talk.heartbeat()
    talk.join("x")
    stream = talk.stream()
    talk.told(stream)
    talk.leave(first)
    talk.leave(stream)
    assert ended(talk) == []
    talk.leave(second)
    assert ended(talk) == ["s"]


def test_a_stream_that_is_dropped_is_a_visitor_who_has_gone() -> None:
    talk = talk_of("4.16.0")
    talk.join("x")
    stream = talk.stream()
    talk.told(stream)
    talk.leave(stream)
    assert ended(talk) == ["s"]


def test_a_stream_that_ends_with_its_job_is_not() -> None:
    talk = talk_of("4.16.0")
    talk.join("x")
    stream = talk.stream()
    talk.conversation.complete(talk.started(), ["y"], now=1)
    assert talk.kinds(stream)[-1] == "end"
    talk.leave(stream)
    assert ended(talk) == []


@pytest.mark.unmeasured
def test_a_session_that_is_forgotten_has_ended() -> None:
    talk = talk_of()
    for number in range(2001):
        talk.join("x", session=str(number))
    assert ended(talk) == ["0"]


def test_when_the_server_stops_all_visitors_have_gone() -> None:
    talk = talk_of()
    talk.heartbeat("a")
    talk.heartbeat("b")
    talk.conversation.stop(1)
    assert ended(talk) == ["a", "b"]


def test_a_plain_call_is_no_visitor() -> None:
    talk = talk_of()
    exchange = talk.call("f", "x", session_hash="s")
    assert isinstance(talk.event(), JobSubmitted)
    talk.leave(exchange)
    assert ended(talk) == []
