"""An app that wants a login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_gradio.errors import AuthenticationError
from sansio_gradio_adapters.sockets import Client

from .server import RealServer

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url(version: str) -> Iterator[str]:
    with RealServer(version, AUTH="1") as server:
        yield server.url


def test_without_a_login(url: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        Client(url)
    error = caught.value
    assert (error.phase, error.url, error.status) == ("config", f"{url}/config", 401)
    assert isinstance(error, ConnectionError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("login", [("user", "wr0ng"), ("nobody", "wr0ng"), ("user", "")])
def test_with_a_wrong_one(url: str, login: tuple[str, str]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        Client(url, auth=login)
    error = caught.value
    assert (error.phase, error.url) == ("login", f"{url}/login")
    assert error.status is not None
    assert "wr0ng" not in str(error)


def test_with_the_right_one(url: str) -> None:
    with Client(url, auth=("user", "secret")) as client:
        assert client.predict("x", api_name="/echo") == "x"
        assert client.predict("y", api_name="/echo_unqueued") == "y"
        assert list(client.submit(3, api_name="/count")) == ["step 0", "step 1", "step 2"]
        assert "/greet" in client.view_api()
