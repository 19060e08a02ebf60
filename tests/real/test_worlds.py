"""The scenarios of the blocking client, with those of asyncio, uvloop and trio."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from tests.support.worlds import CANCELLING

from . import test_main_job
from .server import RealServer
from .visitor import Visitor, visit

pytestmark = pytest.mark.real


@pytest.fixture(params=CANCELLING)
def client(request: pytest.FixtureRequest, server: RealServer) -> Iterator[Visitor]:
    with visit(CANCELLING[request.param], server.url, strict=True) as visitor:
        yield visitor


for name, scenario in vars(test_main_job).items():
    if name.startswith("test_") and "client" in inspect.signature(scenario).parameters:
        globals()[name] = scenario
