"""Which release does what."""

from __future__ import annotations

import pytest

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import PROTOCOLS, detect
from sansio_gradio.server.versions import (
    NEWEST_VERSION,
    Manner,
    covers,
    filled,
    protocol_of,
    template,
    typical,
)
from tests.support.transcripts import load, versions


def test_releases_have_the_first_and_lack_the_one_it_went_with() -> None:
    releases = ">=3.2<4.0"
    assert not covers(releases, (3, 1, 7))
    assert covers(releases, (3, 2))
    assert covers(releases, (3, 50, 2))
    assert not covers(releases, (4, 0))


def test_open_releases() -> None:
    assert covers(">=5.0", (6, 31, 0))
    assert not covers(">=5.0", (4, 44, 1))
    assert covers("<5.0", (3, 1))
    assert not covers("<5.0", (5, 0, 0))
    assert covers("", (1,))


KEYS = 'msg theme<3.17:"dark" app_id>=3.17 is_space>=3.1.5<3.17:false pages>=4:[["",true]]'


def test_a_template_has_the_keys_of_its_release_in_order() -> None:
    assert list(template(KEYS, (3, 16, 2)).items()) == [
        ("msg", None),
        ("theme", "dark"),
        ("is_space", False),
    ]
    assert template(KEYS, (3, 1, 4)) == {"msg": None, "theme": "dark"}
    assert template(KEYS, (6, 31, 0)) == {"msg": None, "app_id": None, "pages": [["", True]]}


def test_a_template_is_filled_in_its_own_order_with_what_it_has_a_key_for() -> None:
    made = filled({"a": 1, "b": None, "c": 3}, {"z": 0, "c": None, "b": 2})
    assert list(made.items()) == [("a", 1), ("b", 2), ("c", None)]


@pytest.mark.parametrize("wrong", ["msg >=3", "msg>=3..x", "msg<3>=2"])
def test_a_template_that_cannot_be_read_is_a_mistake(wrong: str) -> None:
    with pytest.raises(AssertionError):
        template(wrong, (3, 0))


@pytest.mark.parametrize("version", versions())
def test_each_recorded_server_spoke_what_we_would(version: str) -> None:
    numbers = version_numbers(version)
    announced = load(version, "config").config.get("protocol")
    assert protocol_of(numbers) == detect(announced, numbers)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_each_protocol_has_a_release_that_speaks_it(protocol: str) -> None:
    assert protocol_of(version_numbers(typical(protocol))) == protocol


@pytest.mark.parametrize("version", [(), (2, 9, 4)])
def test_before_30_there_was_no_queue(version: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not a version"):
        protocol_of(version)


def test_a_protocol_that_nobody_speaks_is_posed_as_by_the_newest() -> None:
    assert typical("made_up") == NEWEST_VERSION


@pytest.mark.parametrize("manner", Manner)
def test_no_manner_is_always_or_never(manner: Manner) -> None:
    releases = [version_numbers(version) for version in (*versions(), "6.14.0")]
    assert {covers(manner.value, release) for release in releases} == {True, False}
