"""Files are saved by the thread that asks for them."""

from __future__ import annotations

from functools import partial
from typing import Any

from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._saving import DownloadTarget, OnProgress, save
from sansio_gradio_adapters._worker import Worker


def saved(
    core: ClientCore,
    _worker: Worker,
    file: RemoteFile,
    place: DownloadTarget,
    *,
    resume: bool = True,
    on_progress: OnProgress | None = None,
) -> Any:
    """Download *file* to *place*; returns what ``place.finish`` gives."""
    return save(partial(core.open_download, file, resume=resume), place, on_progress)
