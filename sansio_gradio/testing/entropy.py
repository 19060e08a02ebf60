"""Bytes for engines that are the same in every run."""

from __future__ import annotations

from collections.abc import Callable


def counted_entropy() -> Callable[[int], bytes]:
    """Bytes as unlike as random ones, and the same in every run."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(size)

    return entropy
