"""The plans of the kit: our own engine passes them all, in memory; the judge sees what is wrong."""

from __future__ import annotations

import attrs
import pytest

from sansio_gradio.testing.changes import CHANGES
from sansio_gradio.testing.conducting import Plan
from sansio_gradio.testing.plans import VERSIONS, plans, simpler
from sansio_gradio.testing.scenarios import SCENARIOS
from tests.support.conducted import try_engine

ALL = plans()
OTHER = [plan for plan in ALL if plan.version != "6.31.0"]


def failures(of: list[Plan]) -> list[str]:
    found = ((plan, try_engine(plan)) for plan in of)
    return [f"{plan.version} {plan.name}: {finding}" for plan, finding in found if finding]


def test_our_engine_passes_the_newest_release() -> None:
    assert failures([plan for plan in ALL if plan.version == "6.31.0"]) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS[1:])
def test_our_engine_passes_every_release(version: str) -> None:
    assert failures([plan for plan in ALL if plan.version == version]) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_our_engine_passes_what_dice_choose(seed: int) -> None:
    assert failures([plan for plan in plans(seed=seed) if len(plan.differences) > 1]) == []


def test_each_scenario_and_each_change_is_tried() -> None:
    tried = plans(["6.31.0", "5.50.0", "4.44.1", "4.16.0", "4.0.2", "3.50.2"])
    assert {plan.scenario.name for plan in tried} == {scenario.name for scenario in SCENARIOS}
    assert {change.name for plan in tried for change in plan.changes} == {
        change.name for change in CHANGES
    }


def test_the_same_seed_gives_the_same_plans() -> None:
    assert [plan.name for plan in plans(seed=7)] == [plan.name for plan in plans(seed=7)]
    assert [plan.name for plan in plans(seed=7)] != [plan.name for plan in plans(seed=8)]


def test_plans_are_chosen_by_the_name_of_a_case_or_a_change() -> None:
    def named(*names: str) -> set[str]:
        return {plan.name for plan in plans(["4.44.1"], names=names)}

    assert named("growing/cookies") == {"growing/cookies"}
    assert {"text/cookies", "growing/cookies"} <= named("cookies")
    assert {"growing", "growing/CRLF", "growing/cookies"} <= named("growing*")
    assert named("growing") == {"growing"}
    assert named("no such name") == set()


def test_a_plan_becomes_smaller_by_a_change_or_by_yields() -> None:
    growing = [plan for plan in plans(seed=3) if plan.scenario.name == "growing"]
    mixed = next(plan for plan in growing if len(plan.changes) == 2 and not plan.is_plain)
    found = list(simpler(mixed))
    assert {len(plan.differences) for plan in found} == {1, 2, 3}
    shorter = [plan.scenario for plan in found if len(plan.differences) == 3]
    assert shorter
    for scenario in shorter:
        assert len(scenario.outputs) < len(mixed.scenario.outputs)
        assert scenario.result == scenario.outputs[-1]
    # What it comes to is a plan like any other.
    assert failures([attrs.evolve(mixed, scenario=one) for one in shorter]) == []
