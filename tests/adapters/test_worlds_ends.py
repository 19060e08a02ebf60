"""How calls and clients end, or never come about, in every world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.testing.adapter_contract import Place, refused
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from tests.adapters.test_sockets import answering
from tests.support.places import SERVERS, in_every_world, serve


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


# Giving up


# Connecting


@in_every_world
async def test_what_is_no_app_is_refused(place: Place) -> None:
    for answer, kind in (
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>", RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{", ConnectionLost),
    ):
        with answering(answer) as where:
            assert isinstance(await refused(place.world, f"http://{where}"), kind)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as where:
        error = await refused(place.world, f"https://{where}")
        assert "does not speak TLS" in error.message
    with answering(b"") as where:
        error = await refused(place.world, f"http://{where}", timeouts=Timeouts(request=0.1))
        assert isinstance(error, DeadlineExceeded)


@in_every_world
async def test_what_is_no_address_is_refused_at_once(place: Place) -> None:
    for src in ("", "nonsense", "ftp://x/"):
        with pytest.raises(LocalProtocolError):
            async with place.world.client(src):
                raise AssertionError


# The end


@in_every_world
async def test_a_closed_client_says_so(place: Place) -> None:
    async with place.client() as client:
        over = client.submit("x", api_name="/echo")
        await over
    for ask in (client.submit, client.stream_messages):
        with pytest.raises(LocalProtocolError, match="closed"):
            ask("x", api_name="/echo")
    for wait in (
        lambda: client.predict("x", api_name="/echo"),
        client.get_endpoints,
        client.view_api,
        client.reset_session,
    ):
        with pytest.raises(LocalProtocolError, match="closed"):
            await wait()
    assert client.config
    assert await over == "x"


@in_every_world
async def test_a_fault_of_the_machine_itself_ends_every_job(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_now: float | None) -> None:
        raise ZeroDivisionError("in the machine")

    async with place.client() as client:
        held = client.submit("x", api_name="/held")
        await place.until(held.running)
        monkeypatch.setattr(client._core.engine, "next_action", broken)
        with pytest.raises(ZeroDivisionError):
            await client.predict("x", api_name="/echo")
        assert isinstance(await held.exception(PATIENCE), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            await client.submit("x", api_name="/echo").result(PATIENCE)
