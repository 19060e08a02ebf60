"""Drives the official clients, unmodified, at our server and beside it at the real one.

    python -m tests.reverse.table [CLIENT ...]  # such as gradio_client==2.7.2, @gradio/client@2.7.0

What a client sees of the two must be alike. ``--write`` keeps the table in docs/reverse.md, and
what the real servers showed in tests/data/reverse.json. ``--gate`` compares with that, and needs no
Gradio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from sansio_gradio_adapters.server import serve_in_thread
from tests.real.server import RealServer
from tests.reverse.served_app import app_for

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reverse.md"
KEPT: Final = ROOT / "tests" / "data" / "reverse.json"
HERE: Final = Path(__file__).parent / "clients"
CLIENTS: Final = Path(os.environ.get("SANSIO_GRADIO_CLIENTS") or ROOT / ".clients")

# Which release drives which, and what it needs beside it.
PAIRS: Final = {
    "gradio_client==0.6.1": ("3.50.2", ["websockets<12", "huggingface_hub<0.24"]),
    "gradio_client==1.3.0": ("4.0.2 4.16.0 4.44.1", ["huggingface_hub<0.30"]),
    "gradio_client==1.14.0": ("5.50.0", []),
    "gradio_client==2.7.2": ("6.31.0", []),
    "@gradio/client@0.10.1": ("3.50.2", ["ws"]),
    "@gradio/client@1.19.1": ("4.44.1", ["ws"]),
    "@gradio/client@2.7.0": ("6.31.0", ["ws"]),
}
GATE: Final = ["gradio_client==2.7.2", "@gradio/client@2.7.0"]
ON_ITS_OWN: Final = [
    *("connect", "view_api", "echo", "a_megabyte", "several_results", "defaults", "growing_texts"),
    *("shrinking_lists", "progress", "logs", "an_error_of_the_app", "a_hidden_error"),
    *("an_error_midway", "cancel", "state", "un_queued", "files", "twenty_jobs"),
]
WITH_LOGIN: Final = ["no_login", "login", "a_wrong_login"]
FULL: Final = ["queue_full"]

# What does not work, or differs, and not because of us: by client, server and scenario.
_BY_NAME: Final = "that client knows no arguments by name: it fails, or waits for ever"
_RUNS_ON: Final = "ours stops the function; that of the real server runs on for a while"
_NO_DEFAULTS: Final = "that client knows no defaults"
_UNTOLD: Final = "Gradio tells defaults from 4.23 on"
_NO_LOGS: Final = "a notice ends the job: that client does not know the message"
_NO_LOGIN: Final = "that client knows no login"
_CRASHES: Final = "that client crashes where a login is wanted"
_WRONG_EDITS: Final = "that client applies Gradio's edits of a list wrongly"
_OLD, _OLD_JS = ("gradio_client==0.6.1", "3.50.2"), ("@gradio/client@0.10.1", "3.50.2")
EXPLAINED: Final[dict[tuple[str, str, str], str]] = {
    (*_OLD, "defaults"): _NO_DEFAULTS,
    (*_OLD, "logs"): _NO_LOGS,
    (*_OLD, "login"): _NO_LOGIN,
    (*_OLD, "a_wrong_login"): _NO_LOGIN,
    ("gradio_client==1.3.0", "4.0.2", "defaults"): _UNTOLD,
    ("gradio_client==1.3.0", "4.16.0", "defaults"): _UNTOLD,
    ("gradio_client==1.3.0", "4.44.1", "shrinking_lists"): _WRONG_EDITS,
    (*_OLD_JS, "no_login"): _CRASHES,
    (*_OLD_JS, "a_wrong_login"): _CRASHES,
    ("gradio_client==1.3.0", "4.0.2", "cancel"): _RUNS_ON,
    ("gradio_client==1.3.0", "4.16.0", "cancel"): _RUNS_ON,
    ("gradio_client==1.3.0", "4.44.1", "cancel"): _RUNS_ON,
    ("@gradio/client@1.19.1", "4.44.1", "cancel"): _RUNS_ON,
    (*_OLD_JS, "defaults"): _BY_NAME,
}

ABOUT: Final = """# The official clients on our server

The official clients, unmodified and each in an environment of its own, on this library's server
role and on the real server of the same version. Made by `python3 dev.py reverse --write` from
[tests/reverse](../tests/reverse).
"""
LEGEND: Final = """
`same`: the scenario works, and the client sees the same of both servers: each result, each output,
each notice, each error in its words. A number: it does not work, on either server, or it differs,
for the reason below.
"""


class NotInstalled(Exception):
    """A client cannot be installed here; the text says why."""


@attrs.frozen
class Seen:
    """What a client saw in one scenario."""

    saw: Any = None
    error: str | None = None


def command(client: str) -> tuple[list[str], Path]:
    """How to run the driver of a client, and where. Installs the client if it is not there."""
    name, _, release = client.rpartition("==" if "==" in client else "@")
    extra = PAIRS[client][1]
    folder = CLIENTS / f"{name.replace('/', '+')}-{release}"
    if name.startswith("@"):
        if shutil.which("npm") is None:
            raise NotInstalled("there is no npm")
        if not (folder / "node_modules" / name).is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text("{}")
            install(["npm", "install", "--silent", client, *extra], folder)
        return ["node", str(HERE / "drive.mjs")], folder
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install([sys.executable, "-m", "venv", "--clear", str(folder)], folder)
        install([str(python), "-m", "pip", "install", "-q", client, *extra], folder)
        (folder / "installed").touch()
    return [str(python), str(HERE / "drive.py")], folder


def install(arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise NotInstalled(" ".join(done.stderr.split())[-300:])


def drive(client: str, url: str, scenarios: Sequence[str]) -> dict[str, Seen]:
    """What *client* sees of the server at *url*."""
    how, where = command(client)
    seen: dict[str, Seen] = {}
    left = list(scenarios)
    while left:
        seen |= _drive_once(how, where, url, left)
        left = [name for name in left if name not in seen]
        if left:  # an error that the client does not let anybody catch ends the driver
            seen[left.pop(0)] = Seen(error="the client crashed")
    return seen


def _drive_once(how: list[str], where: Path, url: str, scenarios: list[str]) -> dict[str, Seen]:
    """What a client saw until its driver ended."""
    with tempfile.TemporaryDirectory() as folder:
        cwd = str(where) if how[0] == "node" else folder
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        kept.pop("PYTHONPATH", None)
        env = {**kept, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "TMPDIR": folder}
        arguments = [*how, url.rstrip("/"), *scenarios]
        done = subprocess.run(
            arguments, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=900
        )
    lines = [line[2:] for line in done.stdout.splitlines() if line.startswith("@@")]
    told = {said.pop("scenario"): said for said in map(json.loads, lines)}
    return {name: Seen(**said) for name, said in told.items()}


@contextmanager
def ours(version: str, **options: Any) -> Generator[str]:
    with serve_in_thread(app_for(version, **options)) as url:
        yield url


def see(client: str, version: str, *, real: bool) -> dict[str, Seen]:
    """All scenarios of one client at one server."""
    seen: dict[str, Seen] = {}
    kinds: list[tuple[list[str], dict[str, Any], dict[str, Any]]] = [
        (ON_ITS_OWN, {}, {}),
        (WITH_LOGIN, {"auth": ("user", "secret")}, {"AUTH": "1"}),
        (FULL, {"max_size": 1, "concurrency_limit": 1}, {"MAX_SIZE": "1", "CONCURRENCY": "1"}),
    ]
    for scenarios, our_options, their_options in kinds:
        if real:
            with RealServer(version, **their_options) as server:
                seen |= drive(client, server.url, scenarios)
        else:
            with ours(version, **our_options) as url:
                seen |= drive(client, url, scenarios)
    return seen


def cell(row: tuple[str, str, str], mine: Seen, theirs: Seen, notes: list[str]) -> str:
    """What stands in the table; *row*: client, server and scenario."""
    if mine == theirs and not mine.error:
        return "same"
    why = EXPLAINED.get(row)
    if why is None:
        return "**fails**" if mine == theirs else "**differs**"
    if why not in notes:
        notes.append(why)
    return str(notes.index(why) + 1)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py reverse")
    parser.add_argument("clients", nargs="*", help=", ".join(PAIRS))
    parser.add_argument(
        "--gate", action="store_true", help="one client of each language, without Gradio"
    )
    parser.add_argument("--kept", action="store_true", help="compare with what was kept")
    parser.add_argument("--version", action="append", help="only these servers")
    parser.add_argument("--write", action="store_true", help=f"keep it in {PAGE.name}")
    asked = parser.parse_args(argv)
    clients = asked.clients or (GATE if asked.gate else list(PAIRS))
    kept: dict[str, dict[str, Any]] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    columns: dict[str, list[str]] = {}
    notes: list[str] = []
    failed = False
    for client in clients:
        for version in PAIRS[client][0].split():
            if asked.version and version not in asked.version:
                continue
            title = f"{client} → {version}"
            if asked.kept and title not in kept:
                continue
            try:
                mine = see(client, version, real=False)
                if asked.gate or asked.kept:
                    theirs = {name: Seen(**seen) for name, seen in kept[title].items()}
                else:
                    theirs = see(client, version, real=True)
                    kept[title] = {name: attrs.asdict(seen) for name, seen in theirs.items()}
            except NotInstalled as error:
                print(f"{client}: not run: {error}", flush=True)
                failed = True
                continue
            column = columns[title] = []
            for name in [*ON_ITS_OWN, *WITH_LOGIN, *FULL]:
                column.append(cell((client, version, name), mine[name], theirs[name], notes))
                if column[-1].startswith("**"):
                    failed = True
                    print(f"{client} on {version}, {name}:", flush=True)
                    print(f"  ours: {mine[name]}\n  real: {theirs[name]}", flush=True)
    lines = [
        "| | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
        *(
            f"| {name.replace('_', ' ')} | "
            + " | ".join(column[row] for column in columns.values())
            + " |"
            for row, name in enumerate([*ON_ITS_OWN, *WITH_LOGIN, *FULL])
        ),
        "",
        *(f"{number}. {note}" for number, note in enumerate(notes, 1)),
    ]
    print("\n".join(lines))
    if asked.write:
        PAGE.write_text("\n".join([ABOUT, *lines, LEGEND]), "utf-8")
        KEPT.write_text(
            json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
