"""Versions as servers write them."""

from __future__ import annotations

import pytest

from sansio_gradio.protocol.version import version_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.31.0", (6, 31, 0)),
        ("3.16.2\n", (3, 16, 2)),
        (" 3.9", (3, 9)),
        ("5.0.0b3", (5, 0, 0)),
        ("4.0.0.dev1", (4, 0, 0)),
        ("10", (10,)),
        (None, ()),
        ("", ()),
        ("newest", ()),
        ("v4.0", ()),
        ("9" * 5000, (999_999_999,)),  # cut short: no peer makes Python convert it
    ],
)
def test_a_version_is_compared_by_its_numbers(text: str | None, numbers: tuple[int, ...]) -> None:
    assert version_numbers(text) == numbers
