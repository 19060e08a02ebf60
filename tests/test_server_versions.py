"""Which release does what."""

from __future__ import annotations

import pytest
from transcripts import load, versions

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import PROTOCOLS, detect
from sansio_gradio.server.versions import (
    ALWAYS,
    NEWEST_VERSION,
    TYPICAL,
    Manner,
    Span,
    announced,
    does,
    keys_of,
    since,
    table,
    until,
)


def test_a_span_has_its_first_release_and_lacks_the_one_it_went_with() -> None:
    span = Span((3, 2), (4, 0))
    assert not span.covers((3, 1, 7))
    assert span.covers((3, 2))
    assert span.covers((3, 50, 2))
    assert not span.covers((4, 0))


def test_open_spans() -> None:
    assert since(5, 0).covers((6, 31, 0))
    assert not since(5, 0).covers((4, 44, 1))
    assert until(5, 0).covers((3, 1))
    assert not until(5, 0).covers((5, 0, 0))
    assert ALWAYS.covers((1,))


def test_a_table_lists_keys_with_their_releases() -> None:
    rows = table("msg theme<3.17 app_id>=3.17 is_space>=3.1.5<3.17")
    assert keys_of(rows, (3, 1, 4)) == ("msg", "theme")
    assert keys_of(rows, (3, 16, 2)) == ("msg", "theme", "is_space")
    assert keys_of(rows, (6, 31, 0)) == ("msg", "app_id")


def test_a_table_that_cannot_be_read_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        table("msg >=3")


@pytest.mark.parametrize("version", versions())
def test_each_recorded_server_announced_what_we_would(version: str) -> None:
    config = load(version, "config").config
    assert announced(version_numbers(version)) == config.get("protocol")


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_each_protocol_has_a_release_that_speaks_it(protocol: str) -> None:
    version = version_numbers(TYPICAL.get(protocol, NEWEST_VERSION))
    assert detect(announced(version), version) == protocol


@pytest.mark.parametrize("manner", Manner)
def test_no_manner_is_always_or_never(manner: Manner) -> None:
    releases = [version_numbers(version) for version in (*versions(), "6.14.0")]
    assert {does(release, manner) for release in releases} == {True, False}
