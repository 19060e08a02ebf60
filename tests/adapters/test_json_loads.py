"""What reads the JSON that a server sends: orjson, where it is installed, or the user's parser."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.testing.adapter_contract import Place
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.wire.json import Exact
from sansio_gradio_adapters._fast_json import installed_parser
from tests.support.places import SERVERS, in_every_world, serve

orjson_loads = orjson.loads


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


class Parser:
    """orjson. It remembers the texts that it has read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str | bytes) -> Any:
        self.texts.append(text if isinstance(text, str) else text.decode())
        return orjson_loads(text)

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


@pytest.fixture
def anew() -> Iterator[None]:
    """The installed parser is looked for anew."""
    installed_parser.cache_clear()
    yield
    installed_parser.cache_clear()


@in_every_world
@pytest.mark.usefixtures("anew")
async def test_orjson_reads_it_where_it_is_installed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = Parser()
    monkeypatch.setattr(orjson, "loads", parser)
    installed_parser.cache_clear()
    async with place.client() as client:
        assert await client.predict("queued", api_name="/echo") == "queued"
        assert '"queued"' in parser.take()
        assert await client.predict(2**70, 1, api_name="/add") == 2**70 + 1
        assert str(2**70 + 1) not in parser.take()
        job = client.submit("abc", api_name="/chat")
        await job
        assert job.outputs() == ["a", "ab", "abc"]
        assert "process_generating" in parser.take()


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("version", ["3.9.15", "3", "new", None])
def test_an_orjson_of_an_unknown_or_early_version_is_left_alone(
    version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(installed_parser(), Exact)
    installed_parser.cache_clear()
    if version is None:
        monkeypatch.delattr(orjson, "__version__")
    else:
        monkeypatch.setattr(orjson, "__version__", version)
    assert installed_parser() is None


@pytest.mark.usefixtures("anew")
def test_without_orjson_json_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert installed_parser() is None


@in_every_world
async def test_an_infinity_that_it_makes_is_null(place: Place) -> None:
    def infinite(text: str | bytes) -> Any:
        return json.loads(text.replace("1234.5", "1e999") if isinstance(text, str) else text)

    async with place.client(json_loads=infinite) as client:
        assert await client.predict(1234.5, 0, api_name="/add") is None
