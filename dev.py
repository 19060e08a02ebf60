#!/usr/bin/env python3
"""What a developer runs: ``python3 dev.py COMMAND``.

One file, the standard library only, in syntax that Python 3.8 parses, so that whatever ``python3``
is can start it. The work itself happens in ``.venv``, which is made from ``pyproject.toml``: by uv
where it is on the PATH, else by a Python of at least 3.11. Nothing is installed anywhere else.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Sequence

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "made-from"
BIN = "Scripts" if os.name == "nt" else "bin"
OLDEST = (3, 11)
PACKAGES = ("sansio_gradio", "adapters/sansio_gradio_adapters")

# The real servers that can be installed: Gradio version -> the interpreters it runs on, best first,
# and the day whose packages it is installed with (what came later broke the older ones).
_OLD, _MIDDLE, _NEW = ("3.9",), ("3.10", "3.11"), ("3.11", "3.10")
SERVERS: dict[str, tuple[tuple[str, ...], str]] = {
    "3.1.4": (_OLD, "2022-08-06"),
    "3.1.7": (_OLD, "2022-08-23"),
    "3.4.1": (_OLD, "2022-10-08"),
    "3.16.2": (_OLD, "2023-01-20"),
    "3.34.0": (_MIDDLE, "2023-06-08"),
    "3.50.2": (_MIDDLE, "2023-11-15"),
    "4.0.2": (_NEW, "2023-11-01"),
    "4.4.1": (_NEW, "2023-11-17"),
    "4.8.0": (_NEW, "2023-12-06"),
    "4.9.1": (_NEW, "2023-12-15"),
    "4.16.0": (_NEW, "2024-01-27"),
    "4.17.0": (_NEW, "2024-02-07"),
    "4.19.2": (_NEW, "2024-02-23"),
    "4.20.1": (_NEW, "2024-03-07"),
    "4.21.0": (_NEW, "2024-03-10"),
    "4.22.0": (_NEW, "2024-03-20"),
    "4.29.0": (_NEW, "2024-05-05"),
    "4.31.0": (_NEW, "2024-05-11"),
    "4.36.1": (_NEW, "2024-06-10"),
    "4.44.1": (_NEW, "2024-10-05"),
    "5.0.2": (_NEW, "2024-10-12"),
    "5.29.0": (_NEW, "2025-05-03"),
    "5.50.0": (_NEW, "2025-12-01"),
    "6.0.2": (_NEW, "2025-12-03"),
    "6.12.0": (_NEW, "2026-04-11"),
    "6.31.0": (_NEW, "2026-11-22"),
}
# The first and the last release of each protocol, as far as they differ: what must always work.
GATE = ["3.16.2", "3.50.2", "4.0.2", "4.16.0", "4.19.2", "4.21.0", "4.29.0", "4.44.1", "6.31.0"]
REVERSED = ["3.50.2", "4.0.2", "4.16.0", "4.44.1", "5.50.0", "6.31.0"]  # see tests/reverse
NEWEST = "6.31.0"
TEST_REAL_DEFAULT = [NEWEST, "3.50.2", "3.16.2"]
SERVERS_DIR = Path(os.environ.get("SANSIO_GRADIO_SERVERS") or ROOT / ".servers").resolve()

BENCHMARKS = ["frame", "sse_decode"]  # those beside benchmarks/run.py

# Commands that are a script of their own; each exists as soon as its file does.
SCRIPTS = {
    "blocking": ("adapters/make_blocking.py", "the blocking client's text, from that for tasks"),
    "fuzz": ("fuzz/run.py", "the fuzz targets [--seconds N] [TARGET ...]"),
    "docs": ("docs/build.py", "the documentation"),
    "simulate": (
        "tests/simulate.py",
        "very many jobs over a network that fails [--seed N] [--jobs M] [--run K]",
    ),
    "mutants": ("tests/mutants.py", "named bugs, each of which a test must notice [WORD ...]"),
}


def main(argv: Sequence[str]) -> int:
    commands = available()
    if not argv or argv[0] not in commands:
        known = "\n".join(f"  {name:10} {what}" for name, (_, what) in commands.items())
        print(f"usage: python3 dev.py COMMAND\n{known}", file=sys.stderr)
        return 2
    command, _ = commands[argv[0]]
    return command(list(argv[1:]))


def available() -> dict[str, tuple[Callable[[list[str]], int], str]]:
    """The commands that there are today, with a line about each."""
    commands: dict[str, tuple[Callable[[list[str]], int], str]] = {
        "demo": (demo, "an app, and this library talking to it [--real [VERSION]: a Gradio app]"),
        "test": (
            test,
            "the tests without network, and their coverage [--all, or pytest's own]",
        ),
        "test-real": (test_real, "the tests against real Gradio servers [VERSION ...]"),
        "interop": (interop, "clients of all worlds on real servers [--all] [--one] [VERSION ...]"),
        "reverse": (reverse, "the official clients on our server [--gate] [--write] [CLIENT ...]"),
        "check": (check, "ruff, mypy, pyright, and what is in the wheel and the sdist"),
    }
    if (ROOT / "benchmarks").is_dir():
        commands["bench"] = (bench, "beside the peers [--quick], or NAME [its arguments]")
    for name, (script, what) in SCRIPTS.items():
        if (ROOT / script).is_file():
            commands[name] = (_script_runner(script), what)
    return commands


def _script_runner(script: str) -> Callable[[list[str]], int]:
    return lambda args: run([environment(), ROOT / script, *args])


# Commands


def demo(args: list[str]) -> int:
    """On the embedded server, or on a real one."""
    if args[:1] != ["--real"]:
        return run([environment(tools=False), ROOT / "examples/demo.py", *args])
    version = args[1] if args[1:] else NEWEST
    if version not in SERVERS:
        return fail(f"no such server: {version} (there are: {' '.join(SERVERS)})")
    python = environment(tools=False)
    reason = install_server(version, get_uv())
    if reason:
        return fail(f"{version}: {reason}")
    told = {"SANSIO_GRADIO_SERVERS": str(SERVERS_DIR)}
    return run([python, "-m", "tests.real.demo", version], extra=told)


def test(args: list[str]) -> int:
    """The tests and the coverage of the core; with arguments, only what pytest is told to run.

    ``--all``: the exhaustive tests, too. They try more cases and cover nothing that others do not.
    pytest's rewriting of asserts is for those that fail: it takes three times as long as importing
    the tests. So they are run once more, and show their values, or that they pass the second time.
    """
    python = environment()
    if args and args != ["--all"]:
        return run([python, "-m", "pytest", *args])
    marked = "not real" if args else "not real and not exhaustive"
    coverage = [python, "-m", "coverage"]
    run([*coverage, "erase"])
    workers = str((os.cpu_count() or 1) + 1)  # many tests wait for others
    pytest = ["-m", "pytest", "-q", "-m", marked]
    parallel = ["-n", workers, "--dist", "worksteal", "--durations=5", "--assert=plain"]
    failed = run([*coverage, "run", *pytest, *parallel])
    if failed:
        run([python, *pytest, "--last-failed", "--last-failed-no-failures=none", "--maxfail=20"])
    return run([*coverage, "combine", "-q"]) or run([*coverage, "report"]) or failed


def test_real(args: list[str]) -> int:
    """The tests marked ``real``, once for each server version."""
    unknown = [version for version in args if version not in SERVERS]
    if unknown:
        return fail(f"no such server: {' '.join(unknown)} (there are: {' '.join(SERVERS)})")
    python = environment()
    runnable, not_run = install_servers(args or TEST_REAL_DEFAULT)
    failed = 0
    if runnable:
        told = {
            "SANSIO_GRADIO_SERVERS": str(SERVERS_DIR),
            "SANSIO_GRADIO_VERSIONS": " ".join(runnable),
        }
        failed = run([python, "-m", "pytest", "-q", "-m", "real", "--durations=5"], extra=told)
    if not_run and os.environ.get("CI"):
        return fail(f"not run: {' '.join(not_run)}")
    return failed


def interop(args: list[str]) -> int:
    """The scenarios of tests/real/interop_scenarios.py on the servers of the gate, or on these.

    ``--all``: on all that there are. ``--one``: in one world each, in turn. ``--write``: keep the
    table in docs/interop.md. Further options are those of tests/real/interop.py.
    """
    named = [arg for arg in args if arg in SERVERS]
    options = [arg for arg in args if arg not in SERVERS and arg != "--all"]
    versions = list(SERVERS) if "--all" in args else named or GATE
    python = environment()
    runnable, not_run = install_servers(versions)
    told = {"SANSIO_GRADIO_SERVERS": str(SERVERS_DIR)}
    failed = run([python, "-m", "tests.real.interop", *options, *runnable], extra=told)
    if not_run and os.environ.get("CI"):
        return fail(f"not run: {' '.join(not_run)}")
    return failed


def reverse(args: list[str]) -> int:
    """The official clients on our server, and on the real one. Options: tests/reverse/table.py.

    ``--gate``: one client of each language, compared with what the real server showed them.
    """
    python = environment()
    told = {"SANSIO_GRADIO_SERVERS": str(SERVERS_DIR)}
    if "--gate" not in args:
        install_servers(REVERSED)
    return run([python, "-m", "tests.reverse.table", *args], extra=told)


def bench(args: list[str]) -> int:
    """This library beside its peers and two floors. Options: benchmarks/run.py.

    With the NAME of another benchmark: that one.
    """
    if args and args[0] in BENCHMARKS:
        return run([environment(), ROOT / "benchmarks" / f"{args[0]}.py", *args[1:]])
    python = environment()
    told = {"SANSIO_GRADIO_SERVERS": str(SERVERS_DIR)}
    if "--quick" not in args:
        install_servers([NEWEST])
    return run([python, "-m", "benchmarks.run", *args], extra=told)


def check(args: list[str]) -> int:
    """Everything that can be said without running the library; all of it, then the verdict."""
    if args:
        return fail("check takes no arguments")
    python = environment()
    steps: list[tuple[str, Callable[[], int]]] = [
        ("ruff check", lambda: run([python, "-m", "ruff", "check", "."])),
        ("ruff format", lambda: run([python, "-m", "ruff", "format", "--check", "."])),
        ("mypy", lambda: run([python, "-m", "mypy"])),
        ("pyright", lambda: run([python, "-m", "pyright", "--pythonpath", python])),
        ("wheel and sdist", lambda: check_distributions(python)),
    ]
    failed = [name for name, step in steps if step() != 0]
    return fail(f"failed: {', '.join(failed)}") if failed else 0


def check_distributions(python: Path) -> int:
    """Build both, and compare what is inside with what lies in the source tree."""
    # Path in the tree -> path in the wheel.
    sources = {
        path.relative_to(ROOT).as_posix(): path.relative_to((ROOT / package).parent).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder)
        if output([python, "-m", "hatchling", "build", "-d", built]) is None:
            return fail("hatchling cannot build: python -m hatchling build says why")
        (wheel,) = built.glob("*.whl")
        (sdist,) = built.glob("*.tar.gz")
        with zipfile.ZipFile(wheel) as archive:
            packed = {name for name in archive.namelist() if ".dist-info/" not in name}
            archive.extractall(built / "unpacked")
        with tarfile.open(sdist) as archive:
            shipped = {name.split("/", 1)[1] for name in archive.getnames()}
        about = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"}
        typed = {f"{package}/py.typed" for package in PACKAGES}
        wrong = [
            *(f"missing: {name}" for name in typed - set(sources)),
            *_differences("wheel", packed, set(sources.values())),
            *_differences("sdist", shipped, set(sources) | about),
        ]
        imports = "import sansio_gradio, sansio_gradio_adapters as a; print(a.__path__[0])"
        where = output([python, "-c", imports], cwd=built / "unpacked")
        if where is None or built not in Path(where).parents:
            wrong.append(f"the wheel does not import: {where}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _differences(what: str, found: set[str], wanted: set[str]) -> list[str]:
    lacking = [f"{what} lacks {name}" for name in sorted(wanted - found)]
    return lacking + [f"{what} should not have {name}" for name in sorted(found - wanted)]


# The environment


def environment(tools: bool = True) -> Path:
    """The interpreter of ``.venv``, which is made anew when what it was made from has changed.

    ``tools``: with what tests and checks need, which takes several times as long to install.
    """
    asked_for = sys.version_info[:2] if sys.version_info >= OLDEST else "any"
    facts = f"{ROOT}\n{asked_for}\n".encode() + (ROOT / "pyproject.toml").read_bytes()
    made_from = hashlib.sha256(facts).hexdigest()
    python = VENV / BIN / "python"
    there = STAMP.read_text().split() if STAMP.is_file() and python.exists() else []
    if there[:1] == [made_from] and (not tools or there[1:] == ["tools"]):
        return python
    uv, base = find_uv(), find_python()
    if base is None and uv is None:
        print(
            "This needs Python 3.11 or later with venv (Debian: python3-venv), or uv: run "
            "`curl -LsSf https://astral.sh/uv/install.sh | sh`, then open a new shell.",
            file=sys.stderr,
        )
        raise SystemExit(1)
    if there[:1] != [made_from]:
        shutil.rmtree(VENV, ignore_errors=True)
        venv = [uv, "venv", "-q", "--python", base or ">=3.11"] if uv else [base, "-m", "venv"]
        must([*venv, VENV])
    what = ["-e", ".", *(["--group", "dev"] if tools else [])]
    if uv:
        must([uv, "pip", "install", "-q", "--python", python, *what])
    else:
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        if tools:
            must([*pip, "pip>=25.1"])  # the first that knows dependency groups
        must([*pip, *what])
    STAMP.write_text(f"{made_from} tools" if tools else made_from)
    return python


def find_uv() -> Path | None:
    """uv, if the one on the PATH works: a version manager's stand-in may not."""
    uv = shutil.which("uv")
    return Path(uv) if uv and output([uv, "--version"]) else None


def get_uv() -> Path:
    """uv; where there is none, one in ``.venv``, which must have been made."""
    uv = find_uv() or VENV / BIN / "uv"
    if not uv.exists():
        output([VENV / BIN / "python", "-m", "ensurepip"])  # what uv made has no pip
        must([VENV / BIN / "python", "-m", "pip", "install", "-q", "uv"])
    return uv


def find_python() -> Path | None:
    """An interpreter that can make the environment, this one if possible."""
    # Inside an environment (it may be the very one to be made anew) its base is what counts.
    this = getattr(sys, "_base_executable", None) or sys.executable
    names = [this] + [f"python3.{minor}" for minor in (13, 14, 12, 11)] + ["python3", "python"]
    probe = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for name in names:
        found = shutil.which(name)
        version = output([found, "-c", probe]) if found else None
        if found and version and tuple(map(int, version.split("."))) >= OLDEST:
            return Path(found)
    return None


# Real servers


def install_servers(versions: Sequence[str]) -> tuple[list[str], list[str]]:
    """Several at once; those that can be run, and those that cannot, which is told."""
    uv = get_uv()  # once, before there are several who want it
    with ThreadPoolExecutor(4) as pool:
        ways = [pool.submit(install_server, version, uv) for version in versions]
    reasons = {version: way.result() for version, way in zip(versions, ways)}
    for version, reason in reasons.items():
        if reason:
            print(f"{version}: not run: {reason}", flush=True)
    runnable = [version for version, reason in reasons.items() if not reason]
    return runnable, [version for version, reason in reasons.items() if reason]


def install_server(version: str, uv: Path) -> str | None:
    """Put a Gradio server into its folder; the reason why not, or None when it is there."""
    folder = SERVERS_DIR / version
    python = folder / BIN / "python"
    installed = "import importlib.metadata as m; print(m.version('gradio'))"
    if python.exists() and output([python, "-c", installed]) == version:
        return None
    wanted, day = SERVERS[version]
    base = next((found for name in wanted for found in [find_interpreter(uv, name)] if found), None)
    print(f"{version}: installing", flush=True)
    # Without an interpreter of its own to name, uv may know where to get one.
    packages = [f"gradio=={version}", "setuptools<80", "--exclude-newer", day]
    reason = install(folder, uv, base or wanted[0], packages)
    return f"{reason} (Python {' or '.join(wanted)})" if reason else None


def install(folder: Path, uv: Path, base: object, packages: Sequence[str]) -> str | None:
    """Make an environment in *folder*; the reason why not, or None. It is there whole or not."""
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [uv, "venv", "-q", "--no-project", "--python", base, folder],
        [uv, "pip", "install", "-q", "--python", folder / BIN / "python", *packages],
    ):
        done = finished(command)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)  # half of one would pass for the whole
            return " ".join(f"{command[1]}: {done.stderr}".split())[:300]
    return None


def find_interpreter(uv: Path, version: str) -> str | None:
    """Where this version of Python is: known to uv, or one of pyenv's that is not switched on."""
    found = output([uv, "python", "find", "--system", "--no-python-downloads", version])
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return found or next(map(str, pyenv.glob(f"versions/{version}.*/{BIN}/python")), None)


# Processes


def run(command: Sequence[object], extra: dict[str, str] | None = None) -> int:
    """Run in the project's folder with what it prints shown; the exit status."""
    parts = [str(part) for part in command]
    status = subprocess.run(parts, cwd=ROOT, env=clean_env(extra), check=False).returncode
    return fail("pytest found no test to run") if status == 5 and "pytest" in parts else status


def must(command: Sequence[object]) -> None:
    status = run(command)
    if status:
        print("failed: " + " ".join(str(part) for part in command), file=sys.stderr)
        raise SystemExit(status)


def output(command: Sequence[object], cwd: Path = ROOT) -> str | None:
    """What a command prints, or None if it cannot be run or fails."""
    try:
        done = finished(command, cwd)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def finished(command: Sequence[object], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """What became of a command, with what it printed; nothing of that is shown."""
    parts = [str(part) for part in command]
    return subprocess.run(
        parts, cwd=cwd, env=clean_env(), capture_output=True, text=True, check=False
    )


def clean_env(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment for what we start: none of the caller's Python settings leak into it."""
    leaks = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONWARNINGS")
    env = {name: value for name, value in os.environ.items() if name not in leaks}
    return {**env, "PYTHONNOUSERSITE": "1", **(extra or {})}


def fail(why: str) -> int:
    print(f"dev.py: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
