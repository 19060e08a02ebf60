"""Bounds and deadlines are named, and only what makes sense is taken."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from sansio_gradio.limits import Limits, Timeouts

LIMITS = [field.name for field in attrs.fields(Limits)]
TIMEOUTS = [field.name for field in attrs.fields(Timeouts)]


def test_the_phases_are_those_of_the_contract() -> None:
    phases = "connect, tls, request, join, send, stream_idle, download, space, job, close"
    assert ", ".join(TIMEOUTS) == phases


def test_nothing_but_a_whole_job_waits_for_ever() -> None:
    waits = {name for name in TIMEOUTS if getattr(Timeouts(), name) is None}
    assert waits == {"job"}


def test_a_stream_outlives_some_heartbeats_that_were_lost() -> None:
    # Servers since 4.9 send one every 15 s.
    idle = Timeouts().stream_idle
    assert idle is not None
    assert idle >= 3 * 15


def test_a_message_may_have_64_mebibytes() -> None:
    assert Limits().message == 64 * 1024 * 1024


def test_eight_connections_a_host_serve_requests() -> None:
    assert Limits().connections == 8


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_a_number_that_lets_something_through(name: str) -> None:
    assert getattr(Limits(**{name: 1}), name) == 1
    for wrong in (-1,) if name == "redirects" else (0, -1):
        with pytest.raises(ValueError, match=name):
            Limits(**{name: wrong})


def test_no_redirect_at_all_may_be_followed() -> None:
    assert Limits(redirects=0).redirects == 0


@pytest.mark.parametrize("name", TIMEOUTS)
def test_a_deadline_is_more_than_nothing_or_never(name: str) -> None:
    for fine in (0.001, 5, 1e9, math.inf, None):
        assert getattr(Timeouts(**{name: fine}), name) == fine
    for wrong in (0, 0.0, -1, -math.inf, math.nan):
        with pytest.raises(ValueError, match=f"{name} is in seconds"):
            Timeouts(**{name: wrong})


@pytest.mark.parametrize(("kind", "name"), [(Limits, LIMITS[0]), (Timeouts, TIMEOUTS[0])])
def test_they_are_values(kind: Any, name: str) -> None:
    assert kind(**{name: 5}) == kind(**{name: 5}) != kind()
    assert hash(kind()) == hash(kind())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(kind(), name, 5)
    with pytest.raises(TypeError):
        kind(5)  # by name only
