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


STREAM = "client/channels/session_stream.py"
TESTS_OF_STREAM = "tests/client/test_session_stream.py"

# Chosen by somebody who had not seen the tests.
MUTANTS = [
    Mutant(
        "the buffer for early messages is cut out",
        STREAM,
        "self._early.setdefault(event_id, []).append((message, size))",
        "pass",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "two jobs are swapped",
        STREAM,
        "(attempt := self._jobs.get(event_id)) is not None:",
        "(attempt := next(reversed(self._jobs.values()), None)) is not None:",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "every third diff is dropped",
        "protocol/outputs.py",
        "        self.changes += 1\n",
        "        self.changes += 1\n        if self.changes % 3 == 0:\n            return\n",
        "tests/protocol/test_outputs.py",
    ),
    Mutant(
        "a list's delete goes by the index",
        "protocol/diff.py",
        "len(container) - 1 if in_list else step",
        "min(step, len(container) - 1) if in_list else step",
        "tests/protocol/test_diff.py",
    ),
    Mutant(
        "a job that is over goes on talking",
        "client/job.py",
        "        if self.is_over:\n            self.attempt.overhear(kind, message)\n"
        "            return [], False\n",
        "",
        "tests/client/test_job.py",
    ),
    Mutant(
        "a second stream is opened beside the first",
        STREAM,
        "        if self._stream is not None:\n            yield Watch(self._stream)\n",
        "        if False:\n            yield Watch(self._stream)\n",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "jobs in the middle are asked for again after the stream's end",
        STREAM,
        "            if attempt.heard or attempt.reopened:\n",
        "            if attempt.reopened:\n",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "a cancel takes the siblings along",
        STREAM,
        "attempt.endpoint.fn_index == fn_index and not attempt.is_over_there\n",
        "False\n",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "what the server has taken is handed in again",
        "client/conversation.py",
        "seconds = None if attempt.taken else self._tried_again_after",
        "seconds = self._tried_again_after",
        "tests/client/test_retry.py",
    ),
    Mutant(
        "a deadline of an answer ends with its head",
        "client/exchange.py",
        "        exchange.status, exchange.headers = status, headers\n",
        "        exchange.status, exchange.headers = status, headers\n"
        "        self._timers.stop(exchange)\n",
        "tests/faults/test_deadlines.py",
    ),
    Mutant(
        "the end in the middle of an answer is the server's mistake",
        "client/engine.py",
        'broke if data else EOFError("the server closed it")',
        "broke",
        "tests/faults/test_cuts.py",
    ),
    Mutant(
        "credentials follow a redirect to another origin",
        "client/redirects.py",
        "if secured or may_leave or new.origin == url.origin:",
        "if True:",
        "tests/client/test_redirects.py",
    ),
    Mutant(
        "the login of a proxy goes along in its tunnel",
        "client/connection.py",
        "if self.is_forwarded and isinstance(via, Proxy):",
        "if isinstance(via, Proxy):",
        "tests/client/test_tunnel.py",
    ),
    Mutant(
        "a POST goes on a connection that its proxy may have closed",
        "client/pool.py",
        "connection.is_forwarded and connection.has_rested",
        "False",
        "tests/client/test_tunnel.py",
    ),
    Mutant(
        "a tunnel carries what came before it was asked for",
        "client/tunnel.py",
        "if self._wire.unread:",
        "if False:",
        "tests/client/test_tunnel.py",
    ),
    Mutant(
        "connections are shared by all logins of a proxy",
        "client/via.py",
        "login: tuple[str, str] | None = attrs.field(default=None, repr=False)",
        "login: tuple[str, str] | None = attrs.field(default=None, repr=False, eq=False)",
        "tests/client/test_tunnel.py",
    ),
    Mutant(
        "this machine is asked through a proxy of the environment",
        "client/proxies.py",
        "if self.spares_loopback and _is_here(url.host):",
        "if False:",
        "tests/client/test_proxies.py",
    ),
    Mutant(
        "the query of an app's address goes to other hosts",
        "client/credentials.py",
        "self._query if self._query and self.may_go(Credential.QUERY, url) else",
        "self._query if self._query else",
        "tests/client/test_tunnel.py",
    ),
    Mutant(
        "a POST is sent again after its last byte was handed out",
        "client/connection.py",
        "            and (self.is_safe or not self.handed_out)\n",
        "",
        "tests/client/test_engine.py",
    ),
    Mutant(
        "an idle connection takes a POST however long it was idle",
        "client/pool.py",
        "now - connection.idle_since > MAX_IDLE",
        "now - connection.idle_since > 1e9",
        "tests/client/test_pool.py",
    ),
    Mutant(
        "a carriage return at the end of a chunk counts twice",
        "wire/sse.py",
        'chunk.replace(b"\\r\\n", b"\\n")',
        "chunk",
        "tests/wire/test_sse.py",
    ),
    # Chosen by reading the code, and not the tests.
    Mutant(
        "a job joins while the cancel of another one of its function is under way",
        STREAM,
        "if self._is_closed or self._has_stops(attempt.endpoint.fn_index):",
        "if self._is_closed:",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "the stream is asked for before the server knows the session",
        STREAM,
        "            if self._known:\n                yield from self._open()\n",
        "            yield from self._open()\n",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "a job is asked for on one new stream after the other",
        STREAM,
        "                attempt.reopened = True\n",
        "                pass\n",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "what comes behind a job's end is held for the next job",
        STREAM,
        "elif self._joining and event_id not in self._over:",
        "elif self._joining:",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "a session that was asked for too early counts as lost",
        STREAM,
        "if self._known and not self._overlaps:",
        "if self._known:",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "only a piece of an answer is measured",
        "client/exchange.py",
        "exchange.size += len(chunk)",
        "exchange.size = len(chunk)",
        "tests/client/test_exchange.py",
    ),
    Mutant(
        "an open stream still has the deadline of its opening",
        "client/exchange.py",
        "            self._timers.stop(exchange)\n            exchange.is_open",
        "            exchange.is_open",
        "tests/client/test_exchange.py",
    ),
    Mutant(
        "streams take the room of requests",
        "client/pool.py",
        "            Expect.STREAM: inf,\n",
        "            Expect.STREAM: limits.connections,\n",
        "tests/client/test_pool.py",
    ),
    Mutant(
        "a connection that is in the middle of an aborted answer is kept",
        "client/engine.py",
        "is_kept = connection.is_reusable and not connection.is_gone\n",
        "is_kept = True\n",
        "tests/client/test_engine.py",
    ),
    Mutant(
        "a request is repeated as often as its connection breaks",
        "client/engine.py",
        "        transfer.attempts += not connection.has_rested\n",
        "",
        "tests/client/test_engine.py",
    ),
    Mutant(
        "a timer that was started again passes as it was started first, too",
        "client/timers.py",
        "            if name in self._times:\n                self.stop(name)\n",
        "",
        "tests/client/test_timers.py",
    ),
    Mutant(
        "every job that ends while it is cancelled was stopped by the server",
        "client/job.py",
        'self.cancelled(message.get("output") == {}, at)',
        "self.cancelled(True, at)",
        "tests/client/test_job.py",
    ),
    Mutant(
        "edits are applied to what is known to be wrong",
        "client/job.py",
        "        if self._has_broken:\n            return\n",
        "",
        "tests/client/test_job.py",
    ),
    # Likewise, after the client role was built anew.
    Mutant(
        "edits come first, of any of several runs, and the first one is taken",
        "client/unfinished.py",
        "if any(compute_diff([*found[0]], [*other]) for other in found[1:]):",
        "if False:",
        "tests/client/test_unfinished.py",
    ),
    Mutant(
        "edits come first, maybe of a run that is forgotten, and of another one they are taken",
        "client/unfinished.py",
        "if self._has_forgotten or any(",
        "if any(",
        "tests/client/test_unfinished.py",
    ),
    Mutant(
        "a list that is given twice is taken for one that contains itself",
        "wire/snapshot.py",
        "        self._around.remove(id(value))\n",
        "",
        "tests/wire/test_snapshot.py",
    ),
    Mutant(
        "of two keys that become the same the last one wins",
        "wire/snapshot.py",
        "        if name in found:\n",
        "        if False:\n",
        "tests/wire/test_snapshot.py",
    ),
    Mutant(
        "a wait may be longer than any system can",
        "given.py",
        "return found if found <= LONGEST else None",
        "return found",
        "tests/test_given.py",
    ),
    Mutant(
        "an app that was started anew counts as the same",
        "client/discovery.py",
        "app.is_same_run(before) and app.has_functions_of(before)",
        "app.has_functions_of(before)",
        "tests/client/test_restart.py",
    ),
    Mutant(
        "what was rendered outlives a restart of the app",
        "client/discovery.py",
        "        if before is not None and not app.is_same_run(before):\n"
        "            self._renders = Renders()\n",
        "",
        "tests/client/test_discovery.py",
    ),
    Mutant(
        "an app that repeats the password is quoted",
        "client/credentials.py",
        "for secret in (self._token, self._oauth_token, password):",
        "for secret in (self._token, self._oauth_token):",
        "tests/faults/test_refusals_worlds.py",
    ),
    Mutant(
        "a WebSocket that is refused is no sign of another app",
        "client/conversation.py",
        "no_socket = exchange.websocket and exchange.status == _FORBIDDEN",
        "no_socket = False",
        "tests/client/test_restart.py",
    ),
    Mutant(
        "a poll that says the same again is news",
        "client/channels/polling.py",
        "if message and message != last:",
        "if message:",
        "tests/client/test_polling.py",
    ),
    Mutant(
        "a job that was cancelled before it was joined runs on",
        "client/channels/call_stream.py",
        "        if self._is_to_stop:\n            yield from self.stop(attempt)\n",
        "",
        "tests/client/test_call_stream.py",
    ),
    Mutant(
        "a full queue counts as a job that was taken",
        "client/channels/job_connection.py",
        "if not self._accepted and kind not in _BEFORE_ACCEPTING:",
        "if not self._accepted:",
        "tests/client/test_receipts.py",
    ),
    Mutant(
        "a generator past the queue ends in null",
        "client/channels/plain_call.py",
        "last = output if self._yielded is None else self._yielded",
        "last = output",
        "tests/client/test_plain_call.py",
    ),
    Mutant(
        "a job that came late to a stream is lost for what it said before",
        STREAM,
        "if not attempt.is_due or attempt.heard:",
        "if attempt.heard:",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "a job that runs is stopped before one that waits",
        STREAM,
        "        jobs.sort(key=lambda attempt: not attempt.is_waiting)\n",
        "",
        TESTS_OF_STREAM,
    ),
    Mutant(
        "the token also goes to any host that is asked",
        "client/credentials.py",
        "                if url.origin in self._origins[place]:\n                    fields",
        "                if True:\n                    fields",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "the token goes to the app as authorization",
        "client/credentials.py",
        '    Recipient.APP: "x-hf-authorization",\n',
        '    Recipient.APP: "authorization",\n',
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "headers go to the Hub",
        "client/credentials.py",
        "        if self.may_go(Credential.HEADERS, url):\n",
        "        if True:\n",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "headers of a call go to any host",
        "client/credentials.py",
        "        if not self.takes_call_headers:\n",
        "        if False:\n",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "cookies of the Hub are kept for the app",
        "client/credentials.py",
        "        if self.may_go(Credential.COOKIES, url):\n",
        "        if True:\n",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "a token that is set holds only for new hosts",
        "client/credentials.py",
        '        self._token = token_of(token, "token")\n        self._known.clear()\n',
        '        self._token = token_of(token, "token")\n',
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "the client's headers win over those of a call",
        "client/credentials.py",
        "overlaid(self.fields, may_go)",
        "overlaid(may_go, self.fields)",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "the oauth_token goes to every endpoint",
        "client/conversation.py",
        "                    if endpoint.oauth_token is None\n",
        "                    if False\n",
        "tests/client/test_credentials.py",
    ),
    Mutant(
        "a login that is void is renewed for ever",
        "client/conversation.py",
        "attempt.taken or attempt.heard or job.has_logged_in_again",
        "attempt.taken or attempt.heard",
        "tests/client/test_restart.py",
    ),
    Mutant(
        "a job that has yielded is handed in again after a login",
        "client/conversation.py",
        "attempt.taken or attempt.heard or job.has_logged_in_again",
        "attempt.taken or job.has_logged_in_again",
        "tests/client/test_restart.py",
    ),
    Mutant(
        "another host's 401 renews the login",
        "client/conversation.py",
        "        is_apps = self._credentials.may_go(Credential.AUTH, URL.parse(error.url))\n",
        "        is_apps = True\n",
        "tests/client/test_restart.py",
    ),
    Mutant(
        "a Space is waited for for ever",
        "client/space.py",
        "            if now >= until:\n",
        "            if False:\n",
        "tests/client/test_space.py",
    ),
    Mutant(
        "a Space that sleeps is not woken",
        "client/space.py",
        "            if what is Do.WAKE and not self._is_waking:\n",
        "            if False:\n",
        "tests/client/test_space.py",
    ),
    Mutant(
        "the Hub may name a host without TLS",
        "protocol/spaces.py",
        '    if hub.scheme == "https" and page.scheme != "https":\n',
        "    if False:\n",
        "tests/protocol/test_spaces.py",
    ),
    Mutant(
        "a closed session goes on to ask the Hub",
        "client/conversation.py",
        "        self._timers.stop(_GoesOn(_DISCOVERY))\n",
        "",
        "tests/client/test_space.py",
    ),
    Mutant(
        "a Space that failed later is not looked at",
        "client/discovery.py",
        "            if not (yield from space.wait(self._page)):\n",
        "            if True:\n",
        "tests/client/test_space.py",
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
    options = ["-q", "-x", "-p", "no:cacheprovider"]
    command = [sys.executable, "-B", "-m", "pytest", *options, tests]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
