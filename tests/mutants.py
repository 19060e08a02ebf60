"""Named mutants of the core: each is a bug that somebody could write, and must turn a test red.

    python3 dev.py mutants [WORD ...]       # those whose name has one of the words; all of them

A mutant is applied to a copy of the tree, and the tests run there until the first fails. One that
survives is printed, and the exit code is 1: a test is missing, or the code is superfluous.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("sansio_gradio", "adapters", "tests", "fuzz", "pyproject.toml")


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str
    """Where to look first; all tests follow where these do not notice."""


STREAM = "client/session_stream.py"

# Chosen by somebody who had not seen the tests.
MUTANTS = [
    Mutant(
        "the buffer for early messages is cut out",
        STREAM,
        "self._early.setdefault(event_id, []).append((message, size))",
        "pass",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "two jobs are swapped",
        STREAM,
        "(job := self._jobs.get(event_id)) is not None:",
        "(job := next(reversed(self._jobs.values()), None)) is not None:",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "every third diff is dropped",
        "protocol/outputs.py",
        "        self.changes += 1\n",
        "        self.changes += 1\n        if self.changes % 3 == 0:\n            return\n",
        "tests/test_protocol_outputs.py",
    ),
    Mutant(
        "a list's delete goes by the index",
        "protocol/diff.py",
        "        container.pop()\n",
        "        container.pop(min(step, len(container) - 1))\n",
        "tests/test_protocol_diff.py",
    ),
    Mutant(
        "a job that is over goes on talking",
        "client/job.py",
        "        if self.is_over:\n            return\n        self.heard = True\n",
        "        self.heard = True\n",
        "tests/test_client_job.py",
    ),
    Mutant(
        "a second stream is opened beside the first",
        STREAM,
        "        if self._stream is not None:\n            self._watch()\n            return\n",
        "",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "jobs in the middle are asked for again after the stream's end",
        STREAM,
        "            if job.heard or job.reopened:\n",
        "            if job.reopened:\n",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "a cancel takes the siblings along",
        STREAM,
        "if any(other is not job and other.endpoint.fn_index == fn_index for other in others):",
        "if False:",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "what the server has taken is handed in again",
        "client/job.py",
        "if context.retry is None or self._taken:",
        "if context.retry is None:",
        "tests/test_client_retry.py",
    ),
    Mutant(
        "a deadline of an answer ends with its head",
        "client/exchanges.py",
        "        exchange.status = status\n",
        "        exchange.status = status\n        self._timers.stop(exchange)\n",
        "tests/test_faults_deadlines.py",
    ),
    Mutant(
        "the end in the middle of an answer is the server's mistake",
        "client/engine.py",
        "broke if data else EOFError(broke.message)",
        "broke",
        "tests/test_faults_cuts.py",
    ),
    Mutant(
        "credentials follow a redirect to another origin",
        "client/exchanges.py",
        "if new.origin != old.origin and not (upgraded and new.host == old.host):",
        "if False:",
        "tests/test_client_exchanges.py",
    ),
    Mutant(
        "a POST is sent again after its last byte was handed out",
        "client/connection.py",
        "            and (self.is_safe or not self.handed_out)\n",
        "",
        "tests/test_client_engine.py",
    ),
    Mutant(
        "an idle connection takes a POST however long it was idle",
        "client/pool.py",
        "now - since > MAX_IDLE",
        "now - since > 1e9",
        "tests/test_client_pool.py",
    ),
    Mutant(
        "a carriage return at the end of a chunk counts twice",
        "wire/sse.py",
        'chunk.replace(b"\\r\\n", b"\\n")',
        "chunk",
        "tests/test_wire_sse.py",
    ),
]


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    survivors = [mutant.name for mutant in chosen if not killed(mutant)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    for name in survivors:
        print(f"survived: {name}")
    return 1 if survivors or not chosen else 0


def killed(mutant: Mutant) -> bool:
    """Whether a test notices *mutant*."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            copy(source, tree / part)
        path = tree / "sansio_gradio" / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) < 1:
            print(f"{mutant.name}: the code that it changes is gone", flush=True)
            return False
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        noticed = fails(tree, mutant.tests) or fails(tree, "tests")
    seconds = time.monotonic() - began
    print(f"{'killed  ' if noticed else 'SURVIVED'} {mutant.name} ({seconds:.0f} s)", flush=True)
    return noticed


def fails(tree: Path, tests: str) -> bool:
    """Whether the tests that can fail for the mutant's sake do."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    without = ["--ignore=tests/test_architecture.py", "--ignore=tests/test_dev.py"]
    # Not as in CI, where the corpora, which do not lie beside the copy, must be there.
    told = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [*command, *without], cwd=tree, env=told, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
