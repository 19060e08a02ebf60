"""``conform client`` and ``conform server`` on the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sansio_gradio_adapters.conform.report import Report, Row

__all__ = ["add_to", "run"]

_CAN: Final = ("cancel", "status", "jobs", "files")


def add_to(commands: Any) -> None:
    """Add ``conform`` to the commands of a parser."""
    conform: argparse.ArgumentParser = commands.add_parser(
        "conform", help="try a client or a server on what the protocol allows"
    )
    kinds = conform.add_subparsers(dest="kind", required=True)
    client = kinds.add_parser(
        "client",
        help="try a client in any language",
        epilog="In COMMAND and its arguments {url}, {api}, {data} and {jobs} are filled in.",
    )
    client.add_argument("--versions", type=_words, default=[], metavar="V,…")
    client.add_argument("--seed", type=int, default=0, metavar="N")
    client.add_argument("--cases", type=_words, default=[], metavar="NAME,…")
    client.add_argument("--can", type=_words, default=[], metavar=",".join(_CAN))
    client.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ARG…")
    server = kinds.add_parser("server", help="try anything that says that it is a Gradio app")
    server.add_argument("url", metavar="URL")
    server.add_argument("--busy", type=int, nargs="?", const=20, default=0, metavar="N")
    for parser in (client, server):
        parser.add_argument("--json", type=Path, metavar="FILE")
        parser.add_argument("--html", type=Path, metavar="FILE")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def run(given: argparse.Namespace) -> int:
    """Do it. Returns the status of the process: 0, 1 (a case failed) or 2 (it could not run)."""
    try:
        report = _client(given) if given.kind == "client" else _server(given)
    except ImportError as error:
        print(f"conform: {error}", file=sys.stderr)
        return 2
    except _Refused as error:
        print(f"conform: {error}", file=sys.stderr)
        return 2
    for path, text in ((given.json, report.as_json), (given.html, report.as_html)):
        if path is not None:
            path.write_text(text(), "utf-8")
    print(_summary(report))
    return 1 if report.counts["failed"] else 0


class _Refused(Exception):
    """It cannot be run as it was asked for."""


def _client(given: argparse.Namespace) -> Report:
    from sansio_gradio.protocol.features import version_numbers  # noqa: PLC0415
    from sansio_gradio.server.versions import protocol_of  # noqa: PLC0415
    from sansio_gradio.testing.plans import plans  # noqa: PLC0415
    from sansio_gradio_adapters.conform.clients import CannotRun, Trials  # noqa: PLC0415

    command: list[str] = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        raise _Refused("say how to start the client, behind --")
    for word in given.can:
        if word not in _CAN:
            raise _Refused(f"--can {word} is not known; there are {', '.join(_CAN)}")
    if "jobs" in given.can and not any("{jobs}" in word for word in command):
        raise _Refused("with --can jobs, {jobs} must stand in the command")
    for version in given.versions:
        try:
            protocol_of(version_numbers(version))
        except ValueError as error:
            raise _Refused(f"--versions: {error}") from error
    chosen = plans(given.versions, names=given.cases, seed=given.seed)
    if not chosen:
        raise _Refused(f"there are no cases named {', '.join(given.cases)}")
    began = time.monotonic()
    trials = Trials(command, given.can, _tell)
    try:
        cases = asyncio.run(trials.run(chosen))
    except CannotRun as error:
        raise _Refused(str(error)) from error
    about = {
        "command": command,
        "can": list(given.can),
        "versions": sorted({case.version for case in cases}),
        "seed": given.seed,
        "seconds": round(time.monotonic() - began, 1),
    }
    return Report(title="conform client", cases=cases, about=about)


def _server(given: argparse.Namespace) -> Report:
    from sansio_gradio_adapters.conform.servers import MOST_BUSY, NoApp, Visit  # noqa: PLC0415

    began = time.monotonic()
    if not 0 <= given.busy <= MOST_BUSY:
        raise _Refused(f"--busy is from 1 to {MOST_BUSY}, and not {given.busy}")
    visit = Visit(given.url, lambda case: _tell(case, len(visit.cases), 0), busy=given.busy)
    try:
        cases = visit.run()
    except NoApp as error:
        raise _Refused(str(error)) from error
    about = {
        "url": given.url,
        "like": visit.like,
        "seconds": round(time.monotonic() - began, 1),
    }
    return Report(title="conform server", cases=cases, about=about)


def _tell(case: Row, over: int, count: int) -> None:
    place = f"{over}/{count}" if count else str(over)
    said = f"{place} {case.verdict:7} {case.version} {case.name}"
    if case.verdict == "failed" or not count:
        said += f"  {case.rule}: {case.what}"
    print(said[:300], file=sys.stderr, flush=True)


def _summary(report: Report) -> str:
    lines: Sequence[str] = [
        *(_failed(case) for case in report.cases if case.verdict == "failed"),
        ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items()),
    ]
    return "\n".join(lines)


def _failed(case: Row) -> str:
    said = f"FAILED {case.version} {case.name}: {case.rule}\n  {case.what}"
    if case.smallest:
        indented = case.transcript.replace("\n", "\n    ")
        said += f"\n  smallest case: {case.smallest}\n    {indented}\n"
    return said
