"""Each message has the very keys, in the very order, of the version that is posed as.

Every message of every recording is made anew from its own values and compared, as JSON text.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.protocols import PROTOCOLS, Channel, Handover, Naming, Traits
from sansio_gradio.server.app import App
from sansio_gradio.server.messages import Messages
from tests.support.transcripts import load, recordings, versions

SHARED = PROTOCOLS["sse_v3"]


def messages_of(version: str, *, show_error: bool = True) -> Messages:
    return Messages(App(version=version, show_error=show_error))


def recorded(version: str) -> list[Any]:
    """Every message that a recorded server sent for jobs and sessions."""
    found: list[Any] = []
    for _, name in [pair for pair in recordings() if pair[0] == version]:
        for exchange in load(version, name).expected["exchanges"]:
            if "upload_progress" in exchange["target"] or "/call/" in exchange["target"]:
                continue  # other streams with other messages
            found += exchange.get("messages", ())
            found += exchange.get("received", ())
    return [message for message in found if "msg" in message]


def made(messages: Messages, message: Any) -> Any:
    """The message as we make it, from the values of a recorded one."""
    kind = message["msg"]
    if kind == "unexpected_error" and message.get("session_not_found", True):
        return messages.session_not_found()
    if kind == "process_completed" and "error" in message["output"]:
        return failed(messages, message)
    values = {key: value for key, value in message.items() if key not in ("msg", "success")}
    if "data" in message.get("output", {}):
        values["output"] = messages.output(**message["output"])
    return messages.make(kind, **values)


def failed(messages: Messages, message: Any) -> Any:
    event_id, output = message.get("event_id"), message["output"]
    generating = "title" in message and message["title"] is None
    text = output["error"]
    error: Exception | None = ValueError(text)
    if text is None or text == "None":
        error, generating = None, generating or text == "None"
    elif "boom: " in text and not text.startswith(("valueboom", "genboom")):
        error = AppError("boom: x", title="Error", duration=10)
    return messages.failed(event_id, error, generating=generating)


@pytest.mark.parametrize("version", [version for version in versions() if version != "3.1.4"])
def test_every_recorded_message_is_made_the_same(version: str) -> None:
    messages = messages_of(version)
    kinds: Counter[str] = Counter()
    for message in recorded(version):
        kinds[message["msg"]] += 1
        assert json.dumps(made(messages, message)) == json.dumps(message)
    common = {"estimation", "process_starts", "process_completed"}
    assert common <= set(kinds)
    if version >= "3.3":
        assert kinds["process_generating"] > 5


def test_the_recordings_have_every_kind_but_the_one_of_a_server_that_stops() -> None:
    kinds = {message["msg"] for version in versions() for message in recorded(version)}
    assert kinds == {
        "send_hash",
        "send_data",
        "queue_full",
        "estimation",
        "process_starts",
        "progress",
        "log",
        "process_generating",
        "process_streaming",
        "process_completed",
        "heartbeat",
        "close_stream",
        "unexpected_error",
    }
    stopped = messages_of("6.31.0").make("unexpected_error", message="stopped")
    assert stopped == {
        "msg": "unexpected_error",
        "event_id": None,
        "message": "stopped",
        "session_not_found": False,
        "success": False,
    }


def error_of(version: str, error: BaseException | None, **how: bool) -> dict[str, Any]:
    messages = messages_of(version, show_error=how.pop("show_error", False))
    return messages.error_output(error, **how)


def test_an_error_is_hidden_unless_the_app_shows_it_or_meant_it() -> None:
    secret = ValueError("secret")
    assert error_of("6.31.0", secret) == {"error": None}
    assert error_of("6.31.0", secret, show_error=True) == {"error": "secret", "visible": True}
    assert error_of("5.50.0", secret, show_error=True) == {"error": "secret"}
    assert error_of("6.31.0", None, show_error=True) == {"error": None}


def test_an_error_that_the_app_means_is_told_as_the_version_does() -> None:
    error = AppError("no", title=None, duration=None, visible=False)
    newest = {"error": "no", "duration": None, "visible": False, "title": "Error"}
    assert error_of("6.31.0", error) == newest
    assert error_of("5.1.0", error) == {"error": "'no'", "duration": None, "visible": False}
    assert error_of("3.50.2", error) == {"error": "'no'"}
    assert error_of("6.31.0", AppError("no", title="T")) == {
        "error": "no",
        "duration": 10,  # as gr.Error, which is given none
        "visible": True,
        "title": "T",
    }


class Mute(Exception):
    """Says nothing, with an error."""

    def __str__(self) -> str:
        raise RuntimeError


def test_whatever_an_error_holds_it_is_told() -> None:
    error = AppError(ValueError("why"), duration=math.inf)
    told = {"error": "why", "duration": None, "visible": True, "title": "Error"}
    assert error_of("6.31.0", error) == told
    error.message = error.title = Mute()  # type: ignore[assignment]  # on purpose
    assert error_of("6.31.0", error) == {**told, "error": "Mute", "title": "Mute"}
    assert error_of("3.50.2", error) == {"error": "'Mute'"}
    error.duration = "long"  # type: ignore[assignment]  # on purpose
    assert error_of("6.31.0", error)["duration"] is None
    shown = Messages(App(version="6.31.0", show_error=True))
    assert shown.error_output(Mute())["error"] == "Mute"


def test_a_hidden_error_of_a_generator_was_the_text_none_for_a_while() -> None:
    for version, text in [
        ("3.16.2", None),
        ("3.50.2", "None"),
        ("4.21.0", "None"),
        ("4.29.0", None),
    ]:
        assert error_of(version, ValueError(), generating=True) == {"error": text}
        assert error_of(version, ValueError()) == {"error": None}


def test_the_title_of_a_failure_is_that_of_its_error() -> None:
    messages = messages_of("6.31.0")
    titled = AppError("no", title="T")
    assert messages.failed("e", titled, generating=False).get("title") == "T"
    assert messages.failed("e", None, generating=False).get("title") == "Error"
    assert messages.failed("e", titled, generating=True).get("title") is None


def test_what_nobody_gives_a_value_is_null_and_what_the_version_has_not_is_left_out() -> None:
    said = {"event_id": "e", "output": {}, "title": "T", "nonsense": 1}
    newest = messages_of("6.31.0").make("process_completed", **said)
    assert list(newest.items()) == [
        ("msg", "process_completed"),
        ("event_id", "e"),
        ("output", {}),
        ("success", True),
        ("title", "T"),
        ("used_cache", None),
        ("cache_duration", None),
        ("avg_time", None),
    ]
    old = messages_of("3.50.2").make("process_completed", **said)
    assert old == {"msg": "process_completed", "output": {}, "success": True}


@pytest.mark.parametrize("naming", Naming)
@pytest.mark.parametrize("channel", Channel)
def test_a_message_names_its_job_where_the_protocol_does(channel: Channel, naming: Naming) -> None:
    traits = Traits(
        channel=channel,
        handover=Handover.ASKED,
        naming=naming,
        diffs=True,
        close_stream=False,
    )
    app = App(version="6.31.0")
    app.traits = traits
    messages = Messages(app)
    everywhere = naming is Naming.JOIN_ANSWER or (
        naming is Naming.SEND_DATA and channel is Channel.SESSION_STREAM
    )
    assert ("event_id" in messages.make("process_starts", event_id="e")) == everywhere
    assert ("event_id" in messages.make("send_data", event_id="e")) == (
        naming is not Naming.NOWHERE
    )
    assert messages.names_jobs == everywhere
