"""Pack the recordings of real servers for the tests: one compressed file a Gradio version.

    python tests/data/make_transcripts.py FOLDER

FOLDER has a folder for each version with, for each scenario, the raw bytes (``NAME.jsonl``) and
what they mean (``NAME.expected.json``). What comes out is JSON under xz; ``tests/support/transcripts.py``
reads it. Bytes are kept as text, one character a byte.

Gradio's own HTML pages are not ours to ship: scenarios of nothing but pages are left out, elsewhere
a page is replaced by a small one that carries the same ``window.gradio_config``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LEFT_OUT = {"html"}
CONFIG = re.compile(rb"window\.gradio_config = (.*?);\s*</script>", re.DOTALL)
LENGTH = re.compile(rb"(?i)(content-length: *)\d+")


def main(source: Path) -> None:
    target = HERE / "transcripts"
    for folder in sorted(source.iterdir()):
        if not folder.is_dir():
            continue
        text = json.dumps(pack(folder), ensure_ascii=False, separators=(",", ":"))
        packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
        (target / f"{folder.name}.json.xz").write_bytes(packed)
        print(f"{folder.name:8} {len(packed):8} bytes")


def pack(folder: Path) -> dict[str, Any]:
    """Everything of one version; scenarios of a second app are named ``app2/NAME``."""
    scenarios: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.json*")):
        name = path.relative_to(folder).as_posix()
        if name.endswith(".jsonl"):
            scenario = name.removesuffix(".jsonl")
            if scenario.split("/")[-1] not in LEFT_OUT:
                scenarios[scenario] = pack_scenario(path)
        elif not name.endswith(".expected.json"):
            documents[name.removesuffix(".json")] = json.loads(path.read_bytes())
    return {"documents": documents, "scenarios": scenarios}


def pack_scenario(path: Path) -> dict[str, Any]:
    chunks: list[tuple[float, int, str, bytes]] = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        data = base64.b64decode(record["b64"])
        chunks.append((record["t"], record["conn"], record["dir"], data))
    expected = json.loads(path.with_name(f"{path.stem}.expected.json").read_bytes())
    for exchange in expected["exchanges"]:
        if str(exchange.get("content_type")).startswith("text/html"):
            chunks = replace_page(chunks, exchange)
    return {
        "chunks": [[t, conn, way, data.decode("latin-1")] for t, conn, way, data in chunks],
        "expected": expected,
    }


def replace_page(
    chunks: list[tuple[float, int, str, bytes]], exchange: dict[str, Any]
) -> list[tuple[float, int, str, bytes]]:
    """The chunks with the page of this exchange replaced, and the exchange told of it."""

    def is_page(conn: int, way: str, data: bytes) -> bool:
        return conn == exchange["conn"] and way == "s2c" and data != b""

    whole = b"".join(data for _, conn, way, data in chunks if is_page(conn, way, data))
    head, _, page = whole.partition(b"\r\n\r\n")
    config = CONFIG.search(page)
    script = b"<script>window.gradio_config = %s;</script>\n" % config[1] if config else b""
    body = b"<!doctype html>\n<title>Gradio</title>\n" + script
    head, found = LENGTH.subn(rb"\g<1>%d" % len(body), head)
    if found != 1:
        raise ValueError(f"a page without a length: {exchange}")
    exchange["response_body"] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    result: list[tuple[float, int, str, bytes]] = []
    pending = head + b"\r\n\r\n" + body
    for t, conn, way, data in chunks:
        if not is_page(conn, way, data):
            result.append((t, conn, way, data))
        elif pending:
            result.append((t, conn, way, pending))
            pending = b""
    return result


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python tests/data/make_transcripts.py FOLDER (of the recordings)")
    main(Path(sys.argv[1]))
