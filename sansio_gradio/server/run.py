"""What a function of an app may say while it runs.

A function that wants to takes a parameter annotated ``Run``; clients do not see it:

    @app.endpoint("/work")
    def work(steps: int, run: Run) -> str:
        for step in run.track(range(steps), desc="working"):
            run.info(f"at {step}")
        return "done"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeAlias, TypeVar

import attrs

from sansio_gradio.wire.headers import Headers

T = TypeVar("T")


@attrs.frozen
class Progressed:
    """How far the nested loops of a run are, outermost first."""

    units: tuple[dict[str, Any], ...]


@attrs.frozen(kw_only=True)
class Logged:
    """A notice for the user: what ``gr.Info`` and its like show."""

    text: str
    level: str
    title: str
    duration: float | None
    visible: bool


Said: TypeAlias = Progressed | Logged


@attrs.define(eq=False, kw_only=True)
class Run:
    """One run of a function: who asked, and a way to tell them how far it is.

    ``say`` carries what is told to the server; it may be called from any thread.
    """

    session_hash: str | None
    headers: Headers
    event_data: Any
    _say: Callable[[Said], None] = attrs.field(alias="say", repr=False)
    _loops: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]], init=False, repr=False)

    def progress(
        self,
        progress: float | None = None,
        *,
        index: int | None = None,
        length: int | None = None,
        unit: str = "steps",
        desc: str | None = None,
    ) -> None:
        """Tell how far the run is: a fraction, or *index* of *length*; inside ``track``, beneath
        the loops under way."""
        own = {"index": index, "length": length, "unit": unit, "progress": progress, "desc": desc}
        self._say(Progressed((*map(dict, self._loops), own)))

    def track(
        self,
        items: Iterable[T],
        *,
        length: int | None = None,
        unit: str = "steps",
        desc: str | None = None,
    ) -> Iterator[T]:
        """Loop over *items*, telling how far the loop is; loops may be nested."""
        if length is None and isinstance(items, Sized):
            length = len(items)
        loop = {"index": 0, "length": length, "unit": unit, "progress": None, "desc": desc}
        self._loops.append(loop)
        try:
            for index, item in enumerate(items):
                loop["index"] = index
                self._say(Progressed(tuple(map(dict, self._loops))))
                yield item
        finally:
            self._loops.remove(loop)

    def info(self, text: str, **how: Any) -> None:
        """Show a notice; ``title``, ``duration`` (seconds, None: until dismissed), ``visible``."""
        self._log(text, "info", **how)

    def warning(self, text: str, **how: Any) -> None:
        """Show a warning; as ``info``."""
        self._log(text, "warning", **how)

    def success(self, text: str, **how: Any) -> None:
        """Show that something worked (servers from 5.10 on); as ``info``."""
        self._log(text, "success", **how)

    def _log(
        self,
        text: str,
        level: str,
        *,
        title: str | None = None,
        duration: float | None = 10,
        visible: bool = True,
    ) -> None:
        title = level.capitalize() if title is None else title
        self._say(Logged(text=text, level=level, title=title, duration=duration, visible=visible))
