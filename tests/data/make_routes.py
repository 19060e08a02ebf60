"""Ask real servers for all their routes, and keep the answers for the tests.

    SANSIO_GRADIO_SERVERS=FOLDER python -m tests.data.make_routes [VERSION ...]

The servers are those that ``dev.py test-real`` installs. Gradio's own pages and style sheets are
not ours to ship: of a page its config is kept, of a style sheet nothing.
"""

from __future__ import annotations

import json
import lzma
import socket
import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
from tests.real.server import RealServer
from tests.support.routes_asked import FOLDER, TALKS, VERSIONS, ask_all

WAITS = 2.0  # seconds for the next bytes of an answer, which may be a stream without an end


def main(versions: list[str]) -> None:
    for version in versions:
        talks: dict[str, Any] = {}
        for name, talk in TALKS.items():
            options: dict[str, Any] = {"AUTH": "1"} if name == "with login" else {}
            with RealServer(version, **options) as server:
                found = ask_all(talk(version), partial(exchange, server.url))
            talks[name] = {name: attrs.asdict(told) for name, (_, told) in found.items()}
        text = json.dumps(talks, ensure_ascii=False, separators=(",", ":"))
        packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{version}.json.xz").write_bytes(packed)
        print(f"{version:8} {len(packed):8} bytes")


def exchange(url: str, data: bytes) -> bytes:
    """The bytes of an answer, or as many as come in time."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 80), timeout=60) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while part := sock.recv(65536):
                answer += part
                sock.settimeout(WAITS)
        except TimeoutError:
            pass
        return answer


if __name__ == "__main__":
    main(sys.argv[1:] or list(VERSIONS))
