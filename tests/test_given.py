"""What callers give besides arguments is brought into one form, or refused in words."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from sansio_gradio.errors import OptionError
from sansio_gradio.given import count, index, number, one_of, patience, shown, text
from sansio_gradio.limits import Limits


class Like:
    """A number of another library."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        return self.value

    def __float__(self) -> Any:
        return float(self.value)

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Broken:
    def __index__(self) -> int:
        raise ZeroDivisionError

    __float__ = __index__  # pyright: ignore


@pytest.mark.parametrize(
    ("given", "waits"),
    [(None, None), (5, 5.0), (-5, 0.0), (-(10**400), 0.0), (2.5, 2.5), (Decimal(3), 3.0),
     (math.inf, None), (10**400, None), (30 * 86400, 2592000.0), (Like(4), 4.0)],
)  # fmt: skip
def test_a_patience_is_a_number_of_seconds_or_without_end(given: Any, waits: Any) -> None:
    assert patience(given) == waits


def test_numbers_of_other_libraries_are_numbers() -> None:
    assert (index(Like(3), "n"), index(None, "n"), index(7, "n")) == (3, None, 7)
    assert (count(Like(3), "n"), number(Like(3), "n")) == (3, 3.0)


@pytest.mark.parametrize("wrong", [True, "5", 1.5, Broken(), Like("x"), object()])
def test_what_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(OptionError, match="n is a whole number, or None, not "):
        index(wrong, "n")
    with pytest.raises(OptionError, match="n is a whole number, from 1 on, not "):
        count(wrong, "n")


def test_texts_and_values_are_what_they_should_be() -> None:
    assert text("ä", "t") == "ä"
    with pytest.raises(OptionError, match="t is a text, not a bytes"):
        text(b"a", "t")
    with pytest.raises(OptionError, match="t has a lone surrogate"):
        text("\ud800", "t")
    assert one_of(Limits(), Limits, "limits") == Limits()
    with pytest.raises(OptionError, match="limits is a Limits, or None, not 5"):
        one_of(5, Limits, "limits")
    assert [shown(v) for v in (1, 10**5000, "a", None, Like(1))] == [
        "1", "an int", "'a'", "None", "a Like",
    ]  # fmt: skip
