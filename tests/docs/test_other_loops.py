"""The programs of docs/other_loops.md."""

from __future__ import annotations

import enum
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sansio_gradio.client.call import Want
from sansio_gradio.client.commands import Expect
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from tests.adapters.test_sockets import free_port, tls_in_front_of
from tests.adapters.test_tls import CERTIFICATES, server_context
from tests.support.listings import ROOT, listings, printed_by
from tests.support.places import SERVERS, serve

SELECTORS, PATCHED, GEVENT, QT, RAW, HTTPX, AIOHTTP, FETCH = listings("other_loops")
OUTPUTS = ["a", "ab", "abc"]


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    yield from serve(request.param)


def test_two_sessions_in_a_selectors_loop(served: tuple[Lively, str]) -> None:
    lines = printed_by(SELECTORS, served[1], "abc")
    for name in ("one", "two"):
        assert [line.split()[1] for line in lines if line.startswith(name)] == OUTPUTS


def test_greenlets_have_the_blocking_client(served: tuple[Lively, str]) -> None:
    assert printed_by(PATCHED, served[1], "abc", needs="gevent") == ["abc", "abc!"]


PATCHED_TRIAL = """
ticks, (late, killed) = [], text.split()


def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)


with Client(url) as client:
    gevent.spawn(tick)
    print(list(client.submit("abc", api_name="/chat")), list(client.map("ab", "/echo")))
    with client.stream_messages("ab", api_name="/chat") as messages:
        print([message["msg"] for message in messages][-1])
    with gevent.Timeout(0.2, False):
        print(client.predict(late, api_name="/endless"))
    call = gevent.spawn(client.predict, killed, api_name="/endless")
    gevent.sleep(0.2)
    call.kill()
    print(client.predict("again", api_name="/echo"), len(ticks) > 20)
"""


def test_greenlets_are_cut_off_where_they_wait(served: tuple[Lively, str]) -> None:
    lively, url = served
    code = PATCHED[: PATCHED.index("with Client")] + PATCHED_TRIAL
    late, killed = lively.new_endless(), lively.new_endless()
    assert printed_by(code, url, f"{late.name} {killed.name}", needs="gevent") == [
        "['a', 'ab', 'abc'] ['a', 'b']",
        "process_completed",
        "again True",
    ]
    late.wait_for_end()
    killed.wait_for_end()


def test_greenlets(served: tuple[Lively, str]) -> None:
    assert printed_by(GEVENT, served[1], "abc", needs="gevent") == ["abc", "abc!"]


def test_greenlets_need_few_lines() -> None:
    assert len([line for line in GEVENT.splitlines() if line]) <= 40


def test_greenlets_are_told_why_a_call_failed(served: tuple[Lively, str]) -> None:
    code = GEVENT.replace('"/chat"', '"/boom"')
    code = code.replace("answer.get()", "[answer.wait() or answer.exception.message]")
    assert printed_by(code, served[1], "no", needs="gevent") == ["no", "no!"]


def test_qt(served: tuple[Lively, str]) -> None:
    assert printed_by(QT, served[1], "abc", needs="PySide6") == OUTPUTS


def test_raw_engine(served: tuple[Lively, str]) -> None:
    assert printed_by(RAW, served[1], "abc") == OUTPUTS


def test_raw_engine_with_tls(served: tuple[Lively, str], monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(served[1].rstrip("/").rpartition(":")[2])
    with tls_in_front_of(port, server_context()) as front:
        url = f"https://localhost:{front}"
        [error, _] = printed_by(RAW, url, "abc")
        assert "The certificate of localhost is not trusted" in error
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "authority.pem"))
        assert printed_by(RAW, url, "abc") == OUTPUTS


def test_raw_engine_where_nobody_listens() -> None:
    [error, _] = printed_by(RAW, f"http://127.0.0.1:{free_port()}", "abc")
    assert "Connection refused" in error


def test_httpx(served: tuple[Lively, str]) -> None:
    if served[0].app.protocol == "ws":
        pytest.skip("httpx has no WebSockets")
    assert printed_by(HTTPX, served[1], "abc", needs="httpx") == OUTPUTS


@pytest.mark.parametrize(
    ("code", "needs", "tasks"),
    [(HTTPX, "httpx", "talk.requests"), (AIOHTTP, "aiohttp", "talk.tasks")],
)
def test_no_finished_task_is_kept(
    served: tuple[Lively, str], code: str, needs: str, tasks: str
) -> None:
    if needs == "httpx" and served[0].app.protocol == "ws":
        pytest.skip("httpx has no WebSockets")
    end = "        await talk.over.wait()\n"
    end = end if end in code else end[4:]
    looking = f"await asyncio.sleep(0); print([t for t in {tasks}.values() if t.done()])\n"
    indent = end[: len(end) - len(end.lstrip())]
    assert code.count(end) == 1
    lines = printed_by(code.replace(end, f"{end}{indent}{looking}"), served[1], "abc", needs=needs)
    assert lines == [*OUTPUTS, "[]"]


@pytest.mark.parametrize("kind", [Want, Expect])
def test_the_page_explains_each_member(kind: type[enum.Enum]) -> None:
    page = (ROOT / "docs" / "other_loops.md").read_text("utf-8")
    table = page[page.index(f"| `{kind.__name__}` |") :].split("\n\n")[0]
    assert re.findall(r"^\| `([A-Z]+)` \|", table, re.MULTILINE) == list(kind.__members__)


def test_aiohttp(served: tuple[Lively, str]) -> None:
    assert printed_by(AIOHTTP, served[1], "abc", needs="aiohttp") == OUTPUTS


# A folder with node_modules/pyodide, and in wheels/ those of h11, wsproto and attrs.
PYODIDE = os.environ.get("SANSIO_GRADIO_PYODIDE")


@pytest.mark.skipif(PYODIDE is None, reason="SANSIO_GRADIO_PYODIDE names no folder with pyodide")
def test_pyodide(served: tuple[Lively, str], tmp_path: Path) -> None:
    if served[0].app.protocol == "ws":
        pytest.skip("fetch has no WebSockets")
    assert PYODIDE is not None
    (tmp_path / "node_modules").symlink_to(Path(PYODIDE) / "node_modules")
    wheels = shutil.copytree(Path(PYODIDE) / "wheels", tmp_path / "wheels")
    with zipfile.ZipFile(wheels / "sansio_gradio-0-py3-none-any.whl", "w") as wheel:
        for module in (ROOT / "sansio_gradio").rglob("*.py"):
            wheel.write(module, module.relative_to(ROOT))
    (tmp_path / "talk.py").write_text(FETCH)
    (page,) = listings("other_loops", "js")
    (tmp_path / "main.mjs").write_text(page)
    done = subprocess.run(
        ["node", "main.mjs", "wheels", served[1], "abc"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == OUTPUTS
