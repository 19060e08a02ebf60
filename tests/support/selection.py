"""Which of many cases are tried by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def by_default(cases: Iterable[Any], is_chosen: Callable[[Any], bool]) -> list[Any]:
    """*cases* for ``parametrize``: those that are not chosen are exhaustive."""
    return [
        case if is_chosen(case) else pytest.param(*_values(case), marks=pytest.mark.exhaustive)
        for case in cases
    ]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
