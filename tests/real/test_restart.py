"""A real server that is started anew on its port, with its functions in another order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sansio_gradio.errors import ConnectionLost, LocalProtocolError
from sansio_gradio.protocol.status import Status
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters.sockets import Client
from tests.support.worlds import WORLDS

from .server import RealServer, free_port

pytestmark = pytest.mark.real

LOGIN = ("user", "secret")


def test_a_call_by_name_reaches_its_function_after_a_restart(version: str, tmp_path: Path) -> None:
    if version == "3.16.2":
        pytest.skip("it cannot be started again on its port for a minute")
    ran, port = tmp_path / "ran.txt", free_port()

    def served(order: str, **options: str) -> RealServer:
        return RealServer(version, "turning", port=port, ORDER=order, RAN=str(ran), **options)

    with served("read,count,delete") as server:
        client = Client(server.url, auth=LOGIN)
        assert client.predict("a", api_name="/read") == "read a"
        assert client.predict("a", fn_index=0) == "read a"
    try:
        with served("read,count,delete"):
            assert client.predict("b", fn_index=0) == "read b"  # the same app
        with served("delete,added,count,read", AUTH="1"):
            assert client.predict("c", api_name="/read") == "read c"
            assert client.predict("c", api_name="/added") == "added c"
            assert list(client.submit("c", api_name="/count", isolated=True)) == ["c 1", "c 2"]
            with pytest.raises(LocalProtocolError, match="has changed"):
                client.predict("c", fn_index=0)
            assert client.predict(text="c", api_name="/added") == "added c"
            client.reload()
            assert client.predict("c", fn_index=1) == "added c"
        assert "delete" not in ran.read_text().split()
    finally:
        client.close()


@pytest.mark.parametrize("name", ["sockets", "asyncio"])
def test_killed_in_the_middle_of_a_generator(name: str, version: str, tmp_path: Path) -> None:
    if version == "3.16.2":
        pytest.skip("its port is not free for a minute")
    ran, port, world = tmp_path / "ran.txt", free_port(), WORLDS[name]

    def served(order: str) -> RealServer:
        return RealServer(version, "turning", port=port, ORDER=order, RAN=str(ran))

    async def play() -> None:
        with served("read,slow,delete") as server:
            async with world.client(server.url) as client:
                jobs = [client.submit("x", api_name="/slow")]
                assert await anext(aiter(jobs[0])) == "x 0"
                jobs.append(client.submit("x", api_name="/slow", isolated=True))
                await wait_for(world, lambda: jobs[1].status().code >= Status.IN_QUEUE)
                server.kill()
                for job in jobs:
                    error = await job.exception()
                    assert isinstance(error, ConnectionLost)
                    assert [output for (output,) in error.outputs] == job.outputs()
                assert jobs[0].outputs()[0] == "x 0"
                assert jobs[1].outputs() == []
                with pytest.raises(ConnectionError):
                    await client.predict("nobody", api_name="/read")
                with served("delete,count,read"):
                    early = [client.submit("y", api_name="/read") for _ in range(3)]
                    assert [await job for job in early] == ["read y"] * 3
                    counted = client.submit("y", api_name="/count")
                    assert [output async for output in counted] == ["y 1", "y 2"]
                    with pytest.raises(LocalProtocolError, match="/slow"):
                        await client.predict("y", api_name="/slow")
                    with pytest.raises(LocalProtocolError, match="has changed"):
                        await client.predict("y", fn_index=0)
        assert sorted(ran.read_text().split()) == ["count", "read", "read", "read", "slow"]

    world.run(play)


def test_another_release_on_the_same_port(version: str, tmp_path: Path) -> None:
    ran, port = tmp_path / "ran.txt", free_port()
    other = "3.50.2" if version == "6.31.0" else "6.31.0"
    if version == "3.16.2":
        pytest.skip("its port is not free for a minute")
    with RealServer(version, "turning", port=port, ORDER="read,delete", RAN=str(ran)) as server:
        client = Client(server.url)
        assert client.predict("a", api_name="/read") == "read a"
    try:
        with RealServer(other, "turning", port=port, ORDER="delete,count,read", RAN=str(ran)):
            assert client.predict("b", api_name="/read") == "read b"
            assert client.app.version_text == other
            assert list(client.submit("b", api_name="/count")) == ["b 1", "b 2"]
        assert "delete" not in ran.read_text().split()
    finally:
        client.close()
