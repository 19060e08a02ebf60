"""The bounds of the server role are positive numbers."""

from __future__ import annotations

import attrs
import pytest

from sansio_gradio.server.limits import ServerLimits


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(ServerLimits)])
def test_no_limit_is_zero(name: str) -> None:
    assert getattr(ServerLimits(), name) > 0
    assert getattr(ServerLimits(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=name):
        ServerLimits(**{name: 0})
