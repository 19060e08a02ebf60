"""A Gradio app, and this library talking to it: ``python3 dev.py demo``.

The app is served from here, so no Gradio is needed; ``python examples/demo.py URL`` talks to a
running one that has the same endpoints.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.server.app import App
from sansio_gradio.server.run import Run
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client, OutputUpdate

# The app. One job of each function runs at a time; the others wait in its queue.

app = App(title="Bakery")
RECIPE = "Mix flour, water, salt and yeast. Knead for ten minutes. Then wait: time does the rest."


@app.endpoint("/bake")
def bake(loaves: int, run: Run) -> str:
    for _ in run.track(range(loaves), desc="baking", unit="loaves"):
        time.sleep(0.04)
    return f"{loaves} loaves of bread"


@app.endpoint("/write")
def write(text: str) -> Iterator[str]:
    words = text.split(" ")
    for end in range(len(words)):
        time.sleep(0.04)
        yield " ".join(words[: end + 1])


@app.endpoint("/share")
def share(loaves: float, people: float) -> float:
    if people == 0:
        raise AppError("There is nobody to eat the bread.", title="Too few people")
    return loaves / people


# The client.


def talk_to(url: str, screen: Screen) -> None:
    started = time.perf_counter()
    with Client(url) as client:
        screen.title(f"Gradio {client.app.version_text} on {url} ({client.protocol})")
        for line in client.view_api().splitlines()[2:]:
            screen.line(line)

        screen.title("A job that waits for two others, then shows how far it is")
        jobs = [client.submit(loaves, api_name="/bake") for loaves in (5, 5, 15)]
        for update in jobs[-1].updates():
            if isinstance(update, OutputUpdate):
                screen.line(f"result: {update.outputs}")
            elif not isinstance(update, StatusUpdate):
                screen.live(f"uploaded {update.sent} bytes")
            elif update.code is Status.IN_QUEUE:
                screen.live(f"number {update.rank + 1} of {update.queue_size} in the queue")
            elif update.code is Status.PROGRESS:
                for unit in update.progress_data:
                    screen.live(screen.bar(unit["progress"]) + f" {unit['index']} {unit['unit']}")
        screen.expect([job.result() for job in jobs], [f"{n} loaves of bread" for n in (5, 5, 15)])

        screen.title("An answer that grows")
        answer = ""
        for answer in client.submit(RECIPE, api_name="/write"):
            screen.live(answer)
        screen.line(answer)
        screen.expect(answer, RECIPE)

        screen.title("An app that says no")
        try:
            screen.expect(client.predict(3, 0, api_name="/share"), "an error")
        except AppError as error:
            screen.line(f"{error.title or 'Error'}: {error.message}")

        calls = 50
        began = time.perf_counter()
        for people in range(1, calls + 1):
            screen.expect(client.predict(3, people, api_name="/share"), 3 / people)
        each = (time.perf_counter() - began) / calls
    whole = time.perf_counter() - started
    screen.title(f"{calls} calls: {each * 1000:.1f} ms each. All of this: {whole:.1f} s")


class Screen:
    """Lines of text, in a terminal with one that changes."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._blocks = "█░" if (sys.stdout.encoding or "").lower().startswith("utf") else "#."
        self._on_screen: str | None = None

    def title(self, text: str) -> None:
        print(f"\n\x1b[1m{text}\x1b[0m" if self._is_terminal else f"\n{text}", flush=True)

    def live(self, text: str) -> None:
        """Show *text* in place of what was shown so."""
        if text != self._on_screen:
            self._on_screen = text
            if self._is_terminal:
                fits = text[-(shutil.get_terminal_size().columns - 4) :]
                print(f"\r\x1b[K  {fits}", end="", flush=True)
            else:
                print(f"  {text}", flush=True)

    def line(self, text: str) -> None:
        if self._is_terminal and self._on_screen is not None:
            print("\r\x1b[K", end="")
        if self._is_terminal or text != self._on_screen:
            print(f"  {text}".rstrip(), flush=True)
        self._on_screen = None

    def bar(self, fraction: float) -> str:
        full = round(30 * fraction)
        return self._blocks[0] * full + self._blocks[1] * (30 - full)

    def expect(self, found: object, wanted: object) -> None:
        if found != wanted:
            raise SystemExit(f"wrong: {found!r}, not {wanted!r}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        talk_to(sys.argv[1], Screen())
    else:
        with serve_in_thread(app) as own_url:
            talk_to(own_url, Screen())
