"""How each version of Gradio writes files: in arguments, and in results. Data, for both roles.

``FILES`` is the one table: a row for each range of versions, found by ``rules_of``. What is the
same for all components is a field of the row; components that differ have a field of their own.

An argument goes two ways. A *mark* (``GivenFile``) that stands where a component takes a file
becomes ``written``, once it is known where the server has it. A mark that stands alone where a
component takes more than a file (a video with subtitles, a gallery) is put in its place first by
``placed``.

Source: gradio components of each version, and real servers; docs/protocol.md has the shapes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import shown
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.fields import said
from sansio_gradio.protocol.given_file import GivenFile, handle_file, is_url
from sansio_gradio.wire.json import JSON

META: Final = {"_type": "gradio.FileData"}


class Shape(enum.Enum):
    """How one file is written in an argument."""

    DATA_URL = enum.auto()  # "data:image/png;base64,..." and nothing around it
    NAME_DATA = enum.auto()  # {"name": label, "data": data URL, "is_file": False}
    NAME = enum.auto()  # {"name": path, "data": None, "is_file": True, "orig_name": label}
    PATH = enum.auto()  # {"path": path, "orig_name": label, "meta": META}

    @property
    def has_content(self) -> bool:
        """Whether the content itself is written, and nothing is uploaded."""
        return self in (Shape.DATA_URL, Shape.NAME_DATA)


class VideoShape(enum.Enum):
    """What a Video takes and gives."""

    FILE = enum.auto()  # a file; 3.x takes and gives a pair [video, subtitles], too
    SUBTITLED = enum.auto()  # {"video": file, "subtitles": file or None}


class ChatShape(enum.Enum):
    """How a file stands in a Chatbot's value."""

    BARE = enum.auto()  # the file, with "alt_text" in it
    FILE = enum.auto()  # {"file": file, "alt_text": None}
    TYPED = enum.auto()  # {"type": "file", "file": file, "alt_text": None}


class Streams(enum.Enum):
    """How a component with ``streaming=True`` gives its output."""

    NONE = enum.auto()
    RAW = enum.auto()  # /stream/{name}: the bytes as they are yielded
    HLS = enum.auto()  # /stream/{path}: a playlist; .../playlist-file: all of it


@attrs.frozen(kw_only=True)
class FileRules:
    """The rules of a range of versions."""

    uploads: bool
    """There is ``/upload``. Without it, the content is written into the argument."""
    shape: Shape
    """How a file is written in an argument."""
    image: Shape
    """The same, for an Image."""
    urls: bool
    """A URL may stand for a path: the server fetches it."""
    image_urls: bool
    """An Image may be given as ``{"path": None, "url": data URL}``, without an upload."""
    video: VideoShape
    captions: bool
    """A Gallery takes ``{"image": file, "caption": text or None}``."""
    gallery_videos: bool
    """A Gallery also takes ``{"video": file, "caption": text or None}``."""
    chat: ChatShape
    has_meta: bool
    """Files in results are known by ``META``; before, by their keys."""
    has_stream_flag: bool
    """Files in results have ``is_stream``."""
    route: str
    """The path of a file is put behind this, below the base of the API."""
    streams: Streams

    def shape_for(self, component: str) -> Shape:
        """How a file is written in an argument for a component of this type."""
        return self.image if component == "image" else self.shape

    def is_file(self, value: object) -> bool:
        """Whether *value*, of a result or of an argument, is a file of this version."""
        if not isinstance(value, dict):
            return False
        found = cast("dict[str, Any]", value)
        if self.shape is not Shape.PATH:
            if found.get("is_file") is True or found.get("is_stream") is True:
                return type(found.get("name")) is str
            return found.get("is_file") is False and is_data_url(found.get("data"))
        if type(found.get("path")) is not str:
            # An Image that changes while it is shown is {"url": data URL}.
            return found.get("path") is None and is_data_url(found.get("url"))
        if self.has_meta:
            return said(said(found, "meta", dict), "_type", str) == META["_type"]
        return "orig_name" in found or "url" in found

    def result(
        self,
        path: str,
        *,
        url: str | None = None,
        orig_name: str | None = None,
        size: int | None = None,
        mime_type: str | None = None,
        is_stream: bool = False,
    ) -> dict[str, Any]:
        """A file in a result, as a server of this version writes it."""
        if self.shape is not Shape.PATH:
            file: dict[str, Any] = {"name": path, "data": None, "is_file": True}
            if is_stream:
                file = {"name": path, "is_stream": True, "is_file": False}
            named = {} if orig_name is None else {"orig_name": orig_name}
            sized = {} if size is None else {"size": size}
            return {**named, **file, **sized}
        more: dict[str, Any] = {"is_stream": is_stream} if self.has_stream_flag else {}
        if self.has_meta:
            more["meta"] = dict(META)
        told = {"path": path, "url": url, "size": size, "orig_name": orig_name}
        return {**told, "mime_type": mime_type, **more}


_FIRST: Final = FileRules(
    uploads=False,
    shape=Shape.NAME_DATA,
    image=Shape.DATA_URL,
    urls=False,
    image_urls=False,
    video=VideoShape.FILE,
    captions=False,
    gallery_videos=False,
    chat=ChatShape.BARE,
    has_meta=False,
    has_stream_flag=False,
    route="file/",
    streams=Streams.NONE,
)
_3_2: Final = attrs.evolve(_FIRST, route="file=")
_3_19: Final = attrs.evolve(_3_2, uploads=True, shape=Shape.NAME)
_3_33: Final = attrs.evolve(_3_19, streams=Streams.RAW)
_4_0: Final = attrs.evolve(
    _3_33,
    shape=Shape.PATH,
    image=Shape.PATH,
    urls=True,
    video=VideoShape.SUBTITLED,
    captions=True,
    chat=ChatShape.FILE,
)
_4_18: Final = attrs.evolve(_4_0, has_stream_flag=True)
_4_21: Final = attrs.evolve(_4_18, has_meta=True)
_5_0: Final = attrs.evolve(_4_21, image_urls=True, gallery_videos=True, streams=Streams.HLS)
_6_0: Final = attrs.evolve(_5_0, video=VideoShape.FILE, chat=ChatShape.TYPED)

FILES: Final[tuple[tuple[Version, FileRules], ...]] = (
    ((0,), _FIRST),
    ((3, 2), _3_2),
    ((3, 19), _3_19),
    ((3, 33), _3_33),
    ((4, 0), _4_0),
    ((4, 18), _4_18),
    ((4, 21), _4_21),
    ((5, 0), _5_0),
    ((6, 0), _6_0),
)
"""The first version of each range, and its rules."""
NEWEST: Final = FILES[-1][1]

# The value of these is a file, or is made of files: a text is none. In the spelling of the config.
_OF_FILES: Final = frozenset(
    {"audio", "downloadbutton", "file", "gallery", "image", "imageeditor", "imageslider"}
    | {"model3d", "uploadbutton", "video"}
)
_FILE_KEYS: Final = frozenset(
    {"video", "subtitles", "image", "background", "layers", "composite", "mask"}
)
_SEVERAL: Final = ("multiple", "directory")

# In results of 3.x: the components with files, and those of them where a text may be a data URL.
_WITH_FILES_3: Final = frozenset(
    {"annotatedimage", "audio", "chatbot", "file", "gallery", "image", "model3d", "video"}
)
_WITH_DATA_URLS: Final = _WITH_FILES_3 - {"chatbot"}
# In results of 4.0 and later any other component may hold files: there are components of others.
_CHOICES = "button checkbox checkboxgroup colorpicker datetime dropdown number radio slider timer"
_TEXTS = "code dataframe highlightedtext html label markdown plot state textbox"
_WITHOUT_FILES: Final = frozenset(_CHOICES.split() + _TEXTS.split())

_DATA_URL: Final = re.compile(r"data:[\w.+/-]*(?:;[\w=.+\"-]*)*,", re.ASCII)


def rules_of(version: Version) -> FileRules:
    """The rules of a server of *version*; an unknown version (empty) is the newest."""
    return [rules for first, rules in FILES if not version or first <= version][-1]


def takes_files(component: Component) -> bool:
    """Whether the value of a component is a file, or made of files."""
    return component.type in _OF_FILES


def gives_files(component: Component, rules: FileRules) -> bool:
    """Whether a result of this component may hold files."""
    if rules.shape is Shape.PATH:
        return component.type not in _WITHOUT_FILES
    return component.type in _WITH_FILES_3


def gives_data_urls(component: Component, rules: FileRules) -> bool:
    """Whether a text in a result of this component is a file if it is a data URL."""
    return rules.shape is not Shape.PATH and component.type in _WITH_DATA_URLS


def is_data_url(value: object) -> bool:
    """Whether *value* is a text that holds the content of a file: ``data:image/png;base64,...``."""
    return isinstance(value, str) and value.startswith("data:") and bool(_DATA_URL.match(value))


def mapped(value: Any, change: Callable[[GivenFile], Any]) -> Any:
    """A copy of *value* in which each mark is replaced by what *change* makes of it."""
    if isinstance(value, GivenFile):
        return change(value)
    if isinstance(value, list):
        return [mapped(item, change) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in cast("dict[str, Any]", value).items()}
    return value


def marks_in(value: Any) -> list[GivenFile]:
    """All marks of ``handle_file`` in *value*, in the order in which they stand there."""
    found: list[GivenFile] = []
    mapped(value, found.append)
    return found


def placed(value: Any, component: Component, rules: FileRules) -> Any:
    """*value* with its marks where a component of this type takes files.

    A mark alone may stand for a video without subtitles, for the background of an ImageEditor, for
    the one file of a list of files, for a message without text; a mark, or a mark with a caption,
    for an item of a Gallery; a mark for the content of a message in a chat.
    """
    match component.type:
        case "video" if rules.video is VideoShape.SUBTITLED:
            video, subtitles = value if _is_pair(value) else (value, None)
            return {"video": video, "subtitles": subtitles} if _is_mark(video) else value
        case "gallery" if rules.captions:
            items = [value] if _is_mark(value) else value
            if not isinstance(items, list):
                return value
            return [_gallery_item(item, rules) for item in cast("list[object]", items)]
        case "imageeditor" if _is_mark(value):
            # An app that looks at one of the two finds the same picture.
            return {"background": value, "layers": [], "composite": value}
        case "multimodaltextbox" if _is_mark(value):
            return {"text": "", "files": [value]}
        case "file" | "uploadbutton" if _is_mark(value):
            return [value] if said(component.props, "file_count", str) in _SEVERAL else value
        case "chatbot":
            return _in_chat(value, rules)
        case _:
            return value


def _is_mark(value: object) -> bool:
    return isinstance(value, GivenFile)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(cast("list[object]", value)) == 2


def _gallery_item(item: Any, rules: FileRules) -> Any:
    file, caption = item if _is_pair(item) else (item, None)
    if not isinstance(file, GivenFile):
        return item
    is_video = rules.gallery_videos and file.mime_type.startswith("video/")
    return {"video" if is_video else "image": file, "caption": caption}


def _in_chat(value: Any, rules: FileRules) -> Any:
    if rules.chat is ChatShape.BARE:
        return value
    if isinstance(value, GivenFile):
        typed = {"type": "file"} if rules.chat is ChatShape.TYPED else {}
        return {**typed, "file": value, "alt_text": None}
    if isinstance(value, list):
        return [_in_chat(item, rules) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if _is_mark(found.get("file")):
            return found
        if rules.chat is ChatShape.TYPED and _is_mark(found.get("content")):
            found = {**found, "content": [found["content"]]}
        return {key: _in_chat(item, rules) for key, item in found.items()}
    return value


def written(file: GivenFile, shape: Shape, stored: str) -> JSON:
    """The payload of a file. *stored*: its path at the server, its URL, or its data URL."""
    match shape:
        case Shape.DATA_URL:
            return stored
        case Shape.NAME_DATA:
            return {"name": file.name, "data": stored, "is_file": False}
        case Shape.NAME:
            return {"name": stored, "data": None, "is_file": True, "orig_name": file.name}
        case _:
            return {"path": stored, "orig_name": file.name, "meta": dict(META)}


def place_of(file: GivenFile, shape: Shape) -> object:
    """What a stored file is known by: the same source may be uploaded for one component, and be
    written for another."""
    return file.key, shape.has_content


def given(value: Any, component: Component, rules: FileRules) -> Any:
    """*value*, which the caller gave for a component that takes files: a URL becomes a mark.

    Raises:
        LocalProtocolError: a text stands where a file is wanted.
    """
    if isinstance(value, str):
        if is_url(value):
            return handle_file(value)
        is_data = value[:5].lower() == "data:" and component.type == "image"
        if is_data and rules.image is Shape.DATA_URL:
            return value
        if is_data and rules.image_urls:
            return {"path": None, "url": value, "meta": dict(META)}
        raise LocalProtocolError(
            f"a text is no file: use handle_file(...) for a path, here {shown(value)}"
        )
    if isinstance(value, list):
        items = cast("list[object]", value)
        if component.type == "gallery":
            return [
                [given(item[0], component, rules), item[1]]
                if _is_pair(item) and isinstance(item, list)
                else given(item, component, rules)
                for item in items
            ]
        return [given(item, component, rules) for item in items]
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return {
            key: given(item, component, rules) if key in _FILE_KEYS else item
            for key, item in found.items()
        }
    return value


def argument(
    value: Any, component: Component, rules: FileRules, stored: Mapping[object, str]
) -> JSON:
    """*value* as it is sent: its marks are replaced by payloads. *stored*: by ``place_of``."""
    shape = rules.shape_for(component.type)

    def payload(file: GivenFile) -> JSON:
        found = written(file, shape, stored[place_of(file, shape)])
        if component.type == "chatbot" and rules.chat is ChatShape.BARE and isinstance(found, dict):
            return {**found, "mime_type": file.mime_type, "alt_text": None}
        return found

    found: JSON = mapped(placed(value, component, rules), payload)
    return found
