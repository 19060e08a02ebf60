"""A parser of the user's own reads all JSON that a server sends, in every world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from sansio_gradio.errors import AppError
from tests.support.lively_app import Lively
from tests.support.places import SERVERS, Place, in_every_world, serve


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


class Parser:
    """orjson, and a memory of what it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str | bytes) -> Any:
        self.texts.append(text if isinstance(text, str) else text.decode())
        return orjson.loads(text)

    def take(self) -> str:
        found, self.texts[:] = "\n".join(self.texts), []
        return found


@in_every_world
async def test_all_that_comes_is_read_by_it(place: Place) -> None:
    parser = Parser()
    async with place.client(json_loads=parser) as client:
        assert '"dependencies"' in parser.take()
        assert await client.predict("queued", api_name="/echo") == "queued"
        assert '"queued"' in parser.take()
        assert await client.predict("past the queue", api_name="/plain") == "past the queue"
        assert '"past the queue"' in parser.take()
        job = client.submit("abc", api_name="/chat")
        await job
        assert job.outputs() == ["a", "ab", "abc"]
        assert "process_generating" in parser.take()
        with pytest.raises(AppError):
            await client.predict("no", api_name="/boom")
        assert '"error"' in parser.take()
        await client.predict(b=3, a=1, api_name="/add")
        assert '"named_endpoints"' in parser.take()


@in_every_world
async def test_an_infinity_that_it_makes_is_null(place: Place) -> None:
    def infinite(text: str | bytes) -> Any:
        return json.loads(text.replace("1234.5", "1e999") if isinstance(text, str) else text)

    async with place.client(json_loads=infinite) as client:
        assert await client.predict(1234.5, 0, api_name="/add") is None
