"""What a function of an app may say while it runs.

Give the function a parameter annotated ``Run``. Clients do not see it:

    @app.endpoint("/work")
    def work(steps: int, run: Run) -> str:
        for step in run.track(range(steps), desc="working"):
            run.info(f"at {step}")
        return "done"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, TypeAlias, TypeVar

import attrs

from sansio_gradio.wire.headers import Headers

__all__ = ["Logged", "Progressed", "Run", "Said"]

T = TypeVar("T")


@attrs.frozen
class Progressed:
    """How far a run is: one dict for each nested loop, outermost first."""

    units: tuple[dict[str, Any], ...]


@attrs.frozen(kw_only=True)
class Logged:
    """A notice for the user, as ``gr.Info`` shows it."""

    text: str
    level: str
    title: str
    duration: float | None
    visible: bool


Said: TypeAlias = Progressed | Logged


@attrs.define(eq=False, kw_only=True)
class Run:
    """One run of a function: its client's session and headers, and what to tell that client.
    ``user``: who has logged in; None: nobody. The repr shows no headers: they have the cookies of a
    login.

    ``say`` takes what is told to the server. It may be called from any thread.
    """

    session_hash: str | None
    headers: Headers = attrs.field(repr=False)
    event_data: Any
    user: str | None = None
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
        """Tell how far the run is: a fraction, or *index* of *length*. Inside ``track`` it is shown
        below the running loops."""
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
        """Loop over *items* and tell how far the loop is. Loops may be nested."""
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

    def report(self, units: Iterable[Mapping[str, Any]]) -> None:
        """Tell how far the run is, in the words of another app: the ``progress_data`` of a
        ``StatusUpdate``, outermost loop first. Without units nothing is told."""
        told = tuple(map(dict, units))
        if told:
            self._say(Progressed(told))

    def info(self, text: str, **how: Any) -> None:
        """Show a notice. Options: ``title``, ``duration`` (seconds; None: until dismissed),
        ``visible``."""
        self.log(text, "info", **how)

    def warning(self, text: str, **how: Any) -> None:
        """Show a warning. Options as for ``info``."""
        self.log(text, "warning", **how)

    def success(self, text: str, **how: Any) -> None:
        """Show that something worked (Gradio 5.10 and later). Options as for ``info``."""
        self.log(text, "success", **how)

    def log(
        self,
        text: str,
        level: str,
        *,
        title: str | None = None,
        duration: float | None = 10,
        visible: bool = True,
    ) -> None:
        """Show a notice of that *level*. Options as for ``info``."""
        text, title = str(text), level.capitalize() if title is None else title
        self._say(Logged(text=text, level=level, title=title, duration=duration, visible=visible))
