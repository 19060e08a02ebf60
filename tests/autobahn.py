"""Let Autobahn's fuzzing server judge our WebSocket client, and write docs/autobahn.md.

Needs CPython 2.7 and, installed for it, autobahntestsuite 25.10.1 (with an empty
``zope/__init__.py`` beside its packages). Start its server with a spec such as

    {"url": "ws://127.0.0.1:19001", "webport": 19080, "outdir": "reports", "cases": ["*"],
     "exclude-cases": ["12.*", "13.*"]}

by ``wstest -m fuzzingserver -s spec.json``, in the folder of the spec; then, in this project's
folder, run

    python tests/autobahn.py ws://127.0.0.1:19001 FOLDER_OF_THE_SPEC/reports/index.json
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.wire.http import Role
from sansio_gradio.wire.url import URL
from sansio_gradio.wire.websocket import Event, TextReceived, WebSocketConnection

AGENT = "sansio_gradio"
PAGE = Path(__file__).parents[1] / "docs" / "autobahn.md"
BINARY = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.")
"""The groups of cases that echo binary messages."""
TEXT = """\
# Autobahn's verdict on the WebSocket client

[Autobahn|Testsuite](https://github.com/crossbario/autobahn-testsuite) 25.10.1 against
`WebSocketConnection(Role.CLIENT)` as an echo client. `tests/autobahn.py` has written this, and says
how to run it. The groups 12 and 13 are left out: they try compression, which this library never
offers.

| verdict | cases |
|---|---|
{rows}

Of the {failed} that failed, {binary} want a binary message echoed. Gradio has none, and the client
refuses them with Close 1003, as RFC 6455 allows. The others that failed: {others}.

NON-STRICT is right by the RFC: where one read brings a text and a wrong frame behind it, the
connection has failed before the text can be echoed.

| case | verdict | Close | its code |
|---|---|---|---|"""
LIMIT = 32 << 20  # bytes; cases of 9.* have up to 16 MiB


def texts(url: str, *, echo: bool) -> Iterator[str]:
    """The texts that come from *url*, each of which is sent back if *echo*."""
    parsed = URL.parse(url)
    connection = WebSocketConnection(Role.CLIENT, max_message_size=LIMIT)
    with socket.create_connection((parsed.host, parsed.port), timeout=120) as sock:
        sock.sendall(connection.send_handshake(f"{parsed.host}:{parsed.port}", parsed.target, ()))
        while not connection.is_closed:
            data = sock.recv(1 << 20)
            events: list[Event] = []
            with contextlib.suppress(RemoteProtocolError):  # the peer is told
                events = connection.receive_data(data) if data else connection.receive_eof()
            sock.sendall(connection.data_to_send())  # a pong comes before the text after its ping
            for event in events:
                if isinstance(event, TextReceived):
                    yield event.text
                    if echo and connection.is_open:
                        sock.sendall(connection.send_text(event.text))


def main(server: str, index: Path) -> int:
    (count,) = texts(f"{server}/getCaseCount", echo=False)
    for case in range(1, int(count) + 1):
        for _ in texts(f"{server}/runCase?case={case}&agent={AGENT}", echo=True):
            pass
        print(f"\r{case} of {count}", end="", flush=True)
    for _ in texts(f"{server}/updateReports?agent={AGENT}", echo=False):
        pass
    print()
    report = json.loads(index.read_text("utf-8"))[AGENT]
    PAGE.write_text(page(report), "utf-8")
    return 0


def page(report: dict[str, dict[str, Any]]) -> str:
    """The report, as a page."""
    verdicts = Counter(case["behavior"] for case in report.values())
    failed = sorted(name for name, case in report.items() if case["behavior"] == "FAILED")
    binary = [name for name in failed if name.startswith(BINARY)]
    rows = "\n".join(f"| {kind} | {count} |" for kind, count in verdicts.most_common())
    others = ", ".join(name for name in failed if name not in binary) or "none"
    lines = [TEXT.format(rows=rows, failed=len(failed), binary=len(binary), others=others)]
    for name in sorted(report, key=lambda name: [int(part) for part in name.split(".")]):
        case = report[name]
        if (case["behavior"], case["behaviorClose"]) != ("OK", "OK"):
            shown = (name, *(case[key] for key in ("behavior", "behaviorClose", "remoteCloseCode")))
            lines.append(f"| {' | '.join(map(str, shown))} |")
    ok = [name for name, case in report.items() if case["behavior"] == "OK"]
    lines += ["", f"All others ({len(ok)}) are OK.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
