"""Which server can do what: each boundary from both sides."""

from __future__ import annotations

import pytest

from sansio_gradio.protocol.features import Feature, Version, has, version_numbers

# The last version without, and the first with; the recordings and docs/protocol.md have them, too.
SINCE = {
    Feature.HELLO: ("3.1.4", "3.1.5"),
    Feature.STEPS: ("3.2", "3.3"),
    Feature.SEND_HASH: ("3.5", "3.6"),
    Feature.APP_ID: ("3.16.2", "3.17"),
    Feature.RESET_BY_EVENT: ("3.50.2", "4.0.0"),
    Feature.QUEUES_ALL: ("3.50.2", "4.0.0"),
    Feature.CALL: ("4.19.2", "4.20.0"),
    Feature.HEARTBEAT: ("4.24.0", "4.25.0"),
    Feature.CANCEL: ("4.30.0", "4.31.0"),
    Feature.LOST_IN_LINE: ("3.1.4", "3.1.5"),
    Feature.REUSED_RUNS: ("4.16.0", "4.17.0"),
    Feature.UNQUEUES: ("6.13.0", "6.14.0"),
    Feature.CALL_BY_NAME: ("6.12.0", "6.13.0"),
    Feature.CALL_ERRORS: ("6.12.0", "6.13.0"),
    Feature.OAUTH_TOKEN: ("6.20.0", "6.21.0"),
}
# The last version with, and the first without again.
UNTIL = {
    Feature.HELLO: ("3.1.7", "3.2"),
    Feature.STEPS: ("3.50.2", "4.0.0"),
    Feature.RESET_BY_EVENT: ("4.30.0", "4.31.0"),
    Feature.LOST_IN_LINE: ("3.5", "3.6"),
    Feature.REUSED_RUNS: ("6.26.0", "6.27.0"),
}


def test_every_feature_has_its_boundaries() -> None:
    assert set(Feature) == set(SINCE)


@pytest.mark.parametrize("feature", Feature)
def test_a_feature_begins_with_its_first_version(feature: Feature) -> None:
    before, first = map(version_numbers, SINCE[feature])
    assert not has(before, feature)
    assert has(first, feature)


@pytest.mark.parametrize("feature", [feature for feature in Feature if feature not in UNTIL])
@pytest.mark.parametrize("version", [(6, 31, 0), (100, 0), ()])
def test_a_feature_stays_and_an_unknown_version_is_the_newest(
    feature: Feature, version: Version
) -> None:
    assert has(version, feature)


@pytest.mark.parametrize("feature", UNTIL)
def test_a_feature_that_went_is_gone(feature: Feature) -> None:
    last, gone = map(version_numbers, UNTIL[feature])
    assert has(last, feature)
    assert not has(gone, feature)
    assert not has((6, 31, 0), feature)
    assert not has((), feature)


def test_cancel_took_the_place_of_reset() -> None:
    for version in ("4.0.0", "4.30.0", "4.31.0", "4.35.0", "6.31.0"):
        numbers = version_numbers(version)
        assert has(numbers, Feature.RESET_BY_EVENT) is not has(numbers, Feature.CANCEL)
    assert not has((), Feature.RESET_BY_EVENT)


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
