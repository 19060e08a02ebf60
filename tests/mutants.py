"""Named mutants of the core: each is a bug that somebody could write, and must turn a test red.

    python3 dev.py mutants [WORD ...]       # those whose name has one of the words; all of them

A mutant is applied to a copy of the tree, and the tests that are named with it run there until the
first fails. Before that they run on a copy without a mutant, where all must pass: else they would
notice anything. A survivor is printed, and the exit code is 1: a test is missing, or the code is
superfluous.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "dist")


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str


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
        "len(container) - 1 if in_list else step",
        "min(step, len(container) - 1) if in_list else step",
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
        "        if self._stream is None:\n            self._ask()\n",
        "        self._ask()\n",
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
        "return any(other is not job and other.endpoint.fn_index == fn_index for other in others)",
        "return False",
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
        "client/redirects.py",
        "if is_secured or new.origin == url.origin:",
        "if True:",
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
        "now - connection.idle_since > MAX_IDLE",
        "now - connection.idle_since > 1e9",
        "tests/test_client_pool.py",
    ),
    Mutant(
        "a carriage return at the end of a chunk counts twice",
        "wire/sse.py",
        'chunk.replace(b"\\r\\n", b"\\n")',
        "chunk",
        "tests/test_wire_sse.py",
    ),
    # Chosen by reading the code, and not the tests.
    Mutant(
        "a job joins while the cancel of another one of its function is under way",
        STREAM,
        "            if job.endpoint.fn_index in self._stopping:\n                continue\n",
        "",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "the stream is asked for before the server knows the session",
        STREAM,
        "            if self._known:\n                self._open()\n",
        "            self._open()\n",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "a job is asked for on one new stream after the other",
        STREAM,
        "                job.reopened = True\n",
        "                pass\n",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "what comes behind a job's end is held for the next job",
        STREAM,
        "elif self._joining and event_id not in self._over:",
        "elif self._joining:",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "a session that was asked for too early counts as lost",
        STREAM,
        "if self._known and not self._overlaps:",
        "if self._known:",
        "tests/test_client_session_stream.py",
    ),
    Mutant(
        "only a piece of an answer is measured",
        "client/exchanges.py",
        "exchange.size += len(chunk)",
        "exchange.size = len(chunk)",
        "tests/test_client_exchanges.py",
    ),
    Mutant(
        "an open stream still has the deadline of its opening",
        "client/exchanges.py",
        "            self._timers.stop(exchange)\n            exchange.stream",
        "            exchange.stream",
        "tests/test_client_exchanges.py",
    ),
    Mutant(
        "streams take the room of requests",
        "client/pool.py",
        "            Expect.STREAM: None,\n",
        "            Expect.STREAM: limits.connections,\n",
        "tests/test_client_pool.py",
    ),
    Mutant(
        "a connection that is in the middle of an aborted answer is kept",
        "client/engine.py",
        "(connection, True)\n        else:\n            self._close(connection)\n",
        "(connection, True)\n",
        "tests/test_client_engine.py",
    ),
    Mutant(
        "a request is repeated as often as its connection breaks",
        "client/engine.py",
        "            exchange.attempts += not connection.has_rested\n",
        "",
        "tests/test_client_engine.py",
    ),
    Mutant(
        "a timer that was started again passes as it was started first, too",
        "client/timers.py",
        "        self.stop(name)\n        if seconds is not None",
        "        if seconds is not None",
        "tests/test_client_timers.py",
    ),
    Mutant(
        "every job that ends while it is cancelled was stopped by the server",
        "client/job.py",
        'self._stopped(message.get("output") == {})',
        "self._stopped(True)",
        "tests/test_client_job.py",
    ),
    Mutant(
        "edits are applied to what is known to be wrong",
        "client/job.py",
        "        if self._unsynced:\n            return None\n",
        "",
        "tests/test_client_job.py",
    ),
]


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        red = [tests for tests in sorted({mutant.tests for mutant in chosen}) if fails(tree, tests)]
        for tests in red:
            print(f"{tests} fails without any mutant")
        survivors = [] if red else [m.name for m in chosen if not killed(m, tree)]
    if red or not chosen:
        return 1
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    for name in survivors:
        print(f"survived: {name}")
    return 1 if survivors else 0


def killed(mutant: Mutant, tree: Path) -> bool:
    """Whether a test notices *mutant* in the copy *tree*, which is left as it was."""
    began = time.monotonic()
    path = tree / "sansio_gradio" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        print(f"{mutant.name}: the code that it changes is gone, or is twice", flush=True)
        return False
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        noticed = fails(tree, mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
    seconds = time.monotonic() - began
    print(f"{'killed  ' if noticed else 'SURVIVED'} {mutant.name} ({seconds:.0f} s)", flush=True)
    return noticed


def fails(tree: Path, tests: str) -> bool:
    """Whether any of the tests does."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
