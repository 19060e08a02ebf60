"""The two documents in which an app describes itself: ``/config`` and ``/info``.

Rule: which keys they have is data, in the order of real servers. Each key has the releases that
know it, and its value if that never changes (gradio blocks.py: get_config, get_api_info; the
releases from recordings). Keys that only a browser's page needs are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from sansio_gradio.protocol.features import Feature, has
from sansio_gradio.protocol.protocols import detect
from sansio_gradio.server.app import App, Function, Slot
from sansio_gradio.server.components import STATE, TEXTBOX, ComponentKind
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner, filled, template

__all__ = ["Document", "Documents"]

Document = dict[str, Any]

_CONFIG: Final = """
    version api_prefix>=5.0 mode:"blocks" app_id>=3.17 dev_mode:false analytics_enabled>=3.17:false
    components theme<3.17:"default" css connect_heartbeat>=4.29 js>=4.0 head>=4.0 title
    is_space>=3.1.5<3.17:false space_id>=3.17 enable_queue:true show_error>=3.1.5
    show_api>=3.2<5.50:true is_colab>=3.16:false max_file_size>=4.28 stylesheets>=3.17:[]
    theme>=3.17:"default" protocol>=4.0 fill_height>=4.19:false fill_width>=4.44:false
    pages>=5.50:[["","Home",true]] page>=5.50 mcp_server>=5.28:false dependencies>=5.0 layout
    dependencies<5.0 username>=5.0 root>=3.17 username>=4.44<5.0
"""
_LOGIN_PAGE: Final = """
    auth_required:true auth_message space_id>=3.17 root>=3.17 page>=6.0 pages>=6.0:[""]
    components>=6.0:[] dependencies>=6.0:[] current_page>=6.0:""
"""
_DEPENDENCY: Final = """
    id>=4.32 targets trigger<3.17 inputs outputs backend_fn js status_tracker<3.2 queue api_name
    api_description>=5.50 scroll_to_output:false show_progress<3.17:true
    show_progress>=3.17:"full" show_progress_on>=5.50 every>=3.16<4.32 batch>=3.16:false
    max_batch_size>=3.16:4 cancels>=3.6 types>=3.17 collects_event_data>=3.21:false
    trigger_after>=3.21 trigger_only_on_success>=3.21:false trigger_only_on_failure>=5.42:false
    trigger_mode>=4.0 show_api>=4.12<6.0 api_visibility>=6.0 rendered_in>=4.32 render_id>=5.50
    connection>=5.0 time_limit>=5.0 stream_every>=5.0:0.5 event_specific_args>=5.50
"""
# Since 4.0 a component that no API sees has nothing to say about its values.
_HIDDEN_COMPONENT: Final = """
    id type props serializer>=3.17<4.0 skip_api>=4.0 key>=4.29 api_info>=3.17<4.0
    example_inputs>=3.17<4.0
"""
_COMPONENT: Final = f"""
    {_HIDDEN_COMPONENT}
    api_info>=4.0 api_info_as_input>=5.50 api_info_as_output>=5.50 example_inputs>=4.0
"""
_ENDPOINT: Final = """
    parameters returns show_api>=4.30<6.0:true api_visibility>=6.0:"public" description>=6.0
"""
_PARAMETER: Final = """
    label parameter_name>=4.23 parameter_has_default>=4.23 parameter_default>=4.23
    type python_type component example_input serializer<4.0
"""
_RETURN: Final = "label type python_type component serializer<4.0"

_JOB: Final[Document] = {"type": "object", "properties": {"event_id": {"type": "string"}}}
_BUTTON: Final = attrs.evolve(TEXTBOX, kind="button")


class Documents:
    """Writes the documents of one app, which has all its functions by now.

    ``app_id``: 64 bits that are different after each start of the server.
    """

    def __init__(self, app: App, *, app_id: int) -> None:
        self._app = app
        self.app_id = app_id
        self._components: list[Document] = []
        self._states: dict[str, int] = {}
        self._dependencies = [self._dependency(function) for function in app.functions]

    def login_page(self, root: str) -> Document:
        """What the page has instead of ``/config`` for those who have not logged in."""
        page: Document = {"": {"layout": {}}}
        made: Document = {
            "auth_message": self._app.auth_message,
            "root": self._root(root),
            "page": page,
        }
        return filled(template(_LOGIN_PAGE, self._app.version), made)

    def config(self, root: str, user: str | None = None) -> Document:
        """``/config``. *root*: the address that the client used, without a slash at its end. *user*
        has logged in."""
        app = self._app
        ids = [component["id"] for component in self._components]
        layout = {"id": 0, "children": [{"id": number} for number in ids]}
        numbers = [function.fn_index for function in app.functions]
        page = {"layout": layout, "components": ids, "dependencies": numbers}
        made: Document = {
            "version": app.version_text,
            "api_prefix": app.api_prefix,
            "app_id": self.app_id,
            "components": self._components,
            "connect_heartbeat": has(app.version, Feature.HEARTBEAT),
            "title": app.title,
            "show_error": app.show_error,
            "max_file_size": app.max_file_size,
            "page": {"": page},
            "dependencies": self._dependencies,
            "layout": layout,
            "root": self._root(root),
            "username": user,
        }
        document = filled(template(_CONFIG, app.version), made)
        if detect(None, app.version) == app.protocol:
            document.pop("protocol", None)
        else:
            document["protocol"] = app.protocol
        return document

    def _root(self, root: str) -> str:
        return root if self._app.does(Manner.NAMES_ITS_ROOT) else ""

    def info(self) -> Document:
        """``/info``: every endpoint, without its State."""
        named = {
            f"/{function.api_name}": self._endpoint(function)
            for function in self._app.functions
            if not function.cancels
        }
        return {"named_endpoints": named, "unnamed_endpoints": {}}

    def openapi(self) -> Document:
        """``/openapi.json``: each endpoint as the simple API has it (OpenAPI 3.0)."""
        prefix = self._app.api_prefix
        paths: Document = {}
        for function in self._app.functions:
            if function.cancels:
                continue
            name = function.api_name
            shown = [slot for slot in function.parameters if not slot.is_state]
            schema = {"type": "object", "properties": {s.name: _schema(s) for s in shown}}
            paths[f"{prefix}/call/v2/{name}"] = {
                "post": {
                    "summary": function.description or f"Endpoint /{name}",
                    "description": f"Queues a job. {prefix}/call/{name}/{{event_id}} has it.",
                    "operationId": name.replace("/", "_"),
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": schema}},
                    },
                    "responses": {"200": _content("The job.", "application/json", _JOB)},
                }
            }
            paths[f"{prefix}/call/{name}/{{event_id}}"] = {
                "get": {
                    "summary": f"Results of /{name}",
                    "description": "The event named complete has a JSON array of the results.",
                    "operationId": f"{name.replace('/', '_')}_get",
                    "parameters": [
                        {
                            "name": "event_id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string"},
                        }
                    ],
                    "responses": {
                        "200": _content(
                            "The job's events.", "text/event-stream", {"type": "string"}
                        )
                    },
                }
            }
        info = {"title": self._app.title, "description": "", "version": self._app.version_text}
        return {"openapi": "3.0.2", "info": info, "paths": paths, "components": {"schemas": {}}}

    def _component(self, component: ComponentKind, props: Mapping[str, Any]) -> int:
        """Add a component. Returns its number."""
        number = len(self._components) + 1
        hidden = component is STATE or component is _BUTTON
        keys = template(_HIDDEN_COMPONENT if hidden else _COMPONENT, self._app.version)
        old = "serializer" in keys
        schema, example = dict(component.schema), component.example
        made: Document = {
            "id": number,
            "type": component.kind,
            "props": {**props, "name": component.kind},
            "skip_api": hidden,
            "serializer": component.serializer,
            "api_info": {"info": schema, "serialized_info": False} if old else schema,
            "api_info_as_input": schema,
            "api_info_as_output": schema,
            "example_inputs": {"raw": example, "serialized": example} if old else example,
        }
        self._components.append(filled(keys, made))
        return number

    def _slot(self, slot: Slot) -> int:
        if slot.is_state:
            if slot.name not in self._states:
                self._states[slot.name] = self._component(STATE, {})
            return self._states[slot.name]
        props: Document = {"label": slot.name, **slot.component.props}
        if slot.has_default:
            props["value"] = plain(slot.default)
        return self._component(slot.component, props)

    def _dependency(self, function: Function) -> Document:
        version = self._app.version
        inputs = [self._slot(slot) for slot in function.parameters]
        outputs = [self._slot(slot) for slot in function.returns]
        if function.streaming:
            target, trigger = inputs[0], "stream"
        else:
            target = self._component(_BUTTON, {"value": function.api_name})
            trigger = "click"
        modern = version >= (4, 32)
        types = {"cancel": bool(function.cancels)} if modern else {"continuous": False}
        made: Document = {
            "id": function.fn_index,
            "targets": [target] if version < (3, 17) else [[target, trigger]],
            "trigger": trigger,
            "inputs": inputs,
            "outputs": outputs,
            "backend_fn": not function.cancels or self._app.does(Manner.BACKEND_CANCELS),
            "queue": function.queue if modern or not function.queue else None,
            "api_name": function.api_name,
            "api_description": function.description or None,
            "show_api": not function.cancels,
            "api_visibility": "private" if function.cancels else "public",
            "cancels": list(function.cancels),
            "types": {"generator": function.generator, **types},
            "trigger_mode": "multiple" if function.streaming else "once",
            "connection": "stream" if function.streaming else "sse",
            "time_limit": function.time_limit,
            "event_specific_args": ["stream_every"] if function.streaming else None,
        }
        return filled(template(_DEPENDENCY, version), made)

    def _endpoint(self, function: Function) -> Document:
        version = self._app.version
        parameter, value = template(_PARAMETER, version), template(_RETURN, version)
        made = {
            "parameters": [_said_of(s, parameter) for s in function.parameters if not s.is_state],
            "returns": [_said_of(slot, value) for slot in function.returns if not slot.is_state],
            "description": function.description,
        }
        return filled(template(_ENDPOINT, version), made)


def _schema(slot: Slot) -> Document:
    return dict(slot.component.schema)


def _content(description: str, kind: str, schema: Document) -> Document:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _said_of(slot: Slot, keys: Document) -> Document:
    component = slot.component
    made = {
        "label": slot.name,
        "parameter_name": slot.name,
        "parameter_has_default": slot.has_default,
        "parameter_default": plain(slot.default),
        "type": dict(component.schema),
        "python_type": {"type": component.python_type, "description": component.description},
        "component": component.kind.capitalize(),
        "example_input": component.example,
        "serializer": component.serializer,
    }
    return filled(keys, made)
