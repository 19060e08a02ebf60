"""The app of ``real/apps/main.py``, served by us."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App
from sansio_gradio.server.components import CHATBOT, FILE, State
from sansio_gradio.server.contents import File
from sansio_gradio.server.run import Run


def app_for(version: str, **options: Any) -> App:
    """The app, posing as that release."""
    app = App(version=version, concurrency_limit=options.pop("concurrency_limit", 8), **options)
    number = tuple(map(int, version.split(".")[:2]))
    running: list[int] = []

    def turns(question: str, answer: str) -> list[Any]:
        if number >= (6, 0):
            pair = (("user", question), ("assistant", answer))
            return [
                {
                    "role": role,
                    "metadata": None,
                    "content": [{"text": text, "type": "text"}],
                    "options": None,
                }
                for role, text in pair
            ]
        if number >= (5, 0):
            pair = (("user", question), ("assistant", answer))
            return [
                {"role": role, "metadata": None, "content": text, "options": None}
                for role, text in pair
            ]
        if number >= (4, 38):
            return [
                {"role": "user", "metadata": {"title": None}, "content": question},
                {"role": "assistant", "metadata": {"title": None}, "content": answer},
            ]
        return [[question, answer]]

    @app.endpoint
    def echo(text: str) -> str:
        return text

    @app.endpoint
    def greet(name: str = "World", times: float = 2, loud: bool = False) -> str:
        words = " ".join(["hello", *[name] * int(times)])
        return words.upper() if loud else words

    @app.endpoint
    def divide(a: float = 7, b: float = 2) -> tuple[float, float]:
        return a // b, a % b

    @app.endpoint
    def shout(text: str, seconds: float = 0) -> str:
        time.sleep(seconds)
        return text.upper()

    @app.endpoint
    def fail(text: str) -> str:
        raise AppError("refused: " + text)

    @app.endpoint
    def fail_hidden(text: str) -> str:
        raise ValueError("secret: " + text)

    @app.endpoint
    def log(text: str, run: Run) -> str:
        run.info("info: " + text)
        time.sleep(0.4)  # a client that looks now and then sees both
        run.warning("warning: " + text)
        time.sleep(0.4)
        return text

    @app.endpoint
    def remember(
        text: str, seen: Annotated[list[str] | None, State] = None
    ) -> tuple[str, Annotated[list[str], State]]:
        seen = [*(seen or []), text]
        return ", ".join(seen), seen

    @app.endpoint
    def upper_file(file: Annotated[File, FILE]) -> Annotated[File, FILE]:
        return File("upper.txt", file.read().upper())

    app.add_function(echo, "echo_unqueued", queue=False)

    @app.endpoint("slow_running", queue=False)
    def slow_running() -> float:
        return len(running)

    @app.endpoint
    def count(steps: float = 7) -> Iterator[str]:
        for step in range(int(steps)):
            yield f"step {step}"

    @app.endpoint
    def shrink(text: str) -> Iterator[Annotated[list[Any], CHATBOT]]:
        yield turns("1", "a") + turns("2", "b") + turns("3", "c") + turns(text, "d")
        yield turns("1", "a")
        yield turns("1", "a") + turns("5", text)

    @app.endpoint
    def fail_midway(text: str) -> Iterator[str]:
        yield "first"
        yield "second"
        raise ValueError("secret: " + text)

    @app.endpoint
    def slow(steps: float = 7) -> Iterator[str]:
        running.append(1)
        try:
            for step in range(int(steps)):
                time.sleep(0.1)
                yield f"slow {step}"
        finally:
            running.pop()

    app.add("stop", cancels=["slow"])

    @app.endpoint
    def progress(run: Run, outer: float = 7, inner: float = 2) -> str:
        for _ in run.track(range(int(outer)), desc="outer"):
            for _ in run.track(range(int(inner)), desc="inner", unit="rounds"):
                time.sleep(0.05)
        return "done"

    return app
