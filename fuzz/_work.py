"""How much a target works, counted in calls: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def calls(target: Callable[[bytes], None], data: bytes) -> int:
    """How many functions *target* calls for *data*, those of C among them."""
    count = 0

    def note(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        target(data)
    finally:
        sys.setprofile(before)
    return count


def growth(target: Callable[[bytes], None], grown: Callable[[int], bytes]) -> float:
    """How many times more the second doubling of the input costs than the first one: 2 if the work
    grows as the input does, 4 if it grows as its square."""
    once, twice, four_times = (calls(target, grown(times)) for times in (1, 2, 4))
    return (four_times - twice) / max(1, twice - once)
