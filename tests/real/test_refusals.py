"""What real servers refuse, and in which words that arrives."""

from __future__ import annotations

import pytest

from sansio_gradio.errors import AppError, AuthenticationError, LocalProtocolError
from sansio_gradio_adapters.sockets import Client

from .server import RealServer

pytestmark = pytest.mark.real


def at_least(version: str, first: tuple[int, ...]) -> bool:
    return tuple(int(part) for part in version.split(".")) >= first


def test_a_login_of_the_program_around_the_app(version: str) -> None:
    if not at_least(version, (4, 21)):
        pytest.skip("it has no auth_dependency")
    with RealServer(version, "guarded", path="/app", GUARD="dependency") as server:
        for auth in (None, ("user", "secret")):
            with pytest.raises(AuthenticationError) as caught:
                Client(f"{server.url}/app", auth=auth)
            assert (caught.value.phase, caught.value.status) == ("config", 401)
            assert "auth_dependency" in caught.value.message
            assert "pass auth=" not in caught.value.message
            assert ("auth= cannot make" in caught.value.message) is (auth is not None)


def test_the_app_s_own_words_on_its_login(version: str) -> None:
    if not at_least(version, (6, 0)):
        pytest.skip("/config does not say them")
    with RealServer(version, "guarded", path="/app", GUARD="message") as server:
        with pytest.raises(AuthenticationError, match="Members only"):
            Client(f"{server.url}/app")
        with Client(f"{server.url}/app", auth=("user", "secret")) as client:
            assert client.predict("x", api_name="/echo") == "x"


def test_validators_that_raise_private_endpoints_and_where_the_root_leads(version: str) -> None:
    with RealServer(version, "guarded", path="/app") as server:
        if at_least(version, (5, 45)):
            with Client(f" {server.url}/app\n") as client:
                for name, text in (
                    ("/refused", "refused: x"),
                    ("/refused_as_app", "it's refused: x"),
                ):
                    with pytest.raises(AppError) as caught:
                        client.predict("x", api_name=name)
                    assert type(caught.value) is AppError
                    assert (caught.value.message, caught.value.status) == (text, 400)
        with Client(server.url) as client:  # redirected to /app
            assert client.predict("x", api_name="/echo") == "x"
            if at_least(version, (4, 0)):
                hidden = next(
                    e.fn_index for e in client.app.endpoints.values() if e.visibility == "private"
                )
                with pytest.raises(LocalProtocolError, match="is private"):
                    client.predict("x", fn_index=hidden)
        with pytest.raises(AuthenticationError, match="no login here"):
            Client(server.url, auth=("user", "secret"))
