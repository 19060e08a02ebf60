"""A sane server behind a network that is not: ends, resets, silence, drips and delays at any place.

Here the bytes pass real sockets; ``faults/test_cuts`` does the same at every single byte.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from sansio_gradio.errors import AppError, ConnectionLost, DeadlineExceeded, ServerStoppedError
from sansio_gradio.limits import Timeouts
from sansio_gradio.server.app import App
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters.server import serve_in_thread
from tests.faults.test_matrix import Told, program
from tests.support.fault_peer import Fault, FaultProxy, nothing_is_left
from tests.support.worlds import WORLDS

PLACES = range(0, 4400, 700)
"""Bytes of the server: its config, the join, the stream, and behind its end."""

PATIENT = Timeouts(request=20, join=20, send=20, stream_idle=20, job=20, close=0.3)
IMPATIENT = Timeouts(request=0.2, join=0.2, send=0.2, stream_idle=0.2, job=0.4, close=0.1)

VERSIONS = {"sse_v3": "4.24.0", "ws": "3.50.2"}


@pytest.fixture(scope="module", params=VERSIONS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    app = App(version=VERSIONS[request.param])

    @app.endpoint("/count")
    def count(text: str) -> Iterator[str]:
        for number in range(4):
            yield text * number
            time.sleep(0.001)

    with serve_in_thread(app) as url:
        yield url


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", Fault)
def test_a_network_that_fails_somewhere(world: World, url: str, fault: Fault) -> None:
    reached = Counter[str]()
    timeouts = IMPATIENT if fault is Fault.HOLD else PATIENT
    places = PLACES[::2] if fault is Fault.HOLD else PLACES  # which takes time
    for after in places:
        told = Told()
        with nothing_is_left(), FaultProxy(url, fault, after) as proxy:
            world.run(lambda: program(world, proxy.url, told, timeouts=timeouts))  # noqa: B023
            happened = proxy.happened
        reached[type(told.error).__name__] += 1
        if told.error is None:
            assert told.result == told.outputs[-1] == "xxx"
            assert fault in {Fault.DRIP, Fault.DELAY} or not happened or after == 0
        elif fault is Fault.HOLD:
            assert isinstance(told.error, DeadlineExceeded)
        else:
            assert fault in {Fault.END, Fault.RESET}
            assert isinstance(told.error, ConnectionLost | ServerStoppedError)
        assert not isinstance(told.error, AppError) or not told.outputs
        assert told.outputs == ["", "x", "xx", "xxx"][: len(told.outputs)]
    assert reached["NoneType"] > 0
    assert (set(reached) == {"NoneType"}) is (fault in {Fault.DRIP, Fault.DELAY})
