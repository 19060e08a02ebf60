"""What a gateway does with values: files in them are carried from one side to the other.

A function of the app that visitors see gets ``File``s, and calls the app behind with marked files;
what that one gives has ``RemoteFile``s, and the function gives ``File``s again::

    job = client.submit(*to_app(values), api_name="/upscale")
    return await from_app(await job, storage)

Contents are read and written piece by piece. With a storage on disk (``storage.OnDisk``, given to
the server, too) no file is ever in memory as a whole.
"""

from __future__ import annotations

from typing import Any, cast

from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio.server.contents import File, Storage
from sansio_gradio_adapters.storage import opened

__all__ = ["from_app", "to_app"]


def to_app(value: Any) -> Any:
    """A copy of *value*, as an argument for the app behind: each ``File`` in it is marked, and is
    read when it is uploaded."""
    if isinstance(value, File):
        return handle_file(opened(value), name=value.name, mime_type=value.mime_type)
    if isinstance(value, dict):
        return {name: to_app(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        made = [to_app(item) for item in cast("list[Any]", value)]
        return tuple(made) if isinstance(value, tuple) else made
    return value


async def from_app(value: Any, storage: Storage) -> Any:
    """A copy of *value*, a result of the app behind, with a ``File`` for each file in it. Their
    contents are downloaded into *storage*. *value* is of a client of asyncio or trio.

    Raises:
        AppError: the app does not hand out a file.
        ConnectionError: a file did not come.
        OSError: the storage cannot keep it.
    """
    if isinstance(value, RemoteFile):
        return await _downloaded(value, storage)
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: await from_app(item, storage) for name, item in named.items()}
    if isinstance(value, list | tuple):
        made = [await from_app(item, storage) for item in cast("list[Any]", value)]
        return tuple(made) if isinstance(value, tuple) else made
    return value


async def _downloaded(file: Any, storage: Storage) -> File:
    draft = storage.begin()
    try:
        async with file.stream() as stream:
            async for piece in stream:
                draft.write(piece)
        return File(file.name, draft.keep(), file.mime_type)
    except BaseException:
        draft.drop()
        raise
