"""Make ``tests/data/files`` from raw exchanges with real servers about uploads and files.

    python tests/data/make_files.py FOLDER

FOLDER has VERSION.jsonl with a line for each exchange: ``scenario``, ``request`` and ``response``,
their bytes as latin-1. Recorded from Gradio 3.16.2, 3.50.2, 4.44.1 and 6.31.0.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any

KEPT = ("upload", "maxsize", "file ")
# What depends on files that the recorded app had beside it, on other hosts, or on time.
LEFT_OUT = (
    "2 MB",
    "allowed",
    "base64",
    "cwd",
    "deleted",
    "does it answer early",
    "gzip",
    "http url",
    "opened",
    "slowly",
    "without prefix",
)
SHOWN = (
    "accept-ranges",
    "allow",
    "content-disposition",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "etag",
    "location",
    "range",
    "x-secret",
)


def exchange(recorded: dict[str, Any]) -> dict[str, Any]:
    head, _, body = (
        recorded["response"].removeprefix("HTTP/1.1 100 Continue\r\n\r\n").partition("\r\n\r\n")
    )
    line, *fields = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
    return {
        "scenario": recorded["scenario"],
        "request": recorded["request"],
        "status": int(line.split()[1]),
        "headers": {name: value for name, value in headers.items() if name in SHOWN},
        "body": body,
        "complete": recorded["end"] == "eof",
    }


def main(folder: str) -> None:
    target = Path(__file__).parent / "files"
    target.mkdir(exist_ok=True)
    for path in sorted(Path(folder).glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        kept = [
            exchange(line)
            for line in lines
            if str(line.get("scenario")).startswith(KEPT)
            and line.get("response", "")
            and "…[" not in line["request"] + line["response"]
            and not any(word in line["scenario"] for word in LEFT_OUT)
        ]
        data = lzma.compress(json.dumps(kept, indent=0).encode(), preset=9)
        (target / f"{path.stem}.json.xz").write_bytes(data)
        print(path.stem, len(kept), "exchanges,", len(data), "bytes")


main(sys.argv[1])
