"""Files in the arguments and in the results of functions.

A function gets a ``File`` where its client has put a file, and gives one where a file is to be. How
files are written is told by the release (``protocol/files.py``), and the same function serves all:

| component | a function gets, and may give |
|---|---|
| File, Image, Audio, Model3D, UploadButton, DownloadButton | a ``File`` |
| File with several | a list of them |
| Video | a ``File``, or with subtitles a pair |
| Gallery | a list of pairs (``File``, caption or None) |
| any other | what the client has sent, with a ``File`` for each file in it |

Components that hold no files are left alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from sansio_gradio.protocol.files import META, ChatShape, Shape, Streams, VideoShape, rules_of
from sansio_gradio.protocol.given_file import handle_file, is_url, type_of
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.components import ComponentKind
from sansio_gradio.server.contents import File
from sansio_gradio.server.files import FOLDER, FileStore
from sansio_gradio.server.media_streams import MediaStreams, is_streamed
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner

__all__ = ["FileValues"]

_ONLY_FILES: Final = frozenset(
    {"audio", "downloadbutton", "file", "gallery", "image", "imageeditor", "imageslider"}
    | {"model3d", "uploadbutton", "video"}
)
_WITH_FILES: Final = _ONLY_FILES | {"annotatedimage", "chatbot", "json", "multimodaltextbox"}
_SIZED: Final = frozenset({"file", "uploadbutton"})
_TYPED: Final = frozenset({"chatbot", "gallery", "multimodaltextbox"})
_UNNAMED: Final = frozenset({"annotatedimage", "chatbot", "imageeditor"})
_NO_META: Final = (
    "Value error, The 'meta' field must be explicitly provided in the input data and be equal to"
    " {'_type': 'gradio.FileData'}."
)


class FileValues:
    """Reads the files in arguments, and writes those in results."""

    def __init__(self, app: App, files: FileStore, streams: MediaStreams) -> None:
        self._app = app
        self._files = files
        self._streams = streams
        self._rules = rules_of(app.version)

    # Arguments

    def taken(self, function: Function, data: list[Any]) -> list[Any]:
        """The arguments of a function, as it gets them.

        A file that is given by its URL is not fetched: the function gets what the client has sent.

        Raises:
            ValueError: a file is not here, or is not written as this release demands.
        """
        kinds = [slot.component.kind for slot in function.parameters]
        return [
            self._unshaped(kind, self._read(kind, value)) if kind in _WITH_FILES else value
            for kind, value in zip(kinds, data, strict=False)
        ]

    def _read(self, kind: str, value: Any) -> Any:
        """A copy of a value, with a ``File`` for each file in it."""
        if _is_dict(value):
            if self._is_file(kind, value):
                return self._file(kind, value)
            copied: dict[str, Any] = {}
            for key, item in value.items():
                copied[key] = self._read(kind, item)
            return copied
        if _is_list(value):
            items: list[Any] = []
            for item in value:
                items.append(self._read(kind, item))  # half as many frames
            return items
        if kind == "image" and isinstance(value, str) and self._rules.image is Shape.DATA_URL:
            return _of_data_url(value)
        return value

    def _is_file(self, kind: str, value: dict[str, Any]) -> bool:
        if self._rules.shape is not Shape.PATH:
            return self._rules.is_file(value)
        has_path = isinstance(value.get("path"), str)
        if self._app.does(Manner.ANY_PATH_IS_A_FILE):
            return has_path
        return self._rules.is_file(value) or (
            kind in _ONLY_FILES and ("path" in value or "url" in value)
        )

    def _file(self, kind: str, value: dict[str, Any]) -> Any:
        if self._rules.shape is not Shape.PATH:
            return self._found(value["name"]) if value["is_file"] else _of_data_url(value["data"])
        if self._app.does(Manner.META_DEMANDED) and kind != "image" and value.get("meta") != META:
            raise ValueError(_NO_META)
        path, url = value.get("path"), value.get("url")
        if isinstance(path, str):
            return value if is_url(path) else self._found(path)
        if self._rules.image_urls and kind == "image" and isinstance(url, str):
            return _of_data_url(url)
        raise ValueError("A file has no path.")

    def _found(self, path: Any) -> File:
        kept = self._files.get(path) if isinstance(path, str) else None
        if kept is not None:
            return kept.file
        if str(path).startswith(f"{FOLDER}/") or self._rules.shape is not Shape.PATH:
            raise ValueError(f"[Errno 2] No such file or directory: {str(path)!r}")
        if self._app.does(Manner.ANY_PATH_IS_A_FILE):
            raise ValueError(f"File {path} is not in the upload folder and cannot be accessed.")
        raise ValueError(
            f"Cannot move {path} to the gradio cache dir because it was not uploaded by a user."
        )

    def _unshaped(self, kind: str, value: Any) -> Any:
        """A value as functions get it in all releases."""
        match kind, value:
            case "video", {"video": File() as video, **rest}:
                return video if rest.get("subtitles") is None else (video, rest["subtitles"])
            case "video", [File() as video, subtitles]:
                return video if subtitles is None else (video, subtitles)
            case "gallery", [*items]:
                return [_pair(item) for item in items]
            case _:
                return value

    # Results

    def given(self, component: ComponentKind, value: Any, root: str, stream: str) -> Any:
        """A result as it is sent, in lists, dicts and scalars. *root*: the client's address.
        *stream*: the path of the output, if it is streamed.

        Raises:
            LocalProtocolError: JSON has no such value.
        """
        kind = component.kind
        if kind not in _WITH_FILES:
            return plain(value)
        if isinstance(value, File) and self._is_streamed(component):
            path, name = self._streams.add(stream, component, value)
            address = f"{root}{self._app.api_prefix}/stream/{path}"
            return self._rules.result(path, url=address, orig_name=name, is_stream=True)
        return plain(self._shaped(kind, value), lambda file: self._written(kind, file, root))

    def _is_streamed(self, component: ComponentKind) -> bool:
        return is_streamed(component) and self._rules.streams is not Streams.NONE

    def _written(self, kind: str, file: File, root: str) -> Any:
        if kind == "image" and self._rules.image is Shape.DATA_URL:
            content = base64.b64encode(file.read()).decode()
            return f"data:{file.mime_type or type_of(file.name)};base64,{content}"
        path = self._files.add(file).path
        base = "" if kind == "json" and self._app.does(Manner.RELATIVE_URL_IN_JSON) else root
        address = f"{base}{self._app.api_prefix}/file={path}"
        return self._rules.result(
            path,
            url=address if self._rules.has_stream_flag else None,
            orig_name=None if kind in _UNNAMED else file.name,
            size=file.size if kind in _SIZED else None,
            mime_type=(file.mime_type or type_of(file.name)) if kind in _TYPED else None,
        )

    def _shaped(self, kind: str, value: Any) -> Any:
        """A value as this release writes it."""
        match kind, value:
            case "video", (File() as video, subtitles):
                return self._video(video, subtitles)
            case "video", File():
                return self._video(value, None)
            case "gallery", [*items]:
                return [self._item(item) for item in items]
            case "annotatedimage", (File() as image, marks) if self._rules.captions:
                marked = [{"image": mask, "label": label} for mask, label in marks]
                return {"image": image, "annotations": marked}
            case "multimodaltextbox", File():
                return {"text": "", "files": [value]}
            case "imageeditor", File():
                return {"background": value, "layers": [], "composite": value, "id": None}
            case "chatbot", _:
                return self._in_chat(value)
            case _:
                return value

    def _video(self, video: File, subtitles: File | None) -> Any:
        if self._rules.video is VideoShape.SUBTITLED:
            return {"video": video, "subtitles": subtitles}
        return [video, subtitles] if self._app.does(Manner.VIDEO_IS_A_PAIR) else video

    def _item(self, item: Any) -> Any:
        match item:
            case (File() as file, caption):
                pass
            case File() as file:
                caption = None
            case _:
                return item
        if not self._rules.captions:
            return file if caption is None else [file, caption]
        kind = file.mime_type or type_of(file.name)
        is_video = self._rules.gallery_videos and kind.startswith("video/")
        return {"video" if is_video else "image": file, "caption": caption}

    def _in_chat(self, value: Any) -> Any:
        if isinstance(value, File):
            return self._chat_file(value)
        if _is_list(value):
            return [self._in_chat(item) for item in value]
        if not _is_dict(value) or "file" in value:
            return value
        content = value.get("content")
        if isinstance(content, File) and self._rules.chat is ChatShape.TYPED:
            return {**value, "content": [self._chat_file(content)]}
        return {key: self._in_chat(item) for key, item in value.items()}

    def _chat_file(self, file: File) -> Any:
        if self._rules.chat is ChatShape.BARE:
            return file
        typed = {"type": "file"} if self._rules.chat is ChatShape.TYPED else {}
        return {**typed, "file": file, "alt_text": None}


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def _pair(item: Any) -> Any:
    """An item of a gallery, with its caption."""
    match item:
        case {"image": File() as file, **rest} | {"video": File() as file, **rest}:
            return file, rest.get("caption")
        case [File() as file, caption]:
            return file, caption
        case File():
            return item, None
        case _:
            return item


def _of_data_url(text: Any) -> File:
    """The file that is written in a data URL."""
    head, comma, content = str(text).partition(",")
    kind = head.removeprefix("data:").partition(";")[0]
    try:
        if not comma or not head.startswith("data:"):
            raise ValueError("This is no data URL.")
        data = base64.b64decode(content)
    except binascii.Error as error:
        raise ValueError("The data of a file is not base64.") from error
    return File(handle_file(data, mime_type=kind).name, data, kind)
