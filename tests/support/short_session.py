"""A short session of three jobs, for tests that play it once for each byte of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansio_gradio.client.call import Want
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.events import Connected
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import component_of
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer

SRC = "http://app.example/"
YIELDS = ("a", "ab")  # of the first job
RESULTS = {1: "ab1", 2: "2", 3: "3"}  # by the number of the job

VERSIONS = {"sse_v3": "4.24.0", "ws": "3.50.2"}  # whose messages are short


def grow(text: str) -> Iterator[str]:
    for value in YIELDS:
        yield value + text


def once(text: str) -> str:
    return text


def peer(protocol: Any) -> AppPeer:
    app = App(protocol=protocol, version=VERSIONS[protocol], concurrency_limit=None)
    text = component_of(str)
    slots: dict[str, Any] = {
        "parameters": [Slot(name="text", component=text)],
        "returns": [Slot(name="text", component=text)],
    }
    app.add("grow", generator=True, call=grow, **slots)
    app.add("once", call=once, **slots)
    return AppPeer(app)


def info(protocol: str) -> AppInfo:
    """What a client finds out about the app."""
    driver = Driver(Engine(entropy=counted_entropy()), peer(protocol))
    driver.engine.session(SRC)
    driver.settle()
    (connected,) = driver.of(Connected)
    found: AppInfo = connected.app
    return found


def play(
    driver: Driver, app: AppInfo, *, on_and_on: bool = True, retry: Retry | None = None
) -> list[int]:
    """The session; the numbers of its jobs. *on_and_on*: with the last one."""
    session = driver.engine.session(SRC, app=app, retry=retry)
    jobs = [
        session.submit("1", api_name="/grow", want=Want.OUTPUTS),
        session.submit("2", api_name="/once", want=Want.OUTPUTS),
    ]
    driver.settle()
    if on_and_on:
        jobs.append(session.submit("3", api_name="/once", want=Want.OUTPUTS))
        driver.settle()
    return jobs
