"""What is left in memory, counted."""

from __future__ import annotations

import gc
import sys
from collections import Counter

from sansio_gradio.client.job import Job
from sansio_gradio_adapters._jobs import JobRecord


class Memory:
    """What there is in this process: how many objects of each class, and how many blocks."""

    def __init__(self) -> None:
        gc.collect()
        self._objects = Counter(type(thing) for thing in gc.get_objects())
        self._blocks = sys.getallocatedblocks()

    def growth(self) -> tuple[int, int]:
        """How many more there are by now: of the class that has grown most, and blocks."""
        now = Memory()
        most = max((now._objects - self._objects).values(), default=0)
        return most, now._blocks - self._blocks


def known_jobs() -> int:
    """How many jobs are still known to somebody: twice those that are not over.

    Those that others have left to the garbage collector are not counted, if it has run.
    """
    # By their types: some of what others have left answers no question.
    return sum(issubclass(type(thing), JobRecord | Job) for thing in gc.get_objects())
