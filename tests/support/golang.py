"""examples/client.go and its tests as programs, where Go 1.19 or later is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLIENT = TESTS.parent / "examples" / "client.go"
VECTORS = TESTS.parent / "docs" / "vectors"
OLDEST = (1, 19)


def _find() -> str | None:
    go = shutil.which("go")
    if go is None:
        return None
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return go if found and (int(found[1]), int(found[2])) >= OLDEST else None


GO = _find()
GOFMT = shutil.which("gofmt") if GO else None
NO_GO = f"there is no Go {'.'.join(map(str, OLDEST))} or later"


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: ``client`` is the command line, ``client.test`` the tests."""
    folder = tmp_path_factory.mktemp("go")
    for source in (CLIENT, CLIENT.with_name("json_lines.go"), TESTS / "support" / "client_test.go"):
        shutil.copy(source, folder)
    (folder / "go.mod").write_text("module client\n\ngo 1.19\n", "utf-8")
    told = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": ""}
    for command in (["build", "-o", "client", "."], ["test", "-c", "-o", "client.test", "."]):
        done = subprocess.run(
            [str(GO), *command],
            cwd=folder,
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


def go_tests(folder: Path, which: str, **variables: str) -> str:
    """Run those tests, whose names match *which*; what they print."""
    told = {"VECTORS": str(VECTORS), **variables}
    done = subprocess.run(
        [str(folder / "client.test"), "-test.v", "-test.run", which],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
