"""Configs and infos to read: those of the recorded servers, and small ones made up."""

from __future__ import annotations

from typing import Any

from sansio_gradio.protocol.app_info import AppInfo
from tests.support import transcripts


def recorded(version: str, app: str = "") -> AppInfo:
    """The recorded app (``app2`` is the other one) with what its server said."""
    names = [name for name in transcripts.scenarios(version) if name.rpartition("/")[0] == app]
    recording = transcripts.load(version, names[0])
    found = AppInfo.from_config(dict(recording.config))
    return found if recording.info is None else found.with_info(dict(recording.info))


TEXT = {"id": 1, "type": "textbox", "props": {"label": "Your name"}, "skip_api": False}
NUMBER = {"id": 2, "type": "number", "props": {}, "skip_api": False}
STATE = {"id": 3, "type": "state", "props": {}, "skip_api": True}


def config(*dependencies: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A config with a text box (1), a number (2) and a State (3)."""
    return {
        "version": "6.31.0",
        "components": [TEXT, NUMBER, STATE],
        "dependencies": [{"inputs": [], "outputs": [], **d} for d in dependencies],
        **more,
    }


def told(name: str, **more: Any) -> dict[str, Any]:
    """A parameter as /info lists it."""
    return {
        "label": name.capitalize(),
        "parameter_name": name,
        "parameter_has_default": False,
        "parameter_default": None,
        "type": {"type": "string"},
        "python_type": {"type": "str", "description": ""},
        "component": "Textbox",
        "example_input": "Hello!!",
        **more,
    }


def default(name: str, value: Any) -> dict[str, Any]:
    return told(name, parameter_has_default=True, parameter_default=value)


def info(**named: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer of /info: the parameters of each endpoint by name."""
    return {
        "named_endpoints": {
            f"/{name}": {"parameters": parameters, "returns": []}
            for name, parameters in named.items()
        },
        "unnamed_endpoints": {},
    }
