"""The round trips of a ``predict`` on a warm connection, and what docs/performance.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sansio_gradio import Engine, events
from sansio_gradio.server.app import App
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import AppPeer

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
PROTOCOLS = {
    "ws": "3.50.2",
    "sse": "4.4.1",
    "sse_v1": "4.16.0",
    "sse_v2": "4.22.0",
    "sse_v2.1": "4.29.0",
    "sse_v3": "6.31.0",
}


def said_on_the_page() -> dict[str, tuple[int, int]]:
    rows = re.findall(r"^\| `([\w.]+)` \| (\d) \| (\d) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: (int(trips), int(opened)) for name, trips, opened in rows}


def echo(text: str) -> str:
    return text


def measured(version: str, *, queue: bool = True) -> tuple[int, int]:
    """Round trips of a warm predict, of which so many are for opening a connection."""
    app = App(version=version)
    app.add_function(echo, queue=queue)
    driver = Driver(Engine(entropy=counted_entropy()), AppPeer(app))
    session = driver.engine.session("http://127.0.0.1:7860")
    trips = opened = 0
    for _ in range(3):
        session.submit("x", api_name="/echo")
        trips, opened = 0, len(driver.opened)
        while not any(isinstance(event, events.JobCompleted) for event in driver.events):
            trips += flight(driver)
            assert trips < 20
        opened = len(driver.opened) - opened
        driver.events.clear()
        driver.sleep(1)
    return trips + opened, opened


def flight(driver: Driver) -> int:
    """All that the client has to say goes to the server, and all that it says comes back."""
    driver.work()
    driver.deliver_up()
    while True:
        before = sum(len(link.down) for link in driver.links.values())
        driver.collect()
        if sum(len(link.down) for link in driver.links.values()) == before:
            break
    for conn in list(driver.links):
        while conn in driver.links and driver.links[conn].down:
            driver.engine.receive_data(conn, driver.links[conn].down.popleft(), driver.now)
    driver.work()
    return 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_round_trips_are_those_on_the_page(protocol: str) -> None:
    print(protocol, measured(PROTOCOLS[protocol]))
    assert measured(PROTOCOLS[protocol]) == said_on_the_page()[protocol]


def test_past_the_queue_there_is_one() -> None:
    assert measured("6.31.0", queue=False) == (1, 0) == said_on_the_page()["unqueued"]
