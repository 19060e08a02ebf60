"""A headless Chromium, told over its DevTools socket what to do. Needs no package of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Request

from sansio_gradio.testing.patience import PATIENCE

__all__ = ["CHROMIUM", "Browser", "browser"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


class _Reloading(Exception):
    """The page has gone before it answered, and another one comes."""


class Browser:
    """One page of a browser."""

    def __init__(self, address: str) -> None:
        url = urlsplit(address)
        self._sock = socket.create_connection((url.hostname, url.port or 0), timeout=PATIENCE)
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._sock.sendall(self._wire.send(Request(host=url.netloc, target=url.path)))
        self._texts: list[str] = []
        self._partial = ""
        self._is_open = False
        self._ids = itertools.count(1)
        while not self._is_open:
            self._read()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}

    def go(self, url: str, width: int) -> None:
        """Open a page, in a window so wide."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self._ask("Page.navigate", url=url)
        self.run(f"location.href.startsWith({json.dumps(url)}) && document.readyState", "complete")

    def run(self, script: str, until: Any = ...) -> Any:
        """The value of an expression, which may be a promise; if *until* is given, once it is that.

        Raises:
            AssertionError: it raised, or it never was that.
        """
        value: Any = None
        for _ in range(200):
            with contextlib.suppress(_Reloading):
                value = self._value(script)
                if until is ... or value == until:
                    return value
            with contextlib.suppress(_Reloading):
                self._value("new Promise((resolve) => setTimeout(resolve, 50))")
        raise AssertionError(f"{script} is {value!r}")

    def _value(self, script: str) -> Any:
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        told = self._ask("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        said = {"id": number, "method": method, "params": params, **getattr(self, "_session", {})}
        self._sock.sendall(self._wire.send(Message(json.dumps(said))))
        while True:
            while self._texts:
                told = json.loads(self._texts.pop(0))
                if told.get("id") == number:
                    if "navigated" in told.get("error", {}).get("message", ""):
                        raise _Reloading
                    assert "error" not in told, told
                    result: dict[str, Any] = told["result"]
                    return result
            self._read()

    def _read(self) -> None:
        self._wire.receive_data(self._sock.recv(65536) or None)
        for event in self._wire.events():
            if isinstance(event, AcceptConnection):
                self._is_open = True
            elif isinstance(event, Message):
                self._partial += str(event.data)
                if event.message_finished:
                    self._texts.append(self._partial)
                    self._partial = ""


@contextlib.contextmanager
def browser(folder: Path) -> Generator[Browser]:
    """A browser that keeps its things in *folder*."""
    assert CHROMIUM is not None
    with subprocess.Popen(
        [CHROMIUM, *_FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = (re.search(r"listening on (ws://\S+)", line) for line in process.stderr)
            found = next(filter(None, lines))
            page = Browser(found[1])
            yield page
            page.close()
        finally:
            process.terminate()
