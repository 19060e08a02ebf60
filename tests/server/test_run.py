"""What a running function tells of itself."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.server.run import Logged, Progressed, Run, Said


@pytest.fixture
def said() -> list[Said]:
    return []


@pytest.fixture
def run(said: list[Said]) -> Run:
    return Run(session_hash="s", headers=(), event_data=None, say=said.append)


def unit(index: int | None, length: int | None, desc: str | None, **more: Any) -> dict[str, Any]:
    known = {"index": index, "length": length, "unit": "steps", "progress": None, "desc": desc}
    return {**known, **more}


def test_a_loop_tells_its_place_before_each_step(run: Run, said: list[Said]) -> None:
    assert list(run.track("ab", desc="letters")) == ["a", "b"]
    assert said == [Progressed((unit(0, 2, "letters"),)), Progressed((unit(1, 2, "letters"),))]


def test_loops_nest_outermost_first(run: Run, said: list[Said]) -> None:
    for _ in run.track(range(2), desc="outer"):
        list(run.track(iter("x"), unit="letters", desc="inner"))
    outer, inner = unit(1, 2, "outer"), unit(0, None, "inner", unit="letters")
    assert said[2:] == [Progressed((outer,)), Progressed((outer, inner))]


def test_what_was_told_does_not_change_afterwards(run: Run, said: list[Said]) -> None:
    list(run.track(range(3), length=5))
    assert [entry.units[0]["index"] for entry in said if isinstance(entry, Progressed)] == [0, 1, 2]
    assert said[0] == Progressed((unit(0, 5, None),))


def test_a_loop_that_is_left_early_is_over(run: Run, said: list[Said]) -> None:
    loop = run.track(range(9))
    next(loop)
    loop.close()  # type: ignore[attr-defined]  # it is a generator, and break closes it
    run.progress(0.5, desc="half")
    assert said[-1] == Progressed((unit(None, None, "half", progress=0.5),))


def test_progress_in_a_loop_stands_beneath_it(run: Run, said: list[Said]) -> None:
    for _ in run.track(range(1)):
        run.progress(index=2, length=4, unit="files")
    assert said[-1] == Progressed((unit(0, 1, None), unit(2, 4, None, unit="files")))


@pytest.mark.parametrize(
    ("level", "title"), [("info", "Info"), ("warning", "Warning"), ("success", "Success")]
)
def test_notices(run: Run, said: list[Said], level: str, title: str) -> None:
    getattr(run, level)("hello")
    getattr(run, level)("hello", title="T", duration=None, visible=False)
    assert said == [
        Logged(text="hello", level=level, title=title, duration=10, visible=True),
        Logged(text="hello", level=level, title="T", duration=None, visible=False),
    ]


def test_the_progress_of_another_app_is_passed_on(run: Run, said: list[Said]) -> None:
    run.report([unit(1, 2, "outer"), unit(0, 3, "inner")])
    run.report([])
    assert said == [Progressed((unit(1, 2, "outer"), unit(0, 3, "inner")))]
