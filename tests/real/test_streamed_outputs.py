"""Audio that a real server makes while it is heard: by segments, and as one whole file.

What comes is what plain requests of the standard library get. A server needs ffmpeg for it, and
5.x ffprobe as well.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.worlds import WORLDS

from .interop_files import waited
from .server import RealServer, get

pytestmark = pytest.mark.real

SECONDS = 3
RATE = 8000


@pytest.fixture(scope="module")
def streams(version: str) -> Iterator[RealServer]:
    major = int(version.partition(".")[0])
    if major < 5:
        pytest.skip("not run: before 5.0 there are no segments")
    for program in ["ffmpeg", *(["ffprobe"] if major == 5 else [])]:
        if shutil.which(program) is None:
            pytest.skip(f"not run: there is no {program} on the PATH")
    with RealServer(version, app="streams") as running:
        yield running


def fetched(server: RealServer, path: str) -> bytes:
    port = urlsplit(server.url).port
    assert port is not None
    answer = get(port, f"/gradio_api/stream/{path}")
    assert answer.status == 200
    return answer.body


async def pieces(stream: Any) -> list[bytes]:
    if hasattr(stream, "__next__"):
        return list(stream)
    return [piece async for piece in stream]


@pytest.mark.parametrize("world", WORLDS)
def test_an_audio_in_segments(world: str, streams: RealServer) -> None:
    async def scenario() -> None:
        async with WORLDS[world].client(streams.url) as client:
            job = client.submit(SECONDS, api_name="/tones")
            early = None
            async for output in job:
                if early is None:
                    assert not job.done()
                    early = await pieces(output.stream())  # while it is made
            result = await job.result()
            assert early is not None
            assert result.is_stream
            folder = result.path.rpartition("/")[0]
            lines = fetched(streams, result.path).decode().splitlines()
            names = [line for line in lines if line and not line.startswith("#")]
            assert len(names) >= SECONDS
            assert "#EXT-X-ENDLIST" in lines
            segments = b"".join(fetched(streams, f"{folder}/{name}") for name in names)
            assert b"".join(early) == segments
            assert b"".join(await pieces(result.stream())) == segments
            whole = await waited(result.read())
            assert whole == fetched(streams, f"{folder}/playlist-file")
            for heard in (segments, whole):
                assert abs(length_of(heard) - SECONDS) < 0.5

    WORLDS[world].run(scenario)


def length_of(sound: bytes) -> float:
    """In seconds, as ffmpeg decodes it."""
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    done = subprocess.run(command, input=sound, capture_output=True, check=True, timeout=60)
    return len(done.stdout) / 2 / RATE
