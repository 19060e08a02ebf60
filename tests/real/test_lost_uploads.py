"""A real server that loses an upload before its job joins: the file is uploaded once more.

The server must say so: an app shows its errors if it was launched with ``show_error=True``.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio_adapters import handle_file
from tests.support.worlds import WORLDS

from .server import RealServer

pytestmark = pytest.mark.real

CONTENT = b"what the server has lost" * 100


@pytest.fixture(scope="module")
def server(version: str) -> Iterator[RealServer]:
    if version.startswith("3.1"):
        pytest.skip("not run: there is no upload before 3.19")
    with RealServer(version, app="special", SHOW_ERROR="1") as running:
        yield running


class Sweeper:
    """Clears the folder of uploads as soon as the answer to one has come, so many *times*."""

    def __init__(self, folder: Path, times: int) -> None:
        self._folder = folder
        self._left = times
        self.uploads = 0

    def __call__(self, now: float, conn: int | None, direction: str, what: Any) -> None:
        if direction == "sent" and isinstance(what, bytes) and b"/upload HTTP/1.1" in what:
            self.uploads += 1
        if direction == "received" and f'["{self._folder}'.encode() in what and self._left:
            self._left -= 1
            for child in self._folder.iterdir():
                if child.is_dir() and len(child.name) in (40, 64):  # named by a hash
                    shutil.rmtree(child)


@pytest.mark.parametrize("world", WORLDS)
def test_a_lost_upload_is_made_again_once(world: str, server: RealServer, tmp_path: Path) -> None:
    path = tmp_path / "lost.bin"
    path.write_bytes(CONTENT)

    async def scenario() -> None:
        for times in (1, 2):
            sweeper = Sweeper(Path(server.folder), times)
            options: dict[str, Any] = {"auth": ("user", "secret"), "observe": sweeper}
            async with WORLDS[world].client(server.url, **options) as client:
                job = client.submit(handle_file(path), api_name="/digest")
                if times == 1:
                    _, size, digest = (await job.result()).rsplit(" ", 2)
                    assert int(size) == len(CONTENT)
                    assert digest == hashlib.sha1(CONTENT).hexdigest()
                else:
                    assert isinstance(await job.exception(), AppError)
                assert sweeper.uploads == 2

    WORLDS[world].run(scenario)
