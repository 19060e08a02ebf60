"""Real servers x scenarios x worlds: ``python3 dev.py interop`` says what it takes.

Prints a table, and with ``--write`` keeps it in docs/interop.md. The exit code is 1 if anything
that a version should do fails in any world.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from tests.support.worlds import WORLDS

from .interop_files import SCENARIOS
from .interop_scenarios import Scenario, Stage
from .server import ROOT, RealServer, ServerFailed

NAMES = ("sockets", "asyncio", "trio")
PAGE = ROOT / "docs" / "interop.md"
ABOUT = """\
# Interoperability

What this library's clients do with real Gradio servers, each installed as it was on the day of its
release. Made by `python3 dev.py interop --write` from the scenarios in
[tests/real/interop_scenarios.py](../tests/real/interop_scenarios.py) and, for files,
[tests/real/interop_files.py](../tests/real/interop_files.py). A run of some versions leaves the
cells of the others as they were.

Content goes in and comes out byte for byte. Where a server writes a picture anew (Image before 5.0,
Gallery, ImageEditor, AnnotatedImage, a chat), what comes out is compared with what a plain GET of
the same address gets, byte for byte, and with the picture that went in, by its size and colours.
"""
LEGEND = """\
`yes`: it passes in all worlds that were run ({worlds}). A number: that server cannot do
it, for the reason in the note. What a note marked "checked" says happens instead was run in the
same worlds; for the others there is nothing to run. An empty cell was not run yet.
"""

_printing = threading.Lock()


@attrs.frozen
class Result:
    world: str
    version: str
    scenario: Scenario
    seconds: float
    error: str | None  # why it failed, or None
    was_run: bool  # else that version has nothing to be run


def play(scenario: Scenario, world: str, version: str, stage: Stage) -> Result:
    """One scenario; where the version cannot, what happens instead."""
    lack = scenario.lack(stage.version)
    action = scenario.play if lack is None else lack.instead
    begun, error = time.monotonic(), None
    if action is not None:

        async def played() -> None:
            await action(stage)

        try:
            stage.world.run(played)
        except BaseException as caught:
            error = "".join(traceback.format_exception(caught))
    took = time.monotonic() - begun
    return Result(world, version, scenario, took, error, action is not None)


def run_version(version: str, worlds: Sequence[str], words: Sequence[str]) -> list[Result]:
    """All scenarios on one version, its two apps started beside each other."""
    begun = time.monotonic()
    main, special = RealServer(version), RealServer(version, app="special")
    results: list[Result] = []
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(RealServer.start, (main, special)))
        started = time.monotonic()
        for name, scenario in itertools.product(worlds, SCENARIOS):
            if words and not any(word in scenario.title for word in words):
                continue
            stage = Stage(
                world=WORLDS[name],
                version=tuple(map(int, version.split("."))),
                main=main.url,
                special=special.url,
            )
            results.append(play(scenario, name, version, stage))
        failed = [result for result in results if result.error]
        with _printing:
            for result in failed:
                print(f"== {version} {result.world}: {result.scenario.title}\n{result.error}")
            took = time.monotonic() - started
            print(
                f"{version}: {sum(result.was_run for result in results)} played,"
                f" {len(failed)} failed, {took:.0f} s"
                f" (and {started - begun:.0f} s to start)",
                flush=True,
            )
            if failed:
                printed = main.output()[-2000:] + special.output()[-2000:]
                print(f"== {version} printed\n{printed}", flush=True)
    finally:
        main.stop()
        special.stop()
    return results


# The table


def kept(page: str) -> dict[tuple[str, str], str]:
    """The cells of an earlier table, by title and version: ``yes``, or the text of the note."""
    lines = page.splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    notes = {
        number: text
        for number, _, text in (line.partition(". ") for line in lines)
        if number.isdecimal()
    }
    found: dict[tuple[str, str], str] = {}
    for title, *cells in rows[2:]:
        for version, written in zip(rows[0][1:], cells, strict=True):
            if said := written.strip():
                found[title.strip(), version.strip()] = notes.get(said, said)
    return found


def table(results: Iterable[Result], before: Mapping[tuple[str, str], str]) -> list[str]:
    """In Markdown: a row a version, a column a scenario would be too wide; so the other way.

    What was not run keeps the cell that it had *before*.
    """
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.scenario.title, result.version), []).append(result)
    versions = sorted({version for _, version in (*found, *before)}, key=numbers)
    notes: list[str] = []
    lines = [
        "| | " + " | ".join(versions) + " |",
        "|---|" + "---|" * len(versions),
    ]
    for scenario in SCENARIOS:
        cells = [
            cell(
                scenario,
                version,
                found.get((scenario.title, version), []),
                before.get((scenario.title, version), ""),
                notes,
            )
            for version in versions
        ]
        if any(cells):
            lines.append(f"| {scenario.title} | " + " | ".join(cells) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return lines


def cell(
    scenario: Scenario, version: str, results: Sequence[Result], before: str, notes: list[str]
) -> str:
    failed = [result.world for result in results if result.error]
    if failed:
        return "**no** (" + ", ".join(failed) + ")"
    lack = scenario.lack(numbers(version))
    if not results:
        note = before
    elif lack is None:
        note = "yes"
    else:
        note = lack.why if lack.instead is None else f"{lack.why} (checked)"
    if not note or note == "yes" or note.startswith("**no**"):
        return note
    if note not in notes:
        notes.append(note)
    return str(notes.index(note) + 1)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py interop")
    parser.add_argument("versions", nargs="+", help="installed servers")
    parser.add_argument("--world", action="append", choices=NAMES, help="all, if none is named")
    parser.add_argument("--one", action="store_true", help="one world a version, in turn")
    parser.add_argument("--only", action="append", default=[], help="titles with this word")
    parser.add_argument("--write", action="store_true", help=f"keep it in {PAGE.name}")
    parser.add_argument("--jobs", type=int, default=2, help="versions at once")
    asked = parser.parse_args(argv)
    worlds = asked.world or list(NAMES)

    def run(place: int, version: str) -> list[Result]:
        chosen = [worlds[place % len(worlds)]] if asked.one else worlds
        try:
            return run_version(version, chosen, asked.only)
        except ServerFailed as error:
            with _printing:
                print(f"{version}: {error}", flush=True)
            return []

    with ThreadPoolExecutor(asked.jobs) as pool:
        of_versions = list(pool.map(run, itertools.count(), asked.versions))
    results = [result for of_version in of_versions for result in of_version]
    before = kept(PAGE.read_text("utf-8")) if asked.write and PAGE.exists() else {}
    lines = table(results, before)
    print("\n".join(lines))
    if asked.write:
        PAGE.parent.mkdir(exist_ok=True)
        legend = LEGEND.format(worlds=", ".join(worlds))
        PAGE.write_text("\n".join([ABOUT, *lines, "", legend]), "utf-8")
    return 1 if any(result.error for result in results) or not all(of_versions) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
