"""A file that the caller gives as an argument: a mark, without I/O.

Only what the caller has marked with ``handle_file`` is ever read. Where the mark stands in the
arguments, the file is uploaded and the payload takes its place (``protocol/files.py``).
"""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import unquote

import attrs

from sansio_gradio.errors import GradioError, LocalProtocolError, OptionError
from sansio_gradio.given import is_a, name_of, refused, text
from sansio_gradio.wire.url import URL

_SCHEMES: Final = ("http://", "https://")
_WANTED: Final = "a path, an http(s) URL, bytes, or a binary file object"

# Those that apps take most often. What is not here is sent as ``UNKNOWN_TYPE``.
UNKNOWN_TYPE: Final = "application/octet-stream"
_TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "glb": "model/gltf-binary",
    "obj": "model/obj",
}


@attrs.frozen(eq=False, kw_only=True)
class GivenFile:
    """A file to hand over; ``handle_file`` makes it.

    ``source``: a path or an http(s) URL as text, the content as bytes, a binary file object, or a
    ``RemoteFile``.
    ``name``: the label for the server, without folders. ``mime_type``: as the caller gave it, or by
    the ending of the name. ``size``: its bytes, if known. ``noted``: what the surroundings know of
    it, to see that it is still the same when it is read.
    """

    source: Any
    name: str
    mime_type: str
    size: int | None = None
    noted: Any = None

    @property
    def is_url(self) -> bool:
        """Whether it is at an address, and not here."""
        return is_url(self.source)

    @property
    def key(self) -> object:
        """Equal for marks of the same source, which is uploaded once."""
        source = self.source if is_a(self.source, str) else id(self.source)
        return source, self.name

    @property
    def can_be_read_again(self) -> bool:
        """Whether it can be read from its beginning a second time."""
        return self.size is not None or is_a(self.source, str, dict)

    def __repr__(self) -> str:
        return f"handle_file({self.name!r})"  # no content, and no folders


def handle_file(source: Any, *, name: str | None = None, mime_type: str | None = None) -> GivenFile:
    """Mark a file as an argument, or as a part of one: it is uploaded with the call.

    ``source``: a path (text or ``os.PathLike``), an http(s) URL, ``bytes``, or a binary file
    object. ``name``: what the server calls it; default: the last part of the path, the URL or the
    file object's name. Give bytes a name with an ending, which many apps look at. ``mime_type``:
    default: by the ending of the name.

    Nothing is read here: ``submit`` checks that the file can be opened, and the upload reads it.

    Raises:
        OptionError: *source* is none of these, or a name is not text.
    """
    source = _source(source)
    if name is not None:
        name = text(name, "name")
    if mime_type is not None:
        mime_type = text(mime_type, "mime_type")
    label = _label(name or _own_name(source))
    if not label:
        endings = (ending for ending, kind in _TYPES.items() if kind == mime_type)
        label = ".".join(["file", *(ending for ending in [next(endings, "")] if ending)])
    return GivenFile(
        source=source,
        name=label,
        mime_type=mime_type or type_of(label),
        size=len(source) if is_a(source, bytes) else None,
    )


def not_read(file: GivenFile, error: Exception) -> GradioError:
    """The error for a file that cannot be read, or not as it was when it was given."""
    if isinstance(error, GradioError):
        return error
    failed = LocalProtocolError(f"{file!r} cannot be read: {error or name_of(error)}")
    failed.__cause__ = error
    return failed


def too_large(file: GivenFile, limit: int) -> LocalProtocolError:
    """The error for a file whose content goes among the arguments, and that is too large for
    that."""
    return LocalProtocolError(
        f"{file!r} is larger than {limit} bytes (Limits.answer): before Gradio 3.19, and before 4.0"
        " for an Image, an app takes the content of a file among the arguments."
    )


def is_url(value: object) -> bool:
    """Whether *value* is a text that begins as an http(s) URL does."""
    return isinstance(value, str) and value[:8].lower().startswith(_SCHEMES)


def type_of(name: str) -> str:
    """The media type for the ending of a name."""
    return _TYPES.get(name.rpartition(".")[2].lower(), UNKNOWN_TYPE)


def _source(given: Any) -> Any:
    """*given* in one of four forms: a path or a URL as text, bytes, a file object."""
    if is_a(given, bytes, bytearray, memoryview):
        return bytes(given)
    kind = cast("Any", type(given))
    if not is_a(given, str) and hasattr(kind, "__fspath__"):
        try:
            given = kind.__fspath__(given)
        except Exception as error:  # the caller's own class
            raise refused(given, "source", _WANTED) from error
        if not is_a(given, str):
            raise OptionError(f"source is a path as text, not as {name_of(given)}.")
    if is_a(given, str):
        path = str.__str__(given)
        if is_url(path):
            URL.parse(path)
        elif not path or "\0" in path:
            raise OptionError("source is a path, and not empty or with a NUL in it.")
        return path
    if not callable(getattr(given, "read", None)):
        raise refused(given, "source", _WANTED)
    if hasattr(given, "encoding"):
        raise OptionError("source is a text file object: open it in binary mode ('rb').")
    return given


def _own_name(source: Any) -> str:
    if is_url(source):
        path = source.split("?")[0].split("#")[0].partition("://")[2]
        return unquote(path.partition("/")[2].rstrip("/"))
    found = source if is_a(source, str) else getattr(source, "name", None)
    return found if isinstance(found, str) else ""


def _label(name: str) -> str:
    """The last part of *name*."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]
