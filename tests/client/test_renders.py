"""What was rendered in a session, as a mapping of its components."""

from __future__ import annotations

from sansio_gradio.client.renders import Renders
from sansio_gradio.protocol.components import Component


def test_the_components_of_all_places_are_there_once_each() -> None:
    renders = Renders()
    parts = [Component(id=id, type="box", props={}, skip_api=False) for id in (1, 2, 1)]
    for place, part in enumerate(parts):
        renders.put(place, ({part.id: part}, {}))
    assert (list(renders), len(renders)) == ([1, 2], 2)
    assert renders[1] is parts[2]
    renders.put(2, ({}, {}))
    assert renders[1] is parts[0]
