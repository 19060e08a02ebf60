"""The gateway of the examples before a real server, driven by this client and by the official."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reverse.table import NotInstalled, Seen, drive
from tests.support.gateways import gateway_to
from tests.support.worlds import WORLDS

from .interop import numbers
from .interop_scenarios import SCENARIOS, Scenario, Stage
from .server import RealServer

pytestmark = pytest.mark.real

PLAYED = {
    *("results", "past the queue", "State", "generators", "changes (chat, lists that shrink)"),
    *("statuses", "progress", "logs", "messages", "errors of the app", "errors midway"),
    *("100 jobs at once", "cancel", "`/call`"),
}
OFFICIAL = "gradio_client==2.7.2"
SEEN = {
    "echo": ["x", "", 'naïve 日本 \n\t"'],
    "a_megabyte": True,
    "several_results": [3, 2],
    "growing_texts": ["step 49", [f"step {step}" for step in range(50)]],
    "progress": [["('inner', 5, 'rounds')", "('outer', 4, 'steps')"], "done"],
    "logs": [[["info: x", "info"], ["warning: x", "warning"]], "x"],
    "an_error_of_the_app": "AppError: refused: x",
    "un_queued": "x",
    "state": ["a", "a, b", "c"],
    "cancel": [True, 0],
    "twenty_jobs": [str(number) for number in range(20)],
    "files": ["HELLO", "upper.txt"],
}


TXT, PNG, WAV = [".txt", "hell"], [".png", "\x89PNG"], [".wav", "RIFF"]
WITH_FILES = {
    "file": TXT,
    "files": [TXT, PNG],
    "image": PNG,
    "audio": WAV,
    "video": [".mp4", "\0\0\0 "],
    "model3d": TXT,
    "annotate": {"image": PNG, "annotations": [{"image": PNG, "label": "corner"}]},
    "album": [{"image": PNG, "caption": None}, {"image": PNG, "caption": "again"}],
    "chat": [["look", {"type": "file", "file": PNG, "alt_text": None}]],
}


@pytest.fixture(scope="module")
def url(server: RealServer) -> Iterator[str]:
    if numbers(server.version) < (3, 36):
        pytest.skip("it lacks some of what passes through")
    with gateway_to(server.url) as url:
        yield url


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.title in PLAYED], ids=lambda one: one.title
)
def test_this_client(url: str, scenario: Scenario) -> None:
    stage = Stage(world=WORLDS["asyncio"], version=(6, 31, 0), main=url, special=url)

    async def played() -> None:
        await scenario.play(stage)

    stage.world.run(played)


def test_the_official_client(url: str) -> None:
    try:
        seen = drive(OFFICIAL, url, [*SEEN, "an_error_midway"])
    except NotInstalled as error:
        pytest.skip(str(error))
    midway = seen.pop("an_error_midway").saw
    assert midway[0].startswith("AppError: ")
    assert midway[1] == ["first", "second"]
    assert {name: one.saw for name, one in seen.items()} == SEEN


def test_files_of_every_component_with_the_official_client(server: RealServer) -> None:
    if server.version != "3.50.2":
        pytest.skip("other releases have other components")
    with (
        RealServer(server.version, "special", NO_LOGIN="1") as behind,
        gateway_to(behind.url) as url,
    ):
        try:
            (seen,) = drive(OFFICIAL, url, ["components"]).values()
        except NotInstalled as error:
            pytest.skip(str(error))
    assert seen == Seen(saw=WITH_FILES)
