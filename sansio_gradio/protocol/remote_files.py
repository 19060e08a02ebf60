"""The files in results: found where the version and the component put them, and their names.

Rule 1: a file is fetched from the app that was asked. The ``url`` that a server sends is not used:
a proxy in front of it, or a header of a stranger, can make it lead elsewhere.

Rule 2: the name of a file is a label. ``safe_name`` makes it fit for every file system, and it is
never a path.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote, unquote_to_bytes

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.endpoints import Endpoint
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.fields import said
from sansio_gradio.protocol.files import (
    FileRules,
    gives_data_urls,
    gives_files,
    is_data_url,
    rules_of,
)
from sansio_gradio.protocol.given_file import GivenFile, type_of

Make: TypeAlias = Callable[[dict[str, Any], str], Any]
"""Makes a ``RemoteFile`` of a file's dict and ``FileRules.route``."""

MAX_DEPTH: Final = 32
"""Files are found in values nested as deep as this. Those of Gradio's components are less deep."""

_PLAYLIST: Final = "playlist.m3u8"
_DATA_URL: Final = re.compile(r"data:([^;,]*)([^,]*),")
_LONGEST_NAME: Final = 200  # bytes, as Gradio cuts uploads
_LONGEST_EXTENSION: Final = 20  # bytes
# Control characters and lone surrogates, and the characters that reverse the direction of a text.
_INVISIBLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSAFE: Final = re.compile(r'[<>:"|?*]')  # on Windows
_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])[ .]*(\.|\Z)",
    re.IGNORECASE,
)


class RemoteFile(dict[str, Any]):
    """A file of an app: the dict that the server sent, and where the file lies.

    ``base`` is the address of the app's API; ``route`` stands before the path of a file there. A
    content that the server sent as a data URL stands in ``data``, as Gradio 3 has it:
    ``{"name": null, "data": "data:…", "is_file": false}``.
    """

    __slots__ = ("base", "error", "route")

    def __init__(self, value: Mapping[str, Any], base: str, route: str = "file=") -> None:
        super().__init__(value)
        self.base = base
        self.route = route
        self.error: Exception | None = None
        """Why it was not downloaded, though that was asked for."""

    @property
    def path(self) -> str | None:
        """The path on the server; None if the content itself was sent."""
        return None if self.data_url is not None else _path(self)

    @property
    def data_url(self) -> str | None:
        """The content, if the server sent it as a data URL."""
        for key in ("data", "url"):
            text = said(self, key, str)
            if text is not None and text.startswith("data:") and not _path(self):
                return text
        return None

    @property
    def is_stream(self) -> bool:
        """Whether it is an output that may still grow: audio or video that is made while it
        plays."""
        return self.get("is_stream") is True

    @property
    def is_playlist(self) -> bool:
        """Whether it is a streamed output in segments (5.0 and later)."""
        return self.is_stream and (self.path or "").endswith(f"/{_PLAYLIST}")

    @property
    def whole_target(self) -> str:
        """The address of the whole content below ``base``."""
        return (
            f"{self.target.removesuffix(_PLAYLIST)}playlist-file"
            if self.is_playlist
            else self.target
        )

    @property
    def target(self) -> str:
        """The address below ``base``."""
        path = self.path or ""
        # With a slash before "..", a proxy would shorten the address. %2F means the same.
        is_plain = {".", ".."}.isdisjoint(re.split(r"[/\\]", path))
        before = "stream/" if self.is_stream else self.route
        return before + quote(path, safe="/" if is_plain else "", errors="surrogatepass")

    @property
    def url(self) -> str:
        """The address of the file at the app that was asked, or the data URL."""
        return self.data_url or self.base + self.target

    @property
    def name(self) -> str:
        """The name, as far as it is known, made fit for every file system: it is no path."""
        named = said(self, "orig_name", str) or _path(self)
        if self.is_stream and not said(self, "orig_name", str):
            named = "stream"
        if not named and self.data_url is not None:
            major, _, minor = (self.mime_type or "").partition("/")
            named = f"{major or 'file'}.{re.sub('[+].*|^x-', '', minor) or 'bin'}"
        return safe_name(named or "")

    @property
    def size(self) -> int | None:
        """In bytes, as far as it is known: servers tell it of few."""
        size = said(self, "size", int)
        return size if size is not None and size >= 0 else None

    @property
    def mime_type(self) -> str | None:
        """The type of the content, as far as it is known."""
        told = said(self, "mime_type", str)
        if told is None and self.data_url is not None and (match := _DATA_URL.match(self.data_url)):
            return match[1].lower() or None
        return told

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), dict(self), self.base, self.route, self.error)

    def __repr__(self) -> str:
        where = "data" if self.data_url is not None else self.url
        return f"<RemoteFile {self.name!r}: {where[:200]}>"


def _unpickled(
    kind: type[RemoteFile], value: dict[str, Any], base: str, route: str, error: Exception | None
) -> RemoteFile:
    file = kind(value, base, route)
    file.error = error
    return file


def as_argument(value: object) -> GivenFile | None:
    """The mark for *value* as an argument, if it is a file; None: it is none.

    A file of an app goes to its own app by its path. Another app gets its content.
    """
    if isinstance(value, GivenFile):
        return value
    if not isinstance(value, RemoteFile):
        return None
    kind = value.mime_type or type_of(value.name)
    return GivenFile(source=value, name=value.name, mime_type=kind)


def decode_data_url(url: str) -> bytes:
    """The bytes that a data URL (RFC 2397) holds.

    Raises:
        RemoteProtocolError: *url* is not a data URL, or its base64 is broken.
    """
    match = _DATA_URL.match(url)
    try:
        if match is not None:
            content = url[match.end() :].encode("ascii")
            return (
                b64decode(content, validate=True)
                if match[2].endswith(";base64")
                else unquote_to_bytes(content)
            )
    except ValueError as error:
        raise RemoteProtocolError("The data URL of a file cannot be read.") from error
    raise RemoteProtocolError("The content of a file is no data URL.")


def safe_name(name: str, default: str = "file") -> str:
    """*name* from a server, made fit for every file system; *default* if nothing is left.

    Folders are cut off, and so are invisible characters. The result has at most 200 bytes, and its
    extension is kept. It is not hidden, and not a device of Windows: an underscore comes first.
    """
    name = _INVISIBLE.sub("", re.split(r"[/\\]", name)[-1])
    name = _UNSAFE.sub("_", name).strip().rstrip(". ")
    if not name.strip("._ "):
        return default
    if name.startswith(".") or _DEVICE.match(name):
        name = f"_{name}"
    if len(name.encode()) > _LONGEST_NAME:
        stem, dot, extension = name.rpartition(".")
        if not stem or len(extension.encode()) > _LONGEST_EXTENSION:
            stem, dot, extension = name, "", ""
        room = _LONGEST_NAME - len((dot + extension).encode())
        name = stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + extension
    return name


def with_files(endpoint: Endpoint, version: Version, make: Make) -> Callable[[Sequence[Any]], Any]:
    """``endpoint.result_of``, with each file in the result replaced by what *make* makes of it.

    If no output can hold a file, this is ``endpoint.result_of`` itself.
    """
    rules = rules_of(version)
    found = [gives_files(part, rules) for part in endpoint.outputs]
    if endpoint.function is not None or not any(found):
        return endpoint.result_of
    texts = [gives_data_urls(part, rules) for part in endpoint.outputs]

    def result_of(data: Sequence[Any]) -> Any:
        parts = zip(data, found, texts, strict=False)
        return endpoint.result_of(
            [_replaced(value, rules, make, texts=t) if may else value for value, may, t in parts]
        )

    return result_of


def files_in(value: Any) -> list[RemoteFile]:
    """The files in a result, in the order in which they stand there. No file counts twice."""
    found: dict[int, RemoteFile] = {}

    def note(part: Any, depth: int) -> None:
        if isinstance(part, RemoteFile):
            found[id(part)] = part
        elif depth and type(part) in (dict, list, tuple):
            for _, inner in _inside(part):
                note(inner, depth - 1)

    note(value, MAX_DEPTH + 1)
    return list(found.values())


def replaced_files(value: Any, change: Callable[[RemoteFile], Any], depth: int = 0) -> Any:
    """A result in which each file is replaced by what *change* makes of it."""
    if isinstance(value, RemoteFile):
        return change(value)
    if depth > MAX_DEPTH or type(value) not in (dict, list, tuple):
        return value
    parts = {key: replaced_files(inner, change, depth + 1) for key, inner in _inside(value)}
    return parts if type(value) is dict else type(value)(parts.values())


def _replaced(
    value: Any, rules: FileRules, make: Make, *, texts: bool, depth: int = MAX_DEPTH
) -> Any:
    """*value* with its files replaced. What holds no file is not copied.

    *texts*: a data URL alone is a file, too.
    """
    if texts and is_data_url(value):
        return make({"name": None, "data": value, "is_file": False}, rules.route)
    if rules.is_file(value):
        return make(value, rules.route)
    if not depth or type(value) not in (dict, list):
        return value
    copy: Any = None
    for key, inner in _inside(value):
        new = _replaced(inner, rules, make, texts=texts, depth=depth - 1)
        if new is not inner:
            copy = value.copy() if copy is None else copy
            copy[key] = new
    return value if copy is None else copy


def _inside(value: object) -> Iterable[tuple[Any, Any]]:
    """The parts of a dict, or of a list or tuple, by their keys."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).items()
    return enumerate(cast("Sequence[Any]", value))


def _path(value: dict[str, Any]) -> str | None:
    path = said(value, "path", str)
    return said(value, "name", str) if path is None else path
