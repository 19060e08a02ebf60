"""Scenarios with files: each component that takes or gives them, in and out, byte for byte."""

from __future__ import annotations

import hashlib
import inspect
import io
import random
import struct
import subprocess
import wave
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from sansio_gradio import LocalProtocolError, RemoteFile, handle_file

from .interop_scenarios import SCENARIOS, Lack, Stage, fails, scenario
from .server import get, python_of

__all__ = ["SCENARIOS"]

VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n"
OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
# No video that can be played: servers hand on what they cannot read.
MP4 = b"\0\0\0 ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(100)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def png() -> bytes:
    """A picture of 8 by 8 pixels."""
    rows = b"".join(b"\0" + bytes((row * 30, 9, 255 - row)) * 8 for row in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav() -> bytes:
    """A second of nearly nothing."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(b"\0\1" * 8000)
        return file.getvalue()


async def waited(value: Any) -> Any:
    """The same, awaited in a world where it is to be."""
    return await value if inspect.isawaitable(value) else value


async def content(file: Any) -> bytes:
    """The bytes of a file in a result."""
    assert RemoteFile in type(file).__mro__, file
    data: bytes = await waited(file.read())
    return data


async def checked(stage: Stage, client: Any, file: Any) -> bytes:
    """The bytes of a file in a result, which a plain GET of the standard library gets as well."""
    data = await content(file)
    if file.data_url is None:
        place = urlsplit(file.url)
        assert place.port is not None
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        answer = get(place.port, place.path, {"cookie": cookie})
        assert answer.status == 200
        assert answer.body == data
    return data


def looks_alike(stage: Stage, data: bytes, other: bytes) -> bool:
    """Whether two pictures are of one size, and of nearly the same colours: servers write some
    anew, as WebP. The Pillow of that server reads them."""
    if data == other:
        return True
    python = python_of(".".join(map(str, stage.version)))
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("a", "b")]
        for path, written in zip(paths, (data, other), strict=True):
            path.write_bytes(written)
        done = subprocess.run(
            [str(python), "-c", DIFFERENCE, *map(str, paths)],
            capture_output=True,
            check=True,
            timeout=60,
        )
    return float(done.stdout) < LARGEST


DIFFERENCE = """
import sys
from PIL import Image
a, b = (Image.open(path).convert("RGB") for path in sys.argv[1:])
pairs = zip(a.tobytes(), b.tobytes())
differences = [abs(x - y) for x, y in pairs]
print(sum(differences) / len(differences) if a.size == b.size else 255)
"""
LARGEST = 16  # of 255, the mean over all pixels: WebP is not exact, above all for few pixels

NO_FILES = Lack(until=(3, 16), why="no login beside a queue, which the app with files has")


@scenario("File", NO_FILES)
async def files(stage: Stage) -> None:
    """Content of any size comes in and out; names as far as that server keeps them."""
    async with stage.client(stage.special) as client:
        for name, data in (("a b%20.txt", b""), ("n\u00e4.bin", noise(300_000)), ("x" * 300, b"x")):
            said = await client.predict(handle_file(data, name=name), api_name="/digest")
            label, size, digest = said.rsplit(" ", 2)
            assert (int(size), digest) == (len(data), hashlib.sha1(data).hexdigest())
            if stage.has(6) and len(name) < 200:
                assert label == name
            given = await client.predict(handle_file(data, name=name), api_name="/file")
            assert await content(given) == data
            assert given.size in (len(data), None)
        assert await client.predict(None, api_name="/file") is None


@scenario("File, several", NO_FILES)
async def several(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        sent = [handle_file(noise(size), name=f"{size}.bin") for size in (0, 1, 70_000)]
        given = await client.predict(sent, api_name="/files")
        assert [len(await content(file)) for file in given] == [0, 1, 70_000]
        one = await client.predict(handle_file(b"one", name="one.txt"), api_name="/files")
        assert [await content(file) for file in one] == [b"one"]


@scenario("a file from a path, a file object, an upload before", NO_FILES)
async def sources(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "note.txt"
            path.write_bytes(b"from a path")
            for source in (path, str(path), io.BytesIO(b"from a path")):
                given = await client.predict(handle_file(source), api_name="/file")
                assert await content(given) == b"from a path"
            error = await fails(client.submit(str(path), api_name="/file"), LocalProtocolError)
            assert "handle_file" in error.message
        # What came out goes in again: by its path, or as it is where nothing is uploaded.
        again = await client.predict(given, api_name="/file")
        assert await content(again) == b"from a path"


@scenario("`download_files=`", NO_FILES)
async def saved(stage: Stage) -> None:
    with TemporaryDirectory() as folder:
        async with stage.client(stage.special, download_files=folder) as client:
            data = noise(100_000)
            (path,) = await client.predict([handle_file(data, name="d.bin")], api_name="/files")
            assert Path(path).is_relative_to(folder)
            assert Path(path).read_bytes() == data


@scenario("Image", NO_FILES)
async def image(stage: Stage) -> None:
    """Old servers write the picture anew. What they have written once stays as it is."""
    async with stage.client(stage.special) as client:
        sent = handle_file(png(), name="p.png")
        first = await content(await client.predict(sent, api_name="/image"))
        if stage.has(5):
            assert first == png()
        again = handle_file(first, name="p.png")
        assert await content(await client.predict(again, api_name="/image")) == first


@scenario("Audio, Model3D, UploadButton", NO_FILES)
async def media(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        for api, name, data in (
            ("/audio", "a.wav", wav()),
            ("/model3d", "m.obj", OBJ),
            ("/upload_button", "u.bin", noise(1000)),
        ):
            given = await client.predict(handle_file(data, name=name), api_name=api)
            assert await content(given) == data, api


@scenario("Video", NO_FILES)
async def video(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        given = await client.predict(handle_file(MP4, name="v.mp4"), api_name="/video")
        assert await content(video_of(given)) == MP4


def video_of(given: Any) -> Any:
    """The video, where it comes with its subtitles."""
    if isinstance(given, RemoteFile):
        return given
    return given["video"] if isinstance(given, dict) else given[0]


@scenario("DownloadButton", Lack(until=(4, 20), why="no `gr.DownloadButton`"))
async def download_button(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        sent = handle_file(b"d", name="d.bin")
        assert await content(await client.predict(sent, api_name="/download_button")) == b"d"


@scenario(
    "a video with subtitles",
    NO_FILES,
    Lack(until=(3, 40), why="no subtitles in the app"),
    Lack(since=(6, 0), until=(99,), why="subtitles are a property of the output"),
)
async def subtitles(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        given = await client.predict(handle_file(MP4, name="v.mp4"), api_name="/subtitled")
        assert await content(video_of(given)) == MP4
        if isinstance(given, dict) and not isinstance(given, RemoteFile):
            assert await content(given["subtitles"]) == VTT
        elif isinstance(given, (list, tuple)):
            assert await content(given[1]) == VTT
        if stage.has(4) and not stage.has(6):
            pair = {
                "video": handle_file(MP4, name="v.mp4"),
                "subtitles": handle_file(VTT, name="v.vtt"),
            }
            back = await client.predict(pair, api_name="/video")
            assert await content(back["video"]) == MP4


@scenario("Gallery", Lack(until=(4, 0), why="a Gallery is no input"))
async def gallery(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        picture = handle_file(png(), name="p.png")
        sent = [picture, {"image": picture, "caption": "c"}]
        given = await client.predict(sent, api_name="/gallery")
        assert [item["caption"] for item in given] == [None, "c"]
        for item in given:
            assert looks_alike(stage, await checked(stage, client, item["image"]), png())


@scenario("MultimodalTextbox", Lack(until=(4, 22), why="no `gr.MultimodalTextbox`"))
async def multimodal(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        sent = {"text": "hi", "files": [handle_file(b"m", name="m.txt")]}
        given = await client.predict(sent, api_name="/multimodal")
        assert given["text"] == "hi"
        assert await content(given["files"][0]) == b"m"


@scenario("ImageEditor", Lack(until=(4, 5), why="no `gr.ImageEditor`"))
async def editor(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        sent = handle_file(png(), name="p.png")
        given = await client.predict(sent, api_name="/editor")
        for part in ("background", "composite"):
            assert looks_alike(stage, await checked(stage, client, given[part]), png())


@scenario("ImageSlider", Lack(until=(5, 27), why="no `gr.ImageSlider`"))
async def slider(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        pair = [handle_file(png(), name="a.png"), handle_file(png(), name="b.png")]
        given = await client.predict(pair, api_name="/slider")
        assert [await content(file) for file in given] == [png(), png()]


@scenario("AnnotatedImage", NO_FILES, Lack(until=(3, 40), why="not in the app"))
async def annotated(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        given = await client.predict(handle_file(png(), name="p.png"), api_name="/annotate")
        if stage.has(4):
            base, (mark,) = given["image"], given["annotations"]
            mask, label = mark["image"], mark["label"]
        else:
            base, ((mask, label),) = given
        assert label == "corner"
        assert looks_alike(stage, await checked(stage, client, base), png())
        assert await checked(stage, client, mask)


@scenario("a file in a chat", NO_FILES, Lack(until=(3, 30), why="not in the app"))
async def chat(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        given = await client.predict(handle_file(png(), name="p.png"), api_name="/chat")
        (message,) = given
        if isinstance(message, dict):
            said = message["content"]
            file = said[0]["file"] if isinstance(said, list) else said["file"]
        else:
            said = message[1]
            file = said.get("file", said)
        assert looks_alike(stage, await checked(stage, client, file), png())
