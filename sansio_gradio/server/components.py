"""The components of a served function's parameters and results, by their type hints.

Each has what ``/config`` and ``/info`` say of it, as Gradio's own components do (``api_info`` of
each, Python types as gradio_client names them).
"""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs

from sansio_gradio.given import is_a
from sansio_gradio.server.contents import File

__all__ = [
    "ANNOTATED_IMAGE",
    "AUDIO",
    "CHATBOT",
    "CHECKBOX",
    "DOWNLOAD_BUTTON",
    "FILE",
    "FILES",
    "GALLERY",
    "IMAGE",
    "IMAGE_EDITOR",
    "IMAGE_SLIDER",
    "JSON",
    "MODEL3D",
    "MULTIMODAL_TEXTBOX",
    "NUMBER",
    "STATE",
    "STREAMED_AUDIO",
    "STREAMED_VIDEO",
    "TEXTBOX",
    "UPLOAD_BUTTON",
    "VIDEO",
    "ComponentKind",
    "State",
    "component_of",
    "dropdown",
    "hints_of",
    "results_of",
]


class State:
    """Marks a value that stays on the server: ``Annotated[int, State]``.

    Slots of the same name are one State. All functions of the app share it, and each session has a
    value of its own. Clients neither send nor get it.
    """


@attrs.frozen(kw_only=True)
class ComponentKind:
    """A kind of component, and what the documents say of its values."""

    kind: str  # as in config.components[].type
    schema: Mapping[str, Any]  # the JSON schema of a value
    python_type: str
    description: str = ""
    example: Any = None
    serializer: str = "SimpleSerializable"  # 3.x's name for how values travel
    props: Mapping[str, Any] = attrs.field(factory=dict[str, Any])  # of its own, in the config
    choices: tuple[Any, ...] = ()  # the only values that it takes, if it has any

    def why_not(self, value: Any) -> str | None:
        """Why no client may give this value; None: it may (gradio@6.31.0 dropdown.py)."""
        if not self.choices or value is None:
            return None
        for one in value if is_a(value, list) else [value]:
            if one not in self.choices:
                return f"Value: {one} is not in the list of choices: {list(self.choices)}"
        return None


TEXTBOX: Final = ComponentKind(
    kind="textbox",
    schema={"type": "string"},
    python_type="str",
    example="Hello!!",
    serializer="StringSerializable",
)
NUMBER: Final = ComponentKind(
    kind="number",
    schema={"type": "number"},
    python_type="float",
    example=3,
    serializer="NumberSerializable",
)
CHECKBOX: Final = ComponentKind(
    kind="checkbox",
    schema={"type": "boolean"},
    python_type="bool",
    example=True,
    serializer="BooleanSerializable",
)
JSON: Final = ComponentKind(
    kind="json",
    schema={"type": {}, "description": "any valid json"},
    python_type="str | float | bool | list | dict",
    description="any valid json",
    example={"foo": "bar"},
    serializer="JSONSerializable",
)
_NULL: Final = {"type": "null"}
_TEXT: Final = {"type": "string"}
_FILE_DATA: Final = {
    "properties": {
        "path": _TEXT,
        "url": {"anyOf": [_TEXT, _NULL], "default": None},
        "size": {"anyOf": [{"type": "integer"}, _NULL], "default": None},
        "orig_name": {"anyOf": [_TEXT, _NULL], "default": None},
        "mime_type": {"anyOf": [_TEXT, _NULL], "default": None},
        "is_stream": {"type": "boolean", "default": False},
        "meta": {"type": "object", "default": {"_type": "gradio.FileData"}},
    },
    "required": ["path"],
    "title": "FileData",
    "type": "object",
}
_OR_NONE: Final = {"anyOf": [_FILE_DATA, _NULL], "default": None}


def _list(title: str, items: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": items, "title": title, "type": "array"}


def _object(title: str, /, *required: str, **properties: Any) -> dict[str, Any]:
    return {
        "properties": properties,
        "required": list(required),
        "title": title,
        "type": "object",
    }


def _of_files(
    kind: str,
    schema: Mapping[str, Any] = _FILE_DATA,
    python_type: str = "filepath",
    serializer: str = "FileSerializable",
    **props: Any,
) -> ComponentKind:
    return ComponentKind(
        kind=kind, schema=schema, python_type=python_type, serializer=serializer, props=props
    )


FILE: Final = _of_files("file", file_count="single")
FILES: Final = _of_files(
    "file", _list("ListFiles", _FILE_DATA), "list[filepath]", file_count="multiple"
)
IMAGE: Final = _of_files("image", serializer="ImgSerializable")
AUDIO: Final = _of_files("audio")
VIDEO: Final = _of_files("video")
STREAMED_AUDIO: Final = _of_files("audio", streaming=True)
STREAMED_VIDEO: Final = _of_files("video", streaming=True)
MODEL3D: Final = _of_files("model3d")
UPLOAD_BUTTON: Final = _of_files("uploadbutton", file_count="single")
DOWNLOAD_BUTTON: Final = _of_files("downloadbutton")
GALLERY: Final = _of_files(
    "gallery",
    _list(
        "GalleryData",
        {
            "anyOf": [
                _object("GalleryImage", "image", image=_FILE_DATA, caption=_TEXT),
                _object("GalleryVideo", "video", video=_FILE_DATA, caption=_TEXT),
            ]
        },
    ),
    "list[dict(image: filepath, caption: str | None) | dict(video: filepath, caption: str | None)]",
    "GallerySerializable",
)
IMAGE_EDITOR: Final = _of_files(
    "imageeditor",
    _object(
        "EditorData",
        background=_OR_NONE,
        layers=_list("Layers", _FILE_DATA),
        composite=_OR_NONE,
        id={"anyOf": [_TEXT, _NULL], "default": None},
    ),
    "dict(background: filepath | None, layers: list[filepath], composite: filepath | None,"
    " id: str | None)",
)
IMAGE_SLIDER: Final = _of_files(
    "imageslider",
    {"title": "SliderData", "type": "array", "prefixItems": [_OR_NONE, _OR_NONE]},
    "tuple[filepath | None, filepath | None] | None",
)
ANNOTATED_IMAGE: Final = _of_files(
    "annotatedimage",
    _object(
        "AnnotatedImageData",
        "image",
        "annotations",
        image=_FILE_DATA,
        annotations=_list(
            "Annotations",
            _object("Annotation", "image", "label", image=_FILE_DATA, label=_TEXT),
        ),
    ),
    "dict(image: filepath, annotations: list[dict(image: filepath, label: str)])",
    "JSONSerializable",
)
MULTIMODAL_TEXTBOX: Final = _of_files(
    "multimodaltextbox",
    _object("MultimodalData", "text", text=_TEXT, files=_list("Files", _FILE_DATA)),
    "dict(text: str, files: list[filepath])",
)
# gradio_client 1.x cannot read an array that says nothing of its items.
CHATBOT: Final = _of_files("chatbot", _list("ChatbotData", {}), "list", "JSONSerializable")

STATE: Final = ComponentKind(kind="state", schema={"type": {}}, python_type="Any")

_SCALARS: Final[Mapping[Any, ComponentKind]] = {
    str: TEXTBOX,
    int: NUMBER,
    float: NUMBER,
    bool: CHECKBOX,
    File: FILE,
    list[File]: FILES,
}
_NONE: Final = type(None)


def dropdown(choices: tuple[Any, ...]) -> ComponentKind:
    """A choice of one of these texts."""
    return ComponentKind(
        kind="dropdown",
        schema={"enum": list(choices), "type": "string"},
        python_type=f"Literal[{', '.join(map(repr, choices))}]",
        example=choices[0],
        choices=choices,
    )


def component_of(hint: Any) -> ComponentKind:
    """The component of a type hint. Unknown types are JSON."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        if State in marks:
            return STATE
        given = [mark for mark in marks if isinstance(mark, ComponentKind)]
        return given[0] if given else component_of(inner)
    if get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint)):
        return dropdown(get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return dropdown(tuple(choice.value for choice in hint))
    if get_origin(hint) in (Union, types.UnionType):
        known = [component_of(arg) for arg in get_args(hint) if arg is not _NONE]
        return known[0] if all(one == known[0] for one in known) else JSON
    return _SCALARS.get(hint, JSON) if isinstance(hint, collections.abc.Hashable) else JSON


def results_of(hint: Any, *, generator: bool) -> tuple[ComponentKind, ...]:
    """The components for the results of a function; of a *generator*, for its yields.

    ``None`` has none, a ``tuple[...]`` one for each item, anything else one.
    """
    if generator and get_args(hint):  # Iterator[...], AsyncGenerator[..., None] and their like
        hint = get_args(hint)[0]
    if hint is None or hint is _NONE:
        return ()
    args = get_args(hint)
    if get_origin(hint) is tuple and Ellipsis not in args:
        return tuple(component_of(arg) for arg in args)
    return (component_of(hint),)


def hints_of(function: Any) -> dict[str, Any]:
    """The type hints of *function*, with their marks. Empty if one cannot be resolved."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
