"""The scenarios of the real servers' files, on the server role: each version, in every world."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from sansio_gradio.server.app import App
from sansio_gradio.server.components import (
    ANNOTATED_IMAGE,
    AUDIO,
    CHATBOT,
    DOWNLOAD_BUTTON,
    FILE,
    GALLERY,
    IMAGE,
    IMAGE_EDITOR,
    IMAGE_SLIDER,
    MODEL3D,
    MULTIMODAL_TEXTBOX,
    UPLOAD_BUTTON,
    VIDEO,
    ComponentKind,
)
from sansio_gradio.server.contents import File
from sansio_gradio_adapters.server import serve_in_thread
from tests.real import interop_files
from tests.real.interop_scenarios import SCENARIOS, Scenario, Stage
from tests.support.worlds import WORLDS

VERSIONS = ["3.16.2", "3.50.2", "4.4.1", "4.21.0", "4.44.1", "5.0.2", "6.31.0"]
DAILY = ("6.31.0", "3.50.2")
FILES = [one for one in SCENARIOS if one.play.__module__ == interop_files.__name__]
ECHOED = {
    "image": IMAGE,
    "audio": AUDIO,
    "video": VIDEO,
    "model3d": MODEL3D,
    "upload_button": UPLOAD_BUTTON,
    "download_button": DOWNLOAD_BUTTON,
    "multimodal": MULTIMODAL_TEXTBOX,
    "slider": IMAGE_SLIDER,
    "gallery": GALLERY,
    "editor": IMAGE_EDITOR,
}


def app_of(version: str) -> App:
    """The endpoints of ``real/apps/files.py``."""
    app = App(version=version, auth=("user", "secret"))

    @app.endpoint("/digest")
    async def digest(given: File) -> str:
        content = given.read()
        return f"{given.name} {len(content)} {hashlib.sha1(content).hexdigest()}"

    @app.endpoint("/file")
    async def file(given: File) -> File:
        return given

    @app.endpoint("/files")
    async def files(given: list[File]) -> list[File]:
        return given

    def echo(name: str, kind: ComponentKind) -> None:
        async def same(given: Any) -> Any:
            return given

        # An UploadButton of 3.x gives the bare path of a server's file.
        back = FILE if kind is UPLOAD_BUTTON and app.version < (4,) else kind
        same.__annotations__ = {"given": Annotated[Any, kind], "return": Annotated[Any, back]}
        app.add_function(same, name)

    for name, kind in ECHOED.items():
        echo(name, kind)

    @app.endpoint("/subtitled")
    async def subtitled(video: Annotated[File, VIDEO]) -> Annotated[Any, VIDEO]:
        return video, File("words.vtt", interop_files.VTT)

    @app.endpoint("/annotate")
    async def annotate(picture: Annotated[File, IMAGE]) -> Annotated[Any, ANNOTATED_IMAGE]:
        return picture, [(picture, "corner")]

    @app.endpoint("/chat")
    async def chat(picture: Annotated[File, IMAGE]) -> Annotated[Any, CHATBOT]:
        if app.version < (5,):
            return [["look", picture]]
        return [{"role": "assistant", "content": picture}]

    return app


def cases() -> Iterator[Any]:
    """Each version and scenario in each world. Daily: the newest, and one of a 3.x."""
    for version in VERSIONS:
        numbers = tuple(map(int, version.split(".")))
        for world in WORLDS:
            for scenario in FILES:
                is_daily = version in DAILY and (world == "sockets" or scenario.title == "File")
                if scenario.lack(numbers) is None:
                    name = f"{version}-{world}-{scenario.play.__name__}"
                    marks = () if is_daily else (pytest.mark.exhaustive,)
                    yield pytest.param(version, world, scenario, id=name, marks=marks)


@pytest.mark.parametrize(("version", "world", "scenario"), list(cases()))
def test_files(version: str, world: str, scenario: Scenario) -> None:
    with serve_in_thread(app_of(version)) as url:
        numbers = tuple(map(int, version.split(".")))
        stage = Stage(world=WORLDS[world], version=numbers, main=url, special=url)

        async def played() -> None:
            await scenario.play(stage)

        WORLDS[world].run(played)
