"""``examples/demo.py`` on a real server: ``python -m tests.real.demo VERSION``."""

from __future__ import annotations

import signal
import subprocess
import sys

from .server import ROOT, RealServer


def main(version: str) -> int:
    print(f"starting Gradio {version}", flush=True)
    with RealServer(version, app="demo") as server:
        command = [sys.executable, str(ROOT / "examples" / "demo.py"), server.url]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server ends with it
    sys.exit(main(sys.argv[1]))
