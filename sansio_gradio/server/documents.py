"""The two documents in which an app describes itself: ``/config`` and ``/info``.

Rule: which keys they have is data, in the order of real servers, each with the releases that have
it (gradio blocks.py: get_config, get_api_info; recordings for the spans: a first and a last release
seen). Keys that only a browser's page needs are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import detect
from sansio_gradio.server.app import App, Function, Slot
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import ALWAYS, Keys, Manner, Span, does, keys_of, since, until

Document = dict[str, Any]

_CONFIG: Final[Keys] = (
    ("version", ALWAYS),
    ("api_prefix", since(5, 0)),
    ("mode", ALWAYS),
    ("app_id", since(3, 17)),
    ("dev_mode", ALWAYS),
    ("analytics_enabled", since(3, 17)),
    ("components", ALWAYS),
    ("theme", until(3, 17)),
    ("css", ALWAYS),
    ("connect_heartbeat", since(4, 29)),
    ("js", since(4, 0)),
    ("head", since(4, 0)),
    ("title", ALWAYS),
    ("is_space", Span((3, 1, 5), (3, 17))),
    ("space_id", since(3, 17)),
    ("enable_queue", ALWAYS),
    ("show_error", since(3, 1, 5)),
    ("show_api", Span((3, 2), (5, 50))),
    ("is_colab", since(3, 16)),
    ("max_file_size", since(4, 28)),
    ("stylesheets", since(3, 17)),
    ("theme", since(3, 17)),
    ("protocol", since(4, 0)),
    ("fill_height", since(4, 19)),
    ("fill_width", since(4, 44)),
    ("pages", since(5, 50)),
    ("page", since(5, 50)),
    ("mcp_server", since(5, 28)),
    ("dependencies", since(5, 0)),
    ("layout", ALWAYS),
    ("dependencies", until(5, 0)),
    ("username", since(5, 0)),
    ("root", since(3, 17)),
    ("username", Span((4, 44), (5, 0))),
)
_DEPENDENCY: Final[Keys] = (
    ("id", since(4, 32)),
    ("targets", ALWAYS),
    ("trigger", until(3, 17)),
    ("inputs", ALWAYS),
    ("outputs", ALWAYS),
    ("backend_fn", ALWAYS),
    ("js", ALWAYS),
    ("status_tracker", until(3, 2)),
    ("queue", ALWAYS),
    ("api_name", ALWAYS),
    ("api_description", since(5, 50)),
    ("scroll_to_output", ALWAYS),
    ("show_progress", ALWAYS),
    ("show_progress_on", since(5, 50)),
    ("every", Span((3, 16), (4, 32))),
    ("batch", since(3, 16)),
    ("max_batch_size", since(3, 16)),
    ("cancels", since(3, 6)),
    ("types", since(3, 17)),
    ("collects_event_data", since(3, 21)),
    ("trigger_after", since(3, 21)),
    ("trigger_only_on_success", since(3, 21)),
    ("trigger_only_on_failure", since(5, 42)),
    ("trigger_mode", since(4, 0)),
    ("show_api", Span((4, 12), (6, 0))),
    ("api_visibility", since(6, 0)),
    ("rendered_in", since(4, 32)),
    ("render_id", since(5, 50)),
    ("connection", since(5, 0)),
    ("time_limit", since(5, 0)),
    ("stream_every", since(5, 0)),
    ("event_specific_args", since(5, 50)),
)
_COMPONENT: Final[Keys] = (
    ("id", ALWAYS),
    ("type", ALWAYS),
    ("props", ALWAYS),
    ("serializer", Span((3, 17), (4, 0))),
    ("skip_api", since(4, 0)),
    ("key", since(4, 29)),
    ("api_info", since(3, 17)),
    ("api_info_as_input", since(5, 50)),
    ("api_info_as_output", since(5, 50)),
    ("example_inputs", since(3, 17)),
)
_INFO_ENDPOINT: Final[Keys] = (
    ("parameters", ALWAYS),
    ("returns", ALWAYS),
    ("show_api", Span((4, 30), (6, 0))),
    ("api_visibility", since(6, 0)),
    ("description", since(6, 0)),
)
_INFO_SLOT: Final[Keys] = (
    ("label", ALWAYS),
    ("parameter_name", since(4, 23)),
    ("parameter_has_default", since(4, 23)),
    ("parameter_default", since(4, 23)),
    ("type", ALWAYS),
    ("python_type", ALWAYS),
    ("component", ALWAYS),
    ("example_input", ALWAYS),
    ("serializer", until(4, 0)),
)
_OF_PARAMETERS: Final = frozenset(
    {"parameter_name", "parameter_has_default", "parameter_default", "example_input"}
)
# A component that no API sees has nothing to say about its values.
_OF_VALUES: Final = frozenset(
    {"api_info", "api_info_as_input", "api_info_as_output", "example_inputs"}
)


class Documents:
    """Writes the documents of one app; components and dependencies are numbered once.

    ``app_id`` tells one start of the server from the next: 64 bits.
    """

    def __init__(self, app: App, *, app_id: int) -> None:
        self._app = app
        self.app_id = app_id
        self._components: list[Document] = []
        self._states: dict[str, int] = {
            slot.name: self._component("state", {}, slot) for slot in app.states()
        }
        self._dependencies = [self._dependency(function) for function in app.functions]

    def config(self, root: str) -> Document:
        """``/config``; *root* is the address that the client used, without a slash at its end."""
        app = self._app
        ids = [component["id"] for component in self._components]
        layout = {"id": 0, "children": [{"id": number} for number in ids]}
        page = {"layout": layout, "components": ids, "dependencies": self._function_ids()}
        silent = detect(None, app.version) == app.protocol
        made: Document = {
            "version": app.version_text,
            "api_prefix": app.api_prefix,
            "mode": "blocks",
            "app_id": self.app_id,
            "dev_mode": False,
            "analytics_enabled": False,
            "components": self._components,
            "theme": "default",
            "css": None,
            "connect_heartbeat": has(app.version, Feature.HEARTBEAT),
            "js": None,
            "head": None,
            "title": app.title,
            "is_space": False,
            "space_id": None,
            "enable_queue": True,
            "show_error": app.show_error,
            "show_api": True,
            "is_colab": False,
            "max_file_size": None,
            "stylesheets": [],
            "protocol": app.protocol,
            "fill_height": False,
            "fill_width": False,
            "pages": [["", "Home", True]],
            "page": {"": page},
            "mcp_server": False,
            "dependencies": self._dependencies,
            "layout": layout,
            "username": None,
            "root": root if does(app.version, Manner.NAMES_ITS_ROOT) else "",
        }
        document = {key: made[key] for key in keys_of(_CONFIG, app.version)}
        if silent:
            document.pop("protocol", None)
        else:
            document["protocol"] = app.protocol
        return document

    def info(self) -> Document:
        """``/info``: every endpoint, without the slots that clients do not see."""
        named = {
            f"/{function.api_name}": self._endpoint(function)
            for function in self._app.functions
            if not function.cancels
        }
        return {"named_endpoints": named, "unnamed_endpoints": {}}

    def _function_ids(self) -> list[int]:
        return [function.fn_index for function in self._app.functions]

    def _component(self, kind: str, props: Mapping[str, Any], slot: Slot | None = None) -> int:
        """Add a component; without a slot (or a State) it is none that the API sees."""
        number = len(self._components) + 1
        visible = slot is not None and not slot.is_state
        keys = keys_of(_COMPONENT, self._app.version)
        made: Document = {
            "id": number,
            "type": kind,
            "props": {**props, "name": kind},
            "skip_api": not visible,
            "key": None,
        }
        if slot is not None:
            old = "serializer" in keys
            schema = dict(slot.component.schema)
            example = slot.component.example
            made["serializer"] = slot.component.serializer
            made["api_info"] = {"info": schema, "serialized_info": False} if old else schema
            made["api_info_as_input"] = made["api_info_as_output"] = schema
            made["example_inputs"] = {"raw": example, "serialized": example} if old else example
        wanted = [key for key in keys if visible or "serializer" in keys or key not in _OF_VALUES]
        self._components.append({key: made[key] for key in wanted if key in made})
        return number

    def _slot(self, slot: Slot) -> int:
        if slot.is_state:
            return self._states[slot.name]
        props: Document = {"label": slot.name}
        if slot.has_default:
            props["value"] = plain(slot.default)
        return self._component(slot.component.kind, props, slot)

    def _dependency(self, function: Function) -> Document:
        version = self._app.version
        inputs = [self._slot(slot) for slot in function.parameters]
        outputs = [self._slot(slot) for slot in function.returns]
        if function.streaming:
            target, trigger = inputs[0], "stream"
        else:
            target, trigger = self._component("button", {"value": function.api_name}), "click"
        modern = version >= (4, 32)
        made: Document = {
            "id": function.fn_index,
            "targets": [target] if version < (3, 17) else [[target, trigger]],
            "trigger": trigger,
            "inputs": inputs,
            "outputs": outputs,
            "backend_fn": not function.cancels or does(version, Manner.BACKEND_CANCELS),
            "js": None,
            "status_tracker": None,
            "queue": function.queue if modern or not function.queue else None,
            "api_name": function.api_name,
            "api_description": function.description or None,
            "scroll_to_output": False,
            "show_progress": "full" if version >= (3, 17) else True,
            "show_progress_on": None,
            "every": None,
            "batch": False,
            "max_batch_size": 4,
            "cancels": list(function.cancels),
            "types": self._types(function),
            "collects_event_data": False,
            "trigger_after": None,
            "trigger_only_on_success": False,
            "trigger_only_on_failure": False,
            "trigger_mode": "multiple" if function.streaming else "once",
            "show_api": True,
            "api_visibility": "public",
            "rendered_in": None,
            "render_id": None,
            "connection": "stream" if function.streaming else "sse",
            "time_limit": function.time_limit,
            "stream_every": 0.5,
            "event_specific_args": ["stream_every"] if function.streaming else None,
        }
        return {key: made[key] for key in keys_of(_DEPENDENCY, version)}

    def _types(self, function: Function) -> Document:
        if self._app.version < (4, 32):
            return {"continuous": False, "generator": function.generator}
        return {"generator": function.generator, "cancel": False}

    def _endpoint(self, function: Function) -> Document:
        made: Document = {
            "parameters": self._info_slots(function.parameters, True),
            "returns": self._info_slots(function.returns, False),
            "show_api": True,
            "api_visibility": "public",
            "description": function.description,
        }
        return {key: made[key] for key in keys_of(_INFO_ENDPOINT, self._app.version)}

    def _info_slots(self, slots: tuple[Slot, ...], parameters: bool) -> list[Document]:
        keys = [
            key
            for key in keys_of(_INFO_SLOT, self._app.version)
            if parameters or key not in _OF_PARAMETERS
        ]
        return [
            {key: self._said_of(slot)[key] for key in keys} for slot in slots if not slot.is_state
        ]

    @staticmethod
    def _said_of(slot: Slot) -> Document:
        component = slot.component
        python_type = {"type": component.python_type, "description": component.description}
        return {
            "label": slot.name,
            "parameter_name": slot.name,
            "parameter_has_default": slot.has_default,
            "parameter_default": plain(slot.default),
            "type": dict(component.schema),
            "python_type": python_type,
            "component": component.title,
            "example_input": component.example,
            "serializer": component.serializer,
        }
