"""Which cases a client is tried on, and how a case that fails is made smaller."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import traits_of
from sansio_gradio.server.versions import protocol_of
from sansio_gradio.testing.cases import TOGETHER, VARIATIONS
from sansio_gradio.testing.changes import CHANGES, Change
from sansio_gradio.testing.conducting import Plan
from sansio_gradio.testing.relay import PLAIN, Variation
from sansio_gradio.testing.scenarios import SCENARIOS, StagedScenario, Yield

__all__ = ["VERSIONS", "plans", "simpler"]

VERSIONS: Final = ("6.31.0", "4.44.1", "4.19.2", "4.16.0", "4.0.2", "3.50.2", "3.1.4")
"""The releases that are tried unless others are named: each protocol, and edits of two kinds."""
WHOLE: Final = ("6.31.0", "3.50.2")
"""Of these, those that are tried with everything; the others with some of it."""
_SCENARIOS: Final = frozenset(
    {
        *("text", "growing", "shrinking_list", "shrinking_inside", "yields_state", "state"),
        *("quoted", "half", "unqueued_generator", "cancel", "jobs", "generators"),
        *("file", "file_named", "made_file", "made_file_named"),
    }
)
_SOME: Final = frozenset(
    {
        *("cookies", "late_estimation", "first_is_edits", "misfit", "no_base"),
        *("generating_true", "generating_null", "queue_full", "queue_full_streamed", "join_502"),
        *("given_up", "ended_cleanly", "dropped", "closed_yield", "closed_inside", "closed_last"),
        *("upload_413", "empty_stream", "unknown_messages", "foreign_jobs", "CRLF", "small_pieces"),
    }
)
MIXED: Final = 6
"""How many cases have several legal changes at once, for each release that is tried in whole."""
_LEGAL: Final = ("config", "messages", "frames", "bytes")


def plans(
    versions: Sequence[str] = (), *, names: Collection[str] = (), seed: int = 0
) -> list[Plan]:
    """The cases, those without a change first. *versions*: these releases, in whole. *names*: only
    the cases, or changes, with these names."""
    found: list[Plan] = []
    for version in versions or VERSIONS:
        is_whole = bool(versions) or version in WHOLE
        scenarios = [
            scenario
            for scenario in SCENARIOS
            if scenario.is_in(version) and (is_whole or scenario.name in _SCENARIOS)
        ]
        found += [Plan(version, scenario) for scenario in scenarios]
        possible: list[Plan] = []
        for change in CHANGES:
            fitting = [one for one in scenarios if change.fits(version, one.name)]
            few = fitting if versions else fitting[-1:]
            possible += [Plan(version, scenario, (change,)) for scenario in few]
        possible += _varied(version, scenarios)
        found += [plan for plan in possible if is_whole or not _SOME.isdisjoint(plan.differences)]
        if is_whole:
            found += _mixed(version, scenarios, random.Random(f"{seed} {version}"))
    return [plan for plan in found if not names or is_named(plan, names)]


def is_named(plan: Plan, names: Collection[str]) -> bool:
    """Whether the plan or one of its differences has one of these names, which may be patterns."""
    own = [plan.name, *plan.differences]
    return any(fnmatchcase(one, name) for one in own for name in names)


def _fitting(version: str, variations: Iterable[Variation]) -> list[Variation]:
    channel = traits_of(protocol_of(version_numbers(version))).channel
    return [one for one in variations if channel in one.channels and one is not PLAIN]


def _varied(version: str, scenarios: Sequence[StagedScenario]) -> Iterator[Plan]:
    for scenario in scenarios:
        if scenario.name == "growing":
            for variation in _fitting(version, VARIATIONS):
                yield Plan(version, scenario, variation=variation)
        elif scenario.name == "text":  # whose letters have several bytes
            for variation in _fitting(version, VARIATIONS):
                if variation.chunk or variation.piece or variation.fragments:
                    yield Plan(version, scenario, variation=variation)
        elif scenario.twin is not None:
            for variation in _fitting(version, [TOGETHER]):
                yield Plan(version, scenario, variation=variation)


def _mixed(
    version: str, scenarios: Sequence[StagedScenario], dice: random.Random
) -> Iterator[Plan]:
    typical = [scenario for scenario in scenarios if scenario.name in ("text", "growing")]
    for _ in range(MIXED):
        scenario = dice.choice(typical)
        changes: list[Change] = []
        for layer in ("config", "messages"):
            fitting = [
                change
                for change in CHANGES
                if change.layer == layer
                and change.ends == "as before"
                and change.fits(version, scenario.name)
            ]
            if fitting and dice.random() < 0.8:
                changes.append(dice.choice(fitting))
        variation = dice.choice(_fitting(version, VARIATIONS))
        yield Plan(version, scenario, tuple(changes), variation)


def simpler(plan: Plan) -> Iterator[Plan]:
    """Plans that are a little smaller, the smallest first: a change less, or some yields."""
    if len(plan.differences) > 1:
        if not plan.is_plain:
            yield attrs.evolve(plan, changes=())
        for change in plan.changes:
            yield attrs.evolve(plan, changes=(change,), variation=PLAIN)
        for change in plan.changes:
            rest = tuple(other for other in plan.changes if other is not change)
            yield attrs.evolve(plan, changes=rest)
    # With fewer yields a fault may never happen.
    is_fault = any(change.ends != "as before" for change in plan.changes)
    if not is_fault:
        for scenario in _shorter(plan.scenario):
            yield attrs.evolve(plan, scenario=scenario)


def _shorter(scenario: StagedScenario) -> Iterator[StagedScenario]:
    """The same with fewer yields."""
    yields = [step for step in scenario.steps if isinstance(step, Yield)]
    count = len(yields)
    if count < 2 or count != len(scenario.outputs) or scenario.twin is not None:
        return
    half = count // 2
    for kept in (range(half), range(half, count), range(count - 1), range(1, count)):
        dropped = [step for place, step in enumerate(yields) if place not in kept]
        outputs = [scenario.outputs[place] for place in kept]
        yield attrs.evolve(
            scenario,
            steps=[step for step in scenario.steps if not any(step is one for one in dropped)],
            outputs=outputs,
            result=outputs[-1] if scenario.result is not None else None,
        )
