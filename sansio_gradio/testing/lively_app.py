"""An app for clients to be tried on, whose functions the test can hold and watch."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import JSON, STATE, TEXTBOX
from sansio_gradio.server.run import Run
from sansio_gradio.testing.patience import PATIENCE


class Endless:
    """What has become of one call of ``/endless``, which is given the name as its argument."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = threading.Event()
        self.has_yielded_much = threading.Event()
        self.ended = threading.Event()

    def wait_for_begin(self) -> None:
        assert self.began.wait(PATIENCE)

    def wait_for_listener(self) -> None:
        """Wait until whoever called has had the time to listen, too."""
        assert self.has_yielded_much.wait(PATIENCE)

    def wait_for_end(self) -> None:
        assert self.ended.wait(PATIENCE)


class Lively:
    """The app, and ``go_on`` and ``steps`` to let functions go that wait for the test.

    ``holding`` counts the calls of ``/held``.
    """

    def __init__(self, **options: Any) -> None:
        self.go_on = threading.Event()
        self.holding = threading.Semaphore(0)
        self.steps = threading.Semaphore(0)
        self._watched: dict[str, Endless] = {}
        self.app = App(concurrency_limit=None, show_error=True, **options)
        for function in (
            self.echo,
            self.pair,
            self.add,
            self.chat,
            self.flood,
            self.held_flood,
            self.stepped,
            self.held,
            self.late,
            self.endless,
            self.boom,
            self.half,
            self.work,
            self.headers,
        ):
            self.app.add_function(function)
        self.app.add_function(self.echo, "plain", queue=False)
        self.app.add_function(self.held, "held_plain", queue=False)
        number, state = Slot(name="number"), Slot(name="so_far", component=STATE)
        self.app.add(
            "sum",
            call=self.sum,
            parameters=(number, state),
            returns=(number, state),
        )
        message = Slot(name="message", component=TEXTBOX)
        self.app.add(
            "script",
            call=self.script,
            parameters=(message,),
            returns=(Slot(name="value", component=JSON),),
            generator=True,
            scripted=True,
        )

    def echo(self, value: str) -> str:
        return value

    def pair(self, first: str, second: str) -> tuple[str, str]:
        return second, first

    def add(self, a: float, b: float = 10) -> float:
        return a + b

    def sum(self, number: float, so_far: float | None) -> list[float]:
        total = (so_far or 0) + number
        return [total, total]

    def chat(self, text: str) -> Iterator[str]:
        answer = ""
        for letter in text:
            answer += letter
            yield answer

    def flood(self, count: int) -> Iterator[str]:
        """As many texts of 100 kB, none like the one before."""
        for number in range(count):
            yield f"{number:06}" + "x" * 100_000

    def held_flood(self, count: int) -> Iterator[str]:
        """The same, from when the test says so."""
        assert self.go_on.wait(PATIENCE)
        yield from self.flood(count)

    def held(self, value: str) -> str:
        """Returns when the test says so."""
        self.holding.release()
        assert self.go_on.wait(PATIENCE)
        return value

    def late(self, value: str) -> str:
        """Returns "late" when the test says so, and all else at once."""
        return self.held(value) if value == "late" else value

    def stepped(self, count: int) -> Iterator[int]:
        """Yields once for each of ``steps`` that the test allows."""
        for number in range(count):
            assert self.steps.acquire(timeout=PATIENCE)
            yield number

    def new_endless(self) -> Endless:
        endless = Endless(str(len(self._watched)))
        self._watched[endless.name] = endless
        return endless

    def endless(self, name: str) -> Iterator[int]:
        watched = self._watched[name]
        watched.began.set()
        try:
            for count in itertools.count():
                yield count
                if count == 20:
                    watched.has_yielded_much.set()
                time.sleep(0.01)
        finally:
            watched.ended.set()

    def boom(self, text: str) -> str:
        raise AppError(text, title="Boom")

    def half(self, text: str) -> Iterator[str]:
        yield "a"
        yield "ab"
        raise AppError(text)

    def work(self, steps: int, run: Run) -> str:
        for step in run.track(range(steps), desc="working"):
            run.info(f"at {step}")
        return "done"

    def headers(self, name: str, run: Run) -> str:
        return dict(run.headers).get(name, "")

    def script(self, message: str) -> Iterator[dict[str, Any]]:
        yield {"msg": "process_generating", "output": {"data": [message]}, "success": True}
        yield {"msg": "news", "value": 7, "timestamp": "now"}
        yield {"msg": "process_completed", "output": {"data": [message]}, "success": True}
