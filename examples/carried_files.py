"""What the gateway does with files: it reads them on one side, and gives them to the other."""

from collections.abc import Sequence
from typing import Any, cast

from sansio_gradio.server.contents import File
from sansio_gradio_adapters.asyncio import RemoteFile, handle_file


async def carried(value: Any) -> Any:
    """The *value* for the other side: an argument for the app behind, or a result of it.

    Each file in it is read whole into memory, at most ``Limits.download`` bytes of a result.
    """
    if isinstance(value, File):
        return handle_file(value.read(), name=value.name)
    if isinstance(value, RemoteFile):
        return File(value.name, await value.read())
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: await carried(item) for name, item in named.items()}
    if isinstance(value, list | tuple):
        made = [await carried(item) for item in cast("Sequence[Any]", value)]
        return tuple(made) if isinstance(value, tuple) else made
    return value
