"""Ctrl-C, or a signal handler, at a place of one's choice: a trace function raises or calls it."""

from __future__ import annotations

import gc
import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def ctrl_c() -> None:
    raise KeyboardInterrupt


def interrupted(
    call: Callable[[], object],
    at: int,
    *,
    opcodes: bool = False,
    handler: Callable[[], object] = ctrl_c,
) -> bool:
    """Call *call*, and *handler* before its line number *at*, counted from 1 as they come.

    Of all lines that run in this thread, of the library and of what that calls. *opcodes*: before
    an instruction instead. False: it was over before that.
    """
    tracer = _Tracer(at, opcodes=opcodes, caller=call, handler=handler)
    before = sys.gettrace()
    gc.disable()  # that it counts the same each time
    sys.settrace(tracer.enter)
    try:
        call()
    except KeyboardInterrupt:
        assert tracer.has_interrupted
    except RuntimeError as error:  # what a Condition makes of it
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
    finally:
        sys.settrace(before)
        gc.enable()
    return tracer.has_interrupted


class _Tracer:
    def __init__(
        self, at: int, *, opcodes: bool, caller: Any, handler: Callable[[], object]
    ) -> None:
        self._handler = handler
        self.has_interrupted = False
        self._left = at
        self._opcodes = opcodes
        self._test = caller.__code__.co_filename
        self._seen: set[tuple[int, int]] = set()

    def enter(self, frame: FrameType, event: str, _: object) -> Any:
        if self._left <= 0 or frame.f_code.co_filename == self._test or _is_finaliser(frame):
            return self.enter if frame.f_code.co_filename == self._test else None
        if self._opcodes:
            frame.f_trace_opcodes = True
        return self.go_on

    def go_on(self, frame: FrameType, event: str, _: object) -> Any:
        wanted = "opcode" if self._opcodes else "line"
        if event == wanted and self._left > 0 and not self._leaves_with(frame):
            self._left -= 1
            if not self._left:
                self.has_interrupted = True
                self._handler()
        return self.go_on

    def _leaves_with(self, frame: FrameType) -> bool:
        """Where a ``with`` is left: no Ctrl-C comes between its body and its ``__exit__``."""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0)
        if not line.lstrip().startswith(("with ", "async with ")):
            return False
        if self._opcodes:
            return True
        place = id(frame), frame.f_lineno or 0
        if place in self._seen:
            return True
        self._seen.add(place)
        return False


def _is_finaliser(frame: FrameType | None) -> bool:
    """What is raised in there is raised nowhere."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
