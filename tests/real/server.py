"""A real Gradio server as a process of its own, on loopback, for as long as a ``with`` block."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
APPS = Path(__file__).parent / "apps"
STARTS_WITHIN = 180.0  # seconds; importing Gradio on a slow machine takes most of a minute

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}
# Gradio asks itself whether it is up: not through somebody's proxy.
NOT_PASSED_ON = {"http_proxy", "https_proxy", "all_proxy", "pythonpath", "pythonhome"}


def python_of(version: str) -> Path:
    """The interpreter that an installed version has."""
    servers = Path(os.environ.get("SANSIO_GRADIO_SERVERS") or ROOT / ".servers")
    return servers / version / "bin" / "python"


class ServerFailed(Exception):
    """The server did not come up; what it printed is in the text."""


class RealServer:
    """One app on one installed version; ``options`` become its environment (``SHOW_ERROR="1"``).

    ``port``: that one, and not any that is free. ``path``: where the app is mounted. ``url`` says
    where the server is, ``output()`` what it has printed.
    """

    def __init__(
        self,
        version: str,
        app: str = "main",
        *,
        port: int | None = None,
        path: str = "",
        **options: str,
    ) -> None:
        self.version, self.app, self.options = version, app, options
        self._port = port
        self._path = path
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="real-gradio-")
        self._printed = Path(self._folder.name) / "output.txt"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"Gradio {self.version} printed:\n{self.output()}")
        self.stop()

    @property
    def folder(self) -> str:
        """Where it keeps uploads."""
        return self._folder.name

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        return self._printed.read_text("utf-8", "replace") if self._printed.exists() else ""

    def start(self) -> None:
        python = python_of(self.version)
        port = self._port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        passed = {k: v for k, v in os.environ.items() if k.lower() not in NOT_PASSED_ON}
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [str(python), str(APPS / f"{self.app}.py"), str(port)],
                cwd=self._folder.name,
                env={**passed, **QUIET, "GRADIO_TEMP_DIR": self._folder.name, **self.options},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_up(port)
        except BaseException:
            self.stop()
            raise

    def _wait_until_up(self, port: int) -> None:
        assert self._process is not None
        give_up = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get(port, f"{self._path}/config").status in {200, 401}:
                    return
            time.sleep(0.1)
        raise ServerFailed(f"Gradio {self.version} did not start:\n{self.output()}")

    def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        os.killpg(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process, and those that it started; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            for ending in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, ending)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
        self._folder.cleanup()


class Answer:
    """Status and body of a plain request."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body


def get(port: int, path: str, headers: dict[str, str] | None = None) -> Answer:
    """A GET by the standard library, which shares nothing with what is tested."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
