"""``dev.py`` starts under old interpreters, says what it can do, and finds what is wrong."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import dev

SOURCE = Path(dev.__file__)


def test_python_3_8_can_parse_it() -> None:
    ast.parse(SOURCE.read_text("utf-8"), feature_version=(3, 8))


def test_it_imports_the_standard_library_only() -> None:
    tree = ast.parse(SOURCE.read_text("utf-8"))
    modules = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) if n.module]
    modules += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


def interpreters() -> list[str]:
    """Every Python that is here and works: old ones are what matters."""
    found = [shutil.which(f"python3.{minor}") for minor in range(8, 15)]
    works = [name for name in found if name and dev.output([name, "--version"])]
    return works or [sys.executable]


def test_without_a_command_it_prints_what_there_is() -> None:
    for python in interpreters():
        done = subprocess.run([python, str(SOURCE)], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        for name in ("test", "test-real", "check"):
            assert f"\n  {name} " in done.stderr
    assert dev.main(["nonsense"]) == 2


def test_a_command_that_is_a_script_is_there_when_the_script_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = ("nowhere/to/be/found.py", "")
    monkeypatch.setattr(dev, "SCRIPTS", {"fuzz": dev.SCRIPTS["fuzz"], "missing": missing})
    assert "fuzz" in dev.available()
    assert "missing" not in dev.available()


def test_every_server_has_an_interpreter_and_a_day() -> None:
    for version, (pythons, day) in dev.SERVERS.items():
        assert version.count(".") == 2
        assert all(python.startswith("3.") for python in pythons)
        assert len(day) == len("2026-01-31")
    assert {*dev.TEST_REAL_DEFAULT, *dev.GATE} <= set(dev.SERVERS)
    assert list(dev.SERVERS) == sorted(dev.SERVERS, key=lambda name: [*map(int, name.split("."))])


def test_an_unknown_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["test-real", "0.0.1"]) == 1
    assert "0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_server_without_an_interpreter_is_not_run_and_fails_in_ci(
    ci: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def not_here(version: str, uv: Path) -> str:
        return "no Python 3.9"

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(dev, "environment", lambda: Path(sys.executable))
    monkeypatch.setattr(dev, "install_server", not_here)
    monkeypatch.setattr(dev, "get_uv", lambda: Path("uv"))
    assert dev.main(["test-real", "3.16.2"]) == status
    assert "3.16.2: not run: no Python 3.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "versions"),
    [
        ([], dev.GATE),
        (["--one", "--all"], list(dev.SERVERS)),
        (["3.16.2", "--only", "cancel"], ["3.16.2"]),
    ],
)
def test_interop_runs_the_gate_or_what_is_named(
    args: list[str], versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def note(command: Sequence[object], extra: dict[str, str] | None = None) -> int:
        ran.append([str(part) for part in command])
        assert extra is not None
        assert extra["SANSIO_GRADIO_SERVERS"] == str(dev.SERVERS_DIR)
        return 0

    def is_there(_version: str, _uv: Path) -> None: ...

    monkeypatch.setattr(dev, "environment", lambda: Path(sys.executable))
    monkeypatch.setattr(dev, "install_server", is_there)
    monkeypatch.setattr(dev, "get_uv", lambda: Path("uv"))
    monkeypatch.setattr(dev, "run", note)
    assert dev.main(["interop", *args]) == 0
    options = [arg for arg in args if arg not in (*versions, "--all")]
    assert ran == [[sys.executable, "-m", "tests.real.interop", *options, *versions]]


def test_the_callers_python_settings_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    env = dev.clean_env({"MORE": "1"})
    assert "PYTHONPATH" not in env
    assert env["PYTHONNOUSERSITE"] == env["MORE"] == "1"


def test_no_tests_found_is_a_failure(tmp_path: Path) -> None:
    assert dev.run([sys.executable, "-m", "pytest", "-q", tmp_path]) == 1


def test_what_is_missing_from_a_package_is_told() -> None:
    complaints = dev._differences("wheel", {"a.py", "c.py"}, {"a.py", "b.py"})
    assert complaints == ["wheel lacks b.py", "wheel should not have c.py"]


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for uv")
def test_a_uv_that_does_not_work_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 127\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dev.find_uv() is None
    uv.write_text("#!/bin/sh\necho uv 1.0\n")
    assert dev.find_uv() == uv


class Making:
    """An environment that is made, but for what really takes time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, uv: Path | None) -> None:
        monkeypatch.setattr(dev, "VENV", folder / "venv")
        monkeypatch.setattr(dev, "STAMP", folder / "venv" / "made-from")
        monkeypatch.setattr(dev, "must", self.must)
        monkeypatch.setattr(dev, "find_uv", lambda: uv)
        monkeypatch.setattr(dev, "find_python", lambda: Path(sys.executable))
        self._asked: list[str] = []

    def must(self, command: Sequence[object]) -> None:
        self._asked.append(" ".join(str(part) for part in command))
        python = dev.VENV / dev.BIN / "python"
        if "venv" in command:
            python.parent.mkdir(parents=True)
            python.touch()
        assert python.exists()

    def asked(self, **options: bool) -> str:
        """What is run for an environment, one line each."""
        self._asked.clear()
        assert dev.environment(**options) == dev.VENV / dev.BIN / "python"
        return "\n".join(self._asked)


@pytest.mark.parametrize("uv", [Path("uv"), None])
def test_tools_are_installed_when_they_are_wanted(
    uv: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Making(tmp_path, monkeypatch, uv)
    first = making.asked(tools=False)
    assert "venv" in first
    assert "--group" not in first
    assert making.asked(tools=False) == ""
    then = making.asked()
    assert then.count("venv -q") + then.count("-m venv") == 0
    assert then.endswith("-e . --group dev")
    assert making.asked() == making.asked(tools=False) == ""


def test_an_environment_is_made_anew_for_another_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Making(tmp_path, monkeypatch, None)
    assert "-m venv" in making.asked(tools=False)
    (dev.VENV / "left over").touch()
    monkeypatch.setattr(sys, "version_info", (3, 99))
    assert "-m venv" in making.asked(tools=False)
    assert not (dev.VENV / "left over").exists()


def test_what_broke_off_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    making = Making(tmp_path, monkeypatch, None)
    making.asked()
    dev.STAMP.unlink()
    assert "-m venv" in making.asked()


def test_without_uv_and_python_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    making = Making(tmp_path, monkeypatch, None)
    monkeypatch.setattr(dev, "find_python", lambda: None)
    with pytest.raises(SystemExit):
        making.asked()
    assert "curl" in capsys.readouterr().err


def test_uv_is_installed_once_for_several_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def must(command: Sequence[object]) -> None:
        asked.append(str(command[-1]))

    def installed_by(version: str, uv: Path) -> None:
        assert (asked, uv) == (["uv"], tmp_path / dev.BIN / "uv")

    monkeypatch.setattr(dev, "VENV", tmp_path)
    monkeypatch.setattr(dev, "find_uv", lambda: None)
    monkeypatch.setattr(dev, "must", must)
    monkeypatch.setattr(dev, "install_server", installed_by)
    assert dev.install_servers(dev.GATE) == (dev.GATE, [])


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for uv")
@pytest.mark.parametrize("failing", ["venv", "pip"])
def test_what_cannot_be_installed_leaves_one_line_and_no_folder(
    failing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uv = tmp_path / "uv"
    folder = tmp_path / "3.50.2"
    fails = f"[ $1 = {failing} ] || exit 0; echo 'no\n way' >&2; exit 3"
    uv.write_text(f"#!/bin/sh\nmkdir -p {folder}\n{fails}\n")
    uv.chmod(0o755)
    monkeypatch.setattr(dev, "SERVERS_DIR", tmp_path)
    monkeypatch.setattr(dev, "get_uv", lambda: uv)
    assert dev.install_servers(["3.50.2"]) == ([], ["3.50.2"])
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"3.50.2: not run: {failing}: no way (Python 3.10 or 3.11)"
    assert not folder.exists()
